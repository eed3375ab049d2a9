//! Node layouts and the views that read and write them.
//!
//! What holds here: shape. A node's kind, count and flags agree with what is stored in its block.
//! Order, prefixes and weights are the business of the files beside this one.
//!
//! Nodes are named by how they find a child: sorted key bytes (4 and 16), a bitmap (48), directly
//! (256), or a run of key bytes with one child (prefix). Children are stored in *slots*: slot order
//! is key order, and a node's own value ("a key ends here") is slot 0, before all longer keys. Only
//! a Node256 keeps its value elsewhere, in the slot after the last.
//!
//! The adaptive radix tree is from Leis, Kemper and Neumann, "The Adaptive Radix Tree" (ICDE 2013);
//! the compact layouts (short Node16, bitmap Node48, 32-bit references) are ours.
//!
//! Soundness rests on three rules. I1: a `NodeRef` names an initialised node of its tree's arena.
//! I5: a node that a live pin can reach is never written. And a view is only made from a borrow of
//! the tree (or pin) that owns the node, so that writes (`&mut`) and reads exclude each other.
#![allow(unsafe_code, reason = "nodes are raw blocks of an arena; this file alone reads them")]

use super::find;
use crate::arena::{Arena, Extent, Ref, Table, UNIT, units};
use crate::entry::{Below, Entry, EntryKind, ValueRef, ValueWidth};
use crate::planted::{Bug, planted};
use std::marker::PhantomData;
use std::mem::offset_of;

/// What a [`NodeRef`] points to: a leaf or an inner node of any kind.
pub(crate) enum Node {}

/// A reference to a node.
pub(crate) type NodeRef = Ref<Node>;

/// How a node is laid out. The numbers are the low three bits of every node's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Leaf = 0,
    Node4 = 1,
    Node16Short = 2,
    Node16 = 3,
    Node48 = 4,
    Node256 = 5,
    Prefix = 6,
}

impl Kind {
    #[inline]
    fn from_tag(tag: u8) -> Self {
        match tag & 7 {
            0 => Self::Leaf,
            1 => Self::Node4,
            2 => Self::Node16Short,
            3 => Self::Node16,
            4 => Self::Node48,
            5 => Self::Node256,
            6 => Self::Prefix,
            _ => unreachable!("tags are written by this file only"),
        }
    }
}

/// A node's own value is in slot 0 (of a Node256: in the slot after the last).
const HAS_VALUE: u8 = 1 << 3;
/// Node4: length of the inline prefix. Node48: capacity, as an index into [`NODE48_SLOTS`].
const DETAIL_SHIFT: u32 = 4;
/// Leaf: two bits of entry kind.
const LEAF_KIND_SHIFT: u32 = 3;
/// Leaf: the key is live in the layers below.
const LEAF_BELOW_LIVE: u8 = 1 << 5;
/// Leaf: the value is an extent.
const LEAF_EXTENT: u8 = 1 << 6;

/// Inline prefix bytes of a Node4.
pub(crate) const NODE4_PREFIX: usize = 4;
/// Longest run of key bytes in one prefix node.
pub(crate) const PREFIX_MAX: usize = 255;
/// Slots of a short Node16, which fills one cache line.
const NODE16_SHORT_SLOTS: usize = 10;
/// Slots of a Node48, by capacity code.
const NODE48_SLOTS: [usize; 3] = [24, 32, 48];
/// The slot of a Node256's own value.
const NODE256_VALUE: usize = 256;

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Header {
    tag: u8,
    /// Keyed children less one; of a prefix node, the number of bytes.
    count: u8,
    /// When the node was made; see the copy-on-write rule in `tree.rs`.
    epoch: u16,
    /// Sum of the entry weights below.
    weight: i32,
}

#[repr(C)]
struct Node4 {
    header: Header,
    keys: [u8; 4],
    prefix: [u8; NODE4_PREFIX],
    children: [u32; 4],
}

#[repr(C)]
struct Node16<const SLOTS: usize> {
    header: Header,
    keys: [u8; 16],
    children: [u32; SLOTS],
}

#[repr(C)]
struct Node48<const SLOTS: usize> {
    header: Header,
    present: [u64; 4],
    children: [u32; SLOTS],
}

#[repr(C)]
struct Node256<const SLOTS: usize> {
    header: Header,
    children: [u32; SLOTS],
}

/// A prefix node without its bytes, which follow.
#[repr(C)]
struct PrefixHead {
    header: Header,
    child: u32,
}

