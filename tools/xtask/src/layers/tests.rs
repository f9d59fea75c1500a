//! Small trees with planted faults: each must be found, where it stands, and nothing else.

use serde_json::{Value, json};

use super::check;
use crate::tree::Tree;

fn no_crates() -> Value {
    json!({ "packages": [] })
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    check(&Tree::planted(files), &no_crates()).iter().map(|finding| format!("{finding}")).collect()
}

fn package(name: &str, folder: &str, dependencies: &[&str]) -> Value {
    let dependencies: Vec<Value> = dependencies.iter().map(|name| json!({ "name": name })).collect();
    json!({ "name": name, "manifest_path": format!("/w/{folder}/Cargo.toml"), "dependencies": dependencies })
}

fn found_in_crates(packages: &[Value]) -> Vec<String> {
    let metadata = json!({ "workspace_root": "/w", "packages": packages });
    check(&Tree::default(), &metadata).iter().map(|finding| format!("{finding}")).collect()
}

#[track_caller]
fn assert_one(found: &[String], start: &str) {
    assert!(found.len() == 1 && found[0].starts_with(start), "expected only {start:?}, found {found:#?}");
}

#[test]
fn the_store_is_named_only_behind_its_trait() {
    assert_eq!(found(&[("projections/src/store/fjall.rs", "use fjall::Database;")]), [""; 0]);
    assert_eq!(found(&[("projections/src/store/fjall_ingest.rs", "use fjall::Database;")]), [""; 0]);
    let found = found(&[("engine/src/x.rs", "\n\nfn f() { fjall::Database::open() }")]);
    assert_one(
        &found,
        "engine/src/x.rs:3 imports fjall::Database::open; only projections/src/store/fjall*, benches/src/compare/engines may",
    );
}

#[test]
fn a_module_named_like_the_store_is_not_the_store() {
    assert_eq!(found(&[("projections/src/store/mod.rs", "mod fjall; pub use self::fjall::FjallStore;")]), [""; 0]);
}

#[test]
fn projections_know_no_segment_and_append_nothing() {
    let allowed = "use nexus_log::{ids::Seq, event::Event, env::Env, limits, record::Record};";
    assert_eq!(found(&[("projections/src/apply/mod.rs", allowed)]), [""; 0]);
    for planted in [
        "use nexus_log::segment::Segment;",
        "use nexus_log::{ids::Seq, appender::Appender};",
        "use nexus_log::recovery;",
        "fn f(log: &nexus_log::log::Log) {}",
        "use nexus_log::*;",
        "use nexus_log as events;",
    ] {
        assert_one(
            &found(&[("projections/src/apply/mod.rs", planted)]),
            "projections/src/apply/mod.rs:1 imports nexus_log",
        );
    }
}

#[test]
fn engine_may_name_all_of_the_log() {
    assert_eq!(found(&[("engine/src/zone.rs", "use nexus_log::log::Log; use nexus_log::segment::X;")]), [""; 0]);
}

#[test]
fn a_thread_starts_only_where_the_table_says() {
    assert_eq!(found(&[("log/src/log/driver.rs", "fn f() { std::thread::spawn(g); }")]), [""; 0]);
    assert_one(
        &found(&[("engine/src/x.rs", "use std::{fmt, thread};")]),
        "engine/src/x.rs:1 imports std::thread; only",
    );
    assert_one(&found(&[("log/src/logger.rs", "use std::thread;")]), "log/src/logger.rs:1 imports std::thread; only");
}

#[test]
fn disk_and_clock_are_reached_through_the_seam() {
    assert_eq!(found(&[("log/src/env/real.rs", "use std::fs::File; use std::time::Instant;")]), [""; 0]);
    assert_one(&found(&[("log/src/env/memory.rs", "use std::fs::File;")]), "log/src/env/memory.rs:1 imports std::fs");
    assert_one(
        &found(&[("engine/src/x.rs", "use std::time::{Duration, Instant};")]),
        "engine/src/x.rs:1 imports std::time",
    );
}

