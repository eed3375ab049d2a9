//! `ferntree`: a concurrent B+ tree with optimistic locks.

use crate::kind::Kind;
use crate::peer::{Abilities, Calls, Entrant, Entries, Made, Maker, Peer, Shared, Walk};
use ferntree::{OptimisticRead, Tree};
use std::borrow::Borrow;
use std::ops::Bound::{Included, Unbounded};

struct Fern<K: Kind<Owned: OptimisticRead> + ?Sized>(Tree<K::Owned, u64>);

impl<K: Kind<Owned: OptimisticRead> + ?Sized> Peer<K> for Fern<K> {
    fn get(&self, key: &K) -> Option<u64> {
        self.0.get_optimistic(key)
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.insert_defer(key.to_owned(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.remove_defer(key)
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let mut range = self.0.range::<K>(from.map_or(Unbounded, Included), Unbounded);
        let mut left = limit;
        while left > 0
            && let Some((key, value)) = range.next()
        {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
            left -= 1;
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        let mut range = self.0.range_rev::<K>(Unbounded, Unbounded);
        while let Some((key, value)) = range.next() {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| self.0.get_optimistic(key),
                |key: &K, value| {
                    self.0.insert_defer(key.to_owned(), value);
                },
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }
}

fn empty<K: Kind<Owned: OptimisticRead> + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Fern::<K>(Tree::new())))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "ferntree",
    package: "ferntree",
    note: "optimistic reads, deferred drops",
    abilities: Abilities::ALL,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
