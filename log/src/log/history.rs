//! The records that fit a filter, by the indexes of the segments.
//!
//! ```text
//!  segment by segment:  postings of the inodes  ∩  bitmaps of agent, session, kinds, outcome  -->  candidates
//!  candidate by candidate:  prefix and meta, checked  -->  does the filter want it?  -->  the caller
//! ```
//!
//! Invariants:
//! 1. An index only says which records need not be looked at: what is shown was read and compared with the filter.
//! 2. A record that the filter wants is never passed by. Where an index is damaged, missing or says too little, all
//!    records of its segment are looked at, and [`Matches::damaged`] says so.
//! 3. Memory is that of one segment, however long the log.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::marks::{Marks, Scan, Wanted};
use super::meta::MetaReader;
use super::segments::{Index, Segment};
use super::{Log, ReadError, Shared};
use crate::filter::Filter;
use crate::ids::Seq;
use crate::limits::HISTORY_SEARCH_INODES_MAX;
use crate::record::Record;
use crate::sidecar::{Sidecar, SidecarError};

/// In which order records are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Forward,
    /// Newest first.
    Reverse,
}

/// Records of a range that fit a filter, found as they are asked for. An error ends it.
#[derive(Debug)]
pub struct Matches {
    log: Log,
    filter: Filter,
    wanted: Wanted,
    direction: Direction,
    /// What is not looked at yet.
    rest: Range<Seq>,
    segment: Option<Candidates>,
    reader: MetaReader,
    damaged: Vec<Seq>,
}

/// What may fit in one segment.
#[derive(Debug)]
struct Candidates {
    segment: Arc<Segment>,
    /// Seq behind the segment's last record.
    next: Seq,
    places: Places,
}

/// Places of records in a segment, counted from its first.
enum Places {
    All(Range<u32>),
    Some(roaring::bitmap::IntoIter),
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Places::All(range) => f.debug_tuple("All").field(range).finish(),
            Places::Some(places) => f.debug_tuple("Some").field(&places.size_hint().0).finish(),
        }
    }
}

impl Places {
    fn next(&mut self, direction: Direction) -> Option<u32> {
        match (self, direction) {
            (Places::All(range), Direction::Forward) => range.next(),
            (Places::All(range), Direction::Reverse) => range.next_back(),
            (Places::Some(places), Direction::Forward) => places.next(),
            (Places::Some(places), Direction::Reverse) => places.next_back(),
        }
    }
}

impl Log {
    /// The flushed records of `range` that fit `filter`. Payloads are not read.
    #[must_use]
    pub fn history(&self, filter: Filter, range: Range<Seq>, direction: Direction) -> Matches {
        let rest = range.start.max(self.first())..range.end.min(self.flushed().next());
        let inodes = filter.inodes.as_ref().map(|inodes| inodes.iter().copied().collect());
        let wanted = Wanted { groups: filter.terms(), inodes };
        let (log, reader) = (self.clone(), MetaReader::new());
        Matches { log, filter, wanted, direction, rest, segment: None, reader, damaged: Vec::new() }
    }
}

impl Matches {
    /// First seqs of the segments whose sidecar was found damaged so far: their records were all looked at, and the
    /// sidecar is written anew when the log is idle.
    #[must_use]
    pub fn damaged(&self) -> &[Seq] {
        &self.damaged
    }

