//! A call as a value: it can be made on a zone, run through the model, printed and repeated.

use nexus_engine::{
    At, AttributeChange, BatchItem, Caller, Change, Durability, Entry, Error, NewFile, NodeKind, RenameMode, Target,
    XattrMode, Zone,
};
use nexus_log::env::{Random, SeededRandom};
use nexus_log::ids::{Inode, Seq};

/// A name to be made, moved or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Path(Vec<u8>),
    In(u64, Vec<u8>),
}

/// Something that exists or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Path(Vec<u8>),
    Inode(u64),
}

impl Name {
    fn entry(&self) -> Entry<'_> {
        match self {
            Name::Path(path) => Entry::Path(path),
            Name::In(parent, name) => Entry::In(Inode(*parent), name),
        }
    }
}

impl Place {
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        match self {
            Place::Path(path) => Target::Path(path),
            Place::Inode(inode) => Target::Inode(Inode(*inode)),
        }
    }
}

/// Bytes told by how many and a seed, so that an operation prints short: a random page again and again, each time with
/// its number in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    pub seed: u64,
    pub length: usize,
}

const PAGE: usize = 4096;

impl Data {
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut page = [0; PAGE];
        SeededRandom::new(self.seed).fill(&mut page[..self.length.min(PAGE)]);
        let mut bytes = Vec::with_capacity(self.length);
        for (number, at) in (0..self.length).step_by(PAGE).enumerate() {
            page[..8].copy_from_slice(&(self.seed << 32 | number as u64).to_le_bytes());
            bytes.extend_from_slice(&page[..PAGE.min(self.length - at)]);
        }
        bytes
    }
}

/// Whole content, from its start: data and holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Data(Data),
    Hole(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Create {
        name: Name,
        new: NewFile,
        exclusive: bool,
    },
    Put {
        name: Name,
        parts: Vec<Part>,
        new: NewFile,
        attributes_too: bool,
    },
    Mkdir {
        name: Name,
        new: NewFile,
        exclusive: bool,
    },
    Symlink {
        name: Name,
        target: Vec<u8>,
        new: NewFile,
    },
    Link {
        place: Place,
        name: Name,
    },
    Write {
        place: Place,
        offset: u64,
        data: Data,
    },
    Append {
        place: Place,
        data: Data,
    },
    Truncate {
        place: Place,
        size: u64,
    },
    SetAttributes {
        place: Place,
        change: AttributeChange,
        follow: bool,
    },
    SetXattr {
        place: Place,
        name: Vec<u8>,
        value: Vec<u8>,
        mode: XattrMode,
    },
    RemoveXattr {
        place: Place,
        name: Vec<u8>,
    },
    Rename {
        from: Name,
        to: Name,
        mode: RenameMode,
    },
    Unlink {
        name: Name,
    },
    Rmdir {
        name: Name,
    },
    MakeNode {
        name: Name,
        kind: NodeKind,
        new: NewFile,
    },
    Punch {
        place: Place,
        offset: u64,
        length: u64,
    },
    /// Of a file.
    Copy {
        place: Place,
        name: Name,
    },
    /// All as one record.
    Batch {
        ops: Vec<Op>,
    },
}

/// What a call answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub inode: u64,
    /// The record, where one was made.
    pub seq: Option<Seq>,
}

impl Op {
    /// The bytes that it writes, where it can be part of a batch.
    fn content(&self) -> Vec<u8> {
        match self {
            Op::Put { parts, .. } => parts
                .iter()
                .flat_map(|part| match part {
                    Part::Data(data) => data.bytes(),
                    Part::Hole(_) => panic!("content of a batch has no holes"),
                })
                .collect(),
            Op::Write { data, .. } | Op::Append { data, .. } => data.bytes(),
            _ => Vec::new(),
        }
    }

    fn change<'a>(&'a self, content: &'a [u8]) -> Change<'a> {
        match self {
            Op::Create { name, new, exclusive } => Change::Create { entry: name.entry(), new, exclusive: *exclusive },
            Op::Put { name, new, attributes_too, .. } => {
                Change::Put { entry: name.entry(), new, content, attributes_too: *attributes_too }
            }
            Op::Mkdir { name, new, exclusive } => Change::Mkdir { entry: name.entry(), new, exclusive: *exclusive },
            Op::Symlink { name, target, new } => Change::Symlink { entry: name.entry(), target, new },
            Op::Link { place, name } => Change::Link { target: place.target(), entry: name.entry() },
            Op::Write { place, offset, .. } => {
                Change::Write { target: place.target(), offset: *offset, bytes: content }
            }
            Op::Append { place, .. } => Change::Append { target: place.target(), bytes: content },
            Op::Truncate { place, size } => Change::Truncate { target: place.target(), size: *size },
            Op::SetAttributes { place, change, follow } => {
                Change::SetAttributes { target: place.target(), change, follow: *follow }
            }
            Op::SetXattr { place, name, value, mode } => {
                Change::SetXattr { target: place.target(), name, value, mode: *mode }
            }
            Op::RemoveXattr { place, name } => Change::RemoveXattr { target: place.target(), name },
            Op::Rename { from, to, mode } => Change::Rename { from: from.entry(), to: to.entry(), mode: *mode },
            Op::Unlink { name } => Change::Unlink { entry: name.entry() },
            Op::Rmdir { name } => Change::Rmdir { entry: name.entry() },
            Op::MakeNode { name, kind, new } => Change::MakeNode { entry: name.entry(), kind: *kind, new },
            Op::Punch { place, offset, length } => {
                Change::Punch { target: place.target(), offset: *offset, length: *length }
            }
            Op::Copy { .. } | Op::Batch { .. } => panic!("{self:?} cannot be part of a batch"),
        }
    }

