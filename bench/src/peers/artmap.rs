//! `artmap`: a concurrent radix tree, and the same in an arena that frees nothing.

use crate::kind::Kind;
use crate::peer::{
    Abilities, Answers, Calls, Entrant, Entries, Made, Maker, Peer, Shared, Walk, each,
};
use artmap::{ArenaArtMap, ArtMap, AsBytes};
use std::ops::Bound::{Included, Unbounded};

struct Concurrent<K: Kind + ?Sized>(ArtMap<K::Encoded, u64>);
struct Arena<K: Kind + ?Sized>(ArenaArtMap<K::Encoded, u64>);

impl<K: Kind<Encoded: AsBytes> + ?Sized> Peer<K> for Concurrent<K> {
    fn get(&self, key: &K) -> Option<u64> {
        key.with_bytes(|key| self.0.get_by_slice(key).map(|entry| *entry))
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.insert(key.encode(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        key.with_bytes(|key| self.0.remove_by_slice(key).is_some())
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let guard = self.0.pin();
        let from = from.map(Kind::encode);
        let bounds = (from.as_ref().map_or(Unbounded, Included), Unbounded);
        for entry in self.0.range_with_guard::<_, K::Encoded>(bounds, &guard).take(limit) {
            walk.add(K::encoded_weight(entry.key().as_ref()), *entry.value());
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        let guard = self.0.pin();
        for entry in self.0.iter_with_guard(&guard).rev() {
            walk.add(K::encoded_weight(entry.key().as_ref()), *entry.value());
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| key.with_bytes(|key| self.0.get_by_slice(key).map(|entry| *entry)),
                |key: &K, value| {
                    self.0.insert(key.encode(), value);
                },
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }
}

impl<K: Kind<Encoded: AsBytes> + ?Sized> Peer<K> for Arena<K> {
    fn get(&self, key: &K) -> Option<u64> {
        key.with_bytes(|key| self.0.get_slice(key))
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.insert(key.encode(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.remove(&key.encode()).is_some()
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let from = from.map(Kind::encode);
        let bounds = (from.as_ref().map_or(Unbounded, Included), Unbounded);
        for entry in self.0.range::<_, K::Encoded>(bounds).take(limit) {
            walk.add(K::encoded_weight(entry.key().as_ref()), *entry.value());
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        for entry in self.0.iter().rev() {
            walk.add(K::encoded_weight(entry.key().as_ref()), *entry.value());
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| key.with_bytes(|key| self.0.get_slice(key)),
                |key: &K, value| {
                    self.0.insert(key.encode(), value);
                },
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }

    fn untouched_bytes(&self) -> usize {
        self.0.arena().remaining()
    }

    /// Sorted keys go through the inserter, which remembers where the last one went.
    fn load_sorted(&mut self, entries: &Entries<K>) {
        let mut inserter = self.0.inserter();
        for (key, value) in entries.ascending() {
            inserter.insert(key.encode(), value);
        }
    }

    fn get_each(&self, probes: &K::List) -> Answers {
        each(probes, |key: &K| self.get(key))
    }
}

/// The largest arena there can be: it never frees, and threads overwrite for a while. Pages that
/// stay untouched take no memory and are not counted.
const ARENA_BYTES: usize = u32::MAX as usize;

fn concurrent<K: Kind<Encoded: AsBytes> + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Concurrent(ArtMap::new())))
}

fn arena<K: Kind<Encoded: AsBytes> + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Arena(ArenaArtMap::with_capacity(ARENA_BYTES))))
}

pub(super) const CONCURRENT: Entrant = Entrant {
    name: "artmap",
    package: "artmap",
    note: "`ArtMap`, with epoch guards",
    abilities: Abilities::ALL,
    bytes: Some(Maker::empty(concurrent)),
    integers: Some(Maker::empty(concurrent)),
};

pub(super) const ARENA: Entrant = Entrant {
    name: "artmap-arena",
    note: "`ArenaArtMap`: what is overwritten or removed is never freed; unused room not counted",
    bytes: Some(Maker::empty(arena)),
    integers: Some(Maker::empty(arena)),
    ..CONCURRENT
};
