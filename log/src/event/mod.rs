//! Typed facts.
//!
//! A record's meta is a salt and then sections; each section is a frame
//! `kind u16 | version u16 | length u32 | length bytes` (little-endian) around one archived struct:
//!
//! | section | count | what it is                                            |
//! |---------|-------|-------------------------------------------------------|
//! | context | 1     | on whose behalf ([`v1::Context`])                     |
//! | chunks  | 0..1  | the payload's chunks in order ([`v1::ChunkList`])     |
//! | events  | 1..n  | the facts; an event's index counts event sections     |
//!
//! Invariants:
//! 1. A (kind, version) pair is never reused or changed. A new shape is a new version with an upcaster; an unknown
//!    pair stops the reader with [`EventError::Unknown`] (R30).
//! 2. The archived bytes depend on nothing but the value: rkyv's format features are pinned in the workspace
//!    manifest, and there are no hash maps inside (R31).
//! 3. Golden frames of every pair are decoded by a test for ever (L10).

mod about;
mod frame;
#[cfg(test)]
mod golden;
mod reason;
pub mod v1;

pub use about::{About, Outcome, Term};
pub use frame::{EventError, Frame, FrameIter, push_frame};
pub use reason::{ReadPolicy, Reason, Syscall};
pub use v1::{
    AccessCount, Accessed, Attached, AttributesSet, AuditGap, ChunkList, ClockConfirmed, ClockHeld, ContentStored,
    Context, DetachedCreated, DirectoryCreated, DirectoryRemoved, Exchanged, FileContent, FileCreated, ForeignChunk,
    LinkName, Linked, NodeCreated, OrphansReleased, Piece, PolicySet, Punched, Recovered, RefusalCount,
    RefusalsCounted, Refused, Renamed, RequestAnswered, RequestReply, StoredChunk, StrictAccess, SymlinkCreated,
    TimeClosed, Truncated, Unlinked, UsageCount, UsageCounted, UsageCounts, Written, XattrRemoved, XattrSet,
    ZoneCreated,
};

/// What a section is: a number that is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

impl Kind {
    pub const CONTEXT: Kind = Kind(1);
    pub const CHUNKS: Kind = Kind(2);

    /// The kind of event with this name, if this release knows it.
    #[must_use]
    pub fn named(name: &str) -> Option<Kind> {
        KINDS.iter().find(|(_, _, known)| *known == name).map(|(kind, _, _)| *kind)
    }
}

/// Declares the event kinds: their numbers, versions and the names that surfaces show.
macro_rules! events {
    ($($variant:ident = $kind:literal, $version:literal, $name:literal;)*) => {
        /// One typed fact, in its current shape.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $($variant(v1::$variant),)*
        }

        $(impl From<v1::$variant> for Event {
            fn from(event: v1::$variant) -> Event {
                Event::$variant(event)
            }
        })*

        /// Every (kind, version, name) that this release writes or reads.
        pub const KINDS: &[(Kind, u16, &str)] = &[$((Kind($kind), $version, $name),)*];

        impl Event {
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self { $(Event::$variant(_) => Kind($kind),)* }
            }

            /// The stable, snake_case name that surfaces show.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Event::$variant(_) => $name,)* }
            }

            /// Appends the event's frame.
            pub fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Event::$variant(e) => frame::push_archived(out, Kind($kind), $version, e),)*
                }
            }

            /// The event in a frame, or why it cannot be understood.
            pub fn decode(frame: Frame<'_>) -> Result<Event, EventError> {
                match (frame.kind, frame.version) {
                    $((Kind($kind), $version) => frame::unarchive::<v1::$variant>(frame).map(Event::$variant),)*
                    (kind, version) => Err(EventError::Unknown { kind: kind.0, version }),
                }
            }
        }
    };
}

events! {
    ZoneCreated = 16, 1, "zone_created";
    Recovered = 17, 1, "recovered";
    AuditGap = 18, 1, "audit_gap";
    TimeClosed = 19, 1, "time_closed";
    ClockHeld = 20, 1, "clock_held";
    ClockConfirmed = 21, 1, "clock_confirmed";
    PolicySet = 22, 1, "policy_set";
    UsageCounted = 23, 1, "usage_counted";
    RequestAnswered = 24, 1, "request_answered";
    FileCreated = 32, 1, "file_created";
    DirectoryCreated = 33, 1, "directory_created";
    SymlinkCreated = 34, 1, "symlink_created";
    NodeCreated = 35, 1, "node_created";
    Linked = 36, 1, "linked";
    Unlinked = 37, 1, "unlinked";
    DirectoryRemoved = 38, 1, "directory_removed";
    Renamed = 39, 1, "renamed";
    AttributesSet = 40, 1, "attributes_set";
    XattrSet = 41, 1, "xattr_set";
    XattrRemoved = 42, 1, "xattr_removed";
    Exchanged = 43, 1, "exchanged";
    DetachedCreated = 44, 1, "detached_created";
    Attached = 45, 1, "attached";
    ContentStored = 48, 1, "content_stored";
    Written = 49, 1, "written";
    Truncated = 50, 1, "truncated";
    OrphansReleased = 51, 1, "orphans_released";
    Punched = 52, 1, "punched";
    Refused = 64, 1, "refused";
    RefusalsCounted = 65, 1, "refusals_counted";
    Accessed = 66, 1, "accessed";
}

impl Context {
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame::push_archived(out, Kind::CONTEXT, 1, self);
    }

    pub fn decode(frame: Frame<'_>) -> Result<Context, EventError> {
        match (frame.kind, frame.version) {
            (Kind::CONTEXT, 1) => frame::unarchive(frame),
            (kind, version) => Err(EventError::Unknown { kind: kind.0, version }),
        }
    }
}

impl ChunkList {
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame::push_archived(out, Kind::CHUNKS, 1, self);
    }

    pub fn decode(frame: Frame<'_>) -> Result<ChunkList, EventError> {
        match (frame.kind, frame.version) {
            (Kind::CHUNKS, 1) => frame::unarchive(frame),
            (kind, version) => Err(EventError::Unknown { kind: kind.0, version }),
        }
    }
}
