//! What one line asks for.

use nexus_engine::{
    AttributeChange, BatchItem, Change, Entry, Expect, NewFile, NodeKind, RenameMode, Result, Target, XattrMode,
};
use nexus_log::event::Reason;

use super::keys::{Keys, invalid, missing, required};
use crate::names::ZonePath;
use crate::verbs::content::owned_by_us;

/// A change with all that it needs. `path` is that of the line: of a rename and a link the new name.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) op: &'static str,
    pub(super) zone: String,
    pub(super) path: Vec<u8>,
    change: Asked,
    expect: Expect,
}

#[derive(Debug)]
enum Asked {
    Create { new: NewFile, exclusive: bool },
    Put { new: NewFile, content: Vec<u8>, attributes_too: bool },
    Mkdir { new: NewFile, exclusive: bool },
    Symlink { new: NewFile, target: Vec<u8> },
    Link { target: Vec<u8> },
    Node { new: NewFile, kind: NodeKind },
    Write { offset: u64, bytes: Vec<u8> },
    Append { bytes: Vec<u8> },
    Truncate { size: u64 },
    Punch { offset: u64, length: u64 },
    Attributes { change: AttributeChange, follow: bool },
    SetXattr { name: Vec<u8>, value: Vec<u8>, mode: XattrMode },
    RemoveXattr { name: Vec<u8> },
    Rename { from: Vec<u8>, mode: RenameMode },
    Unlink,
    Rmdir,
}

/// The operations, by the names that refusals in the log have for them.
const OPS: [&str; 16] = [
    "create",
    "put",
    "mkdir",
    "symlink",
    "link",
    "mknod",
    "write",
    "append",
    "truncate",
    "punch",
    "setattr",
    "setxattr",
    "removexattr",
    "rename",
    "unlink",
    "rmdir",
];

impl Line {
    pub(super) fn parse(line: &[u8]) -> Result<Line> {
        let mut keys = Keys::parse(line)?;
        let asked = required(keys.text("op")?, "op")?;
        let op = OPS.into_iter().find(|op| *op == asked);
        let op = op.ok_or_else(|| invalid(format!("the key \"op\" is {asked:?}; it is one of {}", OPS.join(", "))))?;
        // A rename names two things; as in output, `path` is what it comes to.
        let path = match op {
            "rename" => keys.path("to", "to_bytes")?,
            _ => keys.path("path", "path_bytes")?,
        };
        let change = asked_for(op, &path, &mut keys)?;
        let expect = expect(&mut keys)?;
        keys.finish(op)?;
        Ok(Line { op, zone: path.zone, path: path.path, change, expect })
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        ZonePath { zone: self.zone.clone(), path: self.path.clone() }.to_string()
    }

    pub(super) fn item(&self) -> BatchItem<'_> {
        let (entry, target) = (Entry::Path(&self.path), Target::Path(&self.path));
        let change = match &self.change {
            Asked::Create { new, exclusive } => Change::Create { entry, new, exclusive: *exclusive },
            Asked::Put { new, content, attributes_too } => {
                Change::Put { entry, new, content, attributes_too: *attributes_too }
            }
            Asked::Mkdir { new, exclusive } => Change::Mkdir { entry, new, exclusive: *exclusive },
            Asked::Symlink { new, target } => Change::Symlink { entry, target, new },
            Asked::Link { target } => Change::Link { target: Target::Path(target), entry },
            Asked::Node { new, kind } => Change::MakeNode { entry, kind: *kind, new },
            Asked::Write { offset, bytes } => Change::Write { target, offset: *offset, bytes },
            Asked::Append { bytes } => Change::Append { target, bytes },
            Asked::Truncate { size } => Change::Truncate { target, size: *size },
            Asked::Punch { offset, length } => Change::Punch { target, offset: *offset, length: *length },
            Asked::Attributes { change, follow } => Change::SetAttributes { target, change, follow: *follow },
            Asked::SetXattr { name, value, mode } => Change::SetXattr { target, name, value, mode: *mode },
            Asked::RemoveXattr { name } => Change::RemoveXattr { target, name },
            Asked::Rename { from, mode } => Change::Rename { from: Entry::Path(from), to: entry, mode: *mode },
            Asked::Unlink => Change::Unlink { entry },
            Asked::Rmdir => Change::Rmdir { entry },
        };
        BatchItem { change, expect: self.expect }
    }
}

