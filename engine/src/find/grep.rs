//! `grep`: the lines that an expression matches, in a file or in all files below a directory.
//!
//! The content goes through ripgrep's line searcher piece by piece, so memory is bounded by the longest line that is
//! allowed, not by the file. Lines end at a newline; they are bytes, in no encoding, and offsets count bytes. What was
//! found is handed over as it is found: nothing is gathered.

mod file;
mod select;

use std::ops::ControlFlow;

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::Inode;
use nexus_projections::row::FileKind;

use self::file::{Line, Report, SearchFile};
use self::select::Select;
use super::walker::{Base, Visited, Walker};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::limits::{GREP_CONTEXT_LINES_MAX, GREP_LINE_BYTES_MAX, GREP_PATTERN_BYTES_MAX, GREP_REGEX_BYTES_MAX};
use crate::path::Target;
use crate::view::View;

/// What to do with a file that holds a NUL, and so is taken for binary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BinaryFiles {
    /// Stop searching it at the NUL. A file that the caller named is searched as with `Report`.
    #[default]
    Skip,
    /// Search all of it, and say that it matches instead of showing lines behind the NUL.
    Report,
    /// Search and show it as if it were text.
    Text,
}

/// How to search. The default is a case-sensitive expression, all matches, no context.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrepOptions<'a> {
    /// The pattern is text, not an expression.
    pub fixed: bool,
    pub case_insensitive: bool,
    /// Lines of context before and behind a match; at most [`GREP_CONTEXT_LINES_MAX`].
    pub before: usize,
    pub after: usize,
    /// Matching lines per file; the rest of the file is not searched.
    pub lines_per_file_max: Option<u64>,
    /// Matching lines in all; then the search ends.
    pub lines_max: Option<u64>,
    pub binary: BinaryFiles,
    /// Which files to search below a directory, as ripgrep's `--glob`: patterns to search, and with `!` before them
    /// not to; the last that matches decides. A pattern without `/` is about a name at any depth, one with `/` about
    /// the path from the base; one that ends in `/` is about directories.
    pub globs: &'a [&'a str],
    /// Larger files are not searched.
    pub file_bytes_max: Option<u64>,
}

