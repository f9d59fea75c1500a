//! Walking the host's tree in sorted order beside the zone's, and saying step by step what is to be done.
//!
//! The zone is looked at as the run found it, so what the walk says does not depend on how far the records are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use nexus_engine::{DirEntry, Error, NodeKind, Stat};
use nexus_log::event::Reason;
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use super::reader::{HostFile, ReadContext, ReadResult, Readers};
use crate::transfer::host::{self, Kind, Meta, Xattrs};
use crate::transfer::{ImportOptions, ProblemKind, READ_AHEAD_FILE_BYTES_MAX, TransferError, zone_entries};

/// What the zone has under a name.
#[derive(Clone, Debug)]
pub(super) struct Old {
    pub(super) stat: Stat,
    pub(super) xattrs: Vec<(Vec<u8>, Bytes)>,
}

/// Where a file's content comes from.
pub(super) enum Source<'z> {
    /// It is taken to be what the zone has.
    Equal(Xattrs),
    /// A reader is on it.
    Ahead(Receiver<ReadResult<'z>>),
    /// It is read when its turn comes. With `true` it may be what the zone has.
    InTurn(bool),
    /// It is another name of a file met before.
    Linked,
}

pub(super) struct FileStep<'z> {
    pub(super) file: HostFile,
    pub(super) meta: Meta,
    pub(super) old: Option<Old>,
    pub(super) source: Source<'z>,
    /// `old` is the same file under another name: this name is a link to be made.
    pub(super) partner: bool,
}

pub(super) struct DirectoryStep {
    pub(super) meta: Meta,
    pub(super) xattrs: Xattrs,
    pub(super) old: Option<Old>,
}

pub(super) struct SymlinkStep {
    pub(super) meta: Meta,
    pub(super) xattrs: Xattrs,
    pub(super) target: Vec<u8>,
    pub(super) old: Option<Old>,
}

pub(super) struct NodeStep {
    pub(super) meta: Meta,
    pub(super) kind: NodeKind,
    pub(super) xattrs: Xattrs,
    pub(super) old: Option<Old>,
}

pub(super) enum Action<'z> {
    Enter(DirectoryStep),
    File(FileStep<'z>),
    Symlink(SymlinkStep),
    Node(NodeStep),
    /// The source does not have it.
    Remove(DirEntry),
    /// All entries of the directory entered last are done.
    Leave,
    Problem(ProblemKind, String),
}

pub(super) struct Step<'z> {
    /// Below source and destination: empty, or `/a/b`.
    pub(super) below: Vec<u8>,
    pub(super) action: Action<'z>,
}

impl Step<'_> {
    /// Content that is held for this step.
    pub(super) fn ahead_bytes(&self) -> u64 {
        match &self.action {
            Action::File(FileStep { source: Source::Ahead(_), meta, .. }) => meta.size,
            _ => 0,
        }
    }
}

struct Frame {
    dir: Arc<OwnedFd>,
    below: Vec<u8>,
    names: std::vec::IntoIter<Vec<u8>>,
    /// What the zone has, by name.
    zone: BTreeMap<Vec<u8>, DirEntry>,
    /// What the zone has and the source has not.
    gone: std::vec::IntoIter<DirEntry>,
}

/// Names of the host's files that have several, by file.
type Groups = BTreeMap<(u64, u64), Vec<Vec<u8>>>;

pub(super) struct Walk<'z, 's> {
    context: ReadContext<'z>,
    source: &'s Path,
    destination: &'s [u8],
    options: ImportOptions,
    readers: Readers<'z>,
    /// Before the first step: what the zone has at the destination.
    root: Option<Option<Old>>,
    /// Something stood at the destination.
    existed: bool,
    stack: Vec<Frame>,
    /// Files with several names that have had their step.
    met: BTreeSet<(u64, u64)>,
    groups: Option<Groups>,
}

fn old_at(context: &ReadContext<'_>, inode: Inode) -> nexus_engine::Result<Old> {
    let stat = context.view.stat(context.caller, inode, false)?;
    let xattrs = context.view.list_xattrs(context.caller, inode)?;
    Ok(Old { stat, xattrs })
}

/// What the zone has at `destination`. A file does not take a directory's place there, nor the other way round.
pub(super) fn root_in_zone(
    context: &ReadContext<'_>,
    destination: &[u8],
    directory: bool,
) -> Result<Option<Old>, TransferError> {
    let path = if destination.is_empty() { b"/" } else { destination };
    let shown = String::from_utf8_lossy(path);
    let found = match context.view.stat(context.caller, path, false) {
        Ok(stat) => Some(old_at(context, stat.inode).map_err(TransferError::zone(path))?),
        Err(error) if error.kind == Reason::NotFound => None,
        Err(error) => return Err(TransferError::zone(path)(error)),
    };
    let refuse = |kind, message| Err(TransferError::Refused { kind, message });
    match &found {
        Some(old) if directory && old.stat.kind != FileKind::Directory => {
            let kind = old.stat.kind.name();
            refuse(Reason::NotDir, format!("{shown} is a {kind} in the zone; a directory does not take its place"))
        }
        Some(old) if !directory && old.stat.kind == FileKind::Directory => {
            refuse(Reason::IsDir, format!("{shown} is a directory in the zone; only a directory goes there"))
        }
        Some(_) => Ok(found),
        None => {
            let end = path.iter().rposition(|b| *b == b'/').unwrap_or(0).max(1);
            let parent = context.view.stat(context.caller, &path[..end], true);
            match parent {
                Ok(stat) if stat.kind == FileKind::Directory => Ok(None),
                Ok(_) => Err(Error::new(Reason::NotDir, "it is not a directory")),
                Err(error) if error.kind == Reason::NotFound => {
                    Err(Error::new(Reason::NotFound, "the directory does not exist; make it with `nexus mkdir -p`"))
                }
                Err(error) => Err(error),
            }
            .map_err(TransferError::zone(&path[..end]))
        }
    }
}

