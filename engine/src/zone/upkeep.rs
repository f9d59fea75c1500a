//! Moving rows from memory to the tables, holding writers back while that is behind, folding the log again.

use std::ops::Range;
use std::time::Duration;

use nexus_log::event::Reason;
use nexus_log::ids::{Body, Inode, Seq};
use nexus_projections::apply::content::{extent_offset, extents_from};
use nexus_projections::apply::{ApplyError, apply};
use nexus_projections::flush::FlushOutcome;
use nexus_projections::loads::ReadThrough;
use nexus_projections::row::{Content, DentryRow, FileKind};
use nexus_projections::table::{RowRange, Table};
use nexus_projections::view::View;

use super::errors::{damaged, poisoned_error, store_error};
use super::{Core, Inner, Zone};
use crate::error::{Error, Result};
use crate::gate::{Dispatch, Rank};
use crate::limits::{EXTENTS_PER_STEP_MAX, THROTTLE_WAIT_MAX};
use crate::lookup::resolve;
use crate::path::Target;
use crate::view::{At, read_error};

/// A digest over every row of a zone's tables at a position, present and superseded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableDigest {
    pub at: Seq,
    pub digest: [u8; 32],
}

/// What folding the log again came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebuildReport {
    /// Of the tables in use before.
    pub before: TableDigest,
    /// Of the tables folded anew.
    pub after: TableDigest,
    pub records: u64,
}

impl RebuildReport {
    /// Both agree: the tables were what the log says.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.before == self.after
    }
}

impl Inner {
    /// Ends the window of refusals if it is over, or in any case, and appends its counts.
    pub(super) fn close_refusals(&self, now: bool) -> Result<()> {
        let clock = self.env.clock.boot_ns();
        if !now
            && self.refusals.lock().closes_in(clock) == Some(0)
            && self.writable_core(&Dispatch::internal(Rank::Upkeep)).is_err()
        {
            self.refusals.lock().defer(clock);
            return Ok(());
        }
        let closed = {
            let mut refusals = self.refusals.lock();
            match refusals.closes_in(clock) {
                Some(ns) if ns == 0 || now => refusals.close(clock, self.env.clock.wall_ns()),
                _ => return Ok(()),
            }
        };
        for (context, event) in closed {
            self.record_facts(Rank::Upkeep, &context, &[event])?;
        }
        Ok(())
    }

    /// Moves what is full and committed from memory to the tables.
    pub(super) fn relieve(&self, core: &Core) -> Result<()> {
        loop {
            match core.tables.flush_step(core.log.flushed()) {
                Ok(FlushOutcome::Wrote { .. }) => {}
                Ok(_) => return Ok(()),
                Err(error) => {
                    let error = store_error(error);
                    *core.broken.lock() = Some(format!("writing the tables failed ({error}); restart to go on"));
                    return Err(error);
                }
            }
        }
    }

    /// Before the end: what is in memory goes to the tables where it is enough to make the next opening slow.
    pub(super) fn flush_for_close(&self, core: &Core) -> Result<()> {
        /// Below this, replaying is faster than writing a run.
        const WORTH_BYTES: usize = 1 << 20;
        if core.broken.lock().is_none() && core.tables.pressure().memory_bytes > WORTH_BYTES {
            core.tables.flush_all(core.log.flushed()).map_err(store_error)?;
        }
        Ok(())
    }

    pub(super) fn check_broken(&self, core: &Core) -> Result<()> {
        match &*core.broken.lock() {
            None => Ok(()),
            Some(why) => Err(Error::new(Reason::Unavailable, format!("the zone takes no changes: {why}"))),
        }
    }

    /// Below the disk's reserve nothing new is taken: the rest is for flushing tables.
    pub(super) fn check_space(&self, core: &Core) -> Result<()> {
        if core.log.low_on_space() {
            let message = "the disk is nearly full and the zone is read-only; free some space";
            return Err(Error::new(Reason::NoSpace, message));
        }
        Ok(())
    }

    /// Holds a writer back while memory is full and the tables are behind.
    pub(super) fn throttle(&self, core: &Core) -> Result<()> {
        if core.tables.wants_flush() {
            if self.options.manual {
                core.log.flush().map_err(poisoned_error)?;
                return self.relieve(core);
            }
            self.want_upkeep();
        }
        if !core.tables.must_throttle() {
            return Ok(());
        }
        let deadline = self.env.clock.boot_ns() + THROTTLE_WAIT_MAX.as_nanos() as u64;
        let mut state = self.upkeep.lock();
        while core.tables.must_throttle() {
            let left = deadline.saturating_sub(self.env.clock.boot_ns());
            if left == 0 {
                return Err(Error::new(Reason::Busy, "the tables are far behind the log; try again"));
            }
            state.wanted = true;
            self.work.notify_one();
            self.relief.wait_for(&mut state, Duration::from_nanos(left));
            self.check_broken(core)?;
        }
        Ok(())
    }

    /// Sizes to pass through on the way to `size`, so that no record removes more than a bounded number of extents.
    pub(super) fn truncation_steps(&self, target: Target<'_>, size: u64) -> Result<Vec<u64>> {
        let core = self.core();
        let view = core.tables.view(core.newest());
        let Ok(node) = resolve(&view, target, true) else { return Ok(Vec::new()) };
        let (FileKind::Regular, Content::Body(body)) = (node.row.kind, node.row.content) else {
            return Ok(Vec::new());
        };
        if size == 0 || size >= node.row.size {
            return Ok(Vec::new());
        }
        let mut steps = offsets_of_steps(&view, body, size, u64::MAX)?;
        steps.reverse();
        Ok(steps)
    }

