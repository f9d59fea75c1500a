//! The verbs that walk and find.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::rig::{Rig, keys};

fn planted() -> Rig {
    let rig = Rig::new();
    rig.nexus("mkdir -p /docs/deep /src").ok();
    rig.feed("put /docs/a.md", b"one\nTwo needles\nthree\nneedle four\nfive\nsix\nseven\nneedle eight\n").ok();
    rig.feed("put /docs/deep/b.md", b"no hay\n").ok();
    rig.feed("put /src/main.rs", b"// needle\nfn main() {}\n").ok();
    rig.feed("put /src/data.bin", b"\0needle\n").ok();
    rig.nexus("ln -s ../docs /src/link").ok();
    rig
}

#[test]
fn a_glob_finds_paths_now_and_in_the_past() {
    let rig = planted();
    assert_eq!(rig.nexus("glob **/*.md").lines(), ["/docs/a.md", "/docs/deep/b.md"]);
    assert_eq!(rig.nexus("glob /docs/*").lines(), ["/docs/a.md", "/docs/deep"]);
    assert_eq!(rig.nexus("glob *.{rs,bin} /src").lines(), ["/src/data.bin", "/src/main.rs"]);
    assert_eq!(rig.nexus("glob -i MAIN.* /src").lines(), ["/src/main.rs"]);
    assert_eq!(rig.nexus("glob none*").lines(), Vec::<String>::new());
    rig.nexus("rm -r /docs").ok();
    assert_eq!(rig.nexus("glob **/*.md").lines(), Vec::<String>::new());
    assert_eq!(rig.nexus("glob **/*.md --at 5").lines(), ["/docs/a.md"]);
    rig.nexus("glob /a* /src").fails(2);
    assert!(rig.nexus("glob [").fails(1).contains("is no pattern"));
    rig.nexus("glob * /none").fails(1);
}

#[test]
fn grep_shows_lines_as_grep_does() {
    let rig = planted();
    assert_eq!(rig.nexus("grep needle /docs/a.md").lines(), ["Two needles", "needle four", "needle eight"]);
    assert_eq!(rig.nexus("grep -n needle$ /docs/a.md /src/main.rs").lines(), ["/src/main.rs:1:// needle"]);
    assert_eq!(rig.nexus("grep -in TWO /docs").lines(), ["/docs/a.md:2:Two needles"]);
    assert_eq!(rig.nexus("grep -F main() /src -q").lines(), ["/src/main.rs:fn main() {}"]);
    let context = rig.nexus("grep -n -C 1 ^needle /docs/a.md").lines();
    assert_eq!(context, ["3-three", "4:needle four", "5-five", "--", "7-seven", "8:needle eight"]);
    assert_eq!(rig.nexus("grep -A 1 -m 1 needle /docs").lines(), ["/docs/a.md:Two needles", "/docs/a.md-three"]);
    assert_eq!(rig.nexus("grep -B 1 four /docs/a.md").lines(), ["three", "needle four"]);
    assert_eq!(rig.nexus("grep -l needle -q").lines(), ["/docs/a.md", "/src/main.rs"]);
    assert_eq!(rig.nexus("grep -c needle -q").lines(), ["/docs/a.md:3", "/src/main.rs:1"]);
    assert_eq!(rig.nexus("grep -l needle --glob *.rs -q").lines(), ["/src/main.rs"]);
    assert_eq!(rig.nexus("grep -l needle --glob !src/").lines(), ["/docs/a.md"]);
    assert_eq!(rig.nexus("grep -l needle --max-filesize 30 -q").lines(), ["/src/main.rs"]);
}

#[test]
fn grep_looks_into_the_past() {
    let rig = planted();
    rig.feed("put /src/main.rs", b"rewritten\n").ok();
    let before = "grep -l needle /src --at 7 -q";
    assert_eq!(rig.nexus(before).lines(), ["/src/main.rs"]);
    assert_eq!(rig.nexus("grep -l needle /src -q").fails(1), "");
}

#[test]
fn grep_tells_of_binary_files() {
    let rig = planted();
    let skipped = rig.nexus("grep needle /src");
    assert_eq!((skipped.code, &skipped.stdout[..]), (0, &b"/src/main.rs:// needle\n"[..]));
    assert!(skipped.stderr.contains("1 file is binary and not searched"), "{}", skipped.stderr);
    let told = "/src/data.bin: binary file matches (a NUL byte is at offset 0)";
    assert_eq!(rig.nexus("grep needle /src --binary").lines(), [told, "/src/main.rs:// needle"]);
    assert_eq!(rig.nexus("grep needle /src/data.bin").lines(), [told]);
    assert_eq!(rig.nexus("grep -c needle /src/data.bin").lines(), ["1"]);
    assert_eq!(rig.nexus("grep -a needle /src/data.bin").ok(), "\0needle\n");
}

