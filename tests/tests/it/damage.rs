//! Flipped bits: whatever byte of a zone's files is damaged, nothing wrong is served.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_engine::{At, Caller, Error, Zone, open_zone, root_zone_dir};
use nexus_engine::{Durability, Nexus, ZoneOptions};
use nexus_log::env::{Disk, Env, MemoryDisk, SplitMix64, read_file};
use nexus_log::event::Reason;
use nexus_log::ids::{Inode, Seq};
use nexus_log::log::ReadError;
use nexus_log::merkle::Root;
use nexus_log::record::Record;
use nexus_projections::store::BTreeStore;
use nexus_tests::generate::{Generator, Scale};
use nexus_tests::long;
use nexus_tests::model::replay::Replay;
use nexus_tests::model::{Detail, Node, Tree};
use nexus_tests::op::Data;
use nexus_tests::rig::{ROOT, copy_of, manual};

const DIR: &str = "/zone";

/// What the undamaged zone says.
struct Truth {
    last: Seq,
    tree: Tree,
    records: Vec<Record>,
    root: Root,
}

impl Truth {
    fn of(zone: &Zone) -> Truth {
        let last = zone.log().flushed();
        let mut replay = Replay::new(zone.log());
        replay.run(Seq::FIRST, last, |_, _| {}).unwrap();
        let records = zone.log().records(Seq::FIRST).map(Result::unwrap).collect();
        Truth { last, tree: replay.tree, records, root: zone.log().root(last.0).unwrap() }
    }
}

/// A small data directory with several segments, closed in order. Its zone's files, by path in the zone's directory.
fn files_of_a_closed_directory() -> Vec<(PathBuf, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut options = ZoneOptions::default();
    options.log.appender.segment_bytes_max = 9_000;
    options.log.appender.zero_ahead_bytes = 2000;
    let nexus = Nexus::init(&data, ROOT, options).unwrap();
    let zone = nexus.zone("root").unwrap();
    let me = Caller::agent("me").unwrap();
    let mut generator = Generator::new(4, Scale { large_per_mille: 0, huge_per_mille: 0 });
    // Content that stays: most bytes of the first segments.
    for file in 0..6 {
        let path = format!("/kept {file}");
        zone.put(&me, path.as_str(), &Data { seed: file, length: 3000 }.bytes()).unwrap();
    }
    for _ in 0..120 {
        let mut replay = Replay::new(zone.log());
        replay.run(Seq::FIRST, Seq::MAX, |_, _| {}).unwrap();
        let _ = generator.op(&replay.tree).call(&zone, &me, Durability::Durable);
    }
    nexus.close().unwrap();
    let (disk, zone_dir) = (Env::real().disk, root_zone_dir(&data));
    let folders = [PathBuf::new(), PathBuf::from("log")];
    let mut files = Vec::new();
    for folder in folders {
        for name in disk.list(&zone_dir.join(&folder)).unwrap() {
            let path = folder.join(name);
            if path != Path::new("log") {
                let bytes = read_file(&*disk, &zone_dir.join(&path), 1 << 24).unwrap().unwrap();
                files.push((path, bytes));
            }
        }
    }
    files
}

fn on(disk: &MemoryDisk, store: BTreeStore) -> Result<Zone, Error> {
    let (env, ..) = Env::simulated(1);
    let env = Env { disk: Arc::new(disk.clone()), ..env };
    open_zone(&env, Path::new(DIR), ROOT, Arc::new(store), manual(9_000, 2000, 0))
}

fn corrupt(error: &Error) -> bool {
    // A damaged version field may look like a newer release's: refused, which is as good.
    matches!(error.kind, Reason::Corrupt | Reason::Unsupported)
}

fn right_or_corrupt<T: PartialEq + std::fmt::Debug>(answer: Result<T, Error>, right: &T, note: &str) {
    match answer {
        Ok(answer) => assert!(answer == *right, "{note}: {answer:?} is served, right is {right:?}"),
        Err(error) => assert!(corrupt(&error), "{note}: {error:?}"),
    }
}

