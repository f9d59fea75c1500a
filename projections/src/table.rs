//! The tables, and how their keys are written.
//!
//! Integers in keys are big-endian, so that the order of bytes is the order of numbers. The part of variable length
//! (a name) stands last and holds no NUL byte, so a key followed by NUL sorts right behind the key itself and before
//! every longer name: the layout of past versions relies on it.

use bytes::Bytes;
use nexus_log::event::Context;
use nexus_log::ids::{Body, ChunkHash, Inode};

/// A table. The numbers stand in keys on disk and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// inode -> attributes, first link, content.
    Inode = 1,
    /// directory inode -> its times, version and number of entries.
    Times = 2,
    /// (inode, parent, name): hard links beyond the first.
    Link = 3,
    /// (body, offset) -> a run of a chunk.
    Extent = 4,
    /// (parent, name) -> inode and type.
    Dentry = 5,
    /// (inode, name) -> value.
    Xattr = 6,
    /// chunk hash -> where it stands.
    Chunk = 7,
    /// inode: unlinked but held open.
    Orphan = 8,
    /// the zone's name and parameters.
    ZoneSettings = 9,
    /// inode -> how reads of it, and of what is below it, are recorded.
    Policy = 10,
    /// (actor, hour) -> what was used, as far as it was counted.
    Ledger = 11,
    /// request of an actor -> what it was answered.
    Dedupe = 12,
}

impl Table {
    pub const ALL: [Table; 12] = [
        Table::Inode,
        Table::Times,
        Table::Link,
        Table::Extent,
        Table::Dentry,
        Table::Xattr,
        Table::Chunk,
        Table::Orphan,
        Table::ZoneSettings,
        Table::Policy,
        Table::Ledger,
        Table::Dedupe,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Table::Inode => "inode",
            Table::Times => "times",
            Table::Link => "link",
            Table::Extent => "extent",
            Table::Dentry => "dentry",
            Table::Xattr => "xattr",
            Table::Chunk => "chunk",
            Table::Orphan => "orphan",
            Table::ZoneSettings => "zone_settings",
            Table::Dedupe => "dedupe",
            Table::Policy => "policy",
            Table::Ledger => "ledger",
        }
    }
}

/// A row's key: its table and the bytes within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    pub table: Table,
    pub bytes: Bytes,
}

impl RowKey {
    fn new(table: Table, parts: &[&[u8]]) -> RowKey {
        let mut bytes = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
        parts.iter().for_each(|p| bytes.extend_from_slice(p));
        RowKey { table, bytes: bytes.into() }
    }

    #[must_use]
    pub fn inode(inode: Inode) -> RowKey {
        RowKey::new(Table::Inode, &[&inode.0.to_be_bytes()])
    }

    #[must_use]
    pub fn times(directory: Inode) -> RowKey {
        RowKey::new(Table::Times, &[&directory.0.to_be_bytes()])
    }

    #[must_use]
    pub fn link(inode: Inode, parent: Inode, name: &[u8]) -> RowKey {
        RowKey::new(Table::Link, &[&inode.0.to_be_bytes(), &parent.0.to_be_bytes(), name])
    }

    #[must_use]
    pub fn extent(body: Body, offset: u64) -> RowKey {
        RowKey::new(Table::Extent, &[&body.0.to_be_bytes(), &offset.to_be_bytes()])
    }

    #[must_use]
    pub fn dentry(parent: Inode, name: &[u8]) -> RowKey {
        RowKey::new(Table::Dentry, &[&parent.0.to_be_bytes(), name])
    }

    #[must_use]
    pub fn xattr(inode: Inode, name: &[u8]) -> RowKey {
        RowKey::new(Table::Xattr, &[&inode.0.to_be_bytes(), name])
    }

    #[must_use]
    pub fn chunk(hash: ChunkHash) -> RowKey {
        RowKey::new(Table::Chunk, &[&hash.0])
    }

    #[must_use]
    pub fn orphan(inode: Inode) -> RowKey {
        RowKey::new(Table::Orphan, &[&inode.0.to_be_bytes()])
    }

    #[must_use]
    pub fn zone_settings() -> RowKey {
        RowKey::new(Table::ZoneSettings, &[])
    }

    /// A request by the name that its actor gave it; `None` where it has none.
    #[must_use]
    pub fn dedupe(context: &Context) -> Option<RowKey> {
        let request = context.request_id.as_ref()?;
        let mut hasher = blake3::Hasher::new();
        for part in [&context.tenant, &context.user, &context.agent, request] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Some(RowKey::new(Table::Dedupe, &[hasher.finalize().as_bytes()]))
    }

    /// What an operator said of the wall clock.
    #[must_use]
    pub fn clock() -> RowKey {
        RowKey::new(Table::ZoneSettings, &[b"clock"])
    }

    #[must_use]
    pub fn policy(inode: Inode) -> RowKey {
        RowKey::new(Table::Policy, &[&inode.0.to_be_bytes()])
    }

    /// `actor` is the head of a hash of who it is; who it is stands in the row.
    #[must_use]
    pub fn ledger(actor: [u8; 16], hour: u64) -> RowKey {
        RowKey::new(Table::Ledger, &[&actor, &hour.to_be_bytes()])
    }

    /// Up to where the ledger's rows are counted. Of the length of the others, and no hash is zero.
    #[must_use]
    pub fn ledger_mark() -> RowKey {
        RowKey::ledger([0; 16], 0)
    }
}

/// Keys of one table from `start` (inclusive) to `end` (exclusive).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowRange {
    pub table: Table,
    pub start: Bytes,
    pub end: Bytes,
}

impl RowRange {
    /// All keys of a table that begin with the eight bytes of `id`.
    #[must_use]
    pub fn of_id(table: Table, id: u64) -> RowRange {
        let end = id.checked_add(1).map_or_else(|| vec![0xff; 9], |n| n.to_be_bytes().to_vec());
        RowRange { table, start: id.to_be_bytes().to_vec().into(), end: end.into() }
    }

    /// Every key of a table.
    #[must_use]
    pub fn all(table: Table) -> RowRange {
        RowRange { table, start: Bytes::new(), end: vec![0xff; 300].into() }
    }

    /// What of the range stands behind `key`: where a scan goes on.
    #[must_use]
    pub fn after(&self, key: &RowKey) -> RowRange {
        // No key but `key` itself stands below this: names hold no NUL, and other keys are of one length.
        let start = [&key.bytes[..], &[1]].concat().into();
        RowRange { start, ..self.clone() }
    }

    #[must_use]
    pub fn contains(&self, key: &RowKey) -> bool {
        key.table == self.table && key.bytes >= self.start && key.bytes < self.end
    }
}
