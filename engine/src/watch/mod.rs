//! Tails: what happens in a zone, told in order to whoever asks, from any position on.
//!
//! ```text
//!  Zone::tail --gate--> Tail::next --records--> filter (kinds, actor, outcome) --> inode or subtree --> gate --> Item
//!       |                   ^ credits                                           View before, View after
//!     token <---------------+
//! ```
//!
//! | module    | what it holds                                                  |
//! |-----------|----------------------------------------------------------------|
//! | `tail`    | the tail itself                                                |
//! | `item`    | what a tail tells                                              |
//! | `filter`  | which events are wanted                                        |
//! | `about`   | whom an event is about                                         |
//! | `subtree` | what lies below a directory, through renames                   |
//! | `token`   | where to resume                                                |
//!
//! Invariants (DESIGN section 4, Tail):
//! 1. Committed records only, in order, none twice in one tail. What is not told was filtered; what cannot be read is a
//!    [`Item::Gap`] and then an error; what is not there any more is [`Item::Compacted`].
//! 2. Without credits nothing is read. A tail that is not asked costs nobody anything, and keeps a bounded batch.
//! 3. An event is told only if the gate lets the caller see what it is about (L9).
//! 4. A token resumes only in the zone, the incarnation and with the filter that it was made for.

mod about;
mod filter;
mod item;
mod subtree;
mod tail;
mod token;

pub use filter::{Filter, Outcome, Scope};
pub use item::{Credits, GapReason, Item, Matched};
pub use tail::{Tail, TailFrom, TailOptions};
pub use token::{Token, TokenError};
