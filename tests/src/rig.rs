//! A zone and its model side by side.
//!
//! The rig makes each call on both and asserts that they agree; it keeps the tree that every record left, so any past
//! position can be compared, and so the state that a power cut must leave is known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_engine::{At, Caller, Durability, ReadPolicy, RootAttributes, Zone, ZoneOptions, open_zone};
use nexus_log::appender::AppenderOptions;
use nexus_log::env::Env;
use nexus_log::event::Reason;
use nexus_log::ids::{Inode, Seq};
use nexus_log::log::{Driver, LogOptions, RecoveryReport};
use nexus_projections::store::{BTreeStore, FjallOptions, FjallStore, RunRow, Store};

use crate::compare::assert_same;
use crate::model::calls::Call;
use crate::model::replay::Replay;
use crate::model::{Stamp, Tree};
use crate::op::Op;
use crate::{generate::Generator, ledger};

pub const ROOT: RootAttributes = RootAttributes { mode: 0o755, uid: 0, gid: 0 };

/// Where the tables are.
#[derive(Clone)]
pub enum Tables {
    /// In memory; what was flushed to them survives everything.
    Memory(BTreeStore),
    /// In a directory of the real disk.
    Fjall(PathBuf),
}

impl Tables {
    #[must_use]
    pub fn open(&self) -> Arc<dyn Store> {
        match self {
            Tables::Memory(store) => Arc::new(store.clone()),
            Tables::Fjall(path) => Arc::new(FjallStore::open(path, FjallOptions::default()).unwrap()),
        }
    }
}

/// A store of its own with the same rows.
#[must_use]
pub fn copy_of(store: &BTreeStore) -> BTreeStore {
    let copy = BTreeStore::default();
    let rows = store.snapshot().range(&[], &[0xff; 64]);
    let mut run = rows.map(|row| row.map(|(key, value)| (key.to_vec(), Some(value)))).map(|row| row as RunRow);
    copy.ingest(&mut run).unwrap();
    copy
}

/// Options of a zone that the test drives, without threads. What is read is not recorded: the model makes no records of
/// its own.
#[must_use]
pub fn manual(segment_bytes_max: u64, zero_ahead_bytes: u64, reserve_bytes: u64) -> ZoneOptions {
    let appender = AppenderOptions { segment_bytes_max, zero_ahead_bytes };
    let log = LogOptions { driver: Driver::Manual, appender, reserve_bytes };
    ZoneOptions { log, manual: true, reads: Some(ReadPolicy::Off), ..ZoneOptions::default() }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both say yes; on stable storage where that was asked for.
    Done,
    /// Both say no, for the same reason.
    Refused,
    /// The disk failed: whether it happened is not known.
    Disturbed(Reason),
}

pub struct Rig {
    pub env: Env,
    pub dir: PathBuf,
    pub tables: Tables,
    pub options: ZoneOptions,
    pub zone: Zone,
    pub tree: Tree,
    /// The tree behind each record that changed it. Also of records that may be lost yet.
    pub history: BTreeMap<Seq, Tree>,
    /// Highest seq that was acknowledged as durable.
    pub acknowledged: Seq,
    /// Refusals that callers were given.
    pub refusals: u64,
    /// The last call was disturbed: the zone may open itself again before the next.
    disturbed: bool,
    /// What opening the zone found, as far as the model knows.
    opened: RecoveryReport,
    held: BTreeMap<u64, u64>,
    callers: [Caller; 2],
}

fn tree_of(zone: &Zone) -> Tree {
    let mut replay = Replay::new(zone.log());
    replay.run(zone.log().first(), Seq::MAX, |_, _| {}).unwrap();
    replay.tree
}

