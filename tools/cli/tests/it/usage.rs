//! The command line itself: help, usage errors, who holds the directory, pipes that close.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::rig::Rig;

#[test]
fn help_teaches() {
    let rig = Rig::empty();
    let overview = rig.nexus("help").ok();
    for part in ["Begin:", "Change:", "History:", "--at", "Exit status"] {
        assert!(overview.contains(part), "{overview}");
    }
    assert!(rig.nexus("help put").ok().contains("Example: echo hello | nexus put"));
    assert!(rig.nexus("batch --help").ok().contains(r#"{"op": "put", "path": "/a", "content": "text"}"#));
    assert!(rig.nexus("log --help").ok().contains("under whatever names it had"));
}

#[test]
fn the_first_command_of_the_readme_works() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with("cargo build --release && ")).unwrap();
    let rig = Rig::empty();
    let verbs: Vec<&str> = line.split(" && ").filter_map(|part| part.strip_prefix("target/release/nexus ")).collect();
    assert_eq!(verbs.len(), 4, "{line}");
    for words in verbs {
        let output = rig.command(words.split(' ')).current_dir(&root).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{words}: {output:?}");
    }
}

#[test]
fn a_senseless_command_line_is_a_usage_error() {
    let rig = Rig::new();
    for words in ["", "nonsense", "cat", "cat a", "cat /a --at soon", "ls --agent", "put /a --offset 1 --mode 600"] {
        assert!(!rig.nexus(words).fails(2).is_empty(), "{words}");
    }
    let unnamed = rig.command(["ls"]).env_remove("NEXUS_DATA").output().unwrap();
    assert_eq!(unnamed.status.code(), Some(2));
    assert!(String::from_utf8(unnamed.stderr).unwrap().contains("--data DIR"));
}

#[test]
fn what_is_no_data_directory_is_said_to_be_none() {
    let rig = Rig::empty();
    for words in ["ls", "verify", "rebuild", "log"] {
        assert!(rig.nexus(words).fails(1).contains("nexus init"), "{words}");
    }
    let data = rig.path().join("elsewhere");
    rig.run(["--data".as_ref(), data.as_os_str(), "init".as_ref()]).ok();
    rig.run(["ls".as_ref(), "--data".as_ref(), data.as_os_str()]).ok();
}

#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    let rig = Rig::new();
    let mut first = rig.spawn("put /a");
    let mut input = first.stdin.take().unwrap();
    // More than it reads before it opens the directory.
    let held = vec![b'x'; (8 << 20) + 1];
    input.write_all(&held).unwrap();
    rig.wait_until_held(&first);
    let message = rig.nexus("ls").fails(1);
    assert!(message.contains(&format!("in use by process {} (nexus)", first.id())), "{message}");
    assert_eq!(rig.nexus("ls --json").fails_json(1), ("busy".into(), "NX0012".into()));
    drop(input);
    assert!(first.wait().unwrap().success());
    assert_eq!(rig.nexus("cat /a").ok().len(), held.len());
}

#[test]
fn a_pipe_from_the_directory_into_it_works() {
    let rig = Rig::new();
    rig.feed("put /a", b"content").ok();
    let mut put = rig.spawn("put /b");
    let cat = rig.command(["cat", "/a"]).stdout(put.stdin.take().unwrap()).status().unwrap();
    assert!(cat.success() && put.wait().unwrap().success());
    assert_eq!(rig.nexus("cat /b").ok(), "content");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let rig = Rig::new();
    rig.feed("put /big", &vec![b'x'; 4 << 20]).ok();
    let mut child = rig.command(["cat", "/big"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 10]).unwrap();
    drop(output);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
    assert_eq!(rig.nexus("ls").lines(), ["big"]);
}

#[test]
fn an_unclean_end_is_told_once_and_nothing_acknowledged_is_lost() {
    let rig = Rig::new();
    rig.feed("put /kept", b"1").ok();
    let mut child = rig.spawn("put /lost");
    // More than may wait for the disk: once all of it is taken, some of it is in the log.
    child.stdin.as_mut().unwrap().write_all(&vec![b'x'; 48 << 20]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let listed = rig.nexus("ls");
    assert_eq!((listed.code, &listed.stdout[..]), (0, &b"kept\n"[..]));
    assert!(listed.stderr.starts_with("nexus: recovered after an unclean end"), "{}", listed.stderr);
    assert_eq!(rig.nexus("ls").lines(), ["kept"]);
    assert!(rig.nexus("log").ok().contains("  recovered "));
}

#[test]
fn init_leaves_directories_of_others_alone() {
    let rig = Rig::empty();
    let other = rig.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("notes.txt"), b"mine").unwrap();
    let init = ["--data".as_ref(), other.as_os_str(), "init".as_ref()];
    assert!(rig.run(init).fails(1).contains("notes.txt"));
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn trees_are_not_moved_into_the_data_directory_or_out_of_it() {
    let rig = Rig::new();
    rig.feed("put /a", b"content").ok();
    let data = rig.data();
    let data = data.to_str().unwrap();
    let zones = format!("{data}/zones");
    for words in [
        vec!["export", "/", data, "--delete"],
        vec!["export", "/", zones.as_str()],
        vec!["import", data, "/copy"],
        vec!["import", rig.path().to_str().unwrap(), "/copy"],
    ] {
        assert!(rig.run(words.clone()).fails(1).contains("overlap"), "{words:?}");
    }
    assert_eq!(rig.nexus("cat /a").ok(), "content");
}
