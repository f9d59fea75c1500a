//! Who takes part: ours, the raw disk, and other engines, each doing the same thing per operation: a file of 1 KiB and
//! the row of an audit that says who made it, on stable storage when the call returns.
//!
//! | contender        | a file                        | batching                                |
//! |------------------|-------------------------------|-----------------------------------------|
//! | nexus            | `put` of a new path           | its own group commit                    |
//! | ring, growing    | 1 KiB appended, no name       | the same group commit, [`crate::group`] |
//! | fjall            | rows of two keyspaces         | one batch and one sync per group        |
//! | redb             | rows of two tables            | one transaction per group               |
//! | sqlite           | rows of two tables            | one transaction per group               |
//! | sqlite single    | rows of two tables            | one transaction per operation           |
//! | ext4             | a file; no audit              | none: fsync of file and directory       |

mod fjall;
mod plain;
mod redb;
mod sqlite;

use std::path::Path;

use nexus_engine::{Durability, Error, ZoneOptions};

use crate::bed::{Bed, SMALL_BYTES, failed};

use crate::measure::creates::{self, Creates};
use crate::raw::{RING_BYTES, RawFile};

pub(super) use self::fjall::Fjall;

/// One create as another engine gets it.
pub(super) struct Create {
    /// Of the file; no two are equal.
    pub(super) path: String,
    pub(super) content: Vec<u8>,
}

/// Whose audit row it is.
pub(super) const AGENT: &str = "bench";
/// What each engine that has a cache gets: as much as our tables.
pub(super) const CACHE_BYTES: u64 = nexus_projections::limits::STORE_CACHE_BYTES;

/// One who takes part. Dropping it ends it; its files stay until the scratch folder goes.
pub(super) trait Contender: Sync {
    /// Creates file `number` of `thread`, and returns when it is on stable storage.
    fn create(&self, thread: usize, number: u64) -> Result<(), Error>;
}

/// Who takes part, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Nexus,
    Ring,
    Growing,
    Fjall,
    Redb,
    Sqlite,
    SqliteSingle,
    Ext4,
}

impl Who {
    pub(super) const ALL: [Who; 8] =
        [Who::Nexus, Who::Ring, Who::Growing, Who::Fjall, Who::Redb, Who::Sqlite, Who::SqliteSingle, Who::Ext4];

    pub(super) fn name(self) -> &'static str {
        match self {
            Who::Nexus => "nexus",
            Who::Ring => "ring",
            Who::Growing => "growing file",
            Who::Fjall => "fjall",
            Who::Redb => "redb",
            Who::Sqlite => "sqlite",
            Who::SqliteSingle => "sqlite, one commit per operation",
            Who::Ext4 => "ext4 create + fsync",
        }
    }

    /// Sets it up in a directory of its own below `dir`.
    pub(super) fn begin(self, dir: &Path, threads: usize) -> Result<Box<dyn Contender>, Error> {
        let own = dir.join(self.name().replace([' ', ',', '+'], ""));
        let make = || std::fs::create_dir_all(&own).map_err(failed("make a contender's directory"));
        Ok(match self {
            Who::Nexus => Box::new(Ours::new(dir, threads)?),
            Who::Ring => {
                make()?;
                let file = RawFile::ring(&own.join("file"), RING_BYTES).map_err(failed("make the ring"))?;
                Box::new(Raw { file, record: creates::content(SMALL_BYTES) })
            }
            Who::Growing => {
                make()?;
                let file = RawFile::growing(&own.join("file")).map_err(failed("make the growing file"))?;
                Box::new(Raw { file, record: creates::content(SMALL_BYTES) })
            }
            Who::Fjall => Box::new(Fjall::new(&own)?),
            Who::Redb => {
                make()?;
                Box::new(redb::Redb::new(&own.join("file"))?)
            }
            Who::Sqlite | Who::SqliteSingle => {
                make()?;
                Box::new(sqlite::Sqlite::new(&own.join("file"), self == Who::Sqlite)?)
            }
            Who::Ext4 => Box::new(plain::PlainFiles::new(&own, threads)?),
        })
    }
}

impl Create {
    pub(super) fn new(thread: usize, number: u64) -> Create {
        let mut content = creates::content(SMALL_BYTES);
        content[..8].copy_from_slice(&number.to_le_bytes());
        content[8..16].copy_from_slice(&(thread as u64).to_le_bytes());
        Create { path: format!("/{thread}/{number}"), content }
    }
}

struct Ours {
    creates: Creates,
    /// Holds the directory.
    _bed: Bed,
}

impl Ours {
    fn new(dir: &Path, threads: usize) -> Result<Ours, Error> {
        let bed = Bed::new(dir, "nexus", ZoneOptions::default())?;
        Ok(Ours { creates: Creates::new(&bed.zone, &bed.caller, "", threads, SMALL_BYTES)?, _bed: bed })
    }
}

impl Contender for Ours {
    fn create(&self, thread: usize, _: u64) -> Result<(), Error> {
        self.creates.one(thread, Durability::Durable)
    }
}

struct Raw {
    file: RawFile,
    record: Vec<u8>,
}

impl Contender for Raw {
    fn create(&self, _: usize, _: u64) -> Result<(), Error> {
        self.file.append(&self.record)
    }
}
