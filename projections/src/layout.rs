//! Where rows stand in the store.
//!
//! | part       | bytes | encoding                                                     |
//! |------------|-------|--------------------------------------------------------------|
//! | slot       | 4     | u32 BE, the zone's number in this store                      |
//! | generation | 4     | u32 BE; 0 holds the zone's own rows                          |
//! | table      | 1     | `Table`; 0 is the generation's bookkeeping                   |
//! | family     | 1     | 0 `cur`, 1 `old`                                             |
//! | key        | n     | the row's key                                                |
//! | begin      | 9     | `old` only: 0x00, then the complement of begin, u64 BE       |
//!
//! | value of    | bytes                                                                  |
//! |-------------|------------------------------------------------------------------------|
//! | `cur`       | begin u64 LE, flags u8 (bit 0: first version, others zero), the row    |
//! | `old`       | end u64 LE, the row                                                    |
//! | bookkeeping | u64 LE                                                                 |
//!
//! Invariants:
//! 1. `old` rows stand in the order of (key, begin descending): keys of variable length hold no NUL (see `table`).
//! 2. A version is in `cur` while nothing ended it, else in `old`, never in both.
//! 3. `begin < end` in every `old` row.

use bytes::Bytes;
use nexus_log::ids::{Seq, ZoneIdentity};

use crate::put::Version;
use crate::store::{PREFIX_BYTES, Prefix, StoreError};
use crate::table::{RowKey, Table};

/// The zone's rows that belong to no generation.
const ZONE_GENERATION: u32 = 0;
const BOOKKEEPING: u8 = 0;
const HEAD_BYTES: usize = PREFIX_BYTES + 2;
const OLD_TAIL_BYTES: usize = 9;
const CUR_VALUE_HEAD_BYTES: usize = 9;
const OLD_VALUE_HEAD_BYTES: usize = 8;
const FLAG_FIRST: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Family {
    Cur = 0,
    Old = 1,
}

/// One generation of one zone's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// A row of `cur`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurRow {
    pub(crate) version: Version,
    pub(crate) first: bool,
}

/// A row of `old`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OldRow {
    pub(crate) version: Version,
    pub(crate) end: Seq,
}

impl Place {
    pub(crate) fn prefix(self) -> Prefix {
        let mut prefix = [0; PREFIX_BYTES];
        prefix[..4].copy_from_slice(&self.slot.to_be_bytes());
        prefix[4..].copy_from_slice(&self.generation.to_be_bytes());
        prefix
    }