    fn read_next(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let Some(candidates) = &mut self.segment else {
                if self.rest.is_empty() {
                    return Ok(None);
                }
                self.segment = Some(self.enter()?);
                continue;
            };
            let first = candidates.segment.header.first;
            let Some(place) = candidates.places.next(self.direction) else {
                let past = match self.direction {
                    Direction::Forward => candidates.next,
                    Direction::Reverse => first,
                };
                self.segment = None;
                self.pass(past);
                continue;
            };
            let seq = Seq(first.0 + u64::from(place));
            match self.reader.read(&self.log.shared, &candidates.segment, seq) {
                Ok(record) => {
                    self.pass(match self.direction {
                        Direction::Forward => seq.next(),
                        Direction::Reverse => seq,
                    });
                    if self.filter.wants(&record) {
                        return Ok(Some(record));
                    }
                }
                Err(error) => self.look_again(error)?,
            }
        }
    }

    /// Everything on this side of `seq` was looked at.
    fn pass(&mut self, seq: Seq) {
        match self.direction {
            Direction::Forward => self.rest.start = seq.max(self.rest.start),
            Direction::Reverse => self.rest.end = seq.min(self.rest.end),
        }
    }

    /// The segment that comes next, and what may fit in it.
    fn enter(&mut self) -> Result<Candidates, ReadError> {
        let seq = match self.direction {
            Direction::Forward => self.rest.start,
            Direction::Reverse => self.rest.end.prev(),
        };
        let shared = Arc::clone(&self.log.shared);
        let (mut segment, next) = shared.segment_of(seq)?;
        let first = segment.header.first;
        let place = |seq: Seq| (seq.0 - first.0) as u32;
        let range = place(self.rest.start.max(first))..place(self.rest.end.min(next));
        let found = match shared.find(&segment, &self.wanted) {
            Err(Unusable::Index(SidecarError::Missing)) => None,
            Err(Unusable::Index(_)) => {
                self.damaged.push(first);
                if shared.distrust(&segment, next)? {
                    segment = shared.segment_of(seq)?.0;
                }
                // It is read now, whatever of it: by memory where it was walked, by all of its records otherwise.
                None
            }
            Err(Unusable::Log(error)) => return Err(error),
            Ok(found) => found,
        };
        let places = match found {
            None => Places::All(range),
            Some(mut found) => {
                found.remove_range(..range.start);
                found.remove_range(range.end..);
                Places::Some(found.into_iter())
            }
        };
        Ok(Candidates { segment, next, places })
    }

    /// A record could not be read. Where a damaged sidecar led astray, what is left of the segment is looked at anew.
    fn look_again(&mut self, error: ReadError) -> Result<(), ReadError> {
        let Some(Candidates { segment, next, .. }) = self.segment.take() else { return Err(error) };
        if !error.may_be_misled() || !self.log.shared.distrust(&segment, next)? {
            return Err(error);
        }
        self.damaged.push(segment.header.first);
        Ok(())
    }
}

impl Iterator for Matches {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.read_next();
        if found.is_err() {
            self.rest.end = self.rest.start;
            self.segment = None;
        }
        found.transpose()
    }
}

/// Why an index gave no answer.
enum Unusable {
    Index(SidecarError),
    /// The records themselves cannot be read.
    Log(ReadError),
}

impl From<SidecarError> for Unusable {
    fn from(error: SidecarError) -> Unusable {
        Unusable::Index(error)
    }
}

impl Shared {
    /// Places of the records of `segment` that may be wanted; `None` where that may be all.
    fn find(&self, segment: &Segment, wanted: &Wanted) -> Result<Option<RoaringBitmap>, Unusable> {
        if wanted.is_all() {
            return Ok(None);
        }
        match &segment.index {
            Index::Sealed(sidecar) => find_sealed(sidecar, wanted).map(Some),
            Index::Memory(_) => self.find_in_memory(segment, wanted).map(Some).map_err(Unusable::Log),
        }
    }

    fn find_in_memory(&self, segment: &Segment, wanted: &Wanted) -> Result<RoaringBitmap, ReadError> {
        let Index::Memory(index) = &segment.index else { unreachable!("asked of a segment without a sidecar") };
        let scan_all = |step: &mut dyn FnMut(&mut Scan, &mut RoaringBitmap) -> bool| {
            let (mut scan, mut found) = (Scan::default(), RoaringBitmap::new());
            while !step(&mut scan, &mut found) {}
            found
        };
        let earlier = |marks: &Marks| scan_all(&mut |scan, found| marks.find(wanted, scan, found));
        let found = match (segment.earlier.get(), wanted.inodes.as_deref()) {
            (Some(marks), _) => earlier(marks),
            (None, Some(inodes)) if inodes.len() <= HISTORY_SEARCH_INODES_MAX => {
                self.earlier_holding(segment, inodes)?
            }
            (None, _) => {
                self.mark_earlier(segment)?;
                segment.earlier.get().map_or_else(RoaringBitmap::new, earlier)
            }
        };
        let unmarked = index.read().unmarked;
        // The lock is taken for each step: whoever writes waits for one of them at most.
        let live = scan_all(&mut |scan, found| index.read().marks.find(wanted, scan, found));
        Ok(found | live.into_iter().map(|number| number + unmarked).collect::<RoaringBitmap>())
    }
}

/// The records that have something of everything that is wanted; stops reading once there are none.
fn find_sealed(sidecar: &Sidecar, wanted: &Wanted) -> Result<RoaringBitmap, Unusable> {
    let mut found: Option<RoaringBitmap> = None;
    if let Some(inodes) = &wanted.inodes {
        let mut about = RoaringBitmap::new();
        for inode in inodes {
            about |= sidecar.records_about(*inode)?;
        }
        found = Some(about);
    }
    for group in &wanted.groups {
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            break;
        }
        let mut with = RoaringBitmap::new();
        for term in group {
            with |= sidecar.records_with(*term)?;
        }
        found = Some(match found {
            Some(found) => found & with,
            None => with,
        });
    }
    Ok(found.unwrap_or_default())
}
