//! From a seq or a time to a place in a file.

use std::io;
use std::sync::Arc;

use parking_lot::RwLock;

use super::segments::{Index, MemoryIndex, Segment};
use super::{ReadError, Shared};
use crate::cursor::Cursor;
use crate::env::{DiskFile, OpenMode, read_exact_at};
use crate::ids::{CommitTime, Seq};
use crate::record::{Expected, PREFIX_BYTES, Prefix};
use crate::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name};
use crate::sidecar::{Sidecar, sidecar_file_name};

impl Shared {
    /// The segment that holds `seq`, which must be flushed, and the seq behind its last.
    pub(super) fn segment_of(&self, seq: Seq) -> Result<(Arc<Segment>, Seq), ReadError> {
        let (first, next, open) = self.segments.find(seq).ok_or(ReadError::BeforeFirst { first: self.first })?;
        let until = next.unwrap_or(self.flushed_seq().next());
        if let Some(segment) = open {
            return Ok((segment, until));
        }
        let next = next.expect("only full segments are closed");
        let segment = Arc::new(self.open_full(first, next)?);
        self.segments.keep(Arc::clone(&segment));
        Ok((segment, until))
    }

    pub(super) fn flushed_seq(&self) -> Seq {
        Seq(self.flushed.load(std::sync::atomic::Ordering::Acquire))
    }

    /// Opens a full segment that ends before `next`. Its sidecar is a hint: where it is missing or bad, the segment
    /// itself is walked.
    fn open_full(&self, first: Seq, next: Seq) -> Result<Segment, ReadError> {
        let path = self.segments_dir.join(file_name(first));
        let file = self.env.disk.open(&path, OpenMode::Read).map_err(ReadError::Io)?;
        let header = read_header(&*file, self.identity, first)?;
        let sidecar =
            Sidecar::open(&*self.env.disk, &self.segments_dir.join(sidecar_file_name(first)), self.identity, first);
        let index = match sidecar {
            Ok(sidecar) if u64::from(sidecar.records()) == next.0 - first.0 => {
                match belongs(&sidecar, &*file, &header) {
                    Some(true) => Index::Sealed(sidecar),
                    Some(false) => Index::Memory(RwLock::new(self.walk(&file, &header, next)?)),
                    // If it is the segment that is damaged, the sidecar leads to what is left of it.
                    None => match self.walk(&file, &header, next) {
                        Ok(walked) => Index::Memory(RwLock::new(walked)),
                        Err(_) => Index::Sealed(sidecar),
                    },
                }
            }
            _ => Index::Memory(RwLock::new(self.walk(&file, &header, next)?)),
        };
        Ok(Segment::new(file, header, index))
    }

    /// A record was not found where a sidecar says. If it is the sidecar that is damaged, walks the segment in its
    /// place and says so: the caller looks again.
    pub(super) fn distrust(&self, segment: &Segment, next: Seq) -> Result<bool, ReadError> {
        let Index::Sealed(sidecar) = &segment.index else { return Ok(false) };
        let whole = sidecar.check_all().is_ok();
        if whole && belongs(sidecar, &*segment.file, &segment.header) == Some(true) {
            return Ok(false);
        }
        let walked = match self.walk(&segment.file, &segment.header, next) {
            Ok(walked) => walked,
            Err(_) if whole => return Ok(false),
            Err(error) => return Err(error),
        };
        let index = Index::Memory(RwLock::new(walked));
        let file = Arc::clone(&segment.file);
        self.segments.keep(Arc::new(Segment::new(file, segment.header, index)));
        Ok(true)
    }

    fn walk(&self, file: &Arc<dyn DiskFile>, header: &SegmentHeader, next: Seq) -> Result<MemoryIndex, ReadError> {
        let mut index = MemoryIndex::default();
        let mut cursor = Cursor::new(
            Arc::clone(file),
            self.identity,
            header.seed(),
            SEGMENT_HEADER_BYTES,
            header.first,
            Some(header.previous_crc),
        );
        while cursor.next_seq() < next {
            let (offset, seq) = (cursor.offset(), cursor.next_seq());
            match cursor.next_checked().map_err(ReadError::Io)? {
                Ok(found) => index.push(found.offset, found.prefix().commit_time),
                Err(why) => return Err(ReadError::damage(seq, header.first, offset, why)),
            }
        }
        Ok(index)
    }

