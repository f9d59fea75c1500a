//! Reads at past positions: one small file with many versions, read at the first of them.
//!
//! The row cache answers for a file's attributes at latest, but not for an extended attribute: that is the read of one
//! row of the tables, to compare with the same in the past.

use std::hint::black_box;

use nexus_engine::{At, Caller, Durability, Error, View, XattrMode, Zone};
use nexus_log::ids::Seq;

use crate::turns::timed;

/// Versions since the one that is read.
pub(crate) const VERSIONS: [u64; 3] = [1, 10, 1000];

pub(crate) struct Past {
    pub(crate) versions: u64,
    /// The attributes by path.
    pub(crate) us: f64,
    /// One row, which no cache holds.
    pub(crate) row_us: f64,
    /// That to the same at latest.
    pub(crate) ratio: f64,
}

pub(crate) fn stats(zone: &Zone, caller: &Caller, reads: u64, versions: u64) -> Result<Past, Error> {
    let path = format!("/versions-{versions}");
    let file = zone.put(caller, &path[..], b"the first version")?.reply.inode;
    let set =
        |value: &str, durability| zone.set_xattr(caller, file, b"v", value.as_bytes(), XattrMode::Either, durability);
    let first = set("the first version", Durability::Durable)?.seq.expect("a record was made");
    let mut last = Seq::ZERO;
    for version in 0..versions {
        last = set(&format!("version {version} of many"), Durability::Accepted)?.seq.expect("a record was made");
    }
    zone.digest()?;
    let (now, then) = (zone.view(At::Exactly(last))?, zone.view(At::Exactly(first))?);
    let row = |view: &View| timed(reads, 1, |_| view.get_xattr(caller, file, b"v").map(|value| drop(black_box(value))));
    let (latest_ns, past_ns) = (row(&now)?, row(&then)?);
    let stat_ns = timed(reads, 1, |_| then.stat(caller, &path[..], true).map(|s| drop(black_box(s))))?;
    Ok(Past { versions, us: stat_ns / 1000.0, row_us: past_ns / 1000.0, ratio: past_ns / latest_ns })
}
