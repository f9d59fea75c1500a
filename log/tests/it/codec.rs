//! Records survive the round trip, and any bytes at all are read without a panic (R12).

use nexus_log::cursor::Cursor;
use nexus_log::env::{Disk, MemoryDisk, OpenMode, SeededRandom};
use nexus_log::event::{Event, XattrSet, ZoneCreated};
use nexus_log::ids::Seq;
use nexus_log::record::{BadPrefix, Expected, PREFIX_BYTES, Prefix, Seed};
use nexus_log::segment::SEGMENT_HEADER_BYTES;
use proptest::prelude::*;

use crate::zone::{Given, IDENTITY, Made, SMALL, create, cursor_over, header_of, options, places, segment_path};

const SEED: [u8; 16] = [5; 16];

fn config(cases: u32) -> ProptestConfig {
    let cases = if crate::zone::long() { cases * 20 } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Walks whatever is in `bytes`; the walk moves forward and ends.
fn walk(bytes: &[u8]) -> u64 {
    let disk = MemoryDisk::new();
    disk.overwrite("/f".as_ref(), bytes).unwrap();
    let file = disk.open("/f".as_ref(), OpenMode::Read).unwrap();
    let mut cursor = Cursor::new(file, IDENTITY, Seed::new(&SEED), 0, Seq::FIRST, None);
    let mut records = 0;
    loop {
        let before = cursor.offset();
        match cursor.next_record().unwrap() {
            Ok(record) => assert_eq!(record.seq, Seq(records + 1)),
            Err(_) => return records,
        }
        assert!(cursor.offset() >= before + PREFIX_BYTES as u64);
        records += 1;
    }
}

/// A prefix whose checksum holds, whatever it says.
fn checksummed(mut prefix: [u8; PREFIX_BYTES]) -> [u8; PREFIX_BYTES] {
    prefix[..4].copy_from_slice(b"NXR1");
    let crc = crc32fast::hash(&[&SEED[..], &prefix[..84]].concat());
    prefix[84..].copy_from_slice(&crc.to_le_bytes());
    prefix
}

fn small_lengths() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![(0..200u32, 0..200u32), any::<(u32, u32)>()]
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn any_bytes_are_walked_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(walk(&bytes), 0);
    }

    #[test]
    fn a_prefix_that_says_anything_is_bounded_by_its_format(
        noise in proptest::collection::vec(any::<u8>(), PREFIX_BYTES),
        (meta, payload) in small_lengths(),
        seq in 0..3u64,
        body in proptest::collection::vec(any::<u8>(), 0..400),
        as_format in any::<bool>(),
    ) {
        let mut prefix: [u8; PREFIX_BYTES] = noise.try_into().unwrap();
        if as_format {
            prefix[4..8].copy_from_slice(&[1, 0, 0, 0]);
            prefix[8..24].copy_from_slice(&IDENTITY.zone.0);
            prefix[24..32].copy_from_slice(&IDENTITY.incarnation.0.to_le_bytes());
            prefix[32..40].copy_from_slice(&seq.to_le_bytes());
            prefix[56..60].copy_from_slice(&meta.to_le_bytes());
            prefix[60..64].copy_from_slice(&payload.to_le_bytes());
            prefix[64..72].copy_from_slice(&0u64.to_le_bytes());
        }
        let prefix = checksummed(prefix);
        let expected = Expected { identity: IDENTITY, seq: None, previous_crc: None };
        if let Ok(checked) = Prefix::check(&prefix, &Seed::new(&SEED), &expected) {
            prop_assert!(checked.record_bytes() < 10 << 20);
            prop_assert!(checked.flushed < checked.seq);
        }
        walk(&[&prefix[..], &body].concat());
    }

    /// A meta whose checksum holds and which is anything behind its salt.
    #[test]
    fn a_checksummed_meta_that_is_anything_decodes_or_errs(
        meta in proptest::collection::vec(any::<u8>(), 16..300),
        frames in any::<bool>(),
    ) {
        let mut meta = meta;
        if frames && meta.len() > 24 {
            let length = (meta.len() - 24) as u32;
            meta[16..20].copy_from_slice(&[1, 0, 1, 0]);
            meta[20..24].copy_from_slice(&length.to_le_bytes());
        }
        let mut prefix = [0; PREFIX_BYTES];
        prefix[4] = 1;
        prefix[8..24].copy_from_slice(&IDENTITY.zone.0);
        prefix[24..32].copy_from_slice(&IDENTITY.incarnation.0.to_le_bytes());
        prefix[32..40].copy_from_slice(&1u64.to_le_bytes());
        prefix[56..60].copy_from_slice(&(meta.len() as u32).to_le_bytes());
        prefix[72..76].copy_from_slice(&crc32fast::hash(&meta).to_le_bytes());
        let mut bytes = [&checksummed(prefix)[..], &meta].concat();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        prop_assert_eq!(walk(&bytes), 0, "no meta of random bytes is a record");
    }

    #[test]
    fn a_record_reads_back_as_it_was_drafted(
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..6),
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2000), 0..5),
        agent in ".{0,20}",
    ) {
        let event = |value: &Vec<u8>| Event::from(XattrSet { value: value.clone(), ..XattrSet::default() });
        let mut made = Made::of(Seq::FIRST, values.iter().map(event).collect(), chunks.into_iter().map(Into::into).collect());
        made.record.context.agent = agent;
        let disk = MemoryDisk::new();
        let log = create(&disk, options(1 << 20, 0));
        log.append(made.draft(&SeededRandom::new(1))).unwrap();
        log.wait(Seq::FIRST).unwrap();
        prop_assert_eq!(&log.record(Seq::FIRST).unwrap(), &made.record);
        for (index, content) in made.content.iter().enumerate() {
            prop_assert_eq!(&log.chunk(&made.record.chunk_ref(index).unwrap()).unwrap(), content);
        }
        let found = cursor_over(&disk, 1).next_checked().unwrap().unwrap();
        prop_assert_eq!(found.body.decode_and_hash().unwrap(), made.record);
        prop_assert_eq!(found.end() % 8, 0);
    }
}

