//! `doctor`: what is wrong with a data directory, in plain words, and what to run.
//!
//! ```text
//!  place (is it one, who holds it, disk, permissions) --> tables (a copy of them) --> log (its end, segments, clock)
//! ```
//!
//! Invariants:
//! 1. Nothing in the data directory is changed. Whether it is held is asked by a shared lock that is given back at
//!    once; tables are opened as a copy whose large files are links.
//! 2. While another process holds it, what that process may be changing is not judged.
//! 3. Every look is bounded: it reads the last segment and of the others names, lengths and sidecars.

mod log;
mod place;
mod tables;

use std::path::Path;

use nexus_log::env::Env;

use crate::args::Global;
use crate::failure::{Failure, Result};
use crate::output::{Object, Out};
use crate::session::data_dir;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Ok,
    /// Good to know; nothing to do, or nothing that is urgent.
    Notice,
    /// Something does not work, or soon will not.
    Problem,
    /// Stored bytes are not what was written.
    Damage,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Notice => "notice",
            Severity::Problem => "problem",
            Severity::Damage => "damage",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    severity: Severity,
    what: String,
    /// What to do about it: a command, where there is one.
    run: Option<String>,
}

/// All that was found, in the order in which it was looked at.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.0.push(Finding { check, severity: Severity::Ok, what: what.into(), run: None });
    }

    fn found(
        &mut self,
        check: &'static str,
        severity: Severity,
        what: impl Into<String>,
        run: impl Into<Option<String>>,
    ) {
        self.0.push(Finding { check, severity, what: what.into(), run: run.into() });
    }

    fn count(&self, severity: Severity) -> usize {
        self.0.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Who holds the directory.
#[derive(Debug)]
enum Holder {
    Nobody,
    /// A process, by what it wrote of itself.
    Process(String),
}

pub(super) fn doctor(global: &Global) -> Result<()> {
    let dir = data_dir(global)?;
    let mut findings = Findings::default();
    examine(&Env::real(), &dir, &mut findings);
    let mut out = Out::new(global.json);
    for finding in &findings.0 {
        show(finding, global, &mut out)?;
    }
    out.flush()?;
    match (findings.count(Severity::Damage), findings.count(Severity::Problem)) {
        (0, 0) => Ok(()),
        (0, problems) => Err(Failure::Problems(problems)),
        (_, _) => Err(Failure::Damage("the data directory is damaged, see above".into())),
    }
}

fn examine(env: &Env, dir: &Path, findings: &mut Findings) {
    let Some(holder) = place::examine(env, dir, findings) else { return };
    let Some(meta) = log::meta(env, dir, findings) else { return };
    let applied = match &holder {
        Holder::Nobody => tables::examine(env, dir, &meta, findings),
        Holder::Process(_) => {
            findings.found("tables", Severity::Notice, "in use, so not looked at; ask again when nobody does", None);
            None
        }
    };
    let held = || matches!(holder, Holder::Process(_)) || !matches!(place::holder(dir), Ok(Holder::Nobody));
    log::examine(env, dir, &meta, applied, &held, findings);
    place::leftovers(env, dir, findings);
}

fn show(finding: &Finding, global: &Global, out: &mut Out) -> Result<()> {
    let Finding { check, severity, what, run } = finding;
    if out.json {
        let object = Object::new()
            .with("check", *check)
            .with("severity", severity.name())
            .with("what", what.as_str())
            .with("run", run.clone());
        return out.object(&object);
    }
    if global.quiet && *severity == Severity::Ok {
        return Ok(());
    }
    // Names of files are in it, and those may hold anything.
    out.named_line(format_args!("{:<8} {check:<12} ", severity.name()), what.as_bytes(), "")?;
    match run {
        Some(run) => out.named_line(format_args!("{:21} do: ", ""), run.as_bytes(), ""),
        None => Ok(()),
    }
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
