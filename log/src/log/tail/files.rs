//! Following a log whose files another process writes, without its lock and without writing.
//!
//! Told is only what is proved flushed: by the watermark, by the name of a later segment, or by the flushed seq that a
//! later valid record carries. The last batch of a busy log has no such proof before the next one is written, or before
//! the log is idle and its watermark follows.
//!
//! ```text
//!  ... told records | proved | written, not proved: looked over for the flushed seqs they carry | zeros
//!                   ^ next
//! ```
//!
//! Invariants:
//! 1. What is not proved is never told: it may be cut and written anew (L1).
//! 2. What is kept from one look to the next is the place behind the last told record, which never changes. What was
//!    read beyond it is read again once there is a proof: it may have been cut and be another record now.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::inspect::{read_watermark, segments_in};
use super::super::locate::header_block;
use super::super::{OpenError, ReadError, SEGMENTS};
use super::Told;
use crate::cursor::{BadRecord, Cursor};
use crate::env::{DiskFile, Env, OpenMode};
use crate::ids::{Seq, ZoneIdentity};
use crate::limits::TAIL_READ_BYTES;
use crate::record::Seed;
use crate::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name};
use crate::zone_meta::{ZoneMeta, ZoneMetaError};

#[derive(Debug, thiserror::Error)]
pub enum FileTailError {
    #[error("the zone's meta file cannot be used")]
    Meta(#[source] ZoneMetaError),
    #[error("the log cannot be looked at")]
    Look(#[source] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A reader of a zone's files.
#[derive(Debug)]
pub struct FileTail {
    env: Env,
    dir: PathBuf,
    identity: ZoneIdentity,
    first: Seq,
    /// First seqs of the segments, as of the last look; never empty.
    firsts: Vec<Seq>,
    proven: Seq,
    next: Seq,
    walk: Option<Walk>,
}

/// A place in a segment.
#[derive(Debug)]
struct Walk {
    file: Arc<dyn DiskFile>,
    segment: Seq,
    seed: Seed,
    cursor: Cursor,
}

impl Walk {
    /// As it stands, with nothing read ahead: what is in the file now.
    fn afresh(&self, identity: ZoneIdentity) -> Cursor {
        let (offset, next, crc) = (self.cursor.offset(), self.cursor.next_seq(), self.cursor.previous_crc());
        Cursor::new(Arc::clone(&self.file), identity, self.seed.clone(), offset, next, crc)
            .reading_ahead(TAIL_READ_BYTES)
    }
}

impl FileTail {
    /// Looks at the zone in `dir`, and stands at its first record.
    pub fn open(env: &Env, dir: &Path) -> Result<FileTail, FileTailError> {
        let (meta, _) = ZoneMeta::read(&*env.disk, dir).map_err(FileTailError::Meta)?;
        let mut tail = FileTail {
            env: env.clone(),
            dir: dir.to_owned(),
            identity: meta.identity,
            first: meta.first_seq,
            firsts: Vec::new(),
            proven: meta.first_seq.prev(),
            next: meta.first_seq,
            walk: None,
        };
        tail.look()?;
        Ok(tail)
    }

    /// Goes on behind all that is proved flushed now.
    pub fn seek_end(&mut self) -> Result<(), FileTailError> {
        loop {
            (self.next, self.walk) = (self.proven.next(), None);
            if !self.prove()? {
                return Ok(());
            }
        }
    }

    #[must_use]
    pub fn identity(&self) -> ZoneIdentity {
        self.identity
    }

    /// The zone's first record.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.first
    }

    /// The highest seq of which a proof that it is flushed was found so far; there may be others further on.
    #[must_use]
    pub fn proven(&self) -> Seq {
        self.proven
    }

    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    /// Goes on at `seq`, which is not beyond what follows the last proved record.
    pub fn seek(&mut self, seq: Seq) -> Result<(), FileTailError> {
        if seq < self.first {
            return Err(ReadError::BeforeFirst { first: self.first }.into());
        }
        if seq > self.proven.next() {
            self.seek_end()?;
        }
        if seq > self.proven.next() {
            return Err(ReadError::NotYet { seq, last: self.proven }.into());
        }
        (self.next, self.walk) = (seq, None);
        Ok(())
    }

    /// The next record; `None` where there is none that is proved flushed, at present. After an error the same record
    /// is tried again.
    pub fn try_next(&mut self) -> Result<Option<Told>, FileTailError> {
        if self.next > self.proven && !self.prove()? {
            return Ok(None);
        }
        if !self.stand_at_next()? {
            return Err(ReadError::Header { first: self.segment_of(self.next) }.into());
        }
        let walk = self.walk.as_mut().expect("it stands at the next record");
        let offset = walk.cursor.offset();
        match walk.cursor.next_meta().map_err(ReadError::Io)? {
            Ok((record, prefix)) => {
                self.next = self.next.next();
                Ok(Some(Told::new((record, prefix.meta_length as usize))))
            }
            Err(why) => Err(ReadError::damage(self.next, walk.segment, offset, why).into()),
        }
    }

    /// Looks for proofs that the next record is flushed.
    fn prove(&mut self) -> Result<bool, FileTailError> {
        self.look()?;
        if self.next > self.proven && self.stand_at_next()? {
            let walk = self.walk.as_ref().expect("it stands at the next record");
            let mut ahead = walk.afresh(self.identity);
            while let Ok(prefix) = ahead.next_prefix().map_err(ReadError::Io)? {
                self.proven = self.proven.max(prefix.flushed);
            }
        }
        if let Some(walk) = &mut self.walk {
            // What was read ahead is from before the proof: another writer may have cut it and written other records.
            walk.cursor = walk.afresh(self.identity);
        }
        Ok(self.next <= self.proven)
    }

    /// Watermark first: it never proves more than the names that are read behind it show.
    fn look(&mut self) -> Result<(), FileTailError> {
        let marked = read_watermark(&self.env, &self.dir, self.identity).map_err(FileTailError::Look)?;
        let firsts = segments_in(&self.env, &self.dir).map_err(FileTailError::Look)?;
        if firsts.first() != Some(&self.first) {
            let dir = self.dir.join(SEGMENTS);
            return Err(FileTailError::Look(OpenError::NoSegments { dir, first: self.first }));
        }
        let named = firsts.last().expect("there is one").prev();
        let witnessed = marked.mark.map_or(Seq::ZERO, |mark| mark.flushed);
        self.proven = self.proven.max(witnessed).max(named);
        self.firsts = firsts;
        Ok(())
    }

    fn segment_of(&self, seq: Seq) -> Seq {
        let behind = self.firsts.partition_point(|first| *first <= seq);
        self.firsts[behind.saturating_sub(1)]
    }

    /// Makes `walk` stand at the next record. False where its segment is not there yet as a whole: its file is made
    /// before its header is.
    fn stand_at_next(&mut self) -> Result<bool, ReadError> {
        let segment = self.segment_of(self.next);
        if self.walk.as_ref().is_some_and(|w| w.segment == segment && w.cursor.next_seq() == self.next) {
            return Ok(true);
        }
        self.walk = None;
        let path = self.dir.join(SEGMENTS).join(file_name(segment));
        let file = self.env.disk.open(&path, OpenMode::Read).map_err(ReadError::Io)?;
        let block = header_block(&*file).map_err(ReadError::Io)?;
        let header = match SegmentHeader::decode(&block, self.identity, segment) {
            HeaderBlock::Good { header, .. } => header,
            HeaderBlock::NewerFormat(version) => return Err(ReadError::NewerFormat { version }),
            HeaderBlock::Blank | HeaderBlock::Bad if self.proven < segment => return Ok(false),
            HeaderBlock::Blank | HeaderBlock::Bad => return Err(ReadError::Header { first: segment }),
        };
        let crc = Some(header.previous_crc);
        let start = Cursor::new(Arc::clone(&file), self.identity, header.seed(), SEGMENT_HEADER_BYTES, segment, crc);
        let mut walk = Walk { file, segment, seed: header.seed(), cursor: start.reading_ahead(TAIL_READ_BYTES) };
        while walk.cursor.next_seq() < self.next {
            let (seq, offset) = (walk.cursor.next_seq(), walk.cursor.offset());
            if let Err(why) = walk.cursor.next_prefix().map_err(ReadError::Io)? {
                return Err(ReadError::damage(seq, segment, offset, BadRecord::Prefix(why)));
            }
        }
        self.walk = Some(walk);
        Ok(true)
    }
}
