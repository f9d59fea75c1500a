//! `verify` and `rebuild`.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nexus_engine::{RebuildReport, Zone};
use nexus_log::ids::Seq;
use nexus_log::log::ReadError;

use crate::args::RebuildArgs;
use crate::failure::{Failure, Result};
use crate::output::{Object, hex};
use crate::session::Session;

fn progress_bar(session: &Session, zone: &Zone, what: &'static str) -> ProgressBar {
    let target = if session.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} records, {eta} left");
    ProgressBar::with_draw_target(Some(zone.log().flushed().0), target)
        .with_style(style.expect("the template is sound"))
        .with_message(what)
}

/// What reading the whole log found.
#[derive(Debug, Default)]
struct Checked {
    records: u64,
    chunks: u64,
    content_bytes: u64,
    damage: Vec<ReadError>,
}

pub(super) fn verify(session: &mut Session) -> Result<()> {
    let zone = session.root();
    let bar = progress_bar(session, &zone, "reading");
    let checked = check(&zone, |seq| bar.set_position(seq.0));
    bar.finish_and_clear();
    let tables = if checked.damage.is_empty() {
        let bar = progress_bar(session, &zone, "comparing");
        let report = zone.rebuild(false, |seq| bar.set_position(seq.0));
        bar.finish_and_clear();
        Some(report?)
    } else {
        None
    };
    let tables_equal = tables.as_ref().map(RebuildReport::equal);
    let sound = tables_equal == Some(true);
    if session.out.json {
        let damage: Vec<String> = checked.damage.iter().map(ToString::to_string).collect();
        let object = Object::new()
            .with("sound", sound)
            .with("records", checked.records)
            .with("chunks", checked.chunks)
            .with("content_bytes", checked.content_bytes)
            .with("damage", damage)
            .with("tables_equal", tables_equal)
            .with("tables_digest", tables.as_ref().map(|report| hex(&report.before.digest)));
        session.out.object(&object)?;
    } else {
        let Checked { records, chunks, content_bytes, .. } = checked;
        session.out.line(format_args!("{records} records, {chunks} chunks, {content_bytes} bytes of content"))?;
        for damage in &checked.damage {
            session.out.line(format_args!("damage: {damage}"))?;
        }
        if sound {
            session.out.line("sound: every checksum and hash holds, and the tables are what the log says")?;
        }
    }
    match (checked.damage.len(), tables_equal) {
        (0, Some(true)) => Ok(()),
        (0, _) => Err(Failure::Damage("the tables are not what the log says; run `nexus rebuild`".into())),
        (1, _) => Err(Failure::Damage("the log is damaged in one place".into())),
        (places, _) => Err(Failure::Damage(format!("the log is damaged in {places} places"))),
    }
}

/// Reads every record and every chunk, going on behind what is damaged.
fn check(zone: &Zone, mut progress: impl FnMut(Seq)) -> Checked {
    let log = zone.log();
    let (mut next, last) = (log.first(), log.flushed());
    let mut checked = Checked::default();
    while next <= last {
        let mut failed = None;
        for record in log.records(next) {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            for index in 0..record.chunks.len() {
                let chunk = record.chunk_ref(index).expect("the index is within the chunks");
                match log.chunk(&chunk) {
                    Ok(bytes) => checked.content_bytes += bytes.len() as u64,
                    Err(error) => checked.damage.push(error),
                }
            }
            checked.records += 1;
            checked.chunks += record.chunks.len() as u64;
            progress(record.seq);
            next = record.seq.next();
        }
        match failed {
            Some(error) => {
                checked.damage.push(error);
                next = next.next();
            }
            None => break,
        }
    }
    checked
}

pub(super) fn rebuild(args: &RebuildArgs, session: &mut Session) -> Result<()> {
    let zone = session.root();
    let bar = progress_bar(session, &zone, "folding");
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
