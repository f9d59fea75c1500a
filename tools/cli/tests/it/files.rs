//! The verbs that read and change files: what they do, and how they fail.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::rig::Rig;

#[test]
fn what_is_put_can_be_read_now_and_as_it_was() {
    let rig = Rig::new();
    rig.feed("put /a", b"first").ok();
    rig.feed("put /a", b"second, longer").ok();
    rig.feed("put /a --offset 2", b"XX").ok();
    assert_eq!(rig.nexus("cat /a").ok(), "seXXnd, longer");
    assert_eq!(rig.nexus("cat /a --at 3").ok(), "second, longer");
    assert_eq!(rig.nexus("cat --at 2 root:/a").ok(), "first");
    assert_eq!(rig.nexus("cat /a --offset 4 --length 2").ok(), "nd");
    assert_eq!(rig.nexus("cat /a --offset 400").ok(), "");
    assert!(rig.nexus("cat /a --at 1").fails(1).starts_with("nexus: /a: "));
    assert!(rig.nexus("cat /a --at 99").fails(1).contains("position 99 is not in the log"));
}

#[test]
fn content_beyond_one_record_arrives_whole() {
    let rig = Rig::new();
    let content: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    rig.feed("put /big", &content).ok();
    assert!(rig.nexus("cat /big").stdout == content);
    rig.feed("put /big --offset 1000", &content).ok();
    let read = rig.nexus("cat /big").stdout;
    assert!(read[..1000] == content[..1000] && read[1000..] == content);
}

#[test]
fn writing_into_a_file_needs_the_file() {
    let rig = Rig::new();
    assert!(rig.feed("put /none --offset 0", b"x").fails(1).starts_with("nexus: /none: "));
    assert!(rig.feed("put /no/dir", b"x").fails(1).starts_with("nexus: /no/dir: "));
}

#[test]
fn a_listing_is_sorted_and_tells_attributes() {
    let rig = Rig::new();
    rig.nexus("mkdir -p /d/b --mode 700").ok();
    rig.nexus("touch /d/c /d/a --date 2026-01-02T03:04:05Z").ok();
    rig.nexus("ln -s ../x /d/link").ok();
    assert_eq!(rig.nexus("ls /d").lines(), ["a", "b", "c", "link"]);
    let long = rig.nexus("ls -l /d").lines();
    assert!(long[0].starts_with("-rw-r--r--   1 ") && long[0].ends_with("0 2026-01-02 03:04:05 a"), "{long:?}");
    assert!(long[1].starts_with("drwx------   2 "), "{long:?}");
    assert!(long[3].starts_with("lrwxrwxrwx ") && long[3].ends_with(" link -> ../x"), "{long:?}");
    assert_eq!(rig.nexus("ls /d/a").lines(), ["/d/a"]);
    assert_eq!(rig.nexus("ls --at 2").lines(), ["d"]);
    assert_eq!(rig.nexus("ls /d --at 2").lines(), Vec::<String>::new());
    rig.nexus("ls /none").fails(1);
}

#[test]
fn a_listing_longer_than_a_page_is_whole() {
    let rig = Rig::new();
    let names: Vec<String> = (0..4100).map(|n| format!("/f{n:04}")).collect();
    for part in names.chunks(1000) {
        let words = std::iter::once("mkdir").chain(["-p"]).chain(part.iter().map(String::as_str));
        rig.run(words).ok();
    }
    assert_eq!(rig.nexus("ls").lines().len(), 4100);
    assert_eq!(rig.nexus("ls").lines().last().unwrap(), "f4099");
}

#[test]
fn directories_are_made_once_or_with_parents() {
    let rig = Rig::new();
    rig.nexus("mkdir /a/b").fails(1);
    rig.nexus("mkdir -p /a/b /a/b").ok();
    rig.nexus("mkdir -p /").ok();
    assert!(rig.nexus("mkdir /a").fails(1).contains("/a"));
    rig.feed("put /f", b"").ok();
    assert!(rig.nexus("mkdir -p /f/x").fails(1).contains("is no directory"));
    rig.nexus("ln -s /a /to-a").ok();
    rig.nexus("mkdir -p /to-a/c").ok();
    assert_eq!(rig.nexus("ls /a").lines(), ["b", "c"]);
}

#[test]
fn a_rename_moves_replaces_and_can_be_told_not_to() {
    let rig = Rig::new();
    rig.feed("put /a", b"A").ok();
    rig.feed("put /b", b"B").ok();
    rig.nexus("mkdir /d").ok();
    assert!(rig.nexus("mv -n /a /b").fails(1).starts_with("nexus: /a -> /b: "));
    rig.nexus("mv /a /b").ok();
    assert_eq!(rig.nexus("cat /b").ok(), "A");
    rig.nexus("mv /b /d").ok();
    assert_eq!(rig.nexus("ls /d").lines(), ["b"]);
    rig.nexus("mkdir /e").ok();
    rig.nexus("mv -T /d /e").ok();
    assert_eq!(rig.nexus("cat /e/b").ok(), "A");
    rig.nexus("mv /e /e/x").fails(1);
    rig.nexus("mv /none /x").fails(1);
    rig.nexus("mv /e other:/e").fails(1);
}

