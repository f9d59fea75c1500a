//! A populated zone: accepted creates, hot reads, reads of the past, reopening after an unclean end.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use nexus_engine::{At, Caller, Durability, Error, Inode, NewFile, Nexus, View, Zone, ZoneOptions};
use nexus_log::ids::Seq;

use super::report::Report;
use super::system::{disk_bytes, resident_mib};
use super::{Bed, SMALL_BYTES, io_error};

/// Files in one directory of the populated zone.
const FILES_PER_DIRECTORY: u64 = 1000;
/// Reads that a figure is the mean of, at most and per file of the zone.
const READS_MAX: u64 = 200_000;
const READS_PER_FILE: u64 = 10;

fn path_of(file: u64) -> String {
    format!("/{}/{}", file / FILES_PER_DIRECTORY, file % FILES_PER_DIRECTORY)
}

fn reads_for(files: u64) -> u64 {
    (files * READS_PER_FILE).min(READS_MAX)
}

pub(super) fn run(dir: &Path, files: u64, report: &mut Report) -> Result<(), Error> {
    let bed = Bed::new(dir, "reads", ZoneOptions::default())?;
    populate(&bed, files, report)?;
    let view = bed.zone.view(At::Latest)?;
    hot(&view, &bed.caller, files, report)?;
    drop(view);
    past(&bed.zone, &bed.caller, reads_for(files), report)?;
    report.plain("resident memory", resident_mib(), "MiB");
    reopen(bed, report)
}

fn populate(bed: &Bed, files: u64, report: &mut Report) -> Result<(), Error> {
    let (zone, caller) = (&bed.zone, &bed.caller);
    let mut content = vec![3; SMALL_BYTES];
    let begin = Instant::now();
    let mut parent = Inode::ROOT;
    for file in 0..files {
        if file.is_multiple_of(FILES_PER_DIRECTORY) {
            let path = format!("/{}", file / FILES_PER_DIRECTORY);
            let new = NewFile::default();
            parent = zone.mkdir(caller, &path[..], &new, false, Durability::Accepted)?.reply.inode;
        }
        content[..8].copy_from_slice(&file.to_le_bytes());
        let name = (file % FILES_PER_DIRECTORY).to_string();
        let mut writer = zone.content_writer(caller);
        writer.write(&content)?;
        let entry = nexus_engine::Entry::In(parent, name.as_bytes());
        zone.put_content(caller, entry, &NewFile::default(), writer, Durability::Accepted)?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    report.plain("accepted create 1 KiB, 1 thread", files as f64 / seconds, "ops/s");
    zone.digest()?;
    let overhead = disk_bytes(&bed.dir) as f64 / files as f64 - SMALL_BYTES as f64;
    report.plain("disk bytes per file beside its content", overhead, "bytes");
    Ok(())
}

/// Times `operation` over pseudo-random numbers below `below`; nanoseconds per call.
fn timed(reads: u64, below: u64, mut operation: impl FnMut(u64) -> Result<(), Error>) -> Result<f64, Error> {
    let mut state = 0x9e37_79b9_u64;
    let begin = Instant::now();
    for _ in 0..reads {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        operation((state >> 33) % below)?;
    }
    Ok(begin.elapsed().as_nanos() as f64 / reads as f64)
}

fn hot(view: &View, caller: &Caller, files: u64, report: &mut Report) -> Result<(), Error> {
    let (near, reads) = (files.min(FILES_PER_DIRECTORY), reads_for(files));
    let ns = timed(reads, near, |file| view.stat(caller, &path_of(file)[..], true).map(|s| drop(black_box(s))))?;
    report.plain("stat by path, hot", ns / 1000.0, "us");
    let ns = timed(reads, files, |file| view.stat(caller, &path_of(file)[..], true).map(|s| drop(black_box(s))))?;
    report.plain("stat by path, all files", ns / 1000.0, "us");
    let ns = timed(reads, near, |file| {
        view.read(caller, &path_of(file)[..], 0, SMALL_BYTES).map(|b| assert_eq!(b.len(), SMALL_BYTES))
    })?;
    report.plain("read 1 KiB by path, hot", ns / 1000.0, "us");
    let begin = Instant::now();
    let (mut listed, mut rounds) = (0, 0);
    while begin.elapsed().as_millis() < 500 {
        listed += view.readdir(caller, "/0", None, usize::MAX)?.len();
        rounds += 1;
    }
    assert_eq!(listed as u64, rounds * near, "every listing is whole");
    report.plain("readdir", listed as f64 / begin.elapsed().as_secs_f64(), "entries/s");
    Ok(())
}

/// One small file with many versions; reads at the first of them with 1, 10 and 1,000 versions since.
fn past(zone: &Zone, caller: &Caller, reads: u64, report: &mut Report) -> Result<(), Error> {
    for versions in [1, 10, 1000] {
        let path = format!("/versions-{versions}");
        let first = zone.put(caller, &path[..], b"the first version")?.seq.expect("a record was made");
        let mut last = Seq::ZERO;
        for version in 0..versions {
            let mut writer = zone.content_writer(caller);
            writer.write(format!("version {version} of many").as_bytes())?;
            let new = NewFile::default();
            let done = zone.put_content(caller, &path[..], &new, writer, Durability::Accepted)?;
            last = done.seq.expect("a record was made");
        }
        zone.digest()?;
        let now = zone.view(At::Exactly(last))?;
        let then = zone.view(At::Exactly(first))?;
        let latest_ns = timed(reads, 1, |_| now.stat(caller, &path[..], true).map(|s| drop(black_box(s))))?;
        let past_ns = timed(reads, 1, |_| then.stat(caller, &path[..], true).map(|s| drop(black_box(s))))?;
        report.plain(format!("stat {versions} versions ago"), past_ns / 1000.0, "us");
        report.plain("  ratio to the same at latest", past_ns / latest_ns, "");
    }
    Ok(())
}

/// A copy of the files as they are while the zone is open is what a kill leaves.
fn reopen(bed: Bed, report: &mut Report) -> Result<(), Error> {
    let copy = bed.dir.with_extension("killed");
    let status = std::process::Command::new("cp").arg("-a").arg(&bed.dir).arg(&copy).status();
    let status = status.map_err(io_error("copy the data directory"))?;
    assert!(status.success(), "cp reported its failure");
    let begin = Instant::now();
    let nexus = Nexus::open(&copy, ZoneOptions::default())?;
    report.plain("reopen after an unclean end", begin.elapsed().as_secs_f64() * 1000.0, "ms");
    nexus.close()?;
    bed.close()
}