fn check_node(zone: &Zone, me: &Caller, truth: &Truth, inode: u64, node: &Node, note: &str) {
    let view = zone.view(At::Exactly(truth.last)).unwrap();
    let stat = view.stat(me, Inode(inode), false).map(|s| (s.kind, s.mode, s.mtime, s.ctime, s.changed));
    right_or_corrupt(stat, &(node.kind(), node.mode, node.mtime, node.ctime, node.changed), note);
    match &node.detail {
        Detail::File(content) => {
            let bytes = view.read(me, Inode(inode), 0, 1 << 20).map(|b| b.to_vec());
            right_or_corrupt(bytes, &content.read(0, 1 << 20), note);
        }
        Detail::Directory(entries) => {
            let found = view.readdir(me, Inode(inode), None, 1000);
            let found = found.map(|e| e.into_iter().map(|e| (e.name, e.inode.0)).collect::<Vec<_>>());
            right_or_corrupt(found, &entries.clone().into_iter().collect(), note);
        }
        Detail::Link(target) => right_or_corrupt(view.readlink(me, Inode(inode)), target, note),
        Detail::Node { .. } => {}
    }
}

fn is_damage(error: &ReadError) -> bool {
    error.is_damage()
        || matches!(error, ReadError::Unknown { .. } | ReadError::NewerFormat { .. } | ReadError::Index { .. })
}

/// All that is served is right, whatever is refused.
fn check(disk: &MemoryDisk, store: BTreeStore, truth: &Truth, note: &str) {
    let zone = match on(disk, store) {
        Ok(zone) => zone,
        Err(error) => return assert!(corrupt(&error), "{note}: {error:?}"),
    };
    let me = Caller::agent("me").unwrap();
    assert!(zone.log().flushed() >= truth.last, "{note}: the log is shorter and nobody says so");
    for (inode, node) in &truth.tree.nodes {
        check_node(&zone, &me, truth, *inode, node, note);
    }
    for record in &truth.records {
        match zone.log().record(record.seq) {
            Ok(found) => assert!(found == *record, "{note}: record {} is another", record.seq),
            Err(error) => assert!(is_damage(&error), "{note}: {error:?}"),
        }
    }
    match zone.log().root(truth.last.0) {
        Ok(root) => assert_eq!(root, truth.root, "{note}"),
        Err(error) => assert!(is_damage(&error), "{note}: {error:?}"),
    }
    match zone.rebuild(false, |_| {}) {
        Ok(report) => assert!(report.equal(), "{note}: {report:?}"),
        Err(error) => assert!(corrupt(&error), "{note}: {error:?}"),
    }
    if let Err(error) = zone.close() {
        panic!("{note}: {error:?}");
    }
}

#[test]
fn no_flipped_bit_of_a_zones_files_is_served() {
    let disk = MemoryDisk::new();
    let files = files_of_a_closed_directory();
    disk.create_dir_all(&Path::new(DIR).join("log")).unwrap();
    for (path, bytes) in &files {
        disk.overwrite(&Path::new(DIR).join(path), bytes).unwrap();
    }
    let store = BTreeStore::default();
    let truth = {
        let zone = on(&disk.fork(), store.clone()).unwrap();
        let truth = Truth::of(&zone);
        zone.digest().unwrap();
        truth
    };
    let (records, nodes) = (truth.records.len(), truth.tree.nodes.len());
    assert!(records > 50 && nodes > 5 && files.len() > 6, "{records} records, {nodes} inodes, {} files", files.len());
    let mut rng = SplitMix64::new(4);
    for (path, bytes) in &files {
        let every = if long() { 1 } else { (bytes.len() as u64 / 40).max(1) };
        let mut byte = rng.below(every);
        while byte < bytes.len() as u64 {
            let damaged = disk.fork();
            let bit = rng.below(8) as u8;
            let path = Path::new(DIR).join(path);
            damaged.flip_bit(&path, byte, bit).unwrap();
            let note = format!("bit {bit} of byte {byte} of {}", path.display());
            check(&damaged.fork(), BTreeStore::default(), &truth, &note);
            check(&damaged, copy_of(&store), &truth, &note);
            byte += 1 + rng.below(2 * every - 1);
        }
    }
}
