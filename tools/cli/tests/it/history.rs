//! `log`: whose history it shows, from when to when, and in which order.

use serde_json::Value;

use crate::rig::Rig;

/// `KIND PATH` of each event.
fn told(events: &[Value]) -> Vec<String> {
    events.iter().map(|e| format!("{} {}", e["kind"].as_str().unwrap(), e["path"].as_str().unwrap_or("-"))).collect()
}

fn log(rig: &Rig, words: &str) -> Vec<String> {
    told(&rig.nexus(&format!("log --json {words}")).json())
}

#[test]
fn a_path_has_the_history_of_what_it_names_under_all_its_names() {
    let rig = Rig::new();
    rig.feed("put /a", b"1").ok();
    rig.feed("put /other", b"2").ok();
    rig.nexus("mv /a /b").ok();
    rig.nexus("ln /b /c").ok();
    rig.feed("put /c --offset 0", b"3").ok();
    let expected = ["file_created /a", "renamed /b", "linked /c", "written /c"];
    assert_eq!(log(&rig, "/b"), expected);
    assert_eq!(log(&rig, "/c"), expected);
}

#[test]
fn a_path_that_is_gone_still_has_its_history() {
    let rig = Rig::new();
    rig.nexus("mkdir -p /d/e").ok();
    rig.feed("put /d/e/f", b"1").ok();
    rig.nexus("mv /d/e /d/g").ok();
    assert_eq!(log(&rig, "/d/e/f"), ["file_created /d/e/f"]);
    rig.nexus("rm -r /d").ok();
    assert_eq!(log(&rig, "/d/g/f"), ["file_created /d/e/f", "unlinked /d/g/f"]);
    assert_eq!(rig.nexus("log /never --json").fails_json(1).0, "not_found");
}

#[test]
fn a_directory_tells_which_names_came_and_went() {
    let rig = Rig::new();
    rig.nexus("mkdir /d /e").ok();
    rig.feed("put /d/a", b"1").ok();
    rig.feed("put /d/a", b"2").ok();
    rig.nexus("mv /d/a /e/a").ok();
    rig.nexus("chmod 700 /d").ok();
    assert_eq!(log(&rig, "/d"), ["directory_created /d", "file_created /d/a", "renamed /e/a", "attributes_set /d"]);
    assert_eq!(log(&rig, "/e"), ["directory_created /e", "renamed /e/a"]);
}

#[test]
fn an_actor_is_found_by_agent_and_session() {
    let rig = Rig::new();
    rig.nexus("--agent alice touch /a").ok();
    rig.nexus("touch /b --agent bob --session s1 --request-id r-7").ok();
    rig.command(["touch", "/c"]).env("NEXUS_AGENT", "bob").env("NEXUS_SESSION", "s2").output().unwrap();
    assert_eq!(log(&rig, "--agent alice"), ["file_created /a"]);
    assert_eq!(log(&rig, "--agent bob"), ["file_created /b", "request_answered -", "file_created /c"]);
    assert_eq!(log(&rig, "--agent bob --session s2"), ["file_created /c"]);
    let event = rig.nexus("log --json --session s1").json().remove(0);
    assert_eq!((event["actor"]["agent"].as_str(), event["origin"]["request_id"].as_str()), (Some("bob"), Some("r-7")));
    // Who asks is no filter.
    let asked = rig.command(["log"]).env("NEXUS_AGENT", "carol").output().unwrap();
    assert_eq!(String::from_utf8(asked.stdout).unwrap().lines().count(), 6);
}

#[test]
fn a_range_a_limit_and_the_order_can_be_chosen() {
    let rig = Rig::new();
    for name in ["/a", "/b", "/c", "/d"] {
        rig.run(["touch", name]).ok();
    }
    let seqs = |words: &str| -> Vec<u64> {
        rig.nexus(&format!("log --json {words}")).json().iter().map(|e| e["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs("--since 2 --until 4"), [2, 3, 4]);
    assert_eq!(seqs("--limit 2"), [4, 5]);
    assert_eq!(seqs("--limit 2 --reverse"), [5, 4]);
    assert_eq!(seqs("--reverse --since 4"), [5, 4]);
    assert_eq!(seqs("--since 5 --until 2"), Vec::<u64>::new());
    assert_eq!(seqs("--limit 0"), Vec::<u64>::new());
    let times: Vec<String> =
        rig.nexus("log --json --since 2").json().iter().map(|e| e["time"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seqs(&format!("--since {} --until {}", times[0], times[2])), [2, 3, 4]);
    assert_eq!(seqs("--until 1970-01-02T00:00:00Z"), Vec::<u64>::new());
    assert_eq!(rig.run(["ls", "--at", &times[1]]).lines(), ["a", "b"]);
}

#[test]
fn going_backwards_over_many_records_misses_none() {
    let rig = Rig::new();
    let names: Vec<String> = (0..600).map(|n| format!("/{n}")).collect();
    rig.run(["mkdir", "-p"].into_iter().chain(names.iter().map(String::as_str))).ok();
    let mut forward = rig.nexus("log").lines();
    forward.reverse();
    assert_eq!(forward.len(), 602);
    assert_eq!(rig.nexus("log --reverse").lines(), forward);
}

#[test]
fn a_refusal_is_an_event_with_its_outcome() {
    let rig = Rig::new();
    rig.nexus("rm /none --agent mallory").fails(1);
    let event = rig.nexus("log --json --agent mallory").json().remove(0);
    let text = |key: &str| event[key].as_str().unwrap().to_owned();
    assert_eq!((text("kind"), text("outcome"), text("path")), ("refused".into(), "refused".into(), "/none".into()));
    assert_eq!((text("syscall"), text("reason")), ("unlink".into(), "not_found".into()));
}

#[test]
fn a_time_that_the_log_shows_is_the_time_of_its_record() {
    let rig = Rig::new();
    rig.feed("put /a", b"one").ok();
    rig.feed("put /a", b"two").ok();
    let lines = rig.nexus("log /a").lines();
    let shown: Vec<&str> = lines[0].split_whitespace().collect();
    let time = format!("{} {}", shown[1], shown[2]);
    assert_eq!(rig.run(["cat", "/a", "--at", &time]).ok(), "one");
}

#[test]
fn kinds_outcomes_and_requests_are_chosen() {
    let rig = Rig::new();
    rig.nexus("touch /a --request-id r-1").ok();
    rig.nexus("mv /a /b --request-id r-2").ok();
    rig.nexus("rmdir /missing").fails(1);
    assert_eq!(log(&rig, "--kind renamed,file_created"), ["file_created /a", "renamed /b"]);
    assert_eq!(log(&rig, "--kind renamed"), ["renamed /b"]);
    assert_eq!(log(&rig, "--outcome refused"), ["refused /missing"]);
    assert!(!log(&rig, "--outcome ok").contains(&"refused /missing".to_owned()));
    assert_eq!(log(&rig, "--request-id r-2"), ["renamed /b", "request_answered -"]);
    assert_eq!(log(&rig, "/b --outcome ok --kind file_created"), ["file_created /a"]);
    let wrong = rig.command(["log", "--kind", "renam"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("file_created"));
}
