//! The values of rows. Tables can be rebuilt, so these shapes may change from release to release; the log's may not.

mod codec;
mod extent;
mod inode;
mod ledger;
mod policy;

use nexus_log::ids::{ChunkHash, ChunkRef, Inode, Seq};

pub use codec::RowError;
use codec::{Reader, Writer};
pub use extent::ExtentRow;
pub use inode::{Content, FileKind, InodeRow};
pub use ledger::{LedgerMarkRow, LedgerRow};
pub use policy::{ClockRow, PolicyRow};

/// A directory's times, version and size: one small row that every change of an entry writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimesRow {
    /// Nanoseconds since 1970, as all times of files.
    pub mtime: i64,
    pub ctime: i64,
    pub atime: i64,
    /// Grows with every change of the directory or of its entries.
    pub version: u64,
    pub entries: u64,
    pub subdirectories: u64,
}

impl TimesRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        [self.mtime, self.ctime, self.atime].into_iter().for_each(|t| out.time(t));
        [self.version, self.entries, self.subdirectories].into_iter().for_each(|n| out.number(n));
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<TimesRow, RowError> {
        let mut from = Reader::new(bytes, "times");
        let row = TimesRow {
            mtime: from.time()?,
            ctime: from.time()?,
            atime: from.time()?,
            version: from.number()?,
            entries: from.number()?,
            subdirectories: from.number()?,
        };
        from.end()?;
        Ok(row)
    }
}

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DentryRow {
    pub inode: Inode,
    pub kind: FileKind,
}

impl DentryRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(self.kind as u8);
        out.number(self.inode.0);
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<DentryRow, RowError> {
        let mut from = Reader::new(bytes, "dentry");
        let kind = FileKind::from_code(from.byte()?).ok_or(from.bad())?;
        let row = DentryRow { kind, inode: Inode(from.number()?) };
        from.end()?;
        Ok(row)
    }
}

/// Where a chunk of 4 KiB or more was stored first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    pub seq: Seq,
    pub offset: u32,
    pub length: u32,
}

impl ChunkRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        [self.seq.0, self.offset.into(), self.length.into()].into_iter().for_each(|n| out.number(n));
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<ChunkRow, RowError> {
        let mut from = Reader::new(bytes, "chunk");
        let row = ChunkRow { seq: Seq(from.number()?), offset: from.number32()?, length: from.number32()? };
        from.end()?;
        Ok(row)
    }

    #[must_use]
    pub fn chunk_ref(&self, hash: ChunkHash) -> ChunkRef {
        ChunkRef { seq: self.seq, offset: self.offset, length: self.length, hash }
    }
}

/// What a request was answered, for whoever repeats it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DedupeRow {
    /// BLAKE3 of what was asked.
    pub request: [u8; 32],
    /// Each change's inode, and whether it is new.
    pub replies: Vec<(Inode, bool)>,
}

impl DedupeRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.raw(&self.request);
        out.number(self.replies.len() as u64);
        for (inode, created) in &self.replies {
            out.number(inode.0);
            out.byte(u8::from(*created));
        }
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<DedupeRow, RowError> {
        let mut from = Reader::new(bytes, "dedupe");
        let mut row = DedupeRow { request: from.hash()?.0, replies: Vec::new() };
        for _ in 0..from.number()? {
            row.replies.push((Inode(from.number()?), from.byte()? != 0));
        }
        from.end()?;
        Ok(row)
    }
}

/// The zone's own parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsRow {
    pub name: String,
    /// UTC ns.
    pub created: u64,
}

impl SettingsRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(self.name.as_bytes());
        out.number(self.created);
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<SettingsRow, RowError> {
        let mut from = Reader::new(bytes, "zone_settings");
        let row = SettingsRow { name: from.string()?, created: from.number()? };
        from.end()?;
        Ok(row)
    }
}
