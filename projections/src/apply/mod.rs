//! `apply(record, prior) -> write set`: what a record does to the tables.
//!
//! Pure, total and deterministic (L5): the same for the sequencer, recovery, followers, rebuild and an auditor. It
//! uses no rules: the record holds what was decided, `prior` the rows just before it. An event that names rows which
//! are not there changes what is there and nothing else.

pub mod content;
mod entries;
mod rows;
mod zone;

use std::sync::Arc;

use nexus_log::event::{Context, Event};
use nexus_log::ids::{Body, ChunkRef, CommitTime, Inode, Seq};
use nexus_log::limits::CHUNK_BYTES_MAX;
use nexus_log::record::{Chunk, Record};

pub use rows::ApplyError;
use rows::Rows;

use crate::loads::{DecodedRow, Prior, decoded};
use crate::put::{Version, WriteSet};
use crate::row::{ChunkRow, ClockRow, Content, DedupeRow, DentryRow, FileKind, InodeRow, SettingsRow, TimesRow};
use crate::table::{RowKey, RowRange};

/// Chunks from this size on are entered in the deduplication index.
pub const INDEXED_CHUNK_BYTES_MIN: u32 = 4096;
const _: () = assert!((INDEXED_CHUNK_BYTES_MIN as usize) < CHUNK_BYTES_MAX);

/// What `record` changes, given the rows before it. Fails only where `prior` cannot give a row.
pub fn apply<P: Prior>(record: &Record, prior: &P) -> Result<WriteSet, ApplyError<P::Miss>> {
    let mut fold = Fold::new(Origin::of(record), prior);
    fold.index_chunks()?;
    for event in &record.events {
        fold.event(event)?;
    }
    Ok(WriteSet { seq: record.seq, puts: fold.rows.into_puts() })
}

/// What events take from the record they stand in.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub seq: Seq,
    pub commit_time: CommitTime,
    pub context: &'a Context,
    /// The payload's chunks, in order.
    pub chunks: &'a [Chunk],
}

impl<'a> Origin<'a> {
    fn of(record: &'a Record) -> Origin<'a> {
        Origin { seq: record.seq, commit_time: record.commit_time, context: &record.context, chunks: &record.chunks }
    }

    fn chunk_ref(&self, index: usize) -> Option<ChunkRef> {
        let chunk = self.chunks.get(index)?;
        Some(ChunkRef { seq: self.seq, offset: chunk.offset, length: chunk.length, hash: chunk.hash })
    }
}

/// The rows as they are after some events of a record: events go in one by one, and what decides on the next one reads
/// the rows that they left.
pub struct Fold<'a, P: Prior> {
    origin: Origin<'a>,
    /// The commit time as a file's time.
    time: i64,
    rows: Rows<'a, P>,
}

type Applied<P> = Result<(), ApplyError<<P as Prior>::Miss>>;

impl<P: Prior> Prior for Fold<'_, P> {
    type Miss = P::Miss;

    fn get(&self, key: &RowKey) -> Result<Option<Version>, P::Miss> {
        self.rows.version(key, self.origin.seq)
    }

    fn range(&self, range: &RowRange) -> Result<Vec<(RowKey, Version)>, P::Miss> {
        self.rows.versions(range, self.origin.seq)
    }

    fn last(&self, range: &RowRange) -> Result<Option<(RowKey, Version)>, P::Miss> {
        self.rows.last_version(range, self.origin.seq)
    }

    fn inode(&self, inode: Inode) -> DecodedRow<Arc<InodeRow>, P::Miss> {
        let key = RowKey::inode(inode);
        self.rows.untouched(&key).map_or_else(|| decoded(self.get(&key)), |prior| prior.inode(inode))
    }

    fn times(&self, directory: Inode) -> DecodedRow<TimesRow, P::Miss> {
        let key = RowKey::times(directory);
        self.rows.untouched(&key).map_or_else(|| decoded(self.get(&key)), |prior| prior.times(directory))
    }

    fn dentry(&self, parent: Inode, name: &[u8]) -> DecodedRow<DentryRow, P::Miss> {
        let key = RowKey::dentry(parent, name);
        self.rows.untouched(&key).map_or_else(|| decoded(self.get(&key)), |prior| prior.dentry(parent, name))
    }
}

