//! The cache by itself; its rules between threads are in `interleavings`.

use std::sync::Arc;

use nexus_log::ids::{Inode, Seq};

use super::*;
use crate::put::Put;
use crate::row::{DentryRow, FileKind, InodeRow, TimesRow};
use crate::table::{RowKey, Table};

fn dentry(inode: u64) -> CachedRow {
    CachedRow::Dentry(DentryRow { inode: Inode(inode), kind: FileKind::Regular })
}

fn key(name: &[u8]) -> CacheKey<'_> {
    CacheKey::dentry(Inode::ROOT, name)
}

fn get(cache: &RowCache, key: CacheKey<'_>, at: Seq) -> Option<Hit> {
    cache.get(key, at).hit()
}

fn wrote(cache: &RowCache, seq: u64, key: RowKey) {
    let put = Put { key, value: None, ends: None, first: false };
    cache.wrote(&WriteSet { seq: Seq(seq), puts: vec![put] });
}

#[test]
fn keys_are_those_of_the_tables() {
    let name = b"a name of more than eight bytes";
    for row in [RowKey::inode(Inode(7)), RowKey::times(Inode(7)), RowKey::dentry(Inode(7), name)] {
        assert_eq!(CacheKey::of(&row).unwrap().row_key(), row);
    }
    let row = RowKey::dentry(Inode(7), name);
    assert_eq!(CacheKey::of(&row), Some(CacheKey::dentry(Inode(7), name)));
    assert_eq!(CacheKey::of(&RowKey::xattr(Inode(7), name)), None);
    assert_eq!(CacheKey::of(&RowKey::zone_settings()), None);
}

#[test]
fn an_entry_answers_from_its_begin_on() {
    let cache = RowCache::new(Seq::ZERO);
    cache.fill(key(b"a"), Seq(9), dentry(3), Seq(5));
    assert_eq!(cache.get(key(b"a"), Seq(4)), Known::Newer(Seq(5)));
    for at in [5, 9, 1000].map(Seq) {
        assert_eq!(get(&cache, key(b"a"), at), Some(Hit { begin: Seq(5), row: dentry(3) }));
    }
    assert_eq!(get(&cache, key(b"b"), Seq(9)), None);
    assert_eq!(get(&cache, CacheKey::inode(Inode::ROOT), Seq(9)), None);
}

#[test]
fn what_was_read_before_a_write_is_refused_after_it() {
    let cache = RowCache::new(Seq(3));
    cache.fill(key(b"a"), Seq(2), dentry(3), Seq(1));
    assert_eq!(get(&cache, key(b"a"), Seq(9)), None, "read before the cache began to see writes");
    cache.fill(key(b"a"), Seq(3), dentry(3), Seq(1));
    assert!(get(&cache, key(b"a"), Seq(9)).is_some());
    wrote(&cache, 4, RowKey::dentry(Inode::ROOT, b"a"));
    assert_eq!(get(&cache, key(b"a"), Seq(9)), None);
    cache.fill(key(b"a"), Seq(3), dentry(3), Seq(1));
    assert_eq!(get(&cache, key(b"a"), Seq(9)), None);
    cache.fill(key(b"a"), Seq(4), dentry(4), Seq(4));
    assert_eq!(get(&cache, key(b"a"), Seq(9)).unwrap().row, dentry(4));
}

#[test]
fn it_stays_within_its_bytes_and_keeps_what_is_asked_for() {
    let cache = RowCache::new(Seq::ZERO);
    let hot = CacheKey::inode(Inode(u64::MAX));
    let row = |n: u64| InodeRow { name: vec![b'x'; n as usize % 255], owner: "an agent".into(), ..InodeRow::default() };
    let kept = CachedRow::Inode(Arc::new(row(1)));
    cache.fill(hot, Seq(1), kept.clone(), Seq(1));
    let mut lost = 0;
    for n in 0..400_000 {
        cache.fill(CacheKey::inode(Inode(n)), Seq(1), CachedRow::Inode(Arc::new(row(n))), Seq(1));
        cache.fill(CacheKey::times(Inode(n)), Seq(1), CachedRow::Times(TimesRow::default()), Seq(1));
        lost += u64::from(get(&cache, hot, Seq(1)).is_none());
    }
    let bytes = cache.bytes();
    assert!((ROW_CACHE_BYTES_MAX / 2..=ROW_CACHE_BYTES_MAX).contains(&bytes), "{bytes} bytes");
    assert_eq!(lost, 0, "what is hit all the time stays");
    let large = InodeRow { target: vec![b'x'; SET_BYTES_MAX], ..InodeRow::default() };
    cache.fill(hot, Seq(1), CachedRow::Inode(Arc::new(large)), Seq(1));
    assert_eq!(get(&cache, hot, Seq(1)), None, "a row beyond a set's share is not kept, nor the one it replaces");
}

#[test]
fn keys_spread_over_the_sets() {
    let cache = RowCache::new(Seq::ZERO);
    let mut hits = std::collections::BTreeMap::<usize, u32>::new();
    for n in 0..64 * ROW_CACHE_SETS as u64 {
        let name = n.to_string();
        let key = if n % 2 == 0 { CacheKey::inode(Inode(n << 16)) } else { key(name.as_bytes()) };
        *hits.entry(std::ptr::from_ref(cache.set(key.hash())) as usize).or_default() += 1;
    }
    assert_eq!(hits.len(), ROW_CACHE_SETS);
    assert!(hits.values().all(|hits| (20..140).contains(hits)), "{:?}", hits.values().max());
    assert_eq!(CacheKey::of(&RowKey { table: Table::Inode, bytes: vec![1].into() }), None);
}
