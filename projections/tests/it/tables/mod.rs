//! Random write sets, flushes, reopenings and losses against a naive model, over both stores.

mod cases;
mod listings;
mod model;
mod threads;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use model::Model;
use nexus_log::ids::{Inode, Seq};
use nexus_projections::flush::FlushOutcome;
use nexus_projections::loads::{Loaded, Prior, ReadThrough};
use nexus_projections::put::Version;
use nexus_projections::store::{BTreeStore, FjallOptions, FjallStore, Store};
use nexus_projections::table::{RowKey, RowRange, Table};
use nexus_projections::view::View;
use nexus_projections::zone_tables::ZoneTables;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Write(BTreeMap<RowKey, Option<Bytes>>),
    Flush,
    /// Flush, but with this many of the last records not committed.
    FlushBehind(u64),
    /// Loses what is in memory and replays it, from this many records further back than needed.
    Reopen(u64),
    /// Loses this many records for good, as far as they are in memory.
    Lose(u64),
    Tidy,
}

/// Few keys, some of which are prefixes of others.
fn keys() -> Vec<RowKey> {
    let names: [&[u8]; 6] = [b"a", b"a\x01", b"aa", b"ab", b"b", b"\xff\xff"];
    let dentries = names.iter().flat_map(|name| [1, 2].map(|parent| RowKey::dentry(Inode(parent), name)));
    dentries.chain([1, 2, 256].map(|inode| RowKey::inode(Inode(inode)))).chain([RowKey::zone_settings()]).collect()
}

fn key() -> impl Strategy<Value = RowKey> {
    proptest::sample::select(keys())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..4).prop_map(Bytes::from));
    let step = prop_oneof![
        12 => proptest::collection::btree_map(key(), value, 0..5).prop_map(Step::Write),
        2 => Just(Step::Flush),
        1 => (0u64..4).prop_map(Step::FlushBehind),
        1 => (0u64..4).prop_map(Step::Reopen),
        1 => (0u64..4).prop_map(Step::Lose),
        1 => Just(Step::Tidy),
    ];
    proptest::collection::vec(step, 1..40)
}

fn ranges() -> Vec<RowRange> {
    let mut ranges: Vec<_> = [Table::Inode, Table::Dentry, Table::ZoneSettings, Table::Xattr].map(RowRange::all).into();
    ranges.extend([1, 2, 3].map(|id| RowRange::of_id(Table::Dentry, id)));
    for key in keys() {
        let whole = RowRange::of_id(Table::Dentry, 1);
        ranges.push(RowRange { end: [&key.bytes[..], &[0]].concat().into(), ..whole.clone() });
        ranges.push(RowRange { end: key.bytes.clone(), ..whole.clone() });
        ranges.push(RowRange { start: [&key.bytes[..], &[0]].concat().into(), ..whole.clone() });
        ranges.push(whole.after(&key));
    }
    ranges
}

/// The dentries, in scans of one row each.
fn row_by_row(view: &View) -> Vec<(RowKey, Version)> {
    let mut rest = RowRange::all(Table::Dentry);
    let mut rows = Vec::new();
    while let Some(row) = view.scan(&rest).next() {
        rows.push(row.unwrap());
        rest = rest.after(&rows[rows.len() - 1].0);
    }
    rows
}

fn assert_equal(tables: &ZoneTables, model: &Model, positions: impl Iterator<Item = u64>) {
    assert_eq!(tables.applied(), model.last());
    for at in positions.map(Seq) {
        let view = tables.view(at);
        for key in keys() {
            assert_eq!(view.get(&key).unwrap(), model.get(&key, at), "{key:?} at {at}");
        }
        assert_eq!(row_by_row(&view), model.scan(&RowRange::all(Table::Dentry), at), "at {at}");
        for range in ranges() {
            let rows: Vec<_> = view.scan(&range).collect::<Result<_, _>>().unwrap();
            assert_eq!(rows, model.scan(&range, at), "{range:?} at {at}");
        }
        for range in ranges_of_ids() {
            assert_eq!(view.last(&range).unwrap(), model.scan(&range, at).pop(), "last of {range:?} at {at}");
        }
    }
    let through = ReadThrough::new(tables);
    for range in ranges_of_ids() {
        let last = model.scan(&range, model.last()).pop();
        assert_eq!(through.last(&range).unwrap(), last, "last of {range:?}");
    }
    let loads = through.into_loads();
    for range in ranges_of_ids() {
        let last = model.scan(&range, model.last()).pop();
        assert_eq!(Loaded::new(tables, &loads).last(&range).unwrap(), last, "loaded last of {range:?}");
    }
}

/// Of a table whose keys are of one length.
fn ranges_of_ids() -> Vec<RowRange> {
    let key = |id: u64| RowKey::inode(Inode(id)).bytes;
    let bounds = [(0, 1), (0, 2), (0, 256), (0, 257), (1, 2), (2, 256), (2, 300), (3, 4)];
    bounds.map(|(start, end)| RowRange { table: Table::Inode, start: key(start), end: key(end) }).into()
}

