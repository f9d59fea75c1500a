//! The engine on a real directory, threads and all.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod copies;
mod directory;
mod find;
mod refusals;
mod requests;
