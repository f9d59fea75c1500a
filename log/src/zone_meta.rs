//! Whose log a directory holds: the zone's `meta` file.
//!
//! Two copies of one block (magic, version, zone identity, CRC32: see `block`) at offsets 0 and 4,096; the file is
//! only ever replaced as a whole (R3). A block's content, little-endian:
//!
//! | offset | bytes | field                                       |
//! |--------|-------|---------------------------------------------|
//! | 40     | 8     | created, UTC ns since 1970                  |
//! | 48     | 8     | first seq; behind the base's last in a fork |
//! | 56     | 2     | length of the name                          |
//! | 58     | 255   | name, UTF-8, zeros behind it                |
//! | 313    | 3,779 | zero                                        |
//!
//! Invariants:
//! 1. One readable copy is enough; a bad one is reported so that the file can be written again.
//! 2. Two valid copies that differ are damage: they were written as one.

use std::io;
use std::path::Path;

use crate::block::{BLOCK_BYTES, Block, BlockFault, BlockKind, BlockWriter, CONTENT_END, CONTENT_OFFSET};
use crate::env::{Disk, OpenMode, write_replace};
use crate::ids::{CommitTime, Seq, ZoneIdentity};

/// Name of the file in the zone's directory.
pub const ZONE_META_FILE: &str = "meta";
/// Longest name of a zone.
pub const ZONE_NAME_BYTES_MAX: usize = 255;

const KIND: BlockKind = BlockKind { magic: *b"NEXUSZMT", version: 1 };
const CREATED_OFFSET: usize = CONTENT_OFFSET;
const FIRST_SEQ_OFFSET: usize = CREATED_OFFSET + 8;
const NAME_LENGTH_OFFSET: usize = FIRST_SEQ_OFFSET + 8;
const NAME_OFFSET: usize = NAME_LENGTH_OFFSET + 2;
const RESERVED_OFFSET: usize = NAME_OFFSET + ZONE_NAME_BYTES_MAX;

const _: () = assert!(CREATED_OFFSET == 40 && NAME_OFFSET == 58 && RESERVED_OFFSET == 313);
const _: () = assert!(CONTENT_END - RESERVED_OFFSET == 3779);

/// What a zone's directory says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneMeta {
    pub identity: ZoneIdentity,
    pub name: String,
    /// When this incarnation was made.
    pub created: CommitTime,
    /// The first record of this log: [`Seq::FIRST`], or behind the base in a fork.
    pub first_seq: Seq,
}

#[derive(Debug, thiserror::Error)]
pub enum ZoneMetaError {
    #[error("there is no zone meta: not a zone's directory, or not completely made")]
    Missing,
    #[error("both copies of the zone meta are damaged (first: {}; second: {})", .0[0], .0[1])]
    Damaged([BlockFault; 2]),
    #[error("the two copies of the zone meta differ")]
    CopiesDiffer,
    #[error("the zone meta has format version {version}, newer than this release; upgrade to open this zone")]
    NewerFormat { version: u32 },
    #[error("a zone's name is 1 to {ZONE_NAME_BYTES_MAX} bytes, not {0}")]
    NameLength(usize),
    #[error("cannot read or replace the zone meta")]
    Io(#[source] io::Error),
}

impl ZoneMeta {
    /// Puts the file into the zone's directory, in place of an older one if there is one.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), ZoneMetaError> {
        let name = self.name.as_bytes();
        if !(1..=ZONE_NAME_BYTES_MAX).contains(&name.len()) {
            return Err(ZoneMetaError::NameLength(name.len()));
        }
        let mut block = BlockWriter::new(KIND, self.identity);
        block.put(CREATED_OFFSET, &self.created.0.to_le_bytes());
        block.put(FIRST_SEQ_OFFSET, &self.first_seq.0.to_le_bytes());
        block.put(NAME_LENGTH_OFFSET, &(name.len() as u16).to_le_bytes());
        block.put(NAME_OFFSET, name);
        write_replace(disk, &dir.join(ZONE_META_FILE), &block.seal().repeat(2)).map_err(ZoneMetaError::Io)
    }

