//! Tails slow nobody (L7).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nexus_engine::watch::{Credits, Filter, Item, Tail, TailFrom, TailOptions};
use nexus_engine::{Caller, Durability, Nexus, Zone, ZoneOptions};
use nexus_tests::rig::ROOT;

use super::me;

/// Slices of each kind, in turns.
const ROUNDS: usize = 8;
const WRITERS: u64 = 8;
const TAILS: usize = 100;

fn zone() -> (tempfile::TempDir, Nexus, Zone) {
    let dir = tempfile::tempdir().unwrap();
    let nexus = Nexus::init(&dir.path().join("data"), ROOT, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    (dir, nexus, zone)
}

fn begin(zone: &Zone, credits: Credits) -> Tail {
    zone.tail(&me(), TailOptions { from: TailFrom::Now, filter: Filter::default(), credits }).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a throughput is measured on the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// Durable appends per second of eight threads for a quarter of a second.
fn writes_per_second(zone: &Zone) -> f64 {
    const SLICE: Duration = Duration::from_millis(250);
    let done = AtomicU64::new(0);
    let begun = now();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let done = &done;
            scope.spawn(move || {
                let caller = Caller::agent("writer").unwrap();
                let path = format!("/{writer}");
                let inode = zone.put(&caller, path.as_str(), b"").unwrap().reply.inode;
                while begun.elapsed() < SLICE {
                    zone.append(&caller, inode, &[7; 1024], Durability::Durable).unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// With tails that hold no credits and are never asked, the writer finishes, and they tell everything afterwards.
#[test]
fn a_slow_tail_blocks_nobody_and_misses_nothing() {
    let (_dir, nexus, zone) = zone();
    let mut tails: Vec<Tail> = (0..10).map(|_| begin(&zone, Credits::NONE)).collect();
    let from = zone.log().flushed();
    let inode = zone.put(&me(), "/f", b"").unwrap().reply.inode;
    for n in 0..20_000 {
        let durability = if n % 500 == 0 { Durability::Durable } else { Durability::Accepted };
        zone.append(&me(), inode, b"x", durability).unwrap();
    }
    zone.log().flush().unwrap();
    for tail in &mut tails[..2] {
        tail.grant(Credits::UNLIMITED);
        let mut told = from;
        while let Some(item) = tail.next(Duration::ZERO).unwrap() {
            if let Item::Events(matched) = item {
                assert_eq!(matched.record.seq, told.next());
                told = matched.record.seq;
            }
        }
        assert_eq!(told, zone.log().flushed());
    }
    nexus.close().unwrap();
}

/// A hundred live tails, each told everything, beside eight writers; in turns with none, medians of one run.
#[test]
fn a_hundred_tails_at_once_slow_nobody() {
    let (_dir, nexus, zone) = zone();
    let told = AtomicU64::new(0);
    let (mut alone, mut beside): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    writes_per_second(&zone);
    for _ in 0..ROUNDS {
        alone.push(writes_per_second(&zone));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..TAILS {
                scope.spawn(|| {
                    let mut tail = begin(&zone, Credits::UNLIMITED);
                    while !over.load(Ordering::Acquire) || tail.position() < zone.log().flushed() {
                        if let Some(Item::Events(_)) = tail.next(Duration::from_millis(50)).unwrap() {
                            told.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            beside.push(writes_per_second(&zone));
            over.store(true, Ordering::Release);
        });
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (alone, beside) = (median(&mut alone), median(&mut beside));
    let told = told.load(Ordering::Relaxed);
    println!(
        "{alone:.0} durable appends/s alone, {beside:.0} beside {TAILS} live tails: {:.2}; {told} told",
        beside / alone
    );
    assert!(told > 0);
    // Generous: what tails take is processor time, which an unoptimised build and busy neighbours make dear.
    assert!(beside > alone * 0.1, "{alone} alone, {beside} beside tails");
    nexus.close().unwrap();
}

/// A hundred tails that wait and to which nothing comes, because all is filtered.
#[test]
fn a_hundred_idle_tails_cost_next_to_nothing() {
    let (_dir, nexus, zone) = zone();
    let (mut alone, mut beside): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    writes_per_second(&zone);
    for _ in 0..ROUNDS {
        alone.push(writes_per_second(&zone));
        let _idle: Vec<Tail> = (0..TAILS).map(|_| begin(&zone, Credits::default())).collect();
        beside.push(writes_per_second(&zone));
    }
    alone.sort_by(f64::total_cmp);
    beside.sort_by(f64::total_cmp);
    let (alone, beside) = (alone[ROUNDS / 2], beside[ROUNDS / 2]);
    println!("{alone:.0} durable appends/s alone, {beside:.0} beside {TAILS} idle tails: {:.2}", beside / alone);
    assert!(beside > alone * 0.3, "{alone} alone, {beside} beside tails");
    nexus.close().unwrap();
}
