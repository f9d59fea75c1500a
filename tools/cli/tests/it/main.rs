//! The built command, as people and programs run it.

mod care;
mod files;
mod history;
mod json;
mod rig;
mod transfer;
mod usage;
