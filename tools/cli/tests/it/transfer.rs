//! `import` and `export` as verbs: what they tell; what they move is tested with the transfer itself.

use crate::rig::{Rig, keys};

#[test]
fn a_tree_goes_in_and_comes_out_also_as_it_was() {
    let rig = Rig::new();
    let (source, out) = (rig.path().join("source"), rig.path().join("out"));
    std::fs::create_dir_all(source.join("d")).unwrap();
    std::fs::write(source.join("d/a"), "one").unwrap();
    let import = || rig.run(["import".as_ref(), source.as_os_str(), "/t".as_ref(), "--json".as_ref()]).json().remove(0);
    let first = import();
    let expected = [
        "attributes_lost",
        "attributes_only",
        "bytes",
        "changed",
        "directories",
        "failed",
        "files",
        "hard_links",
        "nodes",
        "problems",
        "problems_more",
        "removed",
        "skipped",
        "special",
        "symlinks",
        "vanished",
    ];
    assert_eq!(keys(&first), expected);
    assert_eq!(
        (first["files"].as_u64(), first["bytes"].as_u64(), first["directories"].as_u64()),
        (Some(1), Some(3), Some(2))
    );
    assert_eq!(import()["files"], 0);
    let before = rig.nexus("stat /t/d/a --json").json()[0]["at"].to_string();
    rig.feed("put /t/d/a", b"two").ok();
    let export = |at: &[&str]| {
        let words = ["export".as_ref(), "/t".as_ref(), out.as_os_str()];
        rig.run(words.into_iter().chain(at.iter().map(AsRef::as_ref))).ok();
        std::fs::read_to_string(out.join("d/a")).unwrap()
    };
    assert_eq!(export(&[]), "two");
    assert_eq!(export(&["--at", &before]), "one");
}

#[test]
fn what_is_not_there_is_an_error() {
    let rig = Rig::new();
    let missing = rig.path().join("missing");
    let ran = rig.run(["import".as_ref(), missing.as_os_str(), "/t".as_ref()]);
    assert!(ran.fails(1).contains("missing"));
    let ran = rig.run(["export".as_ref(), "/missing".as_ref(), missing.as_os_str(), "--json".as_ref()]);
    assert_eq!(ran.fails_json(1).0, "not_found");
    assert!(!missing.exists());
}
