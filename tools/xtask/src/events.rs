//! docs/EVENTS.md says what the code says: kinds, versions, names, fields and codes.
//!
//! The page is written by hand, for its meanings; what can drift is compared. It has one heading per struct of
//! log/src/event/v*.rs, ending in the struct's name, with a table of its fields in their order below:
//!
//! ```text
//! ### `written`: kind 49, version 1, `Written`
//! | `offset` | `u64` | where the write began |
//! ```
//!
//! and one per list of codes, with a table of `number | name | meaning`.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::tree::Tree;

const PAGE: &str = "docs/EVENTS.md";
const KINDS: &str = "log/src/event/mod.rs";
const CODES: &str = "log/src/event/reason.rs";
const STRUCTS: &str = "log/src/event/v";

/// What a heading promises and the rows below it: (first column, second column).
type Rows = Vec<(String, String)>;

/// Differences between the page and the code.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let [Some(page), Some(kinds), Some(codes)] = [PAGE, KINDS, CODES].map(|file| tree.text(file)) else {
        return vec![Finding::whole(PAGE, format!("it, {KINDS} or {CODES} is missing"))];
    };
    let mut declared = declared_codes(codes);
    for (file, text) in tree.rust().filter(|(file, _)| is_structs_file(file)) {
        let version = file.trim_start_matches(STRUCTS).trim_end_matches(".rs");
        declared.extend(structs(text).into_iter().map(|(name, rows)| (heading(kinds, version, &name), rows)));
    }
    compare(&declared, &documented(page))
}

fn is_structs_file(file: &str) -> bool {
    file.strip_prefix(STRUCTS).and_then(|rest| rest.strip_suffix(".rs")).is_some_and(|v| v.parse::<u16>().is_ok())
}

fn compare(declared: &BTreeMap<String, Rows>, documented: &BTreeMap<String, (usize, Rows)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (heading, rows) in declared {
        let Some((line, written)) = documented.get(heading) else {
            findings.push(Finding::whole(PAGE, format!("the heading \"### {heading}\" is missing")));
            continue;
        };
        if rows != written {
            let message = format!("\"{heading}\" is\n  {} in the code and\n  {} here", list(rows), list(written));
            findings.push(Finding::at(PAGE, *line, message));
        }
    }
    for (heading, (line, _)) in documented.iter().filter(|(heading, _)| !declared.contains_key(*heading)) {
        findings.push(Finding::at(PAGE, *line, format!("nothing in the code is \"{heading}\"")));
    }
    findings
}

fn list(rows: &Rows) -> String {
    rows.iter().map(|(first, second)| format!("{first}: {second}")).collect::<Vec<_>>().join(", ")
}

/// What the page's heading of a struct must be: events and sections have a kind, parts of them a name only.
fn heading(kinds: &str, version: &str, name: &str) -> String {
    let section = match name {
        "Context" => Some("CONTEXT"),
        "ChunkList" => Some("CHUNKS"),
        _ => None,
    };
    if let Some(constant) = section {
        let start = format!("pub const {constant}: Kind = Kind(");
        let kind = kinds.lines().find_map(|line| line.trim().strip_prefix(&start)).unwrap_or("?);");
        let kind = kind.trim_end_matches(");");
        return format!("`{}`: kind {kind}, version {version}, `{name}`", constant.to_lowercase());
    }
    for line in kinds.lines() {
        if let Some((variant, [kind, of, shown])) = declaration::<3>(line)
            && variant == name
            && of == version
        {
            return format!("`{}`: kind {kind}, version {version}, `{name}`", shown.trim_matches('"'));
        }
    }
    format!("`{name}`, version {version}")
}

/// The parts of a line `Name = a, b, c;`.
fn declaration<const PARTS: usize>(line: &str) -> Option<(&str, [&str; PARTS])> {
    let (name, rest) = line.trim().strip_suffix(';')?.split_once(" = ")?;
    let parts: Vec<&str> = rest.split(", ").collect();
    Some((name, parts.try_into().ok()?))
}

/// The lists of codes: heading -> (number, name).
fn declared_codes(text: &str) -> BTreeMap<String, Rows> {
    let mut lists: BTreeMap<String, Rows> = BTreeMap::new();
    let mut heading = None;
    for line in text.lines() {
        if let Some(name) = line.trim().strip_suffix(" {").filter(|name| name.chars().all(char::is_alphanumeric)) {
            heading = Some(format!("Codes of `{name}`"));
        } else if let (Some(heading), Some((_, [code, shown]))) = (&heading, declaration::<2>(line)) {
            let row = (code.to_owned(), shown.trim_matches('"').to_owned());
            lists.entry(heading.clone()).or_default().push(row);
        }
    }
    lists
}