/// Offset of the run of bytes in a prefix node (before the struct's padding).
const PREFIX_BYTES: usize = offset_of!(PrefixHead, child) + size_of::<u32>();

/// Offset of the first child slot, by kind.
const CHILDREN: [usize; 7] = [
    0,
    offset_of!(Node4, children),
    offset_of!(Node16<16>, children),
    offset_of!(Node16<16>, children),
    offset_of!(Node48<24>, children),
    offset_of!(Node256<256>, children),
    offset_of!(PrefixHead, child),
];

/// Capacity code of the smallest Node48 with at least `slots` slots.
fn node48_code(slots: usize) -> usize {
    NODE48_SLOTS.iter().position(|&n| n >= slots).expect("at most 48 slots")
}

/// Everything about an inner node that decides its size, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Child slots, the value's included.
    pub(crate) slots: usize,
}

impl Shape {
    /// The smallest shape for this many keyed children and perhaps a value.
    pub(crate) fn for_children(keyed: usize, has_value: bool) -> Self {
        let slots = keyed + usize::from(has_value);
        match slots {
            0..=4 => Self { kind: Kind::Node4, slots: 4 },
            5..=NODE16_SHORT_SLOTS => Self { kind: Kind::Node16Short, slots: NODE16_SHORT_SLOTS },
            11..=16 => Self { kind: Kind::Node16, slots: 16 },
            17..=48 => Self { kind: Kind::Node48, slots: NODE48_SLOTS[node48_code(slots)] },
            _ => Self { kind: Kind::Node256, slots: NODE256_VALUE + usize::from(has_value) },
        }
    }

    /// Bytes of a node of this shape.
    pub(crate) fn bytes(self) -> usize {
        CHILDREN[self.kind as usize] + 4 * self.slots
    }

    /// At how few slots in use a node of this shape is replaced by a smaller one. Well below the
    /// smaller one's capacity, so that a key that comes and goes does not copy the node each time.
    pub(crate) fn shrink_at(self) -> usize {
        match (self.kind, self.slots) {
            (Kind::Node256, _) => 40,
            (Kind::Node48, 48) => 28,
            (Kind::Node48, 32) => 20,
            (Kind::Node48, _) => 12,
            (Kind::Node16, _) => 8,
            (Kind::Node16Short, _) => 3,
            (Kind::Node4 | Kind::Prefix | Kind::Leaf, _) => 0,
        }
    }
}

/// Reads nodes of one tree.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    table: &'a Table,
    width: ValueWidth,
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
        find::prefetch(node.start.wrapping_add(64));
        node
    }

    /// The node behind a reference.
    #[inline]
    pub(crate) fn node(self, node: NodeRef) -> NodeView<'a> {
        NodeView { start: self.table.address(node.raw()), view: self, life: PhantomData }
    }
}

/// A borrowed node of any kind.
#[derive(Clone, Copy)]
pub(crate) struct NodeView<'a> {
    start: *mut u8,
    view: View<'a>,
    life: PhantomData<&'a Header>,
}

impl<'a> NodeView<'a> {
    /// Reads a plain value inside the node's block.
    #[inline]
    fn read<T: Copy>(self, offset: usize) -> T {
        // SAFETY: `start` is an initialised node (I1) that is not written while `'a` lasts (I5),
        // all callers stay inside its block and read integers, for which any bytes are valid.
        unsafe { self.start.add(offset).cast::<T>().read() }
    }

