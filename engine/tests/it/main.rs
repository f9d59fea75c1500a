//! The engine on a real directory, threads and all.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod access;
mod copies;
mod directory;
mod find;
mod history;
mod ledger;
mod refusals;
mod requests;
mod sim;
mod time;
