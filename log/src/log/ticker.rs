//! What happens without a caller: accepted records reach the disk within [`FLUSH_INTERVAL`], an idle log persists its
//! watermark, full segments get their sidecars.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::{Driver, Log, Poisoned, Shared};
use crate::appender::AppendError;
use crate::ids::Seq;
use crate::limits::FLUSH_INTERVAL;

/// The background thread; stopped and joined when the last handle goes.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Ticker {
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Ticker> {
        let background = Arc::clone(shared);
        let run = move || match background.options.driver {
            Driver::Thread => background.run_writer(),
            Driver::FirstWaiter | Driver::Manual => background.run_ticker(),
        };
        let thread = std::thread::Builder::new().name("nexus-log".into()).spawn(run)?;
        Ok(Ticker { shared: Arc::clone(shared), thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn stop(&self) {
        self.shared.queue.lock().closing = true;
        self.shared.work.notify_all();
        self.shared.followers.tell_scout();
        if let Some(thread) = self.thread.lock().take() {
            thread.join().expect("the log's thread does not panic");
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Log {
    /// One turn of the background work. `before` is what was flushed at the turn before: an unchanged mark means the
    /// log is idle. Returns the mark for the next turn. For drivers of their own; with a background thread it is
    /// called by that.
    pub fn tick(&self, before: Seq) -> Seq {
        self.shared.tick(before)
    }
}

impl Shared {
    fn tick(&self, before: Seq) -> Seq {
        let (appended, flushed) = {
            let queue = self.queue.lock();
            if queue.poisoned.is_some() {
                return before;
            }
            (queue.appended, queue.flushed)
        };
        if appended > flushed {
            // A failure is kept in the queue, for every waiter to see.
            let _ = self.wait(appended, true);
        } else if flushed == before {
            self.witness(false);
            if self.options.driver != Driver::FirstWaiter {
                self.seal_all();
            }
        }
        Seq(self.flushed.load(std::sync::atomic::Ordering::Acquire))
    }

    /// Persists the watermark if it is behind. A failure poisons the log: without its witness, damage to what was
    /// acknowledged could pass for a torn end.
    pub(super) fn witness(&self, clean: bool) {
        let (flushed, witnessed) = {
            let queue = self.queue.lock();
            (queue.flushed, queue.witnessed)
        };
        if flushed == witnessed && !clean {
            return;
        }
        let mut watermark = self.watermark.lock();
        let result = watermark.persist(flushed, clean);
        let mut queue = self.queue.lock();
        match result {
            Ok(()) => queue.witnessed = flushed,
            Err(source) => {
                let error = AppendError { operation: "write the watermark of", source };
                queue.poisoned.get_or_insert(Poisoned(Arc::new(error)));
                drop(queue);
                self.batch_done.iter().for_each(|waiting| {
                    waiting.notify_all();
                });
                self.followers.tell_scout();
            }
        }
    }

    fn run_ticker(self: &Arc<Self>) {
        let mut before = Seq::ZERO;
        let mut sealer: Option<JoinHandle<()>> = None;
        while self.wait_for_work() {
            before = self.tick(before);
            if self.segments.unsealed() && sealer.as_ref().is_none_or(JoinHandle::is_finished) {
                // Reading a whole segment takes longer than an accepted record may wait for its sync.
                let shared = Arc::clone(self);
                let thread = std::thread::Builder::new().name("nexus-seal".into());
                sealer = thread.spawn(move || shared.seal_all()).ok();
            }
        }
        if let Some(sealer) = sealer {
            sealer.join().expect("the sealing thread does not panic");
        }
    }

    /// Sleeps until there is something to do, and then for the flush interval. False once the log is closing.
    fn wait_for_work(&self) -> bool {
        let mut queue = self.queue.lock();
        let settled = |q: &super::Queue| q.appended == q.witnessed || q.poisoned.is_some();
        while !queue.closing && settled(&queue) {
            queue.ticker_idle = true;
            self.work.wait(&mut queue);
        }
        queue.ticker_idle = false;
        if !queue.closing {
            self.work.wait_for(&mut queue, FLUSH_INTERVAL);
        }
        !queue.closing
    }

    /// The driver that leaves all writing to one thread.
    fn run_writer(&self) {
        let mut before = Seq::ZERO;
        loop {
            let mut queue = self.queue.lock();
            if queue.closing {
                return;
            }
            if queue.appended > queue.flushed && queue.poisoned.is_none() {
                let batch = queue.take_batch();
                drop(queue);
                self.write_batch(&batch);
                continue;
            }
            queue.ticker_idle = true;
            let timed_out = self.work.wait_for(&mut queue, FLUSH_INTERVAL).timed_out();
            queue.ticker_idle = false;
            drop(queue);
            if timed_out {
                before = self.tick(before);
            }
        }
    }
}
