//! Every bound of the log, by name (L12, STYLE 9). Sizes are bytes unless the name says otherwise.

use std::time::Duration;

/// Largest payload of a record, its salt not counted.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = 8 << 20;
/// Largest meta of a record, its salt included.
pub const RECORD_META_BYTES_MAX: usize = 1 << 20;
/// Events in one record; their index is a u16.
pub const RECORD_EVENTS_MAX: usize = 4096;
/// Chunks in one record's payload.
pub const RECORD_CHUNKS_MAX: usize = 8192;
/// Largest chunk, and so the longest extent.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Salt at the head of meta and of payload.
pub const SALT_BYTES: usize = 16;

/// A segment is closed when the next batch would take it beyond this.
pub const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// One batch: one write, one sync. A single record may be larger, a batch of several may not.
pub const APPEND_BATCH_BYTES_MAX: usize = 4 << 20;
/// What may be in flight between two syncs: a full batch, or one record of the largest size.
pub const INFLIGHT_BYTES_MAX: u64 = 16 << 20;
/// Records queued for the appender before `append` answers busy.
pub const APPEND_QUEUE_BYTES_MAX: usize = 64 << 20;
/// Zeros written ahead of the tail while batches are small.
pub const ZERO_AHEAD_BYTES: u64 = 1 << 20;
/// Zeros of one write. The page cache keeps what one write brought as one large folio, and syncing a page of a folio of
/// a megabyte costs half as much again as one of 64 KiB.
pub const ZERO_WRITE_BYTES: usize = 64 << 10;
/// Batches above this switch writing ahead off: their cost is bandwidth, not the sync.
pub const ZERO_AHEAD_BATCH_BYTES_MAX: u64 = 64 << 10;
/// How long an accepted record may wait for its sync, and an idle log for its watermark.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(10);
/// Free bytes kept on the disk for flushing tables and for saying "disk full".
pub const RESERVE_BYTES: u64 = 256 << 20;
/// Bytes appended between two looks at the disk's free space.
pub const SPACE_CHECK_BYTES: u64 = 4 << 20;
/// Findings that one verification lists; more are only counted.
pub const VERIFY_FINDINGS_MAX: usize = 1000;
/// Read at once where history goes from record to record; what lies behind a larger payload is read anew.
pub const HISTORY_SCAN_BYTES: usize = 16 << 10;
/// Read at once where history looks at one record: most metas with their prefix are within it.
pub const HISTORY_RECORD_BYTES: usize = 1 << 10;
/// Inodes whose bytes history searches for in metas that no index covers; for more it decodes them all.
pub const HISTORY_SEARCH_INODES_MAX: usize = 8;
/// Segment files held open for reading.
pub const OPEN_SEGMENTS_MAX: usize = 128;
/// Tails of one log; more are told that it is busy.
pub const TAILS_MAX: usize = 1024;
/// Newest records kept decoded for all tails.
pub const TAIL_WINDOW_RECORDS_MAX: usize = 8192;
/// And their bytes; a tail that falls out of either reads from the segments by itself.
pub const TAIL_WINDOW_BYTES_MAX: usize = 16 << 20;
/// What a decoded record takes beyond its meta, about.
pub const TAIL_RECORD_BYTES: usize = 512;
/// Records that a tail takes at once, or reads into the window at once.
pub const TAIL_BATCH_RECORDS_MAX: usize = 256;
/// And their bytes; a single record may be larger.
pub const TAIL_BATCH_BYTES_MAX: usize = 64 << 10;
/// Bytes that a tail reads ahead of itself in a segment.
pub const TAIL_READ_BYTES: usize = 64 << 10;
/// Least time between two awakenings of those who wait for the flushed mark, for each of them: what waiting tails cost
/// has a bound, however many there are and however often the mark moves.
pub const FOLLOWER_PACE: Duration = Duration::from_micros(100);
/// And the most that their number makes of it.
pub const FOLLOWER_PACE_MAX: Duration = Duration::from_millis(20);
/// Checked content kept in memory for who reads it again, of one log.
pub const CHUNK_CACHE_BYTES_MAX: usize = 32 << 20;
/// Parts of it, each with a lock of its own.
pub const CHUNK_CACHE_SHARDS: usize = 8;
/// What keeping a chunk costs beside its bytes.
pub const CHUNK_CACHE_ENTRY_BYTES: usize = 160;
/// Chunks up to this are kept when they are read; larger ones only where a part of them was asked for.
pub const SMALL_CHUNK_BYTES_MAX: u32 = 64 << 10;

const _: () = assert!(
    INFLIGHT_BYTES_MAX >= (RECORD_PAYLOAD_BYTES_MAX + RECORD_META_BYTES_MAX + 4096 + APPEND_BATCH_BYTES_MAX) as u64
);
