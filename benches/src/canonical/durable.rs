//! Durable operations: ours and the ring's in turns.

use std::path::Path;

use nexus_engine::{Durability, Error, ZoneOptions};
use nexus_log::log::Driver;

use crate::bed::{Bed, SMALL_BYTES, failed, options_with};
use crate::measure::content;
use crate::measure::creates::Creates;
use crate::raw::{RING_BYTES, RawFile};
use crate::report::{Latency, Report};
use crate::system::device_written_bytes;
use crate::turns::{TURN, turn};

pub(super) fn creates(dir: &Path, pairs: usize, threads: usize, report: &mut Report) -> Result<(), Error> {
    let ring = RawFile::ring(&dir.join("ring"), RING_BYTES).map_err(failed("make the ring"))?;
    let bed = Bed::new(dir, &format!("create-{threads}"), ZoneOptions::default())?;
    let creates = Creates::new(&bed.zone, &bed.caller, "", threads, SMALL_BYTES)?;
    let record = vec![7u8; SMALL_BYTES];
    let (mut rates, mut latencies) = (Vec::new(), Latency::default());
    let (mut device, mut operations) = (0, 0);
    for pair in 0..=pairs {
        let before = device_written_bytes(dir);
        let ours = turn(threads, TURN, &|thread| creates.one(thread, Durability::Durable))?;
        let written = device_written_bytes(dir) - before;
        let theirs = turn(threads, TURN, &|_| ring.append(&record))?;
        // The first pair warms up.
        if pair > 0 {
            rates.push((ours.per_second(), theirs.per_second()));
            latencies.add(&ours.latency);
            device += written;
            operations += ours.operations;
        }
    }
    report.compared(format!("durable create 1 KiB, {threads} threads"), "ops/s", &rates, &latencies);
    let name = format!("  device bytes per create, {threads} threads");
    report.plain(name, device as f64 / operations as f64, "bytes");
    bed.remove()
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
        let of = |bed: &Bed| Creates::new(&bed.zone, &bed.caller, "", threads, SMALL_BYTES);
        let (a, b) = (of(&usual)?, of(&other)?);
        let (mut rates, mut latencies) = (Vec::new(), Latency::default());
        for pair in 0..=pairs {
            let theirs = turn(threads, TURN, &|thread| a.one(thread, Durability::Durable))?;
            let ours = turn(threads, TURN, &|thread| b.one(thread, Durability::Durable))?;
            if pair > 0 {
                rates.push((ours.per_second(), theirs.per_second()));
                latencies.add(&ours.latency);
            }
        }
        report.compared(format!("{name}, {threads} threads (ratio to usual)"), "ops/s", &rates, &latencies);
        drop((a, b));
        usual.remove()?;
        other.remove()?;
    }
    Ok(())
}

/// Larger content, one writer, against the same bytes appended to a growing file.
pub(super) fn content(dir: &Path, pairs: usize, bytes: usize, report: &mut Report) -> Result<(), Error> {
    let content = content::durable(dir, (pairs, TURN), bytes)?;
    let kib = bytes >> 10;
    report.compared(format!("durable content {kib} KiB, 1 thread"), "MiB/s", &content.rates, &content.latency);
    report.plain(format!("  device bytes per byte, {kib} KiB"), content.device_per_byte, "");
    Ok(())
}
