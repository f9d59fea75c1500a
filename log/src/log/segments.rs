//! The segment files of a log and where each record stands in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::marks::Marks;
use crate::appender::BatchDone;
use crate::env::DiskFile;
use crate::event::About;
use crate::ids::{CommitTime, Seq};
use crate::record::Draft;
use crate::segment::SegmentHeader;
use crate::sidecar::Sidecar;

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) header: SegmentHeader,
    pub(super) index: Index,
    /// What the records before the memory index's marks are about; read from the segment when it is first asked.
    pub(super) earlier: OnceLock<Marks>,
}

impl Segment {
    pub(super) fn new(file: Arc<dyn DiskFile>, header: SegmentHeader, index: Index) -> Segment {
        Segment { file, header, index, earlier: OnceLock::new() }
    }

    /// Has it no sidecar, or one of a release that knew less?
    fn wants_sidecar(&self) -> bool {
        match &self.index {
            Index::Memory(_) => true,
            Index::Sealed(sidecar) => !sidecar.has_history(),
        }
    }
}

/// Where the records of a segment stand.
#[derive(Debug)]
pub(super) enum Index {
    /// Of the segment that is written to, or one not sealed yet.
    Memory(RwLock<MemoryIndex>),
    /// Of a sealed one.
    Sealed(Sidecar),
}

#[derive(Debug, Default)]
pub(super) struct MemoryIndex {
    /// One per record, from the segment's first on. A segment is far below 4 GiB.
    pub(super) offsets: Vec<u32>,
    pub(super) times: Vec<CommitTime>,
    /// Records before the first marked one.
    pub(super) unmarked: u32,
    /// What the records from there on are about.
    pub(super) marks: Marks,
}

impl MemoryIndex {
    /// A record found in the file.
    pub(super) fn push(&mut self, offset: u64, time: CommitTime) {
        assert_eq!(self.unmarked as usize, self.offsets.len(), "a segment is walked before it is written to");
        self.unmarked += 1;
        self.place(offset, time);
    }

    /// A record that was just written.
    fn push_marked(&mut self, offset: u64, time: CommitTime, about: &About) {
        self.marks.push(about);
        self.place(offset, time);
    }

    fn place(&mut self, offset: u64, time: CommitTime) {
        self.offsets.push(u32::try_from(offset).expect("a segment is below 4 GiB"));
        self.times.push(time);
    }
}

/// A segment that is known by name, and held open while it is used.
#[derive(Debug)]
struct Slot {
    open: Option<Arc<Segment>>,
    /// Rises with every use; the smallest is closed first.
    used: u64,
}

/// All segments, by first seq. Bounded: no more than [`crate::limits::OPEN_SEGMENTS_MAX`] sealed ones are held open.
#[derive(Debug)]
pub(super) struct Segments {
    slots: RwLock<Slots>,
    /// Full segments whose sidecar could not be written.
    unsealable: Mutex<BTreeSet<Seq>>,
}

#[derive(Debug, Default)]
struct Slots {
    by_first: BTreeMap<Seq, Slot>,
    clock: u64,
}

impl Segments {
    /// All known by name; `last` is open.
    pub(super) fn new(firsts: &[Seq], last: Segment) -> Segments {
        let mut slots = Slots::default();
        firsts.iter().for_each(|f| {
            slots.by_first.insert(*f, Slot { open: None, used: 0 });
        });
        slots.by_first.insert(last.header.first, Slot { open: Some(Arc::new(last)), used: 0 });
        Segments { slots: RwLock::new(slots), unsealable: Mutex::default() }
    }

    /// First seq of the segment that holds `seq` and of the one behind it, and the segment if it is open.
    pub(super) fn find(&self, seq: Seq) -> Option<(Seq, Option<Seq>, Option<Arc<Segment>>)> {
        let slots = self.slots.read();
        let (first, slot) = slots.by_first.range(..=seq).next_back()?;
        let next = slots.by_first.range(seq.next()..).next().map(|(f, _)| *f);
        Some((*first, next, slot.open.clone()))
    }

    /// Keeps `segment` open, and closes the one least recently opened when there are too many.
    pub(super) fn keep(&self, segment: Arc<Segment>) {
        let mut slots = self.slots.write();
        slots.clock += 1;
        let used = slots.clock;
        let first = segment.header.first;
        slots.by_first.insert(first, Slot { open: Some(segment), used });
        let sealed = |s: &Slot| s.open.as_ref().is_some_and(|s| matches!(s.index, Index::Sealed(_)));
        let open = slots.by_first.values().filter(|s| sealed(s)).count();
        if open > crate::limits::OPEN_SEGMENTS_MAX {
            let oldest = slots.by_first.values_mut().filter(|s| sealed(s)).min_by_key(|s| s.used);
            oldest.expect("there is one").open = None;
        }
    }

    /// Notes where a batch was put.
    pub(super) fn placed(&self, batch: &[Arc<Draft>], done: &BatchDone) {
        let first = batch[0].seq;
        if let Some((file, header)) = &done.created {
            assert_eq!(header.first, first, "a segment is created for a batch");
            let index = Index::Memory(RwLock::default());
            self.keep(Arc::new(Segment::new(Arc::clone(file), *header, index)));
        }
        let last = self.last();
        let Index::Memory(index) = &last.index else { unreachable!("the last segment is not sealed") };
        let mut index = index.write();
        done.placed.iter().zip(batch).for_each(|(p, draft)| index.push_marked(p.offset, p.time, draft.about()));
    }

    /// The segment that is written to.
    pub(super) fn last(&self) -> Arc<Segment> {
        let slots = self.slots.read();
        let (_, slot) = slots.by_first.last_key_value().expect("a log has a segment");
        Arc::clone(slot.open.as_ref().expect("the last segment is open"))
    }

    /// Full segments that are held open without a sidecar, or with one that says less than it could.
    pub(super) fn to_seal(&self) -> Vec<Arc<Segment>> {
        let slots = self.slots.read();
        let full = slots.by_first.values().rev().skip(1).filter_map(|s| s.open.as_ref());
        let unsealable = self.unsealable.lock();
        let wanted = |s: &&Arc<Segment>| s.wants_sidecar() && !unsealable.contains(&s.header.first);
        full.filter(wanted).cloned().collect()
    }

    pub(super) fn give_up_sealing(&self, first: Seq) {
        self.unsealable.lock().insert(first);
    }

    pub(super) fn unsealed(&self) -> bool {
        !self.to_seal().is_empty()
    }
}
