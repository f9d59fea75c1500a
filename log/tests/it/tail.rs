//! Following the log in its own process: waiting for the flushed mark, the window, falling out of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nexus_log::env::{Env, MemoryDisk, SeededRandom, SplitMix64, SyncFault};
use nexus_log::ids::Seq;
use nexus_log::limits::{TAIL_WINDOW_RECORDS_MAX, TAILS_MAX};
use nexus_log::log::{Driver, Ended, Log, LogOptions, LogTail, Waited};
use nexus_log::recovery::Proofs;

use crate::zone::{Given, IDENTITY, Made, SMALL, Shape, create, env_on, open_env, options, segment_path};

const WIDE: Shape = Shape { meta: 900, chunks: &[70] };
/// Longer than anything here takes, shorter than anybody waits for a test.
const DEADLINE: Duration = Duration::from_secs(60);

/// All that is flushed now.
fn drain(tail: &mut LogTail) -> Vec<Seq> {
    std::iter::from_fn(|| tail.try_next().unwrap()).map(|told| told.record.seq).collect()
}

fn seqs(range: std::ops::RangeInclusive<u64>) -> Vec<Seq> {
    range.map(Seq).collect()
}

#[test]
fn a_wait_ends_with_the_mark_with_its_time_with_the_log_or_with_its_failure() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    given.append(&log, &[SMALL], 0);
    let brief = Duration::from_millis(1);
    assert_eq!(log.wait_flushed(Seq(0), DEADLINE).unwrap(), Waited::Moved);
    assert_eq!(log.wait_flushed(Seq(1), brief).unwrap(), Waited::TimedOut);
    assert_eq!(log.wait_flushed(Seq(1), Duration::ZERO).unwrap(), Waited::TimedOut);
    std::thread::scope(|scope| {
        let waits: Vec<_> = (1..4)
            .map(|seq| {
                scope.spawn({
                    let log = &log;
                    move || log.wait_flushed(Seq(seq), DEADLINE)
                })
            })
            .collect();
        (0..3).for_each(|_| assert!(given.append(&log, &[SMALL], 0)));
        waits.into_iter().for_each(|wait| assert_eq!(wait.join().unwrap().unwrap(), Waited::Moved));
        let poisoned: Vec<_> = (0..3).map(|_| scope.spawn(|| log.wait_flushed(Seq(4), DEADLINE))).collect();
        disk.fault_sync(1, SyncFault::Lost);
        assert!(!given.append(&log, &[SMALL], 0));
        for wait in poisoned {
            assert!(matches!(wait.join().unwrap(), Err(Ended::Poisoned(_))));
        }
    });
    let log = open_env(&env_on(&disk, 2), Proofs::default(), options(1 << 20, 0)).unwrap().log;
    let last = log.flushed();
    std::thread::scope(|scope| {
        let closed: Vec<_> = (0..3).map(|_| scope.spawn(|| log.wait_flushed(last, DEADLINE))).collect();
        log.close().unwrap();
        for wait in closed {
            assert!(matches!(wait.join().unwrap(), Err(Ended::Closed)));
        }
    });
    assert!(matches!(log.wait_flushed(last, DEADLINE), Err(Ended::Closed)));
}

