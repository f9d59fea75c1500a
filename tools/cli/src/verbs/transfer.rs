//! `import` and `export`.

use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nexus_engine::Error;
use nexus_log::event::Reason;

use crate::args::{ExportArgs, ImportArgs};
use crate::failure::{Failure, Result};
use crate::output::{Object, shown};
use crate::session::Session;
use crate::transfer::{self, ExportOptions, ImportOptions, Problem, ProblemKind, Progress, Report};

pub(super) fn import(args: &ImportArgs, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.destination)?;
    check_apart(&args.source, session)?;
    let options = ImportOptions { checksum: args.how.checksum, delete: args.how.delete };
    let bar = spinner(session.quiet);
    let to = &args.destination.path;
    let report = transfer::import(&zone, &session.caller.for_several(), &args.source, to, &options, &mut |progress| {
        tell(&bar, progress)
    });
    bar.finish_and_clear();
    show(&report?, "imported", session)
}

pub(super) fn export(args: &ExportArgs, session: &mut Session) -> Result<()> {
    let view = session.view(&args.source, &args.at)?;
    check_apart(&args.destination, session)?;
    let options = ExportOptions { checksum: args.how.checksum, delete: args.how.delete };
    let bar = spinner(session.quiet);
    let from = &args.source.path;
    let report = transfer::export(&view, &session.caller, from, &args.destination, &options, &mut |progress| {
        tell(&bar, progress)
    });
    bar.finish_and_clear();
    show(&report?, "exported", session)
}

/// A tree that is moved must not hold the data directory, nor lie in it.
fn check_apart(tree: &Path, session: &Session) -> Result<()> {
    let Ok(data) = session.dir().canonicalize() else { return Ok(()) };
    let exists = tree.ancestors().find_map(|p| p.canonicalize().ok());
    let whole = tree.canonicalize();
    let inside = exists.is_some_and(|tree| tree.starts_with(&data));
    if inside || whole.is_ok_and(|tree| data.starts_with(tree)) {
        let message = format!("{} and the data directory {} overlap", tree.display(), data.display());
        return Err(Error::new(Reason::Invalid, message).into());
    }
    Ok(())
}

/// On standard error, where that is a terminal.
fn spinner(quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("the template is sound");
    ProgressBar::with_draw_target(None, target).with_style(style)
}

fn tell(bar: &ProgressBar, progress: &Progress<'_>) {
    bar.tick();
    if !bar.is_hidden() {
        let Progress { files, bytes, skipped, current } = progress;
        bar.set_message(format!("{files} files, {bytes} bytes, {skipped} unchanged: {}", shown(current)));
    }
}

fn problem_name(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Special => "special",
        ProblemKind::Changed => "changed",
        ProblemKind::Vanished => "vanished",
        ProblemKind::Attribute => "attribute",
        ProblemKind::Failed => "failed",
    }
}

fn show(report: &Report, done: &str, session: &mut Session) -> Result<()> {
    let problems: u64 =
        [report.special, report.changed, report.vanished, report.attributes_lost, report.failed].iter().sum();
    let untold = problems.saturating_sub(report.problems.len() as u64);
    if session.out.json {
        session.out.object(&report_object(report, untold))?;
    } else {
        for Problem { kind, path, message } in &report.problems {
            eprintln!("nexus: {}: {}: {message}", shown(path), problem_name(*kind));
        }
        if untold > 0 {
            eprintln!("nexus: and {untold} more");
        }
        let Report { files, bytes, directories, symlinks, nodes, hard_links, attributes_only, .. } = report;
        let Report { skipped, removed, .. } = report;
        session.out.line(format_args!(
            "{done} {files} files ({bytes} bytes), {directories} directories, {symlinks} symbolic and {hard_links} \
             hard links, {nodes} special files; changed attributes of {attributes_only}, removed {removed}, left {skipped} as they were"
        ))?;
    }
    if report.failed > 0 { Err(Failure::Incomplete { failed: report.failed }) } else { Ok(()) }
}

fn report_object(report: &Report, untold: u64) -> Object {
    let problems = report.problems.iter().map(|problem| {
        Object::new()
            .with("problem", problem_name(problem.kind))
            .with_bytes("path", &problem.path)
            .with("message", problem.message.as_str())
    });
    Object::new()
        .with("files", report.files)
        .with("bytes", report.bytes)
        .with("directories", report.directories)
        .with("symlinks", report.symlinks)
        .with("hard_links", report.hard_links)
        .with("nodes", report.nodes)
        .with("attributes_only", report.attributes_only)
        .with("skipped", report.skipped)
        .with("removed", report.removed)
        .with("special", report.special)
        .with("changed", report.changed)
        .with("vanished", report.vanished)
        .with("attributes_lost", report.attributes_lost)
        .with("failed", report.failed)
        .with("problems", problems.collect::<Vec<Object>>())
        .with("problems_more", untold)
}
