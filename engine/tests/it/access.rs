//! Reads are recorded as their policy says.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use nexus_engine::{At, Caller, Durability, NewFile, Nexus, ReadPolicy, RootAttributes, Seq, UsageFilter, ZoneOptions};
use nexus_log::event::{Accessed, Event, Reason, Syscall};

use crate::sim::{SECOND, Sim, agent};

fn accesses(sim: &Sim) -> Vec<(String, Accessed)> {
    let event = |(record, event): (nexus_log::record::Record, Event)| match event {
        Event::Accessed(accessed) => (record.context.agent, accessed),
        other => panic!("{other:?}"),
    };
    sim.events("accessed").into_iter().map(event).collect()
}

/// Calls and bytes in all records.
fn totals(sim: &Sim) -> (u64, u64) {
    accesses(sim).iter().fold((0, 0), |(calls, bytes), (_, e)| {
        let told = e.inodes.iter().chain(&e.directories);
        let (c, b) = told.fold((0, 0), |(c, b), count| (c + count.calls, b + count.bytes));
        (calls + c + e.collapsed_calls, bytes + b + e.collapsed_bytes)
    })
}

fn read(sim: &Sim, who: &Caller, path: &str) -> Result<usize, Reason> {
    let view = sim.zone.view(At::Latest).unwrap();
    view.read(who, path, 0, 1 << 20).map(|bytes| bytes.len()).map_err(|error| error.kind)
}

fn policy(sim: &Sim, path: &str, reads: Option<ReadPolicy>) {
    sim.zone.set_policy(&agent("operator"), path, reads, Durability::Durable).unwrap();
}

fn mkdir(sim: &Sim, path: &str) {
    sim.zone.mkdir(&agent("me"), path, &NewFile::default(), true, Durability::Durable).unwrap();
}

#[test]
fn reads_are_one_record_per_agent_and_second() {
    let sim = Sim::new(None);
    let (ann, bob) = (agent("ann"), agent("bob"));
    sim.put(&ann, "/a", b"12345");
    sim.put(&ann, "/b", b"123");
    for _ in 0..100 {
        read(&sim, &ann, "/a").unwrap();
        read(&sim, &bob, "/b").unwrap();
        read(&sim, &ann, "/b").unwrap();
    }
    let view = sim.zone.view(At::Latest).unwrap();
    view.stat(&ann, "/a", true).unwrap();
    view.readdir(&bob, "/", None, 10).unwrap();
    assert_eq!(read(&sim, &ann, "/none"), Err(Reason::NotFound), "a miss is no access");
    assert!(accesses(&sim).is_empty(), "not on the way of the read");
    sim.pass(SECOND - 1);
    assert!(accesses(&sim).is_empty(), "not before the second is over");
    sim.pass(1);
    let found: BTreeMap<String, Accessed> = accesses(&sim).into_iter().collect();
    assert_eq!((accesses(&sim).len(), found.len()), (2, 2));
    let told = |agent: &str| -> Vec<(u16, u64, u64, u64)> {
        found[agent].inodes.iter().map(|c| (c.syscall, c.at, c.calls, c.bytes)).collect()
    };
    let (reads, lists) = (Syscall::Read.code(), Syscall::Readdir.code());
    assert_eq!(told("ann"), [(reads, 0, 100, 500), (reads, 0, 100, 300)]);
    assert_eq!(told("bob"), [(lists, 0, 1, 2), (reads, 0, 100, 300)]);
    assert_eq!(found["ann"].until_ns - found["ann"].from_ns, SECOND);
    sim.pass(10 * SECOND);
    assert_eq!(accesses(&sim).len(), 2, "an idle second makes no record");
}

