//! Frames of every (kind, version), as the first release that wrote them did (L10), and frames of anything at all.
//!
//! `testdata/golden/<kind>_<name>_v<version>.hex` is written once and never changed: a difference is a change of format
//! and needs a new version beside the old one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;

use super::v1::*;
use super::{Event, EventError, Frame, FrameIter, KINDS, Kind};
use crate::env::{Disk, RealDisk, read_file, write_replace};

/// Set to create the files of pairs that have none yet.
const CREATE_VARIABLE: &str = "NEXUS_GOLDEN_CREATE";
const HEX_LINE_BYTES: usize = 40;

fn golden_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/golden")
}

fn to_hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|b| format!("{b:02x}")).chain(["\n".into()]).collect::<String>();
    bytes.chunks(HEX_LINE_BYTES).map(line).collect()
}

fn from_hex(text: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The committed bytes of a pair.
fn golden(name: &str, encoded: &[u8]) -> Vec<u8> {
    let path = golden_dir().join(name);
    if let Some(text) = read_file(&RealDisk, &path, 1 << 20).unwrap() {
        return from_hex(&text);
    }
    assert!(
        std::env::var_os(CREATE_VARIABLE).is_some(),
        "{name} is missing: run the test with {CREATE_VARIABLE}=1 to create it, look at it, and commit it"
    );
    RealDisk.create_dir_all(&golden_dir()).unwrap();
    write_replace(&RealDisk, &path, to_hex(encoded).as_bytes()).unwrap();
    encoded.to_vec()
}

fn only_frame(bytes: &[u8]) -> Frame<'_> {
    let mut frames = FrameIter::new(bytes);
    let frame = frames.next().unwrap().unwrap();
    assert!(frames.next().is_none());
    frame
}

fn file_name(kind: Kind, name: &str, version: u16) -> String {
    format!("{}_{name}_v{version}.hex", kind.0)
}

fn context() -> Context {
    Context {
        tenant: "acme".into(),
        user: "ada".into(),
        agent: "indexer-7".into(),
        session: "nightly run, long enough not to be stored inline".into(),
        generation: 3,
        request_id: Some("req-0001".into()),
        trace_id: Some([0x5a; 16]),
        process: 4711,
        command: "cargo".into(),
    }
}

fn chunks() -> ChunkList {
    ChunkList {
        chunks: vec![StoredChunk { length: 65_536, hash: [0x11; 32] }, StoredChunk { length: 1, hash: [0x22; 32] }],
    }
}

fn pieces() -> Vec<Piece> {
    vec![
        Piece { file_offset: 0, length: 65_536, skip: 0, chunk: 0 },
        Piece { file_offset: 1 << 33, length: 10, skip: 7, chunk: 1 },
    ]
}

fn foreign() -> Vec<ForeignChunk> {
    vec![ForeignChunk { seq: 41, offset: 4096, length: 17, hash: [0x33; 32] }]
}

fn content() -> FileContent {
    FileContent {
        size: (1 << 33) + 10,
        body: (52 << 16) | 1,
        pieces: pieces(),
        foreign: foreign(),
        content_id: Some([0x44; 32]),
    }
}

fn link_name() -> LinkName {
    LinkName { parent: 1, name: b"second-name".to_vec() }
}

/// One sample of every kind, every field away from its default.
fn samples() -> Vec<Event> {
    let mut samples: Vec<Event> = vec![
        ZoneCreated { name: "projects".into(), mode: 0o40_755, uid: 1000, gid: 100 }.into(),
        Recovered { cut_from: 77, cut_bytes: 4096, rewritten: 5 }.into(),
        AuditGap { after: 76, until_ns: 1_700_000_000_000_000_001 }.into(),
    ];
    samples.extend(zone_samples());
    samples.extend(name_samples());
    samples.extend(file_samples());
    let count = RefusalCount { syscall: 20, reason: 9, inode: 52 << 16, count: 1200 };
    samples.push(Refused { syscall: 27, reason: 9, inode: 52 << 16, path: b"/a/report.txt".to_vec() }.into());
    samples.push(RefusalsCounted { from_ns: 10, until_ns: 20, counts: vec![count], collapsed: 3 }.into());
    samples.push(accessed().into());
    samples
}

fn accessed() -> Accessed {
    Accessed {
        from_ns: 30,
        until_ns: 40,
        inodes: vec![AccessCount { syscall: 2, inode: 52 << 16, at: 77, calls: 5, bytes: 4096 }],
        directories: vec![AccessCount { syscall: 3, inode: 1, at: 0, calls: 2, bytes: 17 }],
        collapsed_calls: 9,
        collapsed_bytes: 1 << 40,
        strict: Some(StrictAccess { path: b"/a/report.txt".to_vec(), reason: 1 }),
    }
}

