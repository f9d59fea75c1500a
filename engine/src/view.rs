//! Reading a zone at one position. The same code answers for now and for any past position.

use std::cell::Cell;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::{Body, ChunkHash, CommitTime, Inode, Seq};
use nexus_log::log::{Log, ReadError};
use nexus_projections::apply::content::{extent_offset, extent_reaching, extents_from};
use nexus_projections::row::{Content, ExtentRow, FileKind, InodeRow};
use nexus_projections::store::StoreError;
use nexus_projections::table::{RowKey, RowRange, Table};
use nexus_projections::view::View as TableView;
use smallvec::SmallVec;

use crate::caller::Caller;
use crate::error::{Error, Result, shown};
use crate::gate::Call;
use crate::limits::{READ_BYTES_MAX, READDIR_ENTRIES_MAX};
use crate::lookup::{Node, Stop, path_of, resolve, times};
use crate::path::Target;
use crate::zone::errors::{damaged, store_error};
use crate::zone::{PolicyInForce, Read, Zone, policy_in_force};

/// A position to read at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// The last committed record.
    #[default]
    Latest,
    /// Also what is appended and not yet committed; for those who write `accepted`.
    Newest,
    /// The state that this record left.
    Exactly(Seq),
    /// The state at a time: after the last record that is not later.
    Time(CommitTime),
}

/// Attributes of something that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub inode: Inode,
    pub kind: FileKind,
    /// Permission bits, setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names of a file; of a directory two and its subdirectories.
    pub nlink: u64,
    pub size: u64,
    /// Grows with every change of the inode.
    pub version: u64,
    /// BLAKE3 of the whole content, where one operation wrote all of it.
    pub content_id: Option<ChunkHash>,
    /// Nanoseconds since 1970.
    pub mtime: i64,
    pub ctime: i64,
    pub atime: i64,
    pub birth: i64,
    /// Directory of the first name.
    pub parent: Inode,
    /// The record that changed it last.
    pub changed: Seq,
    /// What has no fixed size is asked of the row, so that nothing is copied for who does not ask.
    row: Arc<InodeRow>,
}

impl Stat {
    /// The agent that created it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.row.owner
    }

    /// Target of a symlink, empty otherwise.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.row.target
    }

    #[must_use]
    pub fn mime(&self) -> &str {
        &self.row.mime
    }

    /// Of a device: major number in the upper half, minor number in the lower.
    #[must_use]
    pub fn device(&self) -> u64 {
        self.row.device
    }
}

/// Reads of the last committed state, each from a [`View`] of its own: for who reads one thing at a time.
impl Zone {
    /// As [`View::stat`], at [`At::Latest`].
    pub fn stat<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>, follow: bool) -> Result<Stat> {
        self.view(At::Latest)?.stat(caller, target, follow)
    }

    /// As [`View::read`], at [`At::Latest`].
    pub fn read<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        offset: u64,
        length: usize,
    ) -> Result<Bytes> {
        self.view(At::Latest)?.read(caller, target, offset, length)
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    pub name: Vec<u8>,
    pub inode: Inode,
    pub kind: FileKind,
}

/// Extents by their place in a file. Reading from one extent allocates no list.
type Runs = SmallVec<[(u64, ExtentRow); 2]>;

/// A read capability on one zone at one position. Stays consistent whatever is written meanwhile, and blocks nobody.
pub struct View {
    zone: Zone,
    log: Log,
    tables: TableView,
    at: Seq,
    standing: Standing,
}

/// What kind of position a view reads at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The latest when the view was made.
    Latest,
    /// One that was asked for, and whose answer stays.
    Past,
    /// The last one, for a time that could not be closed: asked again, the answer may be another.
    Open,
}

/// What a reading call touched: for the record of it.
#[derive(Default)]
pub(crate) struct Seen(Cell<Option<(Inode, Inode, u64)>>);

impl Seen {
    pub(crate) fn bytes(&self, node: &Node, bytes: usize) {
        self.0.set(Some((node.inode, node.row.parent, bytes as u64)));
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("zone", &self.zone).field("at", &self.at).finish_non_exhaustive()
    }
}

pub(crate) fn read_error(error: ReadError) -> Error {
    let kind = match &error {
        e if e.is_damage() => Reason::Corrupt,
        ReadError::Unknown { .. } | ReadError::NewerFormat { .. } => Reason::Unsupported,
        ReadError::Index { .. } => Reason::Corrupt,
        ReadError::BeforeFirst { .. } | ReadError::NotYet { .. } => Reason::Invalid,
        _ => Reason::Unavailable,
    };
    Error::new(kind, "the log cannot be read there").because(error)
}

