//! Trees that are built out of sight and attached by one record, which does not grow with the tree.

use nexus_log::event::{
    Attached, AttributesSet, DetachedCreated, DirectoryCreated, Event, FileCreated, Linked, NodeCreated, Reason,
    SymlinkCreated, Syscall, XattrSet,
};
use nexus_log::ids::Inode;
use nexus_projections::loads::Prior;
use nexus_projections::row::FileKind;
use nexus_projections::table::RowKey;

use super::create::exists;
use super::{About, Created, Decision, Operation, Request, RequestDigest, Staged, Turn};
use crate::error::Error;
use crate::lookup::{Found, Stop, place_below_root};
use crate::path::{Entry, Target};

/// A new inode by its number in the plan of a tree.
pub(crate) type PlanId = usize;

/// The top of a tree: number 0 of its plan.
pub(crate) const PLAN_TOP: PlanId = 0;

/// Attributes that everything in a tree has.
#[derive(Clone, Debug)]
pub(crate) struct PlannedAttributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    pub(crate) atime: i64,
}

/// What a new entry of a tree is.
#[derive(Clone, Debug)]
pub(crate) enum PlannedKind {
    Directory,
    File(Staged),
    Symlink(Vec<u8>),
    Node { kind: FileKind, device: u64 },
}

/// One thing to do in building a tree.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// The top, which has no parent in the plan.
    Top(PlannedAttributes),
    Entry {
        id: PlanId,
        parent: PlanId,
        name: Vec<u8>,
        attributes: PlannedAttributes,
        kind: PlannedKind,
    },
    HardLink {
        of: PlanId,
        parent: PlanId,
        name: Vec<u8>,
    },
    Xattr {
        of: PlanId,
        name: Vec<u8>,
        value: Vec<u8>,
    },
    /// What an entry cannot be given when it comes to be: a directory's times, for what goes into it changes them.
    Later {
        of: PlanId,
        mtime: Option<i64>,
        atime: Option<i64>,
        mime: String,
    },
}

/// What is being copied where, for the record of a named request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyRequest<'a> {
    pub(crate) from: Target<'a>,
    /// The position of the source, where the caller named one.
    pub(crate) at: Option<u64>,
    pub(crate) to: Entry<'a>,
}

impl CopyRequest<'_> {
    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.from);
        digest.maybe(self.at);
        digest.entry(self.to);
    }
}

/// Where the top of a tree goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Top<'a> {
    /// To its place at once: the record holds the whole tree.
    Placed(CopyRequest<'a>),
    /// Out of sight, or it is there already.
    Detached,
}

/// One record of a tree that is being built.
pub(crate) struct BuildTree<'a> {
    pub(crate) top: Top<'a>,
    pub(crate) plans: &'a [Plan],
    /// Inodes by their numbers, of the records before.
    pub(crate) known: &'a std::collections::BTreeMap<PlanId, Inode>,
}

/// Inodes that the record created, by their numbers.
pub(crate) type Built = Vec<(PlanId, Inode)>;

struct Builder<'a, 'b> {
    tree: &'b BuildTree<'a>,
    events: Vec<Event>,
    built: Built,
}

impl Builder<'_, '_> {
    fn inode(&self, id: PlanId) -> Inode {
        let here = self.built.iter().rev().find(|(built, _)| *built == id).map(|(_, inode)| *inode);
        here.or_else(|| self.tree.known.get(&id).copied()).expect("a plan names what it made before")
    }

    fn entry(
        &mut self,
        turn: &Turn<'_>,
        (id, parent, name, path): (PlanId, Inode, &[u8], &[u8]),
        a: &PlannedAttributes,
        kind: &PlannedKind,
    ) {
        let index = self.events.len();
        let inode = turn.inode(index);
        let (inode_number, parent, name, path) = (inode.0, parent.0, name.to_vec(), path.to_vec());
        let (mode, uid, gid) = (a.mode & 0o7777, a.uid, a.gid);
        let mtime = Some(a.mtime);
        let event: Event = match kind {
            PlannedKind::Directory => {
                DirectoryCreated { inode: inode_number, parent, name, path, mode, uid, gid }.into()
            }
            PlannedKind::File(staged) => {
                let content = staged.content(turn.body(index));
                let atime = Some(a.atime);
                FileCreated { inode: inode_number, parent, name, path, mode, uid, gid, mtime, atime, content }.into()
            }
            PlannedKind::Symlink(target) => {
                let target = target.clone();
                SymlinkCreated { inode: inode_number, parent, name, path, uid, gid, mtime, target }.into()
            }
            PlannedKind::Node { kind, device } => {
                let (kind, device) = (*kind as u8, *device);
                NodeCreated { inode: inode_number, parent, name, path, kind, mode, uid, gid, mtime, device }.into()
            }
        };
        self.events.push(event);
        self.built.push((id, inode));
    }

