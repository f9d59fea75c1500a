//! The built command, as people and programs run it.
#![expect(clippy::disallowed_methods, reason = "the command's surroundings are the real machine")]
#![expect(clippy::unwrap_used, reason = "every module of this binary is tests")]

mod batch;
mod bench;
mod care;
mod changes;
mod doctor;
mod files;
mod find;
mod history;
mod json;
mod policy;
mod requests;
mod rig;
mod tail;
mod transfer;
mod usage;
