//! An import that is killed again and again: nothing is lost, nothing is half there, the past is what it was.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test on real files and processes fails by panicking"
)]

mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tree::{Rng, Snapshot};

/// Rounds of killing in the normal run; more with NEXUS_KILL_ROUNDS.
const ROUNDS: u32 = 10;

struct Bench {
    _scratch: tempfile::TempDir,
    source: PathBuf,
    data: PathBuf,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let scratch = tempfile::tempdir().unwrap();
        let bench =
            Bench { source: scratch.path().join("source"), data: scratch.path().join("data"), _scratch: scratch };
        tree::make(&bench.source, &mut Rng::new(seed));
        bench.nexus(&["init", "--reads", "off"]);
        bench
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
        command.arg("--data").arg(&self.data).args(args).env_remove("NEXUS_DATA").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a verb that must succeed.
    fn nexus(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nexus {args:?}: {:?}\n{stderr}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    fn source(&self) -> &str {
        self.source.to_str().unwrap()
    }

    fn export(&self, name: &str, extra: &[&str]) -> PathBuf {
        let target = self.data.with_file_name(name);
        let mut args = vec!["export", "/tree", target.to_str().unwrap()];
        args.extend(extra);
        self.nexus(&args);
        target
    }

    /// The last position of the log.
    fn last(&self) -> u64 {
        self.records().last().and_then(|r| r["seq"].as_u64()).unwrap()
    }

    fn records(&self) -> Vec<Value> {
        self.nexus(&["log", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts an import and kills it after `delay`, unless it is done before. True if it was killed.
    fn import_and_kill(&self, delay: Duration) -> bool {
        let mut child = self
            .command(&["import", self.source(), "/tree", "--quiet"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while begin.elapsed() < delay {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        true
    }
}

#[test]
fn an_import_killed_at_random_moments_is_resumed_and_exports_what_went_in() {
    let bench = Bench::new(1);
    let scratch = Bench::new(1);
    let begin = Instant::now();
    scratch.nexus(&["import", scratch.source(), "/tree", "--quiet"]);
    let whole = begin.elapsed();
    let mut rng = Rng::new(2);
    let rounds = std::env::var("NEXUS_KILL_ROUNDS").map_or(ROUNDS, |n| n.parse().unwrap());
    let mut killed = 0;
    for _ in 0..rounds {
        let delay = whole.mul_f64(rng.below(1000) as f64 / 1000.0);
        killed += u32::from(bench.import_and_kill(delay));
        // What is there opens, is sound, and is a prefix of the work.
        bench.nexus(&["verify", "--quiet"]);
    }
    assert!(killed > 0, "no import was slow enough to be killed");
    bench.nexus(&["import", bench.source(), "/tree", "--quiet"]);
    let before = bench.last();
    bench.nexus(&["import", bench.source(), "/tree", "--quiet"]);
    assert_eq!(bench.last(), before, "a second run has nothing to do");
    let exported = bench.export("exported", &[]);
    assert_eq!(Snapshot::of(&bench.source).differences(&Snapshot::of(&exported)), Vec::<String>::new());
    let rebuilt: Value = serde_json::from_str(bench.nexus(&["rebuild", "--json"]).lines().last().unwrap()).unwrap();
    assert_eq!(rebuilt["equal"], Value::Bool(true), "{rebuilt}");
}

#[test]
fn the_tree_half_way_is_exactly_what_had_been_imported_then() {
    let bench = Bench::new(3);
    bench.nexus(&["import", bench.source(), "/tree", "--quiet"]);
    let half = bench.last() / 2;
    let mut there = BTreeSet::new();
    for record in bench.records().iter().filter(|r| r["seq"].as_u64().unwrap() <= half) {
        let kind = record["kind"].as_str().unwrap();
        if ["file_created", "directory_created", "symlink_created", "linked"].contains(&kind) {
            let path = record["path"].as_str().unwrap();
            there.extend(path.strip_prefix("/tree/").map(str::to_owned));
        }
    }
    assert!(there.len() > 10, "half of the tree is something");
    let exported = bench.export("half", &["--at", &half.to_string()]);
    assert_eq!(Snapshot::of(&exported).paths(), there);
}

#[test]
fn a_byte_flipped_anywhere_in_the_log_is_found_and_never_served() {
    let bench = Bench::new(4);
    bench.nexus(&["import", bench.source(), "/tree", "--quiet"]);
    let log = bench.data.join("zones/root/log");
    let segment = std::fs::read_dir(&log).unwrap().map(|e| e.unwrap().path()).min().unwrap();
    let good = std::fs::read(&segment).unwrap();
    let used = good.iter().rposition(|b| *b != 0).unwrap() + 1;
    let mut rng = Rng::new(5);
    for _ in 0..12 {
        let mut bad = good.clone();
        let at = rng.below(used as u64) as usize;
        bad[at] ^= 1 << rng.below(8);
        std::fs::write(&segment, &bad).unwrap();
        let output = bench.run(&["verify", "--quiet"]);
        assert_eq!(output.status.code(), Some(3), "the flip at byte {at} of {used} was not found");
        check_not_served(&bench, at);
        std::fs::write(&segment, &good).unwrap();
    }
    bench.nexus(&["verify", "--quiet"]);
}

/// Exporting either fails or gives what went in.
fn check_not_served(bench: &Bench, at: usize) {
    let target = bench.data.with_file_name("flipped");
    let output = bench.run(&["export", "/tree", target.to_str().unwrap()]);
    if output.status.success() {
        let differences = Snapshot::of(&bench.source).differences(&Snapshot::of(&target));
        assert!(differences.is_empty(), "with the flip at byte {at}: {differences:?}");
    }
    let _ = std::fs::remove_dir_all(Path::new(&target));
}
