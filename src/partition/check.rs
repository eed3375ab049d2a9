//! What must hold between the layers of a partition, checked by reading all of it.

use super::Partition;
use crate::cursor::Cursor;
use crate::segment::SegmentCursor;

/// Checks what must hold between layers: structure, counts and `below` flags; and that all keys are
/// from `bound` on and below `end`.
///
/// # Panics
/// If anything does not hold.
pub(crate) fn check(partition: &Partition, bound: &[u8], end: Option<&[u8]>) {
    let state = partition.state.read();
    assert!(!state.is_retired(), "one that can be found is not retired (I4)");
    let mut live = 0;
    if let Some(layers) = &state.layers {
        if let Some(overlay) = layers.overlay() {
            let mut cursor = SegmentCursor::new(&**overlay);
            cursor.first();
            while cursor.valid() {
                let may_hold = layers.overlay_of(cursor.key(), &mut None).is_some();
                assert!(may_hold, "an overlay's filter knows all its keys (I6)");
                cursor.next();
            }
        }
        for segment in layers.segments() {
            segment.verify().expect("sound");
            live += segment.weight();
        }
        if let Some(frozen) = &layers.frozen {
            crate::art::check::check(&frozen.tree);
            live += frozen.tree.weight();
        }
        assert_eq!(layers.live as i64, live, "layers count their live keys (I7)");
    }
    if let Some(delta) = &state.delta {
        crate::art::check::check(&delta.tree);
        live += delta.tree.weight();
    }
    let mut cursor = state.pin().cursor();
    drop(state);
    let mut walked = 0;
    cursor.first();
    while cursor.valid() {
        walked += 1;
        let (key, is_inside) = (cursor.key(), end.is_none_or(|end| cursor.key() < end));
        assert!(bound <= key && is_inside, "{key:?} is not in {bound:?} to {end:?} (I4)");
        cursor.next();
    }
    assert_eq!(cursor.status(), Ok(()));
    assert_eq!((live, partition.len()), (walked as i64, Some(walked)), "I7");
}
