//! `grep`.

use std::ops::ControlFlow;

use nexus_engine::Inode;
use nexus_engine::find::{BinaryFiles, Found, GrepOptions, GrepSummary};
use nexus_projections::row::FileKind;

use super::path_object;
use super::several::Failures;
use crate::args::GrepArgs;
use crate::failure::{About, Failure, Result};
use crate::names::ZonePath;
use crate::output::{Object, Out};
use crate::session::Session;

pub(super) fn grep(args: &GrepArgs, session: &mut Session) -> Result<()> {
    let globs: Vec<&str> = args.globs.iter().map(String::as_str).collect();
    let lines_shown = !(args.files_with_matches || args.count);
    let context = |side: Option<usize>| if lines_shown { side.unwrap_or(args.context) } else { 0 };
    let options = GrepOptions {
        fixed: args.fixed_strings,
        case_insensitive: args.ignore_case,
        before: context(args.before_context),
        after: context(args.after_context),
        lines_per_file_max: if args.files_with_matches { Some(1) } else { args.max_count },
        lines_max: None,
        binary: match (args.text, args.binary) {
            (true, _) => BinaryFiles::Text,
            (_, true) => BinaryFiles::Report,
            _ => BinaryFiles::Skip,
        },
        globs: &globs,
        file_bytes_max: args.max_filesize,
    };
    let mut printer = Printer { args, several: args.paths.len() > 1, failures: Failures::default(), skipped: 0 };
    let mut total = GrepSummary::default();
    for path in &args.paths {
        let searched = search(path, &options, &mut printer, session);
        let outcome = searched.map(|summary| add(&mut total, &summary));
        if args.paths.len() == 1 {
            outcome?;
        } else {
            printer.failures.note(path, outcome, &mut session.out)?;
        }
    }
    if session.out.json {
        session.out.object(&summary_object(&total))?;
    } else if printer.skipped > 0 && !session.quiet {
        let many = if printer.skipped == 1 { "file is" } else { "files are" };
        eprintln!(
            "nexus: {} {many} binary and not searched; --binary or --text searches binary files",
            printer.skipped
        );
    }
    printer.failures.outcome()?;
    if total.files_matched == 0 { Err(Failure::NothingMatched) } else { Ok(()) }
}

fn add(total: &mut GrepSummary, one: &GrepSummary) {
    total.files += one.files;
    total.files_matched += one.files_matched;
    total.lines += one.lines;
    total.binary += one.binary;
    total.too_large += one.too_large;
    total.failed += one.failed;
}

fn summary_object(total: &GrepSummary) -> Object {
    Object::new()
        .with("type", "summary")
        .with("files", total.files)
        .with("files_matched", total.files_matched)
        .with("lines", total.lines)
        .with("binary", total.binary)
        .with("too_large", total.too_large)
        .with("failed", total.failed)
}

fn search(
    path: &ZonePath,
    options: &GrepOptions<'_>,
    printer: &mut Printer<'_>,
    session: &mut Session,
) -> Result<GrepSummary> {
    let view = session.view(path, &printer.args.at)?;
    let stat = view.stat(&session.caller, &path.path[..], true).about(path)?;
    let base = Base { path, named: printer.several || stat.kind == FileKind::Directory };
    let mut outcome = Ok(());
    let out = &mut session.out;
    let summary = view.grep(&session.caller, &path.path[..], &printer.args.pattern, options, &mut |found| {
        outcome = printer.tell(&base, found, out);
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    outcome?;
    summary.about(path)
}

/// What is being searched.
struct Base<'a> {
    path: &'a ZonePath,
    /// Lines begin with the path of their file.
    named: bool,
}

impl Base<'_> {
    fn path(&self, below: &[u8]) -> ZonePath {
        if below.is_empty() { self.path.clone() } else { self.path.join(below) }
    }
}

/// A line as it is shown.
struct Line<'a> {
    below: &'a [u8],
    inode: Inode,
    number: u64,
    offset: u64,
    text: &'a [u8],
}

