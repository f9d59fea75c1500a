//! Which records have a term in common: one bitmap per term.
//!
//! The directory is blocks of up to [`ENTRIES`] entries, sorted by term:
//!
//! | offset | bytes | field                                                                    |
//! |--------|-------|--------------------------------------------------------------------------|
//! | 0      | 8     | term ([`Term`])                                                          |
//! | 8      | 4     | offset of its bitmap in the section of bitmaps                           |
//! | 12     | 4     | length of the bitmap, at least 1                                         |
//! | 16     | 4     | CRC32 of the segment's first seq (u64), the term and the bitmap's bytes  |
//!
//! A bitmap is a roaring bitmap in its portable form; what it holds are places in the segment, 0 the first record.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::env::{DiskFile, read_exact_at};
use crate::event::Term;
use crate::ids::Seq;

use super::blocks::{Blocks, BlocksWriter, content_bytes};
use super::{SectionKind, SidecarError};

const ENTRY_BYTES: usize = 20;
/// Entries of a block of the directory.
const ENTRIES: usize = content_bytes(SectionKind::Terms) / ENTRY_BYTES;

fn crc(first_seq: Seq, term: Term, bitmap: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&first_seq.0.to_le_bytes());
    hasher.update(&term.0.to_le_bytes());
    hasher.update(bitmap);
    hasher.finalize()
}

/// The bytes of the directory and of the bitmaps.
pub(super) fn encode(first_seq: Seq, by_term: &BTreeMap<Term, RoaringBitmap>) -> (Vec<u8>, Vec<u8>) {
    let mut directory = BlocksWriter::new(first_seq, SectionKind::Terms);
    let mut bitmaps = Vec::new();
    let mut block = Vec::with_capacity(content_bytes(SectionKind::Terms));
    for (term, records) in by_term {
        let mut records = records.clone();
        records.optimize();
        let start = bitmaps.len();
        records.serialize_into(&mut bitmaps).expect("writing into memory");
        if block.len() == ENTRIES * ENTRY_BYTES {
            directory.push(&block);
            block.clear();
        }
        block.extend_from_slice(&term.0.to_le_bytes());
        block.extend_from_slice(&(start as u32).to_le_bytes());
        block.extend_from_slice(&((bitmaps.len() - start) as u32).to_le_bytes());
        block.extend_from_slice(&crc(first_seq, *term, &bitmaps[start..]).to_le_bytes());
    }
    if !block.is_empty() {
        directory.push(&block);
    }
    assert!(u32::try_from(bitmaps.len()).is_ok(), "bitmaps of a segment are far below 4 GiB");
    (directory.finish(), bitmaps)
}

/// The sections being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bitmaps {
    pub(super) directory: Blocks,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) records: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    term: Term,
    offset: u32,
    length: u32,
    crc: u32,
}

impl Bitmaps {
    /// The records that have `term`.
    pub(super) fn find(&self, file: &dyn DiskFile, term: Term) -> Result<RoaringBitmap, SidecarError> {
        // The entry is in block low or in one before high.
        let (mut low, mut high) = (0, self.directory.count());
        while low < high {
            let middle = low + (high - low) / 2;
            let entries = self.entries(file, middle)?;
            match entries.binary_search_by_key(&term, |entry| entry.term) {
                Ok(at) => return self.read(file, entries[at]),
                Err(0) => high = middle,
                Err(at) if at == entries.len() => low = middle + 1,
                Err(_) => break,
            }
        }
        Ok(RoaringBitmap::new())
    }

    /// All terms with their records.
    pub(super) fn all(&self, file: &dyn DiskFile) -> Result<BTreeMap<Term, RoaringBitmap>, SidecarError> {
        let mut all = BTreeMap::new();
        for number in 0..self.directory.count() {
            for entry in self.entries(file, number)? {
                all.insert(entry.term, self.read(file, entry)?);
            }
        }
        Ok(all)
    }

    fn entries(&self, file: &dyn DiskFile, number: u32) -> Result<Vec<Entry>, SidecarError> {
        let damaged = Err(SidecarError::Damaged("a block of the terms contradicts itself"));
        let block = self.directory.read(file, number)?;
        let last = number + 1 == self.directory.count();
        // A full block is filled up with zeros.
        let used = if last { block.len() } else { ENTRIES * ENTRY_BYTES };
        if used % ENTRY_BYTES != 0 || used > ENTRIES * ENTRY_BYTES {
            return damaged;
        }
        let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let entry = |bytes: &[u8]| Entry {
            term: Term(u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))),
            offset: u32_at(bytes, 8),
            length: u32_at(bytes, 12),
            crc: u32_at(bytes, 16),
        };
        let entries: Vec<Entry> = block[..used].chunks_exact(ENTRY_BYTES).map(entry).collect();
        if entries.is_sorted_by(|a, b| a.term < b.term) { Ok(entries) } else { damaged }
    }

    fn read(&self, file: &dyn DiskFile, entry: Entry) -> Result<RoaringBitmap, SidecarError> {
        let damaged = SidecarError::Damaged;
        if u64::from(entry.offset) + u64::from(entry.length) > self.length {
            return Err(damaged("a bitmap behind the end of its section"));
        }
        let mut bytes = vec![0; entry.length as usize];
        read_exact_at(file, &mut bytes, self.offset + u64::from(entry.offset)).map_err(SidecarError::Io)?;
        if crc(self.directory.first_seq, entry.term, &bytes) != entry.crc {
            return Err(damaged("the checksum of a bitmap does not match"));
        }
        let bitmap = RoaringBitmap::deserialize_from(&bytes[..]).map_err(|_| damaged("a bitmap does not decode"))?;
        if bitmap.max().is_some_and(|max| max >= self.records) {
            return Err(damaged("a bitmap names a record behind the segment's last"));
        }
        Ok(bitmap)
    }
}
