//! The index beside a sealed segment: where each record stands, when it was committed, its leaf in the tree, and which
//! records are about something.
//!
//! The file is a header block (magic, version, zone identity, CRC32: see `block`) and behind it sections, each
//! beginning at a multiple of 8 right behind the one before, with zeros between. The header's content, little-endian:
//!
//! | offset      | bytes | field                                               |
//! |-------------|-------|-----------------------------------------------------|
//! | 40          | 8     | first seq                                           |
//! | 48          | 4     | records                                             |
//! | 52          | 4     | sections, n                                         |
//! | 56          | 8     | commit time of the first record                     |
//! | 64          | 8     | commit time of the last record                      |
//! | 72          | 8     | bytes of the segment, its header counted            |
//! | 80          | 4     | CRC32 of the last record's prefix, as it stands there |
//! | 84          | 4     | zero                                                |
//! | 88 + 24 * i | 2     | kind of section i                                   |
//! | + 2         | 2     | zero                                                |
//! | + 4         | 4     | CRC32 of the section                                |
//! | + 8         | 8     | its offset in the file                              |
//! | + 16        | 8     | its length in bytes                                 |
//! | 88 + 24 * n |       | zero                                                |
//!
//! | kind | section        | content                                                             |
//! |------|----------------|---------------------------------------------------------------------|
//! | 1    | offsets        | u32 per record, its offset in the segment                           |
//! | 2    | commit times   | u64 per record                                                      |
//! | 3    | leaf hashes    | 32 bytes per record                                                 |
//! | 4    | terms          | directory of the bitmaps, by term (`bitmaps`)                       |
//! | 5    | bitmaps        | by agent, session, user, tenant, kind, outcome: which records       |
//! | 6    | inode postings | sorted: inode, records about it (`postings`)                        |
//! | 7    | sparse index   | the first inode of each block of postings                           |
//! | 8    | inode filter   | which inodes are surely not in the postings                         |
//!
//! Sections of further kinds may follow without a new format version: a release that does not know them leaves
//! them alone. 4 to 8 are there together or not at all.
//!
//! Invariants:
//! 1. Everything here can be derived from the segment. Damage is an error, never a panic, and the cure is to build the
//!    sidecar again from the segment.
//! 2. Opening believes the header alone. What the sections say is a hint until [`Sidecar::check_all`]: the record at an
//!    offset carries its own seq and commit time, and the reader compares them.
//! 3. What 4 to 8 say decides which records history looks at, so a damaged byte there would hide one. Each block and
//!    each bitmap has a checksum of its own, compared before it is believed.
//! 4. A sidecar of another zone, incarnation or segment is refused (R11).

mod bitmaps;
mod blocks;
mod builder;
mod history;
mod leaves;
mod postings;

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::block::{BLOCK_BYTES, Block, BlockFault, BlockKind, CONTENT_END, CONTENT_OFFSET};
use crate::env::{Disk, DiskFile, OpenMode, read_exact_at};
use crate::ids::{CommitTime, Seq, ZoneIdentity};

pub use builder::SidecarBuilder;
pub use history::Gathered;
use history::History;
pub use leaves::Leaves;

const KIND: BlockKind = BlockKind { magic: *b"NEXUSIDX", version: 1 };
const FIRST_SEQ_OFFSET: usize = CONTENT_OFFSET;
const RECORDS_OFFSET: usize = FIRST_SEQ_OFFSET + 8;
const SECTIONS_OFFSET: usize = RECORDS_OFFSET + 4;
const FIRST_TIME_OFFSET: usize = SECTIONS_OFFSET + 4;
const LAST_TIME_OFFSET: usize = FIRST_TIME_OFFSET + 8;
const SEGMENT_BYTES_OFFSET: usize = LAST_TIME_OFFSET + 8;
const LAST_PREFIX_CRC_OFFSET: usize = SEGMENT_BYTES_OFFSET + 8;
const RESERVED_OFFSET: usize = LAST_PREFIX_CRC_OFFSET + 4;
const TABLE_OFFSET: usize = RESERVED_OFFSET + 4;
const TABLE_ENTRY_BYTES: usize = 24;
/// Sections that the header has room for.
const SECTIONS_MAX: usize = (CONTENT_END - TABLE_OFFSET) / TABLE_ENTRY_BYTES;
/// Sections begin at multiples of this.
const SECTION_ALIGN: u64 = 8;
/// Bytes of a section read at once.
const CHECK_BYTES: usize = 64 << 10;

const _: () = assert!(RECORDS_OFFSET == 48 && SEGMENT_BYTES_OFFSET == 72 && TABLE_OFFSET == 88);
const _: () = assert!(SECTIONS_MAX == 166);

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SectionKind {
    Offsets = 1,
    Times = 2,
    Leaves = 3,
    Terms = 4,
    Bitmaps = 5,
    Postings = 6,
    PostingsIndex = 7,
    InodeFilter = 8,
}

/// Bytes per record.
const OFFSET_BYTES: u64 = 4;
const TIME_BYTES: u64 = 8;
const LEAF_BYTES: u64 = 32;

