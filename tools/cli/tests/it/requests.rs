//! Expectations and named requests, on every verb that takes them.

use crate::rig::Rig;

fn rig_with_files() -> Rig {
    let rig = Rig::new();
    rig.nexus("mkdir -p /d/empty").ok();
    rig.feed("put /a", b"content").ok();
    rig.feed("put /b", b"other").ok();
    rig
}

#[test]
fn a_stale_version_stops_every_verb_that_changes_what_exists() {
    let rig = rig_with_files();
    let before = rig.nexus("ls -l --json").ok();
    for words in [
        "put /a",
        "put /a --offset 1",
        "append /a",
        "edit /a --find c --replace C",
        "truncate -s 1 /a",
        "punch /a --offset 0 --length 1",
        "chmod 600 /a",
        "chown 7 /a",
        "mv /a /c",
        "rm /a",
        "rmdir /d",
        "touch /a",
        "ln /a /c",
        "cp /b /a",
        "mv --exchange /a /b",
    ] {
        let ran = rig.feed(&format!("{words} --if-version 999 --json"), b"x");
        assert_eq!(ran.fails_json(1), ("version_conflict".into(), "NX0014".into()), "{words}");
    }
    assert_eq!(rig.nexus("ls -l --json").ok(), before);
    let version = |path: &str| rig.nexus(&format!("stat {path} --json")).json()[0]["version"].to_string();
    for words in [
        "append /a",
        "edit /a --find content --replace text",
        "put /a --offset 0",
        "truncate -s 3 /a",
        "chmod 600 /a",
        "chown 7 /a",
        "punch /a --offset 0 --length 1",
        "touch /a",
        "put /a",
        "cp /b /a",
        "ln /a /hard",
        "mv /a /c",
    ] {
        rig.feed(&format!("{words} --if-version {}", version("/a")), b"x").ok();
    }
    rig.nexus(&format!("rm /c --if-version {}", version("/c"))).ok();
    rig.nexus(&format!("rmdir /d/empty --if-version {}", version("/d/empty"))).ok();
}

#[test]
fn what_must_exist_or_must_not_decides() {
    let rig = rig_with_files();
    for words in ["put /new", "touch /new", "append /new", "cp /a /new", "chmod 600 /new", "mv /new /newer", "rm /new"]
    {
        let ran = rig.feed(&format!("{words} --if-exists --json"), b"x");
        assert_eq!(ran.fails_json(1).0, "not_found", "{words}");
    }
    for words in ["put /a", "touch /a", "cp /b /a", "mkdir /d", "mknod /a p", "ln -s /x /a"] {
        let ran = rig.feed(&format!("{words} --if-absent --json"), b"x");
        assert_eq!(ran.fails_json(1).0, "exists", "{words}");
    }
    for words in ["put /n1", "touch /n2", "cp /a /n3", "mkdir /n4", "mknod /n5 p", "ln -s /x /n6"] {
        rig.feed(&format!("{words} --if-absent"), b"x").ok();
    }
    for words in ["put /a", "touch /a", "append /a", "cp /b /a", "chmod 600 /a"] {
        rig.feed(&format!("{words} --if-exists"), b"x").ok();
    }
    assert_eq!(rig.nexus("cat /n1").ok(), "x");
}

#[test]
fn an_expectation_that_means_nothing_is_a_usage_error() {
    let rig = rig_with_files();
    let before = rig.nexus("log").ok();
    for words in [
        "append /a --if-absent",
        "edit /a --find a --replace b --if-absent",
        "rm /a /b --if-version 1",
        "rm -r /d --if-version 1",
        "rm -f /a --if-exists",
        "chmod 600 /a /b --if-exists",
        "chown 1 /a /b --if-version 1",
        "mkdir /x /y --if-absent",
        "mkdir -p /x --if-absent",
        "mkdir /x --if-version 1",
        "touch /x /y --if-absent",
        "touch -c /x --if-absent",
        "rmdir /d /d/empty --if-exists",
        "put /a --if-absent --if-version 1",
        "put /a --offset 1 --if-absent",
        "ln /a /x --if-absent",
        "ln -s /a /x --if-version 1",
        "mv /a /x --if-absent",
        "cat /a --if-version 1",
        "mknod /x p --if-exists",
    ] {
        assert!(!rig.feed(words, b"").fails(2).is_empty(), "{words}");
    }
    assert_eq!(rig.nexus("log").ok(), before);
}

