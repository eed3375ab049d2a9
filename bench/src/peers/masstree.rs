//! `masstree`: a concurrent trie of B+ trees.

use crate::kind::Kind;
use crate::peer::{
    Abilities, Answers, Calls, Entrant, Entries, Made, Maker, Peer, Shared, Walk, chain, each,
};
use masstree::{MassTree15Inline, RangeBound};
use std::marker::PhantomData;

struct Mass<K: ?Sized>(MassTree15Inline<u64>, PhantomData<fn(&K)>);

impl<K: Kind + ?Sized> Peer<K> for Mass<K> {
    fn get(&self, key: &K) -> Option<u64> {
        key.with_bytes(|key| self.0.get(key))
    }

    fn insert(&mut self, key: &K, value: u64) {
        key.with_bytes(|key| self.0.insert(key, value));
    }

    fn remove(&mut self, key: &K) -> bool {
        key.with_bytes(|key| matches!(self.0.remove(key), Ok(Some(_))))
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let guard = self.0.guard();
        let mut left = limit;
        let mut scan = |from: RangeBound<'_>| {
            let visit = |key: &[u8], value: u64| {
                walk.add(K::encoded_weight(key), value);
                left -= 1;
                left > 0
            };
            self.0.scan(from, RangeBound::Unbounded, visit, &guard);
        };
        match from {
            Some(from) => from.with_bytes(|from| scan(RangeBound::Included(from))),
            None => scan(RangeBound::Unbounded),
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        let guard = self.0.guard();
        for entry in self.0.iter(&guard).rev() {
            walk.add(K::encoded_weight(entry.key()), *entry.value());
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| key.with_bytes(|key| self.0.get(key)),
                |key: &K, value| {
                    key.with_bytes(|key| self.0.insert(key, value));
                },
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }

    fn get_each(&self, probes: &K::List) -> Answers {
        let guard = self.0.guard();
        each(probes, |key: &K| key.with_bytes(|key| self.0.get_with_guard(key, &guard)))
    }

    fn get_chain(&self, probes: &K::List) -> Answers {
        let guard = self.0.guard();
        chain(probes, |key: &K| key.with_bytes(|key| self.0.get_with_guard(key, &guard)))
    }

    fn load(&mut self, entries: &Entries<K>) {
        let guard = self.0.guard();
        for index in 0..entries.len() {
            let value = entries.value(index);
            entries.key(index).with_bytes(|key| self.0.insert_with_guard(key, value, &guard));
        }
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Mass(MassTree15Inline::new(), PhantomData)))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "masstree",
    package: "masstree",
    note: "`MassTree15Inline`, one guard for each pass, the system's allocator",
    abilities: Abilities::ALL,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
