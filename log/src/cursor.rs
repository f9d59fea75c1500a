//! Walking the records of one segment file, whatever is in it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::env::DiskFile;
use crate::ids::{Seq, ZoneIdentity};
use crate::record::{BadBody, BadPrefix, Expected, PREFIX_BYTES, Prefix, Record, Seed, UnverifiedBody, decode_meta};

/// Bytes read ahead of the cursor.
const READ_AHEAD_BYTES: usize = 256 << 10;

/// A record as found: its place, its prefix, its body.
#[derive(Clone, Debug)]
pub struct Found {
    /// Bytes from the start of the file.
    pub offset: u64,
    pub body: UnverifiedBody,
}

impl Found {
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.body.prefix
    }

    /// Offset behind the record and its padding.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.prefix().record_bytes() as u64
    }
}

/// Why the walk cannot go on at an offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    #[error(transparent)]
    Prefix(#[from] BadPrefix),
    #[error(transparent)]
    Body(#[from] BadBody),
}

/// Reads records one after the other. Prefixes are checked here; bodies by whoever needs them.
#[derive(Debug)]
pub struct Cursor {
    file: Arc<dyn DiskFile>,
    identity: ZoneIdentity,
    seed: Seed,
    offset: u64,
    next: Seq,
    /// `None` where the walk starts in the middle of a segment.
    previous_crc: Option<u32>,
    window: Window,
}

impl Cursor {
    #[must_use]
    pub fn new(
        file: Arc<dyn DiskFile>,
        identity: ZoneIdentity,
        seed: Seed,
        offset: u64,
        next: Seq,
        previous_crc: Option<u32>,
    ) -> Cursor {
        Cursor { file, identity, seed, offset, next, previous_crc, window: Window::default() }
    }

    /// Reads `bytes` ahead, where the usual would bring more than is there to be read.
    #[must_use]
    pub fn reading_ahead(mut self, bytes: usize) -> Cursor {
        self.window.ahead = bytes;
        self
    }

    /// Where the next record is expected.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    /// CRC of the last prefix walked over.
    #[must_use]
    pub fn previous_crc(&self) -> Option<u32> {
        self.previous_crc
    }

    /// The record here, its body not checked, without moving.
    pub fn peek(&mut self) -> io::Result<Result<Found, BadPrefix>> {
        let prefix = match self.prefix_here()? {
            Ok(prefix) => prefix,
            Err(bad) => return Ok(Err(bad)),
        };
        let body_bytes = prefix.record_bytes() - PREFIX_BYTES;
        let body = self.window.at(&*self.file, self.offset + PREFIX_BYTES as u64, body_bytes)?;
        if body.len() < body_bytes {
            return Ok(Err(BadPrefix::Short));
        }
        let bytes = Bytes::copy_from_slice(&body[..body_bytes]);
        Ok(Ok(Found { offset: self.offset, body: UnverifiedBody { prefix, bytes } }))
    }

    fn prefix_here(&mut self) -> io::Result<Result<Prefix, BadPrefix>> {
        let head = self.window.at(&*self.file, self.offset, PREFIX_BYTES)?;
        let Some(head) = head.first_chunk::<PREFIX_BYTES>() else {
            let zeros = head.iter().all(|b| *b == 0);
            return Ok(Err(if zeros { BadPrefix::Zeros } else { BadPrefix::Short }));
        };
        let expected = Expected { identity: self.identity, seq: Some(self.next), previous_crc: self.previous_crc };
        Ok(Prefix::check(head, &self.seed, &expected))
    }

    /// Moves behind a record that [`Cursor::peek`] gave.
    pub fn pass(&mut self, found: &Found) {
        self.pass_prefix(found.prefix());
    }

    fn pass_prefix(&mut self, prefix: &Prefix) {
        self.offset += prefix.record_bytes() as u64;
        self.next = prefix.seq.next();
        self.previous_crc = Some(prefix.crc);
    }

    /// The next record's prefix; what stands behind it is not looked at and may not be there.
    pub fn next_prefix(&mut self) -> io::Result<Result<Prefix, BadPrefix>> {
        let prefix = self.prefix_here()?;
        if let Ok(prefix) = &prefix {
            self.pass_prefix(prefix);
        }
        Ok(prefix)
    }

    /// The next record, decoded, its payload neither read nor checked: for those who want facts, not content.
    pub fn next_meta(&mut self) -> io::Result<Result<(Record, Prefix), BadRecord>> {
        let prefix = match self.prefix_here()? {
            Ok(prefix) => prefix,
            Err(bad) => return Ok(Err(bad.into())),
        };
        let length = prefix.meta_length as usize;
        let meta = self.window.at(&*self.file, self.offset + PREFIX_BYTES as u64, length)?;
        if meta.len() < length {
            return Ok(Err(BadPrefix::Short.into()));
        }
        if crc32fast::hash(meta) != prefix.meta_crc {
            return Ok(Err(BadBody::MetaCrc.into()));
        }
        match decode_meta(&prefix, meta) {
            Ok(record) => {
                self.pass_prefix(&prefix);
                Ok(Ok((record, prefix)))
            }
            Err(bad) => Ok(Err(bad.into())),
        }
    }

    /// The next record with its checksums held, or why there is none here.
    pub fn next_checked(&mut self) -> io::Result<Result<Found, BadRecord>> {
        let found = match self.peek()? {
            Ok(found) => found,
            Err(bad) => return Ok(Err(bad.into())),
        };
        if let Err(bad) = found.body.check() {
            return Ok(Err(bad.into()));
        }
        self.pass(&found);
        Ok(Ok(found))
    }

    /// The next record, decoded, or why there is none here.
    pub fn next_record(&mut self) -> io::Result<Result<Record, BadRecord>> {
        let found = match self.peek()? {
            Ok(found) => found,
            Err(bad) => return Ok(Err(bad.into())),
        };
        match found.body.decode() {
            Ok(record) => {
                self.pass(&found);
                Ok(Ok(record))
            }
            Err(bad) => Ok(Err(bad.into())),
        }
    }
}

/// A piece of the file in memory.
#[derive(Debug)]
pub(crate) struct Window {
    /// Bytes that are read at once.
    ahead: usize,
    start: u64,
    /// Filled up to `filled`; what is behind is left from before, so that reading on costs no clearing.
    bytes: Vec<u8>,
    filled: usize,
}

impl Default for Window {
    fn default() -> Window {
        Window::reading(READ_AHEAD_BYTES)
    }
}

impl Window {
    /// Reads at least `ahead` bytes at once.
    pub(crate) fn reading(ahead: usize) -> Window {
        Window { ahead, start: 0, bytes: Vec::new(), filled: 0 }
    }

    /// `length` bytes at `offset`; fewer where the file ends.
    pub(crate) fn at(&mut self, file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<&[u8]> {
        let inside = offset >= self.start && offset + length as u64 <= self.start + self.filled as u64;
        if !inside {
            self.fill(file, offset, length)?;
        }
        let from = (offset - self.start) as usize;
        let to = (from + length).min(self.filled);
        Ok(&self.bytes[from..to])
    }

    fn fill(&mut self, file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<()> {
        if self.bytes.len() < length.max(self.ahead) {
            self.bytes = vec![0; length.max(self.ahead)];
        }
        (self.start, self.filled) = (offset, 0);
        while self.filled < self.bytes.len() {
            match file.read_at(&mut self.bytes[self.filled..], offset + self.filled as u64) {
                Ok(0) => break,
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // What is unreadable further on does not hide what is asked for.
                Err(_) if self.filled >= length => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
