//! Several changes as one record: each is decided on the state that those before it left, and all happen or none.

use nexus_log::event::{Context, Event, Piece, Reason, Syscall};
use nexus_log::ids::{CommitTime, Inode};
use nexus_log::limits::{RECORD_EVENTS_MAX, RECORD_META_BYTES_MAX};
use nexus_log::record::Chunk;
use nexus_projections::apply::{ApplyError, Fold, Origin};
use nexus_projections::loads::Prior;

use super::{
    About, CreateFile, Created, Decision, Expect, Link, MakeNode, Mkdir, Operation, Punch, ReleaseOrphans, RemoveXattr,
    Rename, Request, RequestDigest, Rmdir, SetAttributes, SetXattr, Symlink, Truncate, Turn, Unlink, WriteAt,
};
use crate::error::Error;
use crate::limits::RECORD_ROWS_MAX;
use crate::lookup::{Found, Stop};

/// Bytes of a record's meta that are not events: context, a chunk list of the largest size, what a named request was
/// answered.
const META_BESIDE_EVENTS_BYTES: usize = 512 << 10;

/// One change of a batch.
pub(crate) enum Step<'a> {
    CreateFile(CreateFile<'a>),
    Mkdir(Mkdir<'a>),
    Symlink(Symlink<'a>),
    Link(Link<'a>),
    MakeNode(MakeNode<'a>),
    Write(WriteAt<'a>),
    Truncate(Truncate<'a>),
    Punch(Punch<'a>),
    SetAttributes(SetAttributes<'a>),
    SetXattr(SetXattr<'a>),
    RemoveXattr(RemoveXattr<'a>),
    Rename(Rename<'a>),
    Unlink(Unlink<'a>),
    Rmdir(Rmdir<'a>),
}

/// Runs `$body` with `$op` as the operation that the step is.
macro_rules! on_operation {
    ($step:expr, $op:ident => $body:expr) => {
        match $step {
            Step::CreateFile($op) => $body,
            Step::Mkdir($op) => $body,
            Step::Symlink($op) => $body,
            Step::Link($op) => $body,
            Step::MakeNode($op) => $body,
            Step::Write($op) => $body,
            Step::Truncate($op) => $body,
            Step::Punch($op) => $body,
            Step::SetAttributes($op) => $body,
            Step::SetXattr($op) => $body,
            Step::RemoveXattr($op) => $body,
            Step::Rename($op) => $body,
            Step::Unlink($op) => $body,
            Step::Rmdir($op) => $body,
        }
    };
}

impl From<Inode> for Created {
    fn from(inode: Inode) -> Created {
        Created { inode, fresh: false }
    }
}

fn created(reply: impl Into<Created>) -> Created {
    reply.into()
}

impl Operation for Step<'_> {
    type Reply = Created;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Created>, P> {
        on_operation!(self, op => {
            let Decision { events, reply } = op.decide(rows, turn)?;
            Ok(Decision { events, reply: created(reply) })
        })
    }
}

impl Request for Step<'_> {
    fn syscall(&self) -> Syscall {
        on_operation!(self, op => op.syscall())
    }

    fn about(&self) -> About<'_> {
        on_operation!(self, op => op.about())
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.number(self.syscall().code().into());
        on_operation!(self, op => op.describe(digest));
    }
}

/// A step, what its caller expects, and how many of the payload's chunks are its own.
pub(crate) struct BatchStep<'a> {
    pub(crate) step: Step<'a>,
    pub(crate) expect: Expect,
    pub(crate) chunks: usize,
}

/// Steps that happen together.
pub(crate) struct AtomicBatch<'a> {
    pub(crate) steps: Vec<BatchStep<'a>>,
    /// The payload's chunks, those of the first step first.
    pub(crate) chunks: &'a [Chunk],
    pub(crate) context: &'a Context,
    /// Orphans to be released behind all steps.
    pub(crate) release: &'a [Inode],
}

impl AtomicBatch<'_> {
    fn check_size(events: &[Event], bytes: &mut usize, rows: usize) -> Result<(), Error> {
        let mut encoded = Vec::new();
        if let Some(event) = events.last() {
            event.encode(&mut encoded);
            *bytes += encoded.len();
        }
        let too_large = |what: &str, max: usize| {
            let message = format!("the batch is beyond one record: over {max} {what}; make several of it");
            Err(Error::new(Reason::TooLarge, message))
        };
        match () {
            // One is left for what a named request was answered.
            () if events.len() >= RECORD_EVENTS_MAX => too_large("events", RECORD_EVENTS_MAX - 1),
            () if rows > RECORD_ROWS_MAX => too_large("rows", RECORD_ROWS_MAX),
            () if *bytes > RECORD_META_BYTES_MAX - META_BESIDE_EVENTS_BYTES => {
                too_large("bytes of metadata", RECORD_META_BYTES_MAX - META_BESIDE_EVENTS_BYTES)
            }
            () => Ok(()),
        }
    }
}

fn stop<M>(error: ApplyError<M>) -> Stop<M> {
    match error {
        ApplyError::Miss(miss) => Stop::Miss(miss),
        ApplyError::Row(row) => Stop::Damaged(row),
    }
}

/// The refusal of one step is that of the batch, and says which step it was.
fn refused_at<M>(number: usize, of: usize) -> impl FnOnce(Stop<M>) -> Stop<M> {
    move |stop| match stop {
        Stop::Refused(mut error) => {
            error.message = format!("change {} of {of}: {}; nothing was changed", number + 1, error.message);
            Stop::Refused(error)
        }
        stop => stop,
    }
}

/// A step counts chunks from its own first; in the record its own stand behind those of the steps before, and chunks of
/// earlier records behind all that are the record's own.
fn place_pieces(event: &mut Event, before: usize, own: usize, all: usize) {
    let place = |pieces: &mut Vec<Piece>| {
        for piece in pieces {
            let shift = if (piece.chunk as usize) < own { before } else { all - own };
            piece.chunk += shift as u32;
        }
    };
    match event {
        Event::FileCreated(e) => place(&mut e.content.pieces),
        Event::Written(e) => place(&mut e.content.pieces),
        _ => {}
    }
}

impl Operation for AtomicBatch<'_> {
    type Reply = Vec<Created>;

    fn decide<P: Prior>(&self, rows: &P, turn: &Turn<'_>) -> Found<Decision<Vec<Created>>, P> {
        let origin = Origin { seq: turn.seq, commit_time: CommitTime(0), context: self.context, chunks: self.chunks };
        let mut fold = Fold::new(origin, rows);
        let (mut events, mut replies) = (Vec::new(), Vec::with_capacity(self.steps.len()));
        let (mut chunks_before, mut bytes) = (0, 0);
        for (number, BatchStep { step, expect, chunks }) in self.steps.iter().enumerate() {
            let turn = Turn { events_before: turn.events_before + events.len(), ..*turn };
            let refused = refused_at(number, self.steps.len());
            let decided = expect.check(&fold, step.about()).and_then(|()| step.decide(&fold, &turn));
            let Decision { events: decided, reply } = decided.map_err(refused)?;
            for mut event in decided {
                place_pieces(&mut event, chunks_before, *chunks, self.chunks.len());
                fold.event(&event).map_err(stop)?;
                events.push(event);
                AtomicBatch::check_size(&events, &mut bytes, fold.changed_rows())?;
            }
            chunks_before += chunks;
            replies.push(reply);
        }
        let released = ReleaseOrphans { inodes: self.release }.decide(&fold, turn)?;
        events.extend(released.events);
        Ok(Decision { events, reply: replies })
    }
}

impl Request for AtomicBatch<'_> {
    fn syscall(&self) -> Syscall {
        Syscall::Batch
    }

    fn about(&self) -> About<'_> {
        About::Many
    }

    fn describe(&self, digest: &mut RequestDigest) {
        digest.number(self.steps.len() as u64);
        for BatchStep { step, expect, .. } in &self.steps {
            digest.maybe(expect.version);
            digest.maybe(expect.exists.map(u64::from));
            step.describe(digest);
        }
    }
}
