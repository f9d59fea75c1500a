//! Disks that say yes and do otherwise: a write lost, or landed in another place (R11). Opening or verifying finds it;
//! nothing wrong is ever served.

use nexus_log::env::{MemoryDisk, WriteFault};
use nexus_log::ids::Seq;
use nexus_log::recovery::Proofs;

use crate::zone::{
    Given, SMALL, Shape, create, open, options, segment_path, segments_on, verified_with, watermark_path,
};

const FILE: Shape = Shape { meta: 40, chunks: &[1100] };
const BATCHES: [&[Shape]; 6] = [&[SMALL], &[FILE, SMALL], &[SMALL, SMALL, FILE], &[FILE], &[SMALL, FILE], &[SMALL]];

/// A history during which write `nth` goes wrong; nobody notices then.
fn history(nth: u64, fault: &dyn Fn(&MemoryDisk) -> WriteFault) -> (MemoryDisk, Given, bool) {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(4096 + 4000, 0));
    let mut given = Given::default();
    assert!(given.append(&log, &[SMALL], 0));
    let before = disk.writes();
    disk.fault_write(nth, fault(&disk)).unwrap();
    for batch in BATCHES {
        assert!(given.append(&log, batch, 0));
        let mark = log.tick(Seq::ZERO);
        log.tick(mark);
    }
    let _ = log.close();
    let struck = disk.writes() - before >= nth;
    disk.clear_faults();
    (disk, given, struck)
}

/// Whoever has the log's proofs finds the fault, and what is served is what was written.
fn found_and_never_served(disk: &MemoryDisk, given: &Given, case: &str) {
    let proofs = Proofs { applied: given.acked, signed: Seq::ZERO };
    let sound = verified_with(disk, proofs).is_ok_and(|report| report.is_sound());
    let Ok(opened) = open(disk, proofs, options(4096 + 4000, 0)) else {
        assert!(!sound, "{case}: refused, and yet verified");
        return;
    };
    let mut whole = true;
    for made in &given.made {
        match opened.log.record(made.record.seq) {
            Ok(record) => assert_eq!(record, made.record, "{case}"),
            Err(error) => {
                assert!(error.is_damage(), "{case}: {error:?}");
                whole = false;
            }
        }
    }
    assert!(whole || !sound, "{case}: a record cannot be read, and yet the log verified");
}

fn every_write(fault: &dyn Fn(&MemoryDisk) -> WriteFault) {
    let mut found = 0;
    for nth in 1.. {
        let (disk, given, struck) = history(nth, fault);
        if !struck {
            break;
        }
        let case = format!("write {nth}");
        found_and_never_served(&disk, &given, &case);
        let cut = disk.fork();
        cut.power_cut(&mut || false);
        found_and_never_served(&cut, &given, &case);
        let proofs = Proofs { applied: given.acked, signed: Seq::ZERO };
        found += u64::from(!verified_with(&disk, proofs).is_ok_and(|report| report.is_sound()));
    }
    assert!(found >= BATCHES.len() as u64, "found {found}");
}

#[test]
fn a_lost_write_is_found() {
    every_write(&|_| WriteFault::Lost);
}

#[test]
fn a_write_to_another_place_of_its_file_is_found() {
    for offset in [0, 4096, 4100, 5000, 20_000] {
        every_write(&|_| WriteFault::ToOffset(offset));
    }
}

#[test]
fn a_write_into_another_file_is_found() {
    every_write(&|_| WriteFault::IntoFile(segment_path(1)));
    every_write(&|_| WriteFault::IntoFile(watermark_path()));
}

/// Two whole segments in each other's place.
#[test]
fn exchanged_segments_are_found() {
    let (disk, given, _) = history(1_000_000, &|_| WriteFault::Lost);
    let segments = segments_on(&disk);
    for (a, b) in [(0, 1), (1, 2), (0, segments.len() - 1)] {
        let disk = disk.fork();
        let (one, other) = (segment_path(segments[a]), segment_path(segments[b]));
        let (first, second) = (disk.read(&one).unwrap(), disk.read(&other).unwrap());
        disk.overwrite(&one, &second).unwrap();
        disk.overwrite(&other, &first).unwrap();
        found_and_never_served(&disk, &given, "exchanged");
        assert!(!verified_with(&disk, Proofs::default()).is_ok_and(|report| report.is_sound()));
    }
}