impl Rig {
    /// Opens the zone in `dir`, founding it if there is none, and takes its log's state as the model's.
    pub fn open(env: Env, dir: &Path, tables: Tables, options: ZoneOptions) -> Result<Rig, nexus_engine::Error> {
        let zone = open_zone(&env, dir, ROOT, tables.open(), options)?;
        let tree = tree_of(&zone);
        let history = BTreeMap::from([(zone.log().flushed(), tree.clone())]);
        let acknowledged = zone.log().flushed();
        let refusals = ledger::read_all(&zone).total();
        let opened = zone.recovery();
        let callers = [Caller::agent("ann").unwrap(), Caller::agent("bob").unwrap()];
        let held = BTreeMap::new();
        let dir = dir.to_owned();
        Ok(Rig {
            env,
            dir,
            tables,
            options,
            zone,
            tree,
            history,
            acknowledged,
            refusals,
            disturbed: false,
            opened,
            held,
            callers,
        })
    }

    fn note(&mut self) {
        self.history.insert(self.zone.log().appended().0, self.tree.clone());
    }

    /// Makes the call on the zone and on the model.
    pub fn run(&mut self, op: &Op, who: usize, durability: Durability) -> Outcome {
        self.run_as(op, &self.callers[who].clone(), durability)
    }

    /// Makes a call that the model does not know, durable where it succeeds. The model takes what the log says of it.
    pub fn run_beside(&mut self, call: impl FnOnce(&Zone) -> Result<(), nexus_engine::Error>) -> Outcome {
        if let Some(reason) = self.still_disturbed() {
            return Outcome::Disturbed(reason);
        }
        let before = self.zone.log().appended().0;
        let called = call(&self.zone);
        match called {
            Ok(()) if self.zone.log().flush().is_ok() => {}
            Ok(()) => {
                self.disturbed = true;
                return Outcome::Disturbed(Reason::OutcomeUnknown);
            }
            Err(error) if disturbed(error.kind) => {
                self.disturbed = true;
                return Outcome::Disturbed(error.kind);
            }
            Err(_) => {
                self.refusals += 1;
                return Outcome::Refused;
            }
        }
        let mut replay = Replay::new(self.zone.log());
        replay.tree = self.tree.clone();
        let history = &mut self.history;
        let take = |record: &nexus_log::record::Record, tree: &Tree| drop(history.insert(record.seq, tree.clone()));
        replay.run(before.next(), Seq::MAX, take).unwrap();
        self.tree = replay.tree;
        self.acknowledged = self.zone.log().flushed();
        Outcome::Done
    }

    /// As [`Rig::run`], for a caller of one's own.
    pub fn run_as(&mut self, op: &Op, caller: &Caller, durability: Durability) -> Outcome {
        if let Some(reason) = self.still_disturbed() {
            return Outcome::Disturbed(reason);
        }
        let before = self.zone.log().appended().0;
        let answer = op.call(&self.zone, caller, durability);
        // A refusal is noted behind the call, in a record of its own; a success is the last record.
        let (seq, time) = self.zone.log().appended();
        let stamp = Stamp { seq, time: time.0 as i64 };
        let mut tree = self.tree.clone();
        let held = &self.held;
        let mut call = Call {
            tree: &mut tree,
            stamp,
            agent: &caller.context().agent,
            events_before: 0,
            is_open: &|i| held.contains_key(&i),
        };
        let expected = call.run(op);
        let outcome = match (&answer, expected) {
            (Ok(answer), Ok(ran)) => {
                assert_eq!(answer.inode, ran.inode, "{op:?}");
                assert_eq!(answer.seq.is_some(), ran.changed, "a record is made where something changed: {op:?}");
                assert!(answer.seq.is_none_or(|s| s == seq), "{op:?}");
                self.tree = tree;
                Outcome::Done
            }
            (Err(error), _) if disturbed(error.kind) => {
                // The record, if there is one, may be found when the log is opened again. Content beyond one record
                // goes before the record that attaches it, so of that it is not known which was the last.
                if seq == before.next() && expected.is_ok_and(|ran| ran.changed) && !op.is_staged() {
                    self.history.insert(seq, tree);
                }
                self.disturbed = true;
                return Outcome::Disturbed(error.kind);
            }
            (Err(error), Err(reason)) => {
                assert_eq!(error.kind, reason, "{op:?}: {error}");
                self.refusals += 1;
                Outcome::Refused
            }
            (Ok(answer), Err(reason)) => panic!("{op:?}: {answer:?}, expected {reason:?}"),
            (Err(error), Ok(ran)) => panic!("{op:?}: {error:?}, expected {ran:?}"),
        };
        if outcome == Outcome::Done {
            self.note();
            if durability == Durability::Durable {
                self.acknowledged = answer.unwrap().seq.unwrap_or(self.acknowledged).max(self.acknowledged);
                assert!(self.zone.log().flushed() >= self.acknowledged, "{op:?} was acknowledged and is not flushed");
            }
        }
        outcome
    }

