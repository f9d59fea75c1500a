//! Sizes that only an enemy would ask for, and sizes that only years would bring.

use std::path::Path;
use std::sync::Arc;

use nexus_engine::limits::{BATCH_CHANGES_MAX, FILE_BYTES_MAX, XATTR_VALUE_BYTES_MAX};
use nexus_engine::{
    At, AttributeChange, BatchItem, Caller, Change, Durability, Entry, NewFile, Target, XattrMode, Zone, open_zone,
};
use nexus_log::env::{Env, SplitMix64};
use nexus_log::event::Reason;
use nexus_log::ids::Seq;
use nexus_projections::store::BTreeStore;
use nexus_tests::long;
use nexus_tests::rig::{ROOT, manual};

const NOW: Durability = Durability::Durable;

fn with_zone(test: impl FnOnce(&Zone, &Caller)) {
    let (env, ..) = Env::simulated(1);
    let store = Arc::new(BTreeStore::default());
    let zone = open_zone(&env, Path::new("/zone"), ROOT, store, manual(64 << 20, 0, 0)).unwrap();
    test(&zone, &Caller::agent("me").unwrap());
    assert!(zone.rebuild(false, |_| {}).unwrap().equal());
    zone.close().unwrap();
}

fn kind<T>(answer: Result<T, nexus_engine::Error>) -> Option<Reason> {
    answer.err().map(|error| error.kind)
}

#[test]
fn offsets_and_lengths_of_any_size_are_answered() {
    with_zone(|zone, me| {
        for (path, content) in [("/none", &b""[..]), ("/one", b"0123456789"), ("/body", &[7; 9000])] {
            zone.put(me, path, content).unwrap();
            if path == "/body" {
                zone.write(me, path, 3, b"in the middle", NOW).unwrap();
            }
            let before = zone.view(At::Latest).unwrap().read(me, path, 0, 10_000).unwrap();
            for (offset, length) in [(u64::MAX, u64::MAX), (u64::MAX, 1), (u64::MAX, 0), (1 << 63, u64::MAX), (5, 0)] {
                let punched = kind(zone.punch(me, path, offset, length, NOW));
                assert!([None, Some(Reason::Invalid)].contains(&punched), "{path} {offset}+{length}: {punched:?}");
                let now = zone.view(At::Latest).unwrap().read(me, path, 0, 10_000).unwrap();
                assert!(now == before, "{path} {offset}+{length}: nothing is there to be punched");
            }
            for size in [u64::MAX, FILE_BYTES_MAX + 1] {
                assert_eq!(kind(zone.truncate(me, path, size, NOW)), Some(Reason::TooLarge), "{path}");
                assert_eq!(kind(zone.write(me, path, size - 1, b"xy", NOW)), Some(Reason::TooLarge), "{path}");
            }
            let view = zone.view(At::Latest).unwrap();
            assert!(view.read(me, path, u64::MAX, 10).unwrap().is_empty());
            assert_eq!(view.next_data(me, path, u64::MAX).unwrap(), None);
            // All of it, in one.
            zone.punch(me, path, 0, u64::MAX, NOW).unwrap();
            let view = zone.view(At::Latest).unwrap();
            assert_eq!(view.stat(me, path, true).unwrap().size, before.len() as u64);
            assert!(view.read(me, path, 0, 10_000).unwrap().iter().all(|byte| *byte == 0), "{path}");
            assert_eq!(view.next_data(me, path, 0).unwrap(), None, "{path}");
        }
        let view = zone.view(At::Latest).unwrap();
        assert_eq!(view.readdir(me, "/", None, usize::MAX).unwrap().len(), 3);
    });
}

