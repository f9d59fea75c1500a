//! `mv`.

use nexus_engine::{Durability, Error, RenameMode};
use nexus_log::event::Reason;

use super::{changed_with, is_directory};
use crate::args::MvArgs;
use crate::failure::{About, Result};
use crate::output::Object;
use crate::session::Session;

pub(super) fn mv(args: &MvArgs, session: &mut Session) -> Result<()> {
    let mut to = args.to.clone();
    if args.from.zone != to.zone {
        let error = Error::new(Reason::CrossZone, "a rename stays in its zone; export and import, then remove");
        return Err(error).about(&args.from);
    }
    if !args.no_target_directory
        && let Some(name) = args.from.last_name()
        && is_directory(session, &to)?
    {
        to = to.join(name);
    }
    let mode = if args.no_replace { RenameMode::NoReplace } else { RenameMode::Replace };
    let zone = session.zone(&to)?;
    let done = zone
        .rename(&session.caller, &args.from.path[..], &to.path[..], mode, Durability::Durable)
        .about(&format_args!("{} -> {to}", args.from))?;
    let more = Object::new().with_bytes("from_path", &args.from.path);
    changed_with(&mut session.out, &to, done.reply, &done, more)
}
