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

mod edit;
mod layout;
mod leaf;
mod view;

pub(crate) use edit::Editor;
pub(crate) use layout::{Kind, NODE4_PREFIX, NodeRef, PREFIX_MAX, Shape, prefix_units};
pub(crate) use leaf::{EXTENT_TAIL, LeafImage, Tail, extent_tail, leaf_flags, tail_len};
pub(crate) use view::View;

#[cfg(test)]
mod tests {
    use super::layout::{Header, Node4, Node16, Node48, Node256};
    use super::view::select;
    use super::*;
    use crate::arena::{UNIT, units};

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
            LeafImage::new(0, &bytes[..suffix], [&bytes[..tail], &[], &[]]).units() as usize * 8
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
