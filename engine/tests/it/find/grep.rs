//! A search finds what looking at every line finds.

use std::ops::ControlFlow;

use nexus_engine::find::{BinaryFiles, Found, GrepOptions, GrepSummary};
use nexus_engine::limits::{CHUNK_BYTES_MAX, GREP_LINE_BYTES_MAX};
use nexus_engine::{At, Durability, View};
use nexus_log::event::Reason;
use nexus_projections::row::FileKind;
use proptest::prelude::*;

use super::Bench;

/// A line of the answer: whether it matches, its number, its offset, its bytes.
type Told = (bool, u64, u64, Vec<u8>);

fn searched(
    bench: &Bench,
    view: &View,
    path: &str,
    pattern: &str,
    options: &GrepOptions<'_>,
) -> (Vec<Told>, GrepSummary) {
    let mut told = Vec::new();
    let summary = view.grep(&bench.me, path, pattern, options, &mut |found| {
        match found {
            Found::Match { number, offset, line, ranges, .. } => {
                assert!(ranges.iter().all(|(start, end)| start <= end && *end <= line.len()));
                told.push((true, number, offset, line.to_vec()));
            }
            Found::Context { number, offset, line, .. } => told.push((false, number, offset, line.to_vec())),
            Found::Failed { error, .. } => panic!("{error}"),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    (told, summary.unwrap())
}

/// The model: every line looked at, context by distance.
fn looked_at(content: &[u8], needle: &[u8], before: usize, after: usize, max: Option<u64>) -> Vec<Told> {
    let mut lines: Vec<(u64, &[u8])> = Vec::new();
    let mut offset = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        lines.push((offset, line.strip_suffix(b"\n").unwrap_or(line)));
        offset += line.len() as u64;
    }
    let holds = |line: &[u8]| line.windows(needle.len()).any(|window| window == needle);
    let hits: Vec<usize> =
        (0..lines.len()).filter(|n| holds(lines[*n].1)).take(max.map_or(usize::MAX, |max| max as usize)).collect();
    (0..lines.len())
        .filter(|n| hits.iter().any(|hit| hit.saturating_sub(before) <= *n && *n <= hit + after))
        .map(|n| (hits.contains(&n), n as u64 + 1, lines[n].0, lines[n].1.to_vec()))
        .collect()
}

/// Lines of few words, some of them long, some not UTF-8; the last may lack its newline.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => proptest::collection::vec(proptest::sample::select(vec!["needle", "hay", " ", "ne", "edle", "\u{e9}"]), 0..6)
            .prop_map(|words| words.concat().into_bytes()),
        1 => Just(b"\xff\xfe needle \x80".to_vec()),
        1 => (1..300_000_usize).prop_map(|length| vec![b'x'; length]),
        1 => (1..200_000_usize).prop_map(|length| [&vec![b'y'; length][..], b"needle"].concat()),
    ];
    (proptest::collection::vec(line, 0..40), any::<bool>()).prop_map(|(lines, ended)| {
        let mut content = lines.join(&b'\n');
        if ended {
            content.push(b'\n');
        }
        content
    })
}

#[test]
fn a_search_finds_what_looking_at_every_line_finds_now_and_in_the_past() {
    let bench = Bench::new();
    let cases = (content(), content(), 0..3_usize, 0..3_usize, proptest::option::of(1..5_u64));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
    runner
        .run(&cases, |(first, second, before, after, max)| {
            let then = bench.zone.put(&bench.me, "/f", &first).unwrap().seq.unwrap();
            bench.zone.put(&bench.me, "/f", &second).unwrap();
            let options = GrepOptions { before, after, lines_per_file_max: max, ..GrepOptions::default() };
            for (at, content) in [(At::Exactly(then), &first), (At::Latest, &second)] {
                let view = bench.zone.view(at).unwrap();
                for fixed in [false, true] {
                    let options = GrepOptions { fixed, ..options };
                    let (told, summary) = searched(&bench, &view, "/f", "needle", &options);
                    let expected = looked_at(content, b"needle", before, after, max);
                    prop_assert_eq!(summary.lines, expected.iter().filter(|line| line.0).count() as u64);
                    prop_assert!(told == expected, "{} lines told, {} expected", told.len(), expected.len());
                }
            }
            Ok(())
        })
        .unwrap();
    bench.close();
}

#[test]
fn lines_across_the_borders_of_chunks_and_reads_are_found_whole() {
    let bench = Bench::new();
    // A match around every border of a chunk and of a read, and nowhere else.
    let mut content = vec![b'.'; 9 * CHUNK_BYTES_MAX];
    for border in (1..9).map(|n| n * CHUNK_BYTES_MAX) {
        content[border - 10] = b'\n';
        content[border - 3..border + 3].copy_from_slice(b"needle");
        content[border + 10] = b'\n';
    }
    bench.zone.put(&bench.me, "/f", &content).unwrap();
    // And one that a later write put across them.
    bench.zone.write(&bench.me, "/f", 3_000_000, b"\nneedle again\n", Durability::Durable).unwrap();
    content[3_000_000..3_000_014].copy_from_slice(b"\nneedle again\n");
    let view = bench.zone.view(At::Latest).unwrap();
    let (told, _) = searched(&bench, &view, "/f", "needle", &GrepOptions::default());
    assert_eq!(told.len(), 9);
    assert!(told == looked_at(&content, b"needle", 0, 0, None));
    bench.close();
}

