//! The table: who may import whom (DESIGN section 2). A row for a crate or file that does not exist yet is harmless.
//!
//! A place is a file or folder from the workspace's root without `.rs`; a `*` at its end makes it a prefix.

/// Where this table stands, for messages.
pub(super) const TABLE: &str = "tools/xtask/src/layers/rules.rs";

/// Lines of a file that are not tests (STYLE 6).
pub(super) const FILE_LINES_MAX: usize = 800;

/// A crate of ours and those of ours that it may depend on, in any kind of dependency.
pub(super) struct CrateRule {
    pub name: &'static str,
    pub folder: &'static str,
    pub may: &'static [&'static str],
}

pub(super) const CRATES: &[CrateRule] = &[
    CrateRule { name: "nexus-log", folder: "log", may: &[] },
    CrateRule { name: "nexus-projections", folder: "projections", may: &["nexus-log"] },
    CrateRule { name: "nexus-replication", folder: "replication", may: &["nexus-log"] },
    CrateRule { name: "nexus-engine", folder: "engine", may: &["nexus-log", "nexus-projections"] },
    CrateRule { name: "nexus-server", folder: "server", may: &["nexus-engine", "nexus-log"] },
    CrateRule { name: "nexus-benches", folder: "benches", may: &["nexus-engine", "nexus-log", "nexus-projections"] },
    CrateRule {
        name: "nexus-cli",
        folder: "tools/cli",
        may: &["nexus-benches", "nexus-engine", "nexus-log", "nexus-projections"],
    },
    CrateRule { name: "xtask", folder: "tools/xtask", may: &[] },
    CrateRule { name: "nexus-tests", folder: "tests", may: &["nexus-engine", "nexus-log", "nexus-projections"] },
];

/// A framework and the only crates whose manifests may ask for it (STYLE 4). `nexus-tests` may ask for anything.
pub(super) struct FrameworkRule {
    pub framework: &'static str,
    pub users: &'static [&'static str],
}

pub(super) const FRAMEWORKS: &[FrameworkRule] = &[
    FrameworkRule { framework: "fjall", users: &["nexus-projections", "nexus-benches"] },
    FrameworkRule { framework: "redb", users: &["nexus-benches"] },
    FrameworkRule { framework: "rusqlite", users: &["nexus-benches"] },
    FrameworkRule { framework: "criterion", users: &["nexus-benches"] },
    FrameworkRule { framework: "openraft", users: &["nexus-replication"] },
    FrameworkRule { framework: "tokio", users: &["nexus-replication", "nexus-server"] },
    FrameworkRule { framework: "tonic", users: &["nexus-replication", "nexus-server"] },
    FrameworkRule { framework: "axum", users: &["nexus-server"] },
    FrameworkRule { framework: "fuser", users: &["nexus-server"] },
    FrameworkRule { framework: "clap", users: &["nexus-server", "nexus-cli", "nexus-benches"] },
];

/// A path and the only places whose code, tests aside, may name it or anything below it.
pub(super) struct PathRule {
    pub path: &'static [&'static str],
    pub places: &'static [&'static str],
    pub why: &'static str,
}

pub(super) const PATHS: &[PathRule] = &[
    PathRule {
        path: &["fjall"],
        places: &["projections/src/store/fjall*", "benches/src/compare/engines"],
        why: "the key-value store stands behind one trait; only who measures it by itself names it too",
    },
    PathRule {
        path: &["rkyv"],
        places: &["log/src/event"],
        why: "archived structs live behind the frame of log::event and nowhere else",
    },
    PathRule {
        path: &["rustix"],
        places: &["log/src/env", "tools/cli", "benches"],
        why: "system calls go through the env seam",
    },
    PathRule {
        path: &["std", "thread"],
        places: &["log/src/log", "engine/src/zone/keeper", "tools", "benches"],
        why: "appender, sequencer and flusher are steppable cores; a thread that drives one is named here",
    },
    PathRule {
        path: &["std", "fs"],
        places: &["log/src/env/real", "tools", "benches"],
        why: "the disk is reached through Env::disk, so that tests can make it fail",
    },
    PathRule {
        path: &["std", "time", "Instant"],
        places: &["log/src/env/real", "tools", "benches"],
        why: "time comes from Env::clock",
    },
    PathRule {
        path: &["std", "time", "SystemTime"],
        places: &["log/src/env/real", "tools", "benches"],
        why: "time comes from Env::clock",
    },
    PathRule { path: &["std", "net"], places: &["server"], why: "sockets belong to the surfaces" },
];

/// All that the code of a place, tests aside, may name of a crate (or of its own, as `crate`): its modules.
pub(super) struct ModuleRule {
    pub place: &'static str,
    pub of: &'static str,
    pub modules: &'static [&'static str],
    pub why: &'static str,
}

pub(super) const MODULES: &[ModuleRule] = &[
    ModuleRule {
        place: "projections",
        of: "nexus_log",
        modules: &["env", "event", "ids", "limits", "record"],
        why: "tables are folded from records handed to them; they know no segment and append nothing",
    },
    ModuleRule { place: "log/src/ids", of: "crate", modules: &["ids"], why: "ids are the bottom" },
    ModuleRule { place: "log/src/limits", of: "crate", modules: &["ids", "limits"], why: "limits are the bottom" },
    ModuleRule {
        place: "log/src/env",
        of: "crate",
        modules: &["env", "limits"],
        why: "the seam to the outside knows nothing of what goes through it",
    },
    ModuleRule {
        place: "log/src/event",
        of: "crate",
        modules: &["event", "ids", "limits"],
        why: "facts know nothing of the records and files that hold them",
    },
    ModuleRule {
        place: "log/src/record",
        of: "crate",
        modules: &["env", "event", "ids", "limits", "record"],
        why: "a record's bytes are values; files are the segments' matter",
    },
];

/// Whether `file` lies in `place`.
pub(super) fn lies_in(file: &str, place: &str) -> bool {
    if let Some(prefix) = place.strip_suffix('*') {
        return file.starts_with(prefix);
    }
    file.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}
