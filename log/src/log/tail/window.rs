//! The newest flushed records, decoded once for all tails.
//!
//! A run of records without holes, filled by the tail that needs the next one, emptied from its old end. Its bounds are
//! [`TAIL_WINDOW_RECORDS_MAX`] and [`TAIL_WINDOW_BYTES_MAX`]; with the last tail it goes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::super::{Log, ReadError};
use super::Told;
use crate::ids::Seq;
use crate::limits::{
    TAIL_BATCH_BYTES_MAX, TAIL_BATCH_RECORDS_MAX, TAIL_READ_BYTES, TAIL_RECORD_BYTES, TAIL_WINDOW_BYTES_MAX,
    TAIL_WINDOW_RECORDS_MAX, TAILS_MAX,
};
use crate::segment::SEGMENT_HEADER_BYTES;

#[derive(Debug, Default)]
pub(in crate::log) struct Recent {
    tails: AtomicUsize,
    held: RwLock<Held>,
    /// One at a time reads into the window.
    filler: Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    /// Without holes.
    records: VecDeque<Told>,
    bytes: usize,
}

impl Held {
    fn first(&self) -> Option<Seq> {
        self.records.front().map(|told| told.record.seq)
    }

    /// Behind the last.
    fn end(&self) -> Option<Seq> {
        self.records.back().map(|told| told.record.seq.next())
    }

    fn push(&mut self, told: Told) {
        self.bytes += weight(&told);
        self.records.push_back(told);
        while self.records.len() > TAIL_WINDOW_RECORDS_MAX
            || (self.bytes > TAIL_WINDOW_BYTES_MAX && self.records.len() > 1)
        {
            let oldest = self.records.pop_front().expect("it is not empty");
            self.bytes -= weight(&oldest);
        }
    }

    fn clear(&mut self) {
        *self = Held::default();
    }
}

fn weight(told: &Told) -> usize {
    told.meta_bytes + TAIL_RECORD_BYTES
}

impl Recent {
    /// Counts a tail; false where there are too many.
    pub(super) fn enter(&self) -> bool {
        let more = |tails| (tails < TAILS_MAX).then_some(tails + 1);
        self.tails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn leave(&self) {
        if self.tails.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.held.write().clear();
        }
    }

    /// Records from `next`, which is flushed, on. `None` where `next` is too far back: the tail reads by itself.
    pub(super) fn batch(&self, log: &Log, next: Seq, flushed: Seq) -> Result<Option<VecDeque<Told>>, ReadError> {
        if let Some(batch) = self.look(next) {
            return Ok(Some(batch));
        }
        let near = |seq: Seq| flushed.0 < seq.0 + TAIL_WINDOW_RECORDS_MAX as u64;
        if !near(next) {
            return Ok(None);
        }
        let _alone = self.filler.lock();
        if let Some(batch) = self.look(next) {
            return Ok(Some(batch));
        }
        let (first, end) = {
            let held = self.held.read();
            (held.first(), held.end())
        };
        if first.is_some_and(|first| next < first) {
            return Ok(None);
        }
        let from = match end {
            Some(end) if near(end) => end,
            _ => {
                self.held.write().clear();
                next
            }
        };
        self.fill(log, from, next, flushed)?;
        Ok(self.look(next))
    }

    fn look(&self, next: Seq) -> Option<VecDeque<Told>> {
        let held = self.held.read();
        let at = next.0.checked_sub(held.first()?.0)? as usize;
        let mut bytes = 0;
        let fits = |told: &&Told| {
            let before = bytes;
            bytes += told.meta_bytes;
            before < TAIL_BATCH_BYTES_MAX
        };
        let newest = held.records.range(at.min(held.records.len())..);
        let batch: VecDeque<Told> = newest.take(TAIL_BATCH_RECORDS_MAX).take_while(fits).cloned().collect();
        (!batch.is_empty()).then_some(batch)
    }

    /// Reads the records from `from` on into the window, past `next` and then a batch at most.
    fn fill(&self, log: &Log, from: Seq, next: Seq, flushed: Seq) -> Result<(), ReadError> {
        let mut reader = log.records(from).reading_ahead(read_ahead(from, flushed));
        let mut at = from;
        let (mut records, mut bytes) = (0, 0);
        while let Some(read) = reader.next_meta() {
            let told = match read {
                Ok(read) => Told::new(read),
                // The tail that comes to it meets it again.
                Err(_) if at > next => return Ok(()),
                Err(error) => return Err(error),
            };
            bytes += told.meta_bytes;
            records += 1;
            at = at.next();
            self.held.write().push(told);
            if at > next && (records >= TAIL_BATCH_RECORDS_MAX || bytes >= TAIL_BATCH_BYTES_MAX) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// At the log's end there is little to read, and reading zeros ahead for each batch would cost more than the records.
fn read_ahead(from: Seq, flushed: Seq) -> usize {
    const RECORD_BYTES_USUAL: u64 = 512;
    let bytes = (flushed.0 + 1).saturating_sub(from.0).saturating_mul(RECORD_BYTES_USUAL);
    bytes.clamp(SEGMENT_HEADER_BYTES, TAIL_READ_BYTES as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Context;
    use crate::ids::{CommitTime, Incarnation, Term, ZoneId, ZoneIdentity};
    use crate::record::Record;

    fn told(seq: u64, meta_bytes: usize) -> Told {
        let record = Record {
            identity: ZoneIdentity { zone: ZoneId::default(), incarnation: Incarnation(1) },
            seq: Seq(seq),
            term: Term(1),
            commit_time: CommitTime(seq),
            context: Context::default(),
            chunks: Vec::new(),
            events: Vec::new(),
        };
        Told { record: Arc::new(record), meta_bytes }
    }

    #[test]
    fn the_window_is_bounded_in_records_and_in_bytes() {
        let mut held = Held::default();
        for seq in 1..=3 * TAIL_WINDOW_RECORDS_MAX as u64 {
            held.push(told(seq, 10));
            assert!(held.records.len() <= TAIL_WINDOW_RECORDS_MAX);
            assert_eq!(held.end(), Some(Seq(seq + 1)));
        }
        assert_eq!(held.records.len(), TAIL_WINDOW_RECORDS_MAX);
        for seq in 1..=100 {
            held.push(told(3 * TAIL_WINDOW_RECORDS_MAX as u64 + seq, 1 << 20));
            assert!(held.bytes <= TAIL_WINDOW_BYTES_MAX, "{}", held.bytes);
        }
        assert_eq!(held.bytes, held.records.iter().map(weight).sum::<usize>());
        // One that is larger than the window is kept alone: who needs it takes it at once.
        held.push(told(u64::MAX - 1, 2 * TAIL_WINDOW_BYTES_MAX));
        assert_eq!(held.records.len(), 1);
    }

    #[test]
    fn a_batch_is_bounded_and_begins_where_it_is_asked_to() {
        let recent = Recent::default();
        (1..=1000).for_each(|seq| recent.held.write().push(told(seq, 1000)));
        assert!(recent.look(Seq(1001)).is_none() && recent.look(Seq(0)).is_none());
        let batch = recent.look(Seq(500)).unwrap();
        assert_eq!(batch.len(), TAIL_BATCH_BYTES_MAX.div_ceil(1000));
        assert!(batch.iter().map(|t| t.record.seq.0).eq(500..500 + batch.len() as u64));
        assert_eq!(recent.look(Seq(1000)).unwrap().len(), 1);
    }
}
