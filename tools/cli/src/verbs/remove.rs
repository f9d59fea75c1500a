//! `rm` and `rmdir`.

use nexus_engine::{At, Caller, DirEntry, Done, Durability, Entry, Expect, PATH_BYTES_MAX, View, Zone};
use nexus_log::event::Reason;
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use super::several::each;
use super::{CHANGES_IN_FLIGHT_MAX, changed, path_object};
use crate::args::{RmArgs, RmdirArgs, options};
use crate::failure::{About, Failure, Result};
use crate::names::ZonePath;
use crate::session::Session;

/// Entries of a directory that are held in memory while it is emptied.
const PAGE_ENTRIES: usize = 1024;

pub(super) fn rmdir(args: &RmdirArgs, session: &mut Session) -> Result<()> {
    let (caller, options) = (session.caller_for(args.paths.len()), options(args.expect.expect(), args.paths.len())?);
    each(&args.paths, session, |path, session| {
        let done = session.zone(path)?.rmdir(&caller, &path.path[..], options).about(path)?;
        changed(&mut session.out, path, done.reply, &done)
    })
}

pub(super) fn rm(args: &RmArgs, session: &mut Session) -> Result<()> {
    let (caller, options) = (session.caller_for(args.paths.len()), options(args.expect.expect(), args.paths.len())?);
    // A named removal that happened is a repeat though nothing is there any more.
    let named = session.is_named() && args.paths.len() == 1;
    each(&args.paths, session, |path, session| {
        let zone = session.zone(path)?;
        let view = zone.view(At::Latest)?;
        match view.stat(&session.caller, &path.path[..], false) {
            // Of the root nothing is removed: the call itself says that it cannot be.
            Ok(stat) if stat.inode == Inode::ROOT => {}
            Ok(stat) if stat.kind == FileKind::Directory && args.recursive => {
                if options.expect != Expect::default() {
                    let message = "--if-version and --if-exists are about one file; a tree is many changes";
                    return Err(Failure::Usage(message.into()));
                }
                return remove_tree(path, stat.inode, &zone, &view, session);
            }
            Err(error) if error.kind == Reason::NotFound && args.force && !named => return Ok(()),
            // The call itself answers, so that a refusal is in the log.
            Ok(_) | Err(_) => {}
        }
        match zone.unlink(&caller, &path.path[..], options) {
            Err(error) if error.kind == Reason::NotFound && args.force => Ok(()),
            done => {
                let done = done.about(path)?;
                changed(&mut session.out, path, done.reply, &done)
            }
        }
    })
}

/// A directory that is being emptied.
struct Level {
    path: ZonePath,
    inode: Inode,
    /// Where it stands: its directory, and its name there.
    place: Option<(Inode, Vec<u8>)>,
    page: std::vec::IntoIter<DirEntry>,
    after: Option<Vec<u8>>,
    whole: bool,
}

/// Removes a directory and all in it, innermost first. Lists what was there when it began.
struct TreeRemoval<'a> {
    zone: &'a Zone,
    view: &'a View,
    caller: Caller,
    levels: Vec<Level>,
    removed: u64,
    last: Option<Done<Inode>>,
}

fn remove_tree(path: &ZonePath, inode: Inode, zone: &Zone, view: &View, session: &mut Session) -> Result<()> {
    let caller = session.caller.for_several();
    let mut removal = TreeRemoval { zone, view, caller, levels: Vec::new(), removed: 0, last: None };
    removal.enter(path.clone(), inode, None);
    removal.run()?;
    let (removed, last) = (removal.removed, removal.last);
    let last = last.expect("at least the directory itself was removed");
    last.wait_durable().about(path)?;
    if session.out.json {
        let object = path_object(path).with("inode", inode.0).with("seq", last.seq.map(|seq| seq.0));
        session.out.object(&object.with("removed", removed))?;
    }
    Ok(())
}

impl TreeRemoval<'_> {
    fn enter(&mut self, path: ZonePath, inode: Inode, place: Option<(Inode, Vec<u8>)>) {
        self.levels.push(Level { path, inode, place, page: Vec::new().into_iter(), after: None, whole: false });
    }

    fn run(&mut self) -> Result<()> {
        while let Some(level) = self.levels.last_mut() {
            if let Some(entry) = level.page.next() {
                let (path, parent) = (level.path.join(&entry.name), level.inode);
                if entry.kind == FileKind::Directory {
                    self.enter(path, entry.inode, Some((parent, entry.name)));
                } else {
                    self.remove(&path, Some((parent, entry.name)), false)?;
                }
            } else if level.whole {
                let level = self.levels.pop().expect("the loop looked at it");
                self.remove(&level.path, level.place, true)?;
            } else {
                let page = self.view.readdir(&self.caller, level.inode, level.after.as_deref(), PAGE_ENTRIES);
                let page = page.about(&level.path)?;
                level.whole = page.len() < PAGE_ENTRIES;
                level.after = page.last().map(|entry| entry.name.clone());
                level.page = page.into_iter();
            }
        }
        Ok(())
    }

    /// By path, so that the log says what was meant; by place where the path is too long to be one.
    fn remove(&mut self, path: &ZonePath, place: Option<(Inode, Vec<u8>)>, directory: bool) -> Result<()> {
        let entry = match &place {
            Some((parent, name)) if path.path.len() > PATH_BYTES_MAX => Entry::In(*parent, name),
            _ => Entry::Path(&path.path),
        };
        let caller = &self.caller;
        let done = match directory {
            true => self.zone.rmdir(caller, entry, Durability::Accepted),
            false => self.zone.unlink(caller, entry, Durability::Accepted),
        };
        let done = done.about(path)?;
        self.removed += 1;
        if self.removed.is_multiple_of(CHANGES_IN_FLIGHT_MAX) {
            done.wait_durable().about(path)?;
        }
        self.last = Some(done);
        Ok(())
    }
}
