//! Every line of recovery's table, with real bytes: the situation is built on the disk, the verdict checked, and that
//! looking changes nothing (R28) and refusing changes nothing either (R20).

use nexus_log::env::{MemoryDisk, OpenMode, write_all_at};
use nexus_log::ids::Seq;
use nexus_log::limits::INFLIGHT_BYTES_MAX;
use nexus_log::log::{LogOptions, OpenError, ReadError};
use nexus_log::recovery::{DamageKind, Proofs, Verdict};

use crate::zone::{
    Given, SMALL, Shape, create, inspect_only, open, options, places, segment_path, segments_on, watermark_path,
};

const WIDE: Shape = Shape { meta: 900, chunks: &[] };
const OPTIONS_BYTES: u64 = 4096 + 5000;

fn small_segments() -> LogOptions {
    options(OPTIONS_BYTES, 0)
}

/// Records 1 and 2, 3, and 4 to 6 in three batches of one segment; no mark was made, the power is on.
fn three_batches() -> (MemoryDisk, Given) {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    for batch in [&[SMALL, WIDE][..], &[WIDE], &[SMALL, WIDE, SMALL]] {
        assert!(given.append(&log, batch, 0));
    }
    (disk, given)
}

/// As [`three_batches`], but the mark covers all.
fn marked() -> (MemoryDisk, Given) {
    let (disk, mut given) = three_batches();
    let opened = open(&disk, Proofs::default(), options(1 << 20, 0)).unwrap();
    assert!(given.append(&opened.log, &[SMALL], 0));
    opened.log.close().unwrap();
    (disk, given)
}

/// Several segments, closed in order.
fn many_segments() -> (MemoryDisk, Given) {
    let disk = MemoryDisk::new();
    let log = create(&disk, small_segments());
    let mut given = Given::default();
    for _ in 0..7 {
        assert!(given.append(&log, &[WIDE, SMALL, WIDE], 0));
    }
    log.close().unwrap();
    assert!(segments_on(&disk).len() >= 4);
    (disk, given)
}

fn edit(disk: &MemoryDisk, path: &std::path::Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk.read(path).unwrap();
    change(&mut bytes);
    disk.overwrite(path, &bytes).unwrap();
}

/// Puts bytes into the first segment without reading it whole.
fn put(disk: &MemoryDisk, bytes: &[u8], at: u64) {
    let file = nexus_log::env::Disk::open(disk, &segment_path(1), OpenMode::ReadWrite).unwrap();
    write_all_at(&*file, &[bytes], at).unwrap();
    file.sync_all().unwrap();
}

fn applied(seq: u64) -> Proofs {
    Proofs { applied: Seq(seq), signed: Seq::ZERO }
}

/// The log is refused for this damage at this record, looking and opening, and no byte changes.
fn refused(disk: &MemoryDisk, proofs: Proofs, options: LogOptions, kind: DamageKind, seq: u64) {
    let plan = inspect_only(disk, proofs).unwrap();
    assert_eq!(plan.verdict, Verdict::Damage(kind), "{plan:?}");
    let (before, operations) = (disk.dump(), disk.operations());
    match open(disk, proofs, options).unwrap_err() {
        OpenError::Damage { seq: at, kind: found, .. } => assert_eq!((at, found), (Seq(seq), kind)),
        other => panic!("{other:?}"),
    }
    assert!(disk.dump() == before && disk.operations() == operations, "refusing wrote");
}

fn opens_with(disk: &MemoryDisk, given: &Given, verdict: Verdict, last: u64) {
    let plan = inspect_only(disk, Proofs::default()).unwrap();
    assert_eq!(plan.verdict, verdict, "{plan:?}");
    let opened = open(disk, Proofs::default(), small_segments()).unwrap();
    assert_eq!(opened.report.last, Seq(last));
    assert_eq!(opened.report.cut.map(|c| c.from), (verdict == Verdict::Torn).then_some(Seq(last + 1)));
    let mut kept = given.clone();
    kept.truncate(Seq(last));
    kept.check(&opened.log);
    assert!(kept.append(&opened.log, &[WIDE, SMALL], 4));
    kept.check(&opened.log);
}

/// A segment whose file was created and whose header was not finished.
fn begin_segment(disk: &MemoryDisk, given: &Given, bytes: &[u8]) -> u64 {
    let first = given.next().0;
    disk.overwrite(&segment_path(first), bytes).unwrap();
    first
}

#[test]
fn a_blank_header_that_no_proof_covers_is_written_anew() {
    for bytes in [&[][..], &[0; 100], &[0; 4096], &[0; 9000]] {
        let (disk, given) = many_segments();
        begin_segment(&disk, &given, bytes);
        opens_with(&disk, &given, Verdict::Recreate, given.acked.0);
    }
}