    /// The zone's meta and how many of its two copies are bad: 0, or 1 and the caller writes it again.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<(ZoneMeta, u8), ZoneMetaError> {
        let file = match disk.open(&dir.join(ZONE_META_FILE), OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ZoneMetaError::Missing),
            Err(e) => return Err(ZoneMetaError::Io(e)),
        };
        // Each copy by a read of its own: one unreadable sector must not hide the other copy.
        let copy = |offset| Block::read(&*file, offset, KIND).and_then(|block| decode(&block));
        match (copy(0), copy(BLOCK_BYTES as u64)) {
            (Err(BlockFault::NewerFormat { version }), _) | (_, Err(BlockFault::NewerFormat { version })) => {
                Err(ZoneMetaError::NewerFormat { version })
            }
            (Ok(first), Ok(second)) if first == second => Ok((first, 0)),
            (Ok(_), Ok(_)) => Err(ZoneMetaError::CopiesDiffer),
            (Ok(meta), Err(_)) | (Err(_), Ok(meta)) => Ok((meta, 1)),
            (Err(first), Err(second)) => Err(ZoneMetaError::Damaged([first, second])),
        }
    }
}

fn decode(block: &Block) -> Result<ZoneMeta, BlockFault> {
    let length = usize::from(block.u16(NAME_LENGTH_OFFSET));
    let first_seq = Seq(block.u64(FIRST_SEQ_OFFSET));
    if !(1..=ZONE_NAME_BYTES_MAX).contains(&length) || first_seq == Seq::ZERO {
        return Err(BlockFault::Malformed);
    }
    block.expect_zeros_from(NAME_OFFSET + length)?;
    let name = std::str::from_utf8(block.bytes(NAME_OFFSET, length)).map_err(|_| BlockFault::Malformed)?;
    Ok(ZoneMeta {
        identity: block.identity(),
        name: name.to_owned(),
        created: CommitTime(block.u64(CREATED_OFFSET)),
        first_seq,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{RealDisk, read_file};
    use crate::ids::{Incarnation, ZoneId};

    fn sample() -> ZoneMeta {
        ZoneMeta {
            identity: ZoneIdentity { zone: ZoneId([3; 16]), incarnation: Incarnation(4) },
            name: "projects/ärger".into(),
            created: CommitTime(1_700_000_000_000_000_000),
            first_seq: Seq(41),
        }
    }

    /// A directory whose meta holds `bytes`.
    fn holding(bytes: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        write_replace(&RealDisk, &dir.path().join(ZONE_META_FILE), bytes).unwrap();
        dir
    }

    fn written(meta: &ZoneMeta) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        meta.write(&RealDisk, dir.path()).unwrap();
        read_file(&RealDisk, &dir.path().join(ZONE_META_FILE), 2 * BLOCK_BYTES).unwrap().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<(ZoneMeta, u8), ZoneMetaError> {
        ZoneMeta::read(&RealDisk, holding(bytes).path())
    }

    #[test]
    fn a_meta_reads_back_at_every_length_of_its_name() {
        for length in [1, 2, ZONE_NAME_BYTES_MAX] {
            let meta = ZoneMeta { name: "n".repeat(length), ..sample() };
            assert_eq!(read(&written(&meta)).unwrap(), (meta, 0));
        }
        for length in [0, ZONE_NAME_BYTES_MAX + 1] {
            let dir = tempfile::tempdir().unwrap();
            let error = ZoneMeta { name: "n".repeat(length), ..sample() }.write(&RealDisk, dir.path()).unwrap_err();
            assert!(matches!(error, ZoneMetaError::NameLength(l) if l == length));
            assert!(matches!(ZoneMeta::read(&RealDisk, dir.path()), Err(ZoneMetaError::Missing)));
        }
    }

    #[test]
    fn every_byte_damaged_in_one_copy_leaves_the_other_and_is_counted() {
        let whole = written(&sample());
        let dir = holding(&whole);
        let file = RealDisk.open(&dir.path().join(ZONE_META_FILE), OpenMode::ReadWrite).unwrap();
        for (at, &byte) in whole.iter().enumerate() {
            let put = |byte: u8| crate::env::write_all_at(&*file, &[&[byte]], at as u64).unwrap();
            put(byte ^ 1 << (at % 8));
            assert_eq!(ZoneMeta::read(&RealDisk, dir.path()).unwrap(), (sample(), 1), "byte {at}");
            put(byte);
        }
        assert_eq!(ZoneMeta::read(&RealDisk, dir.path()).unwrap(), (sample(), 0));
    }

    #[test]
    fn damage_to_both_copies_is_an_error_never_an_empty_zone() {
        let mut bytes = written(&sample());
        bytes[60] ^= 1;
        bytes[BLOCK_BYTES + 60] ^= 1;
        assert!(matches!(read(&bytes), Err(ZoneMetaError::Damaged([BlockFault::Checksum, BlockFault::Checksum]))));
        for length in [0, 1, BLOCK_BYTES - 1] {
            assert!(matches!(read(&written(&sample())[..length]), Err(ZoneMetaError::Damaged(_))));
        }
        assert_eq!(read(&written(&sample())[..BLOCK_BYTES]).unwrap(), (sample(), 1));
    }

    #[test]
    fn two_valid_copies_that_differ_are_refused() {
        let other = ZoneMeta { name: "other".into(), ..sample() };
        let bytes = [&written(&sample())[..BLOCK_BYTES], &written(&other)[BLOCK_BYTES..]].concat();
        assert!(matches!(read(&bytes), Err(ZoneMetaError::CopiesDiffer)));
    }

    #[test]
    fn a_newer_format_is_said_so_even_beside_a_readable_copy() {
        let newer = BlockWriter::new(BlockKind { version: 2, ..KIND }, sample().identity).seal();
        let old = written(&sample());
        for bytes in [[&newer[..], &old[BLOCK_BYTES..]].concat(), [&old[..BLOCK_BYTES], &newer[..]].concat()] {
            assert!(matches!(read(&bytes), Err(ZoneMetaError::NewerFormat { version: 2 })));
        }
    }

    #[test]
    fn checksummed_blocks_with_impossible_fields_are_damage() {
        let block = |first_seq: u64, length: u16, name: &[u8]| {
            let mut block = BlockWriter::new(KIND, sample().identity);
            block.put(FIRST_SEQ_OFFSET, &first_seq.to_le_bytes());
            block.put(NAME_LENGTH_OFFSET, &length.to_le_bytes());
            block.put(NAME_OFFSET, name);
            block.seal().repeat(2)
        };
        assert!(read(&block(1, 1, b"n")).is_ok());
        for bytes in
            [block(0, 1, b"n"), block(1, 0, b""), block(1, 256, b"n"), block(1, 1, b"nn"), block(1, 1, &[0xff])]
        {
            assert!(matches!(read(&bytes), Err(ZoneMetaError::Damaged([BlockFault::Malformed, _]))));
        }
    }

    /// A crash between the steps of replacing leaves a file of the new name, whole or not; it is never looked at.
    #[test]
    fn a_replacement_cut_off_before_its_rename_changes_nothing() {
        let dir = holding(&written(&sample()));
        let fresh = dir.path().join("meta.new");
        let file = RealDisk.open(&fresh, OpenMode::CreateNew).unwrap();
        crate::env::write_all_at(&*file, &[b"half"], 0).unwrap();
        assert_eq!(ZoneMeta::read(&RealDisk, dir.path()).unwrap(), (sample(), 0));
        let next = ZoneMeta { name: "renamed".into(), ..sample() };
        next.write(&RealDisk, dir.path()).unwrap();
        assert_eq!(ZoneMeta::read(&RealDisk, dir.path()).unwrap(), (next, 0));
        assert!(!RealDisk.exists(&fresh).unwrap());
    }
}
