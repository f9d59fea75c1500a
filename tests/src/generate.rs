//! Random operations over a small name space, so that they collide.

use nexus_engine::{AttributeChange, NewFile, NodeKind, RenameMode, XattrMode};
use nexus_log::env::SplitMix64;

use crate::model::{ROOT, Tree};
use crate::op::{Data, Name, Op, Part, Place};

/// What the operations may cost.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Of 1,000 contents, how many are around a chunk's size or several chunks.
    pub large_per_mille: u64,
    /// Of 1,000 puts, how many are beyond one record.
    pub huge_per_mille: u64,
}

pub struct Generator {
    pub rng: SplitMix64,
    pub scale: Scale,
}

const NAMES: [&[u8]; 5] = [b"a", b"b", b"c", b"dir", b"\xff\x01"];

impl Generator {
    #[must_use]
    pub fn new(seed: u64, scale: Scale) -> Generator {
        Generator { rng: SplitMix64::new(seed), scale }
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    fn component(&mut self) -> Vec<u8> {
        match self.below(200) {
            0 => b"..".to_vec(),
            1 => b".".to_vec(),
            2 => vec![b'n'; 256],
            3 => vec![b'n'; 255],
            4 => b"nul\0".to_vec(),
            n => NAMES[n as usize % NAMES.len()].to_vec(),
        }
    }

    pub fn path(&mut self) -> Vec<u8> {
        match self.below(150) {
            0 => return b"relative".to_vec(),
            1 => return b"".to_vec(),
            2 => return b"/".to_vec(),
            3 => return b"/x".repeat(2100),
            _ => {}
        }
        let depth = [1, 1, 1, 2, 2, 3][self.below(6) as usize];
        let mut path = Vec::new();
        for _ in 0..depth {
            path.push(b'/');
            path.extend(self.component());
        }
        path
    }

    /// A path that is there, and perhaps a name below or beside it.
    fn path_in(&mut self, tree: &Tree) -> Vec<u8> {
        let (mut path, mut at) = (Vec::new(), ROOT);
        loop {
            let entries: Vec<(Vec<u8>, u64)> = tree.nodes[&at].entries().map(|(n, i)| (n.clone(), i)).collect();
            if entries.is_empty() || (!path.is_empty() && self.chance(400)) {
                break;
            }
            let (name, inode) = &entries[self.below(entries.len() as u64) as usize];
            path.push(b'/');
            path.extend_from_slice(name);
            at = *inode;
        }
        if path.is_empty() || (tree.nodes[&at].is_directory() && self.chance(500)) {
            path.push(b'/');
            path.extend(self.component());
        }
        path
    }

    fn some_path(&mut self, tree: &Tree) -> Vec<u8> {
        if self.chance(600) { self.path_in(tree) } else { self.path() }
    }

    /// An inode that is there, or was, or never was.
    fn inode(&mut self, tree: &Tree) -> u64 {
        let at = self.below(tree.nodes.len() as u64 + 1) as usize;
        let found = tree.nodes.keys().nth(at).copied();
        found.unwrap_or_else(|| self.below(300) << 16)
    }

    fn name(&mut self, tree: &Tree) -> Name {
        if self.chance(700) { Name::Path(self.some_path(tree)) } else { Name::In(self.inode(tree), self.component()) }
    }

    fn place(&mut self, tree: &Tree) -> Place {
        if self.chance(600) { Place::Path(self.some_path(tree)) } else { Place::Inode(self.inode(tree)) }
    }

    pub fn data(&mut self) -> Data {
        let chunk = 1 << 20;
        let length = if self.chance(self.scale.large_per_mille) {
            match self.below(4) {
                0 => chunk - 1 + self.below(3),
                1 => 2 * chunk - 1 + self.below(3),
                _ => chunk + self.below(2 * chunk),
            }
        } else {
            match self.below(20) {
                0 => 0,
                1 | 2 => 4095 + self.below(3),
                3 => self.below(70_000),
                _ => self.below(300),
            }
        };
        Data { seed: self.below(8), length: length as usize }
    }

    fn parts(&mut self) -> Vec<Part> {
        if self.chance(self.scale.huge_per_mille) {
            let length = (8 << 20) + self.below(2 << 20) as usize;
            return vec![Part::Data(Data { seed: 9, length }), Part::Data(self.data())];
        }
        let mut parts = vec![Part::Data(self.data())];
        if self.chance(150) {
            parts.push(Part::Hole(self.below(1 << 20)));
            parts.push(Part::Data(self.data()));
        }
        if self.chance(50) {
            parts.insert(0, Part::Hole(self.below(100_000)));
        }
        if self.chance(50) {
            parts.push(Part::Hole(self.below(100_000)));
        }
        parts
    }

    fn new_file(&mut self) -> NewFile {
        let mut new = NewFile { mode: self.below(0o20000) as u32, ..NewFile::default() };
        if self.chance(200) {
            new.mtime = Some(self.below(1000) as i64 - 500);
        }
        if self.chance(200) {
            new.atime = Some(self.below(1000) as i64);
        }
        if self.chance(100) {
            new.xattrs.push((b"user.born".to_vec(), b"with".to_vec()));
            new.uid = 7;
        }
        new
    }

    fn offset(&mut self) -> u64 {
        match self.below(30) {
            0 => self.below(4 << 20),
            1 => self.below(100_000),
            2 => 1 << 20,
            3..=12 => 0,
            _ => self.below(400),
        }
    }

    fn size(&mut self) -> u64 {
        match self.below(30) {
            0 => u64::MAX,
            1 => 1 << 50,
            2..=9 => 0,
            _ => self.offset(),
        }
    }

    fn attributes(&mut self) -> AttributeChange {
        let mut change = AttributeChange::default();
        if self.chance(500) {
            change.mode = Some(self.below(0o200000) as u32);
        }
        if self.chance(200) {
            (change.uid, change.gid) = (Some(5), Some(6));
        }
        if self.chance(200) {
            (change.mtime, change.atime) = (Some(-3), Some(4));
        }
        if self.chance(200) {
            change.mime = Some("text/plain".into());
        }
        change
    }

    fn link_target(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => b"..".to_vec(),
            1 => b"../b".to_vec(),
            2 => b"".to_vec(),
            3 => b"/".to_vec(),
            4 => b"./a/".to_vec(),
            5..=7 => self.path(),
            _ => self.component(),
        }
    }

