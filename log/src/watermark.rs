//! How far the log was flushed, witnessed apart from the log (R17).
//!
//! The file is two slots of 4 KiB, overwritten in turn and never renamed. A slot is a block (magic, version, zone
//! identity, CRC32: see `block`) with this content, little-endian:
//!
//! | offset | bytes | field                                                             |
//! |--------|-------|-------------------------------------------------------------------|
//! | 40     | 8     | counter, from 1; the slot is number `counter mod 2`               |
//! | 48     | 8     | flushed seq: every record up to it is on stable storage           |
//! | 56     | 4     | flags: bit 0, the log was closed cleanly right behind that record |
//! | 60     | 4,032 | zero                                                              |
//!
//! Invariants:
//! 1. The newest valid slot is never overwritten, so a torn write leaves the mark before it.
//! 2. A slot of another zone, of another incarnation or of the other place in the file is no proof of anything (R11).
//! 3. The mark only proves; with no valid slot recovery has one proof less, it does not fail here.
//! 4. After a failed write or sync nothing more is written before the file is opened again (R6).
//! 5. Opening writes nothing (R28).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::{BLOCK_BYTES, Block, BlockFault, BlockKind, BlockWriter, CONTENT_END, CONTENT_OFFSET};
use crate::env::{Disk, DiskFile, OpenMode, write_all_at};
use crate::ids::{Seq, ZoneIdentity};

const KIND: BlockKind = BlockKind { magic: *b"NEXUSWMK", version: 1 };
const COUNTER_OFFSET: usize = CONTENT_OFFSET;
const FLUSHED_OFFSET: usize = COUNTER_OFFSET + 8;
const FLAGS_OFFSET: usize = FLUSHED_OFFSET + 8;
const RESERVED_OFFSET: usize = FLAGS_OFFSET + 4;
const FLAG_CLEAN: u32 = 1;

const _: () = assert!(COUNTER_OFFSET == 40 && RESERVED_OFFSET == 60 && CONTENT_END - RESERVED_OFFSET == 4032);

/// A proof: every record up to `flushed`, inclusive, is on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushMark {
    pub flushed: Seq,
    /// The log was closed cleanly: nothing was written behind `flushed`.
    pub clean: bool,
    /// How many marks were persisted before, this one counted.
    pub counter: u64,
}

/// What [`Watermark::open`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatermarkState {
    /// The valid slot with the higher counter.
    pub mark: Option<FlushMark>,
    /// Why a slot is not valid; [`BlockFault::Missing`] for both where there is no file.
    pub faults: [Option<BlockFault>; 2],
}

#[derive(Debug, thiserror::Error)]
pub enum WatermarkError {
    #[error("cannot open the watermark")]
    Io(#[source] io::Error),
    #[error("the watermark has format version {version}, newer than this release; upgrade to open this zone")]
    NewerFormat { version: u32 },
}

/// The file, open for new marks.
#[derive(Debug)]
pub struct Watermark {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    identity: ZoneIdentity,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// No slot is valid: the first mark writes both.
    Blank,
    /// The newest mark has this counter; the file is opened for writing when it is first needed.
    Marked { counter: u64, file: Option<Arc<dyn DiskFile>> },
    /// A write or sync failed: what the file holds is known only after opening it again.
    Failed,
}

impl Watermark {
    /// Makes the file of a new log, its mark at [`Seq::ZERO`]. There must be none yet.
    pub fn create(disk: &Arc<dyn Disk>, path: &Path, identity: ZoneIdentity) -> io::Result<Watermark> {
        let file = disk.open(path, OpenMode::CreateNew)?;
        let mut watermark = Watermark { disk: Arc::clone(disk), path: path.to_owned(), identity, phase: Phase::Blank };
        watermark.phase = watermark.write_both(file, Seq::ZERO, false)?;
        Ok(watermark)
    }

