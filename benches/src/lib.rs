//! What is measured, and how: the canonical workload, and other engines beside ours.
//!
//! ```text
//!  nexus bench            --> canonical ---\
//!                                           measure --> bed (a data directory), turns, group commit, raw disk
//!  nexus-bench-compare    --> compare -----/              |
//!                              engines: SQLite, redb, fjall, ext4            report, goals
//! ```
//!
//! | module      | what it holds                                                             |
//! |-------------|---------------------------------------------------------------------------|
//! | `bed`       | a data directory for a measurement, and scratch folders                   |
//! | `turns`     | operations of many threads for one turn, with their latencies             |
//! | `group`     | group commit for those that have none: the first who waits commits for all |
//! | `raw`       | the disk's own speed                                                      |
//! | `system`    | what the operating system counted                                         |
//! | `report`    | figures with their names                                                  |
//! | `measure`   | what is measured of ours, each as a function that returns its figures     |
//! | `micro`     | the innermost steps, for criterion                                        |
//! | `canonical` | the workload of `nexus bench`                                             |
//! | `compare`   | the program `nexus-bench-compare`: other engines, goals (feature `compare`) |
//!
//! Invariants:
//! 1. What is compared is measured in turns within one run: figures taken minutes apart say nothing.
//! 2. A contender gets the same operation, the same threads and, where it says so, the same batching.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the real clock and the real disk")]

pub mod bed;
pub mod canonical;
#[cfg(feature = "compare")]
pub mod compare;
mod group;
mod measure;
pub mod micro;
mod raw;
mod report;
mod system;
mod turns;

pub use report::{Figure, Report};
