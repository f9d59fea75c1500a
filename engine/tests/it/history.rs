//! History through the engine: under all names, of what is gone, by actor, in both orders.

use std::collections::BTreeSet;
use std::sync::Arc;

use nexus_engine::gate::{Call, Gate};
use nexus_engine::{At, NewFile};
use nexus_engine::{Bound, Caller, Durability, Error, HistoryQuery, Inode, Nexus, RootAttributes, Zone, ZoneOptions};
use nexus_log::event::{Kind, Outcome, Reason, Syscall};
use nexus_log::filter::Filter;

struct Rig {
    zone: Zone,
    me: Caller,
    nexus: Nexus,
    dir: tempfile::TempDir,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
    let nexus = Nexus::init(&dir.path().join("data"), root, ZoneOptions::default()).unwrap();
    Rig { zone: nexus.zone("root").unwrap(), me: Caller::agent("me").unwrap(), nexus, dir }
}

fn told(zone: &Zone, query: &HistoryQuery<'_>) -> Vec<String> {
    let asker = Caller::agent("auditor").unwrap();
    let history = zone.history(&asker, query).unwrap();
    history
        .map(|event| {
            let event = event.unwrap();
            format!("{} {}", event.event().name(), String::from_utf8_lossy(&event.path.clone().unwrap_or_default()))
        })
        .collect()
}

fn of(path: &str) -> HistoryQuery<'_> {
    HistoryQuery { subject: Some(path.into()), ..HistoryQuery::default() }
}

impl Rig {
    fn create(&self, path: &str) -> Inode {
        let new = NewFile::default();
        self.zone.create(&self.me, path, &new, true, Durability::Durable).unwrap().reply.inode
    }
}

#[test]
fn a_file_keeps_its_history_through_renames_links_and_its_end() {
    let rig = rig();
    let (zone, me) = (&rig.zone, &rig.me);
    for path in ["/d", "/d/e"] {
        zone.mkdir(me, path, &NewFile { mode: 0o755, ..NewFile::default() }, true, Durability::Durable).unwrap();
    }
    let inode = rig.create("/d/e/f");
    rig.create("/other");
    zone.link(me, "/d/e/f", "/g", Durability::Durable).unwrap();
    zone.rename(me, "/d/e", "/d/h", nexus_engine::RenameMode::Replace, Durability::Durable).unwrap();
    zone.rename(me, "/d/h/f", "/d/h/k", nexus_engine::RenameMode::Replace, Durability::Durable).unwrap();
    let whole = ["file_created /d/e/f", "linked /g", "renamed /d/h/k"];
    assert_eq!(told(zone, &of("/g")), whole);
    assert_eq!(told(zone, &of("/d/h/k")), whole);
    assert_eq!(told(zone, &HistoryQuery { subject: Some(inode.into()), ..HistoryQuery::default() }), whole);
    // Under a name that it had before its directory and itself were renamed.
    assert_eq!(told(zone, &of("/d/e/f")), whole);
    assert_eq!(told(zone, &of("/d/h/f")), whole);
    zone.unlink(me, "/g", Durability::Durable).unwrap();
    zone.unlink(me, "/d/h/k", Durability::Durable).unwrap();
    zone.rmdir(me, "/d/h", Durability::Durable).unwrap();
    zone.rmdir(me, "/d", Durability::Durable).unwrap();
    let ended = [&whole[..], &["unlinked /g", "unlinked /d/h/k"]].concat();
    for path in ["/g", "/d/h/k", "/d/e/f"] {
        assert_eq!(told(zone, &of(path)), ended, "{path}");
    }
    // A new directory of the old name, without what was in the old one.
    zone.mkdir(me, "/d", &NewFile { mode: 0o755, ..NewFile::default() }, true, Durability::Durable).unwrap();
    zone.mkdir(me, "/d/h", &NewFile { mode: 0o755, ..NewFile::default() }, true, Durability::Durable).unwrap();
    assert_eq!(told(zone, &of("/d/h/k")), ended);
    let error = zone.history(me, &of("/d/never")).unwrap_err();
    assert_eq!(error.kind, Reason::NotFound);
    let at = |seq| HistoryQuery { at: Some(At::Exactly(seq)), ..of("/d/h/k") };
    assert!(zone.history(me, &at(zone.log().first())).is_err());
}

