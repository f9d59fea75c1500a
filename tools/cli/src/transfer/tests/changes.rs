//! A further run changes what has changed, and only that.

use super::*;

#[test]
fn only_what_changed_makes_records() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    bench.import(&source, "/t");
    let records = |change: &dyn Fn()| {
        change();
        let before = bench.records();
        let report = bench.import(&source, "/t");
        assert_eq!(report.failed, 0, "{:?}", report.problems);
        let made = bench.records() - before;
        let again = bench.records();
        bench.import(&source, "/t");
        assert_eq!(bench.records(), again);
        made
    };
    let at = |name: &str| source.join(name);
    assert_eq!(records(&|| tree::file(&at("a/f1"), b"new content")), 1);
    assert_eq!(records(&|| tree::mode(&at("a/f2"), 0o600)), 1);
    assert_eq!(records(&|| tree::owner(&at("a/s"), 5, 6)), 1);
    assert_eq!(records(&|| tree::times(&at("b"), (1, 1), (3, 3))), 1);
    assert_eq!(records(&|| tree::xattr(&at("b/f7"), "user.x", b"2")), 1);
    assert_eq!(records(&|| tree::remove_xattr(&at("b/f7"), "user.x")), 1);
    // The entry, and the times of its directory.
    assert_eq!(records(&|| tree::file(&at("c/fresh"), b"f")), 2);
    // The file's bytes stay where they are; its directory has other times.
    assert_eq!(records(&|| tree::remove(&at("c/fresh"))), 1);
    bench.import_with(&source, "/t", ImportOptions { delete: true, ..ImportOptions::default() });
    bench.assert_holds("/t", &source, "out");
}

#[test]
fn a_checksum_finds_what_size_and_time_hide() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::dir(&source);
    let islands = [(0, vec![1; 10]), (50 << 20, vec![2; 10])];
    tree::sparse(&source.join("holes"), 60 << 20, &islands);
    for name in ["small", "large"] {
        tree::file(&source.join(name), &vec![7; if name == "small" { 10 } else { 3 << 20 }]);
    }
    let stamp = || {
        for name in ["small", "large", "holes"] {
            tree::times(&source.join(name), (1, 1), (2, 2));
        }
        tree::times(&source, (1, 1), (2, 2));
    };
    stamp();
    bench.import(&source, "/t");
    bench.assert_holds("/t", &source, "out");
    tree::file(&source.join("small"), &[8; 10]);
    tree::file(&source.join("large"), &[vec![7; (3 << 20) - 1], vec![8]].concat());
    tree::sparse(&source.join("holes"), 60 << 20, &[(0, vec![1; 10]), (50 << 20, vec![3; 10])]);
    stamp();
    let before = bench.records();
    assert_eq!(bench.import(&source, "/t").files, 0);
    assert_eq!(bench.records(), before);
    let checksum = ImportOptions { checksum: true, ..ImportOptions::default() };
    assert_eq!(bench.import_with(&source, "/t", checksum).files, 3);
    let before = bench.records();
    assert_eq!(bench.import_with(&source, "/t", checksum).files, 0);
    assert_eq!(bench.records(), before);
    // The export made before has the same sizes and times, and the old contents.
    assert_eq!(bench.export("/t", &bench.path("out")).files, 0);
    let report = bench.export_with("/t", &bench.path("out"), ExportOptions { checksum: true, delete: false });
    assert_eq!(report.files, 3);
    assert_eq!(compare(&source, &bench.path("out")), Vec::<String>::new());
}

