//! What happens in a zone without a caller.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Inner, Zone};
use crate::error::Result;

/// How often a store that is behind is looked at again.
const BEHIND_INTERVAL: Duration = Duration::from_millis(10);

/// The background thread; stopped and joined when the last handle goes.
pub(super) struct Keeper {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    pub(super) fn start(inner: &Arc<Inner>) -> std::io::Result<Keeper> {
        let background = Arc::clone(inner);
        let name = "nexus-keeper".into();
        let thread = std::thread::Builder::new().name(name).spawn(move || background.run_keeper())?;
        Ok(Keeper { inner: Arc::clone(inner), thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn stop(&self) {
        self.inner.upkeep.lock().closing = true;
        self.inner.work.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            thread.join().expect("the zone's thread does not panic");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Zone {
    /// One turn of the background work, for drivers without threads.
    pub fn tick(&self) -> Result<()> {
        let core = self.inner.core();
        let flushed = core.log.flushed();
        core.log.tick(flushed);
        self.inner.keep()
    }
}

impl Inner {
    fn run_keeper(&self) {
        loop {
            {
                let mut state = self.upkeep.lock();
                if state.closing {
                    return;
                }
                if !state.wanted {
                    // Taken out of the lock: whoever is refused needs it while this thread sleeps.
                    let now = self.env.clock.boot_ns();
                    let refusals = self.refusals.lock().closes_in(now);
                    let closes_in = refusals.into_iter().chain(self.accesses.closes_in(now)).min();
                    match closes_in {
                        Some(ns) => {
                            self.work.wait_for(&mut state, Duration::from_nanos(ns.max(1)));
                        }
                        None => self.work.wait(&mut state),
                    }
                }
                if state.closing {
                    return;
                }
                state.wanted = false;
            }
            // A failure is kept in the core, for every writer to see.
            let _ = self.keep();
            if self.core().tables.must_throttle() {
                // The store is behind with its own work, which this thread cannot do: look again in a while.
                let mut state = self.upkeep.lock();
                if !state.closing {
                    self.work.wait_for(&mut state, BEHIND_INTERVAL);
                }
            }
        }
    }

    /// Asks the keeper for a turn.
    pub(super) fn want_upkeep(&self) {
        self.upkeep.lock().wanted = true;
        self.work.notify_one();
    }

    /// Relief first: whoever writes may be waiting for it.
    fn keep(&self) -> Result<()> {
        let core = self.core();
        let relieved = self.relieve(&core);
        {
            let _state = self.upkeep.lock();
            self.relief.notify_all();
        }
        let closed = [self.close_refusals(false), self.close_accesses(false), self.count_usage(1)];
        closed.into_iter().fold(relieved, Result::and)
    }
}
