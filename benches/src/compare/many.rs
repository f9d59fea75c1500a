//! A zone of very many files: killed and opened again, held against a small one, looked at cold and at rest.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nexus_engine::{At, Durability, Error, NewFile, ZoneOptions};
use nexus_log::event::Reason;

use super::goals::Id;
use super::options::Scale;
use super::outcome::Outcome;
use super::{fold, history};
use crate::bed::{Bed, SMALL_BYTES, failed};
use crate::measure::creates::Creates;
use crate::measure::populated::{FILES_PER_DIRECTORY, path_of, populate, reads_for, stat_us};
use crate::report::median;
use crate::system::{disk_bytes, drop_cached, resident_mib};
use crate::turns::{timed, turn};

/// Numbers of threads at which durable creates in both zones are compared.
const THREADS: [usize; 2] = [1, 64];
const COLD_READS: u64 = 2000;
/// Creates that the process to be killed goes on with until it is.
const CREATES_UNTIL_KILLED_MAX: u64 = 5_000_000;
/// What the child says when everything is on stable storage.
const READY: &str = "ready";

/// The part of the process that is killed: makes `files` files in the new data directory `dir`, says so, and goes on.
pub fn hold(dir: &Path, files: u64) -> Result<(), Error> {
    let (parent, name) = (dir.parent().unwrap_or(Path::new(".")), dir.file_name().unwrap_or_default());
    let bed = Bed::new(parent, &name.to_string_lossy(), ZoneOptions::default())?;
    let rate = populate(&bed.zone, &bed.caller, files)?;
    // Whatever was accepted before it is on stable storage with it.
    bed.zone.put(&bed.caller, "/last", b"of those that must be there")?;
    let mut out = std::io::stdout();
    writeln!(out, "{READY} {rate} {}", resident_mib()).and_then(|()| out.flush()).map_err(failed("say so"))?;
    bed.zone.mkdir(&bed.caller, "/more", &NewFile::default(), false, Durability::Accepted)?;
    for file in 0..CREATES_UNTIL_KILLED_MAX {
        let path = format!("/more/{file}");
        bed.zone.create(&bed.caller, &path[..], &NewFile::default(), true, Durability::Accepted)?;
    }
    // Still not killed: until whoever started this is gone.
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop).map_err(failed("wait"))
}

/// Has another process make the zone, and kills it with no warning while it writes.
fn killed(dir: &Path, files: u64, outcome: &mut Outcome) -> Result<PathBuf, Error> {
    let data = dir.join("many");
    let program = std::env::current_exe().map_err(failed("find this program"))?;
    let mut child = Command::new(program)
        .args(["--files", &files.to_string(), "--hold"])
        .arg(&data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed("start the process that is to be killed"))?;
    let mut told = String::new();
    let read = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut told);
    child.kill().map_err(failed("kill"))?;
    child.wait().map_err(failed("wait for the killed process"))?;
    read.map_err(failed("hear from the process that is to be killed"))?;
    let mut words = told.split_whitespace();
    let numbers = match (words.next(), words.next(), words.next()) {
        (Some(READY), Some(rate), Some(mib)) => rate.parse().ok().zip(mib.parse().ok()),
        _ => None,
    };
    let (rate, mib) = numbers.ok_or_else(|| {
        Error::new(Reason::Unavailable, "the process that was to be killed ended before it had made its files")
    })?;
    outcome.figure(format!("accepted create 1 KiB, 1 thread, {files} files"), rate, "ops/s");
    let scaled = (files != 1_000_000).then(|| format!("{files} files"));
    outcome.reached_at(Id::Memory, mib, scaled);
    Ok(data)
}

