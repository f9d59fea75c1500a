//! Moving real trees in and out, as `cp -aT` the first time and as rsync every further time.
//!
//! ```text
//!  import:  host tree --walk, sorted--> steps --window of files read ahead--> records, in the order of the walk
//!  export:  zone tree at one View --walk, sorted--> temporary name --rename--> host tree
//! ```
//!
//! Invariants:
//! 1. A second run over an unchanged tree changes nothing: no record, no write.
//! 2. A run that was killed at any point is finished by the next one. No half file stands under its final name.
//! 3. A directory's times are set after its entries, so they survive.
//! 4. Access times are carried over with other changes and are no change themselves: reading a tree must not make
//!    the next run busy.
//! 5. What goes wrong with one entry is counted and told; the others go on. What goes wrong with the zone ends the run.

mod export;
mod host;
mod import;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use nexus_engine::{Caller, NodeKind};
use nexus_log::event::Reason;
use nexus_projections::row::FileKind;

pub(crate) use export::export;
pub(crate) use import::import;

/// Up to this size a file is read into memory ahead of its turn; larger ones are streamed.
const READ_AHEAD_FILE_BYTES_MAX: u64 = 1 << 20;
/// Steps that the walk is ahead of the records.
const READ_AHEAD_STEPS_MAX: usize = 64;
/// Content held by these steps.
const READ_AHEAD_BYTES_MAX: u64 = 16 << 20;
/// Threads that read ahead.
const READERS_MAX: usize = 4;
/// Times a file that changes or vanishes under the reader is read.
const READ_ATTEMPTS_MAX: usize = 2;
/// Bytes read or written at once.
const BLOCK_BYTES: usize = 1 << 20;
/// Appended bytes that may wait for the disk before the run waits for it.
const UNFLUSHED_BYTES_MAX: usize = 16 << 20;
/// Problems kept in a report; further ones are counted.
const PROBLEMS_MAX: usize = 1000;
/// Entries of the zone listed at once.
const LISTING_PAGE: usize = 4096;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportOptions {
    /// Compare contents; otherwise equal size and modification time mean equal content.
    pub(crate) checksum: bool,
    /// Remove what the source does not have.
    pub(crate) delete: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExportOptions {
    /// Compare contents; otherwise equal size and modification time mean equal content.
    pub(crate) checksum: bool,
    /// Remove what the source does not have.
    pub(crate) delete: bool,
}

/// How far a run is. Told at every entry, and at every block of a large file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress<'a> {
    /// Regular files whose content was moved.
    pub(crate) files: u64,
    /// Bytes of content moved, holes not counted.
    pub(crate) bytes: u64,
    /// Entries that were as they should be.
    pub(crate) skipped: u64,
    /// Below the source.
    pub(crate) current: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProblemKind {
    /// An entry that the other side cannot be given: a socket, or a device without the right to make one.
    Special,
    /// A file changed while it was read, twice; what was read is in.
    Changed,
    /// An entry was gone when its turn came.
    Vanished,
    /// The entry is there; an attribute of it could not be set.
    Attribute,
    /// The entry could not be moved.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: ProblemKind,
    /// Below the source; empty for the source itself.
    pub(crate) path: Vec<u8>,
    pub(crate) message: String,
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Directories made.
    pub(crate) directories: u64,
    /// Regular files whose content was moved.
    pub(crate) files: u64,
    pub(crate) symlinks: u64,
    /// Fifos, sockets and devices.
    pub(crate) nodes: u64,
    /// Further names given to files.
    pub(crate) hard_links: u64,
    /// Bytes of content moved, holes not counted.
    pub(crate) bytes: u64,
    /// Entries of which only attributes were changed.
    pub(crate) attributes_only: u64,
    /// Entries that were as they should be.
    pub(crate) skipped: u64,
    /// Entries removed.
    pub(crate) removed: u64,
    pub(crate) special: u64,
    pub(crate) changed: u64,
    pub(crate) vanished: u64,
    /// Attributes that could not be set.
    pub(crate) attributes_lost: u64,
    /// Entries that could not be moved: the run was no success.
    pub(crate) failed: u64,
    /// The first [`PROBLEMS_MAX`] problems, in the order they were met.
    pub(crate) problems: Vec<Problem>,
}

pub(crate) type ImportReport = Report;
pub(crate) type ExportReport = Report;

impl Report {
    fn note(&mut self, kind: ProblemKind, path: &[u8], message: impl Into<String>) {
        *match kind {
            ProblemKind::Special => &mut self.special,
            ProblemKind::Changed => &mut self.changed,
            ProblemKind::Vanished => &mut self.vanished,
            ProblemKind::Attribute => &mut self.attributes_lost,
            ProblemKind::Failed => &mut self.failed,
        } += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { kind, path: path.to_vec(), message: message.into() });
        }
    }

    fn progress<'a>(&self, current: &'a [u8]) -> Progress<'a> {
        Progress { files: self.files, bytes: self.bytes, skipped: self.skipped, current }
    }
}

