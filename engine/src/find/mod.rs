//! Walking and finding: many things in one call, composed of the calls that look at one.
//!
//! ```text
//!  walk ──┐                                          ┌─ stat, where attributes are asked for
//!  glob ──┼─> Walker: names in byte order, pre-order ─┤
//!  grep ──┘   (Guide: what to show, where to go)     └─ read, piece by piece, through the line searcher
//! ```
//!
//! Invariants:
//! 1. No privilege of its own: an entry is shown where the gate lets the caller `stat` it, a directory entered where
//!    it lets the caller `readdir` it, a file searched where it lets the caller `read` it. What the gate hides
//!    (PermissionDenied or NotFound) is left out as if it were not there, and the walk goes on; that is no refusal and
//!    no event, for the caller did not name it. A refusal of what the caller did name is both. Any other answer of the
//!    gate is an error: what could not be decided is never taken for absent.
//! 2. Hooks see the call as a whole, and every listing and every read that it makes.
//! 3. One call reads at one position. A walk that goes on in a later view, from its [`Cursor`], misses and repeats
//!    nothing that stood at its path throughout.
//! 4. Memory is bounded by the names in limits.rs, whatever the tree (L12): directories are listed page by page, and
//!    the pages of those above are given back when there are too many.
//! 5. Symlinks below the base are not followed.

mod cursor;
mod glob;
mod grep;
mod many;
mod walk;
mod walker;

pub use cursor::Cursor;
pub use glob::GlobOptions;
pub use grep::{BinaryFiles, Found, GrepOptions, GrepSummary};
pub use many::{AccessMode, ReadRequest};
pub use walk::{ListedPage, Page, WalkEntry, WalkOptions};
