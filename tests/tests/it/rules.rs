//! Rules that a log must obey (docs/RULES.md), where no other test shows them of the whole engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_engine::{At, Caller, open_zone};
use nexus_log::cursor::Cursor;
use nexus_log::env::{Disk, Env, MemoryDisk, OpenMode, Random, SeededRandom};
use nexus_log::event::{Event, Reason};
use nexus_log::ids::{Seq, ZoneIdentity};
use nexus_log::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, parse_file_name};
use nexus_projections::store::BTreeStore;
use nexus_tests::op::Data;
use nexus_tests::rig::{ROOT, manual};

use crate::scene::{DIR, Promise, Scene, check_survivor};
use crate::script::{Script, basic, further};

/// The last segment, its bytes, and where its last record ends.
fn tail_of(disk: &MemoryDisk, identity: ZoneIdentity) -> (PathBuf, Vec<u8>, usize) {
    let mut segments = disk.dump().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "seg"));
    let (path, bytes) = segments.next_back().unwrap();
    let first = parse_file_name(path.file_name().unwrap()).unwrap();
    let block = &bytes[..SEGMENT_HEADER_BYTES as usize];
    let HeaderBlock::Good { header, .. } = SegmentHeader::decode(block, identity, first) else { panic!("its header") };
    let (file, crc) = (disk.open(&path, OpenMode::Read).unwrap(), Some(header.previous_crc));
    let mut cursor = Cursor::new(file, identity, header.seed(), SEGMENT_HEADER_BYTES, first, crc);
    while cursor.next_checked().unwrap().is_ok() {}
    let end = cursor.offset() as usize;
    (path, bytes, end)
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRandom::new(length as u64).fill(&mut bytes);
    bytes
}

#[test]
fn r13_zeros_garbage_and_old_records_behind_the_end_are_the_end() {
    for (seed, script) in [(0, basic as Script), (2, further)] {
        let scene = Scene::new(seed, script);
        let played = scene.play().unwrap();
        let (promise, identity) = (Promise::of(&played), played.rig.zone.identity());
        drop(played);
        scene.disk.power_cut(&mut || true);
        let (path, bytes, end) = tail_of(&scene.disk, identity);
        // The same file's own beginning, as a file that was used before would show it.
        let old = bytes[4096.min(end)..end.min(4096 + 3000)].to_vec();
        for (what, behind) in [("zeros", vec![0; 9000]), ("garbage", noise(600)), ("old records", old)] {
            let after = scene.fork(BTreeStore::default());
            after.disk.overwrite(&path, &[&bytes[..end], &behind[..], &[0; 4096]].concat()).unwrap();
            check_survivor(&after, Some(&promise), &format!("seed {seed}, {what}"));
        }
    }
}

#[test]
fn r31_tables_folded_at_another_time_and_with_another_seed_are_the_same() {
    for (seed, script) in [(0, basic as Script), (3, further)] {
        let scene = Scene::new(seed, script);
        let zone = scene.play().unwrap().rig.zone;
        zone.close().unwrap();
        let last = zone.log().flushed();
        drop(zone);
        let digests = [5, 6, 7].map(|other| {
            let (env, _, clock) = Env::simulated(other);
            clock.advance(other * 1_000_000_000_000);
            let env = Env { disk: Arc::new(scene.disk.fork()), ..env };
            let store = Arc::new(BTreeStore::default());
            let zone = open_zone(&env, Path::new(DIR), ROOT, store, scene.options).unwrap();
            let digest = zone.digest().unwrap();
            assert_eq!(digest.at, last);
            digest.digest
        });
        assert!(digests.iter().all(|digest| *digest == digests[0]));
    }
}

#[test]
fn r36_a_full_disk_leaves_room_to_say_so_to_move_the_tables_and_to_end_in_order() {
    const RESERVE: u64 = 256 << 10;
    let (env, disk, clock) = Env::simulated(36);
    let store = BTreeStore::default();
    let options = manual(64 << 20, 0, RESERVE);
    let zone = open_zone(&env, Path::new(DIR), ROOT, Arc::new(store.clone()), options).unwrap();
    let me = Caller::agent("me").unwrap();
    disk.set_free_bytes(Some(RESERVE + 100_000));
    let full = (0..100).find_map(|n| {
        let content = Data { seed: n, length: 3000 }.bytes();
        zone.put(&me, &format!("/{n}")[..], &content).err().map(|error| (n, error))
    });
    let (files, error) = full.expect("the disk is full some day");
    assert_eq!(error.kind, Reason::NoSpace, "{error:?}");
    assert!(files > 5 && disk.free_bytes(Path::new("/")).unwrap() > RESERVE / 2, "the reserve is kept");
    clock.advance(2_000_000_000);
    zone.tick().unwrap();
    zone.digest().unwrap();
    zone.close().unwrap();
    assert_eq!(zone.life(), 0, "nothing failed");
    drop(zone);
    let zone = open_zone(&env, Path::new(DIR), ROOT, Arc::new(store), options).unwrap();
    assert!(zone.recovery().clean);
    assert_eq!(zone.view(At::Latest).unwrap().readdir(&me, "/", None, 1000).unwrap().len() as u64, files);
}

#[test]
fn r38_what_is_cut_is_said_to_be_cut() {
    let scene = Scene::new(0, basic);
    let identity = scene.play().unwrap().rig.zone.identity();
    scene.disk.power_cut(&mut || true);
    let (path, bytes, end) = tail_of(&scene.disk, identity);
    scene.disk.overwrite(&path, &[&bytes[..end], &noise(600)[..]].concat()).unwrap();
    let rig = scene.open().unwrap();
    let cut = rig.zone.recovery().cut.expect("a torn end");
    let recovered: Vec<_> = rig
        .zone
        .log()
        .records(Seq::FIRST)
        .flat_map(|record| record.unwrap().events)
        .filter_map(|event| if let Event::Recovered(e) = event { Some((e.cut_from, e.cut_bytes)) } else { None })
        .collect();
    assert_eq!(recovered, [(cut.from.0, cut.bytes)]);
    assert!(cut.bytes > 0);
}
