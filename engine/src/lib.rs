//! The engine: a filesystem whose truth is its log, embedded in a program.
//!
//! ```
//! use nexus_engine::{At, Caller, Durability, Nexus, RootAttributes, ZoneOptions};
//!
//! # let dir = tempfile::tempdir()?;
//! let root = RootAttributes { mode: 0o755, uid: 0, gid: 0 };
//! let nexus = Nexus::init(&dir.path().join("data"), root, ZoneOptions::default())?;
//! let zone = nexus.zone("root")?;
//! let me = Caller::agent("example")?;
//! let first = zone.put(&me, "/note.txt", b"one")?.seq.expect("a record was made");
//! zone.put(&me, "/note.txt", b"two")?;
//! assert_eq!(&zone.view(At::Latest)?.read(&me, "/note.txt", 0, 100)?[..], b"two");
//! assert_eq!(&zone.view(At::Exactly(first))?.read(&me, "/note.txt", 0, 100)?[..], b"one");
//! nexus.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Synchronous and without an async runtime. Every call goes through gate and hooks ([`gate`]), every change through
//! the sequencer of its zone ([`zone`]); a [`View`] reads at one position.

mod caller;
mod content;
mod decide;
mod error;
pub mod find;
pub mod gate;
mod history;
pub mod limits;
mod lookup;
mod node;
mod path;
mod unfinished;
mod view;
pub mod watch;
pub mod zone;

pub use caller::{Caller, IDENTITY_BYTES_MAX};
pub use decide::{AttributeChange, Created, Edit, Expect, NewFile, NodeKind, RenameMode, XattrMode};
pub use error::{Error, Result};
pub use history::{Bound, History, HistoryEvent, HistoryQuery};
pub use nexus_log::event::ReadPolicy;
pub use nexus_log::ids::{CommitTime, Inode, Seq};
pub use node::{Nexus, ROOT_ZONE, applied_in, exists, not_there, open_zone, root_zone_dir, tables_dir};
pub use path::{Entry, NAME_BYTES_MAX, PATH_BYTES_MAX, Target};
pub use view::{At, DirEntry, Stat, View};
pub use zone::{
    BatchItem, CallOptions, Change, ClockState, ContentWriter, Done, Durability, PolicyInForce, READ_POLICY_DEFAULT,
    RebuildReport, RootAttributes, TableDigest, Usage, UsageFilter, WriteRequest, Zone, ZoneOptions,
};
