//! The three rules of DESIGN section 5, each also with the bug that it forbids planted.
//!
//! Records: 1 writes a and c, 2 writes b; both are in the store. While the reader looks, the sequencer inserts 3 (a again,
//! d) and 4 (removes a and c) and the flusher writes what is there, twice.

use std::sync::Arc;

use bytes::Bytes;
use nexus_log::ids::{Inode, Seq};

use super::explorer::{SteppingStore, Task, explore, step};
use crate::flush::{FlushOutcome, Run};
use crate::last::stored_last;
use crate::loads::{Load, Loaded, Loads, Missing, Prior, ReadThrough};
use crate::put::{Put, Version, WriteSet};
use crate::store::Store;
use crate::table::{RowKey, RowRange};
use crate::view::{Scan, View, into_version, stored_cur, stored_old};
use crate::zone_tables::ZoneTables;

const NAMES: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];

fn key(name: &[u8]) -> RowKey {
    RowKey::dentry(Inode::ROOT, name)
}

fn range() -> RowRange {
    RowRange::of_id(crate::table::Table::Dentry, Inode::ROOT.0)
}

fn put(name: &[u8], value: Option<&'static str>, ends: Option<u64>) -> Put {
    let value = value.map(|value| Bytes::from_static(value.as_bytes()));
    Put { key: key(name), value, ends: ends.map(Seq), first: ends.is_none() }
}

fn set(seq: u64) -> WriteSet {
    let puts = match seq {
        1 => vec![put(b"a", Some("a1"), None), put(b"c", Some("c1"), None)],
        2 => vec![put(b"b", Some("b2"), None)],
        3 => vec![put(b"a", Some("a3"), Some(1)), put(b"d", Some("d3"), None)],
        4 => vec![put(b"a", None, Some(3)), put(b"c", None, Some(1))],
        _ => unreachable!("four records"),
    };
    WriteSet { seq: Seq(seq), puts }
}

/// What the row is at a position.
fn expected(name: &[u8], at: Seq) -> Option<Version> {
    let puts = (1..=at.0).rev().flat_map(|seq| set(seq).puts.into_iter().map(move |put| (Seq(seq), put)));
    let (begin, put) = puts.into_iter().find(|(_, put)| put.key == key(name))?;
    put.value.map(|value| Version { begin, value })
}

fn expected_rows(at: Seq) -> Vec<(RowKey, Version)> {
    NAMES.iter().filter_map(|name| Some((key(name), expected(name, at)?))).collect()
}

fn check<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T, at: Seq) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("at {at} found {found:?} for {expected:?}")) }
}

type Flush = fn(&ZoneTables);

fn flush(tables: &ZoneTables) {
    tables.flush_all(tables.applied()).unwrap();
}

/// All interleavings of the sequencer, the flusher and this reader.
fn against(flush: Flush, reader: fn(&ZoneTables) -> Result<(), String>) -> Result<usize, String> {
    explore(|| {
        let store: Arc<dyn Store> = Arc::new(SteppingStore::default());
        let tables = Arc::new(ZoneTables::open(store, 1).unwrap());
        (1..=2).for_each(|seq| tables.insert(set(seq)));
        assert_eq!(tables.flush_all(Seq(2)).unwrap(), FlushOutcome::Idle);
        let (sequencer, flusher, read) = (Arc::clone(&tables), Arc::clone(&tables), tables);
        let insert = move || {
            sequencer.insert(set(3));
            step();
            sequencer.insert(set(4));
            Ok(())
        };
        let flush = move || {
            (0..2).for_each(|_| flush(&flusher));
            Ok(())
        };
        // The reader first: what goes wrong where the others come in between is then among the first to be tried.
        vec![Box::new(move || reader(&read)) as Task, Box::new(insert) as Task, Box::new(flush) as Task]
    })
}

fn assert_holds(reader: fn(&ZoneTables) -> Result<(), String>) {
    let count = against(flush, reader).unwrap();
    assert!(count > 100, "only {count} interleavings");
}

