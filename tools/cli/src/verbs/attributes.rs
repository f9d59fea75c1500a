//! `chmod` and `chown`.

use nexus_engine::{At, AttributeChange, Durability};
use nexus_projections::row::FileKind;

use super::changed;
use crate::args::{ChmodArgs, ChownArgs};
use crate::failure::{About, Result};
use crate::mode::ModeChange;
use crate::names::ZonePath;
use crate::session::Session;

pub(super) fn chmod(args: &ChmodArgs, session: &mut Session) -> Result<()> {
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
        set(path, &change, true, session)?;
    }
    Ok(())
}

pub(super) fn chown(args: &ChownArgs, session: &mut Session) -> Result<()> {
    let change = AttributeChange { uid: args.owner.uid, gid: args.owner.gid, ..AttributeChange::default() };
    for path in &args.paths {
        set(path, &change, !args.no_dereference, session)?;
    }
    Ok(())
}

fn set(path: &ZonePath, change: &AttributeChange, follow: bool, session: &mut Session) -> Result<()> {
    let zone = session.zone(path)?;
    let done = zone.set_attributes(&session.caller, &path.path[..], change, follow, Durability::Durable).about(path)?;
    changed(&mut session.out, path, done.reply, &done)
}
