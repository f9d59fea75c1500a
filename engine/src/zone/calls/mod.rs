//! The syscalls that change a zone, each through gate, hooks, sequencer and disk.

mod attributes;
mod content;
mod handles;
mod names;

use std::sync::Arc;

use nexus_log::event::Reason;
use nexus_log::ids::Seq;
use nexus_log::record::Payload;

use super::commit::{Committed, Refusal};
use super::{Core, Inner, Zone};
use crate::caller::Caller;
use crate::decide::{Answer, Expect, Guarded, Operation, Recall, Request};
use crate::error::{Error, Result};
use crate::gate::{Authorized, Call, Dispatch, Rank};
use crate::path::PATH_BYTES_MAX;

/// When a call answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// After the record is on stable storage.
    #[default]
    Durable,
    /// After the record is appended: a crash may lose what is not yet flushed, at most the flush interval. The
    /// [`Done`] tells whether it was.
    Accepted,
}

/// How a change is made. A [`Durability`] alone is one that expects nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    pub durability: Durability,
    /// What must be so for the change to happen.
    pub expect: Expect,
}

impl From<Durability> for CallOptions {
    fn from(durability: Durability) -> CallOptions {
        CallOptions { durability, expect: Expect::default() }
    }
}

impl CallOptions {
    /// For a step before the last one, which alone answers for all.
    fn step(self) -> CallOptions {
        CallOptions { durability: Durability::Accepted, ..self }
    }
}

/// What a call that changes something answers.
#[derive(Clone)]
pub struct Done<T> {
    pub reply: T,
    /// The record that the call made; `None` where there was nothing to do. Of a repeated request, the record of the
    /// first.
    pub seq: Option<Seq>,
    /// The request had been answered before; nothing happened now.
    pub repeated: bool,
    state: Seq,
    core: Arc<Core>,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Done<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Done").field("reply", &self.reply).field("seq", &self.seq).finish_non_exhaustive()
    }
}

impl<T> Done<T> {
    /// Waits until all that the reply says is on stable storage; an error says that it may be lost.
    pub fn wait_durable(&self) -> Result<()> {
        self.core.wait(self.state)
    }

    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Done<U> {
        Done { reply: f(self.reply), seq: self.seq, repeated: self.repeated, state: self.state, core: self.core }
    }

    /// Was the other one made in the same life of the zone? Where not, what it did may be lost though this is not.
    pub(super) fn same_life<U>(&self, other: &Done<U>) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl<R> Done<Answer<R>> {
    fn answered(self) -> Done<R> {
        let repeats = self.reply.repeats;
        let done = self.map(|answer| answer.reply);
        Done { seq: repeats.or(done.seq), repeated: repeats.is_some(), ..done }
    }
}

impl Zone {
    /// Takes a request through gate and hooks; `run` makes its records. An error becomes a refusal on record.
    pub(super) fn requested<R: Request>(
        &self,
        caller: &Caller,
        request: &R,
        run: impl FnOnce(&Authorized) -> Result<Done<R::Reply>>,
    ) -> Result<Done<R::Reply>> {
        let about = request.about();
        let call = Call { syscall: request.syscall(), caller, path: about.path(), inode: about.inode() };
        let result = self.dispatch().call(&call, |done: &Done<R::Reply>| done.seq, run);
        result.inspect_err(|error| self.inner.note_refusal(&call, error))
    }

    /// A request of one record.
    pub(super) fn change<R: Request>(
        &self,
        caller: &Caller,
        request: &R,
        payload: Option<&Payload>,
        options: CallOptions,
    ) -> Result<Done<R::Reply>> {
        self.requested(caller, request, |authorized| self.inner.request(authorized, caller, request, payload, options))
    }

    pub(crate) fn note_refusal(&self, call: &Call<'_>, error: &Error) {
        self.inner.note_refusal(call, error);
    }

