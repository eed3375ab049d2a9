//! What must hold between the layers of a partition, checked by reading all of it.

use super::Partition;
use crate::cursor::Cursor;

/// Checks what must hold between layers: structure, counts and `below` flags.
///
/// # Panics
/// If anything does not hold.
pub(crate) fn check(partition: &Partition) {
    let state = partition.state.read();
    let mut live = 0;
    if let Some(layers) = &state.layers {
        for segment in [&layers.overlay, &layers.base].into_iter().flatten() {
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
    drop(state);
    let mut cursor = partition.pin().cursor();
    let mut walked = 0;
    cursor.first();
    while cursor.valid() {
        walked += 1;
        cursor.next();
    }
    assert_eq!(cursor.status(), Ok(()));
    assert_eq!((live, partition.len()), (walked as i64, walked), "I7");
}
