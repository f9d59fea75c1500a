//! What history finds by the indexes is what looking at every record finds.

use std::collections::BTreeSet;

use nexus_log::env::{Disk, MemoryDisk, SeededRandom, SplitMix64};
use nexus_log::event::{
    Context, Event, FileCreated, Kind, OrphansReleased, Outcome, RefusalCount, RefusalsCounted, Refused, Renamed,
    Unlinked, Written, ZoneCreated,
};
use nexus_log::filter::Filter;
use nexus_log::ids::{Inode, Seq};
use nexus_log::log::{Direction, Log, LogOptions};
use nexus_log::record::Record;
use nexus_log::recovery::Proofs;

use crate::zone::{
    Made, create, env_on, long, open, open_env, options, segment_path, segments_on, sidecar_path, verified,
};

const INODES: u64 = 40;
const NAMES: [&str; 4] = ["", "a", "b", "c"];

fn event(rng: &mut SplitMix64) -> Event {
    let inode = |rng: &mut SplitMix64| 1 + rng.next_u64() % INODES;
    let (one, two) = (inode(rng), inode(rng));
    match rng.next_u64() % 7 {
        0 => FileCreated { inode: one, parent: two, name: b"n".to_vec(), ..FileCreated::default() }.into(),
        1 => Unlinked { inode: one, parent: two, name: b"n".to_vec(), ..Unlinked::default() }.into(),
        2 => {
            let (from_parent, to_parent) = (two, inode(rng));
            Renamed { inode: one, from_parent, to_parent, replaced: inode(rng) % 3, ..Renamed::default() }.into()
        }
        3 => Written { inode: one, ..Written::default() }.into(),
        4 => OrphansReleased { inodes: vec![two, one] }.into(),
        5 => Refused { inode: one % 5, syscall: 27, reason: 1, path: b"/x".to_vec() }.into(),
        _ => {
            let counts = [one, two].map(|inode| RefusalCount { inode, count: 3, ..RefusalCount::default() }).to_vec();
            RefusalsCounted { counts, ..RefusalsCounted::default() }.into()
        }
    }
}

fn made(seq: Seq, rng: &mut SplitMix64) -> Made {
    let events = (0..1 + rng.next_u64() % 3).map(|_| event(rng)).collect();
    let content = match rng.next_u64() % 4 {
        0 => vec![vec![7; 1 + (rng.next_u64() % 3000) as usize].into()],
        _ => vec![],
    };
    let mut made = Made::of(seq, events, content);
    let mut name = || NAMES[(rng.next_u64() % 4) as usize].to_owned();
    let (tenant, user, agent, session) = (name(), name(), format!("agent-{}", name()), name());
    let request_id = Some(name()).filter(|id| !id.is_empty());
    made.record.context = Context { tenant, user, agent, session, request_id, ..Context::default() };
    made
}

fn filter(rng: &mut SplitMix64) -> Filter {
    let mut maybe = || rng.next_u64().is_multiple_of(4).then(|| NAMES[(rng.next_u64() % 4) as usize].to_owned());
    let mut filter = Filter { tenant: maybe(), user: maybe(), session: maybe(), ..Filter::default() };
    filter.agent = maybe().map(|name| format!("agent-{name}"));
    filter.request_id = maybe().filter(|_| filter.session.is_none());
    if rng.next_u64().is_multiple_of(2) {
        let inodes = (0..1 + rng.next_u64() % 3).map(|_| Inode(rng.next_u64() % (INODES + 4)));
        filter.inodes = Some(inodes.collect::<BTreeSet<Inode>>());
    }
    if rng.next_u64().is_multiple_of(4) {
        filter.kinds = Some([37, 39, 64][..1 + (rng.next_u64() % 3) as usize].iter().map(|k| Kind(*k)).collect());
    }
    filter.outcome = [None, None, Some(Outcome::Ok), Some(Outcome::Refused)][(rng.next_u64() % 4) as usize];
    filter
}

/// Every answer against looking at all of `given`: forward, reverse, limited, of a range.
fn answers_are_right(log: &Log, given: &[Record], rng: &mut SplitMix64, questions: usize) {
    let last = Seq(given.len() as u64);
    for _ in 0..questions {
        let filter = filter(rng);
        let from = Seq(rng.next_u64() % (last.0 + 1));
        let until = Seq(from.0 + rng.next_u64() % (last.0 + 3));
        let range = if rng.next_u64().is_multiple_of(2) { from..until } else { Seq::ZERO..Seq::MAX };
        let wanted = given.iter().filter(|r| range.contains(&r.seq) && filter.wants(r));
        let limit = if rng.next_u64().is_multiple_of(4) { (rng.next_u64() % 4) as usize } else { usize::MAX };
        let ask = |direction| {
            let found = log.history(filter.clone(), range.clone(), direction).take(limit);
            found.collect::<Result<Vec<Record>, _>>().unwrap()
        };
        let forward: Vec<Record> = wanted.clone().take(limit).cloned().collect();
        assert_eq!(ask(Direction::Forward), forward, "{filter:?} {range:?}");
        let reverse: Vec<Record> = wanted.rev().take(limit).cloned().collect();
        assert_eq!(ask(Direction::Reverse), reverse, "{filter:?} {range:?}");
    }
}

