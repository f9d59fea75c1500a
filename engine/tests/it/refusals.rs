//! Refusals on a zone whose keeper sleeps.

use std::sync::mpsc;
use std::time::Duration;

use nexus_engine::{Caller, Durability, Nexus, RootAttributes, ZoneOptions};
use nexus_log::event::{Event, Reason};

/// Longer than any refusal takes, shorter than anybody waits for a test.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn refusals_are_answered_at_once_and_each_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
    let nexus = Nexus::init(&data, root, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let (tell, told) = mpsc::channel();
    let refused = zone.clone();
    std::thread::spawn(move || {
        let caller = Caller::agent("clumsy").unwrap();
        for _ in 0..50 {
            let error = refused.unlink(&caller, "/missing", Durability::Durable).unwrap_err();
            tell.send(error.kind).unwrap();
        }
    });
    for _ in 0..50 {
        assert_eq!(told.recv_timeout(DEADLINE), Ok(Reason::NotFound), "a refusal hangs");
    }
    nexus.close().unwrap();
    let (mut single, mut counted) = (0, 0);
    for record in zone.log().records(zone.log().first()) {
        for event in record.unwrap().events {
            match event {
                Event::Refused(_) => single += 1,
                Event::RefusalsCounted(c) => counted += c.collapsed + c.counts.iter().map(|c| c.count).sum::<u64>(),
                _ => {}
            }
        }
    }
    assert_eq!(single + counted, 50, "{single} records and {counted} counted");
}
