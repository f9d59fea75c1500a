//! The head of a segment file: its first 4,096 bytes. Records follow, each at a multiple of 8 bytes.
//!
//! Two copies of the header, at offsets 0 and 2,048, the rest zero: one bad sector does not take the seed, and with it
//! every record of the file. Integers are little-endian.
//!
//! | offset | bytes | field                                                        |
//! |--------|-------|--------------------------------------------------------------|
//! | 0      | 8     | magic `NEXUSSEG`                                             |
//! | 8      | 2     | format version, 1                                            |
//! | 10     | 6     | reserved, 0                                                  |
//! | 16     | 16    | zone id                                                      |
//! | 32     | 8     | incarnation                                                  |
//! | 40     | 8     | first seq                                                    |
//! | 48     | 8     | commit time of the record before, 0 if none                  |
//! | 56     | 4     | CRC32 of the prefix of the record before, 0 if none          |
//! | 60     | 4     | reserved, 0                                                  |
//! | 64     | 16    | seed                                                         |
//! | 80     | 4     | CRC32 of bytes 0..80                                         |
//!
//! A segment is created only after everything before it is flushed, so the file's name is a proof of flush for the
//! record before its first.

use std::ffi::{OsStr, OsString};

use crate::ids::{CommitTime, Incarnation, Seq, ZoneId, ZoneIdentity};
use crate::record::Seed;

/// Bytes before the first record.
pub const SEGMENT_HEADER_BYTES: u64 = 4096;
const COPY_AT: usize = 2048;
const COPY_BYTES: usize = 84;
const MAGIC: [u8; 8] = *b"NEXUSSEG";
const FORMAT: u16 = 1;
const _: () = assert!(COPY_AT + COPY_BYTES <= SEGMENT_HEADER_BYTES as usize && COPY_BYTES <= 512);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub identity: ZoneIdentity,
    pub first: Seq,
    pub previous_time: CommitTime,
    pub previous_crc: u32,
    pub seed: [u8; 16],
}

/// What the first block of a segment file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderBlock {
    /// At least one copy is good; `damaged` tells that something else in the block is not.
    Good { header: SegmentHeader, damaged: bool },
    /// Only zeros, or nothing: the file's creation was not finished.
    Blank,
    /// Written by a newer release.
    NewerFormat(u16),
    /// Neither copy can be believed.
    Bad,
}

impl SegmentHeader {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut copy = [0u8; COPY_BYTES];
        copy[0..8].copy_from_slice(&MAGIC);
        copy[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        copy[16..32].copy_from_slice(&self.identity.zone.0);
        copy[32..40].copy_from_slice(&self.identity.incarnation.0.to_le_bytes());
        copy[40..48].copy_from_slice(&self.first.0.to_le_bytes());
        copy[48..56].copy_from_slice(&self.previous_time.0.to_le_bytes());
        copy[56..60].copy_from_slice(&self.previous_crc.to_le_bytes());
        copy[64..80].copy_from_slice(&self.seed);
        let crc = crc32fast::hash(&copy[..80]);
        copy[80..].copy_from_slice(&crc.to_le_bytes());
        let mut block = vec![0; SEGMENT_HEADER_BYTES as usize];
        block[..COPY_BYTES].copy_from_slice(&copy);
        block[COPY_AT..COPY_AT + COPY_BYTES].copy_from_slice(&copy);
        block
    }

    /// Reads the block that starts a segment file of this zone with this first seq; `block` may be short.
    #[must_use]
    pub fn decode(block: &[u8], identity: ZoneIdentity, first: Seq) -> HeaderBlock {
        if block.iter().all(|b| *b == 0) {
            return HeaderBlock::Blank;
        }
        let copies = [0, COPY_AT].map(|at| block.get(at..at + COPY_BYTES).and_then(decode_copy));
        let newer = copies.iter().flatten().find_map(|c| c.as_ref().err().copied());
        let good = |c: &Option<Result<SegmentHeader, u16>>| {
            c.as_ref().and_then(|c| c.ok()).filter(|h| h.identity == identity && h.first == first)
        };
        match (good(&copies[0]).or(good(&copies[1])), newer) {
            (Some(header), _) => HeaderBlock::Good { header, damaged: header.encode() != block },
            (None, Some(version)) => HeaderBlock::NewerFormat(version),
            (None, None) => HeaderBlock::Bad,
        }
    }

    #[must_use]
    pub fn seed(&self) -> Seed {
        Seed::new(&self.seed)
    }
}

/// `None`: bad; `Err`: good, but of another format version.
fn decode_copy(copy: &[u8]) -> Option<Result<SegmentHeader, u16>> {
    let u64_at = |at: usize| u64::from_le_bytes(copy[at..at + 8].try_into().expect("eight bytes"));
    let u32_at = |at: usize| u32::from_le_bytes(copy[at..at + 4].try_into().expect("four bytes"));
    if copy[0..8] != MAGIC || crc32fast::hash(&copy[..80]) != u32_at(80) {
        return None;
    }
    let version = u16::from_le_bytes([copy[8], copy[9]]);
    if version != FORMAT {
        return Some(Err(version));
    }
    Some(Ok(SegmentHeader {
        identity: ZoneIdentity {
            zone: ZoneId(copy[16..32].try_into().expect("sixteen bytes")),
            incarnation: Incarnation(u64_at(32)),
        },
        first: Seq(u64_at(40)),
        previous_time: CommitTime(u64_at(48)),
        previous_crc: u32_at(56),
        seed: copy[64..80].try_into().expect("sixteen bytes"),
    }))
}

/// Name of the segment file whose first record is `first`.
#[must_use]
pub fn file_name(first: Seq) -> OsString {
    format!("{:020}.seg", first.0).into()
}

/// The first seq that a segment's file name tells; `None` if it is not the name of a segment.
#[must_use]
pub fn parse_file_name(name: &OsStr) -> Option<Seq> {
    let digits = name.to_str()?.strip_suffix(".seg")?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|n| *n > 0).map(Seq)
}
