//! A naive model of versioned tables: every version that ever was, in a list.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_log::ids::Seq;
use nexus_projections::put::{Put, Version, WriteSet};
use nexus_projections::table::{RowKey, RowRange};

#[derive(Clone, Debug)]
struct Past {
    begin: Seq,
    value: Option<Bytes>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    rows: BTreeMap<RowKey, Vec<Past>>,
    sets: Vec<WriteSet>,
}

impl Model {
    pub(crate) fn last(&self) -> Seq {
        Seq(self.sets.len() as u64)
    }

    /// The write set of the record at `seq`.
    pub(crate) fn set(&self, seq: u64) -> WriteSet {
        self.sets[seq as usize - 1].clone()
    }

    /// Makes the next record's write set from wishes; a removal of what is not there is left out.
    pub(crate) fn write(&mut self, wishes: &BTreeMap<RowKey, Option<Bytes>>) -> WriteSet {
        let seq = self.last().next();
        let mut puts = Vec::new();
        for (key, value) in wishes {
            let pasts = self.rows.entry(key.clone()).or_default();
            let ends = pasts.last().filter(|past| past.value.is_some()).map(|past| past.begin);
            if value.is_none() && ends.is_none() {
                continue;
            }
            puts.push(Put { key: key.clone(), value: value.clone(), ends, first: pasts.is_empty() });
            pasts.push(Past { begin: seq, value: value.clone() });
        }
        self.sets.push(WriteSet { seq, puts });
        self.set(seq.0)
    }

    pub(crate) fn drop_above(&mut self, seq: Seq) {
        self.sets.truncate(seq.0 as usize);
        self.rows.values_mut().for_each(|pasts| pasts.retain(|past| past.begin <= seq));
    }

    pub(crate) fn get(&self, key: &RowKey, at: Seq) -> Option<Version> {
        let past = self.rows.get(key)?.iter().rfind(|past| past.begin <= at)?;
        past.value.clone().map(|value| Version { begin: past.begin, value })
    }

    pub(crate) fn scan(&self, range: &RowRange, at: Seq) -> Vec<(RowKey, Version)> {
        let keys = self.rows.keys().filter(|key| range.contains(key));
        keys.filter_map(|key| Some((key.clone(), self.get(key, at)?))).collect()
    }
}
