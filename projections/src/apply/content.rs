//! Content: pieces become the inode row's one chunk, or extents of a body.

use nexus_log::event::{FileContent, ForeignChunk, Piece, Punched, Written};
use nexus_log::ids::{Body, ChunkHash, ChunkRef, Inode, Seq};
use nexus_log::limits::CHUNK_BYTES_MAX;

use super::rows::ApplyError;
use super::{Applied, Fold, Origin};
use crate::loads::{NotRead, Prior};
use crate::row::{Content, ExtentRow};
use crate::table::{RowKey, RowRange, Table};

/// Extents of `body` that begin in `from..to`.
#[must_use]
pub fn extents_from(body: Body, from: u64, to: u64) -> RowRange {
    RowRange { table: Table::Extent, start: RowKey::extent(body, from).bytes, end: RowKey::extent(body, to).bytes }
}

/// Where an extent of `body` begins that reaches into `at` from before: the last one there, and no longer than a chunk.
#[must_use]
pub fn extents_before(body: Body, at: u64) -> RowRange {
    extents_from(body, at.saturating_sub(CHUNK_BYTES_MAX as u64 - 1), at)
}

/// The extent of `body` that reaches into `at` from before, and its offset.
pub fn extent_reaching<P: Prior>(rows: &P, body: Body, at: u64) -> Result<Option<(u64, ExtentRow)>, NotRead<P::Miss>> {
    let Some((key, version)) = rows.last(&extents_before(body, at)).map_err(NotRead::Miss)? else { return Ok(None) };
    let (offset, extent) = (extent_offset(&key), ExtentRow::decode(&version.value)?);
    Ok((offset + u64::from(extent.length) > at).then_some((offset, extent)))
}

/// File offset that an extent's key names.
#[must_use]
pub fn extent_offset(key: &RowKey) -> u64 {
    key.bytes.get(8..16).map_or(0, |b| u64::from_be_bytes(b.try_into().expect("eight bytes")))
}

/// The chunk that a piece is a run of; `None` where the piece names none that holds it.
fn chunk_of(origin: Origin<'_>, foreign: &[ForeignChunk], piece: &Piece) -> Option<ChunkRef> {
    let own = origin.chunks.len();
    let at = piece.chunk as usize;
    let chunk = if at < own {
        origin.chunk_ref(at)?
    } else {
        let f = foreign.get(at - own)?;
        ChunkRef { seq: Seq(f.seq), offset: f.offset, length: f.length, hash: ChunkHash(f.hash) }
    };
    let holds = u64::from(piece.skip) + u64::from(piece.length) <= u64::from(chunk.length);
    (holds && piece.length > 0).then_some(chunk)
}

