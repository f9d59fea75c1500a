//! redb: two tables, one transaction per group; its default durability syncs each.

use std::path::Path;

use ::redb::{Builder, Database, Durability, TableDefinition};
use nexus_engine::Error;

use super::{AGENT, CACHE_BYTES, Contender, Create};
use crate::bed::failed;
use crate::group::{Group, Sink};

const FILES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("files");
const AUDIT: TableDefinition<'_, u64, &str> = TableDefinition::new("audit");

pub(super) struct Redb(Group<Rows>);

struct Rows {
    database: Database,
    next: u64,
}

impl Redb {
    pub(super) fn new(file: &Path) -> Result<Redb, Error> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES as usize);
        let database = builder.create(file).map_err(failed("open redb"))?;
        Ok(Redb(Group::new(Rows { database, next: 0 })))
    }
}

impl Sink for Rows {
    type Batch = Vec<Create>;

    fn commit(&mut self, batch: &mut Vec<Create>) -> Result<(), Error> {
        let mut transaction = self.database.begin_write().map_err(failed("begin a transaction of redb"))?;
        transaction.set_durability(Durability::Immediate).map_err(failed("set the durability of redb"))?;
        {
            let mut files = transaction.open_table(FILES).map_err(failed("open a table of redb"))?;
            let mut audit = transaction.open_table(AUDIT).map_err(failed("open a table of redb"))?;
            for create in batch.drain(..) {
                self.next += 1;
                let row = format!("{AGENT} create {}", create.path);
                files.insert(&create.path[..], &create.content[..]).map_err(failed("write to redb"))?;
                audit.insert(self.next, &row[..]).map_err(failed("write to redb"))?;
            }
        }
        transaction.commit().map_err(failed("commit to redb"))
    }
}

impl Contender for Redb {
    fn create(&self, thread: usize, number: u64) -> Result<(), Error> {
        let create = Create::new(thread, number);
        self.0.commit(|batch| batch.push(create))
    }
}
