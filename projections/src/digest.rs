//! What a generation holds, as one number: two generations folded from the same log are equal in it, wherever their
//! flushes fell.
//!
//! The digest is the sum, modulo 2^256, of the BLAKE3 hashes of all versions (table, key, begin, end, value), so the
//! order of rows, the family they stand in and the generation's number do not count. It detects mistakes of ours, not
//! an adversary who chooses rows: sums of hashes do not withstand that.

use blake3::Hasher;
use nexus_log::ids::Seq;

use crate::layout;
use crate::limits::DEDUPE_WINDOW_SEQS;
use crate::put::Version;
use crate::store::{StoreError, StoreSnapshot};
use crate::table::{RowKey, Table};
use crate::zone_tables::ZoneTables;

/// Versions of one table at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRows {
    pub table: Table,
    /// Rows that exist.
    pub current: u64,
    /// Versions that were superseded or deleted.
    pub past: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub digest: [u8; 32],
    /// In the order of [`Table::ALL`].
    pub tables: Vec<TableRows>,
}

impl ZoneTables {
    /// Reads every version that was visible at some position from `horizon` to `at`, from the store alone.
    ///
    /// # Panics
    /// Where records up to `at` are still in memory: see [`flush_all`](Self::flush_all).
    pub fn summary(&self, horizon: Seq, at: Seq) -> Result<Summary, StoreError> {
        assert!(self.floor() >= at, "flush before summing up");
        let mut walk = Walk { horizon, at, sum: Sum::default(), snapshot: self.generation.store.snapshot() };
        let place = self.generation.place;
        let tables = Table::ALL.map(|table| walk.table(place, table)).into_iter().collect::<Result<_, _>>()?;
        Ok(Summary { digest: walk.sum.bytes(), tables })
    }
}

struct Walk {
    horizon: Seq,
    at: Seq,
    sum: Sum,
    snapshot: Box<dyn StoreSnapshot>,
}

impl Walk {
    fn table(&mut self, place: layout::Place, table: Table) -> Result<TableRows, StoreError> {
        let mut rows = TableRows { table, current: 0, past: 0 };
        let (cur, old) = (place.cur_bound(table, &[]), place.old_bound(table, &[]));
        for row in self.snapshot.range(&cur, &old) {
            let (stored, value) = row?;
            let key = layout::decode_cur_key(table, &stored)?;
            self.add(&mut rows, &key, &layout::decode_cur(&stored, &value)?.version, None);
        }
        for row in self.snapshot.range(&old, &place.old_end(table)) {
            let (stored, value) = row?;
            let (key, begin) = layout::decode_old_key(table, &stored)?;
            let row = layout::decode_old(&stored, begin, &value)?;
            self.add(&mut rows, &key, &row.version, Some(row.end));
        }
        Ok(rows)
    }

    fn add(&mut self, rows: &mut TableRows, key: &RowKey, version: &Version, end: Option<Seq>) {
        // At `at` nobody could know that the version would end later.
        let end = end.filter(|end| *end <= self.at);
        if version.begin > self.at || end.is_some_and(|end| end <= self.horizon) {
            return;
        }
        // What is beyond the window may have been dropped in one of the generations.
        if key.table == Table::Dedupe && version.begin.0.saturating_add(DEDUPE_WINDOW_SEQS) <= self.at.0 {
            return;
        }
        *(if end.is_none() { &mut rows.current } else { &mut rows.past }) += 1;
        let mut hasher = Hasher::new();
        hasher.update(&[key.table as u8]);
        hasher.update(&(key.bytes.len() as u64).to_le_bytes()).update(&key.bytes);
        // No version ends at zero.
        hasher.update(&version.begin.0.to_le_bytes()).update(&end.unwrap_or_default().0.to_le_bytes());
        hasher.update(&version.value);
        self.sum.add(hasher.finalize().as_bytes());
    }
}

/// A number of 256 bits, its least significant 64 first.
#[derive(Default)]
struct Sum([u64; 4]);

impl Sum {
    fn add(&mut self, hash: &[u8; 32]) {
        let mut carry = false;
        for (limb, bytes) in self.0.iter_mut().zip(hash.as_chunks().0) {
            (*limb, carry) = limb.carrying_add(u64::from_le_bytes(*bytes), carry);
        }
    }

    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut().0.iter_mut().zip(self.0).for_each(|(to, limb)| *to = limb.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_carry_and_wrap() {
        let mut sum = Sum::default();
        sum.add(&[0xff; 32]);
        let mut two = [0; 32];
        two[0] = 2;
        sum.add(&two);
        two[0] = 1;
        assert_eq!(sum.bytes(), two);
        sum.add(&[0xff; 32]);
        assert_eq!(sum.bytes(), [0; 32]);
    }
}
