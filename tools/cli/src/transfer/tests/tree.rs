//! Making trees on the host for tests.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};

pub(super) fn file(path: &Path, content: &[u8]) {
    let handle = open_for_writing(path);
    write_at(&handle, content, 0);
}

fn open_for_writing(path: &Path) -> OwnedFd {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o644)).unwrap()
}

fn write_at(handle: &OwnedFd, mut bytes: &[u8], mut offset: u64) {
    while !bytes.is_empty() {
        let written = rustix::io::pwrite(handle, bytes, offset).unwrap();
        bytes = &bytes[written..];
        offset += written as u64;
    }
}

/// A file of `size` bytes with data at some offsets and holes between.
pub(super) fn sparse(path: &Path, size: u64, islands: &[(u64, Vec<u8>)]) {
    let handle = open_for_writing(path);
    rustix::fs::ftruncate(&handle, size).unwrap();
    for (offset, bytes) in islands {
        write_at(&handle, bytes, *offset);
    }
}

pub(super) fn dir(path: &Path) {
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)).unwrap();
}

pub(super) fn symlink(target: impl rustix::path::Arg, path: &Path) {
    rustix::fs::symlink(target, path).unwrap();
}

pub(super) fn link(from: &Path, to: &Path) {
    rustix::fs::link(from, to).unwrap();
}

pub(super) fn remove(path: &Path) {
    rustix::fs::unlink(path).unwrap();
}

pub(super) fn mode(path: &Path, mode: u32) {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
}

pub(super) fn fifo(path: &Path) {
    rustix::fs::mkfifoat(CWD, path, Mode::from_raw_mode(0o644)).unwrap();
}

/// A character device, if this process may make one.
pub(super) fn device(path: &Path, major: u32, minor: u32) -> bool {
    let device = rustix::fs::makedev(major, minor);
    let made = rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o600), device);
    assert!(matches!(made, Ok(()) | Err(rustix::io::Errno::PERM)), "{made:?}");
    made.is_ok()
}

