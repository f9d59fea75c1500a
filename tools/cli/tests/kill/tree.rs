//! Trees to import, and what a tree is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// SplitMix64.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A tree of some hundred files: empty, small and large ones, links of both kinds, odd modes and times.
pub(crate) fn make(root: &Path, rng: &mut Rng) {
    for directory in 0..12 {
        let dir = root.join(format!("d{directory}")).join("inner");
        fs::create_dir_all(&dir).unwrap();
        for file in 0..25 {
            let path = dir.join(format!("f{file}"));
            let length = match rng.below(10) {
                0 => 0,
                1..8 => rng.below(4000),
                8 => 60_000 + rng.below(10_000),
                _ => 1_100_000 + rng.below(100_000),
            };
            let content: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o400 + rng.below(0o400) as u32)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(rng.below(1_700_000_000_000_000_000));
            fs::File::open(&path).unwrap().set_modified(time).unwrap();
        }
        symlink("inner/f1", root.join(format!("d{directory}/link"))).unwrap();
        symlink("nowhere", root.join(format!("d{directory}/dangling"))).unwrap();
        fs::hard_link(dir.join("f2"), root.join(format!("d{directory}/hard"))).unwrap();
    }
}

/// What a tree is made of, by path below its root.
pub(crate) struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    pub(crate) fn of(root: &Path) -> Snapshot {
        let mut entries = BTreeMap::new();
        let mut links: BTreeMap<u64, String> = BTreeMap::new();
        walk(root, "", &mut entries, &mut links);
        Snapshot(entries)
    }

    pub(crate) fn paths(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn differences(&self, other: &Snapshot) -> Vec<String> {
        let paths: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differing = paths.into_iter().filter(|p| self.0.get(*p) != other.0.get(*p));
        differing.map(|p| format!("{p}: {:?} / {:?}", self.0.get(p), other.0.get(p))).collect()
    }
}

fn walk(dir: &Path, below: &str, entries: &mut BTreeMap<String, String>, links: &mut BTreeMap<u64, String>) {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let name = name.to_str().unwrap();
        let (path, key) = (dir.join(name), if below.is_empty() { name.into() } else { format!("{below}/{name}") });
        let meta = fs::symlink_metadata(&path).unwrap();
        let (mode, time) = (meta.mode(), (meta.mtime(), meta.mtime_nsec()));
        let what = if meta.is_dir() {
            format!("directory {mode:o} {}:{} {time:?}", meta.uid(), meta.gid())
        } else if meta.is_symlink() {
            format!("symlink {:?} {time:?}", fs::read_link(&path).unwrap())
        } else {
            let first = links.entry(meta.ino()).or_insert_with(|| key.clone());
            let hash = blake3::hash(&fs::read(&path).unwrap());
            format!("file {mode:o} {}:{} {time:?} {hash} as {first}", meta.uid(), meta.gid())
        };
        entries.insert(key.clone(), what);
        if meta.is_dir() {
            walk(&path, &key, entries, links);
        }
    }
}
