//! Bytes on their way into files: cut into chunks, and each chunk stored or, where the zone holds it already, referred
//! to.

mod cutter;
mod strip;

pub(crate) use cutter::Cutter;
pub(crate) use strip::{Strip, StripBuilder};
