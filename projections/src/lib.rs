//! Versioned tables folded from the log.

pub mod put;
pub mod table;
pub mod apply;
pub mod loads;
pub mod row;
