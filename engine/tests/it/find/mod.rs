//! Walking, globbing, searching: compared with the plainest way to say what they mean.

mod gate;
mod glob;
mod grep;
mod many;
mod walk;

use std::collections::BTreeMap;

use nexus_engine::{Caller, NewFile, Nexus, RootAttributes, Zone, ZoneOptions};
use nexus_projections::row::FileKind;
use proptest::prelude::*;

/// A zone of its own on a real directory.
pub(super) struct Bench {
    _dir: tempfile::TempDir,
    nexus: Nexus,
    pub(super) zone: Zone,
    pub(super) me: Caller,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
        let nexus = Nexus::init(&dir.path().join("data"), root, ZoneOptions::default()).unwrap();
        let zone = nexus.zone("root").unwrap();
        Bench { _dir: dir, nexus, zone, me: Caller::agent("me").unwrap() }
    }

    pub(super) fn close(self) {
        self.nexus.close().unwrap();
    }

    /// Makes what stands at `path` below `/`; what is above must be there.
    pub(super) fn make(&self, path: &[u8], kind: FileKind) {
        let accepted = nexus_engine::Durability::Accepted;
        let path = [b"/", path].concat();
        let new = NewFile { mode: 0o755, ..NewFile::default() };
        match kind {
            FileKind::Directory => drop(self.zone.mkdir(&self.me, &path[..], &new, true, accepted).unwrap()),
            FileKind::Link => drop(self.zone.symlink(&self.me, &path[..], b"/", &new, accepted).unwrap()),
            _ => drop(self.zone.create(&self.me, &path[..], &new, true, accepted).unwrap()),
        }
    }
}

/// A tree: paths from `/` without the leading `/`, parents included.
pub(super) type Tree = BTreeMap<Vec<u8>, FileKind>;

/// The order of a walk: by names, not by the bytes of the whole path.
pub(super) fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
}

pub(super) fn in_order(tree: &Tree) -> Vec<Vec<u8>> {
    let mut paths: Vec<Vec<u8>> = tree.keys().cloned().collect();
    paths.sort_by_key(|path| names(path));
    paths
}

/// Few names, so that trees have depth; among them what is not UTF-8 and what sorts around `/`.
pub(super) fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::sample::select(vec!["a", "b", "ab", "b.rs", "a.md", ".x"]).prop_map(|name| name.as_bytes().to_vec()),
        1 => proptest::sample::select(vec![&b"a\xff"[..], b"\xc3\xa9", b"a b", b"a!", b"a0", b"*", b"\n"]).prop_map(<[u8]>::to_vec),
    ]
}

/// The depth-first tree of some random paths: inner names are directories.
pub(super) fn tree() -> impl Strategy<Value = Tree> {
    let leaf = (proptest::collection::vec(name(), 1..5), 0..4_u8);
    proptest::collection::vec(leaf, 0..40).prop_map(|leaves| {
        let mut tree = Tree::new();
        for (path, kind) in leaves {
            for depth in 1..path.len() {
                tree.insert(path[..depth].join(&b'/'), FileKind::Directory);
            }
            let kind = match kind {
                0 => FileKind::Directory,
                1 => FileKind::Link,
                _ => FileKind::Regular,
            };
            tree.entry(path.join(&b'/')).or_insert(kind);
        }
        tree
    })
}

/// A bench with `tree` below a directory of its own, so that many trees share one zone.
pub(super) fn plant(bench: &Bench, base: &str, tree: &Tree) {
    bench.make(base.as_bytes(), FileKind::Directory);
    for path in in_order(tree) {
        bench.make(&[base.as_bytes(), b"/", &path].concat(), tree[&path]);
    }
}
