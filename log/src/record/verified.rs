//! From bytes whose prefix held to a record whose every checksum held.

use std::ops::Range;

use bytes::Bytes;

use super::prefix::{PREFIX_BYTES, Prefix};
use crate::event::{About, ChunkList, Context, Event, EventError, FrameIter, Kind};
use crate::ids::{ChunkHash, ChunkRef, CommitTime, Seq, Term, ZoneIdentity};
use crate::limits::{CHUNK_BYTES_MAX, RECORD_CHUNKS_MAX, RECORD_EVENTS_MAX, SALT_BYTES};

/// Meta and payload as found behind a good prefix, not yet checked.
#[derive(Clone, Debug)]
pub struct UnverifiedBody {
    pub prefix: Prefix,
    /// The record's bytes behind the prefix, padding included.
    pub bytes: Bytes,
}

/// Why the bytes behind a good prefix are not what it announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("the meta's checksum does not hold")]
    MetaCrc,
    #[error("the payload's checksum does not hold")]
    PayloadCrc,
    #[error("the padding is not zero")]
    Padding,
    #[error("the chunk list does not match the payload")]
    Chunks,
    #[error("chunk {index} of the payload does not match its hash")]
    ChunkHash { index: usize },
    #[error("the meta cannot be understood")]
    Event(#[source] EventError),
}

/// A chunk of a record's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes from the end of the payload's salt.
    pub offset: u32,
    pub length: u32,
    pub hash: ChunkHash,
}

/// A record whose every checksum held, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub identity: ZoneIdentity,
    pub seq: Seq,
    pub term: Term,
    pub commit_time: CommitTime,
    pub context: Context,
    /// The payload's chunks, in order.
    pub chunks: Vec<Chunk>,
    pub events: Vec<Event>,
}

impl Record {
    /// What the record can be found by.
    #[must_use]
    pub fn about(&self) -> About {
        About::of(&self.context, &self.events)
    }

    /// Where chunk `index` of this record stands.
    #[must_use]
    pub fn chunk_ref(&self, index: usize) -> Option<ChunkRef> {
        let chunk = self.chunks.get(index)?;
        Some(ChunkRef { seq: self.seq, offset: chunk.offset, length: chunk.length, hash: chunk.hash })
    }
}

impl UnverifiedBody {
    fn meta_range(&self) -> Range<usize> {
        0..self.prefix.meta_length as usize
    }

    fn payload_range(&self) -> Range<usize> {
        let start = self.prefix.meta_length as usize;
        start..start + self.prefix.payload_length as usize
    }

    /// The meta as stored, its salt first.
    #[must_use]
    pub fn meta(&self) -> &[u8] {
        &self.bytes[self.meta_range()]
    }

    /// The payload as stored, its salt first; empty if there is none.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_range()]
    }

    /// Checks both checksums and the padding.
    pub fn check(&self) -> Result<(), BadBody> {
        assert_eq!(self.bytes.len() + PREFIX_BYTES, self.prefix.record_bytes(), "the body is whole");
        if crc32fast::hash(self.meta()) != self.prefix.meta_crc {
            return Err(BadBody::MetaCrc);
        }
        let payload = self.payload();
        let payload_crc = if payload.is_empty() { 0 } else { crc32fast::hash(payload) };
        if payload_crc != self.prefix.payload_crc {
            return Err(BadBody::PayloadCrc);
        }
        if self.bytes[self.payload_range().end..].iter().any(|b| *b != 0) {
            return Err(BadBody::Padding);
        }
        Ok(())
    }

    /// Checks the checksums and decodes the meta.
    pub fn decode(&self) -> Result<Record, BadBody> {
        self.check()?;
        decode_meta(&self.prefix, self.meta())
    }

    /// As [`UnverifiedBody::decode`], and every chunk against its hash.
    pub fn decode_and_hash(&self) -> Result<Record, BadBody> {
        let record = self.decode()?;
        for (index, chunk) in record.chunks.iter().enumerate() {
            let start = SALT_BYTES + chunk.offset as usize;
            if ChunkHash::of(&self.payload()[start..start + chunk.length as usize]) != chunk.hash {
                return Err(BadBody::ChunkHash { index });
            }
        }
        Ok(record)
    }
}

/// Decodes a meta whose checksum held.
pub(crate) fn decode_meta(prefix: &Prefix, meta: &[u8]) -> Result<Record, BadBody> {
    let sections = |what| BadBody::Event(EventError::Sections(what));
    let body = meta.get(SALT_BYTES..).ok_or(sections("shorter than its salt"))?;
    let mut frames = FrameIter::new(body);
    let first = frames.next().ok_or(sections("empty"))?.map_err(BadBody::Event)?;
    let context = Context::decode(first).map_err(BadBody::Event)?;
    let mut chunks = Vec::new();
    let mut listed = false;
    let mut events = Vec::with_capacity(1);
    for frame in frames {
        let frame = frame.map_err(BadBody::Event)?;
        if frame.kind == Kind::CHUNKS {
            if listed || !events.is_empty() {
                return Err(sections("the chunk list is out of place"));
            }
            chunks = place_chunks(ChunkList::decode(frame).map_err(BadBody::Event)?)?;
            listed = true;
        } else {
            events.push(Event::decode(frame).map_err(BadBody::Event)?);
        }
    }
    if events.is_empty() || events.len() > RECORD_EVENTS_MAX {
        return Err(sections("the number of events is out of bounds"));
    }
    let covered: u64 = chunks.iter().map(|c: &Chunk| u64::from(c.length)).sum();
    let payload = u64::from(prefix.payload_length);
    if (payload == 0) == listed || (listed && payload != covered + SALT_BYTES as u64) {
        return Err(BadBody::Chunks);
    }
    Ok(Record {
        identity: prefix.identity,
        seq: prefix.seq,
        term: prefix.term,
        commit_time: prefix.commit_time,
        context,
        chunks,
        events,
    })
}

fn place_chunks(list: ChunkList) -> Result<Vec<Chunk>, BadBody> {
    if list.chunks.len() > RECORD_CHUNKS_MAX {
        return Err(BadBody::Chunks);
    }
    let mut offset = 0u32;
    list.chunks
        .into_iter()
        .map(|stored| {
            let fits = (1..=CHUNK_BYTES_MAX as u32).contains(&stored.length);
            let end = offset.checked_add(stored.length).filter(|_| fits).ok_or(BadBody::Chunks)?;
            let chunk = Chunk { offset, length: stored.length, hash: ChunkHash(stored.hash) };
            offset = end;
            Ok(chunk)
        })
        .collect()
}
