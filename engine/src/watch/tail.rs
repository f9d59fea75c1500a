//! The tail: pulled, synchronous, one consumer.

use std::collections::VecDeque;
use std::time::Duration;

use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::{CommitTime, Inode, Seq};
use nexus_log::log::{Ended, Log, LogTail, ReadError, Told, Waited};

use super::about::About;
use super::subtree::Subtree;
use super::{Credits, Filter, GapReason, Item, Matched, Scope, Token};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::gate::Call;
use crate::limits::{TAIL_PROGRESS_INTERVAL, TAIL_PROGRESS_RECORDS};
use crate::path::Target;
use crate::view::{At, read_error};
use crate::zone::Zone;

/// Where a tail begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TailFrom {
    /// The first record there is.
    Beginning,
    /// What is committed from now on.
    #[default]
    Now,
    /// This record is the first.
    Seq(Seq),
    /// The first record that is not earlier.
    Time(CommitTime),
    /// Behind what an earlier tail with the same filter had told: what [`Tail::token`] gave.
    Token(String),
}

#[derive(Clone, Debug, Default)]
pub struct TailOptions {
    pub from: TailFrom,
    pub filter: Filter,
    pub credits: Credits,
}

/// Follows a zone. See [`Zone::tail`].
pub struct Tail {
    zone: Zone,
    caller: Caller,
    filter: Filter,
    subtree: Option<Subtree>,
    not_before: CommitTime,
    log: LogTail,
    /// Of the zone that `log` belongs to.
    life: u64,
    /// Everything up to it was told or filtered.
    position: Seq,
    credits: Credits,
    /// Told before anything else.
    pending: VecDeque<Item>,
    /// Read, and not yet told because the answer to it failed.
    held: Option<Told>,
    pace: Pace,
    /// Records filtered since the position was last told.
    filtered: u64,
    /// When something was last told, on the boot clock.
    told_ns: u64,
    gap_told: bool,
}

enum Pace {
    /// Reads what was committed before it began, or before it fell behind, up to here.
    CatchingUp(Seq),
    Live,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("zone", &self.zone).field("position", &self.position).finish_non_exhaustive()
    }
}

impl Zone {
    /// Follows the zone: each committed record that the filter wants and the gate lets the caller see.
    pub fn tail(&self, caller: &Caller, options: TailOptions) -> Result<Tail> {
        let inode = match options.filter.scope {
            Scope::Zone => None,
            Scope::Inode(inode) | Scope::Subtree(inode) => Some(inode),
        };
        let call = Call { syscall: Syscall::Watch, caller, path: b"", inode };
        self.begin_tail(&call, || Tail::begin(self, caller, options))
    }

    /// Follows what `target` names now, from now on: the inode and, of a directory, the names in it; where `recursive`,
    /// all that is below it.
    pub fn watch<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>, recursive: bool) -> Result<Tail> {
        let target = target.into();
        let call = Call { syscall: Syscall::Watch, caller, path: target.path(), inode: target.inode() };
        self.begin_tail(&call, || {
            // One view for the look-up and the beginning: no change falls between them.
            let view = self.view(At::Latest)?;
            let inode = view.inode_of(target)?;
            let scope = if recursive { Scope::Subtree(inode) } else { Scope::Inode(inode) };
            let filter = Filter { scope, ..Filter::default() };
            let from = TailFrom::Seq(view.at().next());
            Tail::begin(self, caller, TailOptions { from, filter, credits: Credits::default() })
        })
    }

    fn begin_tail(&self, call: &Call<'_>, begin: impl FnOnce() -> Result<Tail>) -> Result<Tail> {
        let result = self.dispatch().call(
            call,
            |_| None,
            |_| {
                let tail = begin()?;
                let inode = match &tail.filter.scope {
                    Scope::Inode(inode) | Scope::Subtree(inode) => Some(*inode),
                    _ => None,
                };
                self.note_history(call, inode)?;
                Ok(tail)
            },
        );
        if let Err(error) = &result
            && error.kind == Reason::PermissionDenied
        {
            self.note_refusal(call, error);
        }
        result
    }
}

