//! Static B-trees over the first keys of parts.

use super::model::{Cut, Top};

/// Bytes of a node for separators.
const ROOM: usize = 48;

/// A node of one cache line: separators of 1, 2, 4 or 8 bytes behind what all in the node share.
///
/// Between the last key of a part and the first of the next one, any number separates them. So a
/// separator is as many steps of a power of two from the node's first one, and takes few bytes.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Node {
    /// The first separator.
    base: u64,
    /// The first child; others follow.
    child: u32,
    /// A step, as the power of two.
    shift: u8,
    /// Bytes of a separator, as the power of two.
    width: u8,
    /// Number of separators.
    separators: u8,
    /// Unused ones are the largest number.
    steps: [u8; ROOM],
}

impl Node {
    /// The child that a key belongs to.
    #[inline(always)]
    fn child(&self, key: u64) -> usize {
        let Some(distance) = key.checked_sub(self.base) else {
            return self.child as usize;
        };
        let sought = distance >> self.shift;
        let steps = &self.steps;
        let passed = match self.width {
            0 => {
                let sought = sought.min(u64::from(u8::MAX)) as u8;
                steps.iter().map(|step| u8::from(*step <= sought)).sum()
            }
            1 => {
                let sought = sought.min(u64::from(u16::MAX)) as u16;
                let steps = steps.as_chunks().0.iter();
                steps.map(|step| u16::from(u16::from_le_bytes(*step) <= sought)).sum::<u16>() as u8
            }
            2 => {
                let sought = sought.min(u64::from(u32::MAX)) as u32;
                let steps = steps.as_chunks().0.iter();
                steps.map(|step| u32::from(u32::from_le_bytes(*step) <= sought)).sum::<u32>() as u8
            }
            _ => {
                let steps = steps.as_chunks().0.iter();
                steps.map(|step| u8::from(u64::from_le_bytes(*step) <= sought)).sum()
            }
        };
        self.child as usize + usize::from(passed.min(self.separators))
    }

    /// A node of so many children, of which there are at least one, with separators of `1 << width`
    /// bytes; `None` if these are too few.
    fn of(children: &[Cut], child: u32, width: u8) -> Option<Self> {
        let separated = &children[1..];
        let base = separated.first().map_or(0, |cut| cut.below + 1);
        let last = separated.last().map_or(0, |cut| cut.below + 1 - base);
        let bits = 8 << width;
        let most = u64::MAX >> (64 - bits);
        let mut shift = (u64::BITS - last.leading_zeros()).saturating_sub(bits);
        if shift > 0 && ((last - 1) >> shift) + 1 > most {
            shift += 1;
        }
        let mut steps = [u8::MAX; ROOM];
        for (cut, to) in separated.iter().zip(steps.chunks_mut(1 << width)) {
            let distance = cut.below + 1 - base;
            let step = (distance >> shift) + u64::from(distance & ((1 << shift) - 1) != 0);
            if step > (cut.first - base) >> shift {
                return None;
            }
            to.copy_from_slice(&step.to_le_bytes()[..1 << width]);
        }
        let separators = separated.len() as u8;
        Some(Self { base, child, shift: shift as u8, width, separators, steps })
    }

    /// The node of as many of these children as possible, and how many.
    fn of_most(children: &[Cut], child: u32) -> (Self, usize) {
        for width in 0..3 {
            let count = children.len().min((ROOM >> width) + 1);
            if let Some(node) = Self::of(&children[..count], child, width) {
                return (node, count);
            }
        }
        let count = children.len().min((ROOM >> 3) + 1);
        let node = Self::of(&children[..count], child, 3);
        (node.expect("8 bytes are enough for any separator"), count)
    }
}

/// A tree of such nodes, the root first.
pub(super) struct Tree {
    nodes: Vec<Node>,
    levels: usize,
}

#[derive(Default)]
struct Row {
    waiting: Vec<Cut>,
    nodes: Vec<Node>,
    children: u32,
}