fn assert_found(flush: Flush, reader: fn(&ZoneTables) -> Result<(), String>) {
    let wrong = against(flush, reader).expect_err("the planted bug must be found");
    assert!(wrong.starts_with("at "), "another failure than the planted one: {wrong}");
}

fn reads_point(tables: &ZoneTables, view: impl Fn(&ZoneTables) -> View) -> Result<(), String> {
    let view = view(tables);
    check(&view.get(&key(b"a")).unwrap(), &expected(b"a", view.at()), view.at())
}

fn reads_scan(view: &View) -> Result<(), String> {
    let rows: Vec<_> = view.scan(&range()).collect::<Result<_, _>>().unwrap();
    check(&rows, &expected_rows(view.at()), view.at())
}

#[test]
fn point_reads_at_the_newest_position_hold() {
    assert_holds(|tables| reads_point(tables, |tables| tables.view(Seq::MAX)));
}

#[test]
fn point_reads_of_the_past_hold() {
    assert_holds(|tables| reads_point(tables, |tables| tables.view(Seq(2))));
}

#[test]
fn scans_at_the_newest_position_hold() {
    assert_holds(|tables| reads_scan(&tables.view(Seq::MAX)));
}

#[test]
fn scans_of_the_past_hold() {
    assert_holds(|tables| reads_scan(&tables.view(Seq(2))));
}

#[test]
fn a_view_holds_however_late_it_is_used() {
    assert_holds(|tables| {
        let view = tables.view(Seq::MAX);
        step();
        reads_scan(&view)
    });
}

#[test]
fn taking_the_position_before_the_memtables_holds() {
    assert_holds(|tables| {
        let at = tables.applied();
        step();
        reads_scan(&View::new(Arc::clone(&tables.generation), tables.generation.levels(), at))
    });
}

#[test]
fn taking_the_memtables_before_the_position_is_found() {
    assert_found(flush, |tables| {
        let levels = tables.generation.levels();
        step();
        reads_scan(&View::new(Arc::clone(&tables.generation), levels, tables.applied()))
    });
}

#[test]
fn looking_into_the_store_before_memory_is_found() {
    assert_found(flush, |tables| {
        let at = tables.applied();
        let stored = stored_cur(&tables.generation, &key(b"a")).unwrap().map(|row| row.version);
        step();
        let found = tables.generation.levels().get(&key(b"a"), at).map_or(stored, into_version);
        check(&found, &expected(b"a", at), at)
    });
}

#[test]
fn looking_into_old_before_cur_is_found() {
    assert_found(flush, |tables| {
        let at = Seq(2);
        let levels = tables.generation.levels();
        let old = stored_old(&tables.generation, &key(b"a"), at).unwrap();
        let cur = stored_cur(&tables.generation, &key(b"a")).unwrap().map(|row| row.version);
        let stored = cur.filter(|version| version.begin <= at).or(old);
        let found = levels.get(&key(b"a"), at).map_or(stored, into_version);
        check(&found, &expected(b"a", at), at)
    });
}

#[test]
fn a_scan_that_takes_the_snapshot_before_memory_is_found() {
    assert_found(flush, |tables| {
        let at = tables.applied();
        let snapshot = tables.generation.store.snapshot();
        step();
        let levels = tables.generation.levels();
        let scan = Scan::new(&tables.generation, &levels, snapshot, &range(), at);
        check(&scan.collect::<Result<Vec<_>, _>>().unwrap(), &expected_rows(at), at)
    });
}

/// The flusher's step with one pair of its parts in another order.
fn flush_wrongly(tables: &ZoneTables, reach_late: bool) {
    let generation = &tables.generation;
    generation.seal(|_| true);
    let levels = generation.levels();
    let Some(oldest) = levels.sealed.first() else { return };
    if reach_late {
        generation.store.ingest(&mut Run::new(generation, oldest)).unwrap();
        generation.reach(oldest.last());
        generation.replace(|levels| levels.retired(oldest));
    } else {
        generation.reach(oldest.last());
        generation.replace(|levels| levels.retired(oldest));
        generation.store.ingest(&mut Run::new(generation, oldest)).unwrap();
    }
}

