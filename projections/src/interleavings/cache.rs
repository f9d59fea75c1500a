//! The cache's rules, each also with the bug that it forbids planted.
//!
//! Records: 1 makes an inode, which is in the store. While readers look, the sequencer inserts 2 (the inode again), pausing
//! between the parts of the insertion, and 3 (removes it). One reader may fill what the other hits.

use std::sync::Arc;

use nexus_log::ids::{Inode, Seq};

use super::explorer::{SteppingStore, Task, explore, step};
use crate::cache::{CacheKey, CachedRow};
use crate::levels::Levels;
use crate::loads::{Loaded, Loads, Missing, Prior};
use crate::put::{Put, WriteSet};
use crate::row::InodeRow;
use crate::table::RowKey;
use crate::view::View;
use crate::zone_tables::ZoneTables;

const INODE: Inode = Inode(7);
const KEY: CacheKey<'static> = CacheKey::inode(INODE);

/// The inode's row says which record wrote it.
fn set(seq: u64) -> WriteSet {
    let row = InodeRow { version: seq, ..InodeRow::default() }.encode();
    let (value, ends) = match seq {
        1 => (Some(row.into()), None),
        2 => (Some(row.into()), Some(Seq(1))),
        3 => (None, Some(Seq(2))),
        _ => unreachable!("three records"),
    };
    let put = Put { key: RowKey::inode(INODE), value, ends, first: ends.is_none() };
    WriteSet { seq: Seq(seq), puts: vec![put] }
}

/// Since when the inode is as it is; `None` where there is none.
fn expected(at: Seq) -> Option<Seq> {
    (at < Seq(3)).then_some(at)
}

fn check(found: Option<Seq>, expected: Option<Seq>, at: Seq) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("at {at} found {found:?} for {expected:?}")) }
}

type Reader = fn(&ZoneTables) -> Result<(), String>;
type Insert = fn(&ZoneTables, WriteSet);

fn insert(tables: &ZoneTables, set: WriteSet) {
    tables.generation.insert_in_steps(set, step);
}

fn tables() -> Arc<ZoneTables> {
    let tables = ZoneTables::open(Arc::new(SteppingStore::default()), 1).unwrap();
    tables.insert(set(1));
    tables.flush_all(Seq(1)).unwrap();
    Arc::new(tables)
}

/// All interleavings of the sequencer and both readers.
fn against(insert: Insert, readers: [Reader; 2]) -> Result<usize, String> {
    explore(|| {
        let tables = tables();
        let sequencer = Arc::clone(&tables);
        let inserting = move || {
            insert(&sequencer, set(2));
            step();
            sequencer.insert(set(3));
            Ok(())
        };
        let mut tasks = vec![Box::new(inserting) as Task];
        for reader in readers {
            let tables = Arc::clone(&tables);
            tasks.push(Box::new(move || reader(&tables)));
        }
        tasks
    })
}

fn assert_found(insert: Insert, readers: [Reader; 2]) {
    let wrong = against(insert, readers).expect_err("the planted bug must be found");
    assert!(wrong.starts_with("at "), "another failure than the planted one: {wrong}");
}

/// As a view looks, with a pause between reading and filling.
fn looks(view: &View) -> Option<Seq> {
    let read = |newer| {
        let found = view.get_before(&RowKey::inode(INODE), newer);
        step();
        found
    };
    let found = view.levels().cache.look::<Arc<InodeRow>, _>(KEY, view.at(), read).unwrap();
    found.map(|found| {
        assert_eq!(found.row.version, found.begin.0, "a row goes with its begin");
        found.begin
    })
}

fn reads(tables: &ZoneTables) -> Result<(), String> {
    let view = tables.view(Seq::MAX);
    check(looks(&view), expected(view.at()), view.at())
}

#[test]
fn a_view_hits_what_holds_at_its_position() {
    let count = against(insert, [reads, reads]).unwrap();
    assert!(count > 100, "only {count} interleavings");
}

#[test]
fn a_view_of_the_past_hits_it_too() {
    let past: Reader = |tables| check(looks(&tables.view(Seq(1))), expected(Seq(1)), Seq(1));
    let count = against(insert, [reads, past]).unwrap();
    assert!(count > 100, "only {count} interleavings");
}

/// In the sequencer: after its own insertions whatever is in the cache is the newest version.
#[test]
fn a_decision_hits_the_newest_version() {
    let decides: Insert = |tables, set| {
        let at = set.seq;
        insert(tables, set);
        step();
        let mut loads = Loads::default();
        loads.load(tables, &Missing::Row(RowKey::inode(INODE))).unwrap();
        let found = Loaded::new(tables, &loads).inode(INODE).unwrap().map(|found| found.begin);
        check(found, expected(at), at).expect("the sequencer sees its own records");
    };
    against(decides, [reads, |_| Ok(())]).unwrap();
}

#[test]
fn publishing_a_record_before_the_cache_knows_it_is_found() {
    let late: Insert = |tables, set| {
        let levels = tables.generation.levels();
        let seq = set.seq;
        levels.active.insert(set.clone());
        tables.generation.publish(seq);
        step();
        levels.cache.wrote(&set);
    };
    assert_found(late, [reads, reads]);
}