#[test]
fn grep_ends_with_1_where_nothing_matched_or_something_failed() {
    let rig = planted();
    assert_eq!(rig.nexus("grep nowhere /docs").fails(1), "");
    assert!(rig.nexus("grep needle /none").fails(1).starts_with("nexus: /none"));
    let some = rig.nexus("grep -l needle /none /docs");
    assert_eq!((some.code, &some.stdout[..]), (1, &b"/docs/a.md\n"[..]));
    assert!(some.stderr.starts_with("nexus: /none"), "{}", some.stderr);
    assert!(rig.nexus("grep ( /docs").fails(1).contains("regular expression"));
    rig.nexus("grep -l -c x").fails(2);
    rig.nexus("grep -m 0 x").fails(2);
    let nothing = rig.nexus("grep nowhere /docs --json");
    assert_eq!((nothing.code, nothing.stdout.iter().filter(|byte| **byte == b'\n').count()), (1, 1));
}

#[test]
fn what_is_found_has_its_keys() {
    let rig = planted();
    assert_eq!(keys(&rig.nexus("glob src/* --json").json()[0]), ["inode", "kind", "path", "zone"]);
    assert_eq!(keys(&rig.nexus("tree --json").json()[0]), ["depth", "inode", "kind", "path", "zone"]);
    let lines = rig.nexus("grep -C 1 // /src --json").json();
    let of = |kind: &str| lines.iter().find(|line| line["type"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    assert_eq!(keys(of("match")), ["inode", "line", "offset", "path", "ranges", "text", "type", "zone"]);
    assert_eq!((of("match")["text"].as_str(), of("match")["ranges"][0][1].as_u64()), (Some("// needle"), Some(2)));
    assert_eq!(keys(of("context")), ["inode", "line", "offset", "path", "text", "type", "zone"]);
    assert_eq!(keys(of("binary")), ["inode", "lines", "matches", "offset", "path", "type", "zone"]);
    let summary = ["binary", "failed", "files", "files_matched", "lines", "too_large", "type"];
    assert_eq!(keys(of("summary")), summary);
    assert_eq!(keys(&rig.nexus("grep -c // /src --json").json()[1]), ["inode", "lines", "path", "type", "zone"]);
    let lines = rig.nexus("grep -c // /src --json --max-filesize 9").stdout;
    assert!(String::from_utf8(lines).unwrap().contains("\"type\":\"too_large\""));
}

#[test]
fn a_tree_is_drawn() {
    let rig = planted();
    let tree = "/\n├── docs\n│   ├── a.md\n│   └── deep\n│       └── b.md\n└── src\n    ├── data.bin\n    \
                ├── link -> ../docs\n    └── main.rs\n\n3 directories, 5 files\n";
    assert_eq!(rig.nexus("tree").ok(), tree, "the link counts as a file");
    assert_eq!(rig.nexus("tree -d").ok(), "/\n├── docs\n│   └── deep\n└── src\n\n3 directories\n");
    assert_eq!(rig.nexus("tree -L 1 --at 3").ok(), "/\n└── docs\n\n1 directory, 0 files\n");
    rig.nexus("tree /none").fails(1);
    rig.nexus("tree /docs/a.md").fails(1);
    assert_eq!(rig.nexus("tree --json -L 1").json().len(), 2);
}

#[test]
fn a_listing_goes_down_with_capital_r() {
    let rig = planted();
    let listed = rig.nexus("ls -R").ok();
    assert_eq!(listed, "/:\ndocs\nsrc\n\n/docs:\na.md\ndeep\n\n/docs/deep:\nb.md\n\n/src:\ndata.bin\nlink\nmain.rs\n");
    assert_eq!(rig.nexus("ls -lR /docs").lines().len(), 6);
    let paths: Vec<String> =
        rig.nexus("ls -R /docs --json").json().iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths, ["/docs/a.md", "/docs/deep", "/docs/deep/b.md"]);
}

#[test]
fn attributes_of_a_tree_are_changed_in_one_go() {
    let rig = planted();
    let changed = rig.nexus("chmod -R go-rX,u+X /src --json").json();
    assert_eq!((changed[0]["changed"].as_u64(), changed.len()), (Some(3), 1));
    let mode = |path: &str| rig.nexus(&format!("stat {path} --json")).json()[0]["mode"].as_u64().unwrap();
    assert_eq!((mode("/src"), mode("/src/main.rs"), mode("/src/link"), mode("/docs")), (0o700, 0o600, 0o777, 0o755));
    rig.nexus("chown -R 7:8 /src").ok();
    let owner = |path: &str| rig.nexus(&format!("stat {path} --json")).json()[0]["uid"].as_u64();
    assert_eq!((owner("/src"), owner("/src/data.bin"), owner("/src/link")), (Some(7), Some(7), Some(7)));
    assert_ne!(owner("/docs"), Some(7), "a link below is not followed");
    rig.nexus("chmod -R 600 /docs/a.md").ok();
    assert_eq!(mode("/docs/a.md"), 0o600);
    rig.nexus("chmod -R 600 /none").fails(1);
}

#[test]
fn extended_attributes_are_set_shown_and_removed() {
    let rig = planted();
    rig.nexus("xattr set /docs user.a some-text").ok();
    rig.nexus("xattr set /docs user.b 0x00ff").ok();
    rig.nexus("xattr set /docs user.c 0saGk=").ok();
    assert_eq!(rig.nexus("xattr ls /docs").lines(), ["user.a", "user.b", "user.c"]);
    assert_eq!(rig.nexus("xattr ls -l /docs").lines(), ["user.a=some-text", "user.b=0sAP8=", "user.c=hi"]);
    assert_eq!(rig.nexus("xattr get /docs user.b --hex").lines(), ["0x00ff"]);
    assert_eq!(rig.nexus("xattr get /docs user.c").lines(), ["hi"]);
    let before = rig.nexus("log --json").json().last().unwrap()["seq"].as_u64().unwrap();
    rig.nexus("xattr rm /docs user.a").ok();
    assert_eq!(rig.nexus(&format!("xattr get /docs user.a --at {before}")).lines(), ["some-text"]);
    assert!(rig.nexus("xattr get /docs user.a").fails(1).contains("user.a"));
    rig.nexus("xattr rm /docs user.a").fails(1);
    rig.nexus("xattr set /docs user.d 0xzz").fails(2);
    let of = |words: &str| rig.nexus(words).json().remove(0);
    assert_eq!(keys(&of("xattr get /docs user.c --json")), ["name", "path", "value", "zone"]);
    assert_eq!(of("xattr get /docs user.b --json")["value_bytes"], "00ff");
    assert_eq!(keys(&of("xattr set /docs user.c x --json")), ["inode", "name", "path", "seq", "zone"]);
    assert_eq!(keys(&of("xattr rm /docs user.c --json")), ["inode", "name", "path", "seq", "zone"]);
}

#[test]
fn a_verb_on_several_paths_goes_on_after_one_that_fails() {
    let rig = planted();
    for verb in ["mkdir", "touch", "chmod 700", "chown 1", "rm -r"] {
        let ran = rig.nexus(&format!("{verb} /none/x /new /none/y"));
        assert_eq!(ran.code, 1, "{verb}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 2, "{verb}: {ran:?}");
        let listed = rig.nexus("ls").lines();
        assert_eq!(listed.contains(&"new".to_owned()), verb != "rm -r", "{verb}");
        if verb == "mkdir" {
            assert_eq!(rig.nexus("rmdir /none /new /none").code, 1);
            assert!(!rig.nexus("ls").lines().contains(&"new".to_owned()));
        }
    }
    let read = rig.nexus("cat /none /docs/deep/b.md /src");
    assert_eq!((read.code, &read.stdout[..], read.stderr.lines().count()), (1, &b"no hay\n"[..], 2));
    assert_eq!(rig.nexus("cat /docs/deep/b.md /docs/deep/b.md").ok(), "no hay\nno hay\n");
    rig.nexus("cat /docs/a.md /docs/a.md --offset 1").fails(2);
    let stats = rig.nexus("stat /none /src --json");
    let lines: Vec<serde_json::Value> =
        String::from_utf8(stats.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((stats.code, lines.len()), (1, 3));
    assert_eq!((lines[0]["path"].as_str(), lines[0]["error"]["kind"].as_str()), (Some("/none"), Some("not_found")));
    assert_eq!(lines[1]["path"], "/src");
    assert_eq!(
        (lines[2]["error"]["kind"].as_str(), lines[2]["error"]["code"].as_str()),
        (Some("incomplete"), Some("NX9003"))
    );
}

#[test]
fn names_that_are_not_utf_8_are_found() {
    let rig = Rig::new();
    let path = OsStr::from_bytes(b"/a\xffb");
    rig.run([OsStr::new("touch"), path]).ok();
    assert_eq!(rig.nexus("glob a*b").stdout, b"/a\xffb\n");
    assert_eq!(rig.nexus("ls -R").stdout, b"/:\na\xffb\n");
    let name = OsStr::from_bytes(b"user.\xff");
    rig.run([OsStr::new("xattr"), OsStr::new("set"), path, name, OsStr::new("v")]).ok();
    assert_eq!(rig.run([OsStr::new("xattr"), OsStr::new("ls"), path]).stdout, b"user.\xff\n");
}

#[test]
fn values_that_are_joined_to_grep_flags_are_theirs_and_no_pattern() {
    let rig = Rig::new();
    rig.feed("put /t", b"one\ntwo\nthree\n").ok();
    assert_eq!(rig.nexus("grep -A1 two /t").lines().len(), rig.nexus("grep -A 1 two /t").lines().len());
    assert_eq!(rig.nexus("grep -c two /t").ok(), rig.nexus("grep -c -m1 two /t").ok());
    rig.nexus("grep -z").fails(2);
    rig.nexus("grep -- -z /t").fails(1);
}
