//! What a tail promises (WAL_RULES' tail tests and DESIGN section 4), on zones that are written to meanwhile.

mod contract;
mod files;
mod gate;
mod load;
mod random;
mod subtree;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nexus_engine::watch::{Credits, Filter, Item, Matched, Tail, TailFrom, TailOptions};
use nexus_engine::{Caller, Zone, open_zone};
use nexus_log::env::Env;
use nexus_log::ids::Seq;
use nexus_projections::store::BTreeStore;
use nexus_tests::rig::{ROOT, manual};

const DIR: &str = "/zone";
/// Longer than anything here takes, shorter than anybody waits for a test.
const DEADLINE: Duration = Duration::from_secs(60);

fn zone_on(env: &Env) -> Zone {
    open_zone(env, Path::new(DIR), ROOT, Arc::new(BTreeStore::default()), manual(1 << 20, 0, 0)).unwrap()
}

fn me() -> Caller {
    Caller::agent("me").unwrap()
}

fn tail(zone: &Zone, from: TailFrom, filter: Filter) -> Tail {
    zone.tail(&me(), TailOptions { from, filter, credits: Credits::UNLIMITED }).unwrap()
}

/// Everything that comes without waiting.
fn drain(tail: &mut Tail) -> Vec<Item> {
    std::iter::from_fn(|| tail.next(Duration::ZERO).unwrap()).collect()
}

fn event(item: Item) -> Option<Matched> {
    match item {
        Item::Events(matched) => Some(matched),
        _ => None,
    }
}

/// Positions of the records told, without waiting.
fn seqs(tail: &mut Tail) -> Vec<u64> {
    drain(tail).into_iter().filter_map(event).map(|matched| matched.record.seq.0).collect()
}

fn resumed(zone: &Zone, tail: &Tail, filter: &Filter) -> Tail {
    let from = TailFrom::Token(tail.token().to_string());
    zone.tail(&me(), TailOptions { from, filter: filter.clone(), credits: Credits::UNLIMITED }).unwrap()
}

fn last(zone: &Zone) -> Seq {
    zone.log().flushed()
}
