//! What every fuzz target does with its input: any bytes give an answer or a typed error, never a panic. Used by the
//! targets in fuzz/ and, briefly, by the normal tests; so it depends on nothing but the crate itself.

use std::path::Path;
use std::sync::Arc;

use nexus_log::env::{Disk, Env, MemoryDisk};
use nexus_log::event::{ChunkList, Context, Event, Frame, FrameIter, KINDS, Kind};
use nexus_log::ids::{CommitTime, Incarnation, Seq, ZoneId, ZoneIdentity};
use nexus_log::log::{Driver, Log, LogOptions, SEGMENTS, inspect};
use nexus_log::recovery::Proofs;
use nexus_log::segment::{SegmentHeader, file_name};
use nexus_log::sidecar::{Sidecar, sidecar_file_name};
use nexus_log::verify::verify;
use nexus_log::watermark::Watermark;
use nexus_log::zone_meta::ZoneMeta;

pub(crate) const IDENTITY: ZoneIdentity = ZoneIdentity { zone: ZoneId([0xa7; 16]), incarnation: Incarnation(3) };
pub(crate) const SEED: [u8; 16] = [9; 16];
const DIR: &str = "/zone";
const PREFIX_BYTES: usize = 88;
const BLOCK_BYTES: usize = 4096;

fn env() -> (Env, MemoryDisk) {
    let (env, disk, _) = Env::simulated(1);
    let folder = Path::new(DIR).join(SEGMENTS);
    env.disk.create_dir_all(&folder).expect("the memory disk makes folders");
    (env, disk)
}

fn put(disk: &MemoryDisk, name: &str, bytes: &[u8]) {
    disk.overwrite(&Path::new(DIR).join(name), bytes).expect("the folder is there");
}

fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = !0u32;
    for byte in parts.iter().copied().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// Makes the checksums of whatever stands where records are expected hold, so that what is behind them is reached.
fn with_checksums(mut records: Vec<u8>) -> Vec<u8> {
    let (mut at, mut previous) = (0, 0);
    for seq in 1..64u64 {
        if at + PREFIX_BYTES > records.len() {
            break;
        }
        let (meta, payload) = (u32_at(&records, at + 56), u32_at(&records, at + 60));
        let body = at + PREFIX_BYTES;
        let Some(end) = body.checked_add(meta).and_then(|e| e.checked_add(payload)) else { break };
        records[at..at + 8].copy_from_slice(b"NXR1\x01\0\0\0");
        records[at + 8..at + 24].copy_from_slice(&IDENTITY.zone.0);
        records[at + 24..at + 32].copy_from_slice(&IDENTITY.incarnation.0.to_le_bytes());
        records[at + 32..at + 40].copy_from_slice(&seq.to_le_bytes());
        if end <= records.len() {
            let meta_crc = crc32(&[&records[body..body + meta]]);
            let payload_crc = if payload == 0 { 0 } else { crc32(&[&records[body + meta..end]]) };
            records[at + 72..at + 76].copy_from_slice(&meta_crc.to_le_bytes());
            records[at + 76..at + 80].copy_from_slice(&payload_crc.to_le_bytes());
        }
        records[at + 80..at + 84].copy_from_slice(&u32::to_le_bytes(previous));
        previous = crc32(&[&SEED, &records[at..at + 84]]);
        records[at + 84..at + 88].copy_from_slice(&previous.to_le_bytes());
        at = end.next_multiple_of(8);
    }
    records
}

/// The header of the segment that [`segment`] puts before its input.
pub(crate) fn header() -> SegmentHeader {
    SegmentHeader { identity: IDENTITY, first: Seq::FIRST, previous_time: CommitTime(0), previous_crc: 0, seed: SEED }
}

/// A segment file: by the first byte, all of it, records as they come, or records whose checksums hold. Returns how
/// many records were read.
pub(crate) fn segment(data: &[u8]) -> u64 {
    let Some((mode, data)) = data.split_first() else { return 0 };
    let content = match mode % 3 {
        0 => data.to_vec(),
        1 => [header().encode(), data.to_vec()].concat(),
        _ => [header().encode(), with_checksums(data.to_vec())].concat(),
    };
    let (env, disk) = env();
    let name = Path::new(SEGMENTS).join(file_name(Seq::FIRST));
    put(&disk, name.to_str().expect("ASCII"), &content);
    let created = CommitTime(1);
    let meta = ZoneMeta { identity: IDENTITY, name: "f".into(), created, first_seq: Seq::FIRST };
    meta.write(&*env.disk, DIR.as_ref()).expect("the memory disk writes");
    let verified = verify(&env, DIR.as_ref(), Proofs::default(), &mut ());
    let plan = inspect(&env, DIR.as_ref(), IDENTITY, Seq::FIRST, Proofs::default());
    let options = LogOptions { driver: Driver::Manual, reserve_bytes: 0, ..LogOptions::default() };
    let opened = Log::open(&env, DIR.as_ref(), IDENTITY, Seq::FIRST, Proofs::default(), options);
    let Ok(opened) = opened else { return 0 };
    let log = opened.log;
    assert_eq!(plan.expect("opening looks first").last, log.flushed());
    let read = log.records(Seq::FIRST).take_while(Result::is_ok).count() as u64;
    assert!(read <= log.flushed().0);
    if verified.is_ok_and(|report| !report.is_damaged()) {
        assert_eq!(read, log.flushed().0, "what verified can be read");
        log.root(read).expect("what verified has a root");
    }
    read
}