    /// Refuses a request before it comes to the sequencer, as any other refusal.
    pub(super) fn refuse<T>(&self, caller: &Caller, request: &impl Request, error: Error) -> Result<T> {
        let about = request.about();
        let call = Call { syscall: request.syscall(), caller, path: about.path(), inode: about.inode() };
        self.note_refusal(&call, &error);
        Err(error)
    }
}

impl Inner {
    /// A request's last record, or its only one; looks first whether the request was answered before.
    pub(super) fn request<R: Request>(
        &self,
        authorized: &Authorized,
        caller: &Caller,
        request: &R,
        payload: Option<&Payload>,
        options: CallOptions,
    ) -> Result<Done<R::Reply>> {
        let core = self.writable_core(authorized)?;
        self.request_on(&core, authorized, caller, request, payload, options)
    }

    /// As [`request`](Self::request), to this life of the zone and no other: for what refers to records before.
    pub(super) fn request_on<R: Request>(
        &self,
        core: &Arc<Core>,
        authorized: &Authorized,
        caller: &Caller,
        request: &R,
        payload: Option<&Payload>,
        options: CallOptions,
    ) -> Result<Done<R::Reply>> {
        let guarded = Guarded::new(caller, request, options.expect);
        Ok(self.change_on(core, authorized, caller, &guarded, payload, options.durability)?.answered())
    }

    /// What a request of several records was answered before; `None` where it was not, or has no name.
    pub(super) fn recall<R: Request>(
        &self,
        authorized: &Authorized,
        caller: &Caller,
        request: &R,
        durability: Durability,
    ) -> Result<Option<Done<R::Reply>>> {
        let Some(recall) = Recall::of(caller, request) else { return Ok(None) };
        let Done { reply, state, core, .. } = self.change(authorized, caller, &recall, None, durability)?;
        Ok(reply.map(|(reply, seq)| Done { reply, seq: Some(seq), repeated: true, state, core }))
    }

    /// Takes an operation through the sequencer, and through the disk where it is to be durable.
    pub(super) fn change<O: Operation>(
        &self,
        authorized: &Authorized,
        caller: &Caller,
        operation: &O,
        payload: Option<&Payload>,
        durability: Durability,
    ) -> Result<Done<O::Reply>> {
        let core = self.writable_core(authorized)?;
        self.change_on(&core, authorized, caller, operation, payload, durability)
    }

    fn change_on<O: Operation>(
        &self,
        core: &Arc<Core>,
        authorized: &Authorized,
        caller: &Caller,
        operation: &O,
        payload: Option<&Payload>,
        durability: Durability,
    ) -> Result<Done<O::Reply>> {
        match self.commit_on(core, authorized, caller.context(), operation, payload) {
            Ok(Committed { reply, seq, state, core }) => {
                let done = Done { reply: (), seq, repeated: false, state, core };
                // A reply derived from state that is not flushed waits for that state.
                if durability == Durability::Durable {
                    done.wait_durable()?;
                }
                Ok(done.map(|()| reply))
            }
            Err(Refusal { error, state: Some((core, state)) }) => {
                core.wait(state)?;
                Err(error)
            }
            Err(Refusal { error, state: None }) => Err(error),
        }
    }

    /// A refusal becomes an event: the first of its kind at once, repeats as a count.
    pub(super) fn note_refusal(&self, call: &Call<'_>, error: &Error) {
        // That the zone cannot answer is no refusal, and a full disk has no room to say so; what may have happened is in
        // the log if it did.
        if matches!(error.kind, Reason::OutcomeUnknown | Reason::Unavailable | Reason::NoSpace) {
            return;
        }
        let context = call.caller.context();
        let now = self.env.clock.boot_ns();
        let inode = error.inode.or(call.inode);
        let path = &call.path[..call.path.len().min(PATH_BYTES_MAX)];
        let (event, opened) = {
            let mut refusals = self.refusals.lock();
            let opened = refusals.closes_in(now).is_none();
            (refusals.note(now, context, call.syscall, error.kind, inode, path), opened)
        };
        if let Some(event) = event {
            let events = [event];
            let facts = crate::decide::Facts { events: &events };
            // Where the zone takes no records now, the refusal is counted and the count becomes one later.
            if self.commit(&Dispatch::internal(Rank::Upkeep), context, &facts, None).is_err() {
                self.refusals.lock().not_recorded(now, context, (call.syscall, inode, error.kind));
            }
        }
        if opened {
            // Under the lock, so that a keeper about to sleep sees the window.
            let _state = self.upkeep.lock();
            self.work.notify_one();
        }
    }
}
