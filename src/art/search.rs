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
        match node.kind() {
            Kind::Leaf => {
                let leaf = node.leaf();
                let is_it = equal(leaf.suffix(), rest)
                    || planted(Bug::LeafIgnoresSuffixLength) && leaf.suffix().starts_with(rest);
                return is_it.then(|| leaf.entry());
            }
            Kind::Prefix => {
                rest = strip_prefix(rest, node.prefix())?;
                node = view.descend(node.child(0));
                continue;
            }
            Kind::Node4 => rest = node.strip_inline_prefix(rest)?,
            _ => {}
        }
        let slot = match rest.split_first() {
            Some((&byte, below)) => {
                rest = below;
                node.find(byte)?
            }
            None => node.value_slot()?,
        };
        node = view.descend(node.child(slot));
    }
}

impl Tree {
    /// Finds the place of `key` and opens a write there.
    pub(crate) fn plan(&mut self, key: &[u8]) -> Result<Plan, TreeError> {
        self.begin_write()?;
        self.path.clear();
        let mut path = std::mem::take(&mut self.path);
        let point = self.locate(key, &mut path);
        self.path = path;
        Ok(Plan { point })
    }

    /// The entry that the tree has at the planned place.
    pub(crate) fn existing(&self, plan: &Plan) -> Option<Entry<'_>> {
        match plan.point {
            Point::Leaf(leaf) => Some(self.view().node(leaf).leaf().entry()),
            _ => None,
        }
    }

    fn locate(&self, key: &[u8], path: &mut Vec<Step>) -> Point {
        let view = self.view();
        let Some(mut at_node) = self.root else { return Point::Root };
        let mut at = 0;
        loop {
            let node = view.descend(at_node);
            let kind = node.kind();
            if kind == Kind::Leaf {
                let (suffix, rest) = (node.leaf().suffix(), &key[at..]);
                if equal(suffix, rest) {
                    return Point::Leaf(at_node);
                }
                return Point::LeafFork { leaf: at_node, at, common: common_prefix(suffix, rest) };
            }
            let prefix = node.prefix();
            if strip_prefix(&key[at..], prefix).is_none() {
                path.push(Step { node: at_node, slot: 0 });
                return Point::PrefixFork { at, common: common_prefix(prefix, &key[at..]) };
            }
            at += prefix.len();
            let slot = match (kind, key.get(at)) {
                (Kind::Prefix, _) => Some(0),
                (_, None) => node.value_slot(),
                (_, Some(&byte)) => node.find(byte),
            };
            path.push(Step { node: at_node, slot: slot.unwrap_or(0) as u16 });
            let Some(slot) = slot else {
                return if at == key.len() { Point::Value } else { Point::Child { at } };
            };
            at += usize::from(kind != Kind::Prefix && at < key.len());
            at_node = node.child(slot);
        }
    }
}
