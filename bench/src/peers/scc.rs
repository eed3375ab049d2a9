//! `scc::TreeIndex`: a concurrent B+ tree for many readers.

use crate::kind::Kind;
use crate::peer::{Abilities, Calls, Entrant, Entries, Made, Maker, Peer, Shared, Walk};
use scc::{Guard, TreeIndex};
use std::borrow::Borrow;
use std::ops::Bound::{Included, Unbounded};

struct Index<K: Kind + ?Sized>(TreeIndex<K::Owned, u64>);

impl<K: Kind + ?Sized> Peer<K> for Index<K> {
    fn get(&self, key: &K) -> Option<u64> {
        self.0.peek_with(key, |_, value| *value)
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.upsert_sync(key.to_owned(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.remove_sync(key)
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let guard = Guard::new();
        let range = self.0.range::<K, _>((from.map_or(Unbounded, Included), Unbounded), &guard);
        for (key, value) in range.take(limit) {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        let guard = Guard::new();
        for (key, value) in self.0.iter(&guard).rev() {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| self.0.peek_with(key, |_, value| *value),
                |key: &K, value| self.0.upsert_sync(key.to_owned(), value),
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Index::<K>(TreeIndex::new())))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "scc",
    package: "scc",
    note: "`TreeIndex`",
    abilities: Abilities::ALL,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