    /// Offset of the record `seq` in its segment.
    pub(super) fn offset_in(&self, segment: &Segment, seq: Seq) -> Result<u64, ReadError> {
        let at = (seq.0 - segment.header.first.0) as usize;
        match &segment.index {
            Index::Memory(index) => {
                let index = index.read();
                Ok(u64::from(*index.offsets.get(at).expect("a flushed record is in the index")))
            }
            Index::Sealed(sidecar) => {
                let offset = sidecar.offset_of(seq).map_err(|source| ReadError::Index { seq, source })?;
                Ok(u64::from(offset.expect("the sidecar covers its segment")))
            }
        }
    }

    /// The prefix of the record `seq` and where it stands. A sidecar's offset is a hint; the prefix says what it is.
    pub(super) fn prefix_in(&self, segment: &Segment, seq: Seq) -> Result<(u64, Prefix), ReadError> {
        let offset = self.offset_in(segment, seq)?;
        let mut head = [0; PREFIX_BYTES];
        read_exact_at(&*segment.file, &mut head, offset).map_err(ReadError::Io)?;
        let expected = Expected { identity: self.identity, seq: Some(seq), previous_crc: None };
        let prefix = Prefix::check(&head, &segment.header.seed(), &expected)
            .map_err(|why| ReadError::damage(seq, segment.header.first, offset, why.into()))?;
        Ok((offset, prefix))
    }

    /// Looks in the segment that holds `seq`, and once more where a damaged sidecar led astray.
    pub(super) fn in_segment_of<T>(
        &self,
        seq: Seq,
        look: impl Fn(&Segment) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let (segment, next) = self.segment_of(seq)?;
        match look(&segment) {
            Err(error) if error.may_be_misled() && self.distrust(&segment, next)? => look(&self.segment_of(seq)?.0),
            result => result,
        }
    }

    fn time_in(&self, segment: &Segment, seq: Seq) -> Result<CommitTime, ReadError> {
        let at = (seq.0 - segment.header.first.0) as usize;
        match &segment.index {
            Index::Memory(index) => Ok(*index.read().times.get(at).expect("a flushed record is in the index")),
            Index::Sealed(_) => Ok(self.prefix_in(segment, seq)?.1.commit_time),
        }
    }
}

/// Is it the sidecar of this very segment? One of another copy of the log may have the same name and as many records,
/// and history would believe it. `None` where there is no record in the place of the last one.
fn belongs(sidecar: &Sidecar, file: &dyn DiskFile, header: &SegmentHeader) -> Option<bool> {
    let offset = sidecar.offset_of(sidecar.last_seq()).ok()??;
    let mut head = [0; PREFIX_BYTES];
    read_exact_at(file, &mut head, offset.into()).ok()?;
    let expected = Expected { identity: header.identity, seq: Some(sidecar.last_seq()), previous_crc: None };
    let prefix = Prefix::check(&head, &header.seed(), &expected).ok()?;
    Some(prefix.crc == sidecar.segment_end().last_prefix_crc)
}

pub(super) fn read_header(
    file: &dyn DiskFile,
    identity: crate::ids::ZoneIdentity,
    first: Seq,
) -> Result<SegmentHeader, ReadError> {
    match SegmentHeader::decode(&header_block(file).map_err(ReadError::Io)?, identity, first) {
        HeaderBlock::Good { header, .. } => Ok(header),
        HeaderBlock::NewerFormat(version) => Err(ReadError::NewerFormat { version }),
        HeaderBlock::Blank | HeaderBlock::Bad => Err(ReadError::Header { first }),
    }
}

/// The first block of a segment file, or what there is of it.
pub(crate) fn header_block(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let mut block = vec![0; file.len()?.min(SEGMENT_HEADER_BYTES) as usize];
    read_exact_at(file, &mut block, 0)?;
    Ok(block)
}

impl super::Log {
    /// Commit time of a flushed record.
    pub fn time_of(&self, seq: Seq) -> Result<CommitTime, ReadError> {
        self.shared.check_flushed(seq)?;
        self.shared.in_segment_of(seq, |segment| self.shared.time_in(segment, seq))
    }

    /// The last flushed record whose commit time is not later than `time`; `None` if the zone begins later.
    pub fn seq_at(&self, time: CommitTime) -> Result<Option<Seq>, ReadError> {
        let flushed = self.flushed();
        let (mut low, mut high) = (self.first(), flushed.next());
        // Invariant: records before `low` are not later than `time`, those from `high` on are.
        while low < high {
            let middle = Seq(low.0 + (high.0 - low.0) / 2);
            if self.time_of(middle)? <= time {
                low = middle.next();
            } else {
                high = middle;
            }
        }
        Ok((low > self.first()).then(|| low.prev()))
    }
}
