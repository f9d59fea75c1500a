//! What brings names into being.

use nexus_log::event::{
    AttributesSet, DirectoryCreated, Event, FileCreated, Linked, Reason, SymlinkCreated, Syscall, Written, XattrSet,
};
use nexus_log::ids::Inode;
use nexus_projections::loads::Prior;
use nexus_projections::row::{DentryRow, FileKind};

use super::attributes::check_xattr;
use super::content::Staged;
use super::{About, Decision, Operation, Request, RequestDigest, Turn};
use crate::error::{Error, shown};
use crate::limits::{LINKS_MAX, SYMLINK_BYTES_MAX, XATTRS_BYTES_MAX, XATTRS_PER_RECORD_MAX};
use crate::lookup::{Found, Place, node, place, place_below_root, resolve};
use crate::path::{Entry, Target};

/// Attributes of something new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Permission bits, setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Nanoseconds since 1970; the commit time where absent.
    pub mtime: Option<i64>,
    pub atime: Option<i64>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Default for NewFile {
    fn default() -> NewFile {
        NewFile { mode: 0o644, uid: 0, gid: 0, mtime: None, atime: None, xattrs: Vec::new() }
    }
}

/// What a call that creates came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    pub inode: Inode,
    /// False where it existed before.
    pub fresh: bool,
}

/// Creates a regular file, or replaces the content of one.
pub(crate) struct CreateFile<'a> {
    pub(crate) entry: Entry<'a>,
    pub(crate) new: &'a NewFile,
    /// The whole content; `None` leaves an existing file's content alone.
    pub(crate) content: Option<&'a Staged>,
    /// Fail where the name exists.
    pub(crate) exclusive: bool,
    /// Give an existing file the attributes of `new` too.
    pub(crate) attributes_too: bool,
}

impl Operation for CreateFile<'_> {
    type Reply = Created;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Created>, P> {
        let place = place_below_root(rows, self.entry)?;
        match place.found {
            None => self.create(&place, turn).map_err(Into::into),
            Some(found) if self.exclusive => Err(exists(found, &place).into()),
            Some(found) => self.replace(rows, &place, found, turn),
        }
    }
}

pub(super) fn exists(found: DentryRow, place: &Place<'_>) -> Error {
    let message = format!("{} exists already, as a {}", shown(&place.name), found.kind.name());
    Error::new(Reason::Exists, message).at(found.inode)
}

impl CreateFile<'_> {
    fn create(&self, place: &Place<'_>, turn: &Turn<'_>) -> Result<Decision<Created>, Error> {
        let inode = turn.inode(0);
        let event = FileCreated {
            inode: inode.0,
            parent: place.parent.0,
            name: place.name.to_vec(),
            path: self.entry.path().to_vec(),
            mode: self.new.mode & 0o7777,
            uid: self.new.uid,
            gid: self.new.gid,
            mtime: self.new.mtime,
            atime: self.new.atime,
            content: self.content.map(|c| c.content(turn.body(0))).unwrap_or_default(),
        };
        let mut events = vec![event.into()];
        push_xattrs(&mut events, inode, &self.new.xattrs)?;
        Ok(Decision { events, reply: Created { inode, fresh: true } })
    }

    fn replace<P: Prior>(
        &self,
        rows: &P,
        place: &Place<'_>,
        found: DentryRow,
        turn: &Turn<'_>,
    ) -> Found<Decision<Created>, P> {
        let file = match (found.kind, self.entry) {
            (FileKind::Link, Entry::Path(path)) => resolve(rows, Target::Path(path), true)?,
            _ => node(rows, found.inode)?,
        };
        if file.row.kind != FileKind::Regular {
            return Err(exists(found, place).into());
        }
        let reply = Created { inode: file.inode, fresh: false };
        let Some(staged) = self.content else { return Ok(Decision::nothing(reply)) };
        let written = Written {
            inode: file.inode.0,
            path: self.entry.path().to_vec(),
            offset: 0,
            length: staged.size(),
            replace: true,
            content: staged.content(turn.body(0)),
        };
        let mut events = vec![written.into()];
        if self.attributes_too {
            push_xattrs(&mut events, file.inode, &self.new.xattrs)?;
            events.push(self.attributes(file.inode));
        }
        Ok(Decision { events, reply })
    }

    fn attributes(&self, inode: Inode) -> Event {
        let set = AttributesSet {
            inode: inode.0,
            path: self.entry.path().to_vec(),
            mode: Some(self.new.mode & 0o7777),
            uid: Some(self.new.uid),
            gid: Some(self.new.gid),
            mtime: self.new.mtime,
            atime: self.new.atime,
            mime: None,
        };
        set.into()
    }
}

pub(super) fn push_xattrs(events: &mut Vec<Event>, inode: Inode, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
    let total: usize = xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if xattrs.len() > XATTRS_PER_RECORD_MAX {
        let message = format!("{} extended attributes; at most {XATTRS_PER_RECORD_MAX} in one record", xattrs.len());
        return Err(Error::new(Reason::TooLarge, message));
    }
    if total > XATTRS_BYTES_MAX {
        let message = format!("{total} bytes of extended attributes; at most {XATTRS_BYTES_MAX} in one record");
        return Err(Error::new(Reason::TooLarge, message));
    }
    for (name, value) in xattrs {
        check_xattr(name, value)?;
        events.push(XattrSet { inode: inode.0, path: Vec::new(), name: name.clone(), value: value.clone() }.into());
    }
    Ok(())
}

