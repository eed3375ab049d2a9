//! Maps that begin as copies of others.

use super::MemKV;
use super::tests::MODEL_OPS;
use crate::options::{Compaction, Options};
use crate::sync::{Arc, AtomicBool, Ordering, thread};
use crate::testing::driven::{eager, tiny};
use crate::testing::rng::{Rng, for_seeds};
use std::collections::BTreeMap;

type Model = BTreeMap<u64, Vec<u8>>;

#[test]
fn forks_of_forks_each_match_a_model_of_their_own() {
    for_seeds(1, 18, |seed| {
        let compaction =
            [Compaction::Manual, Compaction::Inline, Compaction::Background][seed as usize % 3];
        let mut rng = Rng::new(seed);
        let options = match seed % 2 {
            0 => tiny(compaction, 1 + rng.below(40)),
            _ => eager(compaction),
        };
        let mut maps: Vec<(MemKV<u64, Vec<u8>>, Model)> =
            vec![(MemKV::with_options(options), Model::new())];
        let mut views = Vec::new();
        for _ in 0..MODEL_OPS / 100 {
            let at = rng.below(maps.len());
            let (kv, model) = &mut maps[at];
            let n = rng.below(1_500) as u64;
            match rng.below(1_000) {
                0..600 => {
                    let value = vec![at as u8; rng.log_below(1_200)];
                    assert_eq!(kv.insert(n, value.as_slice()), model.insert(n, value));
                }
                600..900 => assert_eq!(kv.remove(n), model.remove(&n)),
                900..950 => assert_eq!(kv.get(n), model.get(&n).cloned()),
                950..960 => kv.core().freeze(),
                960..970 => kv.core().fold_step().expect("memory"),
                970..973 => kv.compact().expect("memory"),
                973..974 => {
                    kv.clear();
                    model.clear();
                }
                974..984 => views.push((kv.iter(), model.clone())),
                984..994 => {
                    let fork = kv.fork().expect("memory");
                    assert_eq!(fork.len(), model.len());
                    let model = model.clone();
                    maps.push((fork, model));
                    if maps.len() > 4 {
                        let (kv, model) = maps.swap_remove(rng.below(4));
                        assert!(kv.iter().eq(model));
                    }
                }
                _ => {
                    kv.core().check();
                    assert!(kv.iter().rev().eq(model.clone().into_iter().rev()));
                }
            }
            if views.len() > 4 {
                let (entries, model) = views.swap_remove(rng.below(4));
                assert!(entries.eq(model), "a view has changed");
            }
        }
        for (kv, model) in maps {
            kv.core().check();
            assert!(kv.iter().eq(model));
        }
    });
}

#[test]
fn a_fork_shares_what_was_there_and_counts_it() {
    const COUNT: u64 = 50_000;
    let options = || tiny(Compaction::Manual, 5_000);
    let kv: MemKV<u64, u64> =
        MemKV::from_sorted_with_options((0..COUNT).map(|n| (n * n, n)), options()).expect("sorted");
    let base = |kv: &MemKV<u64, u64>| kv.core().view_all().pinned(0).segments().next().cloned();
    let fork = kv.fork().expect("memory");
    let (own, shared) = (base(&kv).expect("a base"), base(&fork).expect("a base"));
    assert!(Arc::ptr_eq(&own, &shared), "the same segment");
    assert_eq!(kv.memory_usage().base, fork.memory_usage().base, "counted by both");
    assert_eq!(fork.stats().partitions, kv.stats().partitions);
    drop((own, shared));
    // A change to one partition leaves the others shared.
    fork.insert(0, 7);
    fork.compact().expect("memory");
    let segments = |kv: &MemKV<u64, u64>| {
        let view = kv.core().view_all();
        let all = (0..view.len()).filter_map(|at| view.pinned(at).segments().next().cloned());
        all.collect::<Vec<_>>()
    };
    let both = segments(&kv).into_iter().zip(segments(&fork));
    let shared = both.map(|(a, b)| Arc::ptr_eq(&a, &b)).collect::<Vec<_>>();
    assert_eq!(shared, [[false].as_slice(), &[true; 9]].concat());
    let weak = Arc::downgrade(&base(&kv).expect("a base"));
    drop(kv);
    assert!(weak.upgrade().is_none(), "the fork had given it up");
    let last = Arc::downgrade(segments(&fork).last().expect("ten"));
    assert!(last.upgrade().is_some());
    drop(fork);
    assert!(last.upgrade().is_none(), "freed with the last map");
}

