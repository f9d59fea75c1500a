//! Which records are about an inode: sorted postings in blocks, the first inode of each block, and a filter.
//!
//! A block of **postings** is groups, one per inode, in the order of inodes; numbers are LEB128:
//! the inode (in the block's first group as it is, later less the one before), how many records follow, the place of
//! the first of them in the segment, of each further one how much it is behind the one before. A zero where an inode
//! is expected ends the block. The postings of one inode may go on in the next block, as a group anew.
//!
//! The **sparse index** is the first inode of each block, a u64 each, in blocks of [`SPARSE_ENTRIES`].
//!
//! The **filter** is Bloom blocks of 480 bits each, [`FILTER_INODES`] inodes to a block on average, [`FILTER_HASHES`]
//! bits to an inode. A segment that has nothing about an inode costs one read of 64 bytes, but for about 2 in 100.

use crate::env::DiskFile;
use crate::ids::{Inode, Seq};

use super::blocks::{Blocks, BlocksWriter, content_bytes};
use super::{SectionKind, SidecarError};

const POSTINGS_BYTES: usize = content_bytes(SectionKind::Postings);
const SPARSE_ENTRIES: usize = content_bytes(SectionKind::PostingsIndex) / 8;
const FILTER_BYTES: usize = content_bytes(SectionKind::InodeFilter);
const FILTER_BITS: u64 = FILTER_BYTES as u64 * 8;
const FILTER_INODES: usize = 48;
const FILTER_HASHES: u32 = 7;
/// Longest LEB128 of a u64.
const NUMBER_BYTES_MAX: usize = 10;
const _: () = assert!(FILTER_BITS == 480 && FILTER_HASHES * 9 <= 63);

/// The bytes of the three sections.
pub(super) struct Encoded {
    pub(super) postings: Vec<u8>,
    pub(super) sparse: Vec<u8>,
    pub(super) filter: Vec<u8>,
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front of `bytes`.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for at in 0..NUMBER_BYTES_MAX {
        let byte = *bytes.get(at)?;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(7 * at as u32).filter(|shifted| shifted >> (7 * at as u32) == bits)?;
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(number);
        }
    }
    None
}

/// `postings` are (inode, place of the record), sorted, each once.
pub(super) fn encode(first_seq: Seq, postings: &[(Inode, u32)]) -> Encoded {
    let mut blocks = PostingsWriter {
        out: BlocksWriter::new(first_seq, SectionKind::Postings),
        block: Vec::with_capacity(POSTINGS_BYTES),
        previous: Inode(0),
        firsts: Vec::new(),
    };
    let groups = || postings.chunk_by(|a, b| a.0 == b.0);
    groups().for_each(|group| blocks.push_group(group));
    blocks.end_block();
    let mut sparse = BlocksWriter::new(first_seq, SectionKind::PostingsIndex);
    for firsts in blocks.firsts.chunks(SPARSE_ENTRIES) {
        sparse.push(&firsts.iter().flat_map(|inode| inode.0.to_le_bytes()).collect::<Vec<u8>>());
    }
    let inodes = groups().count();
    let mut bits = vec![[0u8; FILTER_BYTES]; inodes.div_ceil(FILTER_INODES)];
    for group in groups() {
        let (block, places) = filter_places(group[0].0, bits.len() as u32);
        places.for_each(|bit| bits[block as usize][bit / 8] |= 1 << (bit % 8));
    }
    let mut filter = BlocksWriter::new(first_seq, SectionKind::InodeFilter);
    bits.iter().for_each(|block| filter.push(block));
    Encoded { postings: blocks.out.finish(), sparse: sparse.finish(), filter: filter.finish() }
}

struct PostingsWriter {
    out: BlocksWriter,
    block: Vec<u8>,
    /// Inode of the last group in the block; 0 where the block is empty.
    previous: Inode,
    /// First inode of each block.
    firsts: Vec<Inode>,
}

impl PostingsWriter {
    fn push_group(&mut self, mut group: &[(Inode, u32)]) {
        while !group.is_empty() {
            let (bytes, taken) = self.fit(group);
            if taken == 0 {
                self.end_block();
                continue;
            }
            if self.block.is_empty() {
                self.firsts.push(group[0].0);
            }
            self.block.extend_from_slice(&bytes);
            self.previous = group[0].0;
            group = &group[taken..];
        }
    }

    /// As much of a group as the block has room for, and how many records that is.
    fn fit(&self, group: &[(Inode, u32)]) -> (Vec<u8>, usize) {
        let inode = group[0].0;
        let room = POSTINGS_BYTES - self.block.len();
        let (mut body, mut previous, mut taken) = (Vec::new(), None, 0);
        for (_, place) in group {
            let before = body.len();
            push_number(&mut body, u64::from(previous.map_or(*place, |previous| place - previous)));
            // Inode and count are before it.
            if 2 * NUMBER_BYTES_MAX + body.len() > room {
                body.truncate(before);
                break;
            }
            previous = Some(*place);
            taken += 1;
        }
        let mut bytes = Vec::with_capacity(2 * NUMBER_BYTES_MAX + body.len());
        push_number(&mut bytes, inode.0 - self.previous.0);
        push_number(&mut bytes, taken as u64);
        bytes.extend_from_slice(&body);
        (bytes, taken)
    }

