//! fjall by itself: two keyspaces, its journal synced once per group.

use std::path::Path;

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use nexus_engine::Error;

use super::{AGENT, CACHE_BYTES, Contender, Create};
use crate::bed::failed;
use crate::group::{Group, Sink};

pub(in crate::compare) struct Fjall(Group<Rows>);

struct Rows {
    database: Database,
    files: Keyspace,
    audit: Keyspace,
    next: u64,
}

impl Fjall {
    pub(in crate::compare) fn new(dir: &Path) -> Result<Fjall, Error> {
        let database = Database::builder(dir)
            .cache_size(CACHE_BYTES)
            // The sync of a group writes out what its batch left in the buffer.
            .manual_journal_persist(true)
            .open()
            .map_err(failed("open fjall"))?;
        let options = || KeyspaceCreateOptions::default().manual_journal_persist(true);
        let files = database.keyspace("files", options).map_err(failed("make a keyspace of fjall"))?;
        let audit = database.keyspace("audit", options).map_err(failed("make a keyspace of fjall"))?;
        Ok(Fjall(Group::new(Rows { database, files, audit, next: 0 })))
    }
}

impl Sink for Rows {
    type Batch = Vec<Create>;

    fn commit(&mut self, batch: &mut Vec<Create>) -> Result<(), Error> {
        let mut rows = self.database.batch().durability(Some(PersistMode::SyncData));
        for create in batch.drain(..) {
            self.next += 1;
            let audit = format!("{AGENT} create {}", create.path);
            rows.insert(&self.audit, self.next.to_be_bytes(), audit);
            rows.insert(&self.files, create.path, create.content);
        }
        rows.commit().map_err(failed("commit to fjall"))
    }
}

impl Contender for Fjall {
    fn create(&self, thread: usize, number: u64) -> Result<(), Error> {
        let create = Create::new(thread, number);
        self.0.commit(|batch| batch.push(create))
    }
}
