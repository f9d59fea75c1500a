//! Versioned tables folded from the log.
//!
//! | module        | what it holds                                                               |
//! |---------------|-----------------------------------------------------------------------------|
//! | `table`       | the tables and how their keys are written                                   |
//! | `put`         | what applying a record changes                                              |
//! | `zone_tables` | the tables of one zone: write sets in, views out, generations               |
//! | `view`        | rows as of one position                                                     |
//! | `flush`       | moving memtables to the store, as a steppable core                          |
//! | `store`       | the ordered key-value store below: on disk, or in memory for simulations    |
//! | `limits`      | every bound of this crate, by name                                          |

pub mod flush;
mod generation;
mod layout;
mod levels;
pub mod limits;
mod memtable;
pub mod put;
pub mod store;
pub mod table;
pub mod view;
pub mod zone_tables;
