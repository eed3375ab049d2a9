//! Raw memory: blocks, buffers, and the 32-bit-offset arena of a delta.

pub(crate) mod hooks;
mod memory;

pub(crate) use memory::{Block, Buffer, OutOfMemory};
