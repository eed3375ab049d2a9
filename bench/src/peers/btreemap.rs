//! The standard library's `BTreeMap`: by random inserts, the measure of all ratios; and made from
//! sorted entries, which is its best case.

use crate::kind::Kind;
use crate::peer::{Abilities, Entrant, Entries, Made, Maker, Peer, Walk};
use std::collections::BTreeMap;

struct Std<K: Kind + ?Sized>(BTreeMap<K::Owned, u64>);

impl<K: Kind + ?Sized> Peer<K> for Std<K> {
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
        use std::borrow::Borrow;
        use std::ops::Bound::{Included, Unbounded};
        for (key, value) in self.0.range((from.map_or(Unbounded, Included), Unbounded)).take(limit)
        {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        use std::borrow::Borrow;
        for (key, value) in self.0.iter().rev() {
            walk.add(Borrow::<K>::borrow(key).weight(), *value);
        }
    }
}

/// `BTreeMap` with keys in boxes without spare capacity.
struct Boxed(BTreeMap<Box<[u8]>, u64>);

impl Peer<[u8]> for Boxed {
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.0.get(key).copied()
    }

    fn insert(&mut self, key: &[u8], value: u64) {
        self.0.insert(key.into(), value);
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        self.0.remove(key).is_some()
    }

    fn walk(&self, from: Option<&[u8]>, limit: usize, walk: &mut Walk) {
        use std::ops::Bound::{Included, Unbounded};
        let range = self.0.range::<[u8], _>((from.map_or(Unbounded, Included), Unbounded));
        range.take(limit).for_each(|(key, value)| walk.add(key.weight(), *value));
    }

    fn walk_back(&self, walk: &mut Walk) {
        self.0.iter().rev().for_each(|(key, value)| walk.add(key.weight(), *value));
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Std(BTreeMap::new())))
}

fn bulk<K: Kind + ?Sized>(entries: &Entries<K>) -> Made<K> {
    let entries = entries.ascending().map(|(key, value)| (key.to_owned(), value));
    Ok(Box::new(Std(entries.collect())))
}

/// The name that ratios refer to.
pub(crate) const REFERENCE: &str = "btreemap";

pub(super) const RANDOM: Entrant = Entrant {
    name: REFERENCE,
    package: "",
    note: "`BTreeMap<Vec<u8>, u64>` or `BTreeMap<u64, u64>`, by random inserts",
    abilities: Abilities::ORDERED,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};

pub(super) const BOXED: Entrant = Entrant {
    name: "btreemap-boxed",
    note: "`BTreeMap<Box<[u8]>, u64>`, by random inserts",
    bytes: Some(Maker::empty(|_| Ok(Box::new(Boxed(BTreeMap::new()))))),
    integers: None,
    ..RANDOM
};

pub(super) const BULK: Entrant = Entrant {
    name: "btreemap-bulk",
    note: "the same type, collected from sorted entries: full nodes, keys in order in memory",
    bytes: Some(Maker::bulk(bulk)),
    integers: Some(Maker::bulk(bulk)),
    ..RANDOM
};