pub(super) fn owner(path: &Path, uid: u32, gid: u32) {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Sets the access time and the modification time, each in seconds and nanoseconds.
pub(super) fn times(path: &Path, atime: (i64, i64), mtime: (i64, i64)) {
    let spec = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
    let times = Timestamps { last_access: spec(atime), last_modification: spec(mtime) };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub(super) fn xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

pub(super) fn remove_xattr(path: &Path, name: &str) {
    rustix::fs::lremovexattr(path, name).unwrap();
}

/// Bytes that are everywhere different and never zeros for long.
pub(super) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut random = nexus_log::env::SplitMix64::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A directory on a filesystem that takes attributes of 60 KiB, which few do; with what it takes.
pub(super) fn roomy_tempdir() -> (tempfile::TempDir, usize) {
    let probe = |dir: &tempfile::TempDir, bytes: usize| {
        let path = dir.path().join("probe");
        file(&path, b"");
        let set = rustix::fs::lsetxattr(&path, "user.probe", &vec![1; bytes], XattrFlags::empty());
        remove(&path);
        set.is_ok()
    };
    if let Ok(dir) = tempfile::tempdir_in("/dev/shm")
        && probe(&dir, 60 << 10)
    {
        return (dir, 60 << 10);
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = if probe(&dir, 60 << 10) { 60 << 10 } else { 2 << 10 };
    (dir, bytes)
}

fn sizes(root: &Path) {
    let dir_path = root.join("sizes");
    dir(&dir_path);
    for size in [0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, 20 << 20] {
        file(&dir_path.join(format!("of-{size}")), &bytes(size, size as u64));
    }
    let islands = [(0, bytes(5000, 1)), (400 << 20, bytes(3 << 20, 2)), ((1 << 30) - 4096, bytes(4096, 3))];
    sparse(&dir_path.join("sparse"), 1 << 30, &islands);
    sparse(&dir_path.join("only a hole"), 100 << 20, &[]);
    sparse(&dir_path.join("small with a hole"), 900 << 10, &[(500 << 10, bytes(10, 4))]);
    sparse(&dir_path.join("hole at the end"), 8 << 20, &[(0, bytes(1, 5))]);
}

fn links(root: &Path) {
    let links = root.join("links");
    dir(&links);
    let first = links.join("000");
    file(&first, b"one file of many names");
    for number in 1..300 {
        link(&first, &links.join(format!("{number:03}")));
    }
    link(&root.join("sizes/of-1"), &links.join("from afar"));
    symlink("loop-b", &links.join("loop-a"));
    symlink("loop-a", &links.join("loop-b"));
    symlink(".", &links.join("self"));
    symlink("/nowhere/at/all", &links.join("dangling"));
    symlink(&b"\xff\xfe not text\n"[..], &links.join("odd"));
    symlink("x".repeat(4000), &links.join("long"));
    owner(&links.join("dangling"), 1234, 4321);
    times(&links.join("dangling"), (5, 5), (1_000_000_000, 123_456_789));
}

fn names(root: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let names = root.join("names");
    dir(&names);
    let all: [&[u8]; 7] =
        [&[b'n'; 255], b"\xff\xfe\x80", b"new\nline", b" ", b"-rf", b"...", "\u{fc}ber\u{1f4a9}".as_bytes()];
    for name in all {
        file(&names.join(std::ffi::OsStr::from_bytes(name)), name);
    }
    dir(&names.join(std::ffi::OsStr::from_bytes(&[0xfe; 255])));
}

fn attributes(root: &Path, xattr_bytes: usize) {
    let dir_path = root.join("attributes");
    dir(&dir_path);
    for bits in [0, 0o7777, 0o4755, 0o2755, 0o1777, 0o400] {
        let path = dir_path.join(format!("mode-{bits:o}"));
        file(&path, b"#!");
        owner(&path, 1000 + bits, 2000);
        mode(&path, bits);
        let path = dir_path.join(format!("dir-{bits:o}"));
        dir(&path);
        file(&path.join("inside"), b"x");
        mode(&path, bits);
    }
    let path = dir_path.join("xattrs");
    file(&path, b"attributed");
    xattr(&path, "user.empty", b"");
    xattr(&path, "user.big", &bytes(xattr_bytes, 9));
    xattr(&path, "user.binary", b"\0\xff\0");
    xattr(&path, "trusted.secret", b"t");
    xattr(&dir_path, "user.of-a-directory", b"d");
    // In December 1901 and on the first of January 2200.
    for (number, seconds) in [-2_145_916_801, 7_258_118_400, -1, 0].into_iter().enumerate() {
        let path = dir_path.join(format!("time-{number}"));
        file(&path, b"t");
        times(&path, (seconds, 1), (seconds, 999_999_999));
    }
    let path = dir_path.join("old directory");
    dir(&path);
    file(&path.join("young file"), b"y");
    times(&path, (1, 2), (-2_145_916_801, 3));
}

fn many(root: &Path) {
    let crowd = root.join("crowd");
    dir(&crowd);
    for number in 0..5000 {
        file(&crowd.join(format!("{number}")), number.to_string().as_bytes());
    }
    let mut deep: PathBuf = root.join("deep");
    dir(&deep);
    for level in 0..100 {
        deep.push(format!("level-{level}"));
        dir(&deep);
    }
    file(&deep.join("bottom"), b"down here");
    times(&deep, (3, 3), (100, 100));
}

/// All that is hard to carry, in one tree.
pub(super) fn nasty(root: &Path, xattr_bytes: usize) {
    dir(root);
    sizes(root);
    links(root);
    names(root);
    attributes(root, xattr_bytes);
    many(root);
    times(root, (7, 7), (8, 8));
}

/// A small tree of everything that changes in different ways.
pub(super) fn small(root: &Path) {
    dir(root);
    for name in ["a", "b", "c"] {
        let inner = root.join(name);
        dir(&inner);
        for number in 0..20 {
            file(&inner.join(format!("f{number}")), &bytes(100 * number, number as u64));
        }
        symlink("f3", &inner.join("s"));
        link(&inner.join("f5"), &inner.join("zlink"));
        xattr(&inner.join("f7"), "user.x", b"1");
        times(&inner, (1, 1), (1_500_000_000, 5));
    }
    file(&root.join("large"), &bytes(3 << 20, 77));
    dir(&root.join("empty"));
}
