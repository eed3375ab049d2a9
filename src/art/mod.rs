//! The delta: an adaptive radix tree in a 32-bit-offset arena.
//!
//! Each file adds one thing: `node` knows shapes, `search` adds order, `insert` and `remove` keep
//! it, `tree` adds versions (copy-on-write by epoch), `cursor` walks it, `check` (in tests) says
//! whether all of that holds.

#[cfg(any(test, fuzzing))]
pub(crate) mod check;
mod cursor;
mod find;
mod insert;
mod node;
mod remove;
mod search;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use cursor::ArtCursor;
pub(crate) use tree::{Pin, Tree, TreeError};
