//! `mv`.

use nexus_engine::{Error, RenameMode};
use nexus_log::event::Reason;

use super::{changed_with, into_or_as};
use crate::args::{MvArgs, options};
use crate::failure::{About, Result};
use crate::names::ZonePath;
use crate::output::Object;
use crate::session::Session;

pub(super) fn mv(args: &MvArgs, session: &mut Session) -> Result<()> {
    let to = &args.to;
    if args.from.zone != to.zone {
        let error = Error::new(Reason::CrossZone, "a rename stays in its zone; export and import, then remove");
        return Err(error).about(&args.from);
    }
    let mode = match (args.exchange, args.no_replace) {
        (true, _) => RenameMode::Exchange,
        (false, true) => RenameMode::NoReplace,
        (false, false) => RenameMode::Replace,
    };
    let options = options(args.expect.expect(), 1)?;
    let as_name = args.no_target_directory || args.exchange;
    let rename = |session: &mut Session, to: &ZonePath, options| {
        let done = session.zone(to)?.rename(&session.caller, &args.from.path[..], &to.path[..], mode, options);
        done.about(&format_args!("{} -> {to}", args.from))
    };
    let (to, done) = into_or_as(session, (args.from.last_name(), to), as_name, options, rename)?;
    let more = Object::new().with_bytes("from_path", &args.from.path);
    changed_with(&mut session.out, &to, done.reply, &done, more)
}
