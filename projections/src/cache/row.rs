//! What is kept, and under which key.

use std::sync::Arc;

use nexus_log::ids::{Inode, Seq};

use crate::row::{DentryRow, InodeRow, RowError, TimesRow};
use crate::table::{RowKey, Table};

/// A decoded row and the record that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<T> {
    pub row: T,
    pub begin: Seq,
}

/// The key of a row that is kept here. Borrows the name: asking allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheKey<'a> {
    pub(super) table: Table,
    pub(super) id: u64,
    pub(super) name: &'a [u8],
}

impl<'a> CacheKey<'a> {
    pub(crate) const fn inode(inode: Inode) -> CacheKey<'static> {
        CacheKey { table: Table::Inode, id: inode.0, name: b"" }
    }

    pub(crate) fn times(directory: Inode) -> CacheKey<'static> {
        CacheKey { table: Table::Times, id: directory.0, name: b"" }
    }

    pub(crate) fn dentry(parent: Inode, name: &'a [u8]) -> CacheKey<'a> {
        CacheKey { table: Table::Dentry, id: parent.0, name }
    }

    /// `None` for a row that is not kept here.
    pub(crate) fn of(key: &'a RowKey) -> Option<CacheKey<'a>> {
        if !matches!(key.table, Table::Inode | Table::Times | Table::Dentry) {
            return None;
        }
        let (id, name) = key.bytes.split_first_chunk::<8>()?;
        Some(CacheKey { table: key.table, id: u64::from_be_bytes(*id), name })
    }

    pub(crate) fn row_key(&self) -> RowKey {
        let key = RowKey::dentry(Inode(self.id), self.name);
        RowKey { table: self.table, ..key }
    }

    /// Not secret: who makes names collide makes his own set small, and the others go on.
    pub(super) fn hash(&self) -> u64 {
        const SEEDS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f];
        let mut hash = fold(self.id ^ SEEDS[0], self.table as u64 ^ SEEDS[1]);
        let mut words = self.name.chunks_exact(8);
        for word in words.by_ref() {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            hash = fold(hash ^ word, SEEDS[2]);
        }
        let mut last = [0; 8];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        fold(hash ^ u64::from_le_bytes(last), SEEDS[1] ^ self.name.len() as u64)
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// A kept row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CachedRow {
    /// There is none.
    Absent,
    Inode(Arc<InodeRow>),
    Times(TimesRow),
    Dentry(DentryRow),
}

impl CachedRow {
    /// Bytes beside the entry itself.
    pub(super) fn heap_bytes(&self) -> usize {
        /// Of an Arc.
        const COUNTS_BYTES: usize = 16;
        match self {
            CachedRow::Inode(row) => COUNTS_BYTES + row.bytes(),
            CachedRow::Absent | CachedRow::Times(_) | CachedRow::Dentry(_) => 0,
        }
    }
}

/// A row's type, from its stored bytes and as it is kept.
pub(crate) trait Cacheable: Sized {
    fn decode(bytes: &[u8]) -> Result<Self, RowError>;
    fn cached(&self) -> CachedRow;
    fn of(row: CachedRow) -> Option<Self>;
}

impl Cacheable for Arc<InodeRow> {
    fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        InodeRow::decode(bytes).map(Arc::new)
    }

    fn cached(&self) -> CachedRow {
        CachedRow::Inode(Arc::clone(self))
    }

    fn of(row: CachedRow) -> Option<Self> {
        if let CachedRow::Inode(row) = row { Some(row) } else { None }
    }
}

impl Cacheable for TimesRow {
    fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        TimesRow::decode(bytes)
    }

    fn cached(&self) -> CachedRow {
        CachedRow::Times(*self)
    }

    fn of(row: CachedRow) -> Option<Self> {
        if let CachedRow::Times(row) = row { Some(row) } else { None }
    }
}

impl Cacheable for DentryRow {
    fn decode(bytes: &[u8]) -> Result<Self, RowError> {
        DentryRow::decode(bytes)
    }

    fn cached(&self) -> CachedRow {
        CachedRow::Dentry(*self)
    }

    fn of(row: CachedRow) -> Option<Self> {
        if let CachedRow::Dentry(row) = row { Some(row) } else { None }
    }
}
