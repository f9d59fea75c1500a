//! Creating and opening a log: look first ([`inspect`]), then do what was decided.
//!
//! Invariants:
//! 1. Nothing is written before the verdict stands, and looking only gives the same verdict (R28).
//! 2. A crash at any step of recovery, and recovery again, ends in the same bytes (R27).
//! 3. Nothing is shown before it is on stable storage: records above the last proof of flush are written again and
//!    synced, because a sync that succeeds after one that failed proves nothing (R6, R8).

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use parking_lot::{Condvar, Mutex, RwLock};

use super::chunks::ChunkCache;
use super::inspect::{RecoveryPlan, inspect, open_watermark, walk};
use super::locate::header_block;
use super::segments::{Index, Segment, Segments};
use super::tail::{Followers, Recent};
use super::ticker::Ticker;
use super::{Driver, Log, LogOptions, Queue, Shared};
use crate::appender::{Appender, Tail, create_segment};
use crate::env::{DiskFile, Env, OpenMode, read_exact_at, write_all_at};
use crate::ids::{CommitTime, Seq, ZoneIdentity};
use crate::recovery::{DamageKind, Proofs, Verdict};
use crate::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name};
use crate::watermark::Watermark;

pub(crate) const WATERMARK: &str = "watermark";
/// Segment files stand in this folder of the zone's directory.
pub const SEGMENTS: &str = "log";
pub(super) const BLOCK: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Stored bytes are not what was written. Nothing was changed.
    #[error("damage at record {seq}, byte {offset} of {file}; run `nexus verify`")]
    Damage {
        seq: Seq,
        file: PathBuf,
        offset: u64,
        #[source]
        kind: DamageKind,
    },
    #[error("{file} was written by a newer release; upgrade to open it")]
    Newer { file: PathBuf },
    #[error("{dir} holds no segment of the log that begins at record {first}")]
    NoSegments { dir: PathBuf, first: Seq },
    #[error("cannot {operation} {path}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        move |source| OpenError::Io { operation, path: path.to_owned(), source }
    }
}

/// A torn tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// First seq that is not there any more.
    pub from: Seq,
    /// Non-zero bytes that were cut.
    pub bytes: u64,
}

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The log was closed in order.
    pub clean: bool,
    pub last: Seq,
    pub cut: Option<Cut>,
    /// Records written again for lack of a proof of their flush.
    pub rewritten: u64,
    /// Spare copies that are damaged: nothing is lost, but a person should look.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub struct Opened {
    pub log: Log,
    pub report: RecoveryReport,
}

impl Log {
    /// Creates the log of a new zone in the zone's directory `dir`, which must hold none.
    pub fn create(
        env: &Env,
        dir: &Path,
        identity: ZoneIdentity,
        first: Seq,
        options: LogOptions,
    ) -> Result<Log, OpenError> {
        let segments = &dir.join(SEGMENTS);
        env.disk.create_dir_all(segments).map_err(OpenError::io("create", segments))?;
        let header = SegmentHeader {
            identity,
            first,
            previous_time: CommitTime(0),
            previous_crc: 0,
            seed: env.random.bytes16(),
        };
        create_segment(env, segments, &header).map_err(OpenError::io("create a segment in", segments))?;
        let path = dir.join(WATERMARK);
        Watermark::create(&env.disk, &path, identity).map_err(OpenError::io("create", &path))?;
        Ok(Log::open(env, dir, identity, first, Proofs::default(), options)?.log)
    }

    /// Opens the log of the zone in `dir`, recovering from an unclean end.
    pub fn open(
        env: &Env,
        dir: &Path,
        identity: ZoneIdentity,
        first: Seq,
        proofs: Proofs,
        options: LogOptions,
    ) -> Result<Opened, OpenError> {
        let mut plan = inspect(env, dir, identity, first, proofs)?;
        if let Some(refusal) = plan.refusal(dir) {
            return Err(refusal);
        }
        let rewritten = plan.carry_out(env, dir, identity)?;
        let cut = (plan.verdict == Verdict::Torn).then_some(Cut { from: plan.last.next(), bytes: plan.cut_bytes });
        let report = RecoveryReport {
            clean: plan.clean,
            last: plan.last,
            cut,
            rewritten,
            warnings: std::mem::take(&mut plan.warnings),
        };
        let path = dir.join(WATERMARK);
        let (mut watermark, _) = open_watermark(env, &path, identity)?;
        watermark.persist(plan.last, false).map_err(OpenError::io("write", &path))?;
        let log = Log::assemble(env, dir, first, options, plan, watermark)?;
        Ok(Opened { log, report })
    }

