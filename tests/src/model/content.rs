//! Bytes of a file: blocks that were written, zeros elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

const BLOCK: usize = 4096;

#[derive(Clone, Debug, Default)]
pub struct Content {
    pub size: u64,
    /// By block number; a block of zeros may stand here or not.
    blocks: BTreeMap<u64, Arc<[u8; BLOCK]>>,
}

/// Of the bytes: written zeros equal a hole.
impl PartialEq for Content {
    fn eq(&self, other: &Content) -> bool {
        let same = |a: &Content, b: &Content| {
            a.blocks.iter().all(|(number, block)| match b.blocks.get(number) {
                Some(theirs) => Arc::ptr_eq(block, theirs) || block == theirs,
                None => block.iter().all(|byte| *byte == 0),
            })
        };
        self.size == other.size && same(self, other) && same(other, self)
    }
}

impl Eq for Content {}

impl Content {
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (at, byte_run) in runs(offset, bytes.len()) {
            let block = self.blocks.entry(at / BLOCK as u64).or_insert_with(|| Arc::new([0; BLOCK]));
            let begin = (at % BLOCK as u64) as usize;
            let from = (at - offset) as usize;
            Arc::make_mut(block)[begin..begin + byte_run].copy_from_slice(&bytes[from..from + byte_run]);
        }
        self.size = self.size.max(offset + bytes.len() as u64);
    }

    pub fn truncate(&mut self, size: u64) {
        if size < self.size {
            self.blocks.retain(|number, _| number * (BLOCK as u64) < size);
            if let Some(last) = self.blocks.get_mut(&(size / BLOCK as u64)) {
                Arc::make_mut(last)[(size % BLOCK as u64) as usize..].fill(0);
            }
        }
        self.size = size;
    }

    /// Makes a run zeros, as far as there are bytes.
    pub fn punch(&mut self, offset: u64, length: u64) {
        let end = self.size.min(offset.saturating_add(length));
        let within = self.blocks.range(offset / BLOCK as u64..=end / BLOCK as u64);
        let numbers: Vec<u64> = within.map(|(number, _)| *number).collect();
        for number in numbers {
            let start = number * BLOCK as u64;
            let from = offset.clamp(start, start + BLOCK as u64) - start;
            let to = end.clamp(start, start + BLOCK as u64) - start;
            if from < to
                && let Some(block) = self.blocks.get_mut(&number)
            {
                Arc::make_mut(block)[from as usize..to as usize].fill(0);
            }
        }
    }

    /// What a read of `length` bytes from `offset` gives.
    #[must_use]
    pub fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let end = self.size.min(offset.saturating_add(length));
        let mut bytes = vec![0; end.saturating_sub(offset) as usize];
        for (at, run) in runs(offset, bytes.len()) {
            if let Some(block) = self.blocks.get(&(at / BLOCK as u64)) {
                let (begin, to) = ((at % BLOCK as u64) as usize, (at - offset) as usize);
                bytes[to..to + run].copy_from_slice(&block[begin..begin + run]);
            }
        }
        bytes
    }

    /// Runs of bytes that were written, block by block: (offset, end).
    pub fn written(&self) -> impl Iterator<Item = (u64, u64)> {
        let size = self.size;
        self.blocks.keys().map(move |number| (number * BLOCK as u64, ((number + 1) * BLOCK as u64).min(size)))
    }
}

/// The parts of a run of bytes that lie in one block each: (offset, length).
fn runs(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize)> {
    let end = offset + length as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        let run = (BLOCK as u64 - at % BLOCK as u64).min(end - at);
        let here = at;
        at += run;
        (run > 0).then_some((here, run as usize))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_and_grown_again_reads_as_zeros() {
        let mut content = Content::default();
        content.write(4090, &[7; 20]);
        content.truncate(4095);
        content.truncate(5000);
        let bytes = content.read(0, 10_000);
        assert_eq!(bytes.len(), 5000);
        assert!(bytes[4090..4095].iter().all(|b| *b == 7));
        assert!(bytes[4095..].iter().chain(&bytes[..4090]).all(|b| *b == 0));
    }
}
