//! One stored file: what reads see, what is durable, and the changes between the two.
//!
//! Invariants:
//! 1. The current content is what one gets by applying the pending changes to the page cache's state at the last
//!    sync; a pending write holds whole sectors as they were in the cache right after it.
//! 2. Bytes of a stored sector beyond the length are zero.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use super::sectors::{SECTOR_BYTES, Sector, Sectors};

const SECTOR: u64 = SECTOR_BYTES as u64;

#[derive(Clone, Debug, Default)]
struct Content {
    sectors: Sectors,
    len: u64,
}

impl Content {
    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.sectors.truncate(len.div_ceil(SECTOR));
            let (last, used) = (len / SECTOR, (len % SECTOR) as usize);
            if used > 0 && self.sectors.is_mapped(last) {
                let sector = self.sectors.get(last).cleared_from(used);
                self.sectors.set(last, sector);
            }
        }
        self.len = len;
    }

    fn flip(&mut self, byte: u64, bit: u8) {
        if byte < self.len {
            let sector = self.sectors.get(byte / SECTOR).flipped((byte % SECTOR) as usize, bit);
            self.sectors.set(byte / SECTOR, sector);
        }
    }
}

/// A change that no sync has covered yet.
#[derive(Clone, Debug)]
enum Change {
    /// The sectors from number `first` on, and the file's length, after the write.
    Write {
        first: u64,
        sectors: Arc<[Sector]>,
        len: u64,
    },
    SetLen(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct StoredFile {
    current: Content,
    durable: Content,
    pending: Vec<Change>,
    /// Reads show what no later sync will make durable: a sync failed.
    diverged: bool,
    /// Names that lead here in the current tree; handles that are open.
    pub(super) links: u32,
    pub(super) handles: u32,
}

impl StoredFile {
    /// An empty file with one visible name.
    pub(super) fn named() -> StoredFile {
        StoredFile { links: 1, ..StoredFile::default() }
    }

    /// Is the current content the durable one?
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty() && !self.diverged
    }

    /// Makes `bytes` the content, current and durable.
    pub(super) fn set_content(&mut self, bytes: &[u8]) {
        self.set_len(0);
        self.write(bytes, 0, None);
        self.pending.clear();
        self.durable = self.current.clone();
        self.diverged = false;
    }

    pub(super) fn len(&self) -> u64 {
        self.current.len
    }

    pub(super) fn space_bytes(&self) -> u64 {
        self.current.sectors.mapped_bytes()
    }

    /// Bytes read, which are fewer than asked for only at the end of the file.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let len = self.current.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        for (number, within, part) in pieces(offset, len) {
            let sector = self.current.sectors.get(number).bytes();
            let within_end = within + part.len();
            buf[part].copy_from_slice(&sector[within..within_end]);
        }
        len
    }

    /// Writes until `free_bytes` has no sector left for a hole that would have to be filled; returns the bytes written.
    pub(super) fn write(&mut self, data: &[u8], offset: u64, free_bytes: Option<u64>) -> usize {
        let mut free_sectors = free_bytes.map_or(u64::MAX, |b| b / SECTOR);
        let mut written = 0;
        let mut sectors = Vec::with_capacity(data.len() / SECTOR_BYTES + 2);
        for (number, within, part) in pieces(offset, data.len()) {
            if !self.current.sectors.is_mapped(number) {
                if free_sectors == 0 {
                    break;
                }
                free_sectors -= 1;
            }
            written = part.end;
            let part = &data[part];
            let sector = match <[u8; SECTOR_BYTES]>::try_from(part) {
                Ok(whole) => Sector::from(whole),
                Err(_) => self.current.sectors.get(number).patched(within, part),
            };
            self.current.sectors.set(number, sector.clone());
            sectors.push(sector);
        }
        if written > 0 {
            self.current.len = self.current.len.max(offset + written as u64);
            self.pending.push(Change::Write { first: offset / SECTOR, sectors: sectors.into(), len: self.current.len });
        }
        written
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len != self.current.len {
            self.current.set_len(len);
            self.pending.push(Change::SetLen(len));
        }
    }

    /// What a sync that worked does.
    pub(super) fn sync(&mut self) {
        for change in mem::take(&mut self.pending) {
            match change {
                Change::Write { first, sectors, len } => {
                    for (number, sector) in (first..).zip(sectors.iter()) {
                        self.durable.sectors.set(number, sector.clone());
                    }
                    self.durable.set_len(len);
                }
                Change::SetLen(len) => self.durable.set_len(len),
            }
        }
    }

    /// What a sync that failed does: of the pending changes, what `choose` keeps has reached the disk, and the cache
    /// calls all of its pages clean, so that nothing will write the rest again.
    pub(super) fn sync_failed(&mut self, choose: &mut dyn FnMut() -> bool) {
        self.diverged |= !self.pending.is_empty();
        self.settle(choose);
    }

    /// Lets `choose` say which parts of the pending changes have reached the disk. A write is kept sector by sector;
    /// the length is any it has had, but covers the sectors kept; a shrink and all that followed it at or after its
    /// sector are kept or lost together, as the file's blocks are.
    pub(super) fn settle(&mut self, choose: &mut dyn FnMut() -> bool) {
        let mut lens = vec![self.durable.len];
        let mut last_len = self.durable.len;
        let mut needed = 0;
        let mut lost_from = u64::MAX;
        for change in mem::take(&mut self.pending) {
            let len_before = last_len;
            match change {
                Change::Write { first, sectors, len } => {
                    for (number, sector) in (first..).zip(sectors.iter()) {
                        if number < lost_from && choose() {
                            self.durable.sectors.set(number, sector.clone());
                            needed = needed.max(len.min((number + 1) * SECTOR));
                        }
                    }
                    last_len = len;
                }
                Change::SetLen(len) => {
                    last_len = len;
                    if len < len_before {
                        if lost_from == u64::MAX && choose() {
                            self.durable.len = len_before;
                            self.durable.set_len(len);
                            lens.clear();
                            needed = needed.min(len);
                        } else {
                            lost_from = lost_from.min(len / SECTOR);
                        }
                    }
                }
            }
            if lost_from == u64::MAX && lens.last() != Some(&last_len) {
                lens.push(last_len);
            }
        }
        lens.retain(|&len| len >= needed);
        let mut lens = lens.into_iter();
        let mut len = lens.next().expect("the length after the last kept change covers what was kept");
        for later in lens {
            if choose() {
                len = later;
            }
        }
        self.durable.set_len(len);
    }

    /// After the power is back, reads see what is durable.
    pub(super) fn drop_cache(&mut self) {
        self.pending.clear();
        self.current = self.durable.clone();
        self.diverged = false;
    }

    /// Flips a bit wherever the byte is stored: in the cache, on the disk, and on the way between them.
    pub(super) fn flip(&mut self, byte: u64, bit: u8) {
        self.current.flip(byte, bit);
        self.durable.flip(byte, bit);
        for change in &mut self.pending {
            let Change::Write { first, sectors, len } = change else { continue };
            let Some(at) = (byte / SECTOR).checked_sub(*first).filter(|&i| i < sectors.len() as u64) else { continue };
            if byte < *len {
                let mut copy = sectors.to_vec();
                copy[at as usize] = copy[at as usize].flipped((byte % SECTOR) as usize, bit);
                *sectors = copy.into();
            }
        }
    }
}

/// Cuts `len` bytes from `offset` on at sector boundaries: sector number, start within it, range of the buffer.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % SECTOR) as usize;
        let part = done..len.min(done + SECTOR_BYTES - within);
        done = part.end;
        Some((at / SECTOR, within, part))
    })
}
