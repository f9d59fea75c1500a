//! A tree of a zone, as it is at one position, becomes a tree of the host.
//!
//! Nothing is synced: a run that ended is what the kernel has, as with cp(1). After a power cut, run it again with
//! `checksum`.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nexus_engine::{Caller, DirEntry, Stat, View};
use nexus_log::event::Reason;
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use super::host::{self, Kind, Meta, Xattrs};
use super::{
    ExportOptions, ExportReport, ProblemKind, Progress, Report, TransferError, chain, ends_the_run, node_kind,
    normalized, zone_entries,
};

/// Names that a file has until it is whole: this, the inode in 16 hexadecimal digits, and the suffix.
const UNFINISHED_PREFIX: &[u8] = b".nexus-export-";
const UNFINISHED_SUFFIX: &[u8] = b".part";

/// Why an entry came to nothing.
enum Fault {
    /// This entry only.
    Entry(String),
    /// The run.
    Run(nexus_engine::Error),
    /// The run: the host has no room.
    Host(io::Error),
}

impl From<nexus_engine::Error> for Fault {
    fn from(error: nexus_engine::Error) -> Fault {
        match ends_the_run(error.kind) {
            true => Fault::Run(error),
            false => Fault::Entry(chain(&error)),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::QuotaExceeded => {
                Fault::Host(error)
            }
            _ => Fault::Entry(error.to_string()),
        }
    }
}

type Exported<T = ()> = Result<T, Fault>;

/// A name in a directory of the host, and what stands there.
struct Place<'d> {
    dir: &'d OwnedFd,
    name: &'d [u8],
    old: Option<Meta>,
}

/// A directory whose entries are being made.
struct Frame {
    dir: OwnedFd,
    stat: Stat,
    below: Vec<u8>,
    entries: std::vec::IntoIter<DirEntry>,
    /// Something came or went, which moves the directory's times.
    touched: bool,
    fresh: bool,
}

struct Exporter<'v, 'p> {
    view: &'v View,
    caller: &'v Caller,
    source: Vec<u8>,
    options: ExportOptions,
    progress: &'p mut dyn FnMut(&Progress<'_>),
    report: Report,
    /// The directory that holds the destination, and its name there.
    top: (OwnedFd, Vec<u8>),
    /// Files of the zone with several names: the first of them here, below the destination.
    links: BTreeMap<Inode, Vec<u8>>,
    /// Files of the host with several names, by what they are in the zone.
    claims: BTreeMap<(u64, u64), Inode>,
    may_set_owner: bool,
    block: Vec<u8>,
}

