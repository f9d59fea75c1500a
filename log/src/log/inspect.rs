//! Looking at the end of a log, without writing: what stands there and what it means.
//!
//! Used by opening, which then does what was decided, and by `verify`, which only reports.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::locate::header_block;
use super::open::{BLOCK, OpenError, SEGMENTS, WATERMARK};
use super::segments::MemoryIndex;
use crate::cursor::{BadRecord, Cursor};
use crate::env::{DiskFile, Env, OpenMode, read_exact_at};
use crate::ids::{CommitTime, Seq, ZoneIdentity};
use crate::limits::INFLIGHT_BYTES_MAX;
use crate::record::{BadPrefix, Expected, PREFIX_BYTES, Prefix, Seed};
use crate::recovery::{EndFact, HeaderFact, Proofs, TailFacts, Verdict, decide};
use crate::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name, parse_file_name};
use crate::watermark::{Watermark, WatermarkError, WatermarkState};

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
    /// What the watermark says.
    pub watermark: WatermarkState,
    /// First seq of every segment, in order; never empty.
    pub firsts: Vec<Seq>,
    /// Where the last segment's valid records end.
    pub write_end: u64,
    pub(super) file: Arc<dyn DiskFile>,
    /// Absent where the last segment's header is.
    pub(super) header: Option<SegmentHeader>,
    pub(super) index: MemoryIndex,
    pub(super) file_end: u64,
    pub(super) previous_crc: u32,
    pub(super) previous_time: CommitTime,
}

/// What the walk over the last segment found.
pub(super) struct Walked {
    index: MemoryIndex,
    pub(super) end: u64,
    pub(super) next: Seq,
    pub(super) previous_crc: u32,
    pub(super) previous_time: CommitTime,
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
    let marked = read_watermark(env, dir, identity)?;
    let firsts = segments_in(env, dir)?;
    if firsts.first() != Some(&first) {
        return Err(OpenError::NoSegments { dir: dir.join(SEGMENTS), first });
    }
    look(env, dir, identity, (marked, firsts), proofs, OpenMode::ReadWrite)
}

/// First seqs of the segment files in the zone's directory.
pub(crate) fn segments_in(env: &Env, dir: &Path) -> Result<Vec<Seq>, OpenError> {
    let segments = &dir.join(SEGMENTS);
    let names = env.disk.list(segments).map_err(OpenError::io("list", segments))?;
    Ok(names.iter().filter_map(|n| parse_file_name(n)).collect())
}

/// Decides from the watermark and the last segment, of which there must be one. Where a log may be appended to
/// meanwhile, the watermark was read before the names: it never proves more than they show.
pub(crate) fn look(
    env: &Env,
    dir: &Path,
    identity: ZoneIdentity,
    (marked, firsts): (WatermarkState, Vec<Seq>),
    proofs: Proofs,
    mode: OpenMode,
) -> Result<RecoveryPlan, OpenError> {
    let last_first = *firsts.last().expect("a log has a segment");
    let witnessed = marked.mark.map_or(Seq::ZERO, |mark| mark.flushed);
    let proven = witnessed.max(proofs.highest()).max(last_first.prev());
    let path = dir.join(SEGMENTS).join(file_name(last_first));
    let file = env.disk.open(&path, mode).map_err(OpenError::io("open", &path))?;
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
        warnings: warnings_of(&marked, dir),
        watermark: marked,
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
    let closed_here = plan.watermark.mark.is_some_and(|mark| mark.clean && mark.flushed == plan.last);
    plan.clean = closed_here && plan.verdict == Verdict::Clean;
    Ok(plan)
}

pub(crate) fn read_watermark(env: &Env, dir: &Path, identity: ZoneIdentity) -> Result<WatermarkState, OpenError> {
    Ok(open_watermark(env, &dir.join(WATERMARK), identity)?.1)
}

fn warnings_of(marked: &WatermarkState, dir: &Path) -> Vec<String> {
    let path = dir.join(WATERMARK);
    let slots = marked.faults.iter().enumerate();
    let faults = slots.filter_map(|(slot, fault)| fault.map(|fault| (slot, fault)));
    faults.map(|(slot, fault)| format!("slot {slot} of {} is damaged: {fault}", path.display())).collect()
}

pub(super) fn open_watermark(
    env: &Env,
    path: &Path,
    identity: ZoneIdentity,
) -> Result<(Watermark, WatermarkState), OpenError> {
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
            // Its checksum holds, so a release that knows more wrote it.
            BadRecord::Prefix(BadPrefix::NewerFormat(_) | BadPrefix::Reserved | BadPrefix::Lengths) => EndFact::Newer,
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

    /// Commit time of the record `last`; of the one before the segment where that holds none.
    #[must_use]
    pub fn last_time(&self) -> CommitTime {
        self.previous_time
    }

    pub(super) fn last_first(&self) -> Seq {
        *self.firsts.last().expect("a log has a segment")
    }

    pub(super) fn refusal(&self, dir: &Path) -> Option<OpenError> {
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

pub(super) fn walk(file: &Arc<dyn DiskFile>, header: &SegmentHeader) -> io::Result<Walked> {
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
