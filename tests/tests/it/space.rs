//! A disk that is full: typed errors, reading goes on, and with space again the zone works without a hand laid on it.

use std::path::Path;
use std::sync::Arc;

use nexus_engine::gate::{Call, Gate};
use nexus_engine::{At, Caller, Durability, Error, NewFile, ZoneOptions, open_zone};
use nexus_log::appender::AppenderOptions;
use nexus_log::env::Env;
use nexus_log::event::{Reason, Syscall};
use nexus_log::log::{Driver, LogOptions};
use nexus_projections::store::BTreeStore;
use nexus_tests::generate::{Generator, Scale};
use nexus_tests::ledger::{self, Refusals};
use nexus_tests::long;
use nexus_tests::rig::{Outcome, ROOT, Rig, Tables, manual};

const DIR: &str = "/zone";

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_with_space_the_zone_goes_on_by_itself() {
    for seed in 0..if long() { 500 } else { 12 } {
        let (env, disk, clock) = Env::simulated(seed);
        let reserve = if seed % 3 == 0 { 0 } else { 64 << 10 };
        let options = manual(60_000, if seed % 2 == 0 { 20_000 } else { 0 }, reserve);
        let mut rig = Rig::open(env, Path::new(DIR), Tables::Memory(BTreeStore::default()), options).unwrap();
        let mut generator = Generator::new(seed, Scale { large_per_mille: 30, huge_per_mille: 0 });
        for _ in 0..6 {
            disk.set_free_bytes(Some(reserve + generator.below(200_000)));
            let mut full = false;
            for _ in 0..80 {
                let (op, outcome) = rig.step(&mut generator);
                clock.advance(generator.below(300_000_000));
                if let Outcome::Disturbed(reason) = outcome {
                    let kinds = [Reason::NoSpace, Reason::OutcomeUnknown];
                    assert!(kinds.contains(&reason), "seed {seed}: {op:?}: {reason:?}");
                    full = true;
                }
                if generator.below(5) == 0 {
                    let _ = rig.zone.tick();
                }
                if full {
                    rig.check_latest();
                    rig.check_past(&mut generator);
                    if generator.below(4) == 0 {
                        break;
                    }
                }
            }
            disk.set_free_bytes(None);
            assert_eq!(rig.still_disturbed(), None, "seed {seed}");
            rig.check_latest();
        }
        rig.check_rebuild();
        let mut rig = rig.reopen(false);
        rig.check_latest();
        rig.step(&mut generator);
        rig.close_and_audit();
    }
}

/// Content beyond one record goes ahead of the record that attaches it. If a failure in between took it, the file
/// must not come out with zeros, or with another writer's bytes, in its place.
#[test]
fn content_that_a_failure_took_is_not_attached() {
    for others in [0, 3] {
        let (env, disk, _clock) = Env::simulated(others);
        let log = LogOptions { driver: Driver::Manual, appender: AppenderOptions::default(), reserve_bytes: 0 };
        let options = ZoneOptions { log, ..ZoneOptions::default() };
        let store = Arc::new(BTreeStore::default());
        let zone = open_zone(&env, Path::new(DIR), ROOT, store, options).unwrap();
        let me = Caller::agent("me").unwrap();
        let chunk = |fill: u8| vec![fill; 1 << 20];
        let mut writer = zone.content_writer(&me);
        for fill in 1..=9 {
            writer.write(&chunk(fill)).unwrap();
        }
        disk.set_free_bytes(Some(4096));
        let failed = zone.put(&me, "/fails", b"x").unwrap_err();
        assert_eq!(failed.kind, Reason::OutcomeUnknown);
        disk.set_free_bytes(None);
        zone.put(&me, "/works", b"x").unwrap();
        for other in 0..others {
            let mut writer = zone.content_writer(&me);
            for fill in 101..=110 {
                writer.write(&chunk(fill)).unwrap();
            }
            let path = format!("/other{other}");
            zone.put_content(&me, path.as_str(), &NewFile::default(), writer, Durability::Durable).unwrap();
        }
        for fill in 10..=12 {
            if writer.write(&chunk(fill)).is_err() {
                break;
            }
        }
        let put = zone.put_content(&me, "/file", &NewFile::default(), writer, Durability::Durable);
        let view = zone.view(At::Latest).unwrap();
        match put {
            Ok(_) => {
                for at in 0..12 {
                    let bytes = view.read(&me, "/file", at << 20, 1 << 20).unwrap();
                    assert!(bytes.iter().all(|b| u64::from(*b) == at + 1), "chunk {at} is {}", bytes[0]);
                }
            }
            Err(error) => {
                assert_eq!(error.kind, Reason::OutcomeUnknown, "{error:?}");
                assert_eq!(view.stat(&me, "/file", true).unwrap_err().kind, Reason::NotFound);
            }
        }
        zone.close().unwrap();
        let gaps = ledger::read_all(&zone).gaps;
        assert_eq!(gaps, 1, "the zone opened itself again, and its log says so");
    }
}