    /// Borrows `len` bytes of the node's block.
    #[inline]
    fn bytes(self, offset: usize, len: usize) -> &'a [u8] {
        // SAFETY: as in `read`: an initialised range of the node's block, not written during `'a`.
        unsafe { std::slice::from_raw_parts(self.start.add(offset), len) }
    }

    #[inline]
    fn tag(self) -> u8 {
        self.read(0)
    }

    /// The node's kind.
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        Kind::from_tag(self.tag())
    }

    #[inline]
    fn header(self) -> Header {
        self.read(0)
    }

    /// Slots in use: keyed children, and the value if there is one. Of a prefix node: 1.
    #[inline]
    pub(crate) fn slots(self) -> usize {
        let header = self.header();
        match Kind::from_tag(header.tag) {
            Kind::Leaf => 0,
            Kind::Prefix => 1,
            _ => usize::from(header.count) + 1 + usize::from(header.tag & HAS_VALUE != 0),
        }
    }

    /// Whether a key ends at this inner node.
    #[inline]
    pub(crate) fn has_value(self) -> bool {
        let tag = self.tag();
        tag & HAS_VALUE != 0 && tag & 7 != Kind::Leaf as u8
    }

    /// When the node was made. Leaves do not say: 0.
    #[inline]
    pub(crate) fn epoch(self) -> u16 {
        match self.kind() {
            Kind::Leaf => 0,
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

    /// Kind and capacity of an inner node.
    pub(crate) fn shape(self) -> Shape {
        let tag = self.tag();
        let kind = Kind::from_tag(tag);
        let slots = match kind {
            Kind::Leaf => 0,
            Kind::Node4 => 4,
            Kind::Node16Short => NODE16_SHORT_SLOTS,
            Kind::Node16 => 16,
            Kind::Node48 => NODE48_SLOTS[usize::from(tag >> DETAIL_SHIFT)],
            Kind::Node256 => NODE256_VALUE + usize::from(tag & HAS_VALUE != 0),
            Kind::Prefix => 1,
        };
        Shape { kind, slots }
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
        match Kind::from_tag(header.tag) {
            Kind::Node4 => {
                let len = usize::from(header.tag >> DETAIL_SHIFT & 7);
                self.bytes(offset_of!(Node4, prefix), len)
            }
            Kind::Prefix => self.bytes(PREFIX_BYTES, usize::from(header.count)),
            _ => &[],
        }
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
        match Kind::from_tag(header.tag) {
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
    fn slots_below(self, byte: u8) -> usize {
        let header = self.header();
        let value = usize::from(header.tag & HAS_VALUE != 0);
        let in_use = u32::from(header.count) + 1;
        match Kind::from_tag(header.tag) {
            Kind::Node4 => {
                let keys: [u8; 4] = self.read(offset_of!(Node4, keys));
                value + keys[..in_use as usize].iter().filter(|&&key| key < byte).count()
            }
            Kind::Node16Short | Kind::Node16 => {
                let below = find::below(&self.read(offset_of!(Node16<16>, keys)), byte);
                value + (u32::from(below) & ((1 << in_use) - 1)).count_ones() as usize
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
        let present = self.present48();
        let (word, bit) = (usize::from(byte >> 6), byte & 63);
        let whole: u32 = present[..word].iter().map(|bits| bits.count_ones()).sum();
        (whole + (present[word] & ((1 << bit) - 1)).count_ones()) as usize
    }

    /// The node as a leaf.
    #[inline]
    pub(crate) fn leaf(self) -> Leaf<'a> {
        debug_assert_eq!(self.kind(), Kind::Leaf);
        let (mut len, mut offset) = (usize::from(self.read::<u8>(1)), 2);
        if len >= 0x80 {
            (len, offset) = self.long_suffix();
        }
        Leaf { node: self, suffix: self.bytes(offset, len), tail: offset + len }
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
fn select(words: [u64; 4], n: usize) -> u8 {
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

/// Units of a prefix node with `len` bytes.
pub(crate) fn prefix_units(len: usize) -> u32 {
    units(PREFIX_BYTES + len)
}

/// A borrowed leaf: flags, length of the suffix as a varint, suffix, value.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a> {
    node: NodeView<'a>,
    suffix: &'a [u8],
    /// Offset of the value.
    tail: usize,
}

impl<'a> Leaf<'a> {
    /// The rest of the key below the leaf's place.
    #[inline]
    pub(crate) fn suffix(self) -> &'a [u8] {
        self.suffix
    }

    /// The first byte, which says what entry it is.
    pub(crate) fn flags(self) -> u8 {
        self.node.tag()
    }

    /// The entry.
    #[inline]
    pub(crate) fn entry(self) -> Entry<'a> {
        let flags = self.node.tag();
        let below = if flags & LEAF_BELOW_LIVE == 0 { Below::Absent } else { Below::Live };
        if flags >> LEAF_KIND_SHIFT & 3 == EntryKind::Tombstone as u8 {
            return Entry::tombstone(below);
        }
        let value = match self.node.view.width {
            ValueWidth::Fixed(width) => {
                ValueRef::Inline(self.node.bytes(self.tail, usize::from(width)))
            }
            ValueWidth::Bytes if flags & LEAF_EXTENT != 0 => ValueRef::Extent(self.extent()),
            ValueWidth::Bytes => {
                let (len, offset) = self.inline_len();
                ValueRef::Inline(self.node.bytes(self.tail + offset, len))
            }
        };
        Entry::value(value, below)
    }

    fn extent(self) -> &'a Extent {
        let stored = self.node.bytes(self.tail, size_of::<u64>()).first_chunk();
        let address = stored.map_or(0, |bytes| u64::from_le_bytes(*bytes)) as usize;
        // SAFETY: a leaf with the extent flag holds the address that `Memory::add_extent` gave,
        // exposed by `extent_tail`; the extent is removed only after the leaf is out of reach of
        // the tree and of every pin, so it outlives the borrow.
        unsafe { &*std::ptr::with_exposed_provenance::<Extent>(address) }
    }

    /// The slot of the extent that this leaf owns.
    pub(crate) fn extent_slot(self) -> Option<u32> {
        if self.flags() & LEAF_EXTENT == 0 {
            return None;
        }
        let slot = self.node.bytes(self.tail + size_of::<u64>(), 4);
        slot.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Length of an inline byte value (two bytes at most: [`INLINE_VALUE_MAX`]
    /// (crate::entry::INLINE_VALUE_MAX) fits), and of the length itself.
    fn inline_len(self) -> (usize, usize) {
        let byte = |at| usize::from(self.node.read::<u8>(self.tail + at));
        let low = byte(0);
        if low < 0x80 { (low, 1) } else { (low & 0x7f | byte(1) << 7, 2) }
    }

    /// The stored bytes after the suffix, in whatever form the flags say.
    pub(crate) fn tail(self) -> &'a [u8] {
        let flags = self.flags();
        let len = if flags >> LEAF_KIND_SHIFT & 3 == EntryKind::Tombstone as u8 {
            0
        } else {
            match self.node.view.width {
                ValueWidth::Fixed(width) => usize::from(width),
                ValueWidth::Bytes if flags & LEAF_EXTENT != 0 => EXTENT_TAIL,
                ValueWidth::Bytes => {
                    let (len, offset) = self.inline_len();
                    len + offset
                }
            }
        };
        self.node.bytes(self.tail, len)
    }

    /// Units of the leaf's block.
    pub(crate) fn units(self) -> u32 {
        units(self.tail + self.tail().len())
    }
}

/// Bytes of an extent's address and slot in a leaf.
pub(crate) const EXTENT_TAIL: usize = size_of::<u64>() + size_of::<u32>();

/// What a leaf stores for an extent: its address, then its slot in the arena's table of extents.
pub(crate) fn extent_tail(slot: u32, address: *const Extent) -> [u8; EXTENT_TAIL] {
    let mut tail = [0; EXTENT_TAIL];
    tail[..8].copy_from_slice(&(address.expose_provenance() as u64).to_le_bytes());
    tail[8..].copy_from_slice(&slot.to_le_bytes());
    tail
}

/// The flags of a leaf.
pub(crate) fn leaf_flags(kind: EntryKind, below: Below, is_extent: bool) -> u8 {
    let below = if below == Below::Live { LEAF_BELOW_LIVE } else { 0 };
    let extent = if is_extent { LEAF_EXTENT } else { 0 };
    Kind::Leaf as u8 | (kind as u8) << LEAF_KIND_SHIFT | below | extent
}

/// A leaf to be written: flags, and the parts of its suffix and tail.
#[derive(Clone, Copy)]
pub(crate) struct LeafImage<'a> {
    pub(crate) flags: u8,
    pub(crate) suffix: [&'a [u8]; 2],
    pub(crate) tail: [&'a [u8]; 2],
}

impl LeafImage<'_> {
    fn suffix_len(&self) -> usize {
        self.suffix[0].len() + self.suffix[1].len()
    }

    /// Units of the block it needs.
    pub(crate) fn units(&self) -> u32 {
        let len = self.suffix_len();
        let varint = 1 + usize::from(len >= 0x80) + usize::from(len >= 0x4000);
        units(1 + varint + len + self.tail[0].len() + self.tail[1].len())
    }
}

/// Writes a suffix length of two or three bytes and answers where they end.
///
/// # Safety
/// - Three bytes from `to` on are writable.
#[cold]
unsafe fn write_long_len(to: *mut u8, len: usize) -> *mut u8 {
    // SAFETY: at most three bytes are written, which the caller vouches for.
    unsafe {
        to.write(len as u8 | 0x80);
        if len < 0x4000 {
            to.add(1).write((len >> 7) as u8);
            return to.add(2);
        }
        to.add(1).write((len >> 7) as u8 | 0x80);
        to.add(2).write((len >> 14) as u8);
        to.add(3)
    }
}

/// Writes nodes of one tree: the only way to change one.
pub(crate) struct Editor<'a> {
    arena: &'a mut Arena,
    width: ValueWidth,
    /// Given to every node made.
    epoch: u16,
}

impl<'a> Editor<'a> {
    /// An editor of the nodes in `arena`.
    #[inline]
    pub(crate) fn new(arena: &'a mut Arena, width: ValueWidth, epoch: u16) -> Self {
        Self { arena, width, epoch }
    }

    /// Reads.
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        View::new(self.arena.table(), self.width)
    }

    /// A block with arbitrary content. The units must have been reserved.
    #[inline]
    fn block(&mut self, units: u32) -> (NodeRef, *mut u8) {
        let unit = self.arena.allocate(units);
        let node = Ref::from_raw(unit).expect("unit 0 is never handed out");
        (node, self.arena.table().address(unit))
    }

    /// Makes a leaf.
    pub(crate) fn new_leaf(&mut self, image: &LeafImage<'_>) -> NodeRef {
        let block_units = image.units();
        let (node, start) = self.block(block_units);
        let len = image.suffix_len();
        // SAFETY: the block is fresh and has `block_units` units, which is what flags, length, suffix
        // and tail need (`LeafImage::units`). Its last unit is zeroed first, since they may end
        // anywhere in it; all before is written.
        unsafe {
            start.add((block_units as usize - 1) * UNIT).cast::<u64>().write(0);
            start.write(image.flags);
            let mut to = start.add(1);
            if len < 0x80 {
                to.write(len as u8);
                to = to.add(1);
            } else {
                to = write_long_len(to, len);
            }
            for part in image.suffix.into_iter().chain(image.tail) {
                if part.len() == 8 {
                    // Most values: one store instead of a call.
                    to.cast::<[u8; 8]>().copy_from_nonoverlapping(part.as_ptr().cast(), 1);
                } else if !part.is_empty() {
                    to.copy_from_nonoverlapping(part.as_ptr(), part.len());
                }
                to = to.add(part.len());
            }
        }
        node
    }

    /// Overwrites flags and tail of a leaf whose tail keeps its length.
    pub(crate) fn rewrite_leaf(&mut self, leaf: NodeRef, flags: u8, tail: [&[u8]; 2]) {
        let (start, offset) = {
            let view = self.view().node(leaf);
            debug_assert_eq!(view.leaf().tail().len(), tail[0].len() + tail[1].len());
            (view.start, view.leaf().tail)
        };
        // SAFETY: the leaf's block holds a tail of this length at this offset (I1), and `&mut
        // self` with the caller's check that no pin is live (I5) makes this the only access.
        unsafe {
            start.write(flags);
            let to = start.add(offset);
            to.copy_from_nonoverlapping(tail[0].as_ptr(), tail[0].len());
            to.add(tail[0].len()).copy_from_nonoverlapping(tail[1].as_ptr(), tail[1].len());
        }
    }

    /// Makes a prefix node of 1 to [`PREFIX_MAX`] bytes over `child`.
    pub(crate) fn new_prefix(&mut self, bytes: &[u8], child: NodeRef) -> NodeRef {
        assert!((1..=PREFIX_MAX).contains(&bytes.len()), "a prefix node's run fits its count");
        let weight = self.view().node(child).weight();
        let block_units = prefix_units(bytes.len());
        let (node, start) = self.block(block_units);
        let header =
            Header { tag: Kind::Prefix as u8, count: bytes.len() as u8, epoch: self.epoch, weight };
        // SAFETY: the block is fresh and has room for the head and the bytes; its last unit is
        // zeroed first, since the bytes may end anywhere in it.
        unsafe {
            start.add((block_units as usize - 1) * UNIT).cast::<u64>().write(0);
            start.cast::<Header>().write(header);
            start.add(CHILDREN[Kind::Prefix as usize]).cast::<u32>().write(child.raw());
            start.add(PREFIX_BYTES).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        node
    }

    /// Makes a Node4 over two children, in key order; `None` stands for its value.
    pub(crate) fn new_node4(&mut self, children: [(Option<u8>, NodeRef); 2]) -> NodeRef {
        let shape = Shape::for_children(2, false);
        let weight = children.map(|(_, child)| self.view().node(child).weight());
        let (node, mut raw) = self.new_raw(shape, &[], weight[0] + weight[1]);
        for (byte, child) in children {
            raw.push(byte, child, shape.kind);
        }
        raw.finish();
        node
    }

    /// Makes an inner node of another shape with the children of `from`, with a new value or
    /// without the child in one slot. A Node4 takes `prefix`, which is empty for the others.
    ///
    /// The weight is the old node's: visiting the children for theirs would miss the cache for
    /// each of them.
    pub(crate) fn reshape(
        &mut self,
        from: NodeRef,
        shape: Shape,
        prefix: &[u8],
        new_value: Option<NodeRef>,
        without: Option<usize>,
    ) -> NodeRef {
        let weight = self.view().node(from).weight();
        let (node, mut raw) = self.new_raw(shape, prefix, weight);
        if let Some(value) = new_value {
            raw.push(None, value, shape.kind);
        }
        let from = self.view().node(from);
        from.for_each_child(|slot, byte, child| {
            if without != Some(slot) {
                raw.push(byte, child, shape.kind);
            }
        });
        if shape.kind == Kind::Node48 && planted(Bug::GrowthDropsLastChild) {
            raw.drop_last();
        }
        raw.finish();
        node
    }

    /// Makes an inner node without children yet.
    fn new_raw<'n>(&mut self, shape: Shape, prefix: &[u8], weight: i32) -> (NodeRef, NewInner<'n>) {
        let block_units = units(shape.bytes());
        let (node, start) = self.block(block_units);
        let detail = match shape.kind {
            Kind::Node48 => node48_code(shape.slots),
            _ => prefix.len(),
        };
        let tag = shape.kind as u8 | (detail as u8) << DETAIL_SHIFT;
        // SAFETY: the block is fresh, has this many units, and room for a header (and for a
        // Node4's prefix).
        unsafe {
            start.write_bytes(0, block_units as usize * UNIT);
            start.cast::<Header>().write(Header { tag, count: 0, epoch: self.epoch, weight });
            if shape.kind == Kind::Node4 {
                let to = start.add(offset_of!(Node4, prefix));
                to.copy_from_nonoverlapping(prefix.as_ptr(), prefix.len().min(NODE4_PREFIX));
            }
        }
        let raw = RawInner { start, life: PhantomData };
        (node, NewInner { raw, slot: 0, keyed: 0 })
    }

    /// Copies an inner node as it is; only the epoch is new.
    pub(crate) fn copy_inner(&mut self, node: NodeRef) -> NodeRef {
        let units = self.view().node(node).units();
        let from = self.view().node(node).start;
        let (copy, start) = self.block(units);
        // SAFETY: both blocks have this many units, the old one initialised (I1), and they do not
        // overlap because the arena just handed the new one out.
        unsafe {
            start.copy_from_nonoverlapping(from, units as usize * UNIT);
            let header = start.cast::<Header>();
            (*header).epoch = self.epoch;
        }
        copy
    }

    /// Returns a node's block to the arena.
    pub(crate) fn free(&mut self, node: NodeRef, units: u32) {
        self.arena.free(node.raw(), units);
    }

    /// Whether one more slot fits into an inner node.
    pub(crate) fn has_room(&self, node: NodeRef, for_value: bool) -> bool {
        let view = self.view().node(node);
        match view.kind() {
            Kind::Node256 => !for_value,
            _ => view.slots() < view.shape().slots,
        }
    }

    /// Adds to an inner node's weight.
    #[inline]
    pub(crate) fn add_weight(&mut self, node: NodeRef, change: i32) {
        let mut raw = self.raw(node);
        let weight = raw.header().weight + change;
        raw.header_mut().weight = weight;
    }

    /// Replaces the child in a slot.
    pub(crate) fn set_child(&mut self, node: NodeRef, slot: usize, child: NodeRef) {
        self.raw(node).children()[slot] = child.raw();
    }

    /// Replaces the inline prefix of a Node4.
    pub(crate) fn set_inline_prefix(&mut self, node: NodeRef, prefix: &[u8]) {
        let mut raw = self.raw(node);
        assert!(prefix.len() <= NODE4_PREFIX, "an inline prefix fits its node");
        assert_eq!(Kind::from_tag(raw.header().tag), Kind::Node4, "only a Node4 has one");
        let tag = raw.header().tag & !(7 << DETAIL_SHIFT) | (prefix.len() as u8) << DETAIL_SHIFT;
        raw.header_mut().tag = tag;
        raw.array::<u8>(offset_of!(Node4, prefix), prefix.len()).copy_from_slice(prefix);
    }

    /// Adds a keyed child, which must be new, to a node with room.
    pub(crate) fn insert_child(&mut self, node: NodeRef, byte: u8, child: NodeRef) {
        let view = self.view().node(node);
        let (shape, slots, at) = (view.shape(), view.slots(), view.slots_below(byte));
        let keyed = slots - usize::from(view.has_value());
        let value = usize::from(view.has_value());
        let mut raw = self.raw(node);
        match shape.kind {
            Kind::Node256 => raw.children()[usize::from(byte)] = child.raw(),
            Kind::Node48 => {
                raw.open_slot(at, slots);
                raw.children()[at] = child.raw();
                raw.present()[usize::from(byte >> 6)] |= 1 << (byte & 63);
            }
            _ => {
                raw.open_slot(at, slots);
                raw.children()[at] = child.raw();
                raw.keys()[..=keyed].copy_within(at - value..keyed, at - value + 1);
                raw.keys()[at - value] = byte;
            }
        }
        raw.set_keyed(keyed as u32 + 1);
    }

    /// Adds the node's own value, which must be new, to a node with room.
    pub(crate) fn insert_value(&mut self, node: NodeRef, value: NodeRef) {
        let slots = self.view().node(node).slots();
        let mut raw = self.raw(node);
        raw.open_slot(0, slots);
        raw.children()[0] = value.raw();
        raw.header_mut().tag |= HAS_VALUE;
    }

    /// Takes the child in `slot` out of a node with at least three slots in use. A Node256 keeps
    /// its value: it cannot be removed in place.
    pub(crate) fn remove_slot(&mut self, node: NodeRef, slot: usize) {
        let view = self.view().node(node);
        let (kind, slots, byte) = (view.kind(), view.slots(), view.byte(slot));
        let value = usize::from(view.has_value());
        let keyed = slots - value;
        let mut raw = self.raw(node);
        let Some(byte) = byte else {
            assert_ne!(kind, Kind::Node256, "a Node256 is rebuilt without its value");
            raw.close_slot(slot, slots);
            raw.header_mut().tag &= !HAS_VALUE;
            return;
        };
        match kind {
            Kind::Node256 => raw.children()[slot] = 0,
            Kind::Node48 => {
                raw.close_slot(slot, slots);
                raw.present()[usize::from(byte >> 6)] &= !(1 << (byte & 63));
            }
            _ => {
                raw.close_slot(slot, slots);
                raw.keys().copy_within(slot - value + 1..keyed, slot - value);
            }
        }
        raw.set_keyed(keyed as u32 - 1);
    }

    fn raw(&mut self, node: NodeRef) -> RawInner<'_> {
        let view = self.view().node(node);
        RawInner { start: view.start, life: PhantomData }
    }
}

/// A mutably borrowed inner node.
struct RawInner<'a> {
    start: *mut u8,
    life: PhantomData<&'a mut Header>,
}

