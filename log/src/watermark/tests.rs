use super::*;
use crate::env::{RealDisk, read_file};
use crate::ids::{Incarnation, ZoneId};
use std::io::IoSlice;

const IDENTITY: ZoneIdentity = ZoneIdentity { zone: ZoneId([1; 16]), incarnation: Incarnation(2) };
const FILE_BYTES: usize = 2 * BLOCK_BYTES;

struct Fixture {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        Fixture { disk: Arc::new(RealDisk), path: dir.path().join("watermark"), _dir: dir }
    }

    fn create(&self) -> Watermark {
        Watermark::create(&self.disk, &self.path, IDENTITY).unwrap()
    }

    fn open(&self) -> (Watermark, WatermarkState) {
        Watermark::open(&self.disk, &self.path, IDENTITY).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        read_file(&*self.disk, &self.path, FILE_BYTES).unwrap().unwrap()
    }

    fn overwrite(&self, offset: usize, bytes: &[u8]) {
        let file = self.disk.open(&self.path, OpenMode::ReadWrite).unwrap();
        write_all_at(&*file, &[bytes], offset as u64).unwrap();
    }
}

fn mark(flushed: u64, clean: bool, counter: u64) -> Option<FlushMark> {
    Some(FlushMark { flushed: Seq(flushed), clean, counter })
}

/// Writes no more than its room, then fails, as a disk does whose power goes. Syncs fail at will.
#[derive(Debug)]
struct FailingFile {
    inner: Arc<dyn DiskFile>,
    write_bytes_max: usize,
    sync_fails: bool,
}

impl DiskFile for FailingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let bytes: Vec<u8> = bufs.iter().flat_map(|b| b.iter().copied()).collect();
        if bytes.len() <= self.write_bytes_max {
            return self.inner.write_at(bufs, offset);
        }
        write_all_at(&*self.inner, &[&bytes[..self.write_bytes_max]], offset)?;
        Err(io::Error::other("power is gone"))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.sync_fails { Err(io::Error::other("sync failed")) } else { self.inner.sync_data() }
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
}

fn make_failing(watermark: &mut Watermark, write_bytes_max: usize, sync_fails: bool) {
    let Phase::Marked { file: Some(file), .. } = &mut watermark.phase else { panic!("the file is not open") };
    *file = Arc::new(FailingFile { inner: Arc::clone(file), write_bytes_max, sync_fails });
}

#[test]
fn marks_survive_reopening_and_slots_take_turns() {
    let fx = Fixture::new();
    let mut watermark = fx.create();
    assert_eq!(fx.open().1, WatermarkState { mark: mark(0, false, 2), faults: [None; 2] });
    for (i, flushed) in [5, 9, 9, 12].into_iter().enumerate() {
        let before = fx.bytes();
        watermark.persist(Seq(flushed), flushed == 12).unwrap();
        let counter = i as u64 + 3;
        let kept = BLOCK_BYTES - slot_offset(counter) as usize;
        assert_eq!(before[kept..][..BLOCK_BYTES], fx.bytes()[kept..][..BLOCK_BYTES], "the newest slot stays");
        assert_eq!(fx.open().1, WatermarkState { mark: mark(flushed, flushed == 12, counter), faults: [None; 2] });
    }
    let (mut watermark, _) = fx.open();
    watermark.persist(Seq(13), false).unwrap();
    assert_eq!(fx.open().1.mark, mark(13, false, 7));
    assert_eq!(fx.bytes().len(), FILE_BYTES);
}

#[test]
fn creating_over_an_existing_file_is_refused() {
    let fx = Fixture::new();
    fx.create().persist(Seq(4), false).unwrap();
    let error = Watermark::create(&fx.disk, &fx.path, IDENTITY).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fx.open().1.mark, mark(4, false, 3));
}

#[test]
fn a_missing_file_gives_no_mark_and_opening_does_not_make_one() {
    let fx = Fixture::new();
    let (mut watermark, state) = fx.open();
    assert_eq!(state, WatermarkState { mark: None, faults: [Some(BlockFault::Missing); 2] });
    assert!(!fx.disk.exists(&fx.path).unwrap());
    watermark.persist(Seq(8), true).unwrap();
    assert_eq!(fx.open().1, WatermarkState { mark: mark(8, true, 2), faults: [None; 2] });
}

#[test]
fn every_bit_flipped_in_one_slot_is_reported_and_the_other_slot_holds() {
    let fx = Fixture::new();
    fx.create().persist(Seq(6), false).unwrap();
    let whole = fx.bytes();
    let newest = slot_offset(3) as usize;
    for at in newest * 8..(newest + BLOCK_BYTES) * 8 {
        fx.overwrite(at / 8, &[whole[at / 8] ^ 1 << (at % 8)]);
        let state = fx.open().1;
        assert_eq!(state, WatermarkState { mark: mark(0, false, 2), faults: [None, Some(BlockFault::Checksum)] });
        fx.overwrite(at / 8, &[whole[at / 8]]);
    }
    assert_eq!(fx.open().1.mark, mark(6, false, 3));
}

