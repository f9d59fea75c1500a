//! A zone: one log, one sequencer, one set of tables.
//!
//! ```text
//!  call --gate, hooks--> commit: look up and decide outside --> sequencer: decide on the newest state, apply,
//!                                                               rows into the memtable, record into the log
//!                               <-- reply with seq <-- wait until flushed
//!  keeper: memtable --> tables in runs; counts of refusals at the end of each second
//! ```
//!
//! Invariants:
//! 1. Rows stand in the memtable before their record is in the log, so whoever sees a position as committed sees its
//!    rows (L1, L6).
//! 2. The sequencer never waits for the disk.
//! 3. Success is answered after the record is flushed, or at once where the caller asked for `accepted` (L2).

mod batch;
mod calls;
mod commit;
mod copy;
pub(crate) mod errors;
mod keeper;
mod locks;
mod open;
mod refusals;
mod staging;
mod upkeep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nexus_log::env::{DirLock, Env};
use nexus_log::event::Reason;
use nexus_log::ids::{CommitTime, Inode, Seq, Term, ZoneIdentity};
use nexus_log::log::{Log, LogOptions, RecoveryReport};
use nexus_projections::zone_tables::ZoneTables;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::error::{Error, Result};
use crate::gate::Dispatch;
use crate::view::{At, View};

pub use batch::{BatchItem, Change, WriteRequest};
pub use calls::{CallOptions, Done, Durability};
use keeper::Keeper;
pub use open::RootAttributes;
use refusals::Refusals;
pub use staging::ContentWriter;
pub use upkeep::{RebuildReport, TableDigest};

/// The term of every record of a zone without replicas.
const SOLO_TERM: Term = Term(1);

/// How a zone is driven.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZoneOptions {
    pub log: LogOptions,
    /// No threads: the simulation calls [`Zone::tick`].
    pub manual: bool,
}

/// A zone that is open. Cheap to clone.
#[derive(Clone)]
pub struct Zone {
    inner: Arc<Inner>,
    keeper: Option<Arc<Keeper>>,
}

struct Inner {
    env: Env,
    name: String,
    dir: PathBuf,
    identity: ZoneIdentity,
    first: Seq,
    options: ZoneOptions,
    dispatch: Dispatch,
    /// Replaced as a whole when the zone is opened again after a failure.
    core: RwLock<Arc<Core>>,
    refusals: Mutex<Refusals>,
    /// The data directory's lock, held as long as anybody holds the zone.
    lock: Mutex<Option<Arc<dyn DirLock>>>,
    /// Inodes held open, and by how many handles.
    handles: Mutex<BTreeMap<Inode, u64>>,
    /// Signalled when the keeper has something to do, and when it has done something.
    upkeep: Mutex<UpkeepState>,
    work: Condvar,
    relief: Condvar,
    /// Signalled when the zone has opened itself again.
    reopened: (Mutex<()>, Condvar),
}

#[derive(Default)]
struct UpkeepState {
    wanted: bool,
    closing: bool,
}

/// One life of a zone between two openings.
struct Core {
    log: Log,
    /// The same through all lives of the zone: a View of an earlier one goes on reading them.
    tables: Arc<ZoneTables>,
    sequencer: Mutex<Sequencer>,
    /// Highest seq whose rows are in the memtable and whose record is in the log's queue.
    newest: AtomicU64,
    /// What stopped the tables; every later write is refused.
    broken: Mutex<Option<String>>,
    report: RecoveryReport,
    /// Openings of the zone in this process before this one.
    life: u64,
}

struct Sequencer {
    next: Seq,
    last_time: CommitTime,
}

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zone").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Core {
    fn newest(&self) -> Seq {
        Seq(self.newest.load(Ordering::Acquire))
    }
}

impl Zone {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    #[must_use]
    pub fn identity(&self) -> ZoneIdentity {
        self.inner.identity
    }

    /// What opening the zone found.
    #[must_use]
    pub fn recovery(&self) -> RecoveryReport {
        self.inner.core().report.clone()
    }

    /// Grows each time the zone opens itself again after a failure: what was accepted before may be lost.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.inner.core().life
    }

    /// Sleeps until the zone is in another life than `life`, at most for `timeout`. Says whether it is.
    pub(crate) fn wait_reopened(&self, life: u64, timeout: Duration) -> bool {
        let (lock, reopened) = &self.inner.reopened;
        let mut guard = lock.lock();
        while self.life() == life {
            if reopened.wait_for(&mut guard, timeout).timed_out() {
                return self.life() != life;
            }
        }
        true
    }

    pub(crate) fn boot_ns(&self) -> u64 {
        self.inner.env.clock.boot_ns()
    }

    /// The log itself, for reading history.
    #[must_use]
    pub fn log(&self) -> Log {
        self.inner.core().log.clone()
    }

    /// A read capability on the zone at one position.
    pub fn view(&self, at: At) -> Result<View> {
        let core = self.inner.core();
        let seq = self.inner.resolve_at(&core, at)?;
        Ok(View::new(self.clone(), core.log.clone(), core.tables.view(seq), seq))
    }

    /// Keeps the data directory's lock until nobody holds the zone or its log any more.
    pub(crate) fn keep_lock(&self, lock: Box<dyn DirLock>) {
        let lock: Arc<dyn DirLock> = lock.into();
        self.inner.core().log.hold(Arc::clone(&lock));
        *self.inner.lock.lock() = Some(lock);
    }

    pub(crate) fn dispatch(&self) -> &Dispatch {
        &self.inner.dispatch
    }

    /// Installs what decides who may do what; `None` removes it.
    pub fn install_gate(&self, gate: Option<Arc<dyn crate::gate::Gate>>) {
        self.inner.dispatch.install_gate(gate);
    }

    /// Installs hooks around every call, in order, in place of those before.
    pub fn install_hooks(&self, hooks: Vec<Arc<dyn crate::gate::Hook>>) {
        self.inner.dispatch.install_hooks(hooks);
    }
}

impl Inner {
    fn core(&self) -> Arc<Core> {
        Arc::clone(&self.core.read())
    }

    /// Makes the answer for `time` final: what was stamped up to it is waited for, and no later record gets such a time.
    fn close_time(&self, core: &Core, time: CommitTime) -> Result<()> {
        let until = {
            let mut sequencer = core.sequencer.lock();
            sequencer.last_time = sequencer.last_time.max(time);
            sequencer.next.prev()
        };
        // A log that takes no more records has no answer but what is there.
        if core.log.poisoned().is_some() { Ok(()) } else { core.wait(until) }
    }

    fn resolve_at(&self, core: &Core, at: At) -> Result<Seq> {
        let last = core.log.flushed();
        match at {
            At::Latest => Ok(last),
            At::Newest => Ok(core.newest().max(last)),
            At::Exactly(seq) if seq < core.log.first() || seq > last => {
                let first = core.log.first();
                let message = format!("position {seq} is not in the log, which holds {first} to {last}");
                Err(Error::new(Reason::Invalid, message))
            }
            At::Exactly(seq) => Ok(seq),
            At::Time(time) => {
                if time.0 > self.env.clock.wall_ns() {
                    return Err(Error::new(Reason::Invalid, "the time is in the future"));
                }
                self.close_time(core, time)?;
                let found = core.log.seq_at(time).map_err(crate::view::read_error)?;
                found.ok_or_else(|| Error::new(Reason::Invalid, "the zone did not exist at that time"))
            }
        }
    }
}
