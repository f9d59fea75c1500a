//! Scripts that are played until something goes wrong.

use nexus_engine::{
    At, AttributeChange, Caller, Durability, Error, NewFile, NodeKind, ReadPolicy, RenameMode, XattrMode, Zone,
};
use nexus_log::ids::CommitTime;
use nexus_tests::op::{Data, Name, Op, Part, Place};

/// A history to be played.
pub(crate) type Script = fn() -> Vec<Step>;

type Call = dyn Fn(&Zone) -> Result<(), Error>;

pub(crate) enum Step {
    Durable(Op),
    Accepted(Op),
    /// A durable call under this request id.
    Named(&'static str, Op),
    /// What the model does not know.
    Beside(Box<Call>),
    /// The background work.
    Tick,
    /// All rows go to the tables.
    Flush,
}

pub(crate) fn path(path: &str) -> Vec<u8> {
    path.into()
}

pub(crate) fn name(name: &str) -> Name {
    Name::Path(path(name))
}

pub(crate) fn place(place: &str) -> Place {
    Place::Path(path(place))
}

pub(crate) fn put(at: &str, seed: u64, length: usize) -> Op {
    let parts = vec![Part::Data(Data { seed, length })];
    Op::Put { name: name(at), parts, new: NewFile::default(), attributes_too: false }
}

pub(crate) fn mkdir(at: &str) -> Op {
    Op::Mkdir { name: name(at), new: NewFile::default(), exclusive: true }
}

pub(crate) fn write(at: &str, offset: u64, length: usize) -> Op {
    Op::Write { place: place(at), offset, data: Data { seed: 5, length } }
}

pub(crate) fn rename(from: &str, to: &str) -> Op {
    Op::Rename { from: name(from), to: name(to), mode: nexus_engine::RenameMode::Replace }
}

/// The basic calls, small and large contents, refusals, background work.
pub(crate) fn basic() -> Vec<Step> {
    use Step::{Accepted, Durable, Flush, Tick};
    let xattr = |value: &[u8]| Op::SetXattr {
        place: place("/a"),
        name: b"user.x".to_vec(),
        value: value.to_vec(),
        mode: XattrMode::Either,
    };
    let mode = AttributeChange { mode: Some(0o600), mtime: Some(7), ..AttributeChange::default() };
    vec![
        Durable(mkdir("/a")),
        Accepted(put("/a/small", 1, 1024)),
        Accepted(write("/a/small", 600, 3000)),
        Durable(Op::Append { place: place("/a/small"), data: Data { seed: 2, length: 700 } }),
        Tick,
        Durable(Op::Symlink { name: name("/a/link"), target: path("small"), new: NewFile::default() }),
        Durable(write("/a/link", 100_000, 10)),
        Durable(put("/large", 3, 3 << 20)),
        Accepted(write("/large", (1 << 20) - 7, 5000)),
        Durable(Op::Unlink { name: name("/nothing") }),
        Accepted(Op::Link { place: place("/large"), name: name("/a/second") }),
        Tick,
        Flush,
        Durable(rename("/a/second", "/a/third")),
        Durable(Op::Truncate { place: place("/large"), size: 1_500_000 }),
        Accepted(Op::Unlink { name: name("/large") }),
        Durable(Op::Create { name: name("/new"), new: NewFile::default(), exclusive: true }),
        Durable(Op::Create { name: name("/new"), new: NewFile::default(), exclusive: true }),
        Durable(xattr(b"one")),
        Accepted(xattr(b"two")),
        Durable(Op::SetAttributes { place: place("/a/small"), change: mode, follow: true }),
        Durable(mkdir("/b")),
        Durable(rename("/b", "/a/b")),
        Durable(Op::Rmdir { name: name("/a") }),
        Durable(put("/huge", 4, 9 << 20)),
        Tick,
        Tick,
        Accepted(rename("/a", "/moved")),
        Durable(Op::RemoveXattr { place: place("/moved"), name: b"user.x".to_vec() }),
        Flush,
        Durable(Op::Rmdir { name: name("/moved/b") }),
        Accepted(put("/moved/small", 6, 2000)),
        Durable(rename("/new", "/moved/small")),
        Accepted(put("/last", 7, 1024)),
    ]
}

fn xattr(at: &str, number: u8, length: usize) -> Op {
    let (name, value) = (format!("user.{number}").into_bytes(), vec![number; length]);
    Op::SetXattr { place: place(at), name, value, mode: XattrMode::Either }
}

fn append(at: &str, seed: u64) -> Op {
    Op::Append { place: place(at), data: Data { seed, length: 900 } }
}

fn auditor() -> Caller {
    Caller::agent("reader").unwrap()
}

fn policy(at: &'static str, reads: Option<ReadPolicy>) -> Step {
    let set = move |zone: &Zone| zone.set_policy(&auditor(), at, reads, Durability::Durable).map(drop);
    Step::Beside(Box::new(set))
}

fn read(at: &'static str) -> Step {
    Step::Beside(Box::new(move |zone: &Zone| zone.view(At::Latest)?.read(&auditor(), at, 0, 10_000).map(drop)))
}

fn copy_tree(from: &'static str, to: &'static str) -> Step {
    let copy = move |zone: &Zone| zone.copy(&auditor(), from, At::Latest, to, Durability::Durable).map(drop);
    Step::Beside(Box::new(copy))
}

/// Asks for the present as a time.
fn close_time() -> Step {
    let close = |zone: &Zone| zone.view_for(&auditor(), At::Time(CommitTime(zone.clock().zone_ns))).map(drop);
    Step::Beside(Box::new(close))
}

/// Batches, copies of files and of a tree of several records, holes, nodes, exchanges, named requests, reads on record,
/// times that are closed.
pub(crate) fn further() -> Vec<Step> {
    use Step::{Accepted, Durable, Flush, Named, Tick};
    let batch = |ops: &[Op]| Op::Batch { ops: ops.to_vec() };
    let link = |from: &str, to: &str| Op::Link { place: place(from), name: name(to) };
    let copy = |from: &str, to: &str| Op::Copy { place: place(from), name: name(to) };
    let punch = |at: &str, offset, length| Op::Punch { place: place(at), offset, length };
    let exchange = |one: &str, other: &str| Op::Rename { from: name(one), to: name(other), mode: RenameMode::Exchange };
    let node = |at: &str, kind| Op::MakeNode { name: name(at), kind, new: NewFile::default() };
    let unlink = |at: &str| Op::Unlink { name: name(at) };
    vec![
        Durable(mkdir("/a")),
        Accepted(put("/a/f", 1, 3000)),
        Named("append", append("/a/f", 2)),
        policy("/a", Some(ReadPolicy::Strict)),
        read("/a/f"),
        policy("/a", None),
        Accepted(put("/large", 3, 2 << 20)),
        Accepted(punch("/large", (1 << 20) - 5, 300_000)),
        Durable(node("/a/pipe", NodeKind::Fifo)),
        Durable(punch("/a/f", 100, u64::MAX)),
        read("/a/f"),
        Tick,
        Named("copy", copy("/a/f", "/a/g")),
        Durable(copy("/large", "/a/large")),
        Named(
            "batch",
            batch(&[
                mkdir("/b"),
                put("/b/x", 4, 5000),
                append("/b/x", 5),
                link("/b/x", "/h"),
                rename("/b/x", "/b/y"),
                xattr("/b/y", 1, 10),
            ]),
        ),
        // The last is refused, and so are all.
        Durable(batch(&[put("/b/z", 6, 100), unlink("/h"), unlink("/nothing")])),
        Accepted(exchange("/a/pipe", "/h")),
        Durable(exchange("/a", "/b")),
        close_time(),
        Flush,
        Accepted(xattr("/b/f", 1, 60_000)),
        Accepted(xattr("/b/f", 2, 60_000)),
        Accepted(xattr("/b/f", 3, 60_000)),
        Accepted(xattr("/b/g", 4, 60_000)),
        Accepted(xattr("/b/g", 5, 60_000)),
        Durable(xattr("/b/g", 6, 60_000)),
        Tick,
        copy_tree("/b", "/copied"),
        Durable(append("/copied/f", 7)),
        Named("put", put("/copied/g", 8, 700)),
        Accepted(node("/tty", NodeKind::CharDevice { major: 5, minor: 1 })),
        Flush,
        Accepted(batch(&[unlink("/copied/f"), rename("/copied", "/moved")])),
        Named("link", link("/moved/g", "/last")),
        copy_tree("/moved", "/moved/inside"),
        Tick,
    ]
}
