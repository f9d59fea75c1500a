//! A zone's log on a memory disk, the records it was given, and what must hold of the two.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nexus_log::appender::AppenderOptions;
use nexus_log::cursor::Cursor;
use nexus_log::env::{Disk, Env, MemoryDisk, OpenMode, Random, SeededRandom, SplitMix64};
use nexus_log::event::{Context, Event, XattrSet};
use nexus_log::ids::{ChunkHash, CommitTime, Incarnation, Seq, Term, ZoneId, ZoneIdentity};
use nexus_log::log::{Driver, Log, LogOptions, OpenError, Opened, SEGMENTS, inspect};
use nexus_log::merkle::{LeafEntry, Root, meta_hash, payload_root, root_of};
use nexus_log::record::{Chunk, Draft, Payload, Record};
use nexus_log::recovery::Proofs;
use nexus_log::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name, parse_file_name};
use nexus_log::verify::{VerifyError, VerifyReport, verify};
use nexus_log::zone_meta::ZoneMeta;

pub(crate) const DIR: &str = "/zone";
pub(crate) const IDENTITY: ZoneIdentity = ZoneIdentity { zone: ZoneId([0xa7; 16]), incarnation: Incarnation(3) };
const TIME_START: u64 = 1_767_225_600_000_000_000;

/// Is the long form of the tests asked for?
pub(crate) fn long() -> bool {
    std::env::var_os("NEXUS_LONG").is_some()
}

pub(crate) fn options(segment_bytes_max: u64, zero_ahead_bytes: u64) -> LogOptions {
    let appender = AppenderOptions { segment_bytes_max, zero_ahead_bytes };
    LogOptions { driver: Driver::Manual, appender, reserve_bytes: 0 }
}

pub(crate) fn env_on(disk: &MemoryDisk, seed: u64) -> Env {
    let (mut env, _, _) = Env::simulated(seed);
    env.disk = Arc::new(disk.clone());
    env
}

pub(crate) fn segment_path(first: u64) -> PathBuf {
    Path::new(DIR).join(SEGMENTS).join(file_name(Seq(first)))
}

pub(crate) fn watermark_path() -> PathBuf {
    Path::new(DIR).join("watermark")
}

pub(crate) fn sidecar_path(first: u64) -> PathBuf {
    Path::new(DIR).join(SEGMENTS).join(nexus_log::sidecar::sidecar_file_name(Seq(first)))
}

/// A new zone: its meta and an empty log.
pub(crate) fn create(disk: &MemoryDisk, options: LogOptions) -> Log {
    let env = env_on(disk, 11);
    env.disk.create_dir_all(DIR.as_ref()).unwrap();
    let created = CommitTime(TIME_START);
    let meta = ZoneMeta { identity: IDENTITY, name: "tests".into(), created, first_seq: Seq::FIRST };
    meta.write(&*env.disk, DIR.as_ref()).unwrap();
    Log::create(&env, DIR.as_ref(), IDENTITY, Seq::FIRST, options).unwrap()
}

pub(crate) fn open_env(env: &Env, proofs: Proofs, options: LogOptions) -> Result<Opened, OpenError> {
    Log::open(env, DIR.as_ref(), IDENTITY, Seq::FIRST, proofs, options)
}

pub(crate) fn open(disk: &MemoryDisk, proofs: Proofs, options: LogOptions) -> Result<Opened, OpenError> {
    open_env(&env_on(disk, 12), proofs, options)
}

/// Looking alone changes no byte (R28).
pub(crate) fn inspect_only(disk: &MemoryDisk, proofs: Proofs) -> Result<nexus_log::log::RecoveryPlan, OpenError> {
    let (before, operations) = (disk.dump(), disk.operations());
    let plan = inspect(&env_on(disk, 13), DIR.as_ref(), IDENTITY, Seq::FIRST, proofs);
    assert!(disk.dump() == before && disk.operations() == operations, "looking wrote");
    plan
}

