//! `doctor`: every defect that is planted is named with its severity, and looking changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nexus_engine::{RootAttributes, ZoneOptions, open_zone, root_zone_dir};
use nexus_log::env::{Env, ManualClock};
use nexus_projections::store::BTreeStore;
use serde_json::Value;

use crate::rig::{Ran, Rig, keys};

/// What a run of `doctor --json` told: exit code, and of each check the worst severity with what and what to run.
struct Told {
    code: i32,
    worst: BTreeMap<String, (usize, Value)>,
    error: Option<Value>,
}

const SEVERITIES: [&str; 4] = ["ok", "notice", "problem", "damage"];

impl Told {
    fn of(ran: Ran) -> Told {
        assert_eq!(ran.stderr, "", "{ran:?}");
        let mut told = Told { code: ran.code, worst: BTreeMap::new(), error: None };
        for line in String::from_utf8(ran.stdout).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if line.get("error").is_some() {
                told.error = Some(line["error"].clone());
                continue;
            }
            assert_eq!(keys(&line), ["check", "run", "severity", "what"]);
            let severity = SEVERITIES.iter().position(|name| line["severity"] == *name).unwrap();
            let worst = told.worst.entry(line["check"].as_str().unwrap().to_owned()).or_insert((0, line.clone()));
            if severity >= worst.0 {
                *worst = (severity, line);
            }
        }
        told
    }

    /// Asserts that the check is of that severity, no other is worse, and the exit code is the one of it. Returns the
    /// words.
    #[track_caller]
    fn worst_is(&self, check: &str, severity: &str) -> String {
        let rank = SEVERITIES.iter().position(|name| *name == severity).unwrap();
        let all = || self.worst.values().map(|(_, line)| line.to_string()).collect::<Vec<_>>().join("\n");
        let (found, line) = self.worst.get(check).unwrap_or_else(|| panic!("nothing of {check}:\n{}", all()));
        assert_eq!(*found, rank, "{check}:\n{}", all());
        assert!(self.worst.values().all(|(other, _)| *other <= rank), "{}", all());
        assert_eq!(self.code, [0, 0, 1, 3][rank], "{}", all());
        assert_eq!(
            self.error.as_ref().map(|e| e["kind"].as_str().unwrap()),
            [None, None, Some("problem"), Some("corrupt")][rank]
        );
        format!("{} / {}", line["what"].as_str().unwrap(), line["run"].as_str().unwrap_or(""))
    }
}

/// Every file below a directory with its bytes and its time of change.
fn contents(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, meta) = entry.map(|e| (e.path(), e.metadata().unwrap())).unwrap();
            if meta.is_dir() {
                folders.push(path);
            } else {
                all.insert(path.clone(), (fs::read(&path).unwrap(), meta.modified().unwrap()));
            }
        }
    }
    all
}