#[test]
fn a_directory_tells_the_names_that_came_and_went_and_an_actor_what_it_did() {
    let rig = rig();
    let zone = &rig.zone;
    let other = Caller::agent("other").unwrap();
    zone.mkdir(&rig.me, "/d", &NewFile { mode: 0o755, ..NewFile::default() }, true, Durability::Durable).unwrap();
    rig.create("/d/a");
    zone.rename(&other, "/d/a", "/a", nexus_engine::RenameMode::Replace, Durability::Durable).unwrap();
    zone.unlink(&other, "/d/a", Durability::Durable).unwrap_err();
    assert_eq!(told(zone, &of("/d"))[..3], ["directory_created /d", "file_created /d/a", "renamed /a"]);
    let by = |filter: Filter| HistoryQuery { filter, ..HistoryQuery::default() };
    let agent = Some("other".to_owned());
    let wait = by(Filter { agent: agent.clone(), ..Filter::default() });
    // A refusal is answered before its record is flushed.
    zone.log().flush().unwrap();
    assert_eq!(told(zone, &wait), ["renamed /a", "refused /d/a"]);
    let refused = Filter { agent, outcome: Some(Outcome::Refused), ..Filter::default() };
    assert_eq!(told(zone, &by(refused)), ["refused /d/a"]);
    let kinds = BTreeSet::from([Kind::named("renamed").unwrap()]);
    assert_eq!(told(zone, &by(Filter { kinds: Some(kinds), ..Filter::default() })), ["renamed /a"]);
}

#[test]
fn limits_take_the_newest_and_both_orders_agree() {
    let rig = rig();
    for name in 0..9 {
        rig.create(&format!("/{name}"));
    }
    let zone = &rig.zone;
    let all = told(zone, &HistoryQuery::default());
    assert_eq!(all.len(), 10);
    let reversed: Vec<String> = all.iter().rev().cloned().collect();
    assert_eq!(told(zone, &HistoryQuery { reverse: true, ..HistoryQuery::default() }), reversed);
    for limit in [0, 1, 4, 10, 11] {
        let query = HistoryQuery { limit: Some(limit), ..HistoryQuery::default() };
        assert_eq!(told(zone, &query), all[10 - limit.min(10)..]);
        assert_eq!(told(zone, &HistoryQuery { reverse: true, ..query }), reversed[..limit.min(10)]);
    }
    let (first, last) = (zone.log().first(), zone.log().flushed());
    let time = zone.log().time_of(first.next()).unwrap();
    for since in [Bound::Seq(first.next()), Bound::Time(time)] {
        let query =
            HistoryQuery { since: Some(since), until: Some(Bound::Seq(last.prev())), ..HistoryQuery::default() };
        assert_eq!(told(zone, &query), all[1..9]);
    }
    let until = HistoryQuery { until: Some(Bound::Time(time)), ..HistoryQuery::default() };
    assert_eq!(told(zone, &until), all[..2]);
    let error = zone.history(&rig.me, &HistoryQuery { limit: Some(usize::MAX), ..HistoryQuery::default() });
    assert_eq!(error.unwrap_err().kind, Reason::TooLarge);
}

struct NobodyReadsHistory;

impl Gate for NobodyReadsHistory {
    fn check(&self, call: &Call<'_>) -> nexus_engine::Result<()> {
        match call.syscall {
            Syscall::Log => Err(Error::new(Reason::PermissionDenied, "history is closed")),
            _ => Ok(()),
        }
    }
}

#[test]
fn history_passes_the_gate_and_a_denial_is_on_record() {
    let rig = rig();
    rig.create("/a");
    rig.zone.install_gate(Some(Arc::new(NobodyReadsHistory)));
    assert_eq!(rig.zone.history(&rig.me, &of("/a")).unwrap_err().kind, Reason::PermissionDenied);
    rig.zone.install_gate(None);
    rig.zone.log().flush().unwrap();
    let outcome = Some(Outcome::Refused);
    let query = HistoryQuery { filter: Filter { outcome, ..Filter::default() }, ..HistoryQuery::default() };
    assert_eq!(told(&rig.zone, &query), ["refused /a"]);
}

#[test]
fn a_zone_opened_anew_has_the_same_history() {
    let rig = rig();
    rig.create("/a");
    rig.zone.rename(&rig.me, "/a", "/b", nexus_engine::RenameMode::Replace, Durability::Durable).unwrap();
    // Looking at a history is on record too.
    let told = |zone: &Zone, query: &HistoryQuery<'_>| {
        told(zone, query).into_iter().filter(|line| !line.starts_with("accessed")).collect::<Vec<String>>()
    };
    let before = told(&rig.zone, &of("/b"));
    let Rig { nexus, zone, dir, .. } = rig;
    nexus.close().unwrap();
    drop(zone);
    let nexus = Nexus::open(&dir.path().join("data"), ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    assert_eq!(told(&zone, &of("/b")), before);
    assert_eq!(told(&zone, &of("/a")), before);
    assert_eq!(before, ["file_created /a", "renamed /b"]);
    // The record that made the root names no inode.
    assert_eq!(told(&zone, &of("/")), ["zone_created /", "file_created /a", "renamed /b"]);
}
