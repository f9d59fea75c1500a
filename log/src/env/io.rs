//! Whole reads and writes over short ones, and the one way to replace a small file.

use std::io::{self, IoSlice};
use std::path::Path;

use super::{Disk, DiskFile, OpenMode};

/// Fills `buf` from `offset`. Errors with `UnexpectedEof` where the file ends first.
pub fn read_exact_at(file: &dyn DiskFile, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Writes all of `bufs` from `offset`, however short the single writes are (R4).
pub fn write_all_at(file: &dyn DiskFile, bufs: &[&[u8]], mut offset: u64) -> io::Result<()> {
    /// Slices of one pwritev(2); the kernel takes at most 1,024.
    const SLICES_MAX: usize = 1024;
    for group in bufs.chunks(SLICES_MAX) {
        let mut slices: Vec<IoSlice<'_>> = group.iter().filter(|b| !b.is_empty()).map(|b| IoSlice::new(b)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match file.write_at(rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    offset += n as u64;
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

/// The whole of a small file; `None` if there is none. Refuses to read more than `bytes_max`.
pub fn read_file(disk: &dyn Disk, path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let len = file.len()?;
    if len > bytes_max as u64 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{len} bytes, expected at most {bytes_max}")));
    }
    let mut bytes = vec![0; len as usize];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Replaces `path` by `bytes`: a crash between any two steps leaves the old or the new file, never less (R3).
pub fn write_replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let fresh = parent.join(name);
    match disk.remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = disk.open(&fresh, OpenMode::CreateNew)?;
    write_all_at(&*file, &[bytes], 0)?;
    file.sync_all()?;
    disk.rename(&fresh, path)?;
    disk.sync_dir(parent)
}
