//! A 4 KiB block that proves itself: the form of the watermark's slots, the zone meta's copies and a sidecar's header.
//!
//! | offset | bytes | field                                        |
//! |--------|-------|----------------------------------------------|
//! | 0      | 8     | magic                                        |
//! | 8      | 4     | format version, from 1                       |
//! | 12     | 4     | zero                                         |
//! | 16     | 16    | zone id                                      |
//! | 32     | 8     | incarnation                                  |
//! | 40     | 4,052 | content, told by the magic; zero behind it   |
//! | 4,092  | 4     | CRC32 of all before                          |
//!
//! Integers are little-endian.
//!
//! Invariants:
//! 1. Nothing of a block is believed before its checksum holds. Version 0 and an all-zero block are never valid (R13).
//! 2. A valid block of another zone or incarnation is told apart from a damaged one (R11).

use std::io;

use crate::env::{DiskFile, read_exact_at};
use crate::ids::{Incarnation, ZoneId, ZoneIdentity};

pub(crate) const BLOCK_BYTES: usize = 4096;
/// Where a block's content begins.
pub(crate) const CONTENT_OFFSET: usize = 40;
/// Where a block's content ends.
pub(crate) const CONTENT_END: usize = BLOCK_BYTES - 4;

const MAGIC_OFFSET: usize = 0;
const VERSION_OFFSET: usize = 8;
const RESERVED_OFFSET: usize = 12;
const ZONE_OFFSET: usize = 16;
const INCARNATION_OFFSET: usize = 32;

const _: () = assert!(VERSION_OFFSET == MAGIC_OFFSET + 8 && RESERVED_OFFSET == VERSION_OFFSET + 4);
const _: () = assert!(ZONE_OFFSET == RESERVED_OFFSET + 4 && INCARNATION_OFFSET == ZONE_OFFSET + 16);
const _: () = assert!(CONTENT_OFFSET == INCARNATION_OFFSET + 8 && CONTENT_END + 4 == BLOCK_BYTES);

/// What kind of block, and the newest version of it that this release reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockKind {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
}

/// Why a block is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    #[error("there is no such file")]
    Missing,
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    #[error("its checksum does not match")]
    Checksum,
    #[error("it is a block of another kind of file")]
    Magic,
    #[error("its format version {version} is newer than this release; upgrade to read it")]
    NewerFormat { version: u32 },
    #[error("it belongs to zone {}, incarnation {}", .0.zone, .0.incarnation.0)]
    Foreign(ZoneIdentity),
    #[error("it was written for another place in the file")]
    Misplaced,
    #[error("its fields contradict its format")]
    Malformed,
}

/// A block being written.
pub(crate) struct BlockWriter(Box<[u8; BLOCK_BYTES]>);

impl BlockWriter {
    pub(crate) fn new(kind: BlockKind, identity: ZoneIdentity) -> BlockWriter {
        let mut bytes = Box::new([0; BLOCK_BYTES]);
        bytes[MAGIC_OFFSET..][..8].copy_from_slice(&kind.magic);
        bytes[VERSION_OFFSET..][..4].copy_from_slice(&kind.version.to_le_bytes());
        bytes[ZONE_OFFSET..][..16].copy_from_slice(&identity.zone.0);
        bytes[INCARNATION_OFFSET..][..8].copy_from_slice(&identity.incarnation.0.to_le_bytes());
        BlockWriter(bytes)
    }

    /// Puts content at an offset counted from the block's begin.
    pub(crate) fn put(&mut self, offset: usize, content: &[u8]) {
        assert!(offset >= CONTENT_OFFSET && offset + content.len() <= CONTENT_END, "content outside its part");
        self.0[offset..][..content.len()].copy_from_slice(content);
    }

    pub(crate) fn seal(mut self) -> Box<[u8; BLOCK_BYTES]> {
        let crc = crc32fast::hash(&self.0[..CONTENT_END]);
        self.0[CONTENT_END..].copy_from_slice(&crc.to_le_bytes());
        self.0
    }
}

/// A block whose checksum, kind and version hold.
pub(crate) struct Block(Box<[u8; BLOCK_BYTES]>);

impl Block {
    /// Reads and checks the block at `offset`.
    pub(crate) fn read(file: &dyn DiskFile, offset: u64, kind: BlockKind) -> Result<Block, BlockFault> {
        let mut bytes = Box::new([0; BLOCK_BYTES]);
        read_exact_at(file, &mut bytes[..], offset).map_err(|e| BlockFault::Unreadable(e.kind()))?;
        Block::check(bytes, kind)
    }

