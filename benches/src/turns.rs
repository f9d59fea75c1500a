//! Operations of many threads for one turn.

use std::time::{Duration, Instant};

use nexus_engine::Error;

use crate::report::Latency;

/// Length of a turn.
pub(crate) const TURN: Duration = Duration::from_millis(250);

/// What a turn came to.
pub(crate) struct Turn {
    pub(crate) operations: u64,
    pub(crate) elapsed: Duration,
    pub(crate) latency: Latency,
}

impl Turn {
    pub(crate) fn per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs `operation`, which is told the thread's number, from `threads` threads for `length`, and by each at least once.
pub(crate) fn turn(
    threads: usize,
    length: Duration,
    operation: &(dyn Fn(usize) -> Result<(), Error> + Sync),
) -> Result<Turn, Error> {
    let begin = Instant::now();
    let results: Vec<Result<(u64, Latency), Error>> = std::thread::scope(|scope| {
        let worker = |thread: usize| {
            move || {
                let (mut count, mut latency) = (0, Latency::default());
                loop {
                    let start = Instant::now();
                    operation(thread)?;
                    latency.record(start.elapsed());
                    count += 1;
                    if begin.elapsed() >= length {
                        return Ok((count, latency));
                    }
                }
            }
        };
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(worker(thread))).collect();
        handles.into_iter().map(|h| h.join().expect("a worker does not panic")).collect()
    });
    let mut turn = Turn { operations: 0, elapsed: begin.elapsed(), latency: Latency::default() };
    for result in results {
        let (count, latency) = result?;
        turn.operations += count;
        turn.latency.add(&latency);
    }
    Ok(turn)
}

/// Nanoseconds per call of `operation` over pseudo-random numbers below `below`.
pub(crate) fn timed(calls: u64, below: u64, mut operation: impl FnMut(u64) -> Result<(), Error>) -> Result<f64, Error> {
    let mut state = 0x9e37_79b9_u64;
    let begin = Instant::now();
    for _ in 0..calls {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        operation((state >> 33) % below)?;
    }
    Ok(begin.elapsed().as_nanos() as f64 / calls as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a busy machine a thread may start after a short turn is over; a rate of nothing makes no ratio.
    #[test]
    fn every_thread_does_something_however_short_the_turn_is() {
        let turn = turn(4, Duration::ZERO, &|_| Ok(())).unwrap();
        assert_eq!(turn.operations, 4);
        assert!(turn.per_second().is_finite() && turn.per_second() > 0.0);
    }
}
