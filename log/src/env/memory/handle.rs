//! Open files and held locks. They die with the power: after a cut every call fails with EIO.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;

use super::faults::{ArmedWrite, Power, SyncFault};
use super::tree::{NodeId, State};
use crate::env::{DirLock, DiskFile, OpenMode, SplitMix64};

pub(super) struct MemoryFile {
    disk: Arc<Mutex<State>>,
    node: NodeId,
    generation: u64,
    writable: bool,
}

impl MemoryFile {
    pub(super) fn new(disk: &Arc<Mutex<State>>, state: &mut State, node: NodeId, mode: OpenMode) -> MemoryFile {
        state.file_mut(node).handles += 1;
        MemoryFile { disk: Arc::clone(disk), node, generation: state.generation, writable: mode != OpenMode::Read }
    }

    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.generation == self.generation { Ok(state) } else { Err(Errno::IO.into()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state()?;
        state.operation()?;
        let fault = state.faults.next_sync();
        let file = state.file_mut(self.node);
        match fault {
            None => {
                file.sync();
                return Ok(());
            }
            Some(SyncFault::Lost) => file.sync_failed(&mut || false),
            Some(SyncFault::Partly { seed }) => {
                let mut rng = SplitMix64::new(seed);
                file.sync_failed(&mut || rng.below(2) == 1);
            }
        }
        Err(Errno::IO.into())
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile").field("node", &self.node).field("writable", &self.writable).finish_non_exhaustive()
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state() {
            state.file_mut(self.node).handles -= 1;
        }
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        if state.faults.next_read_fails() {
            return Err(Errno::IO.into());
        }
        let len = buf.len().min(state.file(self.node).len().saturating_sub(offset) as usize);
        let len = state.faults.readable(self.node, offset, len)?;
        let len = state.faults.transfer(len)?;
        Ok(state.file(self.node).read(&mut buf[..len], offset))
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        /// As on the real disk, where a write of more slices is short.
        const SLICES_MAX: usize = 1024;
        if !self.writable {
            return Err(Errno::BADF.into());
        }
        let data = bufs.iter().take(SLICES_MAX).map(|b| &**b).collect::<Vec<_>>().concat();
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Err(Errno::FBIG.into());
        }
        write(&mut *self.state()?, self.node, &data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.file(self.node).len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.writable {
            return Err(Errno::INVAL.into());
        }
        if len > i64::MAX as u64 {
            return Err(Errno::FBIG.into());
        }
        let mut state = self.state()?;
        state.operation()?;
        state.file_mut(self.node).set_len(len);
        Ok(())
    }
}

fn write(state: &mut State, node: NodeId, data: &[u8], offset: u64) -> io::Result<usize> {
    let power = state.faults.operation();
    if power == Power::Off {
        return Err(Errno::IO.into());
    }
    let fault = state.faults.next_write();
    if power == Power::Failing {
        let free = state.free_bytes();
        state.file_mut(node).write(data, offset, free);
        return Err(Errno::IO.into());
    }
    let (mut target, mut at, mut len) = (node, offset, data.len());
    match fault {
        None => {}
        Some(ArmedWrite::Fail { after_bytes: 0 }) => return Err(Errno::IO.into()),
        Some(ArmedWrite::Fail { after_bytes }) => {
            state.faults.arm_write(1, ArmedWrite::Fail { after_bytes: 0 });
            len = len.min(after_bytes);
        }
        Some(ArmedWrite::Full { after_bytes: 0 }) => return Err(Errno::NOSPC.into()),
        Some(ArmedWrite::Full { after_bytes }) => {
            state.faults.arm_write(1, ArmedWrite::Full { after_bytes: 0 });
            len = len.min(after_bytes);
        }
        Some(ArmedWrite::Lost) => return Ok(len),
        Some(ArmedWrite::ToOffset(offset)) => at = offset,
        Some(ArmedWrite::IntoFile(other)) if state.has_file(other) => target = other,
        Some(ArmedWrite::IntoFile(_)) => return Ok(len),
    }
    len = state.faults.transfer(len)?;
    let free = state.free_bytes();
    let written = state.file_mut(target).write(&data[..len], at, free);
    if written == 0 && len > 0 {
        return Err(Errno::NOSPC.into());
    }
    Ok(written)
}

/// Released when dropped, or when the power goes.
#[derive(Debug)]
pub(super) struct MemoryLock(pub(super) MemoryFile);

impl DirLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        if let Ok(mut state) = self.0.state() {
            state.locks.remove(&self.0.node);
        }
    }
}