impl<'z, 's> Walk<'z, 's> {
    pub(super) fn new(
        context: ReadContext<'z>,
        source: &'s Path,
        destination: &'s [u8],
        options: ImportOptions,
        readers: Readers<'z>,
        old: Option<Old>,
    ) -> Walk<'z, 's> {
        Walk {
            context,
            source,
            destination,
            options,
            readers,
            existed: old.is_some(),
            root: Some(old),
            stack: Vec::new(),
            met: BTreeSet::new(),
            groups: None,
        }
    }

    /// The next step; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Step<'z>>, TransferError> {
        if let Some(old) = self.root.take() {
            return self.first(old).map(Some);
        }
        let Some(frame) = self.stack.last_mut() else { return Ok(None) };
        let Some(name) = frame.names.next() else {
            if let Some(entry) = frame.gone.next() {
                let below = joined(&frame.below, &entry.name);
                return Ok(Some(Step { below, action: Action::Remove(entry) }));
            }
            let frame = self.stack.pop().expect("it was looked at just now");
            return Ok(Some(Step { below: frame.below, action: Action::Leave }));
        };
        let below = joined(&frame.below, &name);
        let old = frame.zone.remove(&name);
        let file = HostFile { dir: Arc::clone(&frame.dir), name };
        let old = match old {
            Some(entry) => Some(old_at(&self.context, entry.inode).map_err(|e| self.zone_error(&below, e))?),
            None => None,
        };
        let action = match host::meta_at(&file.dir, &file.name) {
            Ok(meta) => self.visit(file, meta, old, &below)?,
            Err(error) => problem(&error),
        };
        Ok(Some(Step { below, action }))
    }

    fn zone_error(&self, below: &[u8], source: Error) -> TransferError {
        TransferError::Zone { path: [self.destination, below].concat(), source }
    }

    fn first(&mut self, old: Option<Old>) -> Result<Step<'z>, TransferError> {
        let host_error = TransferError::host(self.source);
        let meta = host::meta_of_path(self.source).map_err(&host_error)?;
        let action = if meta.kind == Kind::Directory {
            let dir = host::open_directory_path(self.source).map_err(&host_error)?;
            self.enter(dir, old, &[])?
        } else {
            let (dir, name) = host::open_parent(self.source).map_err(&host_error)?;
            self.visit(HostFile { dir: Arc::new(dir), name }, meta, old, &[])?
        };
        Ok(Step { below: Vec::new(), action })
    }

    fn visit(
        &mut self,
        file: HostFile,
        meta: Meta,
        old: Option<Old>,
        below: &[u8],
    ) -> Result<Action<'z>, TransferError> {
        match meta.kind {
            Kind::File => self.file(file, meta, old, below),
            Kind::Directory => match host::open_directory(&file.dir, &file.name) {
                Ok(dir) => self.enter(dir, old, below),
                Err(error) => Ok(problem(&error)),
            },
            Kind::Symlink => {
                let read = host::read_link(&file.dir, &file.name);
                let xattrs = host::xattrs_at(&file.dir, &file.name);
                Ok(match (read, xattrs) {
                    (Ok(target), Ok(xattrs)) => Action::Symlink(SymlinkStep { meta, xattrs, target, old }),
                    (Err(error), _) | (_, Err(error)) => problem(&error),
                })
            }
            Kind::Node(kind) => Ok(match host::xattrs_at(&file.dir, &file.name) {
                Ok(xattrs) => Action::Node(NodeStep { meta, kind, xattrs, old }),
                Err(error) => problem(&error),
            }),
            Kind::Unknown => Ok(Action::Problem(ProblemKind::Special, "it is of no known type; left out".into())),
        }
    }

    fn enter(&mut self, dir: OwnedFd, old: Option<Old>, below: &[u8]) -> Result<Action<'z>, TransferError> {
        let read = host::meta_of(&dir).and_then(|meta| Ok((meta, host::xattrs_of(&dir)?, host::list(&dir)?)));
        let (meta, xattrs, names) = match read {
            Ok(read) => read,
            Err(error) if below.is_empty() => return Err(TransferError::host(self.source)(error)),
            Err(error) => return Ok(problem(&error)),
        };
        let mut zone = BTreeMap::new();
        if let Some(old) = &old
            && old.stat.kind == FileKind::Directory
        {
            let entries = zone_entries(self.context.view, self.context.caller, old.stat.inode);
            let entries = entries.map_err(|e| self.zone_error(below, e))?;
            zone.extend(entries.into_iter().map(|entry| (entry.name.clone(), entry)));
        }
        let mut gone = Vec::new();
        if self.options.delete {
            gone.extend(zone.values().filter(|entry| names.binary_search(&entry.name).is_err()).cloned());
        }
        self.stack.push(Frame {
            dir: Arc::new(dir),
            below: below.to_vec(),
            names: names.into_iter(),
            zone,
            gone: gone.into_iter(),
        });
        Ok(Action::Enter(DirectoryStep { meta, xattrs, old }))
    }

    fn file(
        &mut self,
        file: HostFile,
        meta: Meta,
        mut old: Option<Old>,
        below: &[u8],
    ) -> Result<Action<'z>, TransferError> {
        let mut partner = false;
        if meta.nlink > 1 {
            if !self.met.insert(meta.id()) {
                return Ok(Action::File(FileStep { file, meta, old, source: Source::Linked, partner }));
            }
            if old.is_none() && self.existed {
                old = self.partner(&meta, below)?;
                partner = old.is_some();
            }
        }
        let comparable = old.as_ref().filter(|old| old.stat.kind == FileKind::Regular);
        let alike = comparable.is_some_and(|old| (old.stat.size, old.stat.mtime) == (meta.size, meta.mtime));
        let known = comparable.filter(|old| self.options.checksum && old.stat.size == meta.size);
        let source = if alike && !self.options.checksum {
            match host::xattrs_at(&file.dir, &file.name) {
                Ok(xattrs) => Source::Equal(xattrs),
                Err(error) => return Ok(problem(&error)),
            }
        } else if meta.size <= READ_AHEAD_FILE_BYTES_MAX {
            Source::Ahead(self.readers.ask(file.clone(), known.map(|old| old.stat.clone())))
        } else {
            Source::InTurn(known.is_some())
        };
        Ok(Action::File(FileStep { file, meta, old, source, partner }))
    }

    /// A file of the zone that an earlier run made of this one, under another of its names.
    fn partner(&mut self, meta: &Meta, below: &[u8]) -> Result<Option<Old>, TransferError> {
        if self.groups.is_none() {
            self.groups = Some(link_groups(self.source));
        }
        let names = self.groups.as_ref().and_then(|groups| groups.get(&meta.id()));
        for name in names.into_iter().flatten().filter(|name| *name != below) {
            let path = [self.destination, name].concat();
            let Some(stat) = self.file_at(&path)? else { continue };
            if (stat.size, stat.mtime) == (meta.size, meta.mtime) {
                return old_at(&self.context, stat.inode).map(Some).map_err(TransferError::zone(&path));
            }
        }
        Ok(None)
    }

    /// The regular file at a path that leads through no symlink below the destination.
    fn file_at(&self, path: &[u8]) -> Result<Option<Stat>, TransferError> {
        let stat = |path: &[u8]| match self.context.view.stat(self.context.caller, path, false) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if crate::transfer::ends_the_run(error.kind) => Err(TransferError::zone(path)(error)),
            Err(_) => Ok(None),
        };
        let slashes = (self.destination.len() + 1..path.len()).filter(|at| path[*at] == b'/');
        for end in slashes {
            if stat(&path[..end])?.is_none_or(|stat| stat.kind != FileKind::Directory) {
                return Ok(None);
            }
        }
        Ok(stat(path)?.filter(|stat| stat.kind == FileKind::Regular))
    }
}

