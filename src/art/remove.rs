//! Taking an entry out: unlink its leaf, shrink the node above, and join paths that no longer part.

use super::insert::wrap_units;
use super::node::{Kind, LeafImage, NodeRef, Shape};
use super::search::{Plan, Point, Step};
use super::tree::{Tree, TreeError};
use crate::arena::units;
use crate::key::KeyBuf;

impl Tree {
    /// Removes the entry at the planned place, leaving no tombstone; nothing if there is none.
    pub(crate) fn unlink(&mut self, plan: Plan) -> Result<(), TreeError> {
        let Point::Leaf(leaf) = plan.point else { return Ok(()) };
        self.own_path()?;
        let old = self.view().node(leaf).leaf();
        let (weight, extent) = (old.entry().weight(), old.extent_slot());
        let depth = self.path.len();
        let Some(last) = depth.checked_sub(1) else {
            self.root = None;
            self.retire_leaf(leaf, extent);
            return Ok(());
        };
        let (node, slot) = (self.path[last].node, usize::from(self.path[last].slot));
        let slots = self.view().node(node).slots();
        if slots == 2 {
            // The path is cut by `collapse`; the nodes above it lose the weight, too.
            let kept = self.collapse(slot)?;
            self.add_weight(kept, -weight);
        } else {
            self.drop_slot(last, node, slot, slots, weight)?;
        }
        self.retire_leaf(leaf, extent);
        Ok(())
    }

    /// Removes one of at least three slots and its weight, and shrinks the node when it has become
    /// roomy.
    fn drop_slot(
        &mut self,
        depth: usize,
        node: NodeRef,
        slot: usize,
        slots: usize,
        weight: i32,
    ) -> Result<(), TreeError> {
        let view = self.view().node(node);
        let shape = view.shape();
        let (left, value_goes) = (slots - 1, view.value_slot() == Some(slot));
        let has_value = view.has_value() && !value_goes;
        let rebuilt = if left <= shape.shrink_at() {
            Shape::for_children(left - usize::from(has_value), has_value)
        } else if shape.kind == Kind::Node256 && value_goes {
            Shape { kind: Kind::Node256, slots: 256 }
        } else {
            self.editor().remove_slot(node, slot);
            self.add_weight(depth + 1, -weight);
            return Ok(());
        };
        // A prefix node above a new Node4 gives it what fits inline.
        let above = depth.checked_sub(1).map(|i| self.path[i].node);
        let above = above.filter(|&above| {
            rebuilt.kind == Kind::Node4 && self.view().node(above).kind() == Kind::Prefix
        });
        let mut bytes = KeyBuf::new();
        if let Some(above) = above {
            bytes.try_extend(self.view().node(above).prefix())?;
        }
        let run = bytes.as_slice().len();
        self.arena.reserve(units(rebuilt.bytes()) + wrap_units(run))?;
        let made = self.rebuild_from(depth, node, rebuilt, None, Some(slot));
        self.add_weight(self.path.len(), -weight);
        let Some(above) = above else { return Ok(()) };
        let top = self.wrap(bytes.as_slice(), made);
        self.link(depth - 1, Some(top));
        self.retire_inner(above);
        Ok(())
    }

    /// Replaces the last node of the path, which has two slots, by what is in the other slot, with
    /// all key bytes between them and the nearest branches joined. Answers how many steps of the
    /// path are left.
    fn collapse(&mut self, slot: usize) -> Result<usize, TreeError> {
        let depth = self.path.len();
        let node = self.path[depth - 1].node;
        let view = self.view().node(node);
        let other = view.slot_before(Some(slot)).or(view.slot_after(Some(slot)));
        let other = other.expect("the node has two slots");
        let (byte, child) = (view.byte(other), view.child(other));
        // All prefix nodes right above take part: a leaf must not end up below one.
        let is_prefix = |step: &Step| self.view().node(step.node).kind() == Kind::Prefix;
        let runs = self.path[..depth - 1].iter().rev().take_while(|step| is_prefix(step)).count();
        let top = depth - 1 - runs;

        let mut joined = KeyBuf::new();
        for step in &self.path[top..] {
            joined.try_extend(self.view().node(step.node).prefix())?;
        }
        if let Some(byte) = byte {
            joined.try_extend(&[byte])?;
        }
        let done = self.join(&mut joined, child)?;
        self.link(top, Some(done));
        for i in top..depth {
            self.retire_inner(self.path[i].node);
        }
        Ok(top)
    }

    /// What becomes of `child` when `bytes` are put before its own.
    fn join(&mut self, bytes: &mut KeyBuf, child: NodeRef) -> Result<NodeRef, TreeError> {
        let view = self.view().node(child);
        match view.kind() {
            Kind::Leaf => {
                let leaf = view.leaf();
                let flags = leaf.flags();
                bytes.try_extend(leaf.suffix())?;
                let suffix_end = bytes.as_slice().len();
                bytes.try_extend(leaf.tail())?;
                let (suffix, tail) = bytes.as_slice().split_at(suffix_end);
                let image = LeafImage::new(flags, suffix, [tail, &[], &[]]);
                self.arena.reserve(image.units())?;
                let made = self.place_leaf(&image);
                self.retire_leaf(child, None);
                Ok(made)
            }
            Kind::Prefix => {
                bytes.try_extend(view.prefix())?;
                let below = view.child(0);
                let joined = self.join_inner(bytes, below)?;
                self.retire_inner(child);
                Ok(joined)
            }
            _ => self.join_inner(bytes, child),
        }
    }

    /// As `join`, for an inner node that is not a prefix node (or one below a full one).
    fn join_inner(&mut self, bytes: &mut KeyBuf, node: NodeRef) -> Result<NodeRef, TreeError> {
        if self.view().node(node).kind() != Kind::Node4 {
            self.arena.reserve(wrap_units(bytes.as_slice().len()))?;
            return Ok(self.wrap(bytes.as_slice(), node));
        }
        bytes.try_extend(self.view().node(node).prefix())?;
        // Reserved together with the copy that a pin may make necessary.
        self.arena.reserve(wrap_units(bytes.as_slice().len()) + self.view().node(node).units())?;
        let node = self.own(node)?;
        self.arena.reserve(wrap_units(bytes.as_slice().len()))?;
        self.editor().set_inline_prefix(node, &[]);
        Ok(self.wrap(bytes.as_slice(), node))
    }
}