    /// Reads both slots. Damage is told in the state, it is no error.
    pub fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        identity: ZoneIdentity,
    ) -> Result<(Watermark, WatermarkState), WatermarkError> {
        let slots = match disk.open(path, OpenMode::Read) {
            Ok(file) => [0, 1].map(|slot| read_slot(&*file, slot, identity)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => [Err(BlockFault::Missing); 2],
            Err(e) => return Err(WatermarkError::Io(e)),
        };
        for slot in &slots {
            if let Err(BlockFault::NewerFormat { version }) = *slot {
                return Err(WatermarkError::NewerFormat { version });
            }
        }
        let mark = slots.iter().flatten().max_by_key(|mark| mark.counter).copied();
        let phase = match mark {
            Some(FlushMark { counter, .. }) => Phase::Marked { counter, file: None },
            None => Phase::Blank,
        };
        let watermark = Watermark { disk: Arc::clone(disk), path: path.to_owned(), identity, phase };
        Ok((watermark, WatermarkState { mark, faults: slots.map(Result::err) }))
    }

    /// Writes and syncs a mark; only then it counts. An error closes this handle for further marks: the caller
    /// poisons the log.
    pub fn persist(&mut self, flushed: Seq, clean: bool) -> io::Result<()> {
        match std::mem::replace(&mut self.phase, Phase::Failed) {
            Phase::Failed => return Err(io::Error::other("an earlier write of the watermark failed; open it again")),
            Phase::Blank => {
                let file = match self.disk.open(&self.path, OpenMode::ReadWrite) {
                    Err(e) if e.kind() == io::ErrorKind::NotFound => self.disk.open(&self.path, OpenMode::CreateNew)?,
                    file => file?,
                };
                self.phase = self.write_both(file, flushed, clean)?;
            }
            Phase::Marked { counter, file } => {
                let file = match file {
                    Some(file) => file,
                    None => self.disk.open(&self.path, OpenMode::ReadWrite)?,
                };
                let mark = FlushMark { flushed, clean, counter: counter + 1 };
                write_all_at(&*file, &[&slot_bytes(self.identity, mark)[..]], slot_offset(mark.counter))?;
                file.sync_data()?;
                self.phase = Phase::Marked { counter: mark.counter, file: Some(file) };
            }
        }
        Ok(())
    }

    /// Both slots at once, where neither holds a mark: a slot that could only not be read for a while must not come
    /// back with a higher counter. The name is made durable too, since a crash may have come before that.
    fn write_both(&self, file: Arc<dyn DiskFile>, flushed: Seq, clean: bool) -> io::Result<Phase> {
        let bytes = |counter| slot_bytes(self.identity, FlushMark { flushed, clean, counter });
        write_all_at(&*file, &[&bytes(2)[..], &bytes(1)[..]], 0)?;
        file.sync_all()?;
        self.disk.sync_dir(self.path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        Ok(Phase::Marked { counter: 2, file: Some(file) })
    }
}

fn slot_offset(counter: u64) -> u64 {
    counter % 2 * BLOCK_BYTES as u64
}

fn slot_bytes(identity: ZoneIdentity, mark: FlushMark) -> Box<[u8; BLOCK_BYTES]> {
    let mut block = BlockWriter::new(KIND, identity);
    block.put(COUNTER_OFFSET, &mark.counter.to_le_bytes());
    block.put(FLUSHED_OFFSET, &mark.flushed.0.to_le_bytes());
    block.put(FLAGS_OFFSET, &(if mark.clean { FLAG_CLEAN } else { 0 }).to_le_bytes());
    block.seal()
}

fn read_slot(file: &dyn DiskFile, slot: u64, identity: ZoneIdentity) -> Result<FlushMark, BlockFault> {
    let block = Block::read(file, slot * BLOCK_BYTES as u64, KIND)?;
    block.expect_identity(identity)?;
    block.expect_zeros_from(RESERVED_OFFSET)?;
    let (counter, flags) = (block.u64(COUNTER_OFFSET), block.u32(FLAGS_OFFSET));
    if counter == 0 || counter == u64::MAX || flags & !FLAG_CLEAN != 0 {
        return Err(BlockFault::Malformed);
    }
    if counter % 2 != slot {
        return Err(BlockFault::Misplaced);
    }
    Ok(FlushMark { flushed: Seq(block.u64(FLUSHED_OFFSET)), clean: flags & FLAG_CLEAN != 0, counter })
}

#[cfg(test)]
mod tests;
