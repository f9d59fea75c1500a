//! Reading while appending, group commit, times, roots, and sidecars that are missing or damaged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nexus_log::env::{Disk, Env, MemoryDisk, SeededRandom};
use nexus_log::ids::{CommitTime, Seq};
use nexus_log::log::{Driver, Log, LogOptions, ReadError};
use nexus_log::merkle::root_of;
use nexus_log::recovery::Proofs;

use crate::zone::{
    DIR, Given, IDENTITY, Made, SMALL, Shape, Step, create, env_on, leaves_on, long, open, open_env, options, run,
    segments_on, sidecar_path,
};

const WIDE: Shape = Shape { meta: 900, chunks: &[] };
const FILE: Shape = Shape { meta: 5, chunks: &[700, 3] };
const THREADS: u64 = 8;

fn threaded(segment_bytes_max: u64) -> LogOptions {
    LogOptions { driver: Driver::FirstWaiter, ..options(segment_bytes_max, 4096) }
}

/// Eight threads append and wait; a sequencer's lock keeps seqs in order. Returns how many were acknowledged.
fn append_from_threads(log: &Log, each: u64) {
    let next = next_seq(log);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..each {
                    let seq = {
                        let mut next = next.lock().unwrap();
                        let seq = *next;
                        log.append(Made::new(seq, SMALL, 0).draft(&SeededRandom::new(seq.0))).unwrap();
                        *next = seq.next();
                        seq
                    };
                    log.wait(seq).unwrap();
                    assert!(log.flushed() >= seq);
                }
            });
        }
    });
}

fn next_seq(log: &Log) -> std::sync::Mutex<Seq> {
    std::sync::Mutex::new(log.appended().0.next())
}

/// Reads again and again while `write` runs: records come in order, without holes, as given.
fn read_while(log: &Log, write: impl FnOnce() + Send) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            write();
            done.store(true, Ordering::Release);
        });
        let mut from = Seq::FIRST;
        while !done.load(Ordering::Acquire) {
            let mut expected = from;
            for record in log.records(from) {
                let record = record.unwrap();
                assert_eq!(record, Made::new(expected, SMALL, 0).record);
                expected = expected.next();
            }
            from = if expected > from { Seq(from.0 + (expected.0 - from.0) / 2) } else { Seq::FIRST };
            std::thread::yield_now();
        }
    });
}

fn acknowledged_records_are_there(env: &Env, dir: &Path, options: LogOptions, count: u64) {
    let opened = Log::open(env, dir, IDENTITY, Seq::FIRST, Proofs::default(), options).unwrap();
    assert_eq!(opened.report.last, Seq(count));
    let mut seq = Seq::FIRST;
    for record in opened.log.records(Seq::FIRST) {
        assert_eq!(record.unwrap(), Made::new(seq, SMALL, 0).record);
        seq = seq.next();
    }
    assert_eq!(seq, Seq(count + 1));
}

#[test]
fn threads_share_syncs_and_readers_see_every_acknowledged_record_in_order() {
    let each = if long() { 2_000 } else { 60 };
    for round in 0..if long() { 20 } else { 3 } {
        let disk = MemoryDisk::new();
        create(&disk, options(1 << 20, 0)).close().unwrap();
        let env = env_on(&disk, round);
        let log = open_env(&env, Proofs::default(), threaded(4096 + 20_000)).unwrap().log;
        let syncs = disk.syncs();
        read_while(&log, || append_from_threads(&log, each));
        assert!(disk.syncs() > syncs);
        drop(log);
        disk.power_cut(&mut || false);
        acknowledged_records_are_there(&env, DIR.as_ref(), threaded(4096 + 20_000), THREADS * each);
    }
}

/// Records that wait at the time of a write share its sync: one batch for all that is queued.
#[test]
fn what_is_queued_is_one_batch_with_one_write_and_one_sync() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    let (writes, syncs) = (disk.writes(), disk.syncs());
    assert!(given.append(&log, &[SMALL; 200], 0));
    // 200 records are more slices than one pwritev takes.
    assert!(disk.writes() - writes <= 2);
    assert_eq!(disk.syncs() - syncs, 1);
    given.check(&log);
}

#[test]
fn a_real_disk_keeps_what_threads_were_told_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let zone = dir.path().join("zone");
    let env = Env::real();
    env.disk.create_dir_all(&zone).unwrap();
    let options = LogOptions { reserve_bytes: 0, ..threaded(4096 + 60_000) };
    let log = Log::create(&env, &zone, IDENTITY, Seq::FIRST, options).unwrap();
    let each = if long() { 2_000 } else { 40 };
    read_while(&log, || append_from_threads(&log, each));
    drop(log);
    acknowledged_records_are_there(&env, &zone, options, THREADS * each);
    let log = Log::open(&env, &zone, IDENTITY, Seq::FIRST, Proofs::default(), options).unwrap().log;
    append_from_threads(&log, 5);
    log.close().unwrap();
    drop(log);
    let opened = Log::open(&env, &zone, IDENTITY, Seq::FIRST, Proofs::default(), options).unwrap();
    assert!(opened.report.clean);
    drop(opened);
    acknowledged_records_are_there(&env, &zone, options, THREADS * (each + 5));
}

