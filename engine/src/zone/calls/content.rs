//! What changes bytes of files.

use std::ops::Range;

use nexus_log::event::Reason;
use nexus_log::ids::Inode;

use super::{CallOptions, Done, Durability, Inner, Request, Zone};
use crate::caller::Caller;
use crate::decide::{CreateFile, Created, Edit, Expect, NewFile, Punch, Rewrite, Truncate, WriteAt, WritePosition};
use crate::error::{Error, Result};
use crate::gate::Authorized;
use crate::limits::{EDIT_BYTES_MAX, WRITE_BYTES_MAX};
use crate::path::{Entry, Target};
use crate::view::At;
use crate::zone::ContentWriter;

/// How often an edit begins again because somebody else was faster, where the caller did not name a version.
const EDIT_TRIES_MAX: usize = 16;

impl Zone {
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
        options: impl Into<CallOptions>,
    ) -> Result<Done<Created>> {
        self.attach(caller, entry.into(), new, content, false, options.into())
    }

    /// As [`Zone::put_content`], and an existing file gets the attributes too.
    pub fn put_file<'a>(
        &self,
        caller: &Caller,
        entry: impl Into<Entry<'a>>,
        new: &NewFile,
        content: ContentWriter<'_>,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Created>> {
        self.attach(caller, entry.into(), new, content, true, options.into())
    }

    fn attach(
        &self,
        caller: &Caller,
        entry: Entry<'_>,
        new: &NewFile,
        content: ContentWriter<'_>,
        attributes_too: bool,
        options: CallOptions,
    ) -> Result<Done<Created>> {
        let (staged, payload) = content.finish()?;
        let operation = CreateFile { entry, new, content: Some(&staged), exclusive: false, attributes_too };
        self.change(caller, &operation, payload.as_ref(), options)
    }

    /// Writes bytes at an offset of an existing file. Up to [`WRITE_BYTES_MAX`] bytes are one atomic step; more are
    /// several, in order, and cannot be a named request. So are fewer where they take the place of more than
    /// [`EXTENTS_PER_STEP_MAX`](crate::limits::EXTENTS_PER_STEP_MAX) extents.
    pub fn write<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        offset: u64,
        bytes: &[u8],
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        let (target, options) = (target.into(), options.into());
        if bytes.len() > WRITE_BYTES_MAX && (caller.request_key().is_some() || options.expect != Expect::default()) {
            let message =
                format!("with a request id or an expectation a write is one step of at most {WRITE_BYTES_MAX} bytes");
            return self.refuse_write(caller, target, Error::new(Reason::TooLarge, message));
        }
        let mut run = Run { at: offset, expect: options.expect, done: None };
        for part in parts_of(bytes) {
            self.write_in_steps(caller, target, part, options.durability, &mut run)?;
        }
        Ok(run.done.expect("there is at least one part"))
    }

    /// A part of a write: one record, but where it takes the place of very many extents.
    fn write_in_steps(
        &self,
        caller: &Caller,
        target: Target<'_>,
        mut bytes: &[u8],
        durability: Durability,
        run: &mut Run,
    ) -> Result<()> {
        let steps = self.inner.write_steps(target, run.at, bytes.len() as u64)?;
        if steps.len() > 1 && caller.request_key().is_some() {
            run.done = Some(self.answered_write(caller, target, run.at, bytes, durability)?);
            return Ok(());
        }
        for step in steps {
            let (part, rest) = bytes.split_at(step as usize);
            // The last step waits for those before it. What was expected was so when the first was taken.
            let durability = if rest.is_empty() { durability } else { Durability::Accepted };
            let options = CallOptions { durability, expect: std::mem::take(&mut run.expect) };
            let done = self.write_part(caller, target, WritePosition::At(run.at), part, options)?;
            (bytes, run.at) = (rest, run.at.saturating_add(step));
            // Where the zone was opened anew in between, the parts before may be lost.
            if let Some(before) = run.done.take().filter(|before| !done.same_life(before)) {
                before.wait_durable()?;
            }
            run.done = Some(done);
        }
        Ok(())
    }

    /// A named write that would be several records now: it may have been one when it was asked for first.
    fn answered_write(
        &self,
        caller: &Caller,
        target: Target<'_>,
        offset: u64,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Done<Inode>> {
        let (strip, _) = self.inner.strip_of(bytes)?;
        let digest = *blake3::hash(bytes).as_bytes();
        let asked = WriteAt { target, position: WritePosition::At(offset), strip: &strip, digest };
        self.requested(caller, &asked, |authorized| {
            let done = self.inner.recall(authorized, caller, &asked, durability)?;
            done.ok_or_else(|| {
                let message = "the write takes the place of too many extents to be one step, as a request with an id \
                               must be; put the whole content";
                Error::new(Reason::TooLarge, message)
            })
        })
    }

    /// Writes bytes at the end of an existing file, wherever it is by then. At most [`WRITE_BYTES_MAX`] bytes.
    pub fn append<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        bytes: &[u8],
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        if bytes.len() > WRITE_BYTES_MAX {
            let message = format!("an append is one step of at most {WRITE_BYTES_MAX} bytes");
            return self.refuse_write(caller, target, Error::new(Reason::TooLarge, message));
        }
        self.write_part(caller, target, WritePosition::End, bytes, options.into())
    }

    fn refuse_write<T>(&self, caller: &Caller, target: Target<'_>, error: Error) -> Result<T> {
        let nothing = WriteAt { target, position: WritePosition::End, strip: &Default::default(), digest: [0; 32] };
        self.refuse(caller, &nothing, error)
    }

    fn write_part(
        &self,
        caller: &Caller,
        target: Target<'_>,
        position: WritePosition,
        part: &[u8],
        options: CallOptions,
    ) -> Result<Done<Inode>> {
        let (strip, own) = self.inner.strip_of(part)?;
        let digest = caller.request_key().map_or([0; 32], |_| *blake3::hash(part).as_bytes());
        let payload = self.inner.payload_of(own);
        let operation = WriteAt { target, position, strip: &strip, digest };
        self.change(caller, &operation, payload.as_ref(), options)
    }

    /// Sets a file's size. What is beyond a smaller size is gone, what is added reads as zeros. Shrinking a file of
    /// very many extents goes in steps, each of which is a state that can be seen.
    pub fn truncate<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        size: u64,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        let operation = Truncate { target, size, step: false };
        let step = |size| Truncate { target, size, step: true };
        self.in_steps(caller, &operation, options.into(), |inner| {
            Ok(inner.truncation_steps(target, size)?.into_iter().map(step).collect())
        })
    }

    /// A request whose one record would grow with the file: the steps on the way first, then itself.
    fn in_steps<R: Request>(
        &self,
        caller: &Caller,
        request: &R,
        mut options: CallOptions,
        steps: impl FnOnce(&Inner) -> Result<Vec<R>>,
    ) -> Result<Done<R::Reply>> {
        self.requested(caller, request, |authorized| {
            let steps = steps(&self.inner)?;
            if !steps.is_empty()
                && let Some(done) = self.inner.recall(authorized, caller, request, options.durability)?
            {
                return Ok(done);
            }
            let several = caller.for_several();
            for step in &steps {
                self.inner.request(authorized, &several, step, None, options.step())?;
                // What was expected was so when the first step was taken.
                options.expect = Expect::default();
            }
            self.inner.request(authorized, caller, request, None, options)
        })
    }

    /// Makes a run of a file a hole: it reads as zeros and takes no space from here on. The size stays. In a file of
    /// very many extents it goes in steps, each of which is a state that can be seen.
    pub fn punch<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        offset: u64,
        length: u64,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        let target = target.into();
        let operation = Punch { target, offset, length };
        let step = |run: Range<u64>| Punch { target, offset: run.start, length: run.end - run.start };
        self.in_steps(caller, &operation, options.into(), |inner| {
            Ok(inner.punch_steps(target, offset, length)?.into_iter().map(step).collect())
        })
    }

    /// Replaces text in a file: reads it, and puts the result where nobody changed the file meanwhile. All edits are
    /// one atomic step. Where the caller names no version, it begins again if somebody else was faster.
    pub fn edit<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        edits: &[Edit<'_>],
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        let (target, options) = (target.into(), options.into());
        let asked = Rewrite { target, inode: None, content: None, edits };
        self.requested(caller, &asked, |authorized| {
            if let Some(done) = self.inner.recall(authorized, caller, &asked, options.durability)? {
                return Ok(done);
            }
            for _ in 0..EDIT_TRIES_MAX {
                match self.edit_once(authorized, caller, target, edits, options) {
                    Err(e) if e.kind == Reason::VersionConflict && options.expect.version.is_none() => {}
                    result => return result,
                }
            }
            Err(Error::new(Reason::Busy, "others change the file too fast; try again"))
        })
    }

    fn edit_once(
        &self,
        authorized: &Authorized,
        caller: &Caller,
        target: Target<'_>,
        edits: &[Edit<'_>],
        options: CallOptions,
    ) -> Result<Done<Inode>> {
        let view = self.view(At::Newest)?;
        let stat = view.stat(caller, target, true)?;
        if stat.size > EDIT_BYTES_MAX as u64 {
            let message = format!("the file has {} bytes; an edit takes at most {EDIT_BYTES_MAX}", stat.size);
            return Err(Error::new(Reason::TooLarge, message).at(stat.inode));
        }
        let mut text = view.read(caller, target, 0, stat.size as usize)?.to_vec();
        for (number, edit) in edits.iter().enumerate() {
            text = edited(&text, edit, number).map_err(|e| e.at(stat.inode))?;
        }
        let mut writer = self.content_writer(caller);
        writer.write(&text)?;
        let (staged, payload) = writer.finish()?;
        let rewrite = Rewrite { target, inode: Some(stat.inode), content: Some(&staged), edits };
        let expect = Expect { version: options.expect.version.or(Some(stat.version)), ..options.expect };
        self.inner.request(authorized, caller, &rewrite, payload.as_ref(), CallOptions { expect, ..options })
    }
}