pub(crate) fn answer<T>(result: std::result::Result<T, Stop<StoreError>>) -> Result<T> {
    result.map_err(|stop| match stop {
        Stop::Refused(error) => error,
        Stop::Miss(error) => store_error(error),
        Stop::Damaged(error) => damaged(error),
    })
}

impl View {
    pub(crate) fn new(zone: Zone, log: Log, tables: TableView, at: Seq) -> View {
        View { zone, log, tables, at, standing: Standing::Latest }
    }

    pub(crate) fn standing(self, standing: Standing) -> View {
        View { standing, ..self }
    }

    /// The time that was asked for could not be closed, because the zone takes no records at present: asked again, the
    /// answer may be another.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.standing == Standing::Open
    }

    /// How reads of `target` are recorded, by what stood at this position.
    pub fn policy<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>) -> Result<(Inode, PolicyInForce)> {
        let target = target.into();
        self.call(caller, Syscall::Stat, target, |_| policy_in_force(&self.tables, target))
    }

    /// The position that this view reads at.
    #[must_use]
    pub fn at(&self) -> Seq {
        self.at
    }

    /// The rows that this view reads.
    pub(crate) fn rows(&self) -> &TableView {
        &self.tables
    }

    /// What a target names; a symlink in the last place is followed.
    pub(crate) fn inode_of(&self, target: Target<'_>) -> Result<Inode> {
        Ok(answer(resolve(&self.tables, target, true))?.inode)
    }

    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    pub(crate) fn tables(&self) -> &TableView {
        &self.tables
    }

    /// Takes a reading call through gate and hooks, and records it as its policy asks. Only a denial is a refusal.
    pub(crate) fn call<T>(
        &self,
        caller: &Caller,
        syscall: Syscall,
        target: Target<'_>,
        run: impl FnOnce(&Seen) -> Result<T>,
    ) -> Result<T> {
        let call = Call { syscall, caller, path: target.path(), inode: target.inode() };
        let seen = Seen::default();
        let result = self.zone.dispatch().call(&call, |_| None, |_| run(&seen));
        if let Err(error) = &result
            && error.kind == Reason::PermissionDenied
        {
            self.zone.note_refusal(&call, error);
        }
        let at = if self.standing == Standing::Latest { Seq::ZERO } else { self.at };
        let read = seen.0.take().map(|(inode, parent, bytes)| Read { syscall, inode, parent, at, bytes });
        self.zone.note_access(&call, read, at, &self.tables, result.as_ref().err())?;
        result
    }

    /// Attributes. A symlink in the last place is followed where `follow`.
    pub fn stat<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>, follow: bool) -> Result<Stat> {
        let target = target.into();
        self.call(caller, Syscall::Stat, target, |seen| {
            let node = answer(resolve(&self.tables, target, follow))?;
            seen.bytes(&node, 0);
            self.stat_node(node)
        })
    }

    fn stat_node(&self, node: Node) -> Result<Stat> {
        let row = node.row;
        let content_id = match row.content {
            Content::One { chunk, length } if u64::from(length) == row.size && length == chunk.length => {
                Some(chunk.hash)
            }
            Content::None if row.size == 0 && row.kind == FileKind::Regular => Some(ChunkHash::of(b"")),
            _ => row.content_id,
        };
        let mut stat = Stat {
            inode: node.inode,
            kind: row.kind,
            mode: row.mode,
            uid: row.uid,
            gid: row.gid,
            nlink: row.nlink.into(),
            size: row.size,
            version: row.version,
            content_id,
            mtime: row.mtime,
            ctime: row.ctime,
            atime: row.atime,
            birth: row.birth,
            parent: row.parent,
            changed: node.changed,
            row,
        };
        if stat.kind == FileKind::Directory
            && let Some((times, changed)) = answer(times(&self.tables, stat.inode))?
        {
            (stat.mtime, stat.ctime, stat.atime) = (times.mtime, times.ctime, times.atime);
            stat.version = times.version;
            stat.nlink = 2 + times.subdirectories;
            stat.size = times.entries;
            stat.changed = stat.changed.max(changed);
        }
        Ok(stat)
    }

    /// Up to `length` bytes from `offset`; fewer only at the end of the file. Every chunk is checked against its hash.
    pub fn read<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        offset: u64,
        length: usize,
    ) -> Result<Bytes> {
        let target = target.into();
        self.call(caller, Syscall::Read, target, |seen| {
            let node = self.regular(target)?;
            let end = node.row.size.min(offset.saturating_add(length.min(READ_BYTES_MAX) as u64));
            seen.bytes(&node, end.saturating_sub(offset) as usize);
            if offset >= end { Ok(Bytes::new()) } else { self.read_range(&node, offset, end) }
        })
    }

    /// What `target` names, for calls that passed the gate themselves.
    pub(crate) fn resolve(&self, target: Target<'_>, follow: bool) -> Result<Node> {
        answer(resolve(&self.tables, target, follow))
    }

    fn regular(&self, target: Target<'_>) -> Result<Node> {
        let node = answer(resolve(&self.tables, target, true))?;
        let refuse = |kind, what: &str| Err(Error::new(kind, format!("{what} has no bytes to read")).at(node.inode));
        match node.row.kind {
            FileKind::Regular => Ok(node),
            FileKind::Directory => refuse(Reason::IsDir, "a directory"),
            FileKind::Link => refuse(Reason::Invalid, "a symlink"),
            kind => refuse(Reason::Invalid, kind.name()),
        }
    }

    fn read_range(&self, node: &Node, from: u64, to: u64) -> Result<Bytes> {
        let runs = self.runs(node, from, to)?;
        if let [(start, extent)] = &runs[..]
            && *start <= from
            && start + u64::from(extent.length) >= to
        {
            let begin = (u64::from(extent.skip) + from - start) as usize;
            let range = begin..begin + (to - from) as usize;
            let whole = range.len() == extent.chunk.length as usize;
            let chunk = if whole { self.log.chunk(&extent.chunk) } else { self.log.chunk_in_part(&extent.chunk) };
            return Ok(chunk.map_err(read_error)?.slice(range));
        }
        let mut bytes = BytesMut::zeroed((to - from) as usize);
        for (start, extent) in runs {
            let begin = start.max(from);
            let end = (start + u64::from(extent.length)).min(to);
            let skip = (u64::from(extent.skip) + begin - start) as usize;
            let part = &mut bytes[(begin - from) as usize..(end - from) as usize];
            if part.len() == extent.chunk.length as usize {
                self.log.chunk_into(&extent.chunk, part).map_err(read_error)?;
            } else {
                let chunk = self.log.chunk_in_part(&extent.chunk).map_err(read_error)?;
                part.copy_from_slice(&chunk[skip..skip + part.len()]);
            }
        }
        Ok(bytes.freeze())
    }

    /// The extents that reach into `from..to`, by file offset.
    fn runs(&self, node: &Node, from: u64, to: u64) -> Result<Runs> {
        let mut runs = Runs::new();
        match node.row.content {
            Content::None => {}
            Content::One { chunk, length } => {
                if from < u64::from(length) {
                    runs.push((0, ExtentRow { length, skip: 0, chunk }));
                }
            }
            Content::Body(body) => self.extents(body, from, to, |start, extent| {
                runs.push((start, extent));
                true
            })?,
        }
        Ok(runs)
    }

    /// Shows `each` every extent of a file in order; answers with what the content is.
    pub(crate) fn for_each_run(
        &self,
        caller: &Caller,
        inode: Inode,
        mut each: impl FnMut(u64, ExtentRow) -> Result<()>,
    ) -> Result<Content> {
        self.call(caller, Syscall::Read, Target::Inode(inode), |seen| {
            let node = self.regular(Target::Inode(inode))?;
            seen.bytes(&node, 0);
            match node.row.content {
                Content::None => {}
                Content::One { chunk, length } => each(0, ExtentRow { length, skip: 0, chunk })?,
                Content::Body(body) => {
                    for row in self.tables.scan(&extents_from(body, 0, u64::MAX)) {
                        let (key, version) = row.map_err(store_error)?;
                        each(extent_offset(&key), ExtentRow::decode(&version.value).map_err(damaged)?)?;
                    }
                }
            }
            Ok(node.row.content)
        })
    }

    /// Tells the extents that reach into `from..to`, by file offset, as long as `tell` wants more.
    fn extents(&self, body: Body, from: u64, to: u64, mut tell: impl FnMut(u64, ExtentRow) -> bool) -> Result<()> {
        let before = || answer(extent_reaching(&self.tables, body, from).map_err(Stop::from));
        let mut is_first = true;
        for row in self.tables.scan(&extents_from(body, from, to)) {
            let (key, version) = row.map_err(store_error)?;
            let (start, extent) = (extent_offset(&key), ExtentRow::decode(&version.value).map_err(damaged)?);
            // Where one begins just there, none reaches into it from before.
            if std::mem::take(&mut is_first)
                && start > from
                && let Some((start, extent)) = before()?
                && !tell(start, extent)
            {
                return Ok(());
            }
            if !tell(start, extent) {
                return Ok(());
            }
        }
        if is_first && let Some((start, extent)) = before()? {
            tell(start, extent);
        }
        Ok(())
    }

    /// The next run of data at or behind `offset`, as (start, end); `None` where only a hole follows.
    pub fn next_data<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        offset: u64,
    ) -> Result<Option<(u64, u64)>> {
        let target = target.into();
        self.call(caller, Syscall::Read, target, |seen| {
            let node = self.regular(target)?;
            seen.bytes(&node, 0);
            let size = node.row.size;
            let mut run: Option<(u64, u64)> = None;
            let mut push = |start: u64, length: u32| {
                let (start, end) = (start.max(offset), (start + u64::from(length)).min(size));
                if start >= end {
                    return true;
                }
                match &mut run {
                    None => run = Some((start, end)),
                    Some((_, before)) if *before == start => *before = end,
                    Some(_) => return false,
                }
                true
            };
            match node.row.content {
                Content::None => {}
                Content::One { length, .. } => {
                    push(0, length);
                }
                Content::Body(body) => {
                    self.extents(body, offset, u64::MAX, |start, extent| push(start, extent.length))?;
                }
            }
            Ok(run)
        })
    }

    /// Target of a symlink.
    pub fn readlink<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>) -> Result<Vec<u8>> {
        let target = target.into();
        self.call(caller, Syscall::Readlink, target, |seen| {
            let node = answer(resolve(&self.tables, target, false))?;
            if node.row.kind == FileKind::Link {
                seen.bytes(&node, node.row.target.len());
                return Ok(node.row.target.clone());
            }
            Err(Error::new(Reason::Invalid, "it is not a symlink").at(node.inode))
        })
    }

    /// Names in a directory behind `after`, in byte order, at most `limit` and [`READDIR_ENTRIES_MAX`]. The last name
    /// of a page is the cursor of the next, whatever changes in between.
    pub fn readdir<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<DirEntry>> {
        let target = target.into();
        self.call(caller, Syscall::Readdir, target, |seen| {
            let node = answer(resolve(&self.tables, target, true))?;
            if !node.is_directory() {
                return Err(Error::new(Reason::NotDir, "it is not a directory").at(node.inode));
            }
            let entries = self.entries(node.inode, after, limit.min(READDIR_ENTRIES_MAX))?;
            seen.bytes(&node, entries.iter().map(|entry| entry.name.len()).sum());
            Ok(entries)
        })
    }

    fn entries(&self, directory: Inode, after: Option<&[u8]>, limit: usize) -> Result<Vec<DirEntry>> {
        let mut range = RowRange::of_id(Table::Dentry, directory.0);
        if let Some(after) = after {
            // The first key behind a name is the name and a NUL, which no name holds.
            let mut start = RowKey::dentry(directory, after).bytes.to_vec();
            start.push(0);
            range.start = start.into();
        }
        let rows = self.tables.scan(&range).take(limit);
        rows.map(|row| {
            let (key, version) = row.map_err(store_error)?;
            let dentry = nexus_projections::row::DentryRow::decode(&version.value).map_err(damaged)?;
            Ok(DirEntry { name: key.bytes[8..].to_vec(), inode: dentry.inode, kind: dentry.kind })
        })
        .collect()
    }

    /// Value of an extended attribute. A symlink is not followed.
    pub fn get_xattr<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>, name: &[u8]) -> Result<Bytes> {
        let target = target.into();
        self.call(caller, Syscall::GetXattr, target, |seen| {
            let node = answer(resolve(&self.tables, target, false))?;
            let inode = node.inode;
            let version = self.tables.get(&RowKey::xattr(inode, name)).map_err(store_error)?;
            let missing =
                || Error::new(Reason::NoAttribute, format!("there is no attribute {}", shown(name))).at(inode);
            let value = version.ok_or_else(missing)?.value;
            seen.bytes(&node, value.len());
            Ok(value)
        })
    }

    /// Names and values of all extended attributes, by name.
    pub fn list_xattrs<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>) -> Result<Vec<(Vec<u8>, Bytes)>> {
        let target = target.into();
        self.call(caller, Syscall::ListXattr, target, |seen| {
            let node = answer(resolve(&self.tables, target, false))?;
            let rows = self.tables.scan(&RowRange::of_id(Table::Xattr, node.inode.0));
            let xattrs = rows.map(|row| {
                let (key, version) = row.map_err(store_error)?;
                Ok((key.bytes[8..].to_vec(), version.value))
            });
            let xattrs: Vec<(Vec<u8>, Bytes)> = xattrs.collect::<Result<_>>()?;
            seen.bytes(&node, xattrs.iter().map(|(name, value)| name.len() + value.len()).sum());
            Ok(xattrs)
        })
    }

    /// Path of an inode by its first name; `None` where it has none at this position.
    pub fn path_of(&self, inode: Inode) -> Result<Option<Vec<u8>>> {
        answer(path_of(&self.tables, inode))
    }
}