/// The structs of a version: name -> (field, type).
fn structs(text: &str) -> BTreeMap<String, Rows> {
    let mut found: BTreeMap<String, Rows> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
            found.insert(name.to_owned(), Vec::new());
            current = Some(name.to_owned());
        } else if line == "}" {
            current = None;
        } else if let Some(rows) = current.as_ref().and_then(|name| found.get_mut(name))
            && let Some((field, kind)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
        {
            rows.push((field.to_owned(), kind.trim_end_matches(',').to_owned()));
        }
    }
    found
}

/// The page: heading -> (line, the first two columns of the table below it).
fn documented(page: &str) -> BTreeMap<String, (usize, Rows)> {
    let mut found: BTreeMap<String, (usize, Rows)> = BTreeMap::new();
    let mut current: Option<String> = None;
    for (index, line) in page.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("### ") {
            found.insert(heading.to_owned(), (index + 1, Vec::new()));
            current = Some(heading.to_owned());
        } else if line.starts_with('#') {
            current = None;
        } else if let Some((_, rows)) = current.as_ref().and_then(|heading| found.get_mut(heading))
            && let Some([first, second]) = columns(line)
        {
            rows.push((first, second));
        }
    }
    found
}

/// The first two columns of a table's row, unless it is the head or the rule below it.
fn columns(line: &str) -> Option<[String; 2]> {
    let mut cells = line.strip_prefix("| ")?.split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned());
    let (first, second) = (cells.next()?, cells.next()?);
    let is_head = matches!(first.as_str(), "field" | "code") || first.starts_with('-');
    (!is_head).then_some([first, second])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS_TEXT: &str = "pub const CONTEXT: Kind = Kind(1);\nevents! {\n    Written = 49, 1, \"written\";\n}\n";
    const CODES_TEXT: &str = "codes! {\n    /// Why.\n    Reason {\n        NotFound = 1, \"not_found\";\n    }\n}\n";
    const STRUCTS_TEXT: &str = "archived! {\n    /// Whose.\n    pub struct Context {\n        pub user: String,\n    }\n\n    \
        pub struct Written {\n        /// Where.\n        pub offset: u64,\n        pub piece: Option<Piece>,\n    }\n\n    \
        pub struct Piece {\n        pub length: u32,\n    }\n}\n";
    const PAGE_TEXT: &str = "# Events\n\n### `context`: kind 1, version 1, `Context`\n\n| field | type | meaning |\n|---|---|---|\n\
        | `user` | `String` | whose |\n\n### `written`: kind 49, version 1, `Written`\n| `offset` | `u64` | where |\n\
        | `piece` | `Option<Piece>` | what |\n\n## Parts\n| `stray` | `u8` | not below a heading of ours |\n\n\
        ### `Piece`, version 1\n| `length` | `u32` | bytes |\n\n### Codes of `Reason`\n| code | name | meaning |\n| 1 | `not_found` | no |\n";

    fn found(kinds: &str, codes: &str, structs: &str, page: &str) -> Vec<String> {
        let files = [(KINDS, kinds), (CODES, codes), ("log/src/event/v1.rs", structs), (PAGE, page)];
        check(&Tree::planted(&files)).iter().map(|finding| format!("{finding}")).collect()
    }

    #[test]
    fn a_page_that_agrees_passes() {
        assert_eq!(found(KINDS_TEXT, CODES_TEXT, STRUCTS_TEXT, PAGE_TEXT), [""; 0]);
    }

    #[test]
    fn every_difference_is_found() {
        let renumbered = KINDS_TEXT.replace("49", "50");
        let renamed = KINDS_TEXT.replace("\"written\"", "\"wrote\"");
        for kinds in [renumbered, renamed] {
            assert_eq!(found(&kinds, CODES_TEXT, STRUCTS_TEXT, PAGE_TEXT).len(), 2, "one missing, one unknown heading");
        }
        for (from, to) in [("offset: u64", "offset: u32"), ("offset:", "start:"), ("        pub offset: u64,\n", "")] {
            let changed = STRUCTS_TEXT.replace(from, to);
            assert_eq!(found(KINDS_TEXT, CODES_TEXT, &changed, PAGE_TEXT).len(), 1, "{from} -> {to}");
        }
        let added = CODES_TEXT.replace("    }\n}", "        Exists = 2, \"exists\";\n    }\n}");
        assert_eq!(found(KINDS_TEXT, &added, STRUCTS_TEXT, PAGE_TEXT).len(), 1);
        let undocumented = PAGE_TEXT.replace("### `Piece`, version 1\n", "");
        assert!(!found(KINDS_TEXT, CODES_TEXT, STRUCTS_TEXT, &undocumented).is_empty());
    }

    #[test]
    fn a_missing_page_fails() {
        assert_eq!(check(&Tree::planted(&[(KINDS, KINDS_TEXT), (CODES, CODES_TEXT)])).len(), 1);
    }
}
