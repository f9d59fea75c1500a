//! Copies as references: no content moves. A tree that fits into one record is one; a larger one is built out of sight
//! in several records and attached by one (DESIGN section 3, limits of a record).

use std::collections::BTreeMap;
use std::sync::Arc;

use nexus_log::event::Reason;
use nexus_log::ids::{Body, Inode};
use nexus_projections::row::{Content, DentryRow, FileKind};
use nexus_projections::table::RowKey;

use super::calls::{CallOptions, Done};
use super::commit::Committed;
use super::errors::{poisoned_error, store_error};
use super::upkeep::entries_of;
use super::{Core, Inner, Zone};
use crate::caller::Caller;
use crate::content::StripBuilder;
use crate::decide::{
    AtomicBatch, Attach, BatchStep, BuildTree, CopyFile, CopyRequest, CopyTree, CreateFile, Created, Expect, NewFile,
    Operation, PLAN_TOP, Plan, PlanId, PlannedAttributes, PlannedKind, Rmdir, Staged, Step, StoreContent, Top, Unlink,
    system_context,
};
use crate::error::{Error, Result};
use crate::gate::{Authorized, Dispatch, Rank};
use crate::limits::{
    COPY_ENTRIES_MAX, COPY_ENTRIES_PER_RECORD_MAX, PIECES_PER_RECORD_MAX, READDIR_ENTRIES_MAX, RECORD_ROWS_MAX,
};
use crate::path::{Entry, Target};
use crate::view::{At, Stat, View};

/// Bytes of names and values that one record of a tree takes, about.
const PLAN_BYTES_MAX: usize = 256 << 10;
/// Entries of a directory that are looked at in one step.
const PAGE_ENTRIES: usize = 1024;

impl Zone {
    /// Copies a file or a whole tree, as it is at `at`, to a new name: content, modes, owners, times, extended
    /// attributes and hard links within it. The content is not moved but referred to. An existing file gets the content
    /// of a file; otherwise the name must be free. A copy from a past position brings back what was there.
    pub fn copy<'a, 'b>(
        &self,
        caller: &Caller,
        from: impl Into<Target<'a>>,
        at: At,
        to: impl Into<Entry<'b>>,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Created>> {
        let (from, to, options) = (from.into(), to.into(), options.into());
        let position = match at {
            At::Exactly(seq) => Some(seq.0),
            At::Time(time) => Some(time.0),
            At::Latest | At::Newest => None,
        };
        let request = CopyRequest { from, at: position, to };
        let asked = CopyTree(BuildTree { top: Top::Placed(request), plans: &[], known: &BTreeMap::new() });
        self.requested(caller, &asked, |authorized| {
            if let Some(done) = self.inner.recall(authorized, caller, &asked, options.durability)? {
                return Ok(done);
            }
            if matches!(at, At::Latest | At::Newest) {
                // Nothing is referred to that a failure may still take.
                self.inner.core().log.flush().map_err(poisoned_error)?;
            }
            let view = self.view(if at == At::Newest { At::Latest } else { at })?;
            let source = view.stat(caller, from, true)?;
            let copier = Copier::new(self, authorized, caller, &view)?;
            match source.kind {
                FileKind::Directory => copier.tree(&source, request, options),
                FileKind::Regular => copier.file(&source, request, options),
                kind => {
                    let message = format!("a {} is not copied by itself; make another one", kind.name());
                    Err(Error::new(Reason::Unsupported, message).at(source.inode))
                }
            }
        })
    }
}

struct Copier<'z> {
    inner: &'z Inner,
    /// The life of the zone in which all records of the copy are made: what a failure took of it is not built upon.
    core: Arc<Core>,
    authorized: &'z Authorized,
    caller: &'z Caller,
    view: &'z View,
    /// Copies of files with several names, by their inode.
    linked: BTreeMap<Inode, PlanId>,
    next: PlanId,
    /// Waiting for a record.
    plans: Vec<Plan>,
    rows: usize,
    bytes: usize,
    /// What the records so far created.
    known: BTreeMap<PlanId, Inode>,
    /// Directories' times, to be set when nothing goes into them any more.
    later: Vec<Plan>,
    /// The tree is more than one record.
    detached: bool,
}