pub(super) fn many(dir: &Path, scale: &Scale, outcome: &mut Outcome) -> Result<(), Error> {
    let files = scale.files;
    let data = killed(dir, files, outcome)?;
    let begin = Instant::now();
    let bed = Bed::open(&data)?;
    let seconds = begin.elapsed().as_secs_f64();
    outcome.reached_at(Id::Reopen, seconds, (files != 1_000_000).then(|| format!("{files} files")));
    // What was said to be there is.
    let caller = &bed.caller;
    bed.zone.view(At::Latest)?.read(caller, "/last", 0, SMALL_BYTES)?;
    bed.zone.view(At::Latest)?.stat(caller, &path_of(files - 1)[..], true)?;
    let bed = at_rest(bed, files, outcome)?;
    beside_few(dir, &bed, scale, outcome)?;
    outcome.reached(Id::Rebuild, fold::rebuild(&bed.zone)?);
    let records = bed.zone.log().flushed().0;
    history::prepare(&bed)?;
    let data = bed.close()?;
    cold(&data, files, outcome)?;
    history::measure(&data, records, outcome)?;
    std::fs::remove_dir_all(data).map_err(failed("remove a benchmark's directory"))
}

/// Bytes on the disk of the closed directory, beside the content of its files. What was made between the last word and
/// the kill has no content.
fn at_rest(bed: Bed, files: u64, outcome: &mut Outcome) -> Result<Bed, Error> {
    bed.zone.digest()?;
    let records = bed.zone.log().flushed().0;
    let data = bed.close()?;
    let overhead = disk_bytes(&data) as f64 - (files * SMALL_BYTES as u64) as f64;
    outcome.reached(Id::Overhead, overhead / records as f64);
    Bed::open(&data)
}

/// The same operations in turns here and in a zone of few files.
fn beside_few(dir: &Path, many: &Bed, scale: &Scale, outcome: &mut Outcome) -> Result<(), Error> {
    let files = scale.files;
    let scaled = (files != 10_000_000).then(|| format!("{files} files"));
    let few_files = Scale::FILES_FEW.min(files);
    let few = Bed::new(dir, "few", ZoneOptions::default())?;
    populate(&few.zone, &few.caller, few_files)?;
    few.zone.digest()?;
    many.zone.digest()?;
    let near = few_files.min(FILES_PER_DIRECTORY);
    let (many_view, few_view) = (many.zone.view(At::Latest)?, few.zone.view(At::Latest)?);
    let mut hot = Vec::new();
    for round in 0..=scale.rounds {
        let in_many = stat_us(&many_view, &many.caller, reads_for(near), near)?;
        let in_few = stat_us(&few_view, &few.caller, reads_for(near), near)?;
        if round > 0 {
            hot.push(in_many / in_few);
        }
    }
    drop((many_view, few_view));
    outcome.reached_at(Id::LargeHot, median(hot), scaled.clone());
    let mut worst = 0.0_f64;
    for threads in THREADS {
        let of = |bed: &Bed| Creates::new(&bed.zone, &bed.caller, &format!("cost-{threads}-"), threads, SMALL_BYTES);
        let (in_many, in_few) = (of(many)?, of(&few)?);
        let mut costs = Vec::new();
        for round in 0..=scale.rounds {
            let slow = turn(threads, scale.turn, &|thread| in_many.one(thread, Durability::Durable))?;
            let fast = turn(threads, scale.turn, &|thread| in_few.one(thread, Durability::Durable))?;
            if round > 0 {
                costs.push(fast.per_second() / slow.per_second());
            }
        }
        let cost = median(costs);
        outcome.figure(format!("durable create with {files} files to {few_files}, {threads} threads"), cost, "ratio");
        worst = worst.max(cost);
    }
    outcome.reached_at(Id::LargeDurable, worst, scaled);
    few.remove()
}

/// The first stat of files anywhere, when nothing of the data directory is in the page cache.
fn cold(data: &Path, files: u64, outcome: &mut Outcome) -> Result<(), Error> {
    drop_cached(data).map_err(failed("drop what is cached"))?;
    let bed = Bed::open(data)?;
    let view = bed.zone.view(At::Latest)?;
    let ns = timed(COLD_READS.min(files), files, |file| view.stat(&bed.caller, &path_of(file)[..], true).map(drop))?;
    outcome.figure(format!("stat by path, cold, {files} files"), ns / 1000.0, "us");
    drop(view);
    bed.close().map(drop)
}
