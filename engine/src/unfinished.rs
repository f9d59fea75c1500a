//! What an init that was cut short left behind.
//!
//! A zone's identity file is written last, so files without one may be the beginnings of a zone that nobody was told
//! of. Or they may be all that is left of a zone whose identity file was lost. Only what is provably the former is
//! removed (R19).

use std::io;
use std::path::Path;
use std::sync::Arc;

use nexus_log::cursor::Cursor;
use nexus_log::env::{DiskFile, Env, OpenMode, read_exact_at};
use nexus_log::event::Reason;
use nexus_log::ids::{Incarnation, Seq, ZoneId, ZoneIdentity};
use nexus_log::log::SEGMENTS;
use nexus_log::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name};

use crate::error::{Error, Result};

/// Clears a zone's directory that holds no identity file, for a new zone. Refuses where there could be a log in it.
pub(crate) fn clear(env: &Env, zone: &Path) -> Result<()> {
    let unavailable = |e| Error::new(Reason::Unavailable, "cannot remove what an unfinished init left").because(e);
    let segments = zone.join(SEGMENTS);
    if env.disk.exists(&segments).map_err(unavailable)? {
        if !holds_no_log(env, &segments).map_err(unavailable)? {
            return Err(identity_lost(zone));
        }
        remove_files(env, &segments).map_err(unavailable)?;
    }
    if env.disk.exists(zone).map_err(unavailable)? { remove_files(env, zone).map_err(unavailable) } else { Ok(()) }
}

pub(crate) fn identity_lost(zone: &Path) -> Error {
    let message = format!(
        "{} holds a log whose identity file (meta) is missing; put it back from a copy; nothing was changed",
        zone.display()
    );
    Error::new(Reason::Corrupt, message)
}

fn remove_files(env: &Env, dir: &Path) -> io::Result<()> {
    for name in env.disk.list(dir)? {
        if name != SEGMENTS {
            env.disk.remove_file(&dir.join(name))?;
        }
    }
    Ok(())
}

/// At most the first record of a zone, in at most its first segment.
pub(crate) fn holds_no_log(env: &Env, segments: &Path) -> io::Result<bool> {
    let first = file_name(Seq::FIRST);
    if !env.disk.exists(segments)? {
        return Ok(true);
    }
    match &env.disk.list(segments)?[..] {
        [] => Ok(true),
        [only] if *only == first => {
            let file = env.disk.open(&segments.join(only), OpenMode::Read)?;
            Ok(records_in(&file)?.is_some_and(|records| records <= 1))
        }
        _ => Ok(false),
    }
}

/// How many records a first segment begins with; `None` where it holds something that cannot be read.
fn records_in(file: &Arc<dyn DiskFile>) -> io::Result<Option<u64>> {
    let mut block = vec![0; file.len()?.min(SEGMENT_HEADER_BYTES) as usize];
    read_exact_at(&**file, &mut block, 0)?;
    if block.len() < SEGMENT_HEADER_BYTES as usize || block.iter().all(|b| *b == 0) {
        return Ok((file.len()? <= SEGMENT_HEADER_BYTES).then_some(0));
    }
    // The identity is what the header says: there is nothing to hold it against.
    let identity = ZoneIdentity {
        zone: ZoneId(block[16..32].try_into().expect("sixteen bytes")),
        incarnation: Incarnation(u64::from_le_bytes(block[32..40].try_into().expect("eight bytes"))),
    };
    let HeaderBlock::Good { header, .. } = SegmentHeader::decode(&block, identity, Seq::FIRST) else {
        return Ok((file.len()? <= SEGMENT_HEADER_BYTES).then_some(0));
    };
    let crc = Some(header.previous_crc);
    let mut cursor = Cursor::new(Arc::clone(file), identity, header.seed(), SEGMENT_HEADER_BYTES, Seq::FIRST, crc);
    let mut records = 0;
    while records < 2 && cursor.next_checked()?.is_ok() {
        records += 1;
    }
    Ok(Some(records))
}