    fn end_block(&mut self) {
        if !self.block.is_empty() {
            self.out.push(&self.block);
            self.block.clear();
        }
        self.previous = Inode(0);
    }
}

/// SplitMix64's finaliser. Part of the format.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The block of a filter that an inode's bits are in, and which.
fn filter_places(inode: Inode, blocks: u32) -> (u32, impl Iterator<Item = usize>) {
    let hash = mixed(inode.0.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let bits = mixed(hash.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let block = ((hash >> 32) * u64::from(blocks)) >> 32;
    let places = (0..FILTER_HASHES).map(move |i| ((((bits >> (9 * i)) & 0x1ff) * FILTER_BITS) >> 9) as usize);
    (block as u32, places)
}

/// The sections being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Postings {
    pub(super) postings: Blocks,
    pub(super) sparse: Blocks,
    pub(super) filter: Blocks,
    pub(super) records: u32,
}

impl Postings {
    /// Tells `visit` the places of the records about `inode`, in order.
    pub(super) fn find(
        &self,
        file: &dyn DiskFile,
        inode: Inode,
        mut visit: impl FnMut(u32),
    ) -> Result<(), SidecarError> {
        if self.filter.count() == 0 || !self.may_hold(file, inode)? {
            return Ok(());
        }
        // The postings may begin in the block before the first one that begins with the inode or behind it.
        let from = self.first_block_from(file, inode)?.saturating_sub(1);
        for number in from..self.postings.count() {
            let mut behind = false;
            self.groups(file, number, |found, place| {
                behind |= found > inode;
                if found == inode {
                    visit(place);
                }
                !behind
            })?;
            if behind {
                break;
            }
        }
        Ok(())
    }

    fn may_hold(&self, file: &dyn DiskFile, inode: Inode) -> Result<bool, SidecarError> {
        let (block, mut places) = filter_places(inode, self.filter.count());
        let bits = self.filter.read(file, block)?;
        if bits.len() != FILTER_BYTES {
            return Err(SidecarError::Damaged("a block of the filter is cut short"));
        }
        Ok(places.all(|bit| bits[bit / 8] & 1 << (bit % 8) != 0))
    }

    /// The first block of postings that begins with `inode` or behind it.
    fn first_block_from(&self, file: &dyn DiskFile, inode: Inode) -> Result<u32, SidecarError> {
        let mut number = 0;
        for block in 0..self.sparse.count() {
            let content = self.sparse.read(file, block)?;
            let firsts =
                content.chunks(8).map(|bytes| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
            for first in firsts {
                if first >= inode.0 {
                    return Ok(number);
                }
                number += 1;
            }
        }
        Ok(number)
    }

    /// Tells `visit` every posting of a block until it answers false.
    fn groups(
        &self,
        file: &dyn DiskFile,
        number_of_block: u32,
        mut visit: impl FnMut(Inode, u32) -> bool,
    ) -> Result<(), SidecarError> {
        let content = self.postings.read(file, number_of_block)?;
        let mut rest = &content[..];
        let damaged = || SidecarError::Damaged("a block of postings contradicts itself");
        let mut inode = 0u64;
        while !rest.is_empty() {
            let step = number(&mut rest).ok_or_else(damaged)?;
            if step == 0 {
                break;
            }
            inode = inode.checked_add(step).ok_or_else(damaged)?;
            let count = number(&mut rest).ok_or_else(damaged)?;
            let mut place = 0u64;
            for nth in 0..count {
                let step = number(&mut rest).filter(|step| nth == 0 || *step > 0).ok_or_else(damaged)?;
                place = place.checked_add(step).filter(|p| *p < u64::from(self.records)).ok_or_else(damaged)?;
                if !visit(Inode(inode), place as u32) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The bytes of the three sections are those that `encoded` has.
    pub(super) fn are(&self, file: &dyn DiskFile, encoded: &Encoded) -> Result<bool, SidecarError> {
        let pairs =
            [(self.postings, &encoded.postings), (self.sparse, &encoded.sparse), (self.filter, &encoded.filter)];
        for (blocks, bytes) in pairs {
            if blocks.length != bytes.len() as u64 {
                return Ok(false);
            }
            let mut stored = vec![0; bytes.len()];
            crate::env::read_exact_at(file, &mut stored, blocks.offset).map_err(SidecarError::Io)?;
            if stored != *bytes {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