/// Several segments, the full ones sealed, the last one not.
fn sealed() -> (MemoryDisk, Given, LogOptions) {
    let options = options(4096 + 4000, 0);
    let disk = MemoryDisk::new();
    let log = create(&disk, options);
    let mut given = Given::default();
    let history =
        [Step::Batch(&[SMALL, WIDE]), Step::Batch(&[FILE, SMALL, SMALL]), Step::Batch(&[WIDE, WIDE])].repeat(3);
    let log = run(&env_on(&disk, 2), &history, options, log, &mut given).unwrap();
    log.close().unwrap();
    assert!(segments_on(&disk).len() > 3);
    assert!(disk.exists(&sidecar_path(1)).unwrap());
    (disk, given, options)
}

/// Everything that can be asked of a log, against what it was given.
fn answers_are_right(disk: &MemoryDisk, given: &Given, options: LogOptions) {
    let leaves = leaves_on(disk);
    assert_eq!(leaves.len() as u64, given.acked.0);
    let log = open(disk, Proofs::default(), options).unwrap().log;
    given.check(&log);
    for size in 0..=given.acked.0 {
        assert_eq!(log.root(size).unwrap(), root_of(leaves[..size as usize].iter().copied()), "size {size}");
    }
    // In another order and on a fresh handle, so that nothing is known from before.
    let log = open(disk, Proofs::default(), options).unwrap().log;
    for made in given.made.iter().rev() {
        let (seq, time) = (made.record.seq, made.record.commit_time);
        assert_eq!(log.time_of(seq).unwrap(), time);
        assert_eq!(log.record(seq).unwrap(), made.record);
        assert_eq!(log.seq_at(time).unwrap(), Some(seq));
        assert_eq!(log.seq_at(CommitTime(time.0 + 1)).unwrap(), Some(seq));
        assert_eq!(log.seq_at(CommitTime(time.0 - 1)).unwrap(), (seq > Seq::FIRST).then(|| seq.prev()));
        assert_eq!(log.records(seq).count() as u64, given.acked.0 + 1 - seq.0);
    }
    assert_eq!(log.seq_at(CommitTime(0)).unwrap(), None);
    assert_eq!(log.seq_at(CommitTime(u64::MAX)).unwrap(), Some(given.acked));
    let beyond = given.acked.next();
    assert!(matches!(log.record(Seq::ZERO), Err(ReadError::BeforeFirst { .. })));
    for error in [log.record(beyond).map(drop), log.time_of(beyond).map(drop), log.root(beyond.0).map(drop)] {
        assert!(matches!(error, Err(ReadError::NotYet { .. })));
    }
    assert_eq!(log.records(beyond).count(), 0);
}

#[test]
fn answers_are_right_across_sealed_and_open_segments() {
    let (disk, given, options) = sealed();
    answers_are_right(&disk, &given, options);
}

#[test]
fn an_empty_log_has_no_record_no_time_and_the_empty_root() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    assert_eq!(log.seq_at(CommitTime(u64::MAX)).unwrap(), None);
    assert_eq!(log.root(0).unwrap(), root_of([]));
    assert!(log.record(Seq::FIRST).is_err() && log.records(Seq::ZERO).next().is_none());
}

#[test]
fn answers_are_right_without_sidecars_and_idle_time_writes_them_again() {
    let (disk, given, options) = sealed();
    let before = disk.dump();
    for first in segments_on(&disk) {
        let _ = disk.remove_file(&sidecar_path(first));
    }
    answers_are_right(&disk, &given, options);
    let log = open(&disk, Proofs::default(), options).unwrap().log;
    given.check(&log);
    let mark = log.tick(Seq::ZERO);
    log.tick(mark);
    for first in segments_on(&disk) {
        assert_eq!(disk.read(&sidecar_path(first)).ok().as_ref(), before.get(&sidecar_path(first)));
    }
}

#[test]
fn answers_are_right_with_any_byte_of_a_sidecar_damaged() {
    let (disk, given, options) = sealed();
    let length = disk.read(&sidecar_path(1)).unwrap().len();
    let step = if long() { 1 } else { 61 };
    let sections = (4096..length).step_by(if long() { 1 } else { 5 });
    let bytes = (0..200).step_by(3).chain((200..4096).step_by(step)).chain(sections);
    for at in bytes {
        let disk = disk.fork();
        disk.flip_bit(&sidecar_path(1), at as u64, (at % 8) as u8).unwrap();
        answers_are_right(&disk, &given, options);
    }
    for bytes in [vec![], vec![0; 4096], vec![0xff; length], vec![0; length]] {
        disk.overwrite(&sidecar_path(1), &bytes).unwrap();
        answers_are_right(&disk, &given, options);
    }
}

/// The sidecar of another segment in the place of this one's.
#[test]
fn answers_are_right_with_sidecars_exchanged() {
    let (disk, given, options) = sealed();
    let segments = segments_on(&disk);
    let (one, other) = (sidecar_path(segments[0]), sidecar_path(segments[1]));
    let (first, second) = (disk.read(&one).unwrap(), disk.read(&other).unwrap());
    disk.overwrite(&one, &second).unwrap();
    disk.overwrite(&other, &first).unwrap();
    answers_are_right(&disk, &given, options);
}

/// Closing while other threads append: whoever was told yes finds the record.
#[test]
fn the_thread_that_writes_gives_the_same_answers_as_the_first_waiter() {
    let disk = MemoryDisk::new();
    create(&disk, options(1 << 20, 0)).close().unwrap();
    let env = env_on(&disk, 3);
    let options = LogOptions { driver: Driver::Thread, ..threaded(4096 + 9_000) };
    let log = Arc::new(open_env(&env, Proofs::default(), options).unwrap().log);
    append_from_threads(&log, 20);
    log.close().unwrap();
    drop(log);
    acknowledged_records_are_there(&env, DIR.as_ref(), threaded(4096 + 9_000), THREADS * 20);
}
