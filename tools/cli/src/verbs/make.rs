//! `touch`, `mkdir` and `ln`.

use std::os::unix::ffi::OsStrExt;

use nexus_engine::{At, AttributeChange, Done, Durability, Error, NewFile};
use nexus_log::env::Env;
use nexus_log::event::Reason;
use nexus_projections::row::FileKind;

use super::content::owned_by_us;
use super::several::each;
use super::{changed, changed_with};
use crate::args::{LnArgs, MkdirArgs, TouchArgs};
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
    each(&args.paths, session, |path, session| {
        let zone = session.zone(path)?;
        let exists = match zone.view(At::Newest)?.stat(&session.caller, &path.path[..], true) {
            Ok(_) => true,
            Err(error) if error.kind == Reason::NotFound => false,
            Err(error) => return Err(error).about(path),
        };
        if exists {
            let change = AttributeChange { atime: Some(time), mtime: Some(time), ..AttributeChange::default() };
            let done =
                zone.set_attributes(&session.caller, &path.path[..], &change, true, Durability::Durable).about(path)?;
            changed_with(&mut session.out, path, done.reply, &done, Object::new().with("created", false))?;
        } else if !args.no_create {
            let times = args.date.map(|_| time);
            let new = NewFile { mtime: times, atime: times, ..owned_by_us() };
            let done = zone.create(&session.caller, &path.path[..], &new, false, Durability::Durable).about(path)?;
            let more = Object::new().with("created", done.reply.fresh);
            changed_with(&mut session.out, path, done.reply.inode, &done, more)?;
        }
        Ok(())
    })
}

pub(super) fn mkdir(args: &MkdirArgs, session: &mut Session) -> Result<()> {
    let new = NewFile { mode: args.mode, ..owned_by_us() };
    each(&args.paths, session, |path, session| {
        if args.parents {
            return mkdir_with_parents(path, &new, session);
        }
        let zone = session.zone(path)?;
        let done = zone.mkdir(&session.caller, &path.path[..], &new, true, Durability::Durable).about(path)?;
        let more = Object::new().with("created", done.reply.fresh);
        changed_with(&mut session.out, path, done.reply.inode, &done, more)
    })
}

/// What is missing is made, outermost first; one line for the innermost, whether it is new or not.
fn mkdir_with_parents(path: &ZonePath, new: &NewFile, session: &mut Session) -> Result<()> {
    let zone = session.zone(path)?;
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
        let made = zone.mkdir(&session.caller, &directory.path[..], new, false, Durability::Accepted);
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
    if args.symbolic {
        let done = zone
            .symlink(
                &session.caller,
                &args.path.path[..],
                args.target.as_bytes(),
                &NewFile { mode: 0o777, ..owned_by_us() },
                Durability::Durable,
            )
            .about(&args.path)?;
        return changed(&mut session.out, &args.path, done.reply.inode, &done);
    }
    let target = ZonePath::parse(&args.target).map_err(Failure::Usage)?;
    if target.zone != args.path.zone {
        let error = Error::new(Reason::CrossZone, "a hard link stays in its zone; make a symbolic link or a copy");
        return Err(error).about(&args.path);
    }
    let done =
        zone.link(&session.caller, &target.path[..], &args.path.path[..], Durability::Durable).about(&args.path)?;
    changed(&mut session.out, &args.path, done.reply, &done)
}
