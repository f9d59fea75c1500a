//! Single promises of the tables.

use std::sync::Mutex;

use super::*;
use nexus_log::ids::{Incarnation, ZoneId, ZoneIdentity};
use nexus_projections::limits::{L0_TABLES_MAX, MEMORY_BYTES_MAX, MEMTABLE_BYTES_MAX};
use nexus_projections::loads::{Loaded, Loads, Missing, Prior, ReadThrough};
use nexus_projections::put::{Put, WriteSet};
use nexus_projections::store::{Prefix, RunRow, StoreError, StorePressure, StoreSnapshot};

fn in_memory() -> (BTreeStore, Arc<dyn Store>) {
    let store = BTreeStore::default();
    (store.clone(), Arc::new(store))
}

fn put(name: &[u8], value: Option<&[u8]>, ends: Option<u64>) -> Put {
    let value = value.map(Bytes::copy_from_slice);
    Put { key: RowKey::dentry(Inode::ROOT, name), value, ends: ends.map(Seq), first: ends.is_none() }
}

fn set(seq: u64, puts: Vec<Put>) -> WriteSet {
    WriteSet { seq: Seq(seq), puts }
}

fn rows_in(store: &BTreeStore) -> usize {
    store.snapshot().range(&[], &[0xff; 16]).count()
}

#[test]
fn uncommitted_records_do_not_reach_the_store() {
    let (_, store) = in_memory();
    let tables = ZoneTables::open(store, 1).unwrap();
    tables.insert(set(1, vec![put(b"a", Some(b"1"), None)]));
    assert_eq!(tables.flush_step(Seq(1)).unwrap(), FlushOutcome::Idle);
    assert_eq!(tables.flush_all(Seq::ZERO).unwrap(), FlushOutcome::Waiting { until: Seq(1) });
    assert_eq!(tables.floor(), Seq::ZERO);
    tables.insert(set(2, vec![put(b"a", Some(b"2"), Some(1))]));
    // What was sealed goes; what came later stays until it is sealed itself.
    assert_eq!(tables.flush_step(Seq(2)).unwrap(), FlushOutcome::Wrote { through: Seq(1), rows: 2 });
    assert_eq!((tables.floor(), tables.applied()), (Seq(1), Seq(2)));
    assert_eq!(tables.flush_step(Seq(2)).unwrap(), FlushOutcome::Idle);
}

#[test]
fn what_lived_and_died_in_memory_leaves_past_rows_only() {
    let (rows, store) = in_memory();
    let tables = ZoneTables::open(store, 1).unwrap();
    let before = rows_in(&rows);
    tables.insert(set(1, vec![put(b"a", Some(b"1"), None)]));
    tables.insert(set(2, vec![put(b"a", Some(b"2"), Some(1))]));
    tables.insert(set(3, vec![put(b"a", None, Some(2))]));
    tables.flush_all(Seq(3)).unwrap();
    assert_eq!(rows_in(&rows), before + 2);
}

#[test]
fn writers_are_told_to_wait_before_memory_runs_out() {
    let store = Arc::new(PlantedStore::default());
    let tables = ZoneTables::open(Arc::clone(&store) as Arc<dyn Store>, 1).unwrap();
    store.plant(Plant::Swallows);
    // One buffer of a mebibyte many times over: what counts is what is accounted for.
    let value = Some(Bytes::from(vec![7; 1 << 20]));
    let mut seq = 0;
    while !tables.must_throttle() {
        seq += 1;
        let put = Put { value: value.clone(), ..put(format!("{seq}").as_bytes(), None, None) };
        tables.insert(set(seq, vec![put]));
        tables.flush_step(Seq::ZERO).unwrap();
    }
    let pressure = tables.pressure();
    assert!(pressure.sealed_memtables >= 2, "{pressure:?}");
    assert!((MEMORY_BYTES_MAX..MEMORY_BYTES_MAX + (2 << 20)).contains(&pressure.memory_bytes), "{pressure:?}");
    while let FlushOutcome::Wrote { .. } = tables.flush_step(Seq(seq)).unwrap() {}
    assert!(!tables.must_throttle());
    assert!(tables.pressure().memory_bytes < MEMTABLE_BYTES_MAX);
    store.plant(Plant::IsBehind);
    assert!(tables.must_throttle());
}

#[test]
#[should_panic(expected = "in order and without holes")]
fn a_hole_between_records_is_a_bug() {
    let (_, store) = in_memory();
    ZoneTables::open(store, 1).unwrap().insert(set(2, Vec::new()));
}

#[test]
#[should_panic(expected = "committed and cannot be dropped")]
fn dropping_what_was_flushed_is_a_bug() {
    let (_, store) = in_memory();
    let tables = ZoneTables::open(store, 1).unwrap();
    tables.insert(set(1, Vec::new()));
    tables.insert(set(2, Vec::new()));
    tables.flush_all(Seq(2)).unwrap();
    tables.drop_above(Seq(1));
}

