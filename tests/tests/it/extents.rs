//! A file of very many extents costs what is touched of it, and stalls nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nexus_engine::limits::RECORD_ROWS_MAX;
use nexus_engine::{At, Caller, Durability, NewFile, Nexus, Seq, Zone, ZoneOptions};
use nexus_log::env::{Clock, RealClock};
use nexus_projections::apply::apply;
use nexus_projections::loads::ReadThrough;
use nexus_projections::store::BTreeStore;
use nexus_projections::zone_tables::ZoneTables;
use nexus_tests::long;
use nexus_tests::rig::ROOT;

/// Of the file, and in a long run.
const EXTENTS: u64 = 16_384;
const EXTENTS_LONG: u64 = 262_144;
/// A deadline against standing still, not a measure: on a machine that is busy with other tests a sync alone takes seconds.
/// What bounds a turn of the sequencer is counted in rows; `nexus bench` prints the time.
const CREATE_MAX: Duration = Duration::from_secs(30);
const STEP_EXTENTS: u64 = RECORD_ROWS_MAX as u64 / 2;

fn byte(offset: u64) -> u8 {
    (offset % 251) as u8 + 1
}

/// Bytes at even offsets, holes at odd ones.
fn sparse(zone: &Zone, me: &Caller, path: &str, extents: u64) {
    let mut writer = zone.content_writer(me);
    for extent in 0..extents {
        writer.write(&[byte(2 * extent)]).unwrap();
        writer.hole(1).unwrap();
    }
    zone.put_content(me, path, &NewFile::default(), writer, Durability::Accepted).unwrap();
}

fn expected(from: u64, to: u64) -> Vec<u8> {
    (from..to).map(|offset| if offset.is_multiple_of(2) { byte(offset) } else { 0 }).collect()
}

fn last(zone: &Zone) -> Seq {
    zone.view(At::Newest).unwrap().at()
}

/// The longest that a create took while `work` went on.
fn creates_beside(zone: &Zone, me: &Caller, work: impl FnOnce()) -> Duration {
    let (over, longest, created) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let name = last(zone).0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) || created.load(Ordering::SeqCst) == 0 {
                let begin = RealClock.boot_ns();
                let path = format!("/beside-{name}-{}", created.fetch_add(1, Ordering::SeqCst));
                zone.create(me, &path[..], &NewFile::default(), true, Durability::Durable).unwrap();
                longest.fetch_max(RealClock.boot_ns() - begin, Ordering::SeqCst);
            }
        });
        work();
        over.store(true, Ordering::SeqCst);
    });
    Duration::from_nanos(longest.into_inner())
}

/// No record changes more rows than a bounded number, whatever became of the file.
fn assert_records_are_bounded(zone: &Zone) {
    let tables = ZoneTables::open(Arc::new(BTreeStore::default()), 1).unwrap();
    for record in zone.log().records(Seq(1)) {
        let record = record.unwrap();
        let set = apply(&record, &ReadThrough::new(&tables)).unwrap();
        assert!(set.puts.len() <= RECORD_ROWS_MAX + 64, "record {} changes {} rows", record.seq, set.puts.len());
        tables.insert(set);
    }
}

#[test]
fn a_file_of_very_many_extents_stalls_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let nexus = Nexus::init(&dir.path().join("data"), ROOT, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let me = Caller::agent("me").unwrap();
    let extents = if long() { EXTENTS_LONG } else { EXTENTS };
    let size = 2 * extents;
    for path in ["/shrunk", "/removed"] {
        sparse(&zone, &me, path, extents);
    }
    // Not all of it each time: every byte is a chunk to be found and hashed.
    let assert_reads = |path: &str, at: At, content: &[u8]| {
        let view = zone.view(at).unwrap();
        assert_eq!(view.stat(&me, path, true).unwrap().size, content.len() as u64);
        let places = [0, 1, 3, 4, 5, 7].map(|part| content.len() * part / 8);
        for from in places.into_iter().filter(|from| *from < content.len()) {
            let to = content.len().min(from + 500);
            assert_eq!(view.read(&me, path, from as u64, to - from).unwrap(), content[from..to], "{from} to {to}");
        }
    };
    let mut longest = Duration::ZERO;
    let mut timed = |work: &dyn Fn()| {
        let begin = last(&zone);
        longest = longest.max(creates_beside(&zone, &me, work));
        begin
    };

    // Single bytes into holes.
    timed(&|| {
        for write in 0..200u64 {
            let offset = (write * 521 * 2 + 1) % size;
            zone.write(&me, "/shrunk", offset, &[0xff], Durability::Accepted).unwrap();
        }
    });
    let mut content = expected(0, size);
    (0..200u64).for_each(|write| content[((write * 521 * 2 + 1) % size) as usize] = 0xff);
    assert_reads("/shrunk", At::Newest, &content);

    // An overwrite of far more extents than a record may remove.
    let (from, to) = (size * 3 / 8 + 1, size * 7 / 8 + 2);
    let new: Vec<u8> = (from..to).map(|offset| (offset % 13) as u8).collect();
    timed(&|| drop(zone.write(&me, "/shrunk", from, &new, Durability::Durable).unwrap()));
    content[from as usize..to as usize].copy_from_slice(&new);
    assert_reads("/shrunk", At::Newest, &content);

    for size in [size / 3, size / 3 - 1, 0] {
        timed(&|| drop(zone.truncate(&me, "/shrunk", size, Durability::Durable).unwrap()));
        assert_reads("/shrunk", At::Newest, &content[..size as usize]);
    }
    let before = timed(&|| drop(zone.unlink(&me, "/removed", Durability::Durable).unwrap()));
    assert!(zone.view(At::Latest).unwrap().stat(&me, "/removed", true).is_err());
    assert_reads("/removed", At::Exactly(before), &expected(0, size));
    assert!(longest < CREATE_MAX, "a create took {longest:?}");
    assert_records_are_bounded(&zone);
    nexus.close().unwrap();
}

#[test]
fn an_overwrite_takes_as_many_records_as_it_must() {
    let dir = tempfile::tempdir().unwrap();
    let nexus = Nexus::init(&dir.path().join("data"), ROOT, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let me = Caller::agent("me").unwrap();
    // Six times what a step removes.
    let size = 2 * 6 * STEP_EXTENTS;
    sparse(&zone, &me, "/file", size / 2);
    let records = |work: &dyn Fn()| {
        let before = last(&zone).0;
        work();
        last(&zone).0 - before
    };
    let write = |offset: u64, length: u64| {
        records(&|| drop(zone.write(&me, "/file", offset, &vec![9; length as usize], Durability::Accepted).unwrap()))
    };
    assert_eq!(write(1, 2), 1);
    assert_eq!(write(2 * STEP_EXTENTS, STEP_EXTENTS), 1, "half as many extents as a step removes");
    assert_eq!(write(4 * STEP_EXTENTS, 2 * 3 * STEP_EXTENTS), 4, "three times as many");
    assert_eq!(write(4 * STEP_EXTENTS, 2 * 3 * STEP_EXTENTS), 1, "and now they are few");
    assert_eq!(write(0, size), 1, "what takes the place of all is one record");
    assert_eq!(zone.view(At::Newest).unwrap().read(&me, "/file", 0, size as usize).unwrap(), vec![9; size as usize]);
    nexus.close().unwrap();
}
