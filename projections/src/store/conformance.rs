//! What every store must do, run by both.

use std::path::Path;
use std::sync::Arc;

use super::*;

/// How a suite gets at a store, and at the same store again.
trait Harness {
    fn store(&self) -> Arc<dyn Store>;
    /// Drops the store that the last call returned (the caller must hold no handle) and opens it again.
    fn reopen(&mut self);
}

struct InMemory(BTreeStore);

impl Harness for InMemory {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    fn reopen(&mut self) {}
}

struct OnDisk {
    dir: tempfile::TempDir,
    store: Option<Arc<FjallStore>>,
}

fn open(path: &Path) -> Option<Arc<FjallStore>> {
    Some(Arc::new(FjallStore::open(path, FjallOptions { cache_bytes: 1 << 20 }).unwrap()))
}

impl Harness for OnDisk {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }

    fn reopen(&mut self) {
        assert_eq!(Arc::strong_count(self.store.as_ref().unwrap()), 1);
        self.store = None;
        self.store = open(self.dir.path());
    }
}

type Pair<'a> = (&'a str, Option<&'a str>);

fn run(store: &dyn Store, rows: &[Pair<'_>]) {
    let mut rows = rows
        .iter()
        .map(|(key, value)| Ok((key.as_bytes().to_vec(), value.map(|value| Bytes::copy_from_slice(value.as_bytes())))));
    store.ingest(&mut rows).unwrap();
}

fn all(snapshot: &dyn StoreSnapshot, start: &str, end: &str) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let row = |row: Result<(Bytes, Bytes), StoreError>| row.map(|(key, value)| (text(key), text(value))).unwrap();
    snapshot.range(start.as_bytes(), end.as_bytes()).map(row).collect()
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn conforms(harness: &mut impl Harness) {
    let store = harness.store();
    assert_eq!(store.get(b"a").unwrap(), None);
    assert_eq!(all(&*store.snapshot(), "", "\u{7f}"), []);
    run(&*store, &[]);

    run(&*store, &[("a", Some("1")), ("a\0x", Some("2")), ("aa", Some("3")), ("b", Some("4"))]);
    let first = store.snapshot();
    run(&*store, &[("a", Some("5")), ("b", None), ("c", Some("6")), ("never", None)]);
    let second = store.snapshot();
    run(&*store, &[("a", None)]);

    // Snapshots do not change, and ranges are half open and in the order of bytes.
    let before = pairs(&[("a", "1"), ("a\0x", "2"), ("aa", "3"), ("b", "4")]);
    assert_eq!(all(&*first, "", "\u{7f}"), before);
    assert_eq!(all(&*first, "a\0", "b"), pairs(&[("a\0x", "2"), ("aa", "3")]));
    assert_eq!(all(&*first, "b", "a"), []);
    assert_eq!(all(&*first, "a", "a"), []);
    assert_eq!(first.get(b"b").unwrap().unwrap(), "4");
    assert_eq!(all(&*second, "", "\u{7f}"), pairs(&[("a", "5"), ("a\0x", "2"), ("aa", "3"), ("c", "6")]));
    assert_eq!(second.get(b"b").unwrap(), None);
    from_both_ends(&*first);
    let now = pairs(&[("a\0x", "2"), ("aa", "3"), ("c", "6")]);
    assert_eq!(all(&*store.snapshot(), "", "\u{7f}"), now);
    assert_eq!(store.get(b"a").unwrap(), None);
    assert_eq!(store.first(b"a", b"b").unwrap().unwrap().1, "2");
    assert_eq!(store.first(b"ab", b"c").unwrap(), None);
    assert_eq!(store.first(b"c", b"a").unwrap(), None);

    // A range keeps what it reads though its snapshot is gone and runs go on.
    let mut range = first.range(b"a", b"b");
    drop(first);
    assert_eq!(range.next().unwrap().unwrap().1, "1");
    run(&*store, &[("aa", None)]);
    assert_eq!(range.next().unwrap().unwrap().1, "2");
    assert_eq!(range.next().unwrap().unwrap().1, "3");
    assert!(range.next().is_none());

    store.tidy().unwrap();
    drop((range, second, store));
    harness.reopen();
    assert_eq!(all(&*harness.store().snapshot(), "", "\u{7f}"), pairs(&[("a\0x", "2"), ("c", "6")]));
    failed_runs_leave_no_trace(harness);
    large_values_survive(harness);
    dead_rows_leave_live_ones_alone(harness);
}

/// Of "a", "a\0x", "aa" and "b".
fn from_both_ends(snapshot: &dyn StoreSnapshot) {
    let mut range = snapshot.range(b"a", b"b");
    let mut keys = |back: bool| {
        let row = if back { range.next_back() } else { range.next() };
        row.map(|row| row.unwrap().0)
    };
    assert_eq!(
        [keys(true), keys(false), keys(true), keys(false), keys(true)],
        [Some("aa".into()), Some("a".into()), Some("a\0x".into()), None, None]
    );
    assert!(snapshot.range(b"b", b"a").next_back().is_none());
    assert_eq!(snapshot.range(b"", b"b").next_back().unwrap().unwrap().1, "3");
}

fn failed_runs_leave_no_trace(harness: &mut impl Harness) {
    let store = harness.store();
    let rows: [RunRow; 2] =
        [Ok((b"half".to_vec(), Some(Bytes::from_static(b"1")))), Err(StoreError::corrupt("planted", b"k"))];
    let error = store.ingest(&mut rows.into_iter()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { what: "planted", .. }));
    assert_eq!(store.get(b"half").unwrap(), None);
    drop(store);
    harness.reopen();
    assert_eq!(harness.store().get(b"half").unwrap(), None);
}

