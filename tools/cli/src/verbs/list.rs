//! `ls` and `stat`.

use nexus_engine::find::WalkOptions;
use nexus_engine::{Stat, View};
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use super::path_object;
use super::several::{Failures, each};
use crate::args::{LsArgs, StatArgs};
use crate::at::{local_seconds, rfc3339_signed};
use crate::failure::{About, Result};
use crate::mode;
use crate::names::ZonePath;
use crate::output::{Object, Out, hex, shown};
use crate::session::Session;

/// Entries that one call lists: bounds the memory of a listing.
const PAGE_ENTRIES: usize = 4096;

pub(super) fn ls(args: &LsArgs, session: &mut Session) -> Result<()> {
    let view = session.view(&args.path, &args.at)?;
    let stat = view.stat(&session.caller, &args.path.path[..], true).about(&args.path)?;
    let listing = Listing { args, view: &view };
    if stat.kind != FileKind::Directory {
        let itself = Listed { name: &args.path.path, inode: stat.inode, kind: stat.kind, stat: Some(&stat) };
        return listing.entry(&itself, &args.path, &mut session.out);
    }
    if args.recursive { listing.tree(stat.inode, session) } else { listing.directory(&args.path, stat.inode, session) }
}

struct Listing<'a> {
    args: &'a LsArgs,
    view: &'a View,
}

/// An entry of a listing.
struct Listed<'a> {
    name: &'a [u8],
    inode: Inode,
    kind: FileKind,
    /// Where they are shown.
    stat: Option<&'a Stat>,
}

impl Listing<'_> {
    /// Each directory from the path on down, under its own name.
    fn tree(&self, top: Inode, session: &mut Session) -> Result<()> {
        let mut failures = Failures::default();
        self.part(&self.args.path, top, "", &mut failures, session)?;
        let (kinds, mut after) = ([FileKind::Directory], None);
        loop {
            let options = WalkOptions {
                kinds: Some(&kinds),
                after: after.as_ref(),
                limit: PAGE_ENTRIES,
                ..WalkOptions::default()
            };
            let page = self.view.walk(&session.caller, top, &options).about(&self.args.path)?;
            for below in &page.entries {
                self.part(&self.args.path.join(&below.path), below.inode, "\n", &mut failures, session)?;
            }
            let Some(next) = page.next else { return failures.outcome() };
            after = Some(next);
        }
    }

    fn part(
        &self,
        path: &ZonePath,
        inode: Inode,
        before: &str,
        failures: &mut Failures,
        session: &mut Session,
    ) -> Result<()> {
        if !session.out.json {
            session.out.named_line(before, &path.path, ":")?;
        }
        let listed = self.directory(path, inode, session);
        failures.note(path, listed, &mut session.out)
    }

    fn directory(&self, path: &ZonePath, inode: Inode, session: &mut Session) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            if self.args.long {
                let page = self.view.entries_with_stat(&session.caller, inode, after.as_deref(), PAGE_ENTRIES);
                let page = page.about(path)?;
                for (entry, stat) in &page.entries {
                    let listed = Listed { name: &entry.name, inode: entry.inode, kind: entry.kind, stat: Some(stat) };
                    self.entry(&listed, path, &mut session.out)?;
                }
                after = page.next;
            } else {
                let page = self.view.readdir(&session.caller, inode, after.as_deref(), PAGE_ENTRIES).about(path)?;
                for entry in &page {
                    let listed = Listed { name: &entry.name, inode: entry.inode, kind: entry.kind, stat: None };
                    self.entry(&listed, path, &mut session.out)?;
                }
                after = page.last().filter(|_| page.len() == PAGE_ENTRIES).map(|last| last.name.clone());
            }
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn entry(&self, listed: &Listed<'_>, directory: &ZonePath, out: &mut Out) -> Result<()> {
        let stat = listed.stat.filter(|_| self.args.long);
        if out.json {
            let object = match self.args.recursive {
                true => path_object(&directory.join(listed.name)),
                false => Object::new(),
            };
            let mut object = object.with_bytes("name", listed.name);
            match stat {
                Some(stat) => object.extend(stat_object(stat)),
                None => object = object.with("inode", listed.inode.0).with("kind", listed.kind.name()),
            }
            return out.object(&object);
        }
        match stat {
            Some(stat) => long_line(listed.name, stat, out),
            None => out.named_line("", listed.name, ""),
        }
    }
}

