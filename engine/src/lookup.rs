//! Looking things up in rows, wherever the rows come from: the sequencer's newest state, or a View at any position.

use std::sync::Arc;

use nexus_log::event::Reason;
use nexus_log::ids::{Inode, Seq};
use nexus_projections::loads::{NotRead, Prior};
use nexus_projections::row::{DentryRow, FileKind, InodeRow, RowError, TimesRow};
use smallvec::{SmallVec, smallvec};

use crate::error::{Error, shown};
use crate::path::{Entry, Target, check_name, components};

/// Why a look-up or a decision did not come to an answer.
#[derive(Debug)]
pub(crate) enum Stop<M> {
    /// This is the answer: no.
    Refused(Error),
    /// A row must be loaded first.
    Miss(M),
    /// A stored row is damaged.
    Damaged(RowError),
}

impl<M> From<Error> for Stop<M> {
    fn from(error: Error) -> Stop<M> {
        Stop::Refused(error)
    }
}

impl<M> From<RowError> for Stop<M> {
    fn from(error: RowError) -> Stop<M> {
        Stop::Damaged(error)
    }
}

impl<M> From<NotRead<M>> for Stop<M> {
    fn from(error: NotRead<M>) -> Stop<M> {
        match error {
            NotRead::Miss(miss) => Stop::Miss(miss),
            NotRead::Row(row) => Stop::Damaged(row),
        }
    }
}

pub(crate) type Found<T, P> = std::result::Result<T, Stop<<P as Prior>::Miss>>;

fn refuse<T, M>(kind: Reason, at: Inode, message: String) -> Result<T, Stop<M>> {
    Err(Stop::Refused(Error::new(kind, message).at(at)))
}

/// An inode with its row and the seq of the row's last change.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) inode: Inode,
    pub(crate) row: Arc<InodeRow>,
    pub(crate) changed: Seq,
}

impl Node {
    pub(crate) fn is_directory(&self) -> bool {
        self.row.kind == FileKind::Directory
    }
}

/// A name in a directory that exists, and what stands under it.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) parent: Inode,
    pub(crate) name: std::borrow::Cow<'a, [u8]>,
    pub(crate) found: Option<DentryRow>,
}

pub(crate) fn inode_row<P: Prior>(rows: &P, inode: Inode) -> Found<Option<Node>, P> {
    Ok(rows.inode(inode)?.map(|found| Node { inode, row: found.row, changed: found.begin }))
}

/// The inode, or NotFound.
pub(crate) fn node<P: Prior>(rows: &P, inode: Inode) -> Found<Node, P> {
    match inode_row(rows, inode)? {
        Some(node) => Ok(node),
        None => refuse(Reason::NotFound, inode, format!("there is no inode {inode} here")),
    }
}

pub(crate) fn times<P: Prior>(rows: &P, directory: Inode) -> Found<Option<(TimesRow, Seq)>, P> {
    Ok(rows.times(directory)?.map(|found| (found.row, found.begin)))
}

pub(crate) fn dentry<P: Prior>(rows: &P, parent: Inode, name: &[u8]) -> Found<Option<DentryRow>, P> {
    Ok(rows.dentry(parent, name)?.map(|found| found.row))
}

/// What `target` names. A symlink in the last place is followed where `follow`.
pub(crate) fn resolve<P: Prior>(rows: &P, target: Target<'_>, follow: bool) -> Found<Node, P> {
    match target {
        Target::Inode(inode) => node(rows, inode),
        Target::Path(path) => {
            let mut walk = Walk { rows, stack: smallvec![Inode::ROOT] };
            let found = walk.all(&components(path)?, follow, false)?;
            match found.found {
                _ if found.name.is_empty() => node(rows, found.parent),
                Some(dentry) => node(rows, dentry.inode),
                None => refuse(Reason::NotFound, found.parent, format!("{} does not exist", shown(path))),
            }
        }
    }
}

/// The place that `entry` names: its directory must exist. A symlink in the last place is not followed.
pub(crate) fn place<'a, P: Prior>(rows: &P, entry: Entry<'a>) -> Found<Place<'a>, P> {
    match entry {
        Entry::In(parent, name) => {
            check_name(name)?;
            if !node(rows, parent)?.is_directory() {
                return refuse(Reason::NotDir, parent, format!("inode {parent} is not a directory"));
            }
            let found = dentry(rows, parent, name)?;
            Ok(Place { parent, name: name.into(), found })
        }
        Entry::Path(path) => {
            let components = components(path)?;
            let mut walk = Walk { rows, stack: smallvec![Inode::ROOT] };
            let place = walk.all(&components, false, false)?;
            let name = place.name.into_owned().into();
            Ok(Place { parent: place.parent, name, found: place.found })
        }
    }
}

