//! The data directory itself: what init and opening do to files that are not what they expect.
#![expect(clippy::disallowed_methods, reason = "the tests damage real directories")]

use std::fs;
use std::path::Path;

use nexus_engine::{At, Caller, Nexus, RootAttributes, ZoneOptions};
use nexus_log::event::Reason;

const ROOT: RootAttributes = RootAttributes { mode: 0o755, uid: 0, gid: 0 };

fn files_in(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// A directory with a file in it.
fn with_a_file(dir: &Path) -> Caller {
    let nexus = Nexus::init(dir, ROOT, ZoneOptions::default()).unwrap();
    let me = Caller::agent("me").unwrap();
    nexus.zone("root").unwrap().put(&me, "/kept", b"content").unwrap();
    nexus.close().unwrap();
    me
}

fn read_kept(nexus: &Nexus, me: &Caller) -> Vec<u8> {
    nexus.zone("root").unwrap().view(At::Latest).unwrap().read(me, "/kept", 0, 100).unwrap().to_vec()
}

#[test]
fn init_never_removes_a_log_whose_identity_file_is_lost() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let me = with_a_file(&dir);
    let meta = dir.join("zones/root/meta");
    let saved = fs::read(&meta).unwrap();
    fs::remove_file(&meta).unwrap();
    let before = files_in(&dir.join("zones/root/log"));
    let error = Nexus::init(&dir, ROOT, ZoneOptions::default()).unwrap_err();
    assert_eq!(error.kind, Reason::Corrupt);
    assert_eq!(files_in(&dir.join("zones/root/log")), before);
    fs::write(&meta, saved).unwrap();
    let nexus = Nexus::open(&dir, ZoneOptions::default()).unwrap();
    assert_eq!(read_kept(&nexus, &me), b"content");
}

#[test]
fn an_init_that_was_cut_short_is_begun_again() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    Nexus::init(&dir, ROOT, ZoneOptions::default()).unwrap().close().unwrap();
    fs::remove_file(dir.join("zones/root/meta")).unwrap();
    fs::remove_dir_all(dir.join("tables")).unwrap();
    Nexus::init(&dir, ROOT, ZoneOptions::default()).unwrap().close().unwrap();
}

#[test]
fn tables_that_cannot_be_opened_are_folded_anew_from_the_log() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let me = with_a_file(&dir);
    for entry in fs::read_dir(dir.join("tables")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, b"garbage").unwrap();
        }
    }
    Nexus::open(&dir, ZoneOptions::default()).expect_err("garbage is no table");
    let nexus = Nexus::open_discarding_tables(&dir, ZoneOptions::default()).unwrap();
    assert_eq!(read_kept(&nexus, &me), b"content");
    assert!(dir.join("tables.discarded-1").is_dir(), "the old ones are kept");
}

#[test]
fn an_answer_for_a_time_stays_the_answer() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let me = with_a_file(&dir);
    let nexus = Nexus::open(&dir, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let (_, last) = zone.log().appended();
    // Later than any record, and not in the future.
    let asked = At::Time(nexus_engine::CommitTime(last.0 + 1));
    let then = zone.view(asked).unwrap().at();
    zone.put(&me, "/later", b"x").unwrap();
    assert_eq!(zone.view(asked).unwrap().at(), then);
}
