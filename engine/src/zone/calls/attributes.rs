//! What changes attributes.

use nexus_log::ids::Inode;

use super::{CallOptions, Done, Zone};
use crate::caller::Caller;
use crate::decide::{AttributeChange, RemoveXattr, SetAttributes, SetXattr, XattrMode};
use crate::error::Result;
use crate::path::Target;

impl Zone {
    /// Changes attributes. A symlink in the last place is followed where `follow`.
    pub fn set_attributes<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        change: &AttributeChange,
        follow: bool,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        self.change(caller, &SetAttributes { target: target.into(), change, follow }, None, options.into())
    }

    /// Sets an extended attribute. A symlink is not followed.
    pub fn set_xattr<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        let operation = SetXattr { target: target.into(), follow: false, name, value, mode };
        self.change(caller, &operation, None, options.into())
    }

    pub fn remove_xattr<'a>(
        &self,
        caller: &Caller,
        target: impl Into<Target<'a>>,
        name: &[u8],
        options: impl Into<CallOptions>,
    ) -> Result<Done<Inode>> {
        self.change(caller, &RemoveXattr { target: target.into(), follow: false, name }, None, options.into())
    }
}
