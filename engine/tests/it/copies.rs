//! Copies move no content, and a tree appears at once or not at all.

use std::collections::BTreeMap;
use std::path::Path;

use nexus_engine::zone::ZoneOptions;
use nexus_engine::{
    At, AttributeChange, Caller, Durability, NewFile, Nexus, NodeKind, RootAttributes, Stat, View, XattrMode, Zone,
    root_zone_dir,
};
use nexus_log::cursor::Cursor;
use nexus_log::env::{Env, OpenMode, read_exact_at, read_file, write_replace};
use nexus_log::event::{Event, Reason};
use nexus_log::ids::Seq;
use nexus_log::log::SEGMENTS;
use nexus_log::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name};
use nexus_log::zone_meta::ZoneMeta;
use nexus_projections::row::FileKind;

const ROOT: RootAttributes = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
const NOW: Durability = Durability::Durable;

fn me() -> Caller {
    Caller::agent("me").unwrap()
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    use nexus_log::env::{Random, SeededRandom};
    let mut bytes = vec![0; length];
    SeededRandom::new(seed).fill(&mut bytes);
    bytes
}

fn payload_bytes(zone: &Zone, from: Seq) -> u64 {
    let records = zone.log().records(from.next()).map(Result::unwrap);
    records.map(|r| r.chunks.iter().map(|c| u64::from(c.length)).sum::<u64>()).sum()
}

