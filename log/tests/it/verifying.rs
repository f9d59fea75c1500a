//! Verification finds every changed bit, lists what is lost, and is silent about what is not damage.

use std::path::{Path, PathBuf};

use nexus_log::env::{Disk, MemoryDisk};
use nexus_log::ids::Seq;
use nexus_log::log::LogOptions;
use nexus_log::record::Record;
use nexus_log::recovery::Proofs;
use nexus_log::verify::{Fault, Observer, Severity, VerifyReport, verify};

use crate::zone::{
    DIR, Given, SMALL, Shape, create, env_on, long, open, options, places, root_on, segment_path, segments_on,
    sidecar_path, verified, verified_with, watermark_path,
};

const FILE: Shape = Shape { meta: 10, chunks: &[300, 41] };
const WIDE: Shape = Shape { meta: 1200, chunks: &[] };

fn small_segments() -> LogOptions {
    options(4096 + 2000, 0)
}

/// Two segments with a few records each, closed in order.
fn closed() -> (MemoryDisk, Given) {
    let disk = MemoryDisk::new();
    let log = create(&disk, small_segments());
    let mut given = Given::default();
    for batch in [&[SMALL, FILE][..], &[SMALL], &[FILE, SMALL, FILE]] {
        assert!(given.append(&log, batch, 0));
    }
    log.close().unwrap();
    assert_eq!(segments_on(&disk).len(), 2);
    (disk, given)
}

/// Five segments of three records each, closed in order.
fn longer() -> (MemoryDisk, Given) {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(4096 + 3500, 0));
    let mut given = Given::default();
    for _ in 0..5 {
        assert!(given.append(&log, &[SMALL, WIDE, FILE], 0));
    }
    log.close().unwrap();
    assert_eq!(segments_on(&disk), [1, 4, 7, 10, 13]);
    (disk, given)
}

fn damages(report: &VerifyReport) -> Vec<(Option<u64>, Fault)> {
    let damaged = report.findings.iter().filter(|f| f.severity() == Severity::Damage);
    damaged.map(|f| (f.seq.map(|s| s.0), f.what.clone())).collect()
}

#[test]
fn a_log_closed_in_order_is_sound_and_has_the_root_of_its_records() {
    for (disk, given) in [closed(), longer()] {
        let report = verified(&disk);
        assert!(report.is_sound() && report.closed, "{report:?}");
        assert_eq!((report.last, report.records), (given.acked, given.acked.0));
        assert_eq!(report.segments, segments_on(&disk).len() as u64);
        assert_eq!(report.root, Some(root_on(&disk, given.acked.0)));
        assert_eq!((report.sidecars_missing, report.torn), (0, None));
    }
}

#[derive(Default)]
struct Counts {
    records: Vec<Record>,
    progress: Vec<(u64, u64)>,
}

impl Observer for Counts {
    fn progress(&mut self, done: u64, total: u64) {
        self.progress.push((done, total));
    }

    fn record(&mut self, record: &Record) {
        self.records.push(record.clone());
    }
}

#[test]
fn an_observer_sees_every_record_and_all_bytes() {
    let (disk, given) = longer();
    let mut counts = Counts::default();
    let report = verify(&env_on(&disk, 1), DIR.as_ref(), Proofs::default(), &mut counts).unwrap();
    assert!(counts.records.iter().eq(given.made.iter().map(|m| &m.record)));
    let total: u64 = disk.dump().iter().filter(|(path, _)| path.starts_with(DIR)).map(|(_, b)| b.len() as u64).sum();
    assert_eq!(counts.progress.last(), Some(&(total, total)));
    assert_eq!(report.bytes, total);
}

/// Which bits of a file are flipped: all in the long form; else one in each byte that is not zero or stands between
/// records (padding is zero), and a sample of the other zeros.
fn bits_of(bytes: &[u8]) -> Vec<(u64, u8)> {
    let all = (0..bytes.len() as u64).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last as u64 + 1);
    let sampled = |&(at, bit): &(u64, u8)| {
        let written = bytes[at as usize] != 0 || (4096..end.min(8000)).contains(&at);
        bit == (at * 5 % 8) as u8 && (written || at.is_multiple_of(97))
    };
    if long() { all.collect() } else { all.filter(sampled).collect() }
}

