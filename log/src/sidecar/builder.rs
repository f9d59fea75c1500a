//! Building a sidecar from the records of a segment.

use std::path::Path;

use crate::block::{BLOCK_BYTES, BlockWriter};
use crate::env::{Disk, write_replace};
use crate::event::About;
use crate::ids::{CommitTime, Seq, ZoneIdentity};

use super::{
    FIRST_SEQ_OFFSET, FIRST_TIME_OFFSET, Gathered, KIND, LAST_PREFIX_CRC_OFFSET, LAST_TIME_OFFSET, RECORDS_OFFSET,
    SECTION_ALIGN, SECTIONS_OFFSET, SEGMENT_BYTES_OFFSET, SectionKind, SegmentEnd, SidecarError, TABLE_ENTRY_BYTES,
    TABLE_OFFSET,
};

/// Gathers what the sidecar says of each record: 44 bytes of memory for one, and 16 for each inode that it is about.
#[derive(Debug)]
pub struct SidecarBuilder {
    identity: ZoneIdentity,
    first_seq: Seq,
    first_time: CommitTime,
    /// Offset and commit time of the last record.
    last: Option<(u32, CommitTime)>,
    records: u32,
    offsets: Vec<u8>,
    times: Vec<u8>,
    leaves: Vec<u8>,
    about: Gathered,
}

impl SidecarBuilder {
    /// Of the segment of `identity` that begins with the record `first_seq`.
    #[must_use]
    pub fn new(identity: ZoneIdentity, first_seq: Seq) -> SidecarBuilder {
        SidecarBuilder {
            identity,
            first_seq,
            first_time: CommitTime::default(),
            last: None,
            records: 0,
            offsets: Vec::new(),
            times: Vec::new(),
            leaves: Vec::new(),
            about: Gathered::default(),
        }
    }

    /// The next record: where it stands in the segment, when it was committed, its leaf hash, what it is about.
    pub fn push(&mut self, offset: u32, time: CommitTime, leaf: [u8; 32], about: &About) -> Result<(), SidecarError> {
        match self.last {
            None => self.first_time = time,
            Some((last_offset, last_time)) if offset > last_offset && time > last_time => {}
            Some(_) => return Err(SidecarError::OutOfOrder { seq: self.next_seq() }),
        }
        self.last = Some((offset, time));
        self.records += 1;
        self.offsets.extend_from_slice(&offset.to_le_bytes());
        self.times.extend_from_slice(&time.0.to_le_bytes());
        self.leaves.extend_from_slice(&leaf);
        self.about.push(about);
        Ok(())
    }

    /// Puts the sidecar in place, whole or not at all. A segment with no record has no sidecar: there must be one.
    pub fn write(&self, disk: &dyn Disk, path: &Path, segment_end: SegmentEnd) -> Result<(), SidecarError> {
        let (last_offset, last_time) = self.last.expect("a sealed segment holds a record");
        if u64::from(last_offset) >= segment_end.bytes {
            return Err(SidecarError::OutOfOrder { seq: self.next_seq().prev() });
        }
        let mut header = BlockWriter::new(KIND, self.identity);
        header.put(FIRST_SEQ_OFFSET, &self.first_seq.0.to_le_bytes());
        header.put(RECORDS_OFFSET, &self.records.to_le_bytes());
        header.put(FIRST_TIME_OFFSET, &self.first_time.0.to_le_bytes());
        header.put(LAST_TIME_OFFSET, &last_time.0.to_le_bytes());
        header.put(SEGMENT_BYTES_OFFSET, &segment_end.bytes.to_le_bytes());
        header.put(LAST_PREFIX_CRC_OFFSET, &segment_end.last_prefix_crc.to_le_bytes());

        let about = self.about.sections(self.first_seq);
        let sections = [
            (SectionKind::Offsets, &self.offsets),
            (SectionKind::Times, &self.times),
            (SectionKind::Leaves, &self.leaves),
        ];
        let sections = sections.into_iter().chain(about.iter().map(|(kind, content)| (*kind, content)));
        header.put(SECTIONS_OFFSET, &(sections.clone().count() as u32).to_le_bytes());
        let mut file = vec![0; BLOCK_BYTES];
        for (i, (kind, content)) in sections.enumerate() {
            let at = TABLE_OFFSET + i * TABLE_ENTRY_BYTES;
            header.put(at, &(kind as u16).to_le_bytes());
            header.put(at + 4, &crc32fast::hash(content).to_le_bytes());
            header.put(at + 8, &(file.len() as u64).to_le_bytes());
            header.put(at + 16, &(content.len() as u64).to_le_bytes());
            file.extend_from_slice(content);
            file.resize(file.len().next_multiple_of(SECTION_ALIGN as usize), 0);
        }
        file[..BLOCK_BYTES].copy_from_slice(&header.seal()[..]);
        write_replace(disk, path, &file).map_err(SidecarError::Io)
    }

    /// The seq that the next pushed record has.
    fn next_seq(&self) -> Seq {
        Seq(self.first_seq.0 + u64::from(self.records))
    }
}