    fn assemble(
        env: &Env,
        dir: &Path,
        first: Seq,
        options: LogOptions,
        plan: RecoveryPlan,
        watermark: Watermark,
    ) -> Result<Log, OpenError> {
        let header = plan.header.expect("recovery left a header");
        let tail = Tail {
            file: Arc::clone(&plan.file),
            header,
            seed: header.seed(),
            write_end: plan.write_end,
            file_end: plan.file_end,
            next: plan.last.next(),
            previous_crc: plan.previous_crc,
            previous_time: plan.previous_time,
        };
        let queue = Queue {
            unflushed: VecDeque::new(),
            taken: 0,
            batches: 0,
            bytes: 0,
            appended: plan.last,
            appended_time: plan.previous_time,
            flushed: plan.last,
            writing: false,
            poisoned: None,
            witnessed: plan.last,
            ticker_idle: false,
            closing: false,
            scouted: false,
        };
        let segment = Segment::new(plan.file, header, Index::Memory(RwLock::new(plan.index)));
        let shared = Arc::new(Shared {
            env: env.clone(),
            dir: dir.to_owned(),
            segments_dir: dir.join(SEGMENTS),
            identity: header.identity,
            first,
            options,
            queue: Mutex::new(queue),
            batch_done: [Condvar::new(), Condvar::new()],
            followers: Followers::default(),
            recent: Recent::default(),
            work: Condvar::new(),
            flushed: AtomicU64::new(plan.last.0),
            space_budget: AtomicI64::new(0),
            appender: Mutex::new(Appender::new(
                env.clone(),
                dir.join(SEGMENTS),
                header.identity,
                options.appender,
                tail,
            )),
            watermark: Mutex::new(watermark),
            guard: Mutex::default(),
            segments: Segments::new(&plan.firsts, segment),
            chunks: ChunkCache::default(),
        });
        let ticker = match options.driver {
            Driver::Manual => None,
            _ => Some(Arc::new(Ticker::start(&shared).map_err(OpenError::io("start a thread for", dir))?)),
        };
        Ok(Log { shared, ticker })
    }

    /// Flushes what is appended, seals full segments and notes that the end is clean.
    pub fn close(&self) -> Result<(), super::Poisoned> {
        self.flush()?;
        if let Some(ticker) = &self.ticker {
            ticker.stop();
        }
        self.shared.end_followers();
        self.shared.seal_all();
        self.shared.witness(true);
        Ok(())
    }
}

impl RecoveryPlan {
    /// Makes the bytes on disk what the verdict says, and durable. Returns how many records were written again.
    fn carry_out(&mut self, env: &Env, dir: &Path, identity: ZoneIdentity) -> Result<u64, OpenError> {
        let dir = &dir.join(SEGMENTS);
        let path = dir.join(file_name(self.last_first()));
        if self.verdict == Verdict::Recreate {
            let header = self.header_anew(env, dir, identity)?;
            self.previous_crc = header.previous_crc;
            self.previous_time = header.previous_time;
            self.header = Some(header);
        }
        let rewritten = self.write_again().and_then(|count| {
            // Zeros that are read may be in the cache only, where the sync of an earlier recovery failed.
            if !self.clean {
                zero(&*self.file, self.write_end, self.file_end)?;
            }
            self.file.sync_all()?;
            env.disk.sync_dir(dir)?;
            Ok(count)
        });
        self.file_end = self.file_end.max(SEGMENT_HEADER_BYTES);
        rewritten.map_err(OpenError::io("recover", &path))
    }

    /// The header of a segment whose creation was cut short: it follows on the last record of the one before.
    fn header_anew(&self, env: &Env, dir: &Path, identity: ZoneIdentity) -> Result<SegmentHeader, OpenError> {
        let first = self.last_first();
        let seed = env.random.bytes16();
        let Some(before) = self.firsts.iter().rev().nth(1) else {
            return Ok(SegmentHeader { identity, first, previous_time: CommitTime(0), previous_crc: 0, seed });
        };
        let path = dir.join(file_name(*before));
        let file = env.disk.open(&path, OpenMode::Read).map_err(OpenError::io("open", &path))?;
        let block = header_block(&*file).map_err(OpenError::io("read", &path))?;
        let damage = |seq, offset, kind| OpenError::Damage { seq, file: path.clone(), offset, kind };
        let HeaderBlock::Good { header, .. } = SegmentHeader::decode(&block, identity, *before) else {
            return Err(damage(*before, 0, DamageKind::Header));
        };
        let walked = walk(&file, &header).map_err(OpenError::io("read", &path))?;
        if walked.next != first {
            return Err(damage(walked.next, walked.end, DamageKind::Flushed));
        }
        let (previous_time, previous_crc) = (walked.previous_time, walked.previous_crc);
        Ok(SegmentHeader { identity, first, previous_time, previous_crc, seed })
    }

    /// Writes the same bytes over what no proof of flush covers.
    fn write_again(&self) -> io::Result<u64> {
        let first = self.last_first();
        if self.proven < first {
            write_all_at(&*self.file, &[&self.header.expect("decided").encode()], 0)?;
        }
        let from = self.proven.next().max(first);
        let Some(start) = self.index.offsets.get((from.0 - first.0) as usize) else { return Ok(0) };
        let mut offset = u64::from(*start);
        while offset < self.write_end {
            let mut block = vec![0; (self.write_end - offset).min(BLOCK as u64) as usize];
            read_exact_at(&*self.file, &mut block, offset)?;
            write_all_at(&*self.file, &[&block], offset)?;
            offset += block.len() as u64;
        }
        Ok(self.last.0 + 1 - from.0)
    }
}

fn zero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; BLOCK];
    let mut offset = from;
    while offset < to {
        let take = (to - offset).min(BLOCK as u64);
        write_all_at(file, &[&zeros[..take as usize]], offset)?;
        offset += take;
    }
    Ok(())
}
