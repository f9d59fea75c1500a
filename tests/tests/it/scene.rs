//! Histories that are played on a memory disk until something goes wrong, and what must be there afterwards.

use std::path::Path;
use std::sync::Arc;

use nexus_engine::{At, Caller, Durability, ReadPolicy, ZoneOptions};
use nexus_log::env::{Env, ManualClock, MemoryDisk};
use nexus_log::event::{Context, Event};
use nexus_log::ids::Seq;
use nexus_projections::store::BTreeStore;
use nexus_tests::compare::assert_same;
use nexus_tests::generate::{Generator, Scale};
use nexus_tests::ledger;
use nexus_tests::model::Tree;
use nexus_tests::model::replay::Replay;
use nexus_tests::op::Op;
use nexus_tests::rig::{Outcome, Rig, Tables, copy_of, manual};

use crate::script::{Script, Step, mkdir, put, rename};

pub(crate) const DIR: &str = "/data/zone";

/// A request with a name, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    id: &'static str,
    op: Op,
    /// The record, where it was acknowledged.
    answered: Option<Seq>,
}

/// A script that was played as far as the disk let it.
pub(crate) struct Played {
    pub(crate) rig: Rig,
    pub(crate) asked: Vec<Asked>,
}

fn named(id: &str) -> Caller {
    let request_id = Some(id.to_owned());
    Caller::new(Context { agent: "once".into(), request_id, ..Context::default() }).unwrap()
}

impl Asked {
    /// It is in the log once or not at all, and surely where it was acknowledged; a repeat is told the first record and
    /// makes no other, or happens now and only now.
    fn check(&self, rig: &mut Rig) {
        let caller = named(self.id);
        let found = self.records(rig);
        assert!(found.len() <= 1, "{self:?} happened more than once: {found:?}");
        assert!(self.answered.is_none_or(|seq| found == [seq]), "{self:?} was acknowledged, there is {found:?}");
        if found.is_empty() && rig.run_as(&self.op, &caller, Durability::Durable) != Outcome::Done {
            return;
        }
        let first = self.records(rig);
        let before = rig.zone.log().appended();
        let again = self.op.call(&rig.zone, &caller, Durability::Durable);
        let again = again.unwrap_or_else(|e| panic!("the repeat of {self:?}: {e:?}"));
        assert_eq!(first, [again.seq.unwrap()], "the repeat of {self:?}");
        assert_eq!(rig.zone.log().appended(), before, "the repeat of {self:?} made a record");
    }

    fn records(&self, rig: &Rig) -> Vec<Seq> {
        let log = rig.zone.log();
        let records = log.records(log.first()).map(Result::unwrap);
        let answers = records.filter(|record| {
            record.context.request_id.as_deref() == Some(self.id)
                && record.events.iter().any(|event| matches!(event, Event::RequestAnswered(_)))
        });
        answers.map(|record| record.seq).collect()
    }
}

pub(crate) struct Scene {
    pub(crate) env: Env,
    pub(crate) disk: MemoryDisk,
    clock: Arc<ManualClock>,
    pub(crate) store: BTreeStore,
    pub(crate) options: ZoneOptions,
    script: Script,
}

impl Scene {
    pub(crate) fn new(seed: u64, script: Script) -> Scene {
        let (env, disk, clock) = Env::simulated(seed);
        let options = manual(200_000, if seed.is_multiple_of(2) { 20_000 } else { 0 }, 0);
        let options = ZoneOptions { usage_records: seed.is_multiple_of(2).then_some(8), ..options };
        // Every other scene has reads on record.
        let reads = if seed.is_multiple_of(2) { options.reads } else { Some(ReadPolicy::Summary) };
        let options = ZoneOptions { reads, ..options };
        Scene { env, disk, clock, store: BTreeStore::default(), options, script }
    }

    fn tables(&self) -> Tables {
        Tables::Memory(self.store.clone())
    }

    /// Another one with the same disk as it is now.
    pub(crate) fn fork(&self, store: BTreeStore) -> Scene {
        let disk = self.disk.fork();
        let env = Env { disk: Arc::new(disk.clone()), ..self.env.clone() };
        Scene { env, disk, clock: Arc::clone(&self.clock), store, options: self.options, script: self.script }
    }

    pub(crate) fn open(&self) -> Result<Rig, nexus_engine::Error> {
        Rig::open(self.env.clone(), Path::new(DIR), self.tables(), self.options)
    }

