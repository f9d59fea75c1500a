//! Operations that do not wait for the disk: as fast as they are taken at once, and for as long as it lasts.

use std::path::Path;
use std::time::{Duration, Instant};

use nexus_engine::{Durability, Error, ZoneOptions};

use super::goals::Id;
use super::options::Scale;
use super::outcome::Outcome;
use crate::bed::{Bed, SMALL_BYTES};
use crate::measure::creates::Creates;
use crate::turns::turn;

const THREADS: [usize; 2] = [1, 8];

/// Accepted creates a second. What they leave to do is done after the burst; a sustained rate has it done in its time.
fn rate(dir: &Path, threads: usize, length: Duration, settled: bool) -> Result<f64, Error> {
    let bed = Bed::new(dir, "accepted", ZoneOptions::default())?;
    let creates = Creates::new(&bed.zone, &bed.caller, "", threads, SMALL_BYTES)?;
    let begin = Instant::now();
    let turn = turn(threads, length, &|thread| creates.one(thread, Durability::Accepted))?;
    drop(creates);
    let data = bed.close()?;
    let elapsed = if settled { begin.elapsed() } else { turn.elapsed };
    std::fs::remove_dir_all(data).map_err(crate::bed::failed("remove a benchmark's directory"))?;
    Ok(turn.operations as f64 / elapsed.as_secs_f64())
}

pub(super) fn accepted(dir: &Path, scale: &Scale, outcome: &mut Outcome) -> Result<(), Error> {
    let (mut best, mut best_threads) = (0.0, THREADS[0]);
    for threads in THREADS {
        let rate = rate(dir, threads, scale.accepted_burst, false)?;
        outcome.figure(format!("accepted create 1 KiB, burst, {threads} threads"), rate, "ops/s");
        if rate > best {
            (best, best_threads) = (rate, threads);
        }
    }
    outcome.reached(Id::AcceptedBurst, best);
    let sustained = rate(dir, best_threads, scale.sustained, true)?;
    let scaled = (scale.sustained < Scale::full().sustained).then(|| format!("{:.1} s", scale.sustained.as_secs_f64()));
    outcome.reached_at(Id::AcceptedSustained, sustained, scaled);
    Ok(())
}
