//! What applying a record changes.

use bytes::Bytes;
use nexus_log::ids::Seq;

use crate::table::RowKey;

/// A row as it was from `begin` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The record that wrote it.
    pub begin: Seq,
    pub value: Bytes,
}

/// A row is written or, with no value, removed. Names the version that it ends, so that replaying it is idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub key: RowKey,
    pub value: Option<Bytes>,
    /// Begin of the version this put ends; `None` where the row did not exist just before.
    pub ends: Option<Seq>,
    /// The row never existed before this put: a read at an earlier position need not look for older versions.
    pub first: bool,
}

/// The puts of one record, at most one for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteSet {
    pub seq: Seq,
    pub puts: Vec<Put>,
}
