//! What changes bytes of files.

use nexus_log::event::{ContentStored, FileContent, Piece, Reason, Truncated, Written};
use nexus_log::ids::{Body, ChunkHash, Inode};
use nexus_projections::loads::Prior;
use nexus_projections::row::{Content, FileKind};

use super::{Decision, Operation, Turn};
use crate::error::Error;
use crate::limits::FILE_BYTES_MAX;
use crate::lookup::{Found, Node, resolve};
use crate::path::Target;

/// A file's whole content on its way in: pieces of the record's own payload, or a body filled before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staged {
    pub(crate) size: u64,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) stored: Option<Body>,
    pub(crate) content_id: Option<ChunkHash>,
}

impl Staged {
    /// Bytes of the content, holes included.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What the event says; `fresh` is the body it begins if it needs one of its own.
    pub(crate) fn content(&self, fresh: Body) -> FileContent {
        let single = self.pieces.len() == 1 && self.pieces[0].file_offset == 0;
        let body = match self.stored {
            Some(body) => body.0,
            None if self.pieces.is_empty() || single => 0,
            None => fresh.0,
        };
        let content_id = self.content_id.filter(|_| body != 0).map(|id| id.0);
        FileContent { size: self.size, body, pieces: self.pieces.clone(), foreign: Vec::new(), content_id }
    }
}

/// Fills an unattached body; the first record of it begins the body.
pub(crate) struct StoreContent<'a> {
    pub(crate) body: Option<Body>,
    pub(crate) pieces: &'a [Piece],
}

impl Operation for StoreContent<'_> {
    type Reply = Body;

    fn decide<P: Prior>(&self, _: &P, turn: &Turn<'_>) -> Found<Decision<Body>, P> {
        let body = self.body.unwrap_or(turn.body(0));
        let event = ContentStored { body: body.0, pieces: self.pieces.to_vec(), foreign: Vec::new() };
        Ok(Decision::one(event, body))
    }
}

fn regular<P: Prior>(rows: &P, target: Target<'_>) -> Found<Node, P> {
    let node = resolve(rows, target, true)?;
    match node.row.kind {
        FileKind::Regular => Ok(node),
        FileKind::Directory => {
            Err(Error::new(Reason::IsDir, "a directory has no bytes to write").at(node.inode).into())
        }
        FileKind::Link => Err(Error::new(Reason::Invalid, "a symlink has no bytes to write").at(node.inode).into()),
    }
}

fn check_size(node: &Node, size: u64) -> Result<(), Error> {
    if size > FILE_BYTES_MAX {
        let message = format!("a file is at most {FILE_BYTES_MAX} bytes");
        return Err(Error::new(Reason::TooLarge, message).at(node.inode));
    }
    Ok(())
}

/// Where in a file bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WritePosition {
    At(u64),
    /// At the end, wherever it is by then.
    End,
}

/// Writes the payload's chunks over whatever the file has there.
pub(crate) struct WriteAt<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) position: WritePosition,
    /// Lengths of the payload's chunks, in order.
    pub(crate) chunks: &'a [u32],
}

impl Operation for WriteAt<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let node = regular(rows, self.target)?;
        let length: u64 = self.chunks.iter().map(|c| u64::from(*c)).sum();
        if length == 0 {
            return Ok(Decision::nothing(node.inode));
        }
        let offset = match self.position {
            WritePosition::At(offset) => offset,
            WritePosition::End => node.row.size,
        };
        let end = offset.saturating_add(length);
        check_size(&node, end)?;
        let whole = offset == 0 && length >= node.row.size;
        let body = match node.row.content {
            _ if whole && self.chunks.len() == 1 => Body(0),
            _ if whole => turn.body(0),
            Content::Body(body) => body,
            Content::None | Content::One { .. } => turn.body(0),
        };
        let content = FileContent {
            size: node.row.size.max(end),
            body: body.0,
            pieces: pieces_of(offset, self.chunks),
            foreign: Vec::new(),
            content_id: None,
        };
        let path = self.target.path().to_vec();
        let event = Written { inode: node.inode.0, path, offset, length, replace: whole, content };
        Ok(Decision::one(event, node.inode))
    }
}

/// Chunks one behind the other from `offset` on.
pub(crate) fn pieces_of(offset: u64, chunks: &[u32]) -> Vec<Piece> {
    let mut file_offset = offset;
    let mut pieces = Vec::with_capacity(chunks.len());
    for (index, length) in chunks.iter().enumerate() {
        pieces.push(Piece { file_offset, length: *length, skip: 0, chunk: index as u32 });
        file_offset += u64::from(*length);
    }
    pieces
}

pub(crate) struct Truncate<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) size: u64,
    /// A step on the way to a smaller size: nothing to do where the file is that small already.
    pub(crate) step: bool,
}

impl Operation for Truncate<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, _: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let node = regular(rows, self.target)?;
        check_size(&node, self.size)?;
        if self.step && node.row.size <= self.size {
            return Ok(Decision::nothing(node.inode));
        }
        let event = Truncated { inode: node.inode.0, path: self.target.path().to_vec(), size: self.size };
        Ok(Decision::one(event, node.inode))
    }
}
