//! L9: no tail tells what the gate would refuse.

use std::sync::Arc;

use nexus_engine::gate::{Call, Gate};
use nexus_engine::watch::{Filter, Scope, TailFrom, TailOptions};
use nexus_engine::{Caller, Durability, Error, NewFile};
use nexus_log::env::Env;
use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::Inode;

use super::{drain, event, last, me, seqs, tail, zone_on};

/// Nobody watches below /secret, and mallory watches nothing.
struct Secrets;

impl Gate for Secrets {
    fn check(&self, call: &Call<'_>) -> Result<(), Error> {
        let secret = call.path.starts_with(b"/secret");
        let mallory = call.caller.context().agent == "mallory";
        match call.syscall {
            Syscall::Watch if call.path.starts_with(b"/later") => Err(Error::new(Reason::Unavailable, "ask again")),
            Syscall::Watch if secret || mallory => Err(Error::new(Reason::PermissionDenied, "no")),
            _ => Ok(()),
        }
    }
}

#[test]
fn every_event_told_passed_the_gate_and_a_hidden_one_leaves_no_trace() {
    let (env, _, _) = Env::simulated(1);
    let zone = zone_on(&env);
    zone.install_gate(Some(Arc::new(Secrets)));
    let me = me();
    let mut follows = tail(&zone, TailFrom::Now, Filter::default());
    drain(&mut follows);
    zone.mkdir(&me, "/secret", &NewFile::default(), true, Durability::Durable).unwrap();
    zone.put(&me, "/secret/a", b"x").unwrap();
    let open = zone.put(&me, "/open", b"x").unwrap().seq.unwrap();
    assert_eq!(seqs(&mut follows), [open.0]);
    assert_eq!(last(&zone), open, "what is hidden makes no records");
    let mallory = Caller::agent("mallory").unwrap();
    let options = TailOptions { from: TailFrom::Beginning, ..TailOptions::default() };
    assert_eq!(zone.tail(&mallory, options).unwrap_err().kind, Reason::PermissionDenied);
    assert_eq!(zone.log().appended().0, open.next(), "a tail that is refused is a refusal as any other");
    assert_eq!(zone.watch(&me, "/secret", true).unwrap_err().kind, Reason::PermissionDenied);
}

/// The gate cannot answer: nothing is passed over for that, and when it can the event is told.
#[test]
fn an_event_that_the_gate_cannot_judge_is_kept_until_it_can() {
    let (env, _, _) = Env::simulated(2);
    let zone = zone_on(&env);
    zone.install_gate(Some(Arc::new(Secrets)));
    let filter = Filter { scope: Scope::Subtree(Inode::ROOT), ..Filter::default() };
    let mut follows = tail(&zone, TailFrom::Now, filter);
    drain(&mut follows);
    let before = zone.put(&me(), "/a", b"x").unwrap().seq.unwrap();
    let unjudged = zone.put(&me(), "/later", b"x").unwrap().seq.unwrap();
    assert_eq!(event(follows.next(super::DEADLINE).unwrap().unwrap()).unwrap().record.seq, before);
    for _ in 0..3 {
        assert_eq!(follows.next(super::DEADLINE).unwrap_err().kind, Reason::Unavailable);
        assert_eq!(follows.position(), before);
    }
    zone.install_gate(None);
    assert_eq!(seqs(&mut follows), [unjudged.0]);
}
