//! `log`.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use nexus_engine::{Error, Zone};
use nexus_log::event::{Event, Reason};
use nexus_log::ids::{CommitTime, Inode, Seq};
use nexus_log::log::{Log, ReadError};
use nexus_log::record::Record;

use crate::args::{Global, LogArgs};
use crate::at::{Position, commit_time};
use crate::failure::{Failure, Result};
use crate::history::{Range, describe, event_object, last_seen, path_of, scan, touches};
use crate::session::Session;

/// Which events are wanted.
struct Filter<'a> {
    inode: Option<Inode>,
    agent: Option<&'a str>,
    session: Option<&'a str>,
}

impl Filter<'_> {
    fn wants_actor(&self, record: &Record) -> bool {
        self.agent.is_none_or(|agent| record.context.agent == agent)
            && self.session.is_none_or(|session| record.context.session == session)
    }

    fn wants(&self, event: &Event) -> bool {
        self.inode.is_none_or(|inode| touches(event, inode))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        let kind = match &error {
            error if error.is_damage() => Reason::Corrupt,
            ReadError::Index { .. } => Reason::Corrupt,
            ReadError::Unknown { .. } | ReadError::NewerFormat { .. } => Reason::Unsupported,
            _ => Reason::Unavailable,
        };
        Error::new(kind, "the log cannot be read there").because(error).into()
    }
}

pub(super) fn log(args: &LogArgs, global: &Global, session: &mut Session) -> Result<()> {
    let zone = match &args.path {
        Some(path) => session.zone(path)?,
        None => session.root(),
    };
    let inode = args.path.as_ref().map(|path| last_seen(&zone, &session.caller, path)).transpose()?;
    let filter = Filter { inode, agent: global.agent.as_deref(), session: global.session.as_deref() };
    // The range first: what is shown does not grow by being looked at.
    let range = range_of(args, &zone.log())?;
    zone.open_history(&session.caller, inode, || Ok(()))?;
    match args.limit {
        Some(limit) => last_events(args, limit, &filter, range, &zone, session),
        None => scan(&zone.log(), range, args.reverse, |record| {
            for index in wanted(&record, &filter, args.reverse) {
                show(&record, index, &zone, session)?;
            }
            Ok(ControlFlow::Continue(()))
        }),
    }
}

/// Indexes of the events that are wanted, in the order in which they are shown.
fn wanted(record: &Record, filter: &Filter<'_>, reverse: bool) -> Vec<usize> {
    if !filter.wants_actor(record) {
        return Vec::new();
    }
    let events = record.events.iter().enumerate();
    let mut wanted: Vec<usize> = events.filter(|(_, event)| filter.wants(event)).map(|(index, _)| index).collect();
    if reverse {
        wanted.reverse();
    }
    wanted
}

/// The newest `limit` events: found backwards, shown in the order that was asked for.
fn last_events(
    args: &LogArgs,
    limit: usize,
    filter: &Filter<'_>,
    range: Range,
    zone: &Zone,
    session: &mut Session,
) -> Result<()> {
    let mut left = limit;
    let mut kept: VecDeque<(Record, Vec<usize>)> = VecDeque::new();
    if left == 0 {
        return Ok(());
    }
    scan::<Failure>(&zone.log(), range, true, |record| {
        let mut wanted = wanted(&record, filter, true);
        wanted.truncate(left);
        left -= wanted.len();
        if args.reverse {
            for index in wanted {
                show(&record, index, zone, session)?;
            }
        } else if !wanted.is_empty() {
            wanted.reverse();
            kept.push_front((record, wanted));
        }
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    for (record, wanted) in kept {
        for index in wanted {
            show(&record, index, zone, session)?;
        }
    }
    Ok(())
}

fn show(record: &Record, index: usize, zone: &Zone, session: &mut Session) -> Result<()> {
    let path = path_of(zone, record.seq, &record.events[index])?;
    if session.out.json {
        return session.out.object(&event_object(record, index, path.as_deref()));
    }
    session.out.line(describe(record, index, path.as_deref()))
}

fn range_of(args: &LogArgs, log: &Log) -> Result<Range> {
    let first = match args.since {
        None => log.first(),
        Some(Position::Seq(seq)) => seq.max(log.first()),
        // Behind the last record that is earlier.
        Some(Position::Time(time)) => match commit_time(time).0.checked_sub(1) {
            None => log.first(),
            Some(before) => log.seq_at(CommitTime(before))?.map_or(log.first(), Seq::next),
        },
    };
    let last = match args.until {
        None => log.flushed(),
        Some(Position::Seq(seq)) => seq.min(log.flushed()),
        Some(Position::Time(time)) => log.seq_at(commit_time(time))?.unwrap_or(Seq::ZERO),
    };
    Ok(Range { first, last })
}