#[test]
fn a_blank_header_that_a_proof_covers_is_damage() {
    let (disk, given) = many_segments();
    let last = *segments_on(&disk).last().unwrap();
    edit(&disk, &segment_path(last), |bytes| bytes.fill(0));
    refused(&disk, Proofs::default(), small_segments(), DamageKind::Missing, last);
    let (disk, given_2) = many_segments();
    let first = begin_segment(&disk, &given_2, &[]);
    assert_eq!(given.next(), Seq(first));
    refused(&disk, applied(first), small_segments(), DamageKind::Missing, first);
}

#[test]
fn a_bad_header_with_nothing_behind_it_is_written_anew_and_with_records_behind_it_is_damage() {
    let (disk, given) = many_segments();
    begin_segment(&disk, &given, &[0x5a; 1024]);
    opens_with(&disk, &given, Verdict::Recreate, given.acked.0);
    let (disk, _) = many_segments();
    let last = *segments_on(&disk).last().unwrap();
    for at in [70, 2048 + 70] {
        edit(&disk, &segment_path(last), |bytes| bytes[at] ^= 1);
    }
    refused(&disk, Proofs::default(), small_segments(), DamageKind::Header, last);
}

#[test]
fn a_newer_header_or_record_is_refused_not_cut() {
    let (disk, _) = many_segments();
    let last = *segments_on(&disk).last().unwrap();
    edit(&disk, &segment_path(last), |bytes| {
        for copy in [0, 2048] {
            bytes[copy + 8] = 2;
            let crc = crc32fast::hash(&bytes[copy..copy + 80]);
            bytes[copy + 80..copy + 84].copy_from_slice(&crc.to_le_bytes());
        }
    });
    refused_as_newer(&disk);
    let (disk, given) = three_batches();
    let seed = crate::zone::header_of(&disk, 1).seed;
    let end = places(&disk).values().map(|(_, at, bytes)| at + bytes).max().unwrap();
    let mut prefix = [0u8; 88];
    prefix[..5].copy_from_slice(b"NXR1\x02");
    let crc = crc32fast::hash(&[&seed[..], &prefix[..84]].concat());
    prefix[84..].copy_from_slice(&crc.to_le_bytes());
    put(&disk, &prefix, end as u64);
    assert_eq!(given.acked, Seq(6));
    refused_as_newer(&disk);
}

fn refused_as_newer(disk: &MemoryDisk) {
    assert_eq!(inspect_only(disk, Proofs::default()).unwrap().verdict, Verdict::Refuse);
    let before = disk.dump();
    assert!(matches!(open(disk, Proofs::default(), small_segments()), Err(OpenError::Newer { .. })));
    assert!(disk.dump() == before);
}

#[test]
fn a_clean_end_is_clean() {
    let (disk, given) = marked();
    opens_with(&disk, &given, Verdict::Clean, given.acked.0);
}

/// Damages each record in turn, in its prefix, meta and padding, and tells which proof must cover it.
fn damage_each(build: fn() -> (MemoryDisk, Given), proofs: Proofs, covered: std::ops::RangeInclusive<u64>) {
    for seq in covered {
        let (disk, given) = build();
        let (first, at, bytes) = places(&disk)[&seq];
        for offset in [at, at + 40, at + 90, at + bytes / 2] {
            let damaged = disk.fork();
            edit(&damaged, &segment_path(first), |content| content[offset] ^= 0x10);
            refused(&damaged, proofs, options(1 << 20, 0), DamageKind::Flushed, seq);
        }
        assert!(seq <= given.acked.0);
    }
}

#[test]
fn a_damaged_record_under_the_watermark_is_damage() {
    damage_each(marked, Proofs::default(), 1..=7);
}

/// The last batch has nothing behind it that knows of it: an idle log witnesses it.
#[test]
fn a_damaged_last_record_of_an_idle_log_is_damage() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    assert!(given.append(&log, &[SMALL, WIDE], 0));
    let (_, at, _) = places(&disk)[&2];
    let busy = disk.fork();
    let mark = log.tick(Seq::ZERO);
    log.tick(mark);
    for (disk, idle) in [(busy, false), (disk, true)] {
        edit(&disk, &segment_path(1), |bytes| bytes[at + 60] ^= 1);
        if idle {
            refused(&disk, Proofs::default(), options(1 << 20, 0), DamageKind::Flushed, 2);
        } else {
            opens_with(&disk, &given, Verdict::Torn, 1);
        }
    }
}

#[test]
fn a_damaged_record_that_a_later_record_knew_to_be_flushed_is_damage() {
    damage_each(three_batches, Proofs::default(), 1..=3);
}

#[test]
fn a_damaged_record_that_the_tables_have_applied_is_damage() {
    damage_each(three_batches, applied(6), 4..=6);
    damage_each(three_batches, Proofs { applied: Seq::ZERO, signed: Seq(5) }, 4..=5);
}

#[test]
fn a_damaged_tail_that_nothing_proves_is_cut_from_the_bad_record_on() {
    for seq in 4..=6 {
        let (disk, given) = three_batches();
        let (_, at, _) = places(&disk)[&seq];
        edit(&disk, &segment_path(1), |bytes| bytes[at + 60] ^= 1);
        opens_with(&disk, &given, Verdict::Torn, seq - 1);
    }
}

