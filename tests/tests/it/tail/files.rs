//! A zone that another process holds, followed by its files: the writer is killed, and another takes over.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nexus_engine::{Nexus, ZoneOptions, exists, root_zone_dir};
use nexus_log::env::{Env, SplitMix64};
use nexus_log::ids::Seq;
use nexus_log::log::FileTail;
use nexus_log::record::Record;

#[expect(clippy::disallowed_methods, reason = "a deadline for a process of its own")]
fn now() -> Instant {
    Instant::now()
}

/// All that is proved now.
fn drain(tail: &mut FileTail, told: &mut Vec<Record>) {
    while let Some(next) = tail.try_next().unwrap() {
        told.push((*next.record).clone());
    }
}

#[test]
fn a_killed_writer_and_the_next_are_followed_by_their_files() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let env = Env::real();
    let mut rng = SplitMix64::new(5);
    let mut told: Vec<Record> = Vec::new();
    let mut tail: Option<FileTail> = None;
    for round in 0..5 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crash_child"))
            .args([dir.as_os_str(), round.to_string().as_ref()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        for _ in 0..30 + rng.below(60) {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the writer ended by itself");
            if exists(&env, &dir).unwrap() {
                let tail = tail.get_or_insert_with(|| FileTail::open(&env, &root_zone_dir(&dir)).unwrap());
                drain(tail, &mut told);
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        drain(tail.as_mut().unwrap(), &mut told);
        // Now and then it begins anew where it stopped.
        if rng.below(2) == 0 {
            let mut anew = FileTail::open(&env, &root_zone_dir(&dir)).unwrap();
            anew.seek(tail.as_ref().unwrap().next_seq()).unwrap();
            tail = Some(anew);
        }
    }
    let nexus = Nexus::open(&dir, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let tail = tail.as_mut().unwrap();
    // What is written while the zone is open shows once its watermark follows.
    let begun = now();
    while (told.len() as u64) < zone.log().flushed().0 {
        drain(tail, &mut told);
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {}", told.len(), zone.log().flushed());
        std::thread::yield_now();
    }
    let records = zone.log().records(Seq::FIRST).map(|record| record.unwrap());
    assert!(records.eq(told), "what was told is what the log holds");
    nexus.close().unwrap();
}
