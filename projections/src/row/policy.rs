//! What operators decided: read policies of inodes, and that the wall clock is right.

use nexus_log::event::ReadPolicy;

use super::{Reader, RowError, Writer};

/// How reads of an inode, and of what is below it, are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    pub reads: ReadPolicy,
}

impl PolicyRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(self.reads.code().into());
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<PolicyRow, RowError> {
        let mut from = Reader::new(bytes, "policy");
        let code = u16::try_from(from.number()?).ok();
        let reads = code.and_then(ReadPolicy::from_code).ok_or(from.bad())?;
        from.end()?;
        Ok(PolicyRow { reads })
    }
}

/// The last confirmation of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRow {
    /// What it said then, UTC ns.
    pub wall_ns: u64,
}

impl ClockRow {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(self.wall_ns);
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<ClockRow, RowError> {
        let mut from = Reader::new(bytes, "zone_settings");
        let row = ClockRow { wall_ns: from.number()? };
        from.end()?;
        Ok(row)
    }
}