struct DenyReads;

impl Gate for DenyReads {
    fn check(&self, call: &Call<'_>) -> Result<(), Error> {
        match call.syscall {
            Syscall::Stat => Err(Error::new(Reason::PermissionDenied, "no")),
            _ => Ok(()),
        }
    }
}

#[test]
fn refusals_on_a_full_disk_are_counted_when_there_is_space_again() {
    let (env, disk, clock) = Env::simulated(1);
    let store = Arc::new(BTreeStore::default());
    let zone = open_zone(&env, Path::new(DIR), ROOT, store, manual(64 << 20, 0, 4096)).unwrap();
    zone.install_gate(Some(Arc::new(DenyReads)));
    let me = Caller::agent("me").unwrap();
    disk.set_free_bytes(Some(4096));
    for _ in 0..5 {
        let full = zone.mkdir(&me, "/a", &NewFile::default(), true, Durability::Durable).unwrap_err();
        assert_eq!(full.kind, Reason::NoSpace);
        let refused = zone.view(At::Latest).unwrap().stat(&me, "/", true).unwrap_err();
        assert_eq!(refused.kind, Reason::PermissionDenied);
        clock.advance(800_000_000);
        zone.tick().unwrap();
    }
    disk.set_free_bytes(None);
    clock.advance(2_000_000_000);
    zone.tick().unwrap();
    zone.mkdir(&me, "/a", &NewFile::default(), true, Durability::Durable).unwrap();
    zone.close().unwrap();
    assert_eq!(ledger::read_all(&zone), Refusals { recorded: 0, counted: 5, gaps: 0 });
}

#[test]
fn a_view_from_before_the_disk_was_full_reads_on_after_the_zone_opened_itself_again() {
    let (env, disk, _) = Env::simulated(7);
    let store = Arc::new(BTreeStore::default());
    let zone = open_zone(&env, Path::new(DIR), ROOT, store, manual(64 << 20, 0, 0)).unwrap();
    let me = Caller::agent("me").unwrap();
    zone.put(&me, "/kept", b"one").unwrap();
    zone.put(&me, "/gone", b"was here").unwrap();
    zone.digest().unwrap();
    let before = zone.view(At::Latest).unwrap();
    disk.set_free_bytes(Some(100));
    let full = zone.put(&me, "/lost", &[7; 9000]).unwrap_err();
    assert!([Reason::NoSpace, Reason::OutcomeUnknown].contains(&full.kind), "{full:?}");
    disk.set_free_bytes(None);
    zone.put(&me, "/kept", b"two").unwrap();
    zone.unlink(&me, "/gone", Durability::Durable).unwrap();
    assert_eq!(zone.life(), 1, "the zone opened itself again");
    // What superseded the old rows goes to the tables, under the view's feet.
    zone.digest().unwrap();
    for view in [&before, &zone.view(At::Exactly(before.at())).unwrap()] {
        assert_eq!(&view.read(&me, "/kept", 0, 10).unwrap()[..], b"one");
        assert_eq!(&view.read(&me, "/gone", 0, 10).unwrap()[..], b"was here");
        let names: Vec<Vec<u8>> = view.readdir(&me, "/", None, 10).unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, [b"gone".to_vec(), b"kept".to_vec()]);
    }
    assert_eq!(&zone.view(At::Latest).unwrap().read(&me, "/kept", 0, 10).unwrap()[..], b"two");
    assert!(zone.rebuild(false, |_| ()).unwrap().equal());
    zone.close().unwrap();
}
