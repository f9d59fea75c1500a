use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const YEAR: u64 = 366 * 86_400 * SECOND;
/// 2026.
const NOW: u64 = 1_767_225_600 * SECOND;

/// A clock on a machine whose clocks a test moves, and all that it stamped.
struct Machine {
    wall: u64,
    boot: u64,
    clock: SequencerClock,
    confirmation: Option<Confirmation>,
}

impl Machine {
    fn new() -> Machine {
        let clocks = Clocks { wall_ns: NOW, boot_ns: 7 };
        Machine { wall: NOW, boot: 7, clock: SequencerClock::new(CommitTime(NOW), clocks, None), confirmation: None }
    }

    fn clocks(&self) -> Clocks {
        Clocks { wall_ns: self.wall, boot_ns: self.boot }
    }

    /// Time passes on both clocks.
    fn pass(&mut self, ns: u64) {
        self.wall = self.wall.saturating_add(ns);
        self.boot += ns;
    }

    fn step(&mut self, ns: i64) {
        self.wall = self.wall.saturating_add_signed(ns);
    }

    fn stamp(&mut self) -> u64 {
        let time = self.clock.time(self.clocks(), CommitTime(0));
        self.clock.stamped(self.clocks(), time);
        time.0
    }

    fn held(&self) -> bool {
        self.clock.look(self.clocks()).held
    }

    fn confirm(&mut self) -> u64 {
        let time = self.clock.confirmation_time(self.clocks());
        self.clock.confirmed(self.clocks(), time);
        self.confirmation = Some(Confirmation { wall_ns: self.wall, time });
        time.0
    }

    /// Another process, or another boot: only the log is left.
    fn restart(&mut self, boot: u64) {
        self.boot = boot;
        self.clock = SequencerClock::new(self.clock.last(), self.clocks(), self.confirmation);
    }
}

#[test]
fn steps_up_to_a_minute_are_followed_and_larger_ones_are_held() {
    for (seconds, held) in [(59, false), (-59, false), (61, true), (-61, true), (3_660, true), (-3_660, true)] {
        let mut machine = Machine::new();
        let before = machine.stamp();
        machine.step(seconds * SECOND as i64);
        assert_eq!(machine.held(), held, "{seconds} s");
        machine.pass(100 * SECOND);
        let after = machine.stamp();
        let expected = if held { 100 } else { (100 + seconds) as u64 };
        // The first record was stamped a nanosecond behind the last.
        assert_eq!((after - before + 1) / SECOND, expected, "{seconds} s");
    }
}

#[test]
fn a_step_of_ten_years_poisons_no_commit_time_and_one_that_is_undone_leaves_no_trace() {
    for years in [10, -10] {
        let mut machine = Machine::new();
        let before = machine.stamp();
        machine.step(years * YEAR as i64);
        for second in 1..=1000 {
            machine.pass(SECOND);
            assert!(machine.held());
            assert_eq!(machine.stamp() - before, second * SECOND);
        }
        machine.step(-years * YEAR as i64);
        assert!(!machine.held());
        assert_eq!(machine.stamp(), machine.wall.max(before + 1000 * SECOND + 1));
    }
}

#[test]
fn a_suspended_machine_is_no_step() {
    let mut machine = Machine::new();
    machine.stamp();
    machine.pass(3 * YEAR);
    assert!(!machine.held());
    assert_eq!(machine.stamp(), machine.wall);
}

#[test]
fn small_steps_back_add_up() {
    let mut machine = Machine::new();
    machine.stamp();
    machine.step(-50 * SECOND as i64);
    machine.stamp();
    machine.step(-50 * SECOND as i64);
    assert!(machine.held(), "commit times are 100 s ahead of the wall clock");
}

#[test]
fn a_confirmed_step_is_followed_at_once_or_once_the_wall_clock_has_caught_up() {
    let mut machine = Machine::new();
    machine.stamp();
    machine.step(10 * YEAR as i64);
    machine.stamp();
    assert_eq!(machine.confirm(), machine.wall);
    machine.pass(SECOND);
    assert!(!machine.held());
    assert_eq!(machine.stamp(), machine.wall);

    let end = machine.clock.last().0;
    machine.step(-3_600 * SECOND as i64);
    machine.stamp();
    let mut last = machine.confirm();
    for _ in 0..3500 {
        machine.pass(SECOND);
        assert!(!machine.held());
        let time = machine.stamp();
        assert!(time == last + 1 && time - end < SECOND);
        last = time;
    }
    machine.pass(200 * SECOND);
    assert_eq!(machine.stamp(), machine.wall);
    machine.pass(SECOND);
    machine.step(-61 * SECOND as i64);
    assert!(machine.held(), "the confirmation was of that step alone");
}

