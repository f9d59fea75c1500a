//! `nexus bench`: the canonical workload beside the raw disk, in one run.
//!
//! Ours and the disk's own are measured in turns of a quarter second and compared pair by pair: on a machine whose
//! speed drifts, figures taken minutes apart say nothing.

mod durable;
mod reads;

use std::path::PathBuf;

use nexus_engine::Error;

use crate::bed::Scratch;
use crate::report::Report;

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// A directory on the disk to measure; a folder of its own is made in it and removed again.
    pub dir: PathBuf,
    /// Pairs of turns per comparison.
    pub pairs: usize,
    pub threads: Vec<usize>,
    /// Compare the two drivers of the appender, and writing zeros ahead with not.
    pub drivers: bool,
    /// Files of the populated zone for reads and reopening.
    pub files: u64,
}

/// Runs the whole workload. `say` is told what is going on.
pub fn run(options: &BenchOptions, say: &mut dyn FnMut(&str)) -> Result<Report, Error> {
    let scratch = Scratch::new(&options.dir)?;
    let dir = scratch.path();
    let mut report = Report::default();
    for threads in &options.threads {
        say(&format!("durable create of 1 KiB files, {threads} threads"));
        durable::creates(dir, options.pairs, *threads, &mut report)?;
    }
    if options.drivers {
        for threads in &options.threads {
            say(&format!("who writes, and zeros ahead, {threads} threads"));
            durable::drivers(dir, options.pairs, *threads, &mut report)?;
        }
    }
    for bytes in [64 << 10, 1 << 20] {
        say(&format!("durable content of {} KiB", bytes >> 10));
        durable::content(dir, options.pairs, bytes, &mut report)?;
    }
    say(&format!("{} accepted creates", options.files));
    reads::run(dir, options.files, &mut report)?;
    Ok(report)
}
