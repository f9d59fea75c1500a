//! `tail`: through the engine, by the files beside another process, followed and resumed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command};

use serde_json::Value;

use crate::rig::{Rig, keys};

/// `KIND PATH` of each event; of other lines what they are.
fn told(lines: &[Value]) -> Vec<String> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("-").to_owned();
    let one = |line: &Value| match line.get("tail") {
        Some(what) => what.as_str().unwrap().to_owned(),
        None => format!("{} {}", text(line, "kind"), text(line, "path")),
    };
    lines.iter().map(one).collect()
}

fn token(lines: &[Value]) -> String {
    let last = lines.last().unwrap();
    assert_eq!(last["tail"].as_str(), Some("end"));
    last["token"].as_str().unwrap().to_owned()
}

fn tail(rig: &Rig, words: &str) -> Vec<Value> {
    rig.nexus(format!("tail --json {words}").trim_end()).json()
}

#[test]
fn a_tail_tells_what_log_tells_and_goes_on_behind_its_token() {
    let rig = Rig::new();
    rig.feed("put /a", b"1").ok();
    let first = tail(&rig, "");
    assert_eq!(told(&first), ["zone_created /", "policy_set /", "file_created /a", "caught_up", "end"]);
    assert_eq!(first[2], rig.nexus("log --json").json()[2]);
    assert_eq!(keys(&first[3]), ["at", "tail", "token"]);
    rig.nexus("mv /a /b").ok();
    let from = token(&first);
    let second = tail(&rig, &format!("--from {from}"));
    assert_eq!(told(&second), ["renamed /b", "caught_up", "end"]);
    assert_eq!(told(&tail(&rig, &format!("--from {}", token(&second)))), ["caught_up", "end"]);
    assert_eq!(told(&tail(&rig, "--from 3")), ["renamed /b", "caught_up", "end"]);
    let time = second[0]["time"].as_str().unwrap();
    assert_eq!(told(&tail(&rig, &format!("--from {time}"))), ["renamed /b", "caught_up", "end"]);
    let people = rig.nexus("tail").lines();
    assert_eq!(people[..4], rig.nexus("log").lines()[..]);
    assert_eq!(people[4], format!("--from {}", token(&second)));
    // A token is of one question, and of one zone.
    let other = rig.nexus(&format!("tail --kind renamed --from {from} --json")).fails_json(1);
    assert_eq!(other.0, "invalid");
    let elsewhere = Rig::new();
    assert_eq!(elsewhere.nexus(&format!("tail --from {from} --json")).fails_json(1).0, "cross_zone");
    rig.nexus(&format!("tail --from {}", &from[..50])).fails(2);
    rig.nexus("tail --kind nonsense").fails(2);
    rig.nexus("tail / --recursive --follow").fails(2);
    assert_eq!(Rig::empty().nexus("tail --follow --json").fails_json(1).0, "not_found");
}

#[test]
fn a_tail_is_of_kinds_an_agent_a_path_or_all_below_it() {
    let rig = Rig::new();
    rig.nexus("mkdir -p /d/e").ok();
    rig.feed("put /d/e/f --agent alice", b"1").ok();
    rig.nexus("mv /d/e /g").ok();
    rig.feed("put /g/f", b"2").ok();
    let events = |words: &str| {
        let mut lines = told(&tail(&rig, words));
        lines.retain(|line| line.contains(' '));
        lines
    };
    assert_eq!(events("--agent alice"), ["file_created /d/e/f"]);
    assert_eq!(events("--kind renamed --kind written"), ["renamed /g", "written /g/f"]);
    assert_eq!(events("/d"), ["directory_created /d", "directory_created /d/e", "renamed /g"]);
    assert_eq!(
        events("/d -r"),
        ["directory_created /d", "directory_created /d/e", "file_created /d/e/f", "renamed /g"]
    );
    assert_eq!(events("/g/f"), ["file_created /d/e/f", "written /g/f"]);
}

/// A process that holds the directory until its standard input ends.
fn holder(rig: &Rig) -> (Child, std::process::ChildStdin) {
    let mut child = rig.spawn("put /held");
    let mut input = child.stdin.take().unwrap();
    // More than it reads before it opens the directory.
    input.write_all(&vec![7; (8 << 20) + 1]).unwrap();
    rig.wait_until_held(&child);
    (child, input)
}

#[test]
fn beside_another_process_the_files_are_read() {
    let rig = Rig::new();
    rig.feed("put /a", b"1").ok();
    let from = token(&tail(&rig, "--from 2"));
    let (mut child, input) = holder(&rig);
    assert_eq!(told(&tail(&rig, ""))[..3], ["zone_created /", "policy_set /", "file_created /a"]);
    assert_eq!(token(&tail(&rig, "--from 2")).len(), from.len());
    for words in ["tail /a --json", "tail /a --follow --json"] {
        assert_eq!(rig.nexus(words).fails_json(1).0, "busy", "{words}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    let after = told(&tail(&rig, &format!("--from {from}")));
    assert!(after.iter().any(|line| line == "file_created /held"), "{after:?}");
}

fn line(lines: &mut impl BufRead) -> Value {
    let mut text = String::new();
    assert!(lines.read_line(&mut text).unwrap() > 0, "the tail ended");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_tail_that_follows_lets_others_work_and_ends_in_order() {
    let rig = Rig::new();
    rig.feed("put /before", b"1").ok();
    let mut child = rig.spawn("tail --follow --json");
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let began = line(&mut lines);
    assert_eq!(began["tail"].as_str(), Some("caught_up"));
    let mut at = began["at"].as_u64().unwrap();
    for n in 0..3 {
        rig.feed(&format!("put /f{n}"), b"1").ok();
        loop {
            let next = line(&mut lines);
            if next.get("tail").is_some() {
                assert!(next["at"].as_u64().unwrap() >= at && next["token"].is_string());
                continue;
            }
            at += 1;
            assert_eq!(next["seq"].as_u64(), Some(at), "{next}");
            if next["path"].as_str() == Some(&format!("/f{n}")) {
                break;
            }
        }
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let rest: Vec<String> = lines.lines().map(|line| line.unwrap()).collect();
    let end: Value = serde_json::from_str(rest.last().unwrap()).unwrap();
    assert_eq!((end["tail"].as_str(), end["at"].as_u64()), (Some("end"), Some(at)));
    assert!(child.wait().unwrap().success());
    let resumed = tail(&rig, &format!("--from {}", end["token"].as_str().unwrap()));
    assert_eq!(told(&resumed), ["caught_up", "end"]);
}
