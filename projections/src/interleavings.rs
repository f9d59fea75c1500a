//! Every interleaving of a reader, the sequencer and the flusher, over the real code.
//!
//! Each party runs on a thread of its own, but only one at a time: at a step boundary it hands its turn back, and the
//! explorer decides who goes on, depth first through all decisions. Boundaries lie before whatever one party does
//! that another may see: before each look into the store, around each run, and where a test says so. Memory order within
//! a step is not explored; what is shared there is a skip list, a lock and atomics that publish.

mod cache;
mod explorer;
mod tests;
