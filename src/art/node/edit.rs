//! Writing nodes.
#![allow(
    unsafe_code,
    clippy::cast_ptr_alignment,
    reason = "nodes are raw blocks of an arena, written here; blocks are aligned to eight bytes"
)]

use super::layout::{
    CHILDREN, DETAIL_SHIFT, HAS_VALUE, Header, Kind, NODE4_PREFIX, NODE16_SHORT_SLOTS,
    NODE256_VALUE, Node4, Node16, Node48, NodeRef, PREFIX_BYTES, PREFIX_MAX, Shape, kind_of,
    node_ref, node48_code, prefix_units, unit_of,
};
use super::leaf::{LeafImage, Tail, tail_len};
use super::view::View;
use crate::arena::{Arena, UNIT, units};
use crate::entry::ValueWidth;
use crate::planted::{Bug, planted};
use std::marker::PhantomData;
use std::mem::offset_of;

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

/// Writes `part` at `to` and answers where it ends. Parts of a leaf are short: up to two words are
/// written without a call, as two pieces that may overlap.
///
/// # Safety
/// - As many bytes as `part` has are writable at `to`, and none of them are `part`'s own.
#[inline]
unsafe fn put(to: *mut u8, part: &[u8]) -> *mut u8 {
    let len = part.len();
    // SAFETY: every piece lies inside the `len` bytes that the caller vouches for.
    unsafe {
        match len {
            0 => {}
            1..4 => {
                to.write(part[0]);
                to.add(len / 2).write(part[len / 2]);
                to.add(len - 1).write(part[len - 1]);
            }
            4..8 => put_ends::<4>(to, part),
            8..=16 => put_ends::<8>(to, part),
            _ => to.copy_from_nonoverlapping(part.as_ptr(), len),
        }
        to.add(len)
    }
}

