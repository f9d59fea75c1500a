//! Creating, opening and closing a zone.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nexus_log::env::Env;
use nexus_log::event::{AuditGap, Event, PolicySet, Reason, Recovered, ZoneCreated};
use nexus_log::ids::{CommitTime, Incarnation, Inode, Seq, ZoneId, ZoneIdentity};
use nexus_log::log::{Log, OpenError, Opened, RecoveryReport};
use nexus_log::record::Draft;
use nexus_log::recovery::Proofs;
use nexus_log::zone_meta::{ZoneMeta, ZoneMetaError};
use nexus_projections::apply::{ApplyError, apply};
use nexus_projections::loads::ReadThrough;
use nexus_projections::row::ClockRow;
use nexus_projections::store::Store;
use nexus_projections::table::{RowKey, RowRange, Table};
use nexus_projections::zone_tables::ZoneTables;
use parking_lot::{Condvar, Mutex, RwLock};

use super::access::Accesses;
use super::clock::{Clocks, Confirmation, SequencerClock};
use super::errors::{damaged, poisoned_error, store_error};
use super::keeper::Keeper;
use super::ledger::{Pending, newest_mark};
use super::policy::Policies;
use super::{Core, Inner, SOLO_TERM, Sequencer, Zone, ZoneOptions};
use crate::decide::{Facts, ReleaseOrphans, system_context};
use crate::error::{Error, Result};
use crate::gate::{Authorized, Dispatch, Rank};
use crate::limits::{REFUSAL_WINDOW, USAGE_PART_AT_CLOSE};
use crate::lookup::inode_row;
use crate::view::{answer, read_error};

/// Who owns the root directory of a new zone.
#[derive(Clone, Copy, Debug)]
pub struct RootAttributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

fn open_error(error: OpenError) -> Error {
    let kind = match &error {
        OpenError::Damage { .. } | OpenError::NoSegments { .. } => Reason::Corrupt,
        OpenError::Newer { .. } => Reason::Unsupported,
        OpenError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Reason::NoSpace,
        OpenError::Io { .. } => Reason::Unavailable,
    };
    Error::new(kind, "the zone's log cannot be opened").because(error)
}

fn meta_error(error: ZoneMetaError) -> Error {
    let kind = match &error {
        ZoneMetaError::Io { .. } => Reason::Unavailable,
        ZoneMetaError::NewerFormat { .. } => Reason::Unsupported,
        _ => Reason::Corrupt,
    };
    Error::new(kind, "the zone's meta file cannot be used").because(error)
}

impl Zone {
    /// Creates a zone in `dir` and opens it. Its identity file is written last, when the first record is flushed: until
    /// it stands there is no zone, and a zone has a root directory.
    pub(crate) fn found(
        env: &Env,
        dir: &Path,
        name: &str,
        slot: u32,
        root: RootAttributes,
        store: Arc<dyn Store>,
        options: ZoneOptions,
    ) -> Result<Zone> {
        let identity = ZoneIdentity { zone: ZoneId(env.random.bytes16()), incarnation: Incarnation(1) };
        let created = CommitTime(env.clock.wall_ns());
        let log = Log::create(env, dir, identity, Seq::FIRST, options.log).map_err(open_error)?;
        let (mode, uid, gid) = (root.mode, root.uid, root.gid);
        let mut events: Vec<Event> = vec![ZoneCreated { name: name.to_owned(), mode, uid, gid }.into()];
        if let Some(reads) = options.reads {
            let policy = PolicySet { inode: Inode::ROOT.0, path: b"/".to_vec(), reads: Some(reads.code()) };
            events.push(policy.into());
        }
        let position = (Seq::FIRST, SOLO_TERM, created);
        let draft = Draft::new(&*env.random, position, &system_context(), &events, None);
        log.append(draft).expect("an empty log takes a record");
        log.close().map_err(poisoned_error)?;
        sync_names_above(env, dir)?;
        let meta = ZoneMeta { identity, name: name.to_owned(), created, first_seq: Seq::FIRST };
        meta.write(&*env.disk, dir).map_err(meta_error)?;
        Zone::open_with(env, dir, meta, slot, store, options)
    }

    pub(crate) fn open(env: &Env, dir: &Path, slot: u32, store: Arc<dyn Store>, options: ZoneOptions) -> Result<Zone> {
        let (meta, _) = ZoneMeta::read(&*env.disk, dir).map_err(meta_error)?;
        Zone::open_with(env, dir, meta, slot, store, options)
    }

