//! The zone's time, as callers meet it: asking for a time closes it, a clock that stepped is confirmed.

use std::collections::BTreeMap;

use nexus_log::event::{ClockConfirmed, ClockHeld, Context, Event, Reason, Syscall, TimeClosed};
use nexus_log::ids::{CommitTime, Seq};
use nexus_projections::loads::Prior;

use super::access::reader_context;
use super::calls::{Done, Durability};
use super::clock::{ClockState, Clocks};
use super::{Core, Inner, Zone};
use crate::caller::Caller;
use crate::decide::{About, Decision, Facts, Operation, Request, RequestDigest, Turn, system_context};
use crate::error::{Error, Result};
use crate::gate::{Authorized, Rank};
use crate::limits::{REFUSAL_WINDOW, TIME_CLOSERS_MAX};
use crate::lookup::Found;
use crate::view::{At, Standing, read_error};

/// How a record is stamped: what it says decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    Now,
    After(CommitTime),
    /// It says that the wall clock is held.
    Held,
    /// It says that the wall clock is right.
    Confirmed,
}

impl Stamp {
    pub(super) fn of(events: &[Event]) -> Stamp {
        match events {
            [Event::TimeClosed(e)] => Stamp::After(CommitTime(e.time_ns)),
            [Event::ClockHeld(_)] => Stamp::Held,
            // A named request has its answer behind it.
            [Event::ClockConfirmed(_), ..] => Stamp::Confirmed,
            _ => Stamp::Now,
        }
    }
}

/// When each actor made the zone write down a time. Nobody can fill a log by asking.
#[derive(Default)]
pub(super) struct TimeClosers(BTreeMap<[u8; 16], u64>);

impl TimeClosers {
    /// May `actor` close a time now?
    fn admit(&mut self, actor: [u8; 16], boot_ns: u64) -> bool {
        let window = REFUSAL_WINDOW.as_nanos() as u64;
        self.0.retain(|_, closed| boot_ns.saturating_sub(*closed) < window);
        if self.0.contains_key(&actor) || self.0.len() >= TIME_CLOSERS_MAX {
            return false;
        }
        self.0.insert(actor, boot_ns);
        true
    }
}

/// What an operator says of the wall clock.
struct ConfirmClock<'a>(Facts<'a>);

impl Operation for ConfirmClock<'_> {
    type Reply = ();

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<()>, P> {
        self.0.decide(rows, turn)
    }
}

impl Request for ConfirmClock<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::ConfirmClock
    }

    fn about(&self) -> About<'_> {
        About::Many
    }

    fn describe(&self, _: &mut RequestDigest) {}
}

/// The position of a view, and what kind of answer it is.
pub(super) struct Resolved {
    pub(super) seq: Seq,
    pub(super) standing: Standing,
}

impl Zone {
    /// The wall clock, the zone's, and whether a step is held.
    #[must_use]
    pub fn clock(&self) -> ClockState {
        self.inner.core().sequencer.lock().clock.look(self.inner.clocks())
    }

    /// An operator says that the wall clock is right: it is followed from here on. Where it is earlier than the log's
    /// end, commit times go on by a nanosecond per record until it has caught up. Nothing to do where no step is held.
    pub fn confirm_clock(&self, caller: &Caller) -> Result<Done<ClockState>> {
        let state = self.clock();
        let events = [ClockConfirmed { wall_ns: state.wall_ns, carried_ns: state.zone_ns }.into()];
        let confirm = ConfirmClock(Facts { events: if state.held { &events } else { &[] } });
        let done = self.change(caller, &confirm, None, Durability::Durable.into())?;
        let after = self.clock();
        Ok(done.map(|()| after))
    }
}

impl Inner {
    pub(super) fn clocks(&self) -> Clocks {
        Clocks { wall_ns: self.env.clock.wall_ns(), boot_ns: self.env.clock.boot_ns() }
    }

    /// A step of the wall clock is held for the first time: that is on record before anything is stamped with the time
    /// that is carried on.
    pub(super) fn record_clock_held(&self, authorized: &Authorized, state: ClockState) -> Result<()> {
        let events = [ClockHeld { wall_ns: state.wall_ns, carried_ns: state.zone_ns }.into()];
        let done = self.commit(authorized, &system_context(), &Facts { events: &events }, None);
        done.map(drop).map_err(|refusal| refusal.error)
    }

    pub(super) fn resolve_at(&self, core: &Core, at: At, asks: Option<&Caller>) -> Result<Resolved> {
        let last = core.log.flushed();
        let latest = |seq| Ok(Resolved { seq, standing: Standing::Latest });
        match at {
            At::Latest => latest(last),
            At::Newest => latest(core.newest().max(last)),
            At::Exactly(seq) if seq < core.log.first() || seq > last => {
                let first = core.log.first();
                let message = format!("position {seq} is not in the log, which holds {first} to {last}");
                Err(Error::new(Reason::Invalid, message))
            }
            At::Exactly(seq) => Ok(Resolved { seq, standing: Standing::Past }),
            At::Time(time) => {
                let standing = self.close_time(core, time, asks)?;
                let found = core.log.seq_at(time).map_err(read_error)?;
                let seq = found.ok_or_else(|| Error::new(Reason::Invalid, "the zone did not exist at that time"))?;
                Ok(Resolved { seq, standing })
            }
        }
    }

    /// Makes the answer for `time` final: a record with a later time is on stable storage, one that says so where there
    /// is no other. Where the zone takes no record, the answer stays open.
    fn close_time(&self, core: &Core, time: CommitTime, asks: Option<&Caller>) -> Result<Standing> {
        if core.log.time_of(core.log.flushed()).map_err(read_error)? >= time {
            return Ok(Standing::Past);
        }
        let (until, last, now) = {
            let sequencer = core.sequencer.lock();
            let now = sequencer.clock.look(self.clocks()).zone_ns;
            (sequencer.next.prev(), sequencer.clock.last(), now)
        };
        if time.0 > now {
            return Err(Error::new(Reason::Invalid, "the time is in the future"));
        }
        if last >= time {
            let waited = core.wait(until);
            return Ok(if waited.is_ok() { Standing::Past } else { Standing::Open });
        }
        let context = asks.map_or_else(system_context, |caller| reader_context(caller.context()));
        let actor = asks.map_or([0; 16], Caller::actor);
        if !self.closers.lock().admit(actor, self.env.clock.boot_ns()) {
            let message = "an agent closes the present once per second by asking for it as a time; ask for an earlier \
                           time, or again in a second";
            return Err(Error::new(Reason::RateLimited, message));
        }
        match self.append_time_closed(&context, time) {
            Ok(()) => Ok(Standing::Past),
            Err(error) if cannot_append(error.kind) => Ok(Standing::Open),
            Err(error) => Err(error),
        }
    }

    fn append_time_closed(&self, context: &Context, time: CommitTime) -> Result<()> {
        let events = [TimeClosed { time_ns: time.0 }.into()];
        self.record_facts(Rank::Upkeep, context, &events)
    }
}

/// The zone takes no records at present, as opposed to not this one.
pub(super) fn cannot_append(reason: Reason) -> bool {
    matches!(reason, Reason::NoSpace | Reason::Unavailable | Reason::OutcomeUnknown | Reason::ReadOnly | Reason::Busy)
}
