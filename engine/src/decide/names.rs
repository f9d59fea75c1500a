//! What moves and removes names.

use nexus_log::event::{DirectoryRemoved, Exchanged, LinkName, OrphansReleased, Reason, Renamed, Syscall, Unlinked};
use nexus_log::ids::Inode;
use nexus_projections::loads::Prior;
use nexus_projections::row::{DentryRow, FileKind};
use nexus_projections::table::{RowKey, RowRange, Table};

use super::{About, Decision, Operation, Request, RequestDigest, Turn};
use crate::error::{Error, shown};
use crate::limits::DEPTH_MAX;
use crate::lookup::{Found, Place, Stop, node, place_below_root, times};
use crate::path::Entry;

fn existing<P: Prior>(rows: &P, entry: Entry<'_>) -> Found<(Inode, Vec<u8>, DentryRow), P> {
    let Place { parent, name, found } = place_below_root(rows, entry)?;
    match found {
        Some(found) => Ok((parent, name.into_owned(), found)),
        None => {
            let message = format!("{} does not exist", shown(&name));
            Err(Error::new(Reason::NotFound, message).at(parent).into())
        }
    }
}

/// What removing one name of a file does besides: the file lives on as an orphan, or another link becomes its first.
struct Dropped {
    orphaned: bool,
    promoted: Option<LinkName>,
}

fn drop_name<P: Prior>(rows: &P, turn: &Turn<'_>, inode: Inode, parent: Inode, name: &[u8]) -> Found<Dropped, P> {
    let file = node(rows, inode)?;
    if file.row.nlink <= 1 {
        return Ok(Dropped { orphaned: (turn.is_open)(inode), promoted: None });
    }
    let is_first = file.row.parent == parent && file.row.name == name;
    let promoted = if is_first {
        let links = rows.range(&RowRange::of_id(Table::Link, inode.0)).map_err(Stop::Miss)?;
        links.first().and_then(|(key, _)| link_name(key))
    } else {
        None
    };
    Ok(Dropped { orphaned: false, promoted })
}

/// The name that a key of table link stands for.
fn link_name(key: &RowKey) -> Option<LinkName> {
    let parent = u64::from_be_bytes(key.bytes.get(8..16)?.try_into().ok()?);
    Some(LinkName { parent, name: key.bytes.get(16..)?.to_vec() })
}

pub(crate) struct Unlink<'a> {
    pub(crate) entry: Entry<'a>,
}

impl Operation for Unlink<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let (parent, name, found) = existing(rows, self.entry)?;
        if found.kind == FileKind::Directory {
            let message = format!("{} is a directory", shown(&name));
            return Err(Error::new(Reason::IsDir, message).at(found.inode).into());
        }
        let dropped = drop_name(rows, turn, found.inode, parent, &name)?;
        let event = Unlinked {
            inode: found.inode.0,
            parent: parent.0,
            name,
            path: self.entry.path().to_vec(),
            orphaned: dropped.orphaned,
            promoted: dropped.promoted,
        };
        Ok(Decision::one(event, found.inode))
    }
}

fn check_empty<P: Prior>(rows: &P, directory: Inode, name: &[u8]) -> Found<(), P> {
    if times(rows, directory)?.is_some_and(|(times, _)| times.entries > 0) {
        let message = format!("the directory {} is not empty", shown(name));
        return Err(Error::new(Reason::NotEmpty, message).at(directory).into());
    }
    Ok(())
}

pub(crate) struct Rmdir<'a> {
    pub(crate) entry: Entry<'a>,
}

impl Operation for Rmdir<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, _: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let (parent, name, found) = existing(rows, self.entry)?;
        if found.kind != FileKind::Directory {
            let message = format!("{} is not a directory", shown(&name));
            return Err(Error::new(Reason::NotDir, message).at(found.inode).into());
        }
        check_empty(rows, found.inode, &name)?;
        let path = self.entry.path().to_vec();
        let event = DirectoryRemoved { inode: found.inode.0, parent: parent.0, name, path };
        Ok(Decision::one(event, found.inode))
    }
}

/// As the flags of renameat2(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenameMode {
    /// What stands at the new name goes.
    #[default]
    Replace,
    /// The new name must be free.
    NoReplace,
    /// Both names exist and change places.
    Exchange,
}

pub(crate) struct Rename<'a> {
    pub(crate) from: Entry<'a>,
    pub(crate) to: Entry<'a>,
    pub(crate) mode: RenameMode,
}

