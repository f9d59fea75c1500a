//! A view of the engine against a tree of the model: everything that a caller can see.

use std::collections::BTreeMap;

use nexus_engine::{At, Caller, View, Zone};
use nexus_log::event::Reason;
use nexus_log::ids::{ChunkHash, Inode};

use crate::model::{Content, Detail, Node, ROOT, Tree};

/// Files up to this size are read whole; of larger ones what was written, and the holes around it.
const WHOLE_BYTES_MAX: u64 = 16 << 20;

fn caller() -> Caller {
    Caller::agent("comparer").unwrap()
}

/// Asserts that `zone` at `at` is `tree`: each inode, each name, each byte, the number of rows.
pub fn assert_same(zone: &Zone, at: At, tree: &Tree) {
    let view = zone.view(at).unwrap();
    let me = caller();
    let mut names: BTreeMap<u64, u64> = BTreeMap::new();
    for (inode, node) in &tree.nodes {
        assert_node(&view, &me, *inode, node);
        node.entries().for_each(|(_, child)| *names.entry(child).or_default() += 1);
    }
    for (inode, node) in tree.nodes.iter().filter(|(inode, _)| **inode != ROOT) {
        let reached = names.get(inode).copied().unwrap_or(0);
        assert_eq!(reached, node.links, "the model: inode {inode} has {} names", node.links);
    }
    assert_paths(&view, &me, tree, ROOT, b"");
    for orphan in tree.orphans() {
        assert_eq!(view.path_of(Inode(orphan)).unwrap(), None, "inode {orphan} has no name any more");
    }
    assert_row_counts(zone, at, tree);
}

fn assert_node(view: &View, me: &Caller, inode: u64, node: &Node) {
    let what = format!("inode {inode} at {}", view.at());
    let stat = view.stat(me, Inode(inode), false).unwrap_or_else(|e| panic!("{what}: {e}, expected {node:?}"));
    assert_eq!(stat.kind, node.kind(), "{what}");
    assert_eq!((stat.mode, stat.uid, stat.gid), (node.mode, node.uid, node.gid), "{what}: attributes");
    let times = (stat.mtime, stat.ctime, stat.atime, stat.birth);
    assert_eq!(times, (node.mtime, node.ctime, node.atime, node.birth), "{what}: mtime, ctime, atime, birth");
    assert_eq!((stat.owner(), stat.mime()), (&node.owner[..], &node.mime[..]), "{what}");
    assert_eq!(stat.changed, node.changed, "{what}: last change");
    let xattrs: Vec<(Vec<u8>, Vec<u8>)> =
        view.list_xattrs(me, Inode(inode)).unwrap().into_iter().map(|(name, value)| (name, value.to_vec())).collect();
    assert_eq!(xattrs, node.xattrs.clone().into_iter().collect::<Vec<_>>(), "{what}: extended attributes");
    for (name, value) in &xattrs {
        assert_eq!(&view.get_xattr(me, Inode(inode), name).unwrap()[..], value, "{what}");
    }
    match &node.detail {
        Detail::Link(target) => {
            assert_eq!(stat.target(), target, "{what}");
            assert_eq!(&view.readlink(me, Inode(inode)).unwrap(), target, "{what}");
            assert_eq!((stat.nlink, stat.size), (node.links, target.len() as u64), "{what}");
        }
        Detail::Node { device, .. } => assert_eq!((stat.device(), stat.nlink), (*device, node.links), "{what}"),
        Detail::Directory(entries) => {
            let directories = view.readdir(me, Inode(inode), None, usize::MAX).unwrap();
            let found: Vec<(Vec<u8>, u64)> = directories.iter().map(|e| (e.name.clone(), e.inode.0)).collect();
            assert_eq!(found, entries.clone().into_iter().collect::<Vec<_>>(), "{what}: entries");
            let subdirectories = directories.iter().filter(|e| e.kind.name() == "directory").count() as u64;
            assert_eq!((stat.size, stat.nlink), (found.len() as u64, 2 + subdirectories), "{what}: entries, nlink");
            assert_paging(view, me, inode, &found);
        }
        Detail::File(content) => {
            assert_eq!((stat.nlink, stat.size), (node.links, content.size), "{what}: nlink, size");
            assert_content(view, me, inode, content, stat.content_id);
        }
    }
}

fn assert_paging(view: &View, me: &Caller, inode: u64, entries: &[(Vec<u8>, u64)]) {
    let mut after: Option<Vec<u8>> = None;
    let mut paged = Vec::new();
    loop {
        let page = view.readdir(me, Inode(inode), after.as_deref(), 2).unwrap();
        paged.extend(page.iter().map(|e| (e.name.clone(), e.inode.0)));
        match page.last() {
            Some(last) => after = Some(last.name.clone()),
            None => break,
        }
    }
    assert_eq!(paged, entries, "pages of inode {inode} at {}", view.at());
}