/// Kind, version and content of a frame, and the rest as frames.
pub(crate) fn event(data: &[u8]) {
    for frame in FrameIter::new(data).flatten() {
        let _ = Event::decode(frame);
        let _ = Context::decode(frame);
        let _ = ChunkList::decode(frame);
    }
    let Some((kind, bytes)) = data.split_first() else { return };
    let kinds = [(Kind::CONTEXT, 1, ""), (Kind::CHUNKS, 1, "")];
    let (kind, version, _) = *kinds.iter().chain(KINDS).cycle().nth(usize::from(*kind)).expect("it cycles");
    let frame = Frame { kind, version, bytes };
    if let Ok(event) = Event::decode(frame) {
        let mut encoded = Vec::new();
        event.encode(&mut encoded);
        let again = FrameIter::new(&encoded).next().expect("one frame").expect("whole");
        assert!(Event::decode(again).is_ok_and(|e| e == event), "what decodes is encoded and decoded again");
    }
    let _ = Context::decode(frame);
    let _ = ChunkList::decode(frame);
}

/// `data` in blocks; by the first byte their checksums, magic and identity are made to hold.
fn blocks(data: &[u8], magic: &[u8; 8], count: usize) -> Vec<u8> {
    let Some((mode, data)) = data.split_first() else { return Vec::new() };
    let mut bytes = data.to_vec();
    if mode % 2 == 0 {
        return bytes;
    }
    bytes.resize(bytes.len().max(count * BLOCK_BYTES), 0);
    for block in bytes.chunks_exact_mut(BLOCK_BYTES).take(count) {
        block[..8].copy_from_slice(magic);
        block[8..16].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        block[16..32].copy_from_slice(&IDENTITY.zone.0);
        block[32..40].copy_from_slice(&IDENTITY.incarnation.0.to_le_bytes());
        let crc = crc32(&[&block[..BLOCK_BYTES - 4]]);
        block[BLOCK_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

pub(crate) fn watermark(data: &[u8]) {
    let (env, disk) = env();
    put(&disk, "watermark", &blocks(data, b"NEXUSWMK", 2));
    let path = Path::new(DIR).join("watermark");
    let Ok((mut watermark, state)) = Watermark::open(&env.disk, &path, IDENTITY) else { return };
    watermark.persist(Seq(7), true).expect("the memory disk writes");
    let (_, after) = Watermark::open(&env.disk, &path, IDENTITY).expect("it was just written");
    let mark = after.mark.expect("a mark was just written");
    assert_eq!((mark.flushed, mark.clean), (Seq(7), true));
    assert!(state.mark.is_none_or(|before| before.counter < mark.counter));
}

pub(crate) fn zone_meta(data: &[u8]) {
    let (env, disk) = env();
    put(&disk, "meta", &blocks(data, b"NEXUSZMT", 2));
    if let Ok((meta, _)) = ZoneMeta::read(&*env.disk, DIR.as_ref()) {
        meta.write(&*env.disk, DIR.as_ref()).expect("what was read can be written");
        assert_eq!(ZoneMeta::read(&*env.disk, DIR.as_ref()).expect("just written"), (meta, 0));
    }
}

pub(crate) fn sidecar(data: &[u8]) {
    let (env, disk) = env();
    let name = Path::new(SEGMENTS).join(sidecar_file_name(Seq::FIRST));
    put(&disk, name.to_str().expect("ASCII"), &blocks(data, b"NEXUSIDX", 1));
    let path = Path::new(DIR).join(name);
    let disk: Arc<dyn Disk> = env.disk;
    let Ok(sidecar) = Sidecar::open(&*disk, &path, IDENTITY, Seq::FIRST) else { return };
    let _ = sidecar.check_all();
    for seq in [Seq::ZERO, Seq::FIRST, sidecar.last_seq(), sidecar.last_seq().next(), Seq::MAX] {
        let _ = sidecar.offset_of(seq);
        let _ = sidecar.time_of(seq);
        let _ = sidecar.seq_at_or_before(CommitTime(seq.0));
    }
    let _ = sidecar.leaves(Seq::FIRST, Seq::MAX).take(10_000).filter(Result::is_ok).count();
}
