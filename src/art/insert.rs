//! Writing an entry: the change that a plan names, made in one step that cannot fail half-way.
//!
//! All blocks are reserved before the first one is written, so that an allocation error leaves the
//! tree as it was (nodes copied for a pin are equal to what they replace).

use super::node::{
    EXTENT_TAIL, Kind, LeafImage, NODE4_PREFIX, NodeRef, PREFIX_MAX, Shape, Tail, leaf_flags,
    prefix_units, tail_len,
};
use super::search::{Plan, Point, Step};
use super::tree::{Tree, TreeError};
use crate::arena::units;
use crate::bytes::put_varint_array;
use crate::entry::{Entry, EntryKind, ValueRef, ValueWidth};
use crate::key::KeyBuf;
use crate::planted::{Bug, planted};

/// Units of a Node4.
const NODE4_UNITS: u32 = 4;

impl Tree {
    /// Writes `entry` at the planned place, which is `key`'s.
    pub(crate) fn apply(
        &mut self,
        plan: Plan,
        key: &[u8],
        entry: Entry<'_>,
    ) -> Result<(), TreeError> {
        self.own_path()?;
        self.note_len(key);
        let mut varint = [0; 10];
        let pointer: [u8; EXTENT_TAIL];
        let mut extent = None;
        let stamp = self.leaf_epoch().map(u16::to_le_bytes);
        let epoch = stamp.as_ref().map_or(&[][..], |stamp| stamp);
        let tail: Tail<'_> = match (entry.kind, self.width, entry.value) {
            (EntryKind::Tombstone, ..) => [&[], &[], epoch],
            (EntryKind::Value, ValueWidth::Fixed(_), value) => [value.as_slice(), &[], epoch],
            (EntryKind::Value, ValueWidth::Bytes, ValueRef::Inline(bytes)) => {
                [put_varint_array(&mut varint, bytes.len() as u64), bytes, epoch]
            }
            (EntryKind::Value, ValueWidth::Bytes, ValueRef::Extent(shared)) => {
                let (slot, address) = self.arena.table().memory().add_extent(shared.share())?;
                extent = Some(slot);
                pointer = super::node::extent_tail(slot, address);
                [&pointer, &[], epoch]
            }
        };
        let flags = leaf_flags(entry.kind, entry.below, extent.is_some(), stamp.is_some());
        let done = self.write(plan.point, key, flags, tail, entry.weight());
        if let (Err(_), Some(slot)) = (done, extent) {
            self.arena.table().memory().remove_extent(slot);
        }
        done
    }

    fn write(
        &mut self,
        point: Point,
        key: &[u8],
        flags: u8,
        tail: Tail<'_>,
        weight: i32,
    ) -> Result<(), TreeError> {
        let depth = self.path.len();
        let image = |suffix| LeafImage::new(flags, suffix, tail);
        match point {
            Point::Root => {
                let leaf = self.new_leaf(&image(key))?;
                self.root = Some(leaf);
            }
            Point::Leaf(leaf) => self.overwrite(leaf, flags, tail, weight)?,
            Point::Child { at } => self.add_child(key[at], &image(&key[at + 1..]), weight)?,
            Point::Value => self.add_value(&image(&[]), weight)?,
            Point::LeafFork { leaf, at, common } => {
                let forked = self.fork_leaf(leaf, common, &key[at..], &image)?;
                self.link(depth, Some(forked));
                self.add_weight(depth, weight);
            }
            Point::PrefixFork { at, common } => {
                let forked = self.fork_prefix(common, &key[at..], &image)?;
                self.link(depth - 1, Some(forked));
                self.add_weight(depth - 1, weight);
            }
        }
        Ok(())
    }

    /// Makes a counted leaf.
    #[inline]
    fn new_leaf(&mut self, image: &LeafImage<'_>) -> Result<NodeRef, TreeError> {
        self.arena.reserve(image.units())?;
        Ok(self.place_leaf(image))
    }

    /// Makes a counted leaf whose block is reserved.
    #[inline]
    pub(super) fn place_leaf(&mut self, image: &LeafImage<'_>) -> NodeRef {
        let leaf = self.editor().new_leaf(image);
        self.count(leaf, 1);
        leaf
    }

    /// Replaces the entry of a leaf, in place when its length stays and no pin lives.
    fn overwrite(
        &mut self,
        leaf: NodeRef,
        flags: u8,
        tail: Tail<'_>,
        weight: i32,
    ) -> Result<(), TreeError> {
        let old = self.view().node(leaf).leaf();
        let (old_weight, old_extent) = (old.entry().weight(), old.extent_slot());
        let in_place = self.is_unpinned() && old.tail().len() == tail_len(&tail);
        if in_place {
            if let Some(slot) = old_extent {
                self.arena.table().memory().remove_extent(slot);
            }
            self.editor().rewrite_leaf(leaf, flags, tail);
        } else {
            let mut suffix = KeyBuf::new();
            suffix.try_extend(self.view().node(leaf).leaf().suffix())?;
            let made = self.new_leaf(&LeafImage::new(flags, suffix.as_slice(), tail))?;
            self.link(self.path.len(), Some(made));
            self.retire_leaf(leaf, old_extent);
        }
        self.add_weight(self.path.len(), weight - old_weight);
        Ok(())
    }

    /// Adds a leaf below the last node of the path, which grows if it is full.
    #[inline]
    fn add_child(&mut self, byte: u8, image: &LeafImage<'_>, weight: i32) -> Result<(), TreeError> {
        let mut node = self.path[self.path.len() - 1].node;
        let leaf = if self.view().node(node).has_room(false) {
            self.new_leaf(image)?
        } else {
            let leaf;
            (node, leaf) = self.grow(node, image)?;
            leaf
        };
        self.editor().insert_child(node, byte, leaf);
        self.add_weight(self.path.len(), weight);
        Ok(())
    }

    /// Replaces a full inner node, the last of the path, by one with room for one more child, and
    /// makes the leaf that will be that child.
    #[inline(never)]
    fn grow(
        &mut self,
        node: NodeRef,
        image: &LeafImage<'_>,
    ) -> Result<(NodeRef, NodeRef), TreeError> {
        let shape = self.shape_for_one_more(node, false);
        self.reserve_with_rebuild(node, shape, image.units())?;
        let leaf = self.place_leaf(image);
        Ok((self.rebuild_from(self.path.len() - 1, node, shape, None, None), leaf))
    }

    /// Gives the last node of the path a value.
    fn add_value(&mut self, image: &LeafImage<'_>, weight: i32) -> Result<(), TreeError> {
        let depth = self.path.len();
        let node = self.path[depth - 1].node;
        if self.view().node(node).has_room(true) {
            let leaf = self.new_leaf(image)?;
            self.editor().insert_value(node, leaf);
        } else {
            // With its value, since a Node256 has no room for one later.
            let shape = self.shape_for_one_more(node, true);
            self.reserve_with_rebuild(node, shape, image.units())?;
            let leaf = self.place_leaf(image);
            self.rebuild_from(depth - 1, node, shape, Some(leaf), None);
        }
        self.add_weight(self.path.len(), weight);
        Ok(())
    }

    /// The shape that a node without room must take to get one more child.
    fn shape_for_one_more(&self, node: NodeRef, is_value: bool) -> Shape {
        let view = self.view().node(node);
        if view.kind() == Kind::Node256 {
            // Even one with few children only gets a slot for its value.
            return Shape { kind: Kind::Node256, slots: 257 };
        }
        let keyed = view.slots() - usize::from(view.has_value()) + usize::from(!is_value);
        Shape::for_children(keyed, is_value || view.has_value())
    }

    fn reserve_with_rebuild(
        &mut self,
        node: NodeRef,
        shape: Shape,
        more: u32,
    ) -> Result<(), TreeError> {
        let prefix = prefix_units(self.view().node(node).prefix().len());
        // A spilled prefix node is one more step.
        self.path.try_reserve(1)?;
        Ok(self.arena.reserve(units(shape.bytes()) + prefix + more)?)
    }

    /// Replaces an inner node by one of `shape`, with a new value or without the child in a slot.
    ///
    /// The units must be reserved: the shape's, and a prefix node's when a Node4 with an inline
    /// prefix becomes something else.
    pub(super) fn rebuild_from(
        &mut self,
        depth: usize,
        node: NodeRef,
        shape: Shape,
        new_value: Option<NodeRef>,
        without: Option<usize>,
    ) -> NodeRef {
        // Prefix nodes are never rebuilt, so that only a Node4 has a prefix here.
        let view = self.view().node(node);
        let mut prefix = [0; NODE4_PREFIX];
        let prefix_len = view.prefix().len();
        prefix[..prefix_len].copy_from_slice(view.prefix());
        let (inline, spilled) = match shape.kind {
            Kind::Node4 => (prefix_len, 0),
            _ => (0, prefix_len),
        };
        let made = self.editor().reshape(node, shape, &prefix[..inline], new_value, without);
        self.count(made, 1);
        let top = if spilled > 0 { self.spill(&prefix[..spilled], made) } else { made };
        self.link(depth, Some(top));
        self.retire_inner(node);
        // The path ends here; a spilled prefix node above gets its weight with the rest of it.
        self.path.truncate(depth);
        if top != made {
            self.path.push(Step { node: top, slot: 0 });
        }
        self.path.push(Step { node: made, slot: 0 });
        made
    }

    /// Makes a counted prefix node whose block is reserved.
    fn spill(&mut self, bytes: &[u8], child: NodeRef) -> NodeRef {
        let node = self.editor().new_prefix(bytes, child);
        self.count(node, 1);
        node
    }

    /// Puts `bytes` of any length above `node`: inline if it is a Node4 without a prefix, then in
    /// prefix nodes. The units must be reserved: see [`wrap_units`].
    pub(super) fn wrap(&mut self, bytes: &[u8], mut node: NodeRef) -> NodeRef {
        let mut left = bytes;
        let view = self.view().node(node);
        if view.kind() == Kind::Node4 && view.prefix().is_empty() {
            let inline = left.len().min(NODE4_PREFIX);
            let (above, below) = left.split_at(left.len() - inline);
            if inline > 0 {
                self.editor().set_inline_prefix(node, below);
            }
            left = above;
        }
        while !left.is_empty() {
            let run = left.len().min(PREFIX_MAX);
            let (above, below) = left.split_at(left.len() - run);
            node = self.spill(below, node);
            left = above;
        }
        node
    }

    /// A Node4 above an old node and a new leaf, of which one may be the value.
    fn fork(&mut self, old: (Option<u8>, NodeRef), new: (Option<u8>, NodeRef)) -> NodeRef {
        let (first, second) = if old.0 < new.0 { (old, new) } else { (new, old) };
        let node = self.editor().new_node4([first, second]);
        self.count(node, 1);
        node
    }

    /// Replaces a leaf by a node with two children: the leaf, shortened, and a new one.
    fn fork_leaf<'k>(
        &mut self,
        leaf: NodeRef,
        common: usize,
        rest: &'k [u8],
        image: &impl Fn(&'k [u8]) -> LeafImage<'k>,
    ) -> Result<NodeRef, TreeError> {
        let mut moved = KeyBuf::new();
        let old = self.view().node(leaf).leaf();
        let (old_flags, suffix_len) = (old.flags(), old.suffix().len());
        moved.try_extend(old.suffix())?;
        moved.try_extend(old.tail())?;
        let (suffix, tail) = moved.as_slice().split_at(suffix_len);
        let (old_byte, old_rest) = split_at_byte(suffix, common);
        let (new_byte, new_rest) = split_at_byte(rest, common);
        let shortened = LeafImage::new(old_flags, old_rest, [tail, &[], &[]]);
        let new = image(new_rest);
        let needed = shortened.units() + new.units() + NODE4_UNITS + wrap_units(common);
        self.arena.reserve(needed)?;
        let shortened = self.place_leaf(&shortened);
        let new = self.place_leaf(&new);
        let node = self.fork((old_byte, shortened), (new_byte, new));
        let top = self.wrap(&rest[..common], node);
        self.retire_leaf(leaf, None);
        Ok(top)
    }

    /// Parts the prefix of the last node on the path after `common` bytes: a node with two
    /// children there, the old one with the rest of its prefix, and a new leaf.
    fn fork_prefix<'k>(
        &mut self,
        common: usize,
        rest: &'k [u8],
        image: &impl Fn(&'k [u8]) -> LeafImage<'k>,
    ) -> Result<NodeRef, TreeError> {
        let node = self.path[self.path.len() - 1].node;
        let view = self.view().node(node);
        let kind = view.kind();
        let (byte, mut below) = split_at_byte(view.prefix(), common);
        if planted(Bug::PrefixSplitKeepsBranchByte) {
            below = &view.prefix()[common..];
        }
        let mut run = [0; PREFIX_MAX];
        let run = &mut run[..below.len()];
        run.copy_from_slice(below);
        let (new_byte, new_rest) = split_at_byte(rest, common);
        let new = image(new_rest);
        let needed = new.units() + NODE4_UNITS + wrap_units(common) + wrap_units(run.len());
        self.arena.reserve(needed)?;
        let old = if kind == Kind::Prefix {
            let child = self.view().node(node).child(0);
            if run.is_empty() { child } else { self.spill(run, child) }
        } else {
            self.editor().set_inline_prefix(node, run);
            node
        };
        let new = self.place_leaf(&new);
        let forked = self.fork((byte, old), (new_byte, new));
        let top = self.wrap(&rest[..common], forked);
        if kind == Kind::Prefix {
            self.retire_inner(node);
        }
        Ok(top)
    }
}

/// Units that [`Tree::wrap`] may need for `len` bytes.
pub(super) fn wrap_units(len: usize) -> u32 {
    if len == 0 {
        return 0;
    }
    let runs = len.div_ceil(PREFIX_MAX) as u32;
    // Each run but one is full; rounding up each of them costs less than a unit.
    units(len) + runs * (prefix_units(1) + 1)
}

/// What follows `common` bytes of `bytes`: a byte and the rest, or no byte.
fn split_at_byte(bytes: &[u8], common: usize) -> (Option<u8>, &[u8]) {
    match bytes[common..].split_first() {
        Some((&byte, rest)) => (Some(byte), rest),
        None => (None, &[]),
    }
}
