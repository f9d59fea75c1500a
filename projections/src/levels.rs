//! The memtables of a generation as one immutable list, replaced as a whole.
//!
//! Invariants:
//! 1. `floor` < every record in a memtable; every record up to `floor` is readable in the store. Readers that took
//!    the list first and look into the store afterwards therefore miss nothing.
//! 2. Records follow one another without holes: floor, sealed memtables from the oldest on, the active one.
//! 3. The cache goes with the list: a list without some records has a cache that never saw them.

use std::sync::Arc;

use nexus_log::ids::Seq;

use crate::cache::RowCache;
use crate::memtable::{Entry, Memtable, MemtableScan, MemtableScanBack};
use crate::table::{RowKey, RowRange};

pub(crate) struct Levels {
    /// The highest record that has left memory for the store.
    pub(crate) floor: Seq,
    /// Oldest first.
    pub(crate) sealed: Vec<Arc<Memtable>>,
    pub(crate) active: Arc<Memtable>,
    pub(crate) cache: Arc<RowCache>,
}

impl Levels {
    pub(crate) fn new(floor: Seq) -> Levels {
        let (active, cache) = (Arc::new(Memtable::new(floor)), Arc::new(RowCache::new(floor)));
        Levels { floor, sealed: Vec::new(), active, cache }
    }

    fn newest_first(&self) -> impl Iterator<Item = &Memtable> {
        std::iter::once(&*self.active).chain(self.sealed.iter().rev().map(|sealed| &**sealed))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.newest_first().map(Memtable::bytes).sum()
    }

    /// The list after sealing the active memtable.
    pub(crate) fn sealed(&self) -> Levels {
        let mut sealed = self.sealed.clone();
        sealed.push(Arc::clone(&self.active));
        let (active, cache) = (Arc::new(Memtable::new(self.active.last())), Arc::clone(&self.cache));
        Levels { floor: self.floor, sealed, active, cache }
    }

    /// The list after the store took over `written`.
    pub(crate) fn retired(&self, written: &Arc<Memtable>) -> Levels {
        let (oldest, rest) = self.sealed.split_first().expect("only a sealed memtable is written");
        assert!(Arc::ptr_eq(oldest, written), "memtables are retired from the oldest on");
        let (active, cache) = (Arc::clone(&self.active), Arc::clone(&self.cache));
        Levels { floor: written.last(), sealed: rest.to_vec(), active, cache }
    }

    /// The list without records above `last`.
    pub(crate) fn cut(&self, last: Seq) -> Levels {
        assert!(last >= self.floor, "what is in the store was committed and cannot be dropped");
        let mut kept: Vec<_> = self.sealed.iter().filter(|table| table.after() < last).map(Arc::clone).collect();
        if self.active.after() < last {
            kept.push(Arc::clone(&self.active));
        }
        if let Some(end) = kept.last_mut().filter(|end| end.last() > last) {
            *end = Arc::new(end.cut(last));
        }
        // The active memtable of before is sealed: what follows goes into one that begins at the cut.
        kept.retain(|table| !table.is_empty());
        let (active, cache) = (Arc::new(Memtable::new(last)), Arc::new(RowCache::new(last)));
        Levels { floor: self.floor, sealed: kept, active, cache }
    }

    /// The newest put of a key at or before `at`.
    pub(crate) fn get(&self, key: &RowKey, at: Seq) -> Option<Entry> {
        self.newest_first().find_map(|table| table.get(key, at))
    }

    /// As `scan`, from the last key of the range backwards.
    pub(crate) fn scan_back(&self, range: &RowRange, at: Seq) -> LevelsScanBack<'_> {
        let sources = self.newest_first().filter(|table| table.after() < at && !table.is_empty());
        let sources = sources.map(|table| Source::new(table.scan_back(range, at))).collect();
        LevelsScanBack { sources }
    }

    /// For each key of the range its newest put at or before `at`.
    pub(crate) fn scan(&self, range: &RowRange, at: Seq) -> LevelsScan<'_> {
        let sources = self.newest_first().filter(|table| table.after() < at && !table.is_empty());
        let sources = sources.map(|table| Source::new(table.scan(range, at))).collect();
        LevelsScan { sources }
    }
}

struct Source<S> {
    scan: S,
    head: Option<Entry>,
}

impl<S: Iterator<Item = Entry>> Source<S> {
    fn new(mut scan: S) -> Source<S> {
        let head = scan.next();
        Source { scan, head }
    }

    /// The newest put of `key` and on to the next key everywhere. `sources`: the newest first.
    fn take(sources: &mut [Source<S>], key: &RowKey) -> Option<Entry> {
        let mut newest = None;
        for source in sources {
            if source.head.as_ref().is_some_and(|head| head.put.key == *key) {
                let head = std::mem::replace(&mut source.head, source.scan.next());
                newest = newest.or(head);
            }
        }
        newest
    }
}

pub(crate) struct LevelsScan<'a> {
    /// Newest first.
    sources: Vec<Source<MemtableScan<'a>>>,
}

impl Iterator for LevelsScan<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let heads = self.sources.iter().filter_map(|source| source.head.as_ref());
        let key = heads.map(|head| &head.put.key).min()?.clone();
        Source::take(&mut self.sources, &key)
    }
}

pub(crate) struct LevelsScanBack<'a> {
    /// Newest first.
    sources: Vec<Source<MemtableScanBack<'a>>>,
}

impl Iterator for LevelsScanBack<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let heads = self.sources.iter().filter_map(|source| source.head.as_ref());
        let key = heads.map(|head| &head.put.key).max()?.clone();
        Source::take(&mut self.sources, &key)
    }
}
