//! Maps of many small partitions, which are divided and joined all the time.

use super::MemKV;
use super::tests::{Folding, MODEL_OPS};
use crate::options::{Compaction, Options};
use crate::snapshot::ViewCursor;
use crate::testing::conformance::{SortedLayer, check_layer};
use crate::testing::driven::{Driven, tiny};
use crate::testing::keys::{self, Alphabet};
use crate::testing::model::check_map;
use crate::testing::rng::{Rng, for_seeds};
use crate::testing::stress::Stress;
use std::collections::BTreeMap;

/// A map whose partitions have a few entries each.
struct Divided(MemKV<Vec<u8>, [u8; 8]>);

impl SortedLayer for Divided {
    type Cursor<'a> = ViewCursor;

    fn build(model: &keys::Model) -> Self {
        // A fold at each write; of large models only so often that it takes no minutes.
        let (entries, delta_floor_bytes) = if model.len() < 1000 { (2, 1) } else { (50, 512) };
        let options = Options { delta_floor_bytes, ..tiny(Compaction::Inline, entries) };
        let kv = MemKV::with_options(options);
        let decoys = keys::decoys(model, 40);
        for key in &decoys {
            kv.insert(key, [1; 8]);
        }
        for (key, value) in keys::shuffled(model, 6) {
            kv.insert(key, *value.first_chunk().expect("eight bytes"));
        }
        for key in &decoys {
            kv.delete(key);
        }
        if model.len() < 1000 {
            kv.core().check();
        }
        Self(kv)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).map(|value| value.to_vec())
    }

    fn cursor(&self) -> Self::Cursor<'_> {
        self.0.core().view_all().cursor()
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

#[test]
fn a_map_of_many_partitions_conforms() {
    check_layer::<Divided>();
}

#[test]
fn maps_of_many_partitions_match_a_model() {
    for (seed, entries, threads) in [(1100, 1, 0), (1200, 5, 0), (1300, 40, 2)] {
        let options = || Options { threads, ..tiny(Compaction::Manual, entries) };
        let make = || Driven::<Vec<u8>, true>::with_options(options());
        check_map(seed, &Alphabet::ALL, MODEL_OPS / 20, make);
        let make = || Driven::<(), true>::with_options(options());
        check_map(seed + 50, &Alphabet::ALL, MODEL_OPS / 20, make);
    }
}

#[test]
fn maps_that_divide_by_themselves_match_a_model() {
    let modes = [(1400, Compaction::Inline), (1500, Compaction::Background)];
    for ((seed, compaction), entries) in modes.into_iter().flat_map(|mode| [(mode, 3), (mode, 30)])
    {
        let make = || Folding(Driven::with_options(tiny(compaction, entries)));
        check_map(seed + entries as u64, &Alphabet::ALL, MODEL_OPS / 10, make);
    }
}

#[test]
fn threads_see_a_consistent_map_of_many_partitions() {
    for compaction in [Compaction::Background, Compaction::Inline, Compaction::Manual] {
        for_seeds(1, 3, |seed| {
            let threads = seed as u32 % 3;
            let options = Options { threads, ..tiny(compaction, 4 << (seed % 3 * 2)) };
            Stress::of_seed(seed).run(seed, Driven::<Vec<u8>>::with_options(options));
        });
    }
}

#[test]
fn a_map_is_divided_as_it_grows_and_joined_as_it_shrinks() {
    let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Inline, 64));
    let keys = shuffled_numbers(10_000, 1);
    for &n in &keys {
        kv.insert(n, n);
    }
    kv.compact().expect("memory");
    let grown = kv.stats();
    assert!((10_000 / 128..10_000 / 16).contains(&grown.partitions), "{}", grown.partitions);
    assert_eq!((grown.delta_entries, grown.entries), (0, 10_000));
    kv.core().check();
    for &n in &keys {
        if n % 100 != 0 {
            kv.delete(n);
        }
    }
    kv.compact().expect("memory");
    kv.core().check();
    let shrunk = kv.stats();
    assert!(shrunk.partitions <= 20, "{} partitions of 100 entries", shrunk.partitions);
    assert!(kv.keys().eq((0..100).map(|n| n * 100)));
    kv.clear();
    assert_eq!((kv.len(), kv.stats().partitions), (0, 1));
    kv.insert(5, 5);
    assert!(kv.iter().eq([(5, 5)]));
}

