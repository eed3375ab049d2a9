//! `blart`: an adaptive radix tree for one thread.

use crate::kind::Kind;
use crate::peer::{Abilities, Entrant, Entries, Made, Maker, Peer, Walk};
use blart::{AsBytes, TreeMap};
use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::Bound::{Included, Unbounded};

/// Keys end with a zero byte where they may be prefixes of each other, which the tree refuses.
struct Radix<K: Terminated + ?Sized>(TreeMap<K::Stored, u64>, PhantomData<K>);

/// Keys as the tree owns them.
trait Terminated: Kind {
    type Stored: AsBytes + Borrow<[u8]> + 'static;
    const END_BYTES: usize;

    fn stored(&self) -> Self::Stored;
}

impl Terminated for [u8] {
    type Stored = Vec<u8>;
    const END_BYTES: usize = 1;

    fn stored(&self) -> Vec<u8> {
        [self, &[0]].concat()
    }
}

impl Terminated for u64 {
    type Stored = [u8; 8];
    const END_BYTES: usize = 0;

    fn stored(&self) -> [u8; 8] {
        self.encode()
    }
}

fn weight<K: Terminated + ?Sized>(stored: &K::Stored) -> u64 {
    let bytes: &[u8] = stored.borrow();
    K::encoded_weight(&bytes[..bytes.len() - K::END_BYTES])
}

impl<K: Terminated + ?Sized> Peer<K> for Radix<K> {
    fn get(&self, key: &K) -> Option<u64> {
        key.with_terminated(|key| self.0.get(key).copied())
    }

    fn insert(&mut self, key: &K, value: u64) {
        let inserted = self.0.try_insert(key.stored(), value);
        assert!(inserted.is_ok(), "blart refuses the key {}", key.show());
    }

    fn remove(&mut self, key: &K) -> bool {
        key.with_terminated(|key| self.0.remove(key).is_some())
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let mut add = |(key, value): (&K::Stored, &u64)| walk.add(weight::<K>(key), *value);
        match from {
            Some(from) => from.with_bytes(|from| {
                let range = self.0.range::<[u8], _>((Included(from), Unbounded));
                range.take(limit).for_each(&mut add);
            }),
            None => self.0.iter().take(limit).for_each(add),
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        self.0.iter().rev().for_each(|(key, value)| walk.add(weight::<K>(key), *value));
    }
}

fn empty<K: Terminated + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Radix(TreeMap::new(), PhantomData)))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "blart",
    package: "blart",
    note: "strings end with a zero byte, since no key may be a prefix of another",
    abilities: Abilities::ORDERED,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
