//! Folding a bare partition, for its tests.

use super::fold;
use super::policy::Target;
use crate::options::Options;
use crate::partition::Partition;

/// Freezes and folds into a base or an overlay.
pub(crate) fn fold(partition: &Partition, into_base: bool) {
    let target = if into_base { Target::Base } else { Target::Overlay };
    let Some(layers) = partition.freeze(None) else { return };
    let options = Options { partition_entries: usize::MAX / 4, ..Options::default() };
    let folded = fold::fold(&layers, target, partition.width(), &options, &|| true);
    let mut pieces = folded.expect("memory").expect("nobody stops it").pieces;
    let folded = pieces.pop().expect("one").layers;
    assert!(pieces.is_empty() && partition.publish(None, &layers, folded));
}
