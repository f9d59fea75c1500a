//! Larger content: one writer against the same bytes appended to a growing file.

use std::path::Path;
use std::time::Duration;

use nexus_engine::{Durability, Error, ZoneOptions};

use super::creates::Creates;
use crate::bed::{Bed, failed};
use crate::raw::RawFile;
use crate::report::Latency;
use crate::system::device_written_bytes;
use crate::turns::turn;

pub(crate) struct Content {
    /// Ours and the raw file's in each pair of turns, MiB/s.
    pub(crate) rates: Vec<(f64, f64)>,
    pub(crate) latency: Latency,
    /// Written to the device by anybody, per byte that was stored.
    pub(crate) device_per_byte: f64,
}

/// So many pairs of turns of that length.
pub(crate) fn durable(dir: &Path, (pairs, length): (usize, Duration), bytes: usize) -> Result<Content, Error> {
    let growing = RawFile::growing(&dir.join("growing")).map_err(failed("make the growing file"))?;
    let bed = Bed::new(dir, "content", ZoneOptions::default())?;
    let creates = Creates::new(&bed.zone, &bed.caller, "", 1, bytes)?;
    let record = vec![7u8; bytes];
    let (mut rates, mut latency, mut device, mut count) = (Vec::new(), Latency::default(), 0, 0);
    for pair in 0..=pairs {
        let written = device_written_bytes(dir);
        let ours = turn(1, length, &|thread| creates.one(thread, Durability::Durable))?;
        let written = device_written_bytes(dir) - written;
        let theirs = turn(1, length, &|_| growing.append(&record))?;
        // The first pair warms up.
        if pair > 0 {
            let mib = bytes as f64 / f64::from(1 << 20);
            rates.push((ours.per_second() * mib, theirs.per_second() * mib));
            latency.add(&ours.latency);
            device += written;
            count += ours.operations;
        }
    }
    bed.remove()?;
    std::fs::remove_file(dir.join("growing")).map_err(failed("remove the growing file"))?;
    Ok(Content { rates, latency, device_per_byte: device as f64 / (count as f64 * bytes as f64) })
}