    fn open_with(
        env: &Env,
        dir: &Path,
        meta: ZoneMeta,
        slot: u32,
        store: Arc<dyn Store>,
        options: ZoneOptions,
    ) -> Result<Zone> {
        let core = open_core(env, dir, &meta, slot, &store, &options)?;
        let report = core.report.clone();
        let inner = Arc::new(Inner {
            env: env.clone(),
            name: meta.name,
            dir: dir.to_owned(),
            identity: meta.identity,
            first: meta.first_seq,
            options,
            dispatch: Dispatch::default(),
            core: RwLock::new(Arc::new(core)),
            refusals: Mutex::default(),
            accesses: Accesses::default(),
            policies: Policies::default(),
            closers: Mutex::default(),
            lock: Mutex::default(),
            handles: Mutex::new(BTreeMap::new()),
            upkeep: Mutex::default(),
            work: Condvar::new(),
            relief: Condvar::new(),
            reopened: Default::default(),
        });
        inner.policies.refresh(&inner.core().tables)?;
        for done in [inner.record_opening(&report), inner.sweep_orphans()] {
            match done {
                // A full disk can be read from.
                Err(e) if matches!(e.kind, Reason::NoSpace | Reason::OutcomeUnknown) => {}
                done => done?,
            }
        }
        let unavailable = |e| Error::new(Reason::Unavailable, "cannot start a thread").because(e);
        let keeper = match options.manual {
            true => None,
            false => Some(Arc::new(Keeper::start(&inner).map_err(unavailable)?)),
        };
        Ok(Zone { inner, keeper })
    }

    /// Flushes everything, writes the counts that are still in memory and notes a clean end.
    pub fn close(&self) -> Result<()> {
        if let Some(keeper) = &self.keeper {
            keeper.stop();
        }
        // Counts that cannot be written now must not keep the rest from being flushed; an unclean end says they may miss.
        let counted = self.inner.close_refusals(true);
        let core = self.inner.core();
        // Before anything of the engine's own: what fails from here on is no change of a caller's.
        core.log.flush().map_err(poisoned_error)?;
        let reads_recorded = self.inner.close_accesses_for_good();
        let usage_counted = if reads_recorded { self.inner.count_usage(USAGE_PART_AT_CLOSE) } else { Ok(()) };
        if reads_recorded {
            core.log.flush().map_err(poisoned_error)?;
        }
        self.inner.flush_for_close(&core)?;
        *core.broken.lock() = Some("the zone was closed".into());
        counted.and(usage_counted)?;
        if !reads_recorded {
            // Whoever only read from a full disk has what they came for. The end stays unclean, and so it is told.
            return Ok(());
        }
        core.log.close().map_err(poisoned_error)
    }
}

/// Makes the names of `dir` and of what it is in durable. A founding that was cut short may have made the directories and
/// not come to this.
fn sync_names_above(env: &Env, dir: &Path) -> Result<()> {
    for above in dir.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match env.disk.sync_dir(above) {
            // It is not ours, so it was there before; or its filesystem has no such thing as syncing a directory.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => {}
            synced => synced.map_err(|error| {
                Error::new(Reason::Unavailable, format!("cannot sync {}", above.display())).because(error)
            })?,
        }
    }
    Ok(())
}

/// Opens log and tables and brings the tables up to the log's end.
fn open_core(
    env: &Env,
    dir: &Path,
    meta: &ZoneMeta,
    slot: u32,
    store: &Arc<dyn Store>,
    options: &ZoneOptions,
) -> Result<Core> {
    let tables = Arc::new(ZoneTables::open_for(Arc::clone(store), slot, meta.identity).map_err(store_error)?);
    let proofs = Proofs { applied: tables.applied(), signed: Seq::ZERO };
    let opened = Log::open(env, dir, meta.identity, meta.first_seq, proofs, options.log).map_err(open_error)?;
    replay(&opened.log, &tables)?;
    let clocks = Clocks { wall_ns: env.clock.wall_ns(), boot_ns: env.clock.boot_ns() };
    let clock = SequencerClock::new(opened.log.appended().1, clocks, confirmation(&opened.log, &tables)?);
    core_of(opened, tables, options, clock, 0)
}

fn core_of(
    opened: Opened,
    tables: Arc<ZoneTables>,
    options: &ZoneOptions,
    clock: SequencerClock,
    life: u64,
) -> Result<Core> {
    let last = opened.log.appended().0;
    let usage = Pending::new(newest_mark(&tables)?, last, options.usage_records);
    Ok(Core {
        log: opened.log,
        tables,
        sequencer: Mutex::new(Sequencer { next: last.next(), clock, usage }),
        newest: AtomicU64::new(last.0),
        broken: Mutex::new(None),
        report: opened.report,
        life,
    })
}

/// The last time that an operator confirmed the wall clock.
fn confirmation(log: &Log, tables: &ZoneTables) -> Result<Option<Confirmation>> {
    let row = tables.view(tables.applied()).get(&RowKey::clock()).map_err(store_error)?;
    let Some(version) = row else { return Ok(None) };
    let wall_ns = ClockRow::decode(&version.value).map_err(damaged)?.wall_ns;
    Ok(Some(Confirmation { wall_ns, time: log.time_of(version.begin).map_err(read_error)? }))
}

/// Applies to the tables what the log holds beyond them.
pub(super) fn replay(log: &Log, tables: &ZoneTables) -> Result<()> {
    for record in log.records(tables.applied().next()) {
        let record = record.map_err(read_error)?;
        let seq = record.seq;
        let write_set = match apply(&record, &ReadThrough::new(tables)) {
            Ok(write_set) => write_set,
            Err(ApplyError::Miss(error)) => return Err(store_error(error)),
            Err(ApplyError::Row(error)) => return Err(damaged(error)),
        };
        tables.insert(write_set);
        if tables.wants_flush() {
            tables.flush_step(seq).map_err(store_error)?;
        }
    }
    Ok(())
}