    /// Lengths of the parts in which `length` bytes are written at `offset`, so that no record removes more than a bounded
    /// number of extents. One part where it need not be more.
    pub(super) fn write_steps(&self, target: Target<'_>, offset: u64, length: u64) -> Result<Vec<u64>> {
        let whole = vec![length];
        let core = self.core();
        let view = core.tables.view(core.newest());
        let Ok(node) = resolve(&view, target, true) else { return Ok(whole) };
        let (FileKind::Regular, Content::Body(body)) = (node.row.kind, node.row.content) else { return Ok(whole) };
        let end = offset.saturating_add(length);
        // What takes the place of all there is removes nothing: the file gets another body.
        if offset >= node.row.size || (offset == 0 && end >= node.row.size) {
            return Ok(whole);
        }
        let mut steps = Vec::new();
        let mut from = offset;
        for at in offsets_of_steps(&view, body, offset, end)?.into_iter().filter(|at| *at > offset).chain([end]) {
            steps.push(at - from);
            from = at;
        }
        Ok(steps)
    }

    /// Runs to punch before the last one, for the same reason.
    pub(super) fn punch_steps(&self, target: Target<'_>, offset: u64, length: u64) -> Result<Vec<Range<u64>>> {
        let core = self.core();
        let view = core.tables.view(core.newest());
        let Ok(node) = resolve(&view, target, true) else { return Ok(Vec::new()) };
        let (FileKind::Regular, Content::Body(body)) = (node.row.kind, node.row.content) else {
            return Ok(Vec::new());
        };
        let end = offset.saturating_add(length).min(node.row.size);
        if offset >= end {
            return Ok(Vec::new());
        }
        let mut from = offset;
        let mut steps = Vec::new();
        for at in offsets_of_steps(&view, body, offset, end)?.into_iter().filter(|at| *at > offset) {
            steps.push(from..at);
            from = at;
        }
        Ok(steps)
    }
}

/// Where every so many extents one begins, in `from..to`: between two of these places a record can remove them all.
fn offsets_of_steps(view: &View, body: Body, from: u64, to: u64) -> Result<Vec<u64>> {
    let mut offsets = Vec::new();
    for (count, row) in view.scan(&extents_from(body, from, to)).enumerate() {
        let (key, _) = row.map_err(store_error)?;
        if count % EXTENTS_PER_STEP_MAX == EXTENTS_PER_STEP_MAX - 1 {
            offsets.push(extent_offset(&key));
        }
    }
    Ok(offsets)
}

/// The first names in a directory.
pub(super) fn entries_of(view: &View, directory: Inode, limit: usize) -> Result<Vec<(Vec<u8>, DentryRow)>> {
    let rows = view.scan(&RowRange::of_id(Table::Dentry, directory.0)).take(limit);
    rows.map(|row| {
        let (key, version) = row.map_err(store_error)?;
        Ok((key.bytes[8..].to_vec(), DentryRow::decode(&version.value).map_err(damaged)?))
    })
    .collect()
}

impl Core {
    /// The caller holds the sequencer: nothing is inserted meanwhile.
    fn digest(&self) -> Result<TableDigest> {
        self.log.flush().map_err(poisoned_error)?;
        let at = self.log.flushed();
        self.tables.flush_all(at).map_err(store_error)?;
        let digest = self.tables.summary(Seq::ZERO, at).map_err(store_error)?.digest;
        Ok(TableDigest { at, digest })
    }
}

impl Zone {
    /// Digest of the tables at the last flushed position. Everything is moved to the tables first.
    pub fn digest(&self) -> Result<TableDigest> {
        let core = self.inner.core();
        let _no_writers = core.sequencer.lock();
        core.digest()
    }

    /// Folds the whole log into new tables, compares them with those in use, and takes them into use if `switch`.
    /// Nothing may be written meanwhile: the zone takes no calls. `progress` is told the seq reached.
    pub fn rebuild(&self, switch: bool, mut progress: impl FnMut(Seq)) -> Result<RebuildReport> {
        let core = self.inner.core();
        let _no_writers = core.sequencer.lock();
        let before = core.digest()?;
        let anew = core.tables.begin_generation(Seq::ZERO).map_err(store_error)?;
        let mut records = 0;
        for record in core.log.records(core.log.first()) {
            let record = record.map_err(read_error)?;
            let seq = record.seq;
            let write_set = match apply(&record, &ReadThrough::new(&anew)) {
                Ok(write_set) => write_set,
                Err(ApplyError::Miss(error)) => return Err(store_error(error)),
                Err(ApplyError::Row(error)) => return Err(damaged(error)),
            };
            anew.insert(write_set);
            anew.flush_step(seq).map_err(store_error)?;
            records += 1;
            progress(seq);
        }
        anew.flush_all(before.at).map_err(store_error)?;
        let digest = anew.summary(Seq::ZERO, before.at).map_err(store_error)?.digest;
        let report = RebuildReport { before, after: TableDigest { at: before.at, digest }, records };
        if switch {
            core.tables.switch_to(&anew).map_err(store_error)?;
        }
        Ok(report)
    }

    /// Number of rows per table at a position, for people.
    pub fn row_counts(&self, at: At) -> Result<Vec<(&'static str, u64)>> {
        let core = self.inner.core();
        let seq = self.inner.resolve_at(&core, at, None)?.seq;
        let view = core.tables.view(seq);
        nexus_projections::table::Table::ALL
            .into_iter()
            .map(|table| {
                let mut rows = 0;
                for row in view.scan(&nexus_projections::table::RowRange::all(table)) {
                    row.map_err(store_error)?;
                    rows += 1;
                }
                Ok((table.name(), rows))
            })
            .collect()
    }
}
