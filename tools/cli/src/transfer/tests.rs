//! Trees go in and come out as they were, again and again, and whatever stops them.

mod changes;
mod resume;
mod round_trip;
mod tree;

use std::path::{Path, PathBuf};

use nexus_engine::{At, Caller, Nexus, RootAttributes, Zone, ZoneOptions};

use super::host::compare;
use super::{ExportOptions, ExportReport, ImportOptions, ImportReport, export, import};

/// A directory for one test, with a data directory in it.
struct Bench {
    dir: tempfile::TempDir,
    nexus: Option<Nexus>,
    caller: Caller,
}

impl Bench {
    fn new() -> Bench {
        Bench::in_dir(tempfile::tempdir().unwrap())
    }

    fn in_dir(dir: tempfile::TempDir) -> Bench {
        let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
        // Records are counted: what is read must make none.
        let options = ZoneOptions { reads: Some(nexus_engine::ReadPolicy::Off), ..ZoneOptions::default() };
        let nexus = Nexus::init(&dir.path().join("data"), root, options).unwrap();
        Bench { dir, nexus: Some(nexus), caller: Caller::agent("mover").unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn zone(&self) -> Zone {
        self.nexus.as_ref().unwrap().zone("root").unwrap()
    }

    /// Number of records in the log.
    fn records(&self) -> u64 {
        self.zone().log().appended().0.0
    }

    fn import(&self, source: &Path, destination: &str) -> ImportReport {
        self.import_with(source, destination, ImportOptions::default())
    }

    fn import_with(&self, source: &Path, destination: &str, options: ImportOptions) -> ImportReport {
        import(&self.zone(), &self.caller, source, destination.as_bytes(), &options, &mut |_| {}).unwrap()
    }

    fn export(&self, source: &str, destination: &Path) -> ExportReport {
        self.export_with(source, destination, ExportOptions::default())
    }

    fn export_with(&self, source: &str, destination: &Path, options: ExportOptions) -> ExportReport {
        let view = self.zone().view(At::Latest).unwrap();
        export(&view, &self.caller, source.as_bytes(), destination, &options, &mut |_| {}).unwrap()
    }

    /// The tree that the zone holds at `source` is the one at `expected`.
    fn assert_holds(&self, source: &str, expected: &Path, name: &str) {
        let out = self.path(name);
        let report = self.export(source, &out);
        assert_eq!((report.failed, report.attributes_lost), (0, 0), "{:?}", report.problems);
        assert_eq!(compare(expected, &out), Vec::<String>::new());
    }
}