/// The log opened with a bit flipped: it refuses, or what it serves is right.
fn serves_nothing_wrong(disk: &MemoryDisk, given: &Given) {
    let Ok(opened) = open(disk, Proofs::default(), small_segments()) else { return };
    for made in &given.made {
        let Ok(record) = opened.log.record(made.record.seq) else { continue };
        assert_eq!(record, made.record);
        for (index, content) in made.content.iter().enumerate() {
            if let Ok(bytes) = opened.log.chunk(&record.chunk_ref(index).unwrap()) {
                assert_eq!(bytes, content);
            }
        }
    }
    if let Ok(root) = opened.log.root(given.acked.0) {
        assert_eq!(root.to_string(), verified_root(given));
    }
}

fn verified_root(given: &Given) -> String {
    let (disk, same) = closed();
    assert_eq!(same.acked, given.acked);
    root_on(&disk, given.acked.0).to_string()
}

#[test]
fn every_flipped_bit_is_found_and_nothing_wrong_is_served() {
    let (disk, given) = closed();
    let files: Vec<(PathBuf, Vec<u8>)> = disk.dump().into_iter().filter(|(path, _)| path.starts_with(DIR)).collect();
    assert_eq!(files.len(), 5, "meta, watermark, two segments, a sidecar");
    for (path, bytes) in files {
        let mut found = 0;
        for (at, bit) in bits_of(&bytes) {
            let flipped = disk.fork();
            flipped.flip_bit(&path, at, bit).unwrap();
            match verified_with(&flipped, Proofs::default()) {
                Ok(report) => assert!(!report.is_sound(), "bit {bit} of byte {at} of {}", path.display()),
                Err(error) => panic!("bit {bit} of byte {at} of {}: {error:?}", path.display()),
            }
            if found % 32 == 0 {
                serves_nothing_wrong(&flipped, &given);
            }
            found += 1;
        }
        assert!(found > 100, "{}: {found}", path.display());
    }
}

#[test]
fn damage_in_the_middle_is_located_and_what_follows_is_checked() {
    let (disk, given) = longer();
    let places = places(&disk);
    for (seq, (first, at, bytes)) in &places {
        let damaged = disk.fork();
        let mut content = damaged.read(&segment_path(*first)).unwrap();
        content[at + 50] ^= 1;
        damaged.overwrite(&segment_path(*first), &content).unwrap();
        let report = verified(&damaged);
        let damages = damages(&report);
        let lost = damages.iter().find_map(|(at, what)| match what {
            Fault::Lost { end, until, .. } => Some((*at, *end, *until)),
            _ => None,
        });
        let (lost_seq, end, until) = lost.unwrap_or_else(|| panic!("record {seq}: {report:?}"));
        assert_eq!(lost_seq, Some(*seq));
        assert!(end <= (at + bytes) as u64, "record {seq}");
        assert!(until.is_none_or(|until| until == Seq(*seq)));
        assert_eq!(report.records, given.acked.0 - 1, "record {seq}: all the others are checked");
        assert_eq!(report.root, None);
    }
}

#[test]
fn a_damaged_body_is_one_finding_with_its_record() {
    let (disk, given) = longer();
    for (seq, (first, at, _)) in places(&disk).iter().filter(|(seq, _)| **seq < 13) {
        let damaged = disk.fork();
        damaged.flip_bit(&segment_path(*first), *at as u64 + 120, 3).unwrap();
        let report = verified(&damaged);
        assert!(matches!(&damages(&report)[..], [(Some(s), Fault::Record(_))] if s == seq), "{report:?}");
        assert_eq!(report.records, given.acked.0 - 1);
    }
}

#[test]
fn missing_segments_are_gaps() {
    let (disk, given) = longer();
    for (gone, from, until) in [(1, 1, 3), (7, 7, 9)] {
        let disk = disk.fork();
        disk.remove_file(&segment_path(gone)).unwrap();
        let report = verified(&disk);
        let damages = damages(&report);
        let gap = |(seq, what): &(Option<u64>, Fault)| match what {
            Fault::Gap { until: u } | Fault::Lost { until: Some(u), .. } => *seq == Some(from) && *u == Seq(until),
            _ => false,
        };
        assert!(damages.len() == 1 && gap(&damages[0]), "{report:?}");
        assert_eq!(report.records, given.acked.0 - 3);
    }
    disk.remove_file(&segment_path(13)).unwrap();
    assert!(matches!(&damages(&verified(&disk))[..], [(Some(13), Fault::Tail(_)), ..]));
    for first in segments_on(&disk) {
        disk.remove_file(&segment_path(first)).unwrap();
    }
    assert_eq!(damages(&verified(&disk)), [(Some(1), Fault::NoSegments)]);
}

