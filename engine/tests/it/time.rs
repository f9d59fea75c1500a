//! The zone's time: steps of the clock, times that were asked for.

use nexus_engine::{At, CommitTime, Durability, ReadPolicy};
use nexus_log::event::{Event, Reason};
use nexus_log::ids::Seq;

use crate::sim::{SECOND, Sim, agent};

const YEAR: u64 = 366 * 86_400 * SECOND;

fn sim() -> Sim {
    Sim::new(Some(ReadPolicy::Off))
}

fn wall(sim: &Sim) -> u64 {
    sim.env.clock.wall_ns()
}

fn time_of(sim: &Sim, seq: Seq) -> u64 {
    sim.zone.log().time_of(seq).unwrap().0
}

#[test]
fn r33_as_of_a_time_is_answered_the_same_for_ever() {
    let mut sim = sim();
    let me = agent("me");
    sim.put(&me, "/a", b"one");
    sim.pass(5 * SECOND);
    let asked = CommitTime(wall(&sim));
    let view = sim.zone.view_for(&me, At::Time(asked)).unwrap();
    let then = view.at();
    assert!(!view.is_open());
    // The clock is put back to before the question, and the process ends.
    sim.clock.set_wall_ns(asked.0 - 30 * SECOND);
    for round in 0..4 {
        let seq = sim.put(&me, "/a", b"more");
        assert!(time_of(&sim, seq) > asked.0);
        assert_eq!(sim.zone.view_for(&me, At::Time(asked)).unwrap().at(), then);
        sim = sim.reopen(round % 2 == 0, round == 3);
    }
    let closed = sim.events("time_closed");
    let [(record, Event::TimeClosed(event))] = &closed[..] else { panic!("{closed:?}") };
    assert_eq!(event.time_ns, asked.0);
    assert!(record.commit_time > asked && record.context.agent == "me");
}

#[test]
fn a_time_that_is_past_costs_no_record_and_no_wait() {
    let sim = sim();
    let me = agent("me");
    let first = sim.put(&me, "/a", b"one");
    sim.pass(SECOND);
    sim.put(&me, "/a", b"two");
    // Appended and not flushed: whoever waited for it would flush it.
    sim.zone.create(&me, "/b", &nexus_engine::NewFile::default(), true, Durability::Accepted).unwrap();
    let flushed = sim.zone.log().flushed();
    let at = At::Time(CommitTime(time_of(&sim, first)));
    assert_eq!(sim.zone.view_for(&me, at).unwrap().at(), first);
    assert_eq!(sim.zone.log().flushed(), flushed);
    assert!(sim.events("time_closed").is_empty());
}

#[test]
fn a_time_in_the_future_is_refused_by_the_zones_clock() {
    let sim = sim();
    let me = agent("me");
    let now = wall(&sim);
    let ask = |time| sim.zone.view_for(&me, At::Time(CommitTime(time))).map(|view| view.at());
    assert_eq!(ask(now + SECOND).unwrap_err().kind, Reason::Invalid);
    // The wall clock jumps there: the zone does not.
    sim.clock.set_wall_ns(now + YEAR);
    assert_eq!(ask(now + SECOND).unwrap_err().kind, Reason::Invalid);
    sim.clock.advance(SECOND);
    ask(now + SECOND).unwrap();
}

#[test]
fn asking_for_the_present_makes_one_record_per_agent_and_second() {
    let sim = sim();
    let (ann, bob) = (agent("ann"), agent("bob"));
    let mut limited = 0;
    for _ in 0..50 {
        sim.clock.advance(10_000_000);
        for who in [&ann, &bob] {
            // Somebody writes, so that each question is about a time of its own.
            match sim.zone.view_for(who, At::Time(CommitTime(wall(&sim)))) {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind, Reason::RateLimited);
                    limited += 1;
                }
            }
            sim.clock.advance(1_000_000);
        }
    }
    assert_eq!(sim.events("time_closed").len(), 2);
    assert_eq!(limited, 98);
    sim.clock.advance(SECOND);
    sim.zone.view_for(&ann, At::Time(CommitTime(wall(&sim)))).unwrap();
}

#[test]
fn where_the_zone_takes_no_record_the_answer_is_given_and_marked_open() {
    let sim = Sim::with(Some(ReadPolicy::Off), None, 1 << 20);
    let me = agent("me");
    let last = sim.put(&me, "/a", b"one");
    sim.clock.advance(SECOND);
    sim.disk.set_free_bytes(Some(100));
    // What was looked at before is used up.
    let big = vec![1; 1 << 20];
    for _ in 0..64 {
        if sim.zone.put(&me, "/big", &big).is_err() {
            break;
        }
    }
    sim.clock.advance(SECOND);
    let view = sim.zone.view_for(&me, At::Time(CommitTime(wall(&sim)))).unwrap();
    assert!(view.is_open() && view.at() >= last);
    assert_eq!(&view.read(&me, "/a", 0, 10).unwrap()[..], b"one");
}

#[test]
fn a_step_of_ten_years_is_held_told_once_and_followed_when_confirmed() {
    for years in [10_i64, -10] {
        let mut sim = sim();
        let me = agent("me");
        let before = time_of(&sim, sim.put(&me, "/a", b"one"));
        let stepped = wall(&sim).saturating_add_signed(years * YEAR as i64);
        sim.clock.set_wall_ns(stepped);
        let mut last = before;
        for n in 0..5 {
            sim.clock.advance(SECOND);
            let time = time_of(&sim, sim.touch(&me, &format!("/{n}")));
            assert!(time > last && time < before + 60 * SECOND, "{years}: {time}");
            last = time;
        }
        assert!(sim.zone.clock().held);
        let held = sim.events("clock_held");
        let [(record, Event::ClockHeld(event))] = &held[..] else { panic!("{held:?}") };
        assert_eq!(event.wall_ns, stepped + SECOND);
        assert!(record.context.agent == "nexus" && record.commit_time.0 >= event.carried_ns);
        sim = sim.reopen(true, false);
        assert!(sim.zone.clock().held, "a restart confirms nothing");
        let done = sim.zone.confirm_clock(&me).unwrap();
        assert!(!done.reply.held && done.seq.is_some());
        assert!(sim.zone.confirm_clock(&me).unwrap().seq.is_none(), "there is nothing more to confirm");
        sim = sim.reopen(true, years > 0);
        sim.clock.advance(SECOND);
        let time = time_of(&sim, sim.touch(&me, "/confirmed"));
        assert!(!sim.zone.clock().held);
        if years > 0 {
            assert_eq!(time, wall(&sim))
        } else {
            assert!(time > last && time < last + SECOND)
        }
        assert!(sim.zone.rebuild(false, |_| {}).unwrap().equal());
    }
}

#[test]
fn a_suspended_machine_and_small_steps_are_no_incident() {
    let sim = sim();
    let me = agent("me");
    sim.put(&me, "/a", b"one");
    for step in [3600 * 1000, -59, 59] {
        match step > 100 {
            true => sim.clock.advance(step as u64 * SECOND),
            false => sim.clock.set_wall_ns(wall(&sim).saturating_add_signed(step * SECOND as i64)),
        }
        sim.put(&me, "/a", b"more");
        assert!(!sim.zone.clock().held, "{step}");
    }
    assert!(sim.events("clock_held").is_empty());
}