    /// Is its content beyond one record, so that it is stored before the record that attaches it?
    #[must_use]
    pub fn is_staged(&self) -> bool {
        let Op::Put { parts, .. } = self else { return false };
        let data = parts.iter().map(|part| if let Part::Data(data) = part { data.length } else { 0 });
        data.sum::<usize>() > nexus_engine::limits::RECORD_PAYLOAD_BYTES_MAX
    }

    /// Makes the call.
    pub fn call(&self, zone: &Zone, caller: &Caller, durability: Durability) -> Result<Answer, Error> {
        let d = durability;
        let inode = |done: nexus_engine::Done<Inode>| Answer { inode: done.reply.0, seq: done.seq };
        let created = |done: nexus_engine::Done<nexus_engine::Created>| {
            let before = done.reply.inode.0 >> 16;
            assert!(!done.reply.fresh || Some(Seq(before)) == done.seq, "{:?} is not of its record", done.reply);
            Answer { inode: done.reply.inode.0, seq: done.seq }
        };
        match self {
            Op::Create { name, new, exclusive } => zone.create(caller, name.entry(), new, *exclusive, d).map(created),
            Op::Put { name, parts, new, attributes_too } => {
                let mut writer = zone.content_writer(caller);
                for part in parts {
                    match part {
                        Part::Data(data) => writer.write(&data.bytes())?,
                        Part::Hole(bytes) => writer.hole(*bytes)?,
                    }
                }
                let done = match attributes_too {
                    true => zone.put_file(caller, name.entry(), new, writer, d),
                    false => zone.put_content(caller, name.entry(), new, writer, d),
                };
                done.map(created)
            }
            Op::Mkdir { name, new, exclusive } => zone.mkdir(caller, name.entry(), new, *exclusive, d).map(created),
            Op::Symlink { name, target, new } => zone.symlink(caller, name.entry(), target, new, d).map(created),
            Op::Link { place, name } => zone.link(caller, place.target(), name.entry(), d).map(inode),
            Op::Write { place, offset, data } => {
                zone.write(caller, place.target(), *offset, &data.bytes(), d).map(inode)
            }
            Op::Append { place, data } => zone.append(caller, place.target(), &data.bytes(), d).map(inode),
            Op::Truncate { place, size } => zone.truncate(caller, place.target(), *size, d).map(inode),
            Op::SetAttributes { place, change, follow } => {
                zone.set_attributes(caller, place.target(), change, *follow, d).map(inode)
            }
            Op::SetXattr { place, name, value, mode } => {
                zone.set_xattr(caller, place.target(), name, value, *mode, d).map(inode)
            }
            Op::RemoveXattr { place, name } => zone.remove_xattr(caller, place.target(), name, d).map(inode),
            Op::Rename { from, to, mode } => zone.rename(caller, from.entry(), to.entry(), *mode, d).map(inode),
            Op::Unlink { name } => zone.unlink(caller, name.entry(), d).map(inode),
            Op::Rmdir { name } => zone.rmdir(caller, name.entry(), d).map(inode),
            Op::MakeNode { name, kind, new } => zone.make_node(caller, name.entry(), *kind, new, d).map(created),
            Op::Punch { place, offset, length } => zone.punch(caller, place.target(), *offset, *length, d).map(inode),
            Op::Copy { place, name } => zone.copy(caller, place.target(), At::Newest, name.entry(), d).map(created),
            Op::Batch { ops } => {
                let contents: Vec<Vec<u8>> = ops.iter().map(Op::content).collect();
                let items: Vec<BatchItem<'_>> =
                    ops.iter().zip(&contents).map(|(op, content)| op.change(content).into()).collect();
                let done = zone.batch_atomic(caller, &items, d)?;
                assert_eq!(done.reply.len(), ops.len(), "one reply for each change");
                Ok(Answer { inode: done.reply.last().map_or(0, |last| last.inode.0), seq: done.seq })
            }
        }
    }
}
