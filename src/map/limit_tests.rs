//! Maps that may hold so much memory and no more.

use super::MemKV;
use crate::error::Error;
use crate::options::{Compaction, Options};
use crate::sync::thread;
use crate::testing::driven::tiny;
use crate::testing::rng::{Rng, for_seeds};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

/// What a limit may be passed by for each thread: tables and filters that grow with a delta.
const SLACK: usize = 4 << 10;

/// Operations of each seed: enough to reach the limit with any of them, in every build.
const OPERATIONS: usize = 3_000;

fn limited(compaction: Compaction, partition_entries: usize, limit_bytes: usize) -> Options {
    let memory_limit_bytes = NonZeroUsize::new(limit_bytes);
    Options { memory_limit_bytes, ..tiny(compaction, partition_entries) }
}

/// What is counted of a map: not the directory, which has some 150 bytes for each partition.
fn counted<K: crate::Key, V: crate::Value>(kv: &MemKV<K, V>) -> usize {
    let tables = 4 << 10;
    let usage = kv.memory_usage();
    usage.total() - usage.overhead.min(tables + 150 * kv.stats().partitions)
}

#[test]
fn a_write_that_would_pass_the_limit_is_refused_and_nothing_is_lost() {
    for compaction in [Compaction::Manual, Compaction::Inline, Compaction::Background] {
        for entries in [50, 1 << 16] {
            const LIMIT: usize = 100_000;
            let kv: MemKV<u64, u64> = MemKV::with_options(limited(compaction, entries, LIMIT));
            let mut count = 0;
            let refused = loop {
                match kv.try_insert(count * 0x9e37_79b9, count) {
                    Ok(old) => assert_eq!(old, None),
                    Err(error) => break error,
                }
                count += 1;
                let held = counted(&kv);
                assert!(held <= LIMIT + SLACK, "{compaction:?}, {entries}: {held}");
            };
            let Error::MemoryLimit { limit_bytes, held_bytes } = refused else {
                panic!("{refused}");
            };
            assert_eq!(limit_bytes, LIMIT);
            assert!((LIMIT / 2..=LIMIT).contains(&held_bytes), "{held_bytes}");
            let least = match compaction {
                Compaction::Manual => 1_500,
                // A partition of fifty entries takes more than they do.
                _ if entries == 50 => 2_000,
                _ => 4_000,
            };
            assert!(count >= least, "{compaction:?}, {entries}: {count} entries");
            assert_eq!(kv.len() as u64, count);
            assert!((0..count).all(|n| kv.get(n * 0x9e37_79b9) == Some(n)));
            kv.core().check();
        }
    }
}

#[test]
fn removals_are_never_refused_and_make_room_with_a_compaction() {
    let kv: MemKV<u64, [u8; 100]> = MemKV::with_options(limited(Compaction::Manual, 100, 200_000));
    let fill = |from: u64| {
        (from..u64::MAX).take_while(|&n| kv.try_put(n, [7; 100]).is_ok()).count() as u64
    };
    let first = fill(0);
    assert!(first > 500);
    kv.compact().expect("memory");
    let second = fill(first);
    for n in 0..first + second {
        assert_eq!(kv.try_remove(n), Ok(Some([7; 100])), "{n}");
    }
    assert!(kv.is_empty());
    kv.compact().expect("memory");
    assert!(fill(0) >= first, "as much as at first");
    kv.clear();
    assert!(fill(0) >= first, "and once more");
    kv.core().check();
}