#[test]
fn a_read_of_the_past_says_of_which() {
    let sim = Sim::new(None);
    let me = agent("me");
    let first = sim.put(&me, "/a", b"one");
    sim.put(&me, "/a", b"second");
    sim.zone.view(At::Exactly(first)).unwrap().read(&me, "/a", 0, 100).unwrap();
    read(&sim, &me, "/a").unwrap();
    sim.pass(SECOND);
    let [(_, accessed)] = &accesses(&sim)[..] else { panic!("one record") };
    let told: Vec<(u64, u64)> = accessed.inodes.iter().map(|c| (c.at, c.bytes)).collect();
    assert_eq!(told, [(0, 6), (first.0, 3)]);
}

#[test]
fn a_clean_end_keeps_the_last_reads_and_an_unclean_one_says_what_may_be_missing() {
    let mut sim = Sim::new(None);
    let me = agent("me");
    sim.put(&me, "/a", b"one");
    read(&sim, &me, "/a").unwrap();
    sim = sim.reopen(true, false);
    assert_eq!(totals(&sim), (1, 3));
    assert!(sim.events("audit_gap").is_empty());
    read(&sim, &me, "/a").unwrap();
    sim = sim.reopen(false, false);
    assert_eq!(totals(&sim), (1, 3));
    assert_eq!(sim.events("audit_gap").len(), 1);
}

#[test]
fn a_policy_holds_for_what_is_below_until_another_does() {
    let mut sim = Sim::new(None);
    let me = agent("me");
    ["/off", "/off/strict", "/other"].into_iter().for_each(|path| mkdir(&sim, path));
    ["/off/a", "/off/strict/a", "/other/a"].into_iter().for_each(|path| {
        sim.put(&me, path, b"1234");
    });
    policy(&sim, "/off", Some(ReadPolicy::Off));
    policy(&sim, "/off/strict", Some(ReadPolicy::Strict));
    for round in 0..2 {
        sim = if round == 1 { sim.reopen(true, true) } else { sim };
        let before = totals(&sim).0;
        let strict = |sim: &Sim| accesses(sim).iter().filter(|(_, e)| e.strict.is_some()).count();
        let strict_before = strict(&sim);
        ["/off/a", "/off/strict/a", "/other/a"].into_iter().for_each(|path| {
            read(&sim, &me, path).unwrap();
        });
        assert_eq!(strict(&sim), strict_before + 1, "strict is there at once");
        sim.pass(SECOND);
        assert_eq!(totals(&sim).0, before + 2);
        let view = sim.zone.view(At::Latest).unwrap();
        let shown = |path: &str| view.policy(&me, path).unwrap().1;
        assert_eq!(shown("/off/a").reads, ReadPolicy::Off);
        assert_eq!(shown("/off/strict/a").reads, ReadPolicy::Strict);
        assert_eq!((shown("/other/a").reads, shown("/other/a").from), (ReadPolicy::Summary, None));
    }
    // It follows the inode, not the name.
    sim.zone.rename(&me, "/off", "/moved", nexus_engine::RenameMode::Replace, Durability::Durable).unwrap();
    let before = totals(&sim).0;
    read(&sim, &me, "/moved/a").unwrap();
    sim.pass(SECOND);
    assert_eq!(totals(&sim).0, before);
    // And what is moved out falls under what is above it there.
    sim.zone.rename(&me, "/moved/a", "/other/b", nexus_engine::RenameMode::Replace, Durability::Durable).unwrap();
    read(&sim, &me, "/other/b").unwrap();
    sim.pass(SECOND);
    assert_eq!(totals(&sim).0, before + 1);
    policy(&sim, "/moved/strict", None);
    policy(&sim, "/moved", None);
    assert!(sim.zone.set_policy(&me, "/moved", None, Durability::Durable).unwrap().seq.is_none());
    assert_eq!(sim.events("policy_set").len(), 4);
    assert!(sim.zone.rebuild(false, |_| {}).unwrap().equal());
}

