//! The verbs that copy, write at the end, edit, make holes, make nodes and exchange.

use crate::rig::{Rig, keys};

#[test]
fn an_append_adds_at_the_end_and_is_one_step_at_most() {
    let rig = Rig::new();
    assert!(rig.feed("append /a", b"x").fails(1).starts_with("nexus: /a: "));
    rig.feed("put /a", b"one").ok();
    rig.feed("append /a", b" two").ok();
    rig.feed("append /a", b"").ok();
    assert_eq!(rig.nexus("cat /a").ok(), "one two");
    let step = vec![b'y'; 8 << 20];
    rig.feed("append /a", &step).ok();
    assert_eq!(rig.nexus("stat /a --json").json()[0]["size"], 7 + (8 << 20));
    let larger = [&step[..], b"z"].concat();
    let refused = rig.feed("append /a", &larger).fails(1);
    assert!(refused.contains("at most 8388608 bytes"), "{refused}");
    assert_eq!(rig.feed("append /a --json", &larger).fails_json(1), ("too_large".into(), "NX0022".into()));
    assert_eq!(rig.nexus("stat /a --json").json()[0]["size"], 7 + (8 << 20));
}

#[test]
fn edits_come_in_pairs_and_from_files() {
    let rig = Rig::new();
    rig.feed("put /a", b"one two two @three -four").ok();
    let before = rig.nexus("stat /a --json").json()[0]["at"].as_u64();
    assert!(rig.nexus("edit /a --find two --replace 2").fails(1).contains("there 2 times"));
    assert!(rig.nexus("edit /a --find one --replace 1 --find five --replace 5").fails(1).contains("edit 2"));
    assert_eq!(rig.nexus("cat /a").ok(), "one two two @three -four");
    rig.nexus("edit /a --find two --replace 2 --find @@three --replace 3 --all").ok();
    let (find, replace) = (rig.path().join("find"), rig.path().join("replace"));
    std::fs::write(&find, "-four").unwrap();
    std::fs::write(&replace, "4\n").unwrap();
    let [find, replace] = [find, replace].map(|path| format!("@{}", path.display()));
    rig.run(["edit", "/a", "--find", &find, "--replace", &replace, "--find", "-", "--replace", ""]).fails(1);
    rig.run(["edit", "/a", "--find", &find, "--replace", &replace]).ok();
    assert_eq!(rig.nexus("cat /a").ok(), "one 2 2 3 4\n");
    let after = rig.nexus("stat /a --json").json()[0]["changed_seq"].as_u64();
    assert!(after > before);
    rig.nexus("edit /a --find one").fails(2);
    rig.nexus("edit /a --find one --find two --replace x").fails(2);
    rig.nexus("edit /a --find @/no/such/file --replace x").fails(1);
}

#[test]
fn a_hole_reads_as_zeros_and_the_size_stays() {
    let rig = Rig::new();
    rig.feed("put /a", b"0123456789").ok();
    rig.nexus("punch /a --offset 2 --length 5").ok();
    assert_eq!(rig.nexus("cat /a").ok(), "01\x00\x00\x00\x00\x00789");
    rig.nexus("punch /a --offset 8 --length 1K").ok();
    assert_eq!(rig.nexus("cat /a").ok(), "01\x00\x00\x00\x00\x007\x00\x00");
    rig.nexus("punch /none --offset 0 --length 1").fails(1);
    rig.nexus("punch /a --offset 0").fails(2);
}

#[test]
fn nodes_are_made_and_shown_with_their_device_numbers() {
    let rig = Rig::new();
    rig.nexus("mknod /p p").ok();
    rig.nexus("mknod /s s -m 600").ok();
    rig.nexus("mknod /null c 1 3 -m 666").ok();
    rig.nexus("mknod /disk b 4294967295 7").ok();
    let listed: Vec<_> = rig.nexus("ls --json").json().iter().map(|entry| entry["kind"].to_string()).collect();
    assert_eq!(listed, ["\"block_device\"", "\"char_device\"", "\"fifo\"", "\"socket\""]);
    let stat = rig.nexus("stat /disk --json").json().remove(0);
    assert_eq!((stat["device"]["major"].as_u64(), stat["device"]["minor"].as_u64()), (Some(4_294_967_295), Some(7)));
    assert_eq!(keys(&stat["device"]), ["major", "minor"]);
    assert!(rig.nexus("stat /p --json").json()[0].get("device").is_none());
    let long = rig.nexus("ls -l").lines();
    assert!(long[1].starts_with("crw-rw-rw- ") && long[1].contains(" 1, 3 "), "{long:?}");
    assert!(long[2].starts_with("prw-r--r-- ") && long[3].starts_with("srw------- "), "{long:?}");
    assert!(rig.nexus("stat /null").ok().contains("device: 1, 3\n"));
    for words in ["mknod /x c", "mknod /x c 1", "mknod /x p 1 2", "mknod /x q", "mknod /x c 1 4294967296"] {
        rig.nexus(words).fails(2);
    }
    assert!(rig.nexus("mknod /p p").fails(1).contains("exists"));
    assert!(rig.nexus("cat /p").fails(1).starts_with("nexus: /p: "));
}

