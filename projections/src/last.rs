//! The last row of a range, found from behind: what stands just before a place.
//!
//! For tables whose keys are of one length: there the past versions of a key stand together before those of the next.
//! The order of looking is that of a scan (see `view`): memory was pinned before the snapshot is taken, and `cur` and
//! `old` are one snapshot.

use nexus_log::ids::Seq;

use crate::generation::Generation;
use crate::layout::{self, Place};
use crate::levels::Levels;
use crate::memtable::Entry;
use crate::put::Version;
use crate::store::{StoreError, StoreSnapshot};
use crate::table::{RowKey, RowRange};
use crate::view::{CurScan, into_version};

type Row = (RowKey, Version);

/// The last row of `range` as of `at`.
pub(crate) fn last(
    generation: &Generation,
    levels: &Levels,
    range: &RowRange,
    at: Seq,
) -> Result<Option<Row>, StoreError> {
    let snapshot = generation.store.snapshot();
    let mut memory = levels.scan_back(range, at);
    let mut cur = CurScan::new(generation.place, &*snapshot, range, at).rev();
    let mut old = (generation.reaching() > at).then(|| OldBack::new(generation.place, snapshot, range, at));
    let mut next_old = || old.as_mut().map_or(Ok(None), OldBack::next);
    let (mut in_memory, mut in_cur, mut in_old) = (memory.next(), cur.next().transpose()?, next_old()?);
    loop {
        let of = |row: &Option<Row>| row.as_ref().map(|(key, _)| key.clone());
        let keys = [in_memory.as_ref().map(|entry: &Entry| entry.put.key.clone()), of(&in_cur), of(&in_old)];
        let Some(key) = keys.into_iter().flatten().max() else { return Ok(None) };
        // Memory is newer than the store and `cur` newer than `old`.
        let mut found = None;
        if of(&in_old).as_ref() == Some(&key) {
            found = std::mem::replace(&mut in_old, next_old()?).map(|(_, version)| version);
        }
        if of(&in_cur).as_ref() == Some(&key) {
            found = std::mem::replace(&mut in_cur, cur.next().transpose()?).map(|(_, version)| version);
        }
        if in_memory.as_ref().is_some_and(|entry| entry.put.key == key) {
            found = std::mem::replace(&mut in_memory, memory.next()).and_then(into_version);
        }
        if let Some(version) = found {
            return Ok(Some((key, version)));
        }
    }
}

/// Rows of `old` that held at `at`, from behind.
struct OldBack {
    place: Place,
    snapshot: Box<dyn StoreSnapshot>,
    range: RowRange,
    at: Seq,
    /// What stands at or behind it is done.
    end: Vec<u8>,
}

impl OldBack {
    fn new(place: Place, snapshot: Box<dyn StoreSnapshot>, range: &RowRange, at: Seq) -> OldBack {
        let end = place.old_bound(range.table, &range.end);
        OldBack { place, snapshot, range: range.clone(), at, end }
    }

    fn next(&mut self) -> Result<Option<Row>, StoreError> {
        let start = self.place.old_bound(self.range.table, &self.range.start);
        loop {
            let Some((stored, _)) = self.snapshot.range(&start, &self.end).next_back().transpose()? else {
                return Ok(None);
            };
            let (key, _) = layout::decode_old_key(self.range.table, &stored)?;
            self.end = self.place.old_bound(key.table, &key.bytes);
            let (from, to) = (self.place.old_key(&key, self.at), self.place.old_end_of(&key));
            let Some((stored, value)) = self.snapshot.range(&from, &to).next().transpose()? else { continue };
            let (_, begin) = layout::decode_old_key(key.table, &stored)?;
            let row = layout::decode_old(&stored, begin, &value)?;
            if self.at < row.end {
                return Ok(Some((key, row.version)));
            }
        }
    }
}

/// What the store says of the last row of a range, for a decision that looks into memory later.
#[derive(Clone, Debug)]
pub(crate) struct StoredLast {
    /// The last row of which memory has no version.
    row: Option<Row>,
    /// Behind this, in the range, there is no such row but `row`: it was not looked further.
    down_to: bytes::Bytes,
}

/// Looks into `cur` as far as memory's last row: what is before that is not asked for.
pub(crate) fn stored_last(
    generation: &Generation,
    levels: &Levels,
    range: &RowRange,
) -> Result<StoredLast, StoreError> {
    let snapshot = generation.store.snapshot();
    let live = levels.scan_back(range, Seq::MAX).find(|entry| entry.put.value.is_some()).map(|entry| entry.put.key);
    for row in CurScan::new(generation.place, &*snapshot, range, Seq::MAX).rev() {
        let (key, version) = row?;
        match &live {
            Some(live) if *live >= key => break,
            _ if levels.get(&key, Seq::MAX).is_some() => {}
            _ => return Ok(StoredLast { down_to: key.bytes.clone(), row: Some((key, version)) }),
        }
    }
    Ok(StoredLast { row: None, down_to: live.map_or(range.start.clone(), |live| live.bytes) })
}

impl StoredLast {
    /// The last row of the range now; `None` where memory changed so that the store must be asked again.
    pub(crate) fn over(&self, levels: &Levels, range: &RowRange) -> Option<Option<Row>> {
        let mut memory = levels.scan_back(range, Seq::MAX);
        let live = memory.find_map(|entry| {
            let key = entry.put.key.clone();
            into_version(entry).map(|version| (key, version))
        });
        let stored = self.row.as_ref().filter(|(key, _)| levels.get(key, Seq::MAX).is_none()).cloned();
        match (live, stored) {
            (live, Some(stored)) => Some(live.filter(|live| live.0 > stored.0).or(Some(stored))),
            (Some(live), None) => (live.0.bytes >= self.down_to).then_some(Some(live)),
            (None, None) => (self.row.is_none() && self.down_to == range.start).then_some(None),
        }
    }
}
