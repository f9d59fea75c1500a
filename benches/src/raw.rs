//! The disk's own speed: appends with the same group commit, and nothing else.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nexus_engine::Error;

use crate::bed::failed;
use crate::group::{Group, Sink};

/// More than a turn can write, so that no turn meets its own bytes.
pub(crate) const RING_BYTES: u64 = 64 << 20;

/// A file that is appended to by many threads.
pub(crate) struct RawFile(Group<Appended>);

struct Appended {
    file: File,
    offset: u64,
    /// Where writing begins at the front again; a growing file never does.
    bytes: u64,
}

impl Sink for Appended {
    type Batch = Vec<u8>;

    fn commit(&mut self, batch: &mut Vec<u8>) -> Result<(), Error> {
        if self.offset + batch.len() as u64 > self.bytes {
            self.offset = 0;
        }
        let write = self.file.write_all_at(batch, self.offset).and_then(|()| self.file.sync_data());
        self.offset += batch.len() as u64;
        write.map_err(failed("write a raw file"))
    }
}

impl RawFile {
    /// A file written before, appended to round and round: no metadata of the file ever changes.
    pub(crate) fn ring(path: &Path, bytes: u64) -> io::Result<RawFile> {
        let file = RawFile::create(path)?;
        let block = vec![1; 1 << 20];
        for offset in (0..bytes).step_by(block.len()) {
            file.write_all_at(&block, offset)?;
        }
        file.sync_all()?;
        Ok(RawFile(Group::new(Appended { file, offset: 0, bytes })))
    }

    /// A file that grows with every append: each sync carries metadata of the file too.
    pub(crate) fn growing(path: &Path) -> io::Result<RawFile> {
        let file = RawFile::create(path)?;
        Ok(RawFile(Group::new(Appended { file, offset: 0, bytes: u64::MAX })))
    }

    fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    /// Appends and waits until it is on stable storage.
    pub(crate) fn append(&self, record: &[u8]) -> Result<(), Error> {
        self.0.commit(|batch| batch.extend_from_slice(record))
    }
}