fn idle(log: &Log) {
    let before = log.tick(Seq::ZERO);
    log.tick(before);
}

fn append(log: &Log, given: &mut Vec<Record>, rng: &mut SplitMix64, count: u64) {
    for _ in 0..count {
        let seq = Seq(given.len() as u64 + 1);
        let made = made(seq, rng);
        log.append(made.draft(&SeededRandom::new(seq.0))).unwrap();
        given.push(made.record);
    }
    log.flush().unwrap();
}

/// Damages one sidecar, in a way that a disk might.
fn damage_a_sidecar(disk: &MemoryDisk, rng: &mut SplitMix64) {
    let segments = segments_on(disk);
    let path = sidecar_path(segments[(rng.next_u64() % segments.len() as u64) as usize]);
    let Ok(bytes) = disk.read(&path) else { return };
    match rng.next_u64() % 6 {
        0 => disk.remove_file(&path).unwrap(),
        1 => disk.overwrite(&path, &bytes[..(rng.next_u64() % bytes.len() as u64) as usize]).unwrap(),
        2 => {
            let start = (rng.next_u64() % bytes.len() as u64) as usize;
            let mut bytes = bytes;
            bytes[start..].iter_mut().take(512).for_each(|b| *b = 0);
            disk.overwrite(&path, &bytes).unwrap();
        }
        _ => {
            for _ in 0..1 + rng.next_u64() % 8 {
                let at = 4096 + rng.next_u64() % (bytes.len() as u64 - 4096);
                disk.flip_bit(&path, at, (rng.next_u64() % 8) as u8).unwrap();
            }
        }
    }
}

fn random_history(seed: u64) {
    let rng = &mut SplitMix64::new(seed);
    let options = options(4096 + [900, 3_000, 20_000][(rng.next_u64() % 3) as usize], 0);
    let disk = MemoryDisk::new();
    let mut log = create(&disk, options);
    let mut given = Vec::new();
    for _ in 0..12 {
        let count = 1 + rng.next_u64() % 12;
        append(&log, &mut given, rng, count);
        match rng.next_u64() % 6 {
            0 => idle(&log),
            1 => {
                log.close().unwrap();
                log = open(&disk, Proofs::default(), options).unwrap().log;
            }
            2 => {
                drop(log);
                disk.power_cut(&mut || false);
                log = open(&disk, Proofs::default(), options).unwrap().log;
            }
            3 => damage_a_sidecar(&disk, rng),
            _ => {}
        }
        answers_are_right(&log, &given, rng, 4);
    }
    answers_are_right(&log, &given, rng, 20);
    log.close().unwrap();
    let log = open(&disk, Proofs::default(), options).unwrap().log;
    damage_a_sidecar(&disk, rng);
    answers_are_right(&log, &given, rng, 10);
}

#[test]
fn the_indexed_answer_is_that_of_looking_at_every_record() {
    for seed in 0..if long() { 5_000 } else { 80 } {
        random_history(seed);
    }
}

/// A log of several sealed segments and one that is written to.
fn sealed() -> (MemoryDisk, LogOptions, Vec<Record>) {
    let options = options(4096 + 2_500, 0);
    let disk = MemoryDisk::new();
    let log = create(&disk, options);
    let mut given = Vec::new();
    for _ in 0..6 {
        append(&log, &mut given, &mut SplitMix64::new(7), 4);
    }
    log.close().unwrap();
    assert!(segments_on(&disk).len() > 3);
    (disk, options, given)
}

#[test]
fn no_flipped_bit_of_a_sidecar_changes_an_answer() {
    let (disk, options, given) = sealed();
    let bytes = disk.read(&sidecar_path(1)).unwrap().len() as u64;
    let all = (0..bytes).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let mut noticed = 0;
    for (at, bit) in all.filter(|(at, bit)| long() || *at >= 4096 && (at + u64::from(*bit)) % 8 == 0) {
        let disk = disk.fork();
        disk.flip_bit(&sidecar_path(1), at, bit).unwrap();
        let log = open(&disk, Proofs::default(), options).unwrap().log;
        let inodes = Some((1..=INODES).map(Inode).collect());
        for filter in [
            Filter { inodes: inodes.clone(), ..Filter::default() },
            Filter { inodes: Some(BTreeSet::from([Inode(3)])), outcome: Some(Outcome::Ok), ..Filter::default() },
            Filter { agent: Some("agent-a".into()), ..Filter::default() },
            Filter { kinds: Some(BTreeSet::from([Kind(37), Kind(49)])), ..Filter::default() },
        ] {
            let mut found = log.history(filter.clone(), Seq::ZERO..Seq::MAX, Direction::Forward);
            let records: Vec<Record> = found.by_ref().collect::<Result<_, _>>().unwrap();
            let wanted: Vec<Record> = given.iter().filter(|r| filter.wants(r)).cloned().collect();
            assert_eq!(records, wanted, "byte {at} bit {bit}");
            noticed += found.damaged().len();
        }
    }
    assert!(noticed > 100, "{noticed}");
}

