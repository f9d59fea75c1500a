//! Rows as of one position.
//!
//! A view pins the memtables when it is made and looks into the store afterwards, per point read or with one snapshot
//! per scan. What it finds is the same whenever it looks, because versions only move down: from memory to `cur`,
//! and from `cur` to `old`. So the order of looking is the whole proof:
//! 1. Memory is pinned before the store is looked at: a version flushed in between is found in both, never in neither.
//! 2. A point read looks into `cur` before `old`, for the same reason.
//! 3. `Generation::reaching` is raised before a run begins. Where it is not above the view's position after `cur` was
//!    read, nothing beyond the position can have displaced a version, and `old` need not be looked at.

use std::sync::Arc;

use bytes::Bytes;
use nexus_log::ids::{Inode, Seq};

use crate::cache::{CacheKey, Cacheable};
use crate::generation::Generation;
use crate::last::last;
use crate::layout::{self, Place};
use crate::levels::{Levels, LevelsScan};
use crate::limits::SCAN_STEPS_BEFORE_SEEK;
use crate::loads::{DecodedRow, Prior};
use crate::memtable::Entry;
use crate::put::Version;
use crate::row::{DentryRow, InodeRow, TimesRow};
use crate::store::{StoreError, StoreRows, StoreSnapshot};
use crate::table::{RowKey, RowRange};

/// Read access to one zone's tables at one position. Holds no lock, but the memtables that were there when it was made.
pub struct View {
    generation: Arc<Generation>,
    levels: Arc<Levels>,
    at: Seq,
}

impl View {
    /// `at` must have been inserted before `levels` was taken.
    pub(crate) fn new(generation: Arc<Generation>, levels: Arc<Levels>, at: Seq) -> View {
        View { generation, levels, at }
    }

    #[must_use]
    pub fn at(&self) -> Seq {
        self.at
    }

    #[cfg(test)]
    pub(crate) fn levels(&self) -> &Levels {
        &self.levels
    }

    pub fn get(&self, key: &RowKey) -> Result<Option<Version>, StoreError> {
        match self.levels.get(key, self.at) {
            Some(entry) => Ok(into_version(entry)),
            None => stored(&self.generation, key, self.at),
        }
    }

    fn look<T: Cacheable>(&self, key: CacheKey<'_>) -> DecodedRow<T, StoreError> {
        self.levels.cache.look(key, self.at, |newer| self.get_before(&key.row_key(), newer))
    }

    /// As `get`, where the row is known to be as it is since a later record. If that is in the store, so is whatever ended
    /// the version that holds here: it stands in `old`, and need not be looked for elsewhere.
    pub(crate) fn get_before(&self, key: &RowKey, newer: Option<Seq>) -> Result<Option<Version>, StoreError> {
        match newer {
            Some(since) if since <= self.levels.floor => stored_old(&self.generation, key, self.at),
            _ => self.get(key),
        }
    }

    /// Rows of the range in the order of their keys. To go on later, or in a later view, scan the
    /// [rest](RowRange::after) of the range.
    #[must_use]
    pub fn scan(&self, range: &RowRange) -> Scan<'_> {
        let snapshot = self.generation.store.snapshot();
        Scan::new(&self.generation, &self.levels, snapshot, range, self.at)
    }
}

pub(crate) fn into_version(Entry { seq, put }: Entry) -> Option<Version> {
    put.value.map(|value| Version { begin: seq, value })
}

/// The store's version of a row as of `at`; the caller has looked into memory before.
fn stored(generation: &Generation, key: &RowKey, at: Seq) -> Result<Option<Version>, StoreError> {
    if let Some(row) = stored_cur(generation, key)? {
        if row.version.begin <= at {
            return Ok(Some(row.version));
        }
        if row.first {
            return Ok(None);
        }
    }
    if generation.reaching() <= at { Ok(None) } else { stored_old(generation, key, at) }
}

pub(crate) fn stored_cur(generation: &Generation, key: &RowKey) -> Result<Option<layout::CurRow>, StoreError> {
    let stored = generation.place.cur_key(key);
    generation.store.get(&stored)?.map(|value| layout::decode_cur(&stored, &value)).transpose()
}

