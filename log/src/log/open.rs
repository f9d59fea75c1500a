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

use super::locate::header_block;
use super::segments::{Index, MemoryIndex, Segment, Segments};
use super::ticker::Ticker;
use super::{Driver, Log, LogOptions, Queue, Shared};
use crate::appender::{Appender, Tail, create_segment};
use crate::cursor::{BadRecord, Cursor};
use crate::env::{DiskFile, Env, OpenMode, read_exact_at, write_all_at};
use crate::ids::{CommitTime, Seq, ZoneIdentity};
use crate::limits::INFLIGHT_BYTES_MAX;
use crate::record::{BadPrefix, Expected, PREFIX_BYTES, Prefix, Seed};
use crate::recovery::{DamageKind, EndFact, HeaderFact, Proofs, TailFacts, Verdict, decide};
use crate::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name, parse_file_name};
use crate::watermark::{Watermark, WatermarkError, WatermarkState};

const WATERMARK: &str = "watermark";
/// Segment files stand in this folder of the zone's directory.
pub const SEGMENTS: &str = "log";
const BLOCK: usize = 1 << 20;

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
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
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

/// What stands on disk and what it means. Making one writes nothing.
#[derive(Debug)]
pub struct RecoveryPlan {
    pub verdict: Verdict,
    /// Highest seq that a proof of flush covers.
    pub proven: Seq,
    /// Highest seq with a valid record.
    pub last: Seq,
    pub facts: TailFacts,
    pub cut_bytes: u64,
    /// The log was closed in order right behind `last`.
    pub clean: bool,
    pub warnings: Vec<String>,
    firsts: Vec<Seq>,
    file: Arc<dyn DiskFile>,
    /// Absent where the last segment's header is.
    header: Option<SegmentHeader>,
    index: MemoryIndex,
    write_end: u64,
    file_end: u64,
    previous_crc: u32,
    previous_time: CommitTime,
}

/// What the walk over the last segment found.
struct Walked {
    index: MemoryIndex,
    end: u64,
    next: Seq,
    previous_crc: u32,
    previous_time: CommitTime,
    carried: Seq,
    bad: BadRecord,
}

/// Looks at the log of the zone in `dir` whose first record is `first`, and decides what its end means.
pub fn inspect(
    env: &Env,
    dir: &Path,
    identity: ZoneIdentity,
    first: Seq,
    proofs: Proofs,
) -> Result<RecoveryPlan, OpenError> {
    let segments = &dir.join(SEGMENTS);
    let names = env.disk.list(segments).map_err(OpenError::io("list", segments))?;
    let firsts: Vec<Seq> = names.iter().filter_map(|n| parse_file_name(n)).collect();
    let (Some(last_first), true) = (firsts.last().copied(), firsts.first() == Some(&first)) else {
        return Err(OpenError::NoSegments { dir: segments.to_owned(), first });
    };
    let mut warnings = Vec::new();
    let state = read_watermark(env, dir, identity, &mut warnings)?;
    let witnessed = state.mark.map_or(Seq::ZERO, |mark| mark.flushed);
    let proven = witnessed.max(proofs.highest()).max(last_first.prev());
    let path = segments.join(file_name(last_first));
    let file = env.disk.open(&path, OpenMode::ReadWrite).map_err(OpenError::io("open", &path))?;
    let block = header_block(&*file).map_err(OpenError::io("read", &path))?;
    let mut plan = RecoveryPlan {
        verdict: Verdict::Clean,
        proven,
        last: last_first.prev(),
        facts: TailFacts {
            header: HeaderFact::Good,
            end: EndFact::Zeros,
            proven: proven >= last_first,
            far: false,
            content: false,
        },
        cut_bytes: 0,
        clean: false,
        warnings,
        firsts,
        file_end: file.len().map_err(OpenError::io("read", &path))?,
        file,
        header: None,
        index: MemoryIndex::default(),
        write_end: SEGMENT_HEADER_BYTES,
        previous_crc: 0,
        previous_time: CommitTime(0),
    };
    match SegmentHeader::decode(&block, identity, last_first) {
        HeaderBlock::Good { header, damaged } => {
            if damaged {
                plan.warnings.push(format!("one copy of the header of {} is damaged", path.display()));
            }
            plan.look_at_tail(header).map_err(OpenError::io("read", &path))?;
        }
        other => {
            plan.facts.header = match other {
                HeaderBlock::Blank => HeaderFact::Blank,
                HeaderBlock::NewerFormat(_) => HeaderFact::Newer,
                _ => HeaderFact::Bad,
            };
            let rest = Rest::scan(&*plan.file, SEGMENT_HEADER_BYTES, None).map_err(OpenError::io("read", &path))?;
            plan.facts.content = rest.nonzero_bytes > 0;
        }
    }
    plan.verdict = decide(&plan.facts);
    let closed_here = state.mark.is_some_and(|mark| mark.clean && mark.flushed == plan.last);
    plan.clean = closed_here && plan.verdict == Verdict::Clean;
    Ok(plan)
}

fn read_watermark(
    env: &Env,
    dir: &Path,
    identity: ZoneIdentity,
    warnings: &mut Vec<String>,
) -> Result<WatermarkState, OpenError> {
    let path = dir.join(WATERMARK);
    let (_, state) = open_watermark(env, &path, identity)?;
    for (slot, fault) in state.faults.iter().enumerate() {
        if let Some(fault) = fault {
            warnings.push(format!("slot {slot} of {} is damaged: {fault}", path.display()));
        }
    }
    Ok(state)
}

fn open_watermark(env: &Env, path: &Path, identity: ZoneIdentity) -> Result<(Watermark, WatermarkState), OpenError> {
    Watermark::open(&env.disk, path, identity).map_err(|error| match error {
        WatermarkError::NewerFormat { .. } => OpenError::Newer { file: path.to_owned() },
        WatermarkError::Io(source) => OpenError::Io { operation: "open", path: path.to_owned(), source },
    })
}

