//! Descending to a key: to read it, or to find out what a write has to change.

use super::node::{Kind, NodeRef, View};
use super::tree::{Tree, TreeError};
use crate::bytes::{common_prefix, equal, strip_prefix};
use crate::entry::Entry;
use crate::planted::{Bug, planted};

/// One step down: from this inner node through this slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(super) node: NodeRef,
    pub(super) slot: u16,
}

/// Where a write happens. Offsets are into the key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Point {
    /// The tree has no entry.
    Root,
    /// The key's own leaf.
    Leaf(NodeRef),
    /// A leaf whose suffix departs from the key after `common` bytes.
    LeafFork { leaf: NodeRef, at: usize, common: usize },
    /// An inner node whose prefix departs from the key after `common` bytes. It is the last step
    /// of the path, with no slot.
    PrefixFork { at: usize, common: usize },
    /// An inner node without a child for the key's byte at `at`; the last step of the path.
    Child { at: usize },
    /// An inner node at which the key ends and which has no value; the last step of the path.
    Value,
}

/// What a write has to change: made by [`Tree::plan`], used once by `apply` or `unlink`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(super) point: Point,
}

/// The entry of `key` below `root`.
#[inline]
pub(super) fn get<'a>(view: View<'a>, root: Option<NodeRef>, key: &[u8]) -> Option<Entry<'a>> {
    let mut node = view.node(root?);
    let mut rest = key;
    loop {
        let child = match node.kind() {
            Kind::Leaf => {
                let leaf = node.leaf();
                let is_it = equal(leaf.suffix(), rest)
                    || planted(Bug::LeafIgnoresSuffixLength) && leaf.suffix().starts_with(rest);
                return is_it.then(|| leaf.entry());
            }
            Kind::Prefix => {
                rest = strip_prefix(rest, node.prefix())?;
                node.child(0)
            }
            Kind::Node4 => {
                rest = node.strip_inline_prefix(rest)?;
                node.step(Kind::Node4, &mut rest)?
            }
            Kind::Node16Short | Kind::Node16 => node.step(Kind::Node16, &mut rest)?,
            Kind::Node48 => node.step(Kind::Node48, &mut rest)?,
            Kind::Node256 => node.step(Kind::Node256, &mut rest)?,
        };
        node = view.descend(child);
    }
}

impl Tree {
    /// Finds the place of `key` and opens a write there.
    #[expect(clippy::inline_always, reason = "what it answers is not copied then")]
    #[inline(always)]
    pub(crate) fn plan(&mut self, key: &[u8]) -> Result<Plan, TreeError> {
        self.begin_write()?;
        self.path.clear();
        let mut path = std::mem::take(&mut self.path);
        let point = self.locate(key, &mut path);
        self.path = path;
        Ok(Plan { point: point? })
    }

    /// The entry that the tree has at the planned place.
    pub(crate) fn existing(&self, plan: &Plan) -> Option<Entry<'_>> {
        match plan.point {
            Point::Leaf(leaf) => Some(self.view().node(leaf).leaf().entry()),
            _ => None,
        }
    }

    #[expect(clippy::inline_always, reason = "what it answers is not copied then")]
    #[inline(always)]
    fn locate(&self, key: &[u8], path: &mut Vec<Step>) -> Result<Point, TreeError> {
        let view = self.view();
        let Some(mut at_node) = self.root else { return Ok(Point::Root) };
        let mut rest = key;
        loop {
            let node = view.descend(at_node);
            let inside = match node.kind() {
                Kind::Leaf => {
                    let suffix = node.leaf().suffix();
                    if equal(suffix, rest) {
                        return Ok(Point::Leaf(at_node));
                    }
                    let (at, common) = (key.len() - rest.len(), common_prefix(suffix, rest));
                    return Ok(Point::LeafFork { leaf: at_node, at, common });
                }
                Kind::Prefix => strip_prefix(rest, node.prefix()),
                Kind::Node4 => node.strip_inline_prefix(rest),
                _ => Some(rest),
            };
            let Some(inside) = inside else {
                note(path, Step { node: at_node, slot: 0 })?;
                let (at, common) = (key.len() - rest.len(), common_prefix(node.prefix(), rest));
                return Ok(Point::PrefixFork { at, common });
            };
            rest = inside;
            if node.kind() == Kind::Prefix {
                note(path, Step { node: at_node, slot: 0 })?;
                at_node = node.child(0);
                continue;
            }
            let Some((&byte, below)) = rest.split_first() else {
                let slot = node.value_slot();
                note(path, Step { node: at_node, slot: slot.unwrap_or(0) as u16 })?;
                let Some(slot) = slot else { return Ok(Point::Value) };
                at_node = node.child(slot);
                continue;
            };
            let slot = node.find(byte);
            note(path, Step { node: at_node, slot: slot.unwrap_or(0) as u16 })?;
            let Some(slot) = slot else {
                return Ok(Point::Child { at: key.len() - rest.len() });
            };
            rest = below;
            at_node = node.child(slot);
        }
    }
}

/// Appends a step, unless there is no memory for it.
#[inline]
fn note(path: &mut Vec<Step>, step: Step) -> Result<(), TreeError> {
    if path.len() == path.capacity() {
        path.try_reserve(1)?;
    }
    path.push(step);
    Ok(())
}
