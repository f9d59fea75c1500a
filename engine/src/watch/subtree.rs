//! What lies below a directory: decided at the record's own position and at the one before it, so that what enters
//! and what leaves is seen.
//!
//! Verdicts on directories are kept from record to record: they change only where the directory or one above it is
//! renamed, exchanged or attached, and end with the directory. Whoever has a verdict here has every directory above it here too, up to the
//! watched one or the root; so a rename of a directory without a verdict changes none.

use std::collections::BTreeMap;

use nexus_log::event::Event;
use nexus_log::ids::{Inode, Seq};
use nexus_log::record::Record;
use nexus_projections::row::{FileKind, InodeRow, RowError};
use nexus_projections::table::{RowKey, RowRange, Table};
use nexus_projections::view::View as TableView;

use super::about::About;
use crate::error::Result;
use crate::limits::{DEPTH_MAX, SUBTREE_DIRECTORIES_MAX};
use crate::view::{At, View};
use crate::zone::Zone;
use crate::zone::errors::{damaged, store_error};

pub(super) struct Subtree {
    top: Inode,
    /// Directories, and whether they are below `top` as of the last record looked at.
    known: BTreeMap<Inode, bool>,
}

/// One record's question: its two positions, opened where they are needed, and what it says itself.
struct Question<'a> {
    zone: &'a Zone,
    seq: Seq,
    before: Option<View>,
    after: Option<View>,
    /// Names given or taken in the record, for what is there in neither position.
    names: Vec<(Inode, Inode)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl Question<'_> {
    fn view(&mut self, side: Side) -> Result<Option<&View>> {
        let (slot, seq) = match side {
            Side::Before if self.seq <= self.zone.log().first() => return Ok(None),
            Side::Before => (&mut self.before, self.seq.prev()),
            Side::After => (&mut self.after, self.seq),
        };
        if slot.is_none() {
            *slot = Some(self.zone.view(At::Exactly(seq))?);
        }
        Ok(slot.as_ref())
    }
}

impl Subtree {
    pub(super) fn new(top: Inode) -> Subtree {
        Subtree { top, known: BTreeMap::new() }
    }

    /// Of the events at `indexes`, keeps those about something below the directory. To be told every record in order,
    /// also those of which no event is asked about.
    pub(super) fn keep(&mut self, zone: &Zone, record: &Record, indexes: Vec<u16>) -> Result<Vec<u16>> {
        if indexes.is_empty() {
            self.forget_what_changes(record);
            return Ok(indexes);
        }
        let names = record.events.iter().flat_map(|event| About::of(event).names).collect();
        let mut question = Question { zone, seq: record.seq, before: None, after: None, names };
        let asked: Vec<(u16, Vec<Inode>)> = indexes
            .iter()
            .map(|index| (*index, About::of(&record.events[usize::from(*index)]).all().collect()))
            .collect();
        let mut verdicts: BTreeMap<Inode, bool> = BTreeMap::new();
        let mut every: Vec<Inode> = asked.iter().flat_map(|(_, inodes)| inodes.iter().copied()).collect();
        every.extend(question.names.iter().map(|(_, directory)| *directory));
        every.sort_unstable();
        every.dedup();
        for side in [Side::Before, Side::After] {
            if side == Side::After {
                self.forget_what_changes(record);
            }
            for inode in &every {
                if !verdicts.get(inode).is_some_and(|below| *below) {
                    let below = self.is_below(&mut question, side, *inode)?;
                    verdicts.insert(*inode, below);
                }
            }
        }
        follow_names(question.names, &mut verdicts);
        let below = |inodes: &[Inode]| inodes.iter().any(|inode| verdicts.get(inode) == Some(&true));
        Ok(asked.into_iter().filter(|(_, inodes)| below(inodes)).map(|(index, _)| index).collect())
    }

