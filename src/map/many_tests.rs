//! Gets of many keys at once answer as gets of one do.

use super::MemKV;
use crate::error::Error;
use crate::key::MAX_KEY_LEN;
use crate::options::{Compaction, Options, Residence};
use crate::store::Access;
use crate::sync::{Arc, AtomicBool, Ordering, thread};
use crate::testing::driven::{Modelled, tiny};
use crate::testing::keys::{self, big_endian};
use crate::testing::memory_storage::MemoryStorage;
use crate::testing::rng::{Rng, for_seeds};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;

pub(super) type Model<V> = BTreeMap<Vec<u8>, V>;

/// Values of each kind of storage.
pub(super) trait Made: Modelled + Clone + PartialEq + std::fmt::Debug {
    fn made(rng: &mut Rng) -> Self;
}

impl Made for [u8; 8] {
    fn made(rng: &mut Rng) -> Self {
        rng.next_u64().to_le_bytes()
    }
}

impl Made for () {
    fn made(_: &mut Rng) -> Self {}
}

impl Made for Vec<u8> {
    fn made(rng: &mut Rng) -> Self {
        let len = *rng.pick(&[0, 1, 7, 100, 1_024, 1_025, 3_000]);
        rng.bytes(len)
    }
}

/// A map whose entries are in all layers, with tombstones in each but the base.
pub(super) fn layered<V: Made>(
    options: Options,
    keys: &[Vec<u8>],
    rng: &mut Rng,
) -> (MemKV<Vec<u8>, V>, Model<V>) {
    let mut model = Model::new();
    for key in keys {
        if !rng.one_in(4) {
            model.insert(key.clone(), V::made(rng));
        }
    }
    let kv = MemKV::from_sorted_with_options(model.clone(), options).expect("sorted");
    for layer in 0..3 {
        for key in keys {
            match rng.below(60) {
                0..3 => {
                    let value = V::made(rng);
                    model.insert(key.clone(), value.clone());
                    kv.put(key, value);
                }
                3..5 => {
                    model.remove(key);
                    kv.delete(key);
                }
                _ => {}
            }
        }
        match layer {
            0 => {
                kv.core().freeze();
                kv.core().fold_step().expect("a sound map");
            }
            1 => kv.core().freeze(),
            _ => {}
        }
    }
    kv.core().check();
    (kv, model)
}

/// Asks for keys of a map, some more than once, and for others, in batches of many sizes.
fn check_batches<V: Made>(kv: &MemKV<Vec<u8>, V>, model: &Model<V>, asked: &[Vec<u8>]) {
    let mut asked: Vec<&[u8]> = asked.iter().map(Vec::as_slice).collect();
    asked.extend_from_within(..asked.len() / 4);
    Rng::new(asked.len() as u64).shuffle(&mut asked);
    let right: Vec<Option<V>> = asked.iter().map(|key| model.get(*key).cloned()).collect();
    for size in [1, 2, 3, 7, 15, 16, 17, 33, asked.len().max(1)] {
        for (asked, right) in asked.chunks(size).zip(right.chunks(size)) {
            assert_eq!(kv.multi_get(asked), right, "batches of {size}");
        }
    }
    let entry = |key: &[u8]| {
        let behind = model.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).next();
        behind.map(|(key, value)| (key.clone(), value.clone()))
    };
    for size in [1, 5, 16, 40] {
        for asked in asked.chunks(size) {
            let right: Vec<_> = asked.iter().map(|key| entry(key)).collect();
            assert_eq!(kv.multi_lower_bound(asked), right, "batches of {size}");
        }
    }
    asked.sort_unstable();
    let right: Vec<Option<V>> = asked.iter().map(|key| model.get(*key).cloned()).collect();
    assert_eq!(kv.try_multi_get(&asked).expect("a sound map"), right, "in ascending order");
}

