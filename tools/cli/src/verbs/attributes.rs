//! `chmod` and `chown`.

use nexus_engine::find::WalkOptions;
use nexus_engine::{
    At, AttributeChange, CallOptions, Caller, Done, Durability, Expect, Inode, PATH_BYTES_MAX, Stat, Target, View, Zone,
};
use nexus_projections::row::FileKind;

use super::several::{Failures, each};
use super::{CHANGES_IN_FLIGHT_MAX, changed, changed_with};
use crate::args::{ChmodArgs, ChownArgs, ExistingArgs, options};
use crate::failure::{About, Failure, Result};
use crate::mode::ModeChange;
use crate::names::ZonePath;
use crate::output::Object;
use crate::session::Session;

/// Entries of a tree that are held in memory while they are changed.
const PAGE_ENTRIES: usize = 1024;

pub(super) fn chmod(args: &ChmodArgs, session: &mut Session) -> Result<()> {
    let bits = |mode| AttributeChange { mode: Some(mode), ..AttributeChange::default() };
    let how = How::of(&args.expect, args.paths.len(), args.recursive, session)?;
    each(&args.paths, session, |path, session| {
        let zone = session.zone(path)?;
        if args.recursive {
            let of = |stat: &Stat| match stat.kind {
                // A symbolic link has no permissions of its own that matter.
                FileKind::Link => None,
                kind => Some(bits(args.mode.apply(stat.mode, kind == FileKind::Directory))),
            };
            return Tree { path, zone, follow: true, of: &of }.change(session);
        }
        let mode = match &args.mode {
            ModeChange::Bits(bits) => *bits,
            clauses => {
                let stat = zone.view(At::Latest)?.stat(&session.caller, &path.path[..], true).about(path)?;
                clauses.apply(stat.mode, stat.kind == FileKind::Directory)
            }
        };
        set(path, &bits(mode), true, &how, session)
    })
}

pub(super) fn chown(args: &ChownArgs, session: &mut Session) -> Result<()> {
    let how = How::of(&args.expect, args.paths.len(), args.recursive, session)?;
    let change = AttributeChange { uid: args.owner.uid, gid: args.owner.gid, ..AttributeChange::default() };
    each(&args.paths, session, |path, session| {
        if args.recursive {
            let zone = session.zone(path)?;
            let of = |_: &Stat| Some(change.clone());
            return Tree { path, zone, follow: !args.no_dereference, of: &of }.change(session);
        }
        set(path, &change, !args.no_dereference, &how, session)
    })
}

/// Who changes so many paths, and what is expected of them.
struct How {
    caller: Caller,
    options: CallOptions,
}

impl How {
    fn of(expect: &ExistingArgs, paths: usize, recursive: bool, session: &Session) -> Result<How> {
        if recursive && expect.expect() != Expect::default() {
            return Err(Failure::Usage(
                "--if-version and --if-exists are about one path; a tree is many changes".into(),
            ));
        }
        Ok(How { caller: session.caller_for(paths), options: options(expect.expect(), paths)? })
    }
}

fn set(path: &ZonePath, change: &AttributeChange, follow: bool, how: &How, session: &mut Session) -> Result<()> {
    let zone = session.zone(path)?;
    let done = zone.set_attributes(&how.caller, &path.path[..], change, follow, how.options).about(path)?;
    changed(&mut session.out, path, done.reply, &done)
}

/// A change of a path and, if it is a directory, of all below it. Below it no symbolic link is followed.
struct Tree<'a> {
    path: &'a ZonePath,
    zone: Zone,
    /// Whether the path itself is, where it is a symbolic link.
    follow: bool,
    /// What to change of an entry.
    of: &'a dyn Fn(&Stat) -> Option<AttributeChange>,
}

/// How far a change of a tree came.
#[derive(Default)]
struct Progress {
    changed: u64,
    last: Option<Done<Inode>>,
}

impl Tree<'_> {
    fn change(&self, session: &mut Session) -> Result<()> {
        let view = self.zone.view(At::Newest)?;
        let top = view.stat(&session.caller, &self.path.path[..], self.follow).about(self.path)?;
        let (mut progress, mut failures) = (Progress::default(), Failures::default());
        let outcome = self.entry(self.path, &top, self.follow, &mut progress, session);
        failures.note(self.path, outcome, &mut session.out)?;
        if top.kind == FileKind::Directory {
            self.below(&view, top.inode, &mut progress, &mut failures, session)?;
        }
        if let Some(last) = &progress.last {
            last.wait_durable().about(self.path)?;
            let more = Object::new().with("changed", progress.changed);
            changed_with(&mut session.out, self.path, top.inode, last, more)?;
        }
        failures.outcome()
    }

    /// Changes what was there when it began; what it cannot change it tells, and goes on.
    fn below(
        &self,
        view: &View,
        top: Inode,
        progress: &mut Progress,
        failures: &mut Failures,
        session: &mut Session,
    ) -> Result<()> {
        let mut after = None;
        loop {
            let options =
                WalkOptions { stat: true, after: after.as_ref(), limit: PAGE_ENTRIES, ..WalkOptions::default() };
            let page = match view.walk(&session.caller, top, &options).about(self.path) {
                Ok(page) => page,
                Err(failure) => return failures.note(self.path, Err(failure), &mut session.out),
            };
            for entry in &page.entries {
                let Some(stat) = &entry.stat else { continue };
                let path = self.path.join(&entry.path);
                let outcome = self.entry(&path, stat, false, progress, session);
                failures.note(&path, outcome, &mut session.out)?;
            }
            let Some(next) = page.next else { return Ok(()) };
            after = Some(next);
        }
    }

    /// By path, so that the log says what was meant; by inode where the path is too long to be one.
    fn entry(
        &self,
        path: &ZonePath,
        stat: &Stat,
        follow: bool,
        progress: &mut Progress,
        session: &Session,
    ) -> Result<()> {
        let Some(change) = (self.of)(stat) else { return Ok(()) };
        let target = match path.path.len() > PATH_BYTES_MAX {
            true => Target::Inode(stat.inode),
            false => Target::Path(&path.path),
        };
        let caller = session.caller.for_several();
        let done = self.zone.set_attributes(&caller, target, &change, follow, Durability::Accepted);
        let done = done.about(path)?;
        progress.changed += 1;
        if progress.changed.is_multiple_of(CHANGES_IN_FLIGHT_MAX) {
            done.wait_durable().about(path)?;
        }
        progress.last = Some(done);
        Ok(())
    }
}
