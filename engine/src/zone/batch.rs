//! Many changes in one call: each by itself, with a result for each, or all as one record.

use bytes::Bytes;
use nexus_log::event::Reason;
use nexus_log::ids::ChunkHash;
use nexus_log::record::Chunk;

use super::Zone;
use super::calls::{CallOptions, Done, Durability};
use crate::caller::Caller;
use crate::decide::{
    AtomicBatch, AttributeChange, BatchStep, CreateFile, Created, Expect, Link, MakeNode, Mkdir, NewFile, NodeKind,
    Punch, RemoveXattr, Rename, RenameMode, Request, Rmdir, SetAttributes, SetXattr, Staged, Step, Symlink, Truncate,
    Unlink, WriteAt, WritePosition, XattrMode,
};
use crate::error::{Error, Result};
use crate::gate::Call;
use crate::limits::{BATCH_CHANGES_MAX, RECORD_PAYLOAD_BYTES_MAX};
use crate::path::{Entry, Target};

/// A change as a value: what the calls of [`Zone`] do, for batches.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Create {
        entry: Entry<'a>,
        new: &'a NewFile,
        exclusive: bool,
    },
    /// Whole content; `attributes_too`: an existing file gets the attributes as well.
    Put {
        entry: Entry<'a>,
        new: &'a NewFile,
        content: &'a [u8],
        attributes_too: bool,
    },
    Mkdir {
        entry: Entry<'a>,
        new: &'a NewFile,
        exclusive: bool,
    },
    Symlink {
        entry: Entry<'a>,
        target: &'a [u8],
        new: &'a NewFile,
    },
    Link {
        target: Target<'a>,
        entry: Entry<'a>,
    },
    MakeNode {
        entry: Entry<'a>,
        kind: NodeKind,
        new: &'a NewFile,
    },
    Write {
        target: Target<'a>,
        offset: u64,
        bytes: &'a [u8],
    },
    Append {
        target: Target<'a>,
        bytes: &'a [u8],
    },
    Truncate {
        target: Target<'a>,
        size: u64,
    },
    Punch {
        target: Target<'a>,
        offset: u64,
        length: u64,
    },
    SetAttributes {
        target: Target<'a>,
        change: &'a AttributeChange,
        follow: bool,
    },
    SetXattr {
        target: Target<'a>,
        name: &'a [u8],
        value: &'a [u8],
        mode: XattrMode,
    },
    RemoveXattr {
        target: Target<'a>,
        name: &'a [u8],
    },
    Rename {
        from: Entry<'a>,
        to: Entry<'a>,
        mode: RenameMode,
    },
    Unlink {
        entry: Entry<'a>,
    },
    Rmdir {
        entry: Entry<'a>,
    },
}

/// A change of a batch and what must be so for it to happen.
#[derive(Clone, Copy, Debug)]
pub struct BatchItem<'a> {
    pub change: Change<'a>,
    pub expect: Expect,
}

impl<'a> From<Change<'a>> for BatchItem<'a> {
    fn from(change: Change<'a>) -> BatchItem<'a> {
        BatchItem { change, expect: Expect::default() }
    }
}

/// A write of [`Zone::write_many`].
#[derive(Clone, Copy, Debug)]
pub struct WriteRequest<'a> {
    pub target: Target<'a>,
    pub offset: u64,
    pub bytes: &'a [u8],
}

