//! The syscalls that change a zone, each through gate, hooks, sequencer and disk.

use std::sync::Arc;

use bytes::Bytes;
use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::{Inode, Seq};
use nexus_log::record::Payload;

use super::commit::{Committed, Refusal};
use super::{ContentWriter, Core, Inner, Zone};
use crate::caller::Caller;
use crate::decide::{
    AttributeChange, CreateFile, Created, Link, Mkdir, NewFile, Operation, ReleaseOrphans, RemoveXattr, Rename, Rmdir,
    SetAttributes, SetXattr, Staged, Symlink, Truncate, Unlink, WriteAt, WritePosition, XattrMode,
};
use crate::error::{Error, Result};
use crate::gate::{Authorized, Call, Dispatch, Rank};
use crate::limits::{CHUNK_BYTES_MAX, WRITE_BYTES_MAX};
use crate::path::{Entry, PATH_BYTES_MAX, Target};

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

/// What a call that changes something answers.
#[derive(Clone)]
pub struct Done<T> {
    pub reply: T,
    /// The record that the call made; `None` where there was nothing to do.
    pub seq: Option<Seq>,
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

    fn map<U>(self, f: impl FnOnce(T) -> U) -> Done<U> {
        Done { reply: f(self.reply), seq: self.seq, state: self.state, core: self.core }
    }
}

/// What a call is about, for the gate and for the record of a refusal.
#[derive(Clone, Copy)]
struct Subject<'a> {
    syscall: Syscall,
    path: &'a [u8],
    inode: Option<Inode>,
}

impl<'a> Subject<'a> {
    fn of_target(syscall: Syscall, target: &'a Target<'a>) -> Subject<'a> {
        Subject { syscall, path: target.path(), inode: target.inode() }
    }

    fn of_entry(syscall: Syscall, entry: &'a Entry<'a>) -> Subject<'a> {
        Subject { syscall, path: entry.path(), inode: entry.inode() }
    }
}

