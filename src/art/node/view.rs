//! Reading nodes.
#![allow(
    unsafe_code,
    clippy::cast_ptr_alignment,
    reason = "nodes are raw blocks of an arena, read here; blocks are aligned to eight bytes"
)]

use super::super::find;
use super::layout::{
    CHILDREN, DETAIL_SHIFT, HAS_VALUE, Header, Kind, NODE16_SHORT_SLOTS, NODE256_VALUE, Node4,
    Node16, Node48, NodeRef, PREFIX_BYTES, Shape, kind_of, prefix_units,
};
use super::leaf::Leaf;
use crate::arena::{CACHE_LINE, Ref, Table, prefetch_line, units};
use crate::entry::ValueWidth;
use crate::planted::{Bug, planted};
use std::marker::PhantomData;
use std::mem::offset_of;

/// Reads nodes of one tree.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(super) table: &'a Table,
    pub(super) width: ValueWidth,
}

impl<'a> View<'a> {
    /// A view of the nodes that `table` reaches, whose leaves hold values of `width`.
    #[inline]
    pub(crate) fn new(table: &'a Table, width: ValueWidth) -> Self {
        Self { table, width }
    }

    /// The node behind a reference, on the way down: the cache line after its first is asked for at
    /// the same time, since the child slots of most inner nodes reach into it.
    #[inline]
    pub(crate) fn descend(self, node: NodeRef) -> NodeView<'a> {
        let node = self.node(node);
        prefetch_line(node.start.wrapping_add(CACHE_LINE));
        node
    }

    /// Asks for what is read first of the node behind a reference.
    #[inline]
    pub(crate) fn ask(self, node: NodeRef) {
        prefetch_line(self.descend(node).start);
    }

    /// The node behind a reference.
    #[inline]
    pub(crate) fn node(self, node: NodeRef) -> NodeView<'a> {
        let start = self.table.address(node.raw());
        NodeView { start, kind: kind_of(node), view: self, life: PhantomData }
    }
}

/// A borrowed node of any kind.
#[derive(Clone, Copy)]
pub(crate) struct NodeView<'a> {
    pub(super) start: *mut u8,
    kind: Kind,
    pub(super) view: View<'a>,
    life: PhantomData<&'a Header>,
}

impl<'a> NodeView<'a> {
    /// Reads a plain value inside the node's block.
    #[inline]
    pub(super) fn read<T: Copy>(self, offset: usize) -> T {
        self.view.table.note_read(self.start.wrapping_add(offset), size_of::<T>());
        // SAFETY: `start` is an initialised node (I1) that is not written while `'a` lasts (I5),
        // all callers stay inside its block and read integers, for which any bytes are valid.
        unsafe { self.start.add(offset).cast::<T>().read() }
    }

