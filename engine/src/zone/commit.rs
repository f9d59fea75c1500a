//! The sequencer: where a request becomes events.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use nexus_log::event::{Context, Reason};
use nexus_log::ids::ChunkHash;
use nexus_log::ids::{CommitTime, Inode, Seq};
use nexus_log::log::AppendRefused;
use nexus_log::record::{Chunk, Draft, Payload, Record};
use nexus_projections::apply::{ApplyError, INDEXED_CHUNK_BYTES_MIN, apply};
use nexus_projections::loads::{Loaded, Loads, ReadThrough};

use super::clock::ClockState;
use super::errors::{damaged, outcome_unknown, poisoned_error, store_error};
use super::time::Stamp;
use super::{Core, Inner, SOLO_TERM};
use crate::decide::{Operation, Turn};
use crate::error::{Error, Result};
use crate::gate::Authorized;
use crate::limits::{TURN_RETRIES_MAX, WRITE_SET_ROWS_MAX};
use crate::lookup::Stop;

/// What a turn of the sequencer came to.
enum Turned<R> {
    /// A record was appended, at this seq.
    Appended(R, Seq),
    /// There was nothing to do, seen from this position.
    Nothing(R, Seq),
    /// The request is refused, seen from this position.
    Refused(Error, Seq),
    /// Rows are missing; load them and come again.
    Missing,
    /// The wall clock stepped: that must be on record first.
    Held(ClockState),
}

/// A call that went through the sequencer.
pub(super) struct Committed<R> {
    pub(super) reply: R,
    /// The record, if one was made.
    pub(super) seq: Option<Seq>,
    /// The state that the reply was derived from: it must be flushed before the reply is certain.
    pub(super) state: Seq,
    pub(super) core: Arc<Core>,
}

/// A refusal and the state it was derived from.
pub(super) struct Refusal {
    pub(super) error: Error,
    pub(super) state: Option<(Arc<Core>, Seq)>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { error, state: None }
    }
}

impl Core {
    /// Waits until `seq` is on stable storage.
    pub(super) fn wait(&self, seq: Seq) -> Result<()> {
        self.log.wait(seq).map_err(outcome_unknown)
    }
}

impl Inner {
    /// Takes `operation` through the sequencer and appends what it decides. Does not wait for the disk.
    pub(super) fn commit<O: Operation>(
        &self,
        authorized: &Authorized,
        context: &Context,
        operation: &O,
        payload: Option<&Payload>,
    ) -> std::result::Result<Committed<O::Reply>, Refusal> {
        let core = self.writable_core(authorized)?;
        self.commit_on(&core, authorized, context, operation, payload)
    }

    /// As [`commit`](Self::commit), for the next record of something that was begun in the life `begun`. In another life
    /// what it made so far may be lost, and its positions, inodes and bodies may be somebody else's by now.
    pub(super) fn commit_next<O: Operation>(
        &self,
        begun: Option<&Arc<Core>>,
        authorized: &Authorized,
        context: &Context,
        operation: &O,
        payload: Option<&Payload>,
    ) -> std::result::Result<Committed<O::Reply>, Refusal> {
        let core = self.writable_core(authorized)?;
        if begun.is_some_and(|begun| !Arc::ptr_eq(begun, &core)) {
            let message = "the disk failed in the middle of it and what was begun may be lost; begin it again";
            return Err(Error::new(Reason::OutcomeUnknown, message).into());
        }
        self.commit_on(&core, authorized, context, operation, payload)
    }

    /// As [`commit`](Self::commit), to this life of the zone and no other.
    pub(super) fn commit_on<O: Operation>(
        &self,
        core: &Arc<Core>,
        authorized: &Authorized,
        context: &Context,
        operation: &O,
        payload: Option<&Payload>,
    ) -> std::result::Result<Committed<O::Reply>, Refusal> {
        // What small records change is mostly in memory; where it is not, the second try loads it.
        let indexed = payload.is_some_and(|p| p.chunks().iter().any(|c| c.length >= INDEXED_CHUNK_BYTES_MIN));
        for attempt in 0..TURN_RETRIES_MAX {
            let loads = self.load(core, context, operation, payload, indexed || attempt > 0)?;
            let core = Arc::clone(core);
            match self.turn(&core, context, operation, payload, &loads)? {
                Turned::Appended(reply, seq) => {
                    return Ok(Committed { reply, seq: Some(seq), state: seq, core });
                }
                Turned::Nothing(reply, state) => return Ok(Committed { reply, seq: None, state, core }),
                Turned::Refused(error, state) => return Err(Refusal { error, state: Some((core, state)) }),
                Turned::Missing => {}
                Turned::Held(state) => self.record_clock_held(authorized, state)?,
            }
        }
        Err(Error::new(Reason::Busy, "others change the same things too fast; try again").into())
    }

