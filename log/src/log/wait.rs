//! Group commit: the first thread that waits writes for all that are queued.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Log, Poisoned, Queue, Shared};
use crate::appender::BatchDone;
use crate::ids::Seq;
use crate::limits::APPEND_BATCH_BYTES_MAX;
use crate::record::Draft;

impl Log {
    /// Returns once `seq` is on stable storage. The calling thread may write the batch itself. `seq` must have been
    /// appended.
    pub fn wait(&self, seq: Seq) -> Result<(), Poisoned> {
        self.shared.wait(seq, self.shared.options.driver != super::Driver::Thread)
    }

    /// Writes and syncs all that is queued.
    pub fn flush(&self) -> Result<(), Poisoned> {
        let (appended, _) = self.appended();
        self.wait(appended)
    }
}

impl Shared {
    /// Waits for `seq`; takes the writer's role when it is free and `may_write`.
    pub(super) fn wait(&self, seq: Seq, may_write: bool) -> Result<(), Poisoned> {
        if Seq(self.flushed.load(Ordering::Acquire)) >= seq {
            return Ok(());
        }
        let mut queue = self.queue.lock();
        loop {
            if queue.flushed >= seq {
                return Ok(());
            }
            if let Some(poisoned) = &queue.poisoned {
                return Err(poisoned.clone());
            }
            assert!(seq <= queue.appended, "nobody waits for what was not appended");
            if may_write && !queue.writing {
                let batch = queue.take_batch();
                parking_lot::MutexGuard::unlocked(&mut queue, || self.write_batch(&batch));
            } else {
                self.batch_done[queue.batch_of(seq) % 2].wait(&mut queue);
            }
        }
    }

    /// Writes one batch that [`Queue::take_batch`] gave, and tells everybody.
    pub(super) fn write_batch(&self, batch: &[Arc<Draft>]) {
        let result = self.appender.lock().write(batch);
        if let Ok(done) = &result {
            self.segments.placed(batch, done);
        }
        let mut queue = self.queue.lock();
        match result {
            Ok(done) => self.publish(&mut queue, batch, &done),
            Err(error) => queue.poisoned = Some(Poisoned(Arc::new(error))),
        }
        queue.writing = false;
        queue.taken = 0;
        queue.batches += 1;
        let (finished, poisoned) = (queue.batches - 1, queue.poisoned.is_some());
        let scouted = std::mem::take(&mut queue.scouted);
        drop(queue);
        // The next batch begins before those of this one are told.
        let next = &self.batch_done[(finished + 1) % 2];
        if poisoned {
            next.notify_all();
        } else {
            next.notify_one();
        }
        self.batch_done[finished % 2].notify_all();
        if scouted {
            self.followers.tell_scout();
        }
    }

    fn publish(&self, queue: &mut Queue, batch: &[Arc<Draft>], done: &BatchDone) {
        queue.unflushed.drain(..batch.len());
        queue.bytes -= done.bytes as usize;
        queue.flushed = batch[batch.len() - 1].seq;
        self.flushed.store(queue.flushed.0, Ordering::Release);
    }
}

impl Queue {
    /// The batch that a record which is not flushed belongs to, as far as can be told: the one being written or the
    /// next, counted from the first.
    fn batch_of(&self, seq: Seq) -> usize {
        let in_flight = seq.0 - self.flushed.0 <= self.taken as u64;
        self.batches + usize::from(self.writing && !in_flight)
    }

    /// The records of the next batch; marks the writer's role as taken. The queue must not be empty.
    pub(super) fn take_batch(&mut self) -> Vec<Arc<Draft>> {
        assert!(!self.writing && self.taken == 0, "one batch is written at a time");
        let mut bytes = 0;
        for draft in &self.unflushed {
            bytes += draft.record_bytes();
            if self.taken > 0 && bytes > APPEND_BATCH_BYTES_MAX {
                break;
            }
            self.taken += 1;
        }
        self.writing = true;
        self.unflushed.iter().take(self.taken).cloned().collect()
    }
}
