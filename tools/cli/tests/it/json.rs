//! The shapes of docs/JSON.md: programs rely on every key here.

use crate::rig::{Rig, keys};

#[test]
fn every_event_begins_with_the_same_keys() {
    let rig = Rig::new();
    rig.feed("put /a", b"1").ok();
    let out = rig.nexus("log --json").ok();
    let line = out.lines().nth(2).unwrap();
    assert!(line.starts_with("{\"seq\":2,\"index\":0,\"time\":\""), "{line}");
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    let expected = [
        "actor", "atime", "content", "gid", "index", "inode", "kind", "mode", "mtime", "name", "origin", "outcome",
        "parent", "path", "seq", "time", "uid",
    ];
    assert_eq!(keys(&event), expected);
    assert_eq!(keys(&event["actor"]), ["agent", "generation", "session", "tenant", "user"]);
    assert_eq!(keys(&event["origin"]), ["command", "process", "request_id", "trace_id"]);
    assert_eq!(keys(&event["content"]), ["body", "content_id", "foreign", "pieces", "size"]);
    assert_eq!(keys(&event["content"]["pieces"][0]), ["chunk", "file_offset", "length", "skip"]);
    assert_eq!((event["kind"].as_str(), event["outcome"].as_str()), (Some("file_created"), Some("ok")));
    let time = event["time"].as_str().unwrap();
    assert!(time.len() == "2026-01-02T03:04:05.000000006Z".len() && time.ends_with('Z'), "{time}");
}

#[test]
fn reading_verbs_have_their_keys() {
    let rig = Rig::new();
    rig.feed("put /a", b"1").ok();
    rig.nexus("ln -s a /s").ok();
    let attributes = [
        "atime",
        "birth",
        "changed_seq",
        "content_id",
        "ctime",
        "gid",
        "inode",
        "kind",
        "mime",
        "mode",
        "mtime",
        "nlink",
        "owner_agent",
        "parent",
        "size",
        "uid",
        "version",
    ];
    let with = |more: &[&'static str]| {
        let mut keys = [&attributes[..], more].concat();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys(&rig.nexus("stat /a --json").json()[0]), with(&["zone", "path", "at"]));
    assert_eq!(keys(&rig.nexus("stat /s --json").json()[0]), with(&["zone", "path", "at", "target"]));
    assert_eq!(keys(&rig.nexus("ls -l / --json").json()[0]), with(&["name"]));
    assert_eq!(keys(&rig.nexus("ls / --json").json()[0]), ["inode", "kind", "name"]);
}

#[test]
fn changing_verbs_have_their_keys() {
    let rig = Rig::empty();
    assert_eq!(keys(&rig.nexus("init --json").json()[0]), ["dir", "zone", "zone_id"]);
    let changes = [
        ("mkdir /d --json", &["created"][..]),
        ("mkdir -p /d/e --json", &["created"]),
        ("mkdir -p /d/e --json", &["created"]),
        ("touch /a --json", &["created"]),
        ("touch /a --json", &["created"]),
        ("put /a --json", &["created"]),
        ("put /a --offset 3 --json", &["length", "offset"]),
        ("append /a --json", &["length"]),
        ("edit /a --find x --replace y --json", &[]),
        ("punch /a --offset 0 --length 1 --json", &["length", "offset"]),
        ("truncate -s 1 /a --json", &[]),
        ("mknod /p p --json", &[]),
        ("cp /a /copy --json", &["created", "from_at", "from_path"]),
        ("chmod 600 /a --json", &[]),
        ("chown 1:2 /a --json", &[]),
        ("ln /a /b --json", &[]),
        ("ln -s a /s --json", &[]),
        ("mv /a /c --json", &["from_path"]),
        ("rm /b --json", &[]),
        ("rmdir /d/e --json", &[]),
        ("rm -r /d --json", &["removed"]),
    ];
    for (words, more) in changes {
        let line = rig.feed(words, if words.starts_with("put /a --offset") { b"x" } else { b"" }).json().remove(0);
        let mut expected = [&["inode", "path", "seq", "zone"][..], more].concat();
        expected.sort_unstable();
        assert_eq!(keys(&line), expected, "{words}");
    }
}

#[test]
fn errors_have_kind_code_and_message() {
    let rig = Rig::new();
    let failed = |words: &str| rig.nexus(words).fails_json(1);
    assert_eq!(failed("cat /none --json"), ("not_found".into(), "NX0001".into()));
    assert_eq!(failed("mkdir / --json"), ("exists".into(), "NX0002".into()));
    assert_eq!(failed("cat / --json"), ("is_dir".into(), "NX0004".into()));
    assert_eq!(failed("init --json"), ("exists".into(), "NX0002".into()));
    let unnamed = rig.command(["ls", "--json"]).env_remove("NEXUS_DATA").output().unwrap();
    assert_eq!(unnamed.status.code(), Some(2));
    let line: serde_json::Value = serde_json::from_slice(&unnamed.stdout).unwrap();
    assert_eq!((line["error"]["kind"].as_str(), line["error"]["code"].as_str()), (Some("usage"), Some("NX9001")));
}
