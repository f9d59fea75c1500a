//! An event's fields as JSON, by the names of docs/EVENTS.md.

use nexus_log::event::v1;
use nexus_log::event::{Event, ReadPolicy, Reason, Syscall};
use nexus_log::record::Record;

use crate::at::{rfc3339, rfc3339_signed};
use crate::output::{Json, Object, hex};

pub(crate) const HOUR_NS: u64 = 3_600_000_000_000;

/// A field's value by its type.
trait Field {
    fn set(&self, name: &'static str, object: &mut Object);
}

/// Types whose value stands by itself.
macro_rules! plain_fields {
    ($($type:ty: $json:expr;)*) => {
        $(impl Field for $type {
            fn set(&self, name: &'static str, object: &mut Object) {
                let json: fn(&$type) -> Json = $json;
                object.set(name, json(self));
            }
        })*
    };
}

plain_fields! {
    bool: |value| (*value).into();
    u8: |value| u32::from(*value).into();
    u32: |value| (*value).into();
    u64: |value| (*value).into();
    String: |value| value.as_str().into();
    [u8; 32]: |value| hex(value).into();
    // The only signed numbers are the times of files.
    i64: |value| rfc3339_signed(*value).into();
    Vec<u64>: |value| value.clone().into();
    Vec<v1::Piece>: |value| value.iter().map(piece).collect::<Vec<Object>>().into();
    Vec<v1::ForeignChunk>: |value| value.iter().map(foreign).collect::<Vec<Object>>().into();
    Vec<v1::RequestReply>: |value| value.iter().map(reply).collect::<Vec<Object>>().into();
    Vec<v1::RefusalCount>: |value| value.iter().map(count).collect::<Vec<Object>>().into();
    Vec<v1::UsageCount>: |value| value.iter().map(usage).collect::<Vec<Object>>().into();
    Vec<v1::AccessCount>: |value| value.iter().map(access).collect::<Vec<Object>>().into();
    v1::FileContent: |value| content(value).into();
    v1::LinkName: |value| Object::new().with("parent", value.parent).with_bytes("name", &value.name).into();
}

impl Field for Vec<u8> {
    fn set(&self, name: &'static str, object: &mut Object) {
        object.set_bytes(name, self);
    }
}

impl<T: Field> Field for Option<T> {
    fn set(&self, name: &'static str, object: &mut Object) {
        match self {
            Some(value) => value.set(name, object),
            None => object.set(name, Json::Null),
        }
    }
}

/// An object with the named fields of a struct. Names all of them, so that a new field cannot be forgotten.
macro_rules! fields {
    ($type:ident, $value:expr; $($field:ident)*) => {{
        let v1::$type { $($field),* } = $value;
        let mut object = Object::new();
        $(Field::set($field, stringify!($field), &mut object);)*
        object
    }};
}

fn piece(value: &v1::Piece) -> Object {
    fields!(Piece, value; file_offset length skip chunk)
}

fn foreign(value: &v1::ForeignChunk) -> Object {
    fields!(ForeignChunk, value; seq offset length hash)
}

fn content(value: &v1::FileContent) -> Object {
    fields!(FileContent, value; size body pieces foreign content_id)
}

fn reply(value: &v1::RequestReply) -> Object {
    fields!(RequestReply, value; inode created)
}

fn count(value: &v1::RefusalCount) -> Object {
    let v1::RefusalCount { syscall, reason, inode, count } = value;
    let object = Object::new().with("syscall", syscall_name(*syscall)).with("reason", reason_name(*reason));
    object.with("inode", *inode).with("count", *count)
}

pub(crate) fn usage(value: &v1::UsageCount) -> Object {
    let v1::UsageCount { tenant, user, agent, hour, counts } = value;
    let mut object = Object::new()
        .with("tenant", tenant.as_str())
        .with("user", user.as_str())
        .with("agent", agent.as_str())
        .with("hour", rfc3339(hour.saturating_mul(HOUR_NS)));
    object.extend(usage_counts(counts));
    object
}

pub(crate) fn usage_counts(value: &v1::UsageCounts) -> Object {
    fields!(UsageCounts, value; changes refusals reads bytes_in bytes_out)
}

fn access(value: &v1::AccessCount) -> Object {
    let v1::AccessCount { syscall, inode, at, calls, bytes } = value;
    let object = Object::new().with("syscall", syscall_name(*syscall)).with("inode", *inode);
    object.with("at", (*at != 0).then_some(*at)).with("calls", *calls).with("bytes", *bytes)
}

pub(super) fn policy_name(code: u16) -> String {
    ReadPolicy::from_code(code).map_or_else(|| code.to_string(), |policy| policy.name().into())
}

fn accessed(value: &v1::Accessed) -> Object {
    let v1::Accessed { from_ns, until_ns, inodes, directories, collapsed_calls, collapsed_bytes, strict } = value;
    let mut object = Object::new().with("from_ns", *from_ns).with("until_ns", *until_ns);
    inodes.set("inodes", &mut object);
    directories.set("directories", &mut object);
    let object = object.with("collapsed_calls", *collapsed_calls).with("collapsed_bytes", *collapsed_bytes);
    // The path stands above.
    let reason = strict.as_ref().map(|strict| (strict.reason != 0).then(|| reason_name(strict.reason)));
    object.with("strict", strict.is_some()).with("reason", reason.flatten())
}

/// A syscall's name; its number where a newer release made it.
pub(super) fn syscall_name(code: u16) -> String {
    Syscall::from_code(code).map_or_else(|| code.to_string(), |syscall| syscall.name().into())
}

pub(super) fn reason_name(code: u16) -> String {
    Reason::from_code(code).map_or_else(|| code.to_string(), |reason| reason.name().into())
}

fn fields_of(event: &Event) -> Object {
    match event {
        Event::ZoneCreated(e) => fields!(ZoneCreated, e; name mode uid gid),
        Event::Recovered(e) => fields!(Recovered, e; cut_from cut_bytes rewritten),
        Event::AuditGap(e) => fields!(AuditGap, e; after until_ns),
        Event::TimeClosed(e) => fields!(TimeClosed, e; time_ns),
        Event::ClockHeld(e) => fields!(ClockHeld, e; wall_ns carried_ns),
        Event::ClockConfirmed(e) => fields!(ClockConfirmed, e; wall_ns carried_ns),
        Event::PolicySet(v1::PolicySet { inode, path, reads }) => {
            Object::new().with("inode", *inode).with_bytes("path", path).with("reads", reads.map(policy_name))
        }
        Event::UsageCounted(e) => fields!(UsageCounted, e; after until counts),
        Event::Accessed(e) => accessed(e),
        Event::RequestAnswered(e) => fields!(RequestAnswered, e; request replies),
        Event::FileCreated(e) => {
            fields!(FileCreated, e; inode parent name path mode uid gid mtime atime content)
        }
        Event::DirectoryCreated(e) => fields!(DirectoryCreated, e; inode parent name path mode uid gid),
        Event::SymlinkCreated(e) => fields!(SymlinkCreated, e; inode parent name path uid gid mtime target),
        Event::NodeCreated(e) => {
            fields!(NodeCreated, e; inode parent name path kind mode uid gid mtime device)
        }
        Event::Linked(e) => fields!(Linked, e; inode parent name path),
        Event::Unlinked(e) => fields!(Unlinked, e; inode parent name path orphaned promoted),
        Event::DirectoryRemoved(e) => fields!(DirectoryRemoved, e; inode parent name path),
        Event::Renamed(e) => fields!(Renamed, e; inode from_parent from_name from_path to_parent to_name to_path
            replaced replaced_orphaned replaced_promoted),
        Event::AttributesSet(e) => fields!(AttributesSet, e; inode path mode uid gid atime mtime mime),
        Event::XattrSet(e) => fields!(XattrSet, e; inode path name value),
        Event::XattrRemoved(e) => fields!(XattrRemoved, e; inode path name),
        Event::Exchanged(e) => fields!(Exchanged, e; inode parent name path other other_parent other_name other_path),
        Event::DetachedCreated(e) => fields!(DetachedCreated, e; inode mode uid gid),
        Event::Attached(e) => fields!(Attached, e; inode parent name path),
        Event::ContentStored(e) => fields!(ContentStored, e; body pieces foreign),
        Event::Written(e) => fields!(Written, e; inode path offset length replace content),
        Event::Truncated(e) => fields!(Truncated, e; inode path size),
        Event::OrphansReleased(e) => fields!(OrphansReleased, e; inodes),
        Event::Punched(e) => fields!(Punched, e; inode path offset length body),
        Event::Refused(v1::Refused { syscall, reason, inode, path }) => Object::new()
            .with("syscall", syscall_name(*syscall))
            .with("reason", reason_name(*reason))
            .with("inode", *inode)
            .with_bytes("path", path),
        Event::RefusalsCounted(e) => fields!(RefusalsCounted, e; from_ns until_ns counts collapsed),
    }
}

/// One line of `log --json`: the record, who acted, and the event at `index` in it.
pub(crate) fn event_object(record: &Record, index: usize, path: Option<&[u8]>) -> Object {
    let event = &record.events[index];
    let context = &record.context;
    let actor = Object::new()
        .with("tenant", context.tenant.as_str())
        .with("user", context.user.as_str())
        .with("agent", context.agent.as_str())
        .with("session", context.session.as_str())
        .with("generation", context.generation);
    let origin = Object::new()
        .with("request_id", context.request_id.clone())
        .with("trace_id", context.trace_id.map(|id| hex(&id)))
        .with("process", context.process)
        .with("command", context.command.as_str());
    let mut object = Object::new()
        .with("seq", record.seq.0)
        .with("index", index as u64)
        .with("time", rfc3339(record.commit_time.0))
        .with("actor", actor)
        .with("kind", event.name())
        .with("outcome", event.outcome().name());
    match path {
        Some(path) => object.set_bytes("path", path),
        None => object.set("path", Json::Null),
    }
    object.set("origin", origin);
    // The path stands above: as the caller gave it, or found by the inode.
    object.extend(fields_of(event).without("path"));
    object
}
