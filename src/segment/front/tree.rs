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

use super::wanted::Wanted;
use super::{INDEX, TAILS, damaged};
use crate::arena::{CACHE_LINE, prefetch};
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

/// A leaf that was come to.
#[derive(Clone, Copy)]
pub(super) struct Leaf {
    /// Its number.
    index: u64,
    /// Where it is.
    at: usize,
}

/// Where the way down the tree ends.
#[derive(Clone, Copy)]
pub(super) struct Reached {
    /// The last block whose separator is not above the key.
    pub(super) block: u64,
    /// Where its leaf is.
    leaf: usize,
}

impl Tree<'_> {
    /// The leaf over the last block whose separator is not above `key`, which is without the keys'
    /// prefix. There is at least one block.
    #[inline]
    pub(super) fn descend(self, key: &Wanted<'_>) -> Result<Leaf, Corruption> {
        let last = self.shape.blocks - 1;
        let mut start = self.shape.front;
        let mut index = 0u64;
        for level in (1..self.shape.levels()).rev() {
            let at = start + index as usize * NODE_LEN;
            let shift = FAN.ilog2() * level;
            // So many nodes are below, and so many here, less 1.
            let (below, here) = (last >> shift, last >> (shift + FAN.ilog2()));
            let first = index * FAN as u64;
            index = first + self.child(at, below - first, key)?;
            start += (here as usize + 1) * NODE_LEN;
        }
        let at = start + index as usize * self.shape.leaf_len();
        prefetch(self.nodes.admitted(), at + NODE_LEN);
        Ok(Leaf { index, at })
    }

    /// Asks for the memory of the offset of a block.
    #[inline]
    pub(super) fn ask_for_offset(self, block: u64) {
        prefetch(self.nodes.admitted(), self.reach(block).leaf + NODE_LEN);
    }

    /// The block that `key`, which has led to this leaf, would be in.
    #[inline]
    pub(super) fn arrive(self, leaf: Leaf, key: &Wanted<'_>) -> Result<Reached, Corruption> {
        let first = leaf.index * FAN as u64;
        let last = self.shape.blocks - 1;
        let block = first + self.child(leaf.at, last - first, key)?;
        Ok(Reached { block, leaf: leaf.at })
    }

    /// Asks for the memory of a leaf, but for what [`descend`](Self::descend) has asked for.
    #[inline]
    pub(super) fn ask_for(self, leaf: Leaf) {
        let lines = (leaf.at..leaf.at + self.shape.leaf_len()).step_by(CACHE_LINE);
        for line in lines {
            prefetch(self.nodes.admitted(), line);
        }
    }

    /// Which child of the node at `at` leads to `key`; the last one is at most `last`.
    #[inline]
    fn child(self, at: usize, last: u64, key: &Wanted<'_>) -> Result<u64, Corruption> {
        let node = self.nodes.get(at..at + NODE_LEN)?;
        let words: Option<&[[u8; SLICE_LEN]; FAN]> = node.as_chunks().0.first_chunk();
        let words = words.ok_or_else(|| damaged(INDEX, at, "a node has 128 bytes"))?;
        // In front of the slices, as many as separators, stands what makes them as many as children.
        let word = |i: usize| u64::from_le_bytes(words[i % FAN]);
        let depth = (word(0) & 0xffff) as usize;
        let wanted = key.word(depth).swap_bytes();
        let not_above = |i: usize| usize::from(word(i) <= wanted);
        // The quarter first, then the place in it: six slices are looked at, in two steps.
        // SCRATCHPAD.md section 3.2.
        let quarter = FAN / 4 * (not_above(4) + not_above(8) + not_above(12));
        let places = not_above(quarter + 1) + not_above(quarter + 2) + not_above(quarter + 3);
        // Slices that nobody uses are not above a key of the greatest bytes.
        let child = (quarter + places).min(last as usize);
        if child > 0 && word(child) == wanted {
            return self.child_of_tie(words, child, key);
        }
        Ok(child as u64)
    }

    /// Which child leads to `key`, if the separator before `child` has the same slice as it.
    fn child_of_tie(
        self,
        words: &[[u8; SLICE_LEN]; FAN],
        child: usize,
        key: &Wanted<'_>,
    ) -> Result<u64, Corruption> {
        let head = u64::from_le_bytes(words[0]);
        let (depth, tails) = ((head & 0xffff) as usize, head >> 16);
        if tails == 0 || planted(Bug::TailsForgotten) {
            return Ok(child as u64);
        }
        let ties = (1..child).rev().take_while(|i| words[*i] == words[child]).count();
        let rest = key.bytes().get(depth..).unwrap_or(&[]);
        // The separator between the children i - 1 and i has the number i - 1 among the tails.
        Ok(self.settle(tails - 1, child - 1 - ties..child, rest)? as u64)
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

    /// Where a block starts among the blocks.
    pub(super) fn offset(self, block: u64) -> Result<u64, Corruption> {
        self.offset_in(self.reach(block).leaf, block)
    }

    /// Where a block starts, and where it ends unless it is the last one.
    #[expect(clippy::inline_always, reason = "what a get has made for itself is not copied then")]
    #[inline(always)]
    pub(super) fn span(self, reached: Reached) -> Result<(u64, Option<u64>), Corruption> {
        let next = reached.block + 1;
        let slot = (reached.block % FAN as u64) as usize;
        if self.shape.offset_width == 4 && slot + 1 < FAN && next < self.shape.blocks {
            // Both stand side by side.
            let at = reached.leaf + NODE_LEN + slot * 4;
            let pair = u64_at(self.nodes.get(at..at + 8)?, 0).unwrap_or(0);
            return Ok((pair & u64::from(u32::MAX), Some(pair >> u32::BITS)));
        }
        let start = self.offset_in(reached.leaf, reached.block)?;
        let end = if next >= self.shape.blocks {
            None
        } else if next.is_multiple_of(FAN as u64) {
            Some(self.offset_in(reached.leaf + self.shape.leaf_len(), next)?)
        } else {
            Some(self.offset_in(reached.leaf, next)?)
        };
        Ok((start, end))
    }

    /// The leaf of a block.
    #[inline]
    pub(super) fn reach(self, block: u64) -> Reached {
        let leaves = self.shape.nodes(0) as usize * self.shape.leaf_len();
        let first = self.nodes.len().saturating_sub(leaves);
        let leaf = first + (block / FAN as u64) as usize * self.shape.leaf_len();
        Reached { block, leaf }
    }

    /// Where a block of the leaf at `leaf` starts.
    #[inline]
    fn offset_in(self, leaf: usize, block: u64) -> Result<u64, Corruption> {
        let width = self.shape.offset_width;
        let at = leaf + NODE_LEN + (block % FAN as u64) as usize * width;
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
