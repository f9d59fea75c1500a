//! Reading files of the host, ahead of their turn or in it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use nexus_engine::{Caller, ContentWriter, Stat, View, Zone};
use nexus_log::ids::ChunkHash;

use crate::transfer::host::{self, Kind, Meta, Span, Xattrs};
use crate::transfer::{READ_AHEAD_STEPS_MAX, READ_ATTEMPTS_MAX, READERS_MAX, same_bytes};

/// What reading needs of the zone.
#[derive(Clone, Copy)]
pub(super) struct ReadContext<'z> {
    pub(super) zone: &'z Zone,
    /// The zone as the run found it.
    pub(super) view: &'z View,
    pub(super) caller: &'z Caller,
}

/// A regular file of the host.
#[derive(Clone)]
pub(super) struct HostFile {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: Vec<u8>,
}

/// What a file of the host was when it was read.
pub(super) struct FileRead<'z> {
    pub(super) meta: Meta,
    pub(super) xattrs: Xattrs,
    /// `None`: the content is the zone's.
    pub(super) content: Option<ContentWriter<'z>>,
    /// Bytes of it, holes not counted.
    pub(super) bytes: u64,
    /// It changed while it was read.
    pub(super) changed: bool,
}

#[derive(Debug)]
pub(super) enum ReadFailure {
    Host(io::Error),
    /// Something else has taken its place.
    NotAFile,
    Zone(nexus_engine::Error),
}

impl From<io::Error> for ReadFailure {
    fn from(error: io::Error) -> ReadFailure {
        ReadFailure::Host(error)
    }
}

impl From<nexus_engine::Error> for ReadFailure {
    fn from(error: nexus_engine::Error) -> ReadFailure {
        ReadFailure::Zone(error)
    }
}

impl ReadFailure {
    pub(super) fn is_vanished(&self) -> bool {
        matches!(self, ReadFailure::Host(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

pub(super) type ReadResult<'z> = Result<FileRead<'z>, ReadFailure>;

impl<'z> ReadContext<'z> {
    /// Reads a file, a second time where it changed or vanished meanwhile. `known`: a file of the zone whose content
    /// may be the same. `tick` is told the bytes read so far.
    pub(super) fn read(
        &self,
        file: &HostFile,
        known: Option<&Stat>,
        block: &mut Vec<u8>,
        tick: &mut dyn FnMut(u64),
    ) -> ReadResult<'z> {
        let mut result = self.attempt(file, known, block, tick);
        for _ in 1..READ_ATTEMPTS_MAX {
            match &result {
                Ok(read) if read.changed => {}
                Err(failure) if failure.is_vanished() => {}
                _ => break,
            }
            result = self.attempt(file, known, block, tick);
        }
        result
    }

    fn attempt(
        &self,
        file: &HostFile,
        known: Option<&Stat>,
        block: &mut Vec<u8>,
        tick: &mut dyn FnMut(u64),
    ) -> ReadResult<'z> {
        let handle = host::open_file(&file.dir, &file.name)?;
        let meta = host::meta_of(&handle)?;
        if meta.kind != Kind::File {
            return Err(ReadFailure::NotAFile);
        }
        let xattrs = host::xattrs_of(&handle)?;
        let same = match known {
            Some(known) if known.size == meta.size => self.is_content_of(known, &handle, &meta, block)?,
            _ => false,
        };
        let mut bytes = 0;
        let mut content = None;
        if !same {
            let mut writer = self.zone.content_writer(self.caller);
            host::spans(&handle, &meta, block, |span| {
                match span {
                    Span::Hole(length) => writer.hole(length)?,
                    Span::Data(data) => {
                        writer.write(data)?;
                        bytes += data.len() as u64;
                        tick(bytes);
                    }
                }
                Ok::<(), ReadFailure>(())
            })?;
            content = Some(writer);
        }
        let after = host::meta_of(&handle)?;
        let changed = (after.size, after.mtime) != (meta.size, meta.mtime);
        Ok(FileRead { meta, xattrs, content, bytes, changed })
    }

    /// Compares contents, by hash where the zone knows the hash of the whole.
    fn is_content_of(
        &self,
        known: &Stat,
        handle: &OwnedFd,
        meta: &Meta,
        block: &mut Vec<u8>,
    ) -> Result<bool, ReadFailure> {
        let Some(id) = known.content_id else {
            let mut offset = 0;
            return same_bytes(self.view, self.caller, known.inode, |buffer| {
                let read = host::read_full_at(handle, buffer, offset)?;
                offset += read as u64;
                Ok::<usize, ReadFailure>(read)
            });
        };
        let mut hasher = blake3::Hasher::new();
        // Holes are hashed as the zeros they read as.
        let dense = Meta { sparse: false, ..*meta };
        host::spans(handle, &dense, block, |span| {
            if let Span::Data(data) = span {
                hasher.update(data);
            }
            Ok::<(), ReadFailure>(())
        })?;
        Ok(ChunkHash(*hasher.finalize().as_bytes()) == id)
    }
}

struct Job<'z> {
    file: HostFile,
    known: Option<Stat>,
    reply: SyncSender<ReadResult<'z>>,
}

/// Threads that read files ahead. They end when this is dropped.
pub(super) struct Readers<'z> {
    jobs: SyncSender<Job<'z>>,
}

impl<'z> Readers<'z> {
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, context: ReadContext<'z>) -> io::Result<Readers<'z>>
    where
        'z: 'scope,
    {
        let (jobs, queue) = sync_channel::<Job<'z>>(READ_AHEAD_STEPS_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(READERS_MAX);
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("import-reader".into()).spawn_scoped(scope, move || {
                let mut block = Vec::new();
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { break };
                    let result = context.read(&job.file, job.known.as_ref(), &mut block, &mut |_| {});
                    // Where the run has ended meanwhile nobody waits for the answer.
                    let _ = job.reply.send(result);
                }
            })?;
        }
        Ok(Readers { jobs })
    }

    /// Has a file read. No more may be under way than the walk is ahead.
    pub(super) fn ask(&self, file: HostFile, known: Option<Stat>) -> Receiver<ReadResult<'z>> {
        let (reply, answer) = sync_channel(1);
        // Without readers the answer's channel is closed, which is an answer too.
        let _ = self.jobs.send(Job { file, known, reply });
        answer
    }
}
