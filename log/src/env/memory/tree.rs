//! Names: which are visible, which are durable, and the operations between the two.
//!
//! Invariants:
//! 1. At a power cut, of a directory's unsynced operations a prefix is kept.
//! 2. A rename within a directory is one operation. Between two directories it is one in each: the name is added in
//!    the target no later than it is removed from the source, so that a cut may leave both names but never neither.
//! 3. A file lives as long as a visible, a durable or a pending name leads to it, or a handle is open.

mod durability;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::faults::{Faults, Power};
use super::file::StoredFile;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(u64);

pub(super) const ROOT: NodeId = NodeId(0);

type Names = BTreeMap<OsString, NodeId>;

#[derive(Clone, Debug)]
struct NameChange {
    /// Counts the operations of the whole disk; both halves of a rename have the same.
    number: u64,
    remove: Option<OsString>,
    put: Option<(OsString, NodeId)>,
    /// The directory whose change of the same number must be durable first.
    after: Option<NodeId>,
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        if let Some(name) = &self.remove {
            names.remove(name);
        }
        if let Some((name, node)) = &self.put {
            names.insert(name.clone(), *node);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Directory {
    names: Names,
    durable: Names,
    pending: Vec<NameChange>,
}

/// The whole disk.
#[derive(Clone, Debug)]
pub(super) struct State {
    directories: BTreeMap<NodeId, Arc<Directory>>,
    files: BTreeMap<NodeId, Arc<StoredFile>>,
    next_node: u64,
    next_change: u64,
    /// Handles and locks of an earlier generation are dead: the power went since.
    pub(super) generation: u64,
    pub(super) locks: BTreeSet<NodeId>,
    pub(super) faults: Faults,
    /// Space for file content; `None` is without limit.
    capacity_bytes: Option<u64>,
}

impl State {
    pub(super) fn new() -> State {
        State {
            directories: BTreeMap::from([(ROOT, Arc::default())]),
            files: BTreeMap::new(),
            next_node: 1,
            next_change: 0,
            generation: 0,
            locks: BTreeSet::new(),
            faults: Faults::default(),
            capacity_bytes: None,
        }
    }

    /// A copy of the disk; handles and locks stay with the original.
    pub(super) fn fork(&self) -> State {
        let mut fork = self.clone();
        fork.locks.clear();
        for file in fork.files.values_mut().filter(|f| f.handles > 0) {
            Arc::make_mut(file).handles = 0;
        }
        fork
    }

    pub(super) fn file(&self, node: NodeId) -> &StoredFile {
        self.files.get(&node).expect("a file with a name or a handle is stored")
    }

    pub(super) fn file_mut(&mut self, node: NodeId) -> &mut StoredFile {
        Arc::make_mut(self.files.get_mut(&node).expect("a file with a name or a handle is stored"))
    }

    pub(super) fn has_file(&self, node: NodeId) -> bool {
        self.files.contains_key(&node)
    }

    fn directory(&self, node: NodeId) -> io::Result<&Directory> {
        self.directories.get(&node).map(|d| &**d).ok_or_else(|| Errno::NOTDIR.into())
    }

    fn directory_mut(&mut self, node: NodeId) -> &mut Directory {
        Arc::make_mut(self.directories.get_mut(&node).expect("the caller looked the directory up"))
    }

    /// The node at `path`, which is taken from the root whether it says so or not.
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for name in names_of(path)? {
            node = *self.directory(node)?.names.get(name).ok_or(Errno::NOENT)?;
        }
        Ok(node)
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.find(path)?;
        if self.has_file(node) { Ok(node) } else { Err(Errno::ISDIR.into()) }
    }

    /// The directory that holds, or would hold, the last name of `path`.
    fn find_parent<'p>(&self, path: &'p Path) -> io::Result<(NodeId, &'p OsStr)> {
        let mut names = names_of(path)?;
        let name = names.pop().ok_or(Errno::BUSY)?;
        let mut parent = ROOT;
        for name in names {
            parent = *self.directory(parent)?.names.get(name).ok_or(Errno::NOENT)?;
        }
        self.directory(parent)?;
        Ok((parent, name))
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        Ok(self.directory(self.find(path)?)?.names.keys().cloned().collect())
    }

    /// Counts a mutating operation that has no effect once the power goes.
    pub(super) fn operation(&mut self) -> io::Result<()> {
        if self.faults.operation() == Power::On { Ok(()) } else { Err(Errno::IO.into()) }
    }

    fn change(&mut self, directory: NodeId, change: NameChange) {
        let directory = self.directory_mut(directory);
        change.apply(&mut directory.names);
        directory.pending.push(change);
    }

    fn next_change(&mut self) -> u64 {
        self.next_change += 1;
        self.next_change
    }

    fn put(&mut self, directory: NodeId, name: &OsStr, node: NodeId) {
        let number = self.next_change();
        let put = Some((name.to_owned(), node));
        self.change(directory, NameChange { number, remove: None, put, after: None });
    }