    /// One operation on something like `tree`.
    pub fn op(&mut self, tree: &Tree) -> Op {
        match self.below(118) {
            0..=7 => {
                let (name, new) = (self.name(tree), self.new_file());
                Op::Create { name, new, exclusive: self.chance(500) }
            }
            8..=23 => {
                let (name, parts, new) = (self.name(tree), self.parts(), self.new_file());
                Op::Put { name, parts, new, attributes_too: self.chance(300) }
            }
            24..=31 => {
                let (name, new) = (self.name(tree), self.new_file());
                Op::Mkdir { name, new, exclusive: self.chance(500) }
            }
            32..=36 => Op::Symlink { name: self.name(tree), target: self.link_target(), new: self.new_file() },
            37..=42 => Op::Link { place: self.place(tree), name: self.name(tree) },
            43..=55 => {
                let (place, mut data) = (self.place(tree), self.data());
                let offset = if self.chance(5) { i64::MAX as u64 - 10 } else { self.offset() };
                data.length = data.length.min(8 << 20);
                Op::Write { place, offset, data }
            }
            56..=60 => Op::Append { place: self.place(tree), data: self.data() },
            61..=67 => Op::Truncate { place: self.place(tree), size: self.size() },
            68..=71 => {
                Op::SetAttributes { place: self.place(tree), change: self.attributes(), follow: self.chance(500) }
            }
            72..=77 => self.xattr(tree),
            78..=89 => {
                let mode = match self.below(10) {
                    0 | 1 => RenameMode::NoReplace,
                    2 | 3 => RenameMode::Exchange,
                    _ => RenameMode::Replace,
                };
                Op::Rename { from: self.name(tree), to: self.name(tree), mode }
            }
            90..=95 => Op::Unlink { name: self.name(tree) },
            96..=99 => Op::Rmdir { name: self.name(tree) },
            100..=102 => {
                let kinds = [
                    NodeKind::Fifo,
                    NodeKind::Socket,
                    NodeKind::CharDevice { major: 5, minor: 1 },
                    NodeKind::BlockDevice { major: 8, minor: 0 },
                    NodeKind::Mount,
                ];
                let kind = kinds[self.below(kinds.len() as u64) as usize];
                Op::MakeNode { name: self.name(tree), kind, new: self.new_file() }
            }
            103..=108 => {
                let length = if self.chance(50) { u64::MAX } else { self.offset() };
                Op::Punch { place: self.place(tree), offset: self.offset(), length }
            }
            109..=111 => {
                let (place, name) = (self.place(tree), self.name(tree));
                match tree.is_directory_at(&place) {
                    true => Op::Unlink { name },
                    false => Op::Copy { place, name },
                }
            }
            _ => self.batch(tree),
        }
    }

    fn batch(&mut self, tree: &Tree) -> Op {
        let mut ops = Vec::new();
        for _ in 0..1 + self.below(5) {
            let op = self.op(tree);
            match op {
                Op::Batch { .. } | Op::Copy { .. } => {}
                Op::Put { name, parts, new, attributes_too } => {
                    let small = |part: &Part| matches!(part, Part::Data(data) if data.length < 1 << 20);
                    let parts = parts.into_iter().filter(small).collect();
                    ops.push(Op::Put { name, parts, new, attributes_too });
                }
                Op::Write { place, offset, mut data } => {
                    data.length = data.length.min(1 << 20);
                    ops.push(Op::Write { place, offset, data });
                }
                Op::Append { place, mut data } => {
                    data.length = data.length.min(1 << 20);
                    ops.push(Op::Append { place, data });
                }
                op => ops.push(op),
            }
        }
        Op::Batch { ops }
    }

    fn xattr(&mut self, tree: &Tree) -> Op {
        let place = self.place(tree);
        let names: [&[u8]; 5] = [b"user.a", b"user.b", b"user.born", b"", b"user.a\x01"];
        let name = names[self.below(5) as usize].to_vec();
        if self.chance(300) {
            return Op::RemoveXattr { place, name };
        }
        let mode = [XattrMode::Either, XattrMode::Create, XattrMode::Replace][self.below(3) as usize];
        let length = if self.chance(20) { (64 << 10) + self.below(2) as usize } else { self.below(40) as usize };
        Op::SetXattr { place, name, value: vec![b'v'; length], mode }
    }
}
