//! The events of a log on the model. Content is read from the log, each chunk against its hash.

use nexus_log::event::{Event, FileContent, ForeignChunk, Piece};
use nexus_log::ids::{ChunkHash, ChunkRef, Seq};
use nexus_log::log::{Log, ReadError};
use nexus_log::record::Record;
use std::collections::BTreeMap;

use super::{Content, Detail, Node, ROOT, Stamp, Tree};

/// A fold of the log into a tree.
pub struct Replay {
    log: Log,
    pub tree: Tree,
    /// Bodies that no file has yet.
    unattached: BTreeMap<u64, Content>,
}

impl Replay {
    #[must_use]
    pub fn new(log: Log) -> Replay {
        Replay { log, tree: Tree::default(), unattached: BTreeMap::new() }
    }

    /// Folds the records from `from` to `to`, and shows the tree behind each.
    pub fn run(&mut self, from: Seq, to: Seq, mut visit: impl FnMut(&Record, &Tree)) -> Result<(), ReadError> {
        for record in self.log.records(from) {
            let record = record?;
            if record.seq > to {
                break;
            }
            for event in &record.events {
                self.event(&record, event)?;
            }
            visit(&record, &self.tree);
        }
        Ok(())
    }

    fn lay(
        &self,
        content: &mut Content,
        record: &Record,
        pieces: &[Piece],
        foreign: &[ForeignChunk],
    ) -> Result<(), ReadError> {
        for piece in pieces {
            let index = piece.chunk as usize;
            let chunk = record.chunk_ref(index).unwrap_or_else(|| {
                let f = &foreign[index - record.chunks.len()];
                ChunkRef { seq: Seq(f.seq), offset: f.offset, length: f.length, hash: ChunkHash(f.hash) }
            });
            let bytes = self.log.chunk(&chunk)?;
            let skip = piece.skip as usize;
            content.write(piece.file_offset, &bytes[skip..skip + piece.length as usize]);
        }
        Ok(())
    }

    /// The content after `said` came over `before`.
    fn content(&mut self, before: Content, record: &Record, said: &FileContent) -> Result<Content, ReadError> {
        let mut content = match self.unattached.remove(&said.body) {
            Some(stored) => stored,
            None => before,
        };
        self.lay(&mut content, record, &said.pieces, &said.foreign)?;
        content.truncate(said.size);
        Ok(content)
    }

