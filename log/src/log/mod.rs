//! The handle on a zone's log.
//!
//! ```text
//!  append(draft) --> queue (unflushed, readable as Newest) --> whoever waits first writes a batch --> flushed
//!                                                               ticker: accepted records, idle watermark, sealing
//! ```
//!
//! Invariants:
//! 1. `flushed <= appended`; both only grow, and `flushed` moves only after a sync that returned success (R1).
//! 2. Drafts are appended in seq order by one sequencer; here that is asserted.
//! 3. After a failed append every waiter and every later append gets the same error; reading what was flushed goes on.

mod chunks;
mod history;
mod inspect;
mod locate;
mod marks;
mod meta;
mod open;
mod read;
mod seal;
mod segments;
mod tail;
mod ticker;
mod wait;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::appender::{AppendError, Appender, AppenderOptions};
use crate::env::{DirLock, Env};
use crate::ids::{CommitTime, Seq, ZoneIdentity};
use crate::limits::{APPEND_QUEUE_BYTES_MAX, RESERVE_BYTES, SPACE_CHECK_BYTES};
use crate::record::Draft;
use crate::watermark::Watermark;

use chunks::ChunkCache;
pub use history::{Direction, Matches};
pub use inspect::{RecoveryPlan, inspect};
pub(crate) use inspect::{look, read_watermark, segments_in};
pub(crate) use locate::header_block;
pub(crate) use open::WATERMARK;
pub use open::{Cut, OpenError, Opened, RecoveryReport, SEGMENTS};
pub use read::{ReadError, RecordReader};
pub(crate) use seal::leaf_of;
use segments::Segments;
pub use tail::{Ended, FileTail, FileTailError, LogTail, Told, TooManyTails, Waited};
use tail::{Followers, Recent};
use ticker::Ticker;

/// Who writes batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The first thread that waits writes for all; a ticker thread serves accepted records and idle times.
    #[default]
    FirstWaiter,
    /// A thread of its own writes; kept to be measured against.
    Thread,
    /// Nobody by itself: waiting writes, and [`Log::tick`] is called by a simulation.
    Manual,
}

#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    pub driver: Driver,
    pub appender: AppenderOptions,
    /// Free bytes on the disk below which the log takes no records.
    pub reserve_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { driver: Driver::default(), appender: AppenderOptions::default(), reserve_bytes: RESERVE_BYTES }
    }
}

/// The log was poisoned by a failed write or sync: nothing after the last flushed record is certain until it is
/// opened again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the log takes no records since an earlier failure; open it again")]
pub struct Poisoned(#[source] pub Arc<AppendError>);

/// Why a record was not taken. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendRefused {
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// Too much is waiting for the disk.
    #[error("the log's queue is full")]
    Busy,
}

/// A zone's log. Cheap to clone; closing is explicit ([`Log::close`]), dropping stops the background thread only.
#[derive(Clone, Debug)]
pub struct Log {
    shared: Arc<Shared>,
    ticker: Option<Arc<Ticker>>,
}

#[derive(Debug)]
struct Shared {
    env: Env,
    /// The zone's directory.
    dir: PathBuf,
    /// Its segment files.
    segments_dir: PathBuf,
    identity: ZoneIdentity,
    first: Seq,
    options: LogOptions,
    queue: Mutex<Queue>,
    /// Who waits for a batch sleeps on the one of its parity: the batch that is being written, or the next. So the end
    /// of a batch wakes those who are in it, and of the others only the one who writes next.
    batch_done: [Condvar; 2],
    /// Who waits for the flushed mark to move, whatever the batch.
    followers: Followers,
    /// The newest records, decoded for all tails.
    recent: Recent,
    /// Signalled when the ticker has something to do.
    work: Condvar,
    flushed: AtomicU64,
    /// Bytes that may be appended before the disk's free space is looked at again.
    space_budget: AtomicI64,
    appender: Mutex<Appender>,
    watermark: Mutex<Watermark>,
    segments: Segments,
    chunks: ChunkCache,
    /// The lock under which the log is written.
    guard: Mutex<Option<Arc<dyn DirLock>>>,
}

