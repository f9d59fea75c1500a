//! Durable operations: ours and the ring's in turns.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use nexus_engine::{Durability, Error, NewFile, ZoneOptions};
use nexus_log::log::Driver;

use super::raw::{Growing, Ring};
use super::report::{Latency, Report};
use super::system::device_written_bytes;
use super::{Bed, SMALL_BYTES, TURN, io_error, options_with};

const RING_BYTES: u64 = 64 << 20;

/// Runs `operation` from `threads` threads for one turn. Returns operations per second and the latencies.
fn turn(threads: usize, operation: &(dyn Fn(usize) -> Result<(), Error> + Sync)) -> Result<(f64, Latency), Error> {
    let begin = Instant::now();
    let results: Vec<Result<(u64, Latency), Error>> = std::thread::scope(|scope| {
        let worker = |thread: usize| {
            move || {
                let (mut count, mut latency) = (0, Latency::default());
                while begin.elapsed() < TURN {
                    let start = Instant::now();
                    operation(thread)?;
                    latency.record(start.elapsed());
                    count += 1;
                }
                Ok((count, latency))
            }
        };
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(worker(thread))).collect();
        handles.into_iter().map(|h| h.join().expect("a worker does not panic")).collect()
    });
    let elapsed = begin.elapsed().as_secs_f64();
    let (mut total, mut latencies) = (0, Latency::default());
    for result in results {
        let (count, latency) = result?;
        total += count;
        latencies.add(&latency);
    }
    Ok((total as f64 / elapsed, latencies))
}

/// One file per operation, spread over a directory per thread, with content nobody else wrote.
struct Creates<'a> {
    bed: &'a Bed,
    counter: AtomicU64,
    content: Vec<u8>,
}

impl<'a> Creates<'a> {
    fn new(bed: &'a Bed, threads: usize, bytes: usize) -> Result<Creates<'a>, Error> {
        for thread in 0..threads {
            let path = format!("/{thread}");
            bed.zone.mkdir(&bed.caller, &path[..], &NewFile::default(), false, Durability::Durable)?;
        }
        let content = (0..bytes).map(|i| (i * 31 % 251) as u8).collect();
        Ok(Creates { bed, counter: AtomicU64::new(0), content })
    }

    fn one(&self, thread: usize) -> Result<(), Error> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let path = format!("/{thread}/{number}");
        let mut content = self.content.clone();
        content[..8].copy_from_slice(&number.to_le_bytes());
        self.bed.zone.put(&self.bed.caller, &path[..], &content).map(|_| ())
    }
}

fn ring_append(ring: &Ring, record: &[u8]) -> Result<(), Error> {
    ring.append(record).map_err(io_error("write the ring"))
}

pub(super) fn creates(dir: &Path, pairs: usize, threads: usize, report: &mut Report) -> Result<(), Error> {
    let ring_path = dir.join("ring");
    let ring = Ring::new(&ring_path, RING_BYTES).map_err(io_error("make the ring"))?;
    let bed = Bed::new(dir, &format!("create-{threads}"), ZoneOptions::default())?;
    let creates = Creates::new(&bed, threads, SMALL_BYTES)?;
    let record = vec![7u8; SMALL_BYTES];
    let (mut rates, mut latencies) = (Vec::new(), Latency::default());
    let (mut device, mut operations) = (0, 0.0);
    for pair in 0..=pairs {
        let before = device_written_bytes(dir);
        let count_before = creates.counter.load(Ordering::Relaxed);
        let (ours, latency) = turn(threads, &|thread| creates.one(thread))?;
        let written = device_written_bytes(dir) - before;
        let (theirs, _) = turn(threads, &|_| ring_append(&ring, &record))?;
        // The first pair warms up.
        if pair > 0 {
            rates.push((ours, theirs));
            latencies.add(&latency);
            device += written;
            operations += (creates.counter.load(Ordering::Relaxed) - count_before) as f64;
        }
    }
    report.compared(format!("durable create 1 KiB, {threads} threads"), "ops/s", &rates, &latencies);
    let name = format!("  device bytes per create, {threads} threads");
    report.plain(name, device as f64 / operations, "bytes");
    let dir = bed.dir.clone();
    bed.close()?;
    std::fs::remove_dir_all(dir).map_err(io_error("remove a benchmark's directory"))
}

/// Two ways of driving the log against each other, each against the default.
pub(super) fn drivers(dir: &Path, pairs: usize, threads: usize, report: &mut Report) -> Result<(), Error> {
    let variants = [
        ("a thread of its own writes", options_with(Driver::Thread, true)),
        ("no zeros ahead", options_with(Driver::FirstWaiter, false)),
    ];
    for (name, options) in variants {
        let usual = Bed::new(dir, "usual", ZoneOptions::default())?;
        let other = Bed::new(dir, "other", options)?;
        let (a, b) = (Creates::new(&usual, threads, SMALL_BYTES)?, Creates::new(&other, threads, SMALL_BYTES)?);
        let (mut rates, mut latencies) = (Vec::new(), Latency::default());
        for pair in 0..=pairs {
            let (theirs, _) = turn(threads, &|thread| a.one(thread))?;
            let (ours, latency) = turn(threads, &|thread| b.one(thread))?;
            if pair > 0 {
                rates.push((ours, theirs));
                latencies.add(&latency);
            }
        }
        report.compared(format!("{name}, {threads} threads (ratio to usual)"), "ops/s", &rates, &latencies);
        for bed in [usual, other] {
            let dir = bed.dir.clone();
            bed.close()?;
            std::fs::remove_dir_all(dir).map_err(io_error("remove a benchmark's directory"))?;
        }
    }
    Ok(())
}

/// Larger content, one writer, against the same bytes appended to a growing file.
pub(super) fn content(dir: &Path, pairs: usize, bytes: usize, report: &mut Report) -> Result<(), Error> {
    let growing = Growing::new(&dir.join("growing")).map_err(io_error("make the growing file"))?;
    let bed = Bed::new(dir, "content", ZoneOptions::default())?;
    let creates = Creates::new(&bed, 1, bytes)?;
    let record = vec![7u8; bytes];
    let (mut rates, mut latencies, mut device, mut count) = (Vec::new(), Latency::default(), 0, 0);
    for pair in 0..=pairs {
        let (written, made) = (device_written_bytes(dir), creates.counter.load(Ordering::Relaxed));
        let (ours, latency) = turn(1, &|thread| creates.one(thread))?;
        device += device_written_bytes(dir) - written;
        count += creates.counter.load(Ordering::Relaxed) - made;
        let (theirs, _) = turn(1, &|_| growing.append(&record).map_err(io_error("write the growing file")))?;
        if pair > 0 {
            let mib = bytes as f64 / f64::from(1 << 20);
            rates.push((ours * mib, theirs * mib));
            latencies.add(&latency);
        }
    }
    let kib = bytes >> 10;
    report.compared(format!("durable content {kib} KiB, 1 thread"), "MiB/s", &rates, &latencies);
    let per_byte = device as f64 / (count as f64 * bytes as f64);
    report.plain(format!("  device bytes per byte, {kib} KiB"), per_byte, "");
    let dir = bed.dir.clone();
    bed.close()?;
    std::fs::remove_dir_all(dir).map_err(io_error("remove a benchmark's directory"))
}
