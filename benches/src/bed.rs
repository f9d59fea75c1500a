//! A data directory for a measurement, and scratch folders that go away however it ends.

use std::error::Error as Cause;
use std::path::{Path, PathBuf};

use nexus_engine::{Caller, Error, Nexus, RootAttributes, Zone, ZoneOptions};
use nexus_log::event::Reason;
use nexus_log::log::Driver;

/// Content of the canonical small file.
pub const SMALL_BYTES: usize = 1024;

/// A data directory that is open.
pub struct Bed {
    pub dir: PathBuf,
    nexus: Nexus,
    pub zone: Zone,
    pub caller: Caller,
}

impl Bed {
    pub fn new(parent: &Path, name: &str, options: ZoneOptions) -> Result<Bed, Error> {
        let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
        Bed::of(Nexus::init(&parent.join(name), root, options)?)
    }

    pub fn open(dir: &Path) -> Result<Bed, Error> {
        Bed::of(Nexus::open(dir, ZoneOptions::default())?)
    }

    fn of(nexus: Nexus) -> Result<Bed, Error> {
        let zone = nexus.zone(nexus_engine::ROOT_ZONE)?;
        Ok(Bed { dir: nexus.dir().to_owned(), nexus, zone, caller: Caller::agent("bench")? })
    }

    /// Returns where the closed directory is.
    pub fn close(self) -> Result<PathBuf, Error> {
        self.nexus.close()?;
        Ok(self.dir)
    }

    /// Closes it and removes its files.
    pub fn remove(self) -> Result<(), Error> {
        std::fs::remove_dir_all(self.close()?).map_err(failed("remove a benchmark's directory"))
    }
}

pub(crate) fn options_with(driver: Driver, zero_ahead: bool) -> ZoneOptions {
    let mut options = ZoneOptions::default();
    options.log.driver = driver;
    if !zero_ahead {
        options.log.appender.zero_ahead_bytes = 0;
    }
    options
}

/// Something beside ours failed: the raw disk or another engine.
pub(crate) fn failed<E: Cause + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |e| Error::new(Reason::Unavailable, format!("cannot {what}")).because(e)
}

/// A folder of a run's own, removed however the run ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(parent: &Path) -> Result<Scratch, Error> {
        let path = parent.join(format!("nexus-bench-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(failed("create the benchmark's directory"))?;
        // Other programs are started with paths below it, from wherever they stand.
        Ok(Scratch(std::path::absolute(path).map_err(failed("name the benchmark's directory"))?))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
