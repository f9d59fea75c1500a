//! Readers, sequencer and flusher on threads of their own.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use nexus_projections::loads::{Loaded, Loads, Prior};
use nexus_projections::put::{Put, WriteSet};

const RECORDS: u64 = 3000;
const KEYS: u64 = 6;

fn key(number: u64) -> RowKey {
    RowKey::dentry(Inode::ROOT, &[b'a' + number as u8])
}

/// Every record writes all keys, but each tenth removes the odd ones.
fn is_there(number: u64, seq: u64) -> bool {
    seq > 0 && (number.is_multiple_of(2) || !seq.is_multiple_of(10))
}

fn set(seq: u64) -> WriteSet {
    let put = |number| {
        let value = is_there(number, seq).then(|| Bytes::copy_from_slice(&seq.to_le_bytes()));
        let ends = is_there(number, seq - 1).then_some(Seq(seq - 1));
        Put { key: key(number), value, ends, first: seq == 1 }
    };
    WriteSet { seq: Seq(seq), puts: (0..KEYS).map(put).collect() }
}

/// A view shows one record whole: the one at its position.
fn check(view: &View) {
    let at = view.at().0;
    let there: Vec<_> = (0..KEYS).filter(|number| is_there(*number, at)).map(key).collect();
    let rows: Vec<_> = view.scan(&RowRange::all(Table::Dentry)).collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), there, "at {at}");
    assert!(rows.iter().all(|(_, version)| version.begin == Seq(at) && *version.value == at.to_le_bytes()), "at {at}");
    for number in 0..KEYS {
        let begin = view.get(&key(number)).unwrap().map(|version| version.begin);
        assert_eq!(begin, is_there(number, at).then_some(Seq(at)), "at {at}");
    }
}

/// Ends the other threads also where the sequencer's panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn readers_see_whole_records(store: Arc<dyn Store>) {
    let tables = ZoneTables::open(store, 1).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                tables.flush_all(tables.applied()).unwrap();
            }
        });
        for past in [0, 40] {
            let (tables, over) = (&tables, &over);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    check(&tables.view(Seq(tables.applied().0.saturating_sub(past))));
                }
            });
        }
        // The sequencer: what it decides on is always the record before.
        let mut loads = Loads::default();
        for seq in 1..=RECORDS {
            loop {
                match Loaded::new(&tables, &loads).get(&key(0)) {
                    Ok(version) => {
                        assert_eq!(version.map_or(Seq::ZERO, |version| version.begin), Seq(seq - 1));
                        break;
                    }
                    Err(missing) => loads.load(&tables, &missing).unwrap(),
                }
            }
            tables.insert(set(seq));
        }
    });
    tables.flush_all(Seq(RECORDS)).unwrap();
    for at in (1..=RECORDS).step_by(97) {
        check(&tables.view(Seq(at)));
    }
}

#[test]
fn readers_see_whole_records_in_memory() {
    readers_see_whole_records(Arc::new(BTreeStore::default()));
}

#[test]
fn readers_see_whole_records_on_disk() {
    let (_dir, store) = on_disk();
    readers_see_whole_records(store);
}

#[test]
fn tables_and_views_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<ZoneTables>();
    shared::<View>();
}
