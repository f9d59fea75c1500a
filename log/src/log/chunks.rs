//! Content that was read and checked against its hash, kept for who reads it again.
//!
//! A kept chunk cannot differ from what was written: its bytes were hashed on the way in and do not change. What is on
//! the disk may be damaged meanwhile; the audit (`verify`) does not ask here. A chunk reference names the same bytes for
//! ever within one opening of a log, so nothing here becomes stale; where a log is opened again, this begins empty.
//!
//! Invariants:
//! 1. Nothing is kept before it is flushed: what is not may be lost, and its position be another's.
//! 2. No shard holds more than its share of [`CHUNK_CACHE_BYTES_MAX`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use crate::ids::{ChunkHash, ChunkRef, Seq};
use crate::limits::{CHUNK_BYTES_MAX, CHUNK_CACHE_BYTES_MAX, CHUNK_CACHE_ENTRY_BYTES, CHUNK_CACHE_SHARDS};

const SHARD_BYTES_MAX: usize = CHUNK_CACHE_BYTES_MAX / CHUNK_CACHE_SHARDS;
const _: () = assert!(SHARD_BYTES_MAX > CHUNK_BYTES_MAX + CHUNK_CACHE_ENTRY_BYTES, "the largest chunk can be kept");

/// Where a chunk begins: record and offset in its payload.
type Place = (Seq, u32);

#[derive(Debug, Default)]
pub(super) struct ChunkCache {
    shards: [RwLock<Shard>; CHUNK_CACHE_SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    kept: BTreeMap<Place, Kept>,
    /// All that is kept, in the order in which it is looked at when something must go.
    queue: VecDeque<Place>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    hash: ChunkHash,
    bytes: Bytes,
    /// Hit since it was looked at last.
    used: AtomicBool,
}

impl ChunkCache {
    fn shard(&self, chunk: &ChunkRef) -> &RwLock<Shard> {
        // The hash is as good as random.
        &self.shards[chunk.hash.0[0] as usize % CHUNK_CACHE_SHARDS]
    }

    pub(super) fn get(&self, chunk: &ChunkRef) -> Option<Bytes> {
        let shard = self.shard(chunk).read();
        let kept = shard.kept.get(&(chunk.seq, chunk.offset))?;
        if kept.hash != chunk.hash || kept.bytes.len() != chunk.length as usize {
            return None;
        }
        if !kept.used.load(Ordering::Relaxed) {
            kept.used.store(true, Ordering::Relaxed);
        }
        Some(kept.bytes.clone())
    }

    /// `bytes` were checked against the chunk's hash.
    pub(super) fn keep(&self, chunk: &ChunkRef, bytes: Bytes) {
        let mut shard = self.shard(chunk).write();
        let place = (chunk.seq, chunk.offset);
        if shard.kept.contains_key(&place) {
            return;
        }
        let cost = bytes.len() + CHUNK_CACHE_ENTRY_BYTES;
        while shard.bytes + cost > SHARD_BYTES_MAX {
            shard.give_up_one();
        }
        shard.bytes += cost;
        shard.queue.push_back(place);
        shard.kept.insert(place, Kept { hash: chunk.hash, bytes, used: AtomicBool::new(false) });
    }
}

impl Shard {
    /// Second chance: what was hit since it was looked at last goes to the end of the queue once more.
    fn give_up_one(&mut self) {
        while let Some(place) = self.queue.pop_front() {
            if self.kept[&place].used.swap(false, Ordering::Relaxed) {
                self.queue.push_back(place);
                continue;
            }
            let gone = self.kept.remove(&place).expect("what is queued is kept");
            self.bytes -= gone.bytes.len() + CHUNK_CACHE_ENTRY_BYTES;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(seq: u64, bytes: &Bytes) -> ChunkRef {
        ChunkRef { seq: Seq(seq), offset: 0, length: bytes.len() as u32, hash: ChunkHash::of(bytes) }
    }

    #[test]
    fn only_what_a_reference_names_is_given() {
        let cache = ChunkCache::default();
        let bytes = Bytes::from_static(b"content");
        let kept = chunk(7, &bytes);
        cache.keep(&kept, bytes.clone());
        assert_eq!(cache.get(&kept), Some(bytes));
        assert_eq!(cache.get(&ChunkRef { seq: Seq(8), ..kept }), None);
        assert_eq!(cache.get(&ChunkRef { offset: 1, ..kept }), None);
        assert_eq!(cache.get(&ChunkRef { length: 6, ..kept }), None);
        let mut hash = kept.hash;
        hash.0[31] ^= 1;
        assert_eq!(cache.get(&ChunkRef { hash, ..kept }), None);
    }

    #[test]
    fn it_stays_within_its_bytes_and_keeps_what_is_read() {
        let cache = ChunkCache::default();
        let hot = Bytes::from_static(b"hot");
        let hot_chunk = chunk(1, &hot);
        cache.keep(&hot_chunk, hot);
        for seq in 2..2000 {
            let bytes = Bytes::from(vec![seq as u8; if seq % 9 == 0 { CHUNK_BYTES_MAX } else { 5000 }]);
            cache.keep(&chunk(seq, &bytes), bytes);
            assert!(cache.get(&hot_chunk).is_some(), "after {seq}");
        }
        for shard in &cache.shards {
            let shard = shard.read();
            let bytes: usize = shard.kept.values().map(|kept| kept.bytes.len() + CHUNK_CACHE_ENTRY_BYTES).sum();
            assert_eq!((shard.bytes, shard.queue.len()), (bytes, shard.kept.len()));
            assert!(bytes <= SHARD_BYTES_MAX, "{bytes}");
        }
    }
}