    fn new_node(&mut self) -> NodeId {
        self.next_node += 1;
        NodeId(self.next_node)
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        let (parent, name) = self.find_parent(path)?;
        if self.directory(parent)?.names.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        self.operation()?;
        let node = self.new_node();
        self.files.insert(node, Arc::new(StoredFile::named()));
        self.put(parent, name, node);
        Ok(node)
    }

    pub(super) fn create_directories(&mut self, path: &Path) -> io::Result<()> {
        let mut node = ROOT;
        for name in names_of(path)? {
            node = match self.directory(node)?.names.get(name) {
                Some(&known) => known,
                None => {
                    self.operation()?;
                    let fresh = self.new_node();
                    self.directories.insert(fresh, Arc::default());
                    self.put(node, name, fresh);
                    self.sync_directory(node)?;
                    fresh
                }
            };
        }
        self.directory(node).map(|_| ())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find_file(path)?;
        let (parent, name) = self.find_parent(path)?;
        self.operation()?;
        let number = self.next_change();
        self.change(parent, NameChange { number, remove: Some(name.to_owned()), put: None, after: None });
        self.file_mut(node).links -= 1;
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (source, old_name) = self.find_parent(from)?;
        let (target, new_name) = self.find_parent(to)?;
        let replaced = self.directory(target)?.names.get(new_name).copied();
        self.check_rename(node, replaced, target)?;
        self.operation()?;
        if replaced == Some(node) {
            return Ok(());
        }
        if let Some(replaced) = replaced.filter(|&n| self.has_file(n)) {
            self.file_mut(replaced).links -= 1;
        }
        let number = self.next_change();
        let remove = Some(old_name.to_owned());
        let put = Some((new_name.to_owned(), node));
        if source == target {
            self.change(source, NameChange { number, remove, put, after: None });
        } else {
            self.change(target, NameChange { number, remove: None, put, after: None });
            self.change(source, NameChange { number, remove, put: None, after: Some(target) });
        }
        Ok(())
    }

    fn check_rename(&self, node: NodeId, replaced: Option<NodeId>, target: NodeId) -> io::Result<()> {
        let error = match replaced {
            _ if self.reaches(node, target) => Errno::INVAL,
            Some(replaced) if replaced == node => return Ok(()),
            Some(replaced) => match (self.directories.contains_key(&node), self.directories.get(&replaced)) {
                (false, None) => return Ok(()),
                (true, Some(old)) if old.names.is_empty() => return Ok(()),
                (true, Some(_)) => Errno::NOTEMPTY,
                (true, None) => Errno::NOTDIR,
                (false, Some(_)) => Errno::ISDIR,
            },
            None => return Ok(()),
        };
        Err(error.into())
    }

    /// Is `below` the directory `top` or inside it?
    fn reaches(&self, top: NodeId, below: NodeId) -> bool {
        top == below
            || self.directories.get(&top).is_some_and(|d| d.names.values().any(|&node| self.reaches(node, below)))
    }

    pub(super) fn sync_directory_at(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        self.sync_directory(node)
    }

    fn sync_directory(&mut self, node: NodeId) -> io::Result<()> {
        self.directory(node)?;
        self.operation()?;
        if self.faults.next_directory_sync_fails() {
            return Err(Errno::IO.into());
        }
        self.persist_names(node, u64::MAX);
        self.collect();
        Ok(())
    }

    /// Every path below the root with its node, files and directories.
    pub(super) fn walk(&self) -> BTreeMap<PathBuf, NodeId> {
        let mut paths = BTreeMap::new();
        let mut todo = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, node)) = todo.pop() {
            let Some(directory) = self.directories.get(&node) else { continue };
            for (name, &node) in &directory.names {
                paths.insert(path.join(name), node);
                todo.push((path.join(name), node));
            }
        }
        paths
    }

    /// Makes `path` a file with this content, all of it durable at once, its name and those above included.
    pub(super) fn overwrite(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (parent, name) = self.find_parent(path)?;
        let node = match self.directory(parent)?.names.get(name) {
            Some(&node) if self.has_file(node) => node,
            Some(_) => return Err(Errno::ISDIR.into()),
            None => {
                let node = self.new_node();
                self.files.insert(node, Arc::new(StoredFile::named()));
                self.put(parent, name, node);
                node
            }
        };
        self.file_mut(node).set_content(bytes);
        let mut directory = ROOT;
        self.persist_names(ROOT, u64::MAX);
        for name in names_of(path.parent().unwrap_or(Path::new("")))? {
            directory = *self.directory(directory)?.names.get(name).ok_or(Errno::NOENT)?;
            self.persist_names(directory, u64::MAX);
        }
        Ok(())
    }

    pub(super) fn set_free_bytes(&mut self, free: Option<u64>) {
        self.capacity_bytes = free.map(|free| self.used_bytes() + free);
    }

    pub(super) fn free_bytes(&self) -> Option<u64> {
        self.capacity_bytes.map(|capacity| capacity.saturating_sub(self.used_bytes()))
    }

    fn used_bytes(&self) -> u64 {
        self.files.values().filter(|f| f.links > 0 || f.handles > 0).map(|f| f.space_bytes()).sum()
    }
}

fn names_of(path: &Path) -> io::Result<Vec<&OsStr>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL.into()),
        }
    }
    Ok(names)
}