fn start(log: &Log, options: &TailOptions) -> Result<(Seq, CommitTime)> {
    let always = CommitTime(0);
    Ok(match &options.from {
        TailFrom::Beginning => (log.first(), always),
        TailFrom::Now => (log.flushed().next(), always),
        TailFrom::Seq(seq) => {
            let last = log.appended().0;
            if *seq > last.next() {
                let message = format!("position {seq} is not in the log yet, which ends at {last}");
                return Err(Error::new(Reason::Invalid, message));
            }
            // Before the first record there is nothing to be missing.
            ((*seq).max(Seq::FIRST), always)
        }
        TailFrom::Time(time) => {
            let before = time.0.checked_sub(1).map(|ns| log.seq_at(CommitTime(ns))).transpose().map_err(read_error)?;
            (before.flatten().map_or(log.first(), Seq::next), *time)
        }
        TailFrom::Token(text) => {
            let token = Token::parse(text)?;
            token.check(log.identity(), &options.filter, log.flushed())?;
            (token.seq().next(), always)
        }
    })
}

impl Tail {
    fn begin(zone: &Zone, caller: &Caller, options: TailOptions) -> Result<Tail> {
        // Before the log: where the zone opens itself again in between, the tail notices and takes the newer one.
        let life = zone.life();
        let log = zone.log();
        let (from, not_before) = start(&log, &options)?;
        let mut pending = VecDeque::new();
        if from < log.first() {
            pending.push_back(Item::Compacted { earliest: log.first(), image: None });
        }
        let position = from.max(log.first()).prev();
        let subtree = match options.filter.scope {
            Scope::Subtree(top) => Some(Subtree::new(top)),
            Scope::Zone | Scope::Inode(_) => None,
        };
        Ok(Tail {
            zone: zone.clone(),
            caller: caller.clone(),
            filter: options.filter,
            subtree,
            not_before,
            log: tail_of(&log, position.next())?,
            life,
            position,
            credits: options.credits,
            pending,
            held: None,
            pace: Pace::CatchingUp(log.flushed()),
            filtered: 0,
            told_ns: zone.boot_ns(),
            gap_told: false,
        })
    }

    /// Everything up to here was told or filtered.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Resumes behind [`Tail::position`], with [`TailFrom::Token`] and the same filter.
    #[must_use]
    pub fn token(&self) -> Token {
        Token::new(self.zone.identity(), self.position, &self.filter)
    }

    #[must_use]
    pub fn credits(&self) -> Credits {
        self.credits
    }

    pub fn grant(&mut self, more: Credits) {
        self.credits.add(more);
    }

