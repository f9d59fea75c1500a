//! The one writer of a log's tail: a batch is one write and one sync.
//!
//! A core without threads, locks or clock: [`crate::log::Log`] drives it with whoever waits first, a simulation with
//! its scheduler.
//!
//! Invariants:
//! 1. A batch lies in one segment, and a segment is created only when all before it is flushed: only the last segment
//!    can be torn.
//! 2. At most one batch is unsynced, so what can be torn is within [`INFLIGHT_BYTES_MAX`] of the last flushed byte.
//! 3. After the first failed write or sync nothing is written any more (R6): a later sync would prove nothing.
//! 4. Behind the written records there are only zeros.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::env::{DiskFile, Env, OpenMode, write_all_at};
use crate::ids::{CommitTime, Seq, ZoneIdentity};
use crate::limits::{INFLIGHT_BYTES_MAX, ZERO_AHEAD_BATCH_BYTES_MAX, ZERO_AHEAD_BYTES, ZERO_WRITE_BYTES};
use crate::record::{Draft, PREFIX_BYTES, Seed};
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, file_name};

/// Why the log takes no more records until it is opened again.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} the log")]
pub struct AppendError {
    pub operation: &'static str,
    #[source]
    pub source: io::Error,
}

impl AppendError {
    /// The disk was full: opening the log again works once there is space.
    #[must_use]
    pub fn no_space(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    fn of(operation: &'static str) -> impl FnOnce(io::Error) -> AppendError {
        move |source| AppendError { operation, source }
    }
}

/// Where the next record goes.
#[derive(Debug)]
pub struct Tail {
    pub file: Arc<dyn DiskFile>,
    pub header: SegmentHeader,
    pub seed: Seed,
    /// Behind the last record.
    pub write_end: u64,
    /// The file's own length: zeros from `write_end` up to here.
    pub file_end: u64,
    pub next: Seq,
    pub previous_crc: u32,
    pub previous_time: CommitTime,
}

/// Bounds that tests make small.
#[derive(Clone, Copy, Debug)]
pub struct AppenderOptions {
    pub segment_bytes_max: u64,
    /// Zeros written ahead of the tail; 0 switches it off.
    pub zero_ahead_bytes: u64,
}

impl Default for AppenderOptions {
    fn default() -> AppenderOptions {
        AppenderOptions { segment_bytes_max: crate::limits::SEGMENT_BYTES_MAX, zero_ahead_bytes: ZERO_AHEAD_BYTES }
    }
}

/// Where a record of a batch was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub offset: u64,
    pub time: CommitTime,
}

/// What a batch did.
#[derive(Debug)]
pub struct BatchDone {
    /// The batch went into a segment created for it.
    pub created: Option<(Arc<dyn DiskFile>, SegmentHeader)>,
    pub placed: Vec<Placed>,
    /// Bytes of records, without zeros written ahead.
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Appender {
    env: Env,
    dir: PathBuf,
    identity: ZoneIdentity,
    options: AppenderOptions,
    tail: Tail,
    failed: bool,
}

impl Appender {
    #[must_use]
    pub fn new(env: Env, dir: PathBuf, identity: ZoneIdentity, options: AppenderOptions, tail: Tail) -> Appender {
        Appender { env, dir, identity, options, tail, failed: false }
    }

    /// Everything before this is flushed.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.tail.next
    }

    /// Writes and syncs `batch`, whose first record must be the next one. On an error nothing of the batch is
    /// acknowledged, and the appender must not be used again.
    pub fn write(&mut self, batch: &[Arc<Draft>]) -> Result<BatchDone, AppendError> {
        assert!(!self.failed, "an appender is not used after a failure");
        assert!(!batch.is_empty(), "a batch has records");
        self.failed = true;
        let bytes: u64 = batch.iter().map(|d| d.record_bytes() as u64).sum();
        assert!(bytes <= INFLIGHT_BYTES_MAX, "a batch of {bytes} bytes could not be told from damage");
        let full = self.tail.write_end + bytes > self.options.segment_bytes_max;
        let created = if full && self.tail.write_end > SEGMENT_HEADER_BYTES { Some(self.rotate()?) } else { None };
        let placed = self.write_records(batch, bytes)?;
        self.tail.file.sync_data().map_err(AppendError::of("sync"))?;
        self.failed = false;
        Ok(BatchDone { created, placed, bytes })
    }