#[test]
fn removal_takes_files_and_with_r_whole_trees() {
    let rig = Rig::new();
    rig.nexus("mkdir -p /t/a/b /t/c").ok();
    rig.feed("put /t/a/f", b"x").ok();
    rig.nexus("ln -s / /t/c/root").ok();
    rig.nexus("rm /t").fails(1);
    rig.nexus("rmdir /t").fails(1);
    rig.nexus("rm /none").fails(1);
    rig.nexus("rm -f /none").ok();
    rig.nexus("rmdir /t/a/b").ok();
    let removed = rig.nexus("rm -r /t --json").json();
    assert_eq!(removed[0]["removed"], 5);
    assert_eq!(rig.nexus("ls").lines(), Vec::<String>::new());
    rig.nexus("rm -r /").fails(1);
}

#[test]
fn links_share_a_file_or_point_to_a_name() {
    let rig = Rig::new();
    rig.feed("put /a", b"one").ok();
    rig.nexus("ln /a /b").ok();
    rig.nexus("ln -s a /s").ok();
    rig.feed("put /b --offset 0", b"two").ok();
    assert_eq!(rig.nexus("cat /a").ok(), "two");
    assert_eq!(rig.nexus("cat /s").ok(), "two");
    assert_eq!(rig.nexus("stat /a --json").json()[0]["nlink"], 2);
    assert_eq!(rig.nexus("stat /s --json").json()[0]["target"], "a");
    assert_eq!(rig.nexus("stat -L /s --json").json()[0]["kind"], "file");
    rig.nexus("ln /none /c").fails(1);
    rig.nexus("ln other:/a /c").fails(1);
    rig.nexus("ln a /c").fails(2);
}

#[test]
fn attributes_are_set_as_typed() {
    let rig = Rig::new();
    rig.feed("put /a --mode 600", b"12345").ok();
    let stat = |rig: &Rig| rig.nexus("stat /a --json").json().remove(0);
    assert_eq!(stat(&rig)["mode"], 0o600);
    rig.nexus("chmod u+x,go=r /a").ok();
    assert_eq!(stat(&rig)["mode"], 0o744);
    rig.nexus("chmod -x /a").ok();
    assert_eq!(stat(&rig)["mode"], 0o644);
    rig.nexus("chmod 4755 /a").ok();
    assert_eq!(stat(&rig)["mode"], 0o4755);
    rig.nexus("chown 7:8 /a").ok();
    rig.nexus("chown :9 /a").ok();
    assert_eq!((stat(&rig)["uid"].clone(), stat(&rig)["gid"].clone()), (7.into(), 9.into()));
    rig.nexus("truncate -s 2 /a").ok();
    assert_eq!(rig.nexus("cat /a").ok(), "12");
    rig.nexus("truncate -s 1K /a").ok();
    assert_eq!(stat(&rig)["size"], 1024);
    for words in ["chmod 644 /none", "chown 1 /none", "truncate -s 1 /none", "stat /none"] {
        assert!(rig.nexus(words).fails(1).contains("/none"), "{words}");
    }
    for words in ["chmod 999 /a", "chown no-such-user /a", "truncate -s many /a"] {
        rig.nexus(words).fails(2);
    }
}

#[test]
fn touch_creates_what_is_missing_and_sets_times_of_what_is_there() {
    let rig = Rig::new();
    rig.nexus("touch -c /a").ok();
    rig.nexus("stat /a").fails(1);
    rig.nexus("touch /a").ok();
    rig.nexus("touch /a -d 1969-12-31T00:00:00Z").ok();
    assert_eq!(rig.nexus("stat /a --json").json()[0]["mtime"], "1969-12-31T00:00:00.000000000Z");
}

#[test]
fn names_that_are_not_utf_8_are_kept() {
    let rig = Rig::new();
    let path = OsStr::from_bytes(b"/a\xff\nb");
    rig.run([OsStr::new("touch"), path]).ok();
    assert_eq!(rig.nexus("ls").stdout, b"a\xff\nb\n");
    assert_eq!(rig.run([OsStr::new("cat"), path]).ok(), "");
    let listed = rig.nexus("ls --json").json().remove(0);
    assert_eq!((listed["name"].as_str(), listed["name_bytes"].as_str()), (Some("a\u{fffd}\nb"), Some("61ff0a62")));
    let event = rig.run([OsStr::new("log"), path, OsStr::new("--json")]).json().remove(0);
    assert_eq!((event["path_bytes"].as_str(), event["name_bytes"].as_str()), (Some("2f61ff0a62"), Some("61ff0a62")));
    let shown = rig.run([OsStr::new("log"), path]).ok();
    assert!(shown.contains("/a\\xff\\x0ab"), "{shown}");
}

#[test]
fn the_root_is_not_removed_and_nothing_in_it() {
    let rig = Rig::new();
    rig.feed("put /kept", b"1").ok();
    assert_eq!(rig.nexus("rm -r / --json").fails_json(1).0, "busy");
    assert_eq!(rig.nexus("rm -rf / --json").fails_json(1).0, "busy");
    assert_eq!(rig.nexus("ls").lines(), ["kept"]);
}
