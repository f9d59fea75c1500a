//! Following the log: every flushed record from a seq on, in order, as long as somebody asks.
//!
//! ```text
//!  flushed moves --> followers wake --> window of recent records --> every live tail
//!                                                segments --> a tail that is further back, by itself
//! ```
//!
//! | module   | what it holds                                                         |
//! |----------|-----------------------------------------------------------------------|
//! | `wait`   | waiting for the flushed mark to move                                  |
//! | `window` | the newest records, decoded once for all tails                        |
//! | `files`  | following a log whose files another process writes                    |
//!
//! Invariants:
//! 1. Only flushed records are told (L1), in order, none twice and none left out. What cannot be read is an error
//!    at its place, and the tail stays there (L8).
//! 2. The writer does nothing for tails but wake one of them (L7); what is decoded is decoded by tails.
//! 3. What tails keep is bounded: the window, and a batch for each ([`TAIL_BATCH_BYTES_MAX`], [`TAIL_READ_BYTES`]).

mod files;
mod wait;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use super::read::RecordReader;
use super::{Log, ReadError};
use crate::ids::Seq;
use crate::limits::{
    TAIL_BATCH_BYTES_MAX, TAIL_BATCH_RECORDS_MAX, TAIL_READ_BYTES, TAIL_WINDOW_RECORDS_MAX, TAILS_MAX,
};
use crate::record::Record;

pub use files::{FileTail, FileTailError};
pub(super) use wait::Followers;
pub use wait::{Ended, Waited};
pub(super) use window::Recent;

/// A record as a tail tells it.
#[derive(Clone, Debug)]
pub struct Told {
    pub record: Arc<Record>,
    /// Bytes of its meta as stored.
    pub meta_bytes: usize,
}

impl Told {
    pub(super) fn new((record, meta_bytes): (Record, usize)) -> Told {
        Told { record: Arc::new(record), meta_bytes }
    }
}

/// [`TAILS_MAX`] tails are open.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{TAILS_MAX} tails of the log are open")]
pub struct TooManyTails;

/// A reader that goes on at the log's end.
#[derive(Debug)]
pub struct LogTail {
    log: Log,
    next: Seq,
    /// Taken already: the records from `next` on.
    ready: VecDeque<Told>,
    own: Option<RecordReader>,
    live: bool,
}

impl Log {
    /// A tail whose first record is `from`, or the log's first if that is later.
    pub fn tail(&self, from: Seq) -> Result<LogTail, TooManyTails> {
        if !self.shared.recent.enter() {
            return Err(TooManyTails);
        }
        let next = from.max(self.first());
        Ok(LogTail { log: self.clone(), next, ready: VecDeque::new(), own: None, live: true })
    }
}

impl Drop for LogTail {
    fn drop(&mut self) {
        self.log.shared.recent.leave();
    }
}

impl LogTail {
    /// The record that comes next.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next
    }

    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Did the last look find the tail at the log's end or within the window? Otherwise it reads from the segments.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Is what comes next among the newest records, which the window may hold?
    #[must_use]
    pub fn is_near_end(&self) -> bool {
        self.log.flushed().0 < self.next.0 + TAIL_WINDOW_RECORDS_MAX as u64
    }

    /// The next record; `None` where it is not flushed yet. After an error the same record is tried again.
    pub fn try_next(&mut self) -> Result<Option<Told>, ReadError> {
        if self.ready.is_empty() {
            self.refill()?;
        }
        let told = self.ready.pop_front();
        if let Some(told) = &told {
            assert_eq!(told.record.seq, self.next, "a tail leaves nothing out");
            self.next = self.next.next();
        }
        Ok(told)
    }

    /// Sleeps until there is more than was told, at most for `timeout`.
    pub fn wait(&self, timeout: std::time::Duration) -> Result<Waited, Ended> {
        self.log.wait_flushed(self.next.prev(), timeout)
    }

    fn refill(&mut self) -> Result<(), ReadError> {
        let flushed = self.log.flushed();
        if self.next > flushed {
            self.live = true;
            return Ok(());
        }
        if let Some(batch) = self.log.shared.recent.batch(&self.log, self.next, flushed)? {
            (self.ready, self.own, self.live) = (batch, None, true);
            return Ok(());
        }
        self.live = false;
        let reader = match self.own.take() {
            Some(reader) if reader.is_at(self.next) => reader,
            _ => self.log.records(self.next).reading_ahead(TAIL_READ_BYTES),
        };
        self.ready = self.take_from(reader)?;
        Ok(())
    }

    /// A batch of the tail's own reading.
    fn take_from(&mut self, mut reader: RecordReader) -> Result<VecDeque<Told>, ReadError> {
        let mut batch = VecDeque::new();
        let mut bytes = 0;
        while batch.len() < TAIL_BATCH_RECORDS_MAX && bytes < TAIL_BATCH_BYTES_MAX {
            match reader.next_meta() {
                Some(Ok(read)) => {
                    bytes += read.1;
                    batch.push_back(Told::new(read));
                }
                // What was read before it is told first.
                Some(Err(_)) if !batch.is_empty() => return Ok(batch),
                Some(Err(error)) => return Err(error),
                None => return Ok(batch),
            }
        }
        self.own = Some(reader);
        Ok(batch)
    }
}
