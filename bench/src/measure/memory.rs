//! What a map takes, counted while one is built that is not timed.

use super::{Depth, Sink, Task};
use crate::kind::{KeyList, Kind};
use crate::memory::{count, live_bytes, peak_bytes, reset_peak, resident_bytes};

pub(super) fn measure<K: Kind + ?Sized>(
    task: &Task<'_, K>,
    sink: &mut Sink<'_>,
) -> Result<(), String> {
    let entries = task.set.entries.len().max(1) as f64;
    let resident_before = resident_bytes();
    count(true);
    reset_peak();
    let before = live_bytes();
    let mut peer = task.build()?;
    let untouched = peer.untouched_bytes() as isize;
    sink.number("peak_build", (peak_bytes() - before - untouched) as f64 / entries);
    reset_peak();
    peer.settle();
    let folded = peak_bytes();
    let live = live_bytes();
    count(false);
    let untouched = peer.untouched_bytes() as isize;
    sink.number("bytes", (live - before - untouched) as f64 / entries);
    if task.entrant.is_ours() {
        sink.number("peak_fold", (folded - before) as f64 / entries);
    }
    let resident = resident_bytes().saturating_sub(resident_before);
    sink.number("resident", resident as f64 / entries);
    sink.number("part_keys", task.set.entries.keys.key_bytes() as f64 / entries);
    for (measure, value) in peer.facts() {
        sink.number(measure, value);
    }
    if task.depth > Depth::Quick {
        for (measure, value) in peer.overwrite_steadily(&task.set.entries) {
            sink.number(measure, value);
        }
    }
    Ok(())
}