#[test]
fn a_log_shorter_than_a_proof_is_damage() {
    let (disk, given) = closed();
    let proofs = |applied| Proofs { applied, signed: Seq::ZERO };
    assert!(verified_with(&disk, proofs(given.acked)).unwrap().is_sound());
    let report = verified_with(&disk, proofs(given.acked.next())).unwrap();
    assert!(matches!(&damages(&report)[..], [(Some(seq), Fault::Tail(_))] if *seq == given.next().0), "{report:?}");
}

#[test]
fn a_torn_tail_is_no_damage_unless_the_log_was_closed() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    assert!(given.append(&log, &[SMALL, FILE], 0));
    assert!(given.append(&log, &[SMALL, FILE], 0));
    let (_, at, bytes) = places(&disk)[&4];
    let torn = disk.fork();
    torn.flip_bit(&segment_path(1), at as u64 + 60, 1).unwrap();
    let report = verified(&torn);
    assert!(report.is_sound() && !report.closed, "{report:?}");
    let tail = report.torn.unwrap();
    assert_eq!((tail.from, tail.offset, report.last), (Seq(4), at as u64, Seq(3)));
    assert!(verified_with(&torn, Proofs { applied: Seq(4), signed: Seq::ZERO }).unwrap().is_damaged());
    log.close().unwrap();
    let mut content = disk.read(&segment_path(1)).unwrap();
    content.resize(at + bytes + 600, 0);
    content[at + bytes + 512] = 1;
    disk.overwrite(&segment_path(1), &content).unwrap();
    let report = verified(&disk);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].what, Fault::Unwritten { bytes: 1 });
    assert!(!report.is_damaged() && report.torn.is_none() && report.root.is_some());
}

#[test]
fn spare_copies_are_findings_that_lose_nothing() {
    let (disk, given) = longer();
    let damage: [(&Path, u64); 5] = [
        (&Path::new(DIR).join("meta"), 60),
        (&watermark_path(), 60),
        (&segment_path(4), 70),
        (&segment_path(4), 3000),
        (&sidecar_path(7), 4100),
    ];
    for (path, at) in damage {
        let disk = disk.fork();
        disk.flip_bit(path, at, 2).unwrap();
        let report = verified(&disk);
        assert_eq!(report.findings.len(), 1, "{report:?}");
        assert!(!report.is_damaged());
        assert_eq!(report.root, Some(root_on(&disk, given.acked.0)));
    }
    disk.remove_file(&sidecar_path(7)).unwrap();
    let report = verified(&disk);
    assert!(report.is_sound() && report.sidecars_missing == 1);
}

/// A sidecar whose every checksum holds, but which is that of another content.
#[test]
fn a_sidecar_of_the_same_segment_in_another_life_differs() {
    let (disk, _) = longer();
    let other = MemoryDisk::new();
    let log = create(&other, options(4096 + 3500, 0));
    let mut given = Given::default();
    for _ in 0..5 {
        assert!(given.append(&log, &[SMALL, WIDE, FILE], 9));
    }
    log.close().unwrap();
    let bytes = other.read(&sidecar_path(4)).unwrap();
    disk.overwrite(&sidecar_path(4), &bytes).unwrap();
    let report = verified(&disk);
    assert!(matches!(report.findings[..], [ref f] if matches!(f.what, Fault::SidecarDiffers(_))), "{report:?}");
}

#[test]
fn unreadable_sectors_are_located_and_the_rest_is_checked() {
    let (disk, given) = longer();
    let (first, at, _) = places(&disk)[&8];
    let sector = (at as u64 + 600) / 512 * 512;
    disk.fail_reads(&segment_path(first), sector..sector + 512).unwrap();
    let report = verified(&disk);
    let damages = damages(&report);
    assert!(matches!(damages[..], [(Some(8), Fault::Unreadable(_))]), "{report:?}");
    assert_eq!(report.records, given.acked.0 - 1);
}