impl RawInner<'_> {
    fn header(&self) -> Header {
        // SAFETY: an inner node starts with a header (I1).
        unsafe { self.start.cast::<Header>().read() }
    }

    fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as in `header`; the editor's `&mut` borrow behind `self` is the only access.
        unsafe { &mut *self.start.cast::<Header>() }
    }

    fn array<T>(&mut self, offset: usize, len: usize) -> &mut [T] {
        // SAFETY: callers name an array of the node's layout, inside its zeroed or written block;
        // exclusiveness as in `header_mut`.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(offset).cast(), len) }
    }

    fn shape(&self) -> Shape {
        let tag = self.header().tag;
        let kind = Kind::from_tag(tag);
        let slots = match kind {
            Kind::Node4 => 4,
            Kind::Node16Short => NODE16_SHORT_SLOTS,
            Kind::Node16 => 16,
            Kind::Node48 => NODE48_SLOTS[usize::from(tag >> DETAIL_SHIFT)],
            Kind::Node256 => NODE256_VALUE + usize::from(tag & HAS_VALUE != 0),
            Kind::Prefix => 1,
            Kind::Leaf => unreachable!("leaves have no children"),
        };
        Shape { kind, slots }
    }

    /// All child slots, used or not.
    fn children(&mut self) -> &mut [u32] {
        let Shape { kind, slots } = self.shape();
        self.array(CHILDREN[kind as usize], slots)
    }

    /// One child slot of a node of this kind.
    #[inline]
    fn slot(&mut self, kind: Kind, slot: usize) -> &mut u32 {
        debug_assert!(slot < self.shape().slots);
        // SAFETY: the slot is inside the node's block; exclusiveness as in `header_mut`.
        unsafe { &mut *self.start.add(CHILDREN[kind as usize] + 4 * slot).cast() }
    }

    /// All key bytes of a sorted node, used or not.
    fn keys(&mut self) -> &mut [u8] {
        match self.shape().kind {
            Kind::Node4 => self.array(offset_of!(Node4, keys), 4),
            Kind::Node16Short | Kind::Node16 => self.array(offset_of!(Node16<16>, keys), 16),
            _ => unreachable!("only sorted nodes have key bytes"),
        }
    }

    /// The bitmap of a Node48.
    fn present(&mut self) -> &mut [u64] {
        self.array(offset_of!(Node48<24>, present), 4)
    }

    /// Moves the slots from `at` on up by one.
    fn open_slot(&mut self, at: usize, slots: usize) {
        self.children()[..=slots].copy_within(at..slots, at + 1);
    }

    /// Moves the slots after `at` down by one.
    fn close_slot(&mut self, at: usize, slots: usize) {
        let children = self.children();
        children.copy_within(at + 1..slots, at);
        children[slots - 1] = 0;
    }

    fn set_keyed(&mut self, keyed: u32) {
        debug_assert!((1..=256).contains(&keyed));
        self.header_mut().count = (keyed - 1) as u8;
    }
}

