//! Saved maps: one file, read in place, replaced whole, and locked while it is written.
//!
//! Durability is this layer's invariant: under its name a store is at every moment either the one
//! that was there before a save or the one that the save wrote, complete. A file that has been
//! given its name is never written to again (I5), so that whoever has mapped it goes on reading
//! it, whatever has its name by then.
#![forbid(unsafe_code)]

mod attach;
mod format;
mod read;
#[cfg(test)]
mod tests;
mod verify;
mod write;

pub(crate) use attach::{Access, Attached, export};
pub(crate) use format::TypeNames;
#[cfg(any(test, fuzzing))]
pub(crate) use format::{field_offsets, reseal};
pub(crate) use verify::{Part, verify};

use crate::compact::Base;
use crate::entry::ValueWidth;

/// What is saved: all entries of a map as of one moment.
pub(crate) struct Content {
    /// The entries, all of them values, in key order; none of them is empty.
    pub(crate) bases: Vec<Base>,
    /// How values are stored.
    pub(crate) width: ValueWidth,
    /// How keys and values are encoded.
    pub(crate) names: TypeNames,
}