pub(super) fn joined(below: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(below.len() + 1 + name.len());
    path.extend_from_slice(below);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

fn problem<'z>(error: &io::Error) -> Action<'z> {
    match error.kind() {
        io::ErrorKind::NotFound => Action::Problem(ProblemKind::Vanished, "it vanished meanwhile".into()),
        _ => Action::Problem(ProblemKind::Failed, error.to_string()),
    }
}

/// All files below `source` that have several names. What cannot be looked into is left out: its own step tells it.
fn link_groups(source: &Path) -> Groups {
    let mut groups = Groups::new();
    let Ok(root) = host::open_directory_path(source) else { return groups };
    let names = host::list(&root).unwrap_or_default();
    let mut stack = vec![(root, Vec::new(), names.into_iter())];
    while let Some((dir, below, names)) = stack.last_mut() {
        let Some(name) = names.next() else {
            stack.pop();
            continue;
        };
        let Ok(meta) = host::meta_at(&*dir, &name) else { continue };
        let path = joined(below, &name);
        match meta.kind {
            Kind::File if meta.nlink > 1 => groups.entry(meta.id()).or_default().push(path),
            Kind::Directory => {
                if let Ok(inner) = host::open_directory(&*dir, &name) {
                    let names = host::list(&inner).unwrap_or_default();
                    stack.push((inner, path, names.into_iter()));
                }
            }
            _ => {}
        }
    }
    groups
}