    pub(crate) fn check(bytes: Box<[u8; BLOCK_BYTES]>, kind: BlockKind) -> Result<Block, BlockFault> {
        let block = Block(bytes);
        if crc32fast::hash(&block.0[..CONTENT_END]) != block.u32(CONTENT_END) {
            return Err(BlockFault::Checksum);
        }
        if block.0[MAGIC_OFFSET..][..8] != kind.magic {
            return Err(BlockFault::Magic);
        }
        match block.u32(VERSION_OFFSET) {
            0 => Err(BlockFault::Malformed),
            version if version > kind.version => Err(BlockFault::NewerFormat { version }),
            _ if block.u32(RESERVED_OFFSET) != 0 => Err(BlockFault::Malformed),
            _ => Ok(block),
        }
    }

    pub(crate) fn identity(&self) -> ZoneIdentity {
        ZoneIdentity { zone: ZoneId(self.array(ZONE_OFFSET)), incarnation: Incarnation(self.u64(INCARNATION_OFFSET)) }
    }

    /// Refuses the block of another zone or of another life of this zone.
    pub(crate) fn expect_identity(&self, identity: ZoneIdentity) -> Result<(), BlockFault> {
        let found = self.identity();
        if found == identity { Ok(()) } else { Err(BlockFault::Foreign(found)) }
    }

    /// Refuses a block with anything but zeros from `offset` to the end of the content.
    pub(crate) fn expect_zeros_from(&self, offset: usize) -> Result<(), BlockFault> {
        if self.0[offset..CONTENT_END].iter().all(|&b| b == 0) { Ok(()) } else { Err(BlockFault::Malformed) }
    }

    pub(crate) fn bytes(&self, offset: usize, length: usize) -> &[u8] {
        &self.0[offset..][..length]
    }

    pub(crate) fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.array(offset))
    }

    pub(crate) fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    pub(crate) fn u64(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.array(offset))
    }

    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        *self.0[offset..].first_chunk().expect("a field of a block's table lies within it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: BlockKind = BlockKind { magic: *b"NEXUSTST", version: 2 };
    const IDENTITY: ZoneIdentity = ZoneIdentity { zone: ZoneId([7; 16]), incarnation: Incarnation(3) };

    fn sealed(kind: BlockKind) -> Box<[u8; BLOCK_BYTES]> {
        let mut block = BlockWriter::new(kind, IDENTITY);
        block.put(CONTENT_OFFSET, &77u64.to_le_bytes());
        block.seal()
    }

    fn fault(bytes: Box<[u8; BLOCK_BYTES]>) -> Option<BlockFault> {
        Block::check(bytes, KIND).err()
    }

    #[test]
    fn a_sealed_block_reads_back() {
        let block = Block::check(sealed(KIND), KIND).unwrap();
        assert_eq!(block.identity(), IDENTITY);
        assert_eq!(block.u64(CONTENT_OFFSET), 77);
        assert_eq!(block.expect_zeros_from(CONTENT_OFFSET + 8), Ok(()));
        assert_eq!(block.expect_zeros_from(CONTENT_OFFSET), Err(BlockFault::Malformed));
        let other = ZoneIdentity { incarnation: Incarnation(4), ..IDENTITY };
        assert_eq!(block.expect_identity(other), Err(BlockFault::Foreign(IDENTITY)));
    }

    #[test]
    fn every_single_flipped_bit_is_found() {
        let whole = sealed(KIND);
        for bit in 0..BLOCK_BYTES * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(fault(bytes), Some(BlockFault::Checksum), "bit {bit}");
        }
    }

    #[test]
    fn zeros_other_kinds_and_other_versions_are_refused() {
        assert_eq!(fault(Box::new([0; BLOCK_BYTES])), Some(BlockFault::Checksum));
        assert_eq!(fault(sealed(BlockKind { magic: *b"NEXUSXXX", ..KIND })), Some(BlockFault::Magic));
        assert_eq!(fault(sealed(BlockKind { version: 0, ..KIND })), Some(BlockFault::Malformed));
        assert_eq!(fault(sealed(BlockKind { version: 1, ..KIND })), None);
        assert_eq!(fault(sealed(BlockKind { version: 3, ..KIND })), Some(BlockFault::NewerFormat { version: 3 }));
    }
}
