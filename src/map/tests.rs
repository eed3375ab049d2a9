//! The map against the suite, the model and threads.

use super::MemKV;
use crate::error::Error;
use crate::options::{Compaction, Options};
use crate::range::ByteRange;
use crate::snapshot::ViewCursor;
use crate::testing::conformance::{Pair, SortedLayer, check_layer};
use crate::testing::driven::{Driven, eager as options};
use crate::testing::keys::{self, Alphabet};
use crate::testing::model::{Entries, MapUnderTest, check_insertion_orders, check_map};
use crate::testing::rng::for_seeds;
use crate::testing::stress::Stress;
use std::time::Duration;

/// Operations of the model test for each kind of values: over two million in all. Fewer where each
/// costs ten times as much, or where the tests run a dozen times.
pub(super) const MODEL_OPS: usize = if cfg!(miri) {
    600
} else if cfg!(memkv_poison) {
    16_000
} else if cfg!(memkv_planted) {
    100_000
} else {
    800_000
};

impl SortedLayer for MemKV<Vec<u8>, [u8; 8]> {
    type Cursor<'a> = ViewCursor;

    fn build(model: &keys::Model) -> Self {
        let kv = Self::with_options(options(Compaction::Inline));
        let decoys = keys::decoys(model, 100);
        for key in &decoys {
            kv.insert(key, [1; 8]);
        }
        for (key, value) in keys::shuffled(model, 6) {
            kv.insert(key, *value.first_chunk().expect("eight bytes"));
        }
        for key in &decoys {
            kv.delete(key);
        }
        kv
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        MemKV::get(self, key).map(|value| value.to_vec())
    }

    fn cursor(&self) -> Self::Cursor<'_> {
        self.core().view_all().cursor()
    }

    fn len(&self) -> u64 {
        MemKV::len(self) as u64
    }
}

#[test]
fn the_map_conforms_while_it_folds() {
    check_layer::<MemKV<Vec<u8>, [u8; 8]>>();
}

#[test]
fn byte_values_match_a_model_and_every_layer_answers() {
    let make = || Driven::<Vec<u8>>::new(Compaction::Manual);
    let report = check_map(100, &Alphabet::ALL, MODEL_OPS, make);
    assert!(report.hits.is_some(), "the shares of the layers were checked");
}

#[test]
fn fixed_values_match_a_model_and_every_layer_answers() {
    let make = || Driven::<[u8; 8]>::new(Compaction::Manual);
    let report = check_map(200, &Alphabet::ALL, MODEL_OPS, make);
    assert!(report.hits.is_some(), "the shares of the layers were checked");
}

#[test]
fn a_set_matches_a_model_and_every_layer_answers() {
    let report =
        check_map(300, &Alphabet::ALL, MODEL_OPS, || Driven::<()>::new(Compaction::Manual));
    assert!(report.hits.is_some(), "the shares of the layers were checked");
}

#[test]
fn maps_that_are_saved_and_opened_again_match_a_model() {
    let make = || Driven::<Vec<u8>, true>::new(Compaction::Manual);
    check_map(600, &Alphabet::ALL, MODEL_OPS / 16, make);
    let make = || Driven::<[u8; 8], true>::new(Compaction::Inline);
    check_map(700, &Alphabet::ALL, MODEL_OPS / 16, make);
}

/// A map that folds by itself too: which layer answers is then not up to the driver.
pub(super) struct Folding(pub(super) Driven<Vec<u8>>);

impl MapUnderTest for Folding {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        MapUnderTest::get(&self.0, key)
    }

    fn get_many(&self, keys: &[&[u8]]) -> Option<Vec<Option<Vec<u8>>>> {
        self.0.get_many(keys)
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.0.contains(key)
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        self.0.insert(key, value)
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        self.0.put(key, value);
    }

    fn remove(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.remove(key)
    }

    fn delete(&self, key: &[u8]) {
        self.0.delete(key);
    }

    fn len(&self) -> u64 {
        MapUnderTest::len(&self.0)
    }

    fn first(&self) -> Option<Pair> {
        self.0.first()
    }

    fn last(&self) -> Option<Pair> {
        self.0.last()
    }

    fn range(&self, range: &ByteRange) -> Entries {
        self.0.range(range)
    }

    fn prefix(&self, prefix: &[u8]) -> Entries {
        self.0.prefix(prefix)
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn compact(&self) {
        self.0.compact();
    }

    fn check(&self) {
        self.0.check();
    }
}

#[test]
fn maps_that_fold_inline_and_in_the_background_match_a_model() {
    for (seed, compaction) in [(400, Compaction::Inline), (500, Compaction::Background)] {
        check_map(seed, &Alphabet::ALL, MODEL_OPS / 4, || Folding(Driven::new(compaction)));
    }
}

#[test]
fn every_insertion_order_of_short_keys_is_right() {
    check_insertion_orders(|| Driven::<Vec<u8>>::new(Compaction::Manual));
}