impl Operation for Rename<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let (from_parent, from_name, moved) = existing(rows, self.from)?;
        let to = place_below_root(rows, self.to)?;
        if self.mode == RenameMode::Exchange {
            return self.exchange(rows, (from_parent, from_name, moved), &to);
        }
        let mut event = Renamed {
            inode: moved.inode.0,
            from_parent: from_parent.0,
            from_name,
            from_path: self.from.path().to_vec(),
            to_parent: to.parent.0,
            to_name: to.name.to_vec(),
            to_path: self.to.path().to_vec(),
            replaced: 0,
            replaced_orphaned: false,
            replaced_promoted: None,
        };
        if let Some(target) = to.found {
            if self.mode == RenameMode::NoReplace {
                let message = format!("{} exists already", shown(&to.name));
                return Err(Error::new(Reason::Exists, message).at(target.inode).into());
            }
            if target.inode == moved.inode {
                return Ok(Decision::nothing(moved.inode));
            }
            self.check_replaceable(rows, moved, target, &to)?;
            event.replaced = target.inode.0;
            if target.kind != FileKind::Directory {
                let dropped = drop_name(rows, turn, target.inode, to.parent, &to.name)?;
                event.replaced_orphaned = dropped.orphaned;
                event.replaced_promoted = dropped.promoted;
            }
        }
        if moved.kind == FileKind::Directory && from_parent != to.parent {
            check_no_cycle(rows, moved.inode, to.parent)?;
        }
        Ok(Decision::one(event, moved.inode))
    }
}

impl Rename<'_> {
    fn exchange<P: Prior>(
        &self,
        rows: &P,
        (parent, name, moved): (Inode, Vec<u8>, DentryRow),
        to: &Place<'_>,
    ) -> Found<Decision<Inode>, P> {
        let Some(other) = to.found else {
            let message = format!("{} does not exist", shown(&to.name));
            return Err(Error::new(Reason::NotFound, message).at(to.parent).into());
        };
        if other.inode == moved.inode {
            return Ok(Decision::nothing(moved.inode));
        }
        if parent != to.parent {
            if moved.kind == FileKind::Directory {
                check_no_cycle(rows, moved.inode, to.parent)?;
            }
            if other.kind == FileKind::Directory {
                check_no_cycle(rows, other.inode, parent)?;
            }
        }
        let event = Exchanged {
            inode: moved.inode.0,
            parent: parent.0,
            name,
            path: self.from.path().to_vec(),
            other: other.inode.0,
            other_parent: to.parent.0,
            other_name: to.name.to_vec(),
            other_path: self.to.path().to_vec(),
        };
        Ok(Decision::one(event, moved.inode))
    }

    fn check_replaceable<P: Prior>(
        &self,
        rows: &P,
        moved: DentryRow,
        target: DentryRow,
        to: &Place<'_>,
    ) -> Found<(), P> {
        let refuse =
            |kind, what: &str| Err(Error::new(kind, format!("{} is {what}", shown(&to.name))).at(target.inode).into());
        match (moved.kind == FileKind::Directory, target.kind == FileKind::Directory) {
            (true, false) => refuse(Reason::NotDir, "not a directory and cannot be replaced by one"),
            (false, true) => refuse(Reason::IsDir, "a directory and cannot be replaced by a file"),
            (true, true) => check_empty(rows, target.inode, &to.name),
            (false, false) => Ok(()),
        }
    }
}

/// A directory must not come to stand below itself.
fn check_no_cycle<P: Prior>(rows: &P, moved: Inode, to_parent: Inode) -> Found<(), P> {
    let mut at = to_parent;
    for _ in 0..DEPTH_MAX {
        if at == moved {
            let message = "a directory cannot be moved below itself";
            return Err(Error::new(Reason::Invalid, message).at(moved).into());
        }
        if at == Inode::ROOT {
            return Ok(());
        }
        at = node(rows, at)?.row.parent;
    }
    Err(Error::new(Reason::Invalid, format!("the target is more than {DEPTH_MAX} directories deep")).at(moved).into())
}

/// Unlinked files that nobody holds open any more.
pub(crate) struct ReleaseOrphans<'a> {
    pub(crate) inodes: &'a [Inode],
}

impl Operation for ReleaseOrphans<'_> {
    type Reply = ();

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<()>, P> {
        let mut released = Vec::new();
        for inode in self.inodes {
            let orphan = rows.get(&RowKey::orphan(*inode)).map_err(Stop::Miss)?.is_some();
            if orphan && !(turn.is_open)(*inode) {
                released.push(inode.0);
            }
        }
        if released.is_empty() {
            return Ok(Decision::nothing(()));
        }
        Ok(Decision::one(OrphansReleased { inodes: released }, ()))
    }
}

impl Request for Unlink<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Unlink
    }

    fn about(&self) -> About<'_> {
        About::Entry { entry: self.entry, follow: false }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.entry(self.entry);
    }
}

impl Request for Rmdir<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Rmdir
    }

    fn about(&self) -> About<'_> {
        About::Entry { entry: self.entry, follow: false }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.entry(self.entry);
    }
}

impl Request for Rename<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Rename
    }

    fn about(&self) -> About<'_> {
        About::Entry { entry: self.from, follow: false }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.entry(self.from);
        digest.entry(self.to);
        digest.number(self.mode as u64);
    }
}