pub(crate) fn stored_old(generation: &Generation, key: &RowKey, at: Seq) -> Result<Option<Version>, StoreError> {
    let (from, to) = (generation.place.old_key(key, at), generation.place.old_end_of(key));
    let Some((stored, value)) = generation.store.first(&from, &to)? else { return Ok(None) };
    let (_, begin) = layout::decode_old_key(key.table, &stored)?;
    let row = layout::decode_old(&stored, begin, &value)?;
    Ok((at < row.end).then_some(row.version))
}

/// Merges memory, `cur` and, where it is needed, `old`. After an error it ends.
pub struct Scan<'a> {
    memory: LevelsScan<'a>,
    cur: CurScan,
    old: Option<OldScan>,
    heads: Heads,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Going,
    Over,
}

#[derive(Default)]
struct Heads {
    memory: Option<Entry>,
    cur: Option<(RowKey, Version)>,
    old: Option<(RowKey, Version)>,
}

impl Heads {
    fn least(&self) -> Option<RowKey> {
        let keys = [
            self.memory.as_ref().map(|entry| &entry.put.key),
            self.cur.as_ref().map(|(key, _)| key),
            self.old.as_ref().map(|(key, _)| key),
        ];
        keys.into_iter().flatten().min().cloned()
    }
}

impl<'a> Scan<'a> {
    /// `snapshot` must have been taken after `levels`.
    pub(crate) fn new(
        generation: &Generation,
        levels: &'a Levels,
        snapshot: Box<dyn StoreSnapshot>,
        range: &RowRange,
        at: Seq,
    ) -> Scan<'a> {
        let cur = CurScan::new(generation.place, &*snapshot, range, at);
        let old = (generation.reaching() > at).then(|| OldScan::new(generation.place, snapshot, range, at));
        Scan { memory: levels.scan(range, at), cur, old, heads: Heads::default(), state: State::Fresh }
    }

    fn advance_cur(&mut self) -> Result<(), StoreError> {
        self.heads.cur = self.cur.next().transpose()?;
        Ok(())
    }

    fn advance_old(&mut self) -> Result<(), StoreError> {
        self.heads.old = self.old.as_mut().and_then(OldScan::next).transpose()?;
        Ok(())
    }

    fn step(&mut self) -> Result<Option<(RowKey, Version)>, StoreError> {
        if self.state == State::Fresh {
            self.state = State::Going;
            self.heads.memory = self.memory.next();
            self.advance_cur()?;
            self.advance_old()?;
        }
        while let Some(key) = self.heads.least() {
            let is_next = |head: &Option<(RowKey, Version)>| head.as_ref().is_some_and(|(of, _)| *of == key);
            // Memory is newer than the store and `cur` newer than `old`.
            let mut found = None;
            if is_next(&self.heads.old) {
                found = self.heads.old.take().map(|(_, version)| version);
                self.advance_old()?;
            }
            if is_next(&self.heads.cur) {
                found = self.heads.cur.take().map(|(_, version)| version);
                self.advance_cur()?;
            }
            if self.heads.memory.as_ref().is_some_and(|entry| entry.put.key == key) {
                found = self.heads.memory.take().and_then(into_version);
                self.heads.memory = self.memory.next();
            }
            if let Some(version) = found {
                return Ok(Some((key, version)));
            }
        }
        Ok(None)
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(RowKey, Version), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Over {
            return None;
        }
        let step = self.step().transpose();
        if !matches!(step, Some(Ok(_))) {
            self.state = State::Over;
        }
        step
    }
}

/// Rows of `cur` that had begun at `at`.
pub(crate) struct CurScan {
    rows: StoreRows,
    range: RowRange,
    at: Seq,
}

impl CurScan {
    pub(crate) fn new(place: Place, snapshot: &dyn StoreSnapshot, range: &RowRange, at: Seq) -> CurScan {
        let start = place.cur_bound(range.table, &range.start);
        let rows = snapshot.range(&start, &place.cur_bound(range.table, &range.end));
        CurScan { rows, range: range.clone(), at }
    }