fn asked_for(op: &str, path: &ZonePath, keys: &mut Keys) -> Result<Asked> {
    Ok(match op {
        "create" => Asked::Create { new: new_file(keys, 0o644)?, exclusive: keys.flag("exclusive", false)? },
        "put" => Asked::Put {
            content: keys.content("content", "content_base64")?,
            new: new_file(keys, 0o644)?,
            attributes_too: keys.flag("attributes_too", false)?,
        },
        "mkdir" => Asked::Mkdir { new: new_file(keys, 0o755)?, exclusive: keys.flag("exclusive", true)? },
        "symlink" => Asked::Symlink {
            target: required(keys.raw("target", "target_bytes")?, "target")?,
            new: new_file(keys, 0o777)?,
        },
        "link" => Asked::Link { target: same_zone(keys.path("target", "target_bytes")?, path)? },
        "mknod" => Asked::Node { kind: node_kind(keys)?, new: new_file(keys, 0o644)? },
        "write" => Asked::Write {
            offset: required(keys.number("offset")?, "offset")?,
            bytes: keys.content("content", "content_base64")?,
        },
        "append" => Asked::Append { bytes: keys.content("content", "content_base64")? },
        "truncate" => Asked::Truncate { size: required(keys.number("size")?, "size")? },
        "punch" => Asked::Punch {
            offset: required(keys.number("offset")?, "offset")?,
            length: required(keys.number("length")?, "length")?,
        },
        "setattr" => attributes(keys)?,
        "setxattr" => Asked::SetXattr {
            name: required(keys.raw("name", "name_bytes")?, "name")?,
            value: keys.content("value", "value_base64")?,
            mode: keys
                .word("flag", &[("create", XattrMode::Create), ("replace", XattrMode::Replace)])?
                .unwrap_or_default(),
        },
        "removexattr" => Asked::RemoveXattr { name: required(keys.raw("name", "name_bytes")?, "name")? },
        "rename" => {
            let modes = [
                ("replace", RenameMode::Replace),
                ("no_replace", RenameMode::NoReplace),
                ("exchange", RenameMode::Exchange),
            ];
            let from = same_zone(keys.path("from", "from_bytes")?, path)?;
            Asked::Rename { from, mode: keys.word("flag", &modes)?.unwrap_or_default() }
        }
        "unlink" => Asked::Unlink,
        "rmdir" => Asked::Rmdir,
        _ => unreachable!("it is one of OPS"),
    })
}

fn new_file(keys: &mut Keys, mode: u32) -> Result<NewFile> {
    let ours = owned_by_us();
    Ok(NewFile {
        mode: keys.mode()?.unwrap_or(mode),
        uid: keys.small_number("uid")?.unwrap_or(ours.uid),
        gid: keys.small_number("gid")?.unwrap_or(ours.gid),
        mtime: keys.time("mtime")?,
        atime: keys.time("atime")?,
        xattrs: Vec::new(),
    })
}

fn attributes(keys: &mut Keys) -> Result<Asked> {
    let change = AttributeChange {
        mode: keys.mode()?,
        uid: keys.small_number("uid")?,
        gid: keys.small_number("gid")?,
        atime: keys.time("atime")?,
        mtime: keys.time("mtime")?,
        mime: keys.text("mime")?,
    };
    if change == AttributeChange::default() {
        return Err(missing("\"mode\", \"uid\", \"gid\", \"atime\", \"mtime\" or \"mime\""));
    }
    Ok(Asked::Attributes { change, follow: keys.flag("follow", true)? })
}

/// What a node is, by the names that `stat` has for it.
fn node_kind(keys: &mut Keys) -> Result<NodeKind> {
    const KINDS: [(&str, bool); 4] =
        [("fifo", false), ("socket", false), ("char_device", true), ("block_device", true)];
    let named = KINDS.map(|(name, _)| (name, name));
    let kind = required(keys.word("kind", &named)?, "kind")?;
    if !KINDS.contains(&(kind, true)) {
        return Ok(if kind == "fifo" { NodeKind::Fifo } else { NodeKind::Socket });
    }
    let (major, minor) = (keys.small_number("major")?, keys.small_number("minor")?);
    let (major, minor) = (required(major, "major")?, required(minor, "minor")?);
    Ok(match kind {
        "char_device" => NodeKind::CharDevice { major, minor },
        _ => NodeKind::BlockDevice { major, minor },
    })
}

fn same_zone(other: ZonePath, path: &ZonePath) -> Result<Vec<u8>> {
    if other.zone != path.zone {
        let message = format!("{other} and {path} are in different zones");
        return Err(nexus_engine::Error::new(Reason::CrossZone, message));
    }
    Ok(other.path)
}