fn attributes_of(stat: &Stat) -> PlannedAttributes {
    PlannedAttributes { mode: stat.mode, uid: stat.uid, gid: stat.gid, mtime: stat.mtime, atime: stat.atime }
}

impl<'z> Copier<'z> {
    fn new(zone: &'z Zone, authorized: &'z Authorized, caller: &'z Caller, view: &'z View) -> Result<Copier<'z>> {
        Ok(Copier {
            inner: &zone.inner,
            core: zone.inner.writable_core(authorized)?,
            authorized,
            caller,
            view,
            linked: BTreeMap::new(),
            next: PLAN_TOP + 1,
            plans: Vec::new(),
            rows: 0,
            bytes: 0,
            known: BTreeMap::new(),
            later: Vec::new(),
            detached: false,
        })
    }

    fn file(self, source: &Stat, request: CopyRequest<'_>, options: CallOptions) -> Result<Done<Created>> {
        let staged = self.content_of(source)?;
        let new = self.new_file(source)?;
        let create = CreateFile {
            entry: request.to,
            new: &new,
            content: Some(&staged),
            exclusive: false,
            attributes_too: false,
        };
        let copy = CopyFile { create, mime: source.mime(), request };
        self.inner.request_on(&self.core, self.authorized, self.caller, &copy, None, options)
    }

    fn new_file(&self, source: &Stat) -> Result<NewFile> {
        let xattrs = self.view.list_xattrs(self.caller, source.inode)?;
        Ok(NewFile {
            mode: source.mode,
            uid: source.uid,
            gid: source.gid,
            mtime: Some(source.mtime),
            atime: Some(source.atime),
            xattrs: xattrs.into_iter().map(|(name, value)| (name, value.to_vec())).collect(),
        })
    }

    /// A file's content as references. What is more than one record holds goes into a body of its own first.
    fn content_of(&self, source: &Stat) -> Result<Staged> {
        let content_id = source.content_id;
        let mut strip = StripBuilder::default();
        let mut stored: Option<Body> = None;
        let content = self.view.for_each_run(self.caller, source.inode, |offset, extent| {
            if strip.pieces() == PIECES_PER_RECORD_MAX {
                self.store(&mut strip, &mut stored)?;
            }
            strip.push_foreign(offset, extent.length, extent.skip, extent.chunk);
            Ok(())
        })?;
        if stored.is_some() {
            self.store(&mut strip, &mut stored)?;
        }
        // The row of a single chunk says the content's hash itself.
        let content_id = content_id.filter(|_| matches!(content, Content::Body(_)));
        let (strip, _) = strip.finish();
        Ok(Staged { size: source.size, strip, stored, content_id, digest: [0; 32] })
    }

    fn store(&self, strip: &mut StripBuilder, stored: &mut Option<Body>) -> Result<()> {
        let (strip, _) = std::mem::take(strip).finish();
        if strip.pieces.is_empty() {
            return Ok(());
        }
        let operation = StoreContent { body: *stored, strip: &strip };
        *stored = Some(self.step(&operation)?);
        Ok(())
    }

    fn tree(mut self, source: &Stat, request: CopyRequest<'_>, options: CallOptions) -> Result<Done<Created>> {
        let built = self.build(source, request, options);
        if let Err(error) = &built
            && error.kind != Reason::OutcomeUnknown
            && let Some(top) = self.known.get(&PLAN_TOP)
        {
            // What cannot be removed now is removed when the zone is opened.
            let _ = self.inner.give_up_detached(&self.core, *top);
        }
        built.map_err(|error| interrupted(&self.core, error))
    }

    fn build(&mut self, source: &Stat, request: CopyRequest<'_>, options: CallOptions) -> Result<Done<Created>> {
        self.plans.push(Plan::Top(attributes_of(source)));
        self.xattrs(source, PLAN_TOP)?;
        self.later(source, PLAN_TOP);
        let mut directories = vec![(source.inode, PLAN_TOP)];
        while let Some((directory, id)) = directories.pop() {
            self.directory(directory, id, &mut directories)?;
        }
        if !self.detached && self.plans.len() + self.later.len() <= COPY_ENTRIES_PER_RECORD_MAX {
            self.plans.append(&mut self.later);
            let tree = BuildTree { top: Top::Placed(request), plans: &self.plans, known: &self.known };
            return self.inner.request_on(&self.core, self.authorized, self.caller, &CopyTree(tree), None, options);
        }
        for plan in std::mem::take(&mut self.later) {
            self.add(plan, 2, 64)?;
        }
        self.flush()?;
        let inode = self.known[&PLAN_TOP];
        self.inner.request_on(&self.core, self.authorized, self.caller, &Attach { inode, request }, None, options)
    }

    fn directory(&mut self, directory: Inode, id: PlanId, directories: &mut Vec<(Inode, PlanId)>) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.view.readdir(self.caller, directory, after.as_deref(), PAGE_ENTRIES)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name.to_vec());
            let full = page.len() == PAGE_ENTRIES.min(READDIR_ENTRIES_MAX);
            for entry in page {
                let stat = self.view.stat(self.caller, entry.inode, false)?;
                if let Some(made) = self.entry(&stat, id, entry.name.to_vec())?
                    && stat.kind == FileKind::Directory
                {
                    directories.push((entry.inode, made));
                }
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// Plans one entry; `None` where it is a further name of what is planned already.
    fn entry(&mut self, stat: &Stat, parent: PlanId, name: Vec<u8>) -> Result<Option<PlanId>> {
        if let Some(of) = self.linked.get(&stat.inode) {
            let plan = Plan::HardLink { of: *of, parent, name };
            self.add(plan, 4, 64)?;
            return Ok(None);
        }
        let (kind, rows) = match stat.kind {
            FileKind::Directory => (PlannedKind::Directory, 4),
            FileKind::Regular => {
                let staged = self.content_of(stat)?;
                let rows = 4 + staged.strip.pieces.len();
                (PlannedKind::File(staged), rows)
            }
            FileKind::Link => (PlannedKind::Symlink(stat.target().to_vec()), 4),
            kind => (PlannedKind::Node { kind, device: stat.device() }, 4),
        };
        let id = self.next;
        if id > COPY_ENTRIES_MAX {
            let message = format!("the tree has more than {COPY_ENTRIES_MAX} entries; copy it in parts");
            return Err(Error::new(Reason::TooLarge, message));
        }
        self.next += 1;
        let bytes = 192 + name.len() + stat.target().len() + 64 * rows;
        let attributes = attributes_of(stat);
        self.add(Plan::Entry { id, parent, name, attributes, kind }, rows, bytes)?;
        if stat.nlink > 1 && stat.kind != FileKind::Directory {
            self.linked.insert(stat.inode, id);
        }
        self.xattrs(stat, id)?;
        if stat.kind == FileKind::Directory || !stat.mime().is_empty() {
            self.later(stat, id);
        }
        Ok(Some(id))
    }

    fn xattrs(&mut self, stat: &Stat, of: PlanId) -> Result<()> {
        for (name, value) in self.view.list_xattrs(self.caller, stat.inode)? {
            let bytes = 64 + name.len() + value.len();
            self.add(Plan::Xattr { of, name, value: value.to_vec() }, 1, bytes)?;
        }
        Ok(())
    }

    fn later(&mut self, stat: &Stat, of: PlanId) {
        let (mtime, atime) = (Some(stat.mtime), Some(stat.atime));
        self.later.push(Plan::Later { of, mtime, atime, mime: stat.mime().to_string() });
    }

    /// Adds to the next record; where that is full, the record is made first and the tree is one of several.
    fn add(&mut self, plan: Plan, rows: usize, bytes: usize) -> Result<()> {
        let full = self.plans.len() >= COPY_ENTRIES_PER_RECORD_MAX
            || self.rows + rows > RECORD_ROWS_MAX
            || self.bytes + bytes > PLAN_BYTES_MAX;
        if full {
            self.flush()?;
        }
        self.rows += rows;
        self.bytes += bytes;
        self.plans.push(plan);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.detached = true;
        (self.rows, self.bytes) = (0, 0);
        let plans = std::mem::take(&mut self.plans);
        if plans.is_empty() {
            return Ok(());
        }
        let tree = BuildTree { top: Top::Detached, plans: &plans, known: &self.known };
        let built = self.step(&tree)?;
        self.known.extend(built);
        Ok(())
    }

    /// A record before the last.
    fn step<O: Operation>(&self, operation: &O) -> Result<O::Reply> {
        let Committed { reply, core, state, .. } = self
            .inner
            .commit_on(&self.core, self.authorized, self.caller.context(), operation, None)
            .map_err(|refusal| refusal.error)?;
        // A writer of a tree is no faster than the log.
        if self.inner.options.manual || core.log.queued_bytes() > PLAN_BYTES_MAX {
            core.wait(state)?;
        }
        Ok(reply)
    }
}