impl Inner {
    /// After an unclean end: what was cut, and that counts may be missing.
    fn record_opening(&self, report: &RecoveryReport) -> Result<()> {
        if report.clean || report.last == Seq::ZERO {
            return Ok(());
        }
        let cut = report.cut;
        let recovered = Recovered {
            cut_from: cut.map_or(0, |c| c.from.0),
            cut_bytes: cut.map_or(0, |c| c.bytes),
            rewritten: report.rewritten,
        };
        // Counts are kept for a window before they are a record.
        let log = &self.core().log;
        let (_, last_time) = log.appended();
        let window = CommitTime(last_time.0.saturating_sub(REFUSAL_WINDOW.as_nanos() as u64));
        let after = log.seq_at(window).map_err(read_error)?.unwrap_or(Seq::ZERO);
        let gap = AuditGap { after: after.0, until_ns: self.env.clock.wall_ns() };
        let events: [Event; 2] = [recovered.into(), gap.into()];
        self.record_facts(Rank::Reserve, &system_context(), &events)
    }

    /// Appends facts about the zone and waits for the disk.
    pub(super) fn record_facts(&self, rank: Rank, context: &nexus_log::event::Context, events: &[Event]) -> Result<()> {
        let committed = self
            .commit(&Dispatch::internal(rank), context, &Facts { events }, None)
            .map_err(|refusal| refusal.error)?;
        committed.core.wait(committed.state)
    }

    /// Files that were unlinked while open, and trees that were being built, by a process that is gone.
    fn sweep_orphans(&self) -> Result<()> {
        let core = self.core();
        let view = core.tables.view(core.newest());
        let mut orphans = Vec::new();
        for row in view.scan(&RowRange::all(Table::Orphan)) {
            let (key, _) = row.map_err(store_error)?;
            orphans.extend(key.bytes.first_chunk::<8>().map(|b| Inode(u64::from_be_bytes(*b))));
        }
        let mut files = Vec::with_capacity(orphans.len());
        for inode in orphans {
            match answer(inode_row(&view, inode))? {
                // A tree that was being built; what is in it goes first.
                Some(node) if node.is_directory() => self.give_up_detached(&core, inode)?,
                _ => files.push(inode),
            }
        }
        for inodes in files.chunks(crate::limits::RECORD_ROWS_MAX / 2) {
            let operation = ReleaseOrphans { inodes };
            let committed = self
                .commit(&Dispatch::internal(Rank::Reserve), &system_context(), &operation, None)
                .map_err(|refusal| refusal.error)?;
            committed.core.wait(committed.state)?;
        }
        Ok(())
    }

    /// What a change goes to. Where the log stopped for lack of space, and there is some now, the zone is opened again.
    pub(super) fn writable_core(&self, authorized: &Authorized) -> Result<Arc<Core>> {
        let core = self.core();
        let Some(poisoned) = core.log.poisoned() else {
            self.check_broken(&core)?;
            if authorized.rank < Rank::Reserve {
                self.check_space(&core)?;
            }
            if authorized.rank == Rank::Call {
                self.throttle(&core)?;
            }
            return Ok(core);
        };
        let healed = poisoned.0.no_space() && core.log.free_bytes().unwrap_or(0) > 0;
        if !healed || authorized.rank > Rank::Call {
            return Err(poisoned_error(poisoned));
        }
        self.check_broken(&core)?;
        let opened = self.revive()?;
        let core = self.core();
        if opened {
            self.record_opening(&core.report)?;
        }
        Ok(core)
    }

    /// Opens the log again, as a restart would. The tables stay: they forget what the log lost and take what it kept.
    /// Says whether it did, or somebody else had.
    fn revive(&self) -> Result<bool> {
        let mut slot = self.core.write();
        let old = Arc::clone(&slot);
        if old.log.poisoned().is_none() {
            return Ok(false);
        }
        // Whoever is in the old sequencer comes out first; whoever comes after finds its log poisoned.
        let no_writers = old.sequencer.lock();
        let flushed = old.log.flushed();
        old.tables.drop_above(flushed);
        let proofs = Proofs { applied: flushed, signed: Seq::ZERO };
        let opened = Log::open(&self.env, &self.dir, self.identity, self.first, proofs, self.options.log);
        let opened = opened.map_err(open_error)?;
        if let Some(lock) = &*self.lock.lock() {
            opened.log.hold(Arc::clone(lock));
        }
        replay(&opened.log, &old.tables)?;
        // The clock goes on: that the log was opened anew is no reason to follow a step that is held.
        let clock = no_writers.clock.clone().reopened();
        *slot = Arc::new(core_of(opened, Arc::clone(&old.tables), &self.options, clock, old.life + 1)?);
        drop(slot);
        self.policies.refresh(&self.core().tables)?;
        // Under the lock, so that who is about to sleep sees the new life.
        let (lock, reopened) = &self.reopened;
        let _about_to_sleep = lock.lock();
        reopened.notify_all();
        Ok(true)
    }
}
