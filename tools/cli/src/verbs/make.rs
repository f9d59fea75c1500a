//! `touch`, `mkdir` and `ln`.

use std::os::unix::ffi::OsStrExt;

use nexus_engine::{At, AttributeChange, CallOptions, Caller, Done, Durability, Error, Expect, NewFile};
use nexus_log::env::Env;
use nexus_log::event::Reason;
use nexus_projections::row::FileKind;

use super::content::owned_by_us;
use super::several::each;
use super::{changed, changed_with};
use crate::args::{LnArgs, MkdirArgs, TouchArgs, options};
use crate::failure::{About, Failure, Result};
use crate::names::ZonePath;
use crate::output::Object;
use crate::session::Session;

pub(super) fn touch(args: &TouchArgs, session: &mut Session) -> Result<()> {
    let now = || Env::real().clock.wall_ns().try_into().unwrap_or(i64::MAX);
    let time = match args.date {
        None => now(),
        Some(date) => i64::try_from(date.as_nanosecond())
            .map_err(|_| Failure::Usage("the time is further off than nanoseconds in 64 bits reach".into()))?,
    };
    let touch = Touch { args, time, caller: session.caller_for(args.paths.len()), expect: args.expect.expect() };
    options(touch.expect, args.paths.len())?;
    each(&args.paths, session, |path, session| touch.path(path, session))
}

struct Touch<'a> {
    args: &'a TouchArgs,
    time: i64,
    caller: Caller,
    expect: Expect,
}

impl Touch<'_> {
    fn path(&self, path: &ZonePath, session: &mut Session) -> Result<()> {
        let found = match session.zone(path)?.view(At::Newest)?.stat(&self.caller, &path.path[..], true) {
            Ok(stat) => Some(stat.kind),
            Err(error) if error.kind == Reason::NotFound => None,
            Err(error) => return Err(error).about(path),
        };
        // A named creation happens once: a repeat of it finds the file, and asks for the creation all the same.
        let may_repeat = session.is_named() && found == Some(FileKind::Regular) && !self.args.no_create;
        match (self.expect.exists, self.expect.version) {
            (Some(false), _) => self.create(path, session).map(|_| ()),
            (Some(true), _) | (_, Some(_)) => self.set_times(path, &self.caller, session),
            (None, None) if found.is_none() && self.args.no_create => Ok(()),
            (None, None) if found.is_none() => self.create(path, session).map(|_| ()),
            (None, None) if may_repeat && self.create(path, session)? => Ok(()),
            // Times are set anew each time: of all changes they alone mind no repeat.
            (None, None) => self.set_times(path, &self.caller.for_several(), session),
        }
    }

    /// Is it new, or was it when the same request came first?
    fn create(&self, path: &ZonePath, session: &mut Session) -> Result<bool> {
        let times = self.args.date.map(|_| self.time);
        let new = NewFile { mtime: times, atime: times, ..owned_by_us() };
        let options = CallOptions { durability: Durability::Durable, expect: self.expect };
        let done = session.zone(path)?.create(&self.caller, &path.path[..], &new, false, options).about(path)?;
        if done.seq.is_some() {
            let more = Object::new().with("created", done.reply.fresh);
            changed_with(&mut session.out, path, done.reply.inode, &done, more)?;
        }
        Ok(done.seq.is_some())
    }

    fn set_times(&self, path: &ZonePath, caller: &Caller, session: &mut Session) -> Result<()> {
        let change = AttributeChange { atime: Some(self.time), mtime: Some(self.time), ..AttributeChange::default() };
        let options = CallOptions { durability: Durability::Durable, expect: self.expect };
        let done = session.zone(path)?.set_attributes(caller, &path.path[..], &change, true, options).about(path)?;
        changed_with(&mut session.out, path, done.reply, &done, Object::new().with("created", false))
    }
}

pub(super) fn mkdir(args: &MkdirArgs, session: &mut Session) -> Result<()> {
    let new = NewFile { mode: args.mode, ..owned_by_us() };
    let (caller, options) = (session.caller_for(args.paths.len()), options(args.expect.expect(), args.paths.len())?);
    each(&args.paths, session, |path, session| {
        if args.parents {
            return mkdir_with_parents(path, &new, session);
        }
        let zone = session.zone(path)?;
        let done = zone.mkdir(&caller, &path.path[..], &new, true, options).about(path)?;
        let more = Object::new().with("created", done.reply.fresh);
        changed_with(&mut session.out, path, done.reply.inode, &done, more)
    })
}

/// What is missing is made, outermost first; one line for the innermost, whether it is new or not.
fn mkdir_with_parents(path: &ZonePath, new: &NewFile, session: &mut Session) -> Result<()> {
    let zone = session.zone(path)?;
    let caller = session.caller.for_several();
    let above = NewFile { mode: 0o755, ..new.clone() };
    let directories = path.ancestors();
    let mut last: Option<Done<nexus_engine::Created>> = None;
    for (index, directory) in directories.iter().enumerate() {
        let stat = zone.view(At::Newest)?.stat(&session.caller, &directory.path[..], true);
        match stat {
            Ok(stat) if stat.kind == FileKind::Directory => continue,
            Ok(_) => {
                let error = Error::new(Reason::NotDir, "it exists and is no directory");
                return Err(error).about(directory);
            }
            Err(error) if error.kind == Reason::NotFound => {}
            Err(error) => return Err(error).about(directory),
        }
        let new = if index + 1 == directories.len() { new } else { &above };
        let made = zone.mkdir(&caller, &directory.path[..], new, false, Durability::Accepted);
        last = Some(made.about(directory)?);
    }
    if let Some(done) = &last {
        done.wait_durable().about(path)?;
        let more = Object::new().with("created", done.reply.fresh);
        return changed_with(&mut session.out, path, done.reply.inode, done, more);
    }
    let stat = zone.view(At::Latest)?.stat(&session.caller, &path.path[..], true).about(path)?;
    if session.out.json {
        let nothing: Option<u64> = None;
        let object = super::path_object(path).with("inode", stat.inode.0).with("seq", nothing).with("created", false);
        session.out.object(&object)?;
    }
    Ok(())
}

pub(super) fn ln(args: &LnArgs, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.path)?;
    let options = options(args.expect.expect(), 1)?;
    if args.symbolic {
        if options.expect.exists == Some(true) || options.expect.version.is_some() {
            let message =
                "--if-version and --if-exists mean nothing here: a symbolic link is new, and may lead to nothing";
            return Err(Failure::Usage(message.into()));
        }
        let new = NewFile { mode: 0o777, ..owned_by_us() };
        let done = zone.symlink(&session.caller, &args.path.path[..], args.target.as_bytes(), &new, options);
        let done = done.about(&args.path)?;
        return changed(&mut session.out, &args.path, done.reply.inode, &done);
    }
    let target = ZonePath::parse(&args.target).map_err(Failure::Usage)?;
    if args.expect.if_absent {
        return Err(Failure::Usage("--if-absent means nothing here: a further name is always a free one".into()));
    }
    if target.zone != args.path.zone {
        let error = Error::new(Reason::CrossZone, "a hard link stays in its zone; make a symbolic link or a copy");
        return Err(error).about(&args.path);
    }
    let done = zone.link(&session.caller, &target.path[..], &args.path.path[..], options).about(&args.path)?;
    changed(&mut session.out, &args.path, done.reply, &done)
}