/// Why a run ended early, or did not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("{}", path.display())]
    Host { path: PathBuf, source: std::io::Error },
    #[error("{} in the zone", String::from_utf8_lossy(path))]
    Zone { path: Vec<u8>, source: nexus_engine::Error },
    #[error("{message}")]
    Refused { kind: Reason, message: String },
}

impl TransferError {
    /// What programs branch on.
    pub(crate) fn kind(&self) -> Reason {
        match self {
            TransferError::Zone { source, .. } => source.kind,
            TransferError::Refused { kind, .. } => *kind,
            TransferError::Host { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Reason::NotFound,
                std::io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
                std::io::ErrorKind::NotADirectory => Reason::NotDir,
                std::io::ErrorKind::IsADirectory => Reason::IsDir,
                std::io::ErrorKind::AlreadyExists => Reason::Exists,
                std::io::ErrorKind::StorageFull => Reason::NoSpace,
                std::io::ErrorKind::ReadOnlyFilesystem => Reason::ReadOnly,
                _ => Reason::Unavailable,
            },
        }
    }

    fn host(path: &Path) -> impl Fn(std::io::Error) -> TransferError {
        move |source| TransferError::Host { path: path.to_owned(), source }
    }

    fn zone(path: &[u8]) -> impl Fn(nexus_engine::Error) -> TransferError {
        move |source| TransferError::Zone { path: path.to_vec(), source }
    }
}

/// Does this error of the zone concern the zone, and not the entry that met it?
pub(crate) fn ends_the_run(kind: Reason) -> bool {
    use Reason::{BudgetExceeded, Busy, Corrupt, NoSpace, OutcomeUnknown, RateLimited, ReadOnly, StaleSession};
    matches!(kind, BudgetExceeded | Busy | Corrupt | NoSpace | OutcomeUnknown | RateLimited | ReadOnly | StaleSession)
        || kind == Reason::Unavailable
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// An absolute path in the zone without a slash at its end; the root is empty.
fn normalized(path: &[u8]) -> Result<Vec<u8>, TransferError> {
    if path.first() != Some(&b'/') {
        let message = format!("the path {:?} is not absolute; begin it with /", String::from_utf8_lossy(path));
        return Err(TransferError::Refused { kind: Reason::Invalid, message });
    }
    let mut components: Vec<&[u8]> = Vec::new();
    for component in path.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    let mut joined = Vec::with_capacity(path.len());
    for component in components {
        joined.push(b'/');
        joined.extend_from_slice(component);
    }
    Ok(joined)
}

/// What a fifo, socket or device of the zone is.
fn node_kind(stat: &nexus_engine::Stat) -> Option<NodeKind> {
    let (major, minor) = ((stat.device() >> 32) as u32, stat.device() as u32);
    match stat.kind {
        FileKind::Fifo => Some(NodeKind::Fifo),
        FileKind::Socket => Some(NodeKind::Socket),
        FileKind::CharDevice => Some(NodeKind::CharDevice { major, minor }),
        FileKind::BlockDevice => Some(NodeKind::BlockDevice { major, minor }),
        FileKind::Regular | FileKind::Directory | FileKind::Link => None,
    }
}

/// All entries of a directory of the zone, by name.
fn zone_entries(
    view: &nexus_engine::View,
    caller: &Caller,
    directory: nexus_log::ids::Inode,
) -> nexus_engine::Result<Vec<nexus_engine::DirEntry>> {
    let mut entries = view.readdir(caller, directory, None, LISTING_PAGE)?;
    let mut page = entries.len();
    while page == LISTING_PAGE {
        let after = entries.last().map(|entry| entry.name.clone());
        let next = view.readdir(caller, directory, after.as_deref(), LISTING_PAGE)?;
        page = next.len();
        entries.extend(next);
    }
    Ok(entries)
}

/// Is a file of the zone, byte by byte, what `next` hands out? `next` fills the buffer and says how much; 0 is the end.
fn same_bytes<E: From<nexus_engine::Error>>(
    view: &nexus_engine::View,
    caller: &Caller,
    inode: nexus_log::ids::Inode,
    mut next: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<bool, E> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut offset = 0;
    loop {
        let read = next(&mut block)?;
        let stored = view.read(caller, inode, offset, BLOCK_BYTES)?;
        if stored[..] != block[..read] {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        offset += read as u64;
    }
}