impl<'a, P: Prior> Fold<'a, P> {
    #[must_use]
    pub fn new(origin: Origin<'a>, prior: &'a P) -> Fold<'a, P> {
        Fold { origin, time: origin.commit_time.0 as i64, rows: Rows::new(prior) }
    }

    /// Rows that the events so far change.
    #[must_use]
    pub fn changed_rows(&self) -> usize {
        self.rows.changed()
    }

    /// Takes the record's next event in.
    pub fn event(&mut self, event: &Event) -> Result<(), ApplyError<P::Miss>> {
        match event {
            Event::ZoneCreated(e) => {
                let root = InodeRow { mode: e.mode, uid: e.uid, gid: e.gid, ..self.fresh(FileKind::Directory) };
                let root = InodeRow { parent: Inode::ROOT, ..root };
                self.rows.create(RowKey::inode(Inode::ROOT), root.encode())?;
                self.rows.create(RowKey::times(Inode::ROOT), self.fresh_times().encode())?;
                let settings = SettingsRow { name: e.name.clone(), created: self.origin.commit_time.0 };
                self.rows.create(RowKey::zone_settings(), settings.encode())
            }
            Event::FileCreated(e) => {
                let content = self.content_after(Content::None, 0, &e.content)?;
                let row = InodeRow {
                    mode: e.mode,
                    uid: e.uid,
                    gid: e.gid,
                    mtime: e.mtime.unwrap_or(self.time),
                    atime: e.atime.unwrap_or(self.time),
                    size: e.content.size,
                    content,
                    content_id: e.content.content_id.map(nexus_log::ids::ChunkHash),
                    ..self.fresh(FileKind::Regular)
                };
                self.create_entry(Inode(e.inode), Inode(e.parent), &e.name, row)
            }
            Event::DirectoryCreated(e) => {
                let row = InodeRow { mode: e.mode, uid: e.uid, gid: e.gid, ..self.fresh(FileKind::Directory) };
                self.rows.create(RowKey::times(Inode(e.inode)), self.fresh_times().encode())?;
                self.create_entry(Inode(e.inode), Inode(e.parent), &e.name, row)
            }
            Event::SymlinkCreated(e) => {
                let row = InodeRow {
                    mode: 0o777,
                    uid: e.uid,
                    gid: e.gid,
                    mtime: e.mtime.unwrap_or(self.time),
                    size: e.target.len() as u64,
                    target: e.target.clone(),
                    ..self.fresh(FileKind::Link)
                };
                self.create_entry(Inode(e.inode), Inode(e.parent), &e.name, row)
            }
            Event::NodeCreated(e) => {
                // Of a kind that this release does not know nothing can be shown; the record still says it.
                let Some(kind) = FileKind::from_code(e.kind) else { return Ok(()) };
                let row = InodeRow {
                    mode: e.mode,
                    uid: e.uid,
                    gid: e.gid,
                    mtime: e.mtime.unwrap_or(self.time),
                    device: e.device,
                    ..self.fresh(kind)
                };
                self.create_entry(Inode(e.inode), Inode(e.parent), &e.name, row)
            }
            Event::Linked(e) => self.link(Inode(e.inode), Inode(e.parent), &e.name),
            Event::Unlinked(e) => {
                self.remove_entry(Inode(e.parent), &e.name, FileKind::Regular)?;
                self.drop_link(Inode(e.inode), Inode(e.parent), &e.name, e.promoted.as_ref(), e.orphaned)
            }
            Event::DirectoryRemoved(e) => {
                self.remove_entry(Inode(e.parent), &e.name, FileKind::Directory)?;
                self.remove_directory(Inode(e.inode))
            }
            Event::Renamed(e) => self.rename(e),
            Event::Exchanged(e) => self.exchange(e),
            Event::DetachedCreated(e) => {
                let row = InodeRow { mode: e.mode, uid: e.uid, gid: e.gid, ..self.fresh(FileKind::Directory) };
                let row = InodeRow { nlink: 0, ..row };
                self.rows.create(RowKey::inode(Inode(e.inode)), row.encode())?;
                self.rows.create(RowKey::times(Inode(e.inode)), self.fresh_times().encode())?;
                self.rows.create(RowKey::orphan(Inode(e.inode)), Vec::new())
            }
            Event::Attached(e) => self.attach(e),
            Event::AttributesSet(e) => self.set_attributes(e),
            Event::XattrSet(e) => {
                self.rows.put(RowKey::xattr(Inode(e.inode), &e.name), e.value.clone())?;
                self.touch(Inode(e.inode))
            }
            Event::XattrRemoved(e) => {
                self.rows.remove(RowKey::xattr(Inode(e.inode), &e.name))?;
                self.touch(Inode(e.inode))
            }
            Event::ContentStored(e) => self.store_unattached(Body(e.body), &e.pieces, &e.foreign),
            Event::Written(e) => self.write(e),
            Event::Truncated(e) => self.truncate(Inode(e.inode), e.size),
            Event::Punched(e) => self.punch(e),
            Event::OrphansReleased(e) => e.inodes.iter().try_for_each(|inode| {
                self.rows.remove(RowKey::orphan(Inode(*inode)))?;
                if self.rows.inode(Inode(*inode))?.is_some_and(|row| row.kind == FileKind::Directory) {
                    return self.remove_directory(Inode(*inode));
                }
                self.rows.remove(RowKey::inode(Inode(*inode)))
            }),
            Event::PolicySet(e) => self.set_policy(e),
            Event::ClockConfirmed(e) => self.rows.put(RowKey::clock(), ClockRow { wall_ns: e.wall_ns }.encode()),
            Event::UsageCounted(e) => self.count_usage(e),
            Event::RequestAnswered(e) => {
                let Some(key) = RowKey::dedupe(self.origin.context) else { return Ok(()) };
                let replies = e.replies.iter().map(|reply| (Inode(reply.inode), reply.created)).collect();
                // A row of the same name is beyond the window, and compaction may have dropped it or not.
                self.rows.create(key, DedupeRow { request: e.request, replies }.encode())
            }
            Event::Recovered(_)
            | Event::AuditGap(_)
            | Event::TimeClosed(_)
            | Event::ClockHeld(_)
            | Event::Refused(_)
            | Event::RefusalsCounted(_)
            | Event::Accessed(_) => Ok(()),
        }
    }

    /// A new inode with nothing but what every new inode has.
    fn fresh(&self, kind: FileKind) -> InodeRow {
        InodeRow {
            kind,
            nlink: 1,
            version: 1,
            mtime: self.time,
            ctime: self.time,
            atime: self.time,
            birth: self.time,
            owner: self.origin.context.agent.clone(),
            ..InodeRow::default()
        }
    }

    fn fresh_times(&self) -> TimesRow {
        TimesRow { mtime: self.time, ctime: self.time, atime: self.time, version: 1, ..TimesRow::default() }
    }

    /// Enters the record's own chunks in the deduplication index, each where it was stored first.
    fn index_chunks(&mut self) -> Applied<P> {
        let origin = self.origin;
        for chunk in origin.chunks.iter().filter(|c| c.length >= INDEXED_CHUNK_BYTES_MIN) {
            let key = RowKey::chunk(chunk.hash);
            if self.rows.get(&key)?.is_none() {
                let row = ChunkRow { seq: origin.seq, offset: chunk.offset, length: chunk.length };
                self.rows.put(key, row.encode())?;
            }
        }
        Ok(())
    }
}