/// Runs the steps in the zone of `slot` and compares every position, on the way the last few.
fn run(store: &Arc<dyn Store>, slot: u32, steps: &[Step]) -> (ZoneTables, Model) {
    let mut tables = ZoneTables::open(Arc::clone(store), slot).unwrap();
    let mut model = Model::default();
    for step in steps {
        let last = model.last().0;
        match step {
            Step::Write(wishes) => tables.insert(model.write(wishes)),
            Step::Flush => {
                assert_eq!(tables.flush_all(model.last()).unwrap(), FlushOutcome::Idle);
                assert_eq!(tables.floor(), model.last());
            }
            Step::FlushBehind(lag) => {
                let committed = Seq(last.saturating_sub(*lag)).max(tables.floor());
                tables.flush_all(committed).unwrap();
                assert!(tables.floor() <= committed);
            }
            Step::Reopen(further) => {
                let floor = tables.floor();
                drop(tables);
                tables = ZoneTables::open(Arc::clone(store), slot).unwrap();
                assert_eq!((tables.applied(), tables.floor()), (floor, floor));
                for seq in floor.0.saturating_sub(*further).max(1)..=last {
                    assert_eq!(tables.replay(model.set(seq)), seq > floor.0);
                }
            }
            Step::Lose(count) => {
                let kept = Seq(last.saturating_sub(*count)).max(tables.floor());
                tables.drop_above(kept);
                model.drop_above(kept);
            }
            Step::Tidy => store.tidy().unwrap(),
        }
        let last = model.last().0;
        assert_equal(&tables, &model, last.saturating_sub(1)..=last);
    }
    assert_equal(&tables, &model, 0..=model.last().0);
    (tables, model)
}

fn on_disk() -> (tempfile::TempDir, Arc<dyn Store>) {
    let dir = tempfile::tempdir().unwrap();
    let store = FjallStore::open(dir.path(), FjallOptions { cache_bytes: 1 << 20 }).unwrap();
    (dir, Arc::new(store))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_position_reads_as_in_the_model(steps in steps()) {
        let store: Arc<dyn Store> = Arc::new(BTreeStore::default());
        let (tables, model) = run(&store, 1, &steps);
        let tables = rebuild_and_switch(&store, tables, &model);
        assert_equal(&tables, &model, 0..=model.last().0);
    }

    /// The digest sees every change: one more put, at any position, of any version.
    #[test]
    fn digests_differ_where_histories_do(steps in steps(), wish in key()) {
        let store: Arc<dyn Store> = Arc::new(BTreeStore::default());
        let (tables, mut model) = run(&store, 1, &steps);
        let before = model.last();
        tables.flush_all(before).unwrap();
        let unmoved = tables.summary(Seq::ZERO, before).unwrap();
        tables.insert(model.write(&BTreeMap::from([(wish, Some(Bytes::from_static(b"wish")))])));
        let after = model.last();
        tables.flush_all(after).unwrap();
        let digest = |horizon, at| tables.summary(horizon, at).unwrap().digest;
        prop_assert_eq!(tables.summary(Seq::ZERO, before).unwrap(), unmoved);
        prop_assert_ne!(digest(Seq::ZERO, before), digest(Seq::ZERO, after));
        prop_assert_ne!(digest(before, before), digest(after, after));
    }
}

/// Folds the model's records into a new generation, flushing elsewhere, and makes it the live one.
fn rebuild_and_switch(store: &Arc<dyn Store>, tables: ZoneTables, model: &Model) -> ZoneTables {
    let last = model.last();
    let next = tables.begin_generation(Seq::ZERO).unwrap();
    assert!(next.generation() > tables.generation());
    for seq in 1..=last.0 {
        next.insert(model.set(seq));
        if seq % 3 == 0 {
            next.flush_all(Seq(seq)).unwrap();
        }
    }
    next.flush_all(last).unwrap();
    tables.flush_all(last).unwrap();
    for at in (0..=last.0).map(Seq) {
        for horizon in [Seq::ZERO, Seq(at.0 / 2), at] {
            assert_eq!(tables.summary(horizon, at).unwrap(), next.summary(horizon, at).unwrap());
        }
        // From `at` to `at` nothing is past.
        for rows in next.summary(at, at).unwrap().tables {
            let current = model.scan(&RowRange::all(rows.table), at).len() as u64;
            assert_eq!((rows.current, rows.past), (current, 0), "{:?} at {at}", rows.table);
        }
    }
    tables.switch_to(&next).unwrap();
    assert_equal(&tables, model, last.0 / 2..=last.0);
    let number = next.generation();
    drop((tables, next));
    let reopened = ZoneTables::open(Arc::clone(store), 1).unwrap();
    assert_eq!((reopened.generation(), reopened.applied()), (number, last));
    reopened
}

#[test]
fn any_position_reads_as_in_the_model_on_disk() {
    let (_dir, store) = on_disk();
    let slot = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&steps(), |steps| {
            // One database for all: opening one costs more than a case. Zones do not see each other.
            slot.set(slot.get() + 1);
            run(&store, slot.get(), &steps);
            Ok(())
        })
        .unwrap();
}
