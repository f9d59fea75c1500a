//! Random syscalls against the model.

use std::path::Path;
use std::sync::Arc;

use nexus_engine::ZoneOptions;
use nexus_log::env::{Env, RealDisk};
use nexus_projections::store::BTreeStore;
use nexus_tests::generate::{Generator, Scale};
use nexus_tests::long;
use nexus_tests::rig::{Rig, Tables, manual};

fn run(rig: Rig, seed: u64, steps: u64, scale: Scale, advance: &dyn Fn(u64)) {
    let mut rig = rig;
    let mut generator = Generator::new(seed, scale);
    for step in 0..steps {
        let note = format!("seed {seed}, step {step}");
        let (op, outcome) = rig.step(&mut generator);
        eprintln!("{note}: {op:?}: {outcome:?}");
        advance(generator.below(300_000_000));
        match generator.below(100) {
            0..=3 => rig.check_past(&mut generator),
            4..=9 => rig.check_latest(),
            10..=12 => rig.hold_or_release(&mut generator),
            13..=18 => rig.zone.tick().unwrap(),
            19 => drop(rig.zone.digest().unwrap()),
            20 => rig.check_rebuild(),
            21 => rig.check_newest(),
            22 => rig = rig.reopen(true),
            23 => rig = rig.reopen(false),
            _ => {}
        }
    }
    rig = rig.reopen(true);
    rig.check_latest();
    for _ in 0..10 {
        rig.check_past(&mut generator);
    }
    rig.check_rebuild();
    rig.close_and_audit();
}

fn simulated(seed: u64, steps: u64, scale: Scale) {
    let (env, _, clock) = Env::simulated(seed);
    let segment_bytes = if seed.is_multiple_of(2) { 64 << 20 } else { 100_000 };
    let zero_ahead = if seed.is_multiple_of(3) { 0 } else { 20_000 };
    // Usage is counted often, so that counts stand among the calls' records.
    let usage_records = seed.is_multiple_of(2).then_some(20);
    let options = ZoneOptions { usage_records, ..manual(segment_bytes, zero_ahead, 0) };
    let rig = Rig::open(env, Path::new("/zone"), Tables::Memory(BTreeStore::default()), options).unwrap();
    run(rig, seed, steps, scale, &|ns| clock.advance(ns));
}

#[test]
fn random_calls_answer_as_the_model_and_leave_what_it_says() {
    for seed in 0..if long() { 3000 } else { 20 } {
        simulated(seed, 400, Scale { large_per_mille: 4, huge_per_mille: 0 });
    }
}

#[test]
fn random_calls_with_content_of_many_chunks_do_too() {
    for seed in 1000..if long() { 1200 } else { 1006 } {
        simulated(seed, 120, Scale { large_per_mille: 200, huge_per_mille: 30 });
    }
}

#[test]
fn random_calls_on_a_real_disk_do_too() {
    for seed in 5000..if long() { 5050 } else { 5002 } {
        let dir = tempfile::tempdir().unwrap();
        let (simulated, _, clock) = Env::simulated(seed);
        let env = Env { disk: Arc::new(RealDisk), ..simulated };
        let tables = Tables::Fjall(dir.path().join("tables"));
        let options = manual(300_000, 20_000, 0);
        let rig = Rig::open(env, &dir.path().join("zone"), tables, options).unwrap();
        run(rig, seed, 250, Scale { large_per_mille: 4, huge_per_mille: 0 }, &|ns| clock.advance(ns));
    }
}