/// An entry of the section table.
#[derive(Clone, Copy, Debug)]
struct Section {
    kind: u16,
    crc: u32,
    offset: u64,
    length: u64,
}

/// Where the segment ends, to tell whether a sidecar belongs to the segment beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Length of the segment, its header counted.
    pub bytes: u64,
    /// CRC32 of the last record's prefix.
    pub last_prefix_crc: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    #[error("there is no sidecar")]
    Missing,
    #[error("the sidecar's header is not to be believed")]
    Header(#[source] BlockFault),
    #[error("the sidecar is that of the segment from {first_seq} on")]
    OtherSegment { first_seq: Seq },
    #[error("the sidecar is damaged: {0}")]
    Damaged(&'static str),
    #[error("record {seq} does not come behind the one before it")]
    OutOfOrder { seq: Seq },
    #[error("cannot read or write the sidecar")]
    Io(#[source] io::Error),
}

/// The sidecar's name beside the segment that begins at `first_seq`.
#[must_use]
pub fn sidecar_file_name(first_seq: Seq) -> String {
    format!("{first_seq:020}.idx")
}

/// An open sidecar. Only its header is held in memory.
#[derive(Debug)]
pub struct Sidecar {
    file: Arc<dyn DiskFile>,
    first_seq: Seq,
    records: u32,
    times: (CommitTime, CommitTime),
    segment_end: SegmentEnd,
    sections: Vec<Section>,
    offsets_at: u64,
    times_at: u64,
    leaves_at: u64,
    history: Option<History>,
}

impl Sidecar {
    /// Opens the sidecar of the segment of `identity` that begins at `first_seq`, and checks its header.
    pub fn open(disk: &dyn Disk, path: &Path, identity: ZoneIdentity, first_seq: Seq) -> Result<Sidecar, SidecarError> {
        let file = match disk.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(SidecarError::Missing),
            Err(e) => return Err(SidecarError::Io(e)),
        };
        let header = Block::read(&*file, 0, KIND).map_err(SidecarError::Header)?;
        header.expect_identity(identity).map_err(SidecarError::Header)?;
        let found = Seq(header.u64(FIRST_SEQ_OFFSET));
        if found != first_seq {
            return Err(SidecarError::OtherSegment { first_seq: found });
        }
        let file_bytes = file.len().map_err(SidecarError::Io)?;
        Sidecar::from_header(&header, file, file_bytes)
    }

    fn from_header(header: &Block, file: Arc<dyn DiskFile>, file_bytes: u64) -> Result<Sidecar, SidecarError> {
        let first_seq = Seq(header.u64(FIRST_SEQ_OFFSET));
        let records = header.u32(RECORDS_OFFSET);
        let times = (CommitTime(header.u64(FIRST_TIME_OFFSET)), CommitTime(header.u64(LAST_TIME_OFFSET)));
        let times_fit = if records == 1 { times.0 == times.1 } else { times.0 < times.1 };
        if records == 0 || !times_fit || first_seq.0.checked_add(u64::from(records)).is_none() {
            return Err(SidecarError::Damaged("the header's fields contradict each other"));
        }
        let sections = read_table(header, file_bytes)?;
        let begin_of = |kind: SectionKind, width: u64| {
            let mut of_kind = sections.iter().filter(|s| s.kind == kind as u16);
            match (of_kind.next(), of_kind.next()) {
                (Some(s), None) if s.length == u64::from(records) * width => Ok(s.offset),
                _ => Err(SidecarError::Damaged("a section is missing, there twice, or not of its length")),
            }
        };
        Ok(Sidecar {
            offsets_at: begin_of(SectionKind::Offsets, OFFSET_BYTES)?,
            times_at: begin_of(SectionKind::Times, TIME_BYTES)?,
            leaves_at: begin_of(SectionKind::Leaves, LEAF_BYTES)?,
            history: History::find(first_seq, records, &sections)?,
            file,
            first_seq,
            records,
            times,
            segment_end: SegmentEnd {
                bytes: header.u64(SEGMENT_BYTES_OFFSET),
                last_prefix_crc: header.u32(LAST_PREFIX_CRC_OFFSET),
            },
            sections,
        })
    }

    #[must_use]
    pub fn first_seq(&self) -> Seq {
        self.first_seq
    }

    #[must_use]
    pub fn last_seq(&self) -> Seq {
        Seq(self.first_seq.0 + u64::from(self.records) - 1)
    }

    /// Records in the segment, at least one.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Commit times of the first and of the last record.
    #[must_use]
    pub fn times(&self) -> (CommitTime, CommitTime) {
        self.times
    }

    #[must_use]
    pub fn segment_end(&self) -> SegmentEnd {
        self.segment_end
    }

    /// Where the record stands in the segment; `None` if it is in another one.
    pub fn offset_of(&self, seq: Seq) -> Result<Option<u32>, SidecarError> {
        let Some(index) = self.index_of(seq) else { return Ok(None) };
        let offset = u32::from_le_bytes(self.read_array(self.offsets_at + index * OFFSET_BYTES)?);
        if u64::from(offset) >= self.segment_end.bytes {
            return Err(SidecarError::Damaged("an offset behind the segment's end"));
        }
        Ok(Some(offset))
    }

    /// When the record was committed; `None` if it is in another segment.
    pub fn time_of(&self, seq: Seq) -> Result<Option<CommitTime>, SidecarError> {
        self.index_of(seq).map(|index| self.time_at(index)).transpose()
    }

    /// The last record of the segment that was committed at `time` or before; `None` if all came later. A position
    /// of the zone only if the next segment begins later than `time`.
    pub fn seq_at_or_before(&self, time: CommitTime) -> Result<Option<Seq>, SidecarError> {
        if time < self.times.0 {
            return Ok(None);
        }
        if time >= self.times.1 {
            return Ok(Some(self.last_seq()));
        }
        // low is at `time` or before, high later: each with its time, so that disorder on the way is noticed.
        let (mut low, mut high) = ((0, self.times.0), (u64::from(self.records) - 1, self.times.1));
        while high.0 - low.0 > 1 {
            let middle = low.0 + (high.0 - low.0) / 2;
            let at = self.time_at(middle)?;
            if at <= low.1 || at >= high.1 {
                return Err(SidecarError::Damaged("commit times do not increase"));
            }
            if at <= time { low = (middle, at) } else { high = (middle, at) }
        }
        Ok(Some(Seq(self.first_seq.0 + low.0)))
    }

    /// Leaf hashes of the records from `from` to before `to`, of those that are in this segment.
    #[must_use]
    pub fn leaves(&self, from: Seq, to: Seq) -> Leaves<'_> {
        let index = |seq: Seq| seq.0.saturating_sub(self.first_seq.0).min(u64::from(self.records));
        Leaves::new(&*self.file, self.leaves_at, index(from), index(to))
    }

    /// Reads all and compares the checksum of every section, known or not.
    pub fn check_all(&self) -> Result<(), SidecarError> {
        let mut buf = vec![0; CHECK_BYTES];
        for section in &self.sections {
            let mut hasher = crc32fast::Hasher::new();
            let mut done = 0;
            while done < section.length {
                let take = (section.length - done).min(CHECK_BYTES as u64) as usize;
                read_exact_at(&*self.file, &mut buf[..take], section.offset + done).map_err(SidecarError::Io)?;
                hasher.update(&buf[..take]);
                done += take as u64;
            }
            if hasher.finalize() != section.crc {
                return Err(SidecarError::Damaged("the checksum of a section does not match"));
            }
            let end = section.offset + section.length;
            let padding = &mut buf[..(end.next_multiple_of(SECTION_ALIGN) - end) as usize];
            read_exact_at(&*self.file, padding, end).map_err(SidecarError::Io)?;
            if padding.iter().any(|&b| b != 0) {
                return Err(SidecarError::Damaged("bytes between sections are not zero"));
            }
        }
        Ok(())
    }

    fn index_of(&self, seq: Seq) -> Option<u64> {
        seq.0.checked_sub(self.first_seq.0).filter(|&index| index < u64::from(self.records))
    }

    fn time_at(&self, index: u64) -> Result<CommitTime, SidecarError> {
        let time = self.read_array(self.times_at + index * TIME_BYTES)?;
        Ok(CommitTime(u64::from_le_bytes(time)))
    }

    fn read_array<const N: usize>(&self, offset: u64) -> Result<[u8; N], SidecarError> {
        let mut bytes = [0; N];
        read_exact_at(&*self.file, &mut bytes, offset).map_err(SidecarError::Io)?;
        Ok(bytes)
    }
}

