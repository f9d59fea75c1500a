//! Where the data directory stands: is it one, who holds it, may it be used, the disk, what lies about.
#![expect(clippy::disallowed_methods, reason = "this look is at the machine itself: locks, permissions, mounts")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nexus_engine::{exists, not_there, root_zone_dir, tables_dir};
use nexus_log::env::Env;
use nexus_log::limits::{OPEN_SEGMENTS_MAX, RESERVE_BYTES};
use rustix::fs::{Access, FlockOperation};

use super::{Findings, Holder, Severity, chain};

/// Bytes of the lock's file that are shown.
const HOLDER_BYTES_MAX: u64 = 256;
/// Files held open: each segment with its sidecar, and as many again of the tables.
const OPEN_FILES: u64 = 4 * OPEN_SEGMENTS_MAX as u64;
/// Entries that are listed of what lies about.
const LEFTOVERS_MAX: usize = 20;

/// Filesystems that promise less than a log needs, by the number of statfs(2).
const DOUBTFUL: [(u64, &str, &str); 8] = [
    (0x0102_1994, "tmpfs", "lives in memory: everything is gone after a restart of the machine"),
    (0x8584_58f6, "ramfs", "lives in memory: everything is gone after a restart of the machine"),
    (0x6969, "NFS", "is another machine's: locks and syncs are only as good as its server"),
    (0xff53_4d42, "CIFS", "is another machine's: locks and syncs are only as good as its server"),
    (0xfe53_4d42, "SMB", "is another machine's: locks and syncs are only as good as its server"),
    (0x6573_5546, "FUSE", "is a program's: whether a sync reaches a disk is that program's word"),
    (0x794c_7630, "overlayfs", "is a container's layer: it goes when the container goes"),
    (0x0102_1997, "9p", "is another machine's: locks and syncs are only as good as its server"),
];

/// Who holds the directory; `None` where it is no data directory, which is found.
pub(super) fn examine(env: &Env, dir: &Path, findings: &mut Findings) -> Option<Holder> {
    match exists(env, dir) {
        Ok(true) => findings.ok("directory", format!("{} is a data directory", dir.display())),
        Ok(false) => {
            let error = not_there(env, dir);
            let (severity, run) = if error.is_damage() {
                (Severity::Damage, "put the zone's `meta` file back from a copy of the directory")
            } else {
                (Severity::Problem, "nexus init, or name another directory with --data")
            };
            findings.found("directory", severity, chain(&error), run.to_owned());
            return None;
        }
        Err(error) => {
            let run = format!("look at it as its owner, or: chown -R USER {}", dir.display());
            findings.found("directory", Severity::Problem, chain(&error), run);
            return None;
        }
    }
    permissions(dir, findings);
    filesystem(dir, findings);
    space(env, dir, findings);
    open_files(findings);
    let holder = holder(dir);
    match &holder {
        Ok(Holder::Nobody) => findings.ok("holder", "no process holds it"),
        Ok(Holder::Process(who)) => {
            let what = format!("held by {who}; what that process may be changing is not judged");
            findings.found("holder", Severity::Notice, what, None);
        }
        Err(error) => findings.found("holder", Severity::Problem, format!("cannot tell who holds it: {error}"), None),
    }
    Some(holder.unwrap_or_else(|_| Holder::Process("an unknown process".into())))
}

/// Asks by a shared lock, given back at once, which the holder's excludes.
pub(super) fn holder(dir: &Path) -> io::Result<Holder> {
    let file = match File::open(dir.join("LOCK")) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(e) => return Err(e),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Holder::Nobody),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = Vec::new();
            file.take(HOLDER_BYTES_MAX).read_to_end(&mut text)?;
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            Ok(Holder::Process(if text.is_empty() { "another process".into() } else { text }))
        }
        Err(e) => Err(e.into()),
    }
}

