//! The log of a zone: the only truth of the filesystem.
//!
//! ```text
//!  sequencer --Draft--> Log::append --> appender (one batch: one write, one sync) --> segment files
//!                                            |                                          |
//!                                      flushed seq --> waiters                 Reader, chunks, Merkle leaves
//! ```
//!
//! | module      | what it holds                                                                |
//! |-------------|------------------------------------------------------------------------------|
//! | `ids`       | positions, times and identities, each a type of its own                      |
//! | `limits`    | every bound of this crate, by name                                           |
//! | `env`       | the seams to disk, clock and randomness; the real ones and a faulty memory disk |
//! | `event`     | typed facts: one archived struct per (kind, version)                         |
//! | `filter`    | which events somebody asks for                                               |
//! | `record`    | the bytes of a record: prefix, meta, payload; unverified and verified forms  |
//! | `segment`   | the bytes of a segment file's header                                         |
//! | `sidecar`   | the index beside a sealed segment                                            |
//! | `watermark` | the two slots that witness how far the log was flushed                       |
//! | `zone_meta` | whose log a directory holds                                                  |
//! | `recovery`  | what the end of a log means after a crash: the table of cases                |
//! | `appender`  | the one writer of the tail: group commit and poison, as a steppable core     |
//! | `log`       | the handle that ties these together                                          |
//! | `merkle`    | leaf entries and the root at any size                                        |
//! | `verify`    | every byte of a log, checked from files alone                                |
//!
//! No tokio, no threads of its own but the one that `Log` may be asked to start.

pub mod appender;
mod block;
pub mod cursor;
pub mod env;
pub mod event;
pub mod filter;
pub mod ids;
pub mod limits;
pub mod log;
pub mod merkle;
pub mod record;
pub mod recovery;
pub mod segment;
pub mod sidecar;
pub mod verify;
pub mod watermark;
pub mod zone_meta;

pub use block::BlockFault;
