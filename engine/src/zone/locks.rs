//! Locks: not there yet. The calls exist, go the way of every call, and say so.

use nexus_log::event::{Reason, Syscall};

use super::Zone;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::gate::Call;
use crate::path::Target;

impl Zone {
    /// Would take a lock. Always `Unsupported`.
    pub fn lock<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>) -> Result<()> {
        self.not_yet(caller, Syscall::Lock, target.into())
    }

    /// Would give a lock up. Always `Unsupported`.
    pub fn unlock<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>) -> Result<()> {
        self.not_yet(caller, Syscall::Unlock, target.into())
    }

    fn not_yet(&self, caller: &Caller, syscall: Syscall, target: Target<'_>) -> Result<()> {
        let call = Call { syscall, caller, path: target.path(), inode: target.inode() };
        let refuse = |_: &_| {
            let message = "this release has no locks; take turns by a file that only one can create";
            Err(Error::new(Reason::Unsupported, message))
        };
        let result = self.dispatch().call(&call, |()| None, refuse);
        result.inspect_err(|error| self.note_refusal(&call, error))
    }
}
