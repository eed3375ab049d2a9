//! Raw memory: blocks, buffers, and the 32-bit-offset arena of a delta.

pub(crate) mod hooks;
mod memory;

use crate::error::Error;

pub(crate) use memory::{Block, Buffer, OutOfMemory};

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}
