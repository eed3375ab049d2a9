//! What the criterion benches share: settings, and MemKV and its peers filled alike.
#![allow(dead_code, reason = "each of them uses a part")]

use crate::common::keys::{KeyList, Keys};
use crate::common::peers::{Ours, PeerMut, Peers};
use crate::common::probe::load;
use crate::common::random::{Random, value_of};
use criterion::Criterion;
use memkv::Compaction;
use std::time::Duration;

/// Entries of each map: enough to leave the cache, few enough to be loaded again and again.
pub(crate) const ENTRIES: usize = 100_000;

/// Seed of keys, values and orders.
pub(crate) const SEED: u64 = 1;

/// Short runs: these benches are for watching a number while changing the code that makes it.
pub(crate) fn short_runs() -> Criterion {
    const WARM_UP: Duration = Duration::from_millis(300);
    const MEASUREMENT: Duration = Duration::from_millis(1_200);
    const SAMPLES: usize = 20;
    Criterion::default()
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT)
        .sample_size(SAMPLES)
        .without_plots()
}

/// The maps, each with all keys. The mutable ones were loaded in the random order of the keys.
pub(crate) struct Maps<L: Peers> {
    pub(crate) folded: L::MemKV,
    pub(crate) delta: L::MemKV,
    pub(crate) tree: L::Tree,
    pub(crate) hash: L::Hash,
    pub(crate) fst: L::Fst,
}

impl<L: Peers> Maps<L> {
    pub(crate) fn filled(keys: &L) -> Self {
        let folded = loaded(L::MemKV::with_compaction(Compaction::Manual), keys);
        folded.fold_all().expect("a fold succeeds");
        let sorted = keys.sorted_positions();
        Self {
            folded,
            delta: loaded(L::MemKV::with_compaction(Compaction::Manual), keys),
            tree: loaded(L::Tree::default(), keys),
            hash: loaded(L::Hash::default(), keys),
            fst: keys.build_fst(&sorted, value_at).expect("the keys ascend"),
        }
    }
}

/// The value of the key at a position.
pub(crate) fn value_at(position: usize) -> u64 {
    value_of(SEED, position)
}

/// `map` with all keys, put in one after the other.
pub(crate) fn loaded<L: KeyList, P: PeerMut<L::Key>>(mut map: P, keys: &L) -> P {
    load(&mut map, keys, SEED);
    map
}

/// The keys in an order of their own each.
pub(crate) fn in_both_orders<L: Keys>(keys: &L) -> [(&'static str, L); 2] {
    let random = keys.hits(keys.len(), &mut Random::new(SEED));
    [("random", random), ("sorted", keys.gather(&keys.sorted_positions()))]
}