#[test]
fn a_damaged_index_is_reported_once_and_written_anew() {
    let (disk, options, given) = sealed();
    let whole = disk.read(&sidecar_path(1)).unwrap();
    // The last section is the filter, which every question about an inode asks.
    disk.flip_bit(&sidecar_path(1), whole.len() as u64 - 20, 3).unwrap();
    let log = open(&disk, Proofs::default(), options).unwrap().log;
    let filter = Filter { inodes: Some(BTreeSet::from([Inode(3)])), ..Filter::default() };
    for expected in [&[Seq(1)][..], &[]] {
        let mut found = log.history(filter.clone(), Seq::ZERO..Seq::MAX, Direction::Reverse);
        let count = found.by_ref().map(Result::unwrap).count();
        assert_eq!(count, given.iter().filter(|r| filter.wants(r)).count());
        assert_eq!(found.damaged(), expected);
    }
    idle(&log);
    assert_eq!(disk.read(&sidecar_path(1)).unwrap(), whole);
    assert!(verified(&disk).is_sound());
}

/// A sidecar as releases wrote it that knew offsets, times and leaves only.
fn without_history(whole: &[u8]) -> Vec<u8> {
    let u64_at = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().unwrap());
    let (last, table) = (88 + 2 * 24, 88 + 3 * 24);
    let end = (u64_at(last + 8) + u64_at(last + 16)).next_multiple_of(8) as usize;
    let mut old = whole[..end].to_vec();
    old[52..56].copy_from_slice(&3u32.to_le_bytes());
    old[table..4092].fill(0);
    let crc = crc32(&old[..4092]);
    old[4092..4096].copy_from_slice(&crc.to_le_bytes());
    old
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn sidecars_of_earlier_releases_give_right_answers_and_are_written_anew() {
    let (disk, options, given) = sealed();
    let sealed: Vec<u64> = segments_on(&disk).into_iter().rev().skip(1).collect();
    let whole: Vec<Vec<u8>> = sealed.iter().map(|first| disk.read(&sidecar_path(*first)).unwrap()).collect();
    for (first, whole) in sealed.iter().zip(&whole) {
        disk.overwrite(&sidecar_path(*first), &without_history(whole)).unwrap();
    }
    assert!(verified(&disk).is_sound(), "an earlier release's sidecar is no damage");
    let log = open(&disk, Proofs::default(), options).unwrap().log;
    answers_are_right(&log, &given, &mut SplitMix64::new(3), 60);
    idle(&log);
    for (first, whole) in sealed.iter().zip(&whole) {
        assert_eq!(disk.read(&sidecar_path(*first)).unwrap(), *whole, "segment {first}");
    }
    answers_are_right(&log, &given, &mut SplitMix64::new(4), 60);
}

/// The sidecars of another log of the same zone: two copies of a directory went different ways.
#[test]
fn a_sidecar_of_another_copy_of_the_log_hides_nothing() {
    let build = |inodes: [u64; 3], lengths: [usize; 3]| {
        let disk = MemoryDisk::new();
        let options = options(4096 + 2_000, 0);
        let log = create(&disk, options);
        let mut given = Vec::new();
        for round in 0..4u64 {
            for (nth, (inode, length)) in (1..).zip(inodes.into_iter().zip(lengths)) {
                let event = Written { inode, path: vec![b'x'; length], ..Written::default() };
                let made = Made::of(Seq(3 * round + nth), vec![event.into()], vec![]);
                log.append(made.draft(&SeededRandom::new(nth))).unwrap();
                given.push(made.record);
            }
            log.flush().unwrap();
        }
        log.close().unwrap();
        (disk, options, given)
    };
    let (disk, options, given) = build([1, 2, 3], [100, 200, 300]);
    for lengths in [[100, 200, 300], [300, 200, 100], [80, 100, 420]] {
        let (other, ..) = build([7, 8, 9], lengths);
        let disk = disk.fork();
        assert_eq!(segments_on(&disk), segments_on(&other));
        let sidecars: Vec<u64> = segments_on(&disk).into_iter().rev().skip(1).collect();
        assert!(sidecars.len() > 1);
        for first in sidecars {
            disk.overwrite(&sidecar_path(first), &other.read(&sidecar_path(first)).unwrap()).unwrap();
        }
        let log = open(&disk, Proofs::default(), options).unwrap().log;
        for inode in [1, 2, 3].map(Inode) {
            let filter = Filter { inodes: Some(BTreeSet::from([inode])), ..Filter::default() };
            let found = log.history(filter.clone(), Seq::ZERO..Seq::MAX, Direction::Forward);
            let found: Vec<Record> = found.collect::<Result<_, _>>().unwrap();
            assert!(found.iter().eq(given.iter().filter(|r| filter.wants(r))), "{lengths:?} inode {inode}");
            assert_eq!(found.len(), 4);
        }
        answers_are_right(&log, &given, &mut SplitMix64::new(5), 60);
    }
}