/// Makes `destination` what `source` is in the view, as `cp -aT`; of what stands there already only differences are
/// changed. The directory above `destination` must exist. A symlink at `destination` is not written through.
pub(crate) fn export(
    view: &View,
    caller: &Caller,
    source: &[u8],
    destination: &Path,
    options: &ExportOptions,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<ExportReport, TransferError> {
    let mut source = normalized(source)?;
    if source.is_empty() {
        source.push(b'/');
    }
    let stat = view.stat(caller, &source[..], false).map_err(TransferError::zone(&source))?;
    let host_error = TransferError::host(destination);
    let absolute = std::path::absolute(destination).map_err(&host_error)?;
    let top = host::open_parent(&absolute).map_err(&host_error)?;
    let old = optional(host::meta_at(&top.0, &top.1)).map_err(&host_error)?;
    check_destination(&stat, old.as_ref(), destination)?;
    let mut exporter = Exporter {
        view,
        caller,
        source,
        options: *options,
        progress,
        report: Report::default(),
        top,
        links: BTreeMap::new(),
        claims: BTreeMap::new(),
        may_set_owner: host::may_set_owner(),
        block: Vec::new(),
    };
    exporter.run(stat, old, destination)?;
    Ok(exporter.report)
}

fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_destination(stat: &Stat, old: Option<&Meta>, destination: &Path) -> Result<(), TransferError> {
    let shown = destination.display();
    let directory = stat.kind == FileKind::Directory;
    let (kind, message) = match old.map(|old| old.kind) {
        None => return Ok(()),
        Some(Kind::Directory) if directory => return Ok(()),
        Some(Kind::File) if !directory => return Ok(()),
        Some(Kind::Symlink) if stat.kind == FileKind::Link => return Ok(()),
        Some(Kind::Node(kind)) if node_kind(stat) == Some(kind) => return Ok(()),
        Some(Kind::Symlink) => (Reason::LinkLoop, format!("{shown} is a symlink; it is not written through")),
        Some(Kind::Directory) => (Reason::IsDir, format!("{shown} is a directory; only a directory goes there")),
        Some(_) if directory => (Reason::NotDir, format!("{shown} is not a directory; a directory goes there")),
        Some(_) => (Reason::Exists, format!("{shown} is something else; remove it first")),
    };
    Err(TransferError::Refused { kind, message })
}

fn joined(below: &[u8], name: &[u8]) -> Vec<u8> {
    [below, b"/", name].concat()
}

fn unfinished_name(inode: Inode) -> Vec<u8> {
    [UNFINISHED_PREFIX, format!("{:016x}", inode.0).as_bytes(), UNFINISHED_SUFFIX].concat()
}

fn is_unfinished_name(name: &[u8]) -> bool {
    let digits = name.strip_prefix(UNFINISHED_PREFIX).and_then(|rest| rest.strip_suffix(UNFINISHED_SUFFIX));
    digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

impl Exporter<'_, '_> {
    fn run(&mut self, stat: Stat, old: Option<Meta>, destination: &Path) -> Result<(), TransferError> {
        let mut stack: Vec<Frame> = Vec::new();
        let (top, name) = (self.top.0.try_clone().map_err(TransferError::host(destination))?, self.top.1.clone());
        let made = self.entry(&Place { dir: &top, name: &name, old }, stat, Vec::new());
        stack.extend(self.settle(made.map(|(frame, _)| frame), b"", destination)?.flatten());
        while let Some(frame) = stack.last_mut() {
            let Some(entry) = frame.entries.next() else {
                let frame = stack.pop().expect("it was looked at just now");
                let below = frame.below.clone();
                let left = self.leave(&frame, stack.last().map_or(&top, |above| &above.dir), &name);
                self.settle(left, &below, destination)?;
                continue;
            };
            let below = joined(&frame.below, &entry.name);
            let made = self.entry_of(frame, &entry, &below);
            stack.extend(self.settle(made, &below, destination)?.flatten());
        }
        Ok(())
    }

    /// Notes what went wrong with an entry; what went wrong with the run ends it.
    fn settle<T>(&mut self, result: Exported<T>, below: &[u8], destination: &Path) -> Result<Option<T>, TransferError> {
        let value = match result {
            Ok(value) => Some(value),
            Err(Fault::Entry(message)) => {
                self.report.note(ProblemKind::Failed, below, message);
                None
            }
            Err(Fault::Run(error)) => return Err(TransferError::zone(&[&self.source[..], below].concat())(error)),
            Err(Fault::Host(error)) => {
                use std::os::unix::ffi::OsStrExt;
                let suffix = std::ffi::OsStr::from_bytes(below.strip_prefix(b"/").unwrap_or(below));
                return Err(TransferError::host(&destination.join(suffix))(error));
            }
        };
        (self.progress)(&self.report.progress(below));
        Ok(value)
    }

    fn entry_of(&mut self, frame: &mut Frame, entry: &DirEntry, below: &[u8]) -> Exported<Option<Frame>> {
        let stat = self.view.stat(self.caller, entry.inode, false)?;
        let old = if frame.fresh { None } else { optional(host::meta_at(&frame.dir, &entry.name))? };
        let place = Place { dir: &frame.dir, name: &entry.name, old };
        let (inner, touched) = self.entry(&place, stat, below.to_vec())?;
        frame.touched |= touched;
        Ok(inner)
    }

    /// Makes one entry. Answers the directory to enter, if it is one, and whether the directory around it changed.
    fn entry(&mut self, place: &Place<'_>, stat: Stat, below: Vec<u8>) -> Exported<(Option<Frame>, bool)> {
        match stat.kind {
            FileKind::Directory => {
                let frame = self.enter(place, stat, below)?;
                let fresh = frame.fresh;
                Ok((Some(frame), fresh))
            }
            FileKind::Link => self.symlink(place, &stat, &below).map(|touched| (None, touched)),
            FileKind::Regular => self.file(place, &stat, &below).map(|touched| (None, touched)),
            FileKind::Fifo | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => {
                self.node(place, &stat, &below).map(|touched| (None, touched))
            }
        }
    }

    fn enter(&mut self, place: &Place<'_>, stat: Stat, below: Vec<u8>) -> Exported<Frame> {
        let fresh = place.old.is_none_or(|old| old.kind != Kind::Directory);
        if fresh {
            self.make_room(place)?;
            host::make_directory(place.dir, place.name)?;
            self.report.directories += 1;
        }
        let dir = host::open_directory(place.dir, place.name)?;
        let entries = zone_entries(self.view, self.caller, stat.inode)?;
        let touched = if fresh { false } else { self.clean(&dir, &entries)? };
        Ok(Frame { dir, stat, below, entries: entries.into_iter(), touched, fresh })
    }

    /// Removes what the zone does not have: what a killed run left, and all else where that was asked for.
    fn clean(&mut self, dir: &OwnedFd, entries: &[DirEntry]) -> Exported<bool> {
        let names: BTreeSet<&[u8]> = entries.iter().map(|entry| &entry.name[..]).collect();
        let mut touched = false;
        for name in host::list(dir)? {
            if names.contains(&name[..]) {
                continue;
            }
            if is_unfinished_name(&name) {
                host::remove(dir, &name)?;
                touched = true;
            } else if self.options.delete {
                self.report.removed += host::remove(dir, &name)?;
                touched = true;
            }
        }
        Ok(touched)
    }

    /// Removes what stands in the way of something of another type.
    fn make_room(&mut self, place: &Place<'_>) -> Exported {
        if place.old.is_some() {
            self.report.removed += host::remove(place.dir, place.name)?;
        }
        Ok(())
    }

    /// All entries are there: now the directory's attributes and times can be set.
    fn leave(&mut self, frame: &Frame, above: &OwnedFd, top_name: &[u8]) -> Exported {
        let name = match frame.below.iter().rposition(|b| *b == b'/') {
            Some(slash) => &frame.below[slash + 1..],
            None => top_name,
        };
        let old = host::meta_of(&frame.dir)?;
        let place = Place { dir: above, name, old: Some(old) };
        let changed = self.fix(&place, &frame.stat, &frame.below)?;
        if !frame.fresh && !frame.touched {
            self.count_fixed(changed);
        }
        Ok(())
    }

    fn count_fixed(&mut self, changed: bool) {
        *if changed { &mut self.report.attributes_only } else { &mut self.report.skipped } += 1;
    }

    fn symlink(&mut self, place: &Place<'_>, stat: &Stat, below: &[u8]) -> Exported<bool> {
        if let Some(old) = &place.old
            && old.kind == Kind::Symlink
            && host::read_link(place.dir, place.name)? == stat.target()
        {
            let changed = self.fix(place, stat, below)?;
            self.count_fixed(changed);
            return Ok(false);
        }
        self.make_room(place)?;
        host::make_symlink(stat.target(), place.dir, place.name)?;
        let old = Some(host::meta_at(place.dir, place.name)?);
        self.fix(&Place { old, ..*place }, stat, below)?;
        self.report.symlinks += 1;
        Ok(true)
    }

    fn node(&mut self, place: &Place<'_>, stat: &Stat, below: &[u8]) -> Exported<bool> {
        let kind = node_kind(stat).expect("it is a fifo, a socket or a device");
        if place.old.is_some_and(|old| old.kind == Kind::Node(kind)) {
            let changed = self.fix(place, stat, below)?;
            self.count_fixed(changed);
            return Ok(false);
        }
        // Made beside what stands there, which stays where it cannot be made.
        let unfinished = unfinished_name(stat.inode);
        match host::remove(place.dir, &unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        if !host::make_node(kind, place.dir, &unfinished)? {
            let message = match stat.kind {
                FileKind::Socket => "a socket is made by the program that listens on it; left out",
                _ => "a device can be made with the privilege to only; left out",
            };
            self.report.note(ProblemKind::Special, below, message);
            return Ok(false);
        }
        self.make_room(place)?;
        host::rename(place.dir, &unfinished, place.name)?;
        let old = Some(host::meta_at(place.dir, place.name)?);
        self.fix(&Place { old, ..*place }, stat, below)?;
        self.report.nodes += 1;
        Ok(true)
    }

    /// Permission bits that an entry gets: without the right to give it its owner it gets no right to act as him.
    fn mode(&self, stat: &Stat, old: &Meta) -> u32 {
        let owned = self.may_set_owner || (old.uid, old.gid) == (stat.uid, stat.gid);
        if owned { stat.mode } else { stat.mode & 0o1777 }
    }

    fn zone_xattrs(&self, inode: Inode) -> Exported<Xattrs> {
        let xattrs = self.view.list_xattrs(self.caller, inode)?;
        Ok(xattrs.into_iter().map(|(name, value)| (name, value.to_vec())).collect())
    }

    /// Gives what stands at `place` the attributes of the zone's entry, where they differ.
    fn fix(&mut self, place: &Place<'_>, stat: &Stat, below: &[u8]) -> Exported<bool> {
        let (dir, name) = (place.dir, place.name);
        let old = place.old.as_ref().expect("what is fixed is there");
        let mut changed = false;
        // The kernel takes setuid, setgid and capabilities away when the owner changes: they come after it.
        if self.may_set_owner && (old.uid, old.gid) != (stat.uid, stat.gid) {
            host::set_owner_at(dir, name, stat.uid, stat.gid)?;
            changed = true;
        }
        changed |= self.fix_xattrs(place, stat, below)?;
        // An access control list among the attributes moves permission bits.
        let mode_now = if changed { host::meta_at(dir, name)?.mode } else { old.mode };
        let mode = self.mode(stat, old);
        if stat.kind != FileKind::Link && mode != mode_now {
            host::set_mode_at(dir, name, mode)?;
            changed = true;
        }
        if old.mtime != stat.mtime {
            host::set_times_at(dir, name, stat.atime, stat.mtime)?;
            changed = true;
        }
        Ok(changed)
    }

    fn fix_xattrs(&mut self, place: &Place<'_>, stat: &Stat, below: &[u8]) -> Exported<bool> {
        let (dir, name) = (place.dir, place.name);
        let wanted = self.zone_xattrs(stat.inode)?;
        let found = host::xattrs_at(dir, name)?;
        let mut changed = false;
        for (xattr, value) in wanted.iter().filter(|wanted| !found.contains(wanted)) {
            let set = host::set_xattr_at(dir, name, xattr, value);
            changed |= set.is_ok();
            self.note_attribute(below, xattr, set);
        }
        for (xattr, _) in found.iter().filter(|(name, _)| wanted.binary_search_by(|(n, _)| n.cmp(name)).is_err()) {
            let removed = host::remove_xattr_at(dir, name, xattr);
            changed |= removed.is_ok();
            self.note_attribute(below, xattr, removed);
        }
        Ok(changed)
    }

    fn note_attribute(&mut self, below: &[u8], xattr: &[u8], result: io::Result<()>) {
        if let Err(error) = result {
            let message = format!("its attribute {} cannot be set: {error}", String::from_utf8_lossy(xattr));
            self.report.note(ProblemKind::Attribute, below, message);
        }
    }
}
