//! Reads are events where their policy says so (DESIGN section 3).
//!
//! ```text
//!  summary: read --note (memory)--> answer          keeper, once per window: one Accessed record per agent
//!  strict:  read --Accessed record--> durable --> answer
//! ```
//!
//! Invariants:
//! 1. What was noted is in a record, named or as a number, once the window is closed; nothing is dropped silently. Where
//!    the process ends before that, an AuditGap says so, because the zone's end was unclean.
//! 2. Memory is bounded: beyond the limits things are counted by directory, then as one number (L12).
//! 3. A strict answer is given after its record is on stable storage, or not at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use nexus_log::event::{AccessCount, Accessed, Context, Event, ReadPolicy, Reason, StrictAccess, Syscall};
use nexus_log::ids::{Inode, Seq};
use parking_lot::Mutex;

use super::policy::Effective;
use super::{Inner, Zone};
use crate::caller::Caller;
use crate::decide::{Facts, system_context};
use crate::error::{Error, Result};
use crate::gate::{Call, Dispatch, Rank};
use crate::limits::{ACCESS_ACTORS_MAX, ACCESS_ENTRIES_MAX, ACCESS_ENTRIES_TOTAL_MAX, ACCESS_WINDOW};
use crate::path::PATH_BYTES_MAX;

const SHARDS: usize = 16;

/// What one call read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) syscall: Syscall,
    pub(crate) inode: Inode,
    /// The directory of its first name.
    pub(crate) parent: Inode,
    /// The past position that was read at; zero where it was the latest.
    pub(crate) at: Seq,
    pub(crate) bytes: u64,
}

/// What makes two reads the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    inode: Inode,
    at: Seq,
    syscall: Syscall,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    calls: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, more: Count) {
        self.calls += more.calls;
        self.bytes = self.bytes.saturating_add(more.bytes);
    }
}

type Counts = BTreeMap<Key, Count>;

/// One agent's reads in the current window.
#[derive(Debug, Default)]
struct Reader {
    context: Context,
    inodes: Counts,
    directories: Counts,
    collapsed: Count,
    /// Reads of the same thing as the last one, not yet in `inodes`, where it stands.
    last: Option<(Key, Count)>,
}

impl Reader {
    fn settle(&mut self) {
        if let Some((key, count)) = self.last.take() {
            self.inodes.get_mut(&key).expect("the last one stands there").add(count);
        }
    }

    /// `room` for another entry?
    fn note(&mut self, key: Key, parent: Inode, count: Count, room: bool) -> Entered {
        if let Some((last, so_far)) = &mut self.last
            && *last == key
        {
            so_far.add(count);
            return Entered::Known;
        }
        if let Some(known) = self.inodes.get_mut(&key) {
            known.add(count);
            self.settle();
            self.last = Some((key, Count::default()));
            return Entered::Known;
        }
        if room && self.inodes.len() < ACCESS_ENTRIES_MAX {
            self.inodes.insert(key, count);
            return Entered::New;
        }
        let key = Key { inode: parent, ..key };
        if let Some(known) = self.directories.get_mut(&key) {
            known.add(count);
        } else if room && self.directories.len() < ACCESS_ENTRIES_MAX {
            self.directories.insert(key, count);
            return Entered::New;
        } else {
            self.collapsed.add(count);
        }
        Entered::Known
    }

