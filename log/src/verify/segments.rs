//! Segments: headers, records, the chain through them, and what stands behind the last record.

use std::sync::Arc;

use super::scan::{next_prefix, nonzero};
use super::sidecars::Beside;
use super::{Fault, Torn, Verifier, VerifyError, segment_file};
use crate::cursor::{BadRecord, Cursor, Found};
use crate::env::{DiskFile, OpenMode};
use crate::event::EventError;
use crate::ids::{CommitTime, Seq};
use crate::log::{RecoveryPlan, header_block, leaf_of};
use crate::record::BadBody;
use crate::recovery::{HeaderFact, Verdict};
use crate::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader};

/// What one record says that the next must follow on.
pub(super) struct Chain {
    next: Seq,
    /// Absent behind damage, and before the first record.
    previous: Option<(u32, CommitTime)>,
    begun: bool,
    time: CommitTime,
    flushed: Seq,
}

impl Chain {
    pub(super) fn new(first: Seq) -> Chain {
        Chain { next: first, previous: None, begun: false, time: CommitTime(0), flushed: Seq::ZERO }
    }
}

/// A segment being walked.
struct Open {
    first: Seq,
    file: Arc<dyn DiskFile>,
    header: SegmentHeader,
    cursor: Cursor,
    /// Records from this seq on belong to the next segment.
    until: Seq,
    /// Where to stop; `u64::MAX` where the records tell.
    stop: u64,
}