/// Keys, and others near them.
fn with_decoys(keys: &[Vec<u8>]) -> Vec<Vec<u8>> {
    [keys, &keys::decoys(&keys::model_of(keys), 200)].concat()
}

pub(super) fn manual() -> Options {
    Options { compaction: Compaction::Manual, ..Options::default() }
}

pub(super) fn words(count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(7);
    let mut keys = BTreeSet::new();
    while keys.len() < count {
        let word = keys::Alphabet::Words.key(&mut rng);
        keys.insert([word, rng.below(count).to_string().into_bytes()].concat());
    }
    keys.into_iter().collect()
}

pub(super) fn integers(count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(8);
    let numbers: BTreeSet<u64> = (0..count).map(|_| rng.next_u64()).collect();
    numbers.into_iter().map(big_endian).collect()
}

pub(super) fn readings(count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(9);
    (0..count as u64).map(|n| big_endian(1 << 40 | n << 10 | rng.below(20) as u64)).collect()
}

fn check_layers<V: Made>() {
    for keys in [words(6_000), integers(6_000), readings(6_000), words(100)] {
        let overlaid = Options { overlay_percent: 100.0, ..manual() };
        for options in [overlaid.clone(), Options { partition_entries: 40, ..overlaid }] {
            for_seeds(1, 2, |seed| {
                let mut rng = Rng::new(seed);
                let (kv, model) = layered::<V>(options.clone(), &keys, &mut rng);
                let stats = kv.stats();
                let overlay = stats.overlay.map_or(0, |overlay| overlay.tombstones);
                let base = stats.base.map_or(0, |base| base.entries);
                if keys.len() > 1_000 {
                    let least = [stats.delta_entries, stats.frozen_entries, overlay, base];
                    assert!(least.iter().all(|count| *count > 20), "{least:?}");
                }
                check_batches(&kv, &model, &with_decoys(&keys));
            });
        }
    }
}

#[test]
fn batches_answer_as_gets_whatever_layer_has_the_key() {
    check_layers::<[u8; 8]>();
    check_layers::<()>();
    check_layers::<Vec<u8>>();
}

#[test]
fn batches_of_hostile_keys_answer_as_gets() {
    for set in keys::hostile_sets() {
        let mut rng = Rng::new(set.keys.len() as u64);
        let (kv, model) = layered::<[u8; 8]>(tiny(Compaction::Manual, 30), &set.keys, &mut rng);
        check_batches(&kv, &model, &with_decoys(&set.keys));
        kv.compact().expect("memory for a test");
        check_batches(&kv, &model, &with_decoys(&set.keys));
    }
}

#[test]
fn batches_from_an_empty_map_are_all_absent() {
    let kv: MemKV<u64, u64> = MemKV::new();
    assert_eq!(kv.multi_get::<u64>(&[]), []);
    assert_eq!(kv.multi_get(&[1]), [None]);
    assert_eq!(kv.multi_get(&[1; 40]), [None; 40]);
    kv.insert(1, 2);
    kv.remove(1);
    assert_eq!(kv.multi_get(&[1, 0, 1]), [None; 3]);
}

#[test]
fn keys_that_are_too_long_are_absent_among_others() {
    let kv: MemKV<Vec<u8>, u64> = (0..1_000u64).map(|n| (big_endian(n), n)).collect();
    let (longest, longer) = (vec![0; MAX_KEY_LEN], vec![0; MAX_KEY_LEN + 1]);
    kv.put(&longest, 5);
    kv.compact().expect("memory for a test");
    let asked = [&big_endian(7), &longer, &longest, &longer, &big_endian(1_000)];
    assert_eq!(kv.multi_get(&asked), [Some(7), None, Some(5), None, None]);
    // They have a place among the others all the same.
    let above = vec![0xff; MAX_KEY_LEN + 1];
    for key in [&longer, &longest, &above, &big_endian(7), &vec![]] {
        assert_eq!(kv.multi_lower_bound(&[key, key]), [(); 2].map(|()| kv.range(key..).next()));
    }
    assert_eq!(kv.multi_lower_bound(&[&above]), [None]);
}

