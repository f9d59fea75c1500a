//! What every [`Disk`] promises, run against the real one and the one in memory (STYLE 42).

use std::io::{ErrorKind, IoSlice};
use std::path::Path;

use super::{Disk, LockError, MemoryDisk, OpenMode, RealDisk, read_exact_at, read_file, write_all_at, write_replace};

/// One test per promise and disk: `name(disk, root)` with `root` an empty directory.
macro_rules! conformance {
    ($($name:ident)*) => {
        mod real {
            $(#[test]
            fn $name() {
                let root = tempfile::tempdir().unwrap();
                super::$name(&super::RealDisk, root.path());
            })*
        }
        mod memory {
            $(#[test]
            fn $name() {
                let disk = super::MemoryDisk::new();
                super::Disk::create_dir_all(&disk, "/mnt/root".as_ref()).unwrap();
                super::$name(&disk, "/mnt/root".as_ref());
            })*
            $(mod $name {
                #[test]
                fn short_io() {
                    let disk = super::super::MemoryDisk::new();
                    super::super::Disk::create_dir_all(&disk, "/mnt/root".as_ref()).unwrap();
                    disk.set_short_io(Some(1));
                    super::super::$name(&disk, "/mnt/root".as_ref());
                }
            })*
        }
    };
}

conformance! {
    open_modes_decide_what_must_exist_and_what_may_be_written
    reads_stop_at_the_end_of_the_file
    bytes_never_written_read_as_zeros
    set_len_cuts_and_grows_with_zeros
    many_slices_are_written_in_order
    rename_replaces_and_open_files_follow
    rename_moves_between_directories
    removed_files_are_gone_but_open_ones_still_read
    directories_are_made_with_their_parents
    list_is_sorted_and_names_only
    missing_things_are_not_found
    a_file_is_no_directory_and_a_directory_no_file
    a_lock_is_held_once_and_names_its_holder
    small_files_are_replaced_whole
    free_space_is_reported_for_what_exists
}

fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    write_all_at(&*file, &[bytes], 0).unwrap();
    file.sync_all().unwrap();
}

fn get(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    read_file(disk, path, 1 << 20).unwrap().expect("the file exists")
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn open_modes_decide_what_must_exist_and_what_may_be_written(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    assert_eq!(kind(disk.open(&path, OpenMode::Read)), ErrorKind::NotFound);
    assert_eq!(kind(disk.open(&path, OpenMode::ReadWrite)), ErrorKind::NotFound);
    put(disk, &path, b"one");
    assert_eq!(kind(disk.open(&path, OpenMode::CreateNew)), ErrorKind::AlreadyExists);
    let reader = disk.open(&path, OpenMode::Read).unwrap();
    assert!(reader.write_at(&[IoSlice::new(b"x")], 0).is_err());
    assert!(reader.set_len(0).is_err());
    reader.sync_data().unwrap();
    let writer = disk.open(&path, OpenMode::ReadWrite).unwrap();
    write_all_at(&*writer, &[b"two"], 1).unwrap();
    writer.sync_data().unwrap();
    let mut seen = [0; 4];
    read_exact_at(&*reader, &mut seen, 0).unwrap();
    assert_eq!(&seen, b"otwo");
}

fn reads_stop_at_the_end_of_the_file(disk: &dyn Disk, root: &Path) {
    put(disk, &root.join("f"), &[7; 700]);
    let file = disk.open(&root.join("f"), OpenMode::Read).unwrap();
    let mut buf = [0; 8];
    assert_eq!(kind(read_exact_at(&*file, &mut buf, 695)), ErrorKind::UnexpectedEof);
    assert_eq!(buf, [7, 7, 7, 7, 7, 0, 0, 0]);
    assert_eq!(file.read_at(&mut buf, 700).unwrap(), 0);
    assert_eq!(file.read_at(&mut buf, 1 << 40).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
    assert_eq!(file.len().unwrap(), 700);
}

fn bytes_never_written_read_as_zeros(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("f"), OpenMode::CreateNew).unwrap();
    assert!(file.is_empty().unwrap());
    assert_eq!(file.write_at(&[IoSlice::new(b"")], 5000).unwrap(), 0);
    assert_eq!(file.len().unwrap(), 0);
    write_all_at(&*file, &[b"end"], 100_000).unwrap();
    write_all_at(&*file, &[b"a"], 511).unwrap();
    let mut expected = vec![0; 100_003];
    expected[511] = b'a';
    expected[100_000..].copy_from_slice(b"end");
    assert!(get(disk, &root.join("f")) == expected);
}

fn set_len_cuts_and_grows_with_zeros(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("f"), OpenMode::CreateNew).unwrap();
    write_all_at(&*file, &[&[9; 2000]], 0).unwrap();
    for (len, kept) in [(1500, 1500), (1024, 1024), (700, 700), (3000, 700), (0, 0), (10, 0)] {
        file.set_len(len).unwrap();
        let mut expected = vec![9; kept];
        expected.resize(len as usize, 0);
        assert!(get(disk, &root.join("f")) == expected, "{len}");
    }
}

