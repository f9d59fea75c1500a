//! What goes in comes out the same.

use std::path::Path;

use super::super::Report;
use super::*;

#[test]
fn a_nasty_tree_comes_out_as_it_went_in_and_a_second_run_makes_no_record() {
    let (dir, xattr_bytes) = tree::roomy_tempdir();
    let bench = Bench::in_dir(dir);
    let source = bench.path("in");
    tree::nasty(&source, xattr_bytes);
    let report = bench.import(&source, "/tree");
    assert_eq!((report.failed, report.changed, report.vanished), (0, 0, 0), "{:?}", report.problems);
    assert_eq!(report.hard_links, 300);
    bench.assert_holds("/tree", &source, "out");

    for options in [ImportOptions::default(), ImportOptions { checksum: true, delete: true }] {
        let before = bench.records();
        let again = bench.import_with(&source, "/tree", options);
        assert_eq!(bench.records(), before, "{again:?}");
        assert_eq!((again.files, again.failed), (0, 0));
        assert!(again.skipped > 5300, "{again:?}");
    }
    for options in [ExportOptions::default(), ExportOptions { checksum: true, delete: true }] {
        let again = bench.export_with("/tree", &bench.path("out"), options);
        let skipped = again.skipped;
        assert_eq!(again, Report { skipped, ..Report::default() });
        assert!(skipped > 5300);
    }
    assert_eq!(compare(&source, &bench.path("out")), Vec::<String>::new());
}

#[test]
fn access_times_go_along() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::dir(&source);
    tree::file(&source.join("f"), b"x");
    tree::times(&source.join("f"), (-5, 7), (9, 11));
    tree::times(&source, (-1, 1), (2, 2));
    bench.import(&source, "/t");
    let stat = |path: &str| bench.zone().view(At::Latest).unwrap().stat(&bench.caller, path, false).unwrap();
    assert_eq!((stat("/t/f").atime, stat("/t/f").mtime), (-4_999_999_993, 9_000_000_011));
    assert_eq!((stat("/t").atime, stat("/t").mtime), (-999_999_999, 2_000_000_002));
    bench.export("/t", &bench.path("out"));
    let stat = rustix::fs::lstat(bench.path("out/f")).unwrap();
    assert_eq!((stat.st_atime, stat.st_atime_nsec), (-5, 7));
}

#[test]
fn a_file_goes_in_with_one_record() {
    let bench = Bench::new();
    let source = bench.path("file");
    tree::file(&source, b"content");
    tree::xattr(&source, "user.a", b"b");
    tree::mode(&source, 0o4711);
    tree::times(&source, (1, 1), (2, 2));
    let before = bench.records();
    bench.import(&source, "/file");
    assert_eq!(bench.records(), before + 1);
    bench.assert_holds("/file", &source, "out");
    tree::symlink("target", &bench.path("link"));
    bench.import(&bench.path("link"), "/link");
    bench.assert_holds("/link", &bench.path("link"), "link out");
}

#[test]
fn the_root_of_a_zone_can_be_source_and_destination() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    bench.import(&source, "/");
    bench.assert_holds("/", &source, "out");
    let before = bench.records();
    bench.import(&source, "//");
    assert_eq!(bench.records(), before);
}

#[test]
fn what_cannot_be_a_source_or_destination_is_refused_before_anything_is_changed() {
    use nexus_log::event::Reason;
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    tree::file(&bench.path("file"), b"");
    tree::fifo(&bench.path("fifo"));
    bench.import(&bench.path("file"), "/file");
    let before = bench.records();
    let kind = |source: &Path, destination: &str| {
        let options = ImportOptions::default();
        let result = import(&bench.zone(), &bench.caller, source, destination.as_bytes(), &options, &mut |_| {});
        result.unwrap_err().kind()
    };
    assert_eq!(kind(&bench.path("nothing"), "/x"), Reason::NotFound);
    assert_eq!(kind(&source, "/no/parent"), Reason::NotFound);
    assert_eq!(kind(&source, "/file/below"), Reason::NotDir);
    assert_eq!(kind(&source, "/file"), Reason::NotDir);
    assert_eq!(kind(&bench.path("file"), "/"), Reason::IsDir);
    assert_eq!(kind(&bench.path("fifo"), "/"), Reason::IsDir);
    assert_eq!(kind(&source, "relative"), Reason::Invalid);
    assert_eq!(bench.records(), before);
}

#[test]
fn an_export_does_not_write_through_a_symlink() {
    use nexus_log::event::Reason;
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    bench.import(&source, "/t");
    tree::dir(&bench.path("elsewhere"));
    tree::symlink("elsewhere", &bench.path("out"));
    let view = bench.zone().view(At::Latest).unwrap();
    let options = ExportOptions::default();
    let result = export(&view, &bench.caller, b"/t", &bench.path("out"), &options, &mut |_| {});
    assert_eq!(result.unwrap_err().kind(), Reason::LinkLoop);

    // Below the destination a symlink in a directory's or file's place is replaced by it.
    tree::remove(&bench.path("out"));
    tree::dir(&bench.path("out"));
    tree::symlink("../elsewhere", &bench.path("out/a"));
    tree::file(&bench.path("victim"), b"untouched");
    tree::symlink("../victim", &bench.path("out/large"));
    bench.assert_holds("/t", &source, "out");
    assert_eq!(rustix::fs::lstat(bench.path("victim")).unwrap().st_size, 9);
    assert_eq!(rustix::fs::lstat(bench.path("elsewhere")).unwrap().st_nlink, 2);
    assert!(rustix::fs::lstat(bench.path("elsewhere/f1")).is_err());
}

