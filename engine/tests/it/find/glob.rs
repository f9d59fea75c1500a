//! A glob finds what the plain meaning of its pattern says, and looks nowhere else.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nexus_engine::At;
use nexus_engine::find::GlobOptions;
use nexus_engine::gate::{Call, Hook};
use nexus_log::event::{Reason, Syscall};
use nexus_projections::row::FileKind;
use proptest::prelude::*;

use super::{Bench, in_order, names, plant, tree};

/// A pattern's part and the meaning that the model gives it.
#[derive(Clone, Debug)]
enum Part {
    Any,
    Names(Vec<Token>),
}

#[derive(Clone, Debug)]
enum Token {
    Byte(u8),
    One,
    Many,
    Either(Vec<u8>),
}

fn part_matches(tokens: &[Token], name: &[u8]) -> bool {
    let Some((first, rest)) = tokens.split_first() else { return name.is_empty() };
    match (first, name) {
        (Token::Many, _) => (0..=name.len()).any(|skip| part_matches(rest, &name[skip..])),
        (_, []) => false,
        (Token::Byte(byte), [at, more @ ..]) => byte == at && part_matches(rest, more),
        (Token::One, [_, more @ ..]) => part_matches(rest, more),
        (Token::Either(bytes), [at, more @ ..]) => bytes.contains(at) && part_matches(rest, more),
    }
}

/// `**` is any number of directories; in the last place something must stand there.
fn matches(parts: &[Part], names: &[Vec<u8>]) -> bool {
    match parts {
        [] => names.is_empty(),
        [Part::Any] => !names.is_empty(),
        [Part::Any, rest @ ..] => (0..=names.len()).any(|skip| matches(rest, &names[skip..])),
        [Part::Names(tokens), rest @ ..] => match names {
            [name, more @ ..] => part_matches(tokens, name) && matches(rest, more),
            [] => false,
        },
    }
}

fn text(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Any => "**".to_owned(),
        Part::Names(tokens) => tokens
            .iter()
            .map(|token| match token {
                Token::Byte(byte) => char::from(*byte).to_string(),
                Token::One => "?".into(),
                Token::Many => "*".into(),
                Token::Either(bytes) if bytes.len() == 1 => format!("[{}]", char::from(bytes[0])),
                Token::Either(bytes) => {
                    let each: Vec<String> = bytes.iter().map(|byte| char::from(*byte).to_string()).collect();
                    format!("{{{}}}", each.join(","))
                }
            })
            .collect(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join("/")
}

fn part() -> impl Strategy<Value = Part> {
    let byte = proptest::sample::select(b"ab.rsmdx".to_vec());
    let token = prop_oneof![
        4 => byte.clone().prop_map(Token::Byte),
        1 => Just(Token::One),
        2 => Just(Token::Many),
        1 => proptest::collection::vec(byte, 1..3).prop_map(Token::Either),
    ];
    let tokens = proptest::collection::vec(token, 1..4).prop_map(|mut tokens| {
        // Two stars side by side would be another token.
        tokens.dedup_by(|a, b| matches!((a, b), (Token::Many, Token::Many)));
        Part::Names(tokens)
    });
    // A dot alone is no name, and so no pattern.
    let tokens = tokens.prop_filter("dots", |part| !matches!(&text(std::slice::from_ref(part))[..], "." | ".."));
    prop_oneof![1 => Just(Part::Any), 4 => tokens]
}

#[test]
fn a_glob_finds_what_its_pattern_means_in_pages_of_any_size() {
    let (bench, turn) = (Bench::new(), Cell::new(0));
    let cases = (tree(), proptest::collection::vec(proptest::collection::vec(part(), 1..4), 12), 1..9_usize);
    let found_in_all = Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 32, ..ProptestConfig::default() });
    runner
        .run(&cases, |(tree, patterns, limit)| {
            let base = format!("g{}", turn.replace(turn.get() + 1));
            plant(&bench, &base, &tree);
            let view = bench.zone.view(At::Newest).unwrap();
            for pattern in patterns {
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let options = GlobOptions { after: after.as_ref(), limit, ..GlobOptions::default() };
                    let page = view.glob(&bench.me, format!("/{base}").as_str(), &text(&pattern), &options).unwrap();
                    found.extend(page.entries.into_iter().map(|entry| entry.path));
                    let Some(next) = page.next else { break };
                    prop_assert!(after.as_ref() != Some(&next), "{} does not come on", text(&pattern));
                    after = Some(next);
                }
                let mut expected = in_order(&tree);
                expected.retain(|path| matches(&pattern, &names(path)));
                found_in_all.set(found_in_all.get() + found.len());
                prop_assert_eq!(found, expected, "{}", text(&pattern));
            }
            Ok(())
        })
        .unwrap();
    assert!(found_in_all.get() > 100, "the patterns hardly match anything: {}", found_in_all.get());
    bench.close();
}

