//! The store on disk: one database, one keyspace, written by ingestion only.
//!
//! Ingestion registers all tables of a run in one new version of the tree, which passes by fjall's journal and memtable:
//! what is not in a run is replayed from our log. Two traps are met here: ingestion passes by fjall's write stall
//! too, so `pressure` reports the first level; and after a burst replaced tables stay on disk until a memtable is
//! rotated, which `tidy` brings about.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};
use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, Readable, Snapshot};
use parking_lot::{Mutex, RwLock};

use super::{
    Ascending, Expired, PREFIX_BYTES, Prefix, RunRow, Store, StoreError, StorePressure, StoreRows, StoreSnapshot,
    is_expired,
};
use crate::limits::{STORE_BLOCK_BYTES, STORE_CACHE_BYTES, STORE_L0_THRESHOLD, STORE_TABLE_BYTES};

const KEYSPACE: &str = "tables";
/// Written by `tidy` alone, outside every zone.
const TIDY_KEY: [u8; PREFIX_BYTES] = [0xff; PREFIX_BYTES];
/// fjall's own memtable holds nothing but the row of `tidy`.
const FJALL_MEMTABLE_BYTES: u64 = 8 << 20;

#[derive(Clone, Copy, Debug)]
pub struct FjallOptions {
    /// Block cache.
    pub cache_bytes: u64,
}

impl Default for FjallOptions {
    fn default() -> FjallOptions {
        FjallOptions { cache_bytes: STORE_CACHE_BYTES }
    }
}

pub struct FjallStore {
    database: Database,
    tables: Keyspace,
    /// Held while a run is written or the memtable rotated: only the writer may rotate, and only between runs.
    writing: Mutex<()>,
    dead: Arc<RwLock<Arc<Dead>>>,
}

/// What compactions drop.
#[derive(Clone, Default)]
struct Dead {
    prefixes: BTreeSet<Prefix>,
    expired: Expired,
}

fn fatal<E: Error + Send + Sync + 'static>(action: &'static str) -> impl Fn(E) -> StoreError {
    move |source| StoreError::Fatal { action, source: Box::new(source) }
}

impl FjallStore {
    /// Opens the database in the directory `path`, creating it if there is none.
    pub fn open(path: &Path, options: FjallOptions) -> Result<FjallStore, StoreError> {
        let dead = Arc::new(RwLock::new(Arc::new(Dead::default())));
        let factory: Arc<dyn Factory> = Arc::new(DropDead { dead: Arc::clone(&dead) });
        let database = Database::builder(path)
            // Two would cost a third more processor time: the first hands compactions on for ever.
            .worker_threads(1)
            .cache_size(options.cache_bytes)
            .manual_journal_persist(true)
            .with_compaction_filter_factories(Arc::new(move |_| Some(Arc::clone(&factory))))
            .open()
            .map_err(fatal("open the database"))?;
        let tables = database.keyspace(KEYSPACE, keyspace_options).map_err(fatal("open the keyspace"))?;
        Ok(FjallStore { database, tables, writing: Mutex::new(()), dead })
    }

    /// Compacts everything, which blocks until it is done.
    pub fn compact(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        self.tables.major_compact().map_err(fatal("compact"))
    }
}

fn keyspace_options() -> KeyspaceCreateOptions {
    let strategy = Leveled::default().with_table_target_size(STORE_TABLE_BYTES).with_l0_threshold(STORE_L0_THRESHOLD);
    KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(FJALL_MEMTABLE_BYTES)
        .data_block_size_policy(BlockSizePolicy::all(STORE_BLOCK_BYTES))
        // The first two levels are rewritten soon; compressing them costs more than it saves.
        .data_block_compression_policy(CompressionPolicy::new([
            CompressionType::None,
            CompressionType::None,
            CompressionType::Lz4,
        ]))
        .compaction_strategy(Arc::new(strategy))
}

impl Store for FjallStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.tables.get(key).map_err(fatal("read a row"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn first(&self, start: &[u8], end: &[u8]) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        if start >= end {
            return Ok(None);
        }
        self.tables.range(start..end).next().map(row_of).transpose()
    }

    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        Box::new(FjallSnapshot { snapshot: self.database.snapshot(), tables: self.tables.clone() })
    }

    fn ingest(&self, run: &mut dyn Iterator<Item = RunRow>) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        let mut ingestion = self.tables.start_ingestion().map_err(fatal("begin a run"))?;
        for row in Ascending::new(run) {
            let (key, value) = row?;
            match value {
                Some(value) => ingestion.write(key, &value[..]),
                None => ingestion.write_tombstone(key),
            }
            .map_err(fatal("write a run"))?;
        }
        ingestion.finish().map_err(fatal("finish a run"))
    }

    fn pressure(&self) -> StorePressure {
        StorePressure { l0_tables: self.tables.l0_table_count() }
    }

    fn tidy(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        let mut batch = self.database.batch();
        batch.insert(&self.tables, TIDY_KEY, []);
        batch.commit().map_err(fatal("tidy up"))?;
        self.tables.rotate_memtable().map_err(fatal("tidy up"))?;
        Ok(())
    }

    fn set_dead(&self, prefixes: &[Prefix]) {
        let mut dead = self.dead.write();
        Arc::make_mut(&mut dead).prefixes.extend(prefixes);
    }

    fn set_expired(&self, prefix: &[u8], before: u64) {
        let mut dead = self.dead.write();
        Arc::make_mut(&mut dead).expired.insert(prefix.to_vec(), before);
    }
}

struct FjallSnapshot {
    snapshot: Snapshot,
    tables: Keyspace,
}

impl StoreSnapshot for FjallSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.snapshot.get(&self.tables, key).map_err(fatal("read a row"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn range(&self, start: &[u8], end: &[u8]) -> StoreRows {
        if start >= end {
            return Box::new(std::iter::empty());
        }
        Box::new(self.snapshot.range(&self.tables, start..end).map(row_of))
    }
}

fn row_of(guard: fjall::Guard) -> Result<(Bytes, Bytes), StoreError> {
    let (key, value) = guard.into_inner().map_err(fatal("scan rows"))?;
    Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
}

/// Makes the filters of compactions.
struct DropDead {
    dead: Arc<RwLock<Arc<Dead>>>,
}

// Compaction asks for it; a lock of parking_lot is not poisoned by an unwinding holder and the set is replaced whole.
impl std::panic::RefUnwindSafe for DropDead {}

impl Factory for DropDead {
    fn name(&self) -> &str {
        "dead generations and expired rows"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(DropDeadFilter { dead: Arc::clone(&self.dead.read()), last: None })
    }
}

struct DropDeadFilter {
    dead: Arc<Dead>,
    /// The prefix asked for last and the answer: a compaction sees keys in order.
    last: Option<(Prefix, bool)>,
}

impl CompactionFilter for DropDeadFilter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let Some(prefix) = item.key().first_chunk::<PREFIX_BYTES>().copied() else { return Ok(Verdict::Keep) };
        let is_dead = match self.last {
            Some((last, is_dead)) if last == prefix => is_dead,
            _ => self.dead.prefixes.contains(&prefix),
        };
        self.last = Some((prefix, is_dead));
        // Older versions that come to light are as dead, so no tombstone is needed.
        if is_dead {
            return Ok(Verdict::Destroy);
        }
        if !self.dead.expired.keys().any(|expiring| item.key().starts_with(expiring)) {
            return Ok(Verdict::Keep);
        }
        let is_expired = is_expired(&self.dead.expired, item.key(), &item.value()?);
        Ok(if is_expired { Verdict::Destroy } else { Verdict::Keep })
    }
}
