//! `nexus-bench-compare`: other engines beside ours in one run, and what was reached against the goals.
//!
//! ```text
//!  burst, sustained --turns of all contenders--> comparisons --\
//!  accepted, content, reads, past, fold, many --> figures ------> outcome: goals --> a table, or one JSON object
//! ```

mod accepted;
mod burst;
mod engines;
mod fold;
mod goals;
mod history;
mod listing;
mod many;
mod options;
mod outcome;
mod shown;
mod sustained;
mod warm;

use nexus_engine::{Error, ZoneOptions};

use crate::bed::{Bed, Scratch};
use crate::measure::{content, past, populated};
use goals::Id;

pub use many::hold;
pub use options::{Options, Scale};
pub use outcome::Outcome;

/// Measures everything. `say` is told what is going on.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Outcome, Error> {
    let scratch = Scratch::new(&options.dir)?;
    let (dir, scale) = (scratch.path(), &options.scale);
    let mut outcome = Outcome::default();
    for threads in &options.threads {
        say(&format!("durable create of 1 KiB files by all contenders, {threads} threads"));
        burst::burst(dir, *threads, scale, &mut outcome)?;
    }
    say("sustained creates beside the ring and fjall, 64 threads");
    sustained::sustained(dir, scale, &mut outcome)?;
    say("accepted creates");
    accepted::accepted(dir, scale, &mut outcome)?;
    say("content of 1 MiB and 64 KiB, and reading it");
    large_content(dir, scale, &mut outcome)?;
    say("hot reads, reads of the past, listings, folding");
    reads_and_folds(dir, scale, &mut outcome)?;
    say(&format!("{} files: a kill, reopening, rates beside a small zone, a path's history", scale.files));
    many::many(dir, scale, &mut outcome)?;
    Ok(outcome)
}

fn large_content(dir: &std::path::Path, scale: &Scale, outcome: &mut Outcome) -> Result<(), Error> {
    let large = content::durable(dir, (scale.rounds, scale.turn), 1 << 20)?;
    let ratio = outcome.rates("durable content 1 MiB, 1 thread", "MiB/s", &large.rates, &large.latency);
    outcome.reached(Id::Content1MiB, ratio);
    let medium = content::durable(dir, (scale.rounds, scale.turn), 64 << 10)?;
    outcome.rates("durable content 64 KiB, 1 thread", "MiB/s", &medium.rates, &medium.latency);
    outcome.reached(Id::DevicePerByte64KiB, medium.device_per_byte);
    outcome.reached(Id::WarmRead, warm::read_rate(dir)? / 1e9);
    Ok(())
}

fn reads_and_folds(dir: &std::path::Path, scale: &Scale, outcome: &mut Outcome) -> Result<(), Error> {
    let bed = Bed::new(dir, "reads", ZoneOptions::default())?;
    populated::populate(&bed.zone, &bed.caller, scale.files_small)?;
    bed.zone.digest()?;
    let hot = populated::hot(&bed, scale.files_small)?;
    outcome.reached(Id::StatHot, hot.stat_us);
    outcome.reached(Id::Read1KiB, hot.read_us);
    outcome.reached(Id::Readdir, hot.readdir);
    outcome.figure("stat by path, all files", hot.stat_all_us, "us");
    let (mut ratio, mut us) = (0.0_f64, 0.0_f64);
    for versions in past::VERSIONS {
        let past = past::stats(&bed.zone, &bed.caller, populated::reads_for(scale.files_small), versions)?;
        outcome.figure(format!("stat {versions} versions ago"), past.us, "us");
        outcome.figure(format!("stat {versions} versions ago, to the same at latest"), past.ratio, "ratio");
        (ratio, us) = (ratio.max(past.ratio), us.max(past.us));
    }
    outcome.reached(Id::PastRatio, ratio);
    outcome.reached(Id::PastRatioAim, ratio);
    outcome.reached(Id::PastMicros, us);
    bed.remove()?;

    let bed = Bed::new(dir, "listing", ZoneOptions::default())?;
    let listing = listing::listing(&bed, scale)?;
    outcome.reached(Id::PastListing, listing.past_after_other_work);
    outcome.reached(Id::LatestListing, listing.latest_after_removals);
    outcome.reached(Id::DecodeApply, fold::decode_and_apply(&bed.zone, scale.records_applied)?);
    bed.remove()
}
