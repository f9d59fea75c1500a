//! Bursts: every contender in turns, round after round.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use nexus_engine::Error;

use super::engines::{Contender, Who};
use super::goals;
use super::options::Scale;
use super::outcome::{Comparison, Outcome};
use crate::bed::failed;
use crate::report::{Latency, median};
use crate::turns::turn;

/// Turns of one contender.
struct Lane {
    who: Who,
    contender: Box<dyn Contender>,
    created: AtomicU64,
    /// Operations a second in each counted turn.
    rates: Vec<f64>,
    latency: Latency,
}

pub(super) fn burst(dir: &Path, threads: usize, scale: &Scale, outcome: &mut Outcome) -> Result<(), Error> {
    let dir = dir.join(format!("burst-{threads}"));
    std::fs::create_dir(&dir).map_err(failed("make a directory"))?;
    let mut lanes = Vec::new();
    for who in Who::ALL {
        let contender = who.begin(&dir, threads)?;
        lanes.push(Lane { who, contender, created: AtomicU64::new(0), rates: Vec::new(), latency: Latency::default() });
    }
    for round in 0..=scale.rounds {
        for lane in &mut lanes {
            let (contender, created) = (&*lane.contender, &lane.created);
            let create = |thread: usize| contender.create(thread, created.fetch_add(1, Ordering::Relaxed));
            let turn = turn(threads, scale.turn, &create)?;
            // The first round warms up.
            if round > 0 {
                lane.rates.push(turn.per_second());
                lane.latency.add(&turn.latency);
            }
        }
    }
    let ours = lanes.iter().find(|lane| lane.who == Who::Nexus).expect("we take part").rates.clone();
    let mut ratios = BTreeMap::new();
    for lane in &lanes {
        let ratio = median(ours.iter().zip(&lane.rates).map(|(ours, theirs)| ours / theirs).collect());
        ratios.insert(lane.who, ratio);
        outcome.comparisons.push(Comparison {
            what: "durable create 1 KiB, burst",
            threads,
            contender: lane.who.name(),
            per_second: median(lane.rates.clone()),
            ours_to_it: ratio,
            p50_us: Some(lane.latency.us(50.0)),
            p99_us: Some(lane.latency.us(99.0)),
        });
    }
    for (id, who) in goals::of_burst(threads) {
        outcome.reached(id, ratios[&who]);
    }
    drop(lanes);
    std::fs::remove_dir_all(dir).map_err(failed("remove a contender's files"))
}
