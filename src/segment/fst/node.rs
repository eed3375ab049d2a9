//! Reads single nodes of a transducer from bytes that may be anything.
//!
//! A node is addressed by its *last* byte and read backwards. Its children were written before it
//! and so have lower addresses; since every reader here refuses any other child, a walk gets
//! strictly closer to the start and ends. Three forms, told by the top bits of the last byte:
//!
//! | bits | form | from low to high address |
//! |---|---|---|
//! | `11` | one edge to the node just before | input? state |
//! | `10` | one edge | output, delta, sizes, input?, state |
//! | `01`, `00` | any edges; `01` ends a key | final output?, outputs, deltas, inputs, index?, sizes, count?, state |
//!
//! The low 6 bits of the state are a code for the input of a single edge, or the number of edges;
//! 0 in both cases means that it has a byte of its own. `sizes` holds the width of a delta (high
//! half) and of an output (low half). Edges are stored last first. A delta is the distance from
//! the node's lowest byte to the child; 0 stands for the leaf, which ends a key and has no bytes.

use crate::blocks::Bytes;
use crate::bytes::u64_at;
use crate::error::Corruption;
use std::ops::Range;

/// Address of the leaf: the one node without bytes.
pub(super) const LEAF: usize = 0;

/// Bytes in front of the first node: format version and type.
pub(super) const HEADER_LEN: usize = 16;

/// Bytes behind the root: number of keys, root address, the builder's own checksum.
///
/// They also let every field of a node be read as 8 bytes at once.
pub(super) const FOOTER_LEN: usize = 20;

/// From this number of edges on, a node has a table from input to edge.
const INDEXED_FROM: usize = 33;

/// Bytes of that table.
const INDEX_LEN: usize = 256;

/// The inputs with a code, by code. The format fixes them; 0 means "no code".
const CODED_INPUTS: &[u8; 64] =
    b"\0te/oasripcnw.hlm-du012g=:bf3y5&_4v9678k%?xCDASFIBEjPTzRNM+LOqHG";

/// Most bytes of a node with one edge: state, input, sizes, delta, output. The fields that tell the
/// length of any other node are among the last this many, too.
const SINGLE_LEN: usize = 1 + 1 + 1 + 8 + 8;

const FORM_NEXT: u8 = 0b11 << 6;
const FORM_ONE: u8 = 0b10 << 6;
const FINAL: u8 = 0b01 << 6;
const LOW_BITS: u8 = 0b11_1111;

/// Masks for integers of 0 to 8 bytes.
const MASKS: [u64; 9] = [
    0,
    0xff,
    0xffff,
    0x00ff_ffff,
    0xffff_ffff,
    0x00ff_ffff_ffff,
    0xffff_ffff_ffff,
    0x00ff_ffff_ffff_ffff,
    u64::MAX,
];

/// An edge to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// The byte of the key it stands for.
    pub(super) input: u8,
    /// What it adds to the ordinal.
    pub(super) output: u64,
    /// Address of the child: lower than the node's, or [`LEAF`].
    pub(super) child: usize,
}

/// A node with any number of edges, or one that ends a key and goes on.
#[derive(Clone, Copy)]
pub(super) struct Many<'a> {
    bytes: Unchecked<'a>,
    /// Whether a key ends here.
    pub(super) is_final: bool,
    /// What the end of that key adds to its ordinal.
    pub(super) final_output: u64,
    /// Number of edges.
    pub(super) len: usize,
    /// Address of the lowest byte.
    start: usize,
    inputs_at: usize,
    delta_len: usize,
    output_len: usize,
}

/// Any node.
#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    /// Ends a key, has no edges and no bytes.
    Leaf,
    /// Ends no key and has one edge.
    One(Edge),
    /// All others.
    Many(Many<'a>),
}

/// What one byte of a key leads to.
pub(super) enum Step {
    /// Along this output to this child.
    To(u64, usize),
    /// No key goes on with that byte.
    Miss,
    /// The bytes are no node.
    Damaged,
}

/// The bytes of a transducer, as nodes. `None` from a method says that the bytes are no node, or
/// that those of a file are damaged: [`admit`](Self::admit) tells which.
///
/// A node's bytes are admitted once, when the node is read, and then read from the bare slice.
#[derive(Clone, Copy)]
pub(super) struct Nodes<'a>(pub(super) Bytes<'a>);

/// The bytes of a transducer, where they are admitted.
#[derive(Clone, Copy)]
struct Unchecked<'a>(&'a [u8]);