    /// What was noted; all of it is settled.
    fn event(&self, from_ns: u64, until_ns: u64) -> Event {
        let event = Accessed {
            from_ns,
            until_ns,
            inodes: counts_of(&self.inodes),
            directories: counts_of(&self.directories),
            collapsed_calls: self.collapsed.calls,
            collapsed_bytes: self.collapsed.bytes,
            strict: None,
        };
        event.into()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entered {
    New,
    Known,
}

fn counts_of(counts: &Counts) -> Vec<AccessCount> {
    let count = |(key, count): (&Key, &Count)| AccessCount {
        syscall: key.syscall.code(),
        inode: key.inode.0,
        at: key.at.0,
        calls: count.calls,
        bytes: count.bytes,
    };
    counts.iter().map(count).collect()
}

/// Readers by who they are.
#[derive(Debug, Default)]
struct Shard {
    readers: BTreeMap<[u8; 16], Reader>,
    /// Reads of actors beyond the bound.
    others: Count,
}

/// The current window.
#[derive(Debug, Default)]
pub(super) struct Accesses {
    shards: [Mutex<Shard>; SHARDS],
    open: AtomicBool,
    from_ns: AtomicU64,
    /// The window is kept open until then where its counts could not be written.
    deferred_ns: AtomicU64,
    entries: AtomicUsize,
    /// Calls that were noted and could not be written when the zone was closed.
    lost: AtomicU64,
}

/// A window that was closed.
pub(super) struct Window {
    from_ns: u64,
    readers: Vec<([u8; 16], Reader)>,
    others: Count,
}

impl Accesses {
    /// Notes a read. Says whether it is the first of a window: then the keeper must know.
    fn note(&self, caller: &Caller, read: &Read, boot_ns: impl Fn() -> u64) -> bool {
        let actor = caller.actor();
        let count = Count { calls: 1, bytes: read.bytes };
        {
            let mut shard = self.shards[usize::from(actor[0]) % SHARDS].lock();
            let key = Key { inode: read.inode, at: read.at, syscall: read.syscall };
            let full = shard.readers.len() >= ACCESS_ACTORS_MAX / SHARDS;
            match shard.readers.get_mut(&actor) {
                None if full => shard.others.add(count),
                known => {
                    let reader = match known {
                        Some(reader) => reader,
                        None => shard.readers.entry(actor).or_insert_with(|| Reader {
                            context: reader_context(caller.context()),
                            ..Reader::default()
                        }),
                    };
                    let room = self.entries.load(Ordering::Relaxed) < ACCESS_ENTRIES_TOTAL_MAX;
                    if reader.note(key, read.parent, count, room) == Entered::New {
                        self.entries.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        // The shard first: who closes the window resets this before it looks into the shards.
        if self.open.load(Ordering::SeqCst) || self.open.swap(true, Ordering::SeqCst) {
            return false;
        }
        self.from_ns.store(boot_ns(), Ordering::Relaxed);
        true
    }

    /// Nanoseconds until the window closes; `None` where none is open.
    pub(super) fn closes_in(&self, boot_ns: u64) -> Option<u64> {
        let window = ACCESS_WINDOW.as_nanos() as u64;
        let end = self.deferred_ns.load(Ordering::Relaxed).max(self.from_ns.load(Ordering::Relaxed) + window);
        self.open.load(Ordering::SeqCst).then(|| end.saturating_sub(boot_ns))
    }

    fn defer(&self, boot_ns: u64) {
        self.deferred_ns.store(boot_ns + ACCESS_WINDOW.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Ends the window.
    fn close(&self) -> Window {
        let from_ns = self.from_ns.load(Ordering::Relaxed);
        self.open.store(false, Ordering::SeqCst);
        let mut window = Window { from_ns, readers: Vec::new(), others: Count::default() };
        for shard in &self.shards {
            let closed = std::mem::take(&mut *shard.lock());
            window.others.add(closed.others);
            window.readers.extend(closed.readers);
        }
        let entries = window.readers.iter().map(|(_, r)| r.inodes.len() + r.directories.len()).sum::<usize>();
        self.entries.fetch_sub(entries, Ordering::Relaxed);
        window
    }

    /// Takes back what could not be written. Where the same was noted meanwhile it is one entry; what has no room any
    /// more is counted.
    fn give_back(&self, window: Window, boot_ns: u64) {
        for (actor, mut reader) in window.readers {
            reader.settle();
            let mut shard = self.shards[usize::from(actor[0]) % SHARDS].lock();
            let Some(now) = shard.readers.get_mut(&actor) else {
                let entries = reader.inodes.len() + reader.directories.len();
                self.entries.fetch_add(entries, Ordering::Relaxed);
                shard.readers.insert(actor, reader);
                continue;
            };
            now.collapsed.add(reader.collapsed);
            for (to, from) in [(&mut now.inodes, reader.inodes), (&mut now.directories, reader.directories)] {
                for (key, count) in from {
                    if let Some(known) = to.get_mut(&key) {
                        known.add(count);
                    } else if to.len() < ACCESS_ENTRIES_MAX {
                        to.insert(key, count);
                        self.entries.fetch_add(1, Ordering::Relaxed);
                    } else {
                        now.collapsed.add(count);
                    }
                }
            }
        }
        self.shards[0].lock().others.add(window.others);
        self.from_ns.store(window.from_ns, Ordering::Relaxed);
        self.defer(boot_ns);
        self.open.store(true, Ordering::SeqCst);
    }
}

impl Window {
    fn calls(&self) -> u64 {
        let of = |reader: &Reader| {
            let counts = reader.inodes.values().chain(reader.directories.values());
            let last = reader.last.map_or(0, |(_, count)| count.calls);
            counts.map(|count| count.calls).sum::<u64>() + reader.collapsed.calls + last
        };
        self.others.calls + self.readers.iter().map(|(_, reader)| of(reader)).sum::<u64>()
    }
}

/// On whose behalf a record about a read is: a request that is not a change has no key of idempotency.
pub(super) fn reader_context(context: &Context) -> Context {
    Context { request_id: None, trace_id: None, ..context.clone() }
}

impl Zone {
    /// Records a reading call as its policy asks; an error means that it must not be answered. `read` is `None` where
    /// the call came to nothing.
    pub(crate) fn note_access(
        &self,
        call: &Call<'_>,
        read: Option<Read>,
        at: Seq,
        tables: &nexus_projections::view::View,
        failed: Option<&Error>,
    ) -> Result<()> {
        // What a walk lists and a search reads is noted by itself.
        let looks = [Syscall::Stat, Syscall::Access, Syscall::Walk, Syscall::Glob, Syscall::Grep];
        let quiet = failed.is_some() || looks.contains(&call.syscall);
        let policies = &self.inner.policies;
        let effective = policies.effective();
        match effective {
            Effective::Everywhere(ReadPolicy::Off) => return Ok(()),
            Effective::Everywhere(ReadPolicy::Summary) if quiet => return Ok(()),
            _ => {}
        }
        // A path that is not there falls under the last directory that is.
        let reached = failed.and_then(|error| error.inode).or(call.inode).unwrap_or(Inode::ROOT);
        let none = Read { syscall: call.syscall, inode: reached, parent: Inode::ROOT, at, bytes: 0 };
        let read = read.unwrap_or(none);
        let policy = match effective {
            Effective::Everywhere(policy) => policy,
            Effective::ByInode => self.inner.policy_of(read.inode, tables, at != Seq::ZERO)?,
        };
        match policy {
            ReadPolicy::Strict => self.inner.record_access(call.caller, &read, call.path, failed),
            ReadPolicy::Summary if !quiet => {
                self.inner.note_read(call.caller, &read);
                Ok(())
            }
            ReadPolicy::Off | ReadPolicy::Summary => Ok(()),
        }
    }

    /// The reading of history, of what `inode` is or of the zone, is one access however much is shown.
    pub(crate) fn note_history(&self, call: &Call<'_>, inode: Option<Inode>) -> Result<()> {
        let core = self.inner.core();
        let tables = core.tables.view(core.newest());
        let inode = inode.unwrap_or_default();
        let read = Read { syscall: call.syscall, inode, parent: Inode::ROOT, at: Seq::ZERO, bytes: 0 };
        self.note_access(call, Some(read), Seq::ZERO, &tables, None)
    }

    /// Takes the reading of history through gate and hooks: of what `inode` is, or of the zone. It is one access,
    /// however much is shown, and the record of it is none.
    pub fn open_history<T>(&self, caller: &Caller, inode: Option<Inode>, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let call = Call { syscall: Syscall::Log, caller, path: b"", inode };
        let result = self.dispatch().call(
            &call,
            |_| None,
            |_| {
                self.note_history(&call, inode)?;
                run()
            },
        );
        result.inspect_err(|error| {
            if error.kind == Reason::PermissionDenied {
                self.note_refusal(&call, error);
            }
        })
    }

    /// Calls that read and that no record tells of, because the zone could take none when it was closed. What opens it
    /// next says that there is a gap.
    #[must_use]
    pub fn unrecorded_reads(&self) -> u64 {
        self.inner.accesses.lost.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn note_read(&self, caller: &Caller, read: &Read) {
        if self.accesses.note(caller, read, || self.env.clock.boot_ns()) {
            // Under the lock, so that a keeper about to sleep sees the window.
            let _state = self.upkeep.lock();
            self.work.notify_one();
        }
    }

    /// Under `strict`: the record, and the wait for it.
    fn record_access(&self, caller: &Caller, read: &Read, path: &[u8], failed: Option<&Error>) -> Result<()> {
        let now = self.env.clock.wall_ns();
        let Read { syscall, inode, at, bytes, .. } = *read;
        let count = AccessCount { syscall: syscall.code(), inode: inode.0, at: at.0, calls: 1, bytes };
        let path = path[..path.len().min(PATH_BYTES_MAX)].to_vec();
        let strict = Some(StrictAccess { path, reason: failed.map_or(0, |error| error.kind.code()) });
        let accessed = Accessed { from_ns: now, until_ns: now, inodes: vec![count], strict, ..Accessed::default() };
        let events = [accessed.into()];
        self.record_facts(Rank::Call, &reader_context(caller.context()), &events).map_err(|cause| {
            let message = "reads here must be recorded before they are answered, and the zone takes no records";
            Error::new(cause.kind, message).because(cause)
        })
    }

    /// Ends the window of reads if it is over, or in any case, and appends what was read.
    pub(super) fn close_accesses(&self, now: bool) -> Result<()> {
        let boot_ns = self.env.clock.boot_ns();
        match self.accesses.closes_in(boot_ns) {
            Some(ns) if ns == 0 || now => {}
            _ => return Ok(()),
        }
        if !now && self.writable_core(&Dispatch::internal(Rank::Upkeep)).is_err() {
            self.accesses.defer(boot_ns);
            return Ok(());
        }
        let window = self.accesses.close();
        let wall_ns = self.env.clock.wall_ns();
        let from_ns = wall_ns.saturating_sub(boot_ns.saturating_sub(window.from_ns));
        self.append_window(window, wall_ns, from_ns).map_err(|(error, left)| {
            self.accesses.give_back(left, boot_ns);
            error
        })
    }

    /// Appends a record per reader and waits for all of them together. Gives back what was not appended.
    fn append_window(
        &self,
        mut window: Window,
        until_ns: u64,
        from_ns: u64,
    ) -> std::result::Result<(), (Error, Window)> {
        let authorized = Dispatch::internal(Rank::Upkeep);
        let commit = |context: &Context, reader: &Reader| {
            let events = [reader.event(from_ns, until_ns)];
            let committed = self.commit(&authorized, context, &Facts { events: &events }, None);
            committed.map_err(|refusal| refusal.error)
        };
        let mut last = None;
        while let Some((actor, mut reader)) = window.readers.pop() {
            reader.settle();
            match commit(&reader.context, &reader) {
                Ok(committed) => last = Some(committed),
                Err(error) => {
                    window.readers.push((actor, reader));
                    return Err((error, window));
                }
            }
        }
        if window.others.calls > 0 {
            let others = Reader { collapsed: window.others, ..Reader::default() };
            match commit(&system_context(), &others) {
                Ok(committed) => last = Some(committed),
                Err(error) => return Err((error, window)),
            }
            window.others = Count::default();
        }
        let waited = last.map_or(Ok(()), |committed| committed.core.wait(committed.state));
        // What was appended is in the log or, where that is lost, behind an audit gap.
        waited.map_err(|error| (error, window))
    }

    /// At the end: what was read and not recorded, because the zone takes no records. Whether all is recorded.
    pub(super) fn close_accesses_for_good(&self) -> bool {
        if self.close_accesses(true).is_ok() {
            return true;
        }
        let left = self.accesses.close().calls();
        self.accesses.lost.store(left, Ordering::Relaxed);
        false
    }
}
