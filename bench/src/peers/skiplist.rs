//! `crossbeam-skiplist`: a lock-free skip list.

use crate::kind::Kind;
use crate::peer::{Abilities, Calls, Entrant, Entries, Made, Maker, Peer, Shared, Walk};
use crossbeam_skiplist::SkipMap;
use std::borrow::Borrow;
use std::ops::Bound::{Included, Unbounded};

struct Skip<K: Kind + ?Sized>(SkipMap<K::Owned, u64>);

impl<K: Kind + ?Sized> Peer<K> for Skip<K> {
    fn get(&self, key: &K) -> Option<u64> {
        self.0.get(key).map(|entry| *entry.value())
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.insert(key.to_owned(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let range = self.0.range::<K, _>((from.map_or(Unbounded, Included), Unbounded));
        for entry in range.take(limit) {
            walk.add(Borrow::<K>::borrow(entry.key()).weight(), *entry.value());
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        for entry in self.0.iter().rev() {
            walk.add(Borrow::<K>::borrow(entry.key()).weight(), *entry.value());
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| self.0.get(key).map(|entry| *entry.value()),
                |key: &K, value| drop(self.0.insert(key.to_owned(), value)),
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Skip::<K>(SkipMap::new())))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "skiplist",
    package: "crossbeam-skiplist",
    note: "`SkipMap`",
    abilities: Abilities::ALL,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