#[test]
fn a_view_goes_on_showing_what_was_dropped() {
    let (_, store) = in_memory();
    let tables = ZoneTables::open(store, 1).unwrap();
    tables.insert(set(1, vec![put(b"a", Some(b"1"), None)]));
    tables.insert(set(2, vec![put(b"a", Some(b"2"), Some(1))]));
    let newest = tables.view(Seq::MAX);
    tables.drop_above(Seq(1));
    let a = RowKey::dentry(Inode::ROOT, b"a");
    assert_eq!(newest.get(&a).unwrap().unwrap().value, "2");
    tables.insert(set(2, vec![put(b"b", Some(b"3"), None)]));
    let other = tables.view(Seq::MAX);
    assert_eq!(other.get(&a).unwrap().unwrap().value, "1");
    assert_eq!(other.scan(&RowRange::all(Table::Dentry)).count(), 2);
}

#[test]
fn generation_numbers_are_never_used_again_and_dead_ones_vanish() {
    let (rows, store) = in_memory();
    let tables = ZoneTables::open(Arc::clone(&store), 1).unwrap();
    assert_eq!(tables.generation(), 1);
    tables.insert(set(1, vec![put(b"a", Some(b"1"), None)]));
    tables.flush_all(Seq(1)).unwrap();
    let alone = rows_in(&rows);

    // Given up, by the process and by a crash of it.
    let given_up = tables.begin_generation(Seq::ZERO).unwrap();
    assert_eq!(given_up.generation(), 2);
    given_up.insert(set(1, vec![put(b"a", Some(b"1"), None)]));
    given_up.flush_all(Seq(1)).unwrap();
    assert!(rows_in(&rows) > alone);
    drop(given_up);
    assert_eq!(rows_in(&rows), alone);
    let crashed = tables.begin_generation(Seq(7)).unwrap();
    assert_eq!((crashed.generation(), crashed.applied()), (3, Seq(7)));
    std::mem::forget(crashed);
    assert!(rows_in(&rows) > alone);
    drop(tables);
    let tables = ZoneTables::open(Arc::clone(&store), 1).unwrap();
    assert_eq!((tables.generation(), rows_in(&rows)), (1, alone));

    // Replaced: readable as long as somebody looks.
    let next = tables.begin_generation(Seq::ZERO).unwrap();
    assert_eq!(next.generation(), 4);
    tables.switch_to(&next).unwrap();
    let view = tables.view(Seq(1));
    drop(tables);
    assert!(view.get(&RowKey::dentry(Inode::ROOT, b"a")).unwrap().is_some());
    drop(view);
    assert!(rows_in(&rows) < alone);

    // A removed zone comes back empty, under a new number.
    next.remove().unwrap();
    let again = ZoneTables::open(store, 1).unwrap();
    assert_eq!((again.generation(), again.applied()), (5, Seq::ZERO));
}

#[test]
fn a_decision_names_what_it_misses() {
    let (_, store) = in_memory();
    let tables = ZoneTables::open(store, 1).unwrap();
    tables.insert(set(1, vec![put(b"a", Some(b"1"), None), put(b"b", Some(b"1"), None)]));
    let (a, c) = (RowKey::dentry(Inode::ROOT, b"a"), RowKey::dentry(Inode::ROOT, b"c"));
    let range = RowRange::of_id(Table::Dentry, Inode::ROOT.0);
    let mut loads = Loads::default();
    assert_eq!(Loaded::new(&tables, &loads).get(&a).unwrap().unwrap().value, "1");
    assert_eq!(Loaded::new(&tables, &loads).get(&c), Err(Missing::Row(c.clone())));
    assert_eq!(Loaded::new(&tables, &loads).range(&range), Err(Missing::Range(range.clone())));
    for missing in [Missing::Row(c.clone()), Missing::Range(range.clone())] {
        loads.load(&tables, &missing).unwrap();
    }
    // A load goes with what memory says later, and away with the floor.
    tables.insert(set(2, vec![put(b"a", None, Some(1)), put(b"c", Some(b"2"), None)]));
    let found = Loaded::new(&tables, &loads).range(&range).unwrap();
    assert_eq!(found, ReadThrough::new(&tables).range(&range).unwrap());
    assert_eq!(found.iter().map(|(key, _)| &key.bytes[8..]).collect::<Vec<_>>(), [b"b", b"c"]);
    assert_eq!(Loaded::new(&tables, &loads).get(&a), Ok(None));
    tables.flush_all(Seq(2)).unwrap();
    assert_eq!(Loaded::new(&tables, &loads).get(&c), Err(Missing::Row(c.clone())));
    assert_eq!(Loaded::new(&tables, &loads).range(&range), Err(Missing::Range(range)));
    loads.load(&tables, &Missing::Row(c.clone())).unwrap();
    assert_eq!(Loaded::new(&tables, &loads).get(&c).unwrap().unwrap().begin, Seq(2));
}

