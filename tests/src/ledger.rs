//! What a whole log says: every record decoded, its refusals counted, its Merkle root computed again from the files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nexus_engine::{At, Caller, UsageFilter, Zone};
use nexus_log::cursor::Cursor;
use nexus_log::env::{Env, OpenMode, read_file};
use nexus_log::event::{Event, UsageCounts};
use nexus_log::ids::{Seq, ZoneIdentity};
use nexus_log::log::SEGMENTS;
use nexus_log::merkle::{LeafEntry, Root, meta_hash, payload_root, root_of};
use nexus_log::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, parse_file_name};
use nexus_projections::usage::{add, hour_of, usage_of};

/// Refusals in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Records of their own.
    pub recorded: u64,
    /// Repeats, as numbers.
    pub counted: u64,
    /// Openings after which counts may be missing.
    pub gaps: u64,
}

impl Refusals {
    #[must_use]
    pub fn total(&self) -> u64 {
        self.recorded + self.counted
    }
}

/// Reads every record; seqs have no holes and commit times increase.
pub fn read_all(zone: &Zone) -> Refusals {
    let log = zone.log();
    let mut refusals = Refusals::default();
    let (mut next, mut time) = (log.first(), None);
    for record in log.records(log.first()) {
        let record = record.unwrap();
        assert_eq!(record.seq, next, "seqs have no holes");
        assert!(Some(record.commit_time) > time, "commit times increase, record {next}");
        (next, time) = (record.seq.next(), Some(record.commit_time));
        for event in &record.events {
            match event {
                Event::Refused(_) => refusals.recorded += 1,
                Event::RefusalsCounted(c) => {
                    refusals.counted += c.collapsed + c.counts.iter().map(|c| c.count).sum::<u64>();
                }
                Event::AuditGap(_) => refusals.gaps += 1,
                _ => {}
            }
        }
    }
    assert_eq!(next, log.flushed().next(), "every flushed record was read");
    refusals
}

/// The root over all records in the segment files of the zone's directory, by nothing but the files.
pub fn root_from_files(env: &Env, zone_dir: &Path, identity: ZoneIdentity) -> (u64, Root) {
    let dir = zone_dir.join(SEGMENTS);
    let mut leaves = Vec::new();
    for name in env.disk.list(&dir).unwrap() {
        let Some(first) = parse_file_name(&name) else { continue };
        assert_eq!(first.0, leaves.len() as u64 + 1, "a segment begins behind the one before");
        let path = dir.join(&name);
        let bytes = read_file(&*env.disk, &path, 1 << 30).unwrap().unwrap();
        let block = &bytes[..SEGMENT_HEADER_BYTES as usize];
        let HeaderBlock::Good { header, .. } = SegmentHeader::decode(block, identity, first) else {
            panic!("the header of {}", path.display());
        };
        let file = env.disk.open(&path, OpenMode::Read).unwrap();
        let crc = Some(header.previous_crc);
        let mut cursor = Cursor::new(Arc::clone(&file), identity, header.seed(), SEGMENT_HEADER_BYTES, first, crc);
        while let Ok(found) = cursor.next_checked().unwrap() {
            let record = found.body.decode_and_hash().unwrap();
            let chunks = record.chunks.iter().map(|c| (u64::from(c.offset), c.length, c.hash.0));
            let payload = payload_root(found.body.payload().first_chunk(), chunks);
            let meta = meta_hash(found.body.meta());
            leaves.push(LeafEntry::new(identity, record.seq, record.commit_time, &meta, &payload).leaf_hash());
        }
    }
    (leaves.len() as u64, root_of(leaves))
}

/// Asserts that the log's own root is that of the files.
pub fn assert_root(env: &Env, zone_dir: &Path, zone: &Zone) {
    let (size, root) = root_from_files(env, zone_dir, zone.identity());
    assert_eq!(Seq(size), zone.log().flushed(), "records in the files");
    assert_eq!(zone.log().root(size).unwrap(), root);
}

/// Asserts that usage at the last flushed position is what a count of the whole log comes to.
pub fn assert_usage(zone: &Zone, who: &Caller) {
    let log = zone.log();
    let last = log.flushed();
    let mut counted: BTreeMap<_, UsageCounts> = BTreeMap::new();
    for record in log.records(log.first()).map(Result::unwrap).take_while(|record| record.seq <= last) {
        let counts = usage_of(&record);
        if counts != UsageCounts::default() {
            let of = &record.context;
            let key = (hour_of(record.commit_time), of.tenant.clone(), of.user.clone(), of.agent.clone());
            add(counted.entry(key).or_default(), &counts);
        }
    }
    let usage = zone.usage(who, At::Exactly(last), &UsageFilter::default()).unwrap();
    let told: BTreeMap<_, _> =
        usage.counts.into_iter().map(|c| ((c.hour, c.tenant, c.user, c.agent), c.counts)).collect();
    assert_eq!(told, counted, "usage at {last}");
}
