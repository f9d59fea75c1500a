//! Tests of the whole engine, by trying to break it: random syscalls against a naive model, power cuts at every
//! operation of the disk, full disks, killed processes, threads that race, flipped bits.
//!
//! The library is what those tests share; the tests themselves stand in `tests/it`. Their long forms run with
//! `NEXUS_LONG=1`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

pub mod acks;
pub mod compare;
pub mod generate;
pub mod ledger;
pub mod model;
pub mod op;
pub mod rig;

/// Are the long forms of the tests wanted?
#[must_use]
pub fn long() -> bool {
    std::env::var_os("NEXUS_LONG").is_some_and(|v| v != "0")
}