    /// What comes next, waited for no longer than `timeout`; `None` where nothing came, and at once where credits are
    /// spent. After an error the same records are tried again; behind a [`Item::Gap`] there are only errors.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Item>> {
        let deadline = self.zone.boot_ns().saturating_add(ns(timeout));
        loop {
            if let Some(item) = self.pending.pop_front() {
                self.told_ns = self.zone.boot_ns();
                return Ok(Some(item));
            }
            self.follow_the_zone()?;
            if self.has_caught_up() {
                if std::mem::take(&mut self.filtered) > 0 {
                    self.pending.push_back(Item::Progress(self.position));
                }
                self.pending.push_back(Item::CaughtUp(self.position));
                continue;
            }
            if self.credits.are_spent() {
                return Ok(None);
            }
            if let Some(told) = self.take()? {
                if let Some(item) = self.tell(told)? {
                    return Ok(Some(item));
                }
            } else if self.pending.is_empty() && !self.rest(deadline)? {
                return Ok(None);
            }
        }
    }

    /// The next record; what is to be told before it becomes pending instead.
    fn take(&mut self) -> Result<Option<Told>> {
        if let Some(told) = self.held.take() {
            return Ok(Some(told));
        }
        match self.log.try_next() {
            Ok(Some(told)) => {
                if matches!(self.pace, Pace::Live) && !self.log.is_live() {
                    self.pace = Pace::CatchingUp(self.log.log().flushed());
                    self.pending.push_back(Item::FellBehind(self.position));
                    self.held = Some(told);
                    return Ok(None);
                }
                Ok(Some(told))
            }
            Ok(None) => Ok(None),
            Err(error) => self.cannot_read(error),
        }
    }

    fn cannot_read(&mut self, error: ReadError) -> Result<Option<Told>> {
        if !error.is_damage() || self.gap_told {
            return Err(read_error(error));
        }
        self.gap_told = true;
        let seq = self.position.next();
        self.pending.push_back(Item::Gap { from: seq, to: seq, reason: GapReason::Damage });
        Ok(None)
    }

    /// Filters a record. What it says is told only when everything about it is decided.
    fn tell(&mut self, told: Told) -> Result<Option<Item>> {
        match self.wanted(&told) {
            Ok(indexes) => {
                self.position = told.record.seq;
                if !indexes.is_empty() {
                    self.credits.spend(indexes.len(), told.meta_bytes);
                    (self.filtered, self.told_ns) = (0, self.zone.boot_ns());
                    return Ok(Some(Item::Events(Matched { record: told.record, indexes, bytes: told.meta_bytes })));
                }
                self.filtered += 1;
                // A look at the clock costs more than a record.
                let due = self.filtered.is_multiple_of(CLOCK_RECORDS) && self.progress_in() == 0;
                if self.filtered >= TAIL_PROGRESS_RECORDS || due {
                    self.tell_progress();
                }
                Ok(None)
            }
            Err(error) => {
                self.held = Some(told);
                Err(error)
            }
        }
    }

    fn wanted(&mut self, told: &Told) -> Result<Vec<u16>> {
        let record = &told.record;
        let mut indexes = match record.commit_time < self.not_before {
            true => Vec::new(),
            false => self.filter.indexes(record),
        };
        if let Some(subtree) = &mut self.subtree {
            indexes = subtree.keep(&self.zone, record, indexes)?;
        }
        if indexes.is_empty() || !self.zone.dispatch().has_gate() {
            return Ok(indexes);
        }
        let mut seen = Vec::with_capacity(indexes.len());
        for index in indexes {
            let about = About::of(&record.events[usize::from(index)]);
            let inode: Option<Inode> = about.inodes.first().copied();
            let call = Call { syscall: Syscall::Watch, caller: &self.caller, path: about.path, inode };
            match self.zone.dispatch().check(&call) {
                Ok(()) => seen.push(index),
                // Hidden. A record of each refusal would be one more record to be refused.
                Err(error) if matches!(error.kind, Reason::PermissionDenied | Reason::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(seen)
    }

    fn tell_progress(&mut self) {
        self.filtered = 0;
        self.pending.push_back(Item::Progress(self.position));
    }

    /// Nanoseconds until a heartbeat is due.
    fn progress_in(&self) -> u64 {
        self.told_ns.saturating_add(ns(TAIL_PROGRESS_INTERVAL)).saturating_sub(self.zone.boot_ns())
    }

    /// Is what was committed when it last looked told? A target that was reached far from the end is moved on.
    fn has_caught_up(&mut self) -> bool {
        let Pace::CatchingUp(until) = self.pace else { return false };
        if self.position < until || self.held.is_some() {
            return false;
        }
        let caught_up = self.log.is_near_end();
        self.pace = if caught_up { Pace::Live } else { Pace::CatchingUp(self.log.log().flushed()) };
        caught_up
    }

    /// Waits at the log's end. False where the deadline came first.
    fn rest(&mut self, deadline: u64) -> Result<bool> {
        let left = deadline.saturating_sub(self.zone.boot_ns());
        let heartbeat = self.progress_in();
        if heartbeat == 0 {
            self.tell_progress();
            return Ok(true);
        }
        if left == 0 {
            return Ok(false);
        }
        let waited = match self.log.wait(Duration::from_nanos(left.min(heartbeat))) {
            Ok(waited) => waited,
            Err(Ended::Closed) => return Err(Error::new(Reason::Unavailable, "the zone was closed")),
            // It opens itself again with the first change after there is space.
            Err(Ended::Poisoned(_)) => {
                match self.zone.wait_reopened(self.life, Duration::from_nanos(left.min(heartbeat))) {
                    true => Waited::Moved,
                    false => Waited::TimedOut,
                }
            }
        };
        match waited {
            Waited::Moved => Ok(true),
            Waited::TimedOut if heartbeat <= left => {
                self.tell_progress();
                Ok(true)
            }
            Waited::TimedOut => Ok(false),
        }
    }

    /// Where the zone opened itself again, goes on with its new log: what was committed stands in it at the same
    /// positions.
    fn follow_the_zone(&mut self) -> Result<()> {
        let life = self.zone.life();
        if life == self.life {
            return Ok(());
        }
        let next = self.held.as_ref().map_or(self.position.next(), |held| held.record.seq.next());
        self.log = tail_of(&self.zone.log(), next)?;
        self.life = life;
        Ok(())
    }
}

/// Records between two looks at the clock.
const CLOCK_RECORDS: u64 = 64;

fn tail_of(log: &Log, from: Seq) -> Result<LogTail> {
    log.tail(from)
        .map_err(|error| Error::new(Reason::Busy, "too many tails of this zone are open; close some").because(error))
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
