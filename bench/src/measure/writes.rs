//! Loading, overwriting, removing.

use super::{Depth, Sink, Task, time};
use crate::kind::{KeyList, Kind};
use crate::peer::{Made, Peer};
use crate::random::Random;

/// Builds the map that everything else is measured on, and times it.
pub(super) fn measure_loading<K: Kind + ?Sized>(
    task: &Task<'_, K>,
    sink: &mut Sink<'_>,
) -> Made<K> {
    let entries = &task.set.entries;
    if let Some(bulk) = task.maker.bulk {
        let (ns, peer) = time(entries.len(), || bulk(entries));
        let peer = peer?;
        sink.number("bulk_build", ns);
        if task.maker.empty.is_none() {
            return Ok(peer);
        }
    }
    if task.depth > Depth::Quick
        && let Some(empty) = task.maker.empty
    {
        let mut sorted = empty(entries)?;
        let (ns, ()) = time(entries.len(), || sorted.load_sorted(entries));
        sink.number("insert_sorted", ns);
    }
    let (ns, peer) = time(entries.len(), || task.build());
    let mut peer = peer?;
    sink.number("insert_random", ns);
    if task.entrant.is_ours() {
        let (ns, ()) = time(entries.len(), || peer.settle());
        sink.number("settle", ns);
    }
    Ok(peer)
}

/// Overwrites with the same values, so that all answers stay right; then removes half.
pub(super) fn measure_changes<K: Kind + ?Sized>(
    task: &Task<'_, K>,
    peer: &mut dyn Peer<K>,
    sink: &mut Sink<'_>,
) {
    let mut random = Random::new(0x0e11);
    let positions = task.set.uniform_hits(task.probes(), &mut random);
    let probes = task.set.probes(&positions);
    let (ns, ()) = time(probes.len(), || {
        for (at, &position) in positions.iter().enumerate() {
            peer.insert(probes.key(at), task.set.entries.value(position));
        }
    });
    sink.number("overwrite", ns);
    if task.entrant.abilities.remove {
        let half = task.set.probes(&positions[..positions.len() / 2]);
        let (ns, removed) = time(half.len(), || peer.remove_each(&half));
        let wrong = (removed != half.len() as u64 || peer.get_each(&half).found > 0)
            .then(|| format!("{removed} of {} keys were there to remove", half.len()));
        sink.answered("remove", ns, Some(removed.to_string()), wrong);
    }
}
