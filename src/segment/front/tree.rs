//! The index of the blocks: a static B+-tree over what separates each block from the one before.
//!
//! The separator of a block is the shortest beginning of its head that is above the last key of the
//! block before. A node has 16 children, and of the 15 separators between them 8 bytes each, as
//! numbers that compare as the bytes do. They are taken at the node's depth: what the separators on
//! both sides of the node share. A key that was led to the node is between those, so it shares that
//! too, and nobody has to look. Where 8 bytes do not tell everything, the rest stands in the tails.
//!
//! ```text
//! inner node (128): depth (2), place of the tails plus one or 0 (6), 15 separators (8 each)
//! leaf (192 or 256): the same, then the offsets of 16 blocks (4 or 8 each)
//! tails of a node: length of each separator from the depth on (15 times 2), then their bytes 8..
//! ```
//! Nodes stand root first, level by level. Unused separators are all ones, unused offsets zero.

use super::{INDEX, TAILS, damaged};
use crate::blocks::Bytes;
use crate::bytes::{common_prefix, u16_at, u64_at};
use crate::error::Corruption;
use crate::planted::{Bug, planted};
use std::array;
use std::ops::Range;

/// Children of a node; the separators between them are one less.
pub(super) const FAN: usize = 16;

/// Separators of a node.
const SEPARATORS: usize = FAN - 1;

/// Bytes of an inner node, and of a leaf before its offsets.
pub(super) const NODE_LEN: usize = 8 + SEPARATORS * SLICE_LEN;

/// Bytes of a separator that are in its node.
const SLICE_LEN: usize = 8;

/// Bytes of the lengths before the tails of a node.
const TAIL_LENS: usize = SEPARATORS * 2;

/// Levels at most: enough for any 64-bit number of blocks.
pub(super) const LEVELS: usize = 16;

/// How many nodes there are, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Number of blocks; so few that their offsets fit into memory.
    pub(super) blocks: u64,
    /// Bytes of an offset: 4 or 8.
    pub(super) offset_width: usize,
    /// Bytes before the root.
    pub(super) front: usize,
}

impl Shape {
    /// Number of levels; leaves are level 0.
    #[inline]
    pub(super) fn levels(self) -> u32 {
        match self.blocks {
            0 => 0,
            1 => 1,
            blocks => (u64::BITS - (blocks - 1).leading_zeros()).div_ceil(FAN.ilog2()),
        }
    }

    /// Nodes of a level.
    #[inline]
    pub(super) fn nodes(self, level: u32) -> u64 {
        let shift = FAN.ilog2() * (level + 1);
        let whole = self.blocks.checked_shr(shift).unwrap_or(0);
        whole + u64::from(whole.checked_shl(shift).unwrap_or(0) < self.blocks)
    }

    /// Bytes of a leaf.
    #[inline]
    pub(super) fn leaf_len(self) -> usize {
        NODE_LEN + FAN * self.offset_width
    }

    /// Where a level starts; for level 0 also where the first leaf is.
    pub(super) fn level_start(self, level: u32) -> usize {
        let above: u64 = (level + 1..self.levels()).map(|above| self.nodes(above)).sum();
        self.front + above as usize * NODE_LEN
    }

    /// Bytes of everything; `None` if there are more than can be addressed.
    pub(super) fn end(self) -> Option<usize> {
        let inner: u64 = (1..self.levels()).map(|level| self.nodes(level)).sum();
        let inner = usize::try_from(inner).ok()?.checked_mul(NODE_LEN)?;
        let leaves = usize::try_from(self.nodes(0)).ok()?.checked_mul(self.leaf_len())?;
        self.front.checked_add(inner)?.checked_add(leaves)
    }
}

/// The tree in its sections.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) shape: Shape,
    pub(super) nodes: Bytes<'a>,
    pub(super) tails: Bytes<'a>,
}