/// The event that makes the root names no inode, so its bytes need not be in the record.
#[test]
fn the_root_is_found_in_a_record_that_does_not_hold_its_number() {
    let disk = MemoryDisk::new();
    let options = options(1 << 20, 0);
    let log = create(&disk, options);
    let created = ZoneCreated { name: "a-long-name-of-a-zone".into(), mode: !0, uid: !0, gid: !0 };
    let mut made = Made::of(Seq(1), vec![created.into()], vec![]);
    let (generation, process, trace_id) = (!0, !0, Some([0xff; 16]));
    made.record.context = Context { generation, process, trace_id, ..made.record.context };
    log.append(made.draft(&SeededRandom::new(1))).unwrap();
    log.close().unwrap();
    let log = open(&disk, Proofs::default(), options).unwrap().log;
    let filter = Filter { inodes: Some(BTreeSet::from([Inode::ROOT])), ..Filter::default() };
    assert_eq!(log.history(filter, Seq::ZERO..Seq::MAX, Direction::Forward).count(), 1);
}

#[test]
fn a_payload_is_not_read_and_a_damaged_meta_is_an_error() {
    let disk = MemoryDisk::new();
    let options = options(1 << 20, 0);
    let log = create(&disk, options);
    let content = vec![vec![9; 5000].into()];
    for seq in 1..=3u64 {
        let event = Written { inode: seq, ..Written::default() };
        log.append(Made::of(Seq(seq), vec![event.into()], content.clone()).draft(&SeededRandom::new(seq))).unwrap();
    }
    log.flush().unwrap();
    let record = log.record(Seq(2)).unwrap();
    let places = crate::zone::places(&disk);
    let start_of = |seq| places[&seq].1 as u64;
    disk.flip_bit(&segment_path(1), start_of(2) + 3000, 1).unwrap();
    assert!(log.record(Seq(2)).unwrap_err().is_damage());
    assert_eq!(log.meta(Seq(2)).unwrap(), record);
    let all = || log.history(Filter::default(), Seq::ZERO..Seq::MAX, Direction::Forward).collect::<Vec<_>>();
    assert_eq!(all().into_iter().map(|r| r.unwrap().seq.0).collect::<Vec<_>>(), [1, 2, 3]);
    disk.flip_bit(&segment_path(1), start_of(3) + 88 + 40, 1).unwrap();
    let found = all();
    assert_eq!(found.len(), 3);
    assert!(found[2].as_ref().unwrap_err().is_damage());
    assert!(log.meta(Seq(3)).unwrap_err().is_damage());
}

/// While others write, an answer holds every record that was flushed when it was asked.
#[test]
fn history_is_whole_while_the_log_grows_and_is_sealed() {
    let options = LogOptions { driver: nexus_log::log::Driver::FirstWaiter, ..options(4096 + 6_000, 0) };
    let disk = MemoryDisk::new();
    create(&disk, options).close().unwrap();
    let log = open_env(&env_on(&disk, 5), Proofs::default(), options).unwrap().log;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| append_slowly(&log));
        let filter = Filter { inodes: Some(BTreeSet::from([Inode(3)])), ..Filter::default() };
        while !writer.is_finished() {
            let flushed = log.flushed().0;
            let found = log.history(filter.clone(), Seq::ZERO..Seq::MAX, Direction::Forward);
            let seqs: Vec<u64> = found.map(|r| r.unwrap().seq.0).take_while(|seq| *seq <= flushed).collect();
            assert_eq!(seqs, (1..=flushed).filter(|seq| seq % 4 == 3).collect::<Vec<u64>>());
        }
        writer.join().unwrap();
    });
}

fn append_slowly(log: &Log) {
    for seq in 1..=if long() { 20_000 } else { 1_500 } {
        let event = Written { inode: seq % 4, ..Written::default() };
        log.append(Made::of(Seq(seq), vec![event.into()], vec![]).draft(&SeededRandom::new(seq))).unwrap();
        log.wait(Seq(seq)).unwrap();
    }
}
