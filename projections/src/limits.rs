//! Every bound of this crate, by name (L12, STYLE 9). Sizes are bytes unless the name says otherwise.

/// A memtable above this is sealed and becomes one sorted run.
pub const MEMTABLE_BYTES_MAX: usize = 64 << 20;
/// Bytes a zone may hold in memtables, active and sealed, before writers wait.
pub const MEMORY_BYTES_MAX: usize = 3 * MEMTABLE_BYTES_MAX;
/// What an entry of a memtable costs beside its key and value: the skip list's node, two handles, two allocations.
/// Resident memory grew by 174 to 181 bytes an entry.
pub const MEMTABLE_ENTRY_BYTES: usize = 184;
/// Tables in the store's first level before writers wait: ingestion does not pass by the store's own brake.
pub const L0_TABLES_MAX: usize = 16;
/// Past versions of one key that a scan steps over before it seeks.
pub const SCAN_STEPS_BEFORE_SEEK: usize = 16;

/// How many records later a repeat of a named request is still known as one. Older rows are dropped by compaction.
pub const DEDUPE_WINDOW_SEQS: u64 = 1 << 22;
/// Decoded rows kept above memory and the store, of one zone.
pub const ROW_CACHE_BYTES_MAX: usize = 64 << 20;
/// Parts of it, each with a lock and a stamp of its own. A few files' rows fit into one.
pub const ROW_CACHE_SETS: usize = 16_384;

/// Block cache of the store unless its options say otherwise.
pub const STORE_CACHE_BYTES: u64 = 64 << 20;
/// Size of the store's tables.
pub const STORE_TABLE_BYTES: u64 = 64 << 20;
/// Size of the store's data blocks.
pub const STORE_BLOCK_BYTES: u32 = 4 << 10;
/// Tables in the first level that start a compaction.
pub const STORE_L0_THRESHOLD: u8 = 8;

const _: () = assert!(MEMORY_BYTES_MAX > MEMTABLE_BYTES_MAX, "a sealed memtable must fit beside the active one");
const _: () = assert!(L0_TABLES_MAX > STORE_L0_THRESHOLD as usize, "compaction must start before writers wait");
