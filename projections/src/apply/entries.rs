//! Names and attributes.

use nexus_log::event::{Attached, AttributesSet, Exchanged, LinkName, Renamed};
use nexus_log::ids::Inode;

use super::{Applied, Fold};
use crate::loads::Prior;
use crate::row::{DentryRow, FileKind, InodeRow, TimesRow};
use crate::table::RowKey;

impl<P: Prior> Fold<'_, P> {
    /// A new inode under its first name.
    pub(super) fn create_entry(&mut self, inode: Inode, parent: Inode, name: &[u8], row: InodeRow) -> Applied<P> {
        let kind = row.kind;
        let row = InodeRow { parent, name: name.to_vec(), ..row };
        self.rows.create(RowKey::inode(inode), row.encode())?;
        self.add_entry(parent, name, DentryRow { inode, kind })
    }

    fn add_entry(&mut self, parent: Inode, name: &[u8], dentry: DentryRow) -> Applied<P> {
        self.rows.put(RowKey::dentry(parent, name), dentry.encode())?;
        let directory = u64::from(dentry.kind == FileKind::Directory);
        self.change_directory(parent, |times| {
            times.entries += 1;
            times.subdirectories += directory;
        })
    }

    pub(super) fn remove_entry(&mut self, parent: Inode, name: &[u8], kind: FileKind) -> Applied<P> {
        self.rows.remove(RowKey::dentry(parent, name))?;
        let directory = u64::from(kind == FileKind::Directory);
        self.change_directory(parent, |times| {
            times.entries = times.entries.saturating_sub(1);
            times.subdirectories = times.subdirectories.saturating_sub(directory);
        })
    }

    /// A directory's entries changed.
    fn change_directory(&mut self, directory: Inode, change: impl FnOnce(&mut TimesRow)) -> Applied<P> {
        let Some(mut times) = self.rows.times(directory)? else { return Ok(()) };
        change(&mut times);
        times.mtime = self.time;
        times.ctime = self.time;
        times.version += 1;
        self.rows.put(RowKey::times(directory), times.encode())
    }

    pub(super) fn remove_directory(&mut self, inode: Inode) -> Applied<P> {
        self.rows.remove(RowKey::times(inode))?;
        self.rows.remove(RowKey::inode(inode))
    }

    /// An attribute changed: ctime and version.
    pub(super) fn touch(&mut self, inode: Inode) -> Applied<P> {
        self.change_inode(inode, |_, _| {})
    }

    /// Changes an inode's row, and a directory's times with it.
    fn change_inode(&mut self, inode: Inode, change: impl FnOnce(&mut InodeRow, Option<&mut TimesRow>)) -> Applied<P> {
        let Some(mut row) = self.rows.inode(inode)? else { return Ok(()) };
        let before = row.clone();
        let times = if row.kind == FileKind::Directory { self.rows.times(inode)? } else { None };
        if let Some(mut times) = times {
            change(&mut row, Some(&mut times));
            times.ctime = self.time;
            times.version += 1;
            self.rows.put(RowKey::times(inode), times.encode())?;
        } else {
            change(&mut row, None);
            row.ctime = self.time;
            row.version += 1;
        }
        if row == before { Ok(()) } else { self.rows.put(RowKey::inode(inode), row.encode()) }
    }

    pub(super) fn link(&mut self, inode: Inode, parent: Inode, name: &[u8]) -> Applied<P> {
        let Some(row) = self.rows.inode(inode)? else { return Ok(()) };
        self.change_inode(inode, |row, _| row.nlink += 1)?;
        self.rows.put(RowKey::link(inode, parent, name), Vec::new())?;
        self.add_entry(parent, name, DentryRow { inode, kind: row.kind })
    }

    /// `inode` lost the name (`parent`, `name`); the dentry is gone already.
    pub(super) fn drop_link(
        &mut self,
        inode: Inode,
        parent: Inode,
        name: &[u8],
        promoted: Option<&LinkName>,
        orphaned: bool,
    ) -> Applied<P> {
        let Some(row) = self.rows.inode(inode)? else { return Ok(()) };
        if row.nlink <= 1 && !orphaned {
            return self.rows.remove(RowKey::inode(inode));
        }
        if row.nlink <= 1 {
            self.rows.create(RowKey::orphan(inode), Vec::new())?;
        } else if let Some(promoted) = promoted {
            self.rows.remove(RowKey::link(inode, Inode(promoted.parent), &promoted.name))?;
        } else {
            self.rows.remove(RowKey::link(inode, parent, name))?;
        }
        self.change_inode(inode, |row, _| {
            row.nlink = row.nlink.saturating_sub(1);
            if let Some(promoted) = promoted {
                row.parent = Inode(promoted.parent);
                row.name.clone_from(&promoted.name);
            }
        })
    }

    pub(super) fn rename(&mut self, e: &Renamed) -> Applied<P> {
        let inode = Inode(e.inode);
        let (from, to) = (Inode(e.from_parent), Inode(e.to_parent));
        let Some(row) = self.rows.inode(inode)? else { return Ok(()) };
        if e.replaced != 0 {
            self.replace(e)?;
        }
        self.remove_entry(from, &e.from_name, row.kind)?;
        self.add_entry(to, &e.to_name, DentryRow { inode, kind: row.kind })?;
        self.move_link(inode, (from, &e.from_name), (to, &e.to_name))
    }

    /// The dentry of one of the inode's names moved: so does its link.
    fn move_link(&mut self, inode: Inode, from: (Inode, &[u8]), to: (Inode, &[u8])) -> Applied<P> {
        let Some(row) = self.rows.inode(inode)? else { return Ok(()) };
        let first = row.parent == from.0 && row.name == from.1;
        if !first {
            self.rows.remove(RowKey::link(inode, from.0, from.1))?;
            self.rows.put(RowKey::link(inode, to.0, to.1), Vec::new())?;
        }
        self.change_inode(inode, |row, _| {
            if first {
                row.parent = to.0;
                row.name = to.1.to_vec();
            }
        })
    }

    pub(super) fn exchange(&mut self, e: &Exchanged) -> Applied<P> {
        let (inode, other) = (Inode(e.inode), Inode(e.other));
        let (Some(row), Some(other_row)) = (self.rows.inode(inode)?, self.rows.inode(other)?) else { return Ok(()) };
        let (here, there) = ((Inode(e.parent), &e.name[..]), (Inode(e.other_parent), &e.other_name[..]));
        self.remove_entry(here.0, here.1, row.kind)?;
        self.remove_entry(there.0, there.1, other_row.kind)?;
        self.add_entry(there.0, there.1, DentryRow { inode, kind: row.kind })?;
        self.add_entry(here.0, here.1, DentryRow { inode: other, kind: other_row.kind })?;
        self.move_link(inode, here, there)?;
        self.move_link(other, there, here)
    }

    pub(super) fn attach(&mut self, e: &Attached) -> Applied<P> {
        let inode = Inode(e.inode);
        self.rows.remove(RowKey::orphan(inode))?;
        self.add_entry(Inode(e.parent), &e.name, DentryRow { inode, kind: FileKind::Directory })?;
        self.change_inode(inode, |row, _| {
            row.parent = Inode(e.parent);
            row.name.clone_from(&e.name);
            row.nlink = 1;
        })
    }

    /// The inode that had the target name of a rename loses it.
    fn replace(&mut self, e: &Renamed) -> Applied<P> {
        let (inode, parent) = (Inode(e.replaced), Inode(e.to_parent));
        let Some(row) = self.rows.inode(inode)? else { return Ok(()) };
        self.remove_entry(parent, &e.to_name, row.kind)?;
        if row.kind == FileKind::Directory {
            return self.remove_directory(inode);
        }
        self.drop_link(inode, parent, &e.to_name, e.replaced_promoted.as_ref(), e.replaced_orphaned)
    }

    pub(super) fn set_attributes(&mut self, e: &AttributesSet) -> Applied<P> {
        self.change_inode(Inode(e.inode), |row, times| {
            row.mode = e.mode.unwrap_or(row.mode);
            row.uid = e.uid.unwrap_or(row.uid);
            row.gid = e.gid.unwrap_or(row.gid);
            if let Some(mime) = &e.mime {
                row.mime.clone_from(mime);
            }
            let (mtime, atime) = match times {
                Some(times) => (&mut times.mtime, &mut times.atime),
                None => (&mut row.mtime, &mut row.atime),
            };
            *mtime = e.mtime.unwrap_or(*mtime);
            *atime = e.atime.unwrap_or(*atime);
        })
    }
}
