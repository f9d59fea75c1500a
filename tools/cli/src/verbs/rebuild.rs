//! `rebuild`.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nexus_engine::{Caller, Nexus, Zone, ZoneOptions};

use crate::args::{Global, RebuildArgs};
use crate::failure::{Failure, Result};
use crate::output::{Object, hex};
use crate::session::{Session, data_dir};

/// A bar on standard error, where that is a terminal.
pub(super) fn progress_bar(quiet: bool, length: u64, what: &'static str, unit: &'static str) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let template = format!("{{msg}} {{bar:40}} {{pos}}/{{len}} {unit}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("the template is sound");
    ProgressBar::with_draw_target(Some(length), target).with_style(style).with_message(what)
}

/// Over the records of a zone.
pub(super) fn compare_bar(session: &Session, zone: &Zone, what: &'static str) -> ProgressBar {
    progress_bar(session.quiet, zone.log().flushed().0, what, "records")
}

/// Opening a directory without tables folds the log; there is nothing to compare with.
pub(super) fn discard(global: &Global, caller: Caller) -> Result<()> {
    let nexus = Nexus::open_discarding_tables(&data_dir(global)?, ZoneOptions::default())?;
    Session::with_open(nexus, global, caller, |session| {
        let digest = session.root().digest()?;
        if session.out.json {
            let object = Object::new().with("at", digest.at.0).with("digest_after", hex(&digest.digest));
            return session.out.object(&object);
        }
        session.out.line(format_args!("folded the log up to {} into new tables", digest.at))?;
        session.out.line(format_args!("digest {}", hex(&digest.digest)))?;
        session.out.line("the tables before were moved aside; remove them when they are not needed")
    })
}

pub(super) fn rebuild(args: &RebuildArgs, session: &mut Session) -> Result<()> {
    let zone = session.root();
    let bar = compare_bar(session, &zone, "folding");
    let report = zone.rebuild(!args.dry_run, |seq| bar.set_position(seq.0));
    bar.finish_and_clear();
    let report = report?;
    if session.out.json {
        let object = Object::new()
            .with("equal", report.equal())
            .with("switched", !args.dry_run)
            .with("records", report.records)
            .with("at", report.after.at.0)
            .with("digest_before", hex(&report.before.digest))
            .with("digest_after", hex(&report.after.digest));
        session.out.object(&object)?;
    } else {
        let verdict = if report.equal() { "equal" } else { "NOT equal" };
        session.out.line(format_args!("folded {} records up to {}", report.records, report.after.at))?;
        session.out.line(format_args!("before {}", hex(&report.before.digest)))?;
        session.out.line(format_args!("after  {}", hex(&report.after.digest)))?;
        session.out.line(verdict)?;
    }
    if report.equal() {
        return Ok(());
    }
    let done = if args.dry_run { "run `nexus rebuild`" } else { "the new ones are in use" };
    Err(Failure::Damage(format!("the tables in use were not what the log says; {done}")))
}
