//! Whole content on its way in: small content travels in the record that attaches it, larger content is appended
//! first and attached by one record that does not grow with the file (DESIGN section 3).

use std::sync::Arc;

use bytes::Bytes;
use nexus_log::event::{Reason, Syscall};
use nexus_log::ids::{Body, ChunkHash, Seq};
use nexus_log::record::Payload;
use nexus_projections::apply::INDEXED_CHUNK_BYTES_MIN;
use nexus_projections::row::ChunkRow;
use nexus_projections::table::RowKey;

use super::commit::Committed;
use super::errors::{damaged, store_error};
use super::{Core, Inner, Zone};
use crate::caller::Caller;
use crate::content::{Cutter, Strip, StripBuilder};
use crate::decide::{Staged, StoreContent};
use crate::error::{Error, Result};
use crate::gate::Call;
use crate::limits::{FILE_BYTES_MAX, PIECES_PER_RECORD_MAX, RECORD_PAYLOAD_BYTES_MAX};

/// Holes longer than this are not hashed through: the content gets no id.
const HASHED_HOLE_BYTES_MAX: u64 = 16 << 20;

/// Takes a file's content from its start to its end, data and holes. Memory stays within one record's payload and the
/// buffer of the cutter.
pub struct ContentWriter<'z> {
    zone: &'z Zone,
    caller: Caller,
    cutter: Cutter,
    /// Where the next chunk begins in the file.
    chunk_offset: u64,
    /// Chunks that no record was made of yet.
    ready: StripBuilder,
    size: u64,
    stored: Option<Stored>,
    id: ContentId,
    /// What the content consists of, for a request that has a name.
    digest: Option<Box<blake3::Hasher>>,
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
            cutter: Cutter::default(),
            chunk_offset: 0,
            ready: StripBuilder::default(),
            size: 0,
            stored: None,
            id: ContentId::OneChunk(Bytes::new()),
            digest: caller.request_key().map(|_| Box::default()),
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
            bytes = &bytes[self.cutter.take(bytes)..];
            while let Some(chunk) = self.cutter.next(false) {
                self.push(chunk)?;
            }
        }
        Ok(())
    }

    /// Zeros that take no space.
    pub fn hole(&mut self, bytes: u64) -> Result<()> {
        self.end_run()?;
        self.grow(bytes)?;
        self.chunk_offset += bytes;
        self.id.hole(bytes);
        Ok(())
    }

    fn end_run(&mut self) -> Result<()> {
        while let Some(chunk) = self.cutter.next(true) {
            self.push(chunk)?;
        }
        Ok(())
    }

    fn push(&mut self, chunk: Bytes) -> Result<()> {
        self.id.chunk(&chunk);
        let (hash, length, offset) = (ChunkHash::of(&chunk), chunk.len(), self.chunk_offset);
        if let Some(digest) = &mut self.digest {
            digest.update(&offset.to_le_bytes());
            digest.update(&hash.0);
        }
        let full = self.ready.own_bytes() + length > RECORD_PAYLOAD_BYTES_MAX;
        if full || self.ready.pieces() == PIECES_PER_RECORD_MAX {
            self.store()?;
        }
        self.chunk_offset += length as u64;
        self.zone.inner.place_chunk(&mut self.ready, offset, hash, chunk)
    }

    /// Appends what is ready as content of an unattached body.
    fn store(&mut self) -> Result<()> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let (strip, payload) = self.take_ready();
        self.failed = true;
        let operation = StoreContent { body: self.stored.as_ref().map(|s| s.body), strip: &strip };
        let call = Call { syscall: Syscall::Put, caller: &self.caller, path: b"", inode: None };
        let result = self.zone.dispatch().call(
            &call,
            |committed: &Committed<Body>| committed.seq,
            |authorized| {
                let inner = &self.zone.inner;
                let begun = self.stored.as_ref().map(|stored| &stored.core);
                inner
                    .commit_next(begun, authorized, self.caller.context(), &operation, payload.as_ref())
                    .map_err(|refusal| refusal.error)
            },
        );
        let committed = result.inspect_err(|error| self.zone.note_refusal(&call, error))?;
        let core = Arc::clone(&committed.core);
        self.stored = Some(Stored { body: committed.reply, state: committed.state, core });
        // Bounds what waits for the disk: a writer of content is no faster than the log.
        if self.zone.inner.options.manual || committed.core.log.queued_bytes() > 2 * RECORD_PAYLOAD_BYTES_MAX {
            committed.core.wait(committed.state)?;
        }
        self.failed = false;
        Ok(())
    }

    /// What is ready, and the payload of the record that will hold it.
    fn take_ready(&mut self) -> (Strip, Option<Payload>) {
        let (strip, own) = std::mem::take(&mut self.ready).finish();
        (strip, self.zone.inner.payload_of(own))
    }

    /// The content, and the payload of the record that will attach it.
    pub(super) fn finish(mut self) -> Result<(Staged, Option<Payload>)> {
        self.end()?;
        let (strip, payload) = self.take_ready();
        Ok((self.staged(strip), payload))
    }

    /// The content as chunks of a record of the caller's. What does not fit into one record is an error.
    pub(super) fn finish_within_record(mut self) -> Result<(Staged, Vec<(ChunkHash, Bytes)>)> {
        self.end()?;
        if self.stored.is_some() {
            let message = format!("the content is beyond one record's {RECORD_PAYLOAD_BYTES_MAX} bytes");
            return Err(Error::new(Reason::TooLarge, message));
        }
        let (strip, own) = std::mem::take(&mut self.ready).finish();
        Ok((self.staged(strip), own))
    }

    fn end(&mut self) -> Result<()> {
        self.check()?;
        self.end_run()?;
        if self.stored.is_some() {
            self.store()?;
        }
        if let Some(stored) = &self.stored {
            stored.wait()?;
        }
        Ok(())
    }

    fn staged(&self, strip: Strip) -> Staged {
        Staged {
            size: self.size,
            strip,
            stored: self.stored.as_ref().map(|s| s.body),
            content_id: self.id.finish(),
            digest: self.digest.as_ref().map_or([0; 32], |digest| *digest.finalize().as_bytes()),
        }
    }
}

