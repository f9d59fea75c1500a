//! A data directory: its lock, its tables, its zones.
//!
//! ```text
//! DIR/LOCK              held by the one process that has the directory open
//! DIR/zones/NAME/meta   who the zone is
//! DIR/zones/NAME/log/   its segments;  DIR/zones/NAME/watermark
//! DIR/tables/           rows of all zones; can be deleted and rebuilt
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_log::env::{DirLock, Env, LockError};
use nexus_log::event::Reason;
use nexus_log::ids::{Seq, ZoneIdentity};
use nexus_projections::store::{FjallOptions, FjallStore, Store};
use nexus_projections::zone_tables::ZoneTables;

use crate::error::{Error, Result};
use crate::unfinished;
use crate::zone::errors::store_error;
use crate::zone::{RootAttributes, Zone, ZoneOptions};

/// Name of the zone that every data directory has.
pub const ROOT_ZONE: &str = "root";
const TABLES: &str = "tables";
/// Where a zone's rows stand in the tables.
const ROOT_SLOT: u32 = 1;

/// A data directory that this process holds.
pub struct Nexus {
    dir: PathBuf,
    zone: Zone,
}

impl std::fmt::Debug for Nexus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nexus").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn zone_dir(dir: &Path) -> PathBuf {
    dir.join("zones").join(ROOT_ZONE)
}

/// Is there a data directory at `dir`?
pub fn exists(env: &Env, dir: &Path) -> Result<bool> {
    let unavailable = |e| Error::new(Reason::Unavailable, format!("cannot look into {}", dir.display())).because(e);
    env.disk.exists(&zone_dir(dir).join("meta")).map_err(unavailable)
}

/// Where a data directory keeps its zone: for programs that read files only.
#[must_use]
pub fn root_zone_dir(dir: &Path) -> PathBuf {
    zone_dir(dir)
}

/// Where a data directory keeps its tables: for programs that read files only.
#[must_use]
pub fn tables_dir(dir: &Path) -> PathBuf {
    dir.join(TABLES)
}

/// Up to which record the tables in the directory `tables` hold the rows of `zone`. Opening tables writes into them: for
/// a copy.
pub fn applied_in(tables: &Path, zone: ZoneIdentity) -> Result<Seq> {
    let store = Arc::new(FjallStore::open(tables, FjallOptions::default()).map_err(store_error)?);
    Ok(ZoneTables::open_for(store, ROOT_SLOT, zone).map_err(store_error)?.applied())
}

impl Nexus {
    /// Makes `dir` a data directory and opens it. It must not be one already.
    pub fn init(dir: &Path, root: RootAttributes, options: ZoneOptions) -> Result<Nexus> {
        let env = Env::real();
        if exists(&env, dir)? {
            let message = format!("{} is a data directory already", dir.display());
            return Err(Error::new(Reason::Exists, message));
        }
        check_ours(&env, dir)?;
        let unavailable = |e| Error::new(Reason::Unavailable, format!("cannot create {}", dir.display())).because(e);
        env.disk.create_dir_all(&zone_dir(dir)).map_err(unavailable)?;
        let lock = take_lock(&env, dir)?;
        // Looked at again under the lock: another process may have been faster.
        if exists(&env, dir)? {
            let message = format!("{} is a data directory already", dir.display());
            return Err(Error::new(Reason::Exists, message));
        }
        unfinished::clear(&env, &zone_dir(dir))?;
        let store = open_store(dir)?;
        let zone = Zone::found(&env, &zone_dir(dir), ROOT_ZONE, ROOT_SLOT, root, store, options)?;
        zone.keep_lock(lock);
        Ok(Nexus { dir: dir.to_owned(), zone })
    }

    /// Opens a data directory, recovering from an unclean end. One process at a time.
    pub fn open(dir: &Path, options: ZoneOptions) -> Result<Nexus> {
        let env = Env::real();
        if !exists(&env, dir)? {
            return Err(not_there(&env, dir));
        }
        let lock = take_lock(&env, dir)?;
        let store = open_store(dir)?;
        let zone = Zone::open(&env, &zone_dir(dir), ROOT_SLOT, store, options)?;
        zone.keep_lock(lock);
        Ok(Nexus { dir: dir.to_owned(), zone })
    }