fn found(bench: &Bench, base: &str, pattern: &str, options: &GlobOptions<'_>) -> Vec<String> {
    let page = bench.zone.view(At::Newest).unwrap().glob(&bench.me, base, pattern, options).unwrap();
    assert!(page.next.is_none());
    page.entries.into_iter().map(|entry| String::from_utf8(entry.path).unwrap()).collect()
}

#[test]
fn classes_braces_escapes_and_case() {
    let bench = Bench::new();
    for path in ["docs", "docs/a", "Docs"] {
        bench.make(path.as_bytes(), FileKind::Directory);
    }
    for path in ["docs/x.rs", "docs/y.md", "docs/a/z.rs", "docs/*", "docs/.hidden", "Docs/X.RS"] {
        bench.make(path.as_bytes(), FileKind::Regular);
    }
    let all = GlobOptions::default();
    assert_eq!(found(&bench, "/", "docs/*.{rs,md}", &all), ["docs/x.rs", "docs/y.md"]);
    assert_eq!(found(&bench, "/docs", "{x,a/z}.rs", &all), ["a/z.rs", "x.rs"]);
    assert_eq!(found(&bench, "/docs", r"\*", &all), ["*"]);
    assert_eq!(found(&bench, "/docs", "[!x].md", &all), ["y.md"]);
    assert_eq!(found(&bench, "/docs", "*", &all), ["*", ".hidden", "a", "x.rs", "y.md"]);
    assert_eq!(found(&bench, "/", "docs/none/*", &all), Vec::<String>::new());
    assert_eq!(found(&bench, "/", "docs/x.rs/*", &all), Vec::<String>::new());
    let either = GlobOptions { case_insensitive: true, ..all };
    assert_eq!(found(&bench, "/", "dOcs/*.rs", &either), ["Docs/X.RS", "docs/x.rs"]);
    let view = bench.zone.view(At::Newest).unwrap();
    for pattern in ["/docs/*", "docs/", "[", "{a"] {
        assert_eq!(view.glob(&bench.me, "/", pattern, &all).unwrap_err().kind, Reason::Invalid, "{pattern}");
    }
    bench.close();
}

/// Counts the listings that a call makes.
struct Listings(AtomicUsize);

impl Hook for Listings {
    fn pre(&self, call: &Call<'_>) -> nexus_engine::Result<()> {
        if call.syscall == Syscall::Readdir {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[test]
fn a_glob_lists_only_where_something_can_match() {
    let bench = Bench::new();
    for top in ["a", "b", "c"] {
        bench.make(top.as_bytes(), FileKind::Directory);
        for inner in ["x", "y", "z"] {
            bench.make(format!("{top}/{inner}").as_bytes(), FileKind::Directory);
            bench.make(format!("{top}/{inner}/f").as_bytes(), FileKind::Regular);
        }
    }
    let listings = Arc::new(Listings(AtomicUsize::new(0)));
    bench.zone.install_hooks(vec![Arc::clone(&listings) as Arc<dyn Hook>]);
    for (pattern, hits, lists) in
        [("a/x/f", 1, 0), ("a/x/*", 1, 1), ("a/*/f", 3, 1), ("*/x/f", 3, 1), ("a/**", 6, 4), ("{a,b}/y/?", 2, 3)]
    {
        listings.0.store(0, Ordering::Relaxed);
        assert_eq!(found(&bench, "/", pattern, &GlobOptions::default()).len(), hits, "{pattern}");
        assert_eq!(listings.0.load(Ordering::Relaxed), lists, "{pattern}");
    }
    bench.close();
}
