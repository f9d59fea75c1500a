//! Power cuts and failed syncs over the whole engine: a small history with every syscall, stopped at each operation of
//! the disk, in several outcomes each.

use std::path::Path;
use std::sync::Arc;

use nexus_engine::{At, AttributeChange, Durability, NewFile, XattrMode, ZoneOptions};
use nexus_log::env::{Env, ManualClock, MemoryDisk, SyncFault};
use nexus_log::ids::Seq;
use nexus_projections::store::BTreeStore;
use nexus_tests::compare::assert_same;
use nexus_tests::generate::{Generator, Scale};
use nexus_tests::long;
use nexus_tests::model::Tree;
use nexus_tests::model::replay::Replay;
use nexus_tests::op::{Data, Name, Op, Part, Place};
use nexus_tests::rig::{Outcome, Rig, Tables, copy_of, manual};

const DIR: &str = "/data/zone";

enum Step {
    Durable(Op),
    Accepted(Op),
    /// The background work.
    Tick,
    /// All rows go to the tables.
    Flush,
}

fn path(path: &str) -> Vec<u8> {
    path.into()
}

fn name(name: &str) -> Name {
    Name::Path(path(name))
}

fn place(place: &str) -> Place {
    Place::Path(path(place))
}

fn put(at: &str, seed: u64, length: usize) -> Op {
    let parts = vec![Part::Data(Data { seed, length })];
    Op::Put { name: name(at), parts, new: NewFile::default(), attributes_too: false }
}

fn mkdir(at: &str) -> Op {
    Op::Mkdir { name: name(at), new: NewFile::default(), exclusive: true }
}

fn write(at: &str, offset: u64, length: usize) -> Op {
    Op::Write { place: place(at), offset, data: Data { seed: 5, length } }
}

fn rename(from: &str, to: &str) -> Op {
    Op::Rename { from: name(from), to: name(to), mode: nexus_engine::RenameMode::Replace }
}

/// Every syscall, small and large contents, refusals, background work.
fn script() -> Vec<Step> {
    use Step::{Accepted, Durable, Flush, Tick};
    let xattr = |value: &[u8]| Op::SetXattr {
        place: place("/a"),
        name: b"user.x".to_vec(),
        value: value.to_vec(),
        mode: XattrMode::Either,
    };
    let mode = AttributeChange { mode: Some(0o600), mtime: Some(7), ..AttributeChange::default() };
    vec![
        Durable(mkdir("/a")),
        Accepted(put("/a/small", 1, 1024)),
        Accepted(write("/a/small", 600, 3000)),
        Durable(Op::Append { place: place("/a/small"), data: Data { seed: 2, length: 700 } }),
        Tick,
        Durable(Op::Symlink { name: name("/a/link"), target: path("small"), new: NewFile::default() }),
        Durable(write("/a/link", 100_000, 10)),
        Durable(put("/large", 3, 3 << 20)),
        Accepted(write("/large", (1 << 20) - 7, 5000)),
        Durable(Op::Unlink { name: name("/nothing") }),
        Accepted(Op::Link { place: place("/large"), name: name("/a/second") }),
        Tick,
        Flush,
        Durable(rename("/a/second", "/a/third")),
        Durable(Op::Truncate { place: place("/large"), size: 1_500_000 }),
        Accepted(Op::Unlink { name: name("/large") }),
        Durable(Op::Create { name: name("/new"), new: NewFile::default(), exclusive: true }),
        Durable(Op::Create { name: name("/new"), new: NewFile::default(), exclusive: true }),
        Durable(xattr(b"one")),
        Accepted(xattr(b"two")),
        Durable(Op::SetAttributes { place: place("/a/small"), change: mode, follow: true }),
        Durable(mkdir("/b")),
        Durable(rename("/b", "/a/b")),
        Durable(Op::Rmdir { name: name("/a") }),
        Durable(put("/huge", 4, 9 << 20)),
        Tick,
        Tick,
        Accepted(rename("/a", "/moved")),
        Durable(Op::RemoveXattr { place: place("/moved"), name: b"user.x".to_vec() }),
        Flush,
        Durable(Op::Rmdir { name: name("/moved/b") }),
        Accepted(put("/moved/small", 6, 2000)),
        Durable(rename("/new", "/moved/small")),
        Accepted(put("/last", 7, 1024)),
    ]
}

struct Scene {
    env: Env,
    disk: MemoryDisk,
    clock: Arc<ManualClock>,
    store: BTreeStore,
    options: ZoneOptions,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let (env, disk, clock) = Env::simulated(seed);
        let options = manual(200_000, if seed.is_multiple_of(2) { 20_000 } else { 0 }, 0);
        let options = ZoneOptions { usage_records: seed.is_multiple_of(2).then_some(8), ..options };
        Scene { env, disk, clock, store: BTreeStore::default(), options }
    }

    fn tables(&self) -> Tables {
        Tables::Memory(self.store.clone())
    }

    /// Another one with the same disk as it is now.
    fn fork(&self, store: BTreeStore) -> Scene {
        let disk = self.disk.fork();
        let env = Env { disk: Arc::new(disk.clone()), ..self.env.clone() };
        Scene { env, disk, clock: Arc::clone(&self.clock), store, options: self.options }
    }

    fn open(&self) -> Result<Rig, nexus_engine::Error> {
        Rig::open(self.env.clone(), Path::new(DIR), self.tables(), self.options)
    }

    /// Opens the zone and plays the script as far as the disk lets it. What failed is checked against the past.
    fn play(&self) -> Option<Rig> {
        let mut rig = self.open().ok()?;
        let mut generator = Generator::new(1, Scale { large_per_mille: 0, huge_per_mille: 0 });
        for step in script() {
            self.clock.advance(150_000_000);
            match step {
                Step::Durable(op) => drop(rig.run(&op, 0, Durability::Durable)),
                Step::Accepted(op) => drop(rig.run(&op, 1, Durability::Accepted)),
                Step::Tick => drop(rig.zone.tick()),
                Step::Flush => drop(rig.zone.digest()),
            }
        }
        rig.check_latest();
        rig.check_past(&mut generator);
        Some(rig)
    }
}