struct Printer<'a> {
    args: &'a GrepArgs,
    several: bool,
    failures: Failures,
    /// Binary files that were passed over without a word.
    skipped: u64,
}

impl Printer<'_> {
    fn tell(&mut self, base: &Base<'_>, found: Found<'_>, out: &mut Out) -> Result<()> {
        let lines_shown = !(self.args.files_with_matches || self.args.count);
        match found {
            Found::Match { path, inode, number, offset, line, ranges } if lines_shown => {
                let line = Line { below: path, inode, number, offset, text: line };
                self.line(base, &line, Some(ranges), out)
            }
            Found::Context { path, inode, number, offset, line } if lines_shown => {
                self.line(base, &Line { below: path, inode, number, offset, text: line }, None, out)
            }
            Found::Break if lines_shown && !out.json => out.line("--"),
            Found::Match { .. } | Found::Context { .. } | Found::Break => Ok(()),
            Found::Binary { path: below, inode, offset, lines, matches } => {
                let path = base.path(below);
                if out.json {
                    let object = object("binary", &path, inode).with("offset", offset).with("matches", matches);
                    return out.object(&object.with("lines", lines));
                }
                let searched = self.args.binary || below.is_empty();
                if !searched && lines == 0 {
                    self.skipped += 1;
                }
                if lines_shown && matches {
                    let said = format!(": binary file matches (a NUL byte is at offset {offset})");
                    return out.named_line("", &path.path, said);
                }
                if lines_shown && !searched && lines > 0 {
                    eprintln!("nexus: {path}: binary, not searched behind offset {offset}");
                }
                Ok(())
            }
            Found::TooLarge { path, inode, size } if out.json => {
                out.object(&object("too_large", &base.path(path), inode).with("size", size))
            }
            Found::TooLarge { .. } => Ok(()),
            Found::Failed { path, error, .. } => {
                let path = base.path(path);
                self.failures.note(&path, Err(error).about(&path), out)
            }
            Found::Done { path, inode, lines } => self.file(&base.path(path), inode, lines, base.named, out),
        }
    }

    fn line(&self, base: &Base<'_>, line: &Line<'_>, ranges: Option<&[(usize, usize)]>, out: &mut Out) -> Result<()> {
        let path = base.path(line.below);
        if out.json {
            let kind = if ranges.is_some() { "match" } else { "context" };
            let mut object = object(kind, &path, line.inode).with("line", line.number).with("offset", line.offset);
            object.set_bytes("text", line.text);
            if let Some(ranges) = ranges {
                let ranges: Vec<Vec<u64>> =
                    ranges.iter().map(|(start, end)| vec![*start as u64, *end as u64]).collect();
                object.set("ranges", ranges);
            }
            return out.object(&object);
        }
        let mark = if ranges.is_some() { b':' } else { b'-' };
        let mut shown = Vec::with_capacity(path.path.len() + line.text.len() + 24);
        if base.named {
            shown.extend_from_slice(&out.name(&path.path));
            shown.push(mark);
        }
        if self.args.line_number {
            shown.extend_from_slice(line.number.to_string().as_bytes());
            shown.push(mark);
        }
        shown.extend_from_slice(line.text);
        shown.push(b'\n');
        out.bytes(&shown)
    }

    fn file(&self, path: &ZonePath, inode: Inode, lines: u64, named: bool, out: &mut Out) -> Result<()> {
        if !(self.args.files_with_matches || self.args.count) {
            return Ok(());
        }
        if out.json {
            return out.object(&object("file", path, inode).with("lines", lines));
        }
        match (self.args.count, named) {
            (false, _) => out.named_line("", &path.path, ""),
            (true, true) => out.named_line("", &path.path, format_args!(":{lines}")),
            (true, false) => out.line(lines),
        }
    }
}

fn object(kind: &'static str, path: &ZonePath, inode: Inode) -> Object {
    let mut object = Object::new().with("type", kind);
    object.extend(path_object(path).with("inode", inode.0));
    object
}
