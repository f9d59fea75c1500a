//! `glob`.

use nexus_engine::find::GlobOptions;

use super::path_object;
use crate::args::GlobArgs;
use crate::failure::{About, Failure, Result};
use crate::session::Session;

/// Paths that one call finds: bounds the memory.
const PAGE_ENTRIES: usize = 4096;

pub(super) fn glob(args: &GlobArgs, session: &mut Session) -> Result<()> {
    // An absolute pattern is relative to the root, which is the base unless another is given.
    let pattern = match args.pattern.strip_prefix('/') {
        Some(relative) if args.base.last_name().is_none() => relative.trim_start_matches('/'),
        Some(_) => return Err(Failure::Usage("a pattern that begins with / has no base; give one of them".into())),
        None => &args.pattern,
    };
    let view = session.view(&args.base, &args.at)?;
    let mut after = None;
    loop {
        let options = GlobOptions {
            case_insensitive: args.ignore_case,
            after: after.as_ref(),
            limit: PAGE_ENTRIES,
            ..GlobOptions::default()
        };
        let page = view.glob(&session.caller, &args.base.path[..], pattern, &options).about(&args.base)?;
        for found in &page.entries {
            let path = args.base.join(&found.path);
            if session.out.json {
                let object = path_object(&path).with("inode", found.inode.0).with("kind", found.kind.name());
                session.out.object(&object)?;
            } else {
                session.out.named_line("", &path.path, "")?;
            }
        }
        let Some(next) = page.next else { return Ok(()) };
        after = Some(next);
    }
}