#[test]
fn the_lower_modules_of_the_log_do_not_look_up() {
    assert_one(
        &found(&[("log/src/event/v1.rs", "use crate::record::Draft;")]),
        "log/src/event/v1.rs:1 imports crate::record",
    );
    assert_one(
        &found(&[("log/src/record/mod.rs", "use crate::segment;")]),
        "log/src/record/mod.rs:1 imports crate::segment",
    );
    assert_one(
        &found(&[("log/src/event/v1.rs", "use super::super::log::Log;")]),
        "log/src/event/v1.rs:1 imports super",
    );
    assert_eq!(found(&[("log/src/event/mod.rs", "use self::v1::Context; use super::ids::Seq;")]), [""; 0]);
    assert_eq!(found(&[("log/src/appender.rs", "use crate::{record, segment};")]), [""; 0]);
}

#[test]
fn tests_may_import_what_they_like() {
    let inline = "#[cfg(test)]\nmod tests { use fjall::A; use std::thread; }";
    assert_eq!(found(&[("engine/src/x.rs", inline)]), [""; 0]);
    assert_eq!(found(&[("tests/src/lib.rs", "use std::thread;"), ("log/tests/it/main.rs", "use std::fs;")]), [""; 0]);
    let child = [
        ("engine/src/zone.rs", "#[cfg(test)]\nmod cases;"),
        ("engine/src/zone/cases.rs", "use std::thread; mod deeper;"),
        ("engine/src/zone/cases/deeper.rs", "use std::thread;"),
    ];
    assert_eq!(found(&child), [""; 0]);
    let same_name_elsewhere = ("engine/src/cases.rs", "use std::thread;");
    assert_one(&found(&[child[0], child[1], same_name_elsewhere]), "engine/src/cases.rs:1 imports std::thread");
}

#[test]
fn a_file_over_the_cap_fails_and_its_tests_do_not_count() {
    let (at_cap, over) = ("\n".repeat(800), "\n".repeat(801));
    let with_tests = format!("{at_cap}#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(900));
    assert_eq!(found(&[("log/src/a.rs", &at_cap), ("log/src/b.rs", &with_tests)]), [""; 0]);
    assert_one(&found(&[("log/src/a.rs", &over)]), "log/src/a.rs: has 801 lines besides its tests; 800 is the cap");
}

#[test]
fn the_arrows_between_crates_hold() {
    let log = package("nexus-log", "log", &["thiserror"]);
    let projections = package("nexus-projections", "projections", &["nexus-log", "fjall"]);
    let engine = package("nexus-engine", "engine", &["nexus-log", "nexus-projections"]);
    assert_eq!(found_in_crates(&[log.clone(), projections.clone(), engine.clone()]), [""; 0]);

    let upward = package("nexus-log", "log", &["nexus-projections"]);
    let start = "log/Cargo.toml: nexus-log depends on nexus-projections; it may depend on none of ours";
    assert_one(&found_in_crates(&[upward, projections.clone()]), start);

    let sideways = package("nexus-replication", "replication", &["nexus-log", "nexus-projections"]);
    let start = "replication/Cargo.toml: nexus-replication depends on nexus-projections; it may depend on nexus-log";
    assert_one(&found_in_crates(&[log, projections, sideways]), start);
}

#[test]
fn a_framework_enters_through_its_one_crate() {
    let engine = package("nexus-engine", "engine", &["tokio"]);
    assert_one(&found_in_crates(&[engine]), "engine/Cargo.toml: nexus-engine depends on tokio; only nexus-replication");
    assert_eq!(found_in_crates(&[package("nexus-tests", "tests", &["tokio"])]), [""; 0]);
}

#[test]
fn a_crate_without_a_row_or_in_another_folder_fails() {
    assert_one(&found_in_crates(&[package("nexus-utils", "utils", &[])]), "utils/Cargo.toml: nexus-utils has no row");
    assert_one(&found_in_crates(&[package("nexus-log", "wal", &[])]), "wal/Cargo.toml: nexus-log belongs in log/");
}
