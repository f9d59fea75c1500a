//! The fuzz targets, briefly: a fixed seed, inputs made of noise and of valid files changed a little.

mod bodies;

use nexus_log::env::{Disk, MemoryDisk, SplitMix64};
use nexus_log::event::{Event, XattrSet};

use crate::zone::{
    DIR, Given, SMALL, Shape, create, long, options, places, segment_path, sidecar_path, watermark_path,
};

const FILE: Shape = Shape { meta: 40, chunks: &[200, 10] };
const INPUT_BYTES_MAX: u64 = 12_000;

/// Changes some of the input: bits, runs, length.
fn mutate(rng: &mut SplitMix64, input: &mut Vec<u8>) {
    for _ in 0..=rng.below(6) {
        if input.is_empty() {
            input.push(rng.next_u64() as u8);
        }
        let at = rng.below(input.len() as u64) as usize;
        let run = (1 + rng.below(16) as usize).min(input.len() - at);
        match rng.below(7) {
            0 => input[at] ^= 1 << rng.below(8),
            1 => input[at..at + run].fill(rng.next_u64() as u8),
            2 => input[at..at + run].fill(0),
            3 => input.truncate(at),
            4 => {
                let copied = input[at..at + run].to_vec();
                let to = rng.below(input.len() as u64) as usize;
                input.splice(to..to, copied);
            }
            5 => input.extend((0..run).map(|_| rng.next_u64() as u8)),
            _ => {
                let special = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize];
                input[at..at + run.min(4)].fill(special);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX as usize);
}

fn fuzz(body: fn(&[u8]), corpus: &[Vec<u8>], iterations: u64) {
    let mut rng = SplitMix64::new(0x0fa2_2ed5);
    for seed in corpus {
        for mode in 0..6 {
            body(&[&[mode], &seed[..]].concat());
        }
    }
    for _ in 0..iterations * if long() { 200 } else { 1 } {
        let mut input = match rng.below(4) {
            0 => (0..rng.below(400)).map(|_| rng.next_u64() as u8).collect(),
            _ => corpus[rng.below(corpus.len() as u64) as usize].clone(),
        };
        mutate(&mut rng, &mut input);
        input.insert(0, rng.next_u64() as u8);
        body(&input);
    }
}

/// A log with two segments, for its files.
fn files() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let log = create(&disk, options(4096 + 2000, 0));
    let mut given = Given::default();
    for _ in 0..4 {
        assert!(given.append(&log, &[SMALL, FILE], 0));
    }
    log.close().unwrap();
    assert!(disk.exists(&sidecar_path(1)).unwrap());
    disk
}

#[test]
fn any_segment_file_opens_and_verifies_or_errs() {
    let disk = files();
    let whole = disk.read(&segment_path(1)).unwrap();
    let end = places(&disk).values().filter(|p| p.0 == 1).map(|p| p.1 + p.2).max().unwrap();
    let corpus = [whole[4096..end].to_vec(), whole, vec![], vec![0; 5000]];
    let records = places(&disk).values().filter(|p| p.0 == 1).count() as u64;
    assert_eq!(bodies::segment(&[&[2], &corpus[0][..]].concat()), records, "the target reaches behind the checksums");
    fuzz(
        |input| {
            bodies::segment(input);
        },
        &corpus,
        1500,
    );
}

#[test]
fn any_frame_decodes_or_errs() {
    let mut encoded = Vec::new();
    Event::from(XattrSet { value: vec![1; 40], ..XattrSet::default() }).encode(&mut encoded);
    let content = encoded[8..].to_vec();
    fuzz(bodies::event, &[encoded, content, vec![0; 200]], 20_000);
}

#[test]
fn any_watermark_file_opens_or_errs() {
    fuzz(bodies::watermark, &[files().read(&watermark_path()).unwrap(), vec![0; 8192], vec![]], 1000);
}

#[test]
fn any_zone_meta_file_opens_or_errs() {
    let meta = files().read(&std::path::Path::new(DIR).join("meta")).unwrap();
    fuzz(bodies::zone_meta, &[meta, vec![0; 8192], vec![]], 1000);
}

#[test]
fn any_sidecar_file_opens_or_errs() {
    fuzz(bodies::sidecar, &[files().read(&sidecar_path(1)).unwrap(), vec![0; 4096], vec![]], 1000);
}
