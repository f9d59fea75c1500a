//! The power goes at every operation of a history, and again at every operation of the recovery from it.

use nexus_log::env::MemoryDisk;
use nexus_log::ids::Seq;
use nexus_log::log::LogOptions;
use nexus_log::recovery::{Proofs, Verdict};

use crate::zone::{
    Given, SMALL, Shape, Step, create, env_on, inspect_only, long, open, open_env, options, root_on, run, verified,
    verified_with,
};

const WIDE: Shape = Shape { meta: 700, chunks: &[] };
const FILE: Shape = Shape { meta: 30, chunks: &[1500] };
const FILES: Shape = Shape { meta: 0, chunks: &[1, 600, 513] };
const LARGE: Shape = Shape { meta: 11, chunks: &[9000] };

const HISTORY: &[Step] = &[
    Step::Batch(&[SMALL]),
    Step::Batch(&[SMALL, FILE, WIDE]),
    Step::Idle,
    Step::Batch(&[FILES, SMALL, SMALL, WIDE, FILE]),
    Step::Batch(&[LARGE]),
    Step::Idle,
    Step::Batch(&[SMALL]),
    Step::Reopen,
    Step::Batch(&[WIDE, FILE]),
    Step::Batch(&[SMALL]),
    Step::Batch(&[FILES, FILE, LARGE]),
    Step::Batch(&[SMALL, SMALL]),
];

/// Segment bound, zeros ahead: rotation often or hardly, with and without zeros written ahead.
const SHAPES_OF_LOG: [(u64, u64); 4] = [(4096 + 6000, 0), (4096 + 6000, 4096), (1 << 20, 8192), (4096 + 2000, 0)];

/// A disk that lost its power at operation `nth` of the history, and what the log had been given by then.
fn stopped(blank: &MemoryDisk, options: LogOptions, nth: Option<u64>) -> (MemoryDisk, Given) {
    let disk = blank.fork();
    let env = env_on(&disk, 1);
    let mut given = Given::default();
    let log = open_env(&env, Proofs::default(), options).unwrap().log;
    if let Some(nth) = nth {
        disk.stop_after(nth);
    }
    run(&env, HISTORY, options, log, &mut given);
    (disk, given)
}

fn blank(options: LogOptions) -> MemoryDisk {
    let disk = MemoryDisk::new();
    create(&disk, options).close().unwrap();
    disk
}

/// The possible outcomes of a cut that are tried.
fn cuts(disk: &MemoryDisk, seeds: u64) -> Vec<MemoryDisk> {
    let all = disk.fork();
    all.power_cut(&mut || true);
    let none = disk.fork();
    none.power_cut(&mut || false);
    let mut cuts = vec![all, none];
    for seed in 0..seeds {
        let cut = disk.fork();
        cut.power_cut_seeded(seed * 7919 + disk.operations());
        cuts.push(cut);
    }
    cuts
}

/// Opens what a cut left, checks it, goes on with it, closes it, and checks it again.
fn check_and_go_on(disk: &MemoryDisk, options: LogOptions, given: &Given) {
    let proofs = [Seq::ZERO, Seq(given.acked.0 / 2), given.acked].map(|applied| Proofs { applied, signed: Seq::ZERO });
    let proofs = proofs[disk.operations() as usize % proofs.len()];
    let plan = inspect_only(disk, proofs).unwrap();
    assert!(!matches!(plan.verdict, Verdict::Damage(_) | Verdict::Refuse), "{plan:?}");
    let report = verified_with(disk, proofs).unwrap();
    assert!(!report.is_damaged(), "{report:?}");
    assert_eq!((report.last, report.torn.is_some()), (plan.last, plan.verdict != Verdict::Clean), "{report:?}");
    let opened = open(disk, proofs, options).unwrap();
    given.check(&opened.log);
    assert_eq!(opened.report.last, opened.log.flushed());
    let last = opened.report.last;
    assert_eq!(opened.log.root(last.0).unwrap(), root_on(disk, last.0));
    let mut given = given.clone();
    given.truncate(last);
    assert!(given.append(&opened.log, &[SMALL, FILE], 9));
    assert!(given.append(&opened.log, &[WIDE], 9));
    given.check(&opened.log);
    opened.log.close().unwrap();
    drop(opened);
    let report = verified(disk);
    assert!(report.is_sound() && report.closed && report.torn.is_none(), "{report:?}");
    assert_eq!((report.last, report.records), (given.acked, given.acked.0));
    assert_eq!(report.root, Some(root_on(disk, given.acked.0)));
    let again = open(disk, Proofs { applied: given.acked, signed: given.acked }, options).unwrap();
    assert!(again.report.clean && again.report.warnings.is_empty(), "{:?}", again.report);
    assert_eq!((again.report.cut, again.report.rewritten, again.report.last), (None, 0, given.acked));
    given.check(&again.log);
    assert_eq!(again.log.root(given.acked.0).unwrap(), root_on(disk, given.acked.0));
}

/// The power goes at every operation of recovery too; a second recovery then finds what the first would have (R27).
fn cut_recovery(disk: &MemoryDisk, options: LogOptions, given: &Given, seeds: u64) {
    let whole = disk.fork();
    let before = whole.operations();
    let undisturbed = open(&whole, Proofs::default(), options).unwrap().report;
    let operations = whole.operations() - before;
    assert!(operations > 0);
    for nth in 1..=operations {
        let stopped = disk.fork();
        stopped.stop_after(nth);
        assert!(open(&stopped, Proofs::default(), options).is_err());
        for again in cuts(&stopped, seeds) {
            let plan = inspect_only(&again, Proofs::default()).unwrap();
            assert_eq!(plan.last, undisturbed.last, "operation {nth} of recovery");
            check_and_go_on(&again, options, given);
        }
    }
}

fn every_operation(index: usize) {
    let (segment_bytes, zero_ahead) = SHAPES_OF_LOG[index];
    let options = options(segment_bytes, zero_ahead);
    let blank = blank(options);
    let (whole, given) = stopped(&blank, options, None);
    assert_eq!(given.acked, given.next().prev(), "the history runs through");
    let operations = whole.operations() - blank.operations();
    let (seeds, recovery_every) = if long() { (24, 1) } else { (4, 5) };
    let mut unacknowledged_kept = 0;
    for nth in 1..=operations {
        let (disk, given) = stopped(&blank, options, Some(nth));
        for (i, cut) in cuts(&disk, seeds).iter().enumerate() {
            let shown = inspect_only(cut, Proofs::default()).unwrap().last;
            unacknowledged_kept += u64::from(shown > given.acked);
            if (nth + i as u64).is_multiple_of(recovery_every) {
                cut_recovery(cut, options, &given, if long() { 4 } else { 1 });
            }
            check_and_go_on(cut, options, &given);
        }
    }
    assert!(unacknowledged_kept > 0, "the cuts reach the case of a whole record that was not acknowledged");
}

#[test]
fn nothing_acknowledged_is_lost_at_any_operation_with_many_small_segments() {
    every_operation(0);
}

#[test]
fn nothing_acknowledged_is_lost_at_any_operation_with_zeros_ahead_in_small_segments() {
    every_operation(1);
}

#[test]
fn nothing_acknowledged_is_lost_at_any_operation_with_zeros_ahead_in_one_segment() {
    every_operation(2);
}

#[test]
fn nothing_acknowledged_is_lost_at_any_operation_with_a_segment_per_batch() {
    every_operation(3);
}
