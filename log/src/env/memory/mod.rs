//! A disk in memory that loses what was not synced, and fails on demand.
//!
//! ```text
//!  write_at, set_len --> current content --sync_data, sync_all--> durable content --.
//!  create, rename, remove --> visible names --sync_dir--> durable names -------------+--> power_cut --> what is found
//!                        the changes since the last sync: a choice of them ---------'
//! ```
//!
//! Invariants:
//! 1. A power cut keeps what was synced. Of every unsynced write each 512-byte sector is kept or not; a sector is
//!    never half new nor garbage: it holds what it held after some prefix of the writes to it.
//! 2. After a cut a file's length is one that it has had since its last sync, and covers every sector kept. Bytes
//!    that were not kept read as they were before, or as zeros.
//! 3. Of a directory's unsynced operations a cut keeps a prefix.
//! 4. A cut kills all handles (EIO) and releases all locks.
//! 5. The same calls with the same seeds give the same disk.

mod faults;
mod file;
mod handle;
mod sectors;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::{DirLock, Disk, DiskFile, LockError, OpenMode, SplitMix64, write_all_at};
use faults::ArmedWrite;
pub use faults::{SyncFault, WriteFault};
use handle::{MemoryFile, MemoryLock};
use tree::State;

/// A [`Disk`] in memory. Clones are the same disk; [`MemoryDisk::fork`] makes another.
///
/// Paths count from the root, with or without a leading slash. Faults are numbered from 1: the n-th such call from
/// now on. They stay armed over a power cut, except for [`MemoryDisk::stop_after`], which the cut ends.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl Default for MemoryDisk {
    fn default() -> MemoryDisk {
        MemoryDisk::new()
    }
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

/// Copies, cuts and counts.
impl MemoryDisk {
    #[must_use]
    pub fn new() -> MemoryDisk {
        MemoryDisk(Arc::new(Mutex::new(State::new())))
    }

    /// An independent copy of the whole disk, unsynced changes and armed faults included; no handle or lock is held
    /// on the copy. Costs little: what neither side changes later stays shared.
    #[must_use]
    pub fn fork(&self) -> MemoryDisk {
        MemoryDisk(Arc::new(Mutex::new(self.0.lock().fork())))
    }

    /// The power goes and comes back. `choose` is asked for each thing that a cut may keep or lose; true keeps it.
    pub fn power_cut(&self, choose: &mut dyn FnMut() -> bool) {
        self.0.lock().power_cut(choose);
    }

    /// A power cut with choices drawn from `seed`, which also decides how likely it is that unsynced data is kept.
    pub fn power_cut_seeded(&self, seed: u64) {
        const KEPT_OF_16: [u64; 8] = [0, 1, 4, 8, 8, 12, 15, 16];
        let mut rng = SplitMix64::new(seed);
        let kept = KEPT_OF_16[rng.below(8) as usize];
        self.power_cut(&mut || rng.below(16) < kept);
    }

    /// Calls `visit` with a fork for each possible outcome of a power cut now, up to `cuts_max` of them. True if that
    /// was all. Different choices may come to the same outcome.
    pub fn every_power_cut(&self, cuts_max: u64, visit: &mut dyn FnMut(MemoryDisk)) -> bool {
        let mut script = Vec::<bool>::new();
        for _ in 0..cuts_max {
            let fork = self.fork();
            let mut asked = 0;
            fork.power_cut(&mut || {
                if asked == script.len() {
                    script.push(false);
                }
                asked += 1;
                script[asked - 1]
            });
            visit(fork);
            while script.pop_if(|kept| *kept).is_some() {}
            match script.last_mut() {
                Some(last) => *last = true,
                None => return true,
            }
        }
        false
    }

    /// Mutating operations tried so far: every write, sync, set_len, create, rename, remove and directory sync.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.lock().faults.operations()
    }

    /// Calls of `write_at` so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.0.lock().faults.writes()
    }

    /// Calls of `sync_data` and `sync_all` so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.0.lock().faults.syncs()
    }
}

/// Faults.
impl MemoryDisk {
    /// The power goes at the n-th mutating operation from now on: that one and all later ones fail with EIO and do
    /// nothing, but if it is a write, the disk may have taken part of it, as [`MemoryDisk::power_cut`] will choose.
    pub fn stop_after(&self, nth: u64) {
        self.0.lock().faults.stop_after(nth);
    }

    /// Errors with `NotFound` if the write is to land in a file that does not exist.
    pub fn fault_write(&self, nth: u64, fault: WriteFault) -> io::Result<()> {
        let mut state = self.0.lock();
        let armed = match fault {
            WriteFault::Fail { after_bytes } => ArmedWrite::Fail { after_bytes },
            WriteFault::Full { after_bytes } => ArmedWrite::Full { after_bytes },
            WriteFault::Lost => ArmedWrite::Lost,
            WriteFault::ToOffset(offset) => ArmedWrite::ToOffset(offset),
            WriteFault::IntoFile(path) => ArmedWrite::IntoFile(state.find_file(&path)?),
        };
        state.faults.arm_write(nth, armed);
        Ok(())
    }