/// What must be there after a failure.
struct Promise {
    acknowledged: Seq,
    history: std::collections::BTreeMap<Seq, Tree>,
}

impl Promise {
    fn of(rig: &Rig) -> Promise {
        Promise { acknowledged: rig.acknowledged, history: rig.history.clone() }
    }

    /// The log that `rig` was opened with keeps it: nothing acknowledged is missing, and each record is whole.
    fn check(&self, rig: &Rig) {
        let last = rig.zone.recovery().last;
        assert!(last >= self.acknowledged, "{last} is the last, {} was acknowledged", self.acknowledged);
        let mut replay = Replay::new(rig.zone.log());
        let compare = |record: &nexus_log::record::Record, tree: &Tree| {
            if let Some(expected) = self.history.get(&record.seq) {
                assert!(expected == tree, "the tree behind record {}", record.seq);
            }
        };
        replay.run(Seq::FIRST, last, compare).unwrap();
    }
}

/// Opens what a failure left, and asserts that it is right and goes on working.
fn check_survivor(scene: &Scene, promise: Option<&Promise>, note: &str) {
    let mut rig = scene.open().unwrap_or_else(|e| panic!("{note}: {e:?}"));
    if let Some(promise) = promise {
        promise.check(&rig);
    }
    rig.check_latest();
    rig.check_rebuild();
    let middle = Seq(rig.zone.log().flushed().0.div_ceil(2));
    let mut replay = Replay::new(rig.zone.log());
    replay.run(Seq::FIRST, middle, |_, _| {}).unwrap();
    assert_same(&rig.zone, At::Exactly(middle), &replay.tree);
    for op in [mkdir("/after"), put("/after/it", 8, 5000), rename("/after", "/goes on")] {
        assert_eq!(rig.run(&op, 0, Durability::Durable), Outcome::Done, "{note}");
    }
    rig.check_latest();
    let promise = Promise::of(&rig);
    drop(rig);
    scene.disk.power_cut(&mut || false);
    let rig = scene.open().unwrap_or_else(|e| panic!("{note}, second cut: {e:?}"));
    promise.check(&rig);
    rig.check_latest();
    rig.close_and_audit();
}

fn cuts(scene: &Scene, rig: Option<Rig>, seeds: u64, note: &str) {
    let promise = rig.as_ref().map(Promise::of);
    drop(rig);
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

fn operations_of_the_script(seed: u64) -> u64 {
    let scene = Scene::new(seed);
    let rig = scene.play().unwrap();
    assert!(rig.history.len() > 20 && rig.refusals == 3, "{} changes, {} refusals", rig.history.len(), rig.refusals);
    scene.disk.operations()
}

#[test]
fn a_power_cut_at_any_operation_of_the_disk_loses_nothing_acknowledged_and_tears_nothing() {
    for seed in 0..2 {
        let operations = operations_of_the_script(seed);
        let step = if long() { 1 } else { 5 };
        // The founding of the zone, and then each or some.
        for nth in (1..40).chain((40 + seed * 4..=operations + 1).step_by(step)) {
            let scene = Scene::new(seed);
            scene.disk.stop_after(nth);
            let rig = scene.play();
            cuts(&scene, rig, if long() { 8 } else { 1 }, &format!("seed {seed}, operation {nth} of {operations}"));
        }
    }
}

#[test]
fn a_failed_sync_loses_nothing_acknowledged_and_what_was_shown_again_stays() {
    for seed in 0..2 {
        let scene = Scene::new(seed);
        drop(scene.play());
        let syncs = scene.disk.syncs();
        for nth in (1..=syncs).step_by(if long() { 1 } else { 6 }) {
            for fault in [SyncFault::Lost, SyncFault::Partly { seed: nth }] {
                let scene = Scene::new(seed);
                scene.disk.fault_sync(nth, fault);
                let rig = scene.play();
                let note = format!("seed {seed}, {fault:?} at sync {nth} of {syncs}");
                let promise = rig.as_ref().map(Promise::of);
                cuts(&scene, rig, u64::from(long()), &note);
                // Opened again in the same uptime: whatever is shown then is on the disk.
                let again = scene.fork(copy_of(&scene.store));
                let rig = again.open().unwrap_or_else(|e| panic!("{note}: {e:?}"));
                if let Some(promise) = &promise {
                    promise.check(&rig);
                }
                let shown = Promise { acknowledged: rig.zone.log().flushed(), ..Promise::of(&rig) };
                drop(rig);
                again.disk.power_cut(&mut || false);
                check_survivor(&again, Some(&shown), &note);
            }
        }
    }
}

#[test]
fn reads_and_writes_that_are_short_or_interrupted_change_nothing() {
    for seed in 0..if long() { 50 } else { 2 } {
        let scene = Scene::new(seed);
        scene.disk.set_short_io(Some(seed));
        let rig = scene.play().unwrap();
        let promise = Promise::of(&rig);
        assert_eq!(promise.history.len(), Scene::new(seed).play().unwrap().history.len());
        drop(rig);
        scene.disk.power_cut_seeded(seed);
        check_survivor(&scene, Some(&promise), &format!("seed {seed}"));
    }
}
