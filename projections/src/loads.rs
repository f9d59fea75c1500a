//! Rows that a decision needs, without the sequencer ever waiting for the store.
//!
//! A decision runs on [`Loaded`], which looks into memory and into the loads that the caller brought along. What is
//! in neither is a [`Missing`]; the caller leaves the sequencer, loads it through [`ReadThrough`] and tries again.
//!
//! Invariant: a load is stamped with the floor that was read *before* the store was. While the floor is still there,
//! every record above it is in memory, memory is looked at first, and so the load hides nothing. Once the floor has
//! moved past the stamp, a version may have gone to the store behind the load's back, and the load is refused.
//!
//! Rows that the cache has are taken from there, and are no loads: in the sequencer an entry is the newest version.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use nexus_log::ids::{Inode, Seq};

use crate::cache::{CacheKey, Cacheable, Decoded, Hit};
use crate::generation::Generation;
use crate::last::{StoredLast, stored_last};
use crate::levels::Levels;
use crate::put::Version;
use crate::row::{DentryRow, InodeRow, RowError, TimesRow};
use crate::store::StoreError;
use crate::table::{RowKey, RowRange};
use crate::view::{CurScan, into_version, stored_cur};
use crate::zone_tables::ZoneTables;

/// The newest rows, records not yet committed included.
pub trait Prior {
    type Miss;

    fn get(&self, key: &RowKey) -> Result<Option<Version>, Self::Miss>;

    /// In the order of keys. The caller bounds the range.
    fn range(&self, range: &RowRange) -> Result<Vec<(RowKey, Version)>, Self::Miss>;

    /// The last row of the range, at the cost of a seek. For tables whose keys are of one length.
    fn last(&self, range: &RowRange) -> Result<Option<(RowKey, Version)>, Self::Miss>;

    fn inode(&self, inode: Inode) -> DecodedRow<Arc<InodeRow>, Self::Miss> {
        decoded(self.get(&RowKey::inode(inode)))
    }

    fn times(&self, directory: Inode) -> DecodedRow<TimesRow, Self::Miss> {
        decoded(self.get(&RowKey::times(directory)))
    }

    fn dentry(&self, parent: Inode, name: &[u8]) -> DecodedRow<DentryRow, Self::Miss> {
        decoded(self.get(&RowKey::dentry(parent, name)))
    }
}

/// A row that is decoded where it is looked up, if there is one.
pub type DecodedRow<T, M> = Result<Option<Decoded<T>>, NotRead<M>>;

/// Why a row could not be looked up and decoded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRead<M> {
    #[error("a row is not loaded")]
    Miss(M),
    /// A stored row is damaged.
    #[error(transparent)]
    Row(#[from] RowError),
}

pub(crate) fn decoded<T: Cacheable, M>(version: Result<Option<Version>, M>) -> DecodedRow<T, M> {
    let Some(Version { begin, value }) = version.map_err(NotRead::Miss)? else { return Ok(None) };
    Ok(Some(Decoded { row: T::decode(&value)?, begin }))
}

/// What must be loaded, or loaded again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("a row is not in memory and not loaded: {0:?}")]
    Row(RowKey),
    #[error("a range is not loaded: {0:?}")]
    Range(RowRange),
    #[error("the last row of a range is not loaded: {0:?}")]
    Last(RowRange),
}

/// What the store held, each with the floor read before.
#[derive(Clone, Debug, Default)]
pub struct Loads {
    rows: BTreeMap<RowKey, Load<Option<Version>>>,
    ranges: BTreeMap<RowRange, Load<Vec<(RowKey, Version)>>>,
    lasts: BTreeMap<RowRange, Load<StoredLast>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Load<T> {
    pub(crate) stamp: Seq,
    pub(crate) content: T,
}

impl<T> Load<T> {
    /// The content, if nothing went to the store since.
    fn fresh(&self, floor: Seq) -> Option<&T> {
        (floor <= self.stamp).then_some(&self.content)
    }
}

impl Loads {
    /// Loads what a decision missed, in place of an older load of it.
    pub fn load(&mut self, tables: &ZoneTables, missing: &Missing) -> Result<(), StoreError> {
        let floor = tables.floor();
        match missing {
            Missing::Row(key) => self.add_row(key, load_row(&tables.generation, floor, key)?),
            Missing::Range(range) => self.add_range(range, load_range(&tables.generation, floor, range)?),
            Missing::Last(range) => {
                let levels = tables.generation.levels();
                self.add_last(range, load_last(&tables.generation, &levels, range)?);
            }
        }
        Ok(())
    }

