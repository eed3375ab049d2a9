//! `congee`: a concurrent radix tree for 64-bit keys.

use crate::kind::{KeyList, Kind};
use crate::peer::{
    Abilities, Answers, Calls, Entrant, Entries, Maker, Peer, Shared, Walk, chain, each,
};
use congee::U64Congee;
use congee::epoch::{Guard, pin};

struct Tree(U64Congee<usize>);

/// Entries that a range call copies out at a time.
const PAGE: usize = 128;

fn get(tree: &U64Congee<usize>, key: u64, guard: &Guard) -> Option<u64> {
    tree.get(key, guard).map(|value| value as u64)
}

fn insert(tree: &U64Congee<usize>, key: u64, value: u64, guard: &Guard) {
    let inserted = tree.insert(key, value as usize, guard);
    assert!(inserted.is_ok(), "congee is out of memory");
}

impl Peer<u64> for Tree {
    fn get(&self, key: &u64) -> Option<u64> {
        get(&self.0, *key, &pin())
    }

    fn insert(&mut self, key: &u64, value: u64) {
        insert(&self.0, *key, value, &pin());
    }

    fn remove(&mut self, key: &u64) -> bool {
        self.0.remove(*key, &pin()).is_some()
    }

    fn walk(&self, from: Option<&u64>, limit: usize, walk: &mut Walk) {
        let guard = pin();
        let (mut from, mut left) = (from.copied().unwrap_or(0), limit);
        let mut page = [([0; 8], 0); PAGE];
        while left > 0 {
            let wanted = left.min(PAGE);
            let got = self.0.range(from, u64::MAX, &mut page[..wanted], &guard);
            for (key, value) in &page[..got] {
                walk.add(u64::encoded_weight(key), *value as u64);
            }
            left -= got;
            let last = page[..got].last().map(|(key, _)| u64::from_be_bytes(*key));
            match last.and_then(|last| last.checked_add(1)) {
                Some(next) if got == wanted => from = next,
                _ => return,
            }
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<u64> + Send + '_>> {
        let handle = || -> Box<dyn Shared<u64> + Send + '_> {
            Box::new(Calls(
                |key: &u64| get(&self.0, *key, &pin()),
                |key: &u64, value| insert(&self.0, *key, value, &pin()),
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }

    fn get_each(&self, probes: &Vec<u64>) -> Answers {
        let guard = pin();
        each(probes, |key: &u64| get(&self.0, *key, &guard))
    }

    fn get_chain(&self, probes: &Vec<u64>) -> Answers {
        let guard = pin();
        chain(probes, |key: &u64| get(&self.0, *key, &guard))
    }

    fn load(&mut self, entries: &Entries<u64>) {
        let guard = pin();
        for index in 0..entries.keys.len() {
            insert(&self.0, *entries.keys.key(index), entries.value(index), &guard);
        }
    }
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "congee",
    package: "congee",
    note: "64-bit keys only; one epoch guard for each pass; cannot be walked backwards",
    abilities: Abilities { walk_back: false, ..Abilities::ALL },
    bytes: None,
    integers: Some(Maker::empty(|_| Ok(Box::new(Tree(U64Congee::new()))))),
};
