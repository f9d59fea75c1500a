//! Versions of rows in memory: key -> versions by seq, newest first.
//!
//! One writer inserts in the order of seqs; readers take no lock. A reader at a position published before it began
//! sees whole records only: entries beyond its position are passed over, wherever the writer is.

use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use crossbeam_skiplist::map::{Entry as MapEntry, Range as MapRange};
use nexus_log::ids::Seq;

use crate::limits::{MEMTABLE_ENTRY_BYTES, SCAN_STEPS_BEFORE_SEEK};
use crate::put::{Put, WriteSet};
use crate::table::{RowKey, RowRange, Table};

/// Orders the versions of a key from the newest to the oldest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct VersionKey {
    key: RowKey,
    reversed: u64,
}

impl VersionKey {
    fn new(key: RowKey, seq: Seq) -> VersionKey {
        VersionKey { key, reversed: !seq.0 }
    }

    fn seq(&self) -> Seq {
        Seq(!self.reversed)
    }
}

#[derive(Clone, Debug)]
struct Slot {
    value: Option<Bytes>,
    ends: Option<Seq>,
    first: bool,
}

/// A put and the record that made it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) seq: Seq,
    pub(crate) put: Put,
}

pub(crate) struct Memtable {
    map: SkipMap<VersionKey, Slot>,
    bytes: AtomicUsize,
    /// The record before the first one here.
    after: Seq,
    /// The newest whole record here; `after` while there is none.
    last: AtomicU64,
}

type Entries<'a> = MapRange<'a, VersionKey, (Bound<VersionKey>, Bound<VersionKey>), VersionKey, Slot>;

impl Memtable {
    pub(crate) fn new(after: Seq) -> Memtable {
        Memtable { map: SkipMap::new(), bytes: AtomicUsize::new(0), after, last: AtomicU64::new(after.0) }
    }

    pub(crate) fn after(&self) -> Seq {
        self.after
    }

    pub(crate) fn last(&self) -> Seq {
        Seq(self.last.load(Ordering::Acquire))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last() == self.after
    }

    /// For the one writer.
    pub(crate) fn insert(&self, set: WriteSet) {
        assert_eq!(set.seq, self.last().next(), "records enter a memtable in order and without holes");
        let mut bytes = 0;
        for Put { key, value, ends, first } in set.puts {
            bytes += MEMTABLE_ENTRY_BYTES + key.bytes.len() + value.as_ref().map_or(0, Bytes::len);
            self.map.insert(VersionKey::new(key, set.seq), Slot { value, ends, first });
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.last.store(set.seq.0, Ordering::Release);
    }

    /// The newest put of a key at or before `at`.
    pub(crate) fn get(&self, key: &RowKey, at: Seq) -> Option<Entry> {
        let entry = self.map.lower_bound(Bound::Included(&VersionKey::new(key.clone(), at)))?;
        (entry.key().key == *key).then(|| unpack(&entry))
    }

    fn entries(&self, range: &RowRange) -> Entries<'_> {
        let bound = |bytes: &Bytes| VersionKey::new(RowKey { table: range.table, bytes: bytes.clone() }, Seq::MAX);
        let (start, end) = (bound(&range.start), bound(&range.end));
        // SkipMap::range wants ordered bounds.
        let end = if end < start { start.clone() } else { end };
        self.map.range((Bound::Included(start), Bound::Excluded(end)))
    }

    /// For each key of the range its newest put at or before `at`.
    pub(crate) fn scan(&self, range: &RowRange, at: Seq) -> MemtableScan<'_> {
        MemtableScan { entries: self.entries(range), at, last: None }
    }

    /// As `scan`, from the last key of the range backwards.
    pub(crate) fn scan_back(&self, range: &RowRange, at: Seq) -> MemtableScanBack<'_> {
        MemtableScanBack { memtable: self, entries: self.entries(range), range: range.clone(), at, passed: None }
    }

    /// All puts of a table, key by key, the newest first.
    pub(crate) fn groups(&self, table: Table) -> Groups<'_> {
        let range = RowRange::all(table);
        Groups { entries: self.entries(&range), head: None }
    }

    /// A copy that holds no record above `last`.
    pub(crate) fn cut(&self, last: Seq) -> Memtable {
        let copy = Memtable::new(self.after);
        let mut bytes = 0;
        for entry in self.map.iter().filter(|entry| entry.key().seq() <= last) {
            let slot = entry.value().clone();
            bytes += MEMTABLE_ENTRY_BYTES + entry.key().key.bytes.len() + slot.value.as_ref().map_or(0, Bytes::len);
            copy.map.insert(entry.key().clone(), slot);
        }
        copy.bytes.store(bytes, Ordering::Relaxed);
        copy.last.store(last.min(self.last()).0, Ordering::Release);
        copy
    }
}

fn unpack(entry: &MapEntry<'_, VersionKey, Slot>) -> Entry {
    let VersionKey { key, .. } = entry.key().clone();
    let Slot { value, ends, first } = entry.value().clone();
    Entry { seq: entry.key().seq(), put: Put { key, value, ends, first } }
}

pub(crate) struct MemtableScan<'a> {
    entries: Entries<'a>,
    at: Seq,
    last: Option<RowKey>,
}

impl Iterator for MemtableScan<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let entry = self.entries.next()?;
            let key = entry.key();
            if key.seq() <= self.at && self.last.as_ref() != Some(&key.key) {
                self.last = Some(key.key.clone());
                return Some(unpack(&entry));
            }
        }
    }
}

pub(crate) struct MemtableScanBack<'a> {
    memtable: &'a Memtable,
    entries: Entries<'a>,
    range: RowRange,
    at: Seq,
    /// The key at hand, and how many of its versions were stepped over.
    passed: Option<(RowKey, usize)>,
}

impl MemtableScanBack<'_> {
    /// Steps over a version. Leaves a key of many by a seek to what is before all of them.
    fn pass(&mut self, key: &RowKey) {
        let steps = match self.passed.take() {
            Some((last, steps)) if last == *key => steps + 1,
            _ => 1,
        };
        if steps == SCAN_STEPS_BEFORE_SEEK {
            self.range.end = key.bytes.clone();
            self.entries = self.memtable.entries(&self.range);
        }
        self.passed = Some((key.clone(), steps));
    }
}

impl Iterator for MemtableScanBack<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            // From behind a key's versions come from the oldest on: which is the newest at or before `at` is looked up.
            let entry = self.entries.next_back()?;
            let key = &entry.key().key;
            let is_new = self.passed.as_ref().is_none_or(|(passed, _)| passed != key);
            self.pass(key);
            if is_new && let Some(newest) = self.memtable.get(key, self.at) {
                return Some(newest);
            }
        }
    }
}

/// The puts of one key, the newest first; never empty.
pub(crate) struct Group {
    pub(crate) key: RowKey,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) struct Groups<'a> {
    entries: Entries<'a>,
    head: Option<Entry>,
}

impl Iterator for Groups<'_> {
    type Item = Group;

    fn next(&mut self) -> Option<Group> {
        let first = self.head.take().or_else(|| self.entries.next().as_ref().map(unpack))?;
        let mut group = Group { key: first.put.key.clone(), entries: vec![first] };
        for entry in self.entries.by_ref() {
            if entry.key().key != group.key {
                self.head = Some(unpack(&entry));
                break;
            }
            group.entries.push(unpack(&entry));
        }
        Some(group)
    }
}
