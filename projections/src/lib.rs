//! Versioned tables folded from the log.

pub mod put;
pub mod table;
