//! A walk lists every entry once, in order, in pages of any size, whatever else changes between them.

use std::cell::Cell;

use nexus_engine::find::{Cursor, WalkEntry, WalkOptions};
use nexus_engine::limits::{WALK_BUFFERED_MAX, WALK_LISTED_MAX};
use nexus_engine::{At, Durability};
use nexus_log::event::Reason;
use nexus_projections::row::FileKind;
use proptest::prelude::*;

use super::{Bench, Tree, in_order, names, plant, tree};

/// All pages, each of its own view; `between` runs after each.
fn walked(bench: &Bench, base: &str, options: &WalkOptions<'_>, mut between: impl FnMut(usize)) -> Vec<WalkEntry> {
    let (mut entries, mut after): (Vec<WalkEntry>, Option<Cursor>) = (Vec::new(), None);
    for count in 0.. {
        let view = bench.zone.view(At::Newest).unwrap();
        let options = WalkOptions { after: after.as_ref(), ..*options };
        let page = view.walk(&bench.me, base, &options).unwrap();
        assert!(page.entries.len() <= options.limit);
        entries.extend(page.entries);
        let Some(next) = page.next else { break };
        after = Some(Cursor::from_bytes(next.as_bytes()).unwrap());
        between(count);
    }
    entries
}

fn paths(entries: &[WalkEntry]) -> Vec<Vec<u8>> {
    entries.iter().map(|entry| entry.path.clone()).collect()
}

#[test]
fn a_walk_is_the_tree_in_pages_of_any_size() {
    let (bench, turn) = (Bench::new(), Cell::new(0));
    let cases = (tree(), 1..50_usize, 1..5_usize, any::<[bool; 3]>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 60, ..ProptestConfig::default() });
    runner
        .run(&cases, |(tree, limit, depth, kinds)| {
            let base = format!("t{}", turn.replace(turn.get() + 1));
            plant(&bench, &base, &tree);
            let shown: Vec<FileKind> = [FileKind::Directory, FileKind::Regular, FileKind::Link]
                .into_iter()
                .zip(kinds)
                .filter_map(|(kind, shown)| shown.then_some(kind))
                .collect();
            let options = WalkOptions { depth, kinds: Some(&shown), limit, stat: true, after: None };
            let entries = walked(&bench, &format!("/{base}"), &options, |_| ());
            let mut expected = in_order(&tree);
            expected.retain(|path| shown.contains(&tree[path]) && names(path).len() <= depth);
            prop_assert_eq!(paths(&entries), expected);
            for entry in &entries {
                let stat = entry.stat.as_ref().unwrap();
                prop_assert_eq!((entry.kind, entry.inode), (tree[&entry.path], stat.inode));
                prop_assert_eq!((entry.depth, stat.kind), (names(&entry.path).len(), entry.kind));
            }
            Ok(())
        })
        .unwrap();
    bench.close();
}

