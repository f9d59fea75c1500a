use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice};

use proptest::prelude::*;

use super::*;
use crate::env::{read_exact_at, write_replace};

const FILE: &str = "/f";

fn disk_with(bytes: &[u8]) -> (MemoryDisk, Arc<dyn DiskFile>) {
    let disk = MemoryDisk::new();
    disk.overwrite(FILE.as_ref(), bytes).unwrap();
    let file = disk.open(FILE.as_ref(), OpenMode::ReadWrite).unwrap();
    (disk, file)
}

fn write(file: &Arc<dyn DiskFile>, bytes: &[u8], offset: u64) {
    write_all_at(&**file, &[bytes], offset).unwrap();
}

fn content(disk: &MemoryDisk) -> Vec<u8> {
    disk.read(FILE.as_ref()).unwrap()
}

fn eio<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|e| e.raw_os_error() == Some(Errno::IO.raw_os_error()))
}

/// The distinct outcomes of a power cut.
fn outcomes<T: Ord>(disk: &MemoryDisk, look: impl Fn(&MemoryDisk) -> T) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    assert!(disk.every_power_cut(1 << 14, &mut |cut| {
        seen.insert(look(&cut));
    }));
    seen
}

fn lost(disk: &MemoryDisk) -> Vec<u8> {
    let fork = disk.fork();
    fork.power_cut(&mut || false);
    content(&fork)
}

fn kept(disk: &MemoryDisk) -> Vec<u8> {
    let fork = disk.fork();
    fork.power_cut(&mut || true);
    content(&fork)
}

#[test]
fn a_write_over_three_sectors_is_kept_in_any_of_eight_ways_and_no_other() {
    let (disk, file) = disk_with(&[1; 1536]);
    write(&file, &[2; 1100], 300);
    let mut expected = BTreeSet::new();
    for mask in 0..8 {
        let mut bytes = vec![1; 1536];
        for at in (300..1400).filter(|at| mask & (1 << (at / 512)) != 0) {
            bytes[at] = 2;
        }
        expected.insert(bytes);
    }
    assert_eq!(outcomes(&disk, content), expected);
}

#[test]
fn an_extension_is_kept_with_a_length_that_covers_what_was_kept() {
    let (disk, file) = disk_with(b"");
    write(&file, &[2; 1400], 0);
    let mut expected = BTreeSet::from([vec![]]);
    for mask in 0..8 {
        expected.insert((0..1400).map(|at| if mask & (1 << (at / 512)) != 0 { 2 } else { 0 }).collect());
    }
    assert_eq!(outcomes(&disk, content), expected);
}

#[test]
fn a_sector_written_twice_holds_what_it_held_after_some_prefix_of_the_writes() {
    let (disk, file) = disk_with(&[1; 4]);
    write(&file, &[2], 1);
    write(&file, &[3], 2);
    let expected = [[1, 1, 1, 1], [1, 2, 1, 1], [1, 2, 3, 1]].map(|b| b.to_vec());
    assert_eq!(outcomes(&disk, content), BTreeSet::from(expected));
}

#[test]
fn an_unsynced_shrink_is_kept_or_lost_whole() {
    let (disk, file) = disk_with(&[1; 1300]);
    file.set_len(600).unwrap();
    file.set_len(1100).unwrap();
    let mut regrown = vec![1; 600];
    let shrunk = regrown.clone();
    regrown.resize(1100, 0);
    assert_eq!(outcomes(&disk, content), BTreeSet::from([vec![1; 1300], shrunk, regrown]));
}

#[test]
fn synced_data_survives_every_cut() {
    let (disk, file) = disk_with(&[1; 600]);
    write(&file, &[2; 900], 100);
    file.set_len(800).unwrap();
    file.sync_data().unwrap();
    let synced = content(&disk);
    assert_eq!(outcomes(&disk, content), BTreeSet::from([synced.clone()]));
    write(&file, &[3; 10], 790);
    for cut in outcomes(&disk, content) {
        assert_eq!(cut[..512], synced[..512]);
    }
}

