//! Whole content on its way in: small content travels in the record that attaches it, larger content is appended
//! first and attached by one record that does not grow with the file (DESIGN section 3).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use nexus_log::event::{Piece, Reason, Syscall};
use nexus_log::ids::{Body, ChunkHash, Seq};
use nexus_log::record::Payload;

use super::commit::Committed;
use super::{Core, Zone};
use crate::caller::Caller;
use crate::decide::{Staged, StoreContent, pieces_of};
use crate::error::{Error, Result};
use crate::gate::Call;
use crate::limits::{CHUNK_BYTES_MAX, FILE_BYTES_MAX, PIECES_PER_RECORD_MAX, RECORD_PAYLOAD_BYTES_MAX};

/// Holes longer than this are not hashed through: the content gets no id.
const HASHED_HOLE_BYTES_MAX: u64 = 16 << 20;

/// Takes a file's content from its start to its end, data and holes. Memory stays within one record's payload.
pub struct ContentWriter<'z> {
    zone: &'z Zone,
    caller: Caller,
    /// Bytes of the chunk that is being filled.
    chunk: BytesMut,
    /// Where that chunk begins in the file.
    chunk_offset: u64,
    /// Full chunks not stored yet.
    ready: Vec<(u64, Bytes)>,
    ready_bytes: usize,
    size: u64,
    stored: Option<Stored>,
    id: ContentId,
    /// An error took part of the content: it cannot be attached any more.
    failed: bool,
}

/// The hash of the whole content on its way. While there is one chunk only, its own hash will say it.
enum ContentId {
    OneChunk(Bytes),
    Several(Box<blake3::Hasher>),
    /// Not worth hashing.
    None,
}

impl ContentId {
    fn hasher(&mut self) -> Option<&mut blake3::Hasher> {
        if let ContentId::OneChunk(chunk) = self {
            let mut hasher = Box::new(blake3::Hasher::new());
            hasher.update(chunk);
            *self = ContentId::Several(hasher);
        }
        match self {
            ContentId::Several(hasher) => Some(hasher),
            _ => None,
        }
    }

    fn chunk(&mut self, chunk: &Bytes) {
        match self {
            ContentId::OneChunk(first) if first.is_empty() => *first = chunk.clone(),
            _ => {
                if let Some(hasher) = self.hasher() {
                    hasher.update(chunk);
                }
            }
        }
    }

    fn hole(&mut self, bytes: u64) {
        if bytes > HASHED_HOLE_BYTES_MAX {
            *self = ContentId::None;
        }
        let Some(hasher) = self.hasher() else { return };
        let zeros = [0; 4096];
        let mut rest = bytes as usize;
        while rest > 0 {
            let take = rest.min(zeros.len());
            hasher.update(&zeros[..take]);
            rest -= take;
        }
    }

    fn finish(&self) -> Option<ChunkHash> {
        match self {
            ContentId::Several(hasher) => Some(ChunkHash(*hasher.finalize().as_bytes())),
            ContentId::OneChunk(_) | ContentId::None => None,
        }
    }
}

/// What was appended ahead of the record that will attach it.
struct Stored {
    body: Body,
    /// The last record of it.
    state: Seq,
    core: Arc<Core>,
}

impl Stored {
    /// Waits until all of it is on stable storage. Where a failure took it, its positions and the body's id may be
    /// another's by now, so nothing may refer to them.
    fn wait(&self) -> Result<()> {
        self.core.wait(self.state)
    }
}

impl Zone {
    /// Begins the content of a file; [`Zone::put_content`] attaches it.
    #[must_use]
    pub fn content_writer(&self, caller: &Caller) -> ContentWriter<'_> {
        ContentWriter {
            zone: self,
            caller: caller.clone(),
            chunk: BytesMut::new(),
            chunk_offset: 0,
            ready: Vec::new(),
            ready_bytes: 0,
            size: 0,
            stored: None,
            id: ContentId::OneChunk(Bytes::new()),
            failed: false,
        }
    }
}

