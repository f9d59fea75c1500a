//! The one walk under every call that finds things: pre-order, names in byte order, bounded memory.
//!
//! Each directory from the base to where the walk stands is a level: the rest of a page of its entries, and the name
//! that was looked at last. A page can be given back at any time, because the name is where its directory is listed
//! from again.

use std::sync::Arc;

use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use super::cursor::Cursor;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::gate::{Call, Gate};
use crate::limits::{WALK_BUFFERED_MAX, WALK_DEPTH_MAX, WALK_LISTED_MAX};
use crate::lookup::{Node, dentry, resolve};
use crate::path::{Target, components};
use crate::view::{DirEntry, View, answer};

/// Where a walk is about to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// Names from the base, `/` between them.
    pub(super) path: &'a [u8],
    pub(super) name: &'a [u8],
    /// 1 of what stands in the base.
    pub(super) depth: usize,
    pub(super) kind: FileKind,
}

/// What a walk does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) show: bool,
    /// Of a directory: go into it.
    pub(super) enter: bool,
}

/// Says what a walk shows and where it goes. The same entry is always judged the same: a walk that is resumed asks
/// again about the directories that lead to where it was.
pub(super) trait Guide {
    /// The only name that matters in directories at this depth, so that they need no listing.
    fn only(&self, depth: usize) -> Option<&[u8]> {
        let _ = depth;
        None
    }

    fn judge(&self, step: Step<'_>) -> Judged;
}

/// What a call found that the caller did not name, in front of the gate.
pub(super) struct Watch<'v> {
    caller: &'v Caller,
    gate: Option<Arc<dyn Gate>>,
    /// Path of the base; empty where a caller named an inode that has no path.
    base: Vec<u8>,
}

impl<'v> Watch<'v> {
    fn new(view: &View, caller: &'v Caller, target: Target<'_>) -> Result<Watch<'v>> {
        let gate = view.zone().dispatch().gate();
        let mut base = Vec::new();
        if gate.is_some() {
            match target {
                Target::Path(path) => {
                    for name in components(path)? {
                        base.push(b'/');
                        base.extend_from_slice(name);
                    }
                }
                Target::Inode(inode) => base = view.path_of(inode)?.filter(|path| path != b"/").unwrap_or_default(),
            }
        }
        Ok(Watch { caller, gate, base })
    }

    /// May the caller do `syscall` to what stands at `path` below the base? What the gate hides is simply not there.
    pub(super) fn lets(&self, syscall: Syscall, path: &[u8], inode: Inode) -> Result<bool> {
        match self.check(syscall, path, inode) {
            Ok(()) => Ok(true),
            Err(error) if hides(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn check(&self, syscall: Syscall, path: &[u8], inode: Inode) -> Result<()> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let mut whole = self.base.clone();
        if !path.is_empty() || whole.is_empty() {
            whole.push(b'/');
        }
        whole.extend_from_slice(path);
        gate.check(&Call { syscall, caller: self.caller, path: &whole, inode: Some(inode) })
    }
}

fn hides(error: &Error) -> bool {
    matches!(error.kind, Reason::PermissionDenied | Reason::NotFound)
}

/// A directory that the walk is in.
struct Level {
    inode: Inode,
    /// How much of the walk's path names this directory.
    path_len: usize,
    /// The name that was looked at last.
    after: Option<Vec<u8>>,
    page: std::vec::IntoIter<DirEntry>,
    /// Nothing stands behind the page.
    whole: bool,
}

/// An entry that the guide lets be seen; its path is the walker's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visited {
    pub(super) inode: Inode,
    pub(super) kind: FileKind,
    pub(super) depth: usize,
}

/// How far a walk came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    Found(Visited),
    Paused,
    End,
}

/// What a call begins at: the base, resolved.
pub(super) struct Base<'v> {
    pub(super) node: Node,
    pub(super) watch: Watch<'v>,
}

impl<'v> Base<'v> {
    pub(super) fn find(view: &View, caller: &'v Caller, target: Target<'_>) -> Result<Base<'v>> {
        let node = answer(resolve(view.tables(), target, true))?;
        let watch = Watch::new(view, caller, target)?;
        Ok(Base { node, watch })
    }

    /// The caller named the base, so that a refusal of it is one.
    pub(super) fn check(&self, syscall: Syscall) -> Result<()> {
        self.watch.check(syscall, b"", self.node.inode).map_err(|error| error.at(self.node.inode))
    }
}

pub(super) struct Walker<'v, G> {
    view: &'v View,
    guide: G,
    watch: Watch<'v>,
    levels: Vec<Level>,
    /// Names from the base to the entry that was looked at last.
    path: Vec<u8>,
    /// Entries in the pages of all levels.
    buffered: usize,
    page_entries: usize,
    visits: usize,
}

