//! The history of one path, by `nexus log`: the program that stands beside this one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nexus_engine::Error;
use nexus_log::event::Reason;

use super::goals::Id;
use super::outcome::Outcome;
use crate::bed::{Bed, failed};

/// The goal is set for this many.
const RECORDS: u64 = 10_000_000;
const PATH: &str = "/0/0";
/// Changes of the path beside its creation.
const CHANGES: u64 = 3;
const ROUNDS: usize = 3;

/// Gives the path a history with both ends of the log in it.
pub(super) fn prepare(bed: &Bed) -> Result<(), Error> {
    for change in 0..CHANGES {
        bed.zone.put(&bed.caller, PATH, format!("change {change}").as_bytes())?;
    }
    Ok(())
}

/// Fastest of several runs of `nexus VERB` on the path, in milliseconds, and the lines it printed.
fn fastest(program: &Path, data: &Path, verb: &str) -> Result<(f64, u64), Error> {
    let (mut fastest, mut lines) = (f64::INFINITY, 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let output = Command::new(program)
            .arg("--data")
            .arg(data)
            .args([verb, PATH, "--json"])
            .stdin(Stdio::null())
            .output()
            .map_err(failed("start `nexus`"))?;
        fastest = fastest.min(begin.elapsed().as_secs_f64() * 1000.0);
        if !output.status.success() {
            let message = format!("`nexus {verb}` failed: {}", String::from_utf8_lossy(&output.stdout));
            return Err(Error::new(Reason::Unavailable, message));
        }
        lines = output.stdout.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    Ok((fastest, lines))
}

/// What `nexus log PATH` takes beyond what `nexus stat PATH` does: starting and opening are no part of the history.
pub(super) fn measure(data: &Path, records: u64, outcome: &mut Outcome) -> Result<(), Error> {
    let own = std::env::current_exe().map_err(failed("find this program"))?;
    let program = own.with_file_name("nexus");
    if !program.exists() {
        outcome.not_measured(Id::PathHistory, "`nexus` does not stand beside this program: cargo build --release");
        return Ok(());
    }
    let (stat, _) = fastest(&program, data, "stat")?;
    let (log, events) = fastest(&program, data, "log")?;
    // Looking at a history is on record too, so each try finds one more.
    if events < CHANGES + 1 {
        let message = format!("the history of {PATH} has {events} events, not at least {}", CHANGES + 1);
        return Err(Error::new(Reason::Corrupt, message));
    }
    outcome.reached_at(Id::PathHistory, log - stat, (records < RECORDS).then(|| format!("{records} records")));
    Ok(())
}
