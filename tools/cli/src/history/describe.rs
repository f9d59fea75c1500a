//! An event as a line for people.

use nexus_log::event::{Accessed, Event};
use nexus_log::record::Record;
use nexus_projections::row::FileKind;

use super::fields::{policy_name, reason_name, syscall_name};
use crate::at::{local_exact, rfc3339_signed};
use crate::output::shown;

/// `SEQ[.INDEX]  TIME  AGENT  KIND  PATH  DETAILS`.
pub(crate) fn describe(record: &Record, index: usize, path: Option<&[u8]>) -> String {
    let event = &record.events[index];
    let position = if index == 0 { record.seq.to_string() } else { format!("{}.{index}", record.seq) };
    let time = local_exact(record.commit_time.0);
    let agent = shown(record.context.agent.as_bytes());
    let mut line = format!("{position:>8}  {time}  {agent:<12}  {:<18}", event.name());
    for part in [shown(path.unwrap_or_default()), details(event)] {
        if !part.is_empty() {
            line.push_str("  ");
            line.push_str(&part);
        }
    }
    line.trim_end().to_owned()
}

fn details(event: &Event) -> String {
    match event {
        Event::ZoneCreated(e) => format!("zone {}", shown(e.name.as_bytes())),
        Event::Recovered(e) => {
            let cut = if e.cut_from == 0 { String::from("nothing cut") } else { format!("cut from {}", e.cut_from) };
            format!("{cut}, {} records written again", e.rewritten)
        }
        Event::AuditGap(e) => format!("counts of refusals and reads after {} may be missing", e.after),
        Event::TimeClosed(e) => format!("up to {}", local_exact(e.time_ns)),
        Event::ClockHeld(e) => {
            format!("the wall clock says {}, the zone goes by {}", local_exact(e.wall_ns), local_exact(e.carried_ns))
        }
        Event::ClockConfirmed(e) => {
            format!("the wall clock says {}, the zone was at {}", local_exact(e.wall_ns), local_exact(e.carried_ns))
        }
        Event::PolicySet(e) => format!("reads {}", e.reads.map_or_else(|| "inherit".into(), policy_name)),
        Event::UsageCounted(e) => format!("{} to {}, {} actors and hours", e.after + 1, e.until, e.counts.len()),
        Event::Accessed(e) => accessed(e),
        Event::RequestAnswered(e) => format!("{} changes of a named request", e.replies.len()),
        Event::FileCreated(e) => format!("mode {:04o}, {} bytes", e.mode, e.content.size),
        Event::DirectoryCreated(e) => format!("mode {:04o}", e.mode),
        Event::SymlinkCreated(e) => format!("-> {}", shown(&e.target)),
        Event::NodeCreated(e) => {
            let kind = FileKind::from_code(e.kind).map_or("of a newer release", FileKind::name);
            format!("{kind}, mode {:04o}", e.mode)
        }
        Event::Linked(e) => format!("inode {}", e.inode),
        Event::Unlinked(e) if e.orphaned => "held open".into(),
        Event::Unlinked(_) | Event::DirectoryRemoved(_) => String::new(),
        Event::Renamed(e) if e.replaced != 0 => format!("from {}, replaced inode {}", shown(&e.from_path), e.replaced),
        Event::Renamed(e) => format!("from {}", shown(&e.from_path)),
        Event::Exchanged(e) => format!("with {}", shown(&e.other_path)),
        Event::DetachedCreated(e) => format!("inode {}, built out of sight", e.inode),
        Event::Attached(_) => "all of it at once".into(),
        Event::AttributesSet(e) => {
            let parts = [
                e.mode.map(|mode| format!("mode {mode:04o}")),
                e.uid.map(|uid| format!("uid {uid}")),
                e.gid.map(|gid| format!("gid {gid}")),
                e.atime.map(|time| format!("atime {}", rfc3339_signed(time))),
                e.mtime.map(|time| format!("mtime {}", rfc3339_signed(time))),
                e.mime.as_ref().map(|mime| format!("mime {}", shown(mime.as_bytes()))),
            ];
            parts.into_iter().flatten().collect::<Vec<String>>().join(", ")
        }
        Event::XattrSet(e) => format!("{}, {} bytes", shown(&e.name), e.value.len()),
        Event::XattrRemoved(e) => shown(&e.name),
        Event::ContentStored(e) => {
            let bytes: u64 = e.pieces.iter().map(|piece| u64::from(piece.length)).sum();
            format!("{bytes} bytes ahead of the record that attaches them")
        }
        Event::Written(e) if e.replace => format!("whole content, {} bytes", e.length),
        Event::Written(e) => format!("{} bytes at {}", e.length, e.offset),
        Event::Punched(e) => format!("a hole of {} bytes at {}", e.length, e.offset),
        Event::Truncated(e) => format!("to {} bytes", e.size),
        Event::OrphansReleased(e) => format!("{} files", e.inodes.len()),
        Event::Refused(e) => format!("{}: {}", syscall_name(e.syscall), reason_name(e.reason)),
        Event::RefusalsCounted(e) => {
            let counts = e.counts.iter().map(|count| {
                format!("{} x {}: {}", count.count, syscall_name(count.syscall), reason_name(count.reason))
            });
            counts.collect::<Vec<String>>().join(", ")
        }
    }
}

fn accessed(e: &Accessed) -> String {
    if let (Some(strict), [one]) = (&e.strict, &e.inodes[..]) {
        let outcome = match strict.reason {
            0 => format!("{} bytes", one.bytes),
            reason => reason_name(reason),
        };
        return format!("{}: {outcome}", syscall_name(one.syscall));
    }
    let told = || e.inodes.iter().chain(&e.directories);
    let calls = told().map(|count| count.calls).sum::<u64>() + e.collapsed_calls;
    let bytes = told().map(|count| count.bytes).sum::<u64>() + e.collapsed_bytes;
    match (&e.inodes[..], e.directories.is_empty() && e.collapsed_calls == 0) {
        ([one], true) if one.inode == 0 => format!("{} of the zone's history", syscall_name(one.syscall)),
        ([one], true) => {
            let at = if one.at == 0 { String::new() } else { format!(" at {}", one.at) };
            format!("{} of inode {}{at}, {calls} calls, {bytes} bytes", syscall_name(one.syscall), one.inode)
        }
        (inodes, true) => format!("{} things, {calls} calls, {bytes} bytes", inodes.len()),
        (inodes, false) => format!("more than {} things, {calls} calls, {bytes} bytes", inodes.len()),
    }
}
