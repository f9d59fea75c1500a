//! Entries that programs open and that have no content here: fifos, sockets, devices.

use nexus_log::event::{NodeCreated, Reason, Syscall};
use nexus_projections::loads::Prior;
use nexus_projections::row::FileKind;

use super::create::{exists, push_xattrs};
use super::{About, Created, Decision, NewFile, Operation, Request, RequestDigest, Turn};
use crate::error::Error;
use crate::lookup::{Found, place_below_root};
use crate::path::Entry;

/// Types of entries beside files, directories and links, by SPEC part A and mknod(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    Fifo,
    Socket,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Mount,
    Pipe,
    Stream,
    External,
}

impl NodeKind {
    /// As it stands in an inode's row, with the device number; `None` for what a zone does not have yet.
    fn row(self) -> Option<(FileKind, u64)> {
        let device = |major: u32, minor: u32| u64::from(major) << 32 | u64::from(minor);
        match self {
            NodeKind::Fifo => Some((FileKind::Fifo, 0)),
            NodeKind::Socket => Some((FileKind::Socket, 0)),
            NodeKind::CharDevice { major, minor } => Some((FileKind::CharDevice, device(major, minor))),
            NodeKind::BlockDevice { major, minor } => Some((FileKind::BlockDevice, device(major, minor))),
            NodeKind::Mount | NodeKind::Pipe | NodeKind::Stream | NodeKind::External => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            NodeKind::Mount => "a mount",
            NodeKind::Pipe => "a pipe",
            NodeKind::Stream => "a stream",
            NodeKind::External => "external storage",
            NodeKind::Fifo => "a fifo",
            NodeKind::Socket => "a socket",
            NodeKind::CharDevice { .. } => "a character device",
            NodeKind::BlockDevice { .. } => "a block device",
        }
    }
}

pub(crate) struct MakeNode<'a> {
    pub(crate) entry: Entry<'a>,
    pub(crate) kind: NodeKind,
    pub(crate) new: &'a NewFile,
}

impl Operation for MakeNode<'_> {
    type Reply = Created;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Created>, P> {
        let place = place_below_root(rows, self.entry)?;
        let Some((kind, device)) = self.kind.row() else {
            let message = format!("this zone cannot hold {}", self.kind.name());
            return Err(Error::new(Reason::Unsupported, message).at(place.parent).into());
        };
        if let Some(found) = place.found {
            return Err(exists(found, &place).into());
        }
        let inode = turn.inode(0);
        let event = NodeCreated {
            inode: inode.0,
            parent: place.parent.0,
            name: place.name.to_vec(),
            path: self.entry.path().to_vec(),
            kind: kind as u8,
            mode: self.new.mode & 0o7777,
            uid: self.new.uid,
            gid: self.new.gid,
            mtime: self.new.mtime,
            device,
        };
        let mut events = vec![event.into()];
        push_xattrs(&mut events, inode, &self.new.xattrs)?;
        Ok(Decision { events, reply: Created { inode, fresh: true } })
    }
}

impl Request for MakeNode<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::MakeNode
    }

    fn about(&self) -> About<'_> {
        About::Entry { entry: self.entry, follow: false }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.entry(self.entry);
        digest.bytes(self.kind.name().as_bytes());
        digest.maybe(self.kind.row().map(|(_, device)| device));
        digest.new_file(self.new);
    }
}
