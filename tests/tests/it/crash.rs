//! A process is killed while it works, again and again on one directory. What it was told is durable is there.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use nexus_engine::{At, Caller, Nexus, ZoneOptions, exists};
use nexus_log::env::{Env, SplitMix64};
use nexus_log::ids::Seq;
use nexus_tests::acks::{Ack, check_requests};
use nexus_tests::compare::assert_same;
use nexus_tests::ledger;
use nexus_tests::model::replay::Replay;

/// Starts a child on `dir`, kills it behind `lines` acknowledgements, and gives all that it told.
fn killed_after(dir: &Path, seed: u64, lines: u64) -> Vec<Ack> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crash_child"))
        .args([dir.as_os_str(), seed.to_string().as_ref()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap());
    let mut acks = Vec::new();
    let mut line = String::new();
    loop {
        if acks.len() as u64 == lines {
            child.kill().unwrap();
        }
        line.clear();
        if told.read_line(&mut line).unwrap() == 0 {
            break;
        }
        // The last line may be cut.
        acks.extend(Ack::parse(&line));
    }
    let status = child.wait().unwrap();
    assert!(status.code().is_none() && acks.len() as u64 >= lines, "the child ended by itself: {status}");
    acks
}

fn check(dir: &Path, acks: &[Ack]) {
    let nexus = Nexus::open(dir, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let me = Caller::agent("checker").unwrap();
    acks.iter().for_each(|ack| ack.check(&zone, &me));
    check_requests(&zone, acks);
    ledger::read_all(&zone);
    ledger::assert_usage(&zone, &me);
    let last = zone.log().flushed();
    let mut replay = Replay::new(zone.log());
    replay.run(Seq::FIRST, last, |_, _| {}).unwrap();
    assert_same(&zone, At::Exactly(last), &replay.tree);
    assert!(zone.rebuild(false, |_| {}).unwrap().equal());
    let zone_dir = nexus_engine::root_zone_dir(dir);
    ledger::assert_root(&Env::real(), &zone_dir, &zone);
    nexus.close().unwrap();
}

#[test]
fn a_killed_process_loses_nothing_that_it_was_told_is_durable() {
    let rounds = std::env::var("NEXUS_CRASH_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let mut rng = SplitMix64::new(rounds);
    let mut dir = tempfile::tempdir().unwrap();
    let mut acks: Vec<Ack> = Vec::new();
    for round in 0..rounds {
        if round % 5 == 0 {
            dir = tempfile::tempdir().unwrap();
            acks.clear();
        }
        let path = dir.path().join("data");
        let lines = [0, 1, 5, 60][rng.below(4) as usize] + rng.below(30);
        // Now and then before anything was told, perhaps before there is a zone.
        let lines = if rng.below(5) == 0 { 0 } else { lines };
        acks.extend(killed_after(&path, round, lines));
        // Some rounds leave it to the next child to recover.
        if rng.below(4) > 0 && exists(&Env::real(), &path).unwrap() {
            check(&path, &acks);
        }
    }
    if exists(&Env::real(), &dir.path().join("data")).unwrap() {
        check(&dir.path().join("data"), &acks);
    }
}
