//! Reads at past positions: one small file with many versions, read at the first of them.

use std::hint::black_box;

use nexus_engine::{At, Caller, Durability, Error, NewFile, Zone};
use nexus_log::ids::Seq;

use crate::turns::timed;

/// Versions since the one that is read.
pub(crate) const VERSIONS: [u64; 3] = [1, 10, 1000];

pub(crate) struct Past {
    pub(crate) versions: u64,
    pub(crate) us: f64,
    /// To the same read at the last version, at a position that is not the newest either.
    pub(crate) ratio: f64,
}

pub(crate) fn stats(zone: &Zone, caller: &Caller, reads: u64, versions: u64) -> Result<Past, Error> {
    let path = format!("/versions-{versions}");
    let first = zone.put(caller, &path[..], b"the first version")?.seq.expect("a record was made");
    let mut last = Seq::ZERO;
    for version in 0..versions {
        let mut writer = zone.content_writer(caller);
        writer.write(format!("version {version} of many").as_bytes())?;
        let done = zone.put_content(caller, &path[..], &NewFile::default(), writer, Durability::Accepted)?;
        last = done.seq.expect("a record was made");
    }
    zone.put(caller, &format!("{path}.later")[..], b"so that the last version is not at the newest position")?;
    zone.digest()?;
    let now = zone.view(At::Exactly(last))?;
    let then = zone.view(At::Exactly(first))?;
    let latest_ns = timed(reads, 1, |_| now.stat(caller, &path[..], true).map(|s| drop(black_box(s))))?;
    let past_ns = timed(reads, 1, |_| then.stat(caller, &path[..], true).map(|s| drop(black_box(s))))?;
    Ok(Past { versions, us: past_ns / 1000.0, ratio: past_ns / latest_ns })
}