#[test]
fn forms_of_a_key_may_be_mixed_types_that_lend_or_encode() {
    let kv: MemKV<(String, u32), u32> = MemKV::new();
    for n in 0..2_000 {
        kv.put((format!("{}", n % 70), n), n);
    }
    kv.compact().expect("memory for a test");
    let asked: Vec<(String, u32)> = (0..2_100).map(|n| (format!("{}", n % 70), n)).collect();
    let right: Vec<Option<u32>> = (0..2_100).map(|n| (n < 2_000).then_some(n)).collect();
    assert_eq!(kv.multi_get(&asked), right);
    let lent: Vec<(&str, u32)> = asked.iter().map(|(text, n)| (text.as_str(), *n)).collect();
    assert_eq!(kv.multi_get(&lent), right);
}

#[test]
fn batches_beside_a_writer_that_divides_partitions_lose_no_key() {
    for_seeds(1, 3, |seed| {
        let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Inline, 8));
        for n in 0..400 {
            kv.put(n * 100, n);
        }
        let is_done = Arc::new(AtomicBool::new(false));
        let (other, done) = (kv.clone(), is_done.clone());
        let writer = thread::spawn(move || {
            let mut rng = Rng::new(seed);
            for _ in 0..20_000 {
                // Never a multiple of 100.
                let key = rng.below(400) as u64 * 100 + 1 + rng.below(98) as u64;
                if rng.one_in(3) {
                    other.delete(key);
                } else {
                    other.put(key, 0);
                }
            }
            done.store(true, Ordering::Release);
        });
        let mut rng = Rng::new(seed + 100);
        while !is_done.load(Ordering::Acquire) {
            let numbers: Vec<u64> = (0..20).map(|_| rng.below(500) as u64).collect();
            let asked: Vec<u64> = numbers.iter().map(|n| n * 100).collect();
            let right: Vec<Option<u64>> =
                numbers.iter().map(|n| (*n < 400).then_some(*n)).collect();
            assert_eq!(kv.multi_get(&asked), right);
        }
        writer.join().expect("no write fails");
        kv.core().check();
    });
}

#[test]
fn damage_is_an_error_for_the_batches_that_meet_it() {
    let (storage, path) = (MemoryStorage::default(), Path::new("map"));
    let entries = (0..20_000u32).map(|n| (format!("key {n:07}"), vec![n as u8; 30]));
    let kv: MemKV<String, Vec<u8>> = MemKV::from_sorted(entries.clone()).expect("sorted");
    kv.save_in(&storage, path).expect("a store in memory");
    let middle = storage.read(path).expect("it was saved").len() / 2;
    storage.change(path, |bytes| bytes[middle] ^= 1);
    let options = Options { residence: Residence::Mapped, ..manual() };
    let opened = MemKV::open_in(Box::new(storage), path, options, Access::ReadOnly);
    let kv: MemKV<String, Vec<u8>> = opened.expect("damage is found where it is read");
    let all: Vec<(String, Vec<u8>)> = entries.collect();
    let mut refused = 0;
    for batch in all.chunks(20) {
        let keys: Vec<&str> = batch.iter().map(|(key, _)| key.as_str()).collect();
        let meets_damage = keys.iter().any(|key| kv.try_get(*key).is_err());
        match kv.try_multi_get(&keys) {
            Ok(found) => {
                assert!(!meets_damage);
                assert!(found.iter().flatten().eq(batch.iter().map(|(_, value)| value)));
            }
            Err(error) => {
                assert!(meets_damage && matches!(error, Error::Damaged { .. }), "{error}");
                refused += 1;
            }
        }
    }
    assert!((1..100).contains(&refused), "{refused} batches of 1,000");
}