impl Inner {
    /// Puts a chunk into a strip: as a reference where the zone holds it already, else for its record to store. Only
    /// what is on stable storage is referred to, so that nothing refers to what a failure may take.
    fn place_chunk(&self, strip: &mut StripBuilder, offset: u64, hash: ChunkHash, chunk: Bytes) -> Result<()> {
        let length = chunk.len() as u32;
        if length >= INDEXED_CHUNK_BYTES_MIN && !strip.brings(hash) {
            let core = self.core();
            let found = core.tables.view(core.log.flushed()).get(&RowKey::chunk(hash)).map_err(store_error)?;
            let row = found.map(|version| ChunkRow::decode(&version.value)).transpose().map_err(damaged)?;
            if let Some(row) = row.filter(|row| row.length == length) {
                strip.push_foreign(offset, length, 0, row.chunk_ref(hash));
                return Ok(());
            }
        }
        strip.push_own(offset, hash, chunk);
        Ok(())
    }

    /// Bytes of a write as a strip from offset 0 on, and the chunks of its record.
    pub(super) fn strip_of(&self, bytes: &[u8]) -> Result<(Strip, Vec<(ChunkHash, Bytes)>)> {
        let (mut cutter, mut strip) = (Cutter::default(), StripBuilder::default());
        let (mut rest, mut offset) = (bytes, 0);
        loop {
            rest = &rest[cutter.take(rest)..];
            while let Some(chunk) = cutter.next(rest.is_empty()) {
                let (hash, length) = (ChunkHash::of(&chunk), chunk.len() as u64);
                self.place_chunk(&mut strip, offset, hash, chunk)?;
                offset += length;
            }
            if rest.is_empty() {
                return Ok(strip.finish());
            }
        }
    }

    pub(super) fn payload_of(&self, own: Vec<(ChunkHash, Bytes)>) -> Option<Payload> {
        (!own.is_empty()).then(|| Payload::of_hashed(&*self.env.random, own))
    }
}
