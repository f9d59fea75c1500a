//! A run of a chunk that is a run of a body.

use nexus_log::ids::ChunkRef;

use super::{Reader, RowError, Writer};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentRow {
    /// Bytes; at most [`nexus_log::limits::CHUNK_BYTES_MAX`], as it lies in one chunk.
    pub length: u32,
    /// Bytes of the chunk before the run.
    pub skip: u32,
    pub chunk: ChunkRef,
}

impl ExtentRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        [self.length, self.skip].into_iter().for_each(|n| out.number(n.into()));
        out.chunk(&self.chunk);
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<ExtentRow, RowError> {
        let mut from = Reader::new(bytes, "extent");
        let row = ExtentRow { length: from.number32()?, skip: from.number32()?, chunk: from.chunk()? };
        from.end()?;
        let fits = u64::from(row.skip) + u64::from(row.length) <= u64::from(row.chunk.length);
        if fits { Ok(row) } else { Err(from.bad()) }
    }
}
