//! Folding a bare partition, for its tests.

use super::fold;
use super::policy::Target;
use crate::partition::Partition;

/// Freezes and folds into a base or an overlay.
pub(crate) fn fold(partition: &Partition, into_base: bool) {
    let target = if into_base { Target::Base } else { Target::Overlay };
    let Some(layers) = partition.freeze() else { return };
    let folded = fold::fold(&layers, target, partition.width(), || true).expect("memory");
    let (folded, _) = folded.expect("nobody stops it");
    assert!(partition.publish(&layers, folded));
}