#[test]
fn a_torn_slot_leaves_the_mark_before_it_and_is_written_again() {
    for written in (0..BLOCK_BYTES).step_by(512).chain([1, 41, 49, 57, BLOCK_BYTES - 1]) {
        let fx = Fixture::new();
        let mut watermark = fx.create();
        watermark.persist(Seq(6), true).unwrap();
        make_failing(&mut watermark, written, false);
        assert!(watermark.persist(Seq(0x0707), false).is_err());
        let (mut watermark, state) = fx.open();
        assert_eq!(state.mark, mark(6, true, 3), "{written} bytes written");
        watermark.persist(Seq(0x0808), false).unwrap();
        assert_eq!(fx.open().1, WatermarkState { mark: mark(0x0808, false, 4), faults: [None; 2] });
    }
}

#[test]
fn after_a_failed_write_or_sync_the_handle_takes_no_mark() {
    for (write_bytes_max, sync_fails) in [(100, false), (BLOCK_BYTES, true)] {
        let fx = Fixture::new();
        let mut watermark = fx.create();
        make_failing(&mut watermark, write_bytes_max, sync_fails);
        assert!(watermark.persist(Seq(1), false).is_err());
        let left = fx.bytes();
        assert!(watermark.persist(Seq(2), false).is_err());
        assert_eq!(fx.bytes(), left);
    }
}

#[test]
fn two_bad_slots_give_no_mark_and_the_next_mark_heals_both() {
    let fx = Fixture::new();
    fx.create().persist(Seq(6), false).unwrap();
    fx.overwrite(77, b"x");
    fx.overwrite(BLOCK_BYTES + 77, b"x");
    let (mut watermark, state) = fx.open();
    assert_eq!(state, WatermarkState { mark: None, faults: [Some(BlockFault::Checksum); 2] });
    watermark.persist(Seq(7), false).unwrap();
    assert_eq!(fx.open().1, WatermarkState { mark: mark(7, false, 2), faults: [None; 2] });
}

#[test]
fn a_file_cut_short_while_it_was_made_gives_no_mark() {
    for length in [0, 1, BLOCK_BYTES - 1] {
        let fx = Fixture::new();
        drop(fx.create());
        fx.disk.open(&fx.path, OpenMode::ReadWrite).unwrap().set_len(length as u64).unwrap();
        let (mut watermark, state) = fx.open();
        let cut = Some(BlockFault::Unreadable(io::ErrorKind::UnexpectedEof));
        assert_eq!(state, WatermarkState { mark: None, faults: [cut; 2] });
        watermark.persist(Seq(3), false).unwrap();
        assert_eq!(fx.open().1.mark, mark(3, false, 2));
    }
}

#[test]
fn slots_of_other_zones_incarnations_and_places_are_no_proof() {
    let fx = Fixture::new();
    drop(fx.create());
    let whole = fx.bytes();
    let newer = FlushMark { flushed: Seq(99), clean: true, counter: 101 };
    let others =
        [ZoneIdentity { zone: ZoneId([9; 16]), ..IDENTITY }, ZoneIdentity { incarnation: Incarnation(1), ..IDENTITY }];
    for other in others {
        fx.overwrite(BLOCK_BYTES, &slot_bytes(other, newer)[..]);
        let state = fx.open().1;
        assert_eq!(state, WatermarkState { mark: mark(0, false, 2), faults: [None, Some(BlockFault::Foreign(other))] });
    }
    fx.overwrite(BLOCK_BYTES, &whole[..BLOCK_BYTES]);
    assert_eq!(fx.open().1.faults, [None, Some(BlockFault::Misplaced)]);
}

#[test]
fn reserved_bytes_flags_and_impossible_counters_are_refused() {
    let sealed = |offset: usize, bytes: &[u8]| {
        let mut block = BlockWriter::new(KIND, IDENTITY);
        block.put(COUNTER_OFFSET, &1u64.to_le_bytes());
        block.put(offset, bytes);
        block.seal()
    };
    let fx = Fixture::new();
    drop(fx.create());
    let counters = [sealed(COUNTER_OFFSET, &[0]), sealed(COUNTER_OFFSET, &[0xff; 8])];
    for bytes in [sealed(RESERVED_OFFSET, &[1]), sealed(FLAGS_OFFSET, &[2])].into_iter().chain(counters) {
        fx.overwrite(BLOCK_BYTES, &bytes[..]);
        assert_eq!(fx.open().1.faults, [None, Some(BlockFault::Malformed)]);
    }
}

#[test]
fn a_newer_format_stops_the_opener_before_it_could_be_overwritten() {
    let fx = Fixture::new();
    drop(fx.create());
    fx.overwrite(BLOCK_BYTES, &BlockWriter::new(BlockKind { version: 2, ..KIND }, IDENTITY).seal()[..]);
    let error = Watermark::open(&fx.disk, &fx.path, IDENTITY).unwrap_err();
    assert!(matches!(error, WatermarkError::NewerFormat { version: 2 }));
}
