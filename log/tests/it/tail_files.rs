//! Following a log by its files, as another process does.

use std::path::Path;

use nexus_log::env::{Disk, MemoryDisk, OpenMode, SeededRandom, SyncFault};
use nexus_log::ids::Seq;
use nexus_log::log::{FileTail, FileTailError, Log, ReadError};
use nexus_log::recovery::Proofs;

use crate::zone::{
    DIR, Given, Made, SMALL, Shape, create, env_on, open, options, places, segment_path, segments_on, watermark_path,
};

const WIDE: Shape = Shape { meta: 900, chunks: &[700] };
const SMALL_SEGMENTS: u64 = 4096 + 5000;

fn follow(disk: &MemoryDisk) -> FileTail {
    FileTail::open(&env_on(disk, 20), Path::new(DIR)).unwrap()
}

fn drain(tail: &mut FileTail, given: &Given) -> Seq {
    while let Some(told) = tail.try_next().unwrap() {
        let seq = told.record.seq;
        assert_eq!(*told.record, given.made[seq.0 as usize - 1].record);
        assert!(seq <= given.acked, "{seq} was told and not acknowledged");
        assert_eq!(tail.next_seq(), seq.next());
    }
    tail.next_seq().prev()
}

fn idle(log: &Log) {
    let before = log.tick(Seq::ZERO);
    log.tick(before);
}

#[test]
fn the_last_batch_is_told_once_it_is_proved() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 4096));
    let mut given = Given::default();
    let mut tail = follow(&disk);
    assert!(tail.try_next().unwrap().is_none());
    given.append(&log, &[SMALL, WIDE], 0);
    assert_eq!(drain(&mut tail, &given), Seq::ZERO, "nothing on the disk says that it is flushed");
    given.append(&log, &[SMALL], 0);
    assert_eq!(drain(&mut tail, &given), Seq(2), "the third record says so");
    idle(&log);
    assert_eq!(drain(&mut tail, &given), Seq(3), "the watermark says so");
    assert!(tail.try_next().unwrap().is_none());
}

#[test]
fn new_segments_are_followed_and_their_names_are_proofs() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(SMALL_SEGMENTS, 0));
    let mut given = Given::default();
    let (mut steady, mut late) = (follow(&disk), follow(&disk));
    for round in 0..40 {
        assert!(given.append(&log, &[WIDE, SMALL][..1 + round % 2], 0));
        let told = drain(&mut steady, &given);
        assert!(told >= given.acked.prev().prev(), "all but the last batch");
        if round % 13 == 0 {
            drain(&mut late, &given);
        }
    }
    assert!(segments_on(&disk).len() > 4);
    log.close().unwrap();
    assert_eq!((drain(&mut steady, &given), drain(&mut late, &given)), (given.acked, given.acked));
    for from in 1..=given.acked.next().0 {
        let mut tail = follow(&disk);
        tail.seek(Seq(from)).unwrap();
        let first = tail.try_next().unwrap().map(|told| told.record.seq);
        assert_eq!(first, (from <= given.acked.0).then_some(Seq(from)));
    }
    let mut tail = follow(&disk);
    assert!(matches!(tail.seek(Seq(0)), Err(FileTailError::Read(ReadError::BeforeFirst { .. }))));
    let beyond = Seq(given.acked.0 + 2);
    assert!(matches!(tail.seek(beyond), Err(FileTailError::Read(ReadError::NotYet { .. }))));
    let mut tail = follow(&disk);
    tail.seek_end().unwrap();
    assert_eq!((tail.next_seq(), tail.proven()), (given.acked.next(), given.acked));
    assert!(tail.try_next().unwrap().is_none());
}

