//! Moving memtables to the store, one sorted run each.
//!
//! A run holds, in the order of the store's keys: the generation's applied position; then for each table its `cur` rows
//! (the newest version of each key, or a tombstone), and its `old` rows: every version that was superseded in memory,
//! and the version of the store that the first put in memory ended. That one is read once per key, while the `cur` rows
//! pass, and kept for its place among the `old` ones; keys that memory created cost no read.

use std::collections::VecDeque;
use std::sync::Arc;

use nexus_log::ids::Seq;

use crate::generation::Generation;
use crate::layout::{self, CurRow};
use crate::limits::{DEDUPE_WINDOW_SEQS, MEMTABLE_BYTES_MAX};
use crate::memtable::{Entry, Group, Groups, Memtable};
use crate::put::Version;
use crate::store::{RunRow, StoreError, StoreSnapshot};
use crate::table::{RowKey, Table};
use crate::zone_tables::ZoneTables;

/// What one step of the flusher did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushOutcome {
    /// Nothing is sealed.
    Idle,
    /// The oldest sealed memtable ends with a record that is not yet committed.
    Waiting { until: Seq },
    /// A memtable went to the store; `through` is the new floor.
    Wrote { through: Seq, rows: u64 },
}

impl ZoneTables {
    /// Seals the active memtable if it is full, and writes the oldest sealed one if all its records are committed.
    /// Blocks neither readers nor the sequencer. After an error the store must be opened anew.
    pub fn flush_step(&self, committed: Seq) -> Result<FlushOutcome, StoreError> {
        let _flushing = self.generation.flushing.lock();
        self.generation.seal(|levels| levels.active.bytes() >= MEMTABLE_BYTES_MAX);
        write_oldest(&self.generation, committed)
    }

    /// Seals whatever is in memory and writes what is committed of it, a memtable at a time; answers with the
    /// first step that wrote nothing.
    pub fn flush_all(&self, committed: Seq) -> Result<FlushOutcome, StoreError> {
        let _flushing = self.generation.flushing.lock();
        self.generation.seal(|_| true);
        loop {
            match write_oldest(&self.generation, committed)? {
                FlushOutcome::Wrote { .. } => {}
                outcome => return Ok(outcome),
            }
        }
    }
}

fn write_oldest(generation: &Generation, committed: Seq) -> Result<FlushOutcome, StoreError> {
    let levels = generation.levels();
    let Some(oldest) = levels.sealed.first() else { return Ok(FlushOutcome::Idle) };
    let through = oldest.last();
    if through > committed {
        return Ok(FlushOutcome::Waiting { until: through });
    }
    generation.reach(through);
    let mut run = Run::new(generation, oldest);
    generation.store.ingest(&mut run)?;
    let rows = run.rows;
    generation.replace(|levels| levels.retired(oldest));
    let requests = generation.place.cur_bound(Table::Dedupe, &[]);
    generation.store.set_expired(&requests, through.0.saturating_sub(DEDUPE_WINDOW_SEQS));
    Ok(FlushOutcome::Wrote { through, rows })
}

/// A version of the store that a put in memory ended.
struct Ended {
    key: RowKey,
    version: Version,
}

enum Pass<'a> {
    Start,
    Cur(Table, Groups<'a>),
    Old(Groups<'a>),
}

/// One memtable as the rows of one run.
pub(crate) struct Run<'a> {
    generation: &'a Generation,
    snapshot: Box<dyn StoreSnapshot>,
    memtable: &'a Arc<Memtable>,
    tables: std::slice::Iter<'static, Table>,
    pass: Pass<'a>,
    /// Of the table at hand, in the order of keys.
    ended: VecDeque<Ended>,
    /// `old` rows of the key at hand.
    pending: VecDeque<RunRow>,
    rows: u64,
}

