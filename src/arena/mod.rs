//! Raw memory: blocks, buffers, and the 32-bit-offset arena of a delta.
//!
//! An arena hands out blocks of whole 8-byte units, named by a `u32`: 32 GiB of addresses for half
//! the bytes of a pointer. Blocks that come back go to free lists by size and are used again,
//! whole or split; chunks of memory are never given back before the arena is dropped.
//!
//! What holds here: blocks handed out do not overlap, and their addresses never change. What is in
//! them is the tree's business.

pub(crate) mod hooks;
mod memory;
mod refs;
mod table;

use crate::error::Error;

pub(crate) use memory::{Block, Buffer, OutOfMemory};

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}
