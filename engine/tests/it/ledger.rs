//! The ledger: at every position what a recount of the whole log says.

use std::collections::BTreeMap;

use nexus_engine::{At, Caller, Durability, ReadPolicy, UsageFilter};
use nexus_log::env::SplitMix64;
use nexus_log::event::{Context, Event, UsageCounts};
use nexus_log::ids::Seq;
use nexus_log::record::Record;

use crate::sim::{SECOND, Sim, agent};

type Sums = BTreeMap<(u64, String, String), UsageCounts>;

/// A count of its own, by what docs/EVENTS.md says.
fn count(sums: &mut Sums, record: &Record) {
    let bytes_in = record.chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    let mut more = UsageCounts { bytes_in, ..UsageCounts::default() };
    for event in &record.events {
        match event {
            Event::Refused(_) => more.refusals += 1,
            Event::RefusalsCounted(e) => more.refusals += e.collapsed + e.counts.iter().map(|c| c.count).sum::<u64>(),
            Event::Accessed(e) => {
                for count in e.inodes.iter().chain(&e.directories) {
                    more.reads += count.calls;
                    more.bytes_out += count.bytes;
                }
                more.reads += e.collapsed_calls;
                more.bytes_out += e.collapsed_bytes;
            }
            Event::FileCreated(_) | Event::Written(_) | Event::Unlinked(_) | Event::PolicySet(_) => more.changes += 1,
            Event::ZoneCreated(_) | Event::UsageCounted(_) | Event::Recovered(_) | Event::AuditGap(_) => {}
            other => panic!("{other:?} is not part of this test"),
        }
    }
    if more == UsageCounts::default() {
        return;
    }
    let key = (record.commit_time.0 / (3600 * SECOND), record.context.user.clone(), record.context.agent.clone());
    nexus_projections::usage::add(sums.entry(key).or_default(), &more);
}

fn usage_at(sim: &Sim, who: &Caller, at: At) -> Sums {
    let usage = sim.zone.usage(who, at, &UsageFilter::default()).unwrap();
    usage.counts.into_iter().map(|c| ((c.hour, c.user, c.agent), c.counts)).collect()
}

fn check_everywhere(sim: &Sim, who: &Caller) {
    let mut sums = Sums::new();
    for record in sim.records() {
        count(&mut sums, &record);
        assert_eq!(usage_at(sim, who, At::Exactly(record.seq)), sums, "at {}", record.seq);
    }
}

fn actor(user: u64, agent: u64) -> Caller {
    let context = Context { user: format!("u{user}"), agent: format!("a{agent}"), ..Context::default() };
    Caller::new(context).unwrap()
}

fn random_life(seed: u64, usage_records: u64) {
    let mut sim = Sim::with(Some(ReadPolicy::Summary), Some(usage_records), 0);
    let auditor = agent("auditor");
    let mut rng = SplitMix64::new(seed);
    for _ in 0..250 {
        let who = actor(rng.below(3), rng.below(4));
        let path = format!("/{}", rng.below(5));
        match rng.below(20) {
            0..=7 => drop(sim.put(&who, &path, &vec![7; rng.below(9000) as usize])),
            8..=9 => drop(sim.zone.unlink(&who, path.as_str(), Durability::Accepted)),
            10..=13 => drop(sim.zone.view(At::Latest).unwrap().read(&who, path.as_str(), 0, 5000)),
            14..=16 => sim.pass(rng.below(2 * SECOND)),
            17 => sim.pass(1800 * SECOND),
            18 => sim = sim.reopen(true, rng.below(2) == 0),
            _ => sim = sim.reopen(false, rng.below(2) == 0),
        }
    }
    sim.pass(2 * SECOND);
    sim.zone.log().flush().unwrap();
    assert!(!sim.events("usage_counted").is_empty());
    check_everywhere(&sim, &auditor);
    assert!(sim.zone.rebuild(false, |_| {}).unwrap().equal());
    sim = sim.reopen(true, true);
    check_everywhere(&sim, &auditor);
}

#[test]
fn usage_is_exact_at_every_position_whatever_ended_in_between() {
    for seed in 0..12 {
        random_life(seed, [1, 3, 16, 40][seed as usize % 4]);
    }
}

#[test]
fn each_record_is_counted_by_one_count() {
    let mut sim = Sim::with(Some(ReadPolicy::Off), Some(10), 0);
    for round in 0..6 {
        for n in 0..25 {
            sim.put(&agent("me"), &format!("/{n}"), b"x");
        }
        sim.pass(1);
        sim = sim.reopen(round % 2 == 0, false);
    }
    let mut until = 0;
    for (record, event) in sim.events("usage_counted") {
        let Event::UsageCounted(event) = event else { unreachable!("filtered") };
        assert_eq!(event.after, until, "no gap and no overlap");
        assert!(event.until > event.after && Seq(event.until) < record.seq);
        until = event.until;
    }
    assert!(until > 100);
}

#[test]
fn a_full_disk_delays_counts_and_loses_none() {
    let sim = Sim::with(Some(ReadPolicy::Off), Some(4), 0);
    let me = agent("me");
    for n in 0..10 {
        sim.put(&me, &format!("/{n}"), &vec![n; 2000]);
    }
    sim.pass(1);
    sim.disk.set_free_bytes(Some(0));
    let full = (0..2000).any(|n| {
        sim.zone.put(&me, format!("/more{n}").as_str(), &[&i32::to_le_bytes(n)[..], &[1; 60_000]].concat()).is_err()
    });
    assert!(full);
    let _ = sim.zone.tick();
    sim.disk.set_free_bytes(None);
    for n in 0..10 {
        let _ = sim.zone.put(&me, format!("/again{n}").as_str(), b"1");
    }
    let auditor = agent("auditor");
    sim.pass(1);
    sim.zone.log().flush().unwrap();
    let mut sums = Sums::new();
    for record in sim.records() {
        if !record.events.iter().any(|e| matches!(e, Event::Recovered(_))) {
            count(&mut sums, &record);
        }
    }
    assert_eq!(usage_at(&sim, &auditor, At::Latest), sums);
    assert!(sim.events("usage_counted").len() > 1);
}

#[test]
fn more_actors_than_one_count_holds_are_counted_in_several() {
    let sim = Sim::with(Some(ReadPolicy::Off), Some(1 << 20), 0);
    let actors = nexus_engine::limits::USAGE_ACTORS_MAX as u64 * 5 / 2;
    for n in 0..actors {
        let who = actor(0, n);
        let new = nexus_engine::NewFile::default();
        sim.zone.create(&who, format!("/{n}").as_str(), &new, true, Durability::Accepted).unwrap();
    }
    sim.pass(1);
    sim.zone.log().flush().unwrap();
    let counted = sim.events("usage_counted");
    assert!(counted.len() > 1);
    for (_, event) in &counted {
        let Event::UsageCounted(event) = event else { unreachable!("filtered") };
        assert!(event.counts.len() <= nexus_engine::limits::USAGE_ACTORS_MAX);
    }
    let mut sums = Sums::new();
    sim.records().iter().for_each(|record| count(&mut sums, record));
    assert_eq!(usage_at(&sim, &agent("auditor"), At::Latest), sums);
    assert_eq!(sums.len() as u64, actors + 1, "and the zone's own policy");
}