fn permissions(dir: &Path, findings: &mut Findings) {
    let zone = root_zone_dir(dir);
    let segments = zone.join(nexus_log::log::SEGMENTS);
    let folder = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    let file = Access::READ_OK | Access::WRITE_OK;
    let mut places: Vec<(PathBuf, Access)> =
        vec![(dir.to_owned(), folder), (zone.clone(), folder), (segments.clone(), folder), (tables_dir(dir), folder)];
    places.extend([dir.join("LOCK"), zone.join("meta"), zone.join("watermark")].map(|path| (path, file)));
    let names = fs::read_dir(&segments).into_iter().flatten().flatten().map(|entry| entry.path());
    places.extend(names.filter(|path| path.extension().is_some_and(|e| e == "seg")).max().map(|path| (path, file)));
    let mut refused = Vec::new();
    for (path, access) in places {
        match rustix::fs::access(&path, access) {
            // What is missing is another check's matter.
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => refused.push(format!("{} ({})", path.display(), io::Error::from(errno))),
        }
    }
    if refused.is_empty() {
        return findings.ok("permissions", "may be read and written");
    }
    let run = format!("chown -R USER {0} && chmod -R u+rwX {0}, or run nexus as its owner", dir.display());
    findings.found("permissions", Severity::Problem, format!("not usable: {}", refused.join(", ")), run);
}

fn filesystem(dir: &Path, findings: &mut Findings) {
    let stat = match rustix::fs::statfs(dir) {
        Ok(stat) => stat,
        Err(errno) => {
            let what = format!("cannot tell the filesystem: {}", io::Error::from(errno));
            return findings.found("filesystem", Severity::Notice, what, None);
        }
    };
    let number = stat.f_type as u64 & 0xffff_ffff;
    match DOUBTFUL.iter().find(|(kind, _, _)| *kind == number) {
        Some((_, name, why)) => {
            let run = "move the directory, while nobody holds it, to a disk of this machine".to_owned();
            findings.found("filesystem", Severity::Notice, format!("{name} {why}"), run);
        }
        None => findings.ok("filesystem", "nothing speaks against it"),
    }
}

fn space(env: &Env, dir: &Path, findings: &mut Findings) {
    let mib = |bytes: u64| bytes >> 20;
    let reserve = mib(RESERVE_BYTES);
    match env.disk.free_bytes(dir) {
        Ok(free) if free < RESERVE_BYTES => {
            let what = format!("{} MiB are free, less than the reserve of {reserve} MiB: it is read-only", mib(free));
            let run = format!("free {} MiB on that disk; it takes changes again by itself", reserve - mib(free));
            findings.found("space", Severity::Problem, what, run);
        }
        Ok(free) if free < 4 * RESERVE_BYTES => {
            let what = format!("{} MiB are free; below {reserve} MiB it becomes read-only", mib(free));
            findings.found("space", Severity::Notice, what, "free some space on that disk".to_owned());
        }
        Ok(free) => findings.ok("space", format!("{} MiB are free, {reserve} MiB are kept in reserve", mib(free))),
        Err(error) => findings.found("space", Severity::Problem, format!("cannot tell the free space: {error}"), None),
    }
}

fn open_files(findings: &mut Findings) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match limit {
        Some(limit) if limit < OPEN_FILES => {
            let what = format!("a process may hold {limit} files open, and a large zone takes {OPEN_FILES}");
            findings.found("open files", Severity::Problem, what, "ulimit -n 4096".to_owned());
        }
        Some(limit) => findings.ok("open files", format!("a process may hold {limit} open")),
        None => findings.ok("open files", "a process may hold any number open"),
    }
}

/// What lies in the directory and is not in use.
pub(super) fn leftovers(env: &Env, dir: &Path, findings: &mut Findings) {
    let names = match env.disk.list(dir) {
        Ok(names) => names,
        Err(error) => {
            return findings.found("leftovers", Severity::Problem, format!("cannot list the directory: {error}"), None);
        }
    };
    let ours = ["LOCK", "zones", "tables"];
    let others = names.iter().filter(|name| !ours.iter().any(|ours| name == ours));
    let mut count = 0;
    for name in others.take(LEFTOVERS_MAX) {
        count += 1;
        let path = dir.join(name).display().to_string();
        if name.as_bytes().starts_with(b"tables.discarded-") {
            let what = format!("{path} holds tables that were moved aside; nothing needs them");
            findings.found("leftovers", Severity::Notice, what, format!("rm -r {path}"));
        } else {
            findings.found("leftovers", Severity::Notice, format!("{path} is not ours"), None);
        }
    }
    if count == 0 {
        findings.ok("leftovers", "none");
    }
}
