//! A zone with many files: making it, and hot reads of it.

use std::hint::black_box;
use std::time::Instant;

use nexus_engine::{At, Caller, Durability, Error, Inode, NewFile, View, Zone};

use crate::bed::{Bed, SMALL_BYTES};
use crate::turns::timed;

/// Files in one directory of a populated zone.
pub(crate) const FILES_PER_DIRECTORY: u64 = 1000;
/// Reads that a figure is the mean of, at most and per file of the zone.
const READS_MAX: u64 = 200_000;
const READS_PER_FILE: u64 = 10;
const LISTING_MILLIS: u128 = 500;

pub(crate) fn path_of(file: u64) -> String {
    format!("/{}/{}", file / FILES_PER_DIRECTORY, file % FILES_PER_DIRECTORY)
}

pub(crate) fn reads_for(files: u64) -> u64 {
    (files * READS_PER_FILE).min(READS_MAX)
}

/// Makes `files` files of 1 KiB by one thread that waits for no disk. Returns how many a second.
pub(crate) fn populate(zone: &Zone, caller: &Caller, files: u64) -> Result<f64, Error> {
    let mut content = vec![3; SMALL_BYTES];
    let begin = Instant::now();
    let mut parent = Inode::ROOT;
    for file in 0..files {
        if file.is_multiple_of(FILES_PER_DIRECTORY) {
            let path = format!("/{}", file / FILES_PER_DIRECTORY);
            let new = NewFile::default();
            parent = zone.mkdir(caller, &path[..], &new, false, Durability::Accepted)?.reply.inode;
        }
        content[..8].copy_from_slice(&file.to_le_bytes());
        let name = (file % FILES_PER_DIRECTORY).to_string();
        let mut writer = zone.content_writer(caller);
        writer.write(&content)?;
        let entry = nexus_engine::Entry::In(parent, name.as_bytes());
        zone.put_content(caller, entry, &NewFile::default(), writer, Durability::Accepted)?;
    }
    Ok(files as f64 / begin.elapsed().as_secs_f64())
}

/// Hot reads, at latest.
pub(crate) struct Hot {
    pub(crate) stat_us: f64,
    /// Over all files of the zone, not those of one directory.
    pub(crate) stat_all_us: f64,
    pub(crate) read_us: f64,
    /// Entries a second.
    pub(crate) readdir: f64,
}

pub(crate) fn stat_us(view: &View, caller: &Caller, reads: u64, files: u64) -> Result<f64, Error> {
    let paths: Vec<String> = (0..files).map(path_of).collect();
    let path = |file: u64| &paths[file as usize][..];
    let ns = timed(reads, files, |file| view.stat(caller, path(file), true).map(|s| drop(black_box(s))))?;
    Ok(ns / 1000.0)
}

pub(crate) fn hot(bed: &Bed, files: u64) -> Result<Hot, Error> {
    let (view, caller) = (&bed.zone.view(At::Latest)?, &bed.caller);
    let (near, reads) = (files.min(FILES_PER_DIRECTORY), reads_for(files));
    // Once before, so that what is hot is.
    stat_us(view, caller, near, near)?;
    let stat_near_us = stat_us(view, caller, reads, near)?;
    let stat_all_us = stat_us(view, caller, reads, files)?;
    let paths: Vec<String> = (0..near).map(path_of).collect();
    let path = |file: u64| &paths[file as usize][..];
    let read_ns = timed(reads, near, |file| {
        view.read(caller, path(file), 0, SMALL_BYTES).map(|b| assert_eq!(b.len(), SMALL_BYTES))
    })?;
    let begin = Instant::now();
    let (mut listed, mut rounds) = (0, 0);
    while begin.elapsed().as_millis() < LISTING_MILLIS {
        listed += view.readdir(caller, "/0", None, usize::MAX)?.len();
        rounds += 1;
    }
    assert_eq!(listed as u64, rounds * near, "every listing is whole");
    let readdir = listed as f64 / begin.elapsed().as_secs_f64();
    Ok(Hot { stat_us: stat_near_us, stat_all_us, read_us: read_ns / 1000.0, readdir })
}
