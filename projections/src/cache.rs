//! Rows as they are now, decoded, above memory and the store: inodes, directories' times, dentries.
//!
//! ```text
//!  key --hash--> set { stamp, a few entries }        hit: a read lock on the set, a comparison, a clone of an Arc
//! ```
//!
//! Invariants:
//! 1. An entry is the newest version of its row as of every record inserted. Inserting a record drops the entries it
//!    writes before its position is published. So an entry answers a view at or behind its begin, and no other view.
//! 2. A set's stamp is the last record that wrote a key of it. What was read at a position is taken in only where the stamp
//!    is not above that position: else a record may have written the key between the reading and the filling. Stamps
//!    begin with the last record there was when the cache was made.
//! 3. Where records are lost, memory gets a new list of memtables and a new cache with it. Who holds the old list keeps the
//!    old cache, in which nothing changes any more.
//! 4. No set holds more than its share of [`ROW_CACHE_BYTES_MAX`].

mod row;
mod set;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use nexus_log::ids::Seq;
use parking_lot::RwLock;

pub use row::Decoded;
pub(crate) use row::{CacheKey, Cacheable, CachedRow};
use set::Set;

use crate::limits::{ROW_CACHE_BYTES_MAX, ROW_CACHE_SETS};
use crate::loads::NotRead;
use crate::put::{Version, WriteSet};

/// Sets that are made together, when one of them is first needed: a small zone pays for few.
const SETS_PER_GROUP: usize = 16;
const GROUPS: usize = ROW_CACHE_SETS / SETS_PER_GROUP;
const SET_BYTES_MAX: usize = ROW_CACHE_BYTES_MAX / ROW_CACHE_SETS;
const _: () = assert!(GROUPS.is_power_of_two() && SETS_PER_GROUP.is_power_of_two());

type Group = Box<[RwLock<Set>]>;

pub(crate) struct RowCache {
    /// The last record when the cache was made: what came before it, it did not see.
    since: Seq,
    groups: Box<[OnceLock<Group>]>,
}

/// A row, or that there is none, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) begin: Seq,
    pub(crate) row: CachedRow,
}

/// What is known of a row at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Hit(Hit),
    /// The row is as it is since this record, which is later.
    Newer(Seq),
    Nothing,
}

impl Known {
    pub(crate) fn hit(self) -> Option<Hit> {
        if let Known::Hit(hit) = self { Some(hit) } else { None }
    }
}

impl RowCache {
    pub(crate) fn new(since: Seq) -> RowCache {
        RowCache { since, groups: (0..GROUPS).map(|_| OnceLock::new()).collect() }
    }

    fn set(&self, hash: u64) -> &RwLock<Set> {
        // The low bits choose the group, the high ones the set: both are well mixed.
        let group = &self.groups[hash as usize % GROUPS];
        let group = group.get_or_init(|| (0..SETS_PER_GROUP).map(|_| RwLock::new(Set::new(self.since))).collect());
        &group[(hash >> 60) as usize % SETS_PER_GROUP]
    }

    /// The row as of `at`, where the newest version holds then.
    pub(crate) fn get(&self, key: CacheKey<'_>, at: Seq) -> Known {
        let hash = key.hash();
        self.set(hash).read().get(hash, key, at)
    }

    /// Takes in what was read at `at`: a row and its begin, or that there is none.
    pub(crate) fn fill(&self, key: CacheKey<'_>, at: Seq, row: CachedRow, begin: Seq) {
        let hash = key.hash();
        self.set(hash).write().fill(hash, key, at, row, begin);
    }

    /// Drops what a record writes. Before its position is published.
    pub(crate) fn wrote(&self, set: &WriteSet) {
        for key in set.puts.iter().filter_map(|put| CacheKey::of(&put.key)) {
            let hash = key.hash();
            self.set(hash).write().wrote(hash, key, set.seq);
        }
    }

    /// The row as of `at`: from here, or as `read` finds it, which then stands here for the next one. `read` is told the
    /// record since which the row is as it is, where that is later than `at` and known.
    pub(crate) fn look<T: Cacheable, M>(
        &self,
        key: CacheKey<'_>,
        at: Seq,
        read: impl FnOnce(Option<Seq>) -> Result<Option<Version>, M>,
    ) -> Result<Option<Decoded<T>>, NotRead<M>> {
        let newer = match self.get(key, at) {
            Known::Hit(Hit { begin, row }) => return Ok(T::of(row).map(|row| Decoded { row, begin })),
            Known::Newer(since) => Some(since),
            Known::Nothing => None,
        };
        let version = read(newer).map_err(NotRead::Miss)?;
        let Some(Version { begin, value }) = version else {
            // Since when it has been so is not known, but at `at` it is.
            self.fill(key, at, CachedRow::Absent, at);
            return Ok(None);
        };
        let row = T::decode(&value)?;
        self.fill(key, at, row.cached(), begin);
        Ok(Some(Decoded { row, begin }))
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let groups = self.groups.iter().filter_map(OnceLock::get);
        groups.flat_map(|group| group.iter()).map(|set| set.read().bytes()).sum()
    }
}
