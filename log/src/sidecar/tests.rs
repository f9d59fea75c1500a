use super::*;
use crate::block::BlockWriter;
use crate::env::{RealDisk, read_file, write_all_at, write_replace};
use crate::event::{About, Term};
use crate::ids::{Incarnation, Inode, ZoneId};
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

/// Of every third record the same, and one inode that most have in common.
fn about(i: u64) -> About {
    let mut inodes = vec![Inode(1), Inode(1000 + i), Inode(900_000_000 + i % 7)];
    inodes.drain(..usize::from(i.is_multiple_of(5)));
    About { inodes, terms: vec![Term(i % 3), Term(9)] }
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
            builder.push(offset(i), time(i), leaf(i), &about(i)).unwrap();
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
    for length in (0..BLOCK_BYTES).step_by(31).chain(BLOCK_BYTES..whole.len()) {
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
    builder.push(4096, CommitTime(5), leaf(0), &about(0)).unwrap();
    for (offset, time) in [(4096, 6), (4000, 6), (4104, 5), (4104, 4)] {
        let error = builder.push(offset, CommitTime(time), leaf(1), &about(1)).unwrap_err();
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
    let changes = [(SECTIONS_OFFSET, &9u32.to_le_bytes()[..]), (TABLE_OFFSET + 8 * TABLE_ENTRY_BYTES, &entry)];
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
    (0..3).for_each(|i| builder.push(offset(i), time(i), leaf(i), &about(i)).unwrap());
    builder.write(&RealDisk, &fx.path, END).unwrap();
    assert_eq!(fx.bytes(), whole, "the same records give the same bytes");
}

fn about_inode(sidecar: &Sidecar, inode: u64) -> Vec<u32> {
    sidecar.records_about(Inode(inode)).unwrap().into_iter().collect()
}

fn with_term(sidecar: &Sidecar, term: u64) -> Vec<u32> {
    sidecar.records_with(Term(term)).unwrap().into_iter().collect()
}

/// Few records in one block, and enough for many blocks and groups that go on in the next one.
#[test]
fn records_are_found_by_what_they_are_about() {
    for records in [1, 3, 6, 40, 3000] {
        let sidecar = Fixture::with_records(records).open().unwrap();
        let all: Vec<About> = (0..records).map(about).collect();
        let places = |has: &dyn Fn(&About) -> bool| -> Vec<u32> {
            (0u32..).zip(&all).filter(|(_, about)| has(about)).map(|(place, _)| place).collect()
        };
        let own = (990..1010).chain(1000 + records - 10..1000 + records + 10);
        for inode in own.chain([1, 2, 500, 5_000_000, u64::MAX]).chain(899_999_999..900_000_009) {
            assert_eq!(about_inode(&sidecar, inode), places(&|a| a.inodes.contains(&Inode(inode))), "inode {inode}");
        }
        for term in [0, 1, 2, 3, 8, 9, 10, u64::MAX] {
            assert_eq!(with_term(&sidecar, term), places(&|a| a.terms.contains(&Term(term))), "term {term}");
        }
        let mut gathered = Gathered::default();
        all.iter().for_each(|about| gathered.push(about));
        assert!(sidecar.says(&gathered).unwrap());
        let mut other = Gathered::default();
        all.iter().skip(1).for_each(|about| other.push(about));
        other.push(&About { inodes: vec![Inode(5)], terms: vec![] });
        assert!(!sidecar.says(&other).unwrap());
    }
}

#[test]
fn many_terms_take_many_blocks_of_the_directory() {
    let fx = Fixture::empty();
    let mut builder = SidecarBuilder::new(IDENTITY, FIRST);
    let records = 1000;
    for i in 0..records {
        let about = About { inodes: vec![], terms: vec![Term(10 * i), Term(10 * i + 3)] };
        builder.push(offset(i), time(i), leaf(i), &about).unwrap();
    }
    builder.write(&RealDisk, &fx.path, END).unwrap();
    let sidecar = fx.open().unwrap();
    for i in 0..records {
        assert_eq!(with_term(&sidecar, 10 * i), [i as u32]);
        assert_eq!(with_term(&sidecar, 10 * i + 3), [i as u32]);
        assert_eq!(with_term(&sidecar, 10 * i + 5), [0; 0]);
    }
    assert_eq!(about_inode(&sidecar, 1), [0; 0], "a segment that is about no inode");
}

/// Whoever asks has the answer of the whole sidecar or an error.
#[test]
fn no_flipped_bit_hides_a_record() {
    let fx = Fixture::with_records(9);
    let whole = fx.bytes();
    let answers = |sidecar: &Sidecar| {
        let inodes = [1, 1000, 1008, 900_000_003, 900_000_006, 7].map(|inode| sidecar.records_about(Inode(inode)));
        let terms = [0, 1, 2, 9, 4].map(|term| sidecar.records_with(Term(term)));
        inodes.into_iter().chain(terms).collect::<Vec<_>>()
    };
    let right: Vec<_> = answers(&fx.open().unwrap()).into_iter().map(Result::unwrap).collect();
    let mut refused = 0;
    for bit in BLOCK_BYTES * 8..whole.len() * 8 {
        fx.put(bit / 8, &[whole[bit / 8] ^ 1 << (bit % 8)]);
        for (answer, right) in answers(&fx.open().unwrap()).into_iter().zip(&right) {
            match answer {
                Ok(answer) => assert_eq!(answer, *right, "bit {bit}"),
                Err(SidecarError::Damaged(_)) => refused += 1,
                Err(error) => panic!("bit {bit}: {error}"),
            }
        }
        fx.put(bit / 8, &[whole[bit / 8]]);
    }
    assert!(refused > 1000, "{refused}");
}

/// What is written is read by every later release: another byte here is another format.
#[test]
fn the_bytes_of_the_index_are_frozen() {
    let mut gathered = Gathered::default();
    (0..200).for_each(|i| gathered.push(&about(i)));
    let crcs = gathered.sections(FIRST).map(|(kind, bytes)| (kind as u16, bytes.len(), crc32fast::hash(&bytes)));
    let frozen = [
        (4, 84, 179_302_065),
        (5, 463, 587_734_037),
        (6, 1058, 1_948_326_807),
        (7, 12, 2_143_436_230),
        (8, 320, 2_472_280_718),
    ];
    assert_eq!(crcs, frozen);
}

/// A sidecar as releases wrote it that did not know what records are about.
#[test]
fn a_sidecar_without_history_still_tells_offsets_and_times() {
    let fx = Fixture::with_records(3);
    let whole = fx.bytes();
    let sidecar = fx.open().unwrap();
    let end = sidecar.sections[2].offset + sidecar.sections[2].length;
    let zeros = [0; 5 * TABLE_ENTRY_BYTES];
    let changes = [(SECTIONS_OFFSET, &3u32.to_le_bytes()[..]), (TABLE_OFFSET + 3 * TABLE_ENTRY_BYTES, &zeros)];
    fx.replace(&resealed(&whole, &changes)[..end.next_multiple_of(SECTION_ALIGN) as usize]);
    let sidecar = fx.open().unwrap();
    sidecar.check_all().unwrap();
    assert_eq!(sidecar.offset_of(FIRST).unwrap(), Some(offset(0)));
    assert!(!sidecar.has_history());
    assert!(matches!(sidecar.records_about(Inode(1)), Err(SidecarError::Missing)));
    assert!(matches!(sidecar.records_with(Term(9)), Err(SidecarError::Missing)));
}

#[test]
fn some_of_the_sections_of_history_are_damage() {
    let fx = Fixture::with_records(3);
    let whole = fx.bytes();
    for section in 3..8 {
        fx.replace(&resealed(&whole, &[(TABLE_OFFSET + section * TABLE_ENTRY_BYTES, &900u16.to_le_bytes())]));
        assert!(matches!(fx.open(), Err(SidecarError::Damaged(_))), "section {section}");
    }
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

    /// Blocks of anything at all whose checksums hold: a typed error or an answer within the segment.
    #[test]
    fn sealed_blocks_of_any_bytes_never_panic(
        contents in proptest::collection::vec(proptest::collection::vec(0u8..40, 1..60), 4),
        entry in proptest::collection::vec(any::<u8>(), 20),
        inode in 0..60u64,
    ) {
        let kinds = [SectionKind::Postings, SectionKind::PostingsIndex, SectionKind::InodeFilter, SectionKind::Terms];
        let fx = Fixture::empty();
        let mut file = Vec::new();
        let mut sections = Vec::new();
        for (kind, content) in kinds.into_iter().zip(&contents) {
            let mut writer = blocks::BlocksWriter::new(FIRST, kind);
            match kind {
                // Bits that are all set let every inode pass.
                SectionKind::InodeFilter => writer.push(&[0xff; 60]),
                SectionKind::Terms => writer.push(&[&[0; 7][..], &content[..1], &entry[8..]].concat()),
                _ => writer.push(content),
            }
            let (bytes, offset) = (writer.finish(), file.len() as u64);
            sections.push(blocks::Blocks { first_seq: FIRST, kind, offset, length: bytes.len() as u64 });
            file.extend_from_slice(&bytes);
        }
        fx.replace(&file);
        let file = RealDisk.open(&fx.path, OpenMode::Read).unwrap();
        let [of_inodes, sparse, filter, directory] = sections[..] else { unreachable!() };
        let postings = postings::Postings { postings: of_inodes, sparse, filter, records: 9 };
        let mut places = Vec::new();
        let found = postings.find(&*file, Inode(inode), |place| places.push(place));
        prop_assert!(places.iter().all(|place| *place < 9) && (found.is_err() || places.is_sorted()));
        let bitmaps = bitmaps::Bitmaps { directory, offset: 0, length: 40, records: 9 };
        for term in 0..40 {
            let _ = bitmaps.find(&*file, Term(term << 56));
        }
        let _ = bitmaps.all(&*file);
    }
}
