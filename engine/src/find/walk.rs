//! `walk`: a whole tree in one call; and a listing with attributes.

use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use super::cursor::Cursor;
use super::walker::{Base, Guide, Judged, Progress, Step, Walker};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::limits::{READDIR_STAT_ENTRIES_MAX, WALK_ENTRIES_MAX, WALK_PAGE_BYTES_MAX, WALK_VISITS_MAX};
use crate::path::Target;
use crate::view::{DirEntry, Stat, View};

/// How to walk. The default is everything, without attributes.
#[derive(Clone, Copy, Debug)]
pub struct WalkOptions<'a> {
    /// Levels below the base; 1 is the base's own entries.
    pub depth: usize,
    /// Kinds to show; directories are entered whether they are shown or not.
    pub kinds: Option<&'a [FileKind]>,
    /// With attributes.
    pub stat: bool,
    /// Go on where an earlier page ended.
    pub after: Option<&'a Cursor>,
    /// Entries of this page; at most [`WALK_ENTRIES_MAX`].
    pub limit: usize,
}

impl Default for WalkOptions<'_> {
    fn default() -> Self {
        WalkOptions { depth: usize::MAX, kinds: None, stat: false, after: None, limit: WALK_ENTRIES_MAX }
    }
}

/// Something that a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkEntry {
    /// Names from the walk's base, `/` between them.
    pub path: Vec<u8>,
    pub inode: Inode,
    pub kind: FileKind,
    /// 1 of what stands in the base.
    pub depth: usize,
    /// Where it was asked for.
    pub stat: Option<Stat>,
}

impl WalkEntry {
    /// The last name of the path.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }
}

/// Some of what there is. It may be shorter than was asked for, or empty, and not the last: only `next` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<WalkEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// Entries of one directory, with attributes. It may be shorter than was asked for and not the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPage {
    pub entries: Vec<(DirEntry, Stat)>,
    /// The name behind which the next page begins; `None` at the end.
    pub next: Option<Vec<u8>>,
}

struct Everything<'a> {
    depth: usize,
    kinds: Option<&'a [FileKind]>,
}

impl Guide for Everything<'_> {
    fn judge(&self, step: Step<'_>) -> Judged {
        let show = self.kinds.is_none_or(|kinds| kinds.contains(&step.kind));
        Judged { show, enter: step.depth < self.depth }
    }
}

impl View {
    /// Everything below a directory, pre-order and in byte order of names, page by page. A symlink is followed where it
    /// is the base, not below.
    pub fn walk<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>, options: &WalkOptions<'_>) -> Result<Page> {
        let target = target.into();
        self.call(caller, Syscall::Walk, target, |seen| {
            let base = Base::find(self, caller, target)?;
            seen.bytes(&base.node, 0);
            if options.depth == 0 {
                return Err(Error::new(Reason::Invalid, "a walk goes at least one level deep"));
            }
            let guide = Everything { depth: options.depth, kinds: options.kinds };
            let walker = Walker::new(self, base, guide, options.after, options.limit)?;
            self.page(caller, walker, options.limit, options.stat)
        })
    }

    /// Fills a page, up to each of its bounds.
    pub(super) fn page<G: Guide>(
        &self,
        caller: &Caller,
        mut walker: Walker<'_, G>,
        limit: usize,
        with_stat: bool,
    ) -> Result<Page> {
        if limit == 0 {
            return Err(Error::new(Reason::Invalid, "a page holds at least one entry"));
        }
        let limit = limit.min(WALK_ENTRIES_MAX);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < limit && bytes < WALK_PAGE_BYTES_MAX {
            let found = match walker.next_within(WALK_VISITS_MAX)? {
                Progress::Found(found) => found,
                Progress::End => return Ok(Page { entries, next: None }),
                Progress::Paused => break,
            };
            let stat = if with_stat { Some(self.stat(caller, found.inode, false)?) } else { None };
            let path = walker.path().to_vec();
            bytes += path.len() + stat.as_ref().map_or(0, bytes_of);
            entries.push(WalkEntry { path, inode: found.inode, kind: found.kind, depth: found.depth, stat });
        }
        Ok(Page { entries, next: walker.cursor() })
    }

    /// As [`View::readdir`], with the attributes of each entry. Entries whose attributes the gate hides are left out.
    pub fn entries_with_stat<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<ListedPage> {
        let target = target.into();
        if limit == 0 {
            return Err(Error::new(Reason::Invalid, "a page holds at least one entry"));
        }
        let limit = limit.min(READDIR_STAT_ENTRIES_MAX);
        let listed = self.readdir(caller, target, after, limit)?;
        let next = (listed.len() == limit).then(|| listed.last().map(|last| last.name.clone())).flatten();
        let base = Base::find(self, caller, target)?;
        let mut entries = Vec::with_capacity(listed.len());
        for entry in listed {
            if base.watch.lets(Syscall::Stat, &entry.name, entry.inode)? {
                let stat = self.stat(caller, entry.inode, false)?;
                entries.push((entry, stat));
            }
        }
        Ok(ListedPage { entries, next })
    }
}

fn bytes_of(stat: &Stat) -> usize {
    size_of::<Stat>() + stat.owner().len() + stat.target().len() + stat.mime().len()
}
