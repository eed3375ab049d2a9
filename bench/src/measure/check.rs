//! What a map should answer, known from the keys themselves.

use super::Task;
use crate::kind::{KeyList, Kind};
use crate::peer::{Answers, Peer, Walk};

impl<K: Kind + ?Sized> Task<'_, K> {
    /// The answers to gets of the keys at these positions.
    pub(super) fn right_answers(&self, positions: &[usize]) -> Answers {
        let mut answers = Answers::default();
        for (at, &position) in positions.iter().enumerate() {
            answers.add(at, Some(self.set.entries.value(position)));
        }
        answers
    }

    /// The rank of each entry among the sorted ones.
    pub(super) fn ranks(&self) -> Vec<u32> {
        let mut ranks = vec![0; self.set.entries.len()];
        for (rank, &position) in self.set.entries.sorted.iter().enumerate() {
            ranks[position as usize] = rank as u32;
        }
        ranks
    }

    /// Adds what a walk from this rank has to see.
    pub(super) fn right_walk(&self, rank: usize, limit: usize, walk: &mut Walk) {
        let sorted = &self.set.entries.sorted;
        let end = sorted.len().min(rank.saturating_add(limit));
        for &position in &sorted[rank.min(end)..end] {
            let position = position as usize;
            walk.add(self.set.entries.key(position).weight(), self.set.entries.value(position));
        }
    }

    /// The rank of the first key not below this one.
    pub(super) fn lower_bound(&self, key: &K) -> usize {
        let entries = &self.set.entries;
        entries.sorted.partition_point(|&position| entries.key(position as usize) < key)
    }
}

/// The first get that is answered wrongly, in words.
pub(super) fn wrong_get<K: Kind + ?Sized>(
    peer: &dyn Peer<K>,
    probes: &K::List,
    right: impl Fn(usize) -> Option<u64>,
    got: Answers,
) -> String {
    let first = (0..probes.len()).find(|&at| peer.get(probes.key(at)) != right(at));
    let found = format!("{} of {} keys found", got.found, probes.len());
    first.map_or_else(
        || format!("{found}, though single gets are right"),
        |at| {
            let key = probes.key(at);
            let (answer, right) = (peer.get(key), right(at));
            format!("{found}; get({}) answered {answer:?}, right is {right:?}", key.show())
        },
    )
}

/// Compares two walks.
pub(super) fn wrong_walk(right: Walk, got: Walk) -> Option<String> {
    if right == got {
        return None;
    }
    Some(if right.entries == got.entries {
        format!("{} entries, but not the right ones in the right order", got.entries)
    } else {
        format!("{} entries, right are {}", got.entries, right.entries)
    })
}

/// Walks to one entry, each compared alone, so that the first wrong one can be named.
pub(super) fn wrong_lower_bound<K: Kind + ?Sized>(
    task: &Task<'_, K>,
    peer: &dyn Peer<K>,
) -> Option<String> {
    const WALKS: usize = 500;
    let (near, entries) = (&task.set.near, &task.set.entries);
    let absent = (0..near.len().min(WALKS)).map(|at| near.key(at));
    let present = (0..entries.len().min(WALKS)).map(|at| entries.key(at));
    for from in absent.chain(present) {
        let rank = task.lower_bound(from);
        let (mut right, mut got) = (Walk::default(), Walk::default());
        task.right_walk(rank, 1, &mut right);
        peer.walk(Some(from), 1, &mut got);
        if right != got {
            // One entry's sum tells which entry it was.
            let seen = (0..entries.len()).find(|&rank| {
                let mut walk = Walk::default();
                task.right_walk(rank, 1, &mut walk);
                walk == got
            });
            let name = |rank: usize| {
                let position = entries.sorted.get(rank).map(|&position| position as usize);
                position.map_or("nothing".to_owned(), |position| entries.key(position).show())
            };
            let seen = seen.map_or("no entry of the set".to_owned(), name);
            let (from, right) = (from.show(), name(rank));
            return Some(format!("the first key not below {from} is {right}, answered {seen}"));
        }
    }
    None
}
