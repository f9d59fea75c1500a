//! What changes attributes.

use nexus_log::event::{AttributesSet, Reason, Syscall, XattrRemoved, XattrSet};
use nexus_log::ids::Inode;
use nexus_projections::loads::Prior;
use nexus_projections::table::RowKey;

use super::{About, Decision, Operation, Request, RequestDigest, Turn};
use crate::error::{Error, shown};
use crate::limits::XATTR_VALUE_BYTES_MAX;
use crate::lookup::{Found, Stop, resolve};
use crate::path::{NAME_BYTES_MAX, Target};

/// What to change of an inode's attributes; `None` leaves a value as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeChange {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Nanoseconds since 1970.
    pub atime: Option<i64>,
    pub mtime: Option<i64>,
    pub mime: Option<String>,
}

pub(crate) struct SetAttributes<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) change: &'a AttributeChange,
    /// A symlink in the last place is followed.
    pub(crate) follow: bool,
}

impl Operation for SetAttributes<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, _: &Turn<'_>) -> Found<Decision<Inode>, P> {
        let node = resolve(rows, self.target, self.follow)?;
        let change = self.change;
        if *change == AttributeChange::default() {
            return Ok(Decision::nothing(node.inode));
        }
        if change.mime.as_ref().is_some_and(|m| m.len() > NAME_BYTES_MAX) {
            let message = format!("a mime type is at most {NAME_BYTES_MAX} bytes");
            return Err(Error::new(Reason::Invalid, message).at(node.inode).into());
        }
        let event = AttributesSet {
            inode: node.inode.0,
            path: self.target.path().to_vec(),
            mode: change.mode.map(|m| m & 0o7777),
            uid: change.uid,
            gid: change.gid,
            atime: change.atime,
            mtime: change.mtime,
            mime: change.mime.clone(),
        };
        Ok(Decision::one(event, node.inode))
    }
}

/// As the flags of setxattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XattrMode {
    #[default]
    Either,
    Create,
    Replace,
}

pub(crate) fn check_xattr(name: &[u8], value: &[u8]) -> Result<(), Error> {
    if name.is_empty() || name.contains(&0) {
        return Err(Error::new(Reason::Invalid, format!("{:?} is not a name of an attribute", shown(name))));
    }
    if name.len() > NAME_BYTES_MAX {
        let message = format!("the attribute's name is {} bytes long; at most {NAME_BYTES_MAX}", name.len());
        return Err(Error::new(Reason::NameTooLong, message));
    }
    if value.len() > XATTR_VALUE_BYTES_MAX {
        let message = format!("the attribute's value is {} bytes long; at most {XATTR_VALUE_BYTES_MAX}", value.len());
        return Err(Error::new(Reason::TooLarge, message));
    }
    Ok(())
}

pub(crate) struct SetXattr<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) follow: bool,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) mode: XattrMode,
}

fn no_attribute(inode: Inode, name: &[u8]) -> Error {
    Error::new(Reason::NoAttribute, format!("there is no attribute {}", shown(name))).at(inode)
}

impl Operation for SetXattr<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, _: &Turn<'_>) -> Found<Decision<Inode>, P> {
        check_xattr(self.name, self.value)?;
        let inode = resolve(rows, self.target, self.follow)?.inode;
        let present = rows.get(&RowKey::xattr(inode, self.name)).map_err(Stop::Miss)?.is_some();
        match (self.mode, present) {
            (XattrMode::Create, true) => {
                let message = format!("the attribute {} exists already", shown(self.name));
                return Err(Error::new(Reason::Exists, message).at(inode).into());
            }
            (XattrMode::Replace, false) => return Err(no_attribute(inode, self.name).into()),
            _ => {}
        }
        let event = XattrSet {
            inode: inode.0,
            path: self.target.path().to_vec(),
            name: self.name.to_vec(),
            value: self.value.to_vec(),
        };
        Ok(Decision::one(event, inode))
    }
}

pub(crate) struct RemoveXattr<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) follow: bool,
    pub(crate) name: &'a [u8],
}

impl Operation for RemoveXattr<'_> {
    type Reply = Inode;

    fn decide<P: Prior>(&self, rows: &P, _: &Turn<'_>) -> Found<Decision<Inode>, P> {
        check_xattr(self.name, b"")?;
        let inode = resolve(rows, self.target, self.follow)?.inode;
        if rows.get(&RowKey::xattr(inode, self.name)).map_err(Stop::Miss)?.is_none() {
            return Err(no_attribute(inode, self.name).into());
        }
        let event = XattrRemoved { inode: inode.0, path: self.target.path().to_vec(), name: self.name.to_vec() };
        Ok(Decision::one(event, inode))
    }
}

impl Request for SetAttributes<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Setattr
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: self.follow }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        let AttributeChange { mode, uid, gid, atime, mtime, mime } = self.change;
        digest.target(self.target);
        digest.number(u64::from(self.follow));
        [mode, uid, gid].into_iter().for_each(|n| digest.maybe(n.map(u64::from)));
        [atime, mtime].into_iter().for_each(|time| digest.maybe(time.map(|t| t as u64)));
        digest.number(u64::from(mime.is_some()));
        digest.bytes(mime.as_deref().unwrap_or("").as_bytes());
    }
}

impl Request for SetXattr<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::SetXattr
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: self.follow }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.target);
        digest.number(u64::from(self.follow) << 2 | self.mode as u64);
        digest.bytes(self.name);
        digest.bytes(self.value);
    }
}

impl Request for RemoveXattr<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::RemoveXattr
    }

    fn about(&self) -> About<'_> {
        About::Target { target: self.target, follow: self.follow }
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.target(self.target);
        digest.number(u64::from(self.follow));
        digest.bytes(self.name);
    }
}