fn many_slices_are_written_in_order(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("f"), OpenMode::CreateNew).unwrap();
    let numbers: Vec<[u8; 2]> = (0..3000_u16).map(u16::to_le_bytes).collect();
    let too_many: Vec<IoSlice<'_>> = numbers.iter().map(|n| IoSlice::new(n)).collect();
    let written = loop {
        match file.write_at(&too_many, 3) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            written => break written.unwrap(),
        }
    };
    assert!((1..=2048).contains(&written), "{written}");
    let slices: Vec<&[u8]> = numbers.iter().map(|n| &n[..]).collect();
    write_all_at(&*file, &slices, 3).unwrap();
    assert!(get(disk, &root.join("f"))[3..] == numbers.concat());
}

fn rename_replaces_and_open_files_follow(disk: &dyn Disk, root: &Path) {
    let (from, to) = (root.join("from"), root.join("to"));
    put(disk, &from, b"new");
    put(disk, &to, b"old");
    let (moved, replaced) = (disk.open(&from, OpenMode::ReadWrite).unwrap(), disk.open(&to, OpenMode::Read).unwrap());
    disk.rename(&from, &to).unwrap();
    assert_eq!(disk.list(root).unwrap(), ["to"]);
    write_all_at(&*moved, &[b"er"], 3).unwrap();
    assert_eq!(get(disk, &to), b"newer");
    let mut old = [0; 3];
    read_exact_at(&*replaced, &mut old, 0).unwrap();
    assert_eq!(&old, b"old");
    disk.rename(&to, &to).unwrap();
    assert_eq!(get(disk, &to), b"newer");
}

fn rename_moves_between_directories(disk: &dyn Disk, root: &Path) {
    for dir in ["a", "b", "full"] {
        disk.create_dir_all(&root.join(dir)).unwrap();
    }
    put(disk, &root.join("a/f"), b"content");
    put(disk, &root.join("full/f"), b"");
    disk.rename(&root.join("a/f"), &root.join("b/g")).unwrap();
    disk.sync_dir(&root.join("a")).unwrap();
    disk.sync_dir(&root.join("b")).unwrap();
    assert!(disk.list(&root.join("a")).unwrap().is_empty());
    assert_eq!(get(disk, &root.join("b/g")), b"content");
    disk.rename(&root.join("b"), &root.join("a")).unwrap();
    assert_eq!(get(disk, &root.join("a/g")), b"content");
    assert_eq!(kind(disk.rename(&root.join("a"), &root.join("full"))), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(disk.rename(&root.join("a"), &root.join("a/inside"))), ErrorKind::InvalidInput);
}

fn removed_files_are_gone_but_open_ones_still_read(disk: &dyn Disk, root: &Path) {
    let path = root.join("f");
    put(disk, &path, b"first");
    let file = disk.open(&path, OpenMode::Read).unwrap();
    disk.remove_file(&path).unwrap();
    assert!(!disk.exists(&path).unwrap());
    put(disk, &path, b"second");
    disk.sync_dir(root).unwrap();
    let mut old = [0; 5];
    read_exact_at(&*file, &mut old, 0).unwrap();
    assert_eq!(&old, b"first");
    assert_eq!(get(disk, &path), b"second");
}

