//! `verify` and `rebuild`: what is sound is said to be, and what is damaged is found with its place.

use std::path::PathBuf;

use crate::rig::{Rig, keys};

fn segment(rig: &Rig) -> PathBuf {
    let dir = rig.data().join("zones/root/log");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.remove(0)
}

/// Flips a bit of the only place where `text` stands in the log.
fn flip(rig: &Rig, text: &[u8]) {
    let file = segment(rig);
    let mut bytes = std::fs::read(&file).unwrap();
    let mut places = bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text);
    let at = places.next().unwrap().0;
    assert!(places.next().is_none());
    drop(places);
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
}

#[test]
fn a_sound_zone_is_said_to_be_sound() {
    let rig = Rig::new();
    rig.feed("put /a", b"1").ok();
    rig.nexus("rm /a").ok();
    let told = rig.nexus("verify").lines();
    assert!(told.contains(&"log: sound".to_owned()) && told.last().unwrap().starts_with("tables: what"), "{told:?}");
    let checks = rig.nexus("verify --json").json();
    let log = [
        "bytes",
        "check",
        "closed",
        "findings",
        "findings_more",
        "first",
        "last",
        "records",
        "root",
        "segments",
        "sound",
        "torn",
        "zone",
    ];
    assert_eq!(keys(&checks[0]), log);
    assert_eq!(keys(&checks[1]), ["at", "check", "digest", "digest_folded", "sound"]);
    assert!(checks.iter().all(|check| check["sound"] == true));
}

#[test]
fn a_damaged_record_is_found_with_its_place_and_exit_3() {
    let rig = Rig::new();
    rig.feed("put /a", b"bytes that stand in the log once").ok();
    rig.feed("put /b", b"behind it").ok();
    flip(&rig, b"bytes that stand in the log once");
    let ran = rig.nexus("verify");
    let told = String::from_utf8(ran.stdout.clone()).unwrap();
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(told.lines().any(|line| line.starts_with("damage: log/") && line.contains("record 2")), "{told}");
    let ran = rig.nexus("verify --json");
    let text = String::from_utf8(ran.stdout.clone()).unwrap();
    let report: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(report["sound"], false);
    assert_eq!(keys(&report["findings"][0]), ["file", "offset", "seq", "severity", "what"]);
    assert_eq!(
        (report["findings"][0]["seq"].as_u64(), report["findings"][0]["severity"].as_str()),
        (Some(2), Some("damage"))
    );
    assert_eq!(ran.fails_json(3), ("corrupt".into(), "NX0017".into()));
}

#[test]
fn damaged_content_is_never_served() {
    let rig = Rig::new();
    rig.feed("put /a", b"bytes that stand in the log once").ok();
    rig.feed("put /b", b"behind it").ok();
    flip(&rig, b"bytes that stand in the log once");
    let read = rig.nexus("cat /a");
    assert_eq!((read.code, read.stdout.len()), (3, 0), "{read:?}");
    assert!(read.stderr.contains("\n  because: "), "{read:?}");
}

#[test]
fn a_rebuild_compares_equal_and_is_taken_into_use() {
    let rig = Rig::new();
    rig.feed("put /a", b"1").ok();
    rig.nexus("mkdir -p /d/e").ok();
    assert_eq!(rig.nexus("rebuild").lines().last().unwrap(), "equal");
    let report = rig.nexus("rebuild --dry-run --json").json().remove(0);
    assert_eq!(keys(&report), ["at", "digest_after", "digest_before", "equal", "records", "switched"]);
    assert_eq!((report["equal"].as_bool(), report["switched"].as_bool()), (Some(true), Some(false)));
    assert_eq!(rig.nexus("rebuild --json").json()[0]["switched"], true);
    assert_eq!(rig.nexus("ls").lines(), ["a", "d"]);
    assert_eq!(rig.nexus("cat /a").ok(), "1");
}