/// Runs `doctor` and holds it to changing nothing.
#[track_caller]
fn doctor(rig: &Rig) -> Told {
    let before = contents(&rig.data());
    let told = Told::of(rig.nexus("doctor --json"));
    assert!(contents(&rig.data()) == before, "looking changed something");
    told
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn with(rig: &Rig, extension: &str) -> Vec<PathBuf> {
    let dir = root_zone_dir(&rig.data()).join("log");
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = names.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

/// A zone that was closed, with a few records.
fn small() -> Rig {
    let rig = Rig::new();
    rig.feed("put /a", b"bytes that stand in the log once").ok();
    rig.feed("put /b", b"behind it").ok();
    rig
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[test]
fn a_sound_directory_is_said_to_be_sound() {
    let rig = small();
    let told = doctor(&rig);
    told.worst_is("log", "ok");
    let checks: Vec<&str> = told.worst.keys().map(String::as_str).collect();
    let all = [
        "clock",
        "directory",
        "filesystem",
        "holder",
        "identity",
        "leftovers",
        "log",
        "open files",
        "permissions",
        "segments",
        "space",
        "spare copies",
        "tables",
    ];
    assert_eq!(checks, all);
    let lines = rig.nexus("doctor").lines();
    assert!(lines.iter().all(|line| line.starts_with("ok ")), "{lines:?}");
    assert_eq!(rig.nexus("doctor -q").lines(), Vec::<String>::new());
}

#[test]
fn what_is_no_data_directory_is_a_problem() {
    let rig = Rig::empty();
    let told = Told::of(rig.nexus("doctor --json"));
    assert!(told.worst_is("directory", "problem").contains("nexus init"));
    let rig = small();
    fs::remove_file(root_zone_dir(&rig.data()).join("meta")).unwrap();
    assert!(doctor(&rig).worst_is("directory", "damage").contains("put the zone's `meta` file back"));
}

#[test]
fn a_flipped_byte_in_the_last_segment_is_damage() {
    let rig = small();
    let segment = with(&rig, "seg").pop().unwrap();
    let text = b"bytes that stand in the log once";
    let at = fs::read(&segment).unwrap().windows(text.len()).position(|window| window == text).unwrap();
    flip(&segment, at);
    assert!(doctor(&rig).worst_is("log", "damage").contains("nexus verify"));
    let ran = rig.nexus("doctor");
    assert_eq!(ran.code, 3);
    assert!(String::from_utf8(ran.stdout).unwrap().lines().any(|line| line.starts_with("damage   log")));
}

#[test]
fn a_damaged_copy_of_the_identity_is_a_problem_and_both_are_damage() {
    let rig = small();
    let meta = root_zone_dir(&rig.data()).join("meta");
    flip(&meta, 60);
    assert!(doctor(&rig).worst_is("identity", "problem").contains("the other is in use"));
    flip(&meta, 4096 + 60);
    doctor(&rig).worst_is("identity", "damage");
}

#[test]
fn a_damaged_slot_of_the_watermark_is_a_notice_and_a_damaged_header_copy_a_problem() {
    let rig = small();
    flip(&root_zone_dir(&rig.data()).join("watermark"), 50);
    doctor(&rig).worst_is("spare copies", "notice");
    let rig = small();
    flip(&with(&rig, "seg")[0], 60);
    doctor(&rig).worst_is("spare copies", "problem");
}

#[test]
fn tables_that_are_gone_are_a_notice_and_those_that_do_not_open_a_problem_with_its_cure() {
    let rig = small();
    let tables = rig.data().join("tables");
    fs::rename(&tables, rig.path().join("aside")).unwrap();
    assert!(doctor(&rig).worst_is("tables", "notice").contains("folds the whole log"));
    fs::rename(rig.path().join("aside"), &tables).unwrap();
    doctor(&rig).worst_is("tables", "ok");
    for entry in fs::read_dir(tables.join("keyspaces/1/tables")).unwrap() {
        fs::write(entry.unwrap().path(), b"").unwrap();
    }
    assert!(doctor(&rig).worst_is("tables", "problem").contains("nexus rebuild --discard"));
    rig.nexus("rebuild --discard").ok();
    let told = doctor(&rig).worst_is("leftovers", "notice");
    assert!(told.contains("rm -r ") && told.contains("tables.discarded-1"), "{told}");
}

#[test]
fn segments_and_sidecars_that_are_missing_or_damaged_are_found() {
    let rig = Rig::new();
    for name in ["/a", "/b", "/c"] {
        // Chunks are stored once, so no two megabytes are equal.
        let mut content = vec![0; 48 << 20];
        for (index, block) in content.chunks_mut(4096).enumerate() {
            block[..8].copy_from_slice(&(index as u64 * 8 + u64::from(name.as_bytes()[1])).to_le_bytes());
        }
        rig.feed(&format!("put {name}"), &content).ok();
    }
    let (segments, sidecars) = (with(&rig, "seg"), with(&rig, "idx"));
    assert!(segments.len() >= 3 && sidecars.len() == segments.len() - 1, "{segments:?} {sidecars:?}");
    doctor(&rig).worst_is("segments", "ok");
    let aside = rig.path().join("aside");
    let without = |file: &Path, look: &dyn Fn()| {
        fs::rename(file, &aside).unwrap();
        look();
        fs::rename(&aside, file).unwrap();
    };
    without(&sidecars[0], &|| {
        assert!(doctor(&rig).worst_is("sidecars", "notice").contains("is missing"));
    });
    without(&segments[1], &|| {
        assert!(doctor(&rig).worst_is("segments", "damage").contains("one is missing or cut"));
        // Without a sidecar that tells, the segment before is walked.
        let beside = rig.path().join("beside");
        fs::rename(&sidecars[0], &beside).unwrap();
        assert!(doctor(&rig).worst_is("segments", "damage").contains("one is missing or cut"));
        fs::rename(&beside, &sidecars[0]).unwrap();
    });
    without(&segments[0], &|| {
        doctor(&rig).worst_is("log", "damage");
    });
    without(segments.last().unwrap(), &|| {
        doctor(&rig).worst_is("log", "damage");
    });
    flip(&sidecars[1], 4200);
    assert!(doctor(&rig).worst_is("sidecars", "problem").contains("rm "));
    flip(&sidecars[1], 4200);
    doctor(&rig).worst_is("segments", "ok");
    let file = fs::OpenOptions::new().write(true).open(&segments[1]).unwrap();
    file.set_len(1 << 20).unwrap();
    assert!(doctor(&rig).worst_is("segments", "damage").contains("it was cut"));
}

#[test]
fn a_directory_in_use_is_looked_at_and_what_a_kill_leaves_is_told_before_it_is_opened() {
    let rig = small();
    let mut child = rig.spawn("put /held");
    // More than it reads before it opens the directory.
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), &vec![b'x'; (8 << 20) + 1]).unwrap();
    rig.wait_until_held(&child);
    let told = Told::of(rig.nexus("doctor --json"));
    let who = told.worst_is("holder", "notice");
    assert!(who.contains(&format!("process {} (nexus)", child.id())), "{who}");
    assert_eq!(told.worst["tables"].0, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let told = doctor(&rig);
    assert!(told.worst_is("log", "notice").contains("was not closed"));
    assert_eq!(told.worst["holder"].0, 0);
}

#[test]
fn what_another_user_may_not_use_is_a_problem() {
    let rig = small();
    fs::set_permissions(rig.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let log = root_zone_dir(&rig.data()).join("log");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = rig.command(["doctor", "--json"]);
    if rustix::process::geteuid().is_root() {
        // Root may do anything; nobody may not.
        command.uid(65534).gid(65534);
    }
    let told = Told::of(Ran::of(command.output().unwrap()));
    assert!(told.worst_is("permissions", "problem").contains("chown"));
    fs::set_permissions(&log, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_nearly_full_disk_is_a_problem() {
    let rig = small();
    let mount = rig.path().join("tiny");
    fs::create_dir(&mount).unwrap();
    let data = mount.join("data");
    // In a namespace of its own, the mount goes with the process.
    let script =
        "mount -t tmpfs -o size=32m none \"$0\" && cp -a \"$1\" \"$2\" && exec \"$3\" --data \"$2\" doctor --json";
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).args([&mount, &rig.data(), &data]);
    let output = command.arg(env!("CARGO_BIN_EXE_nexus")).output();
    let Ok(output) = output.as_ref().map_err(|e| eprintln!("not tried: {e}")) else { return };
    if output.stdout.is_empty() {
        return eprintln!("not tried, no mount may be made here: {}", String::from_utf8_lossy(&output.stderr));
    }
    let told = Told::of(Ran::of(output.clone()));
    assert!(told.worst_is("space", "problem").contains("read-only"));
    assert!(told.worst["filesystem"].1["what"].as_str().unwrap().contains("tmpfs"));
}

#[test]
fn a_clock_behind_the_log_is_a_problem() {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let rig = Rig::empty();
    let real = Env::real();
    let later = ManualClock::new(real.clock.wall_ns() + 2 * HOUR_NS, real.clock.boot_ns());
    let env = Env { clock: Arc::new(later), ..real };
    let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
    let zone = root_zone_dir(&rig.data());
    open_zone(&env, &zone, root, Arc::new(BTreeStore::default()), ZoneOptions::default()).unwrap().close().unwrap();
    let told = doctor(&rig).worst_is("clock", "problem");
    assert!(told.contains("119 minutes behind") || told.contains("120 minutes behind"), "{told}");
}

#[test]
fn what_lies_about_is_told() {
    let rig = small();
    fs::write(rig.data().join("notes.txt"), b"mine").unwrap();
    assert!(doctor(&rig).worst_is("leftovers", "notice").contains("notes.txt is not ours"));
    copy(&rig.data().join("tables"), &rig.data().join("tables.discarded-7"));
    assert!(doctor(&rig).worst_is("leftovers", "notice").contains("rm -r"));
}
