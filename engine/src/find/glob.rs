//! `glob`: the paths that a pattern matches.
//!
//! ```text
//!  docs/*/{a,b}.md/**/x      pattern, taken apart at / outside of braces and classes
//!  ^    ^ ^        ^
//!  |    | |        tail: from the first part that can match more than one name on, the whole pattern decides
//!  |    heads: one name each; a directory whose name does not match is not entered
//!  a head without wildcards is looked up, its directory is not listed
//! ```
//!
//! `*` and `?` match within a name (`?` one byte), `**` as a whole part any number of directories, `{a,b}` either,
//! `[a-z]` and `[!a-z]` a byte, `\` takes the next character as it is. A leading dot is nothing special. Names are
//! bytes; what is not UTF-8 is matched by wildcards.

use globset::{GlobBuilder, GlobSet};
use nexus_log::event::{Reason, Syscall};

use super::cursor::Cursor;
use super::walk::Page;
use super::walker::{Base, Guide, Judged, Step, Walker};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::limits::{GLOB_BYTES_MAX, WALK_ENTRIES_MAX};
use crate::path::{Target, check_name};
use crate::view::View;

/// How to match.
#[derive(Clone, Copy, Debug)]
pub struct GlobOptions<'a> {
    /// ASCII letters match in either case.
    pub case_insensitive: bool,
    /// With attributes.
    pub stat: bool,
    /// Go on where an earlier page ended.
    pub after: Option<&'a Cursor>,
    /// Paths of this page; at most [`WALK_ENTRIES_MAX`].
    pub limit: usize,
}

impl Default for GlobOptions<'_> {
    fn default() -> Self {
        GlobOptions { case_insensitive: false, stat: false, after: None, limit: WALK_ENTRIES_MAX }
    }
}

/// A part of a pattern that matches one name.
#[derive(Clone, Debug)]
enum Head {
    Name(Vec<u8>),
    Names(GlobSet),
}

impl Head {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Head::Name(only) => only == name,
            Head::Names(matcher) => is_match(matcher, name),
        }
    }
}

/// A pattern, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    heads: Vec<Head>,
    /// The whole pattern, where its end can match more than one name.
    tail: Option<GlobSet>,
}

pub(super) fn is_match(matcher: &GlobSet, path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    matcher.is_match(std::ffi::OsStr::from_bytes(path))
}

pub(super) fn compile(pattern: &str, case_insensitive: bool) -> Result<GlobSet> {
    if pattern.len() > GLOB_BYTES_MAX {
        let message = format!("the pattern is {} bytes long; at most {GLOB_BYTES_MAX}", pattern.len());
        return Err(Error::new(Reason::TooLarge, message));
    }
    let refused = |error| Error::new(Reason::Invalid, format!("{pattern:?} is no pattern")).because(error);
    let glob = GlobBuilder::new(pattern).literal_separator(true).case_insensitive(case_insensitive).build();
    // As a set of one: compiled alone, a pattern that is nested too deeply is a panic.
    GlobSet::builder().add(glob.map_err(refused)?).build().map_err(refused)
}

/// The parts of a pattern between its separators, and of each whether it matches exactly one name.
fn parts(pattern: &str) -> Vec<(&str, bool)> {
    let mut parts = Vec::new();
    let (mut begin, mut braces, mut class, mut separator_inside, mut escaped) = (0, 0_usize, None, false, false);
    for (at, character) in pattern.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match (character, class) {
            // A class ends at the first ] that is not the first in it.
            (']', Some(opened)) if !matches!(&pattern[opened..at], "[" | "[!" | "[^") => class = None,
            (_, Some(_)) => {}
            ('\\', None) => escaped = true,
            ('[', None) => class = Some(at),
            ('{', None) => braces += 1,
            ('}', None) => braces = braces.saturating_sub(1),
            ('/', None) if braces > 0 => separator_inside = true,
            ('/', None) => {
                let part = &pattern[begin..at];
                parts.push((part, !std::mem::take(&mut separator_inside) && !part.contains("**")));
                begin = at + 1;
            }
            _ => {}
        }
    }
    let part = &pattern[begin..];
    parts.push((part, !separator_inside && !part.contains("**")));
    parts
}

