//! Runs of a file's bytes, each a run of a chunk: of the record's own, or of one that the zone holds already.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_log::event::{ForeignChunk, Piece};
use nexus_log::ids::{ChunkHash, ChunkRef};

/// Pieces in the order of their offsets, as events hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strip {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) foreign: Vec<ForeignChunk>,
}

impl Strip {
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::from(piece.length)).sum()
    }

    /// The same pieces, so much further on in the file.
    pub(crate) fn shifted(&self, offset: u64) -> Vec<Piece> {
        let shift = |piece: &Piece| Piece { file_offset: piece.file_offset.saturating_add(offset), ..*piece };
        self.pieces.iter().map(shift).collect()
    }
}

#[derive(Clone, Copy)]
enum Source {
    Own(usize),
    Foreign(usize),
}

/// Gathers a strip, and the chunks that its record must bring along. A chunk that comes twice is brought once.
#[derive(Default)]
pub(crate) struct StripBuilder {
    placed: Vec<(Source, Piece)>,
    own: Vec<(ChunkHash, Bytes)>,
    /// Where a chunk of this strip stands in `own`.
    brought: BTreeMap<ChunkHash, usize>,
    own_bytes: usize,
    foreign: Vec<ForeignChunk>,
}

impl StripBuilder {
    pub(crate) fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    pub(crate) fn pieces(&self) -> usize {
        self.placed.len()
    }

    /// Bytes that the record must bring along.
    pub(crate) fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    pub(crate) fn brings(&self, hash: ChunkHash) -> bool {
        self.brought.contains_key(&hash)
    }

    /// A chunk for the record to store.
    pub(crate) fn push_own(&mut self, file_offset: u64, hash: ChunkHash, chunk: Bytes) {
        let length = chunk.len() as u32;
        let at = *self.brought.entry(hash).or_insert_with(|| {
            self.own_bytes += chunk.len();
            self.own.push((hash, chunk));
            self.own.len() - 1
        });
        self.placed.push((Source::Own(at), Piece { file_offset, length, skip: 0, chunk: 0 }));
    }

    /// A run of a chunk that stands in an earlier record.
    pub(crate) fn push_foreign(&mut self, file_offset: u64, length: u32, skip: u32, chunk: ChunkRef) {
        let ChunkRef { seq, offset, length: chunk_length, hash } = chunk;
        let foreign = ForeignChunk { seq: seq.0, offset, length: chunk_length, hash: hash.0 };
        let at = match self.foreign.last() {
            Some(last) if *last == foreign => self.foreign.len() - 1,
            _ => {
                self.foreign.push(foreign);
                self.foreign.len() - 1
            }
        };
        self.placed.push((Source::Foreign(at), Piece { file_offset, length, skip, chunk: 0 }));
    }

    /// The strip, and the chunks of its record.
    pub(crate) fn finish(self) -> (Strip, Vec<(ChunkHash, Bytes)>) {
        let own = self.own.len();
        let pieces = self.placed.into_iter().map(|(source, piece)| {
            let chunk = match source {
                Source::Own(at) => at,
                Source::Foreign(at) => own + at,
            };
            Piece { chunk: chunk as u32, ..piece }
        });
        (Strip { pieces: pieces.collect(), foreign: self.foreign }, self.own)
    }
}