    fn forget_what_changes(&mut self, record: &Record) {
        for event in &record.events {
            match event {
                Event::Renamed(e) => {
                    self.forget_if_known(&[e.inode]);
                    self.known.remove(&Inode(e.replaced));
                }
                Event::Exchanged(e) => self.forget_if_known(&[e.inode, e.other]),
                Event::Attached(e) => self.forget_if_known(&[e.inode]),
                // It was empty, so nothing known hangs on it; a refusal may still name it.
                Event::DirectoryRemoved(e) => drop(self.known.remove(&Inode(e.inode))),
                _ => {}
            }
        }
    }

    /// One of these directories is elsewhere now, and all below it.
    fn forget_if_known(&mut self, inodes: &[u64]) {
        if inodes.iter().any(|inode| self.known.contains_key(&Inode(*inode))) {
            self.known.clear();
        }
    }

    fn is_below(&mut self, question: &mut Question<'_>, side: Side, inode: Inode) -> Result<bool> {
        if inode == self.top {
            return Ok(true);
        }
        if let Some(below) = self.known.get(&inode) {
            return Ok(*below);
        }
        let Some(view) = question.view(side)? else { return Ok(false) };
        let rows = view.rows();
        let Some(row) = inode_row(rows, inode)? else { return Ok(false) };
        if row.kind == FileKind::Directory {
            return self.directory_is_below(rows, inode, &row);
        }
        if row.nlink == 0 {
            return Ok(false);
        }
        if self.parent_is_below(rows, row.parent)? {
            return Ok(true);
        }
        if row.nlink > 1 {
            for link in rows.scan(&RowRange::of_id(Table::Link, inode.0)) {
                let (key, _) = link.map_err(store_error)?;
                let parent = key.bytes.get(8..16).and_then(<[u8]>::first_chunk::<8>);
                let parent = parent.ok_or_else(|| damaged(RowError { table: "link" }))?;
                if self.parent_is_below(rows, Inode(u64::from_be_bytes(*parent)))? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn parent_is_below(&mut self, rows: &TableView, parent: Inode) -> Result<bool> {
        if parent == self.top {
            return Ok(true);
        }
        if let Some(below) = self.known.get(&parent) {
            return Ok(*below);
        }
        match inode_row(rows, parent)? {
            Some(row) => self.directory_is_below(rows, parent, &row),
            None => Ok(false),
        }
    }

    /// Walks up to the watched directory, to one that is known, or to the root, and keeps what that says of all passed.
    fn directory_is_below(&mut self, rows: &TableView, directory: Inode, row: &InodeRow) -> Result<bool> {
        let mut passed = vec![directory];
        let mut parent = row.parent;
        let below = loop {
            let here = *passed.last().expect("it begins with one");
            if here == Inode::ROOT {
                break false;
            }
            if parent == self.top {
                break true;
            }
            if let Some(below) = self.known.get(&parent) {
                break *below;
            }
            let above = inode_row(rows, parent)?;
            let Some(above) = above.filter(|_| passed.len() <= DEPTH_MAX) else {
                // It hangs in nothing that is there: no verdict is kept of that.
                return Ok(false);
            };
            passed.push(parent);
            parent = above.parent;
        };
        if self.known.len() + passed.len() > SUBTREE_DIRECTORIES_MAX {
            self.known.clear();
            // What was known above may have been the end of this walk, so none of it is kept.
            return Ok(below);
        }
        self.known.extend(passed.into_iter().map(|directory| (directory, below)));
        Ok(below)
    }
}

/// What is made and gone within one record hangs on the names that the record itself gave.
fn follow_names(mut names: Vec<(Inode, Inode)>, verdicts: &mut BTreeMap<Inode, bool>) {
    loop {
        let before = names.len();
        names.retain(|(child, directory)| {
            let hangs = verdicts.get(directory) == Some(&true);
            if hangs {
                verdicts.insert(*child, true);
            }
            !hangs
        });
        if names.len() == before {
            return;
        }
    }
}

fn inode_row(rows: &TableView, inode: Inode) -> Result<Option<InodeRow>> {
    let version = rows.get(&RowKey::inode(inode)).map_err(store_error)?;
    version.map(|version| InodeRow::decode(&version.value).map_err(damaged)).transpose()
}
