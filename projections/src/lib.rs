//! Versioned tables folded from the log.
//!
//! | module        | what it holds                                                               |
//! |---------------|-----------------------------------------------------------------------------|
//! | `table`       | the tables and how their keys are written                                   |
//! | `put`         | what applying a record changes                                              |
//! | `zone_tables` | the tables of one zone: write sets in, views out, generations               |
//! | `view`        | rows as of one position                                                     |
//! | `last`        | the last row of a range: what stands just before a place                    |
//! | `row`         | the values of rows                                                          |
//! | `apply`       | what a record does to rows                                                  |
//! | `usage`       | what a record says of who used what                                         |
//! | `cache`       | the rows read most, decoded, above memory and the store                     |
//! | `loads`       | rows for a decision, without the sequencer waiting for the store            |
//! | `digest`      | what a generation holds, as one number                                      |
//! | `flush`       | moving memtables to the store, as a steppable core                          |
//! | `store`       | the ordered key-value store below: on disk, or in memory for simulations    |
//! | `limits`      | every bound of this crate, by name                                          |

pub mod apply;
pub mod cache;
pub mod digest;
pub mod flush;
mod generation;
#[cfg(test)]
mod interleavings;
mod last;
mod layout;
mod levels;
pub mod limits;
pub mod loads;
mod memtable;
pub mod put;
pub mod row;
pub mod store;
pub mod table;
pub mod usage;
pub mod view;
pub mod zone_tables;
