//! SQLite with its write-ahead log and `synchronous = FULL`: a table of files and one of the audit.

use std::path::Path;
use std::sync::Mutex;

use nexus_engine::Error;
use nexus_log::event::Reason;
use rusqlite::{Connection, params};

use super::{AGENT, CACHE_BYTES, Contender, Create};
use crate::bed::failed;
use crate::group::{Group, Sink};

const SCHEMA: &str = "
    CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, mode INTEGER NOT NULL, content BLOB NOT NULL);
    CREATE TABLE audit (seq INTEGER PRIMARY KEY, agent TEXT NOT NULL, action TEXT NOT NULL, path TEXT NOT NULL);";

/// One connection takes turns: SQLite has one writer, and more connections only wait for each other.
pub(super) enum Sqlite {
    /// One transaction per group.
    Batched(Group<Rows>),
    /// One transaction per operation.
    Single(Mutex<Rows>),
}

pub(super) struct Rows(Connection);

impl Sqlite {
    pub(super) fn new(file: &Path, batched: bool) -> Result<Sqlite, Error> {
        let connection = Connection::open(file).map_err(failed("open sqlite"))?;
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .map_err(failed("set the journal of sqlite"))?;
        if mode != "wal" {
            return Err(Error::new(Reason::Unavailable, format!("sqlite has no write-ahead log here, but {mode}")));
        }
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed("set the durability of sqlite"))?;
        // Negative: in KiB.
        let kib = -(CACHE_BYTES as i64 >> 10);
        connection.pragma_update(None, "cache_size", kib).map_err(failed("set the cache of sqlite"))?;
        connection.execute_batch(SCHEMA).map_err(failed("make the tables of sqlite"))?;
        let rows = Rows(connection);
        Ok(if batched { Sqlite::Batched(Group::new(rows)) } else { Sqlite::Single(Mutex::new(rows)) })
    }
}

impl Rows {
    fn commit_these(&mut self, creates: &[Create]) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut file = transaction.prepare_cached("INSERT INTO files (path, mode, content) VALUES (?1, ?2, ?3)")?;
            let mut audit =
                transaction.prepare_cached("INSERT INTO audit (agent, action, path) VALUES (?1, ?2, ?3)")?;
            for create in creates {
                file.execute(params![create.path, 0o644, create.content])?;
                audit.execute(params![AGENT, "create", create.path])?;
            }
        }
        transaction.commit()
    }
}

impl Sink for Rows {
    type Batch = Vec<Create>;

    fn commit(&mut self, batch: &mut Vec<Create>) -> Result<(), Error> {
        self.commit_these(batch).map_err(failed("commit to sqlite"))
    }
}

impl Contender for Sqlite {
    fn create(&self, thread: usize, number: u64) -> Result<(), Error> {
        let create = Create::new(thread, number);
        match self {
            Sqlite::Batched(group) => group.commit(|batch| batch.push(create)),
            Sqlite::Single(rows) => {
                let mut rows = rows.lock().expect("not poisoned");
                rows.commit_these(&[create]).map_err(failed("commit to sqlite"))
            }
        }
    }
}
