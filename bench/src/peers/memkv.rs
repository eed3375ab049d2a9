//! MemKV itself: all in the delta, all folded, mixed, and as its own compactor leaves it.

use crate::kind::{KeyList, Kind};
use crate::peer::{
    Abilities, Answers, Calls, Entrant, Entries, Fact, Made, Maker, Peer, Shared, Walk,
};
use crate::random::Random;
use memkv::{Compaction, MemKV, Options};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where the entries are to be once a map is loaded.
#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Delta,
    Folded,
    /// This many in a hundred in the delta.
    Mixed(usize),
    /// Wherever the compactor in the background has put them.
    AsItComes,
}

/// Two types of maps, one for each kind of key, with one way to call them.
trait Ours: Kind {
    type Map: Clone + Send + Sync;

    fn new(options: Options) -> Self::Map;
    fn from_sorted(entries: &Entries<Self>, options: Options) -> Result<Self::Map, String>;
    fn open(path: &Path) -> Result<Self::Map, String>;
    fn get(map: &Self::Map, key: &Self) -> Option<u64>;
    fn multi_get(map: &Self::Map, keys: &[&Self]) -> Vec<Option<u64>>;
    fn put(map: &Self::Map, key: &Self, value: u64);
    fn remove(map: &Self::Map, key: &Self) -> bool;
    fn walk(map: &Self::Map, from: Option<&Self>, limit: usize, walk: &mut Walk);
    fn walk_back(map: &Self::Map, walk: &mut Walk);
    fn compact(map: &Self::Map);
    fn stats(map: &Self::Map) -> memkv::Stats;
    fn usage(map: &Self::Map) -> memkv::MemoryUsage;
    fn save(map: &Self::Map, path: &Path) -> Result<(), String>;
}

macro_rules! ours {
    ($kind:ty, $owned:ty, $key:ident => $argument:expr) => {
        impl Ours for $kind {
            type Map = MemKV<$owned, u64>;

            fn new(options: Options) -> Self::Map {
                MemKV::with_options(options)
            }

            fn from_sorted(entries: &Entries<Self>, options: Options) -> Result<Self::Map, String> {
                let entries = entries.ascending().map(|($key, value)| ($argument, value));
                MemKV::from_sorted_with_options(entries, options).map_err(|error| error.to_string())
            }

            fn open(path: &Path) -> Result<Self::Map, String> {
                MemKV::open(path).map_err(|error| error.to_string())
            }

            fn get(map: &Self::Map, $key: &Self) -> Option<u64> {
                map.get($argument)
            }

            fn multi_get(map: &Self::Map, keys: &[&Self]) -> Vec<Option<u64>> {
                map.multi_get(keys)
            }

            fn put(map: &Self::Map, $key: &Self, value: u64) {
                map.put($argument, value);
            }

            fn remove(map: &Self::Map, $key: &Self) -> bool {
                map.remove($argument).is_some()
            }

            fn walk(map: &Self::Map, from: Option<&Self>, limit: usize, walk: &mut Walk) {
                let entries = match from {
                    Some($key) => map.range($argument..),
                    None => map.iter(),
                };
                let mut entries = entries.lending();
                for _ in 0..limit {
                    let Some((key, value)) = entries.next_ref() else { break };
                    walk.add(key.weight(), *value);
                }
            }

            fn walk_back(map: &Self::Map, walk: &mut Walk) {
                let mut entries = map.iter().lending();
                while let Some((key, value)) = entries.next_back_ref() {
                    walk.add(key.weight(), *value);
                }
            }

            fn compact(map: &Self::Map) {
                map.compact().expect("nothing refuses memory here");
            }

            fn stats(map: &Self::Map) -> memkv::Stats {
                map.stats()
            }

            fn usage(map: &Self::Map) -> memkv::MemoryUsage {
                map.memory_usage()
            }

            fn save(map: &Self::Map, path: &Path) -> Result<(), String> {
                map.save_to(path).map_err(|error| error.to_string())
            }
        }
    };
}
ours!([u8], Vec<u8>, key => key);
ours!(u64, u64, key => *key);

