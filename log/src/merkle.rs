//! The tree over a zone's records: leaf entries, and the root at any size.
//!
//! A record's leaf entry is 105 bytes, its integers big-endian because outsiders hash them too:
//!
//! | offset | bytes | field                                                                                     |
//! |--------|-------|-------------------------------------------------------------------------------------------|
//! | 0      | 1     | format, 1                                                                                 |
//! | 1      | 16    | zone id                                                                                   |
//! | 17     | 8     | incarnation                                                                               |
//! | 25     | 8     | seq                                                                                       |
//! | 33     | 8     | commit time, UTC ns                                                                       |
//! | 41     | 32    | meta hash: SHA-256 of `nexus meta v1\n` and the meta as stored, its salt first            |
//! | 73     | 32    | payload root: SHA-256 of `nexus payload v1\n`, the payload's salt and, for each chunk in  |
//! |        |       | order, offset u64, length u32, BLAKE3; 32 zero bytes where there is no payload            |
//!
//! Leaves and nodes are hashed as in RFC 6962 section 2.1. The index of a leaf is its seq less the zone's first seq.
//!
//! Invariants:
//! 1. An entry is a function of what the record says, never of where it stands: every replica has the same tree.
//! 2. Both hashes of content are salted, so an entry shown to an outsider gives no short content away.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::ids::{CommitTime, Seq, ZoneIdentity};
use crate::limits::SALT_BYTES;

/// Bytes of a [`LeafEntry`].
pub const LEAF_ENTRY_BYTES: usize = 105;

const FORMAT: u8 = 1;
const ZONE_OFFSET: usize = 1;
const INCARNATION_OFFSET: usize = ZONE_OFFSET + 16;
const SEQ_OFFSET: usize = INCARNATION_OFFSET + 8;
const TIME_OFFSET: usize = SEQ_OFFSET + 8;
const META_HASH_OFFSET: usize = TIME_OFFSET + 8;
const PAYLOAD_ROOT_OFFSET: usize = META_HASH_OFFSET + 32;

const _: () = assert!(SEQ_OFFSET == 25 && META_HASH_OFFSET == 41);
const _: () = assert!(PAYLOAD_ROOT_OFFSET + 32 == LEAF_ENTRY_BYTES);

/// What the tree says of one record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LeafEntry([u8; LEAF_ENTRY_BYTES]);

impl LeafEntry {
    /// The entry of a record, from [`meta_hash`] and [`payload_root`] of what it holds.
    #[must_use]
    pub fn new(
        identity: ZoneIdentity,
        seq: Seq,
        time: CommitTime,
        meta_hash: &[u8; 32],
        payload_root: &[u8; 32],
    ) -> LeafEntry {
        let mut bytes = [0; LEAF_ENTRY_BYTES];
        bytes[0] = FORMAT;
        bytes[ZONE_OFFSET..][..16].copy_from_slice(&identity.zone.0);
        bytes[INCARNATION_OFFSET..][..8].copy_from_slice(&identity.incarnation.0.to_be_bytes());
        bytes[SEQ_OFFSET..][..8].copy_from_slice(&seq.0.to_be_bytes());
        bytes[TIME_OFFSET..][..8].copy_from_slice(&time.0.to_be_bytes());
        bytes[META_HASH_OFFSET..][..32].copy_from_slice(meta_hash);
        bytes[PAYLOAD_ROOT_OFFSET..][..32].copy_from_slice(payload_root);
        LeafEntry(bytes)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; LEAF_ENTRY_BYTES] {
        &self.0
    }

    /// The record's leaf in the tree.
    #[must_use]
    pub fn leaf_hash(&self) -> [u8; 32] {
        leaf_hash(&self.0)
    }
}

impl fmt::Debug for LeafEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeafEntry(")?;
        write_hex(f, &self.0)?;
        f.write_str(")")
    }
}

/// Hash of a record's meta as the log stores it, salt included.
#[must_use]
pub fn meta_hash(meta_as_stored: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(b"nexus meta v1\n").chain_update(meta_as_stored).finalize().into()
}

/// Root over a record's payload. `salt` is `None` where the record has no payload; `chunks` are (offset behind the
/// salt, length, BLAKE3) in payload order.
#[must_use]
pub fn payload_root(salt: Option<&[u8; SALT_BYTES]>, chunks: impl Iterator<Item = (u64, u32, [u8; 32])>) -> [u8; 32] {
    let Some(salt) = salt else {
        assert!({ chunks }.next().is_none(), "chunks without a payload");
        return [0; 32];
    };
    let mut hasher = Sha256::new().chain_update(b"nexus payload v1\n").chain_update(salt);
    for (offset, length, hash) in chunks {
        hasher.update(offset.to_be_bytes());
        hasher.update(length.to_be_bytes());
        hasher.update(hash);
    }
    hasher.finalize().into()
}

/// RFC 6962: the hash of a leaf's data.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// RFC 6962: the hash of an inner node.
#[must_use]
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The hash that stands for all leaves of a tree of one size.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Root(pub [u8; 32]);

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({self})")
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

/// The perfect subtrees that a growing tree consists of, largest first: one for each bit set in its size. Enough to
/// go on adding leaves and to tell the root, in 32 bytes per bit.
///
/// ```text
///  size 6 = 0b110:      [ 4 leaves ]  [ 2 ]        root = node(peak 4, peak 2)
///  size 7 = 0b111:      [ 4 leaves ]  [ 2 ]  [1]   root = node(peak 4, node(peak 2, peak 1))
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    /// Invariant: as many as `size` has bits set.
    peaks: Vec<[u8; 32]>,
}

