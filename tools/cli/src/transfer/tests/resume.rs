//! A run that was stopped at any point is finished by the next one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nexus_engine::gate::{Call, Hook};
use nexus_engine::{Error, Result};
use nexus_log::event::{Reason, Syscall};

use super::*;

/// Lets so many changes through; at the next the run is gone, as if it had been killed.
struct StopAfter(AtomicU64);

/// What unwinds out of a run that was stopped.
struct Stopped;

impl Hook for StopAfter {
    fn pre(&self, call: &Call<'_>) -> Result<()> {
        let changes = call.syscall.code() >= Syscall::Create.code();
        if changes && self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            std::panic::resume_unwind(Box::new(Stopped));
        }
        Ok(())
    }
}

#[test]
fn an_import_that_was_stopped_anywhere_is_finished_by_the_next() {
    let mut bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    let mut random = nexus_log::env::SplitMix64::new(11);
    let mut stopped = 0;
    loop {
        let hook = StopAfter(AtomicU64::new(1 + random.next_u64() % 12));
        let zone = bench.zone();
        zone.install_hooks(vec![Arc::new(hook)]);
        let options = ImportOptions { delete: stopped % 2 == 0, checksum: stopped % 3 == 0 };
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
            import(&zone, &bench.caller, &source, b"/t", &options, &mut |_| {})
        }));
        drop(zone);
        // Nothing is flushed or closed: what the log has is what the next run finds.
        drop(bench.nexus.take());
        bench.nexus = Some(Nexus::open(&bench.path("data"), ZoneOptions::default()).unwrap());
        match result {
            Ok(finished) => {
                let report = finished.unwrap();
                assert_eq!(report.failed, 0, "{:?}", report.problems);
                break;
            }
            Err(panic) => assert!(panic.is::<Stopped>()),
        }
        stopped += 1;
        assert!(stopped < 100, "no run gets further than the one before");
    }
    assert!(stopped > 5);
    bench.assert_holds("/t", &source, "out");
    let before = bench.records();
    bench.import(&source, "/t");
    assert_eq!(bench.records(), before);
}

#[test]
fn an_export_that_was_stopped_anywhere_is_finished_by_the_next_and_leaves_no_half_file() {
    struct StopReading(AtomicU64);
    impl Hook for StopReading {
        fn pre(&self, call: &Call<'_>) -> Result<()> {
            if call.syscall == Syscall::Read && self.0.fetch_sub(1, Ordering::Relaxed) == 0 {
                return Err(Error::new(Reason::Unavailable, "stopped here"));
            }
            Ok(())
        }
    }
    let bench = Bench::new();
    let source = bench.path("in");
    tree::small(&source);
    bench.import(&source, "/t");
    let out = bench.path("out");
    let mut stopped = 0;
    for reads in (3..).step_by(7) {
        let zone = bench.zone();
        zone.install_hooks(vec![Arc::new(StopReading(AtomicU64::new(reads)))]);
        let view = zone.view(At::Latest).unwrap();
        let result = export(&view, &bench.caller, b"/t", &out, &ExportOptions::default(), &mut |_| {});
        zone.install_hooks(Vec::new());
        if result.is_ok() {
            break;
        }
        stopped += 1;
        // As a kill would leave it: a file that is not whole, under its temporary name.
        tree::file(&out.join(".nexus-export-00000000000a0000.part"), b"half");
        let found = compare(&out, &source);
        let known = |line: &String| {
            [": missing", "mtime", "mode", "entries", "is not the same file"].iter().any(|what| line.contains(what))
        };
        // Files are whole or not there; directories are not in order yet.
        let half = found.iter().filter(|line| !known(line) && !line.ends_with("too many"));
        assert_eq!(half.collect::<Vec<_>>(), Vec::<&String>::new());
    }
    assert!(stopped > 2);
    assert_eq!(compare(&source, &out), Vec::<String>::new());
}
