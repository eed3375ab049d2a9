//! Folding a bare partition, for its tests.

use super::fold;
use super::pieces::Limits;
use super::policy::Target;
use crate::options::Options;
use crate::partition::Partition;

/// Freezes and folds into a base or an overlay.
pub(crate) fn fold(partition: &Partition, into_base: bool) {
    let Some(layers) = partition.freeze(None) else { return };
    let (width, options) = (partition.width(), Options::default());
    let folded = if into_base {
        // Nothing is divided, however large it is.
        let limits = Limits { entries: u64::MAX, bytes: u64::MAX, heap: u64::MAX };
        fold::bases_within(&[&layers], limits, width, &options, &|| true)
    } else {
        fold::fold(&layers, Target::Overlay, width, &options, &|| true)
    };
    let mut pieces = folded.expect("memory").expect("nobody stops it").pieces;
    let folded = pieces.pop().expect("one").layers;
    assert!(pieces.is_empty() && partition.publish(None, &layers, folded));
}