/// The section table of a header; it must account for every byte of the file.
fn read_table(header: &Block, file_bytes: u64) -> Result<Vec<Section>, SidecarError> {
    let count = header.u32(SECTIONS_OFFSET) as usize;
    if count > SECTIONS_MAX || header.u32(RESERVED_OFFSET) != 0 {
        return Err(SidecarError::Damaged("the header's fields contradict each other"));
    }
    let mut sections = Vec::with_capacity(count);
    let mut end = BLOCK_BYTES as u64;
    for at in (TABLE_OFFSET..).step_by(TABLE_ENTRY_BYTES).take(count) {
        let section = Section {
            kind: header.u16(at),
            crc: header.u32(at + 4),
            offset: header.u64(at + 8),
            length: header.u64(at + 16),
        };
        let room = file_bytes.saturating_sub(end);
        if header.u16(at + 2) != 0 || section.offset != end || section.length > room {
            return Err(SidecarError::Damaged("the section table does not fit the file"));
        }
        end = (end + section.length).next_multiple_of(SECTION_ALIGN);
        sections.push(section);
    }
    if end != file_bytes {
        return Err(SidecarError::Damaged("the section table does not fit the file"));
    }
    header.expect_zeros_from(TABLE_OFFSET + count * TABLE_ENTRY_BYTES).map_err(SidecarError::Header)?;
    Ok(sections)
}

#[cfg(test)]
mod tests;