/// Samples of what the zone says of its clock, its policies and its use.
fn zone_samples() -> Vec<Event> {
    let counts = UsageCounts { changes: 11, refusals: 12, reads: 13, bytes_in: 1 << 33, bytes_out: 15 };
    let count =
        UsageCount { tenant: "acme".into(), user: "ada".into(), agent: "indexer-7".into(), hour: 472_222, counts };
    vec![
        TimeClosed { time_ns: 1_700_000_000_000_000_002 }.into(),
        ClockHeld { wall_ns: 2_000_000_000_000_000_000, carried_ns: 1_700_000_000_000_000_003 }.into(),
        ClockConfirmed { wall_ns: 2_000_000_000_000_000_001, carried_ns: 1_700_000_000_000_000_004 }.into(),
        PolicySet { inode: 52 << 16, path: b"/a".to_vec(), reads: Some(3) }.into(),
        UsageCounted { after: 4096, until: 8192, counts: vec![count] }.into(),
        RequestAnswered { request: [0x55; 32], replies: vec![RequestReply { inode: 52 << 16, created: true }] }.into(),
    ]
}

/// Samples of what changes names.
fn name_samples() -> Vec<Event> {
    let (inode, parent, name, path) = (52 << 16, 1, b"report.txt".to_vec(), b"/a/report.txt".to_vec());
    vec![
        FileCreated {
            inode,
            parent,
            name: name.clone(),
            path: path.clone(),
            mode: 0o100_644,
            uid: 1000,
            gid: 100,
            mtime: Some(-1),
            atime: Some(1_700_000_000_000_000_000),
            content: content(),
        }
        .into(),
        DirectoryCreated {
            inode,
            parent,
            name: b"a".to_vec(),
            path: b"/a".to_vec(),
            mode: 0o40_700,
            uid: 1000,
            gid: 100,
        }
        .into(),
        SymlinkCreated {
            inode,
            parent,
            name: name.clone(),
            path: path.clone(),
            uid: 1000,
            gid: 100,
            mtime: Some(5),
            target: b"../elsewhere/\xff".to_vec(),
        }
        .into(),
        NodeCreated {
            inode,
            parent,
            name: name.clone(),
            path: path.clone(),
            kind: 9,
            mode: 0o660,
            uid: 1000,
            gid: 100,
            mtime: Some(6),
            device: 4 << 32 | 64,
        }
        .into(),
        Linked { inode, parent, name: name.clone(), path: path.clone() }.into(),
        Unlinked { inode, parent, name: name.clone(), path: path.clone(), orphaned: true, promoted: Some(link_name()) }
            .into(),
        DirectoryRemoved { inode, parent, name: b"a".to_vec(), path: b"/a".to_vec() }.into(),
        Renamed {
            inode,
            from_parent: parent,
            from_name: name,
            from_path: path,
            to_parent: 53 << 16,
            to_name: b"final.txt".to_vec(),
            to_path: b"/b/final.txt".to_vec(),
            replaced: 54 << 16,
            replaced_orphaned: true,
            replaced_promoted: Some(link_name()),
        }
        .into(),
    ]
}

/// Samples of what changes one file.
fn file_samples() -> Vec<Event> {
    let (inode, path) = (52 << 16, b"/a/report.txt".to_vec());
    vec![
        AttributesSet {
            inode,
            path: path.clone(),
            mode: Some(0o600),
            uid: Some(1001),
            gid: Some(101),
            atime: Some(-7),
            mtime: Some(7),
            mime: Some("text/markdown".into()),
        }
        .into(),
        XattrSet { inode, path: path.clone(), name: b"user.k".to_vec(), value: b"v\0w".to_vec() }.into(),
        XattrRemoved { inode, path: path.clone(), name: b"user.k".to_vec() }.into(),
        Exchanged {
            inode,
            parent: 1,
            name: b"report.txt".to_vec(),
            path: path.clone(),
            other: 53 << 16,
            other_parent: 54 << 16,
            other_name: b"draft.txt".to_vec(),
            other_path: b"/b/draft.txt".to_vec(),
        }
        .into(),
        DetachedCreated { inode, mode: 0o700, uid: 1000, gid: 100 }.into(),
        Attached { inode, parent: 1, name: b"copy".to_vec(), path: b"/copy".to_vec() }.into(),
        ContentStored { body: (51 << 16) | 2, pieces: pieces(), foreign: foreign() }.into(),
        Written { inode, path: path.clone(), offset: 1 << 33, length: 10, replace: true, content: content() }.into(),
        Truncated { inode, path: path.clone(), size: 12 }.into(),
        OrphansReleased { inodes: vec![inode, 54 << 16] }.into(),
        Punched { inode, path, offset: 4096, length: 8192, body: (52 << 16) | 1 }.into(),
    ]
}

/// Every pair's file name and encoded sample.
fn encoded_samples() -> Vec<(String, Vec<u8>)> {
    let mut encoded = vec![(file_name(Kind::CONTEXT, "context", 1), Vec::new())];
    context().encode(&mut encoded[0].1);
    encoded.push((file_name(Kind::CHUNKS, "chunks", 1), Vec::new()));
    chunks().encode(&mut encoded[1].1);
    for event in samples() {
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        encoded.push((file_name(event.kind(), event.name(), only_frame(&bytes).version), bytes));
    }
    encoded
}

