//! What the bytes of a node mean: layouts, flags and sizes. Pure facts; nothing is read here.

use crate::arena::{Ref, UNIT_BITS, units};
use std::mem::offset_of;

/// What a [`NodeRef`] points to: a leaf or an inner node of any kind.
pub(crate) enum Node {}

/// A reference to a node: its kind in the three high bits, its unit in the others.
///
/// A walk branches on the kind. Known with the reference, that happens while the node itself is
/// still on its way from memory, and a wrong guess costs next to nothing (see SCRATCHPAD.md, "kind
/// in the reference").
pub(crate) type NodeRef = Ref<Node>;

/// The reference of the node of this kind at `unit`.
pub(super) fn node_ref(unit: u32, kind: Kind) -> NodeRef {
    debug_assert!(unit < 1 << UNIT_BITS);
    Ref::from_raw((kind as u32) << UNIT_BITS | unit).expect("unit 0 is never handed out")
}

/// Where a node is.
#[inline]
pub(super) fn unit_of(node: NodeRef) -> u32 {
    node.raw() & ((1 << UNIT_BITS) - 1)
}

/// What a node is.
#[inline]
pub(super) fn kind_of(node: NodeRef) -> Kind {
    Kind::from_tag((node.raw() >> UNIT_BITS) as u8)
}

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
    pub(super) fn from_tag(tag: u8) -> Self {
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
pub(super) const HAS_VALUE: u8 = 1 << 3;
/// Node4: length of the inline prefix. Node48: capacity, as an index into [`NODE48_SLOTS`].
pub(super) const DETAIL_SHIFT: u32 = 4;
/// Leaf: two bits of entry kind.
pub(super) const LEAF_KIND_SHIFT: u32 = 3;
/// Leaf: the key is live in the layers below.
pub(super) const LEAF_BELOW_LIVE: u8 = 1 << 5;
/// Leaf: the value is an extent.
pub(super) const LEAF_EXTENT: u8 = 1 << 6;
/// Leaf: two bytes with the epoch of its entry follow the value.
pub(super) const LEAF_EPOCH: u8 = 1 << 7;

/// Inline prefix bytes of a Node4.
pub(crate) const NODE4_PREFIX: usize = 4;
/// Longest run of key bytes in one prefix node.
pub(crate) const PREFIX_MAX: usize = 255;
/// Slots of a short Node16, which fills one cache line.
pub(super) const NODE16_SHORT_SLOTS: usize = 10;
/// Slots of a Node48, by capacity code.
pub(super) const NODE48_SLOTS: [usize; 3] = [24, 32, 48];
/// The slot of a Node256's own value.
pub(super) const NODE256_VALUE: usize = 256;

#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Header {
    pub(super) tag: u8,
    /// Keyed children less one; of a prefix node, the number of bytes.
    pub(super) count: u8,
    /// When the node was made; see the copy-on-write rule in `tree.rs`.
    pub(super) epoch: u16,
    /// Sum of the entry weights below.
    pub(super) weight: i32,
}

#[repr(C)]
pub(super) struct Node4 {
    pub(super) header: Header,
    pub(super) keys: [u8; 4],
    pub(super) prefix: [u8; NODE4_PREFIX],
    pub(super) children: [u32; 4],
}

#[repr(C)]
pub(super) struct Node16<const SLOTS: usize> {
    pub(super) header: Header,
    pub(super) keys: [u8; 16],
    pub(super) children: [u32; SLOTS],
}

#[repr(C)]
pub(super) struct Node48<const SLOTS: usize> {
    pub(super) header: Header,
    pub(super) present: [u64; 4],
    pub(super) children: [u32; SLOTS],
}

#[repr(C)]
pub(super) struct Node256<const SLOTS: usize> {
    pub(super) header: Header,
    pub(super) children: [u32; SLOTS],
}

/// A prefix node without its bytes, which follow.
#[repr(C)]
pub(super) struct PrefixHead {
    pub(super) header: Header,
    pub(super) child: u32,
}

/// Offset of the run of bytes in a prefix node (before the struct's padding).
pub(super) const PREFIX_BYTES: usize = offset_of!(PrefixHead, child) + size_of::<u32>();

/// Offset of the first child slot, by kind.
pub(super) const CHILDREN: [usize; 7] = [
    0,
    offset_of!(Node4, children),
    offset_of!(Node16<16>, children),
    offset_of!(Node16<16>, children),
    offset_of!(Node48<24>, children),
    offset_of!(Node256<256>, children),
    offset_of!(PrefixHead, child),
];

/// Capacity code of the smallest Node48 with at least `slots` slots.
pub(super) fn node48_code(slots: usize) -> usize {
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
    /// The shape that a node's first byte tells; a leaf has no slots.
    pub(super) fn of_tag(tag: u8) -> Self {
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
        Self { kind, slots }
    }

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

/// Units of a prefix node with `len` bytes.
pub(crate) fn prefix_units(len: usize) -> u32 {
    units(PREFIX_BYTES + len)
}
