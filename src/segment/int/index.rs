//! The tree over the pieces: first keys, eight in a node of one cache line.
//!
//! A leaf has the descriptors of its pieces in the line behind it. Nodes stand root first, level by
//! level, so that nothing in them has to say where their children are.

use super::piece::Descriptor;
use crate::blocks::Bytes;
use crate::error::Corruption;
use std::ops::Range;

/// Keys of a node.
pub(super) const FAN: usize = 8;

/// Bytes of a key and of a descriptor.
pub(super) const WORD: usize = 8;

/// Bytes of a node's keys.
pub(super) const NODE_LEN: usize = FAN * WORD;

/// Bytes of a leaf: keys and descriptors.
pub(super) const LEAF_LEN: usize = 2 * NODE_LEN;

/// Where the nodes over so many pieces are.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Number of pieces, at least one.
    pub(super) pieces: usize,
    /// Where the root is.
    front: usize,
    /// Levels above the leaves.
    inner_levels: usize,
    /// Where the leaves start.
    leaves: usize,
}

/// What the tree says about a piece.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) piece: usize,
    pub(super) first: u64,
    pub(super) descriptor: Descriptor,
}

impl Shape {
    /// The nodes over so many pieces, behind so many bytes.
    pub(super) fn new(pieces: usize, front: usize) -> Self {
        let mut shape = Self { pieces, front, inner_levels: 0, leaves: 0 };
        while shape.nodes(shape.inner_levels) > 1 {
            shape.inner_levels += 1;
        }
        shape.leaves = shape.start(0);
        shape
    }

    /// Number of levels above the leaves.
    #[inline]
    pub(super) fn inner_levels(self) -> usize {
        self.inner_levels
    }

    /// Number of nodes of a level, the leaves being level 0.
    #[inline]
    pub(super) fn nodes(self, level: usize) -> usize {
        // A node stands for as many pieces as a power of its children; no number of pieces has
        // more levels than there are such powers.
        self.pieces.div_ceil(1 << (FAN.ilog2() as usize * (level + 1)))
    }

    /// Where a level starts.
    pub(super) fn start(self, level: usize) -> usize {
        let mut start = self.front;
        for above in level + 1..=self.inner_levels() {
            start += self.nodes(above) * NODE_LEN;
        }
        start
    }

    /// Where the tree ends.
    pub(super) fn end(self) -> usize {
        self.leaves + self.nodes(0) * LEAF_LEN
    }

    /// The last piece whose first key is not above `key`; the first one if there is none.
    #[inline(always)]
    pub(super) fn descend(self, index: Bytes<'_>, key: u64) -> Result<Row, Corruption> {
        let last = self.pieces - 1;
        let (mut node, mut start) = (0, self.front);
        // The number of a node's children is the number of pieces, shifted by so much.
        let mut shift = FAN.ilog2() as usize * self.inner_levels;
        while shift > 0 {
            let keys: &[u8; NODE_LEN] = index.array(start + node * NODE_LEN)?;
            let child = node * FAN + slot(keys, key);
            start += ((last >> shift >> FAN.ilog2()) + 1) * NODE_LEN;
            // Behind the last child, a node has keys that are not below any.
            node = child.min(last >> shift);
            shift -= FAN.ilog2() as usize;
        }
        let leaf: &[u8; LEAF_LEN] = index.array(start + node * LEAF_LEN)?;
        let slot = slot(leaf, key).min(last - node * FAN);
        Ok(row(leaf, slot, node * FAN + slot))
    }

    /// The row of a piece, which is one of them.
    #[inline]
    pub(super) fn row(self, index: Bytes<'_>, piece: usize) -> Result<Row, Corruption> {
        let at = self.leaves + piece / FAN * LEAF_LEN;
        Ok(row(index.array::<LEAF_LEN>(at)?, piece % FAN, piece))
    }

    /// Where the first key of each node of a level below stands in the one above it.
    pub(super) fn place(self, level: usize, child: usize) -> Range<usize> {
        let (node, slot) = (child / FAN, child % FAN);
        let node_len = if level == 0 { LEAF_LEN } else { NODE_LEN };
        let at = self.start(level) + node * node_len + slot * WORD;
        at..at + WORD
    }
}

/// The row of a piece, in a slot of its leaf.
#[inline]
fn row(leaf: &[u8], slot: usize, piece: usize) -> Row {
    let descriptor = Descriptor(word(leaf, FAN + slot));
    Row { piece, first: word(leaf, slot), descriptor }
}

/// A number of a node.
#[inline]
fn word(node: &[u8], slot: usize) -> u64 {
    node.as_chunks::<WORD>().0.get(slot).map_or(0, |word| u64::from_le_bytes(*word))
}

/// The place of the last key of a node that is not above `key`; 0 if there is none.
#[inline]
fn slot(node: &[u8], key: u64) -> usize {
    // Halving without a branch, which nobody could guess.
    const { assert!(FAN == 8) };
    let mut slot = usize::from(word(node, 4) <= key) * 4;
    slot += usize::from(word(node, slot + 2) <= key) * 2;
    slot + usize::from(word(node, slot + 1) <= key)
}
