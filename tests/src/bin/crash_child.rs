//! Works on a data directory until it is killed, and writes a line for each operation that was acknowledged.
//!
//! `crash_child DIR SEED`

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write;
use std::path::PathBuf;

use nexus_engine::{Caller, Durability, NewFile, Nexus, ReadPolicy, ZoneOptions, exists};
use nexus_log::env::{Env, SplitMix64};
use nexus_tests::acks::Worker;
use nexus_tests::rig::ROOT;

const WORKERS: u64 = 4;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap());
    let seed: u64 = args.next().unwrap().parse().unwrap();
    // The checker counts records while the zone is open: its own reads must make none.
    let mut options = ZoneOptions { reads: Some(ReadPolicy::Off), ..ZoneOptions::default() };
    options.log.appender.segment_bytes_max = 4 << 20;
    let nexus = match exists(&Env::real(), &dir).unwrap() {
        true => Nexus::open(&dir, options).unwrap(),
        false => Nexus::init(&dir, ROOT, options).unwrap(),
    };
    let zone = nexus.zone("root").unwrap();
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let zone = &zone;
            scope.spawn(move || {
                let me = Caller::agent(&format!("worker {worker}")).unwrap();
                let rng = SplitMix64::new(seed * WORKERS + worker);
                let directory = format!("/{worker}");
                zone.mkdir(&me, directory.as_str(), &NewFile::default(), false, Durability::Durable).unwrap();
                let agent = format!("worker {worker}");
                let life = zone.log().flushed().0;
                let mut worker = Worker { zone, agent, directory, rng, life, requests: 0 };
                loop {
                    for ack in worker.work() {
                        std::io::stdout().lock().write_all(ack.line().as_bytes()).unwrap();
                    }
                }
            });
        }
    });
}
