//! The disk's own speed: appends with the same group commit, and nothing else.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

/// A file written before, appended to round and round: no metadata of the file ever changes.
pub(super) struct Ring {
    file: File,
    bytes: u64,
    state: Mutex<State>,
    progress: Condvar,
}

#[derive(Default)]
struct State {
    queued: u64,
    flushed: u64,
    queue: Vec<u8>,
    offset: u64,
    writing: bool,
}

impl Ring {
    pub(super) fn new(path: &Path, bytes: u64) -> io::Result<Ring> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let block = vec![1; 1 << 20];
        for offset in (0..bytes).step_by(block.len()) {
            file.write_all_at(&block, offset)?;
        }
        file.sync_all()?;
        Ok(Ring { file, bytes, state: Mutex::default(), progress: Condvar::new() })
    }

    /// Appends and waits until it is on stable storage; the first who waits writes for all.
    pub(super) fn append(&self, record: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().expect("not poisoned");
        state.queue.extend_from_slice(record);
        state.queued += 1;
        let mine = state.queued;
        while state.flushed < mine {
            if state.writing {
                state = self.progress.wait(state).expect("not poisoned");
                continue;
            }
            state.writing = true;
            let batch = std::mem::take(&mut state.queue);
            let last = state.queued;
            if state.offset + batch.len() as u64 > self.bytes {
                state.offset = 0;
            }
            let offset = state.offset;
            state.offset += batch.len() as u64;
            drop(state);
            let result = self.file.write_all_at(&batch, offset).and_then(|()| self.file.sync_data());
            state = self.state.lock().expect("not poisoned");
            state.writing = false;
            state.flushed = last;
            self.progress.notify_all();
            result?;
        }
        Ok(())
    }
}

/// A file that grows with every append, as a log of large records does: each sync carries metadata of the file too.
pub(super) struct Growing {
    file: File,
    offset: AtomicU64,
}

impl Growing {
    pub(super) fn new(path: &Path) -> io::Result<Growing> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Growing { file, offset: AtomicU64::new(0) })
    }

    /// Appends and syncs. For one thread.
    pub(super) fn append(&self, record: &[u8]) -> io::Result<()> {
        let offset = self.offset.fetch_add(record.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(record, offset)?;
        self.file.sync_data()
    }
}
