//! Waiting for the flushed mark to move, at next to no cost to those who move it.
//!
//! ```text
//!  writer --one signal, if anybody waits--> scout --paced--> all other followers
//! ```
//!
//! Of those who wait one is the scout: it alone sleeps where the writer signals. So a batch costs the writer the look at
//! a flag under a lock that it holds anyway, and one signal where the flag is set, however many wait. The scout then
//! wakes the others, but not more often than their number allows ([`FOLLOWER_PACE`]): a hundred tails that woke for each
//! of thousands of batches a second would take the processors from the writers.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::super::{Log, Poisoned, Shared};
use crate::ids::Seq;
use crate::limits::{FOLLOWER_PACE, FOLLOWER_PACE_MAX};

/// What a wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// There is more than was asked about.
    Moved,
    TimedOut,
}

/// Nothing will move the mark any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Ended {
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    #[error("the log was closed")]
    Closed,
}

#[derive(Debug, Default)]
pub(in crate::log) struct Followers {
    state: Mutex<State>,
    /// Where all but the scout sleep.
    moved: Condvar,
    /// Where the scout sleeps, with the log's queue.
    scout: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Asleep on `moved`.
    waiting: u32,
    has_scout: bool,
    /// When they were woken last, on the boot clock.
    woken_ns: u64,
}

impl Followers {
    /// For who moved the mark, or ended it, and found the queue's `scouted` set.
    pub(in crate::log) fn tell_scout(&self) {
        self.scout.notify_one();
    }
}

impl Log {
    /// Sleeps until more than `seq` is flushed, at most for `timeout`.
    pub fn wait_flushed(&self, seq: Seq, timeout: Duration) -> Result<Waited, Ended> {
        self.shared.follow(seq, timeout)
    }
}

impl Shared {
    fn follow(&self, seq: Seq, timeout: Duration) -> Result<Waited, Ended> {
        if self.flushed_seq() > seq {
            return Ok(Waited::Moved);
        }
        let mut state = self.followers.state.lock();
        let waited = self.follow_with(&mut state, seq, timeout);
        // Whoever was woken to take the scout's role and does not need it any more passes it on.
        if !state.has_scout && state.waiting > 0 {
            self.followers.moved.notify_one();
        }
        waited
    }

    fn follow_with(&self, state: &mut MutexGuard<'_, State>, seq: Seq, timeout: Duration) -> Result<Waited, Ended> {
        let deadline = self.env.clock.boot_ns().saturating_add(ns(timeout));
        loop {
            if self.flushed_seq() > seq {
                return Ok(Waited::Moved);
            }
            let left = Duration::from_nanos(deadline.saturating_sub(self.env.clock.boot_ns()));
            // A sleep that took its time is believed too: a clock that a test holds still does not say.
            let timed_out = if state.has_scout && !left.is_zero() {
                state.waiting += 1;
                let timed_out = self.followers.moved.wait_for(state, left).timed_out();
                state.waiting -= 1;
                timed_out
            } else {
                if let Some(ended) = self.ended(seq) {
                    return ended;
                }
                left.is_zero() || self.be_scout(state, left)
            };
            if timed_out && self.flushed_seq() <= seq {
                return Ok(Waited::TimedOut);
            }
        }
    }

    /// Has the mark stopped for good, at or before `seq`? The mark is looked at once more behind the reason: it may
    /// have moved right before.
    fn ended(&self, seq: Seq) -> Option<Result<Waited, Ended>> {
        let queue = self.queue.lock();
        let ended = match (&queue.poisoned, queue.closing) {
            (Some(poisoned), _) => Ended::Poisoned(poisoned.clone()),
            (None, true) if queue.flushed == queue.appended => Ended::Closed,
            (None, _) => return None,
        };
        Some(if queue.flushed > seq { Ok(Waited::Moved) } else { Err(ended) })
    }

    /// Waits for the writer on behalf of all. Says whether it gave up waiting, and whoever remains finds the role free.
    fn be_scout(&self, state: &mut MutexGuard<'_, State>, left: Duration) -> bool {
        state.has_scout = true;
        let before = self.flushed_seq();
        let timed_out = MutexGuard::unlocked(state, || self.wait_for_writer(before, left));
        if !timed_out {
            self.keep_pace(state, left);
        }
        state.has_scout = false;
        state.woken_ns = self.env.clock.boot_ns();
        if timed_out {
            // Whoever it is takes the role.
            self.followers.moved.notify_one();
        } else {
            self.followers.moved.notify_all();
        }
        timed_out
    }

    fn wait_for_writer(&self, before: Seq, left: Duration) -> bool {
        let mut queue = self.queue.lock();
        let over = |queue: &super::super::Queue| {
            queue.flushed > before || queue.poisoned.is_some() || (queue.closing && queue.flushed == queue.appended)
        };
        while !over(&queue) {
            queue.scouted = true;
            let timed_out = self.followers.scout.wait_for(&mut queue, left).timed_out();
            queue.scouted = false;
            if timed_out && !over(&queue) {
                return true;
            }
        }
        false
    }

    /// Lets the time pass that is due between two awakenings.
    fn keep_pace(&self, state: &mut MutexGuard<'_, State>, left: Duration) {
        let pace = FOLLOWER_PACE.saturating_mul(state.waiting + 1).min(FOLLOWER_PACE_MAX);
        let since = self.env.clock.boot_ns().saturating_sub(state.woken_ns);
        let due = pace.saturating_sub(Duration::from_nanos(since)).min(left);
        if !due.is_zero() {
            // Nobody but the scout signals here, so this is a sleep that lets others come and go.
            self.followers.moved.wait_for(state, due);
        }
    }

    /// The log was closed: who follows it is told.
    pub(in crate::log) fn end_followers(self: &Arc<Self>) {
        self.queue.lock().closing = true;
        self.followers.tell_scout();
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
