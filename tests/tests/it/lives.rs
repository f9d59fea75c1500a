//! Requests of several records over a failure in their middle, after which the zone opened itself again: positions, and
//! so inodes and bodies, are given out anew, and nothing that was begun before may take another's for its own.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use nexus_engine::gate::{Call, Gate};
use nexus_engine::{At, Caller, Durability, Error, NewFile, Zone, ZoneOptions, open_zone};
use nexus_log::appender::AppenderOptions;
use nexus_log::env::{Env, MemoryDisk};
use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::Inode;
use nexus_log::log::{Driver, LogOptions};
use nexus_projections::store::BTreeStore;
use nexus_tests::rig::{ROOT, disturbed};

const COPIER: &str = "copier";
const FILES: usize = 1500;

/// Lets others do something when the copier looks at its n-th file.
struct Meanwhile<F> {
    looks: AtomicU64,
    zone: OnceLock<Zone>,
    act: F,
}

impl<F: Fn(&Zone, u64) + Send + Sync> Gate for Meanwhile<F> {
    fn check(&self, call: &Call<'_>) -> Result<(), Error> {
        if call.syscall == Syscall::Stat && call.caller.context().agent == COPIER {
            let nth = self.looks.fetch_add(1, Ordering::SeqCst);
            (self.act)(self.zone.get().unwrap(), nth);
        }
        Ok(())
    }
}

fn other() -> Caller {
    Caller::agent("other").unwrap()
}

fn new() -> NewFile {
    NewFile::default()
}

/// Something that is not on the disk yet, and more than the little space that will be left.
fn accept(zone: &Zone) {
    let mut writer = zone.content_writer(&other());
    writer.write(&[7; 9000]).unwrap();
    zone.put_content(&other(), "/accepted", &new(), writer, Durability::Accepted).unwrap();
}

/// The disk is full for a moment, and the zone opens itself again.
fn lose_what_is_in_flight(zone: &Zone, disk: &MemoryDisk) {
    disk.set_free_bytes(Some(4096));
    assert!(zone.put(&other(), "/lost", &[7; 9000]).is_err());
    disk.set_free_bytes(None);
    zone.mkdir(&other(), "/theirs", &new(), true, Durability::Durable).unwrap();
    zone.put(&other(), "/theirs/file", b"kept").unwrap();
    assert_eq!(zone.life(), 1, "the zone opened itself again");
}

/// A zone whose log is written when somebody waits for it: what was begun is in memory until then.
fn zone(env: &Env) -> Zone {
    // Nothing is zeroed ahead, so that a full disk takes all that is in flight.
    let appender = AppenderOptions { zero_ahead_bytes: 0, ..AppenderOptions::default() };
    let log = LogOptions { driver: Driver::Manual, appender, reserve_bytes: 0 };
    let options = ZoneOptions { log, reads: Some(nexus_engine::ReadPolicy::Off), ..ZoneOptions::default() };
    open_zone(env, Path::new("/zone"), ROOT, Arc::new(BTreeStore::default()), options).unwrap()
}

#[test]
fn a_tree_that_a_failure_took_while_it_was_built_takes_no_other_for_its_own() {
    // Where the failure comes, by how many files were looked at.
    for failure in [300, 700, 1200] {
        let (env, disk, _clock) = Env::simulated(failure);
        let zone = zone(&env);
        zone.mkdir(&other(), "/a", &new(), true, Durability::Accepted).unwrap();
        for file in 0..FILES {
            zone.create(&other(), &format!("/a/{file:04}")[..], &new(), true, Durability::Accepted).unwrap();
        }
        let gate = Arc::new(Meanwhile {
            looks: AtomicU64::new(0),
            zone: OnceLock::new(),
            act: move |zone: &Zone, nth| match nth {
                // It is lost too, so that the position of the tree's top is that of `/theirs` later.
                5 => accept(zone),
                n if n == failure => lose_what_is_in_flight(zone, &disk),
                _ => {}
            },
        });
        assert!(gate.zone.set(zone.clone()).is_ok());
        zone.install_gate(Some(gate));
        let copied = zone.copy(&Caller::agent(COPIER).unwrap(), "/a", At::Latest, "/copy", Durability::Durable);
        zone.install_gate(None);
        let view = zone.view(At::Latest).unwrap();
        let names = |path: &str| -> Vec<String> {
            let entries = view.readdir(&other(), path, None, 2 * FILES).unwrap();
            entries.iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect()
        };
        assert_eq!(names("/theirs"), ["file"], "{copied:?}");
        assert_eq!(&view.read(&other(), "/theirs/file", 0, 10).unwrap()[..], b"kept");
        match copied {
            Ok(_) => assert_eq!(names("/copy"), names("/a")),
            Err(error) => {
                assert!(disturbed(error.kind), "{error:?}");
                assert_eq!(view.stat(&other(), "/copy", false).unwrap_err().kind, Reason::NotFound);
            }
        }
        assert!(zone.rebuild(false, |_| {}).unwrap().equal());
        let counts = zone.row_counts(At::Latest).unwrap();
        assert!(counts.contains(&("orphan", 0)), "{counts:?}");
        assert_eq!(view.path_of(Inode::ROOT).unwrap().as_deref(), Some(&b"/"[..]));
        zone.close().unwrap();
    }
}

#[test]
fn content_that_a_failure_took_while_it_was_stored_does_not_go_into_another_file() {
    let (env, disk, _clock) = Env::simulated(1);
    let zone = zone(&env);
    let chunk = |fill: u8| vec![fill; 1 << 20];
    let put_large = |path: &str| {
        let mut writer = zone.content_writer(&other());
        (101..=110).for_each(|fill| writer.write(&chunk(fill)).unwrap());
        zone.put_content(&other(), path, &new(), writer, Durability::Durable).unwrap();
    };
    // It is lost too, so that the body's number is that of another's later.
    accept(&zone);
    let me = Caller::agent("me").unwrap();
    let mut writer = zone.content_writer(&me);
    (1..=11).for_each(|fill| writer.write(&chunk(fill)).unwrap());
    disk.set_free_bytes(Some(4096));
    assert!(zone.put(&other(), "/lost", &chunk(0)).is_err());
    disk.set_free_bytes(None);
    put_large("/theirs");
    assert_eq!(zone.life(), 1, "the zone opened itself again");
    let _ = (12..=24).try_for_each(|fill| writer.write(&chunk(fill)));
    let put = zone.put_content(&me, "/mine", &new(), writer, Durability::Durable);
    assert!(put.is_err());
    zone.put(&other(), "/after", b"all is flushed").unwrap();
    let view = zone.view(At::Latest).unwrap();
    for at in 0..10 {
        let bytes = view.read(&me, "/theirs", at << 20, 1 << 20).unwrap();
        assert!(bytes.iter().all(|b| u64::from(*b) == at + 101), "chunk {at} of another file is {}", bytes[0]);
    }
    zone.close().unwrap();
}
