//! Requests beyond a bound are answered, never a panic, and leave the zone as it was.

use std::path::Path;
use std::sync::Arc;

use nexus_engine::{At, Caller, Durability, NewFile, Zone, open_zone};
use nexus_log::env::Env;
use nexus_log::event::{Event, Reason};
use nexus_projections::store::BTreeStore;
use nexus_tests::ledger;
use nexus_tests::rig::{ROOT, manual};

fn zone() -> (Zone, Caller) {
    let (env, ..) = Env::simulated(1);
    let store = Arc::new(BTreeStore::default());
    let zone = open_zone(&env, Path::new("/zone"), ROOT, store, manual(64 << 20, 0, 0)).unwrap();
    (zone, Caller::agent("me").unwrap())
}

#[test]
fn a_path_of_megabytes_is_refused_and_its_refusal_is_a_record() {
    let (zone, me) = zone();
    let path = vec![b'/'; 3 << 20];
    let refused = zone.unlink(&me, &path[..], Durability::Durable).unwrap_err();
    assert_eq!(refused.kind, Reason::NameTooLong);
    zone.tick().unwrap();
    let last = zone.log().record(zone.log().flushed()).unwrap();
    let Event::Refused(refused) = &last.events[0] else { panic!("{:?}", last.events) };
    assert_eq!(refused.path, path[..refused.path.len()]);
    assert!(refused.path.len() >= 4096);
}

#[test]
fn more_attributes_than_a_record_holds_are_too_large() {
    let (zone, me) = zone();
    let xattrs = (0..5000).map(|n| (format!("x{n}").into_bytes(), Vec::new())).collect();
    let new = NewFile { xattrs, ..NewFile::default() };
    let error = zone.create(&me, "/file", &new, true, Durability::Durable).unwrap_err();
    assert_eq!(error.kind, Reason::TooLarge);
    let error = zone.mkdir(&me, "/directory", &new, true, Durability::Durable).unwrap_err();
    assert_eq!(error.kind, Reason::TooLarge);
    let empty = zone.view(At::Latest).unwrap().readdir(&me, "/", None, 10).unwrap();
    assert!(empty.is_empty(), "{empty:?}");
}

#[test]
fn a_file_of_very_many_runs_is_stored_whole() {
    const RUNS: u64 = 20_000;
    let (zone, me) = zone();
    let mut writer = zone.content_writer(&me);
    for run in 0..RUNS {
        writer.write(&(run as u32).to_le_bytes()).unwrap();
        writer.hole(12).unwrap();
    }
    zone.put_content(&me, "/sparse", &NewFile::default(), writer, Durability::Durable).unwrap();
    let view = zone.view(At::Latest).unwrap();
    let bytes = view.read(&me, "/sparse", 0, 1 << 30).unwrap();
    assert_eq!(bytes.len() as u64, RUNS * 16);
    for (run, part) in bytes.chunks(16).enumerate() {
        assert_eq!((&part[..4], &part[4..]), (&(run as u32).to_le_bytes()[..], &[0; 12][..]), "run {run}");
    }
    // Shrinking it goes in steps, and ends where it was told to.
    zone.truncate(&me, "/sparse", 160, Durability::Durable).unwrap();
    let view = zone.view(At::Latest).unwrap();
    assert_eq!(view.read(&me, "/sparse", 0, 1 << 30).unwrap()[..], bytes[..160]);
    assert!(zone.rebuild(false, |_| {}).unwrap().equal());
}

#[test]
fn an_append_beyond_one_record_is_refused_like_any_call() {
    let (zone, me) = zone();
    zone.put(&me, "/file", b"x").unwrap();
    let error = zone.append(&me, "/file", &vec![0; (8 << 20) + 1], Durability::Durable).unwrap_err();
    assert_eq!(error.kind, Reason::TooLarge);
    zone.close().unwrap();
    assert_eq!(ledger::read_all(&zone).recorded, 1);
}
