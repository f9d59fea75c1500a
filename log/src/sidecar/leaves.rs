//! Leaf hashes of a sidecar, read in blocks.

use crate::env::{DiskFile, read_exact_at};

use super::{LEAF_BYTES, SidecarError};

/// Leaf hashes read at once.
const BLOCK_LEAVES: u64 = 2048;

/// Leaf hashes in the order of their records. An error ends the iteration.
#[derive(Debug)]
pub struct Leaves<'a> {
    file: &'a dyn DiskFile,
    /// Offset of the section.
    leaves_at: u64,
    /// Index of the record behind the block.
    next: u64,
    end: u64,
    block: std::vec::IntoIter<[u8; 32]>,
}

impl<'a> Leaves<'a> {
    pub(super) fn new(file: &'a dyn DiskFile, leaves_at: u64, from: u64, to: u64) -> Leaves<'a> {
        Leaves { file, leaves_at, next: from, end: to, block: Vec::new().into_iter() }
    }

    fn read_block(&mut self) -> Result<(), SidecarError> {
        let count = (self.end - self.next).min(BLOCK_LEAVES);
        let mut block = vec![[0; LEAF_BYTES as usize]; count as usize];
        let offset = self.leaves_at + self.next * LEAF_BYTES;
        read_exact_at(self.file, block.as_flattened_mut(), offset).map_err(SidecarError::Io)?;
        self.next += count;
        self.block = block.into_iter();
        Ok(())
    }
}

impl Iterator for Leaves<'_> {
    type Item = Result<[u8; 32], SidecarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.block.len() == 0
            && self.next < self.end
            && let Err(e) = self.read_block()
        {
            self.next = self.end;
            return Some(Err(e));
        }
        self.block.next().map(Ok)
    }
}