#[test]
fn holes_are_zeros_and_make_a_file_binary() {
    let bench = Bench::new();
    bench.make(b"d", FileKind::Directory);
    bench.zone.put(&bench.me, "/d/f", b"needle 1\n").unwrap();
    bench.zone.write(&bench.me, "/d/f", 200_000, b"\nneedle 2\n", Durability::Durable).unwrap();
    let view = bench.zone.view(At::Latest).unwrap();
    let lines =
        |path: &str, binary| searched(&bench, &view, path, "needle", &GrepOptions { binary, ..GrepOptions::default() });
    let (told, summary) = lines("/d", BinaryFiles::Text);
    assert_eq!((told.len(), told[1].2, summary.binary), (2, 200_001, 0));
    let (told, summary) = lines("/d", BinaryFiles::Skip);
    assert_eq!((told.len(), summary.files, summary.binary, summary.files_matched), (0, 1, 1, 0));
    // Searched, and told that it matches.
    let (told, summary) = lines("/d", BinaryFiles::Report);
    assert_eq!((told.len(), summary.binary, summary.files_matched, summary.lines), (0, 1, 1, 2));
    // As a file that was named is.
    assert_eq!(lines("/d/f", BinaryFiles::Skip).1.files_matched, 1);
    bench.close();
}

#[test]
fn a_line_beyond_the_limit_is_told_and_the_search_goes_on() {
    let bench = Bench::new();
    bench.make(b"a-zeros", FileKind::Regular);
    bench.zone.truncate(&bench.me, "/a-zeros", 4 * GREP_LINE_BYTES_MAX as u64, Durability::Durable).unwrap();
    bench.zone.put(&bench.me, "/b", b"needle\n").unwrap();
    let view = bench.zone.view(At::Latest).unwrap();
    let options = GrepOptions { binary: BinaryFiles::Text, ..GrepOptions::default() };
    let mut events = Vec::new();
    let summary = view.grep(&bench.me, "/", "needle", &options, &mut |found| {
        events.push(match found {
            Found::Failed { path, error, .. } => format!("{} {}", String::from_utf8_lossy(path), error.kind.name()),
            Found::Match { path, .. } => String::from_utf8_lossy(path).into_owned(),
            Found::Done { lines, .. } => format!("done {lines}"),
            other => format!("{other:?}"),
        });
        ControlFlow::Continue(())
    });
    assert_eq!(events, ["a-zeros too_large", "b", "done 1"]);
    assert_eq!(
        summary.unwrap(),
        GrepSummary { files: 2, files_matched: 1, lines: 1, failed: 1, ..GrepSummary::default() }
    );
    bench.close();
}

#[test]
fn a_tree_is_searched_in_order_where_the_globs_say_until_there_is_enough() {
    let bench = Bench::new();
    for path in ["src", "src/deep", "target"] {
        bench.make(path.as_bytes(), FileKind::Directory);
    }
    for path in ["/a.md", "/src/b.rs", "/src/deep/c.rs", "/target/d.rs", "/z.rs"] {
        bench.zone.put(&bench.me, path, b"one Needle\ntwo needle\nthree\n").unwrap();
    }
    bench.make(b"src/link", FileKind::Link);
    let view = bench.zone.view(At::Latest).unwrap();
    let files = |options: &GrepOptions<'_>| {
        let (mut files, mut lines) = (Vec::new(), 0);
        let summary = view.grep(&bench.me, "/", "needle", options, &mut |found| {
            match found {
                Found::Done { path, .. } => files.push(String::from_utf8(path.to_vec()).unwrap()),
                Found::Match { .. } => lines += 1,
                _ => {}
            }
            ControlFlow::Continue(())
        });
        (files, lines, summary.unwrap().stopped)
    };
    let all = GrepOptions::default();
    let every = ["a.md", "src/b.rs", "src/deep/c.rs", "target/d.rs", "z.rs"].map(String::from).to_vec();
    assert_eq!(files(&all), (every.clone(), 5, false));
    assert_eq!(files(&GrepOptions { case_insensitive: true, ..all }), (every, 10, false));
    let (some, _, _) = files(&GrepOptions { globs: &["*.rs", "!target/"], ..all });
    assert_eq!(some, ["src/b.rs", "src/deep/c.rs", "z.rs"]);
    let (some, _, _) = files(&GrepOptions { globs: &["/src/**"], ..all });
    assert_eq!(some, ["src/b.rs", "src/deep/c.rs"]);
    assert_eq!(files(&GrepOptions { lines_max: Some(2), ..all }).1, 2);
    assert!(files(&GrepOptions { lines_max: Some(2), ..all }).2);
    assert_eq!(files(&GrepOptions { file_bytes_max: Some(5), ..all }), (vec![], 0, false));
    let mut first = 0;
    let stopped = view.grep(&bench.me, "/", "needle", &all, &mut |_| {
        first += 1;
        ControlFlow::Break(())
    });
    assert!(first == 1 && stopped.unwrap().stopped, "the receiver has the last word");
    bench.close();
}

#[test]
fn what_cannot_be_searched_for_is_refused() {
    let bench = Bench::new();
    let view = bench.zone.view(At::Newest).unwrap();
    let refused = |pattern: &str, globs: &[&str]| {
        let options = GrepOptions { globs, ..GrepOptions::default() };
        view.grep(&bench.me, "/", pattern, &options, &mut |_| ControlFlow::Continue(())).unwrap_err().kind
    };
    for pattern in ["(", r"a\nb", "a{1000}{1000}{1000}", &"(".repeat(5000)] {
        assert_eq!(refused(pattern, &[]), Reason::Invalid, "{pattern:.20}");
    }
    assert_eq!(refused(&"a".repeat(100_000), &[]), Reason::TooLarge);
    assert_eq!(refused("a", &["["]), Reason::Invalid);
    assert_eq!(refused("a", &["x"; 1000]), Reason::TooLarge);
    bench.close();
}