/// Sixty follow at once, with deadlines short and long, so that the scout's role goes from hand to hand; nobody sleeps
/// through the end.
#[test]
fn of_many_who_wait_none_is_forgotten() {
    const LAST: u64 = 400;
    for clock_stands in [true, false] {
        let disk = MemoryDisk::new();
        create(&disk, options(1 << 20, 0)).close().unwrap();
        let mut env = env_on(&disk, 3);
        if !clock_stands {
            env.clock = Env::real().clock;
        }
        let log = open_env(&env, Proofs::default(), options(1 << 20, 0)).unwrap().log;
        std::thread::scope(|scope| {
            for follower in 0..60 {
                let log = &log;
                scope.spawn(move || {
                    let mut rng = SplitMix64::new(follower);
                    let mut seen = Seq::ZERO;
                    while seen < Seq(LAST) {
                        let brief = rng.below(3) == 0;
                        let timeout = if brief { Duration::from_micros(rng.below(300)) } else { DEADLINE };
                        let waited = log.wait_flushed(seen, timeout).unwrap();
                        assert!(brief || waited == Waited::Moved, "a follower slept through record {}", seen.next());
                        seen = if rng.below(2) == 0 {
                            log.flushed()
                        } else {
                            seen.max(Seq(log.flushed().0.min(seen.0 + 3)))
                        };
                    }
                });
            }
            let mut given = Given::default();
            for _ in 0..LAST {
                assert!(given.append(&log, &[SMALL], 0));
                std::thread::yield_now();
            }
        });
    }
}

#[test]
fn only_what_is_flushed_is_told() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut tail = log.tail(Seq::FIRST).unwrap();
    let made = Made::new(Seq(1), SMALL, 0);
    log.append(made.draft(&SeededRandom::new(1))).unwrap();
    assert!(tail.try_next().unwrap().is_none());
    log.wait(Seq(1)).unwrap();
    let told = tail.try_next().unwrap().unwrap();
    assert_eq!(*told.record, made.record);
    assert!(told.meta_bytes > 16);
    assert!(tail.try_next().unwrap().is_none());
}

/// Eight writers and twelve tails, each begun elsewhere, some of which pause: every one is told every record once.
#[test]
fn tails_are_told_everything_once_while_threads_write() {
    const EACH: u64 = 400;
    const LAST: Seq = Seq(8 * EACH);
    let dir = tempfile::tempdir().unwrap();
    let env = Env::real();
    let zone = dir.path().join("zone");
    env.disk.create_dir_all(&zone).unwrap();
    let options = LogOptions { driver: Driver::FirstWaiter, ..options(4096 + 60_000, 4096) };
    let log = Log::create(&env, &zone, IDENTITY, Seq::FIRST, options).unwrap();
    let next = std::sync::Mutex::new(Seq::FIRST);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let log = &log;
            scope.spawn(move || {
                let mut rng = SplitMix64::new(number);
                let from = Seq(1 + rng.below(100));
                let mut tail = log.tail(from).unwrap();
                let mut expected = from;
                while expected <= LAST {
                    match tail.try_next().unwrap() {
                        Some(told) => {
                            assert_eq!(*told.record, Made::new(expected, SMALL, 0).record);
                            expected = expected.next();
                        }
                        None => assert_eq!(tail.wait(DEADLINE).unwrap(), Waited::Moved),
                    }
                    if number % 4 == 0 && rng.below(50) == 0 {
                        let _ = log.wait_flushed(Seq(expected.0 + rng.below(300)), Duration::from_millis(5));
                    }
                }
                assert!(tail.try_next().unwrap().is_none());
            });
        }
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let seq = {
                        let mut next = next.lock().unwrap();
                        let seq = *next;
                        log.append(Made::new(seq, SMALL, 0).draft(&SeededRandom::new(seq.0))).unwrap();
                        *next = seq.next();
                        seq
                    };
                    log.wait(seq).unwrap();
                }
            });
        }
    });
    log.close().unwrap();
}

