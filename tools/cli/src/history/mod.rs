//! Events as people and programs read them.
//!
//! | module     | what it holds                                       |
//! |------------|-----------------------------------------------------|
//! | `fields`   | an event's fields as JSON                           |
//! | `describe` | an event as a line for people                       |

mod describe;
mod fields;

pub(crate) use describe::describe;
pub(crate) use fields::{HOUR_NS, event_object, usage_counts};