impl<'a> Nodes<'a> {
    /// The node at `at`.
    #[inline]
    pub(super) fn node(self, at: usize) -> Option<Node<'a>> {
        if at == LEAF {
            return Some(Node::Leaf);
        }
        let (bytes, state) = self.state(at)?;
        if state >= FORM_ONE {
            let (input, below) = bytes.single_input(at, state)?;
            let (output, child, _) = bytes.single_edge(below, state)?;
            return Some(Node::One(Edge { input, output, child }));
        }
        self.many(at, state).map(Node::Many)
    }

    /// The node with edges at `at`, which is known to be one.
    pub(super) fn branch(self, at: usize) -> Option<Many<'a>> {
        match self.node(at)? {
            Node::Many(many) => Some(many),
            Node::Leaf | Node::One(_) => None,
        }
    }

    /// Goes one byte down from the node at `at`: [`node`](Self::node) for a single purpose.
    #[inline]
    pub(super) fn step(self, at: usize, byte: u8) -> Step {
        if at == LEAF {
            return Step::Miss;
        }
        let Some((bytes, state)) = self.state(at) else {
            return Step::Damaged;
        };
        if state >= FORM_ONE {
            let Some((input, below)) = bytes.single_input(at, state) else {
                return Step::Damaged;
            };
            if input != byte {
                return Step::Miss;
            }
            return match bytes.single_edge(below, state) {
                Some((output, child, _)) => Step::To(output, child),
                None => Step::Damaged,
            };
        }
        let Some(many) = self.many(at, state) else {
            return Step::Damaged;
        };
        match many.find(byte) {
            Ok(Some(i)) => match many.edge(i) {
                Some(edge) if edge.input == byte => Step::To(edge.output, edge.child),
                _ => Step::Damaged,
            },
            Ok(None) => Step::Miss,
            Err(()) => Step::Damaged,
        }
    }

    /// Address of the lowest byte of the node at `at`, which is not the leaf.
    pub(super) fn start(self, at: usize) -> Option<usize> {
        let (bytes, state) = self.state(at)?;
        if state >= FORM_ONE {
            let (_, below) = bytes.single_input(at, state)?;
            return bytes.single_edge(below, state).map(|(_, _, start)| start);
        }
        self.many(at, state).map(|many| many.start)
    }

    /// Has the blocks of the node at `at` checked, again if they were found damaged.
    pub(super) fn admit(self, at: usize) -> Result<(), Corruption> {
        self.0.admit(last(at))?;
        let bytes = Unchecked(self.0.admitted());
        let state = bytes.0.get(at).copied().filter(|state| *state < FORM_ONE);
        match state.and_then(|state| bytes.many(at, state)) {
            Some(many) => self.0.admit(many.start..at + 1),
            None => Ok(()),
        }
    }

    /// The last byte of the node at `at`, and the bytes, of which all that a node with one edge
    /// can have are admitted, and all that tell the length of another one.
    #[inline]
    fn state(self, at: usize) -> Option<(Unchecked<'a>, u8)> {
        if !self.0.admits(last(at)) {
            return None;
        }
        let bytes = self.0.admitted();
        Some((Unchecked(bytes), *bytes.get(at)?))
    }

    /// The node of any edges at `at`, whose [`state`](Self::state) is admitted.
    #[inline]
    fn many(self, at: usize, state: u8) -> Option<Many<'a>> {
        // Read before it is admitted, but not used.
        let many = Unchecked(self.0.admitted()).many(at, state)?;
        self.0.admits(many.start..at + 1).then_some(many)
    }
}

impl<'a> Unchecked<'a> {
    /// The input of a node with one edge, and the address just above the field before it.
    #[inline]
    fn single_input(self, at: usize, state: u8) -> Option<(u8, usize)> {
        let code = state & LOW_BITS;
        if code == 0 {
            let at = at.checked_sub(1)?;
            Some((*self.0.get(at)?, at))
        } else {
            Some((CODED_INPUTS[usize::from(code)], at))
        }
    }

    /// Output, child and lowest byte of a node with one edge whose other fields end at `below`.
    #[inline]
    fn single_edge(self, below: usize, state: u8) -> Option<(u64, usize, usize)> {
        if state >= FORM_NEXT {
            let child = below.checked_sub(1).filter(|child| *child >= HEADER_LEN)?;
            return Some((0, child, below));
        }
        let sizes_at = below.checked_sub(1)?;
        let (delta_len, output_len) = self.sizes(sizes_at)?;
        let delta_at = sizes_at.checked_sub(delta_len)?;
        let start = delta_at.checked_sub(output_len)?;
        let output = self.uint(start, output_len)?;
        let child = child(start, self.uint(delta_at, delta_len)?)?;
        Some((output, child, start))
    }