#[test]
fn a_batch_torn_in_its_middle_is_cut_there() {
    let (disk, given) = three_batches();
    let (_, at, bytes) = places(&disk)[&5];
    edit(&disk, &segment_path(1), |content| content[at..at + bytes].fill(0));
    opens_with(&disk, &given, Verdict::Torn, 4);
}

#[test]
fn a_missing_tail_is_damage_where_proven_and_an_end_where_not() {
    let (disk, given) = three_batches();
    let (_, at, _) = places(&disk)[&4];
    edit(&disk, &segment_path(1), |bytes| bytes.truncate(at));
    refused(&disk, applied(4), options(1 << 20, 0), DamageKind::Missing, 4);
    opens_with(&disk, &given, Verdict::Clean, 3);
    let (disk, _) = marked();
    let (_, at, _) = places(&disk)[&7];
    edit(&disk, &segment_path(1), |bytes| bytes[at..].fill(0));
    refused(&disk, Proofs::default(), options(1 << 20, 0), DamageKind::Missing, 7);
}

#[test]
fn a_bad_record_with_bytes_far_behind_it_is_not_provably_torn() {
    let (disk, given) = three_batches();
    let (_, at, _) = places(&disk)[&6];
    edit(&disk, &segment_path(1), |bytes| bytes[at + 60] ^= 1);
    put(&disk, &[7], at as u64 + INFLIGHT_BYTES_MAX);
    refused(&disk, Proofs::default(), options(1 << 20, 0), DamageKind::NotProvablyTorn, 6);
    let (disk, _) = three_batches();
    edit(&disk, &segment_path(1), |bytes| bytes[at + 60] ^= 1);
    put(&disk, &[7], at as u64 + INFLIGHT_BYTES_MAX - 1);
    opens_with(&disk, &given, Verdict::Torn, 5);
}

#[test]
fn a_deleted_last_segment_is_damage() {
    let (disk, _) = many_segments();
    let last = *segments_on(&disk).last().unwrap();
    nexus_log::env::Disk::remove_file(&disk, &segment_path(last)).unwrap();
    refused(&disk, Proofs::default(), small_segments(), DamageKind::Missing, last);
}

#[test]
fn a_deleted_first_segment_is_refused() {
    let (disk, _) = many_segments();
    nexus_log::env::Disk::remove_file(&disk, &segment_path(1)).unwrap();
    let before = disk.dump();
    assert!(matches!(open(&disk, Proofs::default(), small_segments()), Err(OpenError::NoSegments { .. })));
    assert!(disk.dump() == before);
}

#[test]
fn a_deleted_middle_segment_is_never_read_over() {
    let (disk, given) = many_segments();
    let segments = segments_on(&disk);
    nexus_log::env::Disk::remove_file(&disk, &segment_path(segments[1])).unwrap();
    let opened = open(&disk, Proofs::default(), small_segments()).unwrap();
    for seq in 1..=given.acked.0 {
        match opened.log.record(Seq(seq)) {
            Ok(record) => {
                assert!(!(segments[1]..segments[2]).contains(&seq), "{seq} is not there");
                assert_eq!(record, given.made[seq as usize - 1].record);
            }
            Err(error) => assert!(error.is_damage() && seq < segments[2], "{seq}: {error:?}"),
        }
    }
    let mut reader = opened.log.records(Seq::FIRST);
    let error = reader.find_map(Result::err).expect("a reader stops at the gap");
    assert!(matches!(error, ReadError::Damage { seq, .. } if seq == Seq(segments[1])), "{error:?}");
    assert!(reader.next().is_none());
    assert!(opened.log.root(given.acked.0).unwrap_err().is_damage());
}

#[test]
fn a_lost_or_garbled_watermark_costs_a_warning_only() {
    let (disk, given) = marked();
    for change in [None, Some(vec![]), Some(vec![0; 8192]), Some(vec![0x77; 8192]), Some(vec![0x77; 100])] {
        let disk = disk.fork();
        match change {
            None => nexus_log::env::Disk::remove_file(&disk, &watermark_path()).unwrap(),
            Some(bytes) => disk.overwrite(&watermark_path(), &bytes).unwrap(),
        }
        let opened = open(&disk, Proofs::default(), small_segments()).unwrap();
        assert_eq!(opened.report.warnings.len(), 2);
        given.check(&opened.log);
        opened.log.close().unwrap();
        drop(opened);
        assert!(open(&disk, Proofs::default(), small_segments()).unwrap().report.warnings.is_empty());
    }
}

#[test]
fn one_damaged_copy_of_a_header_costs_a_warning_only() {
    for at in [0, 70, 83, 84, 2000, 2048, 2048 + 70, 4095] {
        let (disk, given) = marked();
        edit(&disk, &segment_path(1), |bytes| bytes[at] ^= 4);
        let opened = open(&disk, Proofs::default(), small_segments()).unwrap();
        assert_eq!(opened.report.warnings.len(), 1, "byte {at}");
        given.check(&opened.log);
    }
}