/// How large a record is: bytes in its meta, and the lengths of its chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) meta: usize,
    pub(crate) chunks: &'static [usize],
}

pub(crate) const SMALL: Shape = Shape { meta: 0, chunks: &[] };

/// A record as it was given to the log.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) record: Record,
    pub(crate) content: Vec<Bytes>,
}

impl Made {
    pub(crate) fn new(seq: Seq, shape: Shape, salt: u64) -> Made {
        let mut rng = SplitMix64::new(seq.0 * 1_000 + salt);
        let mut bytes = |length| (0..length).map(|_| rng.next_u64() as u8).collect::<Vec<u8>>();
        let event = XattrSet { inode: seq.0, path: b"/a".to_vec(), name: b"user.x".to_vec(), value: bytes(shape.meta) };
        let content: Vec<Bytes> = shape.chunks.iter().map(|length| Bytes::from(bytes(*length))).collect();
        Made::of(seq, vec![event.into()], content)
    }

    pub(crate) fn of(seq: Seq, events: Vec<Event>, content: Vec<Bytes>) -> Made {
        let mut offset = 0;
        let chunks = content.iter().map(|bytes| {
            let chunk = Chunk { offset, length: bytes.len() as u32, hash: ChunkHash::of(bytes) };
            offset += chunk.length;
            chunk
        });
        let record = Record {
            identity: IDENTITY,
            seq,
            term: Term(1),
            commit_time: CommitTime(TIME_START + seq.0 * 1_000),
            context: Context { agent: format!("agent-{}", seq.0 % 3), ..Context::default() },
            chunks: chunks.collect(),
            events,
        };
        Made { record, content }
    }

    pub(crate) fn draft(&self, random: &dyn Random) -> Draft {
        let r = &self.record;
        let payload = (!self.content.is_empty()).then(|| Payload::new(random, self.content.clone()));
        Draft::new(random, (r.seq, r.term, r.commit_time), &r.context, &r.events, payload)
    }
}

/// What a log was given, and how much of it was acknowledged. Seq n is at index n - 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) made: Vec<Made>,
    pub(crate) acked: Seq,
}

impl Given {
    pub(crate) fn next(&self) -> Seq {
        Seq(self.made.len() as u64 + 1)
    }

    /// Appends records and waits for the last. True if they were acknowledged.
    pub(crate) fn append(&mut self, log: &Log, shapes: &[Shape], salt: u64) -> bool {
        let random = SeededRandom::new(self.next().0 * 31 + salt);
        for shape in shapes {
            let made = Made::new(self.next(), *shape, salt);
            if log.append(made.draft(&random)).is_err() {
                return false;
            }
            self.made.push(made);
        }
        let last = self.next().prev();
        let acked = log.wait(last).is_ok();
        if acked {
            self.acked = last;
        }
        acked
    }

    /// The log shows all that was acknowledged, and of the rest a prefix, all as given; nothing else (L3).
    pub(crate) fn check(&self, log: &Log) {
        let last = log.flushed();
        assert!(last >= self.acked, "acknowledged up to {}, found {last}", self.acked);
        assert!(last < self.next(), "{last} was never given");
        let records: Vec<Record> = log.records(Seq::FIRST).map(|r| r.unwrap()).collect();
        assert_eq!(records.len() as u64, last.0);
        for (record, made) in records.iter().zip(&self.made) {
            assert_eq!(*record, made.record);
            for (index, content) in made.content.iter().enumerate() {
                assert_eq!(log.chunk(&record.chunk_ref(index).unwrap()).unwrap(), content);
            }
        }
    }

    /// Forgets what the log does not hold, as an opened log says.
    pub(crate) fn truncate(&mut self, last: Seq) {
        self.made.truncate(last.0 as usize);
        self.acked = last;
    }
}

/// A step of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Records appended before one wait: one batch.
    Batch(&'static [Shape]),
    /// Idle turns: the watermark, sidecars.
    Idle,
    /// Closed in order and opened again.
    Reopen,
}

