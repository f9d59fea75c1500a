//! Writes and syncs that fail, with and without a power cut behind them (R4, R6, R10).

use nexus_log::env::{MemoryDisk, SyncFault, WriteFault};
use nexus_log::ids::Seq;
use nexus_log::log::{AppendRefused, Log, LogOptions};
use nexus_log::recovery::Proofs;

use crate::zone::{Given, Made, SMALL, Shape, create, env_on, inspect_only, open, open_env, options, root_on};

const FILE: Shape = Shape { meta: 30, chunks: &[1500, 20] };
const WIDE: Shape = Shape { meta: 900, chunks: &[] };
const SMALL_SEGMENTS: u64 = 4096 + 5000;
const BATCHES: usize = 8;

/// Appends batches until one fails. True if one did.
fn append_until_failure(log: &Log, given: &mut Given) -> bool {
    for _ in 0..BATCHES {
        if !given.append(log, &[SMALL, FILE, WIDE], 0) {
            return true;
        }
    }
    false
}

/// The log shows what it acknowledged, takes nothing more, and says why to everybody who waits.
fn check_poisoned(log: &Log, given: &Given) {
    assert_eq!(log.flushed(), given.acked);
    let records = log.records(Seq::FIRST).map(|r| r.unwrap());
    assert!(records.eq(given.made.iter().take(given.acked.0 as usize).map(|m| m.record.clone())));
    let poisoned = log.poisoned().expect("a failure poisons");
    for seq in given.acked.next().0..given.next().0 {
        let error = log.wait(Seq(seq)).unwrap_err();
        assert!(std::sync::Arc::ptr_eq(&error.0, &poisoned.0), "every waiter gets the same error");
    }
    let random = nexus_log::env::SeededRandom::new(5);
    let refused = log.append(Made::new(given.next(), SMALL, 1).draft(&random)).unwrap_err();
    assert!(matches!(refused, AppendRefused::Poisoned(_)), "{refused:?}");
    assert!(log.close().is_err());
    log.tick(Seq::ZERO);
    assert_eq!(log.flushed(), given.acked);
}

/// Opens and goes on; then the power goes once more.
fn recover(disk: &MemoryDisk, options: LogOptions, given: &Given) {
    inspect_only(disk, Proofs { applied: given.acked, signed: Seq::ZERO }).unwrap();
    let opened = open(disk, Proofs { applied: given.acked, signed: Seq::ZERO }, options).unwrap();
    given.check(&opened.log);
    let mut given = given.clone();
    given.truncate(opened.report.last);
    // What recovery has shown is on the disk, whatever the cache says.
    let cut = disk.fork();
    cut.power_cut(&mut || false);
    let shown = open(&cut, Proofs::default(), options).unwrap();
    assert_eq!(shown.log.flushed(), given.acked);
    given.check(&shown.log);
    assert!(given.append(&opened.log, &[SMALL, WIDE], 3));
    disk.power_cut(&mut || false);
    let again = open(disk, Proofs { applied: given.acked, signed: Seq::ZERO }, options).unwrap();
    assert_eq!(again.log.flushed(), given.acked);
    given.check(&again.log);
    assert_eq!(again.log.root(given.acked.0).unwrap(), root_on(disk, given.acked.0));
}

fn with_fault(options: LogOptions, arm: &dyn Fn(&MemoryDisk)) -> Option<(MemoryDisk, Given)> {
    let disk = MemoryDisk::new();
    create(&disk, options).close().unwrap();
    let env = env_on(&disk, 1);
    let log = open_env(&env, Proofs::default(), options).unwrap().log;
    let mut given = Given::default();
    arm(&disk);
    if !append_until_failure(&log, &mut given) {
        return None;
    }
    check_poisoned(&log, &given);
    disk.clear_faults();
    disk.set_free_bytes(None);
    drop(log);
    Some((disk, given))
}

/// Opens the log as it is, and after cuts of several outcomes.
fn recover_with_and_without_a_cut(disk: &MemoryDisk, options: LogOptions, given: &Given) {
    for seed in 0..4 {
        let cut = disk.fork();
        cut.power_cut_seeded(seed);
        recover(&cut, options, given);
    }
    recover(&disk.fork(), options, given);
}

fn every_fault(zero_ahead: u64, arm: &dyn Fn(&MemoryDisk, u64)) {
    let options = options(SMALL_SEGMENTS, zero_ahead);
    let mut struck = 0;
    for nth in 1.. {
        let Some((disk, given)) = with_fault(options, &|disk| arm(disk, nth)) else { break };
        recover_with_and_without_a_cut(&disk, options, &given);
        struck += 1;
    }
    assert!(struck >= BATCHES as u64, "the fault struck {struck} times");
}

