//! The fixed head of a record. Integers are little-endian.
//!
//! | offset | bytes | field                                                                     |
//! |--------|-------|---------------------------------------------------------------------------|
//! | 0      | 4     | magic `NXR1`                                                              |
//! | 4      | 1     | format version, 1                                                         |
//! | 5      | 1     | flags, 0                                                                  |
//! | 6      | 2     | reserved, 0                                                               |
//! | 8      | 16    | zone id                                                                   |
//! | 24     | 8     | incarnation                                                               |
//! | 32     | 8     | seq                                                                       |
//! | 40     | 8     | term                                                                      |
//! | 48     | 8     | commit time, UTC ns                                                       |
//! | 56     | 4     | meta length, its salt included                                            |
//! | 60     | 4     | payload length, its salt included; 0: no payload                          |
//! | 64     | 8     | flushed seq when written: a proof that all up to it had been synced       |
//! | 72     | 4     | CRC32 of the meta                                                         |
//! | 76     | 4     | CRC32 of the payload, 0 if none                                           |
//! | 80     | 4     | CRC32 of the previous record's prefix (its last field), 0 for the first   |
//! | 84     | 4     | CRC32 of the segment's seed and bytes 0..84                               |
//!
//! The seed is secret to the engine, so content that looks like records never passes for one.

use crate::ids::{CommitTime, Incarnation, Seq, Term, ZoneId, ZoneIdentity};
use crate::limits::{RECORD_META_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX, SALT_BYTES};

/// Bytes of a prefix.
pub const PREFIX_BYTES: usize = 88;
const MAGIC: [u8; 4] = *b"NXR1";
const FORMAT: u8 = 1;
const CRC_AT: usize = 84;
const _: () = assert!(CRC_AT + 4 == PREFIX_BYTES && PREFIX_BYTES.is_multiple_of(8));

/// Bytes that a record takes on disk, its padding included.
#[must_use]
pub fn record_bytes(meta_length: usize, payload_length: usize) -> usize {
    (PREFIX_BYTES + meta_length + payload_length).next_multiple_of(8)
}

/// The 16 random bytes of a segment, ready to check prefixes with.
#[derive(Clone, Debug)]
pub struct Seed(crc32fast::Hasher);

impl Seed {
    #[must_use]
    pub fn new(bytes: &[u8; 16]) -> Seed {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(bytes);
        Seed(hasher)
    }

    fn crc(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// A prefix whose checksum held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub identity: ZoneIdentity,
    pub seq: Seq,
    pub term: Term,
    pub commit_time: CommitTime,
    pub meta_length: u32,
    pub payload_length: u32,
    pub flushed: Seq,
    pub meta_crc: u32,
    pub payload_crc: u32,
    pub previous_crc: u32,
    /// CRC of this prefix.
    pub crc: u32,
}

/// What the position of a prefix says about its content. `None` where the reader does not know.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub identity: ZoneIdentity,
    pub seq: Option<Seq>,
    pub previous_crc: Option<u32>,
}

/// Why bytes are not the prefix of the record expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    #[error("only zeros")]
    Zeros,
    #[error("the file ends inside the record")]
    Short,
    #[error("no record starts here")]
    Magic,
    #[error("the prefix's checksum does not hold")]
    Crc,
    #[error("record format {0} is newer than this release")]
    NewerFormat(u8),
    #[error("reserved bits are set")]
    Reserved,
    #[error("the record belongs to another zone or incarnation")]
    Foreign,
    #[error("record {found} stands where another is expected")]
    OutOfPlace { found: Seq },
    #[error("the record does not follow the one before it")]
    Unchained,
    #[error("a length is out of bounds")]
    Lengths,
}

fn u32_at(bytes: &[u8; PREFIX_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8; PREFIX_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl Prefix {
    /// The bytes of a prefix with these fields; its own CRC is computed.
    pub(crate) fn encode(&mut self, seed: &Seed) -> [u8; PREFIX_BYTES] {
        let mut bytes = [0; PREFIX_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4] = FORMAT;
        bytes[8..24].copy_from_slice(&self.identity.zone.0);
        bytes[24..32].copy_from_slice(&self.identity.incarnation.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.seq.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.term.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.commit_time.0.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.meta_length.to_le_bytes());
        bytes[60..64].copy_from_slice(&self.payload_length.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.flushed.0.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.meta_crc.to_le_bytes());
        bytes[76..80].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[80..84].copy_from_slice(&self.previous_crc.to_le_bytes());
        self.crc = seed.crc(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// Checks `bytes` and what they say against the position they were found at. The checksum comes first: nothing
    /// is believed before it.
    pub fn check(bytes: &[u8; PREFIX_BYTES], seed: &Seed, expected: &Expected) -> Result<Prefix, BadPrefix> {
        if bytes[0..4] != MAGIC {
            let zeros = bytes.iter().all(|b| *b == 0);
            return Err(if zeros { BadPrefix::Zeros } else { BadPrefix::Magic });
        }
        let crc = u32_at(bytes, CRC_AT);
        if crc != seed.crc(&bytes[..CRC_AT]) {
            return Err(BadPrefix::Crc);
        }
        if bytes[4] != FORMAT {
            return Err(BadPrefix::NewerFormat(bytes[4]));
        }
        if bytes[5..8] != [0; 3] {
            return Err(BadPrefix::Reserved);
        }
        let identity = ZoneIdentity {
            zone: ZoneId(bytes[8..24].try_into().expect("sixteen bytes")),
            incarnation: Incarnation(u64_at(bytes, 24)),
        };
        let prefix = Prefix {
            identity,
            seq: Seq(u64_at(bytes, 32)),
            term: Term(u64_at(bytes, 40)),
            commit_time: CommitTime(u64_at(bytes, 48)),
            meta_length: u32_at(bytes, 56),
            payload_length: u32_at(bytes, 60),
            flushed: Seq(u64_at(bytes, 64)),
            meta_crc: u32_at(bytes, 72),
            payload_crc: u32_at(bytes, 76),
            previous_crc: u32_at(bytes, 80),
            crc,
        };
        prefix.check_place(expected)?;
        Ok(prefix)
    }

    fn check_place(&self, expected: &Expected) -> Result<(), BadPrefix> {
        if self.identity != expected.identity {
            return Err(BadPrefix::Foreign);
        }
        if expected.seq.is_some_and(|seq| seq != self.seq) || self.seq == Seq::ZERO {
            return Err(BadPrefix::OutOfPlace { found: self.seq });
        }
        if expected.previous_crc.is_some_and(|crc| crc != self.previous_crc) {
            return Err(BadPrefix::Unchained);
        }
        let (meta, payload) = (self.meta_length as usize, self.payload_length as usize);
        let meta_fits = (SALT_BYTES..=RECORD_META_BYTES_MAX).contains(&meta);
        let payload_fits = payload == 0 || (SALT_BYTES..=SALT_BYTES + RECORD_PAYLOAD_BYTES_MAX).contains(&payload);
        if !meta_fits || !payload_fits || self.flushed >= self.seq {
            return Err(BadPrefix::Lengths);
        }
        Ok(())
    }

    /// Bytes that the record takes on disk.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        record_bytes(self.meta_length as usize, self.payload_length as usize)
    }
}
