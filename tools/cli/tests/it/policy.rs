//! `policy`, `usage`, `clock`, and reads in the log.

use serde_json::Value;

use crate::rig::{Rig, keys};

/// With a data directory whose reads are recorded as they are by default.
fn recording() -> Rig {
    let rig = Rig::empty();
    rig.nexus("init").ok();
    rig
}

fn accesses(rig: &Rig) -> Vec<Value> {
    let events = rig.nexus("log --json --agent reader").json();
    events.into_iter().filter(|event| event["kind"] == "accessed").collect()
}

#[test]
fn a_command_that_reads_leaves_one_record_when_it_ends() {
    let rig = recording();
    rig.feed("put /a", b"12345").ok();
    rig.nexus("--agent reader cat /a").ok();
    rig.nexus("--agent reader ls /").ok();
    let told: Vec<Value> = accesses(&rig).into_iter().map(|event| event["inodes"].clone()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let read = &told[0][0];
    assert_eq!(keys(read), ["at", "bytes", "calls", "inode", "syscall"]);
    assert_eq!((read["syscall"].as_str(), read["bytes"].as_u64(), &read["at"]), (Some("read"), Some(5), &Value::Null));
    assert_eq!((told[1][0]["syscall"].as_str(), told[1][0]["calls"].as_u64()), (Some("readdir"), Some(1)));
    let shown = rig.nexus("log --agent reader").ok();
    assert!(shown.contains("/a  read of inode") && shown.contains("5 bytes"), "{shown}");
}

#[test]
fn a_history_that_is_read_does_not_show_itself_and_grows_by_one_record() {
    let rig = recording();
    let lines = |words: &str| rig.nexus(words).lines().len();
    assert_eq!((lines("log"), lines("log"), lines("log")), (1, 2, 3));
    let rig = recording();
    rig.nexus("policy set / reads=strict").ok();
    assert_eq!(rig.nexus("log").lines().len(), 2);
    assert_eq!(rig.nexus("log").lines().len(), 3);
}

#[test]
fn policies_are_set_shown_and_inherited() {
    let rig = Rig::new();
    rig.nexus("mkdir -p /s/t").ok();
    let set = rig.nexus("policy set /s reads=strict --json").json().remove(0);
    assert_eq!(keys(&set), ["inode", "path", "reads", "seq", "zone"]);
    assert_eq!(set["reads"], "strict");
    let show = |words: &str| rig.nexus(&format!("policy show {words} --json")).json().remove(0);
    let shown = show("/s/t");
    assert_eq!(keys(&shown), ["at", "from_inode", "from_path", "inode", "path", "reads", "zone"]);
    assert_eq!((&shown["reads"], &shown["from_path"]), (&"strict".into(), &"/s".into()));
    assert_eq!(rig.nexus("policy show /s").ok(), "reads=strict  (set here)\n");
    let before = set["seq"].as_u64().unwrap() - 1;
    assert_eq!(show(&format!("/s/t --at {before}"))["reads"], "off");
    rig.nexus("policy set /s reads=inherit").ok();
    assert_eq!(show("/s/t")["from_path"], "/");
    assert_eq!(rig.nexus("policy set /s reads=inherit --json").json()[0]["seq"], Value::Null);
    assert!(rig.nexus("policy set /s reads=often").fails(2).contains("off, summary or strict"));
    assert_eq!(rig.nexus("policy set /none reads=off --json").fails_json(1).0, "not_found");
    let first = Rig::empty();
    first.nexus("init").ok();
    assert_eq!(first.nexus("policy show /").ok(), "reads=summary  (not set; the default)\n");
}

#[test]
fn a_strict_read_is_shown_with_its_path_and_what_it_came_to() {
    let rig = Rig::new();
    rig.nexus("mkdir /s").ok();
    rig.feed("put /s/a", b"123").ok();
    rig.nexus("policy set /s reads=strict").ok();
    rig.nexus("--agent reader stat /s/none").fails(1);
    rig.nexus("--agent reader stat /s/a").ok();
    let told: Vec<Value> = accesses(&rig);
    let of = |event: &Value| (event["path"].clone(), event["strict"].clone(), event["reason"].clone());
    assert_eq!(of(&told[0]), ("/s/none".into(), true.into(), "not_found".into()));
    assert_eq!(of(&told[1]), ("/s/a".into(), true.into(), Value::Null));
}

#[test]
fn usage_counts_what_agents_did() {
    let rig = recording();
    rig.feed("put /a --agent ann", b"12345").ok();
    rig.feed("put /b --agent ann", b"123").ok();
    rig.nexus("rm /none --agent bob").fails(1);
    rig.nexus("cat /a --agent bob").ok();
    let lines = rig.nexus("usage --by agent --json").json();
    let expected = ["agent", "at", "bytes_in", "bytes_out", "changes", "hour", "reads", "refusals", "tenant", "user"];
    assert_eq!(keys(&lines[0]), expected);
    let of = |agent: &str| lines.iter().find(|line| line["agent"] == agent).unwrap();
    let numbers =
        |line: &Value| ["changes", "refusals", "reads", "bytes_in", "bytes_out"].map(|key| line[key].as_u64().unwrap());
    assert_eq!(numbers(of("ann")), [2, 0, 0, 8, 0]);
    // `cat` reads until there is no more: two calls.
    assert_eq!(numbers(of("bob")), [0, 1, 2, 0, 5]);
    let past = rig.nexus("usage --by agent --json --at 2").json();
    assert_eq!((past.len(), numbers(&past[0])), (1, [1, 0, 0, 5, 0]));
    assert!(rig.nexus("usage --by hour").lines().len() >= 2);
}

#[test]
fn the_clock_is_shown_and_there_is_nothing_to_confirm_where_it_is_right() {
    let rig = Rig::new();
    let clock = rig.nexus("clock --json").json().remove(0);
    assert_eq!(keys(&clock), ["held", "wall", "zone"]);
    assert_eq!(clock["held"], false);
    assert_eq!(rig.nexus("clock confirm --json").json()[0]["seq"], Value::Null);
}

#[test]
fn the_state_at_a_time_that_was_asked_for_stays() {
    let rig = Rig::new();
    rig.feed("put /a", b"one").ok();
    let now = rig.nexus("clock --json").json()[0]["wall"].as_str().unwrap().to_owned();
    let at = |rig: &Rig| rig.run(["stat", "/a", "--json", "--at", &now]).json().remove(0);
    let first = at(&rig);
    rig.feed("put /a", b"two").ok();
    assert_eq!(at(&rig), first);
    let closed = rig.nexus("log --json").json().into_iter().filter(|event| event["kind"] == "time_closed").count();
    assert_eq!(closed, 1);
}

#[test]
fn usage_of_one_agent_is_that_agents_and_asked_in_ones_own_name() {
    let rig = Rig::new();
    rig.nexus("touch /a --agent alice").ok();
    rig.nexus("touch /b --agent bob").ok();
    let lines = rig.nexus("usage --agent alice --json").json();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((lines[0]["agent"].as_str(), lines[0]["changes"].as_u64()), (Some("alice"), Some(1)));
}