    pub(crate) fn add_row(&mut self, key: &RowKey, load: Load<Option<Version>>) {
        self.rows.insert(key.clone(), load);
    }

    pub(crate) fn add_range(&mut self, range: &RowRange, load: Load<Vec<(RowKey, Version)>>) {
        self.ranges.insert(range.clone(), load);
    }

    pub(crate) fn add_last(&mut self, range: &RowRange, load: Load<StoredLast>) {
        self.lasts.insert(range.clone(), load);
    }
}

/// `floor` must have been read before the call.
fn load_row(generation: &Generation, floor: Seq, key: &RowKey) -> Result<Load<Option<Version>>, StoreError> {
    Ok(Load { stamp: floor, content: stored_cur(generation, key)?.map(|row| row.version) })
}

/// `floor` must have been read before the call.
fn load_range(
    generation: &Generation,
    floor: Seq,
    range: &RowRange,
) -> Result<Load<Vec<(RowKey, Version)>>, StoreError> {
    let snapshot = generation.store.snapshot();
    let content = CurScan::new(generation.place, &*snapshot, range, Seq::MAX).collect::<Result<_, _>>()?;
    Ok(Load { stamp: floor, content })
}

fn load_last(generation: &Generation, levels: &Levels, range: &RowRange) -> Result<Load<StoredLast>, StoreError> {
    Ok(Load { stamp: levels.floor, content: stored_last(generation, levels, range)? })
}

/// Memory's newest rows of the range over the store's.
fn merged(levels: &Levels, range: &RowRange, stored: &[(RowKey, Version)]) -> Vec<(RowKey, Version)> {
    let mut rows: BTreeMap<_, _> = stored.iter().cloned().collect();
    for entry in levels.scan(range, Seq::MAX) {
        let key = entry.put.key.clone();
        match into_version(entry) {
            Some(version) => rows.insert(key, version),
            None => rows.remove(&key),
        };
    }
    rows.into_iter().collect()
}

/// Memory, then the store; keeps what it loaded. For use outside the sequencer, where a record may be seen half
/// inserted: whoever decides on these rows does so again on [`Loaded`]. Replay and rebuild, which have no sequencer
/// beside them, use it alone.
pub struct ReadThrough<'a> {
    tables: &'a ZoneTables,
    loads: RefCell<Loads>,
}

impl<'a> ReadThrough<'a> {
    #[must_use]
    pub fn new(tables: &'a ZoneTables) -> ReadThrough<'a> {
        ReadThrough { tables, loads: RefCell::default() }
    }

    #[must_use]
    pub fn into_loads(self) -> Loads {
        self.loads.into_inner()
    }

    fn look<T: Cacheable>(&self, key: CacheKey<'_>) -> DecodedRow<T, StoreError> {
        let (at, levels) = self.tables.generation.stand(Seq::MAX);
        levels.cache.look(key, at, |_| self.get_in(&levels, &key.row_key()))
    }

    fn get_in(&self, levels: &Levels, key: &RowKey) -> Result<Option<Version>, StoreError> {
        if let Some(entry) = levels.get(key, Seq::MAX) {
            return Ok(into_version(entry));
        }
        let load = load_row(&self.tables.generation, levels.floor, key)?;
        let row = load.content.clone();
        self.loads.borrow_mut().add_row(key, load);
        Ok(row)
    }
}

impl Prior for ReadThrough<'_> {
    type Miss = StoreError;

