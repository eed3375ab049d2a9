//! Walking a tree in key order, both ways, with an explicit stack: keys of any depth cost no call
//! stack.

use super::node::{Kind, NodeRef, View};
use super::tree::{Pin, Tree};
use crate::arena::OutOfMemory;
use crate::bytes::spelled_on;
use crate::columns::Columns;
use crate::cursor::Cursor;
use crate::entry::Entry;
use crate::sync::Arc;
use std::cmp::Ordering;

/// Something with a root that does not change while it is borrowed.
pub(crate) trait Rooted {
    /// Reads its nodes.
    fn view(&self) -> View<'_>;
    /// Its root.
    fn root(&self) -> Option<NodeRef>;
}

impl Rooted for &Tree {
    fn view(&self) -> View<'_> {
        Tree::view(self)
    }

    fn root(&self) -> Option<NodeRef> {
        self.root
    }
}

impl Rooted for Arc<Tree> {
    fn view(&self) -> View<'_> {
        Tree::view(self)
    }

    fn root(&self) -> Option<NodeRef> {
        self.root
    }
}

impl Rooted for &Pin {
    fn view(&self) -> View<'_> {
        Pin::view(self)
    }

    fn root(&self) -> Option<NodeRef> {
        self.root
    }
}

impl Rooted for Pin {
    fn view(&self) -> View<'_> {
        Pin::view(self)
    }

    fn root(&self) -> Option<NodeRef> {
        self.root
    }
}

/// An inner node on the way to the current leaf.
#[derive(Clone, Copy)]
struct Frame {
    node: NodeRef,
    /// The slot that the way goes through.
    slot: u16,
    /// Length of the key up to and with the node's prefix, without the slot's byte.
    key_len: u32,
}

/// Which end of a subtree to go to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

/// A cursor over a tree or a pin.
pub(crate) struct ArtCursor<R> {
    tree: R,
    stack: Vec<Frame>,
    leaf: Option<NodeRef>,
    key: Vec<u8>,
}

impl<R: Rooted> ArtCursor<R> {
    /// A cursor without a position.
    pub(crate) fn new(tree: R) -> Self {
        Self { tree, stack: Vec::new(), leaf: None, key: Vec::new() }
    }

    fn reset(&mut self) {
        self.stack.clear();
        self.key.clear();
        self.leaf = None;
    }

    /// Goes down from `node`, whose way is on the stack, to an end of its subtree.
    fn descend(&mut self, mut node: NodeRef, end: End) {
        loop {
            let view = self.tree.view().node(node);
            if view.kind() == Kind::Leaf {
                self.key.extend_from_slice(view.leaf().suffix());
                self.leaf = Some(node);
                return;
            }
            self.key.extend_from_slice(view.prefix());
            let slot = match end {
                End::First => view.slot_after(None),
                End::Last => view.slot_before(None),
            };
            let slot = slot.expect("an inner node has a child");
            let (byte, child) = (view.byte(slot), view.child(slot));
            self.enter(node, slot, byte);
            node = child;
        }
    }

    /// Puts a step down on the stack; the node's prefix is in the key already.
    fn enter(&mut self, node: NodeRef, slot: usize, byte: Option<u8>) {
        self.stack.push(Frame { node, slot: slot as u16, key_len: self.key.len() as u32 });
        self.key.extend(byte);
    }

    /// Leaves the current subtree for the nearest one on the other side of a branch. Answers how many
    /// steps of the way are what they were.
    fn turn(&mut self, end: End) -> usize {
        self.leaf = None;
        while let Some(frame) = self.stack.pop() {
            let view = self.tree.view().node(frame.node);
            let from = Some(usize::from(frame.slot));
            let slot = match end {
                End::First => view.slot_after(from),
                End::Last => view.slot_before(from),
            };
            if let Some(slot) = slot {
                let (byte, child) = (view.byte(slot), view.child(slot));
                self.key.truncate(frame.key_len as usize);
                self.enter(frame.node, slot, byte);
                let known = self.stack.len();
                self.descend(child, end);
                return known;
            }
        }
        0
    }

