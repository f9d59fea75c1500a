//! A populated zone: accepted creates, hot reads, reads of the past, reopening after an unclean end.

use std::path::Path;
use std::time::Instant;

use nexus_engine::{Error, Nexus, ZoneOptions};

use crate::bed::{Bed, SMALL_BYTES, failed};
use crate::measure::{past, populated};
use crate::report::Report;
use crate::system::{disk_bytes, resident_mib};

pub(super) fn run(dir: &Path, files: u64, report: &mut Report) -> Result<(), Error> {
    let bed = Bed::new(dir, "reads", ZoneOptions::default())?;
    let rate = populated::populate(&bed.zone, &bed.caller, files)?;
    report.plain("accepted create 1 KiB, 1 thread", rate, "ops/s");
    bed.zone.digest()?;
    let overhead = disk_bytes(&bed.dir) as f64 / files as f64 - SMALL_BYTES as f64;
    report.plain("disk bytes per file beside its content", overhead, "bytes");
    let hot = populated::hot(&bed, files)?;
    report.plain("stat by path, hot", hot.stat_us, "us");
    report.plain("stat by path, all files", hot.stat_all_us, "us");
    report.plain("read 1 KiB by path, hot", hot.read_us, "us");
    report.plain("readdir", hot.readdir, "entries/s");
    for versions in past::VERSIONS {
        let past = past::stats(&bed.zone, &bed.caller, populated::reads_for(files), versions)?;
        report.plain(format!("stat {} versions ago", past.versions), past.us, "us");
        report.plain("  ratio to the same at latest", past.ratio, "");
    }
    report.plain("resident memory", resident_mib(), "MiB");
    reopen(bed, report)
}

/// A copy of the files as they are while the zone is open is what a kill leaves.
fn reopen(bed: Bed, report: &mut Report) -> Result<(), Error> {
    let copy = bed.dir.with_extension("killed");
    let status = std::process::Command::new("cp").arg("-a").arg(&bed.dir).arg(&copy).status();
    let status = status.map_err(failed("copy the data directory"))?;
    assert!(status.success(), "cp reported its failure");
    let begin = Instant::now();
    let nexus = Nexus::open(&copy, ZoneOptions::default())?;
    report.plain("reopen after an unclean end", begin.elapsed().as_secs_f64() * 1000.0, "ms");
    nexus.close()?;
    bed.close().map(drop)
}
