//! Bulk loads and compactions on several threads make what one thread makes.

use crate::MemKV;
use crate::error::{Error, SortFault};
use crate::key::MAX_KEY_LEN;
use crate::options::{Compaction, Options, Profile};
use crate::testing::keys;
use crate::value::Value;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Model<V> = BTreeMap<Vec<u8>, V>;

fn options(threads: u32, partition_entries: usize) -> Options {
    let compaction = Compaction::Manual;
    Options { compaction, partition_entries, threads, ..Options::default() }
}

/// The number of partitions of a map of these entries, and the file it makes.
#[expect(clippy::disallowed_methods, reason = "a test may look at a file")]
fn loaded<V>(model: &Model<V>, options: Options) -> (usize, Vec<u8>)
where
    V: Value + Clone + PartialEq,
{
    let kv: MemKV<Vec<u8>, V> =
        MemKV::from_sorted_with_options(model.clone(), options).expect("sorted");
    kv.core().check();
    assert!(kv.iter().eq(model.iter().map(|(key, value)| (key.clone(), value.clone()))));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map");
    kv.save_to(&path).expect("room on the disk");
    (kv.stats().partitions, std::fs::read(&path).expect("it was just written"))
}

#[test]
fn the_map_is_the_same_however_many_threads_build_it() {
    let sets = keys::hostile_sets().into_iter().filter(|set| set.keys.len() < 2_000);
    let numbers: Model<u64> = sets.flat_map(|set| set.keys).zip(0..).collect();
    let large = |n: u64| vec![n as u8; [3, 0, 1_024, 1_025, 9_000][n as usize % 5]];
    let blobs: Model<Vec<u8>> = numbers.iter().map(|(key, n)| (key.clone(), large(*n))).collect();
    for (profile, partition_entries) in [
        (Profile::Balanced, 40),
        (Profile::Balanced, 300),
        (Profile::Balanced, 1 << 16),
        (Profile::Smallest, 300),
        (Profile::Fastest, 300),
    ] {
        let alone = Options { profile, ..options(0, partition_entries) };
        let expected = (loaded(&numbers, alone.clone()), loaded(&blobs, alone.clone()));
        for threads in [1, 3] {
            let options = Options { threads, ..alone.clone() };
            let made = (loaded(&numbers, options.clone()), loaded(&blobs, options));
            assert!(made == expected, "{threads} threads, {partition_entries} entries each");
        }
    }
}

#[test]
fn what_one_thread_refuses_several_refuse() {
    for bad in [5_u32, 299, 300, 301, 1_000, 2_999] {
        for (key, refusal) in [
            (vec![0], Error::OutOfOrder { index: u64::from(bad), order: SortFault::Descending }),
            (vec![0xff; MAX_KEY_LEN + 1], Error::KeyTooLong { len: MAX_KEY_LEN + 1 }),
        ] {
            let entries = (0..3_000)
                .map(|n| if n == bad { key.clone() } else { keys::big_endian(u64::from(n)) });
            let entries = entries.map(|key: Vec<u8>| (key, 7));
            for threads in [0, 1, 3] {
                let kv: MemKV<Vec<u8>, u64> = MemKV::with_options(options(threads, 300));
                kv.put([1], 1);
                assert_eq!(kv.extend_sorted(entries.clone()), Err(refusal.clone()));
                assert!(kv.iter().eq([(vec![1], 1)]), "it is as it was");
            }
        }
    }
}

#[test]
fn a_limit_and_a_panic_end_a_load_on_several_threads() {
    let memory_limit_bytes = NonZeroUsize::new(64 << 10);
    let options = Options { memory_limit_bytes, ..options(2, 300) };
    let kv: MemKV<u64, u64> = MemKV::with_options(options);
    let refused = kv.extend_sorted((0..1_000_000).map(|n| (n * n, n)));
    assert!(matches!(refused, Err(Error::MemoryLimit { .. })), "{refused:?}");
    assert!(kv.is_empty());
    let fails = |n: u64| if n == 1_000 { panic!("as it was told to") } else { (n, n) };
    let outcome = catch_unwind(AssertUnwindSafe(|| kv.extend_sorted((0..2_000).map(fails))));
    assert!(outcome.is_err() && kv.is_empty());
    // The iterator may use the map meanwhile.
    let entries = (0..900).map(|n| {
        assert_eq!(kv.get(n), None);
        (n, n)
    });
    assert_eq!(kv.extend_sorted(entries), Ok(900));
    assert_eq!(kv.len(), 900);
}

#[test]
fn a_compaction_makes_the_same_on_several_threads() {
    let compacted = |threads| {
        let kv: MemKV<u64, u64> = MemKV::with_options(options(threads, 100));
        kv.extend_sorted((0..4_000).map(|n| (n * 3, n))).expect("sorted");
        // Partitions that grow, shrink, go, and stay.
        for n in 0..3_000 {
            kv.put(n, 1);
            kv.delete(6_000 + n);
        }
        kv.compact().expect("memory");
        kv.core().check();
        let stats = kv.stats();
        assert_eq!(stats.delta_entries + stats.frozen_entries, 0);
        (kv.iter().collect::<Vec<_>>(), stats.partitions)
    };
    let (entries, partitions) = compacted(0);
    for threads in [1, 2, 7] {
        let (made, others) = compacted(threads);
        assert!(made == entries);
        // Neighbours are joined in another order.
        assert!(others.abs_diff(partitions) <= partitions / 4, "{others} and {partitions}");
    }
}

#[test]
fn a_load_that_ends_for_want_of_room_is_refused_whatever_room_there_is_by_then() {
    for threads in [0, 2] {
        // Large values are held before there are segments to be counted.
        let memory_limit_bytes = NonZeroUsize::new(1 << 20);
        let options = Options { memory_limit_bytes, ..options(threads, 300) };
        let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(options);
        let mut read = 0;
        let large = (0..300).map(|n| {
            read += 1;
            (n, vec![7; 20_000])
        });
        let refused = kv.extend_sorted(large);
        assert!(matches!(refused, Err(Error::MemoryLimit { .. })), "{refused:?}");
        assert!(kv.is_empty() && read < 60, "{read} were read");
    }
}