#[test]
fn a_missing_or_other_version_below_a_put_is_corruption() {
    let (_, store) = in_memory();
    for (ends, what) in [(1, "missing"), (2, "not the version")] {
        let tables = ZoneTables::open(Arc::clone(&store), ends as u32).unwrap();
        tables.insert(set(1, if what == "missing" { Vec::new() } else { vec![put(b"a", Some(b"1"), None)] }));
        tables.insert(set(2, Vec::new()));
        tables.flush_all(Seq(2)).unwrap();
        tables.insert(set(3, vec![put(b"a", Some(b"3"), Some(ends))]));
        let error = tables.flush_all(Seq(3)).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains(what), "{error}");
        assert_eq!(tables.floor(), Seq(2));
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Plant {
    #[default]
    Nothing,
    /// Runs fail.
    Fails,
    /// Runs succeed and are forgotten.
    Swallows,
    /// The first level is full.
    IsBehind,
}

#[derive(Default)]
struct PlantedStore {
    rows: BTreeStore,
    plant: Mutex<Plant>,
}

impl PlantedStore {
    fn plant(&self, plant: Plant) {
        *self.plant.lock().unwrap() = plant;
    }

    fn planted(&self) -> Plant {
        *self.plant.lock().unwrap()
    }
}

impl Store for PlantedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.rows.get(key)
    }

    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        self.rows.snapshot()
    }

    fn ingest(&self, run: &mut dyn Iterator<Item = RunRow>) -> Result<(), StoreError> {
        match self.planted() {
            Plant::Fails => Err(StoreError::Fatal { action: "write a run", source: "planted".into() }),
            Plant::Swallows => {
                for row in run {
                    row?;
                }
                Ok(())
            }
            _ => self.rows.ingest(run),
        }
    }

    fn pressure(&self) -> StorePressure {
        StorePressure { l0_tables: if self.planted() == Plant::IsBehind { L0_TABLES_MAX } else { 0 } }
    }

    fn tidy(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn set_dead(&self, prefixes: &[Prefix]) {
        self.rows.set_dead(prefixes);
    }

    fn set_expired(&self, prefix: &[u8], before: u64) {
        self.rows.set_expired(prefix, before);
    }
}

#[test]
fn a_failed_run_moves_nothing() {
    let store = Arc::new(PlantedStore::default());
    let tables = ZoneTables::open(Arc::clone(&store) as Arc<dyn Store>, 1).unwrap();
    tables.insert(set(1, vec![put(b"a", Some(b"1"), None)]));
    store.plant(Plant::Fails);
    assert!(matches!(tables.flush_all(Seq(1)), Err(StoreError::Fatal { .. })));
    let a = RowKey::dentry(Inode::ROOT, b"a");
    assert_eq!(tables.floor(), Seq::ZERO);
    assert!(tables.view(Seq::MAX).get(&a).unwrap().is_some());
    assert!(tables.begin_generation(Seq::ZERO).is_err());
    store.plant(Plant::Nothing);
    assert_eq!(tables.flush_all(Seq(1)).unwrap(), FlushOutcome::Idle);
    assert_eq!(tables.floor(), Seq(1));
    assert!(tables.view(Seq::MAX).get(&a).unwrap().is_some());
}

#[test]
fn a_scan_steps_over_long_histories() {
    let (_, store) = in_memory();
    let tables = ZoneTables::open(store, 1).unwrap();
    let mut model = Model::default();
    let names: [&[u8]; 3] = [b"a", b"a\x01", b"b"];
    for seq in 0..300u32 {
        let wish =
            (RowKey::dentry(Inode::ROOT, names[seq as usize % 3]), Some(Bytes::copy_from_slice(&seq.to_le_bytes())));
        tables.insert(model.write(&BTreeMap::from([wish])));
    }
    tables.flush_all(Seq(300)).unwrap();
    for at in (0..=300).map(Seq) {
        let view = tables.view(at);
        for range in
            [RowRange::all(Table::Dentry), RowRange::all(Table::Dentry).after(&RowKey::dentry(Inode::ROOT, b"a"))]
        {
            let rows: Vec<_> = view.scan(&range).collect::<Result<_, _>>().unwrap();
            assert_eq!(rows, model.scan(&range, at), "{range:?} at {at}");
        }
    }
}

#[test]
fn rows_of_a_zone_that_was_replaced_are_not_the_new_ones() {
    let owner = |n| ZoneIdentity { zone: ZoneId([n; 16]), incarnation: Incarnation(1) };
    let store: Arc<dyn Store> = Arc::new(BTreeStore::default());
    {
        let tables = ZoneTables::open_for(Arc::clone(&store), 1, owner(1)).unwrap();
        tables.insert(set(1, Vec::new()));
        tables.flush_all(Seq(1)).unwrap();
    }
    assert_eq!(ZoneTables::open_for(Arc::clone(&store), 1, owner(1)).unwrap().applied(), Seq(1));
    assert_eq!(ZoneTables::open_for(Arc::clone(&store), 1, owner(2)).unwrap().applied(), Seq::ZERO);
    assert_eq!(ZoneTables::open_for(store, 1, owner(2)).unwrap().applied(), Seq::ZERO);
}