    /// Opens the zone and plays the script as far as the disk lets it. What failed is checked against the past.
    pub(crate) fn play(&self) -> Option<Played> {
        let mut rig = self.open().ok()?;
        let mut asked = Vec::new();
        let mut generator = Generator::new(1, Scale { large_per_mille: 0, huge_per_mille: 0 });
        for step in (self.script)() {
            self.clock.advance(150_000_000);
            match step {
                Step::Durable(op) => drop(rig.run(&op, 0, Durability::Durable)),
                Step::Accepted(op) => drop(rig.run(&op, 1, Durability::Accepted)),
                Step::Named(id, op) => {
                    let outcome = rig.run_as(&op, &named(id), Durability::Durable);
                    let answered = (outcome == Outcome::Done).then(|| rig.zone.log().appended().0);
                    asked.push(Asked { id, op, answered });
                }
                Step::Beside(call) => drop(rig.run_beside(|zone| call(zone))),
                Step::Tick => drop(rig.zone.tick()),
                Step::Flush => drop(rig.zone.digest()),
            }
        }
        // What must be on record before it is answered cannot be read where nothing can be recorded.
        if rig.zone.log().poisoned().is_none() {
            rig.check_latest();
            rig.check_past(&mut generator);
        }
        Some(Played { rig, asked })
    }
}

/// What must be there after a failure.
pub(crate) struct Promise {
    pub(crate) acknowledged: Seq,
    pub(crate) history: std::collections::BTreeMap<Seq, Tree>,
    pub(crate) asked: Vec<Asked>,
}

impl Promise {
    pub(crate) fn of(played: &Played) -> Promise {
        Promise { asked: played.asked.clone(), ..Promise::of_rig(&played.rig) }
    }

    pub(crate) fn of_rig(rig: &Rig) -> Promise {
        Promise { acknowledged: rig.acknowledged, history: rig.history.clone(), asked: Vec::new() }
    }

    /// Asks again for what had a name.
    pub(crate) fn ask_again(&self, rig: &mut Rig) {
        self.asked.iter().for_each(|asked| asked.check(rig));
    }

    /// The log that `rig` was opened with keeps it: nothing acknowledged is missing, and each record is whole.
    pub(crate) fn check(&self, rig: &Rig, note: &str) {
        let last = rig.zone.recovery().last;
        assert!(last >= self.acknowledged, "{note}: {last} is the last, {} was acknowledged", self.acknowledged);
        let mut replay = Replay::new(rig.zone.log());
        let compare = |record: &nexus_log::record::Record, tree: &Tree| {
            if let Some(expected) = self.history.get(&record.seq) {
                assert!(expected == tree, "{note}: the tree behind record {}", record.seq);
            }
        };
        replay.run(Seq::FIRST, last, compare).unwrap();
    }
}

/// Opens what a failure left, and asserts that it is right and goes on working.
pub(crate) fn check_survivor(scene: &Scene, promise: Option<&Promise>, note: &str) {
    let mut rig = scene.open().unwrap_or_else(|e| panic!("{note}: {e:?}"));
    if let Some(promise) = promise {
        promise.check(&rig, note);
    }
    rig.check_latest();
    rig.check_rebuild();
    assert!(rig.tree.orphans().is_empty(), "{note}: what nobody holds is swept");
    assert!(rig.zone.row_counts(At::Latest).unwrap().contains(&("orphan", 0)), "{note}");
    ledger::assert_usage(&rig.zone, &Caller::agent("auditor").unwrap());
    if let Some(promise) = promise {
        promise.ask_again(&mut rig);
    }
    let middle = Seq(rig.zone.log().flushed().0.div_ceil(2));
    let mut replay = Replay::new(rig.zone.log());
    replay.run(Seq::FIRST, middle, |_, _| {}).unwrap();
    assert_same(&rig.zone, At::Exactly(middle), &replay.tree);
    for op in [mkdir("/after"), put("/after/it", 8, 5000), rename("/after", "/goes on")] {
        assert_eq!(rig.run(&op, 0, Durability::Durable), Outcome::Done, "{note}");
    }
    rig.check_latest();
    let promise = Promise::of_rig(&rig);
    drop(rig);
    scene.disk.power_cut(&mut || false);
    let rig = scene.open().unwrap_or_else(|e| panic!("{note}, second cut: {e:?}"));
    promise.check(&rig, note);
    rig.check_latest();
    rig.close_and_audit();
}

pub(crate) fn cuts(scene: &Scene, played: Option<Played>, seeds: u64, note: &str) {
    let promise = played.as_ref().map(Promise::of);
    drop(played);
    for cut in 0..2 + seeds {
        // Tables that are behind the log, as far as empty ones, must come to the same.
        let store = if cut % 2 == 0 { copy_of(&scene.store) } else { BTreeStore::default() };
        let after = scene.fork(store);
        match cut {
            0 => after.disk.power_cut(&mut || false),
            1 => after.disk.power_cut(&mut || true),
            seed => after.disk.power_cut_seeded(seed),
        }
        check_survivor(&after, promise.as_ref(), &format!("{note}, cut {cut}"));
    }
}
