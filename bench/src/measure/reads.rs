//! Gets and walks.

use super::check::{wrong_get, wrong_lower_bound, wrong_walk};
use super::{Sink, Task, best_pass, time};
use crate::kind::{KeyList, Kind};
use crate::peer::{Answers, Peer, Walk};
use crate::random::Random;

/// The seed of everything asked; the same for all maps.
const PROBE_SEED: u64 = 0x9a0b;
/// Gets in one call, for maps that have a call for many.
const BATCHES: [(&str, usize); 2] = [("get_batch_16", 16), ("get_batch", 64)];
/// Gets for one walk from a lower bound.
const GETS_PER_WALK: usize = 10;

fn checksum(answers: Answers) -> String {
    format!("{}:{:016x}", answers.found, answers.sum)
}

fn walk_checksum(walk: Walk) -> String {
    format!("{}:{:016x}", walk.entries, walk.sum)
}

pub(super) fn measure<K: Kind + ?Sized>(
    task: &Task<'_, K>,
    peer: &dyn Peer<K>,
    sink: &mut Sink<'_>,
) -> Walking {
    gets(task, peer, sink);
    if !task.entrant.abilities.walk {
        return Walking::Slow;
    }
    walks(task, peer, sink)
}

fn gets<K: Kind + ?Sized>(task: &Task<'_, K>, peer: &dyn Peer<K>, sink: &mut Sink<'_>) {
    let mut random = Random::new(PROBE_SEED);
    let count = task.probes();
    let uniform = task.set.uniform_hits(count, &mut random);
    let zipf = task.set.zipf_hits(count, &mut random);
    let mut hits = |measure, positions: &[usize], pass: fn(&dyn Peer<K>, &K::List) -> Answers| {
        let probes = task.set.probes(positions);
        let (ns, got) = best_pass(probes.len(), || pass(peer, &probes));
        let value = |at: usize| Some(task.set.entries.value(positions[at]));
        let wrong =
            (got != task.right_answers(positions)).then(|| wrong_get(peer, &probes, value, got));
        sink.answered(measure, ns, Some(checksum(got)), wrong);
    };
    hits("get_hit", &uniform, |peer, probes| peer.get_each(probes));
    hits("get_chain", &uniform, |peer, probes| peer.get_chain(probes));
    hits("get_zipf", &zipf, |peer, probes| peer.get_each(probes));

    let mut misses = |measure, list: &K::List| {
        let probes = list.gather(0..list.len().min(count));
        let (ns, got) = best_pass(probes.len(), || peer.get_each(&probes));
        let wrong = (got != Answers::default()).then(|| wrong_get(peer, &probes, |_| None, got));
        sink.answered(measure, ns, Some(checksum(got)), wrong);
    };
    misses("miss_near", &task.set.near);
    misses("miss_far", &task.set.far);

    let probes = task.set.probes(&uniform);
    for (measure, batch) in BATCHES {
        if let (ns, Some(got)) = best_pass(probes.len(), || peer.get_batches(&probes, batch)) {
            let wrong = (got != task.right_answers(&uniform)).then(|| "batches differ".to_owned());
            sink.answered(measure, ns, Some(checksum(got)), wrong);
        }
    }
    if task.perf {
        for (measure, value) in crate::perf::count(count, || peer.get_each(&probes)) {
            sink.number(measure, value);
        }
    }
}

/// Whether many walks can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walking {
    Fast,
    /// The map looks for the start of a walk one entry after the other, or cannot walk.
    Slow,
}

/// Walks that a map makes before it is known how many it can make.
const PILOT_WALKS: usize = 20;
/// A walk of 100 entries that takes longer is a slow one: all of them would take many seconds.
const SLOW_NS: f64 = 1e6;

fn walks<K: Kind + ?Sized>(task: &Task<'_, K>, peer: &dyn Peer<K>, sink: &mut Sink<'_>) -> Walking {
    let ranks = task.ranks();
    let mut random = Random::new(PROBE_SEED ^ 1);
    let mut starts = task.set.uniform_hits(task.probes() / GETS_PER_WALK, &mut random);
    let pilot = task.set.probes(&starts[..starts.len().min(PILOT_WALKS)]);
    let (pilot_ns, _) = time(pilot.len(), || peer.walk_each(&pilot, 100));
    let walking = if pilot_ns > SLOW_NS { Walking::Slow } else { Walking::Fast };
    if walking == Walking::Slow {
        starts.truncate(PILOT_WALKS);
    }
    for (measure, limit) in [("scan_10", 10), ("scan_100", 100)] {
        let probes = task.set.probes(&starts);
        let (ns, got) = best_pass(probes.len(), || peer.walk_each(&probes, limit));
        let mut right = Walk::default();
        for &position in &starts {
            task.right_walk(ranks[position] as usize, limit, &mut right);
        }
        let wrong = wrong_walk(right, got)
            .map(|wrong| wrong_lower_bound(task, peer).unwrap_or(wrong))
            .or_else(|| wrong_lower_bound(task, peer));
        // Of fewer walks the checksum is another.
        let checksum = (walking == Walking::Fast).then(|| walk_checksum(got));
        sink.answered(measure, ns, checksum, wrong);
    }
    let entries = task.set.entries.len();
    let (ns, got) = best_pass(entries, || {
        let mut walk = Walk::default();
        peer.walk(None, usize::MAX >> 1, &mut walk);
        walk
    });
    let mut right = Walk::default();
    task.right_walk(0, entries, &mut right);
    sink.answered("scan_full", ns, Some(walk_checksum(got)), wrong_walk(right, got));
    if task.entrant.abilities.walk_back {
        let (ns, got) = best_pass(entries, || {
            let mut walk = Walk::default();
            peer.walk_back(&mut walk);
            walk
        });
        let mut right = Walk::default();
        for &position in task.set.entries.sorted.iter().rev() {
            let position = position as usize;
            right.add(task.set.entries.key(position).weight(), task.set.entries.value(position));
        }
        sink.answered("scan_back", ns, Some(walk_checksum(got)), wrong_walk(right, got));
    }
    walking
}