#[test]
fn an_export_of_the_past_is_the_tree_of_that_time() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    bench.import(&source, "/t");
    bench.export("/t", &bench.path("first"));
    let at = bench.zone().log().appended().0;
    tree::file(&source.join("a/f1"), b"later");
    tree::remove(&source.join("b/f2"));
    bench.import_with(&source, "/t", ImportOptions { delete: true, ..ImportOptions::default() });
    bench.assert_holds("/t", &source, "second");
    let view = bench.zone().view(At::Exactly(at)).unwrap();
    let then = bench.path("then");
    export(&view, &bench.caller, b"/t", &then, &ExportOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(compare(&bench.path("first"), &then), Vec::<String>::new());
    assert_ne!(compare(&bench.path("second"), &then), Vec::<String>::new());
}

#[test]
fn the_comparer_finds_every_kind_of_difference() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    tree::sparse(&source.join("holes"), 20 << 20, &[(0, vec![1])]);
    bench.import(&source, "/t");
    let out = bench.path("out");
    let planted: [(&str, &dyn Fn()); 11] = [
        ("missing", &|| tree::remove(&out.join("a/f1"))),
        ("too many", &|| tree::file(&out.join("extra"), b"")),
        ("mode", &|| tree::mode(&out.join("a/f2"), 0o4755)),
        ("mode", &|| {
            tree::remove(&out.join("a/f2"));
            tree::symlink("f3", &out.join("a/f2"));
        }),
        ("owner", &|| tree::owner(&out.join("a/s"), 1, 0)),
        ("mtime", &|| tree::times(&out.join("b"), (0, 0), (1_500_000_000, 6))),
        ("extended attributes", &|| tree::xattr(&out.join("a/f7"), "user.x", b"2")),
        ("content at byte 99", &|| {
            let mut bytes = tree::bytes(100, 1);
            bytes[99] ^= 1;
            tree::file(&out.join("b/f1"), &bytes);
        }),
        ("target", &|| {
            tree::remove(&out.join("c/s"));
            tree::symlink("f4", &out.join("c/s"));
        }),
        ("is not the same file", &|| {
            tree::remove(&out.join("c/zlink"));
            tree::file(&out.join("c/zlink"), &tree::bytes(500, 5));
        }),
        ("holes", &|| tree::file(&out.join("holes"), &[vec![1], vec![0; (20 << 20) - 1]].concat())),
    ];
    for (what, plant) in planted {
        bench.export_with("/t", &out, ExportOptions { delete: true, checksum: true });
        if what == "holes" {
            assert_eq!(compare(&source, &out), Vec::<String>::new());
        }
        plant();
        let found = compare(&source, &out);
        assert!(found.iter().any(|line| line.contains(what)), "{what} in {found:?}");
    }
}

#[test]
fn progress_only_grows_and_ends_at_what_the_report_says() {
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    for _ in 0..2 {
        let mut last = (0, 0, 0);
        let mut told = 0;
        let options = ImportOptions::default();
        let report = import(&bench.zone(), &bench.caller, &source, b"/t", &options, &mut |progress| {
            let now = (progress.files, progress.bytes, progress.skipped);
            assert!(now.0 >= last.0 && now.1 >= last.1 && now.2 >= last.2, "{now:?} after {last:?}");
            last = now;
            told += 1;
        })
        .unwrap();
        assert_eq!(last, (report.files, report.bytes, report.skipped));
        assert!(told > 60);
    }
}

/// Takes minutes: NEXUS_LONG=1 asks for it.
#[test]
fn real_trees_come_out_as_they_went_in() {
    if std::env::var_os("NEXUS_LONG").is_none() {
        return;
    }
    let home = std::env::var_os("HOME").unwrap();
    for (number, source) in [Path::new("/usr/share"), &Path::new(&home).join(".cargo/registry/src")].iter().enumerate()
    {
        let bench = Bench::new();
        let clock = nexus_log::env::Env::real().clock;
        let lap = |what: &str, from: u64| {
            println!("{}: {what} {} ms", source.display(), (clock.boot_ns() - from) / 1_000_000);
            clock.boot_ns()
        };
        let from = clock.boot_ns();
        let report = bench.import(source, "/t");
        let from = lap("import", from);
        assert_eq!((report.failed, report.changed), (0, 0), "{:?}", report.problems);
        println!("{} files, {} bytes, {} records", report.files, report.bytes, bench.records());
        let before = bench.records();
        bench.import(source, "/t");
        let from = lap("second import", from);
        assert_eq!(bench.records(), before);
        let out = bench.path(&format!("out-{number}"));
        let report = bench.export("/t", &out);
        lap("export", from);
        assert_eq!((report.failed, report.attributes_lost), (0, 0), "{:?}", report.problems);
        assert_eq!(compare(source, &out), Vec::<String>::new());
    }
}
