//! `verify`: first the log, from its files alone; then the tables against it.

use std::os::unix::ffi::OsStrExt;

use indicatif::ProgressBar;
use nexus_engine::{Caller, root_zone_dir};
use nexus_log::env::Env;
use nexus_log::event::Reason;
use nexus_log::log::OpenError;
use nexus_log::recovery::Proofs;
use nexus_log::verify::{self, Finding, Observer, Severity, VerifyError, VerifyReport};
use nexus_log::zone_meta::ZoneMetaError;

use super::rebuild::{compare_bar, progress_bar};
use crate::args::Global;
use crate::failure::{Failure, Result};
use crate::output::{Object, Out, hex};
use crate::session::{Session, data_dir};

struct Bar(ProgressBar);

impl Observer for Bar {
    fn progress(&mut self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Failure {
        let kind = match &error {
            VerifyError::Newer { .. } => Reason::Unsupported,
            VerifyError::Look(OpenError::Io { .. }) | VerifyError::Meta(ZoneMetaError::Io(_)) => Reason::Unavailable,
            VerifyError::Meta(_) | VerifyError::Look(_) => Reason::Corrupt,
        };
        nexus_engine::Error::new(kind, "the log cannot be judged").because(error).into()
    }
}

pub(super) fn verify(global: &Global, caller: Caller) -> Result<()> {
    let dir = data_dir(global)?;
    let env = Env::real();
    let mut out = Out::new(global.json);
    let log = if nexus_engine::exists(&env, &dir)? {
        let quiet = global.quiet || global.json;
        let mut bar = Bar(progress_bar(quiet, 0, "reading", "bytes"));
        // The tables know a position that is flushed too, but they are what is checked against the log.
        let proofs = Proofs { applied: nexus_log::ids::Seq::ZERO, signed: nexus_log::ids::Seq::ZERO };
        let report = verify::verify(&env, &root_zone_dir(&dir), proofs, &mut bar);
        bar.0.finish_and_clear();
        let report = report?;
        show_log(&report, &mut out)?;
        Some(report)
    } else {
        // Opening says what is wrong with it.
        None
    };
    out.flush()?;
    if let Some(report) = &log
        && report.is_damaged()
    {
        return Err(unsound(report));
    }
    Session::with(global, caller, compare_tables)?;
    match log {
        Some(report) if !report.is_sound() => Err(unsound(&report)),
        _ => Ok(()),
    }
}

fn unsound(report: &VerifyReport) -> Failure {
    let count = report.findings.len() as u64 + report.findings_more;
    let places = if count == 1 { String::from("one place") } else { format!("{count} places") };
    Failure::Damage(if report.is_damaged() {
        format!("the log is damaged: {places}, see above")
    } else {
        format!("nothing of the log is lost, but spare or derivable bytes are damaged: {places}, see above")
    })
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity() {
        Severity::Damage => "damage",
        Severity::Spare => "spare",
    }
}

fn show_log(report: &VerifyReport, out: &mut Out) -> Result<()> {
    if out.json {
        return out.object(&log_object(report));
    }
    out.line(format_args!(
        "zone {}: records {} to {} in {} segments, {} bytes",
        report.name, report.first, report.last, report.segments, report.bytes
    ))?;
    if let Some(root) = report.root {
        out.line(format_args!("root {root}"))?;
    }
    if let Some(torn) = &report.torn {
        let (file, from) = (torn.file.display(), torn.from);
        out.line(format_args!("a torn end that was never acknowledged: {file}, record {from}, byte {}", torn.offset))?;
    }
    for finding in &report.findings {
        let (file, offset, what) = (finding.file.display(), finding.offset, &finding.what);
        let record = finding.seq.map_or_else(String::new, |seq| format!(", record {seq}"));
        out.line(format_args!("{}: {file}, byte {offset}{record}: {what}", severity(finding)))?;
    }
    if report.findings_more > 0 {
        out.line(format_args!("and {} more", report.findings_more))?;
    }
    if report.is_sound() { out.line("log: sound") } else { Ok(()) }
}

fn log_object(report: &VerifyReport) -> Object {
    let findings = report.findings.iter().map(|finding| {
        Object::new()
            .with("severity", severity(finding))
            .with_bytes("file", finding.file.as_os_str().as_bytes())
            .with("offset", finding.offset)
            .with("seq", finding.seq.map(|seq| seq.0))
            .with("what", finding.what.to_string())
    });
    let torn = report.torn.as_ref().map(|torn| {
        Object::new()
            .with_bytes("file", torn.file.as_os_str().as_bytes())
            .with("offset", torn.offset)
            .with("from_seq", torn.from.0)
            .with("bytes", torn.bytes)
    });
    Object::new()
        .with("check", "log")
        .with("sound", report.is_sound())
        .with("zone", report.name.as_str())
        .with("first", report.first.0)
        .with("last", report.last.0)
        .with("segments", report.segments)
        .with("records", report.records)
        .with("bytes", report.bytes)
        .with("root", report.root.map(|root| root.to_string()))
        .with("closed", report.closed)
        .with("torn", torn)
        .with("findings", findings.collect::<Vec<Object>>())
        .with("findings_more", report.findings_more)
}

/// Folds the log into tables of its own and compares those in use with them.
fn compare_tables(session: &mut Session) -> Result<()> {
    let zone = session.root();
    let bar = compare_bar(session, &zone, "comparing");
    let report = zone.rebuild(false, |seq| bar.set_position(seq.0));
    bar.finish_and_clear();
    let report = report?;
    if session.out.json {
        let object = Object::new()
            .with("check", "tables")
            .with("sound", report.equal())
            .with("at", report.after.at.0)
            .with("digest", hex(&report.before.digest))
            .with("digest_folded", hex(&report.after.digest));
        session.out.object(&object)?;
    } else if report.equal() {
        session.out.line(format_args!("tables: what the log says, up to record {}", report.after.at))?;
    } else {
        session.out.line("tables: NOT what the log says")?;
    }
    if report.equal() {
        return Ok(());
    }
    Err(Failure::Damage("the tables are not what the log says; the log is not affected; run `nexus rebuild`".into()))
}
