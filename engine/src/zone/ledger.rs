//! Who used what, exactly, at any position, for next to nothing on the way of a write.
//!
//! ```text
//!  sequencer: each record is added to a tally in memory
//!  keeper:    once per USAGE_RECORDS_MAX records the tally becomes a UsageCounted record; apply adds it to the rows
//!  question:  rows at the position + recount of the records behind the rows' mark
//! ```
//!
//! Invariants:
//! 1. The rows at a position hold the usage of the records up to their mark, and of no other.
//! 2. The tally holds that of the records behind `base` up to the newest. What lies between mark and base, because a
//!    process ended or a count could not be appended, is counted from the log: nothing is lost or counted twice.
//! 3. Counts are appended one at a time, in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use nexus_log::event::{UsageCount, UsageCounted, UsageCounts};
use nexus_log::ids::Seq;
use nexus_log::log::Log;
use nexus_log::record::Record;
use nexus_projections::row::{LedgerMarkRow, LedgerRow};
use nexus_projections::table::{RowKey, RowRange, Table};
use nexus_projections::usage::{add, hour_of, usage_of};
use nexus_projections::zone_tables::ZoneTables;

use super::errors::{damaged, store_error};
use super::{Core, Inner, Zone};
use crate::caller::Caller;
use crate::decide::system_context;
use crate::error::Result;
use crate::gate::{Dispatch, Rank};
use crate::limits::{USAGE_ACTORS_MAX, USAGE_RECORDS_MAX};
use crate::view::{At, read_error};

/// Sums per actor and hour.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Vec<UsageCount>,
    /// By a hash of actor and hour, moved on where it is taken.
    index: BTreeMap<u64, usize>,
    /// Where the last one was found: mostly it is the next one too.
    last: usize,
}

fn is(count: &UsageCount, names: [&str; 3], hour: u64) -> bool {
    count.hour == hour && count.agent == names[2] && count.user == names[1] && count.tenant == names[0]
}

/// FNV-1a; a collision costs a step, no more.
fn hash(names: [&str; 3], hour: u64) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let names = names.into_iter().flat_map(|name| name.bytes().chain([0xff]));
    names.fold(0xcbf2_9ce4_8422_2325 ^ hour.wrapping_mul(0x9e37_79b9_7f4a_7c15), step)
}

impl Tally {
    pub(super) fn add_record(&mut self, record: &Record) {
        let counts = usage_of(record);
        if counts != UsageCounts::default() {
            let context = &record.context;
            self.add([&context.tenant, &context.user, &context.agent], hour_of(record.commit_time), &counts);
        }
    }

    fn add(&mut self, names: [&str; 3], hour: u64, counts: &UsageCounts) {
        if !self.counts.get(self.last).is_some_and(|last| is(last, names, hour)) {
            self.last = self.find(names, hour);
        }
        add(&mut self.counts[self.last].counts, counts);
    }

    fn find(&mut self, names: [&str; 3], hour: u64) -> usize {
        let mut slot = hash(names, hour);
        while let Some(at) = self.index.get(&slot) {
            if is(&self.counts[*at], names, hour) {
                return *at;
            }
            slot = slot.wrapping_add(1);
        }
        let [tenant, user, agent] = names.map(str::to_owned);
        self.counts.push(UsageCount { tenant, user, agent, hour, counts: UsageCounts::default() });
        self.index.insert(slot, self.counts.len() - 1);
        self.counts.len() - 1
    }

    fn add_all(&mut self, more: &[UsageCount]) {
        more.iter().for_each(|c| self.add([&c.tenant, &c.user, &c.agent], c.hour, &c.counts));
    }

    fn len(&self) -> usize {
        self.counts.len()
    }

    fn into_counts(mut self) -> Vec<UsageCount> {
        let key = |c: &UsageCount| (c.hour, c.tenant.clone(), c.user.clone(), c.agent.clone());
        self.counts.sort_by_cached_key(key);
        self.counts
    }
}

/// What the sequencer knows of usage that is in no row yet.
#[derive(Debug)]
pub(super) struct Pending {
    every: u64,
    mark: Seq,
    base: Seq,
    tally: Tally,
    /// Up to where the last count went, whether it could be appended or not.
    tried: Seq,
    /// The keeper was told that a count is due.
    asked: bool,
    /// A count is under way.
    counting: bool,
}

impl Pending {
    /// Where nothing is in memory: the log up to `last` is to be counted from `mark` on.
    pub(super) fn new(mark: Seq, last: Seq, every: Option<u64>) -> Pending {
        let every = every.unwrap_or(USAGE_RECORDS_MAX);
        Pending { every, mark, base: last, tally: Tally::default(), tried: mark, asked: false, counting: false }
    }

    /// Notes the newest record. Says whether the keeper should count.
    pub(super) fn add(&mut self, record: &Record) -> bool {
        if self.tally.len() >= 2 * USAGE_ACTORS_MAX {
            // The keeper is late: what was in memory is counted from the log.
            self.tally = Tally::default();
            self.base = record.seq.prev();
        }
        self.tally.add_record(record);
        let ask = !self.asked && !self.counting && self.due(record.seq, 1);
        self.asked |= ask;
        ask
    }

    /// Is there a `part`-th of what one count holds?
    fn due(&self, last: Seq, part: u64) -> bool {
        last.0.saturating_sub(self.tried.0) >= self.every / part || self.tally.len() >= USAGE_ACTORS_MAX
    }
}