#[test]
fn after_a_failed_sync_later_syncs_do_not_save_the_data() {
    let (disk, file) = disk_with(&[1; 1024]);
    write(&file, &[2; 512], 0);
    disk.fault_sync(1, SyncFault::Lost);
    assert!(eio(file.sync_data()));
    file.sync_data().unwrap();
    assert_eq!(content(&disk)[..512], [2; 512]);
    assert_eq!(outcomes(&disk, content), BTreeSet::from([vec![1; 1024]]));
    // Writing again makes the pages dirty again (R6, R8).
    write(&file, &[2; 512], 0);
    file.sync_data().unwrap();
    assert_eq!(lost(&disk)[..512], [2; 512]);
}

#[test]
fn a_failed_sync_may_have_saved_part_of_the_data() {
    let mut seen = BTreeSet::new();
    for seed in 0..64 {
        let (disk, file) = disk_with(&[1; 1024]);
        write(&file, &[2; 1024], 0);
        disk.fault_sync(1, SyncFault::Partly { seed });
        assert!(eio(file.sync_all()));
        file.sync_all().unwrap();
        assert_eq!(content(&disk), [2; 1024]);
        seen.extend(outcomes(&disk, |d| (content(d)[0], content(d)[512])));
    }
    assert_eq!(seen, BTreeSet::from([(1, 1), (1, 2), (2, 1), (2, 2)]));
}

#[test]
fn of_the_operations_on_a_directory_a_prefix_is_kept() {
    let disk = MemoryDisk::new();
    disk.overwrite("/d/old".as_ref(), b"").unwrap_err();
    disk.create_dir_all("/d".as_ref()).unwrap();
    disk.overwrite("/d/old".as_ref(), b"").unwrap();
    disk.open("/d/new".as_ref(), OpenMode::CreateNew).unwrap();
    disk.rename("/d/new".as_ref(), "/d/newer".as_ref()).unwrap();
    disk.remove_file("/d/old".as_ref()).unwrap();
    let list = |d: &MemoryDisk| d.list("/d".as_ref()).unwrap().join("-".as_ref()).into_string().unwrap();
    let expected = ["old", "new-old", "newer-old", "newer"].map(String::from);
    assert_eq!(outcomes(&disk, list), BTreeSet::from(expected));
    disk.sync_dir("/d".as_ref()).unwrap();
    assert_eq!(outcomes(&disk, list), BTreeSet::from(["newer".into()]));
}

#[test]
fn a_move_between_directories_never_loses_the_file() {
    let disk = MemoryDisk::new();
    disk.create_dir_all("/a".as_ref()).unwrap();
    disk.create_dir_all("/b".as_ref()).unwrap();
    disk.overwrite("/a/f".as_ref(), b"x").unwrap();
    disk.open("/b/before".as_ref(), OpenMode::CreateNew).unwrap();
    disk.rename("/a/f".as_ref(), "/b/f".as_ref()).unwrap();
    let places = |d: &MemoryDisk| (d.read("/a/f".as_ref()).is_ok(), d.read("/b/f".as_ref()).is_ok());
    assert_eq!(outcomes(&disk, places), BTreeSet::from([(true, false), (true, true), (false, true)]));
    disk.sync_dir("/a".as_ref()).unwrap();
    assert_eq!(outcomes(&disk, places), BTreeSet::from([(false, true)]));
}

#[test]
fn a_synced_file_without_a_synced_name_is_lost() {
    let disk = MemoryDisk::new();
    let file = disk.open(FILE.as_ref(), OpenMode::CreateNew).unwrap();
    write(&file, b"x", 0);
    file.sync_all().unwrap();
    assert_eq!(outcomes(&disk, MemoryDisk::paths).len(), 2);
    disk.fault_sync_dir(1);
    assert!(eio(disk.sync_dir("/".as_ref())));
    assert_eq!(outcomes(&disk, MemoryDisk::paths).len(), 2);
    disk.sync_dir("/".as_ref()).unwrap();
    assert_eq!(lost(&disk), b"x");
}