/// Runs `steps` until one fails. The log, if it is still open.
pub(crate) fn run(env: &Env, steps: &[Step], options: LogOptions, log: Log, given: &mut Given) -> Option<Log> {
    let mut log = log;
    for step in steps {
        match step {
            Step::Batch(shapes) => {
                if !given.append(&log, shapes, 0) {
                    return Some(log);
                }
            }
            Step::Idle => {
                let before = log.tick(Seq::ZERO);
                log.tick(before);
            }
            Step::Reopen => {
                if log.close().is_err() {
                    return Some(log);
                }
                drop(log);
                let opened = open_env(env, Proofs { applied: given.acked, signed: Seq::ZERO }, options).ok()?;
                assert!(opened.report.cut.is_none());
                assert_eq!(opened.report.last, given.acked);
                log = opened.log;
            }
        }
    }
    Some(log)
}

/// First seqs of the segment files there are.
pub(crate) fn segments_on(disk: &MemoryDisk) -> Vec<u64> {
    let names = disk.list(&Path::new(DIR).join(SEGMENTS)).unwrap();
    names.iter().filter_map(|n| parse_file_name(n)).map(|s| s.0).collect()
}

pub(crate) fn header_of(disk: &MemoryDisk, first: u64) -> SegmentHeader {
    let bytes = disk.read(&segment_path(first)).unwrap();
    match SegmentHeader::decode(&bytes[..SEGMENT_HEADER_BYTES as usize], IDENTITY, Seq(first)) {
        HeaderBlock::Good { header, .. } => header,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn cursor_over(disk: &MemoryDisk, first: u64) -> Cursor {
    let header = header_of(disk, first);
    let file = disk.open(&segment_path(first), OpenMode::Read).unwrap();
    Cursor::new(file, IDENTITY, header.seed(), SEGMENT_HEADER_BYTES, Seq(first), Some(header.previous_crc))
}

/// Where each record stands: seq to (first seq of its segment, offset, bytes).
pub(crate) fn places(disk: &MemoryDisk) -> BTreeMap<u64, (u64, usize, usize)> {
    let mut places = BTreeMap::new();
    for first in segments_on(disk) {
        let mut cursor = cursor_over(disk, first);
        while let Ok(found) = cursor.next_checked().unwrap() {
            let bytes = (found.end() - found.offset) as usize;
            places.insert(found.prefix().seq.0, (first, found.offset as usize, bytes));
        }
    }
    places
}

/// The leaves of the tree, from the bytes of the segments alone.
pub(crate) fn leaves_on(disk: &MemoryDisk) -> Vec<[u8; 32]> {
    let mut leaves = Vec::new();
    for first in segments_on(disk) {
        let mut cursor = cursor_over(disk, first);
        while let Ok(found) = cursor.next_checked().unwrap() {
            let record = found.body.decode().unwrap();
            let chunks = record.chunks.iter().map(|c| (u64::from(c.offset), c.length, c.hash.0));
            let payload = payload_root(found.body.payload().first_chunk(), chunks);
            let meta = meta_hash(found.body.meta());
            leaves.push(LeafEntry::new(IDENTITY, record.seq, record.commit_time, &meta, &payload).leaf_hash());
        }
    }
    leaves
}

pub(crate) fn root_on(disk: &MemoryDisk, size: u64) -> Root {
    root_of(leaves_on(disk).into_iter().take(size as usize))
}

/// Verifies; that writes nothing and takes no lock.
pub(crate) fn verified(disk: &MemoryDisk) -> VerifyReport {
    verified_with(disk, Proofs::default()).unwrap()
}

pub(crate) fn verified_with(disk: &MemoryDisk, proofs: Proofs) -> Result<VerifyReport, VerifyError> {
    let operations = disk.operations();
    let report = verify(&env_on(disk, 14), DIR.as_ref(), proofs, &mut ());
    assert_eq!(disk.operations(), operations, "verifying wrote");
    report
}