/// A fresh inner node that gets its children in key order, its value first.
///
/// Nothing refers to its block yet, so that it is written while other nodes are read.
struct NewInner<'a> {
    raw: RawInner<'a>,
    slot: usize,
    keyed: usize,
}

impl NewInner<'_> {
    #[inline]
    fn push(&mut self, byte: Option<u8>, child: NodeRef, kind: Kind) {
        let slot = match (byte, kind) {
            (None, Kind::Node256) => NODE256_VALUE,
            (Some(byte), Kind::Node256) => usize::from(byte),
            _ => self.slot,
        };
        if byte.is_none() {
            self.raw.header_mut().tag |= HAS_VALUE;
        }
        *self.raw.slot(kind, slot) = child.raw();
        self.slot += 1;
        let Some(byte) = byte else { return };
        match kind {
            Kind::Node256 => {}
            Kind::Node48 => self.raw.present()[usize::from(byte >> 6)] |= 1 << (byte & 63),
            _ => self.raw.keys()[self.keyed] = byte,
        }
        self.keyed += 1;
    }

    fn drop_last(&mut self) {
        self.keyed -= 1;
    }

    fn finish(mut self) {
        self.raw.set_keyed(self.keyed as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_the_sizes_of_the_design() {
        assert_eq!(size_of::<Header>(), 8);
        assert_eq!(size_of::<Node4>(), 32);
        assert_eq!(size_of::<Node16<10>>(), 64);
        assert_eq!(size_of::<Node16<16>>(), 88);
        assert_eq!(size_of::<Node48<24>>(), 136);
        assert_eq!(size_of::<Node48<32>>(), 168);
        assert_eq!(size_of::<Node48<48>>(), 232);
        assert_eq!(size_of::<Node256<256>>(), 1_032);
        assert_eq!(size_of::<Node256<257>>().next_multiple_of(UNIT), 1_040);
        assert_eq!(prefix_units(4) as usize * UNIT, 16);
        assert_eq!(prefix_units(12) as usize * UNIT, 24);
        for (keyed, bytes) in [(4, 32), (10, 64), (16, 88), (24, 136), (32, 168), (48, 232)] {
            assert_eq!(Shape::for_children(keyed, false).bytes(), bytes);
            assert_eq!(Shape::for_children(keyed - 1, true).bytes(), bytes);
        }
        assert_eq!(Shape::for_children(256, false).bytes(), 1_032);
        assert_eq!(units(Shape::for_children(49, true).bytes()) as usize * UNIT, 1_040);
    }

    #[test]
    fn leaves_have_the_sizes_of_the_design() {
        let image = |suffix: usize, tail: usize| {
            let bytes = vec![7; suffix.max(tail)];
            let parts: [&[u8]; 2] = [&bytes[..suffix], &[]];
            LeafImage { flags: 0, suffix: parts, tail: [&bytes[..tail], &[]] }.units() as usize * 8
        };
        assert_eq!(image(0, 0), 8, "a set's value in a node");
        assert_eq!(image(6, 0), 8);
        assert_eq!(image(5, 8), 16, "a random u64 two levels down");
        assert_eq!(image(6, 8), 16);
        assert_eq!(image(7, 8), 24);
        assert_eq!(image(127, 8), 144);
        assert_eq!(image(128, 8), 144);
        assert_eq!(image(65_535, 8), 65_552);
    }

    #[test]
    fn select_finds_each_set_bit() {
        let words = [1 | 1 << 63, 0, 1 << 5, u64::MAX];
        let bits: Vec<u8> = (0..67).map(|n| select(words, n)).collect();
        assert_eq!(&bits[..4], [0, 63, 133, 192]);
        assert_eq!(bits[66], 255);
    }
}