#[test]
fn a_strict_read_is_on_stable_storage_before_it_is_answered() {
    let sim = Sim::new(Some(ReadPolicy::Strict));
    let me = agent("me");
    let first = sim.put(&me, "/a", b"12345");
    let strictly = |call: &dyn Fn() -> Option<Reason>| {
        let before = accesses(&sim).len();
        let reason = call();
        // Only what is flushed is seen here.
        let after = accesses(&sim);
        assert_eq!(after.len(), before + 1);
        let (who, accessed) = after.last().unwrap().clone();
        assert_eq!(who, "me");
        let strict = accessed.strict.unwrap();
        assert_eq!(strict.reason, reason.map_or(0, Reason::code));
        (accessed.inodes[0].clone(), strict.path)
    };
    let view = sim.zone.view(At::Latest).unwrap();
    let (count, path) = strictly(&|| view.read(&me, "/a", 1, 3).map(drop).err().map(|e| e.kind));
    assert_eq!((count.syscall, count.bytes, &path[..]), (Syscall::Read.code(), 3, &b"/a"[..]));
    strictly(&|| view.stat(&me, "/a", true).map(drop).err().map(|e| e.kind));
    let (count, path) = strictly(&|| view.stat(&me, "/none", true).map(drop).err().map(|e| e.kind));
    assert_eq!((count.inode, &path[..]), (1, &b"/none"[..]), "a miss is an access of the directory");
    let past = sim.zone.view(At::Exactly(first)).unwrap();
    let (count, _) = strictly(&|| past.readdir(&me, "/", None, 9).map(drop).err().map(|e| e.kind));
    assert_eq!(count.at, first.0);
    assert!(sim.events("refused").is_empty());
}

#[test]
fn what_cannot_be_recorded_strictly_is_not_answered() {
    let sim = Sim::with(None, None, 0);
    let me = agent("me");
    mkdir(&sim, "/s");
    sim.put(&me, "/s/a", b"secret");
    sim.put(&me, "/a", b"public");
    policy(&sim, "/s", Some(ReadPolicy::Strict));
    read(&sim, &me, "/s/a").unwrap();
    sim.disk.set_free_bytes(Some(0));
    assert!((0..2000).any(|n| {
        sim.zone.put(&me, format!("/{n}").as_str(), &[&i32::to_le_bytes(n)[..], &[1; 60_000]].concat()).is_err()
    }));
    assert!(read(&sim, &me, "/s/a").is_err());
    assert_eq!(read(&sim, &me, "/a"), Ok(6), "a summary needs no room");
    sim.disk.set_free_bytes(None);
    assert_eq!(read(&sim, &me, "/s/a"), Ok(6));
}

#[test]
fn a_strict_policy_governs_the_past_of_what_it_is_on() {
    let sim = Sim::new(None);
    let me = agent("me");
    mkdir(&sim, "/s");
    let before = sim.put(&me, "/s/a", b"1");
    policy(&sim, "/s", Some(ReadPolicy::Strict));
    sim.zone.unlink(&me, "/s/a", Durability::Durable).unwrap();
    sim.zone.view(At::Exactly(before)).unwrap().read(&me, "/s/a", 0, 1).unwrap();
    assert_eq!(accesses(&sim).len(), 1);
}

#[test]
fn history_is_one_access_and_its_record_none() {
    let sim = Sim::new(None);
    let me = agent("me");
    sim.put(&me, "/a", b"1");
    sim.zone.open_history(&me, None, || Ok(())).unwrap();
    sim.zone.usage(&me, At::Latest, &UsageFilter::default()).unwrap();
    for _ in 0..5 {
        sim.pass(SECOND);
    }
    let [(_, accessed)] = &accesses(&sim)[..] else { panic!("one record") };
    assert_eq!((accessed.inodes[0].syscall, accessed.inodes[0].calls), (Syscall::Log.code(), 2));
}