    fn write_records(&mut self, batch: &[Arc<Draft>], bytes: u64) -> Result<Vec<Placed>, AppendError> {
        const ZEROS: [u8; 8] = [0; 8];
        let flushed = self.tail.next.prev();
        let mut placed = Vec::with_capacity(batch.len());
        let mut prefixes: Vec<[u8; PREFIX_BYTES]> = Vec::with_capacity(batch.len());
        let mut offset = self.tail.write_end;
        let (mut next, mut crc, mut time) = (self.tail.next, self.tail.previous_crc, self.tail.previous_time);
        for draft in batch {
            assert_eq!(draft.seq, next, "records are appended in order");
            assert!(draft.commit_time > time, "commit times increase");
            let (prefix, prefix_crc) = draft.prefix(self.identity, flushed, crc, &self.tail.seed);
            prefixes.push(prefix);
            placed.push(Placed { offset, time: draft.commit_time });
            offset += draft.record_bytes() as u64;
            (next, crc, time) = (next.next(), prefix_crc, draft.commit_time);
        }
        let mut slices: Vec<&[u8]> = Vec::with_capacity(batch.len() * 5 + 1);
        for (draft, prefix) in batch.iter().zip(&prefixes) {
            slices.push(prefix);
            draft.push_body(&mut slices);
            slices.push(&ZEROS[..draft.padding()]);
        }
        write_all_at(&*self.tail.file, &slices, self.tail.write_end).map_err(AppendError::of("write"))?;
        self.tail.file_end = self.tail.file_end.max(offset);
        self.tail.write_end = offset;
        self.write_zeros_ahead(bytes).map_err(AppendError::of("write"))?;
        (self.tail.next, self.tail.previous_crc, self.tail.previous_time) = (next, crc, time);
        Ok(placed)
    }

    /// Writes zeros behind a batch of `bytes` that came to the file's end. A sync of blocks that were written before
    /// changes no metadata of the file and is much cheaper than one that extends it; for large batches that gain is
    /// small and the bytes would be written twice.
    fn write_zeros_ahead(&mut self, bytes: u64) -> io::Result<()> {
        static ZEROS: [u8; ZERO_WRITE_BYTES] = [0; ZERO_WRITE_BYTES];
        let end = self.tail.file_end;
        if bytes > ZERO_AHEAD_BATCH_BYTES_MAX || end > self.tail.write_end {
            return Ok(());
        }
        let ahead = (end + self.options.zero_ahead_bytes).min(self.options.segment_bytes_max);
        let mut offset = end;
        while offset < ahead {
            let next = (offset + 1).next_multiple_of(ZERO_WRITE_BYTES as u64).min(ahead);
            match write_all_at(&*self.tail.file, &[&ZEROS[..(next - offset) as usize]], offset) {
                Ok(()) => offset = next,
                // They save time and hold nothing: the batch itself has its space.
                Err(e) if e.kind() == io::ErrorKind::StorageFull => break,
                Err(e) => return Err(e),
            }
        }
        self.tail.file_end = offset;
        Ok(())
    }

    /// Starts a new segment. All before it is flushed, and its own header is before any record goes in.
    fn rotate(&mut self) -> Result<(Arc<dyn DiskFile>, SegmentHeader), AppendError> {
        let header = SegmentHeader {
            identity: self.identity,
            first: self.tail.next,
            previous_time: self.tail.previous_time,
            previous_crc: self.tail.previous_crc,
            seed: self.env.random.bytes16(),
        };
        let file = create_segment(&self.env, &self.dir, &header).map_err(AppendError::of("create a segment of"))?;
        self.tail.file = Arc::clone(&file);
        self.tail.header = header;
        self.tail.seed = header.seed();
        self.tail.write_end = SEGMENT_HEADER_BYTES;
        self.tail.file_end = SEGMENT_HEADER_BYTES;
        Ok((file, header))
    }
}

/// Creates the segment's file with its header, durably, name included.
pub(crate) fn create_segment(
    env: &Env,
    dir: &std::path::Path,
    header: &SegmentHeader,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = env.disk.open(&dir.join(file_name(header.first)), OpenMode::CreateNew)?;
    write_all_at(&*file, &[&header.encode()], 0)?;
    file.sync_all()?;
    env.disk.sync_dir(dir)?;
    Ok(file)
}
