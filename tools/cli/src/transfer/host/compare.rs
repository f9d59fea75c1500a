//! Comparing two trees of the host, with nothing in common with what makes them: only names below a path and lstat.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

const DIFFERENCES_MAX: usize = 100;

struct Found {
    stat: rustix::fs::Stat,
    names: Vec<Vec<u8>>,
}

fn at(root: &Path, below: &[u8]) -> PathBuf {
    let mut path = root.as_os_str().as_bytes().to_vec();
    path.extend_from_slice(below);
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

/// Everything below `root`, by its path there.
fn all(root: &Path) -> BTreeMap<Vec<u8>, Found> {
    let mut found = BTreeMap::new();
    let mut todo = vec![Vec::new()];
    while let Some(below) = todo.pop() {
        let path = at(root, &below);
        let stat = rustix::fs::lstat(&path).unwrap();
        let mut names = Vec::new();
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let dir = rustix::fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOATIME, Mode::empty());
            for entry in rustix::fs::Dir::new(dir.unwrap()).unwrap() {
                let name = entry.unwrap().file_name().to_bytes().to_vec();
                if name != b"." && name != b".." {
                    todo.push([&below[..], b"/", &name].concat());
                    names.push(name);
                }
            }
        }
        names.sort_unstable();
        found.insert(below, Found { stat, names });
    }
    found
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut list = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, &mut list[..]) {
        Err(rustix::io::Errno::NOTSUP) => 0,
        length => length.unwrap(),
    };
    let names = list[..length].split(|b| *b == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            value.truncate(length);
            (name.to_vec(), value)
        })
        .collect()
}

/// First byte that differs, if one does.
fn content_differs(a: &Path, b: &Path) -> Option<u64> {
    let open = |path| rustix::fs::open(path, OFlags::RDONLY | OFlags::NOATIME, Mode::empty()).unwrap();
    let (a, b) = (open(a), open(b));
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut offset = 0;
    loop {
        let read = rustix::io::pread(&a, &mut left[..], offset).unwrap();
        let mut filled = 0;
        while filled < read {
            let more = rustix::io::pread(&b, &mut right[filled..read], offset + filled as u64).unwrap();
            if more == 0 {
                return Some(offset + filled as u64);
            }
            filled += more;
        }
        if left[..read] != right[..read] {
            let at = left.iter().zip(&right).position(|(l, r)| l != r).unwrap();
            return Some(offset + at as u64);
        }
        if read == 0 {
            return None;
        }
        offset += read as u64;
    }
}

/// Which entries are one file: for each its first name, by path.
fn groups(tree: &BTreeMap<Vec<u8>, Found>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut first: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
    let files = tree.iter().filter(|(_, f)| FileType::from_raw_mode(f.stat.st_mode) == FileType::RegularFile);
    files
        .map(|(below, found)| {
            let leader = first.entry((found.stat.st_dev, found.stat.st_ino)).or_insert_with(|| below.clone());
            (below.clone(), leader.clone())
        })
        .collect()
}

fn is_sparse(stat: &rustix::fs::Stat) -> bool {
    // A megabyte of slack: how much a filesystem allocates around a file is its own affair.
    stat.st_blocks * 512 + (1 << 20) < stat.st_size
}

fn compare_entry(a: (&Path, &Found), b: (&Path, &Found), mut differ: impl FnMut(String)) {
    let (left, right) = (&a.1.stat, &b.1.stat);
    if left.st_mode != right.st_mode {
        differ(format!("mode {:o} against {:o}", left.st_mode, right.st_mode));
        if FileType::from_raw_mode(left.st_mode) != FileType::from_raw_mode(right.st_mode) {
            return;
        }
    }
    if (left.st_uid, left.st_gid) != (right.st_uid, right.st_gid) {
        differ(format!("owner {}:{} against {}:{}", left.st_uid, left.st_gid, right.st_uid, right.st_gid));
    }
    let times = [(left.st_mtime, left.st_mtime_nsec), (right.st_mtime, right.st_mtime_nsec)];
    if times[0] != times[1] {
        differ(format!("mtime {:?} against {:?}", times[0], times[1]));
    }
    if a.1.names != b.1.names {
        differ(format!("{} entries against {}", a.1.names.len(), b.1.names.len()));
    }
    if xattrs(a.0) != xattrs(b.0) {
        differ("extended attributes".into());
    }
    match FileType::from_raw_mode(left.st_mode) {
        FileType::Symlink => {
            let targets = [a.0, b.0].map(|path| rustix::fs::readlink(path, Vec::new()).unwrap());
            if targets[0] != targets[1] {
                differ(format!("target {:?} against {:?}", targets[0], targets[1]));
            }
        }
        FileType::RegularFile => {
            if left.st_size != right.st_size {
                return differ(format!("{} bytes against {}", left.st_size, right.st_size));
            }
            if let Some(offset) = content_differs(a.0, b.0) {
                differ(format!("content at byte {offset}"));
            }
            if is_sparse(left) && !is_sparse(right) {
                differ("holes have become zeros".into());
            }
        }
        FileType::CharacterDevice | FileType::BlockDevice if left.st_rdev != right.st_rdev => {
            differ(format!("device {} against {}", left.st_rdev, right.st_rdev));
        }
        _ => {}
    }
}

/// What differs between two trees: names, types, modes, owners, modification times, targets, hard links, extended
/// attributes, contents, and holes in so far as there are any. The first hundred.
pub(in crate::transfer) fn compare(a: &Path, b: &Path) -> Vec<String> {
    let (left, right) = (all(a), all(b));
    let mut differences = Vec::new();
    let mut note = |below: &[u8], what: String| {
        if differences.len() < DIFFERENCES_MAX {
            differences.push(format!("{}: {what}", below.escape_ascii()));
        }
    };
    for (below, found) in &left {
        match right.get(below) {
            None => note(below, "missing".into()),
            Some(other) => {
                compare_entry((&at(a, below), found), (&at(b, below), other), |what| note(below, what));
            }
        }
    }
    for below in right.keys().filter(|below| !left.contains_key(*below)) {
        note(below, "too many".into());
    }
    let (left, right) = (groups(&left), groups(&right));
    for (below, leader) in &left {
        if right.get(below).is_some_and(|other| other != leader) {
            note(below, format!("is not the same file as {}", leader.escape_ascii()));
        }
    }
    differences
}
