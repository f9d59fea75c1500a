//! `bench`, as short as it gets: it runs through and its figures have their names.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::rig::{Ran, Rig};

#[test]
fn a_short_bench_gives_its_figures_and_leaves_nothing_behind() {
    let rig = Rig::new();
    let disk = tempfile::tempdir().unwrap();
    let dir = disk.path().to_str().unwrap();
    let args = ["bench", "--dir", dir, "--pairs", "1", "--threads", "1", "--files", "50", "--json", "-q"];
    let figures = rig.run(args).json();
    let create = figures.iter().find(|f| f["name"] == "durable create 1 KiB, 1 threads").unwrap();
    assert!(create["value"].as_f64().unwrap() > 0.0 && create["ratio"].as_f64().unwrap() > 0.0, "{create}");
    for name in ["reopen after an unclean end", "resident memory", "stat 1000 versions ago", "readdir"] {
        assert!(figures.iter().any(|f| f["name"] == name), "{name} is missing from {figures:?}");
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 0, "the bench cleans up");
}

/// The command in a directory of its own, beside nothing.
fn alone(dir: &Path, words: &[&str]) -> Ran {
    let program = dir.join("nexus");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_nexus"), &program).unwrap();
    }
    Ran::of(Command::new(program).args(words).env_clear().output().unwrap())
}

#[test]
fn without_the_other_program_it_is_said_how_to_build_it() {
    let dir = tempfile::tempdir().unwrap();
    let message = alone(dir.path(), &["bench", "--compare"]).fails(1);
    assert!(message.contains("cargo build --release -p nexus-benches"), "{message}");
    let failed = alone(dir.path(), &["bench", "--compare", "--json"]).fails_json(1);
    assert_eq!(failed.0, "unsupported");
}

#[test]
fn the_other_program_gets_the_arguments_and_its_exit_code_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("nexus-bench-compare");
    std::fs::write(&other, "#!/bin/sh\necho \"$@\"\nexit 7\n").unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran =
        alone(dir.path(), &["bench", "--compare", "--quick", "--dir", "/d i r", "--threads", "1,8", "--json", "-q"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (7, ""), "{ran:?}");
    assert_eq!(ran.stdout, b"--dir /d i r --threads 1,8 --quick --json --quiet\n");
    for words in
        [&["bench", "--quick"][..], &["bench", "--compare", "--drivers"], &["bench", "--compare", "--quick", "--large"]]
    {
        assert!(!alone(dir.path(), words).fails(2).is_empty(), "{words:?}");
    }
}
