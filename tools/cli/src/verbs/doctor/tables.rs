//! The tables: whether they open, and up to which record they hold.
//!
//! Opening tables writes into them, so a copy is opened. Only its small files are copies, its runs are links: a run is
//! never written again, and what a clean-up in the copy removes is the link.
#![expect(
    clippy::disallowed_methods,
    reason = "the copy is of the machine itself, and links are no matter of the seam"
)]

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nexus_engine::{applied_in, tables_dir};
use nexus_log::env::Env;
use nexus_log::ids::Seq;
use nexus_log::zone_meta::ZoneMeta;

use super::{Findings, Severity, chain};

/// Bytes of the small files together, journals included. More than that is not copied.
const COPIED_BYTES_MAX: u64 = 1 << 30;
/// Folders within folders.
const DEPTH_MAX: usize = 8;

const REBUILD: &str = "nexus rebuild --discard; the log is not affected";

/// The last record that is in the tables, where that could be told.
pub(super) fn examine(env: &Env, dir: &Path, meta: &ZoneMeta, findings: &mut Findings) -> Option<Seq> {
    let tables = tables_dir(dir);
    match env.disk.exists(&tables) {
        Ok(true) => {}
        Ok(false) => {
            let what = "there are none: the next opening folds the whole log into new ones";
            findings.found("tables", Severity::Notice, what, None);
            return None;
        }
        Err(error) => {
            findings.found("tables", Severity::Problem, format!("cannot look at them: {error}"), None);
            return None;
        }
    }
    let copy = match Copy::of(&tables) {
        Ok(copy) => copy,
        Err(error) => {
            findings.found("tables", Severity::Notice, format!("cannot be looked at as a copy: {error}"), None);
            return None;
        }
    };
    match applied_in(&copy.0, meta.identity) {
        Ok(applied) => {
            findings.ok(
                "tables",
                format!("open; what is behind record {applied} is taken from the log at the next opening"),
            );
            Some(applied)
        }
        Err(error) => {
            let what = format!("do not open: {}", chain(&error));
            findings.found("tables", Severity::Problem, what, REBUILD.to_owned());
            None
        }
    }
}

/// A copy in the folder for temporary files; removed when it is dropped.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Copy {
    fn of(tables: &Path) -> io::Result<Copy> {
        let path = std::env::temp_dir().join(format!("nexus-doctor-{}", std::process::id()));
        // Of an earlier process of that number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path)?;
        let copy = Copy(path);
        let mut left = COPIED_BYTES_MAX;
        copy_folder(&fs::canonicalize(tables)?, &copy.0, false, DEPTH_MAX, &mut left)?;
        Ok(copy)
    }
}

/// `runs`: the files of this folder are never written again.
fn copy_folder(from: &Path, to: &Path, runs: bool, depth: usize, left: &mut u64) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = entry.metadata()?;
        if meta.is_dir() {
            if depth == 0 {
                return Err(io::Error::other("folders lie too deep"));
            }
            fs::create_dir(&target)?;
            copy_folder(&source, &target, entry.file_name() == "tables", depth - 1, left)?;
        } else if runs {
            symlink(&source, &target)?;
        } else {
            *left = left.checked_sub(meta.len()).ok_or_else(|| io::Error::other("the journal is too large to copy"))?;
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