#[test]
fn a_delta_is_shared_until_one_side_folds_it() {
    let kv: MemKV<u64, u64> = MemKV::with_options(tiny(Compaction::Manual, 100));
    kv.extend((0..500).map(|n| (n, n)));
    let first = kv.fork().expect("memory");
    assert_eq!((kv.stats().delta_entries, kv.stats().frozen_entries), (0, 500));
    assert_eq!((first.stats().delta_entries, first.stats().frozen_entries), (0, 500));
    kv.insert(1_000, 1);
    let second = kv.fork().expect("memory");
    assert_eq!((second.stats().delta_entries, second.stats().frozen_entries), (1, 500));
    first.compact().expect("memory");
    assert_eq!((first.len(), first.stats().frozen_entries), (500, 0));
    assert_eq!((kv.stats().frozen_entries, second.stats().frozen_entries), (500, 500));
    for map in [&kv, &second] {
        map.compact().expect("memory");
        assert_eq!((map.len(), map.get(1_000)), (501, Some(1)));
        map.core().check();
    }
}

#[test]
fn a_blank_map_has_a_blank_fork() {
    let kv: MemKV<u64, u64> = MemKV::new();
    let fork = kv.fork().expect("memory");
    assert!(fork.is_empty());
    assert_eq!(fork.memory_usage(), kv.memory_usage(), "no allocation of its own");
    kv.insert(1, 1);
    kv.remove(1);
    assert_eq!(kv.fork().expect("memory").iter().next(), None);
    fork.insert(2, 2);
    assert!(kv.is_empty());
}

#[test]
fn a_fork_of_an_opened_map_is_written_without_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map");
    let kv: MemKV<u64, Vec<u8>> = MemKV::from_sorted_with_options(
        (0..2_000).map(|n| (n, vec![n as u8; 1_100 * (n % 9 == 0) as usize])),
        tiny(Compaction::Inline, 300),
    )
    .expect("sorted");
    kv.save_to(&path).expect("a working disk");
    drop(kv);
    let opened = MemKV::<u64, Vec<u8>>::open_read_only(&path).expect("a store");
    let fork = opened.fork().expect("memory");
    assert!(!fork.is_read_only() && fork.path().is_none());
    assert_eq!(fork.save(), Err(crate::error::Error::NotAttached));
    fork.insert(5, vec![1]);
    fork.delete(9);
    drop(opened);
    // Nobody has the file locked.
    let again = MemKV::<u64, Vec<u8>>::open(&path).expect("a store");
    assert_eq!(again.get(9).map(|value| value.len()), Some(1_100));
    fork.compact().expect("memory");
    assert_eq!((fork.len(), fork.get(5), fork.get(9)), (1_999, Some(vec![1]), None));
    fork.verify().expect("sound");
    fork.core().check();
}

#[test]
fn threads_that_write_beside_forks_are_seen_at_one_moment() {
    const KEYS: u64 = 400;
    for partition_entries in [8, 1 << 16] {
        let options =
            Options { partition_entries, ..tiny(Compaction::Background, partition_entries) };
        let kv: MemKV<u64, u64> = MemKV::with_options(options);
        kv.extend((0..KEYS).map(|n| (n, 0)));
        let is_done = Arc::new(AtomicBool::new(false));
        let (own, done) = (kv.clone(), is_done.clone());
        let writer = thread::spawn(move || {
            // Each round comes to all keys in an order that leads through the partitions.
            for round in 1.. {
                for n in 0..KEYS {
                    own.insert(n * 37 % KEYS, round);
                }
                if done.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        for _ in 0..60 {
            let fork = kv.fork().expect("memory");
            let values: Vec<u64> = (0..KEYS).filter_map(|n| fork.get(n * 37 % KEYS)).collect();
            assert_eq!(values.len() as u64, KEYS);
            // What is written later is of the round before, or not there yet.
            let is_one_moment = values.is_sorted_by(|a, b| a >= b);
            let (first, last) = (values[0], values[values.len() - 1]);
            assert!(is_one_moment && first - last <= 1, "{values:?}");
            fork.insert(KEYS, 1);
            assert_eq!(kv.get(KEYS), None);
        }
        is_done.store(true, Ordering::Release);
        writer.join().expect("no write fails");
        kv.core().check();
    }
}
