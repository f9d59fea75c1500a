//! The innermost steps, each as something that can be done again and again: `cargo bench -p nexus-benches` times them, and
//! a test does each a few times.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use nexus_engine::{Caller, Error, RootAttributes, ZoneOptions, open_zone};
use nexus_log::cursor::Cursor;
use nexus_log::env::{Env, OpenMode, read_exact_at};
use nexus_log::event::{Event, FrameIter};
use nexus_log::ids::{Seq, ZoneIdentity};
use nexus_log::limits::SALT_BYTES;
use nexus_log::log::{Driver, SEGMENTS};
use nexus_log::merkle::{LeafEntry, meta_hash, payload_root};
use nexus_log::record::{Record, UnverifiedBody};
use nexus_log::segment::{HeaderBlock, SEGMENT_HEADER_BYTES, SegmentHeader, file_name};
use nexus_projections::apply::apply;
use nexus_projections::loads::ReadThrough;
use nexus_projections::store::BTreeStore;
use nexus_projections::zone_tables::ZoneTables;

use crate::bed::{SMALL_BYTES, failed};
use crate::measure::creates;

/// Creates that are applied before the tables begin anew.
const CREATES: u64 = 2000;

/// One step.
pub struct Case {
    pub name: &'static str,
    pub run: Box<dyn FnMut()>,
}

/// All of them.
pub fn cases() -> Result<Vec<Case>, Error> {
    let made = Made::new()?;
    let body = made.bodies.last().expect("records were made").clone();
    let record = body.decode().map_err(failed("decode a record"))?;
    let event = record.events[0].clone();
    Ok(vec![
        case("event encode", encode(event.clone())),
        case("event decode", decode(&event)),
        case("record decode, checksums included", record_decode(body.clone())),
        case("apply a create into the memtable", apply_creates(made.records()?)?),
        case("merkle leaf", leaf(made.identity, body, record)),
    ])
}

fn case(name: &'static str, run: impl FnMut() + 'static) -> Case {
    Case { name, run: Box::new(run) }
}

/// Records of a zone in memory: its founding and creates of small files.
struct Made {
    identity: ZoneIdentity,
    bodies: Vec<UnverifiedBody>,
}

impl Made {
    fn new() -> Result<Made, Error> {
        let (env, _, _) = Env::simulated(1);
        let dir = Path::new("/zone");
        let mut options = ZoneOptions { manual: true, ..ZoneOptions::default() };
        options.log.driver = Driver::Manual;
        options.log.reserve_bytes = 0;
        let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
        let zone = open_zone(&env, dir, root, Arc::new(BTreeStore::default()), options)?;
        let (caller, mut content) = (Caller::agent("bench")?, creates::content(SMALL_BYTES));
        for file in 0..CREATES {
            content[..8].copy_from_slice(&file.to_le_bytes());
            zone.put(&caller, &format!("/{file}")[..], &content)?;
        }
        let identity = zone.identity();
        zone.close()?;
        let path = dir.join(SEGMENTS).join(file_name(Seq::FIRST));
        let file = env.disk.open(&path, OpenMode::Read).map_err(failed("open a segment"))?;
        let mut block = vec![0; SEGMENT_HEADER_BYTES as usize];
        read_exact_at(&*file, &mut block, 0).map_err(failed("read a segment"))?;
        let HeaderBlock::Good { header, .. } = SegmentHeader::decode(&block, identity, Seq::FIRST) else {
            unreachable!("the header was just written");
        };
        let crc = Some(header.previous_crc);
        let mut cursor = Cursor::new(file, identity, header.seed(), SEGMENT_HEADER_BYTES, header.first, crc);
        let mut bodies = Vec::new();
        while let Ok(found) = cursor.next_checked().map_err(failed("read a segment"))? {
            bodies.push(found.body);
        }
        // The zone itself is the first; a count of usage may follow the creates.
        assert!(bodies.len() as u64 > CREATES, "every record is in the first segment");
        bodies.truncate(CREATES as usize + 1);
        Ok(Made { identity, bodies })
    }

    fn records(&self) -> Result<Vec<Record>, Error> {
        self.bodies.iter().map(|body| body.decode().map_err(failed("decode a record"))).collect()
    }
}

fn encode(event: Event) -> impl FnMut() {
    let mut out = Vec::new();
    move || {
        out.clear();
        event.encode(black_box(&mut out));
    }
}

fn decode(event: &Event) -> impl FnMut() + use<> {
    let mut frame = Vec::new();
    event.encode(&mut frame);
    move || {
        let frame = FrameIter::new(black_box(&frame)).next().expect("one frame").expect("a sound frame");
        drop(black_box(Event::decode(frame).expect("a sound event")));
    }
}

fn record_decode(body: UnverifiedBody) -> impl FnMut() {
    move || drop(black_box(black_box(&body).decode().expect("a sound record")))
}

fn apply_creates(records: Vec<Record>) -> Result<impl FnMut(), Error> {
    let fresh = || ZoneTables::open(Arc::new(BTreeStore::default()), 1);
    let mut tables = fresh().map_err(failed("make tables"))?;
    let mut next = 0;
    Ok(move || {
        if next == records.len() {
            tables = fresh().expect("tables in memory");
            next = 0;
        }
        let set = apply(&records[next], &ReadThrough::new(&tables)).expect("a sound record");
        tables.insert(set);
        next += 1;
    })
}

fn leaf(identity: ZoneIdentity, body: UnverifiedBody, record: Record) -> impl FnMut() {
    move || {
        let salt = body.payload().first_chunk::<SALT_BYTES>();
        let chunks = record.chunks.iter().map(|c| (u64::from(c.offset), c.length, c.hash.0));
        let (meta, payload) = (meta_hash(black_box(body.meta())), payload_root(salt, chunks));
        black_box(LeafEntry::new(identity, record.seq, record.commit_time, &meta, &payload).leaf_hash());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_done_over_and_over() {
        let cases = cases().unwrap();
        assert_eq!(cases.len(), 5);
        for mut case in cases {
            // Beyond the creates there are, so that the tables begin anew.
            (0..2 * CREATES).for_each(|_| (case.run)());
        }
    }
}