#[test]
fn a_failed_sync_poisons_and_loses_nothing_acknowledged() {
    for zero_ahead in [0, 4096] {
        every_fault(zero_ahead, &|disk, nth| disk.fault_sync(nth, SyncFault::Lost));
        for seed in 0..3 {
            every_fault(zero_ahead, &|disk, nth| disk.fault_sync(nth, SyncFault::Partly { seed: seed + nth }));
        }
    }
}

#[test]
fn a_failed_write_poisons_and_loses_nothing_acknowledged() {
    for after_bytes in [0, 1, 100, 700] {
        every_fault(0, &|disk, nth| disk.fault_write(nth, WriteFault::Fail { after_bytes }).unwrap());
    }
    every_fault(4096, &|disk, nth| disk.fault_write(nth, WriteFault::Fail { after_bytes: 600 }).unwrap());
}

#[test]
fn a_failed_directory_sync_poisons_and_loses_nothing_acknowledged() {
    let options = options(SMALL_SEGMENTS, 0);
    let mut struck = 0;
    for nth in 1.. {
        let Some((disk, given)) = with_fault(options, &|disk| disk.fault_sync_dir(nth)) else { break };
        recover_with_and_without_a_cut(&disk, options, &given);
        struck += 1;
    }
    assert!(struck >= 2, "one for each segment begun");
}

#[test]
fn a_full_disk_poisons_and_opening_again_goes_on_once_there_is_space() {
    let options = options(SMALL_SEGMENTS, 0);
    let mut struck = 0;
    for sectors in 0..40 {
        let Some((disk, given)) = with_fault(options, &|disk| disk.set_free_bytes(Some(sectors * 512))) else { break };
        recover_with_and_without_a_cut(&disk, options, &given);
        struck += 1;
    }
    assert!(struck > 20);
    let (disk, _) = with_fault(options, &|disk| disk.set_free_bytes(Some(512))).unwrap();
    let log = open(&disk, Proofs::default(), options).unwrap().log;
    disk.set_free_bytes(Some(0));
    let mut given = Given::default();
    given.truncate(Seq::ZERO);
    let random = nexus_log::env::SeededRandom::new(5);
    let next = log.flushed().next();
    log.append(Made::new(next, FILE, 1).draft(&random)).unwrap();
    assert!(log.wait(next).unwrap_err().0.no_space());
}

#[test]
fn short_and_interrupted_transfers_change_nothing() {
    for seed in 0..6 {
        let options = options(SMALL_SEGMENTS, if seed % 2 == 0 { 0 } else { 4096 });
        let disk = MemoryDisk::new();
        disk.set_short_io(Some(seed));
        let log = create(&disk, options);
        let mut given = Given::default();
        assert!(!append_until_failure(&log, &mut given));
        given.check(&log);
        log.close().unwrap();
        drop(log);
        let opened = open(&disk, Proofs::default(), options).unwrap();
        assert!(opened.report.clean && opened.report.cut.is_none());
        given.check(&opened.log);
        assert_eq!(opened.log.root(given.acked.0).unwrap(), root_on(&disk, given.acked.0));
    }
}

/// Recovery's own sync fails: the cache shows the zeros it wrote, the disk holds the torn bytes still.
#[test]
fn a_recovery_whose_sync_failed_leaves_no_torn_bytes_behind_once_opening_succeeds() {
    let options = options(1 << 20, 0);
    for fault in [SyncFault::Lost, SyncFault::Partly { seed: 3 }, SyncFault::Partly { seed: 4 }] {
        let (disk, given) = with_fault(options, &|disk| {
            disk.fault_write(4, WriteFault::Fail { after_bytes: 1500 }).unwrap();
        })
        .unwrap();
        disk.power_cut(&mut || true);
        disk.fault_sync(1, fault);
        open(&disk, Proofs::default(), options).unwrap_err();
        let opened = open(&disk, Proofs::default(), options).unwrap();
        given.check(&opened.log);
        let last = opened.report.last;
        opened.log.close().unwrap();
        drop(opened);
        disk.power_cut(&mut || false);
        let again = open(&disk, Proofs::default(), options).unwrap();
        assert!(again.report.clean, "closed in order: {:?}", again.report);
        assert_eq!((again.report.cut, again.report.last), (None, last));
    }
}