#[test]
fn a_restart_knows_the_end_of_the_log_and_no_more() {
    let cases = [
        (0, false),
        (-59, false),
        (-61, true),
        (86_400 * 365, false),
        (86_400 * 367, true),
        (-10 * 366 * 86_400, true),
        (10 * 366 * 86_400, true),
    ];
    for (seconds, held) in cases {
        let mut machine = Machine::new();
        let end = machine.stamp();
        machine.wall = end.saturating_add_signed(seconds * SECOND as i64);
        machine.restart(0);
        assert_eq!(machine.held(), held, "{seconds} s");
        machine.pass(5 * SECOND);
        let expected = if held { end + 5 * SECOND } else { machine.wall.max(end + 1) };
        assert_eq!(machine.stamp(), expected, "{seconds} s");
        machine.restart(u64::from(u32::MAX));
        assert_eq!(machine.held(), held, "{seconds} s, and again");
    }
}

#[test]
fn a_confirmation_of_an_earlier_wall_clock_outlives_a_restart_until_the_clock_has_caught_up() {
    let mut machine = Machine::new();
    machine.step(30 * 86_400 * SECOND as i64);
    machine.confirm();
    machine.stamp();
    // The machine's clock is right again, a month earlier.
    machine.step(-30 * 86_400 * SECOND as i64);
    assert!(machine.held());
    let time = machine.confirm();
    for day in 1..29 {
        machine.pass(86_400 * SECOND);
        machine.restart(day);
        assert!(!machine.held(), "day {day}");
        assert!(machine.stamp() - time < SECOND);
    }
    machine.step(-40 * 86_400 * SECOND as i64);
    machine.restart(0);
    assert!(machine.held(), "earlier than what was confirmed");
    machine.step(45 * 86_400 * SECOND as i64);
    machine.restart(0);
    assert!(!machine.held());
    assert_eq!(machine.stamp(), machine.wall);
    machine.step(-86_400 * SECOND as i64);
    machine.restart(0);
    assert!(machine.held(), "an old confirmation is no leave to step back");
}

#[test]
fn a_held_step_is_told_once() {
    let mut machine = Machine::new();
    machine.stamp();
    assert_eq!(machine.clock.unrecorded(machine.clocks()), None);
    machine.step(YEAR as i64);
    let news = machine.clock.unrecorded(machine.clocks()).unwrap();
    assert_eq!((news.wall_ns, news.held), (machine.wall, true));
    machine.clock.was_recorded();
    machine.stamp();
    assert_eq!(machine.clock.unrecorded(machine.clocks()), None);
    machine.step(-(YEAR as i64));
    machine.stamp();
    machine.step(YEAR as i64);
    assert!(machine.clock.unrecorded(machine.clocks()).is_some());
}

#[test]
fn a_time_that_was_closed_is_passed() {
    let mut machine = Machine::new();
    machine.stamp();
    let closed = CommitTime(machine.clock.look(machine.clocks()).zone_ns + 5);
    let time = machine.clock.time(machine.clocks(), closed);
    machine.clock.stamped(machine.clocks(), time);
    assert!(time > closed && machine.stamp() > time.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// R33: whatever the clocks do, and however often the process ends.
    #[test]
    fn r33_commit_times_strictly_increase(moves in proptest::collection::vec((0..8_u8, any::<u64>()), 1..80)) {
        let mut machine = Machine::new();
        let mut last = machine.clock.last().0;
        for (kind, amount) in moves {
            match kind {
                0 => machine.pass(amount % (100 * SECOND)),
                1 => machine.step((amount % (240 * SECOND)) as i64 - 120 * SECOND as i64),
                2 => machine.step((amount % (20 * YEAR)) as i64 - 10 * YEAR as i64),
                3 => machine.restart(amount % YEAR),
                4 => {
                    let time = machine.confirm();
                    prop_assert!(time > last);
                    last = time;
                }
                5 => machine.boot = machine.boot.saturating_sub(amount % YEAR),
                _ => {
                    let before = machine.clock.look(machine.clocks());
                    let time = machine.stamp();
                    prop_assert!(time > last);
                    // Never further from both clocks than a step, where nothing was confirmed.
                    prop_assert!(time == before.zone_ns);
                    last = time;
                }
            }
            prop_assert_eq!(machine.clock.last().0, last);
        }
    }
}
