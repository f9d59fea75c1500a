//! The engine on a real directory, threads and all.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod directory;
mod history;
mod refusals;