#[test]
fn exchanged_names_have_changed_places() {
    let rig = Rig::new();
    rig.nexus("mkdir -p /live/old /next/new").ok();
    rig.nexus("mv --exchange /live /next").ok();
    assert_eq!(rig.nexus("ls /live").lines(), ["new"]);
    assert_eq!(rig.nexus("ls /next").lines(), ["old"]);
    rig.nexus("mv --exchange /live /none").fails(1);
    rig.nexus("mv --exchange -n /live /next").fails(2);
}

#[test]
fn copies_go_where_they_are_told() {
    let rig = Rig::new();
    rig.nexus("mkdir -p /d/in /e").ok();
    rig.feed("put /a --mode 640", b"A").ok();
    rig.feed("put /d/in/f", b"F").ok();
    rig.nexus("cp /a /b").ok();
    assert_eq!(rig.nexus("stat /b --json").json()[0]["mode"], 0o640);
    rig.nexus("cp /a /d/in/f /e").ok();
    assert_eq!(rig.nexus("ls /e").lines(), ["a", "f"]);
    assert!(rig.nexus("cp /d /x").fails(1).contains("give -r"));
    let line = rig.nexus("cp -r /d /x --json").json().remove(0);
    assert_eq!((line["path"].as_str(), line["from_path"].as_str()), (Some("/x"), Some("/d")));
    rig.nexus("cp -r /d /x").ok();
    assert_eq!(rig.nexus("ls /x").lines(), ["d", "in"]);
    assert_eq!(rig.nexus("cat /x/d/in/f").ok(), "F");
    assert_eq!(rig.nexus("cp -rT /d /x --json").fails_json(1).0, "exists");
    assert_eq!(rig.nexus("cp -n /a /b --json").fails_json(1).0, "exists");
    assert_eq!(rig.nexus("cp --if-absent /a /b --json").fails_json(1).0, "exists");
    rig.feed("put /a", b"newer").ok();
    rig.nexus("cp /a /b").ok();
    assert_eq!(rig.nexus("cat /b").ok(), "newer");
    assert_eq!(rig.nexus("cp /none /c --json").fails_json(1).0, "not_found");
    assert_eq!(rig.nexus("cp /a other:/c --json").fails_json(1).0, "cross_zone");
    for words in ["cp /a", "cp /a /b /c", "cp -T /a /b /e", "cp --if-version 1 /a /b /e"] {
        rig.nexus(words).fails(2);
    }
}

#[test]
fn a_copy_from_the_past_brings_back_what_was_there() {
    let rig = Rig::new();
    rig.nexus("mkdir /d").ok();
    rig.feed("put /d/a", b"as it was").ok();
    let then = rig.nexus("stat /d/a --json").json()[0]["at"].to_string();
    let time = rig.nexus("log /d/a --json").json()[0]["time"].as_str().unwrap().to_owned();
    rig.feed("put /d/a", b"as it is").ok();
    rig.nexus("cp --at 2 /d /d2").fails(1);
    rig.run(["cp", "--at", &then, "/d/a", "/b"]).ok();
    assert_eq!(rig.nexus("cat /b").ok(), "as it was");
    let line = rig.run(["cp", "--at", &time, "/d/a", "/d/a", "--json"]).json().remove(0);
    assert_eq!((line["from_at"].to_string(), line["created"].as_bool()), (then.clone(), Some(false)));
    assert_eq!(rig.nexus("cat /d/a").ok(), "as it was");
    rig.nexus("rm -r /d").ok();
    rig.run(["cp", "-r", "--at", &then, "/d", "/d"]).ok();
    assert_eq!(rig.nexus("cat /d/a").ok(), "as it was");
    assert_eq!(rig.run(["cp", "-r", "--at", "2", "/d/a", "/c", "--json"]).fails_json(1).0, "not_found");
    assert!(rig.nexus("help cp").ok().contains("bring back yesterday's version"));
}
