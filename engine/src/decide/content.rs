//! What changes bytes of files.

use nexus_log::event::{ContentStored, FileContent, Punched, Reason, Syscall, Truncated, Written};
use nexus_log::ids::{Body, ChunkHash, Inode};
use nexus_projections::loads::Prior;
use nexus_projections::row::{Content, FileKind};

use super::{About, Decision, Operation, Request, RequestDigest, Turn};
pub(crate) use crate::content::Strip;
use crate::error::Error;
use crate::limits::FILE_BYTES_MAX;
use crate::lookup::{Found, Node, resolve};
use crate::path::Target;

/// A file's whole content on its way in: chunks of the record's own payload, chunks of earlier records, or a body that
/// was filled before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staged {
    pub(crate) size: u64,
    pub(crate) strip: Strip,
    pub(crate) stored: Option<Body>,
    pub(crate) content_id: Option<ChunkHash>,
    /// Hash of what it consists of, where the request has a name.
    pub(crate) digest: [u8; 32],
}

impl Staged {
    /// Bytes of the content, holes included.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What the event says; `fresh` is the body it begins if it needs one of its own.
    pub(crate) fn content(&self, fresh: Body) -> FileContent {
        let pieces = &self.strip.pieces[..];
        let body = match (self.stored, pieces) {
            (Some(body), _) => body.0,
            (None, []) => 0,
            // The inode row holds one run from a chunk's begin.
            (None, [only]) if only.file_offset == 0 && only.skip == 0 => 0,
            (None, _) => fresh.0,
        };
        let content_id = self.content_id.filter(|_| body != 0).map(|id| id.0);
        let foreign = self.strip.foreign.clone();
        FileContent { size: self.size, body, pieces: pieces.to_vec(), foreign, content_id }
    }

    pub(crate) fn describe(&self, digest: &mut RequestDigest) {
        digest.number(self.size);
        digest.bytes(&self.digest);
    }
}

/// Fills an unattached body; the first record of it begins the body.
pub(crate) struct StoreContent<'a> {
    pub(crate) body: Option<Body>,
    pub(crate) strip: &'a Strip,
}

impl Operation for StoreContent<'_> {
    type Reply = Body;

    fn decide<P: Prior>(&self, _: &P, turn: &Turn<'_>) -> Found<Decision<Body>, P> {
        let body = self.body.unwrap_or(turn.body(0));
        let Strip { pieces, foreign } = self.strip.clone();
        Ok(Decision::one(ContentStored { body: body.0, pieces, foreign }, body))
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
        kind => {
            let message = format!("a {} has no bytes here", kind.name());
            Err(Error::new(Reason::Invalid, message).at(node.inode).into())
        }
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

/// Writes bytes over whatever the file has there.
pub(crate) struct WriteAt<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) position: WritePosition,
    /// The bytes, from offset 0 on.
    pub(crate) strip: &'a Strip,
    /// Hash of the bytes, where the request has a name.
    pub(crate) digest: [u8; 32],
}

impl Operation for WriteAt<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let node = regular(rows, self.target)?;
        let length = self.strip.bytes();
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
            _ if whole && self.strip.pieces.len() == 1 => Body(0),
            _ if whole => turn.body(0),
            Content::Body(body) => body,
            Content::None | Content::One { .. } => turn.body(0),
        };
        let content = FileContent {
            size: node.row.size.max(end),
            body: body.0,
            pieces: self.strip.shifted(offset),
            foreign: self.strip.foreign.clone(),
            content_id: None,
        };
        let path = self.target.path().to_vec();
        let event = Written { inode: node.inode.0, path, offset, length, replace: whole, content };
        Ok(Decision::one(event, node.inode))
    }
}

impl Request for WriteAt<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Write
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: true }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.target);
        digest.maybe(match self.position {
            WritePosition::At(offset) => Some(offset),
            WritePosition::End => None,
        });
        digest.number(self.strip.bytes());
        digest.bytes(&self.digest);
    }
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

impl Request for Truncate<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Truncate
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: true }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.target);
        digest.number(self.size);
    }
}

/// Makes a run of a file a hole. Its size stays.
pub(crate) struct Punch<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Operation for Punch<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let node = regular(rows, self.target)?;
        let end = self.offset.saturating_add(self.length).min(node.row.size);
        if self.offset >= end {
            return Ok(Decision::nothing(node.inode));
        }
        let body = match node.row.content {
            Content::None => 0,
            Content::Body(body) => body.0,
            // What is left of one chunk is its begin, which needs no body.
            Content::One { length, .. } if self.offset >= u64::from(length) || end >= u64::from(length) => 0,
            Content::One { .. } => turn.body(0).0,
        };
        let path = self.target.path().to_vec();
        let event = Punched { inode: node.inode.0, path, offset: self.offset, length: end - self.offset, body };
        Ok(Decision::one(event, node.inode))
    }
}

impl Request for Punch<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Punch
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: true }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.target);
        digest.number(self.offset);
        digest.number(self.length);
    }
}

/// One replacement of [`crate::Zone::edit`].
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    /// What must stand in the file; not empty.
    pub find: &'a [u8],
    pub replace: &'a [u8],
    /// Every occurrence; otherwise there must be exactly one.
    pub all: bool,
}

/// The outcome of edits as a file's whole content.
pub(crate) struct Rewrite<'a> {
    pub(crate) target: Target<'a>,
    /// What the target was when it was read, and the content that came of it; none to look for an answer only.
    pub(crate) inode: Option<Inode>,
    pub(crate) content: Option<&'a Staged>,
    pub(crate) edits: &'a [Edit<'a>],
}

impl Operation for Rewrite<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let node = regular(rows, self.target)?;
        let Some(content) = self.content.filter(|_| self.inode == Some(node.inode)) else {
            let message = "another file has its place by now; look at it again";
            return Err(Error::new(Reason::VersionConflict, message).at(node.inode).into());
        };
        let written = Written {
            inode: node.inode.0,
            path: self.target.path().to_vec(),
            offset: 0,
            length: content.size(),
            replace: true,
            content: content.content(turn.body(0)),
        };
        Ok(Decision::one(written, node.inode))
    }
}

impl Request for Rewrite<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Put
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: true }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.target);
        digest.number(self.edits.len() as u64);
        for edit in self.edits {
            digest.bytes(edit.find);
            digest.bytes(edit.replace);
            digest.number(u64::from(edit.all));
        }
    }
}
