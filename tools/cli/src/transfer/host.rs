//! The host's filesystem, by directory handles and names: no path is resolved twice, no symlink is followed, and no
//! depth is too great.

#[cfg(test)]
mod compare;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nexus_engine::NodeKind;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, SeekFrom, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

#[cfg(test)]
pub(super) use compare::compare;

pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

const NS_PER_S: i64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    /// A fifo, a socket or a device.
    Node(NodeKind),
    Unknown,
}

/// What lstat(2) says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) kind: Kind,
    /// Permission bits, setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u64,
    pub(super) size: u64,
    /// Fewer bytes are allocated than the size says.
    pub(super) sparse: bool,
    /// Nanoseconds since 1970.
    pub(super) mtime: i64,
    pub(super) atime: i64,
}

impl Meta {
    /// Which file this is on the host.
    pub(super) fn id(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }
}

fn ns(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(NS_PER_S).saturating_add(nanoseconds)
}

fn timespec(ns: i64) -> Timespec {
    Timespec { tv_sec: ns.div_euclid(NS_PER_S), tv_nsec: ns.rem_euclid(NS_PER_S) }
}

fn timestamps(atime: i64, mtime: i64) -> Timestamps {
    Timestamps { last_access: timespec(atime), last_modification: timespec(mtime) }
}

#[expect(clippy::unnecessary_cast, reason = "the widths of these fields differ between architectures")]
fn meta(stat: &rustix::fs::Stat) -> Meta {
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Node(NodeKind::Fifo),
        FileType::Socket => Kind::Node(NodeKind::Socket),
        FileType::CharacterDevice => Kind::Node(NodeKind::CharDevice { major, minor }),
        FileType::BlockDevice => Kind::Node(NodeKind::BlockDevice { major, minor }),
        FileType::Unknown => Kind::Unknown,
    };
    let size = stat.st_size as u64;
    Meta {
        dev: stat.st_dev as u64,
        ino: stat.st_ino as u64,
        kind,
        mode: stat.st_mode as u32 & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        nlink: stat.st_nlink as u64,
        size,
        sparse: (stat.st_blocks as u64).saturating_mul(512) < size,
        mtime: ns(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        atime: ns(stat.st_atime as i64, stat.st_atime_nsec as i64),
    }
}

pub(super) fn meta_at(dir: impl AsFd, name: &[u8]) -> io::Result<Meta> {
    Ok(meta(&rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

pub(super) fn meta_of(file: impl AsFd) -> io::Result<Meta> {
    Ok(meta(&rustix::fs::fstat(file)?))
}

pub(super) fn meta_of_path(path: &Path) -> io::Result<Meta> {
    Ok(meta(&rustix::fs::lstat(path)?))
}

/// Opens without leaving a trace in the access time where the host lets us.
fn open_quietly(dir: impl AsFd, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(&dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::openat(&dir, name, flags, Mode::empty())?),
        result => Ok(result?),
    }
}

pub(super) fn open_directory(dir: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    open_quietly(dir, name, OFlags::DIRECTORY)
}

/// A directory by its path; a symlink in the last place is refused.
pub(super) fn open_directory_path(path: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::ffi::OsStrExt;
    open_directory(CWD, path.as_os_str().as_bytes())
}

/// The directory that holds `path`, and the name there. Symlinks on the way to it are followed.
pub(super) fn open_parent(path: &Path) -> io::Result<(OwnedFd, Vec<u8>)> {
    use std::os::unix::ffi::OsStrExt;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((rustix::fs::open(parent, flags, Mode::empty())?, name.as_bytes().to_vec()))
}

/// Does not wait where a fifo has taken the file's place.
pub(super) fn open_file(dir: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    open_quietly(dir, name, OFlags::NONBLOCK)
}

/// Names in a directory that was just opened, sorted.
pub(super) fn list(dir: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::new(dir.try_clone()?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

pub(super) fn read_link(dir: impl AsFd, name: &[u8]) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes())
}

/// A path for the calls that take no directory handle.
fn path_at(dir: impl AsFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// Names as the calls that list attributes give them: each with a NUL at its end.
fn attribute_names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == 0).filter(|name| !name.is_empty())
}

/// Asks for a value's size and reads it, until both agree. Nothing where the filesystem has no attributes, or the
/// attribute has gone meanwhile.
fn sized(
    query: impl Fn() -> rustix::io::Result<usize>,
    read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        let size = match query() {
            Err(Errno::NOTSUP | Errno::NODATA) => return Ok(None),
            size => size?,
        };
        let mut value = vec![0; size];
        if size == 0 {
            return Ok(Some(value));
        }
        match read(&mut value) {
            Err(Errno::RANGE) => {}
            Err(Errno::NODATA) => return Ok(None),
            length => {
                value.truncate(length?);
                return Ok(Some(value));
            }
        }
    }
}

