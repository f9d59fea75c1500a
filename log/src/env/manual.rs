//! A clock that moves only when told to, randomness that repeats, and the two together with a memory disk.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Clock, Env, MemoryDisk, Random};

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): 64 bits of state, every seed is good. Not for secrets.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    #[must_use]
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// A [`Random`] that gives the same bytes for the same seed and the same calls.
#[derive(Debug)]
pub struct SeededRandom(Mutex<SplitMix64>);

impl SeededRandom {
    #[must_use]
    pub fn new(seed: u64) -> SeededRandom {
        SeededRandom(Mutex::new(SplitMix64::new(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.0.lock();
        for part in bytes.chunks_mut(8) {
            let word = rng.next_u64().to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }
}

/// A [`Clock`] that stands still until it is set, advanced, or read with a step.
#[derive(Debug)]
pub struct ManualClock(Mutex<Times>);

#[derive(Debug)]
struct Times {
    wall_ns: u64,
    boot_ns: u64,
    step_ns: u64,
}

impl ManualClock {
    #[must_use]
    pub fn new(wall_ns: u64, boot_ns: u64) -> ManualClock {
        ManualClock(Mutex::new(Times { wall_ns, boot_ns, step_ns: 0 }))
    }

    /// Steps the wall clock, in either direction; the boot clock goes on as before.
    pub fn set_wall_ns(&self, wall_ns: u64) {
        self.0.lock().wall_ns = wall_ns;
    }

    /// As a reboot would.
    pub fn set_boot_ns(&self, boot_ns: u64) {
        self.0.lock().boot_ns = boot_ns;
    }

    /// Moves both clocks forward.
    pub fn advance(&self, ns: u64) {
        self.0.lock().advance(ns);
    }

    /// From now on both clocks advance by `step_ns` after each reading of the wall's.
    pub fn set_step_ns(&self, step_ns: u64) {
        self.0.lock().step_ns = step_ns;
    }
}

impl Times {
    fn advance(&mut self, ns: u64) {
        self.wall_ns = self.wall_ns.saturating_add(ns);
        self.boot_ns = self.boot_ns.saturating_add(ns);
    }
}

impl Clock for ManualClock {
    fn wall_ns(&self) -> u64 {
        let mut times = self.0.lock();
        let now = times.wall_ns;
        let step = times.step_ns;
        times.advance(step);
        now
    }

    fn boot_ns(&self) -> u64 {
        self.0.lock().boot_ns
    }
}

impl Env {
    /// An empty memory disk, a clock at 2026-01-01 UTC that stands still, and randomness from `seed`.
    #[must_use]
    pub fn simulated(seed: u64) -> (Env, MemoryDisk, Arc<ManualClock>) {
        const WALL_NS: u64 = 1_767_225_600_000_000_000;
        const BOOT_NS: u64 = 60_000_000_000;
        let disk = MemoryDisk::new();
        let clock = Arc::new(ManualClock::new(WALL_NS, BOOT_NS));
        let env = Env {
            disk: Arc::new(disk.clone()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(SeededRandom::new(seed)),
        };
        (env, disk, clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_repeat_for_a_seed_and_differ_between_seeds() {
        let stream = |seed| {
            let random = SeededRandom::new(seed);
            let mut odd = [0; 13];
            random.fill(&mut odd);
            (odd, random.bytes16(), random.bytes16())
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
        assert_ne!(stream(7).1, stream(7).2);
    }

    #[test]
    fn numbers_below_a_bound_reach_all_of_it_and_nothing_else() {
        let mut rng = SplitMix64::new(1);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[rng.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| n > 100), "{seen:?}");
    }

    #[test]
    fn the_clock_moves_only_as_told() {
        let clock = ManualClock::new(1000, 50);
        assert_eq!((clock.wall_ns(), clock.wall_ns(), clock.boot_ns()), (1000, 1000, 50));
        clock.advance(5);
        assert_eq!((clock.wall_ns(), clock.boot_ns()), (1005, 55));
        clock.set_wall_ns(10);
        assert_eq!((clock.wall_ns(), clock.boot_ns()), (10, 55));
        clock.set_step_ns(3);
        assert_eq!((clock.wall_ns(), clock.wall_ns(), clock.boot_ns()), (10, 13, 61));
        clock.set_boot_ns(0);
        assert_eq!(clock.boot_ns(), 0);
    }

    #[test]
    fn a_simulated_env_shares_its_disk_and_clock_with_the_test() {
        let (env, disk, clock) = Env::simulated(3);
        env.disk.create_dir_all("/zone".as_ref()).unwrap();
        assert!(disk.paths().contains(&"/zone".into()));
        let before = env.clock.wall_ns();
        clock.advance(1);
        assert_eq!(env.clock.wall_ns(), before + 1);
    }
}