pub(crate) struct Mkdir<'a> {
    pub(crate) entry: Entry<'a>,
    pub(crate) new: &'a NewFile,
    /// An existing directory is an error too.
    pub(crate) exclusive: bool,
}

impl Operation for Mkdir<'_> {
    type Reply = Created;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Created>, P> {
        let place = place(rows, self.entry)?;
        if place.name.is_empty() {
            return match self.exclusive {
                true => Err(Error::new(Reason::Exists, "the root directory exists already").at(Inode::ROOT).into()),
                false => Ok(Decision::nothing(Created { inode: place.parent, fresh: false })),
            };
        }
        if let Some(found) = place.found {
            if found.kind != FileKind::Directory || self.exclusive {
                return Err(exists(found, &place).into());
            }
            return Ok(Decision::nothing(Created { inode: found.inode, fresh: false }));
        }
        let inode = turn.inode(0);
        let event = DirectoryCreated {
            inode: inode.0,
            parent: place.parent.0,
            name: place.name.to_vec(),
            path: self.entry.path().to_vec(),
            mode: self.new.mode & 0o7777,
            uid: self.new.uid,
            gid: self.new.gid,
        };
        let mut events = vec![event.into()];
        push_xattrs(&mut events, inode, &self.new.xattrs)?;
        Ok(Decision { events, reply: Created { inode, fresh: true } })
    }
}

pub(crate) struct Symlink<'a> {
    pub(crate) entry: Entry<'a>,
    pub(crate) target: &'a [u8],
    pub(crate) new: &'a NewFile,
}

impl Operation for Symlink<'_> {
    type Reply = Created;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Created>, P> {
        if self.target.is_empty() || self.target.len() > SYMLINK_BYTES_MAX || self.target.contains(&0) {
            let message = format!("a symlink's target is 1 to {SYMLINK_BYTES_MAX} bytes without NUL");
            return Err(Error::new(Reason::Invalid, message).into());
        }
        let place = place_below_root(rows, self.entry)?;
        if let Some(found) = place.found {
            return Err(exists(found, &place).into());
        }
        let inode = turn.inode(0);
        let event = SymlinkCreated {
            inode: inode.0,
            parent: place.parent.0,
            name: place.name.to_vec(),
            path: self.entry.path().to_vec(),
            uid: self.new.uid,
            gid: self.new.gid,
            mtime: self.new.mtime,
            target: self.target.to_vec(),
        };
        let mut events = vec![event.into()];
        push_xattrs(&mut events, inode, &self.new.xattrs)?;
        Ok(Decision { events, reply: Created { inode, fresh: true } })
    }
}

/// A further name for a file.
pub(crate) struct Link<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) entry: Entry<'a>,
}

impl Operation for Link<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, _: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let file = resolve(rows, self.target, false)?;
        let refuse = |kind, message: String| Err(Error::new(kind, message).at(file.inode).into());
        if file.is_directory() {
            return refuse(Reason::PermissionDenied, "a directory cannot have a second name; use a symlink".into());
        }
        if file.row.nlink == 0 {
            return refuse(Reason::NotFound, "the file has been unlinked".into());
        }
        if file.row.nlink >= LINKS_MAX {
            return refuse(Reason::TooManyLinks, format!("the file has {LINKS_MAX} names already"));
        }
        let place = place_below_root(rows, self.entry)?;
        if let Some(found) = place.found {
            return Err(exists(found, &place).into());
        }
        let event = Linked {
            inode: file.inode.0,
            parent: place.parent.0,
            name: place.name.to_vec(),
            path: self.entry.path().to_vec(),
        };
        Ok(Decision::one(event, file.inode))
    }
}

impl Request for CreateFile<'_> {
    fn syscall(&self) -> Syscall {
        if self.content.is_some() { Syscall::Put } else { Syscall::Create }
    }

    fn about(&self) -> About<'_> {
        About::Entry { entry: self.entry, follow: true }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.entry(self.entry);
        digest.new_file(self.new);
        digest.number(u64::from(self.exclusive) << 1 | u64::from(self.attributes_too));
        if let Some(content) = self.content {
            content.describe(digest);
        }
    }
}

impl Request for Mkdir<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Mkdir
    }

    fn about(&self) -> About<'_> {
        About::Entry { entry: self.entry, follow: false }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.entry(self.entry);
        digest.new_file(self.new);
        digest.number(u64::from(self.exclusive));
    }
}

impl Request for Symlink<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Symlink
    }

    fn about(&self) -> About<'_> {
        About::Entry { entry: self.entry, follow: false }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.entry(self.entry);
        digest.new_file(self.new);
        digest.bytes(self.target);
    }
}

impl Request for Link<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Link
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: false }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.target);
        digest.entry(self.entry);
    }
}
