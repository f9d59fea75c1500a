//! Whom a path means, and which path an event shows.

use std::collections::BTreeSet;

use nexus_log::event::{Event, Kind, Reason};
use nexus_log::filter::Filter;
use nexus_log::ids::{Inode, Seq};
use nexus_log::log::{Direction, Log};

use crate::error::Result;
use crate::path::{Target, components};
use crate::view::{At, View, read_error};
use crate::zone::Zone;

/// The path that an event shows: as the caller gave it, else the inode's first name at that position or just before.
pub(super) fn path_of(zone: &Zone, seq: Seq, event: &Event) -> Result<Option<Vec<u8>>> {
    let (path, inode) = event.named();
    if !path.is_empty() {
        return Ok(Some(path.to_vec()));
    }
    let Some(inode) = inode else { return Ok(None) };
    if let Some(path) = zone.view(At::Exactly(seq))?.path_of(inode)? {
        return Ok(Some(path));
    }
    if seq == zone.log().first() { Ok(None) } else { zone.view(At::Exactly(seq.prev()))?.path_of(inode) }
}

/// Names that mean nothing any more since the event, or something else, each with its directory.
fn removed_names(event: &Event) -> impl Iterator<Item = (Inode, &[u8])> {
    let names: [Option<(u64, &[u8])>; 2] = match event {
        Event::Unlinked(e) => [Some((e.parent, &e.name)), None],
        Event::DirectoryRemoved(e) => [Some((e.parent, &e.name)), None],
        Event::Renamed(e) => [Some((e.from_parent, &e.from_name)), Some((e.to_parent, &e.to_name))],
        Event::Exchanged(e) => [Some((e.parent, &e.name)), Some((e.other_parent, &e.other_name))],
        _ => [None, None],
    };
    names.into_iter().flatten().map(|(directory, name)| (Inode(directory), name))
}

/// What `path` names now, or named when it was last there.
///
/// Between then and now a name of the path was taken from a directory on the way. Looking back from a position, the last
/// such record in the directories that are on the way there is the next position where the path may have led further.
pub(super) fn last_seen(zone: &Zone, path: &[u8]) -> Result<Inode> {
    let log = zone.log();
    let names = components(path)?;
    let mut view = zone.view(At::Latest)?;
    let missing = match view.resolve(Target::Path(path), false) {
        Ok(node) => return Ok(node.inode),
        Err(error) if matches!(error.kind, Reason::NotFound | Reason::NotDir) => error,
        Err(error) => return Err(error),
    };
    while let Some(before) = before_last_removal(&log, &view, &names)? {
        view = zone.view(At::Exactly(before))?;
        match view.resolve(Target::Path(path), false) {
            Ok(node) => return Ok(node.inode),
            Err(error) if matches!(error.kind, Reason::NotFound | Reason::NotDir) => {}
            Err(error) => return Err(error),
        }
    }
    Err(missing)
}

/// The position before the last record, seen from `view`, that took one of `names` from a directory on their way.
fn before_last_removal(log: &Log, view: &View, names: &[&[u8]]) -> Result<Option<Seq>> {
    let way = way(view, names)?;
    let kinds = ["unlinked", "directory_removed", "renamed", "exchanged"].into_iter().filter_map(Kind::named).collect();
    let filter = Filter { inodes: Some(way.clone()), kinds: Some(kinds), ..Filter::default() };
    for record in log.history(filter, Seq::ZERO..view.at().next(), Direction::Reverse) {
        let record = record.map_err(read_error)?;
        let mut removed = record.events.iter().flat_map(removed_names);
        if removed.any(|(directory, name)| way.contains(&directory) && names.contains(&name)) {
            return Ok((record.seq > log.first()).then(|| record.seq.prev()));
        }
    }
    Ok(None)
}

/// The directories that exist on the way of `names` from the root.
fn way(view: &View, names: &[&[u8]]) -> Result<BTreeSet<Inode>> {
    let mut way = BTreeSet::from([Inode::ROOT]);
    let mut path = Vec::new();
    for name in names {
        path.push(b'/');
        path.extend_from_slice(name);
        match view.resolve(Target::Path(&path), true) {
            Ok(node) if node.is_directory() => way.insert(node.inode),
            Ok(_) => break,
            Err(error) if matches!(error.kind, Reason::NotFound | Reason::NotDir | Reason::LinkLoop) => break,
            Err(error) => return Err(error),
        };
    }
    Ok(way)
}
