//! Under load for a minute: ours, the ring and fjall in long turns.
//!
//! A pause between two turns would be a present to whoever works on in the background. So ours closes the data directory
//! at the end of each turn, which moves all rows to the tables, and opens it again: both count as part of the turn. fjall's
//! debts are not collected, which is in its favour.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nexus_engine::{Durability, Error, ZoneOptions};

use super::engines::{Contender, Fjall, Who};
use super::goals::Id;
use super::options::Scale;
use super::outcome::{Comparison, Outcome};
use crate::bed::{Bed, SMALL_BYTES};
use crate::measure::creates::Creates;
use crate::report::{Latency, median};
use crate::turns::{Turn, turn};

const THREADS: usize = 64;
/// Length of a turn of ours and of fjall's, where there is time for several.
const LONG_TURN: Duration = Duration::from_secs(5);
/// The ring has no debts: a shorter turn says as much.
const RING_PART: u32 = 5;

pub(super) fn sustained(dir: &Path, scale: &Scale, outcome: &mut Outcome) -> Result<(), Error> {
    let dir = dir.join("sustained");
    std::fs::create_dir(&dir).map_err(crate::bed::failed("make a directory"))?;
    let rounds = (scale.sustained.as_secs_f64() / LONG_TURN.as_secs_f64()).ceil().max(2.0) as u32;
    let length = scale.sustained / rounds;
    let ring = Who::Ring.begin(&dir, THREADS)?;
    let fjall = Fjall::new(&dir.join("fjall"))?;
    let numbers = AtomicU64::new(0);
    let next = || numbers.fetch_add(1, Ordering::Relaxed);
    let mut data = Bed::new(&dir, "nexus", ZoneOptions::default())?.close()?;
    let (mut rates, mut latencies) =
        ([vec![], vec![], vec![]], [Latency::default(), Latency::default(), Latency::default()]);
    for round in 0..rounds {
        let begin = Instant::now();
        let bed = Bed::open(&data)?;
        let creates = Creates::new(&bed.zone, &bed.caller, &format!("{round}-"), THREADS, SMALL_BYTES)?;
        let ours = turn(THREADS, length, &|thread| creates.one(thread, Durability::Durable))?;
        drop(creates);
        data = bed.close()?;
        let ours = Turn { elapsed: begin.elapsed(), ..ours };
        let ring = turn(THREADS, length / RING_PART, &|thread| ring.create(thread, next()))?;
        let fjall = turn(THREADS, length, &|thread| fjall.create(thread, next()))?;
        for (index, turn) in [ours, ring, fjall].into_iter().enumerate() {
            rates[index].push(turn.per_second());
            latencies[index].add(&turn.latency);
        }
    }
    let names = [Who::Nexus, Who::Ring, Who::Fjall];
    let mut ratios = [1.0; 3];
    for (index, who) in names.into_iter().enumerate() {
        let of_round = rates[0].iter().zip(&rates[index]).map(|(ours, theirs)| ours / theirs);
        ratios[index] = median(of_round.collect());
        outcome.comparisons.push(Comparison {
            what: "durable create 1 KiB, sustained",
            threads: THREADS,
            contender: who.name(),
            per_second: median(rates[index].clone()),
            ours_to_it: ratios[index],
            p50_us: Some(latencies[index].us(50.0)),
            p99_us: Some(latencies[index].us(99.0)),
        });
    }
    let scaled = (scale.sustained < Scale::full().sustained).then(|| format!("{:.1} s", scale.sustained.as_secs_f64()));
    outcome.reached_at(Id::SustainedRing, ratios[1], scaled.clone());
    outcome.reached_at(Id::SustainedFjall, ratios[2], scaled);
    drop((ring, fjall));
    std::fs::remove_dir_all(dir).map_err(crate::bed::failed("remove a contender's files"))
}
