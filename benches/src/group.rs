//! Group commit for what has none of its own, batched as our log batches: the first who waits commits for all who wait,
//! and the next batch gathers meanwhile.

use std::sync::{Condvar, Mutex};

use nexus_engine::Error;
use nexus_log::event::Reason;

/// Where batches go.
pub(crate) trait Sink: Send {
    type Batch: Default + Send;

    /// Makes the whole batch durable.
    fn commit(&mut self, batch: &mut Self::Batch) -> Result<(), Error>;
}

pub(crate) struct Group<S: Sink> {
    sink: Mutex<S>,
    state: Mutex<State<S::Batch>>,
    /// Who waits sleeps on the one of its batch's parity, so that the end of a batch wakes those who are in it, and of
    /// the others only the one who commits next.
    done: [Condvar; 2],
}

struct State<B> {
    gathering: B,
    /// Number of the batch that gathers.
    number: u64,
    /// Batches that are durable. None is any more once one failed.
    finished: u64,
    committing: bool,
    failed: bool,
}

impl<S: Sink> Group<S> {
    pub(crate) fn new(sink: S) -> Group<S> {
        let gathering = S::Batch::default();
        let state = State { gathering, number: 0, finished: 0, committing: false, failed: false };
        Group { sink: Mutex::new(sink), state: Mutex::new(state), done: [Condvar::new(), Condvar::new()] }
    }

    /// Adds an operation to the batch that gathers, and waits until that is durable.
    pub(crate) fn commit(&self, add: impl FnOnce(&mut S::Batch)) -> Result<(), Error> {
        let mut state = self.state.lock().expect("not poisoned");
        add(&mut state.gathering);
        let mine = state.number;
        let own = &self.done[(mine % 2) as usize];
        let next = &self.done[((mine + 1) % 2) as usize];
        loop {
            if state.finished > mine {
                return Ok(());
            }
            if state.failed {
                return Err(Error::new(Reason::Unavailable, "a batch of another thread failed"));
            }
            if state.committing {
                state = own.wait(state).expect("not poisoned");
                continue;
            }
            state.committing = true;
            state.number += 1;
            let mut batch = std::mem::take(&mut state.gathering);
            drop(state);
            let result = self.sink.lock().expect("not poisoned").commit(&mut batch);
            state = self.state.lock().expect("not poisoned");
            state.committing = false;
            match result {
                Ok(()) => {
                    state.finished = mine + 1;
                    next.notify_one();
                }
                Err(_) => {
                    state.failed = true;
                    next.notify_all();
                }
            }
            own.notify_all();
            return result;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Keeps what was committed, and fails with the batch in which the number stands.
    struct Kept {
        committed: Arc<Mutex<Vec<u64>>>,
        batches: Arc<AtomicU64>,
        fails_at: u64,
    }

    impl Sink for Kept {
        type Batch = Vec<u64>;

        fn commit(&mut self, batch: &mut Vec<u64>) -> Result<(), Error> {
            if batch.contains(&self.fails_at) {
                return Err(Error::new(Reason::Unavailable, "asked for"));
            }
            self.batches.fetch_add(1, Ordering::Relaxed);
            std::thread::yield_now();
            self.committed.lock().unwrap().extend_from_slice(batch);
            Ok(())
        }
    }

    fn group(fails_at: u64) -> (Group<Kept>, Arc<Mutex<Vec<u64>>>, Arc<AtomicU64>) {
        let (committed, batches) = (Arc::<Mutex<Vec<u64>>>::default(), Arc::<AtomicU64>::default());
        let kept = Kept { committed: Arc::clone(&committed), batches: Arc::clone(&batches), fails_at };
        (Group::new(kept), committed, batches)
    }

    #[test]
    fn every_operation_is_committed_once_and_before_its_call_returns() {
        let (group, committed, batches) = group(u64::MAX);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (group, committed) = (&group, &committed);
                scope.spawn(move || {
                    for number in (0..200).map(|i| thread * 1000 + i) {
                        group.commit(|batch| batch.push(number)).unwrap();
                        assert!(committed.lock().unwrap().contains(&number));
                    }
                });
            }
        });
        let mut all = committed.lock().unwrap().clone();
        all.sort_unstable();
        let expected: Vec<u64> = (0..8).flat_map(|thread| (0..200).map(move |i| thread * 1000 + i)).collect();
        assert_eq!(all, expected);
        assert!(batches.load(Ordering::Relaxed) <= 1600);
    }

    #[test]
    fn after_a_failed_batch_nobody_waits_for_ever_and_nothing_is_taken() {
        let (group, committed, _) = group(50);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let group = &group;
                scope.spawn(move || {
                    let outcomes = (0..30).map(|i| group.commit(|batch| batch.push(i * 4 + thread)).is_ok());
                    let outcomes: Vec<bool> = outcomes.collect();
                    assert!(outcomes.is_sorted_by(|a, b| a >= b), "no success after a failure: {outcomes:?}");
                    assert!(!outcomes.last().unwrap());
                });
            }
        });
        assert!(!committed.lock().unwrap().contains(&50));
    }
}