    fn key(self, table: u8, family: Family, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = Vec::with_capacity(HEAD_BYTES + parts.iter().map(|part| part.len()).sum::<usize>());
        key.extend_from_slice(&self.prefix());
        key.extend_from_slice(&[table, family as u8]);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// The highest seq whose record is in this generation.
    pub(crate) fn applied_key(self) -> Vec<u8> {
        self.key(BOOKKEEPING, Family::Cur, &[b"applied"])
    }

    pub(crate) fn cur_key(self, key: &RowKey) -> Vec<u8> {
        self.cur_bound(key.table, &key.bytes)
    }

    pub(crate) fn cur_bound(self, table: Table, bytes: &[u8]) -> Vec<u8> {
        self.key(table as u8, Family::Cur, &[bytes])
    }

    /// Sorts before all `old` rows of keys at or above `bytes`; rows of smaller keys may follow it.
    pub(crate) fn old_bound(self, table: Table, bytes: &[u8]) -> Vec<u8> {
        self.key(table as u8, Family::Old, &[bytes])
    }

    pub(crate) fn old_key(self, key: &RowKey, begin: Seq) -> Vec<u8> {
        self.key(key.table as u8, Family::Old, &[&key.bytes, &[0], &(!begin.0).to_be_bytes()])
    }

    /// Behind the last `old` row of a table.
    pub(crate) fn old_end(self, table: Table) -> Vec<u8> {
        self.key(table as u8 + 1, Family::Cur, &[])
    }

    /// Behind the last `old` row of a key, where it stands among them at the earliest.
    pub(crate) fn old_end_of(self, key: &RowKey) -> Vec<u8> {
        self.key(key.table as u8, Family::Old, &[&key.bytes, &[1]])
    }
}

/// Which generation of a slot's zone is the live one.
pub(crate) fn live_key(slot: u32) -> Vec<u8> {
    zone_place(slot).key(BOOKKEEPING, Family::Cur, &[b"live"])
}

/// The number that the slot's next generation gets; numbers are never used again.
pub(crate) fn next_key(slot: u32) -> Vec<u8> {
    zone_place(slot).key(BOOKKEEPING, Family::Cur, &[b"next"])
}

/// Whose rows stand in the slot: a zone in one of its lives.
pub(crate) fn owner_key(slot: u32) -> Vec<u8> {
    zone_place(slot).key(BOOKKEEPING, Family::Cur, &[b"owner"])
}

pub(crate) fn encode_owner(owner: ZoneIdentity) -> Bytes {
    let mut bytes = owner.zone.0.to_vec();
    bytes.extend_from_slice(&owner.incarnation.0.to_le_bytes());
    bytes.into()
}

fn zone_place(slot: u32) -> Place {
    Place { slot, generation: ZONE_GENERATION }
}

pub(crate) fn encode_number(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

pub(crate) fn decode_number(key: &[u8], value: &[u8]) -> Result<u64, StoreError> {
    let bytes = value.try_into().map_err(|_| StoreError::corrupt("a number is not eight bytes long", key))?;
    Ok(u64::from_le_bytes(bytes))
}

pub(crate) fn encode_cur(begin: Seq, first: bool, value: &[u8]) -> Bytes {
    let flags = if first { FLAG_FIRST } else { 0 };
    [&begin.0.to_le_bytes()[..], &[flags], value].concat().into()
}

pub(crate) fn decode_cur(key: &[u8], value: &Bytes) -> Result<CurRow, StoreError> {
    let Some((head, _)) = value.split_first_chunk::<CUR_VALUE_HEAD_BYTES>() else {
        return Err(StoreError::corrupt("a current row is too short", key));
    };
    let (begin, flags) = head.split_first_chunk::<8>().expect("the head is nine bytes long");
    let first = match flags {
        [0] => false,
        [FLAG_FIRST] => true,
        _ => return Err(StoreError::corrupt("a current row has unknown flags", key)),
    };
    let begin = Seq(u64::from_le_bytes(*begin));
    Ok(CurRow { version: Version { begin, value: value.slice(CUR_VALUE_HEAD_BYTES..) }, first })
}

pub(crate) fn encode_old(end: Seq, value: &[u8]) -> Bytes {
    [&end.0.to_le_bytes()[..], value].concat().into()
}

/// `begin` is what [`decode_old_key`] found in the key.
pub(crate) fn decode_old(key: &[u8], begin: Seq, value: &Bytes) -> Result<OldRow, StoreError> {
    let Some((end, _)) = value.split_first_chunk::<OLD_VALUE_HEAD_BYTES>() else {
        return Err(StoreError::corrupt("a past row is too short", key));
    };
    let end = Seq(u64::from_le_bytes(*end));
    if end <= begin {
        return Err(StoreError::corrupt("a past row ends before it begins", key));
    }
    Ok(OldRow { version: Version { begin, value: value.slice(OLD_VALUE_HEAD_BYTES..) }, end })
}

/// The row's key from the key of a `cur` row of `table`.
pub(crate) fn decode_cur_key(table: Table, key: &Bytes) -> Result<RowKey, StoreError> {
    match key.get(PREFIX_BYTES..HEAD_BYTES) {
        Some([number, family]) if *number == table as u8 && *family == Family::Cur as u8 => {
            Ok(RowKey { table, bytes: key.slice(HEAD_BYTES..) })
        }
        _ => Err(StoreError::corrupt("not the key of a current row of this table", key)),
    }
}

/// The row's key and the version's begin from the key of an `old` row of `table`.
pub(crate) fn decode_old_key(table: Table, key: &Bytes) -> Result<(RowKey, Seq), StoreError> {
    let corrupt = || StoreError::corrupt("not the key of a past row of this table", key);
    let (head, rest) = key.split_at_checked(HEAD_BYTES).ok_or_else(corrupt)?;
    let (bytes, tail) = rest.split_last_chunk::<OLD_TAIL_BYTES>().ok_or_else(corrupt)?;
    if head[PREFIX_BYTES..] != [table as u8, Family::Old as u8] || tail[0] != 0 {
        return Err(corrupt());
    }
    let begin = u64::from_be_bytes(*tail.last_chunk().expect("the tail is nine bytes long"));
    Ok((RowKey { table, bytes: key.slice(HEAD_BYTES..HEAD_BYTES + bytes.len()) }, Seq(!begin)))
}

#[cfg(test)]
mod tests {
    use nexus_log::ids::Inode;
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place = Place { slot: 3, generation: 2 };

    #[test]
    fn past_versions_stand_by_key_and_then_newest_first() {
        let (a, ab) = (RowKey::dentry(Inode(1), b"a"), RowKey::dentry(Inode(1), b"a\x01"));
        let keys = [PLACE.old_key(&a, Seq(9)), PLACE.old_key(&a, Seq(2)), PLACE.old_key(&ab, Seq(5))];
        assert!(keys.is_sorted());
        assert!(PLACE.cur_key(&ab) < keys[0]);
        assert!(PLACE.old_bound(a.table, &a.bytes) < keys[0]);
        assert!(keys[1] < PLACE.old_end_of(&a) && PLACE.old_end_of(&a) <= keys[2]);
        assert!(keys[2] < PLACE.old_end(Table::Dentry));
        assert!(PLACE.old_end(Table::Dentry) <= PLACE.cur_bound(Table::Xattr, b""));
        assert!(live_key(3) < next_key(3) && next_key(3) < PLACE.applied_key());
        assert!(PLACE.applied_key() < PLACE.cur_bound(Table::Inode, b""));
    }

    #[test]
    fn the_bytes_on_disk_stay_what_they_are() {
        let place = Place { slot: 0x0102, generation: 3 };
        let head = [0, 0, 1, 2, 0, 0, 0, 3];
        let key = RowKey::dentry(Inode(0x0a), b"n");
        let name = [0, 0, 0, 0, 0, 0, 0, 10, b'n'];
        assert_eq!(place.cur_key(&key), [&head[..], &[5, 0], &name].concat());
        let tail = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe];
        assert_eq!(place.old_key(&key, Seq(1)), [&head[..], &[5, 1], &name, &tail].concat());
        assert_eq!(place.applied_key(), [&head[..], &[0, 0], b"applied"].concat());
        assert_eq!(live_key(0x0102), [&[0, 0, 1, 2, 0, 0, 0, 0, 0, 0], &b"live"[..]].concat());
        assert_eq!(next_key(0x0102), [&[0, 0, 1, 2, 0, 0, 0, 0, 0, 0], &b"next"[..]].concat());
        assert_eq!(encode_cur(Seq(0x0102), true, b"v")[..], [2, 1, 0, 0, 0, 0, 0, 0, 1, b'v']);
        assert_eq!(encode_cur(Seq(1), false, b"")[..], [1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encode_old(Seq(0x0102), b"v")[..], [2, 1, 0, 0, 0, 0, 0, 0, b'v']);
        assert_eq!(encode_number(5)[..], [5, 0, 0, 0, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn rows_are_read_as_written(name in "[a-z]{0,9}", begin in 0u64.., more in 1u64.., first: bool, value: Vec<u8>) {
            let key = RowKey::xattr(Inode(7), name.as_bytes());
            let cur: Bytes = PLACE.cur_key(&key).into();
            prop_assert_eq!(decode_cur_key(Table::Xattr, &cur).unwrap(), key.clone());
            let version = Version { begin: Seq(begin), value: value.clone().into() };
            let row = CurRow { version: version.clone(), first };
            prop_assert_eq!(decode_cur(&cur, &encode_cur(Seq(begin), first, &value)).unwrap(), row);

            let old: Bytes = PLACE.old_key(&key, Seq(begin)).into();
            prop_assert_eq!(decode_old_key(Table::Xattr, &old).unwrap(), (key, Seq(begin)));
            let end = Seq(begin.saturating_add(more));
            let decoded = decode_old(&old, Seq(begin), &encode_old(end, &value));
            if end.0 > begin {
                prop_assert_eq!(decoded.unwrap(), OldRow { version, end });
            } else {
                prop_assert!(decoded.is_err());
            }
        }

        #[test]
        fn garbage_is_reported_and_never_panics(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let cur = decode_cur(b"k", &bytes);
            prop_assert_eq!(cur.is_ok(), bytes.len() >= 9 && bytes[8] < 2);
            prop_assert_eq!(decode_number(b"k", &bytes).is_ok(), bytes.len() == 8);
            prop_assert!(bytes.len() >= 8 || decode_old(b"k", Seq(0), &bytes).is_err());
            prop_assert!(bytes.len() >= 19 || decode_old_key(Table::Link, &bytes).is_err());
            prop_assert!(bytes.len() >= 10 || decode_cur_key(Table::Link, &bytes).is_err());
        }
    }
}