/// As [`place`], for calls that cannot be about the root.
pub(crate) fn place_below_root<'a, P: Prior>(rows: &P, entry: Entry<'a>) -> Found<Place<'a>, P> {
    let place = place(rows, entry)?;
    if place.name.is_empty() {
        return refuse(Reason::Busy, Inode::ROOT, "the root directory cannot be created, moved or removed".into());
    }
    Ok(place)
}

/// A path of so many directories is walked without an allocation.
const DEPTH_INLINE: usize = 32;

struct Walk<'r, P: Prior> {
    rows: &'r P,
    /// The directories from the root to where the walk stands.
    stack: SmallVec<[Inode; DEPTH_INLINE]>,
}

impl<P: Prior> Walk<'_, P> {
    fn here(&self) -> Inode {
        *self.stack.last().expect("the root is never left")
    }

    /// Walks `components`; the last one is looked up and not entered. An empty name stands for the directory that the
    /// walk ended in. `linked`: this walk follows a symlink already; one hop is followed, a chain is a loop.
    fn all<'c>(&mut self, components: &[&'c [u8]], follow: bool, linked: bool) -> Found<Place<'c>, P> {
        let Some((last, directories)) = components.split_last() else {
            return Ok(Place { parent: self.here(), name: b"".as_slice().into(), found: None });
        };
        for name in directories {
            let found = dentry(self.rows, self.here(), name)?;
            self.enter(name, found, linked)?;
        }
        let parent = self.here();
        let found = dentry(self.rows, parent, last)?;
        match found {
            Some(dentry) if dentry.kind == FileKind::Link && follow => self.follow(dentry.inode, linked),
            found => Ok(Place { parent, name: (*last).into(), found }),
        }
    }

    fn enter(&mut self, name: &[u8], found: Option<DentryRow>, linked: bool) -> Found<(), P> {
        let here = self.here();
        match found {
            None => refuse(Reason::NotFound, here, format!("the directory {} does not exist", shown(name))),
            Some(dentry) if dentry.kind == FileKind::Directory => {
                self.stack.push(dentry.inode);
                Ok(())
            }
            Some(dentry) if dentry.kind == FileKind::Link => {
                let place = self.follow(dentry.inode, linked)?;
                if place.name.is_empty() {
                    return Ok(());
                }
                match place.found {
                    Some(d) if d.kind == FileKind::Directory => {
                        self.stack.push(d.inode);
                        Ok(())
                    }
                    Some(d) => refuse(Reason::NotDir, d.inode, format!("{} is not a directory", shown(name))),
                    None => refuse(Reason::NotFound, here, format!("{} leads nowhere", shown(name))),
                }
            }
            Some(dentry) => refuse(Reason::NotDir, dentry.inode, format!("{} is not a directory", shown(name))),
        }
    }

    /// Continues at a symlink's target.
    fn follow<'c>(&mut self, link: Inode, linked: bool) -> Found<Place<'c>, P> {
        if linked {
            return refuse(Reason::LinkLoop, link, "a symlink leads to a symlink; one hop is followed".into());
        }
        let row = node(self.rows, link)?.row;
        let target = &row.target;
        let mut components: Vec<&[u8]> = Vec::new();
        if target.first() == Some(&b'/') {
            self.stack.truncate(1);
        }
        for component in target.split(|b| *b == b'/') {
            match component {
                b"" | b"." => {}
                b".." if components.pop().is_some() => {}
                b".." => self.stack.truncate(self.stack.len().saturating_sub(1).max(1)),
                name => components.push(name),
            }
        }
        let place = self.all(&components, true, true)?;
        Ok(Place { parent: place.parent, name: place.name.into_owned().into(), found: place.found })
    }
}

/// The path of an inode by its first link, for people; `None` where it has no name, or a parent is gone.
pub(crate) fn path_of<P: Prior>(rows: &P, inode: Inode) -> Found<Option<Vec<u8>>, P> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut at = inode;
    while at != Inode::ROOT {
        let Some(node) = inode_row(rows, at)? else { return Ok(None) };
        // The row of an unlinked file that is held open still says where it was.
        if node.row.nlink == 0 || names.len() > crate::path::PATH_BYTES_MAX {
            return Ok(None);
        }
        names.push(node.row.name.clone());
        at = node.row.parent;
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Ok(Some(path))
}
