//! What the gate hides is not found, and whoever is refused what they named is told.

use std::ops::ControlFlow;
use std::sync::Arc;

use nexus_engine::find::{AccessMode, Found, GlobOptions, GrepOptions, WalkOptions};
use nexus_engine::gate::{Call, Gate};
use nexus_engine::{At, Error, Result};
use nexus_log::event::{Event, Reason, Syscall};
use nexus_projections::row::FileKind;

use super::Bench;

/// Refuses `syscalls` on paths that hold `word`, with `reason`.
struct Hides {
    word: &'static str,
    syscalls: &'static [Syscall],
    reason: Reason,
}

impl Gate for Hides {
    fn check(&self, call: &Call<'_>) -> Result<()> {
        let path = String::from_utf8_lossy(call.path);
        if path.contains(self.word) && self.syscalls.contains(&call.syscall) {
            return Err(Error::new(self.reason, "not for you"));
        }
        Ok(())
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    for path in ["d", "d/secret", "d/open"] {
        bench.make(path.as_bytes(), FileKind::Directory);
    }
    for path in ["/d/a", "/d/open/secret.txt", "/d/open/b", "/d/secret/c", "/secret"] {
        bench.zone.put(&bench.me, path, b"needle\n").unwrap();
    }
    bench
}

fn gate(bench: &Bench, syscalls: &'static [Syscall], reason: Reason) {
    bench.zone.install_gate(Some(Arc::new(Hides { word: "secret", syscalls, reason })));
}

/// What a walk, a glob and a search find.
fn found(bench: &Bench) -> [Vec<String>; 3] {
    let view = bench.zone.view(At::Latest).unwrap();
    let text = |path: &[u8]| String::from_utf8(path.to_vec()).unwrap();
    let paths = |page: nexus_engine::find::Page| page.entries.iter().map(|entry| text(&entry.path)).collect();
    let walked = view.walk(&bench.me, "/d", &WalkOptions { stat: true, ..WalkOptions::default() }).unwrap();
    let globbed = view.glob(&bench.me, "/", "d/**/*", &GlobOptions::default()).unwrap();
    let mut searched = Vec::new();
    let summary = view.grep(&bench.me, "/d", "needle", &GrepOptions::default(), &mut |found| {
        if let Found::Match { path, .. } = found {
            searched.push(text(path));
        }
        ControlFlow::Continue(())
    });
    assert_eq!(summary.unwrap().failed, 0);
    [paths(walked), paths(globbed), searched]
}

/// Every refusal that is in the log once all is in it, repeats counted.
fn refusals(bench: Bench) -> u64 {
    let log = bench.zone.log();
    bench.close();
    let events = log.records(log.first()).flat_map(|record| record.unwrap().events);
    events
        .map(|event| match event {
            Event::Refused(_) => 1,
            Event::RefusalsCounted(counted) => {
                counted.collapsed + counted.counts.iter().map(|count| count.count).sum::<u64>()
            }
            _ => 0,
        })
        .sum()
}

#[test]
fn what_the_gate_hides_is_left_out_and_the_walk_goes_on() {
    let bench = bench();
    for reason in [Reason::PermissionDenied, Reason::NotFound] {
        gate(&bench, &[Syscall::Stat], reason);
        let [walked, globbed, searched] = found(&bench);
        assert_eq!(walked, ["a", "open", "open/b"]);
        assert_eq!(globbed, ["d/a", "d/open", "d/open/b"]);
        assert_eq!(searched, ["a", "open/b"]);
    }
    gate(&bench, &[Syscall::Readdir], Reason::PermissionDenied);
    let [walked, globbed, searched] = found(&bench);
    assert_eq!(walked, ["a", "open", "open/b", "open/secret.txt", "secret"]);
    assert_eq!(globbed, ["d/a", "d/open", "d/open/b", "d/open/secret.txt", "d/secret"]);
    assert_eq!(searched, ["a", "open/b", "open/secret.txt"]);
    gate(&bench, &[Syscall::Read], Reason::PermissionDenied);
    assert_eq!(found(&bench)[2], ["a", "open/b"]);
    let listed = bench.zone.view(At::Latest).unwrap().entries_with_stat(&bench.me, "/", None, 100).unwrap();
    assert_eq!(listed.entries.len(), 2);
    gate(&bench, &[Syscall::Stat], Reason::PermissionDenied);
    let listed = bench.zone.view(At::Latest).unwrap().entries_with_stat(&bench.me, "/", None, 100).unwrap();
    assert_eq!(listed.entries.len(), 1);
    assert_eq!(refusals(bench), 0, "nobody asked for what was left out");
}

#[test]
fn what_the_gate_cannot_decide_is_an_error() {
    let bench = bench();
    gate(&bench, &[Syscall::Stat], Reason::Unavailable);
    let view = bench.zone.view(At::Latest).unwrap();
    let walked = view.walk(&bench.me, "/d", &WalkOptions::default());
    assert_eq!(walked.unwrap_err().kind, Reason::Unavailable);
    let mut failed = Vec::new();
    view.grep(&bench.me, "/d", "needle", &GrepOptions::default(), &mut |found| {
        if let Found::Failed { path, error, .. } = found {
            failed.push((path.to_vec(), error.kind));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let unavailable = Reason::Unavailable;
    assert_eq!(failed, [(b"open/secret.txt".to_vec(), unavailable), (b"secret".to_vec(), unavailable)]);
    bench.close();
}

#[test]
fn whoever_is_refused_the_base_is_told_and_each_is_one_refusal() {
    let bench = bench();
    gate(&bench, &[Syscall::Walk, Syscall::Readdir, Syscall::Read], Reason::PermissionDenied);
    let view = bench.zone.view(At::Latest).unwrap();
    let denied = Reason::PermissionDenied;
    let walked = view.walk(&bench.me, "/d/secret", &WalkOptions::default());
    assert_eq!(walked.unwrap_err().kind, denied);
    let globbed = view.glob(&bench.me, "/d/secret", "*", &GlobOptions::default());
    assert_eq!(globbed.unwrap_err().kind, denied);
    let searched = view.grep(&bench.me, "/secret", "x", &GrepOptions::default(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(searched.unwrap_err().kind, denied);
    assert_eq!(refusals(bench), 3);
}

#[test]
fn access_asks_the_gate_for_what_would_be_done() {
    let bench = bench();
    gate(&bench, &[Syscall::Write, Syscall::Create], Reason::PermissionDenied);
    let view = bench.zone.view(At::Latest).unwrap();
    let access = |path, mode| view.access(&bench.me, path, mode).map_err(|error| error.kind);
    assert_eq!(access("/secret", AccessMode::READ | AccessMode::EXECUTE), Ok(()));
    assert_eq!(access("/secret", AccessMode::READ | AccessMode::WRITE), Err(Reason::PermissionDenied));
    assert_eq!(access("/d/secret", AccessMode::WRITE), Err(Reason::PermissionDenied));
    assert_eq!(access("/d/a", AccessMode::WRITE), Ok(()));
    bench.close();
}