fn long_line(name: &[u8], stat: &Stat, out: &mut Out) -> Result<()> {
    let size = match device(stat) {
        Some((major, minor)) => format!("{major}, {minor}"),
        None => stat.size.to_string(),
    };
    let before = format!(
        "{} {:>3} {:>5} {:>5} {size:>12} {} ",
        mode::shown(stat.kind, stat.mode),
        stat.nlink,
        stat.uid,
        stat.gid,
        local_seconds(stat.mtime),
    );
    let arrow = if stat.kind == FileKind::Link { format!(" -> {}", shown(stat.target())) } else { String::new() };
    out.named_line(before, name, arrow)
}

fn stat_object(stat: &Stat) -> Object {
    let mut object = Object::new()
        .with("inode", stat.inode.0)
        .with("kind", stat.kind.name())
        .with("mode", stat.mode)
        .with("nlink", stat.nlink)
        .with("uid", stat.uid)
        .with("gid", stat.gid)
        .with("size", stat.size)
        .with("version", stat.version)
        .with("content_id", stat.content_id.map(|id| id.to_string()))
        .with("mtime", rfc3339_signed(stat.mtime))
        .with("ctime", rfc3339_signed(stat.ctime))
        .with("atime", rfc3339_signed(stat.atime))
        .with("birth", rfc3339_signed(stat.birth))
        .with("owner_agent", stat.owner())
        .with("mime", stat.mime())
        .with("parent", stat.parent.0)
        .with("changed_seq", stat.changed.0);
    if stat.kind == FileKind::Link {
        object.set_bytes("target", stat.target());
    }
    if let Some((major, minor)) = device(stat) {
        object.set("device", Object::new().with("major", major).with("minor", minor));
    }
    object
}

/// Major and minor number of a device.
fn device(stat: &Stat) -> Option<(u64, u64)> {
    stat.kind.is_device().then_some((stat.device() >> 32, stat.device() & u64::from(u32::MAX)))
}

pub(super) fn stat(args: &StatArgs, session: &mut Session) -> Result<()> {
    each(&args.paths, session, |path, session| {
        let view = session.view(path, &args.at)?;
        let stat = view.stat(&session.caller, &path.path[..], args.follow).about(path)?;
        if session.out.json {
            let mut object = path_object(path).with("at", view.at().0);
            if view.is_open() {
                object.set("open", true);
            }
            object.extend(stat_object(&stat));
            return session.out.object(&object);
        }
        for (name, value) in described(path, &stat) {
            session.out.line(format_args!("{name:>11}: {value}"))?;
        }
        session.out.line(format_args!("{:>11}: {}", "at", view.at()))
    })
}

fn described(path: &ZonePath, stat: &Stat) -> Vec<(&'static str, String)> {
    let size = if stat.kind == FileKind::Directory { "entries" } else { "size" };
    let mut lines = vec![
        ("path", path.to_string()),
        ("kind", stat.kind.name().into()),
        ("inode", stat.inode.to_string()),
        ("mode", format!("{:04o} ({})", stat.mode, mode::shown(stat.kind, stat.mode))),
        ("links", stat.nlink.to_string()),
        ("owner", format!("{}:{}", stat.uid, stat.gid)),
        (size, stat.size.to_string()),
        ("modified", rfc3339_signed(stat.mtime)),
        ("changed", rfc3339_signed(stat.ctime)),
        ("accessed", rfc3339_signed(stat.atime)),
        ("born", rfc3339_signed(stat.birth)),
        ("agent", shown(stat.owner().as_bytes())),
        ("version", format!("{}, since record {}", stat.version, stat.changed)),
    ];
    if stat.kind == FileKind::Link {
        lines.push(("target", shown(stat.target())));
    }
    if let Some((major, minor)) = device(stat) {
        lines.push(("device", format!("{major}, {minor}")));
    }
    if let Some(id) = stat.content_id {
        lines.push(("content id", hex(&id.0)));
    }
    if !stat.mime().is_empty() {
        lines.push(("media type", shown(stat.mime().as_bytes())));
    }
    lines
}