/// What a search comes upon, in order. `path` is from the base, empty where the base is the file.
#[derive(Debug)]
pub enum Found<'a> {
    /// A line that matches. `ranges` are the places in it, the first [`GREP_RANGES_MAX`](crate::limits) of them.
    Match { path: &'a [u8], inode: Inode, number: u64, offset: u64, line: &'a [u8], ranges: &'a [(usize, usize)] },
    /// A line around a match.
    Context { path: &'a [u8], inode: Inode, number: u64, offset: u64, line: &'a [u8] },
    /// Lines are left out here, between the context of one match and the next.
    Break,
    /// The file is binary, by the NUL at `offset`. `matches`: lines behind it match, and are not shown
    /// ([`BinaryFiles::Report`]). With [`BinaryFiles::Skip`] it was not searched further, after `lines` that match.
    Binary { path: &'a [u8], inode: Inode, offset: u64, lines: u64, matches: bool },
    /// The file is larger than was allowed, and was not searched.
    TooLarge { path: &'a [u8], inode: Inode, size: u64 },
    /// The file, or the directory, could not be searched to its end. The search goes on with the next.
    Failed { path: &'a [u8], inode: Option<Inode>, error: Error },
    /// All of a file that matches was told; so many of its lines match, those that are not shown too.
    Done { path: &'a [u8], inode: Inode, lines: u64 },
}

/// What a search came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrepSummary {
    /// Files that were searched, whole or in part.
    pub files: u64,
    pub files_matched: u64,
    /// Lines that match.
    pub lines: u64,
    pub binary: u64,
    pub too_large: u64,
    pub failed: u64,
    /// It ended before everything was searched: there were enough lines, or the receiver wanted no more.
    pub stopped: bool,
}

/// Takes what a search finds. To break ends the search.
pub(crate) type Receiver<'r> = &'r mut dyn FnMut(Found<'_>) -> ControlFlow<()>;

fn matcher(pattern: &str, options: &GrepOptions<'_>) -> Result<RegexMatcher> {
    if pattern.len() > GREP_PATTERN_BYTES_MAX {
        let message = format!("the expression is {} bytes long; at most {GREP_PATTERN_BYTES_MAX}", pattern.len());
        return Err(Error::new(Reason::TooLarge, message));
    }
    let mut builder = RegexMatcherBuilder::new();
    builder
        .multi_line(true)
        .case_insensitive(options.case_insensitive)
        .fixed_strings(options.fixed)
        .line_terminator(Some(b'\n'))
        .size_limit(GREP_REGEX_BYTES_MAX)
        .dfa_size_limit(GREP_REGEX_BYTES_MAX);
    builder.build(pattern).map_err(|error| {
        Error::new(Reason::Invalid, "the pattern is no regular expression that matches within a line").because(error)
    })
}

fn searcher(options: &GrepOptions<'_>, binary: BinaryFiles, lines_max: u64) -> Searcher {
    let mut builder = SearcherBuilder::new();
    builder
        .line_number(true)
        .before_context(options.before.min(GREP_CONTEXT_LINES_MAX))
        .after_context(options.after.min(GREP_CONTEXT_LINES_MAX))
        .heap_limit(Some(GREP_LINE_BYTES_MAX))
        .bom_sniffing(false)
        .max_matches((lines_max < u64::MAX).then_some(lines_max))
        .binary_detection(match binary {
            BinaryFiles::Skip => BinaryDetection::quit(0),
            BinaryFiles::Report => BinaryDetection::convert(0),
            BinaryFiles::Text => BinaryDetection::none(),
        });
    builder.build()
}

impl View {
    /// Searches the lines of a file, or of every file below a directory in the order of [`View::walk`], as they are at
    /// this view's position. Symlinks below the base are not followed. What cannot be read is told, and the search goes
    /// on.
    pub fn grep<'a>(
        &self,
        caller: &Caller,
        base: impl Into<Target<'a>>,
        pattern: &str,
        options: &GrepOptions<'_>,
        receive: &mut dyn FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<GrepSummary> {
        let target = base.into();
        self.call(caller, Syscall::Grep, target, |seen| {
            let matcher = matcher(pattern, options)?;
            let select = Select::new(options.globs)?;
            let base = Base::find(self, caller, target)?;
            seen.bytes(&base.node, 0);
            let mut search = Search { view: self, caller, matcher, options, receive, summary: GrepSummary::default() };
            match base.node.row.kind {
                FileKind::Directory => search.tree(base, select)?,
                FileKind::Regular => {
                    base.check(Syscall::Read)?;
                    search.file(b"", base.node.inode, true);
                }
                _ => {
                    return Err(Error::new(Reason::Invalid, "it has no lines to search").at(base.node.inode));
                }
            }
            Ok(search.summary)
        })
    }
}

struct Search<'s> {
    view: &'s View,
    caller: &'s Caller,
    matcher: RegexMatcher,
    options: &'s GrepOptions<'s>,
    receive: Receiver<'s>,
    summary: GrepSummary,
}

impl Search<'_> {
    fn tree(&mut self, base: Base<'_>, select: Select) -> Result<()> {
        let mut walker = Walker::new(self.view, base, select, None, usize::MAX)?;
        while !self.summary.stopped {
            let searched = walker.next().and_then(|found| match found {
                Some(Visited { inode, .. }) if walker.watch().lets(Syscall::Read, walker.path(), inode)? => {
                    Ok(Some(Some(inode)))
                }
                Some(_) => Ok(Some(None)),
                None => Ok(None),
            });
            match searched {
                Ok(Some(Some(inode))) => self.file(walker.path(), inode, false),
                Ok(Some(None)) => {}
                Ok(None) => break,
                Err(error) => self.failed(walker.path(), None, error),
            }
        }
        Ok(())
    }

    fn tell(&mut self, found: Found<'_>) {
        if (self.receive)(found).is_break() {
            self.summary.stopped = true;
        }
    }

    fn failed(&mut self, path: &[u8], inode: Option<Inode>, error: Error) {
        self.summary.failed += 1;
        self.tell(Found::Failed { path, inode, error });
    }

    /// How many lines of the next file may match; `None` where there are enough already.
    fn lines_left(&self) -> Option<u64> {
        let in_all = self.options.lines_max.map_or(u64::MAX, |max| max.saturating_sub(self.summary.lines));
        let left = in_all.min(self.options.lines_per_file_max.unwrap_or(u64::MAX));
        (left > 0).then_some(left)
    }

    fn file(&mut self, path: &[u8], inode: Inode, named: bool) {
        let Some(lines_max) = self.lines_left() else {
            self.summary.stopped = true;
            return;
        };
        if let Some(bytes_max) = self.options.file_bytes_max {
            match self.view.stat(self.caller, inode, false) {
                Ok(stat) if stat.size > bytes_max => {
                    self.summary.too_large += 1;
                    return self.tell(Found::TooLarge { path, inode, size: stat.size });
                }
                Ok(_) => {}
                Err(error) => return self.failed(path, Some(inode), error),
            }
        }
        let binary = match self.options.binary {
            BinaryFiles::Skip if named => BinaryFiles::Report,
            binary => binary,
        };
        let file =
            SearchFile { view: self.view, caller: self.caller, inode, matcher: &self.matcher, binary, lines_max };
        let searcher = searcher(self.options, binary, lines_max);
        let receive = &mut *self.receive;
        let outcome = file.run(searcher, &mut |line| {
            receive(match line {
                Line::Match { number, offset, line, ranges } => {
                    Found::Match { path, inode, number, offset, line, ranges }
                }
                Line::Context { number, offset, line } => Found::Context { path, inode, number, offset, line },
                Line::Break => Found::Break,
            })
        });
        self.account(path, inode, outcome);
    }

    fn account(&mut self, path: &[u8], inode: Inode, Report { lines, binary, stopped, error }: Report) {
        self.summary.files += 1;
        self.summary.lines += lines;
        self.summary.stopped |= stopped;
        let matched = lines > 0;
        self.summary.files_matched += u64::from(matched);
        if let Some(error) = error {
            self.failed(path, Some(inode), error);
        }
        if let Some(binary) = binary {
            self.summary.binary += 1;
            if !self.summary.stopped {
                let (offset, matches) = (binary.offset, binary.matches);
                self.tell(Found::Binary { path, inode, offset, lines, matches });
            }
        }
        if matched && !self.summary.stopped {
            self.tell(Found::Done { path, inode, lines });
        }
        self.summary.stopped |= self.options.lines_max.is_some_and(|max| self.summary.lines >= max);
    }
}
