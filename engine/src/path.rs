//! Paths: absolute, raw bytes, `.` and `..` resolved lexically and never above the root (SPEC part A).

use nexus_log::event::Reason;
use nexus_log::ids::Inode;
use smallvec::SmallVec;

use crate::error::{Error, Result, shown};

pub const PATH_BYTES_MAX: usize = 4096;
pub const NAME_BYTES_MAX: usize = 255;

/// Something that exists or not: by its path, or by its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    Path(&'a [u8]),
    Inode(Inode),
}

/// A name in a directory: by its path, or by the directory's inode and the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    Path(&'a [u8]),
    In(Inode, &'a [u8]),
}

impl<'a> From<&'a str> for Target<'a> {
    fn from(path: &'a str) -> Target<'a> {
        Target::Path(path.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Target<'a> {
    fn from(path: &'a [u8]) -> Target<'a> {
        Target::Path(path)
    }
}

impl From<Inode> for Target<'_> {
    fn from(inode: Inode) -> Self {
        Target::Inode(inode)
    }
}

impl<'a> From<&'a str> for Entry<'a> {
    fn from(path: &'a str) -> Entry<'a> {
        Entry::Path(path.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Entry<'a> {
    fn from(path: &'a [u8]) -> Entry<'a> {
        Entry::Path(path)
    }
}

impl Target<'_> {
    /// The path as the caller gave it; empty where an inode was named.
    pub(crate) fn path(&self) -> &[u8] {
        match self {
            Target::Path(path) => path,
            Target::Inode(_) => b"",
        }
    }

    pub(crate) fn inode(&self) -> Option<Inode> {
        match self {
            Target::Path(_) => None,
            Target::Inode(inode) => Some(*inode),
        }
    }
}

impl Entry<'_> {
    pub(crate) fn path(&self) -> &[u8] {
        match self {
            Entry::Path(path) => path,
            Entry::In(..) => b"",
        }
    }

    pub(crate) fn inode(&self) -> Option<Inode> {
        match self {
            Entry::Path(_) => None,
            Entry::In(parent, _) => Some(*parent),
        }
    }
}

/// Of a path with no more components than these no list is allocated.
pub(crate) type Components<'a> = SmallVec<[&'a [u8]; 24]>;

/// The components of an absolute path, `.` and `..` resolved.
pub(crate) fn components(path: &[u8]) -> Result<Components<'_>> {
    if path.first() != Some(&b'/') {
        let message = format!("the path {:?} is not absolute; begin it with /", shown(path));
        return Err(Error::new(Reason::Invalid, message));
    }
    if path.len() > PATH_BYTES_MAX {
        let message = format!("the path is {} bytes long; at most {PATH_BYTES_MAX}", path.len());
        return Err(Error::new(Reason::NameTooLong, message));
    }
    let mut components = Components::new();
    for component in path.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop();
            }
            name => {
                check_name(name)?;
                components.push(name);
            }
        }
    }
    Ok(components)
}

/// A name that can stand in a directory.
pub(crate) fn check_name(name: &[u8]) -> Result<()> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
        return Err(Error::new(Reason::Invalid, format!("{:?} is not a name", shown(name))));
    }
    if name.len() > NAME_BYTES_MAX {
        let message = format!("the name is {} bytes long; at most {NAME_BYTES_MAX}", name.len());
        return Err(Error::new(Reason::NameTooLong, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(path: &[u8]) -> String {
        components(path).unwrap().iter().map(|c| format!("/{}", shown(c))).collect()
    }

    #[test]
    fn dots_are_resolved_and_stop_at_the_root() {
        assert_eq!(joined(b"/a/./b//c/../d/"), "/a/b/d");
        assert_eq!(joined(b"/../../a"), "/a");
        assert_eq!(joined(b"/"), "");
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_kind() {
        assert_eq!(components(b"a").unwrap_err().kind, Reason::Invalid);
        assert_eq!(components(b"").unwrap_err().kind, Reason::Invalid);
        assert_eq!(components(b"/a\0b").unwrap_err().kind, Reason::Invalid);
        let long = [b"/".as_slice(), &[b'x'; 256]].concat();
        assert_eq!(components(&long).unwrap_err().kind, Reason::NameTooLong);
        assert_eq!(components(&[b"/".as_slice(), &[b'x'; 255]].concat()).unwrap().len(), 1);
        assert_eq!(components(&b"/x".repeat(2049)).unwrap_err().kind, Reason::NameTooLong);
    }
}