    /// The disk failed, and the model does not know yet what is left: background work may have met it first, and the
    /// zone may have opened itself again.
    fn is_disturbed(&self) -> bool {
        self.disturbed || self.zone.log().poisoned().is_some() || self.opened != self.zone.recovery()
    }

    /// After a failure, the first call that is answered is answered by a zone that opened itself again: then the model
    /// goes on from what its log holds. `None` where calls are answered.
    pub fn still_disturbed(&mut self) -> Option<Reason> {
        self.disturbed |= self.is_disturbed();
        if self.disturbed {
            let missing = "/there never was such a name";
            let refused = self.zone.unlink(&self.callers[0], missing, Durability::Durable).unwrap_err();
            if refused.kind != Reason::NotFound {
                assert!(disturbed(refused.kind), "{refused:?}");
                return Some(refused.kind);
            }
            self.disturbed = false;
            self.opened = self.zone.recovery();
            self.refusals += 1;
            self.resync();
        }
        None
    }

    /// A random call.
    pub fn step(&mut self, generator: &mut Generator) -> (Op, Outcome) {
        let op = generator.op(&self.tree);
        let who = generator.below(2) as usize;
        let durability = if generator.below(3) == 0 { Durability::Accepted } else { Durability::Durable };
        let outcome = self.run(&op, who, durability);
        (op, outcome)
    }

    /// Holds an inode open, or gives up one that is held.
    pub fn hold_or_release(&mut self, generator: &mut Generator) {
        if !self.held.is_empty() && generator.below(2) == 0 {
            let at = generator.below(self.held.len() as u64) as usize;
            let inode = *self.held.keys().nth(at).unwrap();
            self.zone.release(&self.callers[0], Inode(inode)).unwrap();
            let count = self.held.get_mut(&inode).unwrap();
            *count -= 1;
            if *count == 0 {
                self.held.remove(&inode);
                if self.tree.nodes.get(&inode).is_some_and(|node| node.links == 0) {
                    self.tree.nodes.remove(&inode);
                    self.note();
                }
            }
        } else {
            let at = generator.below(self.tree.nodes.len() as u64) as usize;
            let inode = *self.tree.nodes.keys().nth(at).unwrap();
            self.zone.hold(Inode(inode));
            *self.held.entry(inode).or_default() += 1;
        }
    }

    /// The tree that record `seq` left.
    #[must_use]
    pub fn tree_at(&self, seq: Seq) -> &Tree {
        self.history.range(..=seq).next_back().expect("history begins with the zone").1
    }

    /// Reading answers with what the log holds, also where the disk fails.
    pub fn check_latest(&self) {
        let at = self.zone.view(At::Latest).unwrap().at();
        self.check_at(at);
    }

    fn check_at(&self, seq: Seq) {
        if self.is_disturbed() {
            let mut replay = Replay::new(self.zone.log());
            replay.run(Seq::FIRST, seq, |_, _| {}).unwrap();
            assert_same(&self.zone, At::Exactly(seq), &replay.tree);
        } else {
            assert_same(&self.zone, At::Exactly(seq), self.tree_at(seq));
        }
    }

    pub fn check_newest(&self) {
        let view = self.zone.view(At::Newest).unwrap();
        assert_eq!(view.at(), self.zone.log().appended().0);
    }

