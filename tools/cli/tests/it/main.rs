//! The built command, as people and programs run it.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test on real files and processes fails by panicking"
)]

mod care;
mod files;
mod history;
mod json;
mod rig;
mod transfer;
mod usage;
