//! What happened: to a path under all its names, by an actor, in the zone.
//!
//! The log finds the records by its indexes; here is whom a path means, from when to when, and in which order.

mod subject;

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use nexus_log::event::{Event, Reason, Syscall};
use nexus_log::filter::Filter;
use nexus_log::ids::{CommitTime, Inode, Seq};
use nexus_log::log::{Direction, Log, Matches};
use nexus_log::record::Record;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::gate::Call;
use crate::limits::HISTORY_LIMIT_MAX;
use crate::path::Target;
use crate::view::{At, read_error};
use crate::zone::Zone;

/// An end of a range of records; it belongs to the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Seq(Seq),
    Time(CommitTime),
}

/// Whose history, and what of it.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery<'a> {
    /// `None`: of the zone. A symlink in the last place is not followed. Of a directory, also the names that came and
    /// went in it.
    pub subject: Option<Target<'a>>,
    /// Where the subject's path is looked up; now where it is `None`, and if it is not there any more, where it last was.
    pub at: Option<At>,
    /// Who acted, which kinds of event, with what outcome. Inodes come from the subject.
    pub filter: Filter,
    pub since: Option<Bound>,
    pub until: Option<Bound>,
    /// Newest first.
    pub reverse: bool,
    /// The newest so many events.
    pub limit: Option<usize>,
}

/// One event of a history.
#[derive(Clone, Debug)]
pub struct HistoryEvent {
    pub record: Arc<Record>,
    /// Of the event in the record.
    pub index: usize,
    /// As the caller gave it, else the inode's first name at that position or just before.
    pub path: Option<Vec<u8>>,
}

impl HistoryEvent {
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.record.events[self.index]
    }
}

/// The events of a history, found as they are asked for. An error ends it.
#[derive(Debug)]
pub struct History {
    zone: Zone,
    log: Log,
    filter: Filter,
    source: Source,
    /// Events of the record found last.
    found: VecDeque<HistoryEvent>,
    left: usize,
    failed: bool,
    /// Sidecars found damaged before the source was.
    damaged: Vec<Seq>,
}

#[derive(Debug)]
enum Source {
    Matches {
        matches: Box<Matches>,
        reverse: bool,
    },
    /// Chosen from the end, told from the start: a record and the index of the first event that counts.
    Chosen(VecDeque<(Seq, usize)>),
}

impl Zone {
    /// What happened, by `query`. Payloads are not read.
    pub fn history(&self, caller: &Caller, query: &HistoryQuery<'_>) -> Result<History> {
        let (path, inode) = query.subject.as_ref().map_or((&b""[..], None), |target| (target.path(), target.inode()));
        let call = Call { syscall: Syscall::Log, caller, path, inode };
        let result = self.dispatch().call(
            &call,
            |_| None,
            |_| {
                // The range first: what is shown does not grow by being looked at.
                let (history, subject) = self.find_history(query)?;
                self.note_history(&call, subject)?;
                Ok(history)
            },
        );
        if let Err(error) = &result
            && error.kind == Reason::PermissionDenied
        {
            self.note_refusal(&call, error);
        }
        result
    }

    /// What a path names now, or named when it was last there: whose history it has.
    pub fn last_seen(&self, path: &[u8]) -> Result<Inode> {
        subject::last_seen(self, path)
    }

    /// The path that an event of record `seq` shows: as the caller gave it, else the inode's first name at that position
    /// or just before.
    pub fn path_shown(&self, seq: Seq, event: &Event) -> Result<Option<Vec<u8>>> {
        subject::path_of(self, seq, event)
    }

