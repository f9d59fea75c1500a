//! The bugs in `tests/planted`: each is a change that the named harness must notice. This keeps them fit to be put in;
//! `git apply --unidiff-zero` puts one in, the command in its first line must fail then, and the same with `-R` takes it out again.

use std::path::Path;

use nexus_log::env::Env;

/// The lines that a hunk looks for, context and removed ones.
fn looked_for(hunk: &str) -> String {
    let lines = hunk.lines().skip(1).filter(|line| line.starts_with([' ', '-']));
    lines.map(|line| format!("{}\n", &line[1..])).collect()
}

#[test]
fn every_planted_bug_still_fits_its_place() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bugs = 0;
    for name in Env::real().disk.list(&here.join("planted")).unwrap() {
        let path = here.join("planted").join(name);
        let bug = std::fs::read_to_string(&path).unwrap();
        let (first, name) = (bug.lines().next().unwrap(), path.display());
        assert!(first.starts_with("Found by: cargo nextest run "), "{name} names its harness");
        let file = bug.lines().find_map(|line| line.strip_prefix("+++ b/")).expect("a file");
        let source = std::fs::read_to_string(here.join("..").join(file)).unwrap();
        let hunks: Vec<&str> = bug.split("\n@@ ").skip(1).collect();
        assert!(!hunks.is_empty(), "{name}");
        for hunk in hunks {
            assert!(source.contains(&looked_for(hunk)), "{name} no longer fits {file}; make it anew:\n{hunk}");
        }
        bugs += 1;
    }
    assert!(bugs >= 10, "{bugs} bugs");
}
