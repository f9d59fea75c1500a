//! The rows that one record changes, over the rows before it.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_log::ids::{Inode, Seq};

use crate::loads::Prior;
use crate::put::{Put, Version};
use crate::row::{InodeRow, RowError, TimesRow};
use crate::table::{RowKey, RowRange};

/// Why a record could not be applied: never because of what it says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError<M> {
    /// A row must be loaded first.
    #[error("a row is not loaded")]
    Miss(M),
    /// A stored row is damaged.
    #[error(transparent)]
    Row(#[from] RowError),
}

struct Change {
    value: Option<Bytes>,
    ends: Option<Seq>,
    first: bool,
}

pub(super) struct Rows<'a, P: Prior> {
    prior: &'a P,
    changes: BTreeMap<RowKey, Change>,
}

type Result<T, P> = std::result::Result<T, ApplyError<<P as Prior>::Miss>>;

impl<'a, P: Prior> Rows<'a, P> {
    pub(super) fn new(prior: &'a P) -> Rows<'a, P> {
        Rows { prior, changes: BTreeMap::new() }
    }

    pub(super) fn changed(&self) -> usize {
        self.changes.len()
    }

    /// A row as it is now; `seq` is the record that is being folded.
    pub(super) fn version(&self, key: &RowKey, seq: Seq) -> std::result::Result<Option<Version>, P::Miss> {
        match self.changes.get(key) {
            Some(change) => Ok(change.value.clone().map(|value| Version { begin: seq, value })),
            None => self.prior.get(key),
        }
    }

    /// The rows before the record, where it did not change this one.
    pub(super) fn untouched(&self, key: &RowKey) -> Option<&'a P> {
        (!self.changes.contains_key(key)).then_some(self.prior)
    }

    pub(super) fn versions(&self, range: &RowRange, seq: Seq) -> std::result::Result<Vec<(RowKey, Version)>, P::Miss> {
        let mut rows: BTreeMap<RowKey, Version> = self.prior.range(range)?.into_iter().collect();
        let from = RowKey { table: range.table, bytes: range.start.clone() };
        for (key, change) in self.changes.range(from..).take_while(|(key, _)| range.contains(key)) {
            match &change.value {
                Some(value) => rows.insert(key.clone(), Version { begin: seq, value: value.clone() }),
                None => rows.remove(key),
            };
        }
        Ok(rows.into_iter().collect())
    }

    pub(super) fn get(&self, key: &RowKey) -> Result<Option<Bytes>, P> {
        if let Some(change) = self.changes.get(key) {
            return Ok(change.value.clone());
        }
        Ok(self.prior.get(key).map_err(ApplyError::Miss)?.map(|v| v.value))
    }

    pub(super) fn inode(&self, inode: Inode) -> Result<Option<InodeRow>, P> {
        let value = self.get(&RowKey::inode(inode))?;
        Ok(value.map(|v| InodeRow::decode(&v)).transpose()?)
    }

    pub(super) fn times(&self, directory: Inode) -> Result<Option<TimesRow>, P> {
        let value = self.get(&RowKey::times(directory))?;
        Ok(value.map(|v| TimesRow::decode(&v)).transpose()?)
    }

    /// Rows of a range as they are now. `born_here`: the range cannot hold rows from before this record.
    pub(super) fn range(&self, range: &RowRange, born_here: bool) -> Result<Vec<(RowKey, Bytes)>, P> {
        let before = if born_here { Vec::new() } else { self.prior.range(range).map_err(ApplyError::Miss)? };
        let mut rows: BTreeMap<RowKey, Bytes> = before.into_iter().map(|(key, v)| (key, v.value)).collect();
        let from = RowKey { table: range.table, bytes: range.start.clone() };
        for (key, change) in self.changes.range(from..).take_while(|(key, _)| range.contains(key)) {
            match &change.value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows.into_iter().collect())
    }

    /// As [`Rows::last`], with the row's version; `seq` is the record that is being folded.
    pub(super) fn last_version(
        &self,
        range: &RowRange,
        seq: Seq,
    ) -> std::result::Result<Option<(RowKey, Version)>, P::Miss> {
        let Some((key, _)) = self.last(range, false)? else { return Ok(None) };
        Ok(self.version(&key, seq)?.map(|version| (key, version)))
    }

    /// The last row of a range as it is now; see [`Prior::last`].
    pub(super) fn last(
        &self,
        range: &RowRange,
        born_here: bool,
    ) -> std::result::Result<Option<(RowKey, Bytes)>, P::Miss> {
        let bound = |bytes: &Bytes| RowKey { table: range.table, bytes: bytes.clone() };
        let mut changed = self.changes.range(bound(&range.start)..bound(&range.end)).rev();
        let changed = changed.find_map(|(key, change)| Some((key.clone(), change.value.clone()?)));
        // Of the rows before, only one behind that can be the last.
        let mut rest = changed.as_ref().map_or(range.clone(), |(key, _)| range.after(key));
        if born_here {
            return Ok(changed);
        }
        loop {
            match self.prior.last(&rest)? {
                None => return Ok(changed),
                Some((key, version)) if !self.changes.contains_key(&key) => return Ok(Some((key, version.value))),
                Some((key, _)) => rest.end = key.bytes,
            }
        }
    }

    pub(super) fn put(&mut self, key: RowKey, value: Vec<u8>) -> Result<(), P> {
        self.change(key, Some(value.into()), false)
    }

    /// As `put` for a key that never existed before: its id is born in this record.
    pub(super) fn create(&mut self, key: RowKey, value: Vec<u8>) -> Result<(), P> {
        self.change(key, Some(value.into()), true)
    }

    pub(super) fn remove(&mut self, key: RowKey) -> Result<(), P> {
        self.change(key, None, false)
    }

    fn change(&mut self, key: RowKey, value: Option<Bytes>, first: bool) -> Result<(), P> {
        if let Some(change) = self.changes.get_mut(&key) {
            change.value = value;
            return Ok(());
        }
        let ends =
            if first { None } else { self.prior.get(&key).map_err(ApplyError::Miss)?.map(|version| version.begin) };
        self.changes.insert(key, Change { value, ends, first });
        Ok(())
    }

    /// The puts, by key. A row that did not exist before and does not exist after is none.
    pub(super) fn into_puts(self) -> Vec<Put> {
        let real = self.changes.into_iter().filter(|(_, c)| c.value.is_some() || c.ends.is_some());
        real.map(|(key, c)| Put { key, value: c.value, ends: c.ends, first: c.first }).collect()
    }
}