    /// The n-th `sync_data` or `sync_all` fails with EIO.
    pub fn fault_sync(&self, nth: u64, fault: SyncFault) {
        self.0.lock().faults.arm_sync(nth, fault);
    }

    /// The n-th directory sync fails with EIO; the names stay unsynced, and a later one may make them durable.
    pub fn fault_sync_dir(&self, nth: u64) {
        self.0.lock().faults.arm_directory_sync(nth);
    }

    /// The n-th `read_at` fails with EIO, once.
    pub fn fault_read(&self, nth: u64) {
        self.0.lock().faults.arm_read(nth);
    }

    /// Has the read of [`MemoryDisk::fault_read`] not come yet?
    #[must_use]
    pub fn read_fault_is_armed(&self) -> bool {
        self.0.lock().faults.read_is_armed()
    }

    /// With a seed, reads and writes transfer a random part, of at least one byte, or fail with `Interrupted`.
    pub fn set_short_io(&self, seed: Option<u64>) {
        self.0.lock().faults.set_short(seed);
    }

    /// Limits the space left, in whole sectors written for the first time; `None` lifts the limit. A write that needs
    /// more is short, and one that gets nothing fails with `StorageFull`. Truncating and removing give space back.
    pub fn set_free_bytes(&self, free: Option<u64>) {
        self.0.lock().set_free_bytes(free);
    }

    /// Reads in `range` of the file now at `path` fail with EIO, wherever the file is moved.
    pub fn fail_reads(&self, path: &Path, range: Range<u64>) -> io::Result<()> {
        let mut state = self.0.lock();
        let node = state.find_file(path)?;
        state.faults.add_unreadable(node, range);
        Ok(())
    }

    /// Disarms everything but the limit of space.
    pub fn clear_faults(&self) {
        self.0.lock().faults.clear();
    }

    /// Flips bit `bit` (0 to 7) of byte `byte`, in what reads see and in what is durable.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> io::Result<()> {
        let mut state = self.0.lock();
        let node = state.find_file(path)?;
        if bit > 7 || byte >= state.file(node).len() {
            return Err(Errno::INVAL.into());
        }
        state.file_mut(node).flip(byte, bit);
        Ok(())
    }
}

/// Looking and editing from outside: no fault strikes here, and nothing is counted.
impl MemoryDisk {
    /// Every file as reads see it.
    #[must_use]
    pub fn dump(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.0.lock();
        let files = state.walk().into_iter().filter(|&(_, node)| state.has_file(node));
        files.map(|(path, node)| (path, content(&state, node))).collect()
    }

    /// Every file and directory but the root, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().walk().into_keys().collect()
    }

    /// A file as reads see it.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        let node = state.find_file(path)?;
        Ok(content(&state, node))
    }

    /// Replaces the content of `path`, or creates it, durable at once. The names of its directory, and of those above,
    /// become durable with it.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().overwrite(path, bytes)
    }
}

fn content(state: &State, node: tree::NodeId) -> Vec<u8> {
    let file = state.file(node);
    let mut bytes = vec![0; file.len() as usize];
    file.read(&mut bytes, 0);
    bytes
}

impl Disk for MemoryDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.lock().create_directories(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        let node = match mode {
            OpenMode::Read | OpenMode::ReadWrite => state.find_file(path)?,
            OpenMode::CreateNew => state.create_file(path)?,
        };
        Ok(Arc::new(MemoryFile::new(&self.0, &mut state, node, mode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.lock().rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.lock().remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.0.lock().list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.0.lock().find(path) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.lock().sync_directory_at(dir)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        /// What a disk without a limit reports.
        const UNLIMITED_BYTES: u64 = 1 << 50;
        let state = self.0.lock();
        state.find(path)?;
        Ok(state.free_bytes().unwrap_or(UNLIMITED_BYTES))
    }

    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn DirLock>, LockError> {
        let mut state = self.0.lock();
        let node = match state.find_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => state.create_file(path),
            found => found,
        };
        let node = node.map_err(LockError::Io)?;
        if !state.locks.insert(node) {
            let mut text = content(&state, node);
            text.truncate(256);
            let text = String::from_utf8_lossy(&text);
            let holder = if text.trim().is_empty() { "another process" } else { text.trim() }.to_owned();
            return Err(LockError::Held { holder });
        }
        let lock = MemoryLock(MemoryFile::new(&self.0, &mut state, node, OpenMode::ReadWrite));
        drop(state);
        lock.0.set_len(0).map_err(LockError::Io)?;
        write_all_at(&lock.0, &[holder.as_bytes()], 0).map_err(LockError::Io)?;
        Ok(Box::new(lock))
    }
}
