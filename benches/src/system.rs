//! What the operating system counted for this process.

use std::fs;

fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Bytes written to the device that holds `dir`, by anybody. The kernel's count per process cannot be used: it counts
/// the whole of a large folio when one page of it is written.
pub(crate) fn device_written_bytes(dir: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = fs::metadata(dir) else { return 0 };
    let device = rustix::fs::major(meta.dev());
    let path = format!("/sys/dev/block/{device}:{}/stat", rustix::fs::minor(meta.dev()));
    let text = fs::read_to_string(path).unwrap_or_default();
    // The seventh field counts sectors of 512 bytes.
    text.split_whitespace().nth(6).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 512
}

/// Resident memory now, in MiB.
pub(crate) fn resident_mib() -> f64 {
    field("/proc/self/status", "VmRSS") as f64 / 1024.0
}

/// Bytes on disk below a directory.
pub(crate) fn disk_bytes(dir: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Has the kernel forget what it caches of the files below a directory.
#[cfg(feature = "compare")]
pub(crate) fn drop_cached(dir: &std::path::Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            drop_cached(&path)?;
        } else {
            let file = fs::File::open(&path)?;
            // What is not written back yet stays cached.
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}
