//! `cat`, `put` and `truncate`.

use std::io::{self, Read};

use nexus_engine::limits::{CHUNK_BYTES_MAX, WRITE_BYTES_MAX};
use nexus_engine::{Caller, Durability, NewFile};

use super::several::each;
use super::{changed, changed_with};
use crate::args::{CatArgs, Global, PutArgs, TruncateArgs};
use crate::failure::{About, Failure, Result};
use crate::output::Object;
use crate::session::Session;

/// Bytes that one call reads: a few chunks, so that no chunk is read for less than it holds.
const READ_BYTES: usize = 4 * CHUNK_BYTES_MAX;

pub(super) fn cat(args: &CatArgs, session: &mut Session) -> Result<()> {
    if args.paths.len() > 1 && (args.offset > 0 || args.length.is_some()) {
        return Err(Failure::Usage("--offset and --length are about one file; name one".into()));
    }
    each(&args.paths, session, |path, session| {
        let view = session.view(path, &args.at)?;
        // By inode from here on: the path is resolved once.
        let inode = view.stat(&session.caller, &path.path[..], true).about(path)?.inode;
        let mut offset = args.offset;
        let mut left = args.length.unwrap_or(u64::MAX);
        loop {
            let length = left.min(READ_BYTES as u64) as usize;
            let bytes = view.read(&session.caller, inode, offset, length).about(path)?;
            if bytes.is_empty() {
                return Ok(());
            }
            session.out.bytes(&bytes)?;
            offset = offset.saturating_add(bytes.len() as u64);
            left -= bytes.len() as u64;
        }
    })
}

/// Fills `buffer` from standard input; less only at its end.
fn fill(buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    let mut input = io::stdin().lock();
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Failure::Input { what: "standard input", source }),
        }
    }
    Ok(filled)
}

/// Reads a piece of the input before it opens the directory: whoever writes into the pipe may need the directory first,
/// as in `nexus cat /a | sort | nexus put /b`.
pub(super) fn put(args: &PutArgs, global: &Global, caller: Caller) -> Result<()> {
    let mut buffer = vec![0; WRITE_BYTES_MAX];
    let count = fill(&mut buffer)?;
    Session::with(global, caller, |session| match args.offset {
        Some(offset) => put_at(args, offset, buffer, count, session),
        None => put_whole(args, buffer, count, session),
    })
}

fn put_whole(args: &PutArgs, mut buffer: Vec<u8>, mut count: usize, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.path)?;
    let mut writer = zone.content_writer(&session.caller);
    loop {
        writer.write(&buffer[..count]).about(&args.path)?;
        if count < buffer.len() {
            break;
        }
        count = fill(&mut buffer)?;
    }
    let new = NewFile { mode: args.mode, ..owned_by_us() };
    let done =
        zone.put_content(&session.caller, &args.path.path[..], &new, writer, Durability::Durable).about(&args.path)?;
    let more = Object::new().with("created", done.reply.fresh);
    changed_with(&mut session.out, &args.path, done.reply.inode, &done, more)
}

/// Attributes of something new: owned by the user who runs the command.
pub(super) fn owned_by_us() -> NewFile {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    NewFile { uid, gid, ..NewFile::default() }
}

fn put_at(args: &PutArgs, offset: u64, mut buffer: Vec<u8>, mut count: usize, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.path)?;
    let mut at = offset;
    loop {
        let last = count < buffer.len();
        // Only the end is worth waiting for: what comes before it is then on disk too.
        let durability = if last { Durability::Durable } else { Durability::Accepted };
        let done =
            zone.write(&session.caller, &args.path.path[..], at, &buffer[..count], durability).about(&args.path)?;
        at = at.saturating_add(count as u64);
        if last {
            let more = Object::new().with("offset", offset).with("length", at - offset);
            return changed_with(&mut session.out, &args.path, done.reply, &done, more);
        }
        if (at - offset).is_multiple_of(4 * WRITE_BYTES_MAX as u64) {
            done.wait_durable().about(&args.path)?;
        }
        count = fill(&mut buffer)?;
    }
}

pub(super) fn truncate(args: &TruncateArgs, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.path)?;
    let done = zone.truncate(&session.caller, &args.path.path[..], args.size, Durability::Durable).about(&args.path)?;
    changed(&mut session.out, &args.path, done.reply, &done)
}