/// What is appended and not yet flushed.
#[derive(Debug)]
struct Queue {
    /// In seq order; the first `taken` are being written.
    unflushed: VecDeque<Arc<Draft>>,
    taken: usize,
    /// Batches finished.
    batches: usize,
    bytes: usize,
    appended: Seq,
    appended_time: CommitTime,
    flushed: Seq,
    /// Somebody is writing a batch.
    writing: bool,
    poisoned: Option<Poisoned>,
    /// The watermark on disk.
    witnessed: Seq,
    ticker_idle: bool,
    closing: bool,
    /// A follower sleeps until the flushed mark moves.
    scouted: bool,
}

impl Log {
    /// The zone that the log belongs to.
    #[must_use]
    pub fn identity(&self) -> ZoneIdentity {
        self.shared.identity
    }

    /// Seq of the zone's first record.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.shared.first
    }

    /// Keeps `lock` as long as anybody holds the log.
    pub fn hold(&self, lock: Arc<dyn DirLock>) {
        *self.shared.guard.lock() = Some(lock);
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Highest seq known to be on stable storage; inclusive.
    #[must_use]
    pub fn flushed(&self) -> Seq {
        Seq(self.shared.flushed.load(Ordering::Acquire))
    }

    /// Highest seq taken by [`Log::append`], and its commit time.
    #[must_use]
    pub fn appended(&self) -> (Seq, CommitTime) {
        let queue = self.shared.queue.lock();
        (queue.appended, queue.appended_time)
    }

    /// The failure that stopped the log, if one did.
    #[must_use]
    pub fn poisoned(&self) -> Option<Poisoned> {
        self.shared.queue.lock().poisoned.clone()
    }

    /// Takes the next record. It is on stable storage once [`Log::wait`] for its seq returned success.
    pub fn append(&self, draft: Draft) -> Result<(), AppendRefused> {
        let mut queue = self.shared.queue.lock();
        if let Some(poisoned) = &queue.poisoned {
            return Err(poisoned.clone().into());
        }
        if queue.bytes + draft.record_bytes() > APPEND_QUEUE_BYTES_MAX {
            return Err(AppendRefused::Busy);
        }
        assert_eq!(draft.seq, queue.appended.next(), "one sequencer appends in order");
        // Here and not only where the batch is written: there it would stop a waiter that did nothing wrong.
        assert!(draft.commit_time > queue.appended_time, "commit times increase");
        queue.appended = draft.seq;
        queue.appended_time = draft.commit_time;
        queue.bytes += draft.record_bytes();
        self.shared.space_budget.fetch_sub(draft.record_bytes() as i64, Ordering::Relaxed);
        queue.unflushed.push_back(Arc::new(draft));
        if queue.ticker_idle {
            queue.ticker_idle = false;
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Would a record of `bytes` be refused as too much waiting?
    #[must_use]
    pub fn is_full(&self, bytes: usize) -> bool {
        self.shared.queue.lock().bytes + bytes > APPEND_QUEUE_BYTES_MAX
    }

    /// Is the disk's reserve touched? Looks at the disk again once per [`SPACE_CHECK_BYTES`] appended, and every time
    /// while it is.
    #[must_use]
    pub fn low_on_space(&self) -> bool {
        let budget = &self.shared.space_budget;
        if budget.load(Ordering::Relaxed) > 0 {
            return false;
        }
        // Where the disk cannot say, writing will.
        let free = self.free_bytes().unwrap_or(u64::MAX);
        budget.store(free.min(SPACE_CHECK_BYTES) as i64, Ordering::Relaxed);
        free == 0
    }

    /// Bytes appended but not yet flushed.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.shared.queue.lock().bytes
    }

    /// Bytes that may still be appended before the disk's reserve is touched.
    pub fn free_bytes(&self) -> std::io::Result<u64> {
        let free = self.shared.env.disk.free_bytes(&self.shared.dir)?;
        Ok(free.saturating_sub(self.shared.options.reserve_bytes))
    }
}