#[test]
fn partitions_that_are_emptied_go_though_their_neighbours_are_large() {
    let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Manual, 100));
    kv.extend_sorted((0..1_000).map(|n| (n, n))).expect("sorted");
    assert_eq!(kv.stats().partitions, 10);
    kv.insert(50, 51);
    (100..900).for_each(|n| kv.delete(n));
    kv.insert(950, 951);
    let encoded = kv.stats().entries_encoded;
    kv.compact().expect("memory");
    assert_eq!(kv.stats().partitions, 2, "of a hundred entries each");
    assert_eq!(kv.stats().entries_encoded - encoded, 200, "nothing else was written again");
    kv.core().check();
    let expected = (0..100).chain(900..1_000).map(|n| (n, n + u64::from(n == 50 || n == 950)));
    assert!(kv.iter().eq(expected));
    // What the neighbour of an empty partition has in its delta is folded too.
    kv.extend_sorted((1_000..2_000).map(|n| (n, n))).expect("sorted");
    (0..2_000).for_each(|n| kv.delete(n));
    kv.compact().expect("memory");
    let stats = kv.stats();
    assert_eq!((stats.partitions, stats.delta_entries, stats.base), (1, 0, None));
}

#[test]
fn the_first_and_the_last_entry_are_found_behind_empty_partitions() {
    let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Manual, 10));
    kv.extend_sorted((0..100).map(|n| (n, n))).expect("sorted");
    for n in 0..50 {
        assert_eq!(kv.first_key_value(), Some((n, n)));
        assert_eq!(kv.last_key_value(), Some((99 - n, 99 - n)));
        kv.delete(n);
        kv.delete(99 - n);
    }
    assert_eq!((kv.first_key_value(), kv.last_key_value()), (None, None));
}

#[test]
fn partitions_of_long_values_are_divided_by_their_bytes() {
    let options = Options { compaction: Compaction::Inline, ..Options::default() };
    let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(options);
    for n in shuffled_numbers(30_000, 2) {
        kv.put(n, vec![n as u8; 1000]);
    }
    kv.compact().expect("memory");
    let partitions = kv.stats().partitions;
    assert!((4..=16).contains(&partitions), "{partitions} partitions of 30 MB");
    kv.core().check();
}

#[test]
fn values_larger_than_a_partition_are_kept_whole() {
    const LEN: usize = 3 << 20;
    let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(tiny(Compaction::Inline, 3));
    let value = |n: u64| vec![n as u8; LEN + n as usize];
    for n in shuffled_numbers(12, 3) {
        kv.put(n, value(n));
    }
    kv.put(5, value(6));
    kv.delete(7);
    kv.compact().expect("memory for a test");
    kv.core().check();
    assert!(kv.stats().partitions > 2);
    let expected = (0..12).filter(|n| *n != 7).map(|n| (n, value(if n == 5 { 6 } else { n })));
    assert!(kv.iter().eq(expected));
    assert!(kv.memory_usage().extents < 13 * LEN, "each is there once");
}

