//! The structural checker: walks a whole tree and panics at the first thing that does not hold.

use super::node::{Kind, NODE4_PREFIX, NodeRef, PREFIX_MAX};
use super::tree::Tree;
use crate::arena::UNIT;
use crate::stats::NodeCounts;

/// Checks shape, order, weights, counts and bytes of every node.
///
/// # Panics
/// If anything does not hold.
pub(crate) fn check(tree: &Tree) {
    let mut counts = NodeCounts::default();
    let mut units = 0u64;
    let mut order = Vec::new();
    let mut open: Vec<NodeRef> = tree.root.into_iter().collect();
    // Parents before children.
    while let Some(node) = open.pop() {
        order.push(node);
        let view = tree.view().node(node);
        units += u64::from(view.units());
        let shape = view.shape();
        assert_eq!(shape.kind, view.kind(), "the reference and the node agree");
        let count = match view.kind() {
            Kind::Leaf => &mut counts.leaf,
            Kind::Node4 => &mut counts.node4,
            Kind::Node16Short => &mut counts.node16_short,
            Kind::Node16 => &mut counts.node16,
            Kind::Node48 => &mut counts.node48,
            Kind::Node256 => &mut counts.node256,
            Kind::Prefix => &mut counts.prefix,
        };
        *count += 1;
        match view.kind() {
            Kind::Leaf => continue,
            Kind::Prefix => {
                assert!((1..=PREFIX_MAX).contains(&view.prefix().len()));
                let below = tree.view().node(view.child(0)).kind();
                assert_ne!(below, Kind::Leaf, "a leaf takes the prefix into its suffix");
            }
            Kind::Node4 => assert!(view.prefix().len() <= NODE4_PREFIX),
            _ => assert!(view.prefix().is_empty()),
        }
        let mut slots = Vec::new();
        let mut slot = view.slot_after(None);
        while let Some(at) = slot {
            slots.push(at);
            slot = view.slot_after(slot);
        }
        assert_eq!(slots.len(), view.slots(), "count of {:?}", view.kind());
        assert!(slots.len() <= shape.slots);
        if view.kind() != Kind::Prefix {
            assert!(slots.len() >= 2, "a node with one child is joined with it");
            assert!(slots.len() > shape.shrink_at(), "{shape:?} with {} slots", slots.len());
        }
        let bytes: Vec<Option<u8>> = slots.iter().map(|&slot| view.byte(slot)).collect();
        if view.kind() != Kind::Prefix {
            assert!(bytes.windows(2).all(|pair| pair[0] < pair[1]), "sorted: {bytes:?}");
            assert_eq!(bytes[0].is_none(), view.has_value());
            for (&slot, &byte) in slots.iter().zip(&bytes) {
                if let Some(byte) = byte {
                    assert_eq!(view.find(byte), Some(slot));
                }
            }
        }
        let mut back = Vec::new();
        let mut slot = view.slot_before(None);
        while let Some(at) = slot {
            back.push(at);
            slot = view.slot_before(slot);
        }
        back.reverse();
        assert_eq!(back, slots, "both directions see the same slots");
        let below: i32 = slots.iter().map(|&s| tree.view().node(view.child(s)).weight()).sum();
        assert_eq!(view.weight(), below, "weight of {:?}", view.kind());
        for slot in slots {
            let child = tree.view().node(view.child(slot));
            assert!(
                child.kind() == Kind::Leaf || view.value_slot() != Some(slot),
                "a value is a leaf"
            );
            open.push(view.child(slot));
        }
    }
    assert_eq!(counts, tree.counts());
    assert_eq!(tree.used_bytes(), units as usize * UNIT);
    assert_eq!(tree.limbo_bytes(), tree.limbo_units() as usize * UNIT);
}
