//! The seams to the outside: disk, clock, randomness. Everything below server/ reaches them only through here, so
//! that tests can put a faulty disk and a settable clock in their place (STYLE 35, 40).

#[cfg(test)]
mod conformance;
mod io;
mod manual;
mod memory;
mod real;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io as stdio;
use std::path::Path;
use std::sync::Arc;

pub use io::{read_exact_at, read_file, write_all_at, write_replace};
pub use manual::{ManualClock, SeededRandom, SplitMix64};
pub use memory::{MemoryDisk, SyncFault, WriteFault};
pub use real::{RealClock, RealDisk, RealRandom};

/// The outside as one value.
#[derive(Clone, Debug)]
pub struct Env {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl Env {
    /// The machine's own disk, clock and randomness.
    #[must_use]
    pub fn real() -> Env {
        Env { disk: Arc::new(RealDisk), clock: Arc::new(RealClock), random: Arc::new(RealRandom) }
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; writes fail.
    Read,
    /// The file must exist.
    ReadWrite,
    /// The file must not exist.
    CreateNew,
}

/// A filesystem. Nothing is durable before the file's sync, and no name before its directory's sync (R2).
pub trait Disk: Send + Sync + Debug {
    /// Creates `path` and its missing parents, and syncs each parent that got a new name.
    fn create_dir_all(&self, path: &Path) -> stdio::Result<()>;
    fn open(&self, path: &Path, mode: OpenMode) -> stdio::Result<Arc<dyn DiskFile>>;
    /// Replaces `to` if it exists.
    fn rename(&self, from: &Path, to: &Path) -> stdio::Result<()>;
    fn remove_file(&self, path: &Path) -> stdio::Result<()>;
    /// Names in the directory, sorted.
    fn list(&self, dir: &Path) -> stdio::Result<Vec<OsString>>;
    fn exists(&self, path: &Path) -> stdio::Result<bool>;
    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> stdio::Result<()>;
    /// Bytes an unprivileged writer can still use on the filesystem that holds `path`.
    fn free_bytes(&self, path: &Path) -> stdio::Result<u64>;
    /// Takes the exclusive lock that the file `path` stands for, creating the file if needed, and writes `holder` into it.
    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn DirLock>, LockError>;
}

/// An open file. Reads and writes may be short, as pread(2) and pwrite(2); callers use the helpers of this module.
pub trait DiskFile: Send + Sync + Debug {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> stdio::Result<usize>;
    fn write_at(&self, bufs: &[stdio::IoSlice<'_>], offset: u64) -> stdio::Result<usize>;
    /// fdatasync(2): content, and of the metadata what is needed to read it back.
    fn sync_data(&self) -> stdio::Result<()>;
    /// fsync(2).
    fn sync_all(&self) -> stdio::Result<()>;
    fn len(&self) -> stdio::Result<u64>;
    fn is_empty(&self) -> stdio::Result<bool> {
        Ok(self.len()? == 0)
    }
    fn set_len(&self, len: u64) -> stdio::Result<()>;
}

/// Held until dropped.
pub trait DirLock: Send + Sync + Debug {}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it; `holder` is what that process wrote about itself.
    #[error("held by {holder}")]
    Held { holder: String },
    #[error("cannot take the lock")]
    Io(#[source] stdio::Error),
}

/// Two clocks: the wall's, which may step, and one that only goes forward and counts suspended time too.
pub trait Clock: Send + Sync + Debug {
    /// UTC, nanoseconds since 1970.
    fn wall_ns(&self) -> u64;
    /// CLOCK_BOOTTIME, nanoseconds.
    fn boot_ns(&self) -> u64;
}

pub trait Random: Send + Sync + Debug {
    fn fill(&self, bytes: &mut [u8]);

    fn bytes16(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes
    }
}
