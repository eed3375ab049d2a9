//! `papaya`: a concurrent hash map, the speed limit for threads.

use crate::kind::Kind;
use crate::peer::{
    Abilities, Answers, Calls, Entrant, Entries, Made, Maker, Peer, Shared, chain, each,
};
use papaya::HashMap;

struct Hash<K: Kind + ?Sized>(HashMap<K::Owned, u64>);

impl<K: Kind + ?Sized> Peer<K> for Hash<K> {
    fn get(&self, key: &K) -> Option<u64> {
        self.0.pin().get(key).copied()
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.pin().insert(key.to_owned(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.pin().remove(key).is_some()
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| self.0.pin().get(key).copied(),
                |key: &K, value| {
                    self.0.pin().insert(key.to_owned(), value);
                },
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }

    fn get_each(&self, probes: &K::List) -> Answers {
        let map = self.0.pin();
        each(probes, |key: &K| map.get(key).copied())
    }

    fn get_chain(&self, probes: &K::List) -> Answers {
        let map = self.0.pin();
        chain(probes, |key: &K| map.get(key).copied())
    }

    fn load(&mut self, entries: &Entries<K>) {
        let map = self.0.pin();
        for index in 0..entries.len() {
            map.insert(entries.key(index).to_owned(), entries.value(index));
        }
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Hash::<K>(HashMap::new())))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "papaya",
    package: "papaya",
    note: "no order; one pin for each pass",
    abilities: Abilities { share: true, ..Abilities::UNORDERED },
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
