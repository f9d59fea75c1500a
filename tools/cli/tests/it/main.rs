//! The built command, as people and programs run it.
#![expect(clippy::disallowed_methods, reason = "the command's surroundings are the real machine")]
#![expect(clippy::unwrap_used, reason = "every module of this binary is tests")]

mod batch;
mod bench;
mod care;
mod changes;
mod files;
mod history;
mod json;
mod requests;
mod rig;
mod transfer;
mod usage;
