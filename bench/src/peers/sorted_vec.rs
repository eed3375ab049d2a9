//! A sorted vector with binary search: the simplest immutable map.

use crate::kind::{KeyList, Kind};
use crate::peer::{Abilities, Entrant, Entries, Made, Maker, Peer, Walk};
use std::cmp::Ordering;

/// Packed keys, so that a string costs its bytes and the end of it.
struct Sorted<K: Kind + ?Sized> {
    keys: K::List,
    values: Vec<u64>,
}

impl<K: Kind + ?Sized> Sorted<K> {
    /// The first position whose key is not below `key`.
    fn lower_bound(&self, key: &K) -> usize {
        let (mut low, mut high) = (0, self.keys.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.keys.key(middle).cmp(key) == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl<K: Kind + ?Sized> Peer<K> for Sorted<K> {
    fn get(&self, key: &K) -> Option<u64> {
        let at = self.lower_bound(key);
        (at < self.keys.len() && self.keys.key(at) == key).then(|| self.values[at])
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let start = from.map_or(0, |key| self.lower_bound(key));
        for at in start..self.keys.len().min(start.saturating_add(limit)) {
            walk.add(self.keys.key(at).weight(), self.values[at]);
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        for at in (0..self.keys.len()).rev() {
            walk.add(self.keys.key(at).weight(), self.values[at]);
        }
    }
}

fn bulk<K: Kind + ?Sized>(entries: &Entries<K>) -> Made<K> {
    let mut values = Vec::with_capacity(entries.len());
    values.extend(entries.ascending().map(|(_, value)| value));
    let keys = entries.keys.gather(entries.sorted.iter().map(|&index| index as usize));
    Ok(Box::new(Sorted { keys, values }))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "sorted-vec",
    package: "",
    note: "immutable; packed keys, binary search; spare capacity of the vectors is counted",
    abilities: Abilities::BUILT,
    bytes: Some(Maker::bulk(bulk)),
    integers: Some(Maker::bulk(bulk)),
};