    fn find_history(&self, query: &HistoryQuery<'_>) -> Result<(History, Option<Inode>)> {
        let log = self.log();
        let mut filter = query.filter.clone();
        let subject = query.subject.map(|subject| self.subject(subject, query.at)).transpose()?;
        if let Some(subject) = subject {
            filter.inodes = Some(BTreeSet::from([subject]));
        }
        let range = range_of(&log, query)?;
        let limit = query.limit.unwrap_or(usize::MAX);
        let from_the_end = query.limit.is_some() && !query.reverse;
        if from_the_end && limit > HISTORY_LIMIT_MAX {
            let message =
                format!("at most {HISTORY_LIMIT_MAX} of the newest events in this order; or ask newest first");
            return Err(Error::new(Reason::TooLarge, message));
        }
        let direction = if query.reverse || from_the_end { Direction::Reverse } else { Direction::Forward };
        let mut matches = Box::new(log.history(filter.clone(), range, direction));
        let mut damaged = Vec::new();
        let source = if from_the_end {
            let chosen = choose(&mut matches, &filter, limit)?;
            damaged.extend_from_slice(matches.damaged());
            Source::Chosen(chosen)
        } else {
            Source::Matches { matches, reverse: query.reverse }
        };
        let zone = self.clone();
        let found = VecDeque::new();
        Ok((History { zone, log, filter, source, found, left: limit, failed: false, damaged }, subject))
    }

    /// The inode whose history is meant.
    fn subject(&self, target: Target<'_>, at: Option<At>) -> Result<Inode> {
        match (target, at) {
            (Target::Inode(inode), _) => Ok(inode),
            (Target::Path(_), Some(at)) => Ok(self.view(at)?.resolve(target, false)?.inode),
            (Target::Path(path), None) => subject::last_seen(self, path),
        }
    }
}

/// The newest `limit` events, oldest first.
fn choose(matches: &mut Matches, filter: &Filter, limit: usize) -> Result<VecDeque<(Seq, usize)>> {
    let (mut chosen, mut left) = (VecDeque::new(), limit);
    while left > 0 {
        let Some(record) = matches.next() else { break };
        let record = record.map_err(read_error)?;
        let wanted = filter.wanted_events(&record);
        let first = wanted[wanted.len().saturating_sub(left)];
        left = left.saturating_sub(wanted.len());
        chosen.push_front((record.seq, first));
    }
    Ok(chosen)
}

fn range_of(log: &Log, query: &HistoryQuery<'_>) -> Result<Range<Seq>> {
    let start = match query.since {
        None => log.first(),
        Some(Bound::Seq(seq)) => seq,
        // Behind the last record that is earlier.
        Some(Bound::Time(time)) => match time.0.checked_sub(1) {
            None => log.first(),
            Some(before) => log.seq_at(CommitTime(before)).map_err(read_error)?.map_or(log.first(), Seq::next),
        },
    };
    let last = match query.until {
        None => log.flushed(),
        Some(Bound::Seq(seq)) => seq.min(log.flushed()),
        Some(Bound::Time(time)) => log.seq_at(time).map_err(read_error)?.unwrap_or(Seq::ZERO),
    };
    Ok(start..last.next())
}

impl History {
    /// Segments, by their first record, whose sidecar was found damaged: nothing was missed, but a person should look.
    #[must_use]
    pub fn damaged_indexes(&self) -> &[Seq] {
        match &self.source {
            Source::Matches { matches, .. } => matches.damaged(),
            Source::Chosen(_) => &self.damaged,
        }
    }

    fn next_event(&mut self) -> Result<Option<HistoryEvent>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.found.is_empty() && !self.find()? {
            return Ok(None);
        }
        self.left -= 1;
        let Some(mut event) = self.found.pop_front() else { return Ok(None) };
        event.path = subject::path_of(&self.zone, event.record.seq, event.event())?;
        Ok(Some(event))
    }

    /// The events of the next record. False at the end.
    fn find(&mut self) -> Result<bool> {
        let (record, from, reverse) = match &mut self.source {
            Source::Matches { matches, reverse } => match matches.next() {
                Some(record) => (record.map_err(read_error)?, 0, *reverse),
                None => return Ok(false),
            },
            Source::Chosen(chosen) => match chosen.pop_front() {
                Some((seq, from)) => (self.log.meta(seq).map_err(read_error)?, from, false),
                None => return Ok(false),
            },
        };
        let record = Arc::new(record);
        let mut wanted = self.filter.wanted_events(&record);
        wanted.retain(|index| *index >= from);
        if reverse {
            wanted.reverse();
        }
        let event = |index| HistoryEvent { record: Arc::clone(&record), index, path: None };
        self.found.extend(wanted.into_iter().map(event));
        Ok(true)
    }
}

impl Iterator for History {
    type Item = Result<HistoryEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let event = self.next_event();
        self.failed = event.is_err();
        event.transpose()
    }
}