fn large_values_survive(harness: &mut impl Harness) {
    let value =
        |i: u32| Bytes::from((0..200_000).map(|byte: u32| (byte.wrapping_mul(i + 7) >> 3) as u8).collect::<Vec<_>>());
    let key = |i: u32| [b"large".as_slice(), &i.to_be_bytes()].concat();
    harness.store().ingest(&mut (0..20).map(|i| Ok((key(i), Some(value(i)))))).unwrap();
    harness.reopen();
    let store = harness.store();
    for i in 0..20 {
        assert_eq!(store.get(&key(i)).unwrap().unwrap(), value(i));
    }
    let rows: Vec<_> = store.snapshot().range(&key(5), &key(15)).collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[9], (key(14).into(), value(14)));
}

fn dead_rows_leave_live_ones_alone(harness: &mut impl Harness) {
    let store = harness.store();
    run(&*store, &[("dead0001x", Some("1")), ("live0001x", Some("2"))]);
    store.set_dead(&[*b"dead0001"]);
    store.set_dead(&[*b"dead0002"]);
    store.tidy().unwrap();
    run(&*store, &[("dead0002y", Some("3")), ("live0001y", Some("4"))]);
    assert_eq!(all(&*store.snapshot(), "live", "livf"), pairs(&[("live0001x", "2"), ("live0001y", "4")]));
}

fn numbered(prefix: &str, i: u64) -> RunRow {
    let key = [prefix.as_bytes(), &i.to_be_bytes()].concat();
    Ok((key, Some(Bytes::copy_from_slice(&[&i.to_le_bytes()[..], b"row"].concat()))))
}

#[test]
fn compaction_drops_what_expired_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let on_disk = FjallStore::open(dir.path(), FjallOptions { cache_bytes: 1 << 20 }).unwrap();
    let in_memory = BTreeStore::default();
    let stores: [&dyn Store; 2] = [&on_disk, &in_memory];
    for store in stores {
        let runs = [("zone0001a", 100), ("zone0001b", 100), ("zone0001c", 100)];
        let rows = runs.iter().flat_map(|(prefix, n)| (0..*n).map(|i| numbered(prefix, i)));
        store.ingest(&mut rows.collect::<Vec<_>>().into_iter()).unwrap();
        store.set_expired(b"zone0001b", 40);
        store.set_expired(b"zone0001b", 60);
    }
    on_disk.compact().unwrap();
    for store in stores {
        let left = |prefix: &str, end: &str| store.snapshot().range(prefix.as_bytes(), end.as_bytes()).count();
        assert_eq!(left("zone0001a", "zone0001b"), 100);
        assert_eq!(left("zone0001b", "zone0001c"), 40);
        assert_eq!(left("zone0001c", "zone0001d"), 100);
        let oldest = store.snapshot().range(b"zone0001b", b"zone0001c").next().unwrap().unwrap();
        assert_eq!(oldest.0[9..], 60u64.to_be_bytes());
    }
}

#[test]
fn the_store_in_memory_conforms() {
    conforms(&mut InMemory(BTreeStore::default()));
}

#[test]
fn the_store_on_disk_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    conforms(&mut OnDisk { dir, store });
}

#[test]
#[should_panic(expected = "keys of a run must ascend")]
fn a_run_out_of_order_is_a_bug() {
    run(&BTreeStore::default(), &[("b", None), ("a", None)]);
}

#[test]
fn compaction_drops_the_rows_of_dead_generations() {
    let dir = tempfile::tempdir().unwrap();
    let store = FjallStore::open(dir.path(), FjallOptions { cache_bytes: 1 << 20 }).unwrap();
    let row = |prefix: &[u8; 8], i: u32| {
        Ok(([prefix.as_slice(), &i.to_be_bytes()].concat(), Some(Bytes::from_static(b"value"))))
    };
    let (dead, live) = ([7; 8], [9; 8]);
    store.ingest(&mut (0..1000).map(|i| row(&dead, i)).chain((0..10).map(|i| row(&live, i)))).unwrap();
    store.set_dead(&[dead]);
    store.compact().unwrap();
    let snapshot = store.snapshot();
    assert_eq!(snapshot.range(&dead, &[8]).count(), 0);
    assert_eq!(snapshot.range(&live, &[10]).count(), 10);
}