#[test]
fn retiring_a_memtable_before_it_is_in_the_store_is_found() {
    let flush: Flush = |tables| flush_wrongly(tables, false);
    assert_found(flush, |tables| reads_point(tables, |tables| tables.view(Seq::MAX)));
    assert_found(flush, |tables| reads_scan(&tables.view(Seq::MAX)));
}

#[test]
fn saying_too_late_how_far_a_run_reaches_is_found() {
    let flush: Flush = |tables| flush_wrongly(tables, true);
    assert_found(flush, |tables| reads_point(tables, |tables| tables.view(Seq(2))));
    assert_found(flush, |tables| reads_scan(&tables.view(Seq(2))));
}

/// The row and the range as the sequencer finds them; what is refused is loaded again.
fn decides(tables: &ZoneTables, mut loads: Loads) -> Result<(), String> {
    step();
    loop {
        let loaded = Loaded::new(tables, &loads);
        let at = tables.applied();
        let found: Result<_, Missing> = loaded.get(&key(b"a")).and_then(|row| Ok((row, loaded.range(&range())?)));
        match found {
            Ok(found) => return check(&found, &(expected(b"a", at), expected_rows(at)), at),
            Err(missing) => loads.load(tables, &missing).unwrap(),
        }
    }
}

#[test]
fn a_decision_never_sees_a_stale_load() {
    assert_holds(|tables| {
        let through = ReadThrough::new(tables);
        through.get(&key(b"a")).unwrap();
        through.range(&range()).unwrap();
        decides(tables, through.into_loads())
    });
}

/// As `decides`, for the last row of the range.
fn decides_last(tables: &ZoneTables, mut loads: Loads) -> Result<(), String> {
    step();
    loop {
        let at = tables.applied();
        match Loaded::new(tables, &loads).last(&range()) {
            Ok(found) => return check(&found, &expected_rows(at).pop(), at),
            Err(missing) => loads.load(tables, &missing).unwrap(),
        }
    }
}

#[test]
fn the_last_row_of_a_range_is_never_stale() {
    assert_holds(|tables| {
        let through = ReadThrough::new(tables);
        through.last(&range()).unwrap();
        decides_last(tables, through.into_loads())
    });
    assert_holds(|tables| {
        let view = tables.view(Seq::MAX);
        check(&Prior::last(&view, &range()).unwrap(), &expected_rows(view.at()).pop(), view.at())
    });
    assert_holds(|tables| {
        let view = tables.view(Seq(2));
        check(&Prior::last(&view, &range()).unwrap(), &expected_rows(Seq(2)).pop(), Seq(2))
    });
}

#[test]
fn stamping_the_last_row_after_it_was_looked_for_is_found() {
    assert_found(flush, |tables| {
        let mut loads = Loads::default();
        let before = tables.generation.levels();
        let content = stored_last(&tables.generation, &before, &range()).unwrap();
        step();
        loads.add_last(&range(), Load { stamp: tables.floor(), content });
        decides_last(tables, loads)
    });
}

#[test]
fn stamping_a_load_after_it_was_made_is_found() {
    assert_found(flush, |tables| {
        let mut loads = Loads::default();
        let content = stored_cur(&tables.generation, &key(b"a")).unwrap().map(|row| row.version);
        step();
        loads.add_row(&key(b"a"), Load { stamp: tables.floor(), content });
        decides(tables, loads)
    });
    assert_found(flush, |tables| {
        let mut loads = Loads::default();
        let through = ReadThrough::new(tables);
        let content = through.range(&range()).unwrap();
        step();
        loads.add_range(&range(), Load { stamp: tables.floor(), content });
        decides(tables, loads)
    });
}

#[test]
fn using_a_load_whatever_its_stamp_is_found() {
    assert_found(flush, |tables| {
        let mut loads = Loads::default();
        let content = stored_cur(&tables.generation, &key(b"a")).unwrap().map(|row| row.version);
        loads.add_row(&key(b"a"), Load { stamp: Seq::MAX, content });
        decides(tables, loads)
    });
}
