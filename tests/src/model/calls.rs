//! The calls on the model, with the errors that POSIX and the engine's documentation promise.

use nexus_engine::{NewFile, NodeKind, RenameMode, XattrMode};
use nexus_log::event::Reason;
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use super::{Content, Detail, Node, Stamp, Tree};
use crate::op::{Name, Op, Part, Place};

/// What a call came to on the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    pub inode: u64,
    /// A record was made.
    pub changed: bool,
    /// Events in it.
    pub events: u16,
}

type Result<T> = std::result::Result<T, Reason>;

fn nothing(inode: u64) -> Result<Ran> {
    Ok(Ran { inode, changed: false, events: 0 })
}

fn changed(inode: u64) -> Result<Ran> {
    Ok(Ran { inode, changed: true, events: 1 })
}

/// Something new, with its extended attributes.
fn born(inode: u64, new: &NewFile) -> Result<Ran> {
    Ok(Ran { inode, changed: true, events: 1 + new.xattrs.len() as u16 })
}

/// One call on the tree.
pub struct Call<'a> {
    pub tree: &'a mut Tree,
    /// Of the record, if the call makes one.
    pub stamp: Stamp,
    pub agent: &'a str,
    /// Events of the record before those of this call.
    pub events_before: u16,
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
            Op::Rename { from, to, mode } => self.rename(from, to, *mode),
            Op::MakeNode { name, kind, new } => self.make_node(name, *kind, new),
            Op::Punch { place, offset, length } => self.punch(place, *offset, *length),
            Op::Copy { place, name } => self.copy(place, name),
            Op::Batch { ops } => self.batch(ops),
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
        Inode::born_at(self.stamp.seq, self.events_before).0
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
        born(inode, new)
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
            return Ok(Ran { inode, changed: true, events: 2 + new.xattrs.len() as u16 });
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
        born(inode, new)
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
        born(inode, new)
    }

    fn make_node(&mut self, name: &Name, kind: NodeKind, new: &NewFile) -> Result<Ran> {
        let (parent, name, found) = self.tree.named(name)?;
        let (kind, device) = match kind {
            NodeKind::Fifo => (FileKind::Fifo, 0),
            NodeKind::Socket => (FileKind::Socket, 0),
            NodeKind::CharDevice { major, minor } => (FileKind::CharDevice, u64::from(major) << 32 | u64::from(minor)),
            NodeKind::BlockDevice { major, minor } => {
                (FileKind::BlockDevice, u64::from(major) << 32 | u64::from(minor))
            }
            _ => return Err(Reason::Unsupported),
        };
        if found.is_some() {
            return Err(Reason::Exists);
        }
        new.xattrs.iter().try_for_each(|(name, _)| check_xattr_name(name))?;
        let mut node = self.new_node(Detail::Node { kind, device }, new);
        node.mtime = new.mtime.unwrap_or(node.mtime);
        let inode = self.fresh();
        self.tree.create(parent, &name, inode, node, self.stamp);
        born(inode, new)
    }

    fn punch(&mut self, place: &Place, offset: u64, length: u64) -> Result<Ran> {
        let (inode, size) = self.regular(place)?;
        if offset >= offset.saturating_add(length).min(size) {
            return nothing(inode);
        }
        self.tree.content_mut(inode, self.stamp).punch(offset, length);
        changed(inode)
    }

    /// Of a file; its owner is whoever copies.
    fn copy(&mut self, place: &Place, name: &Name) -> Result<Ran> {
        let source = self.tree.resolve(place, true)?;
        let source = self.tree.get(source)?.clone();
        let Detail::File(content) = &source.detail else { return Err(Reason::Unsupported) };
        let (parent, last, found) = self.tree.named(name)?;
        if let Some(found) = found {
            let inode = self.found_file(name, found)?;
            *self.tree.content_mut(inode, self.stamp) = content.clone();
            return changed(inode);
        }
        let inode = self.fresh();
        let fresh = Node::new(Detail::File(content.clone()), self.agent, self.stamp);
        let Node { mode, uid, gid, mtime, atime, ref xattrs, ref mime, .. } = source;
        let node = Node { mode, uid, gid, mtime, atime, xattrs: xattrs.clone(), mime: mime.clone(), ..fresh };
        self.tree.create(parent, &last, inode, node, self.stamp);
        changed(inode)
    }

    /// All or none.
    fn batch(&mut self, ops: &[Op]) -> Result<Ran> {
        let before = self.tree.clone();
        let mut events = 0;
        let mut last = 0;
        for op in ops {
            let mut call = Call {
                tree: &mut *self.tree,
                stamp: self.stamp,
                agent: self.agent,
                events_before: self.events_before + events,
                is_open: self.is_open,
            };
            match call.run(op) {
                Ok(ran) => {
                    events += ran.events;
                    last = ran.inode;
                }
                Err(reason) => {
                    *self.tree = before;
                    return Err(reason);
                }
            }
        }
        Ok(Ran { inode: last, changed: events > 0, events })
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
            Detail::Link(_) | Detail::Node { .. } => Err(Reason::Invalid),
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

    fn rename(&mut self, from: &Name, to: &Name, mode: RenameMode) -> Result<Ran> {
        let (from_parent, from_name, moved) = self.existing(from)?;
        let (to_parent, to_name, target) = self.tree.named(to)?;
        let directory = self.tree.get(moved)?.is_directory();
        if mode == RenameMode::Exchange {
            let other = target.ok_or(Reason::NotFound)?;
            if other == moved {
                return nothing(moved);
            }
            let below =
                |inode: u64, parent: u64| self.tree.nodes[&inode].is_directory() && self.tree.is_below(parent, inode);
            if from_parent != to_parent && (below(moved, to_parent) || below(other, from_parent)) {
                return Err(Reason::Invalid);
            }
            self.tree.exchange((from_parent, &from_name), (to_parent, &to_name), self.stamp);
            return changed(moved);
        }
        if let Some(target) = target {
            if mode == RenameMode::NoReplace {
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
