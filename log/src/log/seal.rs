//! Sealing: a full segment gets its sidecar, and the Merkle root at any size is computed from them.

use std::sync::Arc;

use super::segments::{Index, Segment};
use super::{Log, ReadError, Shared};
use crate::cursor::{Cursor, Found};
use crate::ids::Seq;
use crate::merkle::{self, CompactRange, LeafEntry, Root};
use crate::record::Record;
use crate::segment::SEGMENT_HEADER_BYTES;
use crate::sidecar::{SegmentEnd, Sidecar, SidecarBuilder, sidecar_file_name};

/// The leaf hash of a record as found, decoded.
pub(crate) fn leaf_of(found: &Found, record: &Record) -> [u8; 32] {
    let payload = found.body.payload();
    let salt = payload.first_chunk::<16>();
    let chunks = record.chunks.iter().map(|c| (u64::from(c.offset), c.length, c.hash.0));
    let meta_hash = merkle::meta_hash(found.body.meta());
    let payload_root = merkle::payload_root(salt, chunks);
    LeafEntry::new(record.identity, record.seq, record.commit_time, &meta_hash, &payload_root).leaf_hash()
}

impl Shared {
    /// Writes the sidecars that are missing. A sidecar is derivable, so a failure costs time and nothing else: the
    /// segment stays as it is until the log is opened again.
    pub(super) fn seal_all(&self) {
        for segment in self.segments.to_seal() {
            if self.seal(&segment).is_err() {
                self.segments.give_up_sealing(segment.header.first);
            }
        }
    }

    fn seal(&self, segment: &Segment) -> Result<(), ReadError> {
        let first = segment.header.first;
        let index = |source| ReadError::Index { seq: first, source };
        let (_, next, _) = self.segments.find(first).expect("the segment is known");
        let next = next.expect("only full segments are sealed");
        let mut cursor = self.cursor_of(segment);
        let mut sealed = SidecarBuilder::new(self.identity, first);
        while cursor.next_seq() < next {
            let (found, leaf, record) = next_leaf(&mut cursor, first)?;
            sealed.push(found.offset as u32, found.prefix().commit_time, leaf, &record.about()).map_err(index)?;
        }
        let crc = cursor.previous_crc().expect("a full segment has records");
        let path = self.segments_dir.join(sidecar_file_name(first));
        let end = SegmentEnd { bytes: cursor.offset(), last_prefix_crc: crc };
        sealed.write(&*self.env.disk, &path, end).map_err(index)?;
        let sidecar = Sidecar::open(&*self.env.disk, &path, self.identity, first).map_err(index)?;
        let file = Arc::clone(&segment.file);
        self.segments.keep(Arc::new(Segment::new(file, segment.header, Index::Sealed(sidecar))));
        Ok(())
    }

    fn cursor_of(&self, segment: &Segment) -> Cursor {
        Cursor::new(
            Arc::clone(&segment.file),
            self.identity,
            segment.header.seed(),
            SEGMENT_HEADER_BYTES,
            segment.header.first,
            Some(segment.header.previous_crc),
        )
    }
}

fn next_leaf(cursor: &mut Cursor, segment: Seq) -> Result<(Found, [u8; 32], Record), ReadError> {
    let (offset, seq) = (cursor.offset(), cursor.next_seq());
    let damage = |why| ReadError::damage(seq, segment, offset, why);
    let found = cursor.next_checked().map_err(ReadError::Io)?.map_err(damage)?;
    let record = found.body.decode().map_err(|why| damage(why.into()))?;
    let leaf = leaf_of(&found, &record);
    Ok((found, leaf, record))
}

impl Log {
    /// Root of the zone's Merkle tree over its first `size` records, all of them flushed.
    pub fn root(&self, size: u64) -> Result<Root, ReadError> {
        let mut tree = CompactRange::new();
        let end = Seq(self.first().0 + size);
        if size > 0 {
            self.shared.check_flushed(end.prev())?;
        }
        let mut next = self.first();
        while next < end {
            let (segment, until) = self.shared.segment_of(next)?;
            let until = until.min(end);
            match &segment.index {
                // The arrays of a sidecar are hints until their checksums held.
                Index::Sealed(sidecar) if sidecar.check_all().is_ok() => {
                    for leaf in sidecar.leaves(next, until) {
                        tree.push(leaf.map_err(|source| ReadError::Index { seq: next, source })?);
                    }
                }
                _ => {
                    let mut cursor = self.shared.cursor_of(&segment);
                    while cursor.next_seq() < until {
                        let (_, leaf, _) = next_leaf(&mut cursor, segment.header.first)?;
                        tree.push(leaf);
                    }
                }
            }
            next = until;
        }
        Ok(tree.root())
    }
}
