//! Group commit, made certain: a disk whose sync waits until it is let go.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use nexus_log::env::{DirLock, Disk, DiskFile, LockError, MemoryDisk, OpenMode, SeededRandom};
use nexus_log::ids::Seq;
use nexus_log::log::{Driver, LogOptions};
use nexus_log::recovery::Proofs;

use crate::zone::{Made, SMALL, create, env_on, open_env, options};

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        while state.closed {
            state = self.changed.wait(state).unwrap();
        }
        state.waiting -= 1;
    }

    fn set(&self, closed: bool) {
        self.state.lock().unwrap().closed = closed;
        self.changed.notify_all();
    }

    fn wait_for_a_sync(&self) {
        let mut state = self.state.lock().unwrap();
        while state.waiting == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }
}

#[derive(Debug)]
struct GatedDisk(MemoryDisk, Arc<Gate>);

#[derive(Debug)]
struct GatedFile(Arc<dyn DiskFile>, Arc<Gate>);

impl Disk for GatedDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(GatedFile(self.0.open(path, mode)?, Arc::clone(&self.1))))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.0.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }
    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn DirLock>, LockError> {
        self.0.lock(path, holder)
    }
}

impl DiskFile for GatedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.0.write_at(bufs, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[test]
fn records_that_come_during_a_sync_share_the_next_one_and_none_is_shown_before_its_own() {
    const RECORDS: u64 = 24;
    let disk = MemoryDisk::new();
    create(&disk, options(1 << 20, 0)).close().unwrap();
    let gate = Arc::new(Gate::default());
    let mut env = env_on(&disk, 1);
    env.disk = Arc::new(GatedDisk(disk.clone(), Arc::clone(&gate)));
    // Manual, so that the thread for idle times does not sync too.
    let options = LogOptions { driver: Driver::Manual, ..options(1 << 20, 0) };
    let log = open_env(&env, Proofs::default(), options).unwrap().log;
    let append = |seq: u64| log.append(Made::new(Seq(seq), SMALL, 0).draft(&SeededRandom::new(seq))).unwrap();
    let syncs = disk.syncs();
    gate.set(true);
    std::thread::scope(|scope| {
        append(1);
        scope.spawn(|| log.wait(Seq(1)).unwrap());
        gate.wait_for_a_sync();
        for seq in 2..=RECORDS {
            append(seq);
            let log = &log;
            scope.spawn(move || log.wait(Seq(seq)).unwrap());
        }
        // Written, not synced: nobody sees the first record, and a cut may lose it.
        assert_eq!((log.flushed(), log.appended().0), (Seq::ZERO, Seq(RECORDS)));
        assert!(log.record(Seq(1)).is_err() && log.records(Seq::FIRST).next().is_none());
        gate.set(false);
    });
    assert_eq!(disk.syncs() - syncs, 2, "one for the first record, one for all that came meanwhile");
    assert_eq!(log.flushed(), Seq(RECORDS));
    disk.power_cut(&mut || false);
    let opened = open_env(&env_on(&disk, 2), Proofs::default(), options).unwrap();
    assert_eq!(opened.report.last, Seq(RECORDS));
}
