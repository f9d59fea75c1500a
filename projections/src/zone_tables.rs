//! The tables of one zone: write sets go in, rows at any retained position come out.
//!
//! ```text
//!  sequencer --insert--> active memtable --seal--> sealed ones --flush_step--> one sorted run in the store
//!                              \______________________|____________________________|
//!                                       View (memory, then cur, then old)
//! ```
//!
//! Invariants:
//! 1. `floor <= applied`; records at or below the floor are in the store, those above it in memory.
//! 2. Rows and the applied position move in one run (L4), so reopening yields exactly the records up to `applied`.
//! 3. Only committed records are written to the store (L1).

use std::sync::Arc;

use bytes::Bytes;
use nexus_log::ids::{Seq, ZoneIdentity};

use crate::generation::{Generation, Standing};
use crate::layout::{self, Place, encode_number};
use crate::limits::{L0_TABLES_MAX, MEMORY_BYTES_MAX, MEMTABLE_BYTES_MAX};
use crate::put::WriteSet;
use crate::store::{RunRow, Store, StoreError, StorePressure};
use crate::view::View;

/// One generation of a zone's tables; one handle per generation. Dropping the handle and all its views leaves what
/// was flushed of the live generation, and gives up any other.
pub struct ZoneTables {
    pub(crate) generation: Arc<Generation>,
}

/// What a zone has not yet handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// In memtables, active and sealed.
    pub memory_bytes: usize,
    pub sealed_memtables: usize,
    pub store: StorePressure,
}

impl Pressure {
    /// Writers should wait until the flusher or the store has caught up (L12).
    #[must_use]
    pub fn must_throttle(&self) -> bool {
        self.memory_bytes >= MEMORY_BYTES_MAX || self.store.l0_tables >= L0_TABLES_MAX
    }
}

impl ZoneTables {
    /// Opens the live generation of the zone in `slot`, or makes an empty one. What was in memory only is gone:
    /// insert the records after [`applied`](Self::applied) again.
    pub fn open(store: Arc<dyn Store>, slot: u32) -> Result<ZoneTables, StoreError> {
        let next = number(&*store, &layout::next_key(slot))?.unwrap_or(1);
        let live = number(&*store, &layout::live_key(slot))?;
        let dead = (1..next).filter(|generation| Some(*generation) != live);
        let dead = dead.map(|number| Ok(place(slot, number)?.prefix())).collect::<Result<Vec<_>, StoreError>>()?;
        store.set_dead(&dead);
        let Some(live) = live else {
            let tables = begin(store, slot, Seq::ZERO)?;
            tables.make_live()?;
            return Ok(tables);
        };
        let place = place(slot, live)?;
        let applied_key = place.applied_key();
        let Some(applied) = number(&*store, &applied_key)? else {
            return Err(StoreError::corrupt("a generation without an applied position", &applied_key));
        };
        let generation = Generation::new(store, place, Seq(applied), Standing::Live);
        Ok(ZoneTables { generation: Arc::new(generation) })
    }

    /// As [`open`](Self::open), for a zone in one of its lives. Rows that are another's, because the zone was replaced
    /// beside its tables, are left behind: the zone begins with an empty generation.
    pub fn open_for(store: Arc<dyn Store>, slot: u32, owner: ZoneIdentity) -> Result<ZoneTables, StoreError> {
        let (key, value) = (layout::owner_key(slot), layout::encode_owner(owner));
        match store.get(&key)? {
            Some(stored) if stored == value => ZoneTables::open(store, slot),
            None => {
                let tables = ZoneTables::open(Arc::clone(&store), slot)?;
                write(&*store, [(key, Some(value))])?;
                Ok(tables)
            }
            Some(_) => {
                let tables = begin(Arc::clone(&store), slot, Seq::ZERO)?;
                let live = encode_number(u64::from(tables.generation.place.generation));
                write(&*store, [(layout::live_key(slot), Some(live)), (key, Some(value))])?;
                *tables.generation.standing.lock() = Standing::Live;
                Ok(tables)
            }
        }
    }

    /// The newest record inserted.
    #[must_use]
    pub fn applied(&self) -> Seq {
        self.generation.last()
    }

