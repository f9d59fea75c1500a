//! What actors used, by the hour.

use nexus_log::event::{UsageCount, UsageCounts};
use nexus_log::ids::Seq;

use super::{Reader, RowError, Writer};

/// One actor in one hour: all that was counted up to the row's begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerRow(pub UsageCount);

impl LedgerRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let LedgerRow(UsageCount { tenant, user, agent, hour, counts }) = self;
        [tenant, user, agent].into_iter().for_each(|name| out.bytes(name.as_bytes()));
        let UsageCounts { changes, refusals, reads, bytes_in, bytes_out } = counts;
        [hour, changes, refusals, reads, bytes_in, bytes_out].into_iter().for_each(|n| out.number(*n));
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<LedgerRow, RowError> {
        let mut from = Reader::new(bytes, "ledger");
        let row = LedgerRow(UsageCount {
            tenant: from.string()?,
            user: from.string()?,
            agent: from.string()?,
            hour: from.number()?,
            counts: UsageCounts {
                changes: from.number()?,
                refusals: from.number()?,
                reads: from.number()?,
                bytes_in: from.number()?,
                bytes_out: from.number()?,
            },
        });
        from.end()?;
        Ok(row)
    }
}

/// How far the ledger's rows go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerMarkRow {
    /// Records up to this one are in the rows, later ones are not.
    pub until: Seq,
}

impl LedgerMarkRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(self.until.0);
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<LedgerMarkRow, RowError> {
        let mut from = Reader::new(bytes, "ledger");
        let row = LedgerMarkRow { until: Seq(from.number()?) };
        from.end()?;
        Ok(row)
    }
}
