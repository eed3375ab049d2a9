//! `BTreeMap` behind a `parking_lot::RwLock`: how most programs share an ordered map.

use crate::kind::Kind;
use crate::peer::{Abilities, Calls, Entrant, Entries, Made, Maker, Peer, Shared, Walk};
use parking_lot::RwLock;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

struct Locked<K: Kind + ?Sized>(RwLock<BTreeMap<K::Owned, u64>>);

impl<K: Kind + ?Sized> Peer<K> for Locked<K> {
    fn get(&self, key: &K) -> Option<u64> {
        self.0.read().get(key).copied()
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.write().insert(key.to_owned(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.write().remove(key).is_some()
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let map = self.0.read();
        for (key, value) in map.range((from.map_or(Unbounded, Included), Unbounded)).take(limit) {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        for (key, value) in self.0.read().iter().rev() {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| self.0.read().get(key).copied(),
                |key: &K, value| {
                    self.0.write().insert(key.to_owned(), value);
                },
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Locked(RwLock::new(BTreeMap::new()))))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "rwlock-btreemap",
    package: "parking_lot",
    note: "`RwLock<BTreeMap>`",
    abilities: Abilities::ALL,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
