//! The part of a sidecar that answers which records of the segment are about something. A sidecar written by a release
//! that did not know it has none.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::env::DiskFile;
use crate::event::{About, Term};
use crate::ids::{Inode, Seq};

use super::bitmaps::{self, Bitmaps};
use super::blocks::Blocks;
use super::postings::{self, Postings};
use super::{Section, SectionKind, Sidecar, SidecarError};

/// Where the sections are.
#[derive(Clone, Copy, Debug)]
pub(super) struct History {
    bitmaps: Bitmaps,
    postings: Postings,
}

impl History {
    /// `None` where there is none of the sections.
    pub(super) fn find(first_seq: Seq, records: u32, sections: &[Section]) -> Result<Option<History>, SidecarError> {
        let one = |kind: SectionKind| {
            let mut of_kind = sections.iter().filter(move |s| s.kind == kind as u16);
            (of_kind.next(), of_kind.next())
        };
        let kinds = [
            SectionKind::Terms,
            SectionKind::Bitmaps,
            SectionKind::Postings,
            SectionKind::PostingsIndex,
            SectionKind::InodeFilter,
        ];
        let found = kinds.map(one);
        if found.iter().all(|(first, _)| first.is_none()) {
            return Ok(None);
        }
        let damaged = SidecarError::Damaged("a section is missing or there twice");
        let mut whole = Vec::with_capacity(kinds.len());
        for (kind, pair) in kinds.into_iter().zip(found) {
            match pair {
                (Some(s), None) => whole.push(Blocks { first_seq, kind, offset: s.offset, length: s.length }),
                _ => return Err(damaged),
            }
        }
        let [directory, maps, postings, sparse, filter] = whole[..] else { return Err(damaged) };
        let bitmaps = Bitmaps { directory, offset: maps.offset, length: maps.length, records };
        Ok(Some(History { bitmaps, postings: Postings { postings, sparse, filter, records } }))
    }
}

impl Sidecar {
    /// Can it be asked which records are about something?
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.history.is_some()
    }

    fn history(&self) -> Result<(&History, &dyn DiskFile), SidecarError> {
        let history = self.history.as_ref().ok_or(SidecarError::Missing)?;
        Ok((history, &*self.file))
    }

    /// Places of the records that have `term`, counted from the segment's first, perhaps with some that have not. Every
    /// byte that the answer depends on was checked.
    pub(crate) fn records_with(&self, term: Term) -> Result<RoaringBitmap, SidecarError> {
        let (history, file) = self.history()?;
        history.bitmaps.find(file, term)
    }

    /// Places of the records about `inode`. Every byte that the answer depends on was checked.
    pub(crate) fn records_about(&self, inode: Inode) -> Result<RoaringBitmap, SidecarError> {
        let (history, file) = self.history()?;
        let mut records = RoaringBitmap::new();
        history.postings.find(file, inode, |place| {
            records.insert(place);
        })?;
        Ok(records)
    }

    /// Does it say of its segment's records what `gathered` does? True where it says nothing.
    pub(crate) fn says(&self, gathered: &Gathered) -> Result<bool, SidecarError> {
        let Ok((history, file)) = self.history() else { return Ok(true) };
        Ok(history.postings.are(file, &gathered.postings(self.first_seq))?
            && history.bitmaps.all(file)? == gathered.by_term)
    }
}

/// What the records of a segment are about, gathered in their order.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    records: u32,
    by_term: BTreeMap<Term, RoaringBitmap>,
    postings: Vec<(Inode, u32)>,
}

impl Gathered {
    /// The next record.
    pub fn push(&mut self, about: &About) {
        let place = self.records;
        self.records += 1;
        for term in &about.terms {
            self.by_term.entry(*term).or_default().insert(place);
        }
        self.postings.extend(about.inodes.iter().map(|inode| (*inode, place)));
    }

    pub(crate) fn records(&self) -> u32 {
        self.records
    }

    fn postings(&self, first_seq: Seq) -> postings::Encoded {
        let mut sorted = self.postings.clone();
        sorted.sort_unstable();
        postings::encode(first_seq, &sorted)
    }

    /// The sections, in their order.
    pub(super) fn sections(&self, first_seq: Seq) -> [(SectionKind, Vec<u8>); 5] {
        let (directory, bitmaps) = bitmaps::encode(first_seq, &self.by_term);
        let encoded = self.postings(first_seq);
        [
            (SectionKind::Terms, directory),
            (SectionKind::Bitmaps, bitmaps),
            (SectionKind::Postings, encoded.postings),
            (SectionKind::PostingsIndex, encoded.sparse),
            (SectionKind::InodeFilter, encoded.filter),
        ]
    }
}
