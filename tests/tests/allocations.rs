//! What is read often allocates nothing: not a stat, not a look-up of what is not a symlink, not a small read.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(unsafe_code, reason = "counting allocations takes a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use nexus_engine::{At, Caller, NewFile, Target, Zone, open_zone};
use nexus_log::env::Env;
use nexus_projections::store::BTreeStore;
use nexus_tests::rig::{ROOT, manual};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Also where the thread is being torn down.
fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn zone() -> (Zone, Caller) {
    let (env, ..) = Env::simulated(1);
    let store = Arc::new(BTreeStore::default());
    let zone = open_zone(&env, Path::new("/zone"), ROOT, store, manual(64 << 20, 0, 0)).unwrap();
    let me = Caller::agent("me").unwrap();
    zone.mkdir(&me, "/a", &NewFile::default(), true, nexus_engine::Durability::default()).unwrap();
    zone.mkdir(&me, "/a/b", &NewFile::default(), true, nexus_engine::Durability::default()).unwrap();
    zone.put(&me, "/a/b/file", &[7; 1024]).unwrap();
    zone.put(&me, "/a/b/a name of more than a few bytes", b"").unwrap();
    (zone, me)
}

/// Allocations of the second call: the first may fill caches.
fn allocations<T>(call: impl Fn() -> T) -> usize {
    drop(black_box(call()));
    let before = ALLOCATIONS.get();
    drop(black_box(call()));
    ALLOCATIONS.get() - before
}

#[test]
fn a_hot_stat_allocates_nothing() {
    let (zone, me) = zone();
    let view = zone.view(At::Latest).unwrap();
    assert_ne!(allocations(|| vec![1, 2, 3]), 0, "the counting works");
    for path in ["/", "/a", "/a/b/file", "/a/./b/../b//a name of more than a few bytes"] {
        assert_eq!(allocations(|| view.stat(&me, path, true).unwrap()), 0, "{path}");
        assert_eq!(allocations(|| zone.stat(&me, path, true).unwrap()), 0, "{path}, by a view of its own");
    }
    let inode = view.stat(&me, "/a/b/file", true).unwrap().inode;
    assert_eq!(allocations(|| view.stat(&me, Target::Inode(inode), true).unwrap()), 0);
    // The tables' own move to the store changes nothing of it.
    zone.digest().unwrap();
    assert_eq!(allocations(|| zone.stat(&me, "/a/b/file", true).unwrap()), 0);
}

#[test]
fn a_hot_read_of_a_small_file_allocates_nothing() {
    let (zone, me) = zone();
    let whole = || zone.read(&me, "/a/b/file", 0, 4096).unwrap();
    assert_eq!(whole(), [7; 1024][..]);
    assert_eq!(allocations(whole), 0);
    assert_eq!(allocations(|| zone.read(&me, "/a/b/file", 100, 10).unwrap()), 0);
}