#[test]
fn what_the_source_lost_stays_unless_deletion_is_asked_for() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    bench.import(&source, "/t");
    bench.export("/t", &bench.path("out"));
    for number in 0..20 {
        tree::remove(&source.join(format!("b/f{number}")));
    }
    for name in ["b/s", "b/zlink"] {
        tree::remove(&source.join(name));
    }
    rustix::fs::rmdir(source.join("b")).unwrap();
    assert_eq!(bench.import(&source, "/t").removed, 0);
    let view = || bench.zone().view(At::Latest).unwrap();
    assert!(view().stat(&bench.caller, "/t/b/f3", false).is_ok());
    let delete = ImportOptions { delete: true, ..ImportOptions::default() };
    assert_eq!(bench.import_with(&source, "/t", delete).removed, 23);
    assert_eq!(bench.export("/t", &bench.path("out")).removed, 0);
    let delete = ExportOptions { delete: true, ..ExportOptions::default() };
    assert_eq!(bench.export_with("/t", &bench.path("out"), delete).removed, 23);
    assert_eq!(compare(&source, &bench.path("out")), Vec::<String>::new());
}

#[test]
fn anything_can_become_anything() {
    let bench = Bench::new();
    type Make = fn(&Path);
    let kinds: [(&str, Make); 3] = [
        ("file", |path| tree::file(path, b"file")),
        ("dir", |path| {
            tree::dir(path);
            tree::dir(&path.join("inner"));
            tree::file(&path.join("inner/f"), b"f");
        }),
        ("link", |path| tree::symlink("somewhere", path)),
    ];
    let trees = [bench.path("one"), bench.path("two")];
    trees.iter().for_each(|tree| tree::dir(tree));
    for (from, make_from) in kinds {
        for (to, make_to) in kinds {
            make_from(&trees[0].join(format!("{from}-{to}")));
            make_to(&trees[1].join(format!("{from}-{to}")));
        }
    }
    for tree in [&trees[0], &trees[1], &trees[0]] {
        let delete = ImportOptions { delete: true, ..ImportOptions::default() };
        let report = bench.import_with(tree, "/t", delete);
        assert_eq!(report.failed, 0, "{:?}", report.problems);
        bench.export_with("/t", &bench.path("out"), ExportOptions { delete: true, ..ExportOptions::default() });
        assert_eq!(compare(tree, &bench.path("out")), Vec::<String>::new());
    }
}

#[test]
fn hard_links_come_and_go() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::dir(&source);
    let at = |name: &str| source.join(name);
    tree::file(&at("m"), b"first");
    tree::link(&at("m"), &at("n"));
    bench.import(&source, "/t");
    let inode = |name: &str| {
        let view = bench.zone().view(At::Latest).unwrap();
        view.stat(&bench.caller, format!("/t/{name}").as_bytes(), false).unwrap().inode
    };
    let first = inode("m");
    let step = |made: u64| {
        let before = bench.records();
        let report = bench.import(&source, "/t");
        assert_eq!((bench.records() - before, report.failed), (made, 0), "{report:?}");
        bench.assert_holds("/t", &source, "out");
        let before = bench.records();
        bench.import(&source, "/t");
        assert_eq!(bench.records(), before);
    };
    step(0);
    // A new name that comes first finds the file by its other names: a link and the directory's times.
    tree::link(&at("m"), &at("a"));
    step(2);
    assert_eq!(inode("a"), first);
    // New content reaches all names in one record.
    tree::file(&at("n"), b"second content");
    step(1);
    assert_eq!(inode("n"), first);
    // One name becomes a file of its own, with the same content and times.
    let stat = rustix::fs::lstat(at("m")).unwrap();
    tree::remove(&at("m"));
    tree::file(&at("m"), b"second content");
    tree::times(&at("m"), (0, 0), (stat.st_mtime, stat.st_mtime_nsec as i64));
    step(3);
    assert_ne!(inode("m"), inode("n"));
    // And back.
    tree::remove(&at("m"));
    tree::link(&at("n"), &at("m"));
    step(3);
    assert_eq!(inode("m"), inode("n"));
}