/// The same seed, another zone or another life of it (R11).
#[test]
fn a_prefix_of_another_zone_or_incarnation_is_foreign() {
    let mut own = [0; PREFIX_BYTES];
    own[4] = 1;
    own[8..24].copy_from_slice(&IDENTITY.zone.0);
    own[24..32].copy_from_slice(&IDENTITY.incarnation.0.to_le_bytes());
    own[32] = 1;
    own[56] = 16;
    let expected = Expected { identity: IDENTITY, seq: Some(Seq(1)), previous_crc: Some(0) };
    let check = |prefix| Prefix::check(&checksummed(prefix), &Seed::new(&SEED), &expected);
    assert!(check(own).is_ok());
    for at in 8..32 {
        let mut foreign = own;
        foreign[at] ^= 1;
        assert_eq!(check(foreign), Err(BadPrefix::Foreign), "byte {at}");
    }
}

/// The largest record there may be, and one byte of content less than a multiple of 8.
#[test]
fn the_largest_record_and_the_smallest_read_back() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(64 << 20, 0));
    let chunks = vec![bytes::Bytes::from(vec![7; 1 << 20]); 8];
    let large = Made::of(Seq::FIRST, vec![ZoneCreated::default().into()], chunks);
    let small = Made::of(Seq(2), vec![ZoneCreated::default().into()], vec![bytes::Bytes::from_static(b"x")]);
    for made in [&large, &small] {
        log.append(made.draft(&SeededRandom::new(1))).unwrap();
    }
    log.wait(Seq(2)).unwrap();
    for made in [&large, &small] {
        assert_eq!(log.record(made.record.seq).unwrap(), made.record);
    }
}

/// Every prefix of a valid file, cut at any byte, is walked to the last whole record.
#[test]
fn a_file_cut_at_any_byte_ends_behind_its_last_whole_record() {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(1 << 20, 0));
    let mut given = Given::default();
    assert!(given.append(&log, &[SMALL, SMALL, SMALL], 0));
    let (places, header) = (places(&disk), header_of(&disk, 1));
    let bytes = disk.read(&segment_path(1)).unwrap();
    for length in SEGMENT_HEADER_BYTES as usize..=bytes.len() {
        disk.overwrite("/f".as_ref(), &bytes[..length]).unwrap();
        let file = disk.open("/f".as_ref(), OpenMode::Read).unwrap();
        let mut cursor = Cursor::new(file, IDENTITY, header.seed(), SEGMENT_HEADER_BYTES, Seq::FIRST, Some(0));
        let mut whole = 0;
        while cursor.next_record().unwrap().is_ok() {
            whole += 1;
        }
        let expected = places.values().filter(|(_, at, bytes)| at + bytes <= length).count();
        assert_eq!(whole, expected, "{length} bytes");
    }
}