struct Laid<K: Ours + ?Sized> {
    map: K::Map,
    layout: Layout,
    /// Entries that were put since the map was made.
    written: u64,
}

/// How often a map that folds in the background is asked whether it still does.
const POLL: Duration = Duration::from_millis(2);
/// How often the delta is looked at while entries are overwritten.
const LOOKS: usize = 50;
/// Without a change for this long, it is at rest.
const AT_REST: Duration = Duration::from_millis(40);

impl<K: Ours + ?Sized> Laid<K> {
    fn put_all(&mut self, entries: &Entries<K>, positions: std::ops::Range<usize>) {
        self.written += positions.len() as u64;
        for index in positions {
            K::put(&self.map, entries.key(index), entries.value(index));
        }
    }
}

impl<K: Ours + ?Sized> Peer<K> for Laid<K> {
    fn get(&self, key: &K) -> Option<u64> {
        K::get(&self.map, key)
    }

    fn get_batches(&self, probes: &K::List, batch: usize) -> Option<Answers> {
        let mut answers = Answers::default();
        let mut keys = Vec::with_capacity(batch);
        for start in (0..probes.len()).step_by(batch) {
            keys.clear();
            keys.extend((start..probes.len().min(start + batch)).map(|at| probes.key(at)));
            for (at, answer) in K::multi_get(&self.map, &keys).into_iter().enumerate() {
                answers.add(start + at, answer);
            }
        }
        Some(answers)
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.written += 1;
        K::put(&self.map, key, value);
    }

    fn remove(&mut self, key: &K) -> bool {
        K::remove(&self.map, key)
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        K::walk(&self.map, from, limit, walk);
    }

