//! `cp`.

use nexus_engine::{At, Error, Expect};
use nexus_log::event::Reason;
use nexus_projections::row::FileKind;

use super::{changed_with, into_or_as, is_directory};
use crate::args::{AtArg, CpArgs, options};
use crate::failure::{About, Failure, Result};
use crate::names::ZonePath;
use crate::output::Object;
use crate::session::Session;

pub(super) fn cp(args: &CpArgs, session: &mut Session) -> Result<()> {
    let (to, sources) = args.paths.split_last().expect("the grammar asks for two");
    if sources.len() > 1 && (args.no_target_directory || !is_directory(session, to)?) {
        return Err(Failure::Usage(format!("several things go into a directory, and {to} is to be none")));
    }
    options(args.expect.expect(), sources.len())?;
    sources.iter().try_for_each(|from| copy(args, from, to, sources.len(), session))
}

fn copy(args: &CpArgs, from: &ZonePath, to: &ZonePath, sources: usize, session: &mut Session) -> Result<()> {
    if from.zone != to.zone {
        let error = Error::new(Reason::CrossZone, "a copy stays in its zone; export and import");
        return Err(error).about(from);
    }
    let view = session.view(from, &AtArg { at: args.at })?;
    // A time told from now is another one when the request is made again; the position is the same.
    let position = args.at.map(|_| view.at());
    let at = position.map_or(At::Latest, At::Exactly);
    // The copy itself answers where there is nothing: of a repeat the source may be gone.
    let stat = view.stat(&session.caller, &from.path[..], true);
    if stat.is_ok_and(|stat| stat.kind == FileKind::Directory) && !args.recursive {
        return Err(Error::new(Reason::IsDir, "it is a directory; give -r to copy it and all in it")).about(from);
    }
    let caller = session.caller_for(sources);
    let expect = match args.no_clobber {
        true => Expect { exists: Some(false), ..args.expect.expect() },
        false => args.expect.expect(),
    };
    let options = nexus_engine::CallOptions { expect, ..nexus_engine::CallOptions::default() };
    let call = |session: &mut Session, to: &ZonePath, options| {
        let done = session.zone(to)?.copy(&caller, &from.path[..], at, &to.path[..], options);
        done.about(&format_args!("{from} -> {to}"))
    };
    let (to, done) = into_or_as(session, (from.last_name(), to), args.no_target_directory, options, call)?;
    let more = Object::new()
        .with("created", done.reply.fresh)
        .with_bytes("from_path", &from.path)
        .with("from_at", position.map(|seq| seq.0));
    changed_with(&mut session.out, &to, done.reply.inode, &done, more)
}