#[test]
fn a_file_of_2_to_the_62_is_copied_punched_and_read_at_its_ends() {
    const SIZE: u64 = 1 << 62;
    with_zone(|zone, me| {
        zone.put(me, "/sparse", b"begin").unwrap();
        zone.write(me, "/sparse", SIZE - 3, b"end", NOW).unwrap();
        zone.copy(me, "/sparse", At::Latest, "/copy", NOW).unwrap();
        zone.punch(me, "/copy", 2, SIZE - 5, NOW).unwrap();
        let view = zone.view(At::Latest).unwrap();
        assert_eq!(view.stat(me, "/copy", true).unwrap().size, SIZE);
        assert_eq!(&view.read(me, "/sparse", SIZE - 5, 100).unwrap()[..], b"\0\0end");
        assert_eq!(&view.read(me, "/copy", SIZE - 5, 100).unwrap()[..], b"\0\0end");
        assert_eq!(&view.read(me, "/copy", 0, 6).unwrap()[..], b"be\0\0\0\0");
        assert_eq!(view.next_data(me, "/copy", 2).unwrap(), Some((SIZE - 3, SIZE)));
        zone.truncate(me, "/copy", FILE_BYTES_MAX, NOW).unwrap();
        assert_eq!(kind(zone.append(me, "/copy", b"x", NOW)), Some(Reason::TooLarge));
        zone.copy(me, "/copy", At::Latest, "/third", NOW).unwrap();
        assert_eq!(zone.view(At::Latest).unwrap().stat(me, "/third", true).unwrap().size, FILE_BYTES_MAX);
    });
}

#[test]
fn a_batch_beyond_its_changes_is_too_large_and_one_at_the_bound_is_whole_or_nothing() {
    with_zone(|zone, me| {
        let names: Vec<String> = (0..=BATCH_CHANGES_MAX).map(|n| format!("/{n}")).collect();
        let new = NewFile::default();
        let items: Vec<BatchItem<'_>> = names
            .iter()
            .map(|name| Change::Create { entry: Entry::Path(name.as_bytes()), new: &new, exclusive: true }.into())
            .collect();
        let count = || zone.view(At::Latest).unwrap().readdir(me, "/", None, 10_000).unwrap().len();
        assert_eq!(kind(zone.batch_atomic(me, &items, NOW)), Some(Reason::TooLarge));
        assert_eq!(count(), 0);
        match zone.batch_atomic(me, &items[1..], NOW) {
            Ok(_) => assert_eq!(count(), BATCH_CHANGES_MAX),
            Err(error) => assert_eq!((error.kind, count()), (Reason::TooLarge, 0)),
        }
        let before = zone.log().appended();
        assert!(zone.batch_atomic(me, &[], NOW).is_ok_and(|done| done.reply.is_empty()));
        assert_eq!(zone.log().appended(), before, "a batch of nothing is nothing");
    });
}

#[test]
fn attributes_at_their_bounds_are_taken_and_beyond_them_refused() {
    with_zone(|zone, me| {
        zone.put(me, "/f", b"x").unwrap();
        let largest = vec![b'v'; XATTR_VALUE_BYTES_MAX + 1];
        let set = |name: &[u8], value: &[u8]| kind(zone.set_xattr(me, "/f", name, value, XattrMode::Either, NOW));
        assert_eq!(set(b"user.v", &largest[1..]), None);
        assert_eq!(set(b"user.v", &largest), Some(Reason::TooLarge));
        assert_eq!(set(&[b'n'; 255], b"1"), None);
        assert_eq!(set(&[b'n'; 256], b"1"), Some(Reason::NameTooLong));
        assert!(set(b"", b"1").is_some());
        // More than a record's meta in one batch.
        let names: Vec<Vec<u8>> = (0..40).map(|n| format!("user.{n}").into_bytes()).collect();
        let items: Vec<BatchItem<'_>> = names
            .iter()
            .map(|name| {
                let (target, value) = (Target::Path(b"/f"), &largest[1..]);
                Change::SetXattr { target, name, value, mode: XattrMode::Either }.into()
            })
            .collect();
        assert_eq!(kind(zone.batch_atomic(me, &items, NOW)), Some(Reason::TooLarge));
        let view = zone.view(At::Latest).unwrap();
        assert_eq!(view.list_xattrs(me, "/f").unwrap().len(), 2);
        assert_eq!(&view.get_xattr(me, "/f", b"user.v").unwrap()[..], &largest[1..]);
    });
}