#[test]
fn not_telling_the_cache_of_a_record_is_found() {
    let never: Insert = |tables, set| {
        let seq = set.seq;
        tables.generation.levels().active.insert(set);
        tables.generation.publish(seq);
    };
    assert_found(never, [reads, reads]);
}

#[test]
fn filling_at_another_position_than_was_read_at_is_found() {
    let fills: Reader = |tables| {
        let view = tables.view(Seq(1));
        let found = view.get(&RowKey::inode(INODE)).unwrap().expect("the inode is there");
        step();
        let row = CachedRow::Inode(Arc::new(InodeRow::decode(&found.value).unwrap()));
        view.levels().cache.fill(KEY, tables.applied(), row, found.begin);
        Ok(())
    };
    assert_found(insert, [fills, reads]);
}

#[test]
fn a_hit_whatever_its_begin_is_found() {
    let newest: Reader = |tables| {
        let view = tables.view(Seq::MAX);
        step();
        let hit = view.levels().cache.get(KEY, Seq::MAX).hit().map(|hit| hit.begin);
        let read = || view.get(&RowKey::inode(INODE)).unwrap().map(|found| found.begin);
        check(hit.or_else(read), expected(view.at()), view.at())
    };
    assert_found(insert, [reads, newest]);
}

/// The newest version stands in the cache and moves to the store while the past is looked at.
fn past_while_flushing(reader: Reader) -> Result<usize, String> {
    explore(|| {
        let tables = tables();
        tables.insert(set(2));
        assert_eq!(looks(&tables.view(Seq::MAX)), Some(Seq(2)));
        let (sequencer, flusher, read) = (Arc::clone(&tables), Arc::clone(&tables), tables);
        let insert = move || {
            sequencer.insert(set(3));
            step();
            looks(&sequencer.view(Seq::MAX));
            Ok(())
        };
        let flush = move || {
            flusher.flush_all(Seq(2)).unwrap();
            Ok(())
        };
        vec![Box::new(insert) as Task, Box::new(flush), Box::new(move || reader(&read))]
    })
}

#[test]
fn the_past_of_a_row_that_is_cached_is_found_wherever_it_stands() {
    let count = past_while_flushing(|tables| check(looks(&tables.view(Seq(1))), expected(Seq(1)), Seq(1))).unwrap();
    assert!(count > 20, "only {count} interleavings");
}

#[test]
fn looking_into_old_for_what_memory_may_have_ended_is_found() {
    let wrong = past_while_flushing(|tables| {
        let view = tables.view(Seq(1));
        let found = view.levels().cache.look::<Arc<InodeRow>, _>(KEY, Seq(1), |newer| match newer {
            Some(_) => crate::view::stored_old(&tables.generation, &RowKey::inode(INODE), Seq(1)),
            None => view.get(&RowKey::inode(INODE)),
        });
        check(found.unwrap().map(|found| found.begin), expected(Seq(1)), Seq(1))
    })
    .expect_err("the planted bug must be found");
    assert!(wrong.starts_with("at "), "another failure than the planted one: {wrong}");
}

/// Record 2 is lost while somebody looks who saw it; then there is another record 2, which removes the inode.
fn losing(cut: fn(&Levels, Seq) -> Levels) -> Result<usize, String> {
    explore(|| {
        let tables = tables();
        tables.insert(set(2));
        let old = tables.view(Seq::MAX);
        let (loser, reader) = (Arc::clone(&tables), tables);
        let lose = move || {
            loser.generation.drop_above_by(Seq(1), cut);
            step();
            let put = Put { ends: Some(Seq(1)), ..set(3).puts.remove(0) };
            loser.generation.insert_in_steps(WriteSet { seq: Seq(2), puts: vec![put] }, step);
            Ok(())
        };
        // Goes on showing what was lost.
        let reads_old = move || check(looks(&old), Some(Seq(2)), Seq(2));
        // Shows, of either history, what the rows themselves do.
        let reads_new = move || {
            let view = reader.view(Seq::MAX);
            let row = view.get(&RowKey::inode(INODE)).unwrap().map(|found| found.begin);
            check(looks(&view), row, view.at())
        };
        vec![Box::new(lose) as Task, Box::new(reads_old), Box::new(reads_new)]
    })
}

#[test]
fn what_was_lost_is_not_hit() {
    let count = losing(Levels::cut).unwrap();
    assert!(count > 100, "only {count} interleavings");
}

#[test]
fn keeping_the_cache_over_a_loss_is_found() {
    let keeps = |levels: &Levels, seq: Seq| Levels { cache: Arc::clone(&levels.cache), ..levels.cut(seq) };
    let wrong = losing(keeps).expect_err("the planted bug must be found");
    assert!(wrong.starts_with("at "), "another failure than the planted one: {wrong}");
}

/// A cache that is made over rows that are there already refuses what is read of their past.
#[test]
fn a_view_from_before_the_cache_fills_nothing() {
    let tables = tables();
    tables.insert(set(2));
    tables.flush_all(Seq(2)).unwrap();
    let store = Arc::clone(&tables.generation.store);
    drop(tables);
    let tables = ZoneTables::open(store, 1).unwrap();
    for at in [1, 2, 1].map(Seq) {
        assert_eq!(looks(&tables.view(at)), expected(at), "at {at}");
    }
}
