//! The suite that every layer passes, over the live tree and over a pin of it.

use crate::art::check::check;
use crate::art::{ArtCursor, Pin, Tree};
use crate::entry::{Below, Entry, ValueRef, ValueWidth};
use crate::testing::conformance::{SortedLayer, check_layer};
use crate::testing::keys;

/// A tree with the model's entries, written in random order between others that go again.
fn tree_of(model: &keys::Model) -> Tree {
    let mut tree = Tree::new(ValueWidth::Fixed(8));
    let decoys = keys::decoys(model, 200);
    for key in &decoys {
        put(&mut tree, key, &[0; 8]);
    }
    for (key, value) in keys::shuffled(model, 3) {
        put(&mut tree, key, value);
    }
    for key in &decoys {
        unlink(&mut tree, key);
    }
    check(&tree);
    tree
}

fn put(tree: &mut Tree, key: &[u8], value: &[u8]) {
    let plan = tree.plan(key).expect("room");
    let entry = Entry::value(ValueRef::Inline(value), Below::Absent);
    tree.apply(plan, key, entry).expect("room");
}

fn unlink(tree: &mut Tree, key: &[u8]) {
    let plan = tree.plan(key).expect("room");
    tree.unlink(plan).expect("room");
}

impl SortedLayer for Tree {
    type Cursor<'a> = ArtCursor<&'a Self>;

    fn build(model: &keys::Model) -> Self {
        tree_of(model)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        Self::get(self, key).and_then(Entry::live).map(<[u8]>::to_vec)
    }

    fn cursor(&self) -> Self::Cursor<'_> {
        ArtCursor::new(self)
    }

    fn len(&self) -> u64 {
        Self::len(self)
    }
}

/// A pin, and the tree as it went on after it.
struct PinnedTree {
    pin: Pin,
    tree: Tree,
    len: u64,
}

impl SortedLayer for PinnedTree {
    type Cursor<'a> = ArtCursor<&'a Pin>;

    fn build(model: &keys::Model) -> Self {
        let mut tree = tree_of(model);
        let (pin, len) = (tree.pin(), tree.len());
        for key in keys::decoys(model, 100) {
            put(&mut tree, &key, &[9; 8]);
        }
        for (i, (key, _)) in keys::shuffled(model, 4).into_iter().enumerate() {
            match i % 3 {
                0 => unlink(&mut tree, key),
                1 => put(&mut tree, key, &[7; 8]),
                _ => {}
            }
        }
        check(&tree);
        Self { pin, tree, len }
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.pin.get(key).and_then(Entry::live).map(<[u8]>::to_vec)
    }

    fn cursor(&self) -> Self::Cursor<'_> {
        ArtCursor::new(&self.pin)
    }

    fn len(&self) -> u64 {
        assert!(self.tree.limbo_bytes() > 0 || self.len < 3, "the pin holds what it reads");
        self.len
    }
}

#[test]
fn the_tree_conforms() {
    check_layer::<Tree>();
}

#[test]
fn a_pin_conforms_while_the_tree_goes_on() {
    check_layer::<PinnedTree>();
}