/// R3, at every operation and with every cut.
#[test]
fn replacing_a_file_leaves_the_old_or_the_new_one() {
    let (start, _) = disk_with(&[1; 700]);
    let mut seen = BTreeSet::new();
    for stop in 1.. {
        let disk = start.fork();
        disk.stop_after(stop);
        let done = write_replace(&disk, FILE.as_ref(), &[2; 900]).is_ok();
        let found = outcomes(&disk, content);
        assert!(found.is_subset(&BTreeSet::from([vec![1; 700], vec![2; 900]])), "stopped at {stop}");
        assert!(!done || found == BTreeSet::from([vec![2; 900]]));
        seen.extend(found);
        if done {
            break;
        }
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_cut_kills_handles_and_releases_locks() {
    let (disk, file) = disk_with(b"old");
    let lock = disk.lock("/lock".as_ref(), "me").unwrap();
    disk.sync_dir("/".as_ref()).unwrap();
    disk.power_cut_seeded(1);
    assert!(eio(file.read_at(&mut [0], 0)) && eio(file.write_at(&[IoSlice::new(b"x")], 0)));
    assert!(eio(file.sync_all()) && eio(file.len()) && eio(file.set_len(0)));
    let held = disk.lock("/lock".as_ref(), "you").unwrap();
    drop(lock);
    assert!(matches!(disk.lock("/lock".as_ref(), "third"), Err(LockError::Held { holder }) if holder == "you"));
    drop((held, file));
    assert_eq!(content(&disk), b"old");
}

#[test]
fn a_fork_is_independent_and_unlocked() {
    let (disk, file) = disk_with(b"old");
    let _held = disk.lock("/lock".as_ref(), "me").unwrap();
    write(&file, b"new", 0);
    let fork = disk.fork();
    fork.overwrite(FILE.as_ref(), b"fork").unwrap();
    let _also = fork.lock("/lock".as_ref(), "me").unwrap();
    assert_eq!((content(&disk), lost(&disk), kept(&disk)), (b"new".into(), b"old".into(), b"new".into()));
    disk.power_cut(&mut || true);
    assert_eq!(content(&fork), b"fork");
}

#[test]
fn a_stop_fails_everything_from_the_nth_operation_on() {
    let (disk, file) = disk_with(&[1; 512]);
    let before = disk.operations();
    disk.stop_after(2);
    write(&file, &[2], 0);
    assert!(eio(file.write_at(&[IoSlice::new(&[3])], 1)));
    assert!(eio(file.write_at(&[IoSlice::new(&[4])], 2)));
    assert!(eio(file.sync_data()) && eio(file.set_len(0)) && eio(disk.sync_dir("/".as_ref())));
    assert!(eio(disk.open("/g".as_ref(), OpenMode::CreateNew)) && eio(disk.create_dir_all("/d".as_ref())));
    assert!(eio(disk.remove_file(FILE.as_ref())) && eio(disk.rename(FILE.as_ref(), "/g".as_ref())));
    assert_eq!(disk.operations(), before + 10);
    assert_eq!(disk.paths(), [Path::new(FILE)]);
    assert_eq!(outcomes(&disk, |d| content(d)[..3].to_vec()), [[1, 1, 1], [2, 1, 1], [2, 3, 1]].map(Vec::from).into());
    disk.power_cut(&mut || false);
    disk.open("/g".as_ref(), OpenMode::CreateNew).unwrap();
}

#[test]
fn the_nth_write_fails_after_the_bytes_asked_for() {
    let (disk, file) = disk_with(&[1; 8]);
    disk.fault_write(2, WriteFault::Fail { after_bytes: 3 }).unwrap();
    write(&file, &[2; 8], 0);
    assert!(eio(write_all_at(&*file, &[&[3; 4], &[4; 4]], 0)));
    assert_eq!(content(&disk), [3, 3, 3, 2, 2, 2, 2, 2]);
    write(&file, &[5; 8], 0);
    disk.fault_write(1, WriteFault::Fail { after_bytes: 0 }).unwrap();
    assert!(eio(write_all_at(&*file, &[&[6; 8]], 0)));
    assert_eq!(content(&disk), [5; 8]);
}

#[test]
fn a_misdirected_or_lost_write_is_acknowledged() {
    let (disk, file) = disk_with(&[1; 8]);
    disk.overwrite("/other".as_ref(), &[9; 8]).unwrap();
    disk.fault_write(1, WriteFault::ToOffset(6)).unwrap();
    disk.fault_write(2, WriteFault::IntoFile("/other".into())).unwrap();
    disk.fault_write(3, WriteFault::Lost).unwrap();
    for value in [2, 3, 4, 5] {
        write(&file, &[value; 2], u64::from(value) - 2);
    }
    file.sync_all().unwrap();
    assert_eq!(lost(&disk), [1, 1, 1, 5, 5, 1, 2, 2]);
    assert_eq!(disk.read("/other".as_ref()).unwrap(), [9, 3, 3, 9, 9, 9, 9, 9]);
    let missing = disk.fault_write(1, WriteFault::IntoFile("/missing".into()));
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_full_disk_takes_part_of_a_write_and_then_none_until_space_returns() {
    let (disk, file) = disk_with(&[1; 512]);
    disk.set_free_bytes(Some(1024));
    assert_eq!(write_all_at(&*file, &[&[2; 2000]], 0).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(content(&disk), [2; 1536]);
    assert_eq!(disk.free_bytes("/".as_ref()).unwrap(), 0);
    write(&file, &[3; 1536], 0);
    file.set_len(600).unwrap();
    assert_eq!(disk.free_bytes("/".as_ref()).unwrap(), 512);
    disk.set_free_bytes(Some(4096));
    write(&file, &[4; 2000], 0);
    assert_eq!(disk.free_bytes("/".as_ref()).unwrap(), 4096 - 1024);
    disk.remove_file(FILE.as_ref()).unwrap();
    assert_eq!(disk.free_bytes("/".as_ref()).unwrap(), 4096 - 1024);
    drop(file);
    assert_eq!(disk.free_bytes("/".as_ref()).unwrap(), 4096 + 1024);
}

#[test]
fn short_transfers_repeat_for_a_seed_and_stop_when_told() {
    let run = |seed| {
        let (disk, file) = disk_with(&[1; 100]);
        disk.set_short_io(Some(seed));
        let one = |i: u64| match i % 2 {
            0 => file.read_at(&mut [0; 100], 0),
            _ => file.write_at(&[IoSlice::new(&[7; 60]), IoSlice::new(&[8; 40])], 0),
        };
        let seen: Vec<Result<usize, ErrorKind>> = (0..100).map(|i| one(i).map_err(|e| e.kind())).collect();
        disk.set_short_io(None);
        assert_eq!(file.read_at(&mut [0; 100], 0).unwrap(), 100);
        seen
    };
    let seen = run(5);
    assert_eq!(seen, run(5));
    assert_ne!(seen, run(6));
    assert!(seen.contains(&Err(ErrorKind::Interrupted)) && seen.contains(&Ok(100)));
    assert!(seen.iter().any(|r| matches!(r, Ok(1..100))));
    assert!(seen.iter().all(|r| matches!(r, Ok(1..=100) | Err(ErrorKind::Interrupted))));
}

#[test]
fn a_flipped_bit_shows_in_reads_and_after_every_cut() {
    let (disk, file) = disk_with(&[0; 1024]);
    write(&file, &[1], 600);
    disk.flip_bit(FILE.as_ref(), 601, 3).unwrap();
    assert_eq!(content(&disk)[600..603], [1, 8, 0]);
    let seen = outcomes(&disk, |d| content(d)[600..603].to_vec());
    assert_eq!(seen, BTreeSet::from([vec![0, 8, 0], vec![1, 8, 0]]));
    file.sync_all().unwrap();
    assert_eq!(lost(&disk)[600..603], [1, 8, 0]);
    assert!(disk.flip_bit(FILE.as_ref(), 1024, 0).is_err() && disk.flip_bit(FILE.as_ref(), 0, 8).is_err());
}

#[test]
fn unreadable_bytes_fail_reads_wherever_the_file_goes() {
    let (disk, file) = disk_with(&[1; 1000]);
    disk.fail_reads(FILE.as_ref(), 500..510).unwrap();
    let mut buf = [0; 1000];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 500);
    assert!(eio(file.read_at(&mut buf, 500)) && eio(read_exact_at(&*file, &mut buf[..2], 499)));
    assert_eq!(file.read_at(&mut buf, 510).unwrap(), 490);
    disk.rename(FILE.as_ref(), "/g".as_ref()).unwrap();
    let moved = disk.open("/g".as_ref(), OpenMode::Read).unwrap();
    assert!(eio(moved.read_at(&mut buf, 509)));
    disk.clear_faults();
    assert_eq!(moved.read_at(&mut buf, 0).unwrap(), 1000);
}

#[test]
fn seeded_cuts_repeat_and_reach_both_extremes_and_mixtures() {
    let (disk, file) = disk_with(&[1; 4096]);
    write(&file, &[2; 4096], 0);
    let cut = |seed| {
        let fork = disk.fork();
        fork.power_cut_seeded(seed);
        content(&fork)
    };
    let seen: BTreeSet<Vec<u8>> = (0..200).map(cut).collect();
    assert_eq!(seen, (0..200).map(cut).collect());
    assert!(seen.contains(&vec![1; 4096]) && seen.contains(&vec![2; 4096]) && seen.len() > 20);
}

#[derive(Clone, Debug)]
enum Step {
    Write { offset: u64, len: usize },
    SetLen(u64),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3000_u64, 1..1200_usize).prop_map(|(offset, len)| Step::Write { offset, len }),
        2 => (0..4000_u64).prop_map(Step::SetLen),
        1 => Just(Step::Sync),
    ]
}

fn sector_of(bytes: &[u8], number: usize) -> [u8; 512] {
    let mut sector = [0; 512];
    let part = bytes.iter().skip(number * 512).take(512);
    sector.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
    sector
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Invariants 1 and 2, by comparison with every content the file has had since its last sync.
    #[test]
    fn a_cut_leaves_a_length_and_sectors_that_were_there(steps in prop::collection::vec(step(), 1..12), seed: u64) {
        let (disk, file) = disk_with(&[200; 1000]);
        let mut history = vec![content(&disk)];
        for (step, value) in steps.iter().zip(1..) {
            match *step {
                Step::Write { offset, len } => write(&file, &vec![value; len], offset),
                Step::SetLen(len) => file.set_len(len).unwrap(),
                Step::Sync => {
                    file.sync_data().unwrap();
                    history.clear();
                }
            }
            history.push(content(&disk));
        }
        for cut in 0..8 {
            let fork = disk.fork();
            fork.power_cut_seeded(seed.wrapping_add(cut));
            let found = content(&fork);
            prop_assert!(history.iter().any(|h| h.len() == found.len()));
            let reopened = fork.open(FILE.as_ref(), OpenMode::ReadWrite).unwrap();
            reopened.set_len(5000).unwrap();
            prop_assert!(content(&fork)[found.len()..].iter().all(|&b| b == 0), "a cut leaves nothing past the end");
            for number in 0..found.len().div_ceil(512) {
                let sector = sector_of(&found, number);
                // A shrink that was kept cuts the sector it ends in, whichever version of it was kept.
                let cut_at = |len: usize| len.saturating_sub(number * 512).min(512);
                let explained = history.iter().any(|h| {
                    let version = sector_of(h, number);
                    history.iter().any(|h| {
                        let end = cut_at(h.len());
                        sector[..end] == version[..end] && sector[end..].iter().all(|&b| b == 0)
                    }) || version == sector
                });
                prop_assert!(explained, "sector {number}");
            }
        }
    }
}