    fn get(&self, key: &RowKey) -> Result<Option<Version>, StoreError> {
        self.get_in(&self.tables.generation.levels(), key)
    }

    fn range(&self, range: &RowRange) -> Result<Vec<(RowKey, Version)>, StoreError> {
        let levels = self.tables.generation.levels();
        let load = load_range(&self.tables.generation, levels.floor, range)?;
        let rows = merged(&levels, range, &load.content);
        self.loads.borrow_mut().add_range(range, load);
        Ok(rows)
    }

    fn last(&self, range: &RowRange) -> Result<Option<(RowKey, Version)>, StoreError> {
        let levels = self.tables.generation.levels();
        loop {
            let load = load_last(&self.tables.generation, &levels, range)?;
            let row = load.content.over(&levels, range);
            self.loads.borrow_mut().add_last(range, load);
            // The sequencer inserted in between, which it does not do without end.
            if let Some(row) = row {
                return Ok(row);
            }
        }
    }

    fn inode(&self, inode: Inode) -> DecodedRow<Arc<InodeRow>, StoreError> {
        self.look(CacheKey::inode(inode))
    }

    fn times(&self, directory: Inode) -> DecodedRow<TimesRow, StoreError> {
        self.look(CacheKey::times(directory))
    }

    fn dentry(&self, parent: Inode, name: &[u8]) -> DecodedRow<DentryRow, StoreError> {
        self.look(CacheKey::dentry(parent, name))
    }
}

/// Memory, then the loads; never the store. For use by the sequencer.
pub struct Loaded<'a> {
    tables: &'a ZoneTables,
    loads: &'a Loads,
}

impl<'a> Loaded<'a> {
    #[must_use]
    pub fn new(tables: &'a ZoneTables, loads: &'a Loads) -> Loaded<'a> {
        Loaded { tables, loads }
    }

    /// In the sequencer every record inserted is past: whatever the cache has is the newest version.
    fn look<T: Cacheable>(&self, key: CacheKey<'_>) -> DecodedRow<T, Missing> {
        match self.tables.generation.levels().cache.get(key, Seq::MAX).hit() {
            Some(Hit { begin, row }) => Ok(T::of(row).map(|row| Decoded { row, begin })),
            None => decoded(self.get(&key.row_key())),
        }
    }
}

impl Prior for Loaded<'_> {
    type Miss = Missing;

    fn get(&self, key: &RowKey) -> Result<Option<Version>, Missing> {
        let levels = self.tables.generation.levels();
        if let Some(entry) = levels.get(key, Seq::MAX) {
            return Ok(into_version(entry));
        }
        let load = self.loads.rows.get(key).and_then(|load| load.fresh(levels.floor));
        load.cloned().ok_or_else(|| Missing::Row(key.clone()))
    }

    fn range(&self, range: &RowRange) -> Result<Vec<(RowKey, Version)>, Missing> {
        let levels = self.tables.generation.levels();
        let load = self.loads.ranges.get(range).and_then(|load| load.fresh(levels.floor));
        load.map(|stored| merged(&levels, range, stored)).ok_or_else(|| Missing::Range(range.clone()))
    }

    fn last(&self, range: &RowRange) -> Result<Option<(RowKey, Version)>, Missing> {
        let levels = self.tables.generation.levels();
        let load = self.loads.lasts.get(range).and_then(|load| load.fresh(levels.floor));
        load.and_then(|load| load.over(&levels, range)).ok_or_else(|| Missing::Last(range.clone()))
    }

    fn inode(&self, inode: Inode) -> DecodedRow<Arc<InodeRow>, Missing> {
        self.look(CacheKey::inode(inode))
    }

    fn times(&self, directory: Inode) -> DecodedRow<TimesRow, Missing> {
        self.look(CacheKey::times(directory))
    }

    fn dentry(&self, parent: Inode, name: &[u8]) -> DecodedRow<DentryRow, Missing> {
        self.look(CacheKey::dentry(parent, name))
    }
}
