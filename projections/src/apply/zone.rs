//! What events about the zone itself do to rows.

use nexus_log::event::{PolicySet, ReadPolicy, UsageCount, UsageCounted, UsageCounts};
use nexus_log::ids::{Inode, Seq};

use super::{Applied, Fold};
use crate::loads::Prior;
use crate::row::{LedgerMarkRow, LedgerRow, PolicyRow};
use crate::table::RowKey;
use crate::usage::{actor_id, add};

impl<P: Prior> Fold<'_, P> {
    pub(super) fn set_policy(&mut self, e: &PolicySet) -> Applied<P> {
        let key = RowKey::policy(Inode(e.inode));
        // What a newer release calls stricter is not less strict here.
        match e.reads.map(|code| ReadPolicy::from_code(code).unwrap_or(ReadPolicy::Strict)) {
            Some(reads) => self.rows.put(key, PolicyRow { reads }.encode()),
            None => self.rows.remove(key),
        }
    }

    pub(super) fn count_usage(&mut self, e: &UsageCounted) -> Applied<P> {
        for count in &e.counts {
            let key = RowKey::ledger(actor_id(&count.tenant, &count.user, &count.agent), count.hour);
            let mut row = match self.rows.get(&key)? {
                Some(value) => LedgerRow::decode(&value)?,
                None => LedgerRow(UsageCount { counts: UsageCounts::default(), ..count.clone() }),
            };
            add(&mut row.0.counts, &count.counts);
            self.rows.put(key, row.encode())?;
        }
        self.rows.put(RowKey::ledger_mark(), LedgerMarkRow { until: Seq(e.until) }.encode())
    }
}
