//! A populated zone: accepted creates, hot reads, reads of the past, large and fragmented files, reopening after an
//! unclean end.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nexus_engine::{At, Caller, Durability, Error, Inode, NewFile, Nexus, View, Zone, ZoneOptions};
use nexus_log::ids::Seq;

use super::report::{Report, median};
use super::system::{disk_bytes, resident_mib};
use super::{Bed, SMALL_BYTES, io_error};

/// Files in one directory of the populated zone.
const FILES_PER_DIRECTORY: u64 = 1000;
/// Reads that a figure is the mean of, at most and per file of the zone.
const READS_MAX: u64 = 200_000;
const READS_PER_FILE: u64 = 10;
/// Parts of a figure, of which the median counts.
const TURNS: u64 = 100;
/// Of the large file.
const LARGE_BYTES: u64 = 64 << 20;
/// Of the fragmented file.
const EXTENTS: u64 = 262_144;

fn path_of(file: u64) -> String {
    format!("/{}/{}", file / FILES_PER_DIRECTORY, file % FILES_PER_DIRECTORY)
}

fn reads_for(files: u64) -> u64 {
    (files * READS_PER_FILE).min(READS_MAX)
}

pub(super) fn run(dir: &Path, files: u64, report: &mut Report) -> Result<(), Error> {
    let bed = Bed::new(dir, "reads", ZoneOptions::default())?;
    populate(&bed, files, report)?;
    hot(&bed.zone, &bed.caller, files, report)?;
    past(&bed.zone, &bed.caller, reads_for(files), report)?;
    large(&bed.zone, &bed.caller, report)?;
    fragmented(&bed.zone, &bed.caller, report)?;
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

/// Times `operation` over pseudo-random numbers below `below`; nanoseconds per call. The median of short turns: what
/// else runs on the machine disturbs some of them.
fn timed(reads: u64, below: u64, mut operation: impl FnMut(u64) -> Result<(), Error>) -> Result<f64, Error> {
    let turn = (reads / TURNS).max(1);
    let mut state = 0x9e37_79b9_u64;
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let begin = Instant::now();
        for _ in 0..turn {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            operation((state >> 33) % below)?;
        }
        turns.push(begin.elapsed().as_nanos() as f64 / turn as f64);
    }
    Ok(median(turns))
}

fn hot(zone: &Zone, caller: &Caller, files: u64, report: &mut Report) -> Result<(), Error> {
    let (near, reads) = (files.min(FILES_PER_DIRECTORY), reads_for(files));
    let paths: Vec<String> = (0..files).map(path_of).collect();
    let path = |file: u64| &paths[file as usize][..];
    let view = zone.view(At::Latest)?;
    let ns = timed(reads, near, |file| view.stat(caller, path(file), true).map(|s| drop(black_box(s))))?;
    report.plain("stat by path, hot", ns / 1000.0, "us");
    let ns = timed(reads, near, |file| zone.stat(caller, path(file), true).map(|s| drop(black_box(s))))?;
    report.plain("stat by path, hot, each in a view of its own", ns / 1000.0, "us");
    let ns = timed(reads, files, |file| view.stat(caller, path(file), true).map(|s| drop(black_box(s))))?;
    report.plain("stat by path, all files", ns / 1000.0, "us");
    let read_one = |view: &View, file| {
        view.read(caller, path(file), 0, SMALL_BYTES).map(|bytes| assert_eq!(bytes.len(), SMALL_BYTES))
    };
    let ns = timed(reads, near, |file| read_one(&view, file))?;
    report.plain("read 1 KiB by path, hot", ns / 1000.0, "us");
    let ns = timed(reads, files, |file| read_one(&view, file))?;
    report.plain("read 1 KiB by path, all files", ns / 1000.0, "us");
    let ns = timed(TURNS, 1, |_| {
        let listed = view.readdir(caller, "/0", None, usize::MAX)?.len();
        assert_eq!(listed as u64, near, "every listing is whole");
        Ok(())
    })?;
    report.plain("readdir", near as f64 / ns * 1e9, "entries/s");
    Ok(())
}

/// A file of many chunks, read again and again from the page cache, each chunk checked against its hash.
fn large(zone: &Zone, caller: &Caller, report: &mut Report) -> Result<(), Error> {
    let mut writer = zone.content_writer(caller);
    let mut block = vec![0; 1 << 20];
    for (index, byte) in block.iter_mut().enumerate() {
        *byte = ((index * 31) >> 3) as u8;
    }
    for _ in 0..LARGE_BYTES / block.len() as u64 {
        block[0] = block[0].wrapping_add(1);
        writer.write(&block)?;
    }
    zone.put_content(caller, "/large", &NewFile::default(), writer, Durability::Durable)?;
    let view = zone.view(At::Latest)?;
    for (name, bytes) in [("8 MiB", 8 << 20), ("1 MiB", 1 << 20), ("64 KiB", 64 << 10)] {
        let mut offset = 0;
        let ns = timed(LARGE_BYTES * 4 / bytes, 1, |_| {
            let read = view.read(caller, "/large", offset, bytes as usize)?;
            assert_eq!(read.len() as u64, bytes, "the file is read whole");
            offset = (offset + bytes) % LARGE_BYTES;
            Ok(())
        })?;
        report.plain(format!("warm read of a large file, {name} each"), bytes as f64 / ns, "GB/s");
    }
    Ok(())
}

/// One small file with many versions; reads at the first of them with 1, 10 and 1,000 versions since. The hot cache
/// answers for a file's attributes at latest, but not for an extended attribute: that is the read of one row of the
/// tables, to compare with the same in the past.
fn past(zone: &Zone, caller: &Caller, reads: u64, report: &mut Report) -> Result<(), Error> {
    for versions in [1, 10, 1000] {
        let path = format!("/versions-{versions}");
        let file = zone.put(caller, &path[..], b"the first version")?.reply.inode;
        let set = |value: &str, durability| {
            zone.set_xattr(caller, file, b"v", value.as_bytes(), nexus_engine::XattrMode::Either, durability)
        };
        let first = set("the first version", Durability::Durable)?.seq.expect("a record was made");
        let mut last = Seq::ZERO;
        for version in 0..versions {
            last = set(&format!("version {version} of many"), Durability::Accepted)?.seq.expect("a record was made");
        }
        zone.digest()?;
        let now = zone.view(At::Exactly(last))?;
        let then = zone.view(At::Exactly(first))?;
        let row =
            |view: &View| timed(reads, 1, |_| view.get_xattr(caller, file, b"v").map(|value| drop(black_box(value))));
        let (latest_ns, past_ns) = (row(&now)?, row(&then)?);
        if versions == 1 {
            report.plain("row at latest, uncached", latest_ns / 1000.0, "us");
        }
        report.plain(format!("row {versions} versions ago"), past_ns / 1000.0, "us");
        report.plain("  ratio to the same at latest, uncached", past_ns / latest_ns, "");
        let ns = timed(reads, 1, |_| then.stat(caller, &path[..], true).map(|s| drop(black_box(s))))?;
        report.plain(format!("stat by path {versions} versions ago"), ns / 1000.0, "us");
    }
    Ok(())
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
    let status = status.map_err(io_error("copy the data directory"))?;
    assert!(status.success(), "cp reported its failure");
    let begin = Instant::now();
    let nexus = Nexus::open(&copy, ZoneOptions::default())?;
    report.plain("reopen after an unclean end", begin.elapsed().as_secs_f64() * 1000.0, "ms");
    nexus.close()?;
    bed.close()
}
