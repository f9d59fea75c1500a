//! Content that is made of records: it never passes for records, and never looks like damage.
//!
//! A segment's seed is in no answer, so the best a forger has is records of other segments and zones.

use bytes::Bytes;
use nexus_log::env::{MemoryDisk, SeededRandom, SplitMix64};
use nexus_log::ids::Seq;
use nexus_log::recovery::{Proofs, Verdict};

use crate::zone::{Given, Made, SMALL, Shape, create, inspect_only, long, open, options, places, segment_path};

const SECTOR: usize = 512;

/// Bytes of the records `from` to `to` of a log of the same zone and incarnation in another life, the way content
/// could quote them: chained, at multiples of 8, with every seq that may come.
fn quoted(salt: u64) -> Vec<u8> {
    let disk = MemoryDisk::new();
    let log = create_with_seed(&disk, salt);
    let mut given = Given::default();
    for _ in 0..8 {
        assert!(given.append(&log, &[SMALL, Shape { meta: 100, chunks: &[] }], salt));
    }
    let bytes = disk.read(&segment_path(1)).unwrap();
    let end = places(&disk).values().map(|(_, at, bytes)| at + bytes).max().unwrap();
    bytes[4096..end].to_vec()
}

fn create_with_seed(disk: &MemoryDisk, seed: u64) -> nexus_log::log::Log {
    use nexus_log::log::Log;
    let (mut env, _, _) = nexus_log::env::Env::simulated(1_000 + seed);
    env.disk = std::sync::Arc::new(disk.clone());
    Log::create(&env, crate::zone::DIR.as_ref(), crate::zone::IDENTITY, Seq::FIRST, options(1 << 20, 0)).unwrap()
}

/// Two honest records, then one batch: a record with forged content, and one behind it.
fn with_forged_content(shift: usize) -> (MemoryDisk, Given, usize, usize) {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    assert!(given.append(&log, &[SMALL, SMALL], 0));
    let content = [vec![0x20; shift], quoted(1), quoted(2)].concat();
    let forged = Made::of(given.next(), Made::new(Seq(3), SMALL, 0).record.events, vec![Bytes::from(content)]);
    let random = SeededRandom::new(4);
    let after = Made::new(given.next().next(), SMALL, 0);
    for made in [forged, after] {
        log.append(made.draft(&random)).unwrap();
        given.made.push(made);
    }
    log.wait(Seq(4)).unwrap();
    let places = places(&disk);
    (disk, given, places[&3].1, places[&4].1 + places[&4].2)
}

#[test]
fn forged_records_torn_at_every_sector_are_neither_resurrected_nor_taken_for_damage() {
    for shift in 0..8 {
        let (disk, mut given, from, to) = with_forged_content(shift);
        given.acked = Seq(2);
        let whole = disk.read(&segment_path(1)).unwrap();
        let sectors = from / SECTOR..to.div_ceil(SECTOR);
        let mut rng = SplitMix64::new(shift as u64);
        let mut masks: Vec<u64> = sectors.clone().map(|s| !(1 << (s - sectors.start))).collect();
        masks.extend(sectors.clone().map(|s| (1 << (s - sectors.start)) - 1));
        masks.extend(sectors.clone().map(|s| !((1 << (s - sectors.start)) - 1)));
        masks.extend((0..if long() { 500 } else { 20 }).map(|_| rng.next_u64()));
        assert!(sectors.len() < 64);
        for mask in masks {
            let mut torn = whole.clone();
            for sector in sectors.clone().filter(|s| mask & (1 << (s - sectors.start)) == 0) {
                let lost = (sector * SECTOR).max(from)..((sector + 1) * SECTOR).min(to);
                torn[lost].fill(0);
            }
            let cut = disk.fork();
            cut.overwrite(&segment_path(1), &torn).unwrap();
            let plan = inspect_only(&cut, Proofs { applied: Seq(2), signed: Seq::ZERO }).unwrap();
            assert!(matches!(plan.verdict, Verdict::Torn | Verdict::Clean), "{plan:?}");
            let opened = open(&cut, Proofs { applied: Seq(2), signed: Seq::ZERO }, options(1 << 20, 0)).unwrap();
            given.check(&opened.log);
        }
    }
}

/// The forged bytes right where the next record is expected.
#[test]
fn records_of_another_life_in_the_place_of_the_next_record_are_cut() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    assert!(given.append(&log, &[SMALL, SMALL], 0));
    let end = places(&disk)[&2].1 + places(&disk)[&2].2;
    for salt in 1..5 {
        let disk = disk.fork();
        let bytes = [disk.read(&segment_path(1)).unwrap()[..end].to_vec(), quoted(salt)].concat();
        disk.overwrite(&segment_path(1), &bytes).unwrap();
        let opened = open(&disk, Proofs::default(), options(1 << 20, 0)).unwrap();
        assert_eq!(opened.report.cut.map(|c| c.from), Some(Seq(3)));
        given.check(&opened.log);
    }
}

/// A tail that was cut, and whose zeros the disk lost, behind a shorter one written in its place: same segment, same
/// seed, the seq that is expected next. Only the chain tells (R11).
#[test]
fn a_record_of_an_abandoned_tail_does_not_follow_on_another() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    assert!(given.append(&log, &[SMALL, SMALL], 0));
    drop(log);
    let with_tail = |salt: u64| {
        let (fork, mut given) = (disk.fork(), given.clone());
        let log = open(&fork, Proofs::default(), options(1 << 20, 0)).unwrap().log;
        assert!(given.append(&log, &[SMALL, SMALL, SMALL], salt));
        (fork, given)
    };
    let ((abandoned, _), (kept, mut given)) = (with_tail(1), with_tail(2));
    let (_, at, bytes) = places(&kept)[&4];
    assert_eq!(places(&abandoned)[&4], (1, at, bytes));
    let (tail, mut mixed) = (abandoned.read(&segment_path(1)).unwrap(), kept.read(&segment_path(1)).unwrap());
    mixed[at..].copy_from_slice(&tail[at..]);
    kept.overwrite(&segment_path(1), &mixed).unwrap();
    let opened = open(&kept, Proofs { applied: Seq(3), signed: Seq::ZERO }, options(1 << 20, 0)).unwrap();
    assert_eq!(opened.report.cut.map(|cut| cut.from), Some(Seq(4)));
    given.acked = Seq(3);
    given.check(&opened.log);
    kept.overwrite(&segment_path(1), &mixed).unwrap();
    assert!(open(&kept, Proofs { applied: Seq(4), signed: Seq::ZERO }, options(1 << 20, 0)).is_err());
}