#[test]
fn many_things_and_many_agents_are_counted_by_less_and_none_is_lost() {
    use nexus_engine::limits::{ACCESS_ACTORS_MAX, ACCESS_ENTRIES_MAX};
    let sim = Sim::new(None);
    let me = agent("me");
    let files = ACCESS_ENTRIES_MAX as u64 + 300;
    mkdir(&sim, "/d");
    for n in 0..files {
        sim.zone.create(&me, format!("/d/{n}").as_str(), &NewFile::default(), true, Durability::Accepted).unwrap();
    }
    sim.zone.log().flush().unwrap();
    let view = sim.zone.view(At::Latest).unwrap();
    for _ in 0..2 {
        (0..files).for_each(|n| drop(view.read(&me, format!("/d/{n}").as_str(), 0, 10).unwrap()));
    }
    sim.pass(SECOND);
    let [(_, one)] = &accesses(&sim)[..] else { panic!("one record") };
    assert_eq!((one.inodes.len(), one.directories.len(), one.collapsed_calls), (ACCESS_ENTRIES_MAX, 1, 0));
    assert_eq!(one.directories[0].calls, 600);
    assert_eq!(totals(&sim).0, 2 * files);
    let agents = 3 * ACCESS_ACTORS_MAX as u64;
    (0..agents).for_each(|n| drop(view.read(&agent(&format!("a{n}")), "/d/0", 0, 10).unwrap()));
    sim.pass(SECOND);
    assert_eq!(totals(&sim).0, 2 * files + agents);
    assert!(accesses(&sim).len() <= 2 + ACCESS_ACTORS_MAX);
    assert!(accesses(&sim).iter().any(|(who, e)| who == "nexus" && e.collapsed_calls > 0));
}

#[test]
fn reads_of_a_full_disk_are_answered_and_recorded_once_there_is_room() {
    let mut sim = Sim::with(None, None, 0);
    let me = agent("me");
    sim.put(&me, "/a", b"12345");
    sim.disk.set_free_bytes(Some(0));
    assert!((0..2000).any(|n| {
        sim.zone.put(&me, format!("/{n}").as_str(), &[&i32::to_le_bytes(n)[..], &[1; 60_000]].concat()).is_err()
    }));
    let before = totals(&sim).0;
    for _ in 0..5 {
        assert_eq!(read(&sim, &me, "/a"), Ok(5));
        sim.clock.advance(SECOND);
        let _ = sim.zone.tick();
    }
    sim.disk.set_free_bytes(None);
    sim.put(&me, "/b", b"1");
    sim.pass(2 * SECOND);
    assert_eq!(totals(&sim).0, before + 5);
    sim = sim.reopen(true, false);
    assert_eq!(totals(&sim).0, before + 5);
}

#[test]
fn a_zone_that_takes_no_records_is_closed_all_the_same_and_the_gap_is_told() {
    let mut sim = Sim::with(None, None, 1 << 20);
    let me = agent("me");
    sim.put(&me, "/a", b"12345");
    // Below the reserve from the start, as for a command that only reads.
    sim.disk.set_free_bytes(Some(100));
    sim = sim.reopen(true, false);
    read(&sim, &me, "/a").unwrap();
    read(&sim, &me, "/a").unwrap();
    sim.zone.close().unwrap();
    assert_eq!(sim.zone.unrecorded_reads(), 2);
    sim.disk.set_free_bytes(None);
    sim = sim.reopen(false, false);
    assert_eq!(sim.events("audit_gap").len(), 1);
    assert_eq!(read(&sim, &me, "/a"), Ok(5));
}

#[test]
fn a_keeper_that_sleeps_is_woken_by_the_first_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
    let nexus = Nexus::init(&dir.path().join("data"), root, ZoneOptions::default()).unwrap();
    let zone = nexus.zone("root").unwrap();
    let me = agent("me");
    let last = zone.put(&me, "/a", b"1").unwrap().seq.unwrap();
    zone.view(At::Latest).unwrap().read(&me, "/a", 0, 1).unwrap();
    let (tell, told) = mpsc::channel();
    let watched = zone.clone();
    std::thread::spawn(move || {
        while watched.log().flushed() == last {
            std::thread::yield_now();
        }
        let _ = tell.send(());
    });
    told.recv_timeout(Duration::from_secs(60)).expect("the read never became a record");
    let record = zone.log().record(Seq(last.0 + 1)).unwrap();
    assert!(matches!(record.events[..], [Event::Accessed(_)]), "{record:?}");
    nexus.close().unwrap();
}