fn expect(keys: &mut Keys) -> Result<Expect> {
    let version = keys.number("if_version")?;
    let (absent, exists) = (keys.flag("if_absent", false)?, keys.flag("if_exists", false)?);
    if absent && (exists || version.is_some()) {
        return Err(invalid("\"if_absent\" contradicts \"if_exists\" and \"if_version\""));
    }
    let exists = if absent { Some(false) } else { exists.then_some(true) };
    Ok(Expect { version, exists })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_keys() {
        let new =
            r#""mode": 420, "uid": 1, "gid": 2, "mtime": "2026-03-04T05:06:07Z", "atime": "1960-01-01T00:00:00Z""#;
        let lines = [
            format!(r#"{{"op": "create", "path": "/a", {new}, "exclusive": true}}"#),
            format!(r#"{{"op": "put", "path": "/a", "content": "x", {new}, "attributes_too": true}}"#),
            r#"{"op": "mkdir", "path": "/a", "mode": "0700", "exclusive": false, "if_absent": false}"#.into(),
            r#"{"op": "symlink", "path": "/a", "target": "anything"}"#.into(),
            r#"{"op": "link", "path": "/a", "target": "/b"}"#.into(),
            r#"{"op": "mknod", "path": "/a", "kind": "fifo"}"#.into(),
            r#"{"op": "mknod", "path": "/a", "kind": "char_device", "major": 1, "minor": 3}"#.into(),
            r#"{"op": "write", "path": "/a", "offset": 7, "content_base64": "AP8="}"#.into(),
            r#"{"op": "append", "path": "/a", "content": ""}"#.into(),
            r#"{"op": "truncate", "path": "/a", "size": 0, "if_version": 3, "if_exists": true}"#.into(),
            r#"{"op": "punch", "path": "/a", "offset": 0, "length": 9}"#.into(),
            r#"{"op": "setattr", "path": "/a", "mime": "text/plain", "follow": false}"#.into(),
            r#"{"op": "setxattr", "path": "/a", "name": "user.x", "value_base64": "AA==", "flag": "create"}"#.into(),
            r#"{"op": "removexattr", "path": "/a", "name": "user.x"}"#.into(),
            r#"{"op": "rename", "from": "/b", "to": "/a", "flag": "exchange"}"#.into(),
            r#"{"op": "unlink", "path_bytes": "2f61"}"#.into(),
            r#"{"op": "rmdir", "path": "root:/a"}"#.into(),
        ];
        let mut ops: Vec<&str> = Vec::new();
        for line in &lines {
            let parsed = Line::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!((&parsed.path[..], parsed.zone.as_str()), (&b"/a"[..], "root"), "{line}");
            parsed.item();
            ops.push(parsed.op);
        }
        ops.dedup();
        assert_eq!(ops, OPS);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let cases = [
            ("", "empty"),
            ("{", "not a JSON object"),
            ("[1]", "not a JSON object"),
            (r#"{"op": "unlink", "path": "/a"} x"#, "not a JSON object"),
            (r#"{"path": "/a"}"#, "\"op\" is missing"),
            (r#"{"op": "rm", "path": "/a"}"#, "it is one of create, put"),
            (r#"{"op": 1, "path": "/a"}"#, "\"op\" is a number; expected a text"),
            (r#"{"op": "unlink"}"#, "\"path\" is missing"),
            (r#"{"op": "unlink", "path": "a"}"#, "\"path\": \"a\" is not a path"),
            (r#"{"op": "unlink", "path": "/a", "path": "/b"}"#, "\"path\" is there twice"),
            (r#"{"op": "unlink", "path": "/a", "force": true}"#, "no key \"force\"; it takes op, path"),
            (r#"{"op": "unlink", "path_bytes": "2f6"}"#, "\"path_bytes\""),
            (r#"{"op": "put", "path": "/a"}"#, "\"content\" or \"content_base64\" is missing"),
            (r#"{"op": "put", "path": "/a", "content": "", "content_base64": ""}"#, "not both"),
            (r#"{"op": "put", "path": "/a", "content_base64": "!"}"#, "\"content_base64\" is \"!\"; expected base64"),
            (r#"{"op": "put", "path": "/a", "content": ["x"]}"#, "\"content\" is a list"),
            (r#"{"op": "put", "path": "/a", "content": "", "mode": 4096}"#, "\"mode\""),
            (r#"{"op": "put", "path": "/a", "content": "", "mode": "999"}"#, "\"mode\" is \"999\""),
            (r#"{"op": "put", "path": "/a", "content": "", "mtime": "soon"}"#, "\"mtime\" is \"soon\""),
            (r#"{"op": "put", "path": "/a", "content": "", "uid": 4294967296}"#, "\"uid\""),
            (r#"{"op": "truncate", "path": "/a", "size": -1}"#, "\"size\" is a number; expected a whole number"),
            (r#"{"op": "truncate", "path": "/a", "size": 1.5}"#, "\"size\""),
            (r#"{"op": "truncate", "path": "/a", "size": "1"}"#, "\"size\" is a text"),
            (r#"{"op": "setattr", "path": "/a"}"#, "\"mode\", \"uid\""),
            (r#"{"op": "mknod", "path": "/a", "kind": "file"}"#, "one of fifo, socket"),
            (r#"{"op": "mknod", "path": "/a", "kind": "block_device", "major": 1}"#, "\"minor\" is missing"),
            (r#"{"op": "mknod", "path": "/a", "kind": "fifo", "major": 1}"#, "no key \"major\""),
            (r#"{"op": "rename", "from": "/a", "path": "/b"}"#, "\"to\" is missing"),
            (r#"{"op": "rename", "from": "x:/a", "to": "/b"}"#, "different zones"),
            (r#"{"op": "unlink", "path": "/a", "if_absent": true, "if_version": 1}"#, "contradicts"),
            (r#"{"op": "unlink", "path": "/a", "if_version": null}"#, "\"if_version\" is null"),
        ];
        for (line, expected) in cases {
            let error = Line::parse(line.as_bytes()).unwrap_err();
            assert!(error.message.contains(expected), "{line}: {error}");
        }
    }
}
