//! A store in memory, for simulations: what a handle wrote, every other handle to it sees, so the content outlives
//! the tables over it as a disk outlives a process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::{
    Ascending, Expired, Prefix, RunRow, Store, StoreError, StorePressure, StoreRows, StoreSnapshot, is_expired,
};

type Rows = BTreeMap<Bytes, Bytes>;

#[derive(Clone, Debug, Default)]
pub struct BTreeStore {
    rows: Arc<RwLock<Arc<Rows>>>,
}

impl Store for BTreeStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.rows.read().get(key).cloned())
    }

    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        Box::new(Snapshot { rows: Arc::clone(&self.rows.read()) })
    }

    fn ingest(&self, run: &mut dyn Iterator<Item = RunRow>) -> Result<(), StoreError> {
        let run = Ascending::new(run).collect::<Result<Vec<_>, _>>()?;
        let mut rows = self.rows.write();
        let rows = Arc::make_mut(&mut rows);
        for (key, value) in run {
            match value {
                Some(value) => rows.insert(key.into(), value),
                None => rows.remove(key.as_slice()),
            };
        }
        Ok(())
    }

    fn pressure(&self) -> StorePressure {
        StorePressure::default()
    }

    fn tidy(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn set_dead(&self, prefixes: &[Prefix]) {
        let mut rows = self.rows.write();
        let dead = |key: &Bytes| prefixes.iter().any(|prefix| key.starts_with(prefix.as_ref()));
        if rows.keys().any(dead) {
            Arc::make_mut(&mut rows).retain(|key, _| !dead(key));
        }
    }

    /// At once, so that a simulation sees the worst case.
    fn set_expired(&self, prefix: &[u8], before: u64) {
        let expired = Expired::from([(prefix.to_vec(), before)]);
        let mut rows = self.rows.write();
        let from = (Bound::Included(Bytes::copy_from_slice(prefix)), Bound::Unbounded);
        let within = rows.range::<Bytes, _>(from).take_while(|(key, _)| key.starts_with(prefix));
        let gone: Vec<Bytes> =
            within.filter(|(key, value)| is_expired(&expired, key, value)).map(|(key, _)| key.clone()).collect();
        if !gone.is_empty() {
            let rows = Arc::make_mut(&mut rows);
            gone.iter().for_each(|key| drop(rows.remove(key)));
        }
    }
}

struct Snapshot {
    rows: Arc<Rows>,
}

impl StoreSnapshot for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.rows.get(key).cloned())
    }

    fn range(&self, start: &[u8], end: &[u8]) -> StoreRows {
        let start = Bound::Included(Bytes::copy_from_slice(start));
        let end = Bound::Excluded(Bytes::copy_from_slice(end));
        Box::new(Range { rows: Arc::clone(&self.rows), start, end })
    }
}

/// Owns its rows, so it looks its place up anew at each step.
struct Range {
    rows: Arc<Rows>,
    start: Bound<Bytes>,
    end: Bound<Bytes>,
}

impl Range {
    /// What is left, from its start on.
    fn rest(&self) -> impl DoubleEndedIterator<Item = (&Bytes, &Bytes)> {
        let is_empty = match (&self.start, &self.end) {
            (Bound::Included(start), Bound::Excluded(end)) => start >= end,
            // A row was given and is left out: BTreeMap::range panics where both bounds leave out the same key.
            (Bound::Excluded(start), Bound::Excluded(end)) => start >= end,
            _ => unreachable!("the end is never given"),
        };
        let rest = (!is_empty).then(|| self.rows.range::<Bytes, _>((self.start.as_ref(), self.end.as_ref())));
        rest.into_iter().flatten()
    }
}

impl Iterator for Range {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rest().next().map(|(key, value)| (key.clone(), value.clone()))?;
        self.start = Bound::Excluded(row.0.clone());
        Some(Ok(row))
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        let row = self.rest().next_back().map(|(key, value)| (key.clone(), value.clone()))?;
        self.end = Bound::Excluded(row.0.clone());
        Some(Ok(row))
    }
}
