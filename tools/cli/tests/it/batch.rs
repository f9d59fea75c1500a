//! `batch`: lines in, changes made, a result for each.

use std::io::Write;

use serde_json::Value;

use crate::rig::{Rig, keys};

#[test]
fn ten_thousand_lines_through_a_pipe_are_made_in_order() {
    let rig = Rig::new();
    let mut lines = String::new();
    for n in 0..5000 {
        lines += &format!("{{\"op\": \"put\", \"path\": \"/f{n}\", \"content\": \"file {n}\"}}\n");
        lines += &format!("{{\"op\": \"append\", \"path\": \"/f{n}\", \"content\": \"!\"}}\n");
    }
    let results = rig.feed("batch - --json", lines.as_bytes()).json();
    assert_eq!(results.len(), 10_000);
    assert_eq!(keys(&results[0]), ["created", "inode", "line", "op", "path", "seq"]);
    let mut last = 1;
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["line"], index as u64 + 1);
        assert_eq!(result["created"], index % 2 == 0);
        // Counts of usage stand between some.
        let seq = result["seq"].as_u64().unwrap();
        assert!((1..=3).contains(&(seq - last)), "each is a record of its own, in order: {seq} behind {last}");
        last = seq;
    }
    assert_eq!(rig.nexus("cat /f4999").ok(), "file 4999!");
    assert_eq!(rig.nexus("ls").lines().len(), 5000);
}

#[test]
fn the_directory_is_opened_when_the_input_has_come() {
    let rig = Rig::new();
    rig.feed("put /lines", b"{\"op\": \"create\", \"path\": \"/made\"}").ok();
    let mut batch = rig.spawn("batch - --quiet");
    let cat = rig.command(["cat", "/lines"]).stdout(batch.stdin.take().unwrap()).status().unwrap();
    assert!(cat.success() && batch.wait().unwrap().success());
    assert_eq!(rig.nexus("ls").lines(), ["lines", "made"]);
}

#[test]
fn every_operation_works_from_a_file() {
    let rig = Rig::new();
    let path = rig.path().join("batch.jsonl");
    std::fs::write(
        &path,
        r#"{"op": "mkdir", "path": "/d", "mode": "700"}
{"op": "put", "path": "/d/a", "content_base64": "AP9oZWxsbw==", "mode": 384, "mtime": "2026-01-02T03:04:05Z"}
{"op": "write", "path": "/d/a", "offset": 2, "content": "J"}
{"op": "append", "path": "/d/a", "content": " world"}
{"op": "punch", "path": "/d/a", "offset": 0, "length": 1}
{"op": "truncate", "path": "/d/a", "size": 9}
{"op": "create", "path": "/d/e", "exclusive": true}
{"op": "symlink", "path": "/d/s", "target": "a"}
{"op": "link", "path": "/d/hard", "target": "/d/a"}
{"op": "mknod", "path": "/d/n", "kind": "char_device", "major": 1, "minor": 3}
{"op": "setattr", "path": "/d/e", "uid": 7, "mime": "text/plain"}
{"op": "setxattr", "path": "/d/e", "name": "user.k", "value": "v"}
{"op": "removexattr", "path": "/d/e", "name": "user.k"}
{"op": "rename", "from": "/d/e", "to": "/d/\u00fcber", "flag": "no_replace"}
{"op": "unlink", "path": "/d/hard"}
{"op": "mkdir", "path": "/gone"}
{"op": "rmdir", "path": "/gone"}
"#,
    )
    .unwrap();
    let file = path.to_str().unwrap();
    let told = rig.run(["batch", file, "--atomic"]).ok();
    assert_eq!(told, "made 17 changes, up to record 2\n");
    assert_eq!(rig.nexus("ls /d").lines(), ["a", "n", "s", "\u{fc}ber"]);
    assert_eq!(rig.nexus("cat /d/a").stdout, b"\0\xffJello w".as_slice());
    let stat = rig.run(["stat", "/d/\u{fc}ber", "--json"]).json().remove(0);
    assert_eq!((stat["uid"].as_u64(), stat["mime"].as_str()), (Some(7), Some("text/plain")));
    assert_eq!(rig.nexus("stat /d --json").json()[0]["mode"], 0o700);
    // One by one it comes to the same.
    rig.nexus("rm -r /d").ok();
    assert!(rig.run(["batch", file]).ok().starts_with("made 17 changes, up to record "));
    assert_eq!(rig.nexus("cat /d/a").stdout, b"\0\xffJello w".as_slice());
    assert!(rig.nexus("batch /no/such/file").fails(1).contains("/no/such/file"));
}

const MIXED: &[u8] = br#"{"op": "put", "path": "/a", "content": "1"}
{"op": "unlink", "path": "/none"}
{"op": "put", "path": "/b", "contnet": "2"}

{"op": "truncate", "path": "/a", "size": 5, "if_version": 77}
{"op": "put", "path": "other:/c", "content": "3"}
{"op": "put", "path": "/d", "content": "4", "if_absent": true}
"#;

