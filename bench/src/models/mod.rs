//! Models of integer keys beside each other: which one finds a key soonest, in which kind of column.
//!
//! A model ([`model`]) is learned from ascending keys in one pass and predicts a window of positions
//! that is proved to have the answer. Most consist of levels: straight lines ([`pla`]), a spline with a
//! radix table ([`spline`]), blocks below a static B-tree ([`tree`]). Policies ([`policy`]) are types
//! that put levels together. The window is then searched in a column ([`columns`]).

#![expect(clippy::inline_always, reason = "a search is one function, as if written by hand")]

mod columns;
mod measure;
mod model;
mod pla;
mod policy;
mod search;
mod sets;
mod spline;
mod statics;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod twin;

pub(crate) use table::{Options, execute};
