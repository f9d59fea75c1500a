//! The bytes of a record: prefix | meta | payload | zero padding to 8 bytes.
//!
//! ```text
//!  Draft --(seed, previous crc, flushed seq)--> bytes on disk --> Prefix::check --> UnverifiedBody --> Record
//! ```
//!
//! - The **prefix** ([`Prefix`]) has a fixed size and a checksum of its own, so lengths are trusted before they are
//!   used (R12), and a scan can skip payloads.
//! - The **meta** is 16 salt bytes and then sections ([`crate::event`]): context, chunk list, events.
//! - The **payload**, if there is one, is 16 salt bytes and then the chunks of the chunk list without gaps.
//!
//! Invariants:
//! 1. Salts are random and leave the engine in no answer: they blind the CRCs and the hashes of short content.
//! 2. A [`Record`] exists only for bytes whose every checksum held; the payload's may be left to whoever reads content,
//!    which is checked chunk by chunk.

mod draft;
mod prefix;
mod verified;

pub use draft::{Draft, Payload};
pub use prefix::{BadPrefix, Expected, PREFIX_BYTES, Prefix, Seed, record_bytes};
pub(crate) use verified::decode_meta;
pub use verified::{BadBody, Chunk, Record, UnverifiedBody};
