//! Tails under writers, dropped and resumed anywhere: in the end each has told what the full log holds, once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nexus_engine::watch::{Credits, Filter, Item, Outcome, Scope, TailFrom, TailOptions};
use nexus_engine::{Caller, Nexus, Zone, ZoneOptions};
use nexus_log::env::SplitMix64;
use nexus_log::ids::{Inode, Seq};
use nexus_tests::generate::{Generator, Scale};
use nexus_tests::long;
use nexus_tests::model::Tree;
use nexus_tests::model::replay::Replay;
use nexus_tests::rig::ROOT;

use super::me;

type Told = Vec<(Seq, Vec<u16>)>;

fn write(zone: &Zone, writer: u64, calls: u64) {
    let caller = Caller::agent(&format!("writer {writer}")).unwrap();
    let mut generator = Generator::new(writer, Scale { large_per_mille: 1, huge_per_mille: 0 });
    let mut tree = Tree::default();
    for call in 0..calls {
        if call % 50 == 0 {
            let mut replay = Replay::new(zone.log());
            replay.run(Seq::FIRST, Seq::MAX, |_, _| {}).unwrap();
            tree = replay.tree;
        }
        let durability = match generator.below(3) {
            0 => nexus_engine::Durability::Accepted,
            _ => nexus_engine::Durability::Durable,
        };
        let _ = generator.op(&tree).call(zone, &caller, durability);
    }
}

/// Follows with credits, patience and interruptions as chance has it, until writing is over and all is told.
fn follow(zone: &Zone, filter: &Filter, seed: u64, over: &AtomicBool) -> Told {
    let mut rng = SplitMix64::new(seed);
    let mut told: Told = Vec::new();
    let begin = |from, credits| zone.tail(&me(), TailOptions { from, filter: filter.clone(), credits }).unwrap();
    let mut tail = begin(TailFrom::Beginning, Credits::NONE);
    let mut position = Seq::ZERO;
    loop {
        let was_over = over.load(Ordering::Acquire);
        if was_over && tail.position() >= zone.log().flushed() {
            return told;
        }
        if rng.below(20) == 0 {
            tail.grant(Credits { events: rng.below(30), bytes: rng.below(10_000) });
        }
        if rng.below(40) == 0 {
            let token = tail.token();
            assert_eq!(token.seq(), tail.position());
            drop(tail);
            tail = begin(TailFrom::Token(token.to_string()), Credits { events: rng.below(5), bytes: rng.below(2000) });
        }
        let patience = [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(3)][rng.below(3) as usize];
        let item = tail.next(patience).unwrap();
        assert!(tail.position() >= position, "a tail goes on only");
        position = tail.position();
        match item {
            Some(Item::Events(matched)) => {
                assert_eq!(matched.record.seq, position);
                told.push((matched.record.seq, matched.indexes));
            }
            Some(Item::Progress(at) | Item::CaughtUp(at) | Item::FellBehind(at)) => assert_eq!(at, position),
            Some(other) => panic!("{other:?}"),
            None if tail.credits().events == 0 || tail.credits().bytes == 0 => {
                tail.grant(Credits { events: 1 + rng.below(200), bytes: 1 + rng.below(50_000) });
            }
            None => {}
        }
    }
}

#[test]
fn tails_that_come_and_go_tell_the_whole_log_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = ZoneOptions::default();
    options.log.appender.segment_bytes_max = 200 << 10;
    let nexus = Nexus::init(&dir.path().join("data"), ROOT, options).unwrap();
    let zone = nexus.zone("root").unwrap();
    let kinds = ["written", "renamed", "file_created"].into_iter().map(|name| Filter::kind(name).unwrap()).collect();
    let filters = [
        Filter::default(),
        Filter { kinds, ..Filter::default() },
        Filter { agent: Some("writer 1".into()), ..Filter::default() },
        Filter { outcome: Some(Outcome::Refused), ..Filter::default() },
        Filter { scope: Scope::Inode(Inode::ROOT), ..Filter::default() },
        Filter { tenant: Some("no such".into()), ..Filter::default() },
        Filter { scope: Scope::Subtree(Inode::ROOT), agent: Some("writer 0".into()), ..Filter::default() },
    ];
    let over = AtomicBool::new(false);
    let (mut told, written): (Vec<Told>, Seq) = std::thread::scope(|scope| {
        let tails: Vec<_> = filters
            .iter()
            .cycle()
            .take(2 * filters.len())
            .enumerate()
            .map(|(seed, filter)| {
                let (zone, over) = (&zone, &over);
                scope.spawn(move || follow(zone, filter, seed as u64, over))
            })
            .collect();
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let zone = &zone;
                scope.spawn(move || write(zone, writer, if long() { 5000 } else { 600 }))
            })
            .collect();
        let wrote: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        zone.log().flush().unwrap();
        let written = zone.log().flushed();
        over.store(true, Ordering::Release);
        assert!(wrote.iter().all(Result::is_ok));
        (tails.into_iter().map(|tail| tail.join().unwrap()).collect(), written)
    });
    // The keeper goes on: it writes counts of refusals behind what the tails had to tell, and some saw them.
    told.iter_mut().for_each(|told| told.retain(|(seq, _)| *seq <= written));
    let log = zone.log();
    for (filter, told) in filters.iter().cycle().zip(&told) {
        if matches!(filter.scope, Scope::Subtree(_)) {
            // What is below the root is looked at elsewhere; here it is that both tell the same.
            continue;
        }
        let records = log.records(Seq::FIRST).map(|record| record.unwrap()).take(written.0 as usize);
        let expected: Told =
            records.map(|record| (record.seq, filter.indexes(&record))).filter(|(_, i)| !i.is_empty()).collect();
        assert_eq!(*told, expected, "{filter:?}");
    }
    let differ = told[6].iter().zip(&told[13]).find(|(one, other)| one != other);
    let event = differ.map(|(one, other)| log.record(one.0.min(other.0)).unwrap().events);
    assert_eq!(told[6], told[13], "two tails of one subtree differ first at {event:?}");
    let enough = told[0].len() > 200 && told[6].len() > 20;
    assert!(enough && told[5].is_empty(), "{:?}", told.iter().map(Vec::len).collect::<Vec<usize>>());
}