impl RecoveryPlan {
    /// Walks the last segment and gathers the facts about its end.
    fn look_at_tail(&mut self, header: SegmentHeader) -> io::Result<()> {
        let walked = walk(&self.file, &header)?;
        let rest = Rest::scan(&*self.file, walked.end, Some((&header, walked.next)))?;
        self.proven = self.proven.max(walked.carried).max(rest.carried);
        self.facts.end = match &walked.bad {
            BadRecord::Prefix(BadPrefix::NewerFormat(_)) => EndFact::Newer,
            _ if rest.nonzero_bytes == 0 => EndFact::Zeros,
            _ => EndFact::Bad,
        };
        self.facts.proven = self.proven >= walked.next;
        self.facts.far = rest.nonzero_end > walked.end + INFLIGHT_BYTES_MAX;
        self.facts.content = walked.end > SEGMENT_HEADER_BYTES || rest.nonzero_bytes > 0;
        self.cut_bytes = rest.nonzero_bytes;
        self.last = walked.next.prev();
        self.header = Some(header);
        self.index = walked.index;
        self.write_end = walked.end;
        self.previous_crc = walked.previous_crc;
        self.previous_time = walked.previous_time;
        Ok(())
    }

    fn last_first(&self) -> Seq {
        *self.firsts.last().expect("a log has a segment")
    }

    fn refusal(&self, dir: &Path) -> Option<OpenError> {
        let file = dir.join(SEGMENTS).join(file_name(self.last_first()));
        match self.verdict {
            Verdict::Clean | Verdict::Torn | Verdict::Recreate => None,
            Verdict::Refuse => Some(OpenError::Newer { file }),
            Verdict::Damage(kind) => {
                Some(OpenError::Damage { seq: self.last.next(), file, offset: self.write_end, kind })
            }
        }
    }
}

fn walk(file: &Arc<dyn DiskFile>, header: &SegmentHeader) -> io::Result<Walked> {
    let mut index = MemoryIndex::default();
    let mut carried = Seq::ZERO;
    let mut previous_time = header.previous_time;
    let crc = Some(header.previous_crc);
    let mut cursor =
        Cursor::new(Arc::clone(file), header.identity, header.seed(), SEGMENT_HEADER_BYTES, header.first, crc);
    loop {
        match cursor.next_checked()? {
            Ok(found) => {
                index.push(found.offset, found.prefix().commit_time);
                carried = carried.max(found.prefix().flushed);
                previous_time = found.prefix().commit_time;
            }
            Err(bad) => {
                return Ok(Walked {
                    index,
                    end: cursor.offset(),
                    next: cursor.next_seq(),
                    previous_crc: cursor.previous_crc().expect("given at the start"),
                    previous_time,
                    carried,
                    bad,
                });
            }
        }
    }
}

/// What stands behind the valid records.
#[derive(Default)]
struct Rest {
    nonzero_bytes: u64,
    /// Behind the last non-zero byte.
    nonzero_end: u64,
    /// Highest flushed seq that a valid prefix here carries.
    carried: Seq,
}

impl Rest {
    /// Scans from `from` to the end of the file. With a header, also looks for prefixes of later records: those were
    /// written knowing what was flushed.
    fn scan(file: &dyn DiskFile, from: u64, search: Option<(&SegmentHeader, Seq)>) -> io::Result<Rest> {
        let mut rest = Rest { nonzero_end: from, ..Rest::default() };
        let len = file.len()?;
        let mut offset = from;
        // Blocks overlap by a prefix, so that one that crosses a border is seen.
        while offset < len {
            let take = (len - offset).min((BLOCK + PREFIX_BYTES) as u64) as usize;
            let mut block = vec![0; take];
            read_exact_at(file, &mut block, offset)?;
            let own = &block[..take.min(BLOCK)];
            if let Some(last) = own.iter().rposition(|b| *b != 0) {
                rest.nonzero_bytes += own.iter().filter(|b| **b != 0).count() as u64;
                rest.nonzero_end = offset + last as u64 + 1;
                if let Some((header, next)) = search {
                    rest.carried = rest.carried.max(carried_in(&block, header, &header.seed(), next));
                }
            }
            offset += BLOCK as u64;
        }
        Ok(rest)
    }
}

/// Highest flushed seq carried by a valid prefix of a record from `next` on in `block`, at any multiple of 8.
fn carried_in(block: &[u8], header: &SegmentHeader, seed: &Seed, next: Seq) -> Seq {
    let expected = Expected { identity: header.identity, seq: None, previous_crc: None };
    let prefixes = (0..block.len()).step_by(8).filter_map(|at| block[at..].first_chunk::<PREFIX_BYTES>());
    let valid = prefixes.filter_map(|bytes| Prefix::check(bytes, seed, &expected).ok());
    valid.filter(|p| p.seq >= next).map(|p| p.flushed).max().unwrap_or(Seq::ZERO)
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
            bytes: 0,
            appended: plan.last,
            appended_time: plan.previous_time,
            flushed: plan.last,
            writing: false,
            poisoned: None,
            witnessed: plan.last,
            ticker_idle: false,
            closing: false,
        };
        let segment = Segment { file: plan.file, header, index: Index::Memory(RwLock::new(plan.index)) };
        let shared = Arc::new(Shared {
            env: env.clone(),
            dir: dir.to_owned(),
            segments_dir: dir.join(SEGMENTS),
            identity: header.identity,
            first,
            options,
            queue: Mutex::new(queue),
            progress: Condvar::new(),
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
            segments: Segments::new(&plan.firsts, segment),
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