/// What a copy keeps of everything below `path`: by path, without inodes and change times.
type Shape = (FileKind, u32, u32, u32, u64, i64, i64, u64, String, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

fn shape_of(view: &View, stat: &Stat) -> Shape {
    let me = me();
    let content = match stat.kind {
        FileKind::Regular => view.read(&me, stat.inode, 0, 64 << 20).unwrap().to_vec(),
        FileKind::Link => stat.target().to_vec(),
        _ => Vec::new(),
    };
    let xattrs = view.list_xattrs(&me, stat.inode).unwrap();
    let xattrs = xattrs.into_iter().map(|(name, value)| (name, value.to_vec())).collect();
    // A symlink's access time is no part of how it is made.
    let atime = if matches!(stat.kind, FileKind::Regular | FileKind::Directory) { stat.atime } else { 0 };
    let mime = stat.mime().to_string();
    (stat.kind, stat.mode, stat.uid, stat.gid, stat.nlink, stat.mtime, atime, stat.device(), mime, content, xattrs)
}

fn shapes(view: &View, path: &str) -> BTreeMap<Vec<u8>, Shape> {
    let me = me();
    let mut all = BTreeMap::new();
    let top = view.stat(&me, path, false).unwrap();
    let mut stack = vec![(Vec::new(), top)];
    while let Some((path, stat)) = stack.pop() {
        if stat.kind == FileKind::Directory {
            for entry in view.readdir(&me, stat.inode, None, usize::MAX).unwrap() {
                let below = [&path[..], b"/", &entry.name[..]].concat();
                stack.push((below, view.stat(&me, entry.inode, false).unwrap()));
            }
        }
        all.insert(path, shape_of(view, &stat));
    }
    all
}

fn with_zone(test: impl FnOnce(&Zone)) {
    let dir = tempfile::tempdir().unwrap();
    let nexus = Nexus::init(&dir.path().join("data"), ROOT, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    test(&zone);
    assert!(zone.rebuild(false, |_| {}).unwrap().equal(), "the log folds to the tables");
    nexus.close().unwrap();
}

/// A tree of everything that a zone can hold.
fn plant(zone: &Zone, top: &str, files: usize) {
    let me = me();
    let new = |mode| NewFile { mode, uid: 3, gid: 4, mtime: Some(77), atime: Some(78), xattrs: Vec::new() };
    zone.mkdir(&me, top, &new(0o750), true, Durability::Accepted).unwrap();
    let below = |name: &str| format!("{top}/{name}");
    for number in 0..files {
        if number % 50 == 0 {
            zone.mkdir(&me, &below(&format!("d{}", number / 50))[..], &new(0o700), true, Durability::Accepted).unwrap();
        }
        let path = below(&format!("d{}/f{number}", number / 50));
        let mut writer = zone.content_writer(&me);
        writer.write(&noise(number as u64, 10 + number % 300)).unwrap();
        zone.put_content(&me, &path[..], &new(0o640), writer, Durability::Accepted).unwrap();
    }
    let accepted = Durability::Accepted;
    zone.put(&me, &below("large")[..], &noise(1000, 3 << 20)).unwrap();
    let mut sparse = zone.content_writer(&me);
    sparse.hole(1 << 20).unwrap();
    sparse.write(b"behind a hole").unwrap();
    zone.put_content(&me, &below("sparse")[..], &new(0o600), sparse, accepted).unwrap();
    zone.symlink(&me, &below("link")[..], b"large", &new(0), accepted).unwrap();
    zone.link(&me, &below("large")[..], &below("d0/second name")[..], accepted).unwrap();
    let device = NodeKind::CharDevice { major: 5, minor: 3 };
    zone.make_node(&me, &below("tty")[..], device, &new(0o620), accepted).unwrap();
    zone.make_node(&me, &below("pipe")[..], NodeKind::Fifo, &new(0o620), accepted).unwrap();
    zone.set_xattr(&me, &below("d0")[..], b"user.k", b"v", XattrMode::Either, accepted).unwrap();
    zone.set_xattr(&me, &below("large")[..], b"user.big", &noise(5, 60_000), XattrMode::Either, accepted).unwrap();
    let mime = AttributeChange { mime: Some("text/plain".into()), ..AttributeChange::default() };
    zone.set_attributes(&me, &below("sparse")[..], &mime, true, accepted).unwrap();
    let times = AttributeChange { mtime: Some(-5), atime: Some(6), ..AttributeChange::default() };
    zone.set_attributes(&me, top, &times, true, NOW).unwrap();
}

#[test]
fn a_small_tree_is_copied_by_one_record_without_its_content() {
    with_zone(|zone| {
        plant(zone, "/a", 20);
        let before = zone.log().flushed();
        let copied = zone.copy(&me(), "/a", At::Latest, "/b", NOW).unwrap();
        assert_eq!(copied.seq, Some(before.next()));
        assert_eq!(zone.log().flushed(), before.next());
        assert_eq!(payload_bytes(zone, before), 0);
        let view = zone.view(At::Latest).unwrap();
        assert_eq!(shapes(&view, "/a"), shapes(&view, "/b"));
        // The copy is another: what is done to it does not show in the source.
        zone.write(&me(), "/b/large", 1 << 20, b"changed", NOW).unwrap();
        let view = zone.view(At::Latest).unwrap();
        assert_eq!(view.read(&me(), "/a/large", 0, 4 << 20).unwrap(), noise(1000, 3 << 20));
        assert_eq!(&view.read(&me(), "/b/d0/second name", 1 << 20, 7).unwrap()[..], b"changed");
    });
}

#[test]
fn a_large_tree_is_built_out_of_sight_and_appears_at_once() {
    with_zone(|zone| {
        plant(zone, "/a", 1500);
        let before = zone.log().flushed();
        let copied = zone.copy(&me(), "/a", At::Latest, "/b", NOW).unwrap();
        assert_eq!(payload_bytes(zone, before), 0);
        let attached = copied.seq.unwrap();
        assert!(attached > before.next(), "it took several records");
        let view = zone.view(At::Latest).unwrap();
        assert_eq!(shapes(&view, "/a"), shapes(&view, "/b"));
        for seq in before.0..attached.0 {
            let view = zone.view(At::Exactly(Seq(seq))).unwrap();
            assert_eq!(view.stat(&me(), "/b", false).unwrap_err().kind, Reason::NotFound, "at {seq}");
            assert_eq!(view.readdir(&me(), "/", None, 10).unwrap().len(), 1, "at {seq}");
        }
        let orphans = zone.row_counts(At::Latest).unwrap();
        assert!(orphans.contains(&("orphan", 0)), "{orphans:?}");
    });
}

#[test]
fn a_copy_from_the_past_brings_back_what_was_there() {
    with_zone(|zone| {
        plant(zone, "/a", 30);
        let then = zone.log().flushed();
        let shape = shapes(&zone.view(At::Latest).unwrap(), "/a");
        zone.put(&me(), "/a/large", b"overwritten").unwrap();
        zone.unlink(&me(), "/a/sparse", NOW).unwrap();
        zone.copy(&me(), "/a", At::Exactly(then), "/restored", NOW).unwrap();
        assert_eq!(shapes(&zone.view(At::Latest).unwrap(), "/restored"), shape);
        zone.copy(&me(), "/a/large", At::Exactly(then), "/a/large", NOW).unwrap();
        let view = zone.view(At::Latest).unwrap();
        assert_eq!(view.read(&me(), "/a/large", 0, 4 << 20).unwrap(), noise(1000, 3 << 20));
    });
}

#[test]
fn what_cannot_be_copied_says_so_and_leaves_nothing() {
    with_zone(|zone| {
        plant(zone, "/a", 1500);
        zone.mkdir(&me(), "/taken", &NewFile::default(), true, NOW).unwrap();
        let refused = zone.copy(&me(), "/a", At::Latest, "/taken", NOW).unwrap_err();
        assert_eq!(refused.kind, Reason::Exists);
        let refused = zone.copy(&me(), "/a", At::Latest, "/nowhere/b", NOW).unwrap_err();
        assert_eq!(refused.kind, Reason::NotFound);
        assert_eq!(zone.copy(&me(), "/x", At::Latest, "/b", NOW).unwrap_err().kind, Reason::NotFound);
        assert_eq!(zone.copy(&me(), "/a/pipe", At::Latest, "/b", NOW).unwrap_err().kind, Reason::Unsupported);
        let counts: BTreeMap<&str, u64> = zone.row_counts(At::Latest).unwrap().into_iter().collect();
        assert_eq!(counts["orphan"], 0, "what was built was given up");
        // 1 root, 1 taken, the tree: its top, 30 directories, 1500 files and five more.
        assert_eq!(counts["inode"], 2 + 1 + 30 + 1500 + 5, "{counts:?}");
    });
}

#[test]
fn a_tree_left_by_a_process_that_died_is_swept_and_the_sweep_is_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let half = dir.path().join("half");
    let nexus = Nexus::init(&data, ROOT, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    plant(&zone, "/a", 1500);
    let before = zone.log().flushed();
    let attached = zone.copy(&me(), "/a", At::Latest, "/b", NOW).unwrap().seq.unwrap();
    nexus.close().unwrap();
    // The log without its last record, the one that attached the tree.
    cut_log(&data, &half, attached);
    let nexus = Nexus::open(&half, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let counts: BTreeMap<&str, u64> = zone.row_counts(At::Latest).unwrap().into_iter().collect();
    assert_eq!(counts["orphan"], 0, "{counts:?}");
    assert_eq!(zone.view(At::Latest).unwrap().readdir(&me(), "/", None, 10).unwrap().len(), 1);
    let released = zone.log().records(before).map(Result::unwrap).any(|record| {
        record.context.agent == "nexus" && record.events.iter().any(|e| matches!(e, Event::OrphansReleased(_)))
    });
    assert!(released);
    assert!(zone.rebuild(false, |_| {}).unwrap().equal());
    nexus.close().unwrap();
}

/// A data directory with the same log up to `last`, which it does not have.
fn cut_log(data: &Path, half: &Path, last: Seq) {
    let disk = Env::real().disk;
    let (from, to) = (root_zone_dir(data), root_zone_dir(half));
    disk.create_dir_all(&to.join(SEGMENTS)).unwrap();
    let segment = Path::new(SEGMENTS).join(file_name(Seq::FIRST));
    for name in [Path::new("meta"), &segment] {
        let bytes = read_file(&*disk, &from.join(name), 1 << 30).unwrap().unwrap();
        write_replace(&*disk, &to.join(name), &bytes).unwrap();
    }
    let (meta, _) = ZoneMeta::read(&*disk, &to).unwrap();
    let file = disk.open(&to.join(&segment), OpenMode::ReadWrite).unwrap();
    let mut block = vec![0; SEGMENT_HEADER_BYTES as usize];
    read_exact_at(&*file, &mut block, 0).unwrap();
    let HeaderBlock::Good { header, .. } = SegmentHeader::decode(&block, meta.identity, Seq::FIRST) else {
        panic!("the segment has no header");
    };
    let (seed, crc) = (header.seed(), Some(header.previous_crc));
    let mut cursor = Cursor::new(file.clone(), meta.identity, seed, SEGMENT_HEADER_BYTES, Seq::FIRST, crc);
    while cursor.next_seq() < last {
        cursor.next_checked().unwrap().unwrap();
    }
    file.set_len(cursor.offset()).unwrap();
}