/// What of the ledger to show; what is absent matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    pub tenant: Option<String>,
    pub user: Option<String>,
    pub agent: Option<String>,
    /// Hours since 1970; from this one on.
    pub from_hour: Option<u64>,
    /// Up to this one.
    pub until_hour: Option<u64>,
}

impl UsageFilter {
    fn matches(&self, count: &UsageCount) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        same(&self.tenant, &count.tenant)
            && same(&self.user, &count.user)
            && same(&self.agent, &count.agent)
            && self.from_hour.is_none_or(|from| from <= count.hour)
            && self.until_hour.is_none_or(|until| count.hour <= until)
    }
}

/// Who used what up to a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub at: Seq,
    /// One for each actor and hour, by hour, tenant, user and agent.
    pub counts: Vec<UsageCount>,
}

/// How far the rows of the newest state are counted.
pub(super) fn newest_mark(tables: &ZoneTables) -> Result<Seq> {
    mark_of(&tables.view(tables.applied()))
}

fn mark_of(view: &nexus_projections::view::View) -> Result<Seq> {
    match view.get(&RowKey::ledger_mark()).map_err(store_error)? {
        Some(version) => Ok(LedgerMarkRow::decode(&version.value).map_err(damaged)?.until),
        None => Ok(Seq::ZERO),
    }
}

/// Records from `from` to `to`.
fn records(log: &Log, from: Seq, to: Seq) -> impl Iterator<Item = Result<Record>> {
    let count = (to.0 + 1).saturating_sub(from.0.max(log.first().0));
    log.records(from).take(count as usize).map(|record| record.map_err(read_error))
}

impl Zone {
    /// Operations and bytes per actor and hour up to a position, exactly: also what no row counts yet. Reads as far as
    /// their policy records them.
    pub fn usage(&self, caller: &Caller, at: At, filter: &UsageFilter) -> Result<Usage> {
        self.open_history(caller, None, || {
            let core = self.inner.core();
            let at = self.inner.resolve_at(&core, at, Some(caller))?.seq;
            if at > core.log.flushed() {
                core.wait(at)?;
            }
            let view = core.tables.view(at);
            let mut tally = Tally::default();
            let mark = mark_of(&view)?;
            for row in view.scan(&RowRange::all(Table::Ledger)) {
                let (key, version) = row.map_err(store_error)?;
                if key != RowKey::ledger_mark() {
                    tally.add_all(&[LedgerRow::decode(&version.value).map_err(damaged)?.0]);
                }
            }
            for record in records(&core.log, mark.next(), at) {
                tally.add_record(&record?);
            }
            let counts = tally.into_counts().into_iter().filter(|count| filter.matches(count)).collect();
            Ok(Usage { at, counts })
        })
    }
}

impl Inner {
    /// Appends what was used since the last count, where that is the `part`-th of a usual count at least.
    pub(super) fn count_usage(&self, part: u64) -> Result<()> {
        let core = self.core();
        let (mark, base, until, tally) = {
            let mut sequencer = core.sequencer.lock();
            let last = sequencer.next.prev();
            let pending = &mut sequencer.usage;
            // Once asked for it is due: the tally may have been dropped since.
            let due = pending.asked || pending.due(last, part);
            if pending.counting || !due || last <= pending.mark {
                return Ok(());
            }
            (pending.asked, pending.counting) = (false, true);
            pending.tried = last;
            let tally = std::mem::take(&mut pending.tally);
            (pending.mark, std::mem::replace(&mut pending.base, last), last, tally)
        };
        let counted = self.append_counts(&core, mark, base, until, tally);
        core.sequencer.lock().usage.counting = false;
        match counted {
            // It is counted from the log when there is room again.
            Err(error) if super::time::cannot_append(error.kind) => Ok(()),
            counted => counted,
        }
    }

    /// Counts from the log what lies behind `mark` up to `base`, and appends it with `tally`, which goes on to `until`.
    fn append_counts(&self, core: &Arc<Core>, mark: Seq, base: Seq, until: Seq, tally: Tally) -> Result<()> {
        let from_log = if tally.len() > USAGE_ACTORS_MAX { until } else { base };
        if from_log > core.log.flushed() {
            core.wait(from_log)?;
        }
        let mut counted = Tally::default();
        let mut after = mark;
        for record in records(&core.log, mark.next(), from_log) {
            let record = record?;
            counted.add_record(&record);
            if counted.len() >= USAGE_ACTORS_MAX {
                self.append_count(core, after, record.seq, std::mem::take(&mut counted))?;
                after = record.seq;
            }
        }
        if from_log < until {
            if counted.len() + tally.len() > USAGE_ACTORS_MAX {
                self.append_count(core, after, from_log, std::mem::take(&mut counted))?;
                after = from_log;
            }
            counted.add_all(&tally.counts);
        }
        if after < until { self.append_count(core, after, until, counted) } else { Ok(()) }
    }

    fn append_count(&self, core: &Arc<Core>, after: Seq, until: Seq, tally: Tally) -> Result<()> {
        let event = UsageCounted { after: after.0, until: until.0, counts: tally.into_counts() };
        let events = [event.into()];
        let facts = crate::decide::Facts { events: &events };
        self.check_broken(core)?;
        self.check_space(core)?;
        // To the log that was counted: one that was opened again in between may hold other records.
        let authorized = Dispatch::internal(Rank::Upkeep);
        let committed = self.commit_on(core, &authorized, &system_context(), &facts, None);
        committed.map_err(|refusal| refusal.error)?;
        core.sequencer.lock().usage.mark = until;
        Ok(())
    }
}
