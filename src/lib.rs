//! MemKV: a shared, ordered, in-memory map in a fraction of `BTreeMap`'s memory.
#![allow(dead_code, unused_imports, reason = "under construction")]

// L0: vocabulary.
mod bytes;
mod checksum;
mod error;
mod key;
mod options;
mod planted;
mod range;
mod stats;
mod sync;
// L1: contracts and memory.
mod arena;
mod cursor;
mod entry;
mod filter;
mod merge;
mod mmap;
mod storage;
mod value;
// L2: the two kinds of index; neither knows the other.
mod art;
mod segment;
// L3: state.
mod partition;
// L4: background.
mod compact;
// L6: the public map.
mod iter;
mod map;
#[cfg(test)]
mod testing;

pub use entry::{MAX_KEY_LEN, MAX_VALUE_LEN};
pub use error::{Corruption, Error, SortFault};
pub use options::{Compaction, Options};
pub use stats::{MemoryUsage, NodeCounts, SegmentStats, Stats};
