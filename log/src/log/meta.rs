//! Reading records for history: prefix and meta, checked; payloads are passed by.

use memchr::memmem::Finder;
use roaring::RoaringBitmap;

use super::segments::{Index, Segment};
use super::{Log, ReadError, Shared};
use crate::cursor::{BadRecord, Window};
use crate::ids::{Inode, Seq};
use crate::limits::{HISTORY_RECORD_BYTES, HISTORY_SCAN_BYTES};
use crate::record::{BadBody, BadPrefix, Expected, PREFIX_BYTES, Prefix, Record, decode_meta};

/// Reads records one by one, in any order. Whoever goes through them in order needs no index to find the next.
#[derive(Debug)]
pub(super) struct MetaReader {
    /// The segment that the windows are of.
    segment: Seq,
    scan: Window,
    single: Window,
    last: Option<Last>,
}

/// The record read last.
#[derive(Clone, Copy, Debug)]
struct Last {
    seq: Seq,
    /// Behind it.
    end: u64,
    crc: u32,
}

impl MetaReader {
    pub(super) fn new() -> MetaReader {
        let (scan, single) = (Window::reading(HISTORY_SCAN_BYTES), Window::reading(HISTORY_RECORD_BYTES));
        MetaReader { segment: Seq::ZERO, scan, single, last: None }
    }

    /// The record `seq`, which is flushed and in `segment`.
    pub(super) fn read(&mut self, shared: &Shared, segment: &Segment, seq: Seq) -> Result<Record, ReadError> {
        self.read_with(shared, segment, seq, decode_meta)
    }

    /// What `see` makes of the prefix and the meta of a record, which were checked.
    fn read_with<T>(
        &mut self,
        shared: &Shared,
        segment: &Segment,
        seq: Seq,
        see: impl FnOnce(&Prefix, &[u8]) -> Result<T, BadBody>,
    ) -> Result<T, ReadError> {
        let first = segment.header.first;
        if self.segment != first {
            // A window of another file says nothing of this one.
            *self = MetaReader { segment: first, ..MetaReader::new() };
        }
        let before = self.last.take().filter(|last| last.seq.next() == seq);
        let offset = before.map_or_else(|| shared.offset_in(segment, seq), |last| Ok(last.end))?;
        let window = if before.is_some() { &mut self.scan } else { &mut self.single };
        let damage = |why: BadRecord| ReadError::damage(seq, first, offset, why);
        let file = &*segment.file;
        let head = window.at(file, offset, PREFIX_BYTES).map_err(ReadError::Io)?;
        let head = head.first_chunk().ok_or_else(|| damage(BadPrefix::Short.into()))?;
        let previous_crc = before.map(|last| last.crc);
        let expected = Expected { identity: shared.identity, seq: Some(seq), previous_crc };
        let prefix = Prefix::check(head, &segment.header.seed(), &expected).map_err(|why| damage(why.into()))?;
        let length = prefix.meta_length as usize;
        let meta = window.at(file, offset + PREFIX_BYTES as u64, length).map_err(ReadError::Io)?;
        if meta.len() < length {
            return Err(damage(BadPrefix::Short.into()));
        }
        if crc32fast::hash(meta) != prefix.meta_crc {
            return Err(damage(BadBody::MetaCrc.into()));
        }
        let seen = see(&prefix, meta).map_err(|why| damage(why.into()))?;
        self.last = Some(Last { seq, end: offset + prefix.record_bytes() as u64, crc: prefix.crc });
        Ok(seen)
    }
}

impl Log {
    /// A flushed record, its payload not looked at.
    pub fn meta(&self, seq: Seq) -> Result<Record, ReadError> {
        self.shared.check_flushed(seq)?;
        self.shared.in_segment_of(seq, |segment| MetaReader::new().read(&self.shared, segment, seq))
    }
}

impl Shared {
    /// Reads what the records of `segment` are about that were there before the log was opened, if that is not known.
    pub(super) fn mark_earlier(&self, segment: &Segment) -> Result<(), ReadError> {
        let Index::Memory(index) = &segment.index else { return Ok(()) };
        let unmarked = index.read().unmarked;
        if unmarked == 0 || segment.earlier.get().is_some() {
            return Ok(());
        }
        let mut marks = super::marks::Marks::default();
        let mut reader = MetaReader::new();
        for place in 0..u64::from(unmarked) {
            let record = reader.read(self, segment, Seq(segment.header.first.0 + place))?;
            marks.push(&record.about());
        }
        // Somebody else may have been faster, with the same.
        let _ = segment.earlier.set(marks);
        Ok(())
    }

    /// Numbers of the records that were there before the log was opened and may be about one of `inodes`: a meta holds
    /// every inode that it is about as eight bytes, least first, so one without those bytes need not be decoded. That
    /// takes a small part of what [`Shared::mark_earlier`] does.
    pub(super) fn earlier_holding(&self, segment: &Segment, inodes: &[Inode]) -> Result<RoaringBitmap, ReadError> {
        let Index::Memory(index) = &segment.index else { return Ok(RoaringBitmap::new()) };
        let unmarked = index.read().unmarked;
        let patterns: Vec<[u8; 8]> = inodes.iter().map(|inode| inode.0.to_le_bytes()).collect();
        let finders: Vec<Finder<'_>> = patterns.iter().map(Finder::new).collect();
        let mut reader = MetaReader::new();
        let mut found = RoaringBitmap::new();
        for number in 0..unmarked {
            let seq = Seq(segment.header.first.0 + u64::from(number));
            let holds = |_: &Prefix, meta: &[u8]| {
                // A root is born with the zone, and the event that says so names no inode.
                Ok(seq == self.first || finders.iter().any(|finder| finder.find(meta).is_some()))
            };
            if reader.read_with(self, segment, seq, holds)? {
                found.insert(number);
            }
        }
        Ok(found)
    }
}