    fn walk_back(&self, walk: &mut Walk) {
        K::walk_back(&self.map, walk);
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            let (reader, writer) = (self.map.clone(), self.map.clone());
            Box::new(Calls(
                move |key: &K| K::get(&reader, key),
                move |key: &K, value| K::put(&writer, key, value),
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }

    fn load(&mut self, entries: &Entries<K>) {
        let folded = match self.layout {
            Layout::Mixed(percent) => entries.len() - entries.len() * percent / 100,
            Layout::Folded => entries.len(),
            Layout::Delta | Layout::AsItComes => 0,
        };
        self.put_all(entries, 0..folded);
        if matches!(self.layout, Layout::Mixed(_)) {
            K::compact(&self.map);
        }
        self.put_all(entries, folded..entries.len());
    }

    fn settle(&mut self) {
        match self.layout {
            Layout::Delta | Layout::Mixed(_) => {}
            Layout::Folded => K::compact(&self.map),
            Layout::AsItComes => {
                let state = || (K::stats(&self.map), K::usage(&self.map));
                let (mut seen, mut since) = (state(), Instant::now());
                while since.elapsed() < AT_REST || seen.0.frozen_entries > 0 {
                    std::thread::sleep(POLL);
                    let now = state();
                    if now != seen {
                        (seen, since) = (now, Instant::now());
                    }
                }
            }
        }
    }

    fn facts(&self) -> Vec<Fact> {
        let (stats, usage) = (K::stats(&self.map), K::usage(&self.map));
        let entries = stats.entries.max(1) as f64;
        let mut facts = vec![
            ("part_delta", (usage.delta + usage.frozen) as f64 / entries),
            ("part_overlay", usage.overlay as f64 / entries),
            ("part_base_keys", stats.base.map_or(0.0, |base| base.key_bytes as f64) / entries),
            ("part_base_values", stats.base.map_or(0.0, |base| base.value_bytes as f64) / entries),
            ("part_rest", (usage.filter + usage.overhead + usage.extents) as f64 / entries),
            ("delta_share", stats.delta_entries as f64 * 100.0 / entries),
        ];
        if self.written > 0 && self.layout != Layout::Delta {
            facts.push(("amplification", stats.entries_encoded as f64 / self.written as f64));
        }
        facts
    }

    fn overwrite_steadily(&mut self, entries: &Entries<K>) -> Vec<Fact> {
        if self.layout != Layout::AsItComes || entries.len() == 0 {
            return Vec::new();
        }
        let mut random = Random::new(0x57ea);
        let before = K::stats(&self.map).entries_encoded;
        let writes = entries.len().div_ceil(LOOKS) * LOOKS;
        let mut shares = Vec::new();
        for _ in 0..LOOKS {
            for _ in 0..writes / LOOKS {
                let index = random.below(entries.len());
                K::put(&self.map, entries.key(index), entries.value(index));
            }
            let stats = K::stats(&self.map);
            shares.push(stats.delta_entries as f64 * 100.0 / stats.entries.max(1) as f64);
        }
        shares.sort_unstable_by(f64::total_cmp);
        let encoded = K::stats(&self.map).entries_encoded - before;
        self.written += writes as u64;
        vec![
            ("steady_amplification", encoded as f64 / writes as f64),
            ("steady_delta_low", shares[0]),
            ("steady_delta", shares[LOOKS / 2]),
            ("steady_delta_high", shares[LOOKS - 1]),
        ]
    }

    fn save(&self, path: &Path) -> Option<Result<(), String>> {
        Some(K::save(&self.map, path))
    }
}

fn manual() -> Options {
    Options { compaction: Compaction::Manual, ..Options::default() }
}

fn make<K: Ours + ?Sized>(layout: Layout) -> Made<K> {
    let options = if layout == Layout::AsItComes { Options::default() } else { manual() };
    Ok(Box::new(Laid::<K> { map: K::new(options), layout, written: 0 }))
}

fn bulk<K: Ours + ?Sized>(entries: &Entries<K>) -> Made<K> {
    let map = K::from_sorted(entries, manual())?;
    Ok(Box::new(Laid::<K> { map, layout: Layout::Folded, written: 0 }))
}

fn open<K: Ours + ?Sized>(path: &Path) -> Made<K> {
    Ok(Box::new(Laid::<K> { map: K::open(path)?, layout: Layout::AsItComes, written: 0 }))
}

macro_rules! entrant {
    ($constant:ident, $name:literal, $layout:expr, $note:literal) => {
        pub(super) const $constant: Entrant = Entrant {
            name: $name,
            package: "memkv",
            note: $note,
            abilities: Abilities::ALL,
            bytes: Some(Maker::empty(|_| make($layout))),
            integers: Some(Maker::empty(|_| make($layout))),
        };
    };
}
entrant!(DELTA, "memkv-delta", Layout::Delta, "all in the radix tree, nothing folded");
entrant!(MIXED_1, "memkv-1%", Layout::Mixed(1), "1 % of the entries in the delta");
entrant!(MIXED_2, "memkv-2%", Layout::Mixed(2), "2 % of the entries in the delta");
entrant!(MIXED_5, "memkv-5%", Layout::Mixed(5), "5 % of the entries in the delta");
entrant!(MIXED_10, "memkv-10%", Layout::Mixed(10), "10 % of the entries in the delta");
entrant!(AS_IT_COMES, "memkv", Layout::AsItComes, "default options: folds in the background");

const fn complete<K: Ours + ?Sized>() -> Maker<K> {
    Maker { empty: Some(|_| make(Layout::Folded)), bulk: Some(bulk), open: Some(open) }
}

pub(super) const FOLDED: Entrant = Entrant {
    name: "memkv-folded",
    package: "memkv",
    note: "nothing in a delta, after `compact()`",
    abilities: Abilities::ALL,
    bytes: Some(complete()),
    integers: Some(complete()),
};
