//! A record before it has a place: all that is computed outside the appender.

use bytes::Bytes;

use super::prefix::{PREFIX_BYTES, Prefix, Seed, record_bytes};
use crate::env::Random;
use crate::event::{About, ChunkList, Context, Event, StoredChunk};
use crate::ids::{ChunkHash, ChunkRef, CommitTime, Seq, Term, ZoneIdentity};
use crate::limits::{CHUNK_BYTES_MAX, RECORD_CHUNKS_MAX, RECORD_EVENTS_MAX, RECORD_META_BYTES_MAX, SALT_BYTES};

/// Content on its way into a record: chunked, hashed, salted and summed outside the sequencer.
#[derive(Clone, Debug)]
pub struct Payload {
    salt: [u8; SALT_BYTES],
    chunks: Vec<Bytes>,
    list: ChunkList,
    length: usize,
    crc: u32,
}

impl Payload {
    /// A payload of these chunks, in order. None may be empty or longer than [`CHUNK_BYTES_MAX`].
    #[must_use]
    pub fn new(random: &dyn Random, chunks: Vec<Bytes>) -> Payload {
        let hashed = chunks.into_iter().map(|chunk| (ChunkHash::of(&chunk), chunk)).collect();
        Payload::of_hashed(random, hashed)
    }

    /// As [`Payload::new`] where the chunks' hashes are known already.
    #[must_use]
    pub fn of_hashed(random: &dyn Random, chunks: Vec<(ChunkHash, Bytes)>) -> Payload {
        assert!(chunks.len() <= RECORD_CHUNKS_MAX, "too many chunks for a record");
        let salt = random.bytes16();
        let mut crc = crc32fast::Hasher::new();
        crc.update(&salt);
        let mut list = ChunkList { chunks: Vec::with_capacity(chunks.len()) };
        let mut length = SALT_BYTES;
        for (hash, chunk) in &chunks {
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK_BYTES_MAX, "chunk of {} bytes", chunk.len());
            crc.update(chunk);
            length += chunk.len();
            list.chunks.push(StoredChunk { length: chunk.len() as u32, hash: hash.0 });
        }
        let chunks = chunks.into_iter().map(|(_, chunk)| chunk).collect();
        Payload { salt, chunks, list, length, crc: crc.finalize() }
    }

    #[must_use]
    pub fn chunks(&self) -> &[StoredChunk] {
        &self.list.chunks
    }

    /// Bytes of content, the salt not counted.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        self.length - SALT_BYTES
    }

    /// The chunk that stands there, if it is that one.
    fn chunk(&self, wanted: &ChunkRef) -> Option<Bytes> {
        let mut start = 0;
        for (chunk, stored) in self.chunks.iter().zip(&self.list.chunks) {
            if start == wanted.offset {
                let same = stored.length == wanted.length && stored.hash == wanted.hash.0;
                return same.then(|| chunk.clone());
            }
            start += stored.length;
        }
        None
    }
}

/// A record in the appender's queue: everything but what depends on its place in the file.
#[derive(Clone, Debug)]
pub struct Draft {
    pub seq: Seq,
    pub term: Term,
    pub commit_time: CommitTime,
    about: About,
    meta: Vec<u8>,
    meta_crc: u32,
    payload: Option<Payload>,
}

impl Draft {
    /// Encodes the meta. The caller keeps within the limits of a record; they are asserted here.
    #[must_use]
    pub fn new(
        random: &dyn Random,
        position: (Seq, Term, CommitTime),
        context: &Context,
        events: &[Event],
        payload: Option<Payload>,
    ) -> Draft {
        assert!((1..=RECORD_EVENTS_MAX).contains(&events.len()), "a record holds 1 to {RECORD_EVENTS_MAX} events");
        let mut meta = Vec::with_capacity(384);
        meta.extend_from_slice(&random.bytes16());
        context.encode(&mut meta);
        if let Some(payload) = &payload {
            payload.list.encode(&mut meta);
        }
        events.iter().for_each(|event| event.encode(&mut meta));
        assert!(meta.len() <= RECORD_META_BYTES_MAX, "meta of {} bytes", meta.len());
        let meta_crc = crc32fast::hash(&meta);
        let (seq, term, commit_time) = position;
        let about = About::of(context, events);
        Draft { seq, term, commit_time, about, meta, meta_crc, payload }
    }

    /// What the record can be found by.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Bytes that the record will take on disk.
    #[must_use]
    pub fn record_bytes(&self) -> usize {
        record_bytes(self.meta.len(), self.payload_length())
    }

    fn payload_length(&self) -> usize {
        self.payload.as_ref().map_or(0, |p| p.length)
    }

    /// Content that is not on disk yet.
    #[must_use]
    pub fn content(&self, chunk: &ChunkRef) -> Option<Bytes> {
        self.payload.as_ref()?.chunk(chunk)
    }

    /// The record's prefix at its place, and its CRC, which is the next record's link.
    pub(crate) fn prefix(
        &self,
        identity: ZoneIdentity,
        flushed: Seq,
        previous_crc: u32,
        seed: &Seed,
    ) -> ([u8; PREFIX_BYTES], u32) {
        let mut prefix = Prefix {
            identity,
            seq: self.seq,
            term: self.term,
            commit_time: self.commit_time,
            meta_length: self.meta.len() as u32,
            payload_length: self.payload_length() as u32,
            flushed,
            meta_crc: self.meta_crc,
            payload_crc: self.payload.as_ref().map_or(0, |p| p.crc),
            previous_crc,
            crc: 0,
        };
        let bytes = prefix.encode(seed);
        (bytes, prefix.crc)
    }

    /// The slices behind the prefix, in order, without the padding.
    pub(crate) fn push_body<'a>(&'a self, out: &mut Vec<&'a [u8]>) {
        out.push(&self.meta);
        if let Some(payload) = &self.payload {
            out.push(&payload.salt);
            out.extend(payload.chunks.iter().map(|c| &c[..]));
        }
    }

    pub(crate) fn padding(&self) -> usize {
        self.record_bytes() - PREFIX_BYTES - self.meta.len() - self.payload_length()
    }
}
