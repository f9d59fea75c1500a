//! What makes, moves and removes names.

use nexus_log::ids::Inode;

use super::{CallOptions, Done, Zone};
use crate::caller::Caller;
use crate::decide::{
    CreateFile, Created, Link, MakeNode, Mkdir, NewFile, NodeKind, Rename, RenameMode, Rmdir, Symlink, Unlink,
};
use crate::error::Result;
use crate::path::{Entry, Target};

impl Zone {
    /// Creates a regular file. An existing one is opened, unless `exclusive`.
    pub fn create<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        new: &NewFile,
        exclusive: bool,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Created>> {
        let operation = CreateFile { entry: entry.into(), new, content: None, exclusive, attributes_too: false };
        self.change(caller, &operation, None, options.into())
    }

    pub fn mkdir<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        new: &NewFile,
        exclusive: bool,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Created>> {
        self.change(caller, &Mkdir { entry: entry.into(), new, exclusive }, None, options.into())
    }

    pub fn symlink<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        target: &[u8],
        new: &NewFile,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Created>> {
        self.change(caller, &Symlink { entry: entry.into(), target, new }, None, options.into())
    }

    /// Creates a fifo, socket or device: an entry without content. What a zone cannot hold yet is `Unsupported`.
    pub fn make_node<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        kind: NodeKind,
        new: &NewFile,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Created>> {
        self.change(caller, &MakeNode { entry: entry.into(), kind, new }, None, options.into())
    }

    /// Gives a file a further name.
    pub fn link<'a, 'b>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        entry: impl Into<Entry<'b>>,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        self.change(caller, &Link { target: target.into(), entry: entry.into() }, None, options.into())
    }

    /// Moves a name, or exchanges two. One record, also for a directory.
    pub fn rename<'a, 'b>(
        &self,
        caller: &Caller,
        from: impl Into<Entry<'a>>,
        to: impl Into<Entry<'b>>,
        mode: RenameMode,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        self.change(caller, &Rename { from: from.into(), to: to.into(), mode }, None, options.into())
    }

    /// Removes a name of anything but a directory.
    pub fn unlink<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        self.change(caller, &Unlink { entry: entry.into() }, None, options.into())
    }

    /// Removes an empty directory.
    pub fn rmdir<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        self.change(caller, &Rmdir { entry: entry.into() }, None, options.into())
    }
}
