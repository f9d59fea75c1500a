//! Sections whose blocks prove themselves, so that a question reads a few KiB and believes none of it unchecked.
//!
//! A section is blocks of one size, the last one cut behind its content:
//!
//! | offset | bytes   | field                                                                       |
//! |--------|---------|-----------------------------------------------------------------------------|
//! | 0      | 4       | CRC32 of the segment's first seq (u64), the section's kind (u16), the block's number (u32) and the content |
//! | 4      | to the end | content                                                                  |

use crate::env::{DiskFile, read_exact_at};
use crate::ids::Seq;

use super::{SectionKind, SidecarError};

/// Bytes of a block before its content.
const CRC_BYTES: usize = 4;

fn crc(first_seq: Seq, kind: SectionKind, number: u32, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&first_seq.0.to_le_bytes());
    hasher.update(&(kind as u16).to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

/// Bytes of content in a full block.
pub(super) const fn content_bytes(kind: SectionKind) -> usize {
    block_bytes(kind) - CRC_BYTES
}

const fn block_bytes(kind: SectionKind) -> usize {
    match kind {
        SectionKind::InodeFilter => 64,
        _ => 4096,
    }
}

/// A section being built.
pub(super) struct BlocksWriter {
    first_seq: Seq,
    kind: SectionKind,
    blocks: u32,
    out: Vec<u8>,
}

impl BlocksWriter {
    pub(super) fn new(first_seq: Seq, kind: SectionKind) -> BlocksWriter {
        BlocksWriter { first_seq, kind, blocks: 0, out: Vec::new() }
    }

    /// Adds a block. Zeros fill the one before it up.
    pub(super) fn push(&mut self, content: &[u8]) {
        assert!(!content.is_empty() && content.len() <= content_bytes(self.kind), "a block of {}", content.len());
        let start = self.blocks as usize * block_bytes(self.kind);
        if self.out.len() < start {
            // The CRC covers a full block whole, what is not used included.
            self.out.resize(start, 0);
            self.seal(self.blocks - 1);
        }
        self.out.extend_from_slice(&[0; CRC_BYTES]);
        self.out.extend_from_slice(content);
        self.blocks += 1;
        self.seal(self.blocks - 1);
    }

    fn seal(&mut self, number: u32) {
        let block = &mut self.out[number as usize * block_bytes(self.kind)..];
        let (head, content) = block.split_at_mut(CRC_BYTES);
        head.copy_from_slice(&crc(self.first_seq, self.kind, number, content).to_le_bytes());
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// A section being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    pub(super) first_seq: Seq,
    pub(super) kind: SectionKind,
    /// Offset of the section in the file.
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Blocks {
    pub(super) fn count(&self) -> u32 {
        self.length.div_ceil(block_bytes(self.kind) as u64) as u32
    }

    /// Content of the block `number`, its checksum compared.
    pub(super) fn read(&self, file: &dyn DiskFile, number: u32) -> Result<Vec<u8>, SidecarError> {
        let start = u64::from(number) * block_bytes(self.kind) as u64;
        let take = self.length.saturating_sub(start).min(block_bytes(self.kind) as u64) as usize;
        if take <= CRC_BYTES {
            return Err(SidecarError::Damaged("a block of an index is cut short"));
        }
        let mut block = vec![0; take];
        read_exact_at(file, &mut block, self.offset + start).map_err(SidecarError::Io)?;
        let stored = u32::from_le_bytes(block[..CRC_BYTES].try_into().expect("four bytes"));
        block.drain(..CRC_BYTES);
        if stored != crc(self.first_seq, self.kind, number, &block) {
            return Err(SidecarError::Damaged("the checksum of a block of an index does not match"));
        }
        Ok(block)
    }
}