impl<'a> Run<'a> {
    pub(crate) fn new(generation: &'a Generation, memtable: &'a Arc<Memtable>) -> Run<'a> {
        Run {
            generation,
            snapshot: generation.store.snapshot(),
            memtable,
            tables: Table::ALL.iter(),
            pass: Pass::Start,
            ended: VecDeque::new(),
            pending: VecDeque::new(),
            rows: 0,
        }
    }

    fn next_table(&mut self) -> Option<()> {
        let table = *self.tables.next()?;
        assert!(self.ended.is_empty(), "every ended version has its place among the past rows");
        self.pass = Pass::Cur(table, self.memtable.groups(table));
        Some(())
    }

    fn cur_row(&mut self, group: Group) -> Result<Option<RunRow>, StoreError> {
        let stored = self.generation.place.cur_key(&group.key);
        let mut entries = group.entries;
        assert_chained(&group.key, &entries);
        let oldest = entries.last().expect("a group is never empty");
        if let Some(begin) = oldest.put.ends {
            let version = self.ended_version(&stored, begin, oldest.seq)?;
            // Replayed over a store that is ahead: what it holds already is passed over.
            entries.retain(|entry| entry.seq > version.begin);
            self.ended.push_back(Ended { key: group.key, version });
        }
        let Some(Entry { seq, put }) = entries.first() else { return Ok(None) };
        let existed = entries.last().is_some_and(|oldest| oldest.put.ends.is_some());
        Ok(match &put.value {
            Some(value) => Some(Ok((stored, Some(layout::encode_cur(*seq, put.first, value))))),
            None if existed => Some(Ok((stored, None))),
            None => None,
        })
    }

    fn ended_version(&self, stored: &[u8], begin: Seq, ended_by: Seq) -> Result<Version, StoreError> {
        let value = self.snapshot.get(stored)?;
        let Some(CurRow { version, .. }) = value.map(|value| layout::decode_cur(stored, &value)).transpose()? else {
            return Err(StoreError::corrupt("the version that a record ended is missing", stored));
        };
        if version.begin != begin && version.begin < ended_by {
            return Err(StoreError::corrupt("not the version that a record ended", stored));
        }
        Ok(version)
    }

    fn old_rows(&mut self, group: Group) {
        let Group { key, mut entries } = group;
        let ended = match self.ended.front() {
            Some(ended) if ended.key == key => self.ended.pop_front().map(|ended| ended.version),
            _ => None,
        };
        if let Some(version) = &ended {
            entries.retain(|entry| entry.seq > version.begin);
        }
        let place = self.generation.place;
        let row = |begin, end, value: &[u8]| Ok((place.old_key(&key, begin), Some(layout::encode_old(end, value))));
        for pair in entries.windows(2) {
            let [newer, older] = pair else { unreachable!("windows of two") };
            if let Some(value) = &older.put.value {
                self.pending.push_back(row(older.seq, newer.seq, value));
            }
        }
        if let (Some(version), Some(oldest)) = (ended, entries.last()) {
            self.pending.push_back(row(version.begin, oldest.seq, &version.value));
        }
    }

    fn step(&mut self) -> Option<RunRow> {
        loop {
            if let Some(row) = self.pending.pop_front() {
                return Some(row);
            }
            match &mut self.pass {
                Pass::Start => {
                    self.next_table();
                    let applied = layout::encode_number(self.memtable.last().0);
                    return Some(Ok((self.generation.place.applied_key(), Some(applied))));
                }
                Pass::Cur(table, groups) => match groups.next() {
                    Some(group) => match self.cur_row(group).transpose() {
                        Some(row) => return Some(row.flatten()),
                        None => continue,
                    },
                    None => self.pass = Pass::Old(self.memtable.groups(*table)),
                },
                Pass::Old(groups) => match groups.next() {
                    Some(group) => self.old_rows(group),
                    None => self.next_table()?,
                },
            }
        }
    }
}

impl Iterator for Run<'_> {
    type Item = RunRow;

    fn next(&mut self) -> Option<RunRow> {
        let row = self.step();
        self.rows += u64::from(row.is_some());
        row
    }
}

/// Each put ends the version that the one before it made: apply promises so.
fn assert_chained(key: &RowKey, entries: &[Entry]) {
    for pair in entries.windows(2) {
        let [newer, older] = pair else { unreachable!("windows of two") };
        let made = older.put.value.as_ref().map(|_| older.seq);
        assert_eq!(newer.put.ends, made, "record {} ends a version of {key:?} that is not there", newer.seq);
    }
}
