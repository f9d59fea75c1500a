//! `nexus-bench-compare`, as people and programs run it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_nexus-bench-compare");
    Command::new(program).args(["--tiny", "--dir"]).arg(dir).args(arguments).output().unwrap()
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_run_answers_every_goal_and_leaves_nothing_behind() {
    let disk = tempfile::tempdir().unwrap();
    let output = run(disk.path(), &["--json", "--quiet", "--threads", "1,8"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(entries(disk.path()), 0, "the run cleans up");
    let whole: Value = serde_json::from_slice(&output.stdout).unwrap();
    let goals = whole["goals"].as_array().unwrap();
    assert!(goals.len() > 30);
    for goal in goals {
        let name = goal["name"].as_str().unwrap();
        assert!(goal["goal"].is_number() && goal["bound"].is_string() && goal["unit"].is_string(), "{goal}");
        // No burst of 64 threads was asked for, and `nexus` may not have been built.
        let left_out =
            name.contains(", 64 threads") && !name.contains("sustained") || name.contains("history of a path");
        match (&goal["value"], &goal["met"]) {
            (Value::Null, Value::Null) => assert!(left_out && goal["why"].is_string(), "{goal}"),
            (Value::Number(value), Value::Bool(_)) => assert!(value.as_f64().unwrap().is_finite(), "{goal}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let comparisons = whole["comparisons"].as_array().unwrap();
    for contender in ["nexus", "ring", "growing file", "fjall", "redb", "sqlite", "ext4 create + fsync"] {
        for threads in [1, 8] {
            let mut of = comparisons.iter().filter(|row| row["contender"] == contender && row["threads"] == threads);
            let row = of.next().unwrap_or_else(|| panic!("{contender} at {threads} threads is missing"));
            assert!(row["per_second"].as_f64().unwrap() > 0.0 && row["ours_to_it"].as_f64().unwrap() > 0.0, "{row}");
        }
    }
}

#[test]
fn a_directory_that_is_not_there_is_an_error_that_programs_can_read() {
    let disk = tempfile::tempdir().unwrap();
    let output = run(&disk.path().join("nowhere"), &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(line["error"]["message"].as_str().unwrap().contains("cannot create"), "{line}");
}
