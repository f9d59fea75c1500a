//! `tree`.

use nexus_engine::find::{Cursor, WalkEntry, WalkOptions};
use nexus_engine::{Caller, Inode, View};
use nexus_projections::row::FileKind;

use super::path_object;
use super::several::Failures;
use crate::args::TreeArgs;
use crate::failure::{About, Result};
use crate::names::ZonePath;
use crate::output::shown;
use crate::session::Session;

/// Entries of one directory that are held in memory while what is below them is shown.
const PAGE_ENTRIES: usize = 512;

const DIRECTORIES: &[FileKind] = &[FileKind::Directory];

/// A directory that is being shown.
struct Level {
    path: ZonePath,
    inode: Inode,
    page: std::vec::IntoIter<WalkEntry>,
    after: Option<Cursor>,
    whole: bool,
    /// What stands before each line of it.
    before: String,
}

impl Level {
    fn new(path: ZonePath, inode: Inode, before: String) -> Level {
        Level { path, inode, page: Vec::new().into_iter(), after: None, whole: false, before }
    }

    /// Sees to it that the next entry, if there is one, is in memory.
    fn look_ahead(&mut self, args: &TreeArgs, view: &View, caller: &Caller) -> Result<()> {
        while self.page.len() == 0 && !self.whole {
            let kinds = args.directories.then_some(DIRECTORIES);
            let options = WalkOptions { depth: 1, kinds, stat: false, after: self.after.as_ref(), limit: PAGE_ENTRIES };
            // Asked for once where it fails.
            self.whole = true;
            let page = view.walk(caller, self.inode, &options).about(&self.path)?;
            self.whole = page.next.is_none();
            self.after = page.next;
            self.page = page.entries.into_iter();
        }
        Ok(())
    }
}

pub(super) fn tree(args: &TreeArgs, session: &mut Session) -> Result<()> {
    let view = session.view(&args.path, &args.at)?;
    let top = view.stat(&session.caller, &args.path.path[..], true).about(&args.path)?;
    if session.out.json {
        return lines(args, &view, top.inode, session);
    }
    let levels_max = args.level.map_or(usize::MAX, |level| level as usize);
    let mut levels = vec![Level::new(args.path.clone(), top.inode, String::new())];
    let (mut directories, mut others, mut failures) = (0_u64, 0_u64, Failures::default());
    levels[0].look_ahead(args, &view, &session.caller)?;
    session.out.named_line("", &args.path.path, "")?;
    while let Some(level) = levels.last_mut() {
        let outcome = level.look_ahead(args, &view, &session.caller);
        failures.note(&level.path, outcome, &mut session.out)?;
        let Some(entry) = level.page.next() else {
            levels.pop();
            continue;
        };
        let outcome = level.look_ahead(args, &view, &session.caller);
        failures.note(&level.path, outcome, &mut session.out)?;
        let (branch, below) = if level.page.len() == 0 { ("└── ", "    ") } else { ("├── ", "│   ") };
        let arrow = match entry.kind {
            FileKind::Link => {
                let target = view.readlink(&session.caller, entry.inode).about(&level.path)?;
                format!(" -> {}", shown(&target))
            }
            _ => String::new(),
        };
        session.out.named_line(format_args!("{}{branch}", level.before), entry.name(), arrow)?;
        if entry.kind != FileKind::Directory {
            others += 1;
            continue;
        }
        directories += 1;
        let inner = Level::new(level.path.join(entry.name()), entry.inode, format!("{}{below}", level.before));
        if levels.len() < levels_max {
            levels.push(inner);
        }
    }
    let plural = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let directories = plural(directories, "directory", "directories");
    match args.directories {
        true => session.out.line(format_args!("\n{directories}"))?,
        false => session.out.line(format_args!("\n{directories}, {}", plural(others, "file", "files")))?,
    }
    failures.outcome()
}

/// For programs: every entry on a line of its own.
fn lines(args: &TreeArgs, view: &View, top: Inode, session: &mut Session) -> Result<()> {
    let mut after = None;
    loop {
        let options = WalkOptions {
            depth: args.level.map_or(usize::MAX, |level| level as usize),
            kinds: args.directories.then_some(DIRECTORIES),
            stat: false,
            after: after.as_ref(),
            limit: PAGE_ENTRIES,
        };
        let page = view.walk(&session.caller, top, &options).about(&args.path)?;
        for entry in &page.entries {
            let object = path_object(&args.path.join(&entry.path))
                .with("inode", entry.inode.0)
                .with("kind", entry.kind.name())
                .with("depth", entry.depth as u64);
            session.out.object(&object)?;
        }
        let Some(next) = page.next else { return Ok(()) };
        after = Some(next);
    }
}