impl<P: Prior> Fold<'_, P> {
    /// What a file of `size` bytes consists of after `content` came over `before`.
    pub(super) fn content_after(
        &mut self,
        before: Content,
        size: u64,
        content: &FileContent,
    ) -> Result<Content, ApplyError<P::Miss>> {
        if content.body == 0 {
            let first = content.pieces.first();
            let chunk = first.and_then(|piece| chunk_of(self.origin, &content.foreign, piece));
            return Ok(match (chunk, first) {
                (Some(chunk), Some(piece)) => Content::One { chunk, length: piece.length },
                _ => Content::None,
            });
        }
        let body = Body(content.body);
        if let Content::One { chunk, length } = before {
            let extent = ExtentRow { length, skip: 0, chunk };
            self.rows.put(RowKey::extent(body, 0), extent.encode())?;
        }
        self.store_pieces(body, size, &content.pieces, &content.foreign)?;
        Ok(Content::Body(body))
    }

    /// Content of a body that no file has yet.
    pub(super) fn store_unattached(&mut self, body: Body, pieces: &[Piece], foreign: &[ForeignChunk]) -> Applied<P> {
        let size = match self
            .rows
            .last(&extents_from(body, 0, u64::MAX), self.is_born_here(body))
            .map_err(ApplyError::Miss)?
        {
            Some((key, value)) => extent_offset(&key) + u64::from(ExtentRow::decode(&value)?.length),
            None => 0,
        };
        self.store_pieces(body, size, pieces, foreign)
    }

    fn is_born_here(&self, body: Body) -> bool {
        body.0 >> 16 == self.origin.seq.0
    }

    /// Puts pieces over whatever the body, which ends at `size`, has there.
    fn store_pieces(&mut self, body: Body, mut size: u64, pieces: &[Piece], foreign: &[ForeignChunk]) -> Applied<P> {
        let placed = pieces.iter().filter_map(|piece| Some((piece, chunk_of(self.origin, foreign, piece)?)));
        let placed: Vec<(&Piece, ChunkRef)> = placed.collect();
        let end_of = |piece: &Piece| piece.file_offset.saturating_add(u64::from(piece.length));
        // Pieces without a gap take the place of what was there as one.
        for run in placed.chunk_by(|(before, _), (piece, _)| end_of(before) == piece.file_offset) {
            let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else { continue };
            let end = end_of(last);
            // Behind the end there is nothing to clear: adding to a file does not look through it.
            if first.file_offset < size {
                self.clear(body, first.file_offset, end)?;
            }
            size = size.max(end);
            for (piece, chunk) in run {
                let extent = ExtentRow { length: piece.length, skip: piece.skip, chunk: *chunk };
                self.rows.put(RowKey::extent(body, piece.file_offset), extent.encode())?;
            }
        }
        Ok(())
    }

    /// Removes `from..to` of a body, keeping what of an extent lies outside.
    fn clear(&mut self, body: Body, from: u64, to: u64) -> Applied<P> {
        let born_here = self.is_born_here(body);
        let before = self.rows.last(&extents_before(body, from), born_here).map_err(ApplyError::Miss)?;
        let within = self.rows.range(&extents_from(body, from, to), born_here)?;
        for (key, value) in before.into_iter().chain(within) {
            let extent = ExtentRow::decode(&value)?;
            let start = extent_offset(&key);
            let end = start + u64::from(extent.length);
            if end <= from {
                continue;
            }
            if end > to {
                let cut = (to - start) as u32;
                let right = ExtentRow { length: extent.length - cut, skip: extent.skip + cut, ..extent };
                self.rows.put(RowKey::extent(body, to), right.encode())?;
            }
            if start < from {
                let left = ExtentRow { length: (from - start) as u32, ..extent };
                self.rows.put(key, left.encode())?;
            } else {
                self.rows.remove(key)?;
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, e: &Written) -> Applied<P> {
        let Some(mut row) = self.rows.inode(Inode(e.inode))? else { return Ok(()) };
        let before = if e.replace { Content::None } else { row.content };
        let size = if e.replace { 0 } else { row.size };
        row.content = self.content_after(before, size, &e.content)?;
        row.content_id = e.content.content_id.map(ChunkHash);
        row.size = e.content.size;
        row.mtime = self.time;
        row.ctime = self.time;
        row.version += 1;
        self.rows.put(RowKey::inode(Inode(e.inode)), row.encode())
    }

    pub(super) fn punch(&mut self, e: &Punched) -> Applied<P> {
        let Some(mut row) = self.rows.inode(Inode(e.inode))? else { return Ok(()) };
        let end = e.offset.saturating_add(e.length);
        row.content = match row.content {
            Content::One { chunk, length } if e.body != 0 => {
                let body = Body(e.body);
                self.rows.put(RowKey::extent(body, 0), ExtentRow { length, skip: 0, chunk }.encode())?;
                self.clear(body, e.offset, end)?;
                Content::Body(body)
            }
            Content::One { .. } if e.offset == 0 => Content::None,
            // Only what is behind the hole's begin is left without a body: the hole reaches the chunk's end.
            Content::One { chunk, length } => {
                Content::One { chunk, length: length.min(u32::try_from(e.offset).unwrap_or(u32::MAX)) }
            }
            Content::Body(body) => {
                self.clear(body, e.offset, end)?;
                Content::Body(body)
            }
            Content::None => Content::None,
        };
        row.content_id = None;
        row.mtime = self.time;
        row.ctime = self.time;
        row.version += 1;
        self.rows.put(RowKey::inode(Inode(e.inode)), row.encode())
    }

    pub(super) fn truncate(&mut self, inode: Inode, size: u64) -> Applied<P> {
        let Some(mut row) = self.rows.inode(inode)? else { return Ok(()) };
        row.content = match row.content {
            _ if size == 0 => Content::None,
            Content::None => Content::None,
            Content::One { chunk, length } => {
                Content::One { chunk, length: length.min(u32::try_from(size).unwrap_or(u32::MAX)) }
            }
            Content::Body(body) => {
                if size < row.size {
                    // Not beyond: there stands what earlier steps took away, in memory and not yet forgotten.
                    self.clear(body, size, row.size)?;
                }
                Content::Body(body)
            }
        };
        row.content_id = None;
        row.size = size;
        row.mtime = self.time;
        row.ctime = self.time;
        row.version += 1;
        self.rows.put(RowKey::inode(inode), row.encode())
    }
}