impl CompactRange {
    /// The empty tree.
    #[must_use]
    pub fn new() -> CompactRange {
        CompactRange::default()
    }

    /// Goes on from stored [`CompactRange::peaks`]; `None` if their number does not fit the size.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: Vec<[u8; 32]>) -> Option<CompactRange> {
        (peaks.len() == size.count_ones() as usize).then_some(CompactRange { size, peaks })
    }

    /// Adds the hash of the next leaf.
    pub fn push(&mut self, leaf: [u8; 32]) {
        let mut peak = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit set in the size");
            peak = node_hash(&left, &peak);
        }
        self.peaks.push(peak);
        self.size += 1;
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[[u8; 32]] {
        &self.peaks
    }

    /// The root at the present size.
    #[must_use]
    pub fn root(&self) -> Root {
        let mut right_to_left = self.peaks.iter().rev();
        match right_to_left.next() {
            None => Root(Sha256::digest([]).into()),
            Some(&last) => Root(right_to_left.fold(last, |right, left| node_hash(left, &right))),
        }
    }
}

impl Extend<[u8; 32]> for CompactRange {
    fn extend<I: IntoIterator<Item = [u8; 32]>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

/// The root over leaf hashes.
#[must_use]
pub fn root_of(leaves: impl IntoIterator<Item = [u8; 32]>) -> Root {
    let mut range = CompactRange::new();
    range.extend(leaves);
    range.root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ChunkHash, Incarnation, ZoneId};
    use serde_json::Value;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../testdata/transparency.json")).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    fn bytes_of(value: &Value) -> Vec<u8> {
        hex(value.as_str().unwrap())
    }

    /// The content of a vector's chunks: literal bytes, or one byte repeated.
    fn chunk_of(value: &Value) -> Vec<u8> {
        match value.get("hex") {
            Some(literal) => bytes_of(literal),
            None => bytes_of(&value["byte"]).repeat(value["length"].as_u64().unwrap() as usize),
        }
    }

    #[test]
    fn leaf_entries_match_the_vectors() {
        let vectors = vectors();
        let entries = vectors["leaf_entry"].as_array().unwrap();
        assert_eq!(entries.len(), 4);
        for v in entries {
            let identity = ZoneIdentity {
                zone: ZoneId(bytes_of(&v["zone"]).try_into().unwrap()),
                incarnation: Incarnation(v["incarnation"].as_u64().unwrap()),
            };
            let salt: Option<[u8; 16]> = v["payload_salt"].as_str().map(|s| hex(s).try_into().unwrap());
            let mut offset = 0;
            let chunks = v["chunks"].as_array().into_iter().flatten().map(|chunk| {
                let bytes = chunk_of(chunk);
                let at = offset;
                offset += bytes.len() as u64;
                (at, bytes.len() as u32, ChunkHash::of(&bytes).0)
            });
            let payload = payload_root(salt.as_ref(), chunks);
            let meta = meta_hash(&bytes_of(&v["meta"]));
            let time = CommitTime(v["commit_time_ns"].as_u64().unwrap());
            let entry = LeafEntry::new(identity, Seq(v["seq"].as_u64().unwrap()), time, &meta, &payload);
            assert_eq!(meta[..], bytes_of(&v["meta_hash"]), "{}", v["name"]);
            assert_eq!(payload[..], bytes_of(&v["payload_root"]), "{}", v["name"]);
            assert_eq!(entry.as_bytes()[..], bytes_of(&v["entry"]), "{}", v["name"]);
            assert_eq!(entry.leaf_hash()[..], bytes_of(&v["leaf_hash"]), "{}", v["name"]);
        }
    }

    #[test]
    fn roots_at_every_size_of_the_vectors_come_from_one_pass() {
        let vectors = vectors();
        let roots = vectors["roots"].as_object().unwrap();
        let largest = roots.keys().map(|size| size.parse::<u64>().unwrap()).max().unwrap();
        let mut range = CompactRange::new();
        let mut compared = 0;
        for i in 0..=largest {
            if let Some(root) = roots.get(&i.to_string()) {
                assert_eq!(range.root().to_string(), root.as_str().unwrap(), "size {i}");
                compared += 1;
            }
            range.push(leaf_hash(format!("leaf-{i}").as_bytes()));
        }
        assert_eq!(compared, roots.len());
    }

    /// The eight leaves and their roots that implementations of RFC 6962 test each other with.
    #[test]
    fn roots_match_the_known_trees_of_rfc_6962() {
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (size, root) in roots.iter().enumerate() {
            assert_eq!(root_of(leaves[..size].iter().map(|l| leaf_hash(&hex(l)))).to_string(), *root, "size {size}");
        }
    }

    /// The definition of RFC 6962, by recursion over all leaves.
    fn by_definition(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn roots_equal_the_definition_and_a_range_goes_on_from_its_peaks() {
        let leaves: Vec<_> = (0..130u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        for size in 0..=leaves.len() {
            let mut range = CompactRange::new();
            range.extend(leaves[..size].iter().copied());
            assert_eq!(range.root().0, by_definition(&leaves[..size]), "size {size}");
            let mut resumed = CompactRange::from_peaks(range.size(), range.peaks().to_vec()).unwrap();
            resumed.extend(leaves[size..].iter().copied());
            assert_eq!(resumed.root().0, by_definition(&leaves), "resumed at {size}");
        }
        assert_eq!(CompactRange::from_peaks(3, vec![[0; 32]]), None);
    }
}
