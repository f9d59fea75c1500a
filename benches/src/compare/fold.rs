//! Folding records into tables: the decoder and `apply` alone, and a whole rebuild.

use std::sync::Arc;
use std::time::Instant;

use nexus_engine::{Error, Zone};
use nexus_log::event::Reason;
use nexus_projections::apply::apply;
use nexus_projections::loads::ReadThrough;
use nexus_projections::store::BTreeStore;
use nexus_projections::zone_tables::ZoneTables;

use crate::bed::failed;

/// Records decoded from the log's files and applied into a memtable, a second, by one thread. At most `records_max`,
/// so that the memtable stays within what a zone would hold.
pub(crate) fn decode_and_apply(zone: &Zone, records_max: u64) -> Result<f64, Error> {
    let log = zone.log();
    let tables = ZoneTables::open(Arc::new(BTreeStore::default()), 1).map_err(failed("make tables"))?;
    let mut records = 0_u64;
    let begin = Instant::now();
    for record in log.records(log.first()).take(usize::try_from(records_max).unwrap_or(usize::MAX)) {
        let record = record.map_err(failed("read the log"))?;
        let set = apply(&record, &ReadThrough::new(&tables))
            .map_err(|error| Error::new(Reason::Corrupt, format!("cannot apply record {}: {error:?}", record.seq)))?;
        tables.insert(set);
        records += 1;
    }
    Ok(records as f64 / begin.elapsed().as_secs_f64())
}

/// Records a second of `nexus rebuild`, comparing included.
pub(crate) fn rebuild(zone: &Zone) -> Result<f64, Error> {
    let begin = Instant::now();
    let report = zone.rebuild(false, |_| {})?;
    assert!(report.equal(), "the tables are what the log says");
    Ok(report.records as f64 / begin.elapsed().as_secs_f64())
}
