//! A zone on a memory disk whose clock, ends and faults a test decides.

use std::path::Path;
use std::sync::Arc;

use nexus_engine::{Caller, Durability, ReadPolicy, RootAttributes, Zone, ZoneOptions, open_zone};
use nexus_log::env::{Env, ManualClock, MemoryDisk};
use nexus_log::event::Event;
use nexus_log::ids::Seq;
use nexus_log::log::{Driver, LogOptions};
use nexus_log::record::Record;
use nexus_projections::store::BTreeStore;

pub(crate) const SECOND: u64 = 1_000_000_000;

pub(crate) struct Sim {
    pub(crate) env: Env,
    pub(crate) disk: MemoryDisk,
    pub(crate) clock: Arc<ManualClock>,
    store: BTreeStore,
    options: ZoneOptions,
    pub(crate) zone: Zone,
}

pub(crate) fn agent(name: &str) -> Caller {
    Caller::agent(name).unwrap()
}

fn open(env: &Env, store: &BTreeStore, options: ZoneOptions) -> Zone {
    let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
    open_zone(env, Path::new("/zone"), root, Arc::new(store.clone()), options).unwrap()
}

impl Sim {
    pub(crate) fn new(reads: Option<ReadPolicy>) -> Sim {
        Sim::with(reads, None, 0)
    }

    pub(crate) fn with(reads: Option<ReadPolicy>, usage_records: Option<u64>, reserve_bytes: u64) -> Sim {
        let (env, disk, clock) = Env::simulated(7);
        let log = LogOptions { driver: Driver::Manual, reserve_bytes, ..LogOptions::default() };
        let options = ZoneOptions { log, manual: true, reads, usage_records };
        let store = BTreeStore::default();
        let zone = open(&env, &store, options);
        Sim { env, disk, clock, store, options, zone }
    }

    /// Time passes and the background work has a turn.
    pub(crate) fn pass(&self, ns: u64) {
        self.clock.advance(ns);
        self.zone.tick().unwrap();
    }

    pub(crate) fn put(&self, who: &Caller, path: &str, content: &[u8]) -> Seq {
        self.zone.put(who, path, content).unwrap().seq.unwrap()
    }

    pub(crate) fn touch(&self, who: &Caller, path: &str) -> Seq {
        let new = nexus_engine::NewFile::default();
        self.zone.create(who, path, &new, false, Durability::Durable).unwrap().seq.unwrap()
    }

    /// The process ends, in order or not, and another opens the zone; `empty`: with tables to be folded anew.
    pub(crate) fn reopen(self, close: bool, empty: bool) -> Sim {
        if close {
            self.zone.close().unwrap();
        }
        let Sim { env, disk, clock, store, options, zone } = self;
        drop(zone);
        let store = if empty { BTreeStore::default() } else { store };
        let zone = open(&env, &store, options);
        Sim { env, disk, clock, store, options, zone }
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        let log = self.zone.log();
        log.records(log.first()).map(Result::unwrap).collect()
    }

    pub(crate) fn events(&self, name: &str) -> Vec<(Record, Event)> {
        let of = |record: Record| record.events.clone().into_iter().map(move |event| (record.clone(), event));
        self.records().into_iter().flat_map(of).filter(|(_, event)| event.name() == name).collect()
    }
}