impl ContentWriter<'_> {
    fn check(&self) -> Result<()> {
        if self.failed {
            return Err(Error::new(Reason::Invalid, "part of the content was lost to an error; begin it again"));
        }
        Ok(())
    }

    fn grow(&mut self, bytes: u64) -> Result<()> {
        self.check()?;
        let size = self.size.checked_add(bytes).filter(|size| *size <= FILE_BYTES_MAX);
        let too_large = || Error::new(Reason::TooLarge, format!("a file is at most {FILE_BYTES_MAX} bytes"));
        self.size = size.ok_or_else(too_large)?;
        Ok(())
    }

    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.grow(bytes.len() as u64)?;
        while !bytes.is_empty() {
            let take = bytes.len().min(CHUNK_BYTES_MAX - self.chunk.len());
            self.chunk.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.chunk.len() == CHUNK_BYTES_MAX {
                self.end_chunk()?;
            }
        }
        Ok(())
    }

    /// Zeros that take no space.
    pub fn hole(&mut self, bytes: u64) -> Result<()> {
        self.end_chunk()?;
        self.grow(bytes)?;
        self.chunk_offset += bytes;
        self.id.hole(bytes);
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = self.chunk.split().freeze();
        self.id.chunk(&chunk);
        let full = self.ready_bytes + chunk.len() > RECORD_PAYLOAD_BYTES_MAX;
        if full || self.ready.len() == PIECES_PER_RECORD_MAX {
            self.store()?;
        }
        let offset = self.chunk_offset;
        self.chunk_offset += chunk.len() as u64;
        self.ready_bytes += chunk.len();
        self.ready.push((offset, chunk));
        Ok(())
    }

    /// Appends what is ready as content of an unattached body.
    fn store(&mut self) -> Result<()> {
        let Some((payload, pieces)) = self.take_ready() else { return Ok(()) };
        self.failed = true;
        let operation = StoreContent { body: self.stored.as_ref().map(|s| s.body), pieces: &pieces };
        let call = Call { syscall: Syscall::Put, caller: &self.caller, path: b"", inode: None };
        let result = self.zone.dispatch().call(
            &call,
            |committed: &Committed<Body>| committed.seq,
            |authorized| {
                let inner = &self.zone.inner;
                inner
                    .commit(authorized, self.caller.context(), &operation, Some(&payload))
                    .map_err(|refusal| refusal.error)
            },
        );
        let committed = result.inspect_err(|error| self.zone.note_refusal(&call, error))?;
        let stored = Stored { body: committed.reply, state: committed.state, core: Arc::clone(&committed.core) };
        if let Some(before) = self.stored.replace(stored)
            && !Arc::ptr_eq(&before.core, &committed.core)
        {
            before.wait()?;
        }
        // Bounds what waits for the disk: a writer of content is no faster than the log.
        if self.zone.inner.options.manual || committed.core.log.queued_bytes() > 2 * RECORD_PAYLOAD_BYTES_MAX {
            committed.core.wait(committed.state)?;
        }
        self.failed = false;
        Ok(())
    }

    fn take_ready(&mut self) -> Option<(Payload, Vec<Piece>)> {
        if self.ready.is_empty() {
            return None;
        }
        self.ready_bytes = 0;
        let ready = std::mem::take(&mut self.ready);
        let pieces = ready.iter().enumerate().flat_map(|(index, (offset, chunk))| {
            let placed = pieces_of(*offset, &[chunk.len() as u32]);
            placed.into_iter().map(move |piece| Piece { chunk: index as u32, ..piece })
        });
        let pieces = pieces.collect();
        let chunks = ready.into_iter().map(|(_, chunk)| chunk).collect();
        Some((Payload::new(&*self.zone.inner.env.random, chunks), pieces))
    }

    /// The content, and the payload of the record that will attach it.
    pub(super) fn finish(mut self) -> Result<(Staged, Option<Payload>)> {
        self.check()?;
        self.end_chunk()?;
        if self.stored.is_some() {
            self.store()?;
        }
        if let Some(stored) = &self.stored {
            stored.wait()?;
        }
        let content_id = self.id.finish();
        let size = self.size;
        let stored = self.stored.as_ref().map(|s| s.body);
        let (payload, pieces) = match self.take_ready() {
            Some((payload, pieces)) => (Some(payload), pieces),
            None => (None, Vec::new()),
        };
        Ok((Staged { size, pieces, stored, content_id }, payload))
    }
}