/// Panics with the first byte that differs, not with both contents.
fn assert_bytes(view: &View, me: &Caller, inode: u64, offset: u64, content: &Content, length: u64) {
    let expected = content.read(offset, length);
    let read = view.read(me, Inode(inode), offset, length as usize);
    let read = read.unwrap_or_else(|e| panic!("read {offset}+{length} of inode {inode} at {}: {e:?}", view.at()));
    assert_eq!(read.len(), expected.len(), "length read of inode {inode} at {}, from {offset}", view.at());
    if read[..] != expected[..] {
        let at = (0..read.len()).find(|at| read[*at] != expected[*at]).unwrap();
        panic!("byte {} of inode {inode} (size {}) differs at {}", offset + at as u64, content.size, view.at());
    }
}

fn assert_content(view: &View, me: &Caller, inode: u64, content: &Content, id: Option<ChunkHash>) {
    if content.size <= WHOLE_BYTES_MAX {
        assert_bytes(view, me, inode, 0, content, content.size + 1);
        if let Some(id) = id {
            assert_eq!(id, ChunkHash::of(&content.read(0, content.size)), "content id of inode {inode}");
        }
        // A read that begins and ends inside.
        let (from, length) = (content.size / 3, content.size / 2);
        assert_bytes(view, me, inode, from, content, length);
    } else {
        for (start, end) in content.written() {
            assert_bytes(view, me, inode, start.saturating_sub(10), content, end - start + 20);
        }
        assert_bytes(view, me, inode, content.size - 100, content, 200);
    }
    assert_data_runs(view, me, inode, content);
}

/// What is reported as a hole is zeros.
fn assert_data_runs(view: &View, me: &Caller, inode: u64, content: &Content) {
    let mut offset = 0;
    let mut runs = Vec::new();
    while let Some((start, end)) = view.next_data(me, Inode(inode), offset).unwrap() {
        assert!(offset <= start && start < end && end <= content.size, "run {start}..{end} of inode {inode}");
        runs.push((start, end));
        offset = end;
    }
    let first = |place: u64| runs.partition_point(|(_, end)| *end <= place);
    for (start, end) in content.written() {
        // What of the block lies between the runs.
        let mut hole = start;
        for (from, to) in &runs[first(start)..] {
            assert_zeros(view, inode, content, hole, end.min(*from));
            hole = *to;
            if hole >= end {
                break;
            }
        }
        assert_zeros(view, inode, content, hole, end);
    }
}

fn assert_zeros(view: &View, inode: u64, content: &Content, from: u64, to: u64) {
    let zeros = from >= to || content.read(from, to - from).iter().all(|byte| *byte == 0);
    assert!(zeros, "{from}..{to} of inode {inode} is said to be a hole at {}", view.at());
}

fn assert_paths(view: &View, me: &Caller, tree: &Tree, directory: u64, path: &[u8]) {
    for (name, inode) in tree.nodes[&directory].entries() {
        let path = [path, b"/", name].concat();
        let shown = String::from_utf8_lossy(&path);
        let stat = view.stat(me, &path[..], false).unwrap_or_else(|e| panic!("{shown} at {}: {e}", view.at()));
        assert_eq!(stat.inode.0, inode, "{shown} at {}", view.at());
        let first = view.path_of(Inode(inode)).unwrap().expect("it has a name");
        let by_first = view.stat(me, &first[..], false).unwrap();
        assert_eq!(by_first.inode.0, inode, "the first name of {shown} at {}", view.at());
        if tree.nodes[&inode].is_directory() {
            assert_paths(view, me, tree, inode, &path);
        }
    }
    let missing = view.stat(me, &[path, b"/no such name"].concat()[..], false).unwrap_err();
    assert_eq!(missing.kind, Reason::NotFound);
}

fn assert_row_counts(zone: &Zone, at: At, tree: &Tree) {
    let counts: BTreeMap<&str, u64> = zone.row_counts(at).unwrap().into_iter().collect();
    let directories = tree.nodes.values().filter(|n| n.is_directory()).count() as u64;
    let entries: u64 = tree.nodes.values().map(|n| n.entries().count() as u64).sum();
    let further: u64 = tree.nodes.values().map(|n| n.links.saturating_sub(1)).sum();
    let expected = [
        ("inode", tree.nodes.len() as u64),
        ("times", directories),
        ("dentry", entries),
        ("link", further),
        ("orphan", tree.orphans().len() as u64),
    ];
    for (table, rows) in expected {
        assert_eq!(counts[table], rows, "rows of table {table} at {at:?}");
    }
}
