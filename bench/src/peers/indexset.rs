//! `indexset`: a two-level B-tree with ranks.

use crate::kind::Kind;
use crate::peer::{Abilities, Entrant, Entries, Made, Maker, Peer, Walk};
use indexset::BTreeMap;
use std::borrow::Borrow;
use std::ops::Bound::{Included, Unbounded};

struct Indexed<K: Kind + ?Sized>(BTreeMap<K::Owned, u64>);

impl<K: Kind + ?Sized> Peer<K> for Indexed<K> {
    fn get(&self, key: &K) -> Option<u64> {
        self.0.get(key).copied()
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.insert(key.to_owned(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let range = self.0.range::<K, _>((from.map_or(Unbounded, Included), Unbounded));
        for (key, value) in range.take(limit) {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        for (key, value) in self.0.iter().rev() {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Indexed::<K>(BTreeMap::new())))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "indexset",
    package: "indexset",
    note: "its `BTreeMap`",
    abilities: Abilities::ORDERED,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