    /// Decides once outside the sequencer, to load what the decision needs, and its rows too where `rows_too`.
    fn load<O: Operation>(
        &self,
        core: &Core,
        context: &Context,
        operation: &O,
        payload: Option<&Payload>,
        rows_too: bool,
    ) -> Result<Loads> {
        let rows = ReadThrough::new(&core.tables);
        let turn = Turn { seq: core.newest().next(), events_before: 0, is_open: &|inode| self.is_open(inode) };
        match operation.decide(&rows, &turn) {
            Ok(decision) if rows_too && !decision.events.is_empty() => {
                let record = self.record(&turn, CommitTime(0), context, decision.events, payload);
                match apply(&record, &rows) {
                    Ok(_) => {}
                    Err(ApplyError::Miss(error)) => return Err(store_error(error)),
                    Err(ApplyError::Row(error)) => return Err(damaged(error)),
                }
            }
            Ok(_) | Err(Stop::Refused(_)) => {}
            Err(Stop::Miss(error)) => return Err(store_error(error)),
            Err(Stop::Damaged(error)) => return Err(damaged(error)),
        }
        Ok(rows.into_loads())
    }

    fn turn<O: Operation>(
        &self,
        core: &Core,
        context: &Context,
        operation: &O,
        payload: Option<&Payload>,
        loads: &Loads,
    ) -> Result<Turned<O::Reply>> {
        let clocks = self.clocks();
        let mut sequencer = core.sequencer.lock();
        let seq = sequencer.next;
        let rows = Loaded::new(&core.tables, loads);
        let turn = Turn { seq, events_before: 0, is_open: &|inode| self.is_open(inode) };
        let decision = match operation.decide(&rows, &turn) {
            Ok(decision) if decision.events.is_empty() => return Ok(Turned::Nothing(decision.reply, seq.prev())),
            Ok(decision) => decision,
            Err(Stop::Refused(error)) => return Ok(Turned::Refused(error, seq.prev())),
            Err(Stop::Miss(_)) => return Ok(Turned::Missing),
            Err(Stop::Damaged(error)) => return Err(damaged(error)),
        };
        let stamp = Stamp::of(&decision.events);
        let time = match stamp {
            Stamp::Confirmed => sequencer.clock.confirmation_time(clocks),
            Stamp::Held => sequencer.clock.time(clocks, CommitTime(0)),
            Stamp::Now | Stamp::After(_) => {
                if let Some(state) = sequencer.clock.unrecorded(clocks) {
                    return Ok(Turned::Held(state));
                }
                let after = if let Stamp::After(time) = stamp { time } else { CommitTime(0) };
                sequencer.clock.time(clocks, after)
            }
        };
        let record = self.record(&turn, time, context, decision.events, payload);
        let write_set = match apply(&record, &rows) {
            Ok(write_set) => write_set,
            Err(ApplyError::Miss(_)) => return Ok(Turned::Missing),
            Err(ApplyError::Row(error)) => return Err(damaged(error)),
        };
        if write_set.puts.len() > WRITE_SET_ROWS_MAX {
            return Err(Error::new(Reason::Busy, "others cut up the file meanwhile; try again"));
        }
        if let Some(poisoned) = core.log.poisoned() {
            return Err(poisoned_error(poisoned));
        }
        let position = (seq, record.term, time);
        let draft = Draft::new(&*self.env.random, position, context, &record.events, payload.cloned());
        if core.log.is_full(draft.record_bytes()) {
            return Err(Error::new(Reason::Busy, "too much is waiting for the disk; try again"));
        }
        core.tables.insert(write_set);
        match core.log.append(draft) {
            // Not before: a view of the newest state reads content from the log's queue.
            Ok(()) => core.newest.store(seq.0, Ordering::Release),
            Err(AppendRefused::Poisoned(poisoned)) => return Err(poisoned_error(poisoned)),
            Err(AppendRefused::Busy) => unreachable!("the sequencer alone appends, and looked before"),
        }
        sequencer.next = seq.next();
        match stamp {
            Stamp::Confirmed => sequencer.clock.confirmed(clocks, time),
            Stamp::Held => {
                sequencer.clock.stamped(clocks, time);
                sequencer.clock.was_recorded();
            }
            Stamp::Now | Stamp::After(_) => sequencer.clock.stamped(clocks, time),
        }
        let usage_due = sequencer.usage.add(&record);
        drop(sequencer);
        if usage_due {
            self.want_upkeep();
        }
        Ok(Turned::Appended(decision.reply, seq))
    }

    /// The record as it will be read back, for `apply`.
    fn record(
        &self,
        turn: &Turn<'_>,
        commit_time: CommitTime,
        context: &Context,
        events: Vec<nexus_log::event::Event>,
        payload: Option<&Payload>,
    ) -> Record {
        let mut offset = 0;
        let stored = payload.map_or(&[][..], |p| p.chunks());
        let chunks = stored.iter().map(|c| {
            let chunk = Chunk { offset, length: c.length, hash: ChunkHash(c.hash) };
            offset += c.length;
            chunk
        });
        Record {
            identity: self.identity,
            seq: turn.seq,
            term: SOLO_TERM,
            commit_time,
            context: context.clone(),
            chunks: chunks.collect(),
            events,
        }
    }

    fn is_open(&self, inode: Inode) -> bool {
        self.handles.lock().contains_key(&inode)
    }
}
