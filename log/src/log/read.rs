//! Reading what is flushed, from any seq, while appending goes on.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::segments::Segment;
use super::{Log, Shared};
use crate::cursor::{BadRecord, Cursor};
use crate::env::{DiskFile, read_exact_at};
use crate::event::EventError;
use crate::ids::{ChunkHash, ChunkRef, Seq};
use crate::limits::{CHUNK_BYTES_MAX, SALT_BYTES, SMALL_CHUNK_BYTES_MAX};
use crate::record::{BadBody, PREFIX_BYTES, Record};
use crate::sidecar::SidecarError;

/// Why something in the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the log begins at record {first}")]
    BeforeFirst { first: Seq },
    #[error("record {seq} is not in the log yet; the last is {last}")]
    NotYet { seq: Seq, last: Seq },
    /// Stored bytes are not what was written. Never served, never repaired by dropping (L8).
    #[error("record {seq} is damaged, at byte {offset} of segment {segment}; run `nexus verify`")]
    Damage {
        seq: Seq,
        segment: Seq,
        offset: u64,
        #[source]
        why: BadRecord,
    },
    #[error("the header of segment {first} is damaged; run `nexus verify`")]
    Header { first: Seq },
    #[error("content in record {seq} does not match its hash; run `nexus verify`")]
    Content { seq: Seq },
    #[error("record {seq} was written by a newer release")]
    Unknown {
        seq: Seq,
        #[source]
        why: EventError,
    },
    #[error("segment format {version} is newer than this release")]
    NewerFormat { version: u16 },
    #[error("the index of the segment with record {seq} cannot be used")]
    Index {
        seq: Seq,
        #[source]
        source: SidecarError,
    },
    #[error("cannot read the log")]
    Io(#[source] io::Error),
}

impl ReadError {
    pub(super) fn damage(seq: Seq, segment: Seq, offset: u64, why: BadRecord) -> ReadError {
        match why {
            BadRecord::Body(BadBody::Event(why @ EventError::Unknown { .. })) => ReadError::Unknown { seq, why },
            why => ReadError::Damage { seq, segment, offset, why },
        }
    }

    /// Stored bytes are not what was written, as opposed to a request that cannot be met.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, ReadError::Damage { .. } | ReadError::Header { .. } | ReadError::Content { .. })
    }

    /// May a damaged sidecar be the cause?
    pub(super) fn may_be_misled(&self) -> bool {
        match self {
            ReadError::Index { .. } => true,
            ReadError::Io(error) => error.kind() == io::ErrorKind::UnexpectedEof,
            error => error.is_damage(),
        }
    }
}

impl Log {
    /// Records from `from` up to what is flushed now, in order.
    #[must_use]
    pub fn records(&self, from: Seq) -> RecordReader {
        let (next, until) = (from.max(self.first()), self.flushed().next());
        RecordReader { log: self.clone(), next, until, walk: None, ahead: None }
    }

    /// One record.
    pub fn record(&self, seq: Seq) -> Result<Record, ReadError> {
        self.shared.check_flushed(seq)?;
        self.records(seq).next().expect("a flushed record is there")
    }

    /// The bytes of a chunk, checked against its hash; also of one that is appended and not yet flushed. Small ones
    /// are kept for who reads them again.
    pub fn chunk(&self, chunk: &ChunkRef) -> Result<Bytes, ReadError> {
        self.shared.chunk(chunk, chunk.length <= SMALL_CHUNK_BYTES_MAX)
    }

    /// As [`Log::chunk`], for who wants a part of it and is likely to want another: it is kept whatever its size.
    pub fn chunk_in_part(&self, chunk: &ChunkRef) -> Result<Bytes, ReadError> {
        self.shared.chunk(chunk, true)
    }

    /// As [`Log::chunk`], into memory of the caller's, as long as the chunk. After an error what stands there is not
    /// content.
    pub fn chunk_into(&self, chunk: &ChunkRef, bytes: &mut [u8]) -> Result<(), ReadError> {
        assert_eq!(bytes.len(), chunk.length as usize, "a whole chunk is read");
        if chunk.length <= SMALL_CHUNK_BYTES_MAX || chunk.seq > self.flushed() {
            bytes.copy_from_slice(&self.chunk(chunk)?);
            return Ok(());
        }
        if let Some(kept) = self.shared.chunks.get(chunk) {
            bytes.copy_from_slice(&kept);
            return Ok(());
        }
        self.shared.read_chunk(chunk, bytes)
    }
}

impl Shared {
    pub(super) fn check_flushed(&self, seq: Seq) -> Result<(), ReadError> {
        let last = self.flushed_seq();
        if seq < self.first {
            return Err(ReadError::BeforeFirst { first: self.first });
        }
        if seq > last { Err(ReadError::NotYet { seq, last }) } else { Ok(()) }
    }

    fn unflushed_chunk(&self, chunk: &ChunkRef) -> Option<Bytes> {
        if chunk.seq <= self.flushed_seq() {
            return None;
        }
        let queue = self.queue.lock();
        let first = queue.unflushed.front()?.seq;
        let draft = queue.unflushed.get(chunk.seq.0.checked_sub(first.0)? as usize)?;
        // After a failure the same position may have become another record's, and this one was lost.
        draft.content(chunk)
    }

