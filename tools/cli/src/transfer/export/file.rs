//! Regular files on their way to the host: whole under a temporary name first, then under their own.

use std::os::fd::OwnedFd;

use nexus_engine::Stat;
use nexus_log::ids::ChunkHash;

use super::{Exported, Exporter, Fault, Place, unfinished_name};
use crate::transfer::host::{self, Kind, Meta};
use crate::transfer::{BLOCK_BYTES, Progress, same_bytes};

impl Exporter<'_, '_> {
    /// Answers whether the directory around the file changed.
    pub(super) fn file(&mut self, place: &Place<'_>, stat: &Stat, below: &[u8]) -> Exported<bool> {
        let several = stat.nlink > 1;
        if several && let Some(first) = self.links.get(&stat.inode) {
            let first = first.clone();
            return self.link(place, stat, &first);
        }
        let old = place.old.filter(|old| old.kind == Kind::File && self.may_claim(old, stat));
        let touched = match &old {
            Some(old) if self.is_same(place, old, stat)? => {
                let changed = self.fix(place, stat, below)?;
                self.count_fixed(changed);
                false
            }
            _ => {
                self.write(place, stat, below)?;
                true
            }
        };
        if several {
            self.links.insert(stat.inode, below.to_vec());
        }
        if let Some(old) = old.filter(|old| !touched && old.nlink > 1) {
            self.claims.insert(old.id(), stat.inode);
        }
        Ok(touched)
    }

    /// A file of the host stands for one file of the zone, under however many names.
    fn may_claim(&self, old: &Meta, stat: &Stat) -> bool {
        old.nlink <= 1 || self.claims.get(&old.id()).is_none_or(|inode| *inode == stat.inode)
    }

    fn is_same(&mut self, place: &Place<'_>, old: &Meta, stat: &Stat) -> Exported<bool> {
        if old.size != stat.size {
            return Ok(false);
        }
        if !self.options.checksum {
            return Ok(old.mtime == stat.mtime);
        }
        let handle = host::open_file(place.dir, place.name)?;
        let Some(id) = stat.content_id else {
            let mut offset = 0;
            return same_bytes(self.view, self.caller, stat.inode, |buffer| {
                let read = host::read_full_at(&handle, buffer, offset)?;
                offset += read as u64;
                Ok::<usize, Fault>(read)
            });
        };
        let mut hasher = blake3::Hasher::new();
        let dense = Meta { sparse: false, ..*old };
        host::spans(&handle, &dense, &mut self.block, |span| {
            if let host::Span::Data(data) = span {
                hasher.update(data);
            }
            Ok::<(), Fault>(())
        })?;
        Ok(ChunkHash(*hasher.finalize().as_bytes()) == id)
    }

    /// Gives the file met first under `first` this name too.
    fn link(&mut self, place: &Place<'_>, stat: &Stat, first: &[u8]) -> Exported<bool> {
        let path = [&self.top.1[..], first].concat();
        let id = host::meta_at(&self.top.0, &path)?.id();
        if place.old.is_some_and(|old| old.id() == id) {
            self.report.skipped += 1;
            return Ok(false);
        }
        let unfinished = unfinished_name(stat.inode);
        self.make_way(place, &unfinished)?;
        host::link_at((&self.top.0, &path), (place.dir, &unfinished))?;
        self.publish(place, &unfinished)?;
        self.report.hard_links += 1;
        Ok(true)
    }

    /// Removes what a killed run left under the temporary name.
    fn make_way(&mut self, place: &Place<'_>, unfinished: &[u8]) -> Exported {
        super::optional(host::remove(place.dir, unfinished))?;
        Ok(())
    }

    /// Gives what is whole its own name. Only a directory has to make room first.
    fn publish(&mut self, place: &Place<'_>, unfinished: &[u8]) -> Exported {
        if place.old.is_some_and(|old| old.kind == Kind::Directory) {
            self.make_room(place)?;
        }
        Ok(host::rename(place.dir, unfinished, place.name)?)
    }

    fn write(&mut self, place: &Place<'_>, stat: &Stat, below: &[u8]) -> Exported {
        let unfinished = unfinished_name(stat.inode);
        self.make_way(place, &unfinished)?;
        let handle = host::create_file(place.dir, &unfinished)?;
        let written = self.fill(&handle, stat, below).and_then(|bytes| {
            let old = Some(host::meta_of(&handle)?);
            drop(handle);
            self.fix(&Place { dir: place.dir, name: &unfinished, old }, stat, below)?;
            self.publish(place, &unfinished)?;
            Ok(bytes)
        });
        match written {
            Ok(bytes) => {
                self.report.files += 1;
                self.report.bytes += bytes;
                Ok(())
            }
            Err(fault) => {
                // The fault is what is told; the next run removes what stays here.
                let _ = host::remove(place.dir, &unfinished);
                Err(fault)
            }
        }
    }

    /// Writes the content, holes as holes. Answers the bytes written.
    fn fill(&mut self, handle: &OwnedFd, stat: &Stat, below: &[u8]) -> Exported<u64> {
        host::set_size(handle, stat.size)?;
        let before = self.report.progress(below);
        let mut bytes = 0;
        let mut offset = 0;
        while let Some((start, end)) = self.view.next_data(self.caller, stat.inode, offset)? {
            offset = start;
            while offset < end {
                let want = BLOCK_BYTES.min((end - offset) as usize);
                let block = self.view.read(self.caller, stat.inode, offset, want)?;
                if block.is_empty() {
                    return Err(Fault::Entry(format!("it ends at {offset}, before its size of {}", stat.size)));
                }
                host::write_all_at(handle, &block, offset)?;
                offset += block.len() as u64;
                bytes += block.len() as u64;
                (self.progress)(&Progress { bytes: before.bytes + bytes, ..before });
            }
        }
        Ok(bytes)
    }
}
