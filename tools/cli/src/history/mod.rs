//! The log as people and programs read it.
//!
//! | module     | what it holds                                       |
//! |------------|-----------------------------------------------------|
//! | `scan`     | records of a range, forwards or backwards           |
//! | `subject`  | whom an event is about                              |
//! | `fields`   | an event's fields as JSON                           |
//! | `describe` | an event as a line for people                       |

mod describe;
mod fields;
mod scan;
mod subject;

pub(crate) use describe::describe;
pub(crate) use fields::{HOUR_NS, event_object, usage_counts};
pub(crate) use scan::{Range, scan};
pub(crate) use subject::{last_seen, path_given, path_of, touches};
