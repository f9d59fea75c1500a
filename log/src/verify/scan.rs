//! Looking for what follows damage, over places that cannot be read.

use crate::env::{DiskFile, read_exact_at};
use crate::ids::Seq;
use crate::record::{Expected, PREFIX_BYTES, Prefix};
use crate::segment::SegmentHeader;

const BLOCK_BYTES: u64 = 256 << 10;
/// What is given up where a read fails.
const SECTOR_BYTES: u64 = 512;

/// The file's bytes; what cannot be read is zeros.
fn read_lossy(file: &dyn DiskFile, buf: &mut [u8], offset: u64) {
    if read_exact_at(file, buf, offset).is_ok() {
        return;
    }
    let mut done = 0;
    while done < buf.len() {
        let at = offset + done as u64;
        let take = ((at + 1).next_multiple_of(SECTOR_BYTES) - at).min((buf.len() - done) as u64) as usize;
        let sector = &mut buf[done..done + take];
        if read_exact_at(file, sector, at).is_err() {
            sector.fill(0);
        }
        done += take;
    }
}

/// Place and seq of the first valid prefix at or behind `from` of a record from `least` to before `below`.
pub(super) fn next_prefix(
    file: &dyn DiskFile,
    header: &SegmentHeader,
    from: u64,
    least: Seq,
    below: Seq,
) -> Option<(u64, Seq)> {
    let (seed, len) = (header.seed(), file.len().ok()?);
    let expected = Expected { identity: header.identity, seq: None, previous_crc: None };
    let mut offset = from.next_multiple_of(8);
    while offset + PREFIX_BYTES as u64 <= len {
        // Blocks overlap by a prefix, so that one that crosses a border is seen.
        let mut block = vec![0; (len - offset).min(BLOCK_BYTES + PREFIX_BYTES as u64) as usize];
        read_lossy(file, &mut block, offset);
        for at in (0..block.len().min(BLOCK_BYTES as usize)).step_by(8) {
            let Some(bytes) = block[at..].first_chunk::<PREFIX_BYTES>() else { break };
            match Prefix::check(bytes, &seed, &expected) {
                Ok(prefix) if (least..below).contains(&prefix.seq) => return Some((offset + at as u64, prefix.seq)),
                _ => {}
            }
        }
        offset += BLOCK_BYTES;
    }
    None
}

/// How many bytes from `from` on are not zero, and where the last of them ends.
pub(super) fn nonzero(file: &dyn DiskFile, from: u64) -> (u64, u64) {
    let (mut count, mut end, mut offset) = (0, from, from);
    let len = file.len().unwrap_or(from);
    while offset < len {
        let mut block = vec![0; (len - offset).min(BLOCK_BYTES) as usize];
        read_lossy(file, &mut block, offset);
        if let Some(last) = block.iter().rposition(|b| *b != 0) {
            count += block.iter().filter(|b| **b != 0).count() as u64;
            end = offset + last as u64 + 1;
        }
        offset += block.len() as u64;
    }
    (count, end)
}