impl Pattern {
    pub(super) fn new(pattern: &str, case_insensitive: bool) -> Result<Pattern> {
        let whole = compile(pattern, case_insensitive)?;
        let mut heads = Vec::new();
        for (part, one_name) in parts(pattern) {
            if !one_name {
                return Ok(Pattern { heads, tail: Some(whole) });
            }
            let plain = !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
            if plain && check_name(part.as_bytes()).is_err() {
                let message =
                    format!("{pattern:?} matches nothing: it is relative to its base, in names between single /");
                return Err(Error::new(Reason::Invalid, message));
            }
            heads.push(match plain && !case_insensitive {
                true => Head::Name(part.as_bytes().to_vec()),
                false => Head::Names(compile(part, case_insensitive)?),
            });
        }
        Ok(Pattern { heads, tail: None })
    }
}

impl Guide for Pattern {
    fn only(&self, depth: usize) -> Option<&[u8]> {
        match self.heads.get(depth - 1) {
            Some(Head::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn judge(&self, step: Step<'_>) -> Judged {
        if self.heads.get(step.depth - 1).is_some_and(|head| !head.matches(step.name)) {
            return Judged { show: false, enter: false };
        }
        match &self.tail {
            Some(whole) => Judged { show: is_match(whole, step.path), enter: true },
            None => Judged { show: step.depth == self.heads.len(), enter: step.depth < self.heads.len() },
        }
    }
}

impl View {
    /// What stands below a directory and matches `pattern`, which is relative to it; in the order of
    /// [`View::walk`], page by page. Directories that no match can stand in are not looked into; symlinks are not
    /// followed.
    pub fn glob<'a>(
        &self,
        caller: &Caller,
        base: impl Into<Target<'a>>,
        pattern: &str,
        options: &GlobOptions<'_>,
    ) -> Result<Page> {
        let target = base.into();
        self.call(caller, Syscall::Glob, target, |seen| {
            let guide = Pattern::new(pattern, options.case_insensitive)?;
            let base = Base::find(self, caller, target)?;
            seen.bytes(&base.node, 0);
            let walker = Walker::new(self, base, guide, options.after, options.limit)?;
            self.page(caller, walker, options.limit, options.stat)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(pattern: &str) -> String {
        let pattern = Pattern::new(pattern, false).unwrap();
        let heads = pattern.heads.iter().map(|head| match head {
            Head::Name(_) => 'n',
            Head::Names(_) => 'w',
        });
        heads.chain(pattern.tail.map(|_| '>')).collect()
    }

    #[test]
    fn a_pattern_is_taken_apart_where_a_part_is_one_name() {
        for (pattern, expected) in [
            ("a", "n"),
            ("a/b/*.rs", "nnw"),
            ("a/**/b", "n>"),
            ("**", ">"),
            ("x**/b", ">"),
            ("{a,b}/c", "wn"),
            ("{a,b/c}/d", ">"),
            ("a/[/]/b", "nwn"),
            ("[]/]/b", "wn"),
            (r"\{a/b", "wn"),
            (r"a\*", "w"),
            ("a/{b,{c,d/**}}/e", "n>"),
        ] {
            assert_eq!(shape(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_a_pattern_is_refused() {
        for pattern in ["", "/a", "a//b", "a/", "../a", "a/./b", "[", "{a", "[z-a]", r"a\", "a}"] {
            assert_eq!(Pattern::new(pattern, false).unwrap_err().kind, Reason::Invalid, "{pattern:?}");
        }
        let long = "a".repeat(GLOB_BYTES_MAX + 1);
        assert_eq!(Pattern::new(&long, false).unwrap_err().kind, Reason::TooLarge);
    }

    #[test]
    fn hostile_patterns_are_answered() {
        let nested = format!("{}a{}", "{".repeat(2000), "}".repeat(2000));
        let alternatives = format!("{{{}}}", "a*,".repeat(1300));
        let stars = "*a".repeat(2000);
        for pattern in [nested, alternatives, stars] {
            // Compiled or refused; never a crash.
            let _: Result<Pattern> = Pattern::new(&pattern, false);
        }
    }
}