    pub fn check_past(&self, generator: &mut Generator) {
        let first = self.history.keys().next().unwrap().0;
        let last = self.zone.log().flushed().0;
        let seq = Seq(first + generator.below(last - first + 1));
        self.check_at(seq);
    }

    /// The tables are what the log says.
    pub fn check_rebuild(&self) {
        let report = self.zone.rebuild(false, |_| {}).unwrap();
        assert!(report.equal(), "{report:?}");
        assert_eq!(report.records, self.zone.log().flushed().0);
    }

    /// Ends the zone without closing it: what was accepted and not flushed is lost. Tables on a real disk are opened
    /// anew.
    pub fn reopen(self, close: bool) -> Rig {
        if close {
            self.zone.close().unwrap();
        }
        let flushed = self.zone.log().flushed();
        assert!(flushed >= self.acknowledged);
        let Rig { env, dir, tables, options, zone, mut history, .. } = self;
        drop(history.split_off(&flushed.next()));
        drop(zone);
        let zone = open_zone(&env, &dir, ROOT, tables.open(), options).unwrap();
        let opened = zone.recovery();
        assert_eq!((opened.clean, opened.last), (close, flushed), "{opened:?}");
        let tree = history.last_key_value().unwrap().1.clone();
        let (acknowledged, refusals, callers) = (self.acknowledged, self.refusals, self.callers);
        let (disturbed, held) = (false, BTreeMap::new());
        let mut rig = Rig {
            env,
            dir,
            tables,
            options,
            zone,
            tree,
            history,
            acknowledged,
            refusals,
            disturbed,
            opened,
            held,
            callers,
        };
        if !rig.tree.orphans().is_empty() {
            rig.tree.remove_orphans();
            rig.note();
        }
        rig
    }

    /// The zone opened itself again: the model goes on from what its log holds, and nothing acknowledged is missing.
    fn resync(&mut self) {
        let log = self.zone.log();
        assert!(log.flushed() >= self.acknowledged, "{} was acknowledged", self.acknowledged);
        let mut replay = Replay::new(log.clone());
        let history = &self.history;
        let mut trees = BTreeMap::new();
        let first = *history.keys().next().unwrap();
        let check = |record: &nexus_log::record::Record, tree: &Tree| {
            if record.seq <= self.acknowledged && record.seq >= first {
                let expected = history.range(..=record.seq).next_back().unwrap().1;
                assert!(expected == tree, "the tree behind record {}", record.seq);
            }
            trees.insert(record.seq, tree.clone());
        };
        replay.run(Seq::FIRST, log.flushed(), check).unwrap();
        self.tree = replay.tree;
        self.history = trees;
    }

    /// At the end: every record is read, refusals add up, the root is that of the files.
    pub fn close_and_audit(self) {
        self.zone.close().unwrap();
        let refusals = ledger::read_all(&self.zone);
        let seen = refusals.total();
        if refusals.gaps == 0 {
            assert_eq!(seen, self.refusals, "each refusal is a record or counted in one: {refusals:?}");
        } else {
            assert!(seen <= self.refusals, "{refusals:?} of {}", self.refusals);
        }
        ledger::assert_root(&self.env, &self.dir, &self.zone);
        let mut replay = Replay::new(self.zone.log());
        let (first, history) = (*self.history.keys().next().unwrap(), &self.history);
        let check = |record: &nexus_log::record::Record, tree: &Tree| {
            let expected = history.range(..=record.seq).next_back();
            assert!(record.seq < first || expected.unwrap().1 == tree, "the log says otherwise at {}", record.seq);
        };
        replay.run(Seq::FIRST, Seq::MAX, check).unwrap();
    }
}

/// The disk's failures, as opposed to answers.
#[must_use]
pub fn disturbed(reason: Reason) -> bool {
    matches!(reason, Reason::OutcomeUnknown | Reason::Unavailable | Reason::NoSpace | Reason::Corrupt)
}
