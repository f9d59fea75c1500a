//! A deterministic scheduler of a few threads, and a store that yields to it.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::store::{BTreeStore, Prefix, RunRow, Store, StoreError, StorePressure, StoreSnapshot};

/// One party: what it finds wrong, if anything.
pub(super) type Task = Box<dyn FnOnce() -> Result<(), String> + Send>;

#[derive(Default)]
struct Turns {
    /// Who may go on; `None` is the explorer.
    turn: Option<usize>,
    over: Vec<usize>,
}

#[derive(Default)]
struct Baton {
    turns: Mutex<Turns>,
    passed: Condvar,
}

impl Baton {
    fn pass(&self, to: Option<usize>) {
        self.turns.lock().turn = to;
        self.passed.notify_all();
    }

    fn wait(&self, me: Option<usize>) {
        let mut turns = self.turns.lock();
        self.passed.wait_while(&mut turns, |turns| turns.turn != me);
    }
}

thread_local! {
    static PARTY: RefCell<Option<(Arc<Baton>, usize)>> = const { RefCell::new(None) };
}

/// The end of a step. Outside an exploration it does nothing.
pub(super) fn step() {
    if let Some((baton, me)) = PARTY.with_borrow(Clone::clone) {
        baton.pass(None);
        baton.wait(Some(me));
    }
}

/// Hands the turn back for good, also when its thread unwinds.
struct Leave(Arc<Baton>, usize);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.turns.lock().over.push(self.1);
        self.0.pass(None);
    }
}

/// Runs the tasks once. Follows `choices` as far as they go, then takes the first party that can go on; records in
/// `choices` what it took and out of how many.
fn run(tasks: Vec<Task>, choices: &mut Vec<(usize, usize)>) -> Result<(), String> {
    let baton = Arc::new(Baton::default());
    let mut waiting: Vec<usize> = (0..tasks.len()).collect();
    std::thread::scope(|scope| {
        let party = |(me, task): (usize, Task)| {
            let baton = Arc::clone(&baton);
            scope.spawn(move || {
                baton.wait(Some(me));
                let _leave = Leave(Arc::clone(&baton), me);
                PARTY.set(Some((baton, me)));
                task()
            })
        };
        let parties: Vec<_> = tasks.into_iter().enumerate().map(party).collect();
        let mut decision = 0;
        while !waiting.is_empty() {
            if decision == choices.len() {
                choices.push((0, waiting.len()));
            }
            let (choice, of) = choices[decision];
            assert_eq!(of, waiting.len(), "the same choices must lead to the same place");
            decision += 1;
            baton.pass(Some(waiting[choice]));
            baton.wait(None);
            let over = std::mem::take(&mut baton.turns.lock().over);
            waiting.retain(|party| !over.contains(party));
        }
        parties.into_iter().try_for_each(|party| party.join().unwrap_or_else(|_| Err("panicked".into())))
    })
}

/// Runs all interleavings of the tasks that `make` makes anew for each; stops at the first that goes wrong.
/// Answers how many there were.
pub(super) fn explore(mut make: impl FnMut() -> Vec<Task>) -> Result<usize, String> {
    let mut choices = Vec::new();
    for count in 1.. {
        run(make(), &mut choices).map_err(|wrong| format!("{wrong}, by choices {choices:?}"))?;
        while choices.pop_if(|(choice, of)| *choice + 1 == *of).is_some() {}
        match choices.last_mut() {
            Some((choice, _)) => *choice += 1,
            None => return Ok(count),
        }
    }
    unreachable!("the choices run out before the numbers do")
}

/// A store in memory with a step boundary before each look into it and around each run.
#[derive(Clone, Default)]
pub(super) struct SteppingStore(BTreeStore);

impl Store for SteppingStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        step();
        self.0.get(key)
    }

    fn snapshot(&self) -> Box<dyn StoreSnapshot> {
        step();
        self.0.snapshot()
    }

    fn ingest(&self, run: &mut dyn Iterator<Item = RunRow>) -> Result<(), StoreError> {
        step();
        self.0.ingest(run)?;
        step();
        Ok(())
    }

    fn pressure(&self) -> StorePressure {
        self.0.pressure()
    }

    fn tidy(&self) -> Result<(), StoreError> {
        self.0.tidy()
    }

    fn set_dead(&self, prefixes: &[Prefix]) {
        self.0.set_dead(prefixes);
    }

    fn set_expired(&self, prefix: &[u8], before: u64) {
        self.0.set_expired(prefix, before);
    }
}

#[test]
fn all_interleavings_are_run() {
    let seen = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let count = explore(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let task = |me: usize| {
            let (order, seen) = (Arc::clone(&order), Arc::clone(&seen));
            Box::new(move || {
                for _ in 0..3 {
                    order.lock().push(me);
                    step();
                }
                if order.lock().len() == 6 {
                    seen.lock().insert(order.lock().clone());
                }
                Ok(())
            }) as Task
        };
        vec![task(0), task(1)]
    })
    .unwrap();
    // Four stretches each, the last of which writes nothing.
    assert_eq!(count, 70);
    assert_eq!(seen.lock().len(), 20);
}

#[test]
fn a_party_that_panics_is_reported() {
    let fails = || -> Result<(), String> { panic!("planted") };
    let wrong = explore(|| vec![Box::new(fails) as Task, Box::new(|| Ok(())) as Task]).unwrap_err();
    assert!(wrong.starts_with("panicked"), "{wrong}");
}
