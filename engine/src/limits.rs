//! Every bound of the engine, by name (L12). Sizes are bytes unless the name says otherwise.

use std::time::Duration;

pub use nexus_log::limits::{CHUNK_BYTES_MAX, RECORD_PAYLOAD_BYTES_MAX};

/// Largest file.
pub const FILE_BYTES_MAX: u64 = i64::MAX as u64;
/// Bytes of one write call that are one record, and so one atomic step.
pub const WRITE_BYTES_MAX: usize = RECORD_PAYLOAD_BYTES_MAX;
/// Rows that one record may change; larger changes go in steps.
pub const RECORD_ROWS_MAX: usize = 4096;
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
/// Symlinks and directories above an entry: deeper trees than a path can name cannot be made.
pub const DEPTH_MAX: usize = 2048;
/// How often a sequencer's turn is tried with fresh loads before the caller is told to come again.
pub const TURN_RETRIES_MAX: usize = 1000;
/// Kinds of refusal counted for one actor in one second; the rest is one number.
pub const REFUSAL_KINDS_PER_ACTOR_MAX: usize = 32;
/// Actors whose refusals are counted in one second.
pub const REFUSAL_ACTORS_MAX: usize = 256;
/// One refusal of a kind is a record of its own per window; its repeats are counted.
pub const REFUSAL_WINDOW: Duration = Duration::from_secs(1);
/// How long a writer is held back for the tables before it is told `busy`.
pub const THROTTLE_WAIT_MAX: Duration = Duration::from_secs(60);
