use super::*;
use crate::block::BlockWriter;
use crate::env::{RealDisk, read_file, write_all_at, write_replace};
use crate::ids::{Incarnation, ZoneId};
use crate::merkle;
use proptest::prelude::*;
use std::path::PathBuf;

const IDENTITY: ZoneIdentity = ZoneIdentity { zone: ZoneId([5; 16]), incarnation: Incarnation(1) };
const FIRST: Seq = Seq(100);
const END: SegmentEnd = SegmentEnd { bytes: 1 << 20, last_prefix_crc: 0xdead_beef };

fn leaf(i: u64) -> [u8; 32] {
    merkle::leaf_hash(&i.to_be_bytes())
}

fn offset(i: u64) -> u32 {
    4096 + 8 * i as u32
}

/// Times ten apart, from 1,000 on.
fn time(i: u64) -> CommitTime {
    CommitTime(1000 + 10 * i)
}

struct Fixture {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn empty() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        Fixture { path: dir.path().join(sidecar_file_name(FIRST)), _dir: dir }
    }

    fn with_records(records: u64) -> Fixture {
        let fx = Fixture::empty();
        let mut builder = SidecarBuilder::new(IDENTITY, FIRST);
        for i in 0..records {
            builder.push(offset(i), time(i), leaf(i)).unwrap();
        }
        builder.write(&RealDisk, &fx.path, END).unwrap();
        fx
    }

    fn open(&self) -> Result<Sidecar, SidecarError> {
        Sidecar::open(&RealDisk, &self.path, IDENTITY, FIRST)
    }

    fn bytes(&self) -> Vec<u8> {
        read_file(&RealDisk, &self.path, 1 << 20).unwrap().unwrap()
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        let file = RealDisk.open(&self.path, OpenMode::ReadWrite).unwrap();
        write_all_at(&*file, &[bytes], at as u64).unwrap();
    }

    fn replace(&self, bytes: &[u8]) {
        write_replace(&RealDisk, &self.path, bytes).unwrap();
    }
}

/// A file of the content of `whole` with its header changed and sealed again.
fn resealed(whole: &[u8], changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut header = BlockWriter::new(KIND, IDENTITY);
    header.put(CONTENT_OFFSET, &whole[CONTENT_OFFSET..CONTENT_END]);
    changes.iter().for_each(|(at, bytes)| header.put(*at, bytes));
    [&header.seal()[..], &whole[BLOCK_BYTES..]].concat()
}

#[test]
fn every_record_is_found_by_seq_and_by_time() {
    for records in [1, 2, 3, 7, 100] {
        let sidecar = Fixture::with_records(records).open().unwrap();
        assert_eq!((sidecar.first_seq(), sidecar.last_seq()), (FIRST, Seq(FIRST.0 + records - 1)));
        assert_eq!(u64::from(sidecar.records()), records);
        assert_eq!(sidecar.times(), (time(0), time(records - 1)));
        assert_eq!(sidecar.segment_end(), END);
        for i in 0..records {
            let seq = Seq(FIRST.0 + i);
            assert_eq!(sidecar.offset_of(seq).unwrap(), Some(offset(i)));
            assert_eq!(sidecar.time_of(seq).unwrap(), Some(time(i)));
            for later in 0..10 {
                assert_eq!(sidecar.seq_at_or_before(CommitTime(time(i).0 + later)).unwrap(), Some(seq));
            }
        }
        for outside in [Seq::ZERO, FIRST.prev(), sidecar.last_seq().next(), Seq::MAX] {
            assert_eq!(sidecar.offset_of(outside).unwrap(), None);
            assert_eq!(sidecar.time_of(outside).unwrap(), None);
        }
        assert_eq!(sidecar.seq_at_or_before(CommitTime(999)).unwrap(), None);
        assert_eq!(sidecar.seq_at_or_before(CommitTime(u64::MAX)).unwrap(), Some(sidecar.last_seq()));
        sidecar.check_all().unwrap();
    }
}

