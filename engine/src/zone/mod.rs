//! A zone: one log, one sequencer, one set of tables.
//!
//! ```text
//!  call --gate, hooks--> commit: look up and decide outside --> sequencer: decide on the newest state, apply,
//!                                                               rows into the memtable, record into the log
//!                               <-- reply with seq <-- wait until flushed
//!  keeper: memtable --> tables in runs; counts of refusals and reads at the end of each second; counts of usage
//! ```
//!
//! Invariants:
//! 1. Rows stand in the memtable before their record is in the log, so whoever sees a position as committed sees its
//!    rows (L1, L6).
//! 2. The sequencer never waits for the disk.
//! 3. Success is answered after the record is flushed, or at once where the caller asked for `accepted` (L2).

mod access;
mod batch;
mod calls;
mod clock;
mod commit;
mod copy;
pub(crate) mod errors;
mod keeper;
mod ledger;
mod locks;
mod open;
mod policy;
mod refusals;
mod staging;
mod time;
mod upkeep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nexus_log::env::{DirLock, Env};
use nexus_log::event::ReadPolicy;
use nexus_log::ids::{Inode, Seq, Term, ZoneIdentity};
use nexus_log::log::{Log, LogOptions, RecoveryReport};
use nexus_projections::zone_tables::ZoneTables;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::caller::Caller;
use crate::error::Result;
use crate::gate::Dispatch;
use crate::view::{At, View};

use access::Accesses;
pub(crate) use access::Read;
pub use batch::{BatchItem, Change, WriteRequest};
pub use calls::{CallOptions, Done, Durability};
pub use clock::ClockState;
use clock::SequencerClock;
use keeper::Keeper;
use ledger::Pending;
pub use ledger::{Usage, UsageFilter};
pub use open::RootAttributes;
use policy::Policies;
pub(crate) use policy::policy_in_force;
pub use policy::{PolicyInForce, READ_POLICY_DEFAULT};
use refusals::Refusals;
pub use staging::ContentWriter;
use time::{Resolved, TimeClosers};
pub use upkeep::{RebuildReport, TableDigest};

/// The term of every record of a zone without replicas.
const SOLO_TERM: Term = Term(1);

/// How a zone is driven.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZoneOptions {
    pub log: LogOptions,
    /// No threads: the simulation calls [`Zone::tick`].
    pub manual: bool,
    /// Read policy of the root directory of a zone that is founded with these options; part of its first record.
    pub reads: Option<ReadPolicy>,
    /// Records between two counts of usage, where not [`USAGE_RECORDS_MAX`](crate::limits::USAGE_RECORDS_MAX).
    pub usage_records: Option<u64>,
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
    accesses: Accesses,
    policies: Policies,
    closers: Mutex<TimeClosers>,
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
    clock: SequencerClock,
    usage: Pending,
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
        self.view_of(at, None)
    }

    /// As [`Zone::view`]; where the answer to a time must be written down first, `caller` is who asked for it.
    pub fn view_for(&self, caller: &Caller, at: At) -> Result<View> {
        self.view_of(at, Some(caller))
    }

    fn view_of(&self, at: At, asks: Option<&Caller>) -> Result<View> {
        let core = self.inner.core();
        let Resolved { seq, standing } = self.inner.resolve_at(&core, at, asks)?;
        Ok(View::new(self.clone(), core.log.clone(), core.tables.view(seq), seq).standing(standing))
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
}
