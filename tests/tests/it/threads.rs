//! Threads on the real engine: conflicting calls, and readers whose views stand still.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use nexus_engine::{At, Caller, DirEntry, Durability, Nexus, Stat, View, Zone, ZoneOptions};
use nexus_log::ids::{Inode, Seq};
use nexus_projections::row::FileKind;
use nexus_tests::compare::assert_same;
use nexus_tests::generate::{Generator, Scale};
use nexus_tests::ledger;
use nexus_tests::long;
use nexus_tests::model::Tree;
use nexus_tests::model::replay::Replay;
use nexus_tests::rig::ROOT;

const WRITERS: u64 = 8;
const DEADLINE: Duration = Duration::from_secs(240);

/// Everything below a directory: path, attributes, content.
fn walk(view: &View, me: &Caller, path: &[u8], found: &mut Vec<(Vec<u8>, Stat, Vec<u8>)>) {
    let entries: Vec<DirEntry> = view.readdir(me, path, None, 1000).unwrap();
    for entry in entries {
        let path = [path.strip_suffix(b"/").unwrap_or(path), b"/", &entry.name].concat();
        let stat = view.stat(me, &path[..], false).unwrap();
        assert_eq!((stat.inode, stat.kind), (entry.inode, entry.kind));
        let bytes = match stat.kind {
            // A file may be set to a size beyond any memory.
            FileKind::Regular => view.read(me, stat.inode, 0, 1 << 16).unwrap().to_vec(),
            _ => Vec::new(),
        };
        let directory = stat.kind == FileKind::Directory;
        found.push((path.clone(), stat, bytes));
        if directory {
            walk(view, me, &path, found);
        }
    }
}

fn read_until(zone: &Zone, stop: &AtomicBool, walks: &AtomicU64) {
    let me = Caller::agent("reader").unwrap();
    while !stop.load(Ordering::Relaxed) {
        let at = if walks.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { At::Latest } else { At::Newest };
        let view = zone.view(at).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        walk(&view, &me, b"/", &mut first);
        walk(&view, &me, b"/", &mut second);
        assert!(first == second, "a view at {} changed while it was read", view.at());
    }
}

/// Conflicting calls, and lines added to one file that all share and that no other call touches. Gives how many lines
/// were acknowledged.
fn write(zone: &Zone, writer: u64, lines: Inode, calls: u64) -> u64 {
    let me = Caller::agent(&format!("writer {writer}")).unwrap();
    let mut generator = Generator::new(writer, Scale { large_per_mille: 2, huge_per_mille: 0 });
    let mut tree = Tree::default();
    let mut written = 0;
    for call in 0..calls {
        let durability = if generator.below(4) == 0 { Durability::Accepted } else { Durability::Durable };
        if generator.below(4) == 0 {
            let line = format!("{writer:03} {written:05}\n");
            zone.append(&me, lines, line.as_bytes(), durability).unwrap();
            written += 1;
        }
        if call % 50 == 0 {
            let mut replay = Replay::new(zone.log());
            replay.run(Seq::FIRST, Seq::MAX, |_, _| {}).unwrap();
            tree = replay.tree;
        }
        // What it finds may be another's by now: an answer is all that is asked for.
        let op = generator.op(&tree);
        if format!("{op:?}").contains(&format!("({}", lines.0)) {
            continue;
        }
        if let Err(error) = op.call(zone, &me, durability) {
            assert!(!nexus_tests::rig::disturbed(error.kind), "{op:?}: {error:?}");
        }
    }
    written
}

fn race(calls: u64) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut options = ZoneOptions::default();
    options.log.appender.segment_bytes_max = 1 << 20;
    let nexus = Nexus::init(&data, ROOT, options).unwrap();
    let zone = nexus.zone("root").unwrap();
    let me = Caller::agent("main").unwrap();
    // Without a name, so that no path leads to it.
    let lines = zone.put(&me, "/lines", b"").unwrap().reply.inode;
    zone.hold(lines);
    zone.unlink(&me, "/lines", Durability::Durable).unwrap();
    let (stop, walks) = (AtomicBool::new(false), AtomicU64::new(0));
    let written: Vec<u64> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read_until(&zone, &stop, &walks))).collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| {
                scope.spawn({
                    let zone = &zone;
                    move || write(zone, w, lines, calls)
                })
            })
            .collect();
        let written: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|r| r.join().unwrap());
        written.into_iter().map(Result::unwrap).collect()
    });
    assert!(walks.load(Ordering::Relaxed) > 2);
    zone.log().flush().unwrap();
    let view = zone.view(At::Latest).unwrap();
    let text = view.read(&me, lines, 0, 1 << 20).unwrap();
    let mut next = vec![0; WRITERS as usize];
    for line in String::from_utf8(text.to_vec()).unwrap().lines() {
        let (writer, number) = line.split_once(' ').unwrap();
        let next: &mut u64 = &mut next[writer.parse::<usize>().unwrap()];
        assert_eq!(number.parse::<u64>().unwrap(), *next, "each line of {writer} once, in order");
        *next += 1;
    }
    assert_eq!(next, written, "lines of each writer");
    let mut replay = Replay::new(zone.log());
    replay.run(Seq::FIRST, Seq::MAX, |_, _| {}).unwrap();
    assert_same(&zone, At::Latest, &replay.tree);
    assert!(zone.rebuild(false, |_| {}).unwrap().equal());
    nexus.close().unwrap();
    ledger::read_all(&zone);
}

#[test]
fn threads_that_conflict_lose_no_update_and_views_stand_still() {
    let (done, finished) = mpsc::channel();
    let race = std::thread::spawn(move || {
        race(if long() { 20_000 } else { 1000 });
        done.send(()).unwrap();
    });
    match finished.recv_timeout(if long() { 20 * DEADLINE } else { DEADLINE }) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("threads wait for each other for ever"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => race.join().unwrap(),
    }
}