/// Children that wait until a node of the smallest separators is full.
#[derive(Default)]
pub(super) struct TreeLearner(Vec<Row>);

impl TreeLearner {
    fn push(&mut self, level: usize, cut: Cut) {
        if level == self.0.len() {
            self.0.push(Row::default());
        }
        self.0[level].waiting.push(cut);
        if self.0[level].waiting.len() == ROOM + 1 {
            self.end_node(level);
        }
    }

    fn end_node(&mut self, level: usize) {
        let row = &mut self.0[level];
        let (node, count) = Node::of_most(&row.waiting, row.children);
        let first = row.waiting[0];
        row.nodes.push(node);
        row.children += count as u32;
        row.waiting.drain(..count);
        self.push(level + 1, first);
    }
}

impl Top for Tree {
    type Learner = TreeLearner;
    const NEEDS_FIRSTS: bool = false;

    fn push(learner: &mut TreeLearner, cut: Cut) {
        learner.push(0, cut);
    }

    fn finish(mut learner: TreeLearner, _: &[u64]) -> Self {
        let mut level = 0;
        while level < learner.0.len() {
            let is_root = |row: &Row| row.nodes.is_empty() && row.waiting.len() == 1;
            if level > 0 && is_root(&learner.0[level]) {
                break;
            }
            while !learner.0[level].waiting.is_empty() {
                learner.end_node(level);
            }
            level += 1;
        }
        let mut rows: Vec<Vec<Node>> = learner.0.into_iter().map(|row| row.nodes).collect();
        rows.truncate(level);
        let levels = rows.len();
        let mut nodes = Vec::with_capacity(rows.iter().map(Vec::len).sum());
        while let Some(mut row) = rows.pop() {
            if !rows.is_empty() {
                let behind = (nodes.len() + row.len()) as u32;
                for node in &mut row {
                    node.child += behind;
                }
            }
            nodes.append(&mut row);
        }
        Self { nodes, levels }
    }

    #[inline(always)]
    fn part(&self, _: &[u64], key: u64) -> usize {
        let mut at = 0;
        for _ in 0..self.levels {
            at = self.nodes.get(at).map_or(0, |node| node.child(key));
        }
        at
    }

    fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node>()
    }
}

/// First keys, eight in a node, every eighth of a level in the one above it; places follow from
/// numbers. The tree that segments of numbers have.
pub(super) struct Eights {
    /// The levels above the first keys themselves, root last.
    pub(super) levels: Vec<Vec<u64>>,
}

pub(super) const FAN: usize = 8;

/// The place of the last key of a node that is not above `key`; 0 if there is none.
#[inline(always)]
fn slot(node: &[u64], key: u64) -> usize {
    let is_passed = |slot: usize| usize::from(node.get(slot).is_some_and(|first| *first <= key));
    let mut slot = is_passed(4) * 4;
    slot += is_passed(slot + 2) * 2;
    slot + is_passed(slot + 1)
}

impl Top for Eights {
    type Learner = ();
    const NEEDS_FIRSTS: bool = true;

    fn push((): &mut (), _: Cut) {}

    fn finish((): (), firsts: &[u64]) -> Self {
        let mut levels: Vec<Vec<u64>> = Vec::new();
        loop {
            let below = levels.last().map_or(firsts, Vec::as_slice);
            if below.len() <= FAN {
                return Self { levels };
            }
            let level = below.iter().step_by(FAN).copied().collect();
            levels.push(level);
        }
    }

    #[inline(always)]
    fn part(&self, firsts: &[u64], key: u64) -> usize {
        let step = |level: &[u64], node: usize| {
            let at = node * FAN;
            at + slot(level.get(at..(at + FAN).min(level.len())).unwrap_or(&[]), key)
        };
        let node = self.levels.iter().rev().fold(0, |node, level| step(level, node));
        step(firsts, node)
    }

    fn bytes(&self) -> usize {
        self.levels.iter().map(|level| level.len() * 8).sum()
    }
}