    fn event(&mut self, record: &Record, event: &Event) -> Result<(), ReadError> {
        let stamp = Stamp { seq: record.seq, time: record.commit_time.0 as i64 };
        let owner = &record.context.agent;
        let tree = &mut self.tree;
        match event {
            Event::ZoneCreated(e) => {
                let root = Node::new(Detail::Directory(BTreeMap::new()), owner, stamp);
                let root = Node { mode: e.mode, uid: e.uid, gid: e.gid, ..root };
                tree.nodes.insert(ROOT, root.into());
            }
            Event::FileCreated(e) => {
                let content = self.content(Content::default(), record, &e.content)?;
                let mut node = Node::new(Detail::File(content), owner, stamp);
                (node.mode, node.uid, node.gid) = (e.mode, e.uid, e.gid);
                node.mtime = e.mtime.unwrap_or(stamp.time);
                node.atime = e.atime.unwrap_or(stamp.time);
                self.tree.create(e.parent, &e.name, e.inode, node, stamp);
            }
            Event::DirectoryCreated(e) => {
                let node = Node::new(Detail::Directory(BTreeMap::new()), owner, stamp);
                let node = Node { mode: e.mode, uid: e.uid, gid: e.gid, ..node };
                tree.create(e.parent, &e.name, e.inode, node, stamp);
            }
            Event::SymlinkCreated(e) => {
                let node = Node::new(Detail::Link(e.target.clone()), owner, stamp);
                let mtime = e.mtime.unwrap_or(stamp.time);
                tree.create(e.parent, &e.name, e.inode, Node { uid: e.uid, gid: e.gid, mtime, ..node }, stamp);
            }
            Event::NodeCreated(e) => {
                let kind = nexus_projections::row::FileKind::from_code(e.kind).expect("a kind of this release");
                let mut node = Node::new(Detail::Node { kind, device: e.device }, owner, stamp);
                (node.mode, node.uid, node.gid) = (e.mode, e.uid, e.gid);
                node.mtime = e.mtime.unwrap_or(stamp.time);
                tree.create(e.parent, &e.name, e.inode, node, stamp);
            }
            Event::Exchanged(e) => {
                tree.exchange((e.parent, &e.name), (e.other_parent, &e.other_name), stamp);
            }
            Event::DetachedCreated(e) => {
                let node = Node::new(Detail::Directory(BTreeMap::new()), owner, stamp);
                let node = Node { mode: e.mode, uid: e.uid, gid: e.gid, links: 0, ..node };
                tree.nodes.insert(e.inode, node.into());
            }
            Event::Attached(e) => {
                tree.change(e.inode, stamp).links = 1;
                tree.enter(e.parent, &e.name, e.inode, stamp);
            }
            Event::Linked(e) => {
                tree.change(e.inode, stamp).links += 1;
                tree.enter(e.parent, &e.name, e.inode, stamp);
            }
            Event::Unlinked(e) => {
                assert_eq!(tree.leave(e.parent, &e.name, stamp), e.inode, "{e:?}");
                tree.drop_name(e.inode, e.orphaned, stamp);
            }
            Event::DirectoryRemoved(e) => {
                assert_eq!(tree.leave(e.parent, &e.name, stamp), e.inode, "{e:?}");
                tree.nodes.remove(&e.inode);
            }
            Event::Renamed(e) => {
                let (from, to) = ((e.from_parent, &e.from_name[..]), (e.to_parent, &e.to_name[..]));
                tree.rename(from, to, e.replaced_orphaned, stamp);
            }
            Event::AttributesSet(e) => {
                let node = tree.change(e.inode, stamp);
                node.mode = e.mode.unwrap_or(node.mode);
                node.uid = e.uid.unwrap_or(node.uid);
                node.gid = e.gid.unwrap_or(node.gid);
                node.mtime = e.mtime.unwrap_or(node.mtime);
                node.atime = e.atime.unwrap_or(node.atime);
                node.mime = e.mime.clone().unwrap_or(std::mem::take(&mut node.mime));
            }
            Event::XattrSet(e) => {
                tree.change(e.inode, stamp).xattrs.insert(e.name.clone(), e.value.clone());
            }
            Event::XattrRemoved(e) => {
                tree.change(e.inode, stamp).xattrs.remove(&e.name).expect("it was there");
            }
            Event::ContentStored(e) => {
                let mut body = self.unattached.remove(&e.body).unwrap_or_default();
                self.lay(&mut body, record, &e.pieces, &e.foreign)?;
                self.unattached.insert(e.body, body);
            }
            Event::Written(e) => {
                let content = tree.content_mut(e.inode, stamp);
                let before = if e.replace { Content::default() } else { std::mem::take(content) };
                let after = self.content(before, record, &e.content)?;
                *self.tree.content_mut(e.inode, stamp) = after;
            }
            Event::Punched(e) => tree.content_mut(e.inode, stamp).punch(e.offset, e.length),
            Event::Truncated(e) => tree.content_mut(e.inode, stamp).truncate(e.size),
            Event::OrphansReleased(e) => e.inodes.iter().for_each(|inode| {
                let gone = tree.nodes.remove(inode).expect("an orphan lives until it is released");
                assert_eq!(gone.links, 0, "inode {inode} still had a name");
            }),
            Event::RequestAnswered(_)
            | Event::Recovered(_)
            | Event::AuditGap(_)
            | Event::TimeClosed(_)
            | Event::ClockHeld(_)
            | Event::ClockConfirmed(_)
            | Event::PolicySet(_)
            | Event::UsageCounted(_)
            | Event::Accessed(_)
            | Event::Refused(_)
            | Event::RefusalsCounted(_) => {}
        }
        Ok(())
    }
}