#[test]
fn every_pair_is_written_as_its_golden_frame_and_read_back_from_it() {
    for (name, encoded) in encoded_samples() {
        assert_eq!(to_hex(&encoded), to_hex(&golden(&name, &encoded)), "{name}: the format changed");
    }
    let of = |kind, name, bytes: &[u8]| golden(&file_name(kind, name, 1), bytes);
    assert_eq!(Context::decode(only_frame(&of(Kind::CONTEXT, "context", &[]))).unwrap(), context());
    assert_eq!(ChunkList::decode(only_frame(&of(Kind::CHUNKS, "chunks", &[]))).unwrap(), chunks());
    for event in samples() {
        assert_eq!(Event::decode(only_frame(&of(event.kind(), event.name(), &[]))).unwrap(), event);
    }
    let expected: BTreeSet<_> = encoded_samples().into_iter().map(|(name, _)| name).collect();
    let found = RealDisk.list(&golden_dir()).unwrap().into_iter().map(|n| n.into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected, "a golden file that no test decodes");
}

#[test]
fn there_is_one_sample_for_every_pair() {
    let sampled: Vec<_> = samples().iter().map(|e| (e.kind(), e.name())).collect();
    let declared: Vec<_> = KINDS.iter().map(|&(kind, _, name)| (kind, name)).collect();
    assert_eq!(sampled, declared);
    let mut numbers = BTreeSet::from([Kind::CONTEXT, Kind::CHUNKS]);
    assert!(declared.iter().all(|(kind, _)| numbers.insert(*kind)), "a kind's number is given twice");
}

/// History passes by metas without the bytes of the inode that it looks for (`log::meta`).
#[test]
fn an_event_holds_every_inode_that_it_is_about_as_eight_bytes() {
    // It is the zone's first record, which is looked at whatever it holds.
    for event in samples().into_iter().filter(|event| !matches!(event, Event::ZoneCreated(_))) {
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        event.for_each_inode(|inode| {
            let held = bytes.windows(8).any(|window| window == inode.0.to_le_bytes());
            assert!(held, "{}: inode {inode}", event.name());
        });
    }
}

/// Bytes are hashed: nothing of the memory they were written over, nor of where they stand, may show in them.
#[test]
fn encoded_bytes_depend_on_the_value_alone() {
    let defaults = [
        Event::from(FileCreated::default()),
        Event::from(Unlinked::default()),
        Event::from(Renamed::default()),
        Event::from(AttributesSet::default()),
    ];
    for event in samples().into_iter().chain(defaults) {
        let mut plain = Vec::new();
        event.encode(&mut plain);
        for shift in [0, 1, 3, 16] {
            let mut over_noise = vec![0xa5; 8192];
            over_noise.truncate(shift);
            event.encode(&mut over_noise);
            assert_eq!(over_noise[shift..], plain, "{} at {shift}", event.name());
        }
        assert_eq!(Event::decode(only_frame(&plain)).unwrap(), event);
    }
}

#[test]
fn unknown_pairs_are_named_not_skipped() {
    for (kind, version) in [(0, 1), (15, 1), (16, 0), (16, 2), (u16::MAX, 1)] {
        let frame = Frame { kind: Kind(kind), version, bytes: &[] };
        assert_eq!(Event::decode(frame).unwrap_err(), EventError::Unknown { kind, version });
    }
    let frame = Frame { kind: Kind::CONTEXT, version: 2, bytes: &[] };
    assert_eq!(Context::decode(frame).unwrap_err(), EventError::Unknown { kind: 1, version: 2 });
    let frame = Frame { kind: Kind::CHUNKS, version: 2, bytes: &[] };
    assert_eq!(ChunkList::decode(frame).unwrap_err(), EventError::Unknown { kind: 2, version: 2 });
}

/// Decodes all that the bytes may be. The frames passed never hold more than the bytes given.
fn decode_everything(bytes: &[u8]) {
    let mut total = 0;
    for frame in FrameIter::new(bytes) {
        let Ok(frame) = frame else { break };
        total += 8 + frame.bytes.len();
        decode_as_every_kind(frame.bytes);
        let _ = Event::decode(frame);
    }
    assert!(total <= bytes.len());
}

fn decode_as_every_kind(bytes: &[u8]) {
    for &(kind, version, _) in KINDS {
        if let Ok(event) = Event::decode(Frame { kind, version, bytes }) {
            assert_eq!(event.kind(), kind);
        }
    }
    let _ = Context::decode(Frame { kind: Kind::CONTEXT, version: 1, bytes });
    let _ = ChunkList::decode(Frame { kind: Kind::CHUNKS, version: 1, bytes });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_decode_or_err_as_frames_and_as_every_kind(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode_everything(&bytes);
        decode_as_every_kind(&bytes);
    }

    /// Nearly right bytes reach deeper than random ones.
    #[test]
    fn damaged_frames_decode_or_err(
        sample in any::<proptest::sample::Index>(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let encoded = encoded_samples();
        let mut bytes = sample.get(&encoded).1.clone();
        damage.iter().for_each(|(at, byte)| *at.get_mut(&mut bytes) = *byte);
        decode_everything(&bytes);
        decode_as_every_kind(&bytes[8..]);
        decode_as_every_kind(&bytes[8..][..cut.index(bytes.len() - 7)]);
    }
}