#[test]
fn an_error_leaves_the_other_lines_alone() {
    let rig = Rig::new();
    let ran = rig.feed("batch -", MIXED);
    assert_eq!((ran.code, String::from_utf8(ran.stdout).unwrap().as_str()), (1, "made 2 changes, up to record 5\n"));
    let told: Vec<&str> = ran.stderr.lines().collect();
    assert!(told[0].starts_with("nexus: line 2: /none "), "{told:?}");
    assert!(told[1].starts_with("nexus: line 3: ") && told[1].contains("\"content\""), "{told:?}");
    assert!(told[2].contains("line 4: the line is empty"), "{told:?}");
    assert!(told[3].starts_with("nexus: line 5: /a: it is at version"), "{told:?}");
    assert!(told[4].starts_with("nexus: line 6: ") && told[4].contains("other"), "{told:?}");
    assert_eq!(told[5..], ["nexus: 5 of 7 changes failed; the others were made"]);
    assert_eq!(rig.nexus("ls").lines(), ["a", "d"]);

    let ran = rig.feed("batch - --json", MIXED);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let lines: Vec<Value> =
        String::from_utf8(ran.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(Option<u64>, Option<&str>)> =
        lines.iter().map(|line| (line["line"].as_u64(), line["error"]["kind"].as_str())).collect();
    let expected = [
        (Some(1), None),
        (Some(2), Some("not_found")),
        (Some(3), Some("invalid")),
        (Some(4), Some("invalid")),
        (Some(5), Some("version_conflict")),
        (Some(6), Some("cross_zone")),
        (Some(7), Some("exists")),
        (None, Some("incomplete")),
    ];
    assert_eq!(told, expected);
    assert_eq!(keys(&lines[1]), ["error", "line"]);
    assert_eq!(keys(&lines[1]["error"]), ["code", "kind", "message"]);
}

#[test]
fn an_atomic_batch_with_a_bad_line_or_change_changes_nothing() {
    let rig = Rig::new();
    let before = rig.nexus("log").ok();
    let ran = rig.feed("batch - --atomic", MIXED);
    assert_eq!((ran.code, &ran.stdout[..]), (1, &b""[..]));
    assert!(ran.stderr.contains("line 3: ") && ran.stderr.contains("line 6: "), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("nexus: 3 of 7 lines cannot be used; nothing was changed\n"), "{}", ran.stderr);
    assert_eq!(rig.nexus("log").ok(), before);
    let refused = b"{\"op\": \"create\", \"path\": \"/a\"}\n{\"op\": \"rmdir\", \"path\": \"/none\"}\n";
    assert!(rig.feed("batch - --atomic", refused).fails(1).contains("change 2 of 2: "));
    assert_eq!(rig.feed("batch - --atomic --json", refused).fails_json(1), ("not_found".into(), "NX0001".into()));
    assert_eq!(rig.nexus("ls").lines(), Vec::<String>::new());
    let many = "{\"op\": \"create\", \"path\": \"/a\"}\n".repeat(4097);
    assert_eq!(rig.feed("batch - --atomic --json", many.as_bytes()).fails_json(1).0, "too_large");
    assert_eq!(rig.feed("batch - --atomic --json", b"").ok(), "");
}

#[test]
fn a_named_atomic_batch_happens_once() {
    let rig = Rig::new();
    let lines = b"{\"op\": \"put\", \"path\": \"/a\", \"content\": \"x\"}\n{\"op\": \"append\", \"path\": \"/a\", \"content\": \"y\"}\n";
    let first = rig.feed("batch - --atomic --json --request-id b", lines).json();
    let mut again = rig.feed("batch - --atomic --json --request-id b", lines).json();
    for line in &mut again {
        assert_eq!(line.as_object_mut().unwrap().remove("repeated"), Some(true.into()));
    }
    assert_eq!(again, first);
    let told = rig.feed("batch - --atomic --request-id b", lines);
    assert!(told.code == 0 && told.stderr.contains("answered before, by record 2"), "{}", told.stderr);
    assert_eq!(rig.nexus("cat /a").ok(), "xy");
    let other = rig.feed("batch - --atomic --json --request-id b", &lines[..lines.len() / 2]);
    assert_eq!(other.code, 1);
    // One by one the name is noted with each, and names none of them.
    rig.feed("batch - --request-id c --quiet", lines).ok();
    rig.feed("batch - --request-id c --quiet", lines).ok();
    assert_eq!(rig.nexus("log --json").json().iter().filter(|e| e["origin"]["request_id"] == "c").count(), 4);
}

#[test]
fn a_reader_of_results_that_goes_away_is_no_error() {
    let rig = Rig::new();
    let mut batch = rig.spawn("batch - --json");
    drop(batch.stdout.take());
    let mut input = batch.stdin.take().unwrap();
    for n in 0..3000 {
        writeln!(input, "{{\"op\": \"create\", \"path\": \"/f{n}\"}}").unwrap();
    }
    drop(input);
    assert_eq!(batch.wait().unwrap().code(), Some(0));
    assert!(!rig.nexus("ls").lines().is_empty());
}