impl Verifier<'_> {
    /// A segment that another one follows: it must hold every record before `next`.
    pub(super) fn check_full(&mut self, first: Seq, next: Seq, chain: &mut Chain) -> Result<(), VerifyError> {
        self.report.segments += 1;
        self.check_begin(first, chain);
        let begin = self.report.bytes;
        if let Some(mut open) = self.open_segment(first, next, u64::MAX, chain)? {
            let mut beside = Beside::open(self, first);
            self.walk(&mut open, chain, &mut beside)?;
            if chain.next == next {
                let (bytes, _) = nonzero(&*open.file, open.cursor.offset());
                if bytes > 0 {
                    self.found(segment_file(first), open.cursor.offset(), None, Fault::Unwritten { bytes });
                }
            }
            let end = open.cursor.previous_crc().map(|crc| (open.cursor.offset(), crc));
            beside.finish(self, end, next);
        }
        self.rest_is_done(first, begin);
        if chain.next != next {
            self.broken(chain, next);
        }
        Ok(())
    }

    /// The segment that is written to; its end is recovery's to judge.
    pub(super) fn check_last(
        &mut self,
        first: Seq,
        plan: Option<&RecoveryPlan>,
        closed_at: Option<Seq>,
        chain: &mut Chain,
    ) -> Result<(), VerifyError> {
        self.report.segments += 1;
        self.check_begin(first, chain);
        let begin = self.report.bytes;
        let file = segment_file(first);
        let stop = match plan.map(|plan| (plan.verdict, plan)) {
            Some((Verdict::Recreate, plan)) => {
                self.report.torn = Some(Torn { file, offset: 0, from: first, bytes: plan.cut_bytes });
                self.report.last = plan.last;
                self.rest_is_done(first, begin);
                return Ok(());
            }
            Some((Verdict::Damage(kind), plan)) => {
                let offset = if plan.facts.header == HeaderFact::Good { plan.write_end } else { 0 };
                self.found(file.clone(), offset, Some(plan.last.next()), Fault::Tail(kind));
                u64::MAX
            }
            Some((_, plan)) => plan.write_end,
            None => u64::MAX,
        };
        if let Some(mut open) = self.open_segment(first, Seq::MAX, stop, chain)? {
            self.walk(&mut open, chain, &mut Beside::none())?;
        }
        self.report.last = chain.next.prev();
        if let Some(plan) = plan {
            self.report.closed = plan.clean;
            let (offset, from, bytes) = (plan.write_end, plan.last.next(), plan.cut_bytes);
            if plan.verdict == Verdict::Torn && closed_at == Some(plan.last) {
                self.found(file, offset, None, Fault::Unwritten { bytes });
            } else if plan.verdict == Verdict::Torn {
                self.report.torn = Some(Torn { file, offset, from, bytes });
            }
        }
        self.rest_is_done(first, begin);
        Ok(())
    }

    /// Every byte of the segment counts as done, whatever was found.
    fn rest_is_done(&mut self, first: Seq, begin: u64) {
        let walked = self.report.bytes - begin;
        self.done(self.bytes_of(&segment_file(first)).saturating_sub(walked));
    }

    /// The segment must begin where the one before ended.
    fn check_begin(&mut self, first: Seq, chain: &mut Chain) {
        if first > chain.next {
            self.found(segment_file(first), 0, Some(chain.next), Fault::Gap { until: first.prev() });
            self.broken(chain, first);
        }
    }

    /// Goes on at `next`, not knowing what was before it.
    fn broken(&mut self, chain: &mut Chain, next: Seq) {
        (chain.next, chain.previous) = (next, None);
        chain.begun = true;
        self.tree = None;
    }

    fn open_segment(
        &mut self,
        first: Seq,
        until: Seq,
        stop: u64,
        chain: &mut Chain,
    ) -> Result<Option<Open>, VerifyError> {
        let name = segment_file(first);
        let opened = self.env.disk.open(&self.dir.join(&name), OpenMode::Read);
        let opened = opened.and_then(|file| Ok((header_block(&*file)?, file)));
        let (block, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.found(name, 0, Some(first), Fault::Unreadable(error.kind()));
                return Ok(None);
            }
        };
        let header = match SegmentHeader::decode(&block, self.report.identity, first) {
            HeaderBlock::Good { header, damaged } => {
                if damaged {
                    self.found(name.clone(), 0, None, Fault::HeaderCopy);
                }
                header
            }
            HeaderBlock::NewerFormat(_) => return Err(VerifyError::Newer { file: self.dir.join(name) }),
            HeaderBlock::Blank | HeaderBlock::Bad => {
                self.found(name, 0, Some(first), Fault::Header);
                return Ok(None);
            }
        };
        let linked = match chain.previous {
            Some(previous) => previous == (header.previous_crc, header.previous_time),
            None => chain.begun || (header.previous_crc, header.previous_time) == (0, CommitTime(0)),
        };
        if !linked {
            self.found(name, 0, Some(first), Fault::HeaderLink);
        }
        chain.time = chain.time.max(header.previous_time);
        chain.begun = true;
        let crc = Some(header.previous_crc);
        let cursor = Cursor::new(Arc::clone(&file), header.identity, header.seed(), SEGMENT_HEADER_BYTES, first, crc);
        self.done(block.len() as u64);
        chain.previous = Some((header.previous_crc, header.previous_time));
        Ok(Some(Open { first, file, header, cursor, until, stop }))
    }

    fn walk(&mut self, open: &mut Open, chain: &mut Chain, beside: &mut Beside) -> Result<(), VerifyError> {
        while open.cursor.next_seq() < open.until && open.cursor.offset() < open.stop {
            match open.cursor.peek() {
                Ok(Ok(found)) => self.check_record(open, &found, chain, beside)?,
                Ok(Err(bad)) => {
                    if !self.skip(open, bad.into(), chain) {
                        break;
                    }
                }
                Err(error) => {
                    let (offset, seq) = (open.cursor.offset(), open.cursor.next_seq());
                    self.found(segment_file(open.first), offset, Some(seq), Fault::Unreadable(error.kind()));
                    if !self.resume(open, chain) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn check_record(
        &mut self,
        open: &mut Open,
        found: &Found,
        chain: &mut Chain,
        beside: &mut Beside,
    ) -> Result<(), VerifyError> {
        let prefix = *found.prefix();
        let file = segment_file(open.first);
        open.cursor.pass(found);
        self.done(prefix.record_bytes() as u64);
        if prefix.commit_time <= chain.time {
            self.found(file.clone(), found.offset, Some(prefix.seq), Fault::TimeOrder);
        }
        if prefix.flushed < chain.flushed {
            self.found(file.clone(), found.offset, Some(prefix.seq), Fault::FlushedOrder);
        }
        chain.next = prefix.seq.next();
        chain.previous = Some((prefix.crc, prefix.commit_time));
        chain.time = chain.time.max(prefix.commit_time);
        chain.flushed = chain.flushed.max(prefix.flushed);
        match found.body.decode_and_hash() {
            Ok(record) => {
                let leaf = leaf_of(found, &record);
                if let Some(tree) = &mut self.tree {
                    tree.push(leaf);
                }
                self.report.records += 1;
                beside.compare(self, found, &record, leaf);
                self.observer.record(&record);
                Ok(())
            }
            Err(BadBody::Event(EventError::Unknown { .. })) => Err(VerifyError::Newer { file: self.dir.join(file) }),
            Err(bad) => {
                // The prefix holds, so the place of the next record is known.
                self.found(file, found.offset, Some(prefix.seq), Fault::Record(bad.into()));
                self.tree = None;
                Ok(())
            }
        }
    }

    /// No record stands where one is expected. Says what is lost and goes on at the next valid record; false if there
    /// is none.
    fn skip(&mut self, open: &mut Open, why: BadRecord, chain: &mut Chain) -> bool {
        let (offset, seq) = (open.cursor.offset(), open.cursor.next_seq());
        let more = self.resume(open, chain);
        let (count, nonzero_end) = if more { (1, open.cursor.offset()) } else { nonzero(&*open.file, offset) };
        if open.until == Seq::MAX && count == 0 {
            return false;
        }
        let until = if more {
            Some(open.cursor.next_seq().prev())
        } else {
            Some(open.until.prev()).filter(|_| open.until < Seq::MAX)
        };
        self.found(segment_file(open.first), offset, Some(seq), Fault::Lost { end: nonzero_end, until, why });
        self.tree = None;
        more
    }

    /// Moves to the next valid record behind the cursor's place.
    fn resume(&mut self, open: &mut Open, chain: &mut Chain) -> bool {
        let from = open.cursor.offset() + 8;
        let least = open.cursor.next_seq();
        let Some((offset, seq)) = next_prefix(&*open.file, &open.header, from, least, open.until) else {
            return false;
        };
        self.broken(chain, seq);
        let seed = open.header.seed();
        open.cursor = Cursor::new(Arc::clone(&open.file), open.header.identity, seed, offset, seq, None);
        true
    }
}
