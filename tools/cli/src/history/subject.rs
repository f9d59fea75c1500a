//! Whom an event is about.

use std::ops::ControlFlow;

use nexus_engine::{At, Caller, Zone};
use nexus_log::event::{Event, Reason};
use nexus_log::ids::{Inode, Seq};

use super::{Range, scan};
use crate::failure::{About, Failure, Result};
use crate::names::ZonePath;

/// Is the event about `inode`: in any role of its own, or as the directory in which a name came or went?
pub(crate) fn touches(event: &Event, inode: Inode) -> bool {
    let it = inode.0;
    match event {
        Event::ZoneCreated(_) => inode == Inode::ROOT,
        Event::Recovered(_)
        | Event::AuditGap(_)
        | Event::RequestAnswered(_)
        | Event::TimeClosed(_)
        | Event::ClockHeld(_)
        | Event::ClockConfirmed(_)
        | Event::UsageCounted(_)
        | Event::ContentStored(_) => false,
        Event::PolicySet(e) => e.inode == it,
        Event::Accessed(e) => e.inodes.iter().any(|count| count.inode == it),
        Event::NodeCreated(e) => e.inode == it || e.parent == it,
        Event::Exchanged(e) => [e.inode, e.other, e.parent, e.other_parent].contains(&it),
        Event::DetachedCreated(e) => e.inode == it,
        Event::Attached(e) => e.inode == it || e.parent == it,
        Event::Punched(e) => e.inode == it,
        Event::FileCreated(e) => e.inode == it || e.parent == it,
        Event::DirectoryCreated(e) => e.inode == it || e.parent == it,
        Event::SymlinkCreated(e) => e.inode == it || e.parent == it,
        Event::Linked(e) => e.inode == it || e.parent == it,
        Event::Unlinked(e) => e.inode == it || e.parent == it,
        Event::DirectoryRemoved(e) => e.inode == it || e.parent == it,
        Event::Renamed(e) => [e.inode, e.replaced, e.from_parent, e.to_parent].contains(&it),
        Event::AttributesSet(e) => e.inode == it,
        Event::XattrSet(e) => e.inode == it,
        Event::XattrRemoved(e) => e.inode == it,
        Event::Written(e) => e.inode == it,
        Event::Truncated(e) => e.inode == it,
        Event::OrphansReleased(e) => e.inodes.contains(&it),
        Event::Refused(e) => e.inode == it,
        Event::RefusalsCounted(e) => e.counts.iter().any(|count| count.inode == it),
    }
}

/// The path that the caller gave and the inode that the event is about; empty and `None` where there is none.
fn named(event: &Event) -> (&[u8], Option<Inode>) {
    let (path, inode): (&[u8], u64) = match event {
        Event::ZoneCreated(_) => (b"/", 1),
        Event::PolicySet(e) => (&e.path, e.inode),
        Event::Accessed(e) => match (&e.strict, &e.inodes[..]) {
            (Some(strict), [one]) => (&strict.path, one.inode),
            (None, [one]) if e.directories.is_empty() && e.collapsed_calls == 0 => (b"", one.inode),
            _ => (b"", 0),
        },
        Event::Recovered(_)
        | Event::AuditGap(_)
        | Event::RequestAnswered(_)
        | Event::TimeClosed(_)
        | Event::ClockHeld(_)
        | Event::ClockConfirmed(_)
        | Event::UsageCounted(_)
        | Event::ContentStored(_)
        | Event::OrphansReleased(_)
        | Event::RefusalsCounted(_) => (b"", 0),
        Event::FileCreated(e) => (&e.path, e.inode),
        Event::DirectoryCreated(e) => (&e.path, e.inode),
        Event::SymlinkCreated(e) => (&e.path, e.inode),
        Event::NodeCreated(e) => (&e.path, e.inode),
        Event::Exchanged(e) => (&e.other_path, e.inode),
        Event::DetachedCreated(e) => (b"", e.inode),
        Event::Attached(e) => (&e.path, e.inode),
        Event::Punched(e) => (&e.path, e.inode),
        Event::Linked(e) => (&e.path, e.inode),
        Event::Unlinked(e) => (&e.path, e.inode),
        Event::DirectoryRemoved(e) => (&e.path, e.inode),
        Event::Renamed(e) => (&e.to_path, e.inode),
        Event::AttributesSet(e) => (&e.path, e.inode),
        Event::XattrSet(e) => (&e.path, e.inode),
        Event::XattrRemoved(e) => (&e.path, e.inode),
        Event::Written(e) => (&e.path, e.inode),
        Event::Truncated(e) => (&e.path, e.inode),
        Event::Refused(e) => (&e.path, e.inode),
    };
    (path, (inode != 0).then_some(Inode(inode)))
}

/// The path that an event shows where only the log can be asked: as the caller gave it.
pub(crate) fn path_given(event: &Event) -> Option<&[u8]> {
    let (path, _) = named(event);
    (!path.is_empty()).then_some(path)
}

/// The path that an event shows: as the caller gave it, else the inode's first name at that position or just before.
pub(crate) fn path_of(zone: &Zone, seq: Seq, event: &Event) -> Result<Option<Vec<u8>>> {
    let (path, inode) = named(event);
    if !path.is_empty() {
        return Ok(Some(path.to_vec()));
    }
    let Some(inode) = inode else { return Ok(None) };
    if let Some(path) = zone.view(At::Exactly(seq))?.path_of(inode)? {
        return Ok(Some(path));
    }
    if seq == zone.log().first() { Ok(None) } else { Ok(zone.view(At::Exactly(seq.prev()))?.path_of(inode)?) }
}

/// The name that an event took from a directory.
fn removed_name(event: &Event) -> Option<&[u8]> {
    match event {
        Event::Unlinked(e) => Some(&e.name),
        Event::DirectoryRemoved(e) => Some(&e.name),
        Event::Renamed(e) => Some(&e.from_name),
        Event::Exchanged(e) => Some(&e.name),
        _ => None,
    }
}

/// What `path` names now, or named when it was last there.
pub(crate) fn last_seen(zone: &Zone, caller: &Caller, path: &ZonePath) -> Result<Inode> {
    let missing = match zone.view(At::Latest)?.stat(caller, &path.path[..], false) {
        Ok(stat) => return Ok(stat.inode),
        Err(error) if matches!(error.kind, Reason::NotFound | Reason::NotDir) => error,
        Err(error) => return Err(error).about(path),
    };
    // A path ends where one of its names is taken away: before the last such record it may have been there.
    let names: Vec<&[u8]> = path.path.split(|byte| *byte == b'/').collect();
    let log = zone.log();
    let mut found = None;
    scan::<Failure>(&log, Range { first: log.first(), last: log.flushed() }, true, |record| {
        let mut taken = record.events.iter().filter_map(removed_name);
        if record.seq == log.first() || !taken.any(|name| names.contains(&name)) {
            return Ok(ControlFlow::Continue(()));
        }
        match zone.view(At::Exactly(record.seq.prev()))?.stat(caller, &path.path[..], false) {
            Ok(stat) => {
                found = Some(stat.inode);
                Ok(ControlFlow::Break(()))
            }
            Err(error) if matches!(error.kind, Reason::NotFound | Reason::NotDir) => Ok(ControlFlow::Continue(())),
            Err(error) => Err(error).about(path),
        }
    })?;
    match found {
        Some(inode) => Ok(inode),
        None => Err(missing).about(path),
    }
}