#[test]
fn fifos_sockets_and_devices_go_in_and_come_out_as_far_as_they_can() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    tree::fifo(&source.join("a/fifo"));
    tree::owner(&source.join("a/fifo"), 7, 8);
    tree::mode(&source.join("a/fifo"), 0o620);
    tree::times(&source.join("a/fifo"), (3, 3), (1_400_000_000, 4));
    let listener = std::os::unix::net::UnixListener::bind(source.join("a/socket")).unwrap();
    let devices = tree::device(&source.join("b/null"), 1, 3);
    let nodes = 2 + u64::from(devices);
    tree::times(&source.join("a"), (1, 1), (1_500_000_000, 5));
    let report = bench.import(&source, "/t");
    assert_eq!((report.nodes, report.special, report.failed), (nodes, 0, 0), "{:?}", report.problems);
    let before = bench.records();
    assert_eq!(bench.import(&source, "/t").nodes, 0);
    assert_eq!(bench.records(), before, "a second run makes no record");

    let out = bench.path("out");
    let report = bench.export("/t", &out);
    assert_eq!((report.nodes, report.special, report.failed), (nodes - 1, 1, 0), "{:?}", report.problems);
    assert_eq!(report.problems[0].path, b"/a/socket");
    assert_eq!(report.problems[0].kind, crate::transfer::ProblemKind::Special);
    drop(listener);
    tree::remove(&source.join("a/socket"));
    tree::times(&source.join("a"), (1, 1), (1_500_000_000, 5));
    assert_eq!(compare(&source, &out), Vec::<String>::new());
    assert_eq!(bench.export("/t", &out).nodes, 0, "what is there already stays");

    // What takes another one's place.
    tree::remove(&source.join("a/fifo"));
    tree::file(&source.join("a/fifo"), b"a file now");
    tree::remove(&source.join("a/f1"));
    tree::fifo(&source.join("a/f1"));
    let options = ImportOptions { delete: true, ..ImportOptions::default() };
    assert_eq!(bench.import_with(&source, "/t", options).nodes, 1);
    bench.assert_holds("/t", &source, "out");
}

#[test]
fn a_device_that_may_not_be_made_is_told() {
    let bench = Bench::new();
    let zone = bench.zone();
    let kind = nexus_engine::NodeKind::BlockDevice { major: 7, minor: 99 };
    let durable = nexus_engine::Durability::Durable;
    zone.make_node(&bench.caller, "/device", kind, &nexus_engine::NewFile::default(), durable).unwrap();
    let may = tree::device(&bench.path("probe"), 7, 99);
    let report = bench.export("/device", &bench.path("device"));
    assert_eq!((report.nodes, report.special, report.failed), (u64::from(may), u64::from(!may), 0));
    assert_eq!(bench.path("device").symlink_metadata().is_ok(), may);
}

#[test]
fn files_that_vanish_or_change_while_they_are_imported_are_told_and_the_others_go_in() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::dir(&source);
    tree::file(&source.join("a"), b"a");
    // Streamed in its turn: the walk has seen it long before.
    tree::file(&source.join("growing"), &tree::bytes(5 << 20, 1));
    tree::file(&source.join("replaced"), &tree::bytes(5 << 20, 2));
    tree::file(&source.join("vanishing"), &tree::bytes(5 << 20, 3));
    tree::file(&source.join("z"), b"z");
    let mut grown = 0;
    let options = ImportOptions::default();
    let report = import(&bench.zone(), &bench.caller, &source, b"/t", &options, &mut |progress| {
        if progress.current == b"/a" {
            tree::remove(&source.join("vanishing"));
            tree::remove(&source.join("replaced"));
            tree::fifo(&source.join("replaced"));
        }
        if progress.current == b"/growing" && grown < 20 {
            grown += 1;
            tree::times(&source.join("growing"), (0, 0), (1000 + grown, 0));
        }
    })
    .unwrap();
    assert_eq!((report.vanished, report.changed, report.failed), (1, 2, 0), "{:?}", report.problems);
    let view = bench.zone().view(At::Latest).unwrap();
    assert_eq!(&view.read(&bench.caller, "/t/z", 0, 9).unwrap()[..], b"z");
    drop(view);
    // The next run brings it in order.
    tree::remove(&source.join("replaced"));
    assert_eq!(bench.import(&source, "/t").files, 1);
    bench.assert_holds("/t", &source, "out");
}