    /// Borrows `len` bytes of the node's block.
    #[inline]
    pub(super) fn bytes(self, offset: usize, len: usize) -> &'a [u8] {
        self.view.table.note_read(self.start.wrapping_add(offset), len);
        // SAFETY: as in `read`: an initialised range of the node's block, not written during `'a`.
        unsafe { std::slice::from_raw_parts(self.start.add(offset), len) }
    }

    #[inline]
    pub(super) fn tag(self) -> u8 {
        self.read(0)
    }

    /// The node's kind.
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        self.kind
    }

    #[inline]
    pub(super) fn header(self) -> Header {
        self.read(0)
    }

    /// Slots in use: keyed children, and the value if there is one. Of a prefix node: 1.
    #[inline]
    pub(crate) fn slots(self) -> usize {
        let header = self.header();
        match self.kind {
            Kind::Leaf => 0,
            Kind::Prefix => 1,
            _ => usize::from(header.count) + 1 + usize::from(header.tag & HAS_VALUE != 0),
        }
    }

    /// Whether a key ends at this inner node.
    #[inline]
    pub(crate) fn has_value(self) -> bool {
        let tag = self.tag();
        tag & HAS_VALUE != 0 && self.kind != Kind::Leaf
    }

    /// When the node was made, or a leaf's entry; 0 for a leaf that does not say.
    #[inline]
    pub(crate) fn epoch(self) -> u16 {
        match self.kind() {
            Kind::Leaf => self.leaf().epoch(),
            _ => self.header().epoch,
        }
    }

    /// Sum of the weights of the entries at and below this node.
    #[inline]
    pub(crate) fn weight(self) -> i32 {
        match self.kind() {
            Kind::Leaf => self.leaf().entry().weight(),
            _ => self.header().weight,
        }
    }

    /// Whether one more slot fits into an inner node.
    #[inline]
    pub(crate) fn has_room(self, for_value: bool) -> bool {
        match self.kind {
            Kind::Node256 => !for_value,
            Kind::Node4 => self.slots() < 4,
            Kind::Node16Short => self.slots() < NODE16_SHORT_SLOTS,
            Kind::Node16 => self.slots() < 16,
            _ => self.slots() < self.shape().slots,
        }
    }

    /// Kind and capacity of an inner node.
    pub(crate) fn shape(self) -> Shape {
        Shape::of_tag(self.tag())
    }

    /// Units of the node's block.
    pub(crate) fn units(self) -> u32 {
        match self.kind() {
            Kind::Leaf => self.leaf().units(),
            Kind::Prefix => prefix_units(self.prefix().len()),
            _ => units(self.shape().bytes()),
        }
    }

    /// The key bytes that every key below shares at this node: a prefix node's run, a Node4's
    /// inline prefix, nothing for others.
    #[inline]
    pub(crate) fn prefix(self) -> &'a [u8] {
        let header = self.header();
        match self.kind {
            Kind::Node4 => {
                let len = usize::from(header.tag >> DETAIL_SHIFT & 7);
                self.bytes(offset_of!(Node4, prefix), len)
            }
            Kind::Prefix => self.bytes(PREFIX_BYTES, usize::from(header.count)),
            _ => &[],
        }
    }

    /// `key` without the inline prefix of this Node4, if it starts with it. With four bytes left
    /// there is no branch on the prefix's length, which is hard to guess.
    #[inline]
    pub(crate) fn strip_inline_prefix(self, key: &[u8]) -> Option<&[u8]> {
        debug_assert_eq!(self.kind, Kind::Node4);
        let Some(next) = key.first_chunk() else {
            return crate::bytes::strip_prefix(key, self.prefix());
        };
        let len = usize::from(self.tag() >> DETAIL_SHIFT & 7);
        let prefix = u32::from_le(self.read(offset_of!(Node4, prefix)));
        let differing = u64::from(prefix ^ u32::from_le_bytes(*next));
        let is_prefix = differing & ((1 << (8 * len)) - 1) == 0;
        if is_prefix { key.get(len..) } else { None }
    }

    /// Goes down by the first byte of `rest`, which it takes off, or to the node's own value if there
    /// is none.
    ///
    /// `kind` is the node's kind, given as a constant: whoever has branched on it once gets code
    /// that does not branch on it again. A short Node16 is searched as a Node16.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "half of what it does is decided by the constant")]
    pub(crate) fn step(self, kind: Kind, rest: &mut &[u8]) -> Option<NodeRef> {
        let node = Self { kind, ..self };
        let slot = match rest.split_first() {
            Some((&byte, below)) => {
                *rest = below;
                node.find(byte)?
            }
            None => node.value_slot()?,
        };
        Some(node.child(slot))
    }

    /// The child in `slot`.
    #[inline]
    pub(crate) fn child(self, slot: usize) -> NodeRef {
        let raw = self.raw_child(slot);
        Ref::from_raw(raw).expect("a slot in use holds a reference")
    }

    #[inline]
    fn raw_child(self, slot: usize) -> u32 {
        debug_assert!(slot < self.shape().slots);
        self.read(CHILDREN[self.kind() as usize] + 4 * slot)
    }

    /// The slot of the node's own value.
    #[inline]
    pub(crate) fn value_slot(self) -> Option<usize> {
        match (self.has_value(), self.kind()) {
            (false, _) => None,
            (true, Kind::Node256) => Some(NODE256_VALUE),
            (true, _) => Some(0),
        }
    }

    /// The slot of the child for `byte`.
    #[inline]
    pub(crate) fn find(self, byte: u8) -> Option<usize> {
        let header = self.header();
        let value = usize::from(header.tag & HAS_VALUE != 0);
        match self.kind {
            Kind::Node4 => {
                let keys: u32 = self.read(offset_of!(Node4, keys));
                let differing = u32::from_le(keys) ^ (u32::from(byte) * 0x0101_0101);
                // The lowest set bit marks the lowest zero byte, exactly.
                let zero = differing.wrapping_sub(0x0101_0101) & !differing & 0x8080_8080;
                let position = zero.trailing_zeros() as usize / 8;
                (position <= usize::from(header.count)).then_some(position + value)
            }
            Kind::Node16Short | Kind::Node16 => {
                let found = find::equal(&self.read(offset_of!(Node16<16>, keys)), byte);
                let position = found.trailing_zeros() as usize;
                let in_use = usize::from(header.count) + 1;
                let limit = if planted(Bug::Node16IgnoresCount) { 16 } else { in_use };
                (position < limit).then_some(position + value)
            }
            Kind::Node48 => {
                let (word, bit) = (usize::from(byte >> 6), byte & 63);
                let present: u64 = self.read(offset_of!(Node48<24>, present) + 8 * word);
                (present >> bit & 1 == 1).then(|| self.rank48(byte) + value)
            }
            Kind::Node256 => (self.raw_child(usize::from(byte)) != 0).then_some(usize::from(byte)),
            Kind::Leaf | Kind::Prefix => None,
        }
    }

    /// The slot of the smallest child for a byte of at least `byte`.
    pub(crate) fn find_at_least(self, byte: u8) -> Option<usize> {
        let slot = self.slots_below(byte);
        match self.kind() {
            Kind::Node256 => (slot..256).find(|&slot| self.raw_child(slot) != 0),
            _ => (slot < self.slots()).then_some(slot),
        }
    }

    /// The slot of the largest child for a byte of at most `byte`, or of the value.
    pub(crate) fn find_at_most(self, byte: u8) -> Option<usize> {
        self.find(byte).or_else(|| self.slot_before(Some(self.slots_below(byte))))
    }

    /// The slot before `slot` in key order; the last slot if `None` is given.
    pub(crate) fn slot_before(self, slot: Option<usize>) -> Option<usize> {
        if self.kind() != Kind::Node256 {
            return slot.unwrap_or(self.slots()).checked_sub(1);
        }
        if slot == Some(NODE256_VALUE) {
            return None;
        }
        let below = slot.unwrap_or(256);
        (0..below).rev().find(|&slot| self.raw_child(slot) != 0).or(self.value_slot())
    }

    /// The slot after `slot` in key order; the first slot if `None` is given.
    pub(crate) fn slot_after(self, slot: Option<usize>) -> Option<usize> {
        if self.kind() != Kind::Node256 {
            let next = slot.map_or(0, |slot| slot + 1);
            return (next < self.slots()).then_some(next);
        }
        let from = match slot {
            None if self.has_value() => return Some(NODE256_VALUE),
            None | Some(NODE256_VALUE) => 0,
            Some(slot) => slot + 1,
        };
        (from..256).find(|&slot| self.raw_child(slot) != 0)
    }

    /// Calls `f` with slot, byte and child, in key order; the byte of the value's slot is `None`.
    pub(crate) fn for_each_child(self, mut f: impl FnMut(usize, Option<u8>, NodeRef)) {
        if let Some(slot) = self.value_slot() {
            f(slot, None, self.child(slot));
        }
        let first = usize::from(self.has_value());
        let sorted = |keys: &[u8], f: &mut dyn FnMut(usize, Option<u8>, NodeRef)| {
            for (i, &byte) in keys.iter().enumerate() {
                f(first + i, Some(byte), self.child(first + i));
            }
        };
        let keyed = self.slots() - first;
        match self.kind() {
            Kind::Node4 => sorted(self.bytes(offset_of!(Node4, keys), keyed), &mut f),
            Kind::Node16Short | Kind::Node16 => {
                sorted(self.bytes(offset_of!(Node16<16>, keys), keyed), &mut f);
            }
            Kind::Node48 => {
                let mut slot = first;
                for (i, mut word) in self.present48().into_iter().enumerate() {
                    while word != 0 {
                        let byte = (i * 64) as u8 + word.trailing_zeros() as u8;
                        f(slot, Some(byte), self.child(slot));
                        slot += 1;
                        word &= word - 1;
                    }
                }
            }
            Kind::Node256 => {
                for slot in 0..256 {
                    if let Some(child) = Ref::from_raw(self.raw_child(slot)) {
                        f(slot, Some(slot as u8), child);
                    }
                }
            }
            Kind::Prefix => f(0, None, self.child(0)),
            Kind::Leaf => {}
        }
    }

    /// Asks for the first line of each child behind `slot`.
    #[inline]
    pub(crate) fn ask_for_children(self, slot: usize) {
        let end = match self.kind {
            Kind::Leaf => 0,
            // Some of these slots are empty, which costs nothing but the asking.
            Kind::Node256 => NODE256_VALUE,
            _ => self.slots(),
        };
        for slot in slot + 1..end {
            prefetch_line(self.view.table.address(self.raw_child(slot)));
        }
    }

    /// The byte that leads to `slot`; `None` for the value's slot and in prefix nodes.
    pub(crate) fn byte(self, slot: usize) -> Option<u8> {
        if self.value_slot() == Some(slot) {
            return None;
        }
        let keyed = slot - usize::from(self.has_value() && self.kind() != Kind::Node256);
        match self.kind() {
            Kind::Node4 => Some(self.read(offset_of!(Node4, keys) + keyed)),
            Kind::Node16Short | Kind::Node16 => {
                Some(self.read(offset_of!(Node16<16>, keys) + keyed))
            }
            Kind::Node48 => Some(select(self.present48(), keyed)),
            Kind::Node256 => Some(slot as u8),
            Kind::Leaf | Kind::Prefix => None,
        }
    }

    /// How many slots stand before the place of `byte` (the value's included, but for a Node256,
    /// where a byte is its own slot).
    #[inline]
    pub(super) fn slots_below(self, byte: u8) -> usize {
        let header = self.header();
        let value = usize::from(header.tag & HAS_VALUE != 0);
        let in_use = u32::from(header.count) + 1;
        match self.kind {
            Kind::Node4 => {
                let keys: [u8; 4] = self.read(offset_of!(Node4, keys));
                let below = |i: u32| u32::from(i < in_use && keys[i as usize] < byte);
                value + (below(0) + below(1) + below(2) + below(3)) as usize
            }
            Kind::Node16Short | Kind::Node16 => {
                let below = find::below(&self.read(offset_of!(Node16<16>, keys)), byte);
                // Keys ascend, so that those below are the first ones.
                value + (u32::from(below) & ((1 << in_use) - 1)).trailing_ones() as usize
            }
            Kind::Node48 => value + self.rank48(byte),
            Kind::Node256 => usize::from(byte),
            Kind::Leaf | Kind::Prefix => 0,
        }
    }

    fn present48(self) -> [u64; 4] {
        self.read(offset_of!(Node48<24>, present))
    }

    /// How many present bytes of a Node48 are smaller than `byte`.
    #[inline]
    fn rank48(self, byte: u8) -> usize {
        let (place, below) = (usize::from(byte >> 6), (1 << (byte & 63)) - 1);
        let mut rank = 0;
        // All four words are counted, behind masks: a branch on the place would be a guess.
        for (word, bits) in self.present48().into_iter().enumerate() {
            let upper = if word == place { below } else { 0 };
            let mask = if word < place { u64::MAX } else { upper };
            rank += (bits & mask).count_ones();
        }
        rank as usize
    }

    /// The node as a leaf.
    #[inline]
    pub(crate) fn leaf(self) -> Leaf<'a> {
        debug_assert_eq!(self.kind(), Kind::Leaf);
        let (mut len, mut offset) = (usize::from(self.read::<u8>(1)), 2);
        if len >= 0x80 {
            (len, offset) = self.long_suffix();
        }
        Leaf::new(self, self.bytes(offset, len), offset + len)
    }

    /// Reads a suffix length of two or three bytes: the length, and where the suffix starts.
    #[cold]
    fn long_suffix(self) -> (usize, usize) {
        let byte = |at| usize::from(self.read::<u8>(at));
        let low = byte(1) & 0x7f | (byte(2) & 0x7f) << 7;
        if byte(2) < 0x80 { (low, 3) } else { (low | byte(3) << 14, 4) }
    }
}

/// The `n`-th (from 0) set bit of a 256-bit set.
pub(super) fn select(words: [u64; 4], n: usize) -> u8 {
    let mut left = n;
    for (i, mut word) in words.into_iter().enumerate() {
        let ones = word.count_ones() as usize;
        if left < ones {
            for _ in 0..left {
                word &= word - 1;
            }
            return (i * 64 + word.trailing_zeros() as usize) as u8;
        }
        left -= ones;
    }
    unreachable!("a slot in use has a byte")
}
