//! Versioned tables folded from the log.

pub mod apply;
pub mod loads;
pub mod put;
pub mod row;
pub mod table;
