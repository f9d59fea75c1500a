//! The search of one file.

use std::io;
use std::ops::ControlFlow;

use bytes::{Buf, Bytes};
use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkMatch};
use nexus_log::event::Reason;
use nexus_log::ids::Inode;

use super::BinaryFiles;
use crate::caller::Caller;
use crate::error::Error;
use crate::limits::{GREP_LINE_BYTES_MAX, GREP_RANGES_MAX, GREP_READ_BYTES};
use crate::view::View;

pub(super) struct SearchFile<'s> {
    pub(super) view: &'s View,
    pub(super) caller: &'s Caller,
    pub(super) inode: Inode,
    pub(super) matcher: &'s RegexMatcher,
    pub(super) binary: BinaryFiles,
    pub(super) lines_max: u64,
}

/// A line of the file, its newline cut off.
pub(super) enum Line<'l> {
    Match { number: u64, offset: u64, line: &'l [u8], ranges: &'l [(usize, usize)] },
    Context { number: u64, offset: u64, line: &'l [u8] },
    Break,
}

/// A NUL was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binary {
    pub(super) offset: u64,
    /// A line behind it matches.
    pub(super) matches: bool,
}

/// What the search of a file came to.
#[derive(Debug)]
pub(super) struct Report {
    /// Lines that match, shown or not.
    pub(super) lines: u64,
    pub(super) binary: Option<Binary>,
    /// The receiver wants no more.
    pub(super) stopped: bool,
    pub(super) error: Option<Error>,
}

impl SearchFile<'_> {
    pub(super) fn run(&self, mut searcher: Searcher, receive: &mut dyn FnMut(Line<'_>) -> ControlFlow<()>) -> Report {
        let content = Content { file: self, offset: 0, piece: Bytes::new() };
        let mut sink = Lines {
            matcher: self.matcher,
            lines_max: self.lines_max,
            shows_binary: self.binary == BinaryFiles::Text,
            receive,
            ranges: Vec::new(),
            report: Report { lines: 0, binary: None, stopped: false, error: None },
        };
        let searched = searcher.search_reader(self.matcher, content, &mut sink);
        let mut report = sink.report;
        report.error = searched.err().map(|error| {
            error.downcast::<Error>().unwrap_or_else(|error| {
                let message = format!(
                    "a line, with the context that was asked for, is longer than the {GREP_LINE_BYTES_MAX} bytes that \
                     are searched"
                );
                Error::new(Reason::TooLarge, message).because(error)
            })
        });
        report
    }
}

/// The file's content, read through the view as the searcher asks for it.
struct Content<'s> {
    file: &'s SearchFile<'s>,
    offset: u64,
    piece: Bytes,
}

impl io::Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let SearchFile { view, caller, inode, .. } = *self.file;
            self.piece = view.read(caller, inode, self.offset, GREP_READ_BYTES).map_err(io::Error::other)?;
            self.offset += self.piece.len() as u64;
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Takes the searcher's lines.
struct Lines<'s, 'r> {
    matcher: &'s RegexMatcher,
    lines_max: u64,
    shows_binary: bool,
    receive: &'r mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
    ranges: Vec<(usize, usize)>,
    report: Report,
}

fn without_newline(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

impl Lines<'_, '_> {
    fn tell(&mut self, line: Line<'_>) -> bool {
        self.report.stopped |= (self.receive)(line).is_break();
        !self.report.stopped
    }
}

impl Sink for Lines<'_, '_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        if let Some(binary) = &mut self.report.binary
            && !self.shows_binary
        {
            binary.matches = true;
            self.report.lines += 1;
            return Ok(self.report.lines < self.lines_max);
        }
        let line = without_newline(found.bytes());
        let (number, offset) = (found.line_number().unwrap_or_default(), found.absolute_byte_offset());
        if self.report.lines >= self.lines_max {
            // The searcher is still telling what stands around the last match that was wanted.
            return Ok(self.tell(Line::Context { number, offset, line }));
        }
        self.report.lines += 1;
        let mut ranges = std::mem::take(&mut self.ranges);
        ranges.clear();
        self.matcher
            .find_iter(line, |place| {
                ranges.push((place.start(), place.end()));
                ranges.len() < GREP_RANGES_MAX
            })
            .map_err(io::Error::other)?;
        let go_on = self.tell(Line::Match { number, offset, line, ranges: &ranges });
        self.ranges = ranges;
        Ok(go_on)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        if self.report.binary.is_some() && !self.shows_binary {
            return Ok(true);
        }
        let (number, offset) = (context.line_number().unwrap_or_default(), context.absolute_byte_offset());
        Ok(self.tell(Line::Context { number, offset, line: without_newline(context.bytes()) }))
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        Ok(self.tell(Line::Break))
    }

    fn binary_data(&mut self, _: &Searcher, offset: u64) -> io::Result<bool> {
        self.report.binary = Some(Binary { offset, matches: false });
        Ok(true)
    }
}