/// How far a write of several records is.
struct Run {
    at: u64,
    expect: Expect,
    done: Option<Done<Inode>>,
}

/// The parts of a write, each one step; an empty write is one empty part.
fn parts_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = bytes.is_empty().then_some(bytes);
    bytes.chunks(WRITE_BYTES_MAX).chain(empty)
}

/// `text` with one edit made.
fn edited(text: &[u8], edit: &Edit<'_>, number: usize) -> Result<Vec<u8>> {
    let refuse = |what: String| Error::new(Reason::Invalid, format!("edit {}: {what}", number + 1));
    if edit.find.is_empty() {
        return Err(refuse("the text to find is empty".into()));
    }
    let finder = memchr::memmem::Finder::new(edit.find);
    let found: Vec<usize> = finder.find_iter(text).collect();
    match found.len() {
        0 => return Err(refuse("the text to find is not in the file".into())),
        1 => {}
        _ if edit.all => {}
        n => return Err(refuse(format!("the text to find is there {n} times; say more of it, or edit all"))),
    }
    let more = found.len().checked_mul(edit.replace.len()).and_then(|more| more.checked_add(text.len()));
    let size = more.map_or(usize::MAX, |all| all - found.len() * edit.find.len());
    if size > EDIT_BYTES_MAX {
        let message = format!("edit {}: it makes more than {EDIT_BYTES_MAX} bytes of the file", number + 1);
        return Err(Error::new(Reason::TooLarge, message));
    }
    let mut out = Vec::with_capacity(size);
    let mut end = 0;
    for at in found {
        out.extend_from_slice(&text[end..at]);
        out.extend_from_slice(edit.replace);
        end = at + edit.find.len();
    }
    out.extend_from_slice(&text[end..]);
    Ok(out)
}
