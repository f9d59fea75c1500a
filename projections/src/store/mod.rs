//! The ordered key-value store below the tables.
//!
//! Invariants of every implementation, checked by one conformance suite:
//! 1. A run is visible as a whole or not at all, to every reader, also after a crash (L4).
//! 2. When `ingest` returns, the run is durable.
//! 3. A snapshot does not change, whatever is ingested later.
//! 4. Keys come in the order of their bytes.

mod btree;
#[cfg(test)]
mod conformance;
mod fjall;

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Bound;

use bytes::Bytes;

pub use self::fjall::{FjallOptions, FjallStore};
pub use btree::BTreeStore;

/// What keys that live and die together begin with: a zone's slot and a generation of its tables.
pub const PREFIX_BYTES: usize = 8;
pub type Prefix = [u8; PREFIX_BYTES];

/// A key and its value, or the removal of what stood there.
pub type RunRow = Result<(Vec<u8>, Option<Bytes>), StoreError>;
/// Rows of a snapshot in the order of their keys, from either end.
pub type StoreRows = Box<dyn DoubleEndedIterator<Item = Result<(Bytes, Bytes), StoreError>> + Send>;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store failed; nothing of it can be relied on until it was opened again.
    #[error("the table store failed while it was to {action}; close and reopen it")]
    Fatal {
        action: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A row does not say what its place promises (L8). Rebuild the projections from the log.
    #[error("damaged row in the table store: {what} (key {key:02x?})")]
    Corrupt { what: &'static str, key: Bytes },
}

impl StoreError {
    pub(crate) fn corrupt(what: &'static str, key: &[u8]) -> StoreError {
        StoreError::Corrupt { what, key: Bytes::copy_from_slice(key) }
    }
}

/// How far the store is behind with its own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorePressure {
    /// Tables in the first level, through each of which a read may have to look.
    pub l0_tables: usize,
}

pub trait Store: Send + Sync {
    /// The newest value.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// The newest row at or behind `start` and before `end`.
    fn first(&self, start: &[u8], end: &[u8]) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        self.snapshot().range(start, end).next().transpose()
    }

    fn snapshot(&self) -> Box<dyn StoreSnapshot>;

    /// Writes one run of strictly ascending keys. An error of the run itself leaves the store as it was.
    ///
    /// # Panics
    /// Where a key is not above the one before it.
    fn ingest(&self, run: &mut dyn Iterator<Item = RunRow>) -> Result<(), StoreError>;

    fn pressure(&self) -> StorePressure;

    /// Lets go of what a burst of runs left behind. For the writer, between runs.
    fn tidy(&self) -> Result<(), StoreError>;

    /// Rows under these prefixes are never read again and may vanish at any time. Adds to what was said before.
    fn set_dead(&self, prefixes: &[Prefix]);

    /// Rows under `prefix` whose value begins with a number (u64 LE) below `before` are never read again and may vanish
    /// at any time. One bound for a prefix; it only grows.
    fn set_expired(&self, prefix: &[u8], before: u64);
}

/// Bounds of what has expired, by prefix.
pub(crate) type Expired = BTreeMap<Vec<u8>, u64>;

/// Is the row under one of the prefixes, and too old?
pub(crate) fn is_expired(expired: &Expired, key: &[u8], value: &[u8]) -> bool {
    let Some((prefix, before)) = expired.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back() else {
        return false;
    };
    key.starts_with(prefix) && value.first_chunk().is_some_and(|number| u64::from_le_bytes(*number) < *before)
}

/// The store at one moment.
pub trait StoreSnapshot: Send {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// From `start` (inclusive) to `end` (exclusive), read as it is asked for.
    fn range(&self, start: &[u8], end: &[u8]) -> StoreRows;
}

/// Passes a run on and holds it to its promise of ascending keys.
pub(crate) struct Ascending<'a> {
    run: &'a mut dyn Iterator<Item = RunRow>,
    last: Option<Vec<u8>>,
}

impl<'a> Ascending<'a> {
    pub(crate) fn new(run: &'a mut dyn Iterator<Item = RunRow>) -> Ascending<'a> {
        Ascending { run, last: None }
    }
}

impl Iterator for Ascending<'_> {
    type Item = RunRow;

    fn next(&mut self) -> Option<RunRow> {
        let row = self.run.next()?;
        if let Ok((key, _)) = &row {
            assert!(self.last.as_ref().is_none_or(|last| last < key), "keys of a run must ascend: {key:02x?}");
            let last = self.last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
        }
        Some(row)
    }
}