    /// Moves to the key nearest to `key` on the side of `end`: the first not below it, or the last
    /// not above it.
    fn search(&mut self, key: &[u8], end: End) {
        self.reset();
        // What a subtree on the searched side of the key is called when compared with it.
        let inside = match end {
            End::First => Ordering::Greater,
            End::Last => Ordering::Less,
        };
        let Some(mut node) = self.tree.root() else { return };
        let mut rest = key;
        loop {
            let view = self.tree.view().node(node);
            if view.kind() == Kind::Leaf {
                let order = view.leaf().suffix().cmp(rest);
                if order == Ordering::Equal || order == inside {
                    self.descend(node, end);
                } else {
                    self.turn(end);
                }
                return;
            }
            let prefix = view.prefix();
            let Some(below) = rest.strip_prefix(prefix) else {
                if prefix.cmp(rest) == inside {
                    self.descend(node, end);
                } else {
                    self.turn(end);
                }
                return;
            };
            rest = below;
            if view.kind() == Kind::Prefix {
                let child = view.child(0);
                self.key.extend_from_slice(prefix);
                self.enter(node, 0, None);
                node = child;
                continue;
            }
            let slot = match (rest.first(), end) {
                (None, End::First) => view.slot_after(None),
                (None, End::Last) => view.value_slot(),
                (Some(&byte), End::First) => view.find_at_least(byte),
                (Some(&byte), End::Last) => view.find_at_most(byte),
            };
            let Some(slot) = slot else {
                self.turn(end);
                return;
            };
            let (byte, child) = (view.byte(slot), view.child(slot));
            self.key.extend_from_slice(prefix);
            self.enter(node, slot, byte);
            // A child for another byte (or for none) is wholly on the searched side.
            if byte.is_some() && byte == rest.first().copied() {
                rest = &rest[1..];
                node = child;
            } else {
                self.descend(child, end);
                return;
            }
        }
    }
}

impl<R: Rooted> ArtCursor<R> {
    /// Appends the entries from the current one on to `columns`, so many at most, and stands behind them
    /// then. All keys of the tree have one length of at most 8 bytes.
    ///
    /// Costs a fifth of as many steps: leaves below one node are read one after the other, and all of
    /// them are asked for when the way comes to the node.
    pub(crate) fn gather(&mut self, most: usize, columns: &mut Columns) -> Result<(), OutOfMemory> {
        columns.reserve(most)?;
        let (mut room, mut known) = (most, 0);
        while room > 0
            && let Some(leaf) = self.leaf
        {
            let view = self.tree.view();
            for frame in &self.stack[known..] {
                view.node(frame.node).ask_for_children(usize::from(frame.slot));
            }
            columns.push(spelled_on(0, &self.key), view.node(leaf).leaf().entry());
            room -= 1;
            if let Some(frame) = self.stack.last_mut() {
                let node = view.node(frame.node);
                let above = spelled_on(0, &self.key[..frame.key_len as usize]);
                while room > 0
                    && let Some(slot) = node.slot_after(Some(usize::from(frame.slot)))
                {
                    let child = view.node(node.child(slot));
                    if child.kind() != Kind::Leaf {
                        break;
                    }
                    let above = node.byte(slot).map_or(above, |byte| spelled_on(above, &[byte]));
                    let leaf = child.leaf();
                    columns.push(spelled_on(above, leaf.suffix()), leaf.entry());
                    room -= 1;
                    frame.slot = slot as u16;
                }
            }
            known = self.turn(End::First);
        }
        Ok(())
    }
}

impl<R: Rooted> Cursor for ArtCursor<R> {
    fn first(&mut self) {
        self.reset();
        if let Some(root) = self.tree.root() {
            self.descend(root, End::First);
        }
    }

    fn last(&mut self) {
        self.reset();
        if let Some(root) = self.tree.root() {
            self.descend(root, End::Last);
        }
    }

    fn seek(&mut self, key: &[u8]) {
        self.search(key, End::First);
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        self.search(key, End::Last);
    }

    fn next(&mut self) {
        if self.leaf.is_some() {
            self.turn(End::First);
        }
    }

    fn prev(&mut self) {
        if self.leaf.is_some() {
            self.turn(End::Last);
        }
    }

    fn valid(&self) -> bool {
        self.leaf.is_some()
    }

    fn key(&self) -> &[u8] {
        &self.key
    }

    fn entry(&self) -> Entry<'_> {
        let leaf = self.leaf.expect("a cursor without a position has no entry");
        self.tree.view().node(leaf).leaf().entry()
    }
}
