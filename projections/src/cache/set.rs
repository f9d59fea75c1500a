//! A few entries under one lock, with one stamp.

use std::sync::atomic::{AtomicBool, Ordering};

use nexus_log::ids::Seq;

use super::row::{CacheKey, CachedRow};
use super::{Hit, Known, SET_BYTES_MAX};
use crate::table::Table;

pub(super) struct Set {
    /// The last record that wrote a key of this set, or that was there before the cache.
    stamp: Seq,
    entries: Vec<Entry>,
    /// Where the search for something to give up goes on.
    hand: usize,
    bytes: usize,
}

struct Entry {
    hash: u64,
    table: Table,
    id: u64,
    name: Box<[u8]>,
    /// Since when the row has been so.
    begin: Seq,
    row: CachedRow,
    /// Hit since the hand passed.
    used: AtomicBool,
}

impl Entry {
    fn is(&self, hash: u64, key: CacheKey<'_>) -> bool {
        self.hash == hash && self.id == key.id && self.table == key.table && *self.name == *key.name
    }

    fn bytes(&self) -> usize {
        size_of::<Entry>() + self.name.len() + self.row.heap_bytes()
    }
}

impl Set {
    pub(super) fn new(since: Seq) -> Set {
        Set { stamp: since, entries: Vec::new(), hand: 0, bytes: 0 }
    }

    pub(super) fn get(&self, hash: u64, key: CacheKey<'_>, at: Seq) -> Known {
        let Some(entry) = self.entries.iter().find(|entry| entry.is(hash, key)) else { return Known::Nothing };
        // Only where it changes something: a shared line that is written to is fetched by every reader anew.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        if entry.begin > at {
            return Known::Newer(entry.begin);
        }
        Known::Hit(Hit { begin: entry.begin, row: entry.row.clone() })
    }

    pub(super) fn fill(&mut self, hash: u64, key: CacheKey<'_>, at: Seq, row: CachedRow, begin: Seq) {
        if self.stamp > at {
            return;
        }
        self.remove(hash, key);
        let (name, used) = (key.name.into(), AtomicBool::new(false));
        let entry = Entry { hash, table: key.table, id: key.id, name, begin, row, used };
        let bytes = entry.bytes();
        if bytes > SET_BYTES_MAX {
            return;
        }
        while self.bytes + bytes > SET_BYTES_MAX {
            self.give_up_one();
        }
        self.bytes += bytes;
        self.entries.push(entry);
    }

    pub(super) fn wrote(&mut self, hash: u64, key: CacheKey<'_>, seq: Seq) {
        self.stamp = self.stamp.max(seq);
        self.remove(hash, key);
    }

    fn remove(&mut self, hash: u64, key: CacheKey<'_>) {
        if let Some(at) = self.entries.iter().position(|entry| entry.is(hash, key)) {
            self.bytes -= self.entries.swap_remove(at).bytes();
        }
    }

    /// Second chance: what was hit since the hand passed stays for another round.
    fn give_up_one(&mut self) {
        loop {
            self.hand = if self.hand < self.entries.len() { self.hand } else { 0 };
            if !self.entries[self.hand].used.swap(false, Ordering::Relaxed) {
                self.bytes -= self.entries.swap_remove(self.hand).bytes();
                return;
            }
            self.hand += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        assert_eq!(self.bytes, self.entries.iter().map(Entry::bytes).sum::<usize>());
        self.bytes
    }
}
