//! Files of the filesystem itself: create, write, sync the file, sync its directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nexus_engine::Error;

use super::{Contender, Create};
use crate::bed::failed;

pub(super) struct PlainFiles {
    root: PathBuf,
    /// The directory of each thread, open to be synced.
    directories: Vec<File>,
}

impl PlainFiles {
    pub(super) fn new(root: &Path, threads: usize) -> Result<PlainFiles, Error> {
        let open = |thread: usize| {
            let path = root.join(thread.to_string());
            std::fs::create_dir_all(&path).and_then(|()| File::open(path))
        };
        let directories: io::Result<Vec<File>> = (0..threads).map(open).collect();
        Ok(PlainFiles { root: root.to_owned(), directories: directories.map_err(failed("make directories"))? })
    }
}

impl Contender for PlainFiles {
    fn create(&self, thread: usize, number: u64) -> Result<(), Error> {
        let create = Create::new(thread, number);
        let path = self.root.join(create.path.trim_start_matches('/'));
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(&create.content)?;
            file.sync_all()?;
            self.directories[thread].sync_all()
        };
        write().map_err(failed("create a file"))
    }
}