#[test]
fn who_falls_out_of_the_window_reads_on_by_itself_and_comes_back() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    let (mut slow, mut quick) = (log.tail(Seq::FIRST).unwrap(), log.tail(Seq::FIRST).unwrap());
    given.append(&log, &[SMALL; 10], 0);
    assert_eq!((drain(&mut slow), drain(&mut quick)), (seqs(1..=10), seqs(1..=10)));
    assert!(slow.is_live() && slow.is_near_end());
    let more = TAIL_WINDOW_RECORDS_MAX as u64 + 500;
    for _ in 0..more.div_ceil(100) {
        given.append(&log, &[SMALL; 100], 0);
        assert_eq!(drain(&mut quick).len(), 100);
        assert!(quick.is_live());
    }
    let last = log.flushed();
    assert!(!slow.is_near_end());
    assert_eq!(slow.try_next().unwrap().unwrap().record.seq, Seq(11));
    assert!(!slow.is_live());
    assert_eq!(drain(&mut slow), seqs(12..=last.0));
    assert!(slow.is_live());
    // One that begins far back beside a full window leaves the window alone.
    let mut late = log.tail(Seq(5)).unwrap();
    assert_eq!(late.try_next().unwrap().unwrap().record.seq, Seq(5));
    assert!(!late.is_live());
    given.append(&log, &[SMALL], 0);
    assert_eq!(drain(&mut quick), [last.next()]);
    assert!(quick.is_live());
    assert_eq!(drain(&mut late), seqs(6..=last.0 + 1));
}

/// Tails over segments and shapes of every size, from every start, in every state of the window.
#[test]
fn a_tail_may_begin_anywhere() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(4096 + 4000, 0));
    let mut given = Given::default();
    (0..30).for_each(|_| assert!(given.append(&log, &[SMALL, WIDE], 0)));
    let last = log.flushed().0;
    let mut rng = SplitMix64::new(1);
    let mut open: Vec<(LogTail, u64)> = Vec::new();
    for _ in 0..300 {
        if open.len() < 6 && rng.below(3) == 0 {
            let from = 1 + rng.below(last + 1);
            open.push((log.tail(Seq(from)).unwrap(), from));
        }
        let count = open.len() as u64;
        if count > 0 {
            let at = rng.below(count) as usize;
            let (tail, next) = &mut open[at];
            match tail.try_next().unwrap() {
                Some(told) => {
                    assert_eq!(*told.record, given.made[*next as usize - 1].record);
                    *next += 1;
                }
                None => {
                    assert_eq!(*next, last + 1);
                    open.remove(at);
                }
            }
        }
    }
}

#[test]
fn damage_stops_a_tail_at_its_place() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    given.append(&log, &[WIDE; 6], 0);
    let (_, offset, _) = crate::zone::places(&disk)[&4];
    disk.flip_bit(&segment_path(1), offset as u64 + 200, 3).unwrap();
    for from in [1, 4] {
        let mut tail = log.tail(Seq(from)).unwrap();
        for seq in from..4 {
            assert_eq!(tail.try_next().unwrap().unwrap().record.seq, Seq(seq));
        }
        for _ in 0..3 {
            let error = tail.try_next().unwrap_err();
            assert!(error.is_damage() && error.to_string().contains("record 4"), "{error}");
        }
    }
    let mut behind = log.tail(Seq(5)).unwrap();
    assert_eq!(drain(&mut behind), seqs(5..=6));
}

#[test]
fn the_number_of_tails_has_a_bound_and_the_last_one_takes_the_window_along() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let tails: Vec<LogTail> = (0..TAILS_MAX).map(|_| log.tail(Seq::FIRST).unwrap()).collect();
    assert!(log.tail(Seq::FIRST).is_err());
    drop(tails);
    assert!(log.tail(Seq::FIRST).is_ok());
}

/// A tail that is never asked holds nobody up.
#[test]
fn a_tail_that_is_not_asked_blocks_no_writer() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let asleep = log.tail(Seq::FIRST).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut given = Given::default();
            (0..100).for_each(|_| assert!(given.append(&log, &[SMALL; 100], 0)));
            done.store(true, Ordering::Release);
        });
        let mut tail = log.tail(Seq::FIRST).unwrap();
        let mut told = 0;
        while told < 10_000 {
            assert_eq!(tail.wait(DEADLINE).unwrap(), Waited::Moved);
            told += drain(&mut tail).len();
        }
    });
    assert!(done.load(Ordering::Acquire));
    assert_eq!(asleep.next_seq(), Seq::FIRST);
}
