//! Inodes that are held open.

use nexus_log::ids::Inode;

use super::Zone;
use crate::caller::Caller;
use crate::decide::ReleaseOrphans;
use crate::error::Result;
use crate::gate::{Dispatch, Rank};

impl Zone {
    /// Keeps an inode alive though its last name goes, until [`Zone::release`].
    pub fn hold(&self, inode: Inode) {
        *self.inner.handles.lock().entry(inode).or_default() += 1;
    }

    /// Gives up what [`Zone::hold`] took. With the last one an unlinked file is gone.
    pub fn release(&self, caller: &Caller, inode: Inode) -> Result<()> {
        {
            let mut handles = self.inner.handles.lock();
            let held = handles.get_mut(&inode).map(|count| {
                *count -= 1;
                *count
            });
            match held {
                Some(0) => handles.remove(&inode),
                _ => return Ok(()),
            };
        }
        let operation = ReleaseOrphans { inodes: &[inode] };
        self.inner
            .commit(&Dispatch::internal(Rank::Reserve), caller.context(), &operation, None)
            .map(|_| ())
            .map_err(|refusal| refusal.error)
    }
}
