//! What a listing depends on: of the past on what the directory ever held, at latest on what it holds.

use std::time::Instant;

use nexus_engine::{At, Caller, Durability, Error, NewFile, View};

use super::options::Scale;
use crate::bed::Bed;
use crate::measure::populated::populate;

/// Entries of the directories that are listed.
const ENTRIES: u64 = 200;
const ROUNDS: usize = 50;

pub(super) struct Listing {
    /// A past listing after the zone did much elsewhere, to the same before.
    pub(super) past_after_other_work: f64,
    /// A listing at latest of a directory that held many more entries, to one that never did.
    pub(super) latest_after_removals: f64,
}

/// Fastest of several listings, in seconds: what disturbs can only slow one down.
fn fastest(view: &View, caller: &Caller, path: &str, entries: u64) -> Result<f64, Error> {
    let mut fastest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let listed = view.readdir(caller, path, None, usize::MAX)?.len() as u64;
        fastest = fastest.min(begin.elapsed().as_secs_f64());
        assert_eq!(listed, entries, "a listing is whole");
    }
    Ok(fastest)
}

fn fill(bed: &Bed, dir: &str, files: u64) -> Result<(), Error> {
    for file in 0..files {
        let path = format!("{dir}/{file}");
        bed.zone.create(&bed.caller, &path[..], &NewFile::default(), true, Durability::Accepted)?;
    }
    Ok(())
}

pub(super) fn listing(bed: &Bed, scale: &Scale) -> Result<Listing, Error> {
    let (zone, caller) = (&bed.zone, &bed.caller);
    for dir in ["/past", "/quiet", "/busy"] {
        zone.mkdir(caller, dir, &NewFile::default(), false, Durability::Accepted)?;
    }
    fill(bed, "/past", ENTRIES)?;
    let then = zone.digest()?.at;
    // The directory changes after the position, so that the past is not what stands there now.
    for file in 0..ENTRIES {
        zone.unlink(caller, &format!("/past/{file}")[..], Durability::Accepted)?;
    }
    zone.digest()?;
    let before = fastest(&zone.view(At::Exactly(then))?, caller, "/past", ENTRIES)?;
    populate(zone, caller, scale.files_elsewhere)?;
    zone.digest()?;
    let after = fastest(&zone.view(At::Exactly(then))?, caller, "/past", ENTRIES)?;

    fill(bed, "/quiet", ENTRIES)?;
    fill(bed, "/busy", ENTRIES + scale.names_gone)?;
    for file in ENTRIES..ENTRIES + scale.names_gone {
        zone.unlink(caller, &format!("/busy/{file}")[..], Durability::Accepted)?;
    }
    zone.digest()?;
    let view = zone.view(At::Latest)?;
    let quiet = fastest(&view, caller, "/quiet", ENTRIES)?;
    let busy = fastest(&view, caller, "/busy", ENTRIES)?;
    Ok(Listing { past_after_other_work: after / before, latest_after_removals: busy / quiet })
}
