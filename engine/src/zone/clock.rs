//! The sequencer's clock: the last commit time, carried on by the clock that does not step, following the wall's.
//!
//! ```text
//!  wall within STEP of the reference carried on  --> commit time = wall, or the last + 1 ns
//!  wall further away                             --> held: commit time = the last carried on, until confirmed,
//!                                                    or until the wall comes back
//! ```
//!
//! At the start there is no reading of the clock that does not step, only the log's end: a wall clock that is a little
//! earlier, or up to a year later, is followed.
//!
//! Pure: the times read from outside come in, what to stamp goes out.
//!
//! Invariants:
//! 1. Commit times strictly increase, whatever both clocks do (R33).
//! 2. A step is followed only where it is small or confirmed, so one bad clock cannot poison commit times for ever.
//! 3. While held, commit times go on at the pace of the clock that does not step. Behind a confirmed wall clock that is
//!    earlier than the log's end they go on by a nanosecond per record, until the wall clock has caught up.

use nexus_log::ids::CommitTime;

use crate::limits::{CLOCK_AHEAD_AT_START_MAX, CLOCK_STEP_MAX};

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clocks {
    pub(super) wall_ns: u64,
    pub(super) boot_ns: u64,
}

/// What the clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// What the wall clock says, UTC ns.
    pub wall_ns: u64,
    /// What the zone goes by: the time that a record made now would get.
    pub zone_ns: u64,
    /// The wall clock stepped and is not followed: see [`super::Zone::confirm_clock`].
    pub held: bool,
}

/// The last time that an operator confirmed the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Confirmation {
    /// What it said.
    pub(super) wall_ns: u64,
    /// Commit time of the record that says so: later where the log's end was.
    pub(super) time: CommitTime,
}

#[derive(Clone, Debug)]
pub(super) struct SequencerClock {
    last: CommitTime,
    /// What the wall clock should have said when the other clock said `reference_boot_ns`. Stays where a step is held.
    reference_ns: u64,
    reference_boot_ns: u64,
    /// The wall clock was confirmed though it is behind the last commit time, which it has not reached yet.
    behind: bool,
    held: bool,
    /// The step that is held has a record.
    recorded: bool,
}

const STEP_NS: u64 = CLOCK_STEP_MAX.as_nanos() as u64;
const AHEAD_AT_START_NS: u64 = CLOCK_AHEAD_AT_START_MAX.as_nanos() as u64;

impl SequencerClock {
    /// At the start: `last` is the log's end.
    pub(super) fn new(last: CommitTime, clocks: Clocks, confirmation: Option<Confirmation>) -> SequencerClock {
        let wall = clocks.wall_ns;
        let usual = last.0.saturating_sub(STEP_NS)..=last.0.saturating_add(AHEAD_AT_START_NS);
        // A confirmation holds until the wall clock has reached the time at which it was given.
        let behind = confirmation.is_some_and(|c| {
            let still = c.wall_ns < c.time.0 && last.0 <= c.time.0.saturating_add(STEP_NS);
            still && (c.wall_ns.saturating_sub(STEP_NS)..last.0).contains(&wall)
        });
        let held = !behind && !usual.contains(&wall);
        let reference_ns = match (held, behind) {
            (true, _) => last.0,
            (_, true) => wall,
            _ => wall.max(last.0),
        };
        let reference_boot_ns = clocks.boot_ns;
        SequencerClock { last, reference_ns, reference_boot_ns, behind, held, recorded: false }
    }

    /// The log was opened again by the same process, and what was on record of a held step may be lost. Commit times go
    /// on from the last one that was given out, lost or not.
    pub(super) fn reopened(self) -> SequencerClock {
        SequencerClock { recorded: false, ..self }
    }

    /// The last commit time.
    pub(super) fn last(&self) -> CommitTime {
        self.last
    }

    /// The reference, carried on.
    fn expected(&self, clocks: Clocks) -> u64 {
        self.reference_ns.saturating_add(clocks.boot_ns.saturating_sub(self.reference_boot_ns))
    }

    /// Looks at the clocks; changes nothing.
    pub(super) fn look(&self, clocks: Clocks) -> ClockState {
        let expected = self.expected(clocks);
        let held = clocks.wall_ns.abs_diff(expected) > STEP_NS;
        let now = if held { expected } else { clocks.wall_ns };
        ClockState { wall_ns: clocks.wall_ns, zone_ns: now.max(self.last.0.saturating_add(1)), held }
    }

    /// A step that is held and has no record yet.
    pub(super) fn unrecorded(&self, clocks: Clocks) -> Option<ClockState> {
        let state = self.look(clocks);
        (state.held && !(self.held && self.recorded)).then_some(state)
    }

    /// The step that is held has a record.
    pub(super) fn was_recorded(&mut self) {
        (self.held, self.recorded) = (true, true);
    }

    /// The time of a record made now: later than `after`, too.
    pub(super) fn time(&self, clocks: Clocks, after: CommitTime) -> CommitTime {
        CommitTime(self.look(clocks).zone_ns.max(after.0.saturating_add(1)))
    }

    /// A record was made, with what [`time`](Self::time) gave for the same clocks.
    pub(super) fn stamped(&mut self, clocks: Clocks, time: CommitTime) {
        assert!(time > self.last, "commit times increase");
        self.held = self.look(clocks).held;
        if !self.held {
            self.recorded = false;
            self.behind &= clocks.wall_ns < self.last.0;
            self.reference_ns = if self.behind { clocks.wall_ns } else { time.0 };
            self.reference_boot_ns = clocks.boot_ns;
        }
        self.last = time;
    }

    /// The time of a record that confirms the wall clock.
    pub(super) fn confirmation_time(&self, clocks: Clocks) -> CommitTime {
        CommitTime(clocks.wall_ns.max(self.last.0.saturating_add(1)))
    }

    /// A record with what [`confirmation_time`](Self::confirmation_time) gave says that the wall clock is right.
    pub(super) fn confirmed(&mut self, clocks: Clocks, time: CommitTime) {
        assert!(time > self.last, "commit times increase");
        *self = SequencerClock {
            last: time,
            reference_ns: clocks.wall_ns,
            reference_boot_ns: clocks.boot_ns,
            behind: clocks.wall_ns < time.0,
            held: false,
            recorded: false,
        };
    }
}

#[cfg(test)]
mod tests;