fn directories_are_made_with_their_parents(disk: &dyn Disk, root: &Path) {
    let deep = root.join("a/b/c");
    disk.create_dir_all(&deep).unwrap();
    disk.create_dir_all(&deep).unwrap();
    assert!(disk.exists(&deep).unwrap());
    assert!(disk.list(&deep).unwrap().is_empty());
    disk.sync_dir(&deep).unwrap();
}

fn list_is_sorted_and_names_only(disk: &dyn Disk, root: &Path) {
    for name in ["b", "10", "a", "9"] {
        put(disk, &root.join(name), b"");
    }
    disk.create_dir_all(&root.join("aa/x")).unwrap();
    assert_eq!(disk.list(root).unwrap(), ["10", "9", "a", "aa", "b"]);
}

fn missing_things_are_not_found(disk: &dyn Disk, root: &Path) {
    let missing = root.join("missing");
    assert_eq!(kind(disk.open(&missing.join("f"), OpenMode::CreateNew)), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove_file(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename(&missing, &root.join("to"))), ErrorKind::NotFound);
    assert_eq!(kind(disk.list(&missing)), ErrorKind::NotFound);
    assert_eq!(kind(disk.sync_dir(&missing)), ErrorKind::NotFound);
    assert!(!disk.exists(&missing.join("deeper")).unwrap());
    assert!(read_file(disk, &missing, 1).unwrap().is_none());
    assert!(matches!(disk.lock(&missing.join("lock"), "me"), Err(LockError::Io(e)) if e.kind() == ErrorKind::NotFound));
}

fn a_file_is_no_directory_and_a_directory_no_file(disk: &dyn Disk, root: &Path) {
    let (file, dir) = (root.join("f"), root.join("d"));
    put(disk, &file, b"");
    disk.create_dir_all(&dir).unwrap();
    assert_eq!(kind(disk.list(&file)), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.open(&file.join("x"), OpenMode::Read)), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.exists(&file.join("x"))), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.open(&dir, OpenMode::ReadWrite)), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.remove_file(&dir)), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename(&file, &dir)), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename(&dir, &file)), ErrorKind::NotADirectory);
}

fn a_lock_is_held_once_and_names_its_holder(disk: &dyn Disk, root: &Path) {
    let path = root.join("lock");
    let held = disk.lock(&path, "first, with a long name").unwrap();
    assert!(
        matches!(disk.lock(&path, "second"), Err(LockError::Held { holder }) if holder == "first, with a long name")
    );
    drop(held);
    let held = disk.lock(&path, "third").unwrap();
    assert!(matches!(disk.lock(&path, "fourth"), Err(LockError::Held { holder }) if holder == "third"));
    let other = disk.lock(&root.join("other"), "").unwrap();
    assert!(
        matches!(disk.lock(&root.join("other"), ""), Err(LockError::Held { holder }) if holder == "another process")
    );
    drop((held, other));
    assert_eq!(get(disk, &path), b"third");
}

fn small_files_are_replaced_whole(disk: &dyn Disk, root: &Path) {
    let path = root.join("meta");
    for content in [&b"first"[..], b"2", b""] {
        write_replace(disk, &path, content).unwrap();
        assert_eq!(get(disk, &path), content);
        assert_eq!(disk.list(root).unwrap(), ["meta"]);
    }
    write_replace(disk, &path, b"12").unwrap();
    assert_eq!(kind(read_file(disk, &path, 1)), ErrorKind::InvalidData);
}

fn free_space_is_reported_for_what_exists(disk: &dyn Disk, root: &Path) {
    assert!(disk.free_bytes(root).unwrap() > 0);
    assert_eq!(kind(disk.free_bytes(&root.join("missing"))), ErrorKind::NotFound);
}
