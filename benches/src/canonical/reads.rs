//! A populated zone: accepted creates, hot reads, reads of the past, reopening after an unclean end.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nexus_engine::{Caller, Durability, Error, NewFile, Nexus, Zone, ZoneOptions};

use crate::bed::{Bed, SMALL_BYTES, failed};
use crate::measure::{past, populated};
use crate::report::Report;
use crate::system::{disk_bytes, resident_mib};
use crate::turns::timed;

/// Of the fragmented file.
const EXTENTS: u64 = 262_144;

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
        report.plain(format!("row {} versions ago", past.versions), past.row_us, "us");
        report.plain("  ratio to the same at latest", past.ratio, "");
    }
    report.plain("resident memory", resident_mib(), "MiB");
    reopen(bed, report)?;
    let bed = Bed::new(dir, "fragmented", ZoneOptions::default())?;
    fragmented(&bed.zone, &bed.caller, report)?;
    bed.close().map(drop)
}

/// A file of very many extents: what the longest create beside it takes while the file is shrunk and removed.
fn fragmented(zone: &Zone, caller: &Caller, report: &mut Report) -> Result<(), Error> {
    let mut writer = zone.content_writer(caller);
    for extent in 0..EXTENTS {
        writer.write(&[extent as u8])?;
        writer.hole(1)?;
    }
    zone.put_content(caller, "/fragmented", &NewFile::default(), writer, Durability::Durable)?;
    let offset = |write: u64| (write.wrapping_mul(0x9e37_79b9) % EXTENTS) * 2 + 1;
    let mut write = 0;
    let ns = timed(1000, 1, |_| {
        write += 1;
        zone.write(caller, "/fragmented", offset(write), &[1], Durability::Accepted).map(drop)
    })?;
    report.plain("accepted write of a byte into 262,144 extents", ns / 1000.0, "us");
    let shrink = || zone.truncate(caller, "/fragmented", EXTENTS, Durability::Durable).map(drop);
    report.plain("longest create while it is cut to half", longest_create_beside(zone, caller, shrink)?, "ms");
    let remove = || zone.unlink(caller, "/fragmented", Durability::Durable).map(drop);
    report.plain("longest create while it is removed", longest_create_beside(zone, caller, remove)?, "ms");
    Ok(())
}

fn longest_create_beside(zone: &Zone, caller: &Caller, work: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let creating = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            for file in 0.. {
                let path = format!("/beside-{:?}-{file}", zone.log().flushed());
                let begin = Instant::now();
                zone.create(caller, &path[..], &NewFile::default(), false, Durability::Accepted)?;
                longest = longest.max(begin.elapsed());
                if over.load(Ordering::Acquire) {
                    break;
                }
            }
            Ok(longest.as_secs_f64() * 1000.0)
        });
        let worked = work();
        over.store(true, Ordering::Release);
        let longest = creating.join().expect("creating does not panic");
        worked.and(longest)
    })
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
