//! Every bound of the engine, by name (L12). Sizes are bytes unless the name says otherwise.

use std::time::Duration;

pub use nexus_log::limits::{CHUNK_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX};
pub use nexus_projections::limits::DEDUPE_WINDOW_SEQS;

/// Of runs of data that are longer than [`CHUNK_BYTES_MAX`]: no chunk but the last is smaller.
pub const CHUNK_BYTES_MIN: usize = 64 << 10;
/// Of such runs: what chunks come to on average.
pub const CHUNK_BYTES_AVERAGE: usize = 256 << 10;
/// Largest file.
pub const FILE_BYTES_MAX: u64 = i64::MAX as u64;
/// Bytes of one write call that are one record, and so one atomic step.
pub const WRITE_BYTES_MAX: usize = RECORD_PAYLOAD_BYTES_MAX;
/// Rows that one record may change; larger changes go in steps.
pub const RECORD_ROWS_MAX: usize = 4096;
/// Changes of one batch.
pub const BATCH_CHANGES_MAX: usize = 4096;
/// Entries of a copied tree: their numbers are held in memory, some tens of bytes each.
pub const COPY_ENTRIES_MAX: usize = 16 << 20;
/// Entries that one record of a copied tree may create.
pub const COPY_ENTRIES_PER_RECORD_MAX: usize = 512;
/// Largest file that `edit` takes: it is held in memory.
pub const EDIT_BYTES_MAX: usize = 64 << 20;
/// Extents that one record of a write or a truncation removes, but for those that others made since it was begun.
pub const EXTENTS_PER_STEP_MAX: usize = RECORD_ROWS_MAX / 2;
/// A record that would change more rows than this is refused. Above [`RECORD_ROWS_MAX`], which operations aim at: a file
/// may be cut up by others between looking and deciding.
pub const WRITE_SET_ROWS_MAX: usize = 4 * RECORD_ROWS_MAX;
/// Names of one file.
pub const LINKS_MAX: u32 = 65_000;
/// Target of a symlink.
pub const SYMLINK_BYTES_MAX: usize = 4095;
/// Value of one extended attribute.
pub const XATTR_VALUE_BYTES_MAX: usize = 64 << 10;
/// Extended attributes that one record may set, names and values together.
pub const XATTRS_BYTES_MAX: usize = 512 << 10;
/// And how many.
pub const XATTRS_PER_RECORD_MAX: usize = 1024;
/// Runs of content that one record may store: each becomes an extent and a row of the deduplication index.
pub const PIECES_PER_RECORD_MAX: usize = RECORD_ROWS_MAX / 2;
/// Entries of one page of a listing.
pub const READDIR_ENTRIES_MAX: usize = 65_536;
/// Bytes of one read call.
pub const READ_BYTES_MAX: usize = 64 << 20;
/// Newest events of a history that are told oldest first: their places are kept meanwhile.
pub const HISTORY_LIMIT_MAX: usize = 1 << 20;
/// Symlinks and directories above an entry: deeper trees than a path can name cannot be made.
pub const DEPTH_MAX: usize = 2048;
/// How often a sequencer's turn is tried with fresh loads before the caller is told to come again.
pub const TURN_RETRIES_MAX: usize = 1000;
/// Events that a new tail may tell before it is granted more.
pub const TAIL_CREDIT_EVENTS: u64 = 1024;
/// And bytes of them.
pub const TAIL_CREDIT_BYTES: u64 = 1 << 20;
/// Records that a tail filters before it tells how far it is.
pub const TAIL_PROGRESS_RECORDS: u64 = 4096;
/// A tail that is asked tells how far it is at least this often.
pub const TAIL_PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Directories of which a tail of a subtree keeps whether they are in it.
pub const SUBTREE_DIRECTORIES_MAX: usize = 16_384;
/// Kinds of refusal counted for one actor in one second; the rest is one number.
pub const REFUSAL_KINDS_PER_ACTOR_MAX: usize = 32;
/// Actors whose refusals are counted in one second.
pub const REFUSAL_ACTORS_MAX: usize = 256;
/// One refusal of a kind is a record of its own per window; its repeats are counted.
pub const REFUSAL_WINDOW: Duration = Duration::from_secs(1);
/// A step of the wall clock beyond this is not followed until an operator confirms it.
pub const CLOCK_STEP_MAX: Duration = Duration::from_secs(60);
/// How far the wall clock may be ahead of the log's end when a zone is opened: how long a zone may rest.
pub const CLOCK_AHEAD_AT_START_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Records between two counts of usage: what a reader of the ledger recounts at most, besides what came meanwhile.
pub const USAGE_RECORDS_MAX: u64 = 4096;
/// At a zone's end usage is counted where there is this part of it: what is left is recounted by every question.
pub const USAGE_PART_AT_CLOSE: u64 = 4;
/// Actors in one count of usage; where there are more it is made earlier.
pub const USAGE_ACTORS_MAX: usize = 1024;
/// Reads are recorded once per agent in this time, where their policy is `summary`.
pub const ACCESS_WINDOW: Duration = Duration::from_secs(1);
/// Actors whose reads are told apart in one window; the rest is one number.
pub const ACCESS_ACTORS_MAX: usize = 512;
/// Things read that one record names; beyond them their directories are named, as many again at most.
pub const ACCESS_ENTRIES_MAX: usize = 1024;
/// And in all records of a window together.
pub const ACCESS_ENTRIES_TOTAL_MAX: usize = 131_072;
/// Actors that may each close the present once per second by asking for it as a time.
pub const TIME_CLOSERS_MAX: usize = 256;
/// How long a writer is held back for the tables before it is told `busy`.
pub const THROTTLE_WAIT_MAX: Duration = Duration::from_secs(60);
/// Entries of one page of a walk or of what a glob matches.
pub const WALK_ENTRIES_MAX: usize = 65_536;
/// Paths of one page of a walk, and attributes where they are asked for.
pub const WALK_PAGE_BYTES_MAX: usize = 16 << 20;
/// Entries that one page looks at; a page that matches little ends there and is shorter.
pub const WALK_VISITS_MAX: usize = 1 << 20;
/// Entries of one directory that a walk holds in memory at a time.
pub const WALK_LISTED_MAX: usize = 512;
/// Entries of all directories from the walk's base to where it stands that are held in memory.
pub const WALK_BUFFERED_MAX: usize = 8 * WALK_LISTED_MAX;
/// Directories below each other that a walk enters.
pub const WALK_DEPTH_MAX: usize = 16_384;
/// The place where a walk goes on, as bytes.
pub const CURSOR_BYTES_MAX: usize = 1 << 20;
/// Entries with attributes of one page of a listing.
pub const READDIR_STAT_ENTRIES_MAX: usize = 8192;
/// Pattern of a glob.
pub const GLOB_BYTES_MAX: usize = 4096;
/// Globs that say what one grep searches.
pub const GREP_GLOBS_MAX: usize = 64;
/// Regular expression, or text, of a grep.
pub const GREP_PATTERN_BYTES_MAX: usize = 64 << 10;
/// What a compiled expression may take.
pub const GREP_REGEX_BYTES_MAX: usize = 16 << 20;
/// Bytes that a search reads at once: a few chunks, so that no chunk is read for much less than it holds.
pub const GREP_READ_BYTES: usize = 4 * CHUNK_BYTES_MAX;
/// Longest line that is searched, its context included.
pub const GREP_LINE_BYTES_MAX: usize = 8 << 20;
/// Lines of context on either side of a match.
pub const GREP_CONTEXT_LINES_MAX: usize = 1000;
/// Places in one line that are told apart; the line is reported with the first of them.
pub const GREP_RANGES_MAX: usize = 256;
/// Requests of one vectored call.
pub const VECTOR_REQUESTS_MAX: usize = 4096;
/// Bytes that one vectored read answers, all its requests together.
pub const READ_MANY_BYTES_MAX: usize = READ_BYTES_MAX;
