//! Each write, sync and read that fails, with the zone that goes on in the same uptime and the one that comes after it.

use std::collections::BTreeSet;
use std::path::Path;

use nexus_engine::{Caller, HistoryQuery, Target, open_zone};
use nexus_log::env::WriteFault;
use nexus_log::event::{Event, Reason};
use nexus_log::ids::{Inode, Seq};
use nexus_projections::store::BTreeStore;
use nexus_tests::long;
use nexus_tests::rig::{ROOT, Tables, copy_of};

use crate::scene::{DIR, Played, Promise, Scene, check_survivor};
use crate::script::{Script, basic, further};

const SCRIPTS: [(u64, Script); 4] = [(0, basic), (1, basic), (2, further), (3, further)];

/// Which of `all`: each, or one in so many.
fn some(all: u64, one_in: usize) -> impl Iterator<Item = u64> {
    (1..=all).step_by(if long() { 1 } else { one_in })
}

/// The disk is well again: what had a name is asked for again, and the next opening finds all of it.
fn check_afterwards(scene: &Scene, played: Option<Played>, note: &str) {
    scene.disk.clear_faults();
    scene.disk.set_free_bytes(None);
    let promise = played.map(|mut played| {
        let promise = Promise::of(&played);
        if played.rig.still_disturbed().is_none() {
            promise.ask_again(&mut played.rig);
            played.rig.check_latest();
            Promise::of_rig(&played.rig)
        } else {
            promise
        }
    });
    // Opened again in the same uptime, and after the power went.
    let again = scene.fork(copy_of(&scene.store));
    check_survivor(&again, promise.as_ref(), &format!("{note}, the same uptime"));
    scene.disk.power_cut(&mut || false);
    check_survivor(scene, promise.as_ref(), &format!("{note}, power cut"));
}

fn each_write(one_in: usize, faults: &[WriteFault]) {
    for (seed, script) in SCRIPTS {
        let scene = Scene::new(seed, script);
        drop(scene.play());
        let writes = scene.disk.writes();
        for nth in some(writes, one_in) {
            for fault in faults {
                let scene = Scene::new(seed, script);
                scene.disk.fault_write(nth, fault.clone()).unwrap();
                let played = scene.play();
                check_afterwards(&scene, played, &format!("seed {seed}, {fault:?} at write {nth} of {writes}"));
            }
        }
    }
}

/// R4, R6: nothing is acknowledged behind half a record.
#[test]
fn r06_a_write_that_fails_or_is_cut_short_anywhere_loses_nothing_acknowledged() {
    each_write(31, &[WriteFault::Fail { after_bytes: 0 }, WriteFault::Fail { after_bytes: 700 }]);
}

/// R10: the batch is not acknowledged, what was stays, and the zone opens itself again.
#[test]
fn r10_a_disk_that_is_full_at_any_write_loses_nothing_acknowledged_and_the_zone_goes_on() {
    each_write(31, &[WriteFault::Full { after_bytes: 0 }, WriteFault::Full { after_bytes: 700 }]);
}

#[test]
fn a_directory_sync_that_fails_anywhere_loses_nothing_acknowledged() {
    for (seed, script) in SCRIPTS {
        for nth in some(30, 10) {
            let scene = Scene::new(seed, script);
            scene.disk.fault_sync_dir(nth);
            let played = scene.play();
            check_afterwards(&scene, played, &format!("seed {seed}, directory sync {nth}"));
        }
    }
}

/// R27, R28: an opening that cannot read something says so and takes nothing away.
#[test]
fn r28_a_read_that_fails_anywhere_while_opening_is_told_and_costs_nothing() {
    for (seed, script) in SCRIPTS {
        let scene = Scene::new(seed, script);
        let played = scene.play().unwrap();
        // An opening that fails late has recorded what it cut: what was accepted only may have another's place.
        let mut promise = Promise::of(&played);
        drop(promise.history.split_off(&promise.acknowledged.next()));
        drop(played);
        let mut failures = 0;
        for nth in (1..).step_by(if long() { 1 } else { 29 }) {
            let after = scene.fork(if nth % 2 == 0 { copy_of(&scene.store) } else { BTreeStore::default() });
            after.disk.power_cut_seeded(nth);
            after.disk.fault_read(nth);
            let tables = Tables::Memory(after.store.clone());
            let opened = open_zone(&after.env, Path::new(DIR), ROOT, tables.open(), after.options);
            if let Err(error) = &opened {
                failures += 1;
                let kinds = [Reason::Unavailable, Reason::Corrupt, Reason::OutcomeUnknown];
                assert!(kinds.contains(&error.kind), "seed {seed}, read {nth}: {error:?}");
            }
            let ended = after.disk.read_fault_is_armed();
            drop(opened);
            after.disk.clear_faults();
            check_survivor(&after, Some(&promise), &format!("seed {seed}, read {nth}"));
            if ended {
                break;
            }
        }
        assert!(failures > 0 || !long(), "seed {seed}: every opening succeeded");
    }
}

/// The scripts are what their names say: else the campaigns prove less than they seem to.
#[test]
fn the_scripts_hold_what_is_to_be_broken() {
    let scene = Scene::new(2, further);
    let played = scene.play().unwrap();
    let log = played.rig.zone.log();
    let records: Vec<_> = log.records(Seq::FIRST).map(Result::unwrap).collect();
    let events = || records.iter().flat_map(|record| &record.events);
    let count = |name: &str| events().filter(|event| event.name() == name).count();
    for name in ["node_created", "punched", "exchanged", "request_answered", "policy_set", "time_closed", "accessed"] {
        assert!(count(name) > 0, "{name}");
    }
    assert_eq!((count("detached_created"), count("attached")), (1, 1), "a tree in several records");
    assert!(records.iter().any(|r| r.events.len() > 5 && matches!(r.events.last(), Some(Event::RequestAnswered(_)))));
}

/// The indexes of sealed segments know every kind of event: what a record did to an inode is in the inode's history.
#[test]
fn what_happened_to_an_inode_is_in_its_history_whatever_it_was() {
    let scene = Scene::new(2, further);
    let rig = scene.play().unwrap().rig;
    let me = Caller::agent("auditor").unwrap();
    let log = rig.zone.log();
    let indexes = scene.disk.paths().into_iter().filter(|path| path.extension().is_some_and(|e| e == "idx")).count();
    assert!(indexes > 1, "{indexes} segments have an index");
    let mut kinds = BTreeSet::new();
    for record in log.records(Seq::FIRST).map(Result::unwrap) {
        for event in &record.events {
            // Told here once more, so that no kind is forgotten in the one place that tells.
            let touched = match event {
                Event::Punched(e) => vec![e.inode],
                Event::Exchanged(e) => vec![e.inode, e.other],
                Event::Attached(e) => vec![e.inode, e.parent],
                Event::DetachedCreated(e) => vec![e.inode],
                Event::NodeCreated(e) => vec![e.inode, e.parent],
                Event::PolicySet(e) => vec![e.inode],
                Event::Written(e) => vec![e.inode],
                Event::XattrSet(e) => vec![e.inode],
                Event::Renamed(e) => vec![e.inode],
                _ => continue,
            };
            kinds.insert(event.name());
            for inode in touched {
                let query = HistoryQuery { subject: Some(Target::Inode(Inode(inode))), ..HistoryQuery::default() };
                let mut history = rig.zone.history(&me, &query).unwrap().map(|event| event.unwrap().record.seq);
                assert!(history.any(|seq| seq == record.seq), "{} of {} for inode {inode}", event.name(), record.seq);
            }
        }
    }
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}
