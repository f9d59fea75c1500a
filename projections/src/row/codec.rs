//! Compact, checked encoding of row values: LEB128 numbers, times as fixed 8 bytes, strings with their length.

use nexus_log::ids::{ChunkHash, ChunkRef, Seq};

/// A stored row that is not one: the tables are damaged and can be rebuilt from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of table {table} cannot be decoded; run `nexus rebuild --discard`")]
pub struct RowError {
    pub table: &'static str,
}

#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub(super) fn time(&mut self, ns: i64) {
        self.0.extend_from_slice(&ns.to_le_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    pub(super) fn chunk(&mut self, chunk: &ChunkRef) {
        [chunk.seq.0, chunk.offset.into(), chunk.length.into()].into_iter().for_each(|n| self.number(n));
        self.raw(&chunk.hash.0);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    table: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], table: &'static str) -> Reader<'a> {
        Reader { rest: bytes, table }
    }

    pub(super) fn bad(&self) -> RowError {
        RowError { table: self.table }
    }

    pub(super) fn byte(&mut self) -> Result<u8, RowError> {
        let (first, rest) = self.rest.split_first().ok_or(self.bad())?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, RowError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.bad());
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(self.bad())
    }

    pub(super) fn number32(&mut self) -> Result<u32, RowError> {
        let n = self.number()?;
        u32::try_from(n).map_err(|_| self.bad())
    }

    pub(super) fn raw(&mut self, length: usize) -> Result<&'a [u8], RowError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(self.bad())?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn time(&mut self) -> Result<i64, RowError> {
        Ok(i64::from_le_bytes(self.raw(8)?.try_into().expect("eight bytes")))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], RowError> {
        let length = self.number()?;
        let length = usize::try_from(length).map_err(|_| self.bad())?;
        self.raw(length)
    }

    pub(super) fn string(&mut self) -> Result<String, RowError> {
        let bytes = self.bytes()?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.bad())
    }

    pub(super) fn hash(&mut self) -> Result<ChunkHash, RowError> {
        Ok(ChunkHash(self.raw(32)?.try_into().expect("thirty-two bytes")))
    }

    pub(super) fn chunk(&mut self) -> Result<ChunkRef, RowError> {
        Ok(ChunkRef {
            seq: Seq(self.number()?),
            offset: self.number32()?,
            length: self.number32()?,
            hash: self.hash()?,
        })
    }

    pub(super) fn end(&self) -> Result<(), RowError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.bad()) }
    }
}
