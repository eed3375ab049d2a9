//! `hashbrown`: no order, the speed limit of single gets.

use crate::kind::Kind;
use crate::peer::{Abilities, Entrant, Entries, Made, Maker, Peer};
use hashbrown::HashMap;

struct Hash<K: Kind + ?Sized>(HashMap<K::Owned, u64>);

impl<K: Kind + ?Sized> Peer<K> for Hash<K> {
    fn get(&self, key: &K) -> Option<u64> {
        self.0.get(key).copied()
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.insert(key.to_owned(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Hash(HashMap::new())))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "hashbrown",
    package: "hashbrown",
    note: "no order; its own hasher",
    abilities: Abilities::UNORDERED,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