/// Values of the attributes in `list`, by name. One that may be listed and not read is left out.
fn values(list: Option<Vec<u8>>, value: impl Fn(&[u8]) -> io::Result<Option<Vec<u8>>>) -> io::Result<Xattrs> {
    let mut found = Xattrs::new();
    for name in attribute_names(&list.unwrap_or_default()) {
        match value(name) {
            Ok(Some(value)) => found.push((name.to_vec(), value)),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_unstable();
    Ok(found)
}

pub(super) fn xattrs_of(file: impl AsFd) -> io::Result<Xattrs> {
    let list = sized(|| rustix::fs::flistxattr_query(&file), |list| rustix::fs::flistxattr(&file, list))?;
    values(list, |name| {
        sized(|| rustix::fs::fgetxattr_query(&file, name), |value| rustix::fs::fgetxattr(&file, name, value))
    })
}

pub(super) fn xattrs_at(dir: impl AsFd, name: &[u8]) -> io::Result<Xattrs> {
    let path = path_at(dir, name);
    let path = &path[..];
    let list = sized(|| rustix::fs::llistxattr_query(path), |list| rustix::fs::llistxattr(path, list))?;
    values(list, |name| {
        sized(|| rustix::fs::lgetxattr_query(path, name), |value| rustix::fs::lgetxattr(path, name, value))
    })
}

pub(super) fn set_xattr_at(dir: impl AsFd, name: &[u8], xattr: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::lsetxattr(&path_at(dir, name)[..], xattr, value, XattrFlags::empty())?)
}

pub(super) fn remove_xattr_at(dir: impl AsFd, name: &[u8], xattr: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::lremovexattr(&path_at(dir, name)[..], xattr)?)
}

pub(super) fn set_owner_at(dir: impl AsFd, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(super) fn set_mode_at(dir: impl AsFd, name: &[u8], mode: u32) -> io::Result<()> {
    // A handle that cannot be a symlink's target: chmodat(2) would follow one.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    if meta_of(&handle)?.kind == Kind::Symlink {
        return Err(Errno::LOOP.into());
    }
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(mode))?)
}

pub(super) fn set_times_at(dir: impl AsFd, name: &[u8], atime: i64, mtime: i64) -> io::Result<()> {
    Ok(rustix::fs::utimensat(dir, name, &timestamps(atime, mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// For its owner only, until its attributes are set.
pub(super) fn make_directory(dir: impl AsFd, name: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::mkdirat(dir, name, Mode::RWXU)?)
}

pub(super) fn make_symlink(target: &[u8], dir: impl AsFd, name: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::symlinkat(target, dir, name)?)
}

/// For its owner only, until its attributes are set. `false`: making one is not for everybody, or not done by making.
pub(super) fn make_node(kind: NodeKind, dir: impl AsFd, name: &[u8]) -> io::Result<bool> {
    let (file_type, device) = match kind {
        NodeKind::Fifo => (FileType::Fifo, 0),
        NodeKind::CharDevice { major, minor } => (FileType::CharacterDevice, rustix::fs::makedev(major, minor)),
        NodeKind::BlockDevice { major, minor } => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
        // A socket without the program that listens is none.
        _ => return Ok(false),
    };
    match rustix::fs::mknodat(dir, name, file_type, Mode::RUSR | Mode::WUSR, device) {
        Err(Errno::PERM) => Ok(false),
        made => Ok(made.map(|()| true)?),
    }
}

pub(super) fn create_file(dir: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?)
}

pub(super) fn set_size(file: impl AsFd, size: u64) -> io::Result<()> {
    Ok(rustix::fs::ftruncate(file, size)?)
}

pub(super) fn write_all_at(file: impl AsFd, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_full_at(file: impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(&file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// Part of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span<'a> {
    Data(&'a [u8]),
    /// So many zeros that take no space.
    Hole(u64),
}

/// The next run of data at or behind `offset`.
fn next_data(file: impl AsFd, offset: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(&file, SeekFrom::Data(offset)) {
        Err(Errno::NXIO) => return Ok(None),
        start => start?,
    };
    let end = rustix::fs::seek(&file, SeekFrom::Hole(start))?;
    Ok((start < size).then_some((start, end.min(size))))
}

/// Hands a file's content out from its start to its end.
pub(super) fn spans<E: From<io::Error>>(
    file: impl AsFd,
    meta: &Meta,
    block: &mut Vec<u8>,
    mut take: impl FnMut(Span<'_>) -> Result<(), E>,
) -> Result<(), E> {
    block.resize(super::BLOCK_BYTES, 0);
    let mut offset = 0;
    while offset < meta.size {
        let run = if meta.sparse { next_data(&file, offset, meta.size)? } else { Some((offset, meta.size)) };
        let (start, end) = run.unwrap_or((meta.size, meta.size));
        if start > offset {
            take(Span::Hole(start - offset))?;
        }
        offset = start;
        while offset < end {
            let want = block.len().min((end - offset) as usize);
            let read = read_full_at(&file, &mut block[..want], offset)?;
            if read == 0 {
                return Ok(());
            }
            take(Span::Data(&block[..read]))?;
            offset += read as u64;
        }
    }
    Ok(())
}

pub(super) fn link_at(from: (impl AsFd, &[u8]), to: (impl AsFd, &[u8])) -> io::Result<()> {
    Ok(rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty())?)
}

pub(super) fn rename(dir: impl AsFd, from: &[u8], to: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::renameat(&dir, from, &dir, to)?)
}

/// Removes an entry and all below it; says how many entries that were.
pub(super) fn remove(dir: impl AsFd, name: &[u8]) -> io::Result<u64> {
    if meta_at(&dir, name)?.kind != Kind::Directory {
        rustix::fs::unlinkat(&dir, name, AtFlags::empty())?;
        return Ok(1);
    }
    let inner = open_directory(&dir, name)?;
    let mut removed = 1;
    for entry in list(&inner)? {
        removed += remove(&inner, &entry)?;
    }
    rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR)?;
    Ok(removed)
}

/// May this process give files away?
pub(super) fn may_set_owner() -> bool {
    rustix::process::geteuid().is_root()
}
