//! Several questions in one call, each answered by itself; and questions that are answered yes or no.

use bytes::Bytes;
use nexus_log::event::{Reason, Syscall};
use nexus_projections::row::FileKind;

use super::walker::Base;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::limits::{READ_BYTES_MAX, READ_MANY_BYTES_MAX, VECTOR_REQUESTS_MAX};
use crate::path::Target;
use crate::view::View;

/// One read of a vectored call.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest<'a> {
    pub target: Target<'a>,
    pub offset: u64,
    pub length: usize,
}

/// What [`View::access`] asks for; the bits are those of access(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessMode(u8);

impl AccessMode {
    /// Only whether it is there.
    pub const EXISTS: AccessMode = AccessMode(0);
    pub const EXECUTE: AccessMode = AccessMode(1);
    pub const WRITE: AccessMode = AccessMode(2);
    pub const READ: AccessMode = AccessMode(4);

    /// As access(2) takes them.
    pub fn from_bits(bits: u32) -> Result<AccessMode> {
        match u8::try_from(bits) {
            Ok(bits @ 0..=7) => Ok(AccessMode(bits)),
            _ => Err(Error::new(Reason::Invalid, format!("{bits:#o} are no access bits; they are 0 to 7"))),
        }
    }

    fn asks(self, other: AccessMode) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for AccessMode {
    type Output = AccessMode;

    fn bitor(self, other: AccessMode) -> AccessMode {
        AccessMode(self.0 | other.0)
    }
}

fn too_many<T>() -> Result<T> {
    let message = format!("one call takes at most {VECTOR_REQUESTS_MAX} requests; the others were answered");
    Err(Error::new(Reason::TooLarge, message))
}

impl View {
    /// One answer per request, in their order; an error is that request's alone. All of them read at this view's
    /// position. A request that finds [`READ_MANY_BYTES_MAX`] used up by those before it is `TooLarge`, never short.
    pub fn read_many(&self, caller: &Caller, requests: &[ReadRequest<'_>]) -> Vec<Result<Bytes>> {
        let mut left = READ_MANY_BYTES_MAX;
        let answer = |(index, request): (usize, &ReadRequest<'_>)| {
            if index >= VECTOR_REQUESTS_MAX {
                return too_many();
            }
            // One byte more than may be answered: what a file does not have does not count.
            let length = request.length.min(READ_BYTES_MAX);
            let bytes = self.read(caller, request.target, request.offset, length.min(left.saturating_add(1)))?;
            if bytes.len() > left {
                let message = format!("the reads of one call answer at most {READ_MANY_BYTES_MAX} bytes together");
                return Err(Error::new(Reason::TooLarge, message));
            }
            left -= bytes.len();
            Ok(bytes)
        };
        requests.iter().enumerate().map(answer).collect()
    }

    /// Does the path lead to something? A symlink is followed.
    pub fn exists<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>) -> Result<bool> {
        Ok(self.kind_of(caller, target.into())?.is_some())
    }

    /// As [`View::exists`] of each; an error is that target's alone.
    pub fn exists_many(&self, caller: &Caller, targets: &[Target<'_>]) -> Vec<Result<bool>> {
        let answer = |(index, target): (usize, &Target<'_>)| match index {
            0..VECTOR_REQUESTS_MAX => self.exists(caller, *target),
            _ => too_many(),
        };
        targets.iter().enumerate().map(answer).collect()
    }

    /// Does the path lead to a directory? A symlink is followed.
    pub fn is_directory<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>) -> Result<bool> {
        Ok(self.kind_of(caller, target.into())? == Some(FileKind::Directory))
    }

    fn kind_of(&self, caller: &Caller, target: Target<'_>) -> Result<Option<FileKind>> {
        match self.stat(caller, target, true) {
            Ok(stat) => Ok(Some(stat.kind)),
            Err(error) if matches!(error.kind, Reason::NotFound | Reason::NotDir) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Could the caller do this to what the path leads to? Without a gate whatever exists can be. With one it is asked
    /// for what it would be asked in earnest: reading for `read` or `readdir`, writing for `write` or `create`,
    /// executing for `read` of a file and `stat` of what stands in a directory.
    pub fn access<'a>(&self, caller: &Caller, target: impl Into<Target<'a>>, mode: AccessMode) -> Result<()> {
        let target = target.into();
        self.call(caller, Syscall::Access, target, |seen| {
            let base = Base::find(self, caller, target)?;
            seen.bytes(&base.node, 0);
            let directory = base.node.is_directory();
            let asked = [
                (AccessMode::READ, if directory { Syscall::Readdir } else { Syscall::Read }),
                (AccessMode::WRITE, if directory { Syscall::Create } else { Syscall::Write }),
                (AccessMode::EXECUTE, if directory { Syscall::Stat } else { Syscall::Read }),
            ];
            asked.into_iter().filter(|(bit, _)| mode.asks(*bit)).try_for_each(|(_, syscall)| base.check(syscall))
        })
    }
}