#[test]
fn what_grows_at_its_end_is_written_once_or_twice() {
    for compaction in [Compaction::Inline, Compaction::Manual] {
        let kv: MemKV<u64, u64> = MemKV::with_options(tiny(compaction, 500));
        for n in 0..50_000 {
            kv.put(n, n);
            if compaction == Compaction::Manual && n % 100 == 0 {
                kv.core().freeze();
                kv.core().fold_step().expect("memory");
            }
        }
        kv.compact().expect("memory");
        let stats = kv.stats();
        let per_entry = stats.entries_encoded as f64 / 50_000.0;
        assert!(per_entry < 4.0, "{compaction:?}: {per_entry} times");
        assert!(stats.partitions >= 50, "{}", stats.partitions);
        assert!(kv.iter().eq((0..50_000).map(|n| (n, n))));
        kv.core().check();
    }
}

#[test]
fn sorted_input_behind_all_keys_makes_partitions_and_else_is_written_one_by_one() {
    let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Manual, 100));
    kv.extend_sorted((0..1_000).map(|n| (n, n))).expect("sorted");
    assert_eq!(kv.stats().partitions, 10);
    kv.insert(500, 0);
    kv.extend_sorted((1_000..2_000).map(|n| (n, n))).expect("sorted");
    assert_eq!((kv.stats().partitions, kv.stats().delta_entries), (20, 1));
    // A tombstone at the end stands in the way, as any entry does.
    kv.delete(1_999);
    kv.extend_sorted((1_999..2_099).map(|n| (n, n))).expect("sorted");
    assert_eq!(kv.stats().partitions, 20);
    // So do a few entries, which are not worth a partition.
    for n in (2_099..2_399).step_by(3) {
        kv.extend_sorted((n..n + 3).map(|n| (n, n))).expect("sorted");
    }
    assert_eq!(kv.stats().partitions, 20);
    kv.core().check();
    assert!(kv.keys().eq(0..2_399));
    assert_eq!(kv.get(500), Some(0));
}

#[test]
fn an_iterator_shows_one_moment_of_all_partitions() {
    let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Inline, 16));
    let mut model = BTreeMap::new();
    let mut rng = Rng::new(3);
    let mut open = Vec::new();
    for round in 0..60_u64 {
        for _ in 0..200 {
            let n = rng.below(3_000) as u64;
            if rng.one_in(3) {
                kv.delete(n);
                model.remove(&n);
            } else {
                kv.insert(n, round);
                model.insert(n, round);
            }
        }
        let mut entries = kv.iter();
        // Some have looked at a few partitions before the map goes on.
        let mut front = Vec::new();
        for _ in 0..rng.below(40) {
            front.extend(entries.next());
        }
        let back: Vec<_> =
            if rng.one_in(2) { entries.next_back().into_iter().collect() } else { vec![] };
        open.push((model.clone(), front, entries, back));
        if round == 40 {
            kv.clear();
            model.clear();
        }
        if rng.one_in(4) {
            kv.compact().expect("memory");
        }
        if open.len() > 8 {
            let (model, mut front, entries, back) = open.swap_remove(rng.below(8));
            front.extend(entries);
            front.extend(back);
            assert!(front.into_iter().eq(model), "a view has changed");
        }
    }
    for (model, mut front, entries, back) in open {
        front.extend(entries);
        front.extend(back);
        assert!(front.into_iter().eq(model), "a view has changed");
    }
    assert!(kv.stats().exchanges > 50, "{}", kv.stats().exchanges);
}

#[test]
fn a_compaction_leaves_no_delta_whatever_was_frozen_before() {
    let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Manual, 50));
    for round in 0..20_u64 {
        for n in 0..400 {
            kv.insert(n * 97 % 1_000, round);
            if n == 200 {
                kv.core().freeze();
            }
        }
        kv.compact().expect("memory");
        let stats = kv.stats();
        assert_eq!((stats.delta_entries, stats.frozen_entries, stats.overlay), (0, 0, None));
        kv.core().check();
    }
}

#[test]
fn a_map_that_is_never_divided_folds() {
    let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Inline, usize::MAX));
    kv.extend((0..5_000).map(|n| (n, n)));
    kv.compact().expect("memory");
    assert_eq!((kv.stats().partitions, kv.stats().failed_folds), (1, 0));
}

