//! What a tail tells, and what it may.

use std::sync::Arc;

use nexus_log::event::Event;
use nexus_log::ids::Seq;
use nexus_log::record::Record;

use crate::limits::{TAIL_CREDIT_BYTES, TAIL_CREDIT_EVENTS};

/// What a consumer is ready to take. A record is read while both are above zero, so the last one may go beyond them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credits {
    pub events: u64,
    /// Of the records' metas as stored.
    pub bytes: u64,
}

impl Credits {
    pub const NONE: Credits = Credits { events: 0, bytes: 0 };
    /// For who takes what comes.
    pub const UNLIMITED: Credits = Credits { events: u64::MAX, bytes: u64::MAX };

    pub(super) fn are_spent(self) -> bool {
        self.events == 0 || self.bytes == 0
    }

    pub(super) fn add(&mut self, more: Credits) {
        self.events = self.events.saturating_add(more.events);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    /// Unlimited ones stay.
    pub(super) fn spend(&mut self, events: usize, bytes: usize) {
        let less = |have: u64, spent: usize| if have == u64::MAX { have } else { have.saturating_sub(spent as u64) };
        (self.events, self.bytes) = (less(self.events, events), less(self.bytes, bytes));
    }
}

impl Default for Credits {
    fn default() -> Credits {
        Credits { events: TAIL_CREDIT_EVENTS, bytes: TAIL_CREDIT_BYTES }
    }
}

/// A record and those of its events that are wanted.
#[derive(Clone, Debug)]
pub struct Matched {
    pub record: Arc<Record>,
    /// Indexes of the wanted events, ascending; not empty.
    pub indexes: Vec<u16>,
    /// Bytes of the record's meta as stored: what it costs in credits.
    pub bytes: usize,
}

impl Matched {
    /// The wanted events and their indexes. (zone, seq, index) names an event for ever: consumers dedupe on it.
    pub fn events(&self) -> impl Iterator<Item = (u16, &Event)> {
        self.indexes.iter().map(|index| (*index, &self.record.events[usize::from(*index)]))
    }
}

/// Why records cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// Stored bytes are not what was written. The tail ends here.
    Damage,
}

/// What a tail tells. A position is inclusive: everything up to it was told or filtered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Item {
    Events(Matched),
    /// A heartbeat: at least every so many records filtered, and every so often while nothing comes.
    Progress(Seq),
    /// All that was committed when it last looked is told; from here on it is told as it happens.
    CaughtUp(Seq),
    /// The tail was too slow for what is kept in memory and reads from the files until it has caught up. Nothing is
    /// lost, nobody waits.
    FellBehind(Seq),
    /// These cannot be told.
    Gap {
        from: Seq,
        to: Seq,
        reason: GapReason,
    },
    /// The log begins later than where the tail was to begin, and so does the tail. `image` names what the state before
    /// can be taken from, where there is one.
    Compacted {
        earliest: Seq,
        image: Option<Seq>,
    },
}