impl Tree<'_> {
    /// The last block whose separator is not above `key`, which is without the keys' prefix.
    #[inline]
    pub(super) fn descend(self, key: &[u8]) -> Result<u64, Corruption> {
        let mut start = self.shape.front;
        let mut index = 0u64;
        for level in (0..self.shape.levels()).rev() {
            let nodes = self.shape.nodes(level);
            let below = if level == 0 { self.shape.blocks } else { self.shape.nodes(level - 1) };
            let stride = if level == 0 { self.shape.leaf_len() } else { NODE_LEN };
            let at = start + index as usize * stride;
            let children = (below - index * FAN as u64).min(FAN as u64) as usize;
            index = index * FAN as u64 + self.child(at, children, key)? as u64;
            start += nodes as usize * NODE_LEN;
        }
        Ok(index)
    }

    /// Which child of the node at `at` leads to `key`.
    #[inline]
    fn child(self, at: usize, children: usize, key: &[u8]) -> Result<usize, Corruption> {
        let node = self.nodes.get(at..at + NODE_LEN)?;
        let head = u64_at(node, 0).unwrap_or(0);
        let (depth, tails) = ((head & 0xffff) as usize, head >> 16);
        let rest = key.get(depth..).unwrap_or(&[]);
        let wanted = slice(rest);
        let slices = node[8..].as_chunks::<SLICE_LEN>().0;
        let not_above = |slice: &&[u8; SLICE_LEN]| u64::from_le_bytes(**slice) <= wanted;
        let child = slices.iter().filter(not_above).count().min(children - 1);
        let is_tie = |child: usize| {
            child.checked_sub(1).is_some_and(|i| u64::from_le_bytes(slices[i]) == wanted)
        };
        if tails == 0 || !is_tie(child) || planted(Bug::TailsForgotten) {
            return Ok(child);
        }
        let ties = (0..child).rev().take_while(|i| is_tie(i + 1)).count();
        self.settle(tails - 1, child - ties..child, rest)
    }

    /// Which child leads to the key that goes on with `rest`, if separators in `ties` start with
    /// the same slice as it, and it is not below the ones before nor above the ones after.
    fn settle(self, tails: u64, ties: Range<usize>, rest: &[u8]) -> Result<usize, Corruption> {
        let at = usize::try_from(tails).map_err(|_| damaged(TAILS, 0, INSIDE))?;
        let lens_end = at.checked_add(TAIL_LENS).ok_or_else(|| damaged(TAILS, 0, INSIDE))?;
        let lens = self.tails.get(at..lens_end)?;
        let lens: [usize; SEPARATORS] =
            array::from_fn(|i| usize::from(u16_at(lens, i * 2).unwrap_or(0)));
        let tail_len = |i: usize| lens[i].saturating_sub(SLICE_LEN);
        let (mut low, mut high) = (ties.start, ties.end);
        while low < high {
            let middle = usize::midpoint(low, high);
            let is_above = if lens[middle] <= SLICE_LEN {
                // Equal up to the zeros that fill the slice.
                lens[middle] > rest.len()
            } else {
                match rest.get(SLICE_LEN..) {
                    None => true,
                    Some(rest) => {
                        let start = lens_end + (0..middle).map(tail_len).sum::<usize>();
                        self.tails.get(start..start + tail_len(middle))? > rest
                    }
                }
            };
            if is_above {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// Where the offsets of a leaf's blocks are, and which of them is the block's.
    #[inline]
    pub(super) fn offset(self, block: u64) -> Result<u64, Corruption> {
        let (leaf, slot) = ((block / FAN as u64) as usize, (block % FAN as u64) as usize);
        let leaves = self.shape.nodes(0) as usize * self.shape.leaf_len();
        let first = self.nodes.len().saturating_sub(leaves);
        let width = self.shape.offset_width;
        let at = first + leaf * self.shape.leaf_len() + NODE_LEN + slot * width;
        let bytes = self.nodes.get(at..at + width)?;
        let narrow = || bytes.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
        let offset = if width == 4 { narrow() } else { u64_at(bytes, 0) };
        offset.ok_or_else(|| damaged(INDEX, at, "offsets have 4 or 8 bytes"))
    }
}

const INSIDE: &str = "the tails of a node are inside the section";

/// The first bytes as a number that compares as they do, as if zeros followed.
#[inline]
fn slice(bytes: &[u8]) -> u64 {
    if let Some(whole) = bytes.first_chunk() {
        return u64::from_le_bytes(*whole).swap_bytes();
    }
    let mut padded = [0; SLICE_LEN];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded).swap_bytes()
}

/// Where nodes and tails go, in the order in which they are known.
pub(super) trait TreeSink {
    /// Why it does not take any more.
    type Error;

    /// Takes the next node of a level.
    fn node(&mut self, level: u32, node: &[u8; NODE_LEN]) -> Result<(), Self::Error>;

    /// Takes the next bytes of the tails.
    fn tails(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Makes room for more bytes.
    fn reserve(&mut self, bytes: &mut Vec<u8>, additional: usize) -> Result<(), Self::Error>;
}

/// Makes the nodes from the separators in ascending order.
pub(super) struct TreeBuilder {
    levels: [Level; LEVELS],
    /// Bytes of all tails so far.
    tails: u64,
}

/// A level and the node of it that is being filled.
#[derive(Default)]
struct Level {
    /// Whether there is a node at all.
    is_used: bool,
    /// What the keys below the node are not below: a separator, or nothing for the first node.
    lower: Vec<u8>,
    separators: Vec<u8>,
    lens: [u16; SEPARATORS],
    count: usize,
}

impl TreeBuilder {
    /// A tree of no separators yet.
    pub(super) fn new() -> Self {
        Self { levels: array::from_fn(|_| Level::default()), tails: 0 }
    }

    /// Takes the separator of the next block, from the second one on; they ascend, and have at most
    /// 65,535 bytes.
    pub(super) fn push<S: TreeSink>(
        &mut self,
        separator: &[u8],
        sink: &mut S,
    ) -> Result<(), S::Error> {
        for (number, level) in (0..).zip(&mut self.levels) {
            level.is_used = true;
            if level.count < SEPARATORS {
                sink.reserve(&mut level.separators, separator.len())?;
                level.separators.extend_from_slice(separator);
                level.lens[level.count] = separator.len() as u16;
                level.count += 1;
                return Ok(());
            }
            level.emit(number, Some(separator), &mut self.tails, sink)?;
            level.lower.clear();
            sink.reserve(&mut level.lower, separator.len())?;
            level.lower.extend_from_slice(separator);
        }
        Ok(())
    }

    /// Makes the last nodes; there is at least one block.
    pub(super) fn finish<S: TreeSink>(mut self, sink: &mut S) -> Result<(), S::Error> {
        self.levels[0].is_used = true;
        for (number, level) in (0..).zip(&mut self.levels) {
            if level.is_used {
                level.emit(number, None, &mut self.tails, sink)?;
            }
        }
        Ok(())
    }
}

impl Level {
    /// Makes the node whose keys are below `upper`, and starts the next one.
    fn emit<S: TreeSink>(
        &mut self,
        number: u32,
        upper: Option<&[u8]>,
        tails: &mut u64,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let depth = upper.map_or(0, |upper| common_prefix(&self.lower, upper));
        let mut node = [0xff; NODE_LEN];
        let mut lens = [0u16; SEPARATORS];
        let mut needs_tails = false;
        let slots = node[8..].as_chunks_mut::<SLICE_LEN>().0.iter_mut();
        for ((slot, len), separator) in slots.zip(&mut lens).zip(self.separators(depth)) {
            *slot = slice(separator).to_le_bytes();
            *len = separator.len() as u16;
            // Zeros that fill a slice look like zeros of a key.
            needs_tails |= separator.len() > SLICE_LEN || separator.last() == Some(&0);
        }
        let mut head = depth as u64;
        if needs_tails {
            head |= (*tails + 1) << 16;
            let mut bytes = [0; TAIL_LENS];
            for (bytes, len) in bytes.as_chunks_mut().0.iter_mut().zip(lens) {
                *bytes = len.to_le_bytes();
            }
            sink.tails(&bytes)?;
            *tails += bytes.len() as u64;
            for tail in self.separators(depth).filter_map(|separator| separator.get(SLICE_LEN..)) {
                sink.tails(tail)?;
                *tails += tail.len() as u64;
            }
        }
        node[..8].copy_from_slice(&head.to_le_bytes());
        sink.node(number, &node)?;
        self.separators.clear();
        self.count = 0;
        Ok(())
    }

    /// What the separators have from `depth` on, which is inside each of them.
    fn separators(&self, depth: usize) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.separators.as_slice();
        self.lens[..self.count].iter().map(move |&len| {
            let (separator, after) = rest.split_at(usize::from(len));
            rest = after;
            &separator[depth..]
        })
    }
}