#[test]
fn a_map_at_its_limit_goes_on_if_as_much_is_removed_as_is_written() {
    for compaction in [Compaction::Inline, Compaction::Background] {
        const LIMIT: usize = 300_000;
        let kv: MemKV<u64, u64> = MemKV::with_options(limited(compaction, 500, LIMIT));
        let mut newest = 0;
        while kv.try_put(newest, newest).is_ok() {
            newest += 1;
        }
        let mut oldest = 0;
        let mut refused = 0;
        for _ in 0..20_000 {
            match kv.try_put(newest, newest) {
                Ok(()) => newest += 1,
                Err(Error::MemoryLimit { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            kv.delete(oldest);
            oldest += 1;
            if oldest + 1_000 > newest {
                break;
            }
        }
        assert!(newest > oldest, "{refused} refused of {oldest}");
        assert!(kv.keys().eq(oldest..newest));
        kv.core().check();
    }
}

#[test]
fn large_values_count_and_are_refused_before_they_are_taken_in() {
    let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(limited(Compaction::Inline, 10, 1 << 20));
    let value = vec![1; 100_000];
    let count =
        (0..u64::MAX).take_while(|&n| kv.try_put(n, value.as_slice()).is_ok()).count() as u64;
    assert_eq!(count, 10, "of ten and a half");
    assert!(matches!(kv.try_put(0, vec![0; 2 << 20]), Err(Error::MemoryLimit { .. })));
    assert!((0..count).all(|n| kv.get(n).as_ref() == Some(&value)));
    kv.delete(3);
    kv.compact().expect("memory");
    kv.try_put(3, value.as_slice()).expect("room for the tenth");
}

#[test]
fn sorted_entries_that_do_not_fit_leave_the_map_as_it_was() {
    const LIMIT: usize = 100_000;
    let refused = MemKV::<u64, u64>::from_sorted_with_options(
        (0..1_000_000).map(|n| (n * n, n)),
        limited(Compaction::Inline, 1_000, LIMIT),
    );
    assert!(matches!(refused, Err(Error::MemoryLimit { .. })));
    let kv: MemKV<u64, u64> = MemKV::with_options(limited(Compaction::Inline, 1_000, LIMIT));
    assert_eq!(kv.extend_sorted((0..5_000).map(|n| (n, n))), Ok(5_000));
    let refused = kv.extend_sorted((5_000..50_000).map(|n| (n * n, n)));
    assert!(matches!(refused, Err(Error::MemoryLimit { .. })), "{refused:?}");
    assert!(kv.iter().eq((0..5_000).map(|n| (n, n))));
    assert!(counted(&kv) <= LIMIT);
}

#[test]
fn large_values_among_small_ones_do_not_make_folds_pass_the_limit() {
    const ENTRIES: u64 = 60_000;
    let small = || (0..ENTRIES).map(|n| (n * 977, n % 1_000));
    for (partition_entries, step) in [(1 << 16, 64), (2_000, 16)] {
        let open = |memory_limit_bytes| {
            let options = Options {
                compaction: Compaction::Inline,
                partition_entries,
                delta_floor_bytes: 16 << 10,
                delta_percent: 0.1,
                memory_limit_bytes,
                ..Options::default()
            };
            MemKV::<u64, u64>::from_sorted_with_options(small(), options).expect("sorted")
        };
        let limit = open(None).memory_usage().total() + (128 << 10);
        let kv = open(NonZeroUsize::new(limit));
        let mut puts = 0;
        for n in (0..ENTRIES).step_by(step) {
            // One of them is as wide as its type, and so is its group then.
            if let Err(error) = kv.try_put(n * 977, u64::MAX / 3 * 2) {
                assert!(matches!(error, Error::MemoryLimit { .. }), "{error}");
                break;
            }
            puts += 1;
            let held = kv.memory_usage().total();
            assert!(held <= limit + limit / 50, "{held} of {limit} after {puts}");
        }
        assert!((200..ENTRIES / step as u64).contains(&puts), "{puts}");
        kv.compact().expect("memory");
        let held = kv.memory_usage().total();
        assert!(held <= limit + limit / 50, "{held} of {limit}");
        assert_eq!(kv.iter().filter(|(_, value)| *value > 1_000).count() as u64, puts);
    }
}

#[test]
fn threads_that_write_side_by_side_do_not_pass_the_limit() {
    for compaction in [Compaction::Inline, Compaction::Background, Compaction::Manual] {
        const LIMIT: usize = 1 << 20;
        const THREADS: u64 = 4;
        let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(limited(compaction, 200, LIMIT));
        let writer = |thread: u64| {
            let kv = kv.clone();
            move || {
                let mut rng = Rng::new(thread);
                let mut model = BTreeMap::new();
                let mut refused = 0;
                while refused < 200 && model.len() < 20_000 {
                    let n = rng.below(1 << 20) as u64 * THREADS + thread;
                    let len = if rng.one_in(50) { 1_500 } else { rng.below(30) };
                    match kv.try_put(n, vec![thread as u8; len]) {
                        Ok(()) => _ = model.insert(n, len),
                        Err(Error::MemoryLimit { .. }) => {
                            refused += 1;
                            if let Some((n, _)) = model.pop_first() {
                                kv.delete(n);
                            }
                        }
                        Err(error) => panic!("{error}"),
                    }
                    // A fold that runs, and tombstones, are what may come on top.
                    if refused == 0 {
                        let held = counted(&kv);
                        assert!(held <= LIMIT + THREADS as usize * SLACK, "{held}");
                    }
                }
                (thread, model)
            }
        };
        let writers: Vec<_> = (0..THREADS).map(|thread| thread::spawn(writer(thread))).collect();
        for writer in writers {
            let (thread, model) = writer.join().expect("no writer fails");
            for (n, len) in model {
                assert_eq!(kv.get(n), Some(vec![thread as u8; len]), "{n}");
            }
        }
        kv.core().check();
    }
}

#[test]
fn a_map_that_refuses_now_and_then_matches_a_model() {
    for_seeds(1, 12, |seed| {
        let mut rng = Rng::new(seed);
        let compaction =
            [Compaction::Manual, Compaction::Inline, Compaction::Background][seed as usize % 3];
        let options = limited(compaction, 1 + rng.below(60), 10_000 + rng.below(40_000));
        let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(options);
        let mut model: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let (mut refused, mut held) = (0, Vec::new());
        for _ in 0..OPERATIONS {
            let n = rng.below(3_000) as u64;
            match rng.below(100) {
                0..60 => {
                    let value = vec![n as u8; rng.log_below(1_500)];
                    match kv.try_insert(n, value.as_slice()) {
                        Ok(old) => assert_eq!(old, model.insert(n, value)),
                        Err(Error::MemoryLimit { .. }) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                60..95 => assert_eq!(kv.remove(n), model.remove(&n)),
                95..98 => held.push((kv.iter(), model.clone())),
                _ => kv.compact().expect("memory"),
            }
            assert_eq!(kv.get(n), model.get(&n).cloned());
            if held.len() > 3 {
                let (entries, model) = held.swap_remove(rng.below(3));
                assert!(entries.eq(model));
            }
        }
        assert!(refused > 0, "the limit was never reached");
        assert!(kv.iter().eq(model));
        kv.core().check();
    });
}
