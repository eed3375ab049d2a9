//! `concurrent-map`: a lock-free B+ tree; each thread has a clone of its own.

use crate::kind::Kind;
use crate::peer::{Abilities, Calls, Entrant, Entries, Made, Maker, Peer, Shared, Walk};
use concurrent_map::{ConcurrentMap, Minimum};
use std::borrow::Borrow;
use std::ops::Bound::{Included, Unbounded};

struct Concurrent<K: Kind<Owned: Minimum> + ?Sized>(ConcurrentMap<K::Owned, u64>);

impl<K: Kind<Owned: Minimum> + ?Sized> Peer<K> for Concurrent<K> {
    fn get(&self, key: &K) -> Option<u64> {
        self.0.get(key)
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.insert(key.to_owned(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let mut add = |(key, value): (K::Owned, u64)| {
            walk.add(Borrow::<K>::borrow(&key).weight(), value);
        };
        match from {
            Some(from) => {
                let range = self.0.range::<K, _>((Included(from), Unbounded));
                range.take(limit).for_each(&mut add);
            }
            None => self.0.iter().take(limit).for_each(add),
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        for (key, value) in self.0.iter().rev() {
            walk.add(Borrow::<K>::borrow(&key).weight(), value);
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            let (reader, writer) = (self.0.clone(), self.0.clone());
            Box::new(Calls(
                move |key: &K| reader.get(key),
                move |key: &K, value| {
                    writer.insert(key.to_owned(), value);
                },
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }
}

fn empty<K: Kind<Owned: Minimum> + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Concurrent::<K>(ConcurrentMap::new())))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "concurrent-map",
    package: "concurrent-map",
    note: "a clone for each thread",
    abilities: Abilities::ALL,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
