//! What a record says of who used what: the one definition that the ledger's deltas, its recounts and auditors share.
//!
//! Invariant: the usage of a log is the sum of [`usage_of`] over its records, so what is in the ledger's rows at a
//! position plus that of the records behind their mark is the usage at that position.

use nexus_log::event::{Context, Event, UsageCounts};
use nexus_log::ids::CommitTime;
use nexus_log::record::Record;

const HOUR_NS: u64 = 3_600_000_000_000;

/// The hour since 1970 that a record belongs to.
#[must_use]
pub fn hour_of(time: CommitTime) -> u64 {
    time.0 / HOUR_NS
}

/// Names an actor in keys: two actors have different ones.
#[must_use]
pub fn actor_id(tenant: &str, user: &str, agent: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for name in [tenant, user, agent] {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    hasher.finalize().as_bytes()[..16].try_into().expect("sixteen bytes")
}

/// As [`actor_id`], of a record's context.
#[must_use]
pub fn actor_of(context: &Context) -> [u8; 16] {
    actor_id(&context.tenant, &context.user, &context.agent)
}

/// Adds `more` to `to`.
pub fn add(to: &mut UsageCounts, more: &UsageCounts) {
    to.changes = to.changes.saturating_add(more.changes);
    to.refusals = to.refusals.saturating_add(more.refusals);
    to.reads = to.reads.saturating_add(more.reads);
    to.bytes_in = to.bytes_in.saturating_add(more.bytes_in);
    to.bytes_out = to.bytes_out.saturating_add(more.bytes_out);
}

/// What one record adds to what its actor used in its hour.
#[must_use]
pub fn usage_of(record: &Record) -> UsageCounts {
    let bytes_in = record.chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    let mut counts = UsageCounts { bytes_in, ..UsageCounts::default() };
    record.events.iter().for_each(|event| add(&mut counts, &usage_of_event(event)));
    counts
}

fn usage_of_event(event: &Event) -> UsageCounts {
    let none = UsageCounts::default();
    match event {
        // What the zone says of itself, and content on its way into a file, is nobody's operation.
        Event::ZoneCreated(_)
        | Event::Recovered(_)
        | Event::AuditGap(_)
        | Event::TimeClosed(_)
        | Event::ClockHeld(_)
        | Event::UsageCounted(_)
        | Event::RequestAnswered(_)
        | Event::DetachedCreated(_)
        | Event::ContentStored(_)
        | Event::OrphansReleased(_) => none,
        Event::Refused(_) => UsageCounts { refusals: 1, ..none },
        Event::RefusalsCounted(e) => {
            let refusals = e.counts.iter().fold(e.collapsed, |sum, count| sum.saturating_add(count.count));
            UsageCounts { refusals, ..none }
        }
        Event::Accessed(e) => {
            let told = e.inodes.iter().chain(&e.directories);
            let start = (e.collapsed_calls, e.collapsed_bytes);
            let (reads, bytes_out) = told.fold(start, |(calls, bytes), count| {
                (calls.saturating_add(count.calls), bytes.saturating_add(count.bytes))
            });
            UsageCounts { reads, bytes_out, ..none }
        }
        Event::FileCreated(_)
        | Event::DirectoryCreated(_)
        | Event::SymlinkCreated(_)
        | Event::NodeCreated(_)
        | Event::Exchanged(_)
        | Event::Attached(_)
        | Event::Punched(_)
        | Event::Linked(_)
        | Event::Unlinked(_)
        | Event::DirectoryRemoved(_)
        | Event::Renamed(_)
        | Event::AttributesSet(_)
        | Event::XattrSet(_)
        | Event::XattrRemoved(_)
        | Event::Written(_)
        | Event::Truncated(_)
        | Event::PolicySet(_)
        | Event::ClockConfirmed(_) => UsageCounts { changes: 1, ..none },
    }
}
