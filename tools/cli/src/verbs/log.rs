//! `log`.

use nexus_engine::{Bound, HistoryEvent, HistoryQuery};
use nexus_log::filter::Filter;

use crate::args::{Global, LogArgs};
use crate::at::{Position, commit_time};
use crate::failure::{About, Result};
use crate::history::{describe, event_object};
use crate::session::Session;

pub(super) fn log(args: &LogArgs, global: &Global, session: &mut Session) -> Result<()> {
    let zone = match &args.path {
        Some(path) => session.zone(path)?,
        None => session.root(),
    };
    let filter = Filter {
        agent: global.agent.clone(),
        session: global.session.clone(),
        request_id: global.request_id.clone(),
        kinds: (!args.kind.is_empty()).then(|| args.kind.iter().copied().collect()),
        outcome: args.outcome,
        ..Filter::default()
    };
    let query = HistoryQuery {
        subject: args.path.as_ref().map(|path| path.path.as_slice().into()),
        at: None,
        filter,
        since: args.since.map(bound),
        until: args.until.map(bound),
        reverse: args.reverse,
        limit: args.limit,
    };
    let history = zone.history(&session.caller, &query);
    let mut history = match &args.path {
        Some(path) => history.about(path)?,
        None => history?,
    };
    for event in history.by_ref() {
        show(&event?, session)?;
    }
    for segment in history.damaged_indexes().iter().filter(|_| !session.quiet) {
        eprintln!("nexus: the index of the segment from record {segment} on is damaged; its records were all read");
    }
    Ok(())
}

fn bound(position: Position) -> Bound {
    match position {
        Position::Seq(seq) => Bound::Seq(seq),
        Position::Time(time) => Bound::Time(commit_time(time)),
    }
}

fn show(event: &HistoryEvent, session: &mut Session) -> Result<()> {
    let (record, path) = (&event.record, event.path.as_deref());
    if session.out.json {
        return session.out.object(&event_object(record, event.index, path));
    }
    session.out.line(describe(record, event.index, path))
}
