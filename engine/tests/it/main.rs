//! The engine on a real directory, threads and all.

mod refusals;
