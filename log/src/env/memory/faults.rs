//! What can be made to go wrong, and the counters that say when.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use rustix::io::Errno;

use super::tree::NodeId;
use crate::env::SplitMix64;

/// What happens to one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// It fails with EIO. If `after_bytes` is not zero, it is short by then and the write after it fails.
    Fail { after_bytes: usize },
    /// It fails for lack of space, once. If `after_bytes` is not zero, it is short by then and the write after it fails.
    Full { after_bytes: usize },
    /// It is acknowledged and lost, and no read ever shows it.
    Lost,
    /// It is acknowledged and lands at this offset of the same file.
    ToOffset(u64),
    /// It is acknowledged and lands in this file, at the same offset.
    IntoFile(PathBuf),
}

/// What a sync that fails with EIO does to the file's unsynced changes. Reads show them until the power goes; no
/// later sync makes them durable (Rebello et al., ATC'20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncFault {
    /// None of them reached the disk.
    Lost,
    /// A random part of them reached the disk, as at a power cut. The seed says which.
    Partly { seed: u64 },
}

/// A [`WriteFault`] with its file found.
#[derive(Clone, Copy, Debug)]
pub(super) enum ArmedWrite {
    Fail { after_bytes: usize },
    Full { after_bytes: usize },
    Lost,
    ToOffset(u64),
    IntoFile(NodeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    On,
    /// It goes during this operation.
    Failing,
    Off,
}

/// The k-th of a kind of call is looked up by its number since the disk was made.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    operations: u64,
    writes: u64,
    syncs: u64,
    directory_syncs: u64,
    reads: u64,
    stop: Option<u64>,
    armed_writes: BTreeMap<u64, ArmedWrite>,
    armed_syncs: BTreeMap<u64, SyncFault>,
    armed_directory_syncs: BTreeMap<u64, ()>,
    armed_read: Option<u64>,
    unreadable: Vec<(NodeId, Range<u64>)>,
    short: Option<SplitMix64>,
}

impl Faults {
    pub(super) fn operations(&self) -> u64 {
        self.operations
    }

    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs
    }

    /// All but the counters goes.
    pub(super) fn clear(&mut self) {
        let Faults { operations, writes, syncs, directory_syncs, reads, .. } = *self;
        *self = Faults { operations, writes, syncs, directory_syncs, reads, ..Faults::default() };
    }

    pub(super) fn stop_after(&mut self, nth: u64) {
        self.stop = Some(self.operations + nth);
    }

    pub(super) fn power_returns(&mut self) {
        self.stop = None;
    }

    pub(super) fn arm_write(&mut self, nth: u64, fault: ArmedWrite) {
        self.armed_writes.insert(self.writes + nth, fault);
    }

    pub(super) fn arm_sync(&mut self, nth: u64, fault: SyncFault) {
        self.armed_syncs.insert(self.syncs + nth, fault);
    }

    pub(super) fn arm_directory_sync(&mut self, nth: u64) {
        self.armed_directory_syncs.insert(self.directory_syncs + nth, ());
    }

    pub(super) fn arm_read(&mut self, nth: u64) {
        self.armed_read = Some(self.reads + nth);
    }

    pub(super) fn next_read_fails(&mut self) -> bool {
        self.reads += 1;
        self.armed_read.take_if(|nth| *nth == self.reads).is_some()
    }

    pub(super) fn read_is_armed(&self) -> bool {
        self.armed_read.is_some()
    }

    pub(super) fn set_short(&mut self, seed: Option<u64>) {
        self.short = seed.map(SplitMix64::new);
    }

    pub(super) fn add_unreadable(&mut self, node: NodeId, range: Range<u64>) {
        self.unreadable.push((node, range));
    }

    /// Counts a mutating operation.
    pub(super) fn operation(&mut self) -> Power {
        self.operations += 1;
        match self.stop {
            Some(stop) if self.operations > stop => Power::Off,
            Some(stop) if self.operations == stop => Power::Failing,
            _ => Power::On,
        }
    }

    pub(super) fn next_write(&mut self) -> Option<ArmedWrite> {
        self.writes += 1;
        self.armed_writes.remove(&self.writes)
    }

    pub(super) fn next_sync(&mut self) -> Option<SyncFault> {
        self.syncs += 1;
        self.armed_syncs.remove(&self.syncs)
    }

    pub(super) fn next_directory_sync_fails(&mut self) -> bool {
        self.directory_syncs += 1;
        self.armed_directory_syncs.remove(&self.directory_syncs).is_some()
    }

    /// How many of `len` bytes a transfer takes where transfers are short.
    pub(super) fn transfer(&mut self, len: usize) -> io::Result<usize> {
        let Some(rng) = self.short.as_mut().filter(|_| len > 0) else { return Ok(len) };
        match rng.below(8) {
            0 => Err(Errno::INTR.into()),
            1 => Ok(len),
            _ => Ok(1 + rng.below(len as u64) as usize),
        }
    }

    /// How many of the `len` bytes at `offset` come before the first unreadable one.
    pub(super) fn readable(&self, node: NodeId, offset: u64, len: usize) -> io::Result<usize> {
        let end = offset.saturating_add(len as u64);
        let bad = self.unreadable.iter().filter(|(n, range)| *n == node && range.start < end && range.end > offset);
        match bad.map(|(_, range)| range.start).min() {
            Some(start) if start <= offset && len > 0 => Err(Errno::IO.into()),
            Some(start) => Ok((start - offset) as usize),
            None => Ok(len),
        }
    }
}