#[test]
fn threads_see_a_consistent_map_in_every_mode() {
    for compaction in [Compaction::Background, Compaction::Inline, Compaction::Manual] {
        for_seeds(1, 6, |seed| {
            Stress::of_seed(seed).run(seed, Driven::<Vec<u8>>::new(compaction));
        });
    }
}

#[test]
fn failed_folds_lose_nothing_and_are_counted() {
    use crate::arena::hooks;
    let kv: MemKV<u64, u64> = MemKV::with_options(options(Compaction::Manual));
    for n in 0..5_000 {
        kv.insert(n, n);
    }
    let mut failures = 0;
    for refused in 0.. {
        hooks::fail_allocation(Some(refused));
        let done = kv.compact();
        hooks::fail_allocation(None);
        assert_eq!(kv.len(), 5_000);
        assert!((0..5_000).all(|n| kv.get(n) == Some(n)));
        if done.is_ok() {
            break;
        }
        assert_eq!(done, Err(Error::OutOfMemory));
        failures += 1;
    }
    assert!(failures > 0);
    assert_eq!(kv.stats().failed_folds, failures);
    assert_eq!(kv.stats().frozen_entries, 0);
    kv.core().check();
}

#[test]
fn a_delta_out_of_epochs_is_frozen_and_the_write_goes_through() {
    let kv: MemKV<u64, u64> = MemKV::with_options(options(Compaction::Manual));
    kv.insert(0, 0);
    let mut open = Vec::new();
    for round in 1..150_000u64 {
        open.push(kv.iter());
        kv.insert(round % 10, round);
        if round % 7 == 0 {
            open.clear();
        }
    }
    assert_eq!(kv.len(), 10);
    assert!(kv.stats().folds >= 1, "the second frozen delta made room for a third");
    kv.core().check();
}

#[test]
fn overwrites_beside_an_open_iterator_keep_memory_bounded() {
    for compaction in [Compaction::Background, Compaction::Inline] {
        let options = || Options { compaction, ..Options::default() };
        let sorted = (0..100_000).map(|n| (n, n));
        let kv = MemKV::<u64, u64>::from_sorted_with_options(sorted, options()).expect("sorted");
        kv.insert(7, 0);
        let open = kv.iter();
        for n in 0..200_000 {
            kv.insert(7, n);
        }
        let stats = kv.stats();
        assert!(stats.delta_limbo_bytes < 1 << 20, "{compaction:?}: {stats:?}");
        assert_eq!(open.count(), 100_000);

        let large: MemKV<u64, Vec<u8>> = MemKV::with_options(options());
        large.insert(7, vec![1; 100_000]);
        let mut open = large.iter();
        for _ in 0..100 {
            large.insert(7, vec![2; 100_000]);
        }
        let usage = large.memory_usage();
        assert!(usage.total() < 1 << 20, "{compaction:?}: {usage:?}");
        assert_eq!(open.next(), Some((7, vec![1; 100_000])));
    }
}

#[test]
fn compacting_an_emptied_map_gives_its_memory_back() {
    let kv: MemKV<u64, u64> = MemKV::with_options(options(Compaction::Manual));
    for n in 0..10_000 {
        kv.insert(n, n);
    }
    for n in 0..10_000 {
        kv.delete(n);
    }
    kv.compact().expect("a sound map");
    // Test builds count the answers of each layer.
    let counters = size_of::<[u64; 4]>();
    assert!(kv.memory_usage().total() <= 256 + counters, "{:?}", kv.memory_usage());
    kv.insert(1, 1);
    assert_eq!(kv.len(), 1);
}

/// Gives the worker time to fold everything; whether it did.
fn is_folded_soon(kv: &MemKV<u64, u64>) -> bool {
    let is_folded = || {
        let stats = kv.stats();
        (stats.delta_entries, stats.frozen_entries) == (0, 0)
    };
    (0..1_000).any(|_| {
        crate::sync::thread::sleep(Duration::from_millis(10));
        is_folded()
    })
}

/// A map that folds by age alone.
fn aging() -> MemKV<u64, u64> {
    let delta_max_age = Some(Duration::from_millis(100));
    MemKV::with_options(Options { delta_max_age, ..Options::default() })
}

#[test]
fn an_old_delta_is_folded_with_what_was_left_frozen_before_it() {
    let kv = aging();
    kv.insert(1, 1);
    kv.core().freeze();
    for n in 0..2_000 {
        kv.insert(n, n);
    }
    assert!(is_folded_soon(&kv), "{:?}", kv.stats());
    assert_eq!(kv.stats().entries, 2_000);
}

#[test]
fn a_delta_that_was_too_small_when_it_was_old_is_folded_when_it_is_old_again() {
    let kv = aging();
    for n in 0..1_000 {
        kv.insert(n, n);
    }
    for n in 1..1_000 {
        kv.delete(n);
    }
    crate::sync::thread::sleep(Duration::from_millis(300));
    for n in 0..2_000 {
        kv.insert(n, n);
    }
    assert!(is_folded_soon(&kv), "{:?}", kv.stats());
}
