//! Reading content that was read before.

use std::path::Path;
use std::time::Instant;

use nexus_engine::{At, Error, ZoneOptions};

use crate::bed::Bed;
use crate::measure::creates;

const FILE_BYTES: usize = 1 << 20;
/// Files that are read round and round: more than the processor's caches hold, less than the memory.
const FILES: u64 = 64;
const MILLIS: u128 = 500;

/// Bytes per second of reading files of 1 MiB that were read before, one thread.
pub(super) fn read_rate(dir: &Path) -> Result<f64, Error> {
    let bed = Bed::new(dir, "warm", ZoneOptions::default())?;
    let mut content = creates::content(FILE_BYTES);
    for file in 0..FILES {
        content[..8].copy_from_slice(&file.to_le_bytes());
        bed.zone.put(&bed.caller, &format!("/{file}")[..], &content)?;
    }
    let view = bed.zone.view(At::Latest)?;
    let read_all = || -> Result<usize, Error> {
        let read = |file| view.read(&bed.caller, &format!("/{file}")[..], 0, FILE_BYTES).map(|b| b.len());
        (0..FILES).map(read).sum()
    };
    read_all()?;
    let (begin, mut bytes) = (Instant::now(), 0);
    while begin.elapsed().as_millis() < MILLIS {
        bytes += read_all()?;
    }
    let rate = bytes as f64 / begin.elapsed().as_secs_f64();
    drop(view);
    bed.remove()?;
    Ok(rate)
}
