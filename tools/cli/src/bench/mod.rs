//! `nexus bench`: the canonical workload beside the raw disk, in one run.
//!
//! Ours and the disk's own are measured in turns of a quarter second and compared pair by pair: on a machine whose
//! speed drifts, figures taken minutes apart say nothing.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the real clock and the real disk")]

mod durable;
mod raw;
mod reads;
mod report;
mod system;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nexus_engine::{Caller, Error, Nexus, RootAttributes, Zone, ZoneOptions};
use nexus_log::event::Reason;
use nexus_log::log::Driver;

pub(crate) use report::Report;

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct BenchOptions {
    /// A directory on the disk to measure; a folder of its own is made in it and removed again.
    pub(crate) dir: PathBuf,
    /// Pairs of turns per comparison.
    pub(crate) pairs: usize,
    pub(crate) threads: Vec<usize>,
    /// Compare the two drivers of the appender, and writing zeros ahead with not.
    pub(crate) drivers: bool,
    /// Files of the populated zone for reads and reopening.
    pub(crate) files: u64,
}

/// Length of a turn.
pub(crate) const TURN: Duration = Duration::from_millis(250);
/// Content of the canonical small file.
pub(crate) const SMALL_BYTES: usize = 1024;

/// A data directory for a measurement.
pub(crate) struct Bed {
    pub(crate) dir: PathBuf,
    nexus: Option<Nexus>,
    pub(crate) zone: Zone,
    pub(crate) caller: Caller,
}

impl Bed {
    pub(crate) fn new(parent: &Path, name: &str, options: ZoneOptions) -> Result<Bed, Error> {
        let dir = parent.join(name);
        let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
        let nexus = Nexus::init(&dir, root, options)?;
        let zone = nexus.zone("root")?;
        Ok(Bed { dir, nexus: Some(nexus), zone, caller: Caller::agent("bench")? })
    }

    pub(crate) fn close(mut self) -> Result<(), Error> {
        self.nexus.take().expect("closed once").close()
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

pub(crate) fn io_error(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |e| Error::new(Reason::Unavailable, format!("cannot {what}")).because(e)
}

/// Removes the measurement's files however it ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the whole workload. `say` is told what is going on.
pub(crate) fn run(options: &BenchOptions, say: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let scratch = Scratch(options.dir.join(format!("nexus-bench-{}", std::process::id())));
    std::fs::create_dir(&scratch.0).map_err(io_error("create the benchmark's directory"))?;
    let mut report = Report::default();
    for threads in &options.threads {
        say(&format!("durable create of 1 KiB files, {threads} threads"));
        durable::creates(&scratch.0, options.pairs, *threads, &mut report)?;
    }
    if options.drivers {
        for threads in &options.threads {
            say(&format!("who writes, and zeros ahead, {threads} threads"));
            durable::drivers(&scratch.0, options.pairs, *threads, &mut report)?;
        }
    }
    for bytes in [64 << 10, 1 << 20] {
        say(&format!("durable content of {} KiB", bytes >> 10));
        durable::content(&scratch.0, options.pairs, bytes, &mut report)?;
    }
    say(&format!("{} accepted creates", options.files));
    reads::run(&scratch.0, options.files, &mut report)?;
    Ok(report)
}
