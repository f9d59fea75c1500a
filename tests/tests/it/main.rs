//! The whole engine, by trying to break it.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bounds;
mod crash;
mod damage;
mod extents;
mod faults;
mod lives;
mod planted;
mod power;
mod rules;
mod scene;
mod script;
mod sizes;
mod space;
mod syscalls;
mod tail;
mod threads;
