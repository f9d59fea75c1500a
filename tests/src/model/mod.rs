//! The filesystem as maps in memory: plain and obviously right. Two things drive it: the calls ([`calls`]) as a user
//! makes them, and the events of a log ([`replay`]). The same history through either gives equal trees.

pub mod calls;
pub mod content;
pub mod replay;
mod resolve;

use std::collections::BTreeMap;
use std::sync::Arc;

use nexus_log::event::Reason;
use nexus_log::ids::{Inode, Seq};
use nexus_projections::row::FileKind;

pub use content::Content;

pub const ROOT: u64 = Inode::ROOT.0;

/// Position and commit time of the record that makes a change.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub seq: Seq,
    pub time: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    File(Content),
    Directory(BTreeMap<Vec<u8>, u64>),
    Link(Vec<u8>),
    Node { kind: FileKind, device: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub detail: Detail,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    pub ctime: i64,
    pub atime: i64,
    pub birth: i64,
    pub owner: String,
    pub mime: String,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The record that changed it last.
    pub changed: Seq,
    /// Names; of a directory one.
    pub links: u64,
}

impl Node {
    #[must_use]
    pub fn new(detail: Detail, owner: &str, stamp: Stamp) -> Node {
        Node {
            detail,
            mode: 0o777,
            uid: 0,
            gid: 0,
            mtime: stamp.time,
            ctime: stamp.time,
            atime: stamp.time,
            birth: stamp.time,
            owner: owner.to_owned(),
            mime: String::new(),
            xattrs: BTreeMap::new(),
            changed: stamp.seq,
            links: 1,
        }
    }

    #[must_use]
    pub fn kind(&self) -> FileKind {
        match self.detail {
            Detail::File(_) => FileKind::Regular,
            Detail::Directory(_) => FileKind::Directory,
            Detail::Link(_) => FileKind::Link,
            Detail::Node { kind, .. } => kind,
        }
    }

    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.detail, Detail::Directory(_))
    }

    /// Names in a directory; none in anything else.
    pub fn entries(&self) -> impl Iterator<Item = (&Vec<u8>, u64)> {
        let entries = match &self.detail {
            Detail::Directory(entries) => Some(entries),
            _ => None,
        };
        entries.into_iter().flatten().map(|(name, inode)| (name, *inode))
    }
}

/// All inodes, by number. Clones share what they have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub nodes: BTreeMap<u64, Arc<Node>>,
}

impl Tree {
    fn get(&self, inode: u64) -> Result<&Node, Reason> {
        self.nodes.get(&inode).map(|n| &**n).ok_or(Reason::NotFound)
    }

    /// The node, to be changed; its change time and last record are noted.
    fn change(&mut self, inode: u64, stamp: Stamp) -> &mut Node {
        let node = Arc::make_mut(self.nodes.get_mut(&inode).expect("the caller looked it up"));
        node.ctime = stamp.time;
        node.changed = stamp.seq;
        node
    }

    fn entries_mut(&mut self, directory: u64, stamp: Stamp) -> &mut BTreeMap<Vec<u8>, u64> {
        let node = self.change(directory, stamp);
        node.mtime = stamp.time;
        match &mut node.detail {
            Detail::Directory(entries) => entries,
            other => panic!("inode {directory} is no directory but {other:?}"),
        }
    }

    fn enter(&mut self, parent: u64, name: &[u8], inode: u64, stamp: Stamp) {
        let before = self.entries_mut(parent, stamp).insert(name.to_vec(), inode);
        assert_eq!(before, None, "a name stands for one thing");
    }

    fn leave(&mut self, parent: u64, name: &[u8], stamp: Stamp) -> u64 {
        self.entries_mut(parent, stamp).remove(name).expect("the name is there")
    }

    fn create(&mut self, parent: u64, name: &[u8], inode: u64, node: Node, stamp: Stamp) {
        self.nodes.insert(inode, Arc::new(node));
        self.enter(parent, name, inode, stamp);
    }

    /// `inode` has lost one name.
    fn drop_name(&mut self, inode: u64, held: bool, stamp: Stamp) {
        let node = self.change(inode, stamp);
        node.links -= 1;
        if node.links == 0 && !held {
            self.nodes.remove(&inode);
        }
    }

    fn rename(&mut self, from: (u64, &[u8]), to: (u64, &[u8]), replaced_held: bool, stamp: Stamp) {
        let replaced = self.entries_mut(to.0, stamp).remove(to.1);
        if let Some(replaced) = replaced {
            // Only files live on without a name.
            let lives = replaced_held && !self.nodes[&replaced].is_directory();
            self.drop_name(replaced, lives, stamp);
        }
        let inode = self.leave(from.0, from.1, stamp);
        self.enter(to.0, to.1, inode, stamp);
        self.change(inode, stamp);
    }

    fn exchange(&mut self, one: (u64, &[u8]), other: (u64, &[u8]), stamp: Stamp) {
        let moved = self.leave(one.0, one.1, stamp);
        let back = self.leave(other.0, other.1, stamp);
        self.enter(other.0, other.1, moved, stamp);
        self.enter(one.0, one.1, back, stamp);
        self.change(moved, stamp);
        self.change(back, stamp);
    }

    fn content_mut(&mut self, inode: u64, stamp: Stamp) -> &mut Content {
        let node = self.change(inode, stamp);
        node.mtime = stamp.time;
        match &mut node.detail {
            Detail::File(content) => content,
            other => panic!("inode {inode} is no file but {other:?}"),
        }
    }

    /// Files without a name, alive because they are held open.
    #[must_use]
    pub fn orphans(&self) -> Vec<u64> {
        self.nodes.iter().filter(|(_, node)| node.links == 0).map(|(inode, _)| *inode).collect()
    }

    pub fn remove_orphans(&mut self) {
        self.nodes.retain(|_, node| node.links > 0);
    }

    /// The inode and everything above it.
    fn is_below(&self, mut inode: u64, ancestor: u64) -> bool {
        loop {
            if inode == ancestor {
                return true;
            }
            let parent = self.nodes.iter().find(|(_, node)| node.entries().any(|(_, i)| i == inode));
            match parent {
                Some((parent, _)) => inode = *parent,
                None => return false,
            }
        }
    }
}
