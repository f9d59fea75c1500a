//! `mknod`.

use nexus_engine::{NewFile, NodeKind};

use super::changed;
use super::content::owned_by_us;
use crate::args::{MknodArgs, NodeType, options};
use crate::failure::{About, Failure, Result};
use crate::session::Session;

pub(super) fn mknod(args: &MknodArgs, session: &mut Session) -> Result<()> {
    let kind = match (args.node, args.major, args.minor) {
        (NodeType::P, None, None) => NodeKind::Fifo,
        (NodeType::S, None, None) => NodeKind::Socket,
        (NodeType::C, Some(major), Some(minor)) => NodeKind::CharDevice { major, minor },
        (NodeType::B, Some(major), Some(minor)) => NodeKind::BlockDevice { major, minor },
        (NodeType::P | NodeType::S, ..) => {
            return Err(Failure::Usage("a fifo and a socket have no device numbers".into()));
        }
        (NodeType::C | NodeType::B, ..) => {
            return Err(Failure::Usage("a device has two numbers: give MAJOR and MINOR".into()));
        }
    };
    let new = NewFile { mode: args.mode, ..owned_by_us() };
    let options = options(args.expect.expect(), 1)?;
    let zone = session.zone(&args.path)?;
    let done = zone.make_node(&session.caller, &args.path.path[..], kind, &new, options).about(&args.path)?;
    changed(&mut session.out, &args.path, done.reply.inode, &done)
}