    #[inline]
    fn many(self, at: usize, state: u8) -> Option<Many<'a>> {
        let is_final = state & FINAL != 0;
        let (len, below) = match usize::from(state & LOW_BITS) {
            0 => {
                let at = at.checked_sub(1)?;
                // A lone edge always fits in the state, so 1 is free to stand for 256.
                match usize::from(*self.0.get(at)?) {
                    1 => (256, at),
                    len => (len, at),
                }
            }
            len => (len, at),
        };
        let sizes_at = below.checked_sub(1)?;
        let (delta_len, output_len) = self.sizes(sizes_at)?;
        let index_len = if len >= INDEXED_FROM { INDEX_LEN } else { 0 };
        let inputs_at = sizes_at.checked_sub(index_len + len)?;
        let finals = usize::from(is_final);
        // At most 257 integers of at most 8 bytes: no overflow before the subtraction.
        let start = inputs_at.checked_sub(len * delta_len + (len + finals) * output_len)?;
        let final_output = if is_final { self.uint(start, output_len)? } else { 0 };
        Some(Many {
            bytes: self,
            is_final,
            final_output,
            len,
            start,
            inputs_at,
            delta_len,
            output_len,
        })
    }

    /// Widths of deltas and outputs.
    #[inline]
    fn sizes(self, at: usize) -> Option<(usize, usize)> {
        let sizes = *self.0.get(at)?;
        let (delta_len, output_len) = (usize::from(sizes >> 4), usize::from(sizes & 0xf));
        (delta_len <= 8 && output_len <= 8).then_some((delta_len, output_len))
    }

    /// An integer of `len` bytes, read as one word: the footer makes room behind every node.
    #[inline]
    fn uint(self, at: usize, len: usize) -> Option<u64> {
        Some(u64_at(self.0, at)? & MASKS.get(len)?)
    }
}

/// The bytes up to the one at `at` that tell how long its node is.
#[inline]
fn last(at: usize) -> Range<usize> {
    at.saturating_sub(SINGLE_LEN - 1)..at.saturating_add(1)
}

/// The child at a distance from the lowest byte of its parent.
#[inline]
fn child(start: usize, delta: u64) -> Option<usize> {
    if delta == 0 {
        return Some(LEAF);
    }
    let child = start.checked_sub(usize::try_from(delta).ok()?)?;
    (child >= HEADER_LEN).then_some(child)
}

impl Many<'_> {
    /// The input of edge `i`; edges are in ascending order of it.
    #[inline]
    pub(super) fn input(&self, i: usize) -> Option<u8> {
        let from_last = self.len.checked_sub(i + 1)?;
        self.bytes.0.get(self.inputs_at + from_last).copied()
    }

    /// The output of edge `i`.
    #[inline]
    pub(super) fn output(&self, i: usize) -> Option<u64> {
        let from_last = self.len.checked_sub(i + 1)?;
        let outputs_at = self.inputs_at - self.len * (self.delta_len + self.output_len);
        self.bytes.uint(outputs_at + from_last * self.output_len, self.output_len)
    }

    /// Edge `i`.
    #[inline]
    pub(super) fn edge(&self, i: usize) -> Option<Edge> {
        let from_last = self.len.checked_sub(i + 1)?;
        let deltas_at = self.inputs_at - self.len * self.delta_len;
        let delta = self.bytes.uint(deltas_at + from_last * self.delta_len, self.delta_len)?;
        Some(Edge {
            input: self.input(i)?,
            output: self.output(i)?,
            child: child(self.start, delta)?,
        })
    }

    /// The edge for `byte`. `Err` if the table from input to edge lies outside the bytes.
    #[inline]
    fn find(&self, byte: u8) -> Result<Option<usize>, ()> {
        if self.len >= INDEXED_FROM {
            return self.indexed(byte).ok_or(()).map(|i| {
                // Anything past the edges says "none".
                Some(i).filter(|i| *i < self.len)
            });
        }
        let inputs = self.inputs().ok_or(())?;
        let from_last = inputs.iter().position(|&input| input == byte);
        Ok(from_last.map(|from_last| self.len - 1 - from_last))
    }

    /// What the table from input to edge says about `byte`, in a node that has one.
    fn indexed(&self, byte: u8) -> Option<usize> {
        let at = self.inputs_at + self.len + usize::from(byte);
        self.bytes.0.get(at).map(|&i| usize::from(i))
    }

    /// All inputs, last edge first.
    #[inline]
    fn inputs(&self) -> Option<&[u8]> {
        self.bytes.0.get(self.inputs_at..self.inputs_at + self.len)
    }

    /// The first edge whose input is not below `byte`; the number of edges if there is none.
    pub(super) fn first_not_below(&self, byte: u8) -> Option<usize> {
        let inputs = self.inputs()?;
        Some(self.len - inputs.partition_point(|&input| input >= byte))
    }

    /// The last edge whose output is at most `output`.
    pub(super) fn last_within(&self, output: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.output(middle)? <= output {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.checked_sub(1)
    }

    /// Whether the table from input to edge, if there is one, agrees with the inputs.
    pub(super) fn is_indexed_right(&self) -> bool {
        self.len < INDEXED_FROM
            || (0..=u8::MAX).all(|byte| match self.find(byte) {
                Ok(Some(i)) => self.input(i) == Some(byte),
                Ok(None) => self.inputs().is_some_and(|inputs| !inputs.contains(&byte)),
                Err(()) => false,
            })
    }
}
