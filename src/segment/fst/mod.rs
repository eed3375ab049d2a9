//! Keys as one finite-state transducer: prefixes and suffixes shared, the ordinal as its output.
//!
//! The `fst` crate builds it (its format version 3) and our own reader reads it, because the crate
//! trusts the bytes. The ordinals of sorted keys are dense, which gives the outputs a meaning: the
//! output of an edge is the number of keys that stand before the edge's subtree in its node. So
//! outputs ascend within a node, and ordinals, ranks and lower bounds fall out of a single descent.

mod build;
mod cursor;
mod node;
#[cfg(test)]
mod tests;
mod verify;

pub(super) use build::FstStage;
pub(super) use cursor::FstWalk;

use super::format::Section;
use crate::blocks::Bytes;
use crate::bytes::u64_at;
use crate::error::Corruption;
use crate::key::MAX_KEY_LEN;
use node::{FOOTER_LEN, HEADER_LEN, LEAF, Node, Nodes, Step};
use std::cmp::Ordering;

/// The version of the crate's format that is written and read.
const VERSION: u64 = 3;

// The header, field after field.
const VERSION_AT: usize = 0;
const TYPE_AT: usize = VERSION_AT + 8;

// The footer, field after field, from the end of the nodes.
const KEYS_AT: usize = 0;
const ROOT_AT: usize = KEYS_AT + 8;

/// The stored keys of a segment.
#[derive(Clone, Copy)]
pub(super) struct FstKeys<'a> {
    nodes: Nodes<'a>,
    root: usize,
    entries: u64,
}

impl<'a> FstKeys<'a> {
    /// The keys of `entries` entries in their section.
    #[inline]
    pub(super) fn new(bytes: Bytes<'a>, entries: u64) -> Self {
        // The root is the last node; only {""} has no node with bytes.
        let root = match bytes.len().saturating_sub(FOOTER_LEN) {
            nodes_end if nodes_end <= HEADER_LEN => LEAF,
            nodes_end => nodes_end - 1,
        };
        Self { nodes: Nodes(bytes), root, entries }
    }

    /// Checks header and footer, in constant time.
    ///
    /// The checksum in the footer is the crate's own; the section's checksum covers it.
    pub(super) fn check_frame(self) -> Result<(), Corruption> {
        let Nodes(bytes) = self.nodes;
        let nodes_end = bytes
            .len()
            .checked_sub(FOOTER_LEN)
            .filter(|end| *end >= HEADER_LEN)
            .ok_or_else(|| damaged(0, "it has a header and a footer"))?;
        let (header, footer) = (bytes.get(0..HEADER_LEN)?, bytes.get(nodes_end..bytes.len())?);
        if u64_at(header, VERSION_AT) != Some(VERSION) || u64_at(header, TYPE_AT) != Some(0) {
            return Err(damaged(VERSION_AT, "its version is 3 and its type 0"));
        }
        if u64_at(footer, KEYS_AT) != Some(self.entries) {
            return Err(damaged(
                nodes_end + KEYS_AT,
                "it has as many keys as the segment has entries",
            ));
        }
        if u64_at(footer, ROOT_AT) != Some(self.root as u64) {
            return Err(damaged(nodes_end + ROOT_AT, "its root is its last node"));
        }
        Ok(())
    }

    /// The ordinal of `key`, if it is there.
    pub(super) fn find(self, key: &[u8]) -> Result<Option<u64>, Corruption> {
        let mut at = self.root;
        let mut ordinal = 0u64;
        for &byte in key {
            match self.nodes.step(at, byte) {
                Step::To(output, child) => {
                    // Wrapping would show as an ordinal that is out of range or of another key;
                    // saturating is always out of range.
                    ordinal = ordinal.saturating_add(output);
                    at = child;
                }
                Step::Miss => return Ok(None),
                Step::Damaged => return Err(self.no_node(at)),
            }
        }
        match self.nodes.node(at) {
            Some(Node::Leaf) => self.in_range(at, ordinal).map(Some),
            Some(Node::Many(many)) if many.is_final => {
                self.in_range(at, ordinal.saturating_add(many.final_output)).map(Some)
            }
            Some(Node::One(_) | Node::Many(_)) => Ok(None),
            None => Err(self.no_node(at)),
        }
    }