#[test]
fn leaves_come_in_order_across_blocks_and_stay_within_the_segment() {
    let records = 5000;
    let sidecar = Fixture::with_records(records).open().unwrap();
    let read = |from: u64, to: u64| sidecar.leaves(Seq(from), Seq(to)).map(Result::unwrap).collect::<Vec<_>>();
    let all: Vec<_> = (0..records).map(leaf).collect();
    assert_eq!(read(0, u64::MAX), all);
    assert_eq!(read(FIRST.0, FIRST.0 + records), all);
    assert_eq!(read(FIRST.0 + 7, FIRST.0 + 2300), all[7..2300]);
    assert_eq!(read(FIRST.0 + 9, FIRST.0 + 9), [[0; 32]; 0]);
    assert_eq!(read(FIRST.0 + 9, FIRST.0 + 3), [[0; 32]; 0]);
    assert_eq!(merkle::root_of(read(0, u64::MAX)), merkle::root_of(all));
}

#[test]
fn every_bit_flipped_in_the_header_is_found_on_opening() {
    let fx = Fixture::with_records(3);
    let whole = fx.bytes();
    for bit in 0..BLOCK_BYTES * 8 {
        fx.put(bit / 8, &[whole[bit / 8] ^ 1 << (bit % 8)]);
        assert!(matches!(fx.open(), Err(SidecarError::Header(BlockFault::Checksum))), "bit {bit}");
        fx.put(bit / 8, &[whole[bit / 8]]);
    }
    fx.open().unwrap();
}

#[test]
fn every_bit_flipped_behind_the_header_is_found_by_the_full_check() {
    let fx = Fixture::with_records(3);
    let whole = fx.bytes();
    for bit in BLOCK_BYTES * 8..whole.len() * 8 {
        fx.put(bit / 8, &[whole[bit / 8] ^ 1 << (bit % 8)]);
        assert!(matches!(fx.open().unwrap().check_all(), Err(SidecarError::Damaged(_))), "bit {bit}");
        fx.put(bit / 8, &[whole[bit / 8]]);
    }
    fx.open().unwrap().check_all().unwrap();
}

#[test]
fn a_file_cut_at_any_length_or_longer_is_refused() {
    let fx = Fixture::with_records(3);
    let whole = fx.bytes();
    for length in 0..whole.len() {
        fx.replace(&whole[..length]);
        let error = fx.open().unwrap_err();
        assert!(matches!(error, SidecarError::Header(_) | SidecarError::Damaged(_)), "length {length}");
    }
    fx.replace(&[&whole[..], &[0; 8]].concat());
    assert!(matches!(fx.open(), Err(SidecarError::Damaged(_))));
}

#[test]
fn missing_foreign_and_misplaced_sidecars_are_told_apart() {
    assert!(matches!(Fixture::empty().open(), Err(SidecarError::Missing)));
    let fx = Fixture::with_records(2);
    let other = ZoneIdentity { incarnation: Incarnation(2), ..IDENTITY };
    let error = Sidecar::open(&RealDisk, &fx.path, other, FIRST).unwrap_err();
    assert!(matches!(error, SidecarError::Header(BlockFault::Foreign(found)) if found == IDENTITY));
    let error = Sidecar::open(&RealDisk, &fx.path, IDENTITY, Seq(7)).unwrap_err();
    assert!(matches!(error, SidecarError::OtherSegment { first_seq: FIRST }));
}

#[test]
fn offsets_and_times_that_cannot_be_are_errors_at_the_read() {
    let fx = Fixture::with_records(9);
    let sidecar = fx.open().unwrap();
    fx.put(sidecar.offsets_at as usize + 4, &u32::MAX.to_le_bytes());
    assert!(matches!(sidecar.offset_of(Seq(FIRST.0 + 1)), Err(SidecarError::Damaged(_))));
    for bad in [0, u64::MAX] {
        fx.put(sidecar.times_at as usize + 4 * 8, &bad.to_le_bytes());
        assert!(matches!(sidecar.seq_at_or_before(time(4)), Err(SidecarError::Damaged(_))));
    }
}

