//! `chmod` and `chown`.

use nexus_engine::{At, AttributeChange, CallOptions, Caller};
use nexus_projections::row::FileKind;

use super::changed;
use crate::args::{ChmodArgs, ChownArgs, ExistingArgs, options};
use crate::failure::{About, Result};
use crate::mode::ModeChange;
use crate::names::ZonePath;
use crate::session::Session;

pub(super) fn chmod(args: &ChmodArgs, session: &mut Session) -> Result<()> {
    let how = How::of(&args.expect, args.paths.len(), session)?;
    for path in &args.paths {
        let mode = match &args.mode {
            ModeChange::Bits(bits) => *bits,
            clauses => {
                let view = session.zone(path)?.view(At::Latest)?;
                let stat = view.stat(&session.caller, &path.path[..], true).about(path)?;
                clauses.apply(stat.mode, stat.kind == FileKind::Directory)
            }
        };
        let change = AttributeChange { mode: Some(mode), ..AttributeChange::default() };
        set(path, &change, true, &how, session)?;
    }
    Ok(())
}

pub(super) fn chown(args: &ChownArgs, session: &mut Session) -> Result<()> {
    let how = How::of(&args.expect, args.paths.len(), session)?;
    let change = AttributeChange { uid: args.owner.uid, gid: args.owner.gid, ..AttributeChange::default() };
    for path in &args.paths {
        set(path, &change, !args.no_dereference, &how, session)?;
    }
    Ok(())
}

/// Who changes so many paths, and what is expected of them.
struct How {
    caller: Caller,
    options: CallOptions,
}

impl How {
    fn of(expect: &ExistingArgs, paths: usize, session: &Session) -> Result<How> {
        Ok(How { caller: session.caller_for(paths), options: options(expect.expect(), paths)? })
    }
}

fn set(path: &ZonePath, change: &AttributeChange, follow: bool, how: &How, session: &mut Session) -> Result<()> {
    let zone = session.zone(path)?;
    let done = zone.set_attributes(&how.caller, &path.path[..], change, follow, how.options).about(path)?;
    changed(&mut session.out, path, done.reply, &done)
}