    /// The ordinal of the first key that is not below `key`; the number of keys if there is none.
    pub(super) fn lower_bound(self, key: &[u8]) -> Result<u64, Corruption> {
        let mut at = self.root;
        // Ordinals of the first key in the subtree of `at`, and of the first one behind it.
        let (mut first, mut behind) = (0u64, self.entries);
        for &byte in key {
            let edge = match self.nodes.node(at).ok_or_else(|| self.no_node(at))? {
                // A key that ends here is a proper prefix of `key`, and so below it.
                Node::Leaf => return self.at_most_len(at, behind),
                Node::One(edge) => edge,
                Node::Many(many) => {
                    let i = many.first_not_below(byte).ok_or_else(|| self.no_node(at))?;
                    if i == many.len {
                        return self.at_most_len(at, behind);
                    }
                    if i + 1 < many.len {
                        let output = many.output(i + 1).ok_or_else(|| self.no_node(at))?;
                        behind = first.saturating_add(output);
                    }
                    many.edge(i).ok_or_else(|| self.no_node(at))?
                }
            };
            let below = first.saturating_add(edge.output);
            match edge.input.cmp(&byte) {
                Ordering::Less => return self.at_most_len(at, behind),
                Ordering::Greater => return self.at_most_len(at, below),
                Ordering::Equal => (at, first) = (edge.child, below),
            }
        }
        self.at_most_len(at, first)
    }

    /// Appends the key of `ordinal` to `key`.
    pub(super) fn key_at(self, ordinal: u64, key: &mut Vec<u8>) -> Result<(), Corruption> {
        let limit = key.len().saturating_add(MAX_KEY_LEN);
        let mut at = self.root;
        let mut left = ordinal;
        loop {
            let edge = match self.nodes.node(at).ok_or_else(|| self.no_node(at))? {
                Node::Leaf if left == 0 => return Ok(()),
                Node::Leaf => return Err(damaged(at, ORDINALS)),
                Node::Many(many) if many.is_final && left == many.final_output => return Ok(()),
                Node::Many(many) => {
                    let i = many.last_within(left).ok_or_else(|| damaged(at, ORDINALS))?;
                    many.edge(i).ok_or_else(|| self.no_node(at))?
                }
                Node::One(edge) => edge,
            };
            left = left.checked_sub(edge.output).ok_or_else(|| damaged(at, ORDINALS))?;
            at = edge.child;
            if key.len() >= limit {
                return Err(damaged(at, KEY_LEN));
            }
            key.push(edge.input);
        }
    }

    /// Why there is no node at `at`: its block is damaged, or what stands there is no node.
    #[cold]
    fn no_node(self, at: usize) -> Corruption {
        match self.nodes.admit(at) {
            Err(corruption) => corruption,
            Ok(()) => damaged(at, NO_NODE),
        }
    }

    fn in_range(self, at: usize, ordinal: u64) -> Result<u64, Corruption> {
        if ordinal < self.entries { Ok(ordinal) } else { Err(damaged(at, ORDINALS)) }
    }

    fn at_most_len(self, at: usize, ordinal: u64) -> Result<u64, Corruption> {
        if ordinal <= self.entries { Ok(ordinal) } else { Err(damaged(at, ORDINALS)) }
    }
}

const ORDINALS: &str = "outputs add up to the ordinals of the keys";
const NO_NODE: &str = "a node's fields and children stand before it";
const KEY_LEN: &str = "a key has at most 65,535 bytes";

#[cold]
fn damaged(at: usize, rule: &'static str) -> Corruption {
    Corruption::new(Section::Transducer.part(), at as u64, rule)
}