    fn chunk(&self, chunk: &ChunkRef, keep: bool) -> Result<Bytes, ReadError> {
        if let Some(bytes) = self.chunks.get(chunk) {
            return Ok(bytes);
        }
        if let Some(bytes) = self.unflushed_chunk(chunk) {
            return Ok(bytes);
        }
        if chunk.length as usize > CHUNK_BYTES_MAX {
            return Err(ReadError::Content { seq: chunk.seq });
        }
        let mut bytes = vec![0; chunk.length as usize];
        self.read_chunk(chunk, &mut bytes)?;
        let bytes = Bytes::from(bytes);
        if keep {
            self.chunks.keep(chunk, bytes.clone());
        }
        Ok(bytes)
    }

    /// Reads a flushed chunk and checks it against its hash.
    fn read_chunk(&self, chunk: &ChunkRef, bytes: &mut [u8]) -> Result<(), ReadError> {
        self.check_flushed(chunk.seq)?;
        let place = self.in_segment_of(chunk.seq, |segment| self.place_of_chunk(segment, chunk))?;
        let (file, offset) = place;
        read_exact_at(&*file, bytes, offset).map_err(ReadError::Io)?;
        if ChunkHash::of(bytes) == chunk.hash { Ok(()) } else { Err(ReadError::Content { seq: chunk.seq }) }
    }

    fn place_of_chunk(&self, segment: &Segment, chunk: &ChunkRef) -> Result<(Arc<dyn DiskFile>, u64), ReadError> {
        let (offset, prefix) = self.prefix_in(segment, chunk.seq)?;
        let start = SALT_BYTES as u64 + u64::from(chunk.offset);
        if start + u64::from(chunk.length) > u64::from(prefix.payload_length) {
            return Err(ReadError::Content { seq: chunk.seq });
        }
        let at = offset + PREFIX_BYTES as u64 + u64::from(prefix.meta_length) + start;
        Ok((Arc::clone(&segment.file), at))
    }
}

/// Reads records in order. Ends before the mark it was made with; an error ends it too.
#[derive(Debug)]
pub struct RecordReader {
    log: Log,
    next: Seq,
    until: Seq,
    walk: Option<Walk>,
    /// Bytes read ahead; the cursor's usual where absent.
    ahead: Option<usize>,
}

#[derive(Debug)]
struct Walk {
    cursor: Cursor,
    segment: Seq,
    /// The seq behind the segment's last record that may be read.
    until: Seq,
}

impl RecordReader {
    fn walk(&mut self) -> Result<&mut Walk, ReadError> {
        if self.walk.as_ref().is_some_and(|w| w.until <= self.next) {
            self.walk = None;
        }
        if self.walk.is_none() {
            let shared = &self.log.shared;
            let (segment, until) = shared.segment_of(self.next)?;
            let offset = shared.offset_in(&segment, self.next)?;
            let file = Arc::clone(&segment.file);
            let cursor = Cursor::new(file, shared.identity, segment.header.seed(), offset, self.next, None);
            let cursor = match self.ahead {
                Some(bytes) => cursor.reading_ahead(bytes),
                None => cursor,
            };
            self.walk = Some(Walk { cursor, segment: segment.header.first, until: until.min(self.until) });
        }
        Ok(self.walk.as_mut().expect("set above"))
    }

    fn read<T>(&mut self, read: Read<T>) -> Result<T, ReadError> {
        let seq = self.next;
        let walk = self.walk()?;
        let offset = walk.cursor.offset();
        match read(&mut walk.cursor).map_err(ReadError::Io)? {
            Ok(record) => Ok(record),
            Err(why) => Err(ReadError::damage(seq, walk.segment, offset, why)),
        }
    }

    /// As `read`; where a damaged sidecar led astray, the segment is walked instead.
    fn read_surely<T>(&mut self, read: Read<T>) -> Result<T, ReadError> {
        let result = self.read(read);
        if !result.as_ref().is_err_and(ReadError::may_be_misled) {
            return result;
        }
        let shared = &self.log.shared;
        let (segment, next) = shared.segment_of(self.next)?;
        if !shared.distrust(&segment, next)? {
            return result;
        }
        self.walk = None;
        self.read(read)
    }

    fn step<T>(&mut self, read: Read<T>) -> Option<Result<T, ReadError>> {
        if self.next >= self.until {
            return None;
        }
        let record = self.read_surely(read);
        self.next = if record.is_ok() { self.next.next() } else { self.until };
        Some(record)
    }

    /// Is `seq` what it reads next? False at its end.
    pub(super) fn is_at(&self, seq: Seq) -> bool {
        self.next == seq && self.next < self.until
    }

    /// Reads no more ahead than this.
    pub(super) fn reading_ahead(mut self, bytes: usize) -> RecordReader {
        self.ahead = Some(bytes);
        self
    }

    /// As [`Iterator::next`], with the payload neither read nor checked; tells the bytes of the record's meta too.
    pub(super) fn next_meta(&mut self) -> Option<Result<(Record, usize), ReadError>> {
        let next = self.step(Cursor::next_meta)?;
        Some(next.map(|(record, prefix)| (record, prefix.meta_length as usize)))
    }
}

/// What is read of the record at a cursor.
type Read<T> = fn(&mut Cursor) -> io::Result<Result<T, BadRecord>>;

impl Iterator for RecordReader {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Cursor::next_record)
    }
}