#[test]
fn sorted_batches_beside_folds_lose_nothing() {
    use crate::sync::{Arc, AtomicBool, Ordering, thread};
    for entries in [2, 8, 40] {
        let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Background, entries));
        let is_done = Arc::new(AtomicBool::new(false));
        let (folded, done) = (kv.clone(), is_done.clone());
        let compactor = thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                folded.compact().expect("memory");
            }
        });
        let (other, done) = (kv.clone(), is_done.clone());
        let writer = thread::spawn(move || {
            let mut n = 0;
            while !done.load(Ordering::Acquire) {
                let last = other.last_key_value().map_or(0, |(key, _)| key / 2 * 2);
                other.insert(last + 1, n);
                assert_eq!(other.get(last + 1), Some(n));
                other.delete(last.saturating_sub(2 * n % 50) + 1);
                n += 1;
            }
        });
        for start in (0..6_000_u64).step_by(20) {
            kv.extend_sorted((start..start + 20).step_by(2).map(|n| (n, n))).expect("sorted");
        }
        is_done.store(true, Ordering::Release);
        writer.join().expect("no write was lost");
        compactor.join().expect("no fold failed");
        assert!((0..6_000).step_by(2).all(|n| kv.get(n) == Some(n)));
        kv.core().check();
    }
}

#[test]
fn refused_memory_leaves_partitions_as_they_were() {
    use crate::arena::hooks;
    let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(tiny(Compaction::Manual, 300));
    let mut refused = 0;
    for round in 0..4_u64 {
        for n in 0..1_000 {
            kv.insert(n * 7 % 1_000, vec![round as u8; 1_100 * (n % 50 == 0) as usize]);
        }
        for allocation in (0..).step_by(3) {
            hooks::fail_allocation(Some(allocation));
            let done = kv.compact();
            hooks::fail_allocation(None);
            assert_eq!(kv.len(), 1_000);
            assert!(kv.values().all(|value| value.iter().all(|&byte| byte == round as u8)));
            if done.is_ok() {
                break;
            }
            refused += 1;
        }
        kv.core().check();
    }
    assert!(refused > 10 && kv.stats().partitions > 2);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test looks at the file as anybody would")]
fn files_depend_on_entries_and_not_on_partitions() {
    let folder = tempfile::tempdir().expect("a folder");
    let saved = |kv: &MemKV<u64, Vec<u8>>| {
        let path = folder.path().join("map");
        kv.save_to(&path).expect("a working disk");
        std::fs::read(&path).expect("the store")
    };
    let value = |n: u64| vec![n as u8; n as usize % 40];
    let options = || tiny(Compaction::Inline, 100);
    let sorted: MemKV<u64, Vec<u8>> =
        MemKV::from_sorted_with_options((0..1_234).map(|n| (n, value(n))), options())
            .expect("sorted");
    let expected = saved(&sorted);
    let grown: MemKV<u64, Vec<u8>> = MemKV::with_options(options());
    for n in shuffled_numbers(1_234, 4) {
        grown.put(n, value(n));
        grown.put(n + 5_000, value(n));
    }
    (5_000..7_000).for_each(|n| grown.delete(n));
    assert!(saved(&grown) == expected, "as it grew");
    grown.compact().expect("memory");
    assert!(saved(&grown) == expected, "after a compaction");
    let path = folder.path().join("map");
    let opened = MemKV::<u64, Vec<u8>>::open_with_options(&path, options()).expect("a store");
    assert_eq!(opened.stats().partitions, 13);
    opened.verify().expect("sound");
    opened.put(617, vec![]);
    opened.put(617, value(617));
    assert!(saved(&opened) == expected, "after a change and back");
    assert!(opened.iter().eq((0..1_234).map(|n| (n, value(n)))));
}

fn shuffled_numbers(count: u64, seed: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..count).collect();
    Rng::new(seed).shuffle(&mut numbers);
    numbers
}
