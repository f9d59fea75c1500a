//! `ls` and `stat`.

use nexus_engine::{Stat, View};
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use super::path_object;
use crate::args::{LsArgs, StatArgs};
use crate::at::{local_seconds, rfc3339_signed};
use crate::failure::{About, Result};
use crate::mode;
use crate::names::ZonePath;
use crate::output::{Object, hex, shown};
use crate::session::Session;

/// Entries that one call lists: bounds the memory of a listing.
const PAGE_ENTRIES: usize = 4096;

pub(super) fn ls(args: &LsArgs, session: &mut Session) -> Result<()> {
    let view = session.view(&args.path, &args.at)?;
    let stat = view.stat(&session.caller, &args.path.path[..], true).about(&args.path)?;
    if stat.kind != FileKind::Directory {
        return entry(args, session, &view, &args.path.path, stat.inode, stat.kind);
    }
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = view.readdir(&session.caller, stat.inode, after.as_deref(), PAGE_ENTRIES).about(&args.path)?;
        for listed in &page {
            entry(args, session, &view, &listed.name, listed.inode, listed.kind)?;
        }
        if page.len() < PAGE_ENTRIES {
            return Ok(());
        }
        after = page.last().map(|listed| listed.name.clone());
    }
}

fn entry(args: &LsArgs, session: &mut Session, view: &View, name: &[u8], inode: Inode, kind: FileKind) -> Result<()> {
    if !args.long {
        if session.out.json {
            let object = Object::new().with_bytes("name", name).with("inode", inode.0).with("kind", kind.name());
            return session.out.object(&object);
        }
        return session.out.named_line("", name, "");
    }
    let stat = view.stat(&session.caller, inode, false).about(&args.path)?;
    if session.out.json {
        let mut object = Object::new().with_bytes("name", name);
        object.extend(stat_object(&stat));
        return session.out.object(&object);
    }
    let before = format!(
        "{} {:>3} {:>5} {:>5} {:>12} {} ",
        mode::shown(stat.kind, stat.mode),
        stat.nlink,
        stat.uid,
        stat.gid,
        stat.size,
        local_seconds(stat.mtime),
    );
    let arrow = if stat.kind == FileKind::Link { format!(" -> {}", shown(stat.target())) } else { String::new() };
    session.out.named_line(before, name, arrow)
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
    object
}

pub(super) fn stat(args: &StatArgs, session: &mut Session) -> Result<()> {
    let view = session.view(&args.path, &args.at)?;
    let stat = view.stat(&session.caller, &args.path.path[..], args.follow).about(&args.path)?;
    if session.out.json {
        let mut object = path_object(&args.path).with("at", view.at().0);
        object.extend(stat_object(&stat));
        return session.out.object(&object);
    }
    for (name, value) in described(&args.path, &stat) {
        session.out.line(format_args!("{name:>11}: {value}"))?;
    }
    session.out.line(format_args!("{:>11}: {}", "at", view.at()))
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
    if let Some(id) = stat.content_id {
        lines.push(("content id", hex(&id.0)));
    }
    if !stat.mime().is_empty() {
        lines.push(("media type", shown(stat.mime().as_bytes())));
    }
    lines
}
