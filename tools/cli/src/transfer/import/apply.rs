//! Making the records that a step of the walk asks for.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_engine::limits::XATTRS_BYTES_MAX;
use nexus_engine::{
    At, AttributeChange, Created, Done, Durability, Entry, NewFile, PATH_BYTES_MAX, Target, View, XattrMode,
};
use nexus_log::ids::Inode;
use nexus_log::log::Log;
use nexus_projections::row::FileKind;

use super::reader::{FileRead, HostFile, ReadContext, ReadFailure, ReadResult};
use super::walk::{Action, DirectoryStep, FileStep, NodeStep, Old, Source, Step, SymlinkStep, joined};
use crate::transfer::host::{Meta, Xattrs};
use crate::transfer::{
    ProblemKind, Progress, Report, TransferError, UNFLUSHED_BYTES_MAX, chain, ends_the_run, node_kind, zone_entries,
};

/// Records are made without waiting for the disk; the run waits for the last one.
const LEVEL: Durability = Durability::Accepted;

/// Why a step came to nothing.
enum Fault {
    /// This entry only.
    Entry(ProblemKind, String),
    /// The run.
    Run(nexus_engine::Error),
}

impl From<nexus_engine::Error> for Fault {
    fn from(error: nexus_engine::Error) -> Fault {
        match ends_the_run(error.kind) {
            true => Fault::Run(error),
            false => Fault::Entry(ProblemKind::Failed, chain(&error)),
        }
    }
}

impl From<ReadFailure> for Fault {
    fn from(failure: ReadFailure) -> Fault {
        match failure {
            failure if failure.is_vanished() => Fault::Entry(ProblemKind::Vanished, "it vanished meanwhile".into()),
            ReadFailure::Host(error) => Fault::Entry(ProblemKind::Failed, chain(&error)),
            ReadFailure::NotAFile => Fault::Entry(ProblemKind::Changed, "it is no file any more".into()),
            ReadFailure::Zone(error) => error.into(),
        }
    }
}

type Applied<T = ()> = Result<T, Fault>;

/// The last record that was accepted: once it is on stable storage, all are.
enum Last {
    Created(Done<Created>),
    Inode(Done<Inode>),
}

impl From<Done<Created>> for Last {
    fn from(done: Done<Created>) -> Last {
        Last::Created(done)
    }
}

impl From<Done<Inode>> for Last {
    fn from(done: Done<Inode>) -> Last {
        Last::Inode(done)
    }
}

/// A directory of the zone whose entries are being made.
struct Open {
    inode: Inode,
    step: DirectoryStep,
    /// Made by this run.
    fresh: bool,
    /// An entry came or went, which moves the directory's times.
    touched: bool,
}

pub(super) struct Applier<'z, 'p> {
    context: ReadContext<'z>,
    destination: &'p [u8],
    progress: &'p mut dyn FnMut(&Progress<'_>),
    report: Report,
    log: Log,
    last: Option<Last>,
    /// The directories entered; `None` where one could not be made: what is below it is passed over.
    stack: Vec<Option<Open>>,
    /// Files of the host with several names, by what they are in the zone.
    links: BTreeMap<(u64, u64), Inode>,
    /// Files of the zone with several names, by what they are on the host.
    claims: BTreeMap<Inode, (u64, u64)>,
    block: Vec<u8>,
}