/// The writer stops at any operation of the disk, and another takes over, which may write other records where a torn
/// end was: the tail that goes on through it has told what is there, and only that.
#[test]
fn a_torn_end_is_never_told_and_a_writer_that_comes_after_is_followed() {
    let mut torn = 0;
    for stop in 1..60 {
        let disk = MemoryDisk::new();
        let log = create(&disk, options(SMALL_SEGMENTS, 2048));
        let mut given = Given::default();
        let mut tail = follow(&disk);
        disk.stop_after(stop);
        for round in 0..20 {
            let shapes: &[Shape] = [&[SMALL, SMALL][..], &[WIDE], &[SMALL, WIDE, SMALL]][round % 3];
            if !given.append(&log, shapes, 0) {
                break;
            }
            if round % 3 == 0 {
                idle(&log);
            }
            drain(&mut tail, &given);
        }
        drop(log);
        disk.power_cut_seeded(stop);
        disk.clear_faults();
        // Files are opened anew, as after a restart of the machine. A proof that was not synced itself may be gone.
        let told = tail.next_seq();
        tail = follow(&disk);
        tail.seek_end().unwrap();
        tail.seek(told.min(tail.next_seq())).unwrap();
        drain(&mut tail, &given);
        let opened = open(&disk, Proofs::default(), options(SMALL_SEGMENTS, 2048)).unwrap();
        torn += usize::from(opened.report.cut.is_some());
        assert!(opened.report.last >= told.prev().max(tail.next_seq().prev()), "stop {stop}: what was told is lost");
        given.truncate(opened.report.last);
        (0..12).for_each(|_| assert!(given.append(&opened.log, &[SMALL, WIDE], 9)));
        drain(&mut tail, &given);
        opened.log.close().unwrap();
        assert_eq!(drain(&mut tail, &given), given.acked, "stop {stop}");
    }
    assert!(torn > 5, "{torn} torn ends");
}

#[test]
fn what_a_failed_sync_left_behind_is_not_told() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    given.append(&log, &[SMALL; 3], 0);
    idle(&log);
    disk.fault_sync(1, SyncFault::Partly { seed: 3 });
    assert!(!given.append(&log, &[SMALL], 0));
    let mut tail = follow(&disk);
    assert_eq!(drain(&mut tail, &given), Seq(3));
    let mut last = follow(&disk);
    last.seek_end().unwrap();
    assert_eq!(last.next_seq(), Seq(4));
}

#[test]
fn a_segment_whose_header_is_not_there_yet_is_waited_for() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    given.append(&log, &[SMALL; 2], 0);
    let mut tail = follow(&disk);
    disk.open(&segment_path(3), OpenMode::CreateNew).unwrap();
    assert_eq!(drain(&mut tail, &given), Seq(2), "the name alone is a proof");
    assert!(tail.try_next().unwrap().is_none());
}

#[test]
fn damage_to_what_is_proved_is_told_as_damage() {
    for (seq, byte) in [(2, 100), (2, 40), (5, 10), (6, 120)] {
        let disk = MemoryDisk::new();
        let log = create(&disk, options(1 << 20, 0));
        let mut given = Given::default();
        given.append(&log, &[WIDE; 6], 0);
        log.close().unwrap();
        let (_, offset, _) = places(&disk)[&seq];
        disk.flip_bit(&segment_path(1), offset as u64 + byte, 1).unwrap();
        let mut tail = follow(&disk);
        for good in 1..seq {
            assert_eq!(tail.try_next().unwrap().unwrap().record.seq, Seq(good));
        }
        for _ in 0..2 {
            match tail.try_next() {
                Err(FileTailError::Read(error)) => assert!(error.is_damage(), "{error}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(tail.next_seq(), Seq(seq));
    }
}

#[test]
fn following_writes_nothing_and_does_without_a_watermark() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(SMALL_SEGMENTS, 0));
    let mut given = Given::default();
    (0..10).for_each(|_| assert!(given.append(&log, &[WIDE, SMALL], 0)));
    disk.remove_file(&watermark_path()).unwrap();
    let operations = disk.operations();
    let mut tail = follow(&disk);
    assert_eq!(drain(&mut tail, &given), given.acked.prev().prev());
    assert_eq!(disk.operations(), operations);
    let random = SeededRandom::new(9);
    log.append(Made::new(given.next(), SMALL, 0).draft(&random)).unwrap();
    assert!(tail.try_next().unwrap().is_none(), "appended is not written");
}
