//! The engine on a real directory, threads and all.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod access;
mod directory;
mod ledger;
mod refusals;
mod sim;
mod time;
