//! `cat`, and the verbs that change bytes: `put`, `append`, `truncate`, `punch`.

use nexus_engine::limits::{CHUNK_BYTES_MAX, WRITE_BYTES_MAX};
use nexus_engine::{CallOptions, Caller, Durability, Error, Expect, NewFile};
use nexus_log::event::Reason;

use super::input::Input;
use super::several::each;
use super::{changed, changed_with};
use crate::args::{AppendArgs, CatArgs, Global, PunchArgs, PutArgs, TruncateArgs, options};
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

/// Reads a piece of the input before it opens the directory: whoever writes into the pipe may need the directory first,
/// as in `nexus cat /a | sort | nexus put /b`.
pub(super) fn put(args: &PutArgs, global: &Global, caller: Caller) -> Result<()> {
    let mut buffer = vec![0; WRITE_BYTES_MAX];
    let mut input = Input::standard();
    let count = input.fill(&mut buffer)?;
    let piece = Piece { input, buffer, count };
    Session::with(global, caller, |session| match args.offset {
        Some(offset) => put_at(args, offset, piece, session),
        None => put_whole(args, piece, session),
    })
}

/// The input, and what of it was read last.
struct Piece {
    input: Input,
    buffer: Vec<u8>,
    count: usize,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.count]
    }

    /// There is nothing behind it.
    fn is_last(&self) -> bool {
        self.count < self.buffer.len()
    }

    fn advance(&mut self) -> Result<()> {
        self.count = self.input.fill(&mut self.buffer)?;
        Ok(())
    }
}

fn put_whole(args: &PutArgs, mut piece: Piece, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.path)?;
    let options = options(args.expect.expect(), 1)?;
    let mut writer = zone.content_writer(&session.caller);
    loop {
        writer.write(piece.bytes()).about(&args.path)?;
        if piece.is_last() {
            break;
        }
        piece.advance()?;
    }
    let new = NewFile { mode: args.mode, ..owned_by_us() };
    let done = zone.put_content(&session.caller, &args.path.path[..], &new, writer, options).about(&args.path)?;
    let more = Object::new().with("created", done.reply.fresh);
    changed_with(&mut session.out, &args.path, done.reply.inode, &done, more)
}

/// Attributes of something new: owned by the user who runs the command.
pub(super) fn owned_by_us() -> NewFile {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    NewFile { uid, gid, ..NewFile::default() }
}

fn put_at(args: &PutArgs, offset: u64, mut piece: Piece, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.path)?;
    // One piece is one step: it can be a request of its own and hold to what it expects.
    let single = piece.is_last();
    let caller = session.caller_for(if single { 1 } else { 2 });
    let options = options(args.expect.expect(), 1)?;
    if !single && options.expect != Expect::default() {
        let message = format!("a write that expects something is one step of under {WRITE_BYTES_MAX} bytes");
        return Err(Error::new(Reason::TooLarge, message)).about(&args.path);
    }
    let mut at = offset;
    loop {
        let last = piece.is_last();
        // Only the end is worth waiting for: what comes before it is then on disk too.
        let durability = if last { Durability::Durable } else { Durability::Accepted };
        let part = CallOptions { durability, ..options };
        let done = zone.write(&caller, &args.path.path[..], at, piece.bytes(), part).about(&args.path)?;
        at = at.saturating_add(piece.count as u64);
        if last {
            let more = Object::new().with("offset", offset).with("length", at - offset);
            return changed_with(&mut session.out, &args.path, done.reply, &done, more);
        }
        if (at - offset).is_multiple_of(4 * WRITE_BYTES_MAX as u64) {
            done.wait_durable().about(&args.path)?;
        }
        piece.advance()?;
    }
}

/// One step whatever comes, so all of the input is read first; what is more than one step holds is for the engine to
/// refuse.
pub(super) fn append(args: &AppendArgs, global: &Global, caller: Caller) -> Result<()> {
    let mut bytes = vec![0; WRITE_BYTES_MAX + 1];
    let count = Input::standard().fill(&mut bytes)?;
    bytes.truncate(count);
    Session::with(global, caller, |session| {
        let zone = session.zone(&args.path)?;
        let options = options(args.expect.expect(), 1)?;
        let done = zone.append(&session.caller, &args.path.path[..], &bytes, options).about(&args.path)?;
        let more = Object::new().with("length", count as u64);
        changed_with(&mut session.out, &args.path, done.reply, &done, more)
    })
}

pub(super) fn truncate(args: &TruncateArgs, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.path)?;
    let options = options(args.expect.expect(), 1)?;
    let done = zone.truncate(&session.caller, &args.path.path[..], args.size, options).about(&args.path)?;
    changed(&mut session.out, &args.path, done.reply, &done)
}

pub(super) fn punch(args: &PunchArgs, session: &mut Session) -> Result<()> {
    let zone = session.zone(&args.path)?;
    let options = options(args.expect.expect(), 1)?;
    let PunchArgs { path, offset, length, .. } = args;
    let done = zone.punch(&session.caller, &path.path[..], *offset, *length, options).about(path)?;
    let more = Object::new().with("offset", *offset).with("length", *length);
    changed_with(&mut session.out, path, done.reply, &done, more)
}
