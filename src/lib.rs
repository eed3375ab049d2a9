//! MemKV: a shared, ordered, in-memory map in a fraction of `BTreeMap`'s memory.
//!
//! [`MemKV<K, V>`](MemKV) is used like a `BTreeMap` that many threads hold at once. Writes go to a
//! small mutable radix tree, the *delta*; nearly all entries live in immutable compressed
//! *segments*; in the background the one is folded into the other. Reads see both as one map, in
//! order, from either end.
//!
//! ```
//! use memkv::MemKV;
//!
//! let kv: MemKV<String, u64> = MemKV::new();
//! kv.insert("apple", 3); // borrowed keys are not cloned
//! kv.extend([("apricot", 1), ("pear", 4)]);
//! assert_eq!(kv.get("apple"), Some(3));
//! assert_eq!(kv.remove("pear"), Some(4));
//! let last = kv.range("a".."b").rev().next();
//! assert_eq!(last, Some((String::from("apricot"), 1)));
//! assert_eq!(kv.prefix("ap").count(), 2);
//! let shared = kv.clone(); // another handle to the same map
//! std::thread::spawn(move || shared.put("plum", 5)).join().unwrap();
//! assert_eq!(kv.len(), 3);
//! ```
//!
//! # Keys and values
//! Keys and values are kept as bytes, keys in an encoding whose byte order is the order of their
//! type, and are decoded when read.
//!
//! - A [`Key`] is an integer, a float, a `bool`, a `char`, a `String`, a `Vec<u8>`, an array of
//!   numbers, a tuple of two to four keys, an `Option` of a key, a `Reverse` of one for descending
//!   order, or a type of your own that lowers to one of these. Whatever is a [`KeyForm`] of the key
//!   may stand for it in a call: `"a"` for a `String`, `("a", 7)` for a `(String, u64)`.
//! - A [`Value`] is an integer, a float, a `bool`, a `char`, a `[u8; N]`, `()` (which makes the map
//!   a set), a `String`, a `Vec<u8>`, or plain data in [`Pod`].
//!
//! # Sharing
//! All operations take `&self`, and a [`MemKV`] is `Clone`, `Send` and `Sync` whatever its keys.
//! No lock guard ever leaves a call and no closure of yours runs under a lock, so that none can
//! dead-lock. An iterator sees the map as it was when it was made, however long it lives, and
//! nobody waits for it.
//!
//! # Costs
//! - A get or a write is O(k + log n) for an encoded key of k bytes among n entries; `len` is
//!   exact and O(1); making an iterator is O(1).
//! - A get allocates nothing but the `String` or `Vec<u8>` that it returns;
//!   [`get_with`](MemKV::get_with) lends that instead. Keys that are integers, text or byte
//!   strings are encoded without allocating, other keys of up to 64 bytes too.
//! - While an iterator lives, writers copy what they change instead of changing it in place.
//! - An empty map takes at most 256 bytes of heap and no thread. One worker thread serves all maps
//!   of the process; it starts when the first fold is due. See [`Options`].
//!
//! # Limits
//! - An encoded key has at most [`MAX_KEY_LEN`] bytes. Longer ones are absent to reads;
//!   [`try_insert`](MemKV::try_insert) refuses them with [`Error::KeyTooLong`], and
//!   [`insert`](MemKV::insert) panics.
//! - A value of fixed width has at most 255 bytes, a byte string at most [`MAX_VALUE_LEN`].
//! - Damage in stored bytes is [`Error::Corrupted`] from the calls that return a `Result` and a
//!   panic with the same text from those that do not.

#![cfg_attr(
    all(test, memkv_tsan),
    feature(custom_test_frameworks, test),
    test_runner(testing::runner::run)
)]

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
mod batch;
mod blocks;
mod columns;
mod cursor;
mod entry;
mod filter;
mod merge;
mod mmap;
mod numbers;
mod packed;
mod storage;
mod strings;
mod value;
// L2: the two kinds of index; neither knows the other.
mod art;
#[cfg_attr(not(test), expect(dead_code, reason = "rank: tests now, rank queries next"))]
mod segment;
// L3: state.
mod directory;
mod partition;
mod snapshot;
// L4: background.
mod compact;
// L5: durable.
mod store;
// L6: the public map.
mod iter;
mod map;
mod query;
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(test), allow(dead_code, reason = "a fuzzer uses a part of it"))]
mod testing;

/// What fuzzers call; see `fuzz/README.md`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;

pub use entry::MAX_VALUE_LEN;
pub use error::{Corruption, Error, SortFault};
/// What a [search](Iter::search) can be for.
pub use fst::automaton;
pub use iter::{Iter, Keys, LendingIter, TryIter, Values};
pub use key::{
    CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition, KeyPrefix, KeyRange, MAX_KEY_LEN,
};
pub use map::MemKV;
pub use options::{Compaction, Options, Profile, Residence};
pub use query::{Search, TrySearch};
pub use stats::{MemoryUsage, NodeCounts, SegmentStats, Stats, VerifyProgress};
pub use value::{Pod, Value, ValueForm};

/// The README's code, compiled and run with the documentation's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