#[test]
fn a_write_that_expects_something_is_one_step() {
    let rig = rig_with_files();
    let large = vec![b'x'; 9 << 20];
    // No more than is read before it is refused.
    assert_eq!(rig.feed("put /a --offset 0 --if-exists --json", &large[..8 << 20]).fails_json(1).0, "too_large");
    assert_eq!(rig.nexus("cat /a").ok(), "content");
    rig.feed("put /a --if-exists", &large).ok();
    rig.feed("put /a --offset 3 --request-id r", &large).ok();
}

#[test]
fn a_named_change_happens_once_whatever_the_verb() {
    let rig = rig_with_files();
    let verbs = [
        "append /a",
        "edit /a --find content --replace text",
        "put /a --offset 1",
        "put /p",
        "truncate -s 3 /a",
        "punch /a --offset 0 --length 1",
        "chmod u+x /a",
        "chmod 600 /a",
        "chown 7 /a",
        "mkdir /m",
        "mknod /n p",
        "touch /t",
        "touch /dated -d 2026-01-02T03:04:05Z",
        "ln -s x /s",
        "ln /a /hard",
        "cp /a /copied",
        "cp /a /d",
        "cp -r /d /tree",
        "mv /tree /moved",
        "mv /p /d",
        "mv --exchange /a /b",
        "rm /hard",
        "rm -f /s",
        "rmdir /d/empty",
    ];
    for (number, words) in verbs.into_iter().enumerate() {
        let named = format!("{words} --json --request-id r{number}");
        let first = rig.feed(&named, b"x").json().remove(0);
        assert!(first.get("repeated").is_none() && first["seq"].is_u64(), "{words}: {first}");
        let before = rig.nexus("log -n 1").ok();
        let mut again = rig.feed(&named, b"x").json().remove(0);
        assert_eq!(again.as_object_mut().unwrap().remove("repeated"), Some(true.into()), "{words}: {again}");
        assert_eq!(again, first, "{words}");
        let told = rig.feed(&format!("{words} --request-id r{number}"), b"x");
        assert_eq!(told.code, 0);
        assert!(
            told.stderr.contains(&format!("answered before, by record {}", first["seq"])),
            "{words}: {}",
            told.stderr
        );
        rig.feed(&format!("{words} --quiet --request-id r{number}"), b"x").ok();
        let after = rig.nexus("log --json").json();
        let changes = after.iter().filter(|e| e["outcome"] == "ok" && e["seq"].as_u64() > first["seq"].as_u64());
        // The file the times of which a repeat of `touch` would set, and nothing else.
        assert_eq!(changes.count(), 0, "{words}: {before}");
    }
    assert!(rig.feed("append /a --request-id r0", b"other").fails(1).contains("given to another request"));
}

#[test]
fn one_name_serves_a_verb_that_makes_several_changes() {
    let rig = rig_with_files();
    let source = rig.path().join("source");
    std::fs::create_dir_all(source.join("d")).unwrap();
    std::fs::write(source.join("d/a"), "one").unwrap();
    let source = source.to_str().unwrap().to_owned();
    for words in [
        "mkdir -p /x/y/z",
        "mkdir /m1 /m2",
        "touch /t1 /t2",
        "touch /t1 /t2",
        "chmod 600 /t1 /t2",
        "chown 7 /t1 /t2",
        "cp /t1 /t2 /m1",
        "rmdir /x/y/z /x/y",
        "rm /t1 /t2",
        "rm -r /x",
        "touch /old",
        &format!("import {source} /in"),
        &format!("import {source} /in --delete --checksum"),
    ] {
        let id = words.split(' ').next().unwrap();
        rig.nexus(&format!("{words} --request-id several-{id} --quiet")).ok();
    }
    // A name that was given to several changes is noted with each.
    let noted = rig.nexus("log --json").json();
    assert_eq!(noted.iter().filter(|e| e["origin"]["request_id"] == "several-mkdir").count(), 5);
    // Setting times again is no other request.
    let touch = "touch /b --request-id again";
    rig.nexus(touch).ok();
    rig.nexus(touch).ok();
}