impl Zone {
    /// Creates a regular file. An existing one is opened, unless `exclusive`.
    pub fn create<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        new: &NewFile,
        exclusive: bool,
        durability: Durability,
    ) -> Result<Done<Created>> {
        let entry = entry.into();
        let operation = CreateFile { entry, new, content: None, exclusive, attributes_too: false };
        self.change(caller, Subject::of_entry(Syscall::Create, &entry), &operation, None, durability)
    }

    /// Makes `content` the whole content of a file, creating it if needed, as one atomic step.
    pub fn put<'a>(&self, caller: &Caller, entry: impl Into<Entry<'a>>, content: &[u8]) -> Result<Done<Created>> {
        let mut writer = self.content_writer(caller);
        writer.write(content)?;
        self.put_content(caller, entry, &NewFile::default(), writer, Durability::Durable)
    }

    /// As [`Zone::put`], with content that was written piece by piece. The attributes are a new file's; of an
    /// existing one they stay.
    pub fn put_content<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        new: &NewFile,
        content: ContentWriter<'_>,
        durability: Durability,
    ) -> Result<Done<Created>> {
        self.attach(caller, entry.into(), new, content, false, durability)
    }

    /// As [`Zone::put_content`], and an existing file gets the attributes too.
    pub fn put_file<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        new: &NewFile,
        content: ContentWriter<'_>,
        durability: Durability,
    ) -> Result<Done<Created>> {
        self.attach(caller, entry.into(), new, content, true, durability)
    }

    fn attach(
        &self,
        caller: &Caller,
        entry: Entry<'_>,
        new: &NewFile,
        content: ContentWriter<'_>,
        attributes_too: bool,
        durability: Durability,
    ) -> Result<Done<Created>> {
        let (staged, payload): (Staged, Option<Payload>) = content.finish()?;
        let operation = CreateFile { entry, new, content: Some(&staged), exclusive: false, attributes_too };
        self.change(caller, Subject::of_entry(Syscall::Put, &entry), &operation, payload.as_ref(), durability)
    }

    pub fn mkdir<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        new: &NewFile,
        exclusive: bool,
        durability: Durability,
    ) -> Result<Done<Created>> {
        let entry = entry.into();
        let operation = Mkdir { entry, new, exclusive };
        self.change(caller, Subject::of_entry(Syscall::Mkdir, &entry), &operation, None, durability)
    }

    pub fn symlink<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        target: &[u8],
        new: &NewFile,
        durability: Durability,
    ) -> Result<Done<Created>> {
        let entry = entry.into();
        let operation = Symlink { entry, target, new };
        self.change(caller, Subject::of_entry(Syscall::Symlink, &entry), &operation, None, durability)
    }

    /// Gives a file a further name.
    pub fn link<'a, 'b>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        entry: impl Into<Entry<'b>>,
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let (target, entry) = (target.into(), entry.into());
        let operation = Link { target, entry };
        self.change(caller, Subject::of_entry(Syscall::Link, &entry), &operation, None, durability)
    }

    /// Writes bytes at an offset of an existing file. Up to [`WRITE_BYTES_MAX`] bytes are one atomic step; more are
    /// several, in order. So are fewer where they take the place of more than
    /// [`EXTENTS_PER_STEP_MAX`](crate::limits::EXTENTS_PER_STEP_MAX) extents.
    pub fn write<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        offset: u64,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        let mut at = offset;
        let mut done: Option<Done<Inode>> = None;
        for part in parts_of(bytes) {
            done = Some(self.write_in_steps(caller, target, at, part, durability, done)?);
            at = at.saturating_add(part.len() as u64);
        }
        Ok(done.expect("there is at least one part"))
    }

    /// A part of a write: one record, but where it takes the place of very many extents.
    fn write_in_steps(
        &self,
        caller: &Caller,
        target: Target<'_>,
        offset: u64,
        mut bytes: &[u8],
        durability: Durability,
        mut done: Option<Done<Inode>>,
    ) -> Result<Done<Inode>> {
        let mut at = offset;
        for step in self.inner.write_steps(target, offset, bytes.len() as u64)? {
            let (part, rest) = bytes.split_at(step as usize);
            // The last step waits for those before it.
            let level = if rest.is_empty() { durability } else { Durability::Accepted };
            let part_done = self.write_part(caller, target, WritePosition::At(at), part, level)?;
            bytes = rest;
            // Where the zone was opened anew in between, the parts before may be lost.
            if let Some(before) = done.replace(part_done)
                && self.life() != before.core.life
            {
                before.wait_durable()?;
            }
            at = at.saturating_add(part.len() as u64);
        }
        Ok(done.expect("there is at least one part"))
    }

    /// Writes bytes at the end of an existing file, wherever it is by then. At most [`WRITE_BYTES_MAX`] bytes.
    pub fn append<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        if bytes.len() > WRITE_BYTES_MAX {
            let message = format!("an append is one step of at most {WRITE_BYTES_MAX} bytes");
            let error = Error::new(Reason::TooLarge, message);
            let call = Call { syscall: Syscall::Write, caller, path: target.path(), inode: target.inode() };
            self.note_refusal(&call, &error);
            return Err(error);
        }
        self.write_part(caller, target, WritePosition::End, bytes, durability)
    }

    fn write_part(
        &self,
        caller: &Caller,
        target: Target<'_>,
        position: WritePosition,
        part: &[u8],
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let chunks: Vec<Bytes> = part.chunks(CHUNK_BYTES_MAX).map(Bytes::copy_from_slice).collect();
        let lengths: Vec<u32> = chunks.iter().map(|c| c.len() as u32).collect();
        let payload = (!chunks.is_empty()).then(|| Payload::new(&*self.inner.env.random, chunks));
        let operation = WriteAt { target, position, chunks: &lengths };
        self.change(caller, Subject::of_target(Syscall::Write, &target), &operation, payload.as_ref(), durability)
    }

    /// Sets a file's size. What is beyond a smaller size is gone, what is added reads as zeros. Shrinking a file of
    /// very many extents goes in steps, each of which is a state that can be seen.
    pub fn truncate<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        size: u64,
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        for step in self.inner.truncation_steps(target, size)? {
            let operation = Truncate { target, size: step, step: true };
            let subject = Subject::of_target(Syscall::Truncate, &target);
            self.change(caller, subject, &operation, None, Durability::Accepted)?;
        }
        let operation = Truncate { target, size, step: false };
        self.change(caller, Subject::of_target(Syscall::Truncate, &target), &operation, None, durability)
    }

    /// Changes attributes. A symlink in the last place is followed where `follow`.
    pub fn set_attributes<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        change: &AttributeChange,
        follow: bool,
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        let operation = SetAttributes { target, change, follow };
        self.change(caller, Subject::of_target(Syscall::Setattr, &target), &operation, None, durability)
    }

    pub fn set_xattr<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        let operation = SetXattr { target, follow: false, name, value, mode };
        self.change(caller, Subject::of_target(Syscall::SetXattr, &target), &operation, None, durability)
    }

    pub fn remove_xattr<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        name: &[u8],
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        let operation = RemoveXattr { target, follow: false, name };
        self.change(caller, Subject::of_target(Syscall::RemoveXattr, &target), &operation, None, durability)
    }

    /// Moves a name, replacing what stands at the target unless `no_replace`. One record, also for a directory.
    pub fn rename<'a, 'b>(
        &self,
        caller: &Caller,
        from: impl Into<Entry<'a>>,
        to: impl Into<Entry<'b>>,
        no_replace: bool,
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let (from, to) = (from.into(), to.into());
        let operation = Rename { from, to, no_replace };
        self.change(caller, Subject::of_entry(Syscall::Rename, &from), &operation, None, durability)
    }

    /// Removes a name of a file or symlink.
    pub fn unlink<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let entry = entry.into();
        self.change(caller, Subject::of_entry(Syscall::Unlink, &entry), &Unlink { entry }, None, durability)
    }

    /// Removes an empty directory.
    pub fn rmdir<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let entry = entry.into();
        self.change(caller, Subject::of_entry(Syscall::Rmdir, &entry), &Rmdir { entry }, None, durability)
    }

    /// Keeps an inode alive though its last name goes, until [`Zone::release`].
    pub fn hold(&self, inode: Inode) {
        *self.inner.handles.lock().entry(inode).or_default() += 1;
    }

    /// Gives up what [`Zone::hold`] took. With the last one an unlinked file is gone.
    pub fn release(&self, caller: &Caller, inode: Inode) -> Result<()> {
        {
            let mut handles = self.inner.handles.lock();
            let held = handles.get_mut(&inode).map(|count| {
                *count -= 1;
                *count
            });
            match held {
                Some(0) => handles.remove(&inode),
                _ => return Ok(()),
            };
        }
        let operation = ReleaseOrphans { inodes: &[inode] };
        self.inner
            .commit(&Dispatch::internal(Rank::Reserve), caller.context(), &operation, None)
            .map(|_| ())
            .map_err(|refusal| refusal.error)
    }

    fn change<O: Operation>(
        &self,
        caller: &Caller,
        subject: Subject<'_>,
        operation: &O,
        payload: Option<&Payload>,
        durability: Durability,
    ) -> Result<Done<O::Reply>> {
        let call = Call { syscall: subject.syscall, caller, path: subject.path, inode: subject.inode };
        let result = self.dispatch().call(
            &call,
            |done: &Done<O::Reply>| done.seq,
            |authorized| self.inner.change(authorized, caller, operation, payload, durability),
        );
        result.inspect_err(|error| self.inner.note_refusal(&call, error))
    }
}

/// The parts of a write, each one step; an empty write is one empty part.
fn parts_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = bytes.is_empty().then_some(bytes);
    bytes.chunks(WRITE_BYTES_MAX).chain(empty)
}

impl Zone {
    pub(crate) fn note_refusal(&self, call: &Call<'_>, error: &Error) {
        self.inner.note_refusal(call, error);
    }
}

impl Inner {
    fn change<O: Operation>(
        &self,
        authorized: &Authorized,
        caller: &Caller,
        operation: &O,
        payload: Option<&Payload>,
        durability: Durability,
    ) -> Result<Done<O::Reply>> {
        match self.commit(authorized, caller.context(), operation, payload) {
            Ok(Committed { reply, seq, state, core }) => {
                let done = Done { reply: (), seq, state, core };
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
