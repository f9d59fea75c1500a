//! What a listing costs, counted in rows of the store, not in time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use nexus_projections::put::{Put, WriteSet};
use nexus_projections::store::{Prefix, RunRow, StoreError, StorePressure, StoreRows, StoreSnapshot};

/// Counts the rows that are given out.
#[derive(Clone, Default)]
struct CountingStore {
    rows: BTreeStore,
    visited: Arc<AtomicUsize>,
}

struct CountingSnapshot {
    snapshot: Box<dyn StoreSnapshot>,
    visited: Arc<AtomicUsize>,
}

impl Store for CountingStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.visited.fetch_add(1, Ordering::Relaxed);
        self.rows.get(key)
    }

    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        Box::new(CountingSnapshot { snapshot: self.rows.snapshot(), visited: Arc::clone(&self.visited) })
    }

    fn ingest(&self, run: &mut dyn Iterator<Item = RunRow>) -> Result<(), StoreError> {
        self.rows.ingest(run)
    }

    fn pressure(&self) -> StorePressure {
        self.rows.pressure()
    }

    fn tidy(&self) -> Result<(), StoreError> {
        self.rows.tidy()
    }

    fn set_dead(&self, prefixes: &[Prefix]) {
        self.rows.set_dead(prefixes);
    }

    fn set_expired(&self, prefix: &[u8], before: u64) {
        self.rows.set_expired(prefix, before);
    }
}

impl StoreSnapshot for CountingSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.visited.fetch_add(1, Ordering::Relaxed);
        self.snapshot.get(key)
    }

    fn range(&self, start: &[u8], end: &[u8]) -> StoreRows {
        let visited = Arc::clone(&self.visited);
        Box::new(self.snapshot.range(start, end).inspect(move |_| {
            visited.fetch_add(1, Ordering::Relaxed);
        }))
    }
}

const DIRECTORY: u64 = 10;
const OTHERS: [u64; 3] = [9, 11, 12];
/// Names that the directory ever held, and holds in the end.
const EVER: u64 = 200;
const LEFT: u64 = 5;

fn name(number: u64) -> String {
    format!("{number:05}")
}

/// Inserts one record that puts or removes names of a directory.
fn write(
    tables: &ZoneTables,
    model: &mut Model,
    directory: u64,
    numbers: std::ops::Range<u64>,
    value: Option<&'static [u8]>,
) {
    let key = |number: u64| RowKey::dentry(Inode(directory), name(number).as_bytes());
    let wishes = numbers.map(|number| (key(number), value.map(Bytes::from_static))).collect();
    tables.insert(model.write(&wishes));
}

/// How many rows of the store a listing of the directory looks at, and how many it answers.
fn listing(store: &CountingStore, tables: &ZoneTables, at: Seq) -> (usize, usize) {
    let before = store.visited.load(Ordering::Relaxed);
    let rows = tables.view(at).scan(&RowRange::of_id(Table::Dentry, DIRECTORY)).map(Result::unwrap).count();
    (store.visited.load(Ordering::Relaxed) - before, rows)
}

#[test]
fn a_listing_costs_what_the_directory_holds_or_held_not_what_the_zone_did() {
    let store = CountingStore::default();
    let tables = ZoneTables::open(Arc::new(store.clone()), 1).unwrap();
    let mut model = Model::default();
    write(&tables, &mut model, DIRECTORY, 0..EVER, Some(b"made"));
    let full = model.last();
    write(&tables, &mut model, DIRECTORY, LEFT..EVER, None);
    let costs = |tables: &ZoneTables, model: &Model| {
        tables.flush_all(model.last()).unwrap();
        [listing(&store, tables, Seq::MAX), listing(&store, tables, full)]
    };
    let alone = costs(&tables, &model);
    assert_eq!([alone[0].1, alone[1].1], [LEFT as usize, EVER as usize]);
    assert!(alone[0].0 <= LEFT as usize + 1, "at latest what is there now: {alone:?}");
    assert!(alone[1].0 <= (EVER + LEFT) as usize + 2, "in the past what it ever held: {alone:?}");

    // Neighbours with far more names, written again and again.
    for round in 0..20 {
        for directory in OTHERS {
            write(&tables, &mut model, directory, 0..EVER, (round % 3 != 2).then_some(b"again"));
        }
        tables.flush_all(model.last()).unwrap();
    }
    let beside = costs(&tables, &model);
    assert_eq!(beside.map(|cost| cost.1), alone.map(|cost| cost.1));
    for (beside, alone) in beside.into_iter().zip(alone) {
        assert!(beside.0 <= alone.0 + 1, "{beside:?} rows beside others, {alone:?} alone");
    }

    // Names of its own with very many versions: each is left by a seek.
    for _ in 0..200 {
        write(&tables, &mut model, DIRECTORY, 0..LEFT, Some(b"version"));
    }
    let versions = costs(&tables, &model);
    assert_eq!(versions.map(|cost| cost.1), alone.map(|cost| cost.1));
    assert!(versions[0].0 <= LEFT as usize + 1, "{versions:?}");
    assert!(versions[1].0 <= alone[1].0 + 40 * LEFT as usize, "{versions:?}");
}

#[test]
fn a_point_read_of_the_past_is_a_get_and_a_seek() {
    let store = CountingStore::default();
    let tables = ZoneTables::open(Arc::new(store.clone()), 1).unwrap();
    let key = RowKey::inode(Inode(7));
    for seq in 1..=1000 {
        let put = Put { key: key.clone(), value: Some(Bytes::from_static(b"row")), ends: None, first: seq == 1 };
        let put = Put { ends: (seq > 1).then(|| Seq(seq - 1)), ..put };
        tables.insert(WriteSet { seq: Seq(seq), puts: vec![put] });
    }
    tables.flush_all(Seq(1000)).unwrap();
    for at in [1, 10, 500, 999].map(Seq) {
        let before = store.visited.load(Ordering::Relaxed);
        assert_eq!(tables.view(at).get(&key).unwrap().unwrap().begin, at);
        assert_eq!(store.visited.load(Ordering::Relaxed) - before, 2, "at {at}");
    }
}