    fn decode(&self, row: Result<(Bytes, Bytes), StoreError>) -> Result<(RowKey, Version), StoreError> {
        let (stored, value) = row?;
        let key = layout::decode_cur_key(self.range.table, &stored)?;
        Ok((key, layout::decode_cur(&stored, &value)?.version))
    }
}

impl CurScan {
    /// The row, unless it had not begun.
    fn begun(&self, row: Result<(Bytes, Bytes), StoreError>) -> Option<Result<(RowKey, Version), StoreError>> {
        let row = self.decode(row);
        let is_later = row.as_ref().is_ok_and(|(_, version)| version.begin > self.at);
        (!is_later).then_some(row)
    }
}

impl Iterator for CurScan {
    type Item = Result<(RowKey, Version), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = self.rows.next()?;
            if let Some(row) = self.begun(row) {
                return Some(row);
            }
        }
    }
}

impl DoubleEndedIterator for CurScan {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            let row = self.rows.next_back()?;
            if let Some(row) = self.begun(row) {
                return Some(row);
            }
        }
    }
}

/// Rows of `old` that had begun at `at` and had not ended.
struct OldScan {
    place: Place,
    snapshot: Box<dyn StoreSnapshot>,
    rows: StoreRows,
    range: RowRange,
    at: Seq,
    /// The last key that was stepped over and how often; answered keys count as stepped over too.
    passed: Option<(RowKey, usize)>,
}

impl OldScan {
    fn new(place: Place, snapshot: Box<dyn StoreSnapshot>, range: &RowRange, at: Seq) -> OldScan {
        // Not up to the range's end but to the table's: rows of keys that `end` prolongs by a NUL stand behind it.
        let rows = snapshot.range(&place.old_bound(range.table, &range.start), &place.old_end(range.table));
        OldScan { place, snapshot, rows, range: range.clone(), at, passed: None }
    }

    /// Leaves a key of many versions by a seek: to the one that may hold at `at`, or behind them all.
    fn pass(&mut self, key: RowKey, begin: Seq) {
        let steps = match self.passed.take() {
            Some((last, steps)) if last == key => steps + 1,
            _ => 1,
        };
        if steps == SCAN_STEPS_BEFORE_SEEK {
            let (place, end) = (self.place, self.place.old_end(self.range.table));
            let start = if begin > self.at { place.old_key(&key, self.at) } else { place.old_end_of(&key) };
            self.rows = self.snapshot.range(&start, &end);
            self.passed = Some((key, 0));
        } else {
            self.passed = Some((key, steps));
        }
    }

    /// `None` where the range is over.
    fn step(&mut self) -> Result<Option<Option<(RowKey, Version)>>, StoreError> {
        let Some((stored, value)) = self.rows.next().transpose()? else { return Ok(None) };
        let (key, begin) = layout::decode_old_key(self.range.table, &stored)?;
        if key.bytes >= self.range.end {
            return Ok(None);
        }
        let row = layout::decode_old(&stored, begin, &value)?;
        let holds = self.range.contains(&key) && begin <= self.at && self.at < row.end;
        self.pass(key.clone(), begin);
        Ok(Some(holds.then_some((key, row.version))))
    }

    fn next(&mut self) -> Option<Result<(RowKey, Version), StoreError>> {
        loop {
            match self.step().transpose()? {
                Ok(None) => {}
                Ok(Some(row)) => return Some(Ok(row)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A view gives rows to whatever looks things up, as the newest state does.
impl Prior for View {
    type Miss = StoreError;

    fn get(&self, key: &RowKey) -> Result<Option<Version>, StoreError> {
        View::get(self, key)
    }

    fn range(&self, range: &RowRange) -> Result<Vec<(RowKey, Version)>, StoreError> {
        self.scan(range).collect()
    }

    fn last(&self, range: &RowRange) -> Result<Option<(RowKey, Version)>, StoreError> {
        last(&self.generation, &self.levels, range, self.at)
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