    /// The highest record that has left memory for the store.
    #[must_use]
    pub fn floor(&self) -> Seq {
        self.generation.levels().floor
    }

    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation.place.generation
    }

    /// Adds the record after [`applied`](Self::applied). For the sequencer alone.
    ///
    /// # Panics
    /// Where it is another record.
    pub fn insert(&self, set: WriteSet) {
        self.generation.insert(set);
    }

    /// As [`insert`](Self::insert), but passes over a record that is in the tables already. Says whether it was added.
    pub fn replay(&self, set: WriteSet) -> bool {
        let is_new = set.seq > self.applied();
        if is_new {
            self.insert(set);
        }
        is_new
    }

    /// The tables as they were when record `at` was the last one; where that is yet to come, as they are now.
    #[must_use]
    pub fn view(&self, at: Seq) -> View {
        let (at, levels) = self.generation.stand(at);
        View::new(Arc::clone(&self.generation), levels, at)
    }

    /// Forgets the records above `committed`: they were lost with the log's tail or with leadership. Views beyond
    /// it go on showing them.
    ///
    /// # Panics
    /// Where one of them was given to [`flush_step`](Self::flush_step) as committed.
    pub fn drop_above(&self, committed: Seq) {
        self.generation.drop_above(committed);
    }

    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let levels = self.generation.levels();
        Pressure {
            memory_bytes: levels.bytes(),
            sealed_memtables: levels.sealed.len(),
            store: self.generation.store.pressure(),
        }
    }

    #[must_use]
    pub fn must_throttle(&self) -> bool {
        self.pressure().must_throttle()
    }

    /// A memtable is full: the flusher has something to do.
    #[must_use]
    pub fn wants_flush(&self) -> bool {
        let levels = self.generation.levels();
        !levels.sealed.is_empty() || levels.active.bytes() >= MEMTABLE_BYTES_MAX
    }

    /// Begins an empty generation beside this one, for a rebuild (`base` zero) or for an image taken at `base`. It is
    /// filled like any tables. Dropped without [`switch_to`](Self::switch_to), it vanishes.
    pub fn begin_generation(&self, base: Seq) -> Result<ZoneTables, StoreError> {
        begin(Arc::clone(&self.generation.store), self.generation.place.slot, base)
    }

    /// Makes `next` the zone's tables, at once and durably. This generation stays readable while it has handles.
    ///
    /// # Panics
    /// Where `next` belongs to another zone.
    pub fn switch_to(&self, next: &ZoneTables) -> Result<(), StoreError> {
        assert_eq!(next.generation.place.slot, self.generation.place.slot, "a generation belongs to one zone");
        next.make_live()?;
        *self.generation.standing.lock() = Standing::Passing;
        Ok(())
    }

    /// Removes the zone from the store. Its slot can be opened again, as an empty zone.
    pub fn remove(self) -> Result<(), StoreError> {
        write(&*self.generation.store, [(layout::live_key(self.generation.place.slot), None)])?;
        *self.generation.standing.lock() = Standing::Passing;
        Ok(())
    }

    fn make_live(&self) -> Result<(), StoreError> {
        let Place { slot, generation } = self.generation.place;
        let live = encode_number(u64::from(generation));
        write(&*self.generation.store, [(layout::live_key(slot), Some(live))])?;
        *self.generation.standing.lock() = Standing::Live;
        Ok(())
    }
}

/// Takes the slot's next generation number and writes the new generation's applied position, in one run.
fn begin(store: Arc<dyn Store>, slot: u32, base: Seq) -> Result<ZoneTables, StoreError> {
    let next_key = layout::next_key(slot);
    let next = number(&*store, &next_key)?.unwrap_or(1);
    let place = place(slot, next)?;
    let rows = [(next_key, Some(encode_number(next + 1))), (place.applied_key(), Some(encode_number(base.0)))];
    write(&*store, rows)?;
    Ok(ZoneTables { generation: Arc::new(Generation::new(store, place, base, Standing::Passing)) })
}

fn place(slot: u32, number: u64) -> Result<Place, StoreError> {
    let generation = u32::try_from(number).ok().filter(|generation| *generation > 0);
    let generation =
        generation.ok_or_else(|| StoreError::corrupt("a generation number out of bounds", &layout::next_key(slot)))?;
    Ok(Place { slot, generation })
}

fn number(store: &dyn Store, key: &[u8]) -> Result<Option<u64>, StoreError> {
    store.get(key)?.map(|value| layout::decode_number(key, &value)).transpose()
}

fn write<const N: usize>(store: &dyn Store, rows: [(Vec<u8>, Option<Bytes>); N]) -> Result<(), StoreError> {
    store.ingest(&mut rows.into_iter().map(RunRow::Ok))
}