/// What stopped a copy that had made records: where the log took no more, what it made may be there or not.
fn interrupted(core: &Core, error: Error) -> Error {
    if core.log.poisoned().is_none() {
        return error;
    }
    let message = "the disk failed in the middle of it and what was begun may be lost; begin it again";
    Error::new(Reason::OutcomeUnknown, message).because(error)
}

impl Inner {
    /// Removes what stands in an orphaned directory, deepest first, and the directory.
    /// In this life of the zone and no other: in another one the inode may be somebody else's.
    pub(super) fn give_up_detached(&self, core: &Arc<Core>, top: Inode) -> Result<()> {
        let mut stack = vec![top];
        while let Some(directory) = stack.last().copied() {
            let view = core.tables.view(core.newest());
            if view.get(&RowKey::orphan(top)).map_err(store_error)?.is_none() {
                return Ok(());
            }
            let entries = entries_of(&view, directory, COPY_ENTRIES_PER_RECORD_MAX)?;
            let below = entries.iter().find(|(_, dentry)| {
                dentry.kind == FileKind::Directory && !matches!(entries_of(&view, dentry.inode, 1).as_deref(), Ok([]))
            });
            if let Some((_, dentry)) = below {
                stack.push(dentry.inode);
                continue;
            }
            let done = entries.len() < COPY_ENTRIES_PER_RECORD_MAX;
            let last = [top];
            self.remove_entries(core, directory, &entries, if done && directory == top { &last } else { &[] })?;
            if done {
                stack.pop();
            }
        }
        Ok(())
    }

    fn remove_entries(
        &self,
        core: &Arc<Core>,
        directory: Inode,
        entries: &[(Vec<u8>, DentryRow)],
        release: &[Inode],
    ) -> Result<()> {
        let steps = entries.iter().map(|(name, dentry)| {
            let entry = Entry::In(directory, name);
            let step = match dentry.kind {
                FileKind::Directory => Step::Rmdir(Rmdir { entry }),
                _ => Step::Unlink(Unlink { entry }),
            };
            BatchStep { step, expect: Expect::default(), chunks: 0 }
        });
        let context = system_context();
        let batch = AtomicBatch { steps: steps.collect(), chunks: &[], context: &context, release };
        let committed = self
            .commit_on(core, &Dispatch::internal(Rank::Reserve), &context, &batch, None)
            .map_err(|refusal| refusal.error)?;
        committed.core.wait(committed.state)
    }
}
