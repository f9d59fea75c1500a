//! The calls on the model, with the errors that POSIX and the engine's documentation promise.

use nexus_engine::{NewFile, XattrMode};
use nexus_log::event::Reason;
use nexus_log::ids::Inode;

use super::{Content, Detail, Node, Stamp, Tree};
use crate::op::{Name, Op, Part, Place};

/// What a call came to on the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    pub inode: u64,
    /// A record was made.
    pub changed: bool,
}

type Result<T> = std::result::Result<T, Reason>;

fn nothing(inode: u64) -> Result<Ran> {
    Ok(Ran { inode, changed: false })
}

fn changed(inode: u64) -> Result<Ran> {
    Ok(Ran { inode, changed: true })
}

/// One call on the tree.
pub struct Call<'a> {
    pub tree: &'a mut Tree,
    /// Of the record, if the call makes one.
    pub stamp: Stamp,
    pub agent: &'a str,
    pub is_open: &'a dyn Fn(u64) -> bool,
}

impl Call<'_> {
    /// Runs `op`. An error changes nothing.
    pub fn run(&mut self, op: &Op) -> Result<Ran> {
        match op {
            Op::Create { name, new, exclusive } => self.create(name, new, *exclusive),
            Op::Put { name, parts, new, attributes_too } => self.put(name, parts, new, *attributes_too),
            Op::Mkdir { name, new, exclusive } => self.mkdir(name, new, *exclusive),
            Op::Symlink { name, target, new } => self.symlink(name, target, new),
            Op::Link { place, name } => self.link(place, name),
            Op::Write { place, offset, data } => self.write(place, Some(*offset), &data.bytes()),
            Op::Append { place, data } => self.write(place, None, &data.bytes()),
            Op::Truncate { place, size } => self.truncate(place, *size),
            Op::SetAttributes { place, change, follow } => {
                let inode = self.tree.resolve(place, *follow)?;
                if *change == nexus_engine::AttributeChange::default() {
                    return nothing(inode);
                }
                let node = self.tree.change(inode, self.stamp);
                node.mode = change.mode.map_or(node.mode, |m| m & 0o7777);
                node.uid = change.uid.unwrap_or(node.uid);
                node.gid = change.gid.unwrap_or(node.gid);
                node.mtime = change.mtime.unwrap_or(node.mtime);
                node.atime = change.atime.unwrap_or(node.atime);
                node.mime = change.mime.clone().unwrap_or(std::mem::take(&mut node.mime));
                changed(inode)
            }
            Op::SetXattr { place, name, value, mode } => self.set_xattr(place, name, value, *mode),
            Op::RemoveXattr { place, name } => {
                check_xattr_name(name)?;
                let inode = self.tree.resolve(place, false)?;
                if !self.tree.get(inode)?.xattrs.contains_key(name) {
                    return Err(Reason::NoAttribute);
                }
                self.tree.change(inode, self.stamp).xattrs.remove(name);
                changed(inode)
            }
            Op::Rename { from, to, no_replace } => self.rename(from, to, *no_replace),
            Op::Unlink { name } => {
                let (parent, name, inode) = self.existing(name)?;
                if self.tree.get(inode)?.is_directory() {
                    return Err(Reason::IsDir);
                }
                self.tree.leave(parent, &name, self.stamp);
                self.tree.drop_name(inode, (self.is_open)(inode), self.stamp);
                changed(inode)
            }
            Op::Rmdir { name } => {
                let (parent, name, inode) = self.existing(name)?;
                self.check_empty(inode)?;
                self.tree.leave(parent, &name, self.stamp);
                self.tree.nodes.remove(&inode);
                changed(inode)
            }
        }
    }

    fn existing(&self, name: &Name) -> Result<(u64, Vec<u8>, u64)> {
        let (parent, name, found) = self.tree.named(name)?;
        Ok((parent, name, found.ok_or(Reason::NotFound)?))
    }

    fn check_empty(&self, inode: u64) -> Result<()> {
        match &self.tree.get(inode)?.detail {
            Detail::Directory(entries) if entries.is_empty() => Ok(()),
            Detail::Directory(_) => Err(Reason::NotEmpty),
            _ => Err(Reason::NotDir),
        }
    }

    /// The inode that a call of this record creates.
    fn fresh(&self) -> u64 {
        Inode::born_at(self.stamp.seq, 0).0
    }

    fn new_node(&self, detail: Detail, new: &NewFile) -> Node {
        let fresh = Node::new(detail, self.agent, self.stamp);
        let xattrs = new.xattrs.iter().cloned().collect();
        Node { mode: new.mode & 0o7777, uid: new.uid, gid: new.gid, xattrs, ..fresh }
    }

    fn new_file(&mut self, parent: u64, name: &[u8], new: &NewFile, content: Content) -> Result<Ran> {
        new.xattrs.iter().try_for_each(|(name, _)| check_xattr_name(name))?;
        let mut node = self.new_node(Detail::File(content), new);
        node.mtime = new.mtime.unwrap_or(node.mtime);
        node.atime = new.atime.unwrap_or(node.atime);
        let inode = self.fresh();
        self.tree.create(parent, name, inode, node, self.stamp);
        changed(inode)
    }

    /// The file that a creating call finds under its name: a symlink is followed where it was named by its path.
    fn found_file(&self, name: &Name, found: u64) -> Result<u64> {
        let file = match (&self.tree.get(found)?.detail, name) {
            (Detail::Link(_), Name::Path(path)) => self.tree.resolve(&Place::Path(path.clone()), true)?,
            _ => found,
        };
        match self.tree.get(file)?.detail {
            Detail::File(_) => Ok(file),
            _ => Err(Reason::Exists),
        }
    }

    fn create(&mut self, name: &Name, new: &NewFile, exclusive: bool) -> Result<Ran> {
        let (parent, last, found) = self.tree.named(name)?;
        match found {
            None => self.new_file(parent, &last, new, Content::default()),
            Some(_) if exclusive => Err(Reason::Exists),
            Some(found) => nothing(self.found_file(name, found)?),
        }
    }

    fn put(&mut self, name: &Name, parts: &[Part], new: &NewFile, attributes_too: bool) -> Result<Ran> {
        let mut content = Content::default();
        for part in parts {
            let end = content.size;
            match part {
                Part::Data(data) => content.write(end, &data.bytes()),
                Part::Hole(bytes) => content.truncate(end + bytes),
            }
        }
        let (parent, last, found) = self.tree.named(name)?;
        let Some(found) = found else { return self.new_file(parent, &last, new, content) };
        let inode = self.found_file(name, found)?;
        if attributes_too {
            new.xattrs.iter().try_for_each(|(name, _)| check_xattr_name(name))?;
        }
        *self.tree.content_mut(inode, self.stamp) = content;
        if attributes_too {
            let node = self.tree.change(inode, self.stamp);
            (node.mode, node.uid, node.gid) = (new.mode & 0o7777, new.uid, new.gid);
            node.mtime = new.mtime.unwrap_or(node.mtime);
            node.atime = new.atime.unwrap_or(node.atime);
            node.xattrs.extend(new.xattrs.iter().cloned());
        }
        changed(inode)
    }

    fn mkdir(&mut self, name: &Name, new: &NewFile, exclusive: bool) -> Result<Ran> {
        let spot = self.tree.place(name)?;
        let found = if spot.name.is_none() { Some(spot.parent) } else { spot.found };
        if let Some(found) = found {
            let opened = self.tree.get(found)?.is_directory() && !exclusive;
            return if opened { nothing(found) } else { Err(Reason::Exists) };
        }
        new.xattrs.iter().try_for_each(|(name, _)| check_xattr_name(name))?;
        let node = self.new_node(Detail::Directory(Default::default()), new);
        let inode = self.fresh();
        self.tree.create(spot.parent, &spot.name.unwrap(), inode, node, self.stamp);
        changed(inode)
    }

    fn symlink(&mut self, name: &Name, target: &[u8], new: &NewFile) -> Result<Ran> {
        if target.is_empty() || target.len() > 4095 || target.contains(&0) {
            return Err(Reason::Invalid);
        }
        let (parent, name, found) = self.tree.named(name)?;
        if found.is_some() {
            return Err(Reason::Exists);
        }
        new.xattrs.iter().try_for_each(|(name, _)| check_xattr_name(name))?;
        let mut node = self.new_node(Detail::Link(target.to_vec()), new);
        node.mode = 0o777;
        node.mtime = new.mtime.unwrap_or(node.mtime);
        let inode = self.fresh();
        self.tree.create(parent, &name, inode, node, self.stamp);
        changed(inode)
    }

    fn link(&mut self, place: &Place, name: &Name) -> Result<Ran> {
        let inode = self.tree.resolve(place, false)?;
        let node = self.tree.get(inode)?;
        if node.is_directory() {
            return Err(Reason::PermissionDenied);
        }
        if node.links == 0 {
            return Err(Reason::NotFound);
        }
        let (parent, name, found) = self.tree.named(name)?;
        if found.is_some() {
            return Err(Reason::Exists);
        }
        self.tree.change(inode, self.stamp).links += 1;
        self.tree.enter(parent, &name, inode, self.stamp);
        changed(inode)
    }

    fn regular(&self, place: &Place) -> Result<(u64, u64)> {
        let inode = self.tree.resolve(place, true)?;
        match &self.tree.get(inode)?.detail {
            Detail::File(content) => Ok((inode, content.size)),
            Detail::Directory(_) => Err(Reason::IsDir),
            Detail::Link(_) => Err(Reason::Invalid),
        }
    }

    fn write(&mut self, place: &Place, offset: Option<u64>, bytes: &[u8]) -> Result<Ran> {
        let (inode, size) = self.regular(place)?;
        if bytes.is_empty() {
            return nothing(inode);
        }
        let offset = offset.unwrap_or(size);
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Err(Reason::TooLarge);
        }
        self.tree.content_mut(inode, self.stamp).write(offset, bytes);
        changed(inode)
    }

    fn truncate(&mut self, place: &Place, size: u64) -> Result<Ran> {
        let (inode, _) = self.regular(place)?;
        if size > i64::MAX as u64 {
            return Err(Reason::TooLarge);
        }
        self.tree.content_mut(inode, self.stamp).truncate(size);
        changed(inode)
    }

    fn set_xattr(&mut self, place: &Place, name: &[u8], value: &[u8], mode: XattrMode) -> Result<Ran> {
        check_xattr_name(name)?;
        if value.len() > 64 << 10 {
            return Err(Reason::TooLarge);
        }
        let inode = self.tree.resolve(place, false)?;
        match (mode, self.tree.get(inode)?.xattrs.contains_key(name)) {
            (XattrMode::Create, true) => return Err(Reason::Exists),
            (XattrMode::Replace, false) => return Err(Reason::NoAttribute),
            _ => {}
        }
        self.tree.change(inode, self.stamp).xattrs.insert(name.to_vec(), value.to_vec());
        changed(inode)
    }

    fn rename(&mut self, from: &Name, to: &Name, no_replace: bool) -> Result<Ran> {
        let (from_parent, from_name, moved) = self.existing(from)?;
        let (to_parent, to_name, target) = self.tree.named(to)?;
        let directory = self.tree.get(moved)?.is_directory();
        if let Some(target) = target {
            if no_replace {
                return Err(Reason::Exists);
            }
            if target == moved {
                return nothing(moved);
            }
            match (directory, self.tree.get(target)?.is_directory()) {
                (false, true) => return Err(Reason::IsDir),
                (true, _) => self.check_empty(target)?,
                (false, false) => {}
            }
        }
        if directory && from_parent != to_parent && self.tree.is_below(to_parent, moved) {
            return Err(Reason::Invalid);
        }
        let held = target.is_some_and(|target| (self.is_open)(target));
        self.tree.rename((from_parent, &from_name), (to_parent, &to_name), held, self.stamp);
        changed(moved)
    }
}

fn check_xattr_name(name: &[u8]) -> Result<()> {
    if name.is_empty() || name.contains(&0) {
        return Err(Reason::Invalid);
    }
    if name.len() > 255 { Err(Reason::NameTooLong) } else { Ok(()) }
}