    /// As [`Nexus::open`], with new tables folded from the log. Those that were there are moved aside: for tables that
    /// cannot be opened.
    pub fn open_discarding_tables(dir: &Path, options: ZoneOptions) -> Result<Nexus> {
        let env = Env::real();
        {
            let _lock = take_lock(&env, dir)?;
            move_tables_aside(&env, dir)?;
        }
        Nexus::open(dir, options)
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A zone by name.
    pub fn zone(&self, name: &str) -> Result<Zone> {
        if name == self.zone.name() {
            return Ok(self.zone.clone());
        }
        Err(Error::new(Reason::NotFound, format!("there is no zone {name:?} here; there is {:?}", self.zone.name())))
    }

    /// Flushes everything and gives the directory up.
    pub fn close(self) -> Result<()> {
        self.zone.close()
    }
}

/// Why there is no data directory: none was made, or its zone lost its identity file.
#[must_use]
pub fn not_there(env: &Env, dir: &Path) -> Error {
    let segments = zone_dir(dir).join(nexus_log::log::SEGMENTS);
    if matches!(unfinished::holds_no_log(env, &segments), Ok(false)) {
        return unfinished::identity_lost(&zone_dir(dir));
    }
    Error::new(Reason::NotFound, format!("{} is no data directory; make one with `nexus init`", dir.display()))
}

/// A data directory is made where there is nothing, or what an init that was cut short left.
fn check_ours(env: &Env, dir: &Path) -> Result<()> {
    let names = match env.disk.list(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(Error::new(Reason::NotDir, format!("{} is a file, not a directory", dir.display())));
        }
        Err(e) => {
            let message = format!("cannot look into {}", dir.display());
            return Err(Error::new(Reason::Unavailable, message).because(e));
        }
    };
    match names.iter().find(|name| !["LOCK", "zones", TABLES].iter().any(|ours| name == ours)) {
        None => Ok(()),
        Some(other) => {
            let (dir, other) = (dir.display(), other.to_string_lossy());
            let message = format!("{dir} is not empty: it holds {other}; name an empty directory or a new one");
            Err(Error::new(Reason::NotEmpty, message))
        }
    }
}

fn take_lock(env: &Env, dir: &Path) -> Result<Box<dyn DirLock>> {
    let holder = format!("process {} ({})", std::process::id(), program());
    env.disk.lock(&dir.join("LOCK"), &holder).map_err(|error| match &error {
        LockError::Held { holder } => {
            let message = format!("{} is in use by {holder}; one process at a time", dir.display());
            Error::new(Reason::Busy, message)
        }
        LockError::Io(_) => Error::new(Reason::Unavailable, format!("cannot lock {}", dir.display())).because(error),
    })
}

fn program() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    Path::new(&path).file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy().into_owned())
}

fn move_tables_aside(env: &Env, dir: &Path) -> Result<()> {
    let unavailable = |e| Error::new(Reason::Unavailable, "cannot move the tables aside").because(e);
    let tables = dir.join(TABLES);
    if !env.disk.exists(&tables).map_err(unavailable)? {
        return Ok(());
    }
    for number in 1_u32.. {
        let aside = dir.join(format!("{TABLES}.discarded-{number}"));
        if !env.disk.exists(&aside).map_err(unavailable)? {
            env.disk.rename(&tables, &aside).map_err(unavailable)?;
            return env.disk.sync_dir(dir).map_err(unavailable);
        }
    }
    unreachable!("a number is free")
}

fn open_store(dir: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(FjallStore::open(&dir.join(TABLES), FjallOptions::default()).map_err(store_error)?))
}

/// Opens a zone in any environment, with tables of the caller's: for simulations.
pub fn open_zone(
    env: &Env,
    dir: &Path,
    root: RootAttributes,
    store: Arc<dyn Store>,
    options: ZoneOptions,
) -> Result<Zone> {
    let unavailable = |e| Error::new(Reason::Unavailable, "cannot look into the zone's directory").because(e);
    if env.disk.exists(&dir.join("meta")).map_err(unavailable)? {
        return Zone::open(env, dir, ROOT_SLOT, store, options);
    }
    unfinished::clear(env, dir)?;
    env.disk.create_dir_all(dir).map_err(unavailable)?;
    Zone::found(env, dir, ROOT_ZONE, ROOT_SLOT, root, store, options)
}
