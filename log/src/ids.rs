//! Positions, times and identities. Each is a type of its own: a seq is never a byte offset (STYLE 12).

use std::fmt;

/// Position of a record in its zone's log. Starts at 1 and has no holes; 0 means "before the first record".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Seq = Seq(0);
    /// The first record of a zone that is not a fork.
    pub const FIRST: Seq = Seq(1);
    /// Later than any record.
    pub const MAX: Seq = Seq(u64::MAX);

    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }

    /// The position before this one; `ZERO` stays `ZERO`.
    #[must_use]
    pub fn prev(self) -> Seq {
        Seq(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// UTC nanoseconds since 1970, stamped by the sequencer, strictly increasing within a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitTime(pub u64);

/// Raft term; 1 in a solo zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// Which life of a zone a log belongs to: a restored copy is a new incarnation with a tree of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// 16 random bytes that name a zone for ever.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub [u8; 16]);

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneId({self})")
    }
}

/// A zone in one of its lives. Every record carries it, so a misdirected or foreign record is recognised (R11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZoneIdentity {
    pub zone: ZoneId,
    pub incarnation: Incarnation,
}

/// Bits of an [`Inode`] or [`Body`] number that hold the event's index in its record.
const INDEX_BITS: u32 = 16;

/// The id that the event at (`seq`, `index`) gives to what it creates: unique in the zone for ever, with no counter
/// to keep, and telling when its bearer was born.
fn born_at(seq: Seq, index: u16) -> u64 {
    assert!(seq.0 < 1 << (64 - INDEX_BITS), "seq beyond 2^48");
    seq.0 << INDEX_BITS | u64::from(index)
}

/// An inode's number, unique in its zone for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode(pub u64);

impl Inode {
    /// The root directory of every zone.
    pub const ROOT: Inode = Inode(1);

    /// The inode created by event `index` of record `seq`.
    #[must_use]
    pub fn born_at(seq: Seq, index: u16) -> Inode {
        Inode(born_at(seq, index))
    }
}

impl fmt::Display for Inode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A body's number: the content of a file as a set of extents. 0 is no body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Body(pub u64);

impl Body {
    /// The body begun by event `index` of record `seq`.
    #[must_use]
    pub fn born_at(seq: Seq, index: u16) -> Body {
        Body(born_at(seq, index))
    }
}

/// BLAKE3 of a chunk's bytes: its name.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkHash(pub [u8; 32]);

impl ChunkHash {
    #[must_use]
    pub fn of(bytes: &[u8]) -> ChunkHash {
        ChunkHash(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkHash({self})")
    }
}

/// Where a chunk stands: the same on every replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// The record whose payload holds the chunk.
    pub seq: Seq,
    /// Bytes from the end of the payload's salt.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
    pub hash: ChunkHash,
}

/// How far things are. Inclusive marks: `flushed <= appended`, `applied <= committed <= appended`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub appended: Seq,
    pub flushed: Seq,
}
