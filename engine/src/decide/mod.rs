//! Requests become events: values in, events out, no effects (STYLE 8).
//!
//! An operation is decided at least once outside the sequencer, to find out which rows it needs, and once inside, on
//! the newest state, where the decision counts.

mod attributes;
mod batch;
mod content;
mod create;
mod detached;
mod names;
mod node;
mod request;

use nexus_log::event::{Context, Event};
use nexus_log::ids::{Body, Inode, Seq};
use nexus_projections::loads::Prior;

use crate::lookup::Found;

pub use attributes::{AttributeChange, XattrMode};
pub(crate) use attributes::{RemoveXattr, SetAttributes, SetXattr};
pub(crate) use batch::{AtomicBatch, BatchStep, Step};
pub use content::Edit;
pub(crate) use content::{Punch, Rewrite, Staged, StoreContent, Truncate, WriteAt, WritePosition};
pub(crate) use create::{CreateFile, Link, Mkdir, Symlink};
pub use create::{Created, NewFile};
pub(crate) use detached::{
    Attach, BuildTree, CopyFile, CopyRequest, CopyTree, PLAN_TOP, Plan, PlanId, PlannedAttributes, PlannedKind, Top,
};
pub use names::RenameMode;
pub(crate) use names::{ReleaseOrphans, Rename, Rmdir, Unlink};
pub(crate) use node::MakeNode;
pub use node::NodeKind;
pub use request::Expect;
pub(crate) use request::{About, Answer, Guarded, Recall, Request, RequestDigest};

/// A turn of the sequencer: the position that the record will have, and what only memory knows.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) seq: Seq,
    /// Events of the record before those of the operation.
    pub(crate) events_before: usize,
    /// Is the inode held open by a handle?
    pub(crate) is_open: &'a dyn Fn(Inode) -> bool,
}

impl Turn<'_> {
    /// The inode that event `index` creates.
    fn inode(&self, index: usize) -> Inode {
        Inode::born_at(self.seq, (self.events_before + index) as u16)
    }

    /// The body that event `index` begins.
    fn body(&self, index: usize) -> Body {
        Body::born_at(self.seq, (self.events_before + index) as u16)
    }
}

/// What to write, and what to tell the caller once it is committed. No events: nothing to do.
#[derive(Debug)]
pub(crate) struct Decision<R> {
    pub(crate) events: Vec<Event>,
    pub(crate) reply: R,
}

impl<R> Decision<R> {
    pub(crate) fn nothing(reply: R) -> Decision<R> {
        Decision { events: Vec::new(), reply }
    }

    pub(crate) fn one(event: impl Into<Event>, reply: R) -> Decision<R> {
        Decision { events: vec![event.into()], reply }
    }
}

pub(crate) trait Operation {
    type Reply;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Self::Reply>, P>;
}

/// Events that stand already: facts about the zone itself, refusals.
pub(crate) struct Facts<'a> {
    pub(crate) events: &'a [Event],
}

impl Operation for Facts<'_> {
    type Reply = ();

    fn decide<P: Prior>(&self, _: &P, _: &Turn<'_>) -> Found<Decision<()>, P> {
        Ok(Decision { events: self.events.to_vec(), reply: () })
    }
}

/// The context of what the engine does by itself.
pub(crate) fn system_context() -> Context {
    Context { agent: "nexus".into(), ..Context::default() }
}