impl Zone {
    /// Makes changes one after the other, each by itself: one result for each, in their order, and an error in one
    /// leaves the others alone. Durable ones wait for the disk together. A request id is noted with each.
    pub fn batch(
        &self,
        caller: &Caller,
        items: &[BatchItem<'_>],
        durability: Durability,
    ) -> Vec<Result<Done<Created>>> {
        if let [only] = items {
            return vec![self.make(caller, only, durability)];
        }
        let several = caller.for_several();
        let mut results: Vec<_> = items.iter().map(|item| self.make(&several, item, Durability::Accepted)).collect();
        if durability == Durability::Durable {
            for result in &mut results {
                // The first that waits writes for all.
                if let Ok(done) = result
                    && let Err(lost) = done.wait_durable()
                {
                    *result = Err(lost);
                }
            }
        }
        results
    }

    /// Writes, each as [`Zone::write`] does it: one result for each, in their order.
    pub fn write_many<'a>(
        &self,
        caller: &Caller,
        writes: &[WriteRequest<'a>],
        durability: Durability,
    ) -> Vec<Result<Done<Created>>> {
        let change = |w: &WriteRequest<'a>| -> BatchItem<'a> {
            let WriteRequest { target, offset, bytes } = *w;
            Change::Write { target, offset, bytes }.into()
        };
        let items: Vec<BatchItem<'_>> = writes.iter().map(change).collect();
        self.batch(caller, &items, durability)
    }

    /// Unlinks, each as [`Zone::unlink`] does it: one result for each, in their order.
    pub fn unlink_many(
        &self,
        caller: &Caller,
        entries: &[Entry<'_>],
        durability: Durability,
    ) -> Vec<Result<Done<Created>>> {
        let items: Vec<BatchItem<'_>> = entries.iter().map(|entry| Change::Unlink { entry: *entry }.into()).collect();
        self.batch(caller, &items, durability)
    }

    fn make(&self, caller: &Caller, item: &BatchItem<'_>, durability: Durability) -> Result<Done<Created>> {
        let options = CallOptions { durability, expect: item.expect };
        let same = |done: Done<nexus_log::ids::Inode>| done.map(Created::from);
        match item.change {
            Change::Create { entry, new, exclusive } => self.create(caller, entry, new, exclusive, options),
            Change::Put { entry, new, content, attributes_too } => {
                let mut writer = self.content_writer(caller);
                writer.write(content)?;
                match attributes_too {
                    true => self.put_file(caller, entry, new, writer, options),
                    false => self.put_content(caller, entry, new, writer, options),
                }
            }
            Change::Mkdir { entry, new, exclusive } => self.mkdir(caller, entry, new, exclusive, options),
            Change::Symlink { entry, target, new } => self.symlink(caller, entry, target, new, options),
            Change::Link { target, entry } => self.link(caller, target, entry, options).map(same),
            Change::MakeNode { entry, kind, new } => self.make_node(caller, entry, kind, new, options),
            Change::Write { target, offset, bytes } => self.write(caller, target, offset, bytes, options).map(same),
            Change::Append { target, bytes } => self.append(caller, target, bytes, options).map(same),
            Change::Truncate { target, size } => self.truncate(caller, target, size, options).map(same),
            Change::Punch { target, offset, length } => self.punch(caller, target, offset, length, options).map(same),
            Change::SetAttributes { target, change, follow } => {
                self.set_attributes(caller, target, change, follow, options).map(same)
            }
            Change::SetXattr { target, name, value, mode } => {
                self.set_xattr(caller, target, name, value, mode, options).map(same)
            }
            Change::RemoveXattr { target, name } => self.remove_xattr(caller, target, name, options).map(same),
            Change::Rename { from, to, mode } => self.rename(caller, from, to, mode, options).map(same),
            Change::Unlink { entry } => self.unlink(caller, entry, options).map(same),
            Change::Rmdir { entry } => self.rmdir(caller, entry, options).map(same),
        }
    }

    /// Makes all changes as one record, or none: each sees what those before it did. What does not fit into one record
    /// is `TooLarge` and nothing is written.
    pub fn batch_atomic(
        &self,
        caller: &Caller,
        items: &[BatchItem<'_>],
        options: impl Into<CallOptions>,
    ) -> Result<Done<Vec<Created>>> {
        let context = caller.context();
        let gathered = match self.gather(caller, items) {
            Ok(gathered) => gathered,
            Err(error) => {
                let nothing = AtomicBatch { steps: Vec::new(), chunks: &[], context, release: &[] };
                return self.refuse(caller, &nothing, error);
            }
        };
        let chunks = gathered.placed();
        let mut staged = gathered.staged.iter();
        let steps = items.iter().map(|item| step_of(item, &mut staged)).collect();
        let batch = AtomicBatch { steps, chunks: &chunks, context, release: &[] };
        for BatchStep { step, .. } in &batch.steps {
            let about = step.about();
            let call = Call { syscall: step.syscall(), caller, path: about.path(), inode: about.inode() };
            if let Err(error) = self.dispatch().admit(&call) {
                self.note_refusal(&call, &error);
                return Err(error);
            }
        }
        let payload = self.inner.payload_of(gathered.own.clone());
        self.change(caller, &batch, payload.as_ref(), options.into())
    }

    /// The content of all changes that bring some, as chunks of one record.
    fn gather(&self, caller: &Caller, items: &[BatchItem<'_>]) -> Result<Gathered> {
        if items.len() > BATCH_CHANGES_MAX {
            let message = format!("{} changes in one record; at most {BATCH_CHANGES_MAX}", items.len());
            return Err(Error::new(Reason::TooLarge, message));
        }
        let mut gathered = Gathered::default();
        let mut bytes = 0;
        for item in items {
            let content = match item.change {
                Change::Put { content, .. } => content,
                Change::Write { bytes, .. } | Change::Append { bytes, .. } => bytes,
                _ => continue,
            };
            let mut writer = self.content_writer(caller);
            bytes += content.len();
            if bytes > RECORD_PAYLOAD_BYTES_MAX {
                let message = format!("the batch brings over {RECORD_PAYLOAD_BYTES_MAX} bytes of content");
                return Err(Error::new(Reason::TooLarge, message));
            }
            writer.write(content)?;
            let (staged, own) = writer.finish_within_record()?;
            gathered.staged.push((staged, own.len()));
            gathered.own.extend(own);
        }
        Ok(gathered)
    }
}

/// Content of a batch's changes, those that bring none left out.
#[derive(Default)]
struct Gathered {
    /// Each with the number of chunks that are its own.
    staged: Vec<(Staged, usize)>,
    own: Vec<(ChunkHash, Bytes)>,
}

impl Gathered {
    fn placed(&self) -> Vec<Chunk> {
        let mut offset = 0;
        let place = |(hash, bytes): &(ChunkHash, Bytes)| {
            let chunk = Chunk { offset, length: bytes.len() as u32, hash: *hash };
            offset += chunk.length;
            chunk
        };
        self.own.iter().map(place).collect()
    }
}

/// The operation that a change is, with its content if it was gathered.
fn step_of<'a>(item: &BatchItem<'a>, staged: &mut impl Iterator<Item = &'a (Staged, usize)>) -> BatchStep<'a> {
    let mut chunks = 0;
    let mut next = || {
        let (staged, own) = staged.next()?;
        chunks = *own;
        Some(staged)
    };
    let step = match item.change {
        Change::Create { entry, new, exclusive } => {
            Step::CreateFile(CreateFile { entry, new, content: None, exclusive, attributes_too: false })
        }
        Change::Put { entry, new, attributes_too, .. } => {
            Step::CreateFile(CreateFile { entry, new, content: next(), exclusive: false, attributes_too })
        }
        Change::Mkdir { entry, new, exclusive } => Step::Mkdir(Mkdir { entry, new, exclusive }),
        Change::Symlink { entry, target, new } => Step::Symlink(Symlink { entry, target, new }),
        Change::Link { target, entry } => Step::Link(Link { target, entry }),
        Change::MakeNode { entry, kind, new } => Step::MakeNode(MakeNode { entry, kind, new }),
        Change::Write { target, offset, .. } => Step::Write(write_of(target, WritePosition::At(offset), next())),
        Change::Append { target, .. } => Step::Write(write_of(target, WritePosition::End, next())),
        Change::Truncate { target, size } => Step::Truncate(Truncate { target, size, step: false }),
        Change::Punch { target, offset, length } => Step::Punch(Punch { target, offset, length }),
        Change::SetAttributes { target, change, follow } => {
            Step::SetAttributes(SetAttributes { target, change, follow })
        }
        Change::SetXattr { target, name, value, mode } => {
            Step::SetXattr(SetXattr { target, follow: false, name, value, mode })
        }
        Change::RemoveXattr { target, name } => Step::RemoveXattr(RemoveXattr { target, follow: false, name }),
        Change::Rename { from, to, mode } => Step::Rename(Rename { from, to, mode }),
        Change::Unlink { entry } => Step::Unlink(Unlink { entry }),
        Change::Rmdir { entry } => Step::Rmdir(Rmdir { entry }),
    };
    BatchStep { step, expect: item.expect, chunks }
}

fn write_of<'a>(target: Target<'a>, position: WritePosition, staged: Option<&'a Staged>) -> WriteAt<'a> {
    static NOTHING: crate::content::Strip = crate::content::Strip { pieces: Vec::new(), foreign: Vec::new() };
    WriteAt {
        target,
        position,
        strip: staged.map_or(&NOTHING, |staged| &staged.strip),
        digest: staged.map_or([0; 32], |staged| staged.digest),
    }
}
