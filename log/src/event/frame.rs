//! The frame around every archived struct: `kind u16 | version u16 | length u32 | bytes`.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error as ArchiveError;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::{Archive, Deserialize, Serialize};

use super::Kind;

/// Bytes of a frame before its content.
pub(crate) const FRAME_HEADER_BYTES: usize = 8;

/// One section of a meta, its content not yet checked.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub kind: Kind,
    pub version: u16,
    pub bytes: &'a [u8],
}

/// Why bytes are not the meta of a record of this release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("event kind {kind} version {version} is unknown: it was written by a newer release; upgrade to read it")]
    Unknown { kind: u16, version: u16 },
    #[error("event kind {kind} version {version} does not decode")]
    Malformed { kind: u16, version: u16 },
    #[error("the meta's sections are malformed: {0}")]
    Sections(&'static str),
}

/// Appends a frame around bytes that are archived already.
pub fn push_frame(out: &mut Vec<u8>, kind: Kind, version: u16, bytes: &[u8]) {
    push_header(out, kind, version, bytes.len());
    out.extend_from_slice(bytes);
}

fn push_header(out: &mut Vec<u8>, kind: Kind, version: u16, length: usize) {
    out.extend_from_slice(&kind.0.to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&u32::try_from(length).expect("a section is below 4 GiB").to_le_bytes());
}

pub(super) fn push_archived<T>(out: &mut Vec<u8>, kind: Kind, version: u16, value: &T)
where
    T: for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, ArchiveError>>,
{
    let start = out.len();
    push_header(out, kind, version, 0);
    let mut written =
        rkyv::api::high::to_bytes_in::<_, ArchiveError>(value, std::mem::take(out)).expect("archiving into memory");
    let length = u32::try_from(written.len() - start - FRAME_HEADER_BYTES).expect("a section is below 4 GiB");
    written[start + 4..start + FRAME_HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    *out = written;
}

pub(super) fn unarchive<T>(frame: Frame<'_>) -> Result<T, EventError>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, ArchiveError>> + Deserialize<T, HighDeserializer<ArchiveError>>,
{
    rkyv::from_bytes::<T, ArchiveError>(frame.bytes)
        .map_err(|_| EventError::Malformed { kind: frame.kind.0, version: frame.version })
}

/// The frames in `bytes`, one after the other; an error ends the iteration.
pub struct FrameIter<'a> {
    rest: &'a [u8],
}

impl<'a> FrameIter<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> FrameIter<'a> {
        FrameIter { rest: bytes }
    }
}

impl<'a> Iterator for FrameIter<'a> {
    type Item = Result<Frame<'a>, EventError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((header, rest)) = self.rest.split_first_chunk::<FRAME_HEADER_BYTES>() else {
            self.rest = &[];
            return Some(Err(EventError::Sections("a frame's header is cut short")));
        };
        let kind = Kind(u16::from_le_bytes([header[0], header[1]]));
        let version = u16::from_le_bytes([header[2], header[3]]);
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if length > rest.len() {
            self.rest = &[];
            return Some(Err(EventError::Sections("a frame is longer than the meta")));
        }
        let (bytes, rest) = rest.split_at(length);
        self.rest = rest;
        Some(Ok(Frame { kind, version, bytes }))
    }
}