/// Removes and makes things at random paths between pages; what is never touched must be seen exactly once.
#[test]
fn changes_between_pages_hide_and_repeat_nothing_that_stays() {
    let (bench, turn) = (Bench::new(), Cell::new(0));
    let cases = (tree(), tree(), 1..6_usize, any::<u64>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
    runner
        .run(&cases, |(stays, comes, limit, seed)| {
            let base = format!("c{}", turn.replace(turn.get() + 1));
            plant(&bench, &base, &stays);
            // What may come and go: new names below directories that stay, or below themselves.
            let comes: Tree = comes
                .into_iter()
                .filter(|(path, _)| {
                    let names = names(path);
                    !stays.contains_key(path)
                        && (1..names.len())
                            .all(|n| stays.get(&names[..n].join(&b'/')).is_none_or(|kind| *kind == FileKind::Directory))
                })
                .collect();
            let mut random = seed;
            let whole = |path: &[u8]| [b"/", base.as_bytes(), b"/", path].concat();
            let change = |_| {
                for (path, kind) in &comes {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let path = whole(path);
                    let there = bench.zone.view(At::Newest).unwrap().stat(&bench.me, &path[..], false).is_ok();
                    let accepted = Durability::Accepted;
                    // Some fail, because a directory is not empty or not there: any of them may.
                    match (there, random >> 62) {
                        (false, 0 | 1) => {
                            let new = nexus_engine::NewFile::default();
                            let _ = match kind {
                                FileKind::Directory => bench.zone.mkdir(&bench.me, &path[..], &new, true, accepted),
                                _ => bench.zone.create(&bench.me, &path[..], &new, true, accepted),
                            };
                        }
                        (true, 2) => {
                            let _ = bench.zone.rmdir(&bench.me, &path[..], accepted);
                            let _ = bench.zone.unlink(&bench.me, &path[..], accepted);
                        }
                        _ => {}
                    }
                }
            };
            let options = WalkOptions { limit, ..WalkOptions::default() };
            let seen = paths(&walked(&bench, &format!("/{base}"), &options, change));
            prop_assert!(seen.is_sorted_by_key(|path| names(path)), "out of order: {:?}", seen);
            let mut once = seen.clone();
            once.dedup();
            prop_assert_eq!(&once, &seen, "repeated");
            let kept: Vec<_> = seen.into_iter().filter(|path| stays.contains_key(path)).collect();
            prop_assert_eq!(kept, in_order(&stays));
            Ok(())
        })
        .unwrap();
    bench.close();
}

#[test]
fn a_page_of_a_listing_goes_on_behind_a_name_that_is_gone() {
    let bench = Bench::new();
    let names: Vec<String> = (0..100).map(|n| format!("n{n:03}")).collect();
    names.iter().for_each(|name| bench.make(name.as_bytes(), FileKind::Regular));
    let (mut seen, mut after): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
    loop {
        let view = bench.zone.view(At::Newest).unwrap();
        let page = view.readdir(&bench.me, "/", after.as_deref(), 7).unwrap();
        let Some(last) = page.last() else { break };
        // The cursor itself goes, and something comes before and behind it.
        let at = [b"/", &last.name[..]].concat();
        bench.zone.unlink(&bench.me, &at[..], Durability::Accepted).unwrap();
        if !last.name.ends_with(b"-new") {
            bench.make(&[&last.name[..], b"-new"].concat(), FileKind::Regular);
            bench.make(&[b"a-", &last.name[..]].concat(), FileKind::Regular);
        }
        after = Some(last.name.clone());
        seen.extend(page.into_iter().map(|entry| entry.name));
    }
    seen.retain(|name| !name.ends_with(b"-new"));
    assert_eq!(seen, names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
    bench.close();
}

#[test]
fn a_listing_has_attributes_in_pages() {
    let bench = Bench::new();
    (0..50).for_each(|n| bench.make(format!("{n:02}").as_bytes(), FileKind::Regular));
    let view = bench.zone.view(At::Newest).unwrap();
    let (mut seen, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let page = view.entries_with_stat(&bench.me, "/", after.as_deref(), 7).unwrap();
        for (entry, stat) in &page.entries {
            assert_eq!(*stat, view.stat(&bench.me, entry.inode, false).unwrap());
            seen.push(entry.name.clone());
        }
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(seen, (0..50).map(|n| format!("{n:02}").into_bytes()).collect::<Vec<_>>());
    bench.close();
}

#[test]
fn wide_and_deep_trees_are_walked_with_pages_given_back() {
    let bench = Bench::new();
    let mut expected = Vec::new();
    let mut at = Vec::new();
    // More directories above each other than pages fit into memory, each with many entries behind the next.
    for depth in 0..12 {
        let behind = (0..400).map(|n| format!("z{n:03}"));
        for name in (0..3).map(|n| format!("a{n}")).chain(["m".into()]).chain(behind) {
            let path = [&at[..], name.as_bytes()].concat();
            let directory = name == "m" && depth < 11;
            bench.make(&path, if directory { FileKind::Directory } else { FileKind::Regular });
            expected.push(path);
        }
        at.extend_from_slice(b"m/");
    }
    assert!(expected.len() > WALK_BUFFERED_MAX);
    expected.sort_by_key(|path| names(path));
    let view = bench.zone.view(At::Newest).unwrap();
    let page = view.walk(&bench.me, "/", &WalkOptions::default()).unwrap();
    assert_eq!((paths(&page.entries), page.next), (expected.clone(), None));
    let paged = walked(&bench, "/", &WalkOptions { limit: WALK_LISTED_MAX - 1, ..WalkOptions::default() }, |_| ());
    assert_eq!(paths(&paged), expected);
    bench.close();
}

#[test]
fn the_past_is_walked_as_it_was() {
    let bench = Bench::new();
    bench.make(b"d", FileKind::Directory);
    bench.make(b"d/a", FileKind::Regular);
    let before = bench.zone.put(&bench.me, "/d/b", b"x").unwrap().seq.unwrap();
    bench.zone.rename(&bench.me, "/d", "/e", nexus_engine::RenameMode::Replace, Durability::Durable).unwrap();
    bench.zone.unlink(&bench.me, "/e/a", Durability::Durable).unwrap();
    let at = |at| paths(&bench.zone.view(at).unwrap().walk(&bench.me, "/", &WalkOptions::default()).unwrap().entries);
    assert_eq!(at(At::Exactly(before)), [&b"d"[..], b"d/a", b"d/b"]);
    assert_eq!(at(At::Latest), [&b"e"[..], b"e/b"]);
    bench.close();
}

#[test]
fn what_cannot_be_walked_is_refused_with_its_kind() {
    let bench = Bench::new();
    bench.make(b"f", FileKind::Regular);
    bench.make(b"l", FileKind::Link);
    let view = bench.zone.view(At::Newest).unwrap();
    let kind = |path: &str, options: &WalkOptions<'_>| view.walk(&bench.me, path, options).unwrap_err().kind;
    assert_eq!(kind("/f", &WalkOptions::default()), Reason::NotDir);
    assert_eq!(kind("/none", &WalkOptions::default()), Reason::NotFound);
    assert_eq!(kind("/", &WalkOptions { limit: 0, ..WalkOptions::default() }), Reason::Invalid);
    assert_eq!(kind("/", &WalkOptions { depth: 0, ..WalkOptions::default() }), Reason::Invalid);
    // A symlink is followed where it is the base, not below: the walk of a link to / ends.
    let linked = view.walk(&bench.me, "/l", &WalkOptions::default()).unwrap();
    assert_eq!(paths(&linked.entries), [&b"f"[..], b"l"]);
    bench.close();
}