impl<'v, G: Guide> Walker<'v, G> {
    /// Begins at a directory, or behind `after`. `wanted` is how much the caller wants to see: no more is listed ahead.
    pub(super) fn new(
        view: &'v View,
        base: Base<'v>,
        guide: G,
        after: Option<&Cursor>,
        wanted: usize,
    ) -> Result<Walker<'v, G>> {
        let inode = base.node.inode;
        if !base.node.is_directory() {
            return Err(Error::new(Reason::NotDir, "it is not a directory").at(inode));
        }
        base.check(Syscall::Readdir)?;
        let mut walker = Walker {
            view,
            guide,
            watch: base.watch,
            levels: Vec::new(),
            path: Vec::new(),
            buffered: 0,
            page_entries: wanted.clamp(16, WALK_LISTED_MAX),
            visits: 0,
        };
        walker.push_level(inode)?;
        if let Some(after) = after {
            walker.resume(after)?;
        }
        Ok(walker)
    }

    /// Names from the base to the entry that was looked at last.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(super) fn watch(&self) -> &Watch<'v> {
        &self.watch
    }

    /// Where a later walk goes on; `None` while nothing was looked at.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        (!self.path.is_empty()).then(|| Cursor::of_path(&self.path))
    }

    /// The next entry that is to be seen; `None` at the end. After an error, which is about what stands at
    /// [`Walker::path`], the walk goes on behind that.
    pub(super) fn next(&mut self) -> Result<Option<Visited>> {
        match self.next_within(usize::MAX)? {
            Progress::Found(visited) => Ok(Some(visited)),
            Progress::End | Progress::Paused => Ok(None),
        }
    }

    /// As [`Walker::next`], and pauses where `visits_max` entries were looked at in all.
    pub(super) fn next_within(&mut self, visits_max: usize) -> Result<Progress> {
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(Progress::End) };
            if level.page.len() == 0 {
                if level.whole {
                    self.levels.pop();
                } else {
                    self.list()?;
                }
                continue;
            }
            if self.visits >= visits_max {
                return Ok(Progress::Paused);
            }
            let Some(entry) = level.page.next() else { continue };
            self.buffered -= 1;
            self.visits += 1;
            if let Some(visited) = self.visit(entry)? {
                return Ok(Progress::Found(visited));
            }
        }
    }

    fn visit(&mut self, entry: DirEntry) -> Result<Option<Visited>> {
        let depth = self.levels.len();
        let level = self.levels.last_mut().expect("the entry stands in a level");
        self.path.truncate(level.path_len);
        push_name(&mut self.path, &entry.name);
        let DirEntry { name, inode, kind } = entry;
        let judged = self.guide.judge(Step { path: &self.path, name: &name, depth, kind });
        level.after = Some(name);
        let enter = judged.enter && kind == FileKind::Directory;
        if !(judged.show || enter) || !self.watch.lets(Syscall::Stat, &self.path, inode)? {
            return Ok(None);
        }
        if enter && self.watch.lets(Syscall::Readdir, &self.path, inode)? {
            self.push_level(inode)?;
        }
        Ok(judged.show.then_some(Visited { inode, kind, depth }))
    }

    fn push_level(&mut self, inode: Inode) -> Result<()> {
        if self.levels.len() >= WALK_DEPTH_MAX {
            let message = format!("the tree is more than {WALK_DEPTH_MAX} directories deep");
            return Err(Error::new(Reason::TooLarge, message).at(inode));
        }
        let path_len = self.path.len();
        self.levels.push(Level { inode, path_len, after: None, page: Vec::new().into_iter(), whole: false });
        Ok(())
    }

    /// Lists more of the innermost directory.
    fn list(&mut self) -> Result<()> {
        let depth = self.levels.len();
        let level = self.levels.last_mut().expect("there is a level to list");
        if let Some(only) = self.guide.only(depth).map(<[u8]>::to_vec) {
            level.whole = true;
            if level.after.as_ref().is_none_or(|after| *after < only) {
                let found = answer(dentry(self.view.tables(), level.inode, &only));
                let found = found.inspect_err(|_| self.leave())?;
                let entry = found.map(|found| DirEntry { name: only, inode: found.inode, kind: found.kind });
                self.take_page(entry.into_iter().collect());
            }
            return Ok(());
        }
        match self.view.readdir(self.watch.caller, level.inode, level.after.as_deref(), self.page_entries) {
            Ok(page) => {
                level.whole = page.len() < self.page_entries;
                self.take_page(page);
                Ok(())
            }
            Err(error) => {
                self.leave();
                if hides(&error) { Ok(()) } else { Err(error) }
            }
        }
    }

    fn take_page(&mut self, page: Vec<DirEntry>) {
        if self.buffered + page.len() > WALK_BUFFERED_MAX {
            self.give_back_pages(self.levels.len() - 1);
        }
        self.buffered += page.len();
        if let Some(level) = self.levels.last_mut() {
            level.page = page.into_iter();
        }
    }

    /// Forgets what is listed of the outermost `count` levels; they are listed again when the walk comes back.
    fn give_back_pages(&mut self, count: usize) {
        for level in &mut self.levels[..count] {
            if level.page.len() > 0 {
                level.page = Vec::new().into_iter();
                level.whole = false;
            }
        }
        self.buffered = self.levels[count..].iter().map(|level| level.page.len()).sum();
    }

    /// Gives up the innermost directory; the walk's path names it.
    fn leave(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.buffered -= level.page.len();
            self.path.truncate(level.path_len);
        }
    }

    /// Goes where an earlier walk was. Directories of its path that are gone, or that the guide or the gate keep out,
    /// are passed over.
    fn resume(&mut self, after: &Cursor) -> Result<()> {
        for name in after.names() {
            let depth = self.levels.len();
            let level = self.levels.last_mut().expect("a level is pushed for every name but the last");
            level.after = Some(name.to_vec());
            let directory = level.inode;
            push_name(&mut self.path, name);
            let Some(found) = answer(dentry(self.view.tables(), directory, name))? else { break };
            let step = Step { path: &self.path, name, depth, kind: found.kind };
            let enters = found.kind == FileKind::Directory
                && self.guide.judge(step).enter
                && self.watch.lets(Syscall::Stat, &self.path, found.inode)?
                && self.watch.lets(Syscall::Readdir, &self.path, found.inode)?;
            if !enters {
                break;
            }
            self.push_level(found.inode)?;
        }
        // Until something is looked at, the place to go on is the one that was given.
        self.path = after.names().collect::<Vec<_>>().join(&b'/');
        Ok(())
    }
}

fn push_name(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}