/// Writes the first and the last `N` bytes of `part`.
///
/// # Safety
/// - As for [`put`].
/// - `part` has at least `N` bytes.
#[inline]
unsafe fn put_ends<const N: usize>(to: *mut u8, part: &[u8]) {
    let last = part.len() - N;
    // SAFETY: both pieces lie inside `part`, which has at least `N` bytes, and inside the target.
    unsafe {
        to.cast::<[u8; N]>().copy_from_nonoverlapping(part.as_ptr().cast(), 1);
        to.add(last).cast::<[u8; N]>().copy_from_nonoverlapping(part.as_ptr().add(last).cast(), 1);
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
    fn block(&mut self, kind: Kind, units: u32) -> (NodeRef, *mut u8) {
        let unit = self.arena.allocate(units);
        let start = self.arena.table().address(unit);
        self.arena.table().note_write(start, units as usize * UNIT);
        (node_ref(unit, kind), start)
    }

    /// Makes a leaf.
    #[inline]
    pub(crate) fn new_leaf(&mut self, image: &LeafImage<'_>) -> NodeRef {
        let block_units = image.units();
        let (node, start) = self.block(Kind::Leaf, block_units);
        let len = image.suffix.len();
        // SAFETY: the block is fresh and has `block_units` units, which is what flags, length, suffix
        // and tail need (`LeafImage::new`). Its last unit is zeroed first, since they may end
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
            to = put(to, image.suffix);
            for part in image.tail {
                to = put(to, part);
            }
        }
        node
    }

    /// Overwrites flags and tail of a leaf whose tail keeps its length.
    pub(crate) fn rewrite_leaf(&mut self, leaf: NodeRef, flags: u8, tail: Tail<'_>) {
        let (start, offset) = {
            let view = self.view().node(leaf);
            debug_assert_eq!(view.leaf().tail().len(), tail_len(&tail));
            (view.start, view.leaf().tail)
        };
        self.note_write(leaf);
        // SAFETY: the leaf's block holds a tail of this length at this offset (I1), and `&mut
        // self` with the caller's check that no pin is live (I5) makes this the only access.
        unsafe {
            start.write(flags);
            let mut to = start.add(offset);
            for part in tail {
                to = put(to, part);
            }
        }
    }

    /// Makes a prefix node of 1 to [`PREFIX_MAX`] bytes over `child`.
    pub(crate) fn new_prefix(&mut self, bytes: &[u8], child: NodeRef) -> NodeRef {
        assert!((1..=PREFIX_MAX).contains(&bytes.len()), "a prefix node's run fits its count");
        let weight = self.view().node(child).weight();
        let block_units = prefix_units(bytes.len());
        let (node, start) = self.block(Kind::Prefix, block_units);
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
        let (node, start) = self.block(shape.kind, block_units);
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
        let (copy, start) = self.block(kind_of(node), units);
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
        self.arena.free(unit_of(node), units);
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
        let (kind, header) = (view.kind(), view.header());
        let (slots, at) = (view.slots(), view.slots_below(byte));
        self.note_write(node);
        let mut raw = RawInner { start: view.start, life: PhantomData };
        if kind != Kind::Node256 {
            raw.open_slot(kind, at, slots);
        }
        *raw.slot(kind, at) = child.raw();
        match kind {
            Kind::Node256 => {}
            Kind::Node48 => raw.present()[usize::from(byte >> 6)] |= 1 << (byte & 63),
            _ => raw.open_key(kind, at - usize::from(header.tag & HAS_VALUE != 0), byte),
        }
        raw.header_mut().count = header.count.wrapping_add(1);
    }

    /// Adds the node's own value, which must be new, to a node with room.
    pub(crate) fn insert_value(&mut self, node: NodeRef, value: NodeRef) {
        let view = self.view().node(node);
        let (kind, slots) = (view.kind(), view.slots());
        let mut raw = self.raw(node);
        raw.open_slot(kind, 0, slots);
        *raw.slot(kind, 0) = value.raw();
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
        self.note_write(node);
        RawInner { start: self.view().node(node).start, life: PhantomData }
    }

    /// Tells a model that a node is written.
    #[inline]
    fn note_write(&self, node: NodeRef) {
        if cfg!(memkv_loom) {
            let node = self.view().node(node);
            self.arena.table().note_write(node.start, node.units() as usize * UNIT);
        }
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
        Shape::of_tag(self.header().tag)
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

    /// Moves the slots from `at` on, of `slots` in use, up by one.
    #[inline]
    fn open_slot(&mut self, kind: Kind, at: usize, slots: usize) {
        debug_assert!(at <= slots && slots < self.shape().slots);
        match kind {
            Kind::Node4 => open(self.slots_of::<4>(kind), at),
            Kind::Node16Short => open(self.slots_of::<NODE16_SHORT_SLOTS>(kind), at),
            Kind::Node16 => open(self.slots_of::<16>(kind), at),
            _ => {
                let from: *mut u32 = self.slot(kind, at);
                // SAFETY: the caller vouches for room, so that source and target lie inside the
                // block's child slots; exclusiveness as in `header_mut`.
                unsafe { from.add(1).copy_from(from, slots - at) }
            }
        }
    }

    /// All slots of a node of this kind, which has as many.
    #[inline]
    fn slots_of<const SLOTS: usize>(&mut self, kind: Kind) -> &mut [u32; SLOTS] {
        debug_assert_eq!(self.shape().slots, SLOTS);
        // SAFETY: as in `array`: the node's child slots.
        unsafe { &mut *self.start.add(CHILDREN[kind as usize]).cast() }
    }

    /// Puts a key byte at position `at` of a sorted node with room, moving up those behind it.
    #[inline]
    fn open_key(&mut self, kind: Kind, at: usize, byte: u8) {
        let key = u128::from(byte) << (8 * at);
        let before = (1 << (8 * at)) - 1;
        let opened = |keys: u128| keys & before | key | (keys & !before) << 8;
        if kind == Kind::Node4 {
            let keys = self.array::<[u8; 4]>(offset_of!(Node4, keys), 1);
            keys[0] = (opened(u32::from_le_bytes(keys[0]).into()) as u32).to_le_bytes();
        } else {
            let keys = self.array::<[u8; 16]>(offset_of!(Node16<16>, keys), 1);
            keys[0] = opened(u128::from_le_bytes(keys[0])).to_le_bytes();
        }
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

/// Moves the elements from `at` on up by one; the last, which is not in use, goes. Every element is
/// written, whatever `at` is: there is nothing to guess, and vectors do it.
#[inline]
fn open<const SLOTS: usize>(slots: &mut [u32; SLOTS], at: usize) {
    let old = *slots;
    for i in 1..SLOTS {
        slots[i] = if i > at { old[i - 1] } else { old[i] };
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