#[test]
fn the_builder_refuses_records_out_of_order() {
    let mut builder = SidecarBuilder::new(IDENTITY, FIRST);
    builder.push(4096, CommitTime(5), leaf(0)).unwrap();
    for (offset, time) in [(4096, 6), (4000, 6), (4104, 5), (4104, 4)] {
        let error = builder.push(offset, CommitTime(time), leaf(1)).unwrap_err();
        assert!(matches!(error, SidecarError::OutOfOrder { seq } if seq == FIRST.next()));
    }
    let fx = Fixture::empty();
    let error = builder.write(&RealDisk, &fx.path, SegmentEnd { bytes: 4096, ..END }).unwrap_err();
    assert!(matches!(error, SidecarError::OutOfOrder { seq: FIRST }));
    assert!(!RealDisk.exists(&fx.path).unwrap());
}

#[test]
fn a_section_of_a_later_release_is_left_alone_but_checked() {
    let fx = Fixture::with_records(3);
    let whole = fx.bytes();
    let content = b"postings";
    let entry = [
        &900u16.to_le_bytes()[..],
        &[0; 2],
        &crc32fast::hash(content).to_le_bytes(),
        &(whole.len() as u64).to_le_bytes(),
        &(content.len() as u64).to_le_bytes(),
    ]
    .concat();
    let changes = [(SECTIONS_OFFSET, &4u32.to_le_bytes()[..]), (TABLE_OFFSET + 3 * TABLE_ENTRY_BYTES, &entry)];
    let mut bytes = resealed(&whole, &changes);
    bytes.extend_from_slice(content);
    fx.replace(&bytes);
    let sidecar = fx.open().unwrap();
    assert_eq!(sidecar.offset_of(FIRST).unwrap(), Some(offset(0)));
    sidecar.check_all().unwrap();
    fx.put(bytes.len() - 1, b"x");
    assert!(matches!(fx.open().unwrap().check_all(), Err(SidecarError::Damaged(_))));
}

#[test]
fn writing_again_replaces_a_damaged_sidecar() {
    let fx = Fixture::with_records(3);
    let whole = fx.bytes();
    fx.replace(b"damaged");
    assert!(fx.open().is_err());
    let mut builder = SidecarBuilder::new(IDENTITY, FIRST);
    (0..3).for_each(|i| builder.push(offset(i), time(i), leaf(i)).unwrap());
    builder.write(&RealDisk, &fx.path, END).unwrap();
    assert_eq!(fx.bytes(), whole, "the same records give the same bytes");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A header sealed over anything at all: a typed error or answers, never a panic, never a huge allocation.
    #[test]
    fn a_sealed_header_of_any_fields_never_panics(
        changes in proptest::collection::vec((CONTENT_OFFSET + 8..180usize, any::<u8>()), 1..6),
        word in prop_oneof![Just(0), Just(u64::MAX), Just(1 << 63), any::<u64>()],
        word_at in prop_oneof![Just(RECORDS_OFFSET), Just(SECTIONS_OFFSET), 48..160usize],
    ) {
        let fx = Fixture::with_records(3);
        let word = word.to_le_bytes();
        let mut list: Vec<(usize, &[u8])> = changes.iter().map(|(at, byte)| (*at, std::slice::from_ref(byte))).collect();
        if changes.len() > 3 {
            list = vec![(word_at, &word)];
        }
        fx.replace(&resealed(&fx.bytes(), &list));
        if let Ok(sidecar) = fx.open() {
            let _ = sidecar.check_all();
            let _ = sidecar.offset_of(sidecar.last_seq());
            let _ = sidecar.time_of(sidecar.first_seq());
            let _ = sidecar.seq_at_or_before(time(1));
            let leaves = sidecar.leaves(Seq::ZERO, Seq::MAX).take(1000).filter(Result::is_ok).count();
            prop_assert!(leaves <= 3);
        }
    }

    /// Any bytes behind an intact header: as above.
    #[test]
    fn sections_of_any_bytes_never_panic(noise in proptest::collection::vec(any::<u8>(), 136), at in any::<u64>()) {
        let fx = Fixture::with_records(3);
        fx.put(BLOCK_BYTES, &noise);
        let sidecar = fx.open().unwrap();
        prop_assert!(sidecar.check_all().is_err());
        let _ = sidecar.offset_of(FIRST);
        let found = sidecar.seq_at_or_before(CommitTime(at));
        prop_assert!(found.is_err() || found.is_ok_and(|seq| seq.is_none_or(|s| s >= FIRST && s <= sidecar.last_seq())));
    }
}