    fn plan(&mut self, turn: &Turn<'_>, plan: &Plan) {
        match plan {
            Plan::Top(a) => {
                let inode = turn.inode(self.events.len());
                let event = DetachedCreated { inode: inode.0, mode: a.mode & 0o7777, uid: a.uid, gid: a.gid };
                self.events.push(event.into());
                self.built.push((PLAN_TOP, inode));
            }
            Plan::Entry { id, parent, name, attributes, kind } => {
                let parent = self.inode(*parent);
                self.entry(turn, (*id, parent, name, b""), attributes, kind);
            }
            Plan::HardLink { of, parent, name } => {
                let (inode, parent) = (self.inode(*of).0, self.inode(*parent).0);
                self.events.push(Linked { inode, parent, name: name.clone(), path: Vec::new() }.into());
            }
            Plan::Xattr { of, name, value } => {
                let inode = self.inode(*of).0;
                let (name, value) = (name.clone(), value.clone());
                self.events.push(XattrSet { inode, path: Vec::new(), name, value }.into());
            }
            Plan::Later { of, mtime, atime, mime } => {
                let mime = (!mime.is_empty()).then(|| mime.clone());
                let inode = self.inode(*of).0;
                let event = AttributesSet { inode, mtime: *mtime, atime: *atime, mime, ..AttributesSet::default() };
                self.events.push(event.into());
            }
        }
    }
}

impl Operation for BuildTree<'_> {
    type Reply = Built;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Built>, P> {
        let mut builder = Builder { tree: self, events: Vec::new(), built: Vec::new() };
        let mut plans = self.plans;
        if let (Top::Placed(request), [Plan::Top(attributes), rest @ ..]) = (self.top, plans) {
            let place = place_below_root(rows, request.to)?;
            if let Some(found) = place.found {
                return Err(exists(found, &place).into());
            }
            let top = (PLAN_TOP, place.parent, &place.name[..], request.to.path());
            builder.entry(turn, top, attributes, &PlannedKind::Directory);
            plans = rest;
        }
        plans.iter().for_each(|plan| builder.plan(turn, plan));
        Ok(Decision { events: builder.events, reply: builder.built })
    }
}

/// A whole tree in one record.
pub(crate) struct CopyTree<'a>(pub(crate) BuildTree<'a>);

impl Operation for CopyTree<'_> {
    type Reply = Created;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Created>, P> {
        let Decision { events, reply } = self.0.decide(rows, turn)?;
        let (_, inode) = reply.first().expect("a tree has a top");
        Ok(Decision { events, reply: Created { inode: *inode, fresh: true } })
    }
}

impl Request for CopyTree<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Copy
    }

    fn about(&self) -> About<'_> {
        match self.0.top {
            Top::Placed(request) => About::Entry { entry: request.to, follow: false },
            Top::Detached => About::Many,
        }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        if let Top::Placed(request) = self.0.top {
            request.describe(digest);
        }
    }
}

/// Gives a tree that was built out of sight its name.
pub(crate) struct Attach<'a> {
    pub(crate) inode: Inode,
    pub(crate) request: CopyRequest<'a>,
}

impl Operation for Attach<'_> {
    type Reply = Created;

    fn decide<P: Prior>(&self, rows: &P, _: &Turn<'_>) -> Found<Decision<Created>, P> {
        let place = place_below_root(rows, self.request.to)?;
        if let Some(found) = place.found {
            return Err(exists(found, &place).into());
        }
        if rows.get(&RowKey::orphan(self.inode)).map_err(Stop::Miss)?.is_none() {
            let message = "the tree was lost while it was being built; try again";
            return Err(Error::new(Reason::Busy, message).into());
        }
        let event = Attached {
            inode: self.inode.0,
            parent: place.parent.0,
            name: place.name.to_vec(),
            path: self.request.to.path().to_vec(),
        };
        Ok(Decision::one(event, Created { inode: self.inode, fresh: true }))
    }
}

impl Request for Attach<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Copy
    }

    fn about(&self) -> About<'_> {
        About::Entry { entry: self.request.to, follow: false }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        self.request.describe(digest);
    }
}

/// A copy of one file: its content as references, attached as any content is.
pub(crate) struct CopyFile<'a> {
    pub(crate) create: super::CreateFile<'a>,
    /// Media type of the source, for a new file.
    pub(crate) mime: &'a str,
    pub(crate) request: CopyRequest<'a>,
}

impl Operation for CopyFile<'_> {
    type Reply = Created;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Created>, P> {
        let Decision { mut events, reply } = self.create.decide(rows, turn)?;
        if reply.fresh && !self.mime.is_empty() {
            let mime = Some(self.mime.to_owned());
            let (mtime, atime) = (self.create.new.mtime, self.create.new.atime);
            events.push(AttributesSet { inode: reply.inode.0, mime, mtime, atime, ..AttributesSet::default() }.into());
        }
        Ok(Decision { events, reply })
    }
}

impl Request for CopyFile<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Copy
    }

    fn about(&self) -> About<'_> {
        self.create.about()
    }

    fn describe(&self, digest: &mut RequestDigest) {
        self.request.describe(digest);
    }
}