fn new_file(meta: &Meta, xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> NewFile {
    let (mtime, atime) = (Some(meta.mtime), Some(meta.atime));
    NewFile { mode: meta.mode, uid: meta.uid, gid: meta.gid, mtime, atime, xattrs }
}

/// Attributes that one record can take beside others, and the rest.
fn split_xattrs(mut xattrs: Xattrs) -> (Xattrs, Xattrs) {
    let mut bytes = 0;
    let fits = xattrs.iter().take_while(|(name, value)| {
        bytes += name.len() + value.len();
        bytes <= XATTRS_BYTES_MAX
    });
    let count = fits.count();
    let rest = xattrs.split_off(count);
    (xattrs, rest)
}

/// What differs: attributes to set, and names of those to remove.
fn xattr_changes(wanted: &Xattrs, old: &[(Vec<u8>, Bytes)]) -> (Xattrs, Vec<Vec<u8>>) {
    let is_set = |name: &[u8], value: &[u8]| old.iter().any(|(n, v)| n == name && v == value);
    let set = wanted.iter().filter(|(name, value)| !is_set(name, value)).cloned().collect();
    let is_wanted = |name: &[u8]| wanted.iter().any(|(n, _)| n == name);
    let removed = old.iter().filter(|(name, _)| !is_wanted(name)).map(|(name, _)| name.clone()).collect();
    (set, removed)
}

impl<'z, 'p> Applier<'z, 'p> {
    pub(super) fn new(
        context: ReadContext<'z>,
        destination: &'p [u8],
        progress: &'p mut dyn FnMut(&Progress<'_>),
    ) -> Applier<'z, 'p> {
        Applier {
            context,
            destination,
            progress,
            report: Report::default(),
            log: context.zone.log(),
            last: None,
            stack: Vec::new(),
            links: BTreeMap::new(),
            claims: BTreeMap::new(),
            block: Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, step: Step<'z>) -> Result<(), TransferError> {
        let Step { below, action } = step;
        let dead = matches!(self.stack.last(), Some(None));
        let applied = match action {
            Action::Leave => self.leave(&below),
            Action::Enter(_) if dead => {
                self.stack.push(None);
                Ok(())
            }
            Action::Problem(kind, message) => Err(Fault::Entry(kind, message)),
            _ if dead => Ok(()),
            Action::Enter(step) => self.enter(&below, step),
            Action::File(step) => self.file(&below, step),
            Action::Symlink(step) => self.symlink(&below, step),
            Action::Node(step) => self.node(&below, step),
            Action::Remove(entry) => {
                let path = self.path(&below);
                self.remove(&path, entry.inode, entry.kind)
            }
        };
        match applied {
            Ok(()) => {}
            Err(Fault::Entry(kind, message)) => self.report.note(kind, &below, message),
            Err(Fault::Run(error)) => return Err(TransferError::zone(&self.path(&below))(error)),
        }
        (self.progress)(&self.report.progress(&below));
        Ok(())
    }

    /// Waits until everything is on stable storage.
    pub(super) fn finish(self) -> Result<Report, TransferError> {
        match &self.last {
            None => Ok(()),
            Some(Last::Created(done)) => done.wait_durable(),
            Some(Last::Inode(done)) => done.wait_durable(),
        }
        .map_err(TransferError::zone(&self.path(b"")))?;
        Ok(self.report)
    }

    fn path(&self, below: &[u8]) -> Vec<u8> {
        let path = [self.destination, below].concat();
        if path.is_empty() { b"/".to_vec() } else { path }
    }

    fn parent(&self) -> Inode {
        self.stack.last().and_then(Option::as_ref).map_or(Inode::ROOT, |open| open.inode)
    }

    /// An entry moved in or out of the directory that is open.
    fn touch(&mut self) {
        if let Some(Some(open)) = self.stack.last_mut() {
            open.touched = true;
        }
    }

    /// Takes what a call answered. Holds the run back while too much waits for the disk, so that the zone need not.
    fn done<T: Copy>(&mut self, result: nexus_engine::Result<Done<T>>) -> Applied<T>
    where
        Last: From<Done<T>>,
    {
        let done = result?;
        if self.log.queued_bytes() > UNFLUSHED_BYTES_MAX {
            done.wait_durable()?;
        }
        let reply = done.reply;
        self.last = Some(done.into());
        Ok(reply)
    }

    /// Removes an entry of the zone and all below it.
    fn remove(&mut self, path: &[u8], inode: Inode, kind: FileKind) -> Applied {
        let parent = self.parent();
        let view = self.context.zone.view(At::Newest)?;
        self.remove_below(&view, path, parent, (inode, kind))?;
        self.touch();
        Ok(())
    }

    fn remove_below(&mut self, view: &View, path: &[u8], parent: Inode, found: (Inode, FileKind)) -> Applied {
        let ReadContext { zone, caller, .. } = self.context;
        let entry = entry(path, parent);
        if found.1 == FileKind::Directory {
            for inner in zone_entries(view, caller, found.0)? {
                self.remove_below(view, &joined(path, &inner.name), found.0, (inner.inode, inner.kind))?;
            }
            self.done(zone.rmdir(caller, entry, LEVEL))?;
        } else {
            self.done(zone.unlink(caller, entry, LEVEL))?;
        }
        self.report.removed += 1;
        Ok(())
    }

    fn enter(&mut self, below: &[u8], step: DirectoryStep) -> Applied {
        let path = self.path(below);
        let opened = self.open(&path, &step);
        let open = match &opened {
            Ok((inode, fresh)) => Some(Open { inode: *inode, step, fresh: *fresh, touched: false }),
            Err(_) => None,
        };
        if open.as_ref().is_some_and(|open| open.fresh) {
            self.touch();
            self.report.directories += 1;
        }
        self.stack.push(open);
        opened.map(|_| ())
    }

    fn open(&mut self, path: &[u8], step: &DirectoryStep) -> Applied<(Inode, bool)> {
        let ReadContext { zone, caller, .. } = self.context;
        match &step.old {
            Some(old) if old.stat.kind == FileKind::Directory => return Ok((old.stat.inode, false)),
            Some(old) => self.remove(path, old.stat.inode, old.stat.kind)?,
            None => {}
        }
        let (now, later) = split_xattrs(step.xattrs.clone());
        let made = zone.mkdir(caller, entry(path, self.parent()), &new_file(&step.meta, now), true, LEVEL);
        let inode = self.done(made)?.inode;
        self.set_xattrs(inode, path, later)?;
        Ok((inode, true))
    }

    /// All entries are there: now the directory's times can be set.
    fn leave(&mut self, below: &[u8]) -> Applied {
        let open = self.stack.pop().expect("a directory is left that was entered");
        let Some(Open { inode, step, fresh, touched }) = open else { return Ok(()) };
        let path = self.path(below);
        match step.old.filter(|_| !fresh) {
            Some(mut old) => {
                if touched {
                    // Whatever it was, it has moved; no host's time is this one.
                    old.stat.mtime = i64::MIN;
                }
                self.fix(&path, &old, &step.meta, &step.xattrs, touched)
            }
            None => {
                let (mtime, atime) = (Some(step.meta.mtime), Some(step.meta.atime));
                let change = AttributeChange { mtime, atime, ..AttributeChange::default() };
                self.set_attributes(inode, &path, &change)
            }
        }
    }

    fn set_attributes(&mut self, inode: Inode, path: &[u8], change: &AttributeChange) -> Applied {
        let ReadContext { zone, caller, .. } = self.context;
        self.done(zone.set_attributes(caller, target(path, inode), change, false, LEVEL)).map(|_| ())
    }

    fn set_xattrs(&mut self, inode: Inode, path: &[u8], xattrs: Xattrs) -> Applied {
        let ReadContext { zone, caller, .. } = self.context;
        for (name, value) in xattrs {
            let mode = XattrMode::Either;
            self.done(zone.set_xattr(caller, target(path, inode), &name, &value, mode, LEVEL))?;
        }
        Ok(())
    }

    fn remove_xattrs(&mut self, inode: Inode, path: &[u8], names: Vec<Vec<u8>>) -> Applied {
        let ReadContext { zone, caller, .. } = self.context;
        for name in names {
            self.done(zone.remove_xattr(caller, target(path, inode), &name, LEVEL))?;
        }
        Ok(())
    }

    /// Gives what the zone has the attributes of the host's entry, where they differ. `counted`: what was changed
    /// here has been counted already.
    fn fix(&mut self, path: &[u8], old: &Old, meta: &Meta, xattrs: &Xattrs, counted: bool) -> Applied {
        let differs = |old, new| (old != new).then_some(new);
        let (stat, inode) = (&old.stat, old.stat.inode);
        // A symlink's permission bits say nothing.
        let mode = if stat.kind == FileKind::Link { None } else { differs(stat.mode, meta.mode) };
        let (uid, gid) = (differs(stat.uid, meta.uid), differs(stat.gid, meta.gid));
        let mtime = (stat.mtime != meta.mtime).then_some(meta.mtime);
        let mut change = AttributeChange { mode, uid, gid, mtime, ..AttributeChange::default() };
        let (set, removed) = xattr_changes(xattrs, &old.xattrs);
        let unchanged = change == AttributeChange::default();
        if unchanged && set.is_empty() && removed.is_empty() {
            self.report.skipped += u64::from(!counted);
            return Ok(());
        }
        self.set_xattrs(inode, path, set)?;
        self.remove_xattrs(inode, path, removed)?;
        if !unchanged {
            change.atime = Some(meta.atime);
            self.set_attributes(inode, path, &change)?;
        }
        self.report.attributes_only += u64::from(!counted);
        Ok(())
    }

    fn symlink(&mut self, below: &[u8], step: SymlinkStep) -> Applied {
        let ReadContext { zone, caller, .. } = self.context;
        let path = self.path(below);
        if let Some(old) = &step.old {
            if old.stat.kind == FileKind::Link && old.stat.target() == step.target {
                return self.fix(&path, old, &step.meta, &step.xattrs, false);
            }
            self.remove(&path, old.stat.inode, old.stat.kind)?;
        }
        let (now, later) = split_xattrs(step.xattrs);
        let new = new_file(&step.meta, now);
        let made = zone.symlink(caller, entry(&path, self.parent()), &step.target, &new, LEVEL);
        let inode = self.done(made)?.inode;
        self.touch();
        self.set_xattrs(inode, &path, later)?;
        self.report.symlinks += 1;
        Ok(())
    }

    fn node(&mut self, below: &[u8], step: NodeStep) -> Applied {
        let ReadContext { zone, caller, .. } = self.context;
        let path = self.path(below);
        if let Some(old) = &step.old {
            if node_kind(&old.stat) == Some(step.kind) {
                return self.fix(&path, old, &step.meta, &step.xattrs, false);
            }
            self.remove(&path, old.stat.inode, old.stat.kind)?;
        }
        let (now, later) = split_xattrs(step.xattrs);
        let made = zone.make_node(caller, entry(&path, self.parent()), step.kind, &new_file(&step.meta, now), LEVEL);
        let inode = self.done(made)?.inode;
        self.touch();
        self.set_xattrs(inode, &path, later)?;
        self.report.nodes += 1;
        Ok(())
    }

    fn file(&mut self, below: &[u8], step: FileStep<'z>) -> Applied {
        let path = self.path(below);
        let FileStep { file, meta, mut old, mut source, partner } = step;
        if let Some(found) = old.take_if(|old| old.stat.kind != FileKind::Regular) {
            self.remove(&path, found.stat.inode, found.stat.kind)?;
        }
        if matches!(source, Source::Linked) {
            match self.links.get(&meta.id()) {
                Some(inode) => return self.linked(&path, *inode, old),
                // The name met first came to nothing: this one is read in its place.
                None => source = Source::InTurn(false),
            }
        }
        if partner && let Some(old) = &old {
            self.link(&path, old.stat.inode)?;
        }
        let claimed = |old: &mut Old| self.claims.get(&old.stat.inode).is_some_and(|id| *id != meta.id());
        if let Some(found) = old.take_if(claimed) {
            self.remove(&path, found.stat.inode, found.stat.kind)?;
        }
        let read = self.content(below, &file, source, old.as_ref(), &meta)?;
        let id = read.meta.id();
        let several = read.meta.nlink > 1;
        let inode = self.put(below, &path, old.as_ref(), read)?;
        if several {
            self.links.insert(id, inode);
        }
        if several || old.is_some_and(|old| old.stat.nlink > 1) {
            self.claims.insert(inode, id);
        }
        Ok(())
    }

    fn linked(&mut self, path: &[u8], inode: Inode, old: Option<Old>) -> Applied {
        match old {
            Some(old) if old.stat.inode == inode => {
                self.report.skipped += 1;
                return Ok(());
            }
            Some(old) => self.remove(path, old.stat.inode, old.stat.kind)?,
            None => {}
        }
        self.link(path, inode)
    }

    fn link(&mut self, path: &[u8], inode: Inode) -> Applied {
        let ReadContext { zone, caller, .. } = self.context;
        let linked = zone.link(caller, inode, entry(path, self.parent()), LEVEL);
        self.done(linked)?;
        self.touch();
        self.report.hard_links += 1;
        Ok(())
    }

    fn content(
        &mut self,
        below: &[u8],
        file: &HostFile,
        source: Source<'z>,
        old: Option<&Old>,
        meta: &Meta,
    ) -> Applied<FileRead<'z>> {
        let read = match (source, old) {
            (Source::Equal(xattrs), Some(_)) => {
                return Ok(FileRead { meta: *meta, xattrs, content: None, bytes: 0, changed: false });
            }
            (Source::Ahead(answer), _) => match answer.recv() {
                Ok(result) => result?,
                Err(_) => self.read_now(below, file, None)?,
            },
            (Source::InTurn(true), Some(old)) => self.read_now(below, file, Some(old))?,
            (Source::InTurn(_) | Source::Equal(_) | Source::Linked, _) => self.read_now(below, file, None)?,
        };
        match (&read.content, old) {
            // What it was compared with has gone.
            (None, None) => Ok(self.read_now(below, file, None)?),
            _ => Ok(read),
        }
    }

    fn read_now(&mut self, below: &[u8], file: &HostFile, old: Option<&Old>) -> ReadResult<'z> {
        let Applier { context, report, progress, block, .. } = self;
        let before = report.progress(below);
        context.read(file, old.map(|old| &old.stat), block, &mut |bytes| {
            progress(&Progress { bytes: before.bytes + bytes, ..before });
        })
    }

    /// Puts what was read, or only its attributes where the content is the zone's already.
    fn put(&mut self, below: &[u8], path: &[u8], old: Option<&Old>, read: FileRead<'z>) -> Applied<Inode> {
        let ReadContext { zone, caller, .. } = self.context;
        let FileRead { meta, xattrs, content, bytes, changed } = read;
        if changed {
            self.report.note(ProblemKind::Changed, below, "it changed while it was read");
        }
        let Some(content) = content else {
            let old = old.expect("without content there is a file in the zone to keep");
            self.fix(path, old, &meta, &xattrs, false)?;
            return Ok(old.stat.inode);
        };
        // Other names of the zone's file are not names of this one: they keep what they have.
        let apart = old.filter(|old| old.stat.nlink > 1 && old.stat.nlink != meta.nlink);
        if let Some(old) = apart {
            self.remove(path, old.stat.inode, old.stat.kind)?;
        }
        let old = if apart.is_some() { None } else { old };
        let (set, removed) = xattr_changes(&xattrs, old.map_or(&[], |old| &old.xattrs));
        let (now, later) = split_xattrs(set);
        let put = zone.put_file(caller, entry(path, self.parent()), &new_file(&meta, now), content, LEVEL);
        let created = self.done(put)?;
        if created.fresh {
            self.touch();
        }
        self.set_xattrs(created.inode, path, later)?;
        self.remove_xattrs(created.inode, path, removed)?;
        self.report.files += 1;
        self.report.bytes += bytes;
        Ok(created.inode)
    }
}

/// Where an entry is made: by its path, which history then tells, or by its directory where the path is too long.
fn entry(path: &[u8], parent: Inode) -> Entry<'_> {
    if path.len() <= PATH_BYTES_MAX {
        return Entry::Path(path);
    }
    let slash = path.iter().rposition(|b| *b == b'/').expect("the path is absolute");
    Entry::In(parent, &path[slash + 1..])
}

fn target(path: &[u8], inode: Inode) -> Target<'_> {
    if path.len() <= PATH_BYTES_MAX { Target::Path(path) } else { Target::Inode(inode) }
}