#[test]
fn a_path_of_4096_bytes_is_a_path_like_any_other() {
    with_zone(|zone, me| {
        let mut path = Vec::new();
        for depth in 0..16 {
            path.push(b'/');
            path.extend(vec![b'a' + depth; 255]);
            zone.mkdir(me, &path[..], &NewFile::default(), true, NOW).unwrap();
        }
        assert_eq!(path.len(), 4096);
        let view = zone.view(At::Latest).unwrap();
        let inode = view.stat(me, &path[..], true).unwrap().inode;
        assert_eq!(view.path_of(inode).unwrap().as_deref(), Some(&path[..]));
        let longer = [&path[..], b"/x"].concat();
        assert_eq!(kind(zone.mkdir(me, &longer[..], &NewFile::default(), true, NOW)), Some(Reason::NameTooLong));
        // By its directory it can be made all the same, and copied with all that is above it.
        zone.create(me, Entry::In(inode, b"x"), &NewFile::default(), true, NOW).unwrap();
        zone.copy(me, &path[..256], At::Latest, "/copy", NOW).unwrap();
        let deepest = [b"/copy", &path[256..]].concat();
        let copied = [&deepest[..], b"/x"].concat();
        assert!(zone.view(At::Latest).unwrap().stat(me, &copied[..], true).is_ok());
    });
}

#[test]
fn a_directory_of_very_many_entries_is_listed_changed_and_seen_as_it_was() {
    let entries: u64 = if long() { 1_000_000 } else { 20_000 };
    with_zone(|zone, me| {
        let new = NewFile::default();
        for from in (0..entries).step_by(1000) {
            let names: Vec<String> = (from..from + 1000).map(|n| format!("/{n:07}")).collect();
            let items: Vec<BatchItem<'_>> = names
                .iter()
                .map(|name| Change::Create { entry: Entry::Path(name.as_bytes()), new: &new, exclusive: true }.into())
                .collect();
            zone.batch_atomic(me, &items, NOW).unwrap();
        }
        let full = zone.log().flushed();
        let count = |at: At| {
            let (view, mut after, mut count) = (zone.view(at).unwrap(), None::<Vec<u8>>, 0_u64);
            loop {
                let page = view.readdir(me, "/", after.as_deref(), 5000).unwrap();
                assert!(page.windows(2).all(|pair| pair[0].name < pair[1].name));
                let Some(last) = page.last() else { return count };
                count += page.len() as u64;
                after = Some(last.name.to_vec());
            }
        };
        assert_eq!(count(At::Latest), entries);
        for n in (0..entries).step_by(100) {
            zone.unlink(me, &format!("/{n:07}")[..], Durability::Accepted).unwrap();
        }
        zone.log().flush().unwrap();
        assert_eq!(count(At::Latest), entries - entries / 100);
        assert_eq!(count(At::Exactly(full)), entries);
        assert_eq!(zone.view(At::Latest).unwrap().stat(me, "/", true).unwrap().size, entries - entries / 100);
    });
}

#[test]
fn an_inode_of_very_many_versions_is_read_at_each_of_them() {
    let versions: u64 = if long() { 1_000_000 } else { 10_000 };
    with_zone(|zone, me| {
        let first = zone.put(me, "/f", b"x").unwrap().seq.unwrap();
        for n in 1..=versions {
            let change = AttributeChange { mtime: Some(n as i64), ..AttributeChange::default() };
            zone.set_attributes(me, "/f", &change, true, Durability::Accepted).unwrap();
        }
        zone.log().flush().unwrap();
        let mut rng = SplitMix64::new(1);
        for n in (0..200).map(|_| 1 + rng.below(versions)).chain([1, versions]) {
            let view = zone.view(At::Exactly(Seq(first.0 + n))).unwrap();
            assert_eq!(view.stat(me, "/f", true).unwrap().mtime, n as i64);
        }
    });
}
