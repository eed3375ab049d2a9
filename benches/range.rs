//! Ranges of 100 entries, from places in random and in sorted order, and walks over all entries,
//! both forward and backward, on 100,000 words loaded in random order: MemKV folded and as a delta,
//! `BTreeMap`, `fst::Map`.
//!
//! `cargo bench --bench range`. A `HashMap` has no order, a transducer's stream no way back.

mod common;
#[path = "common/maps.rs"]
mod maps;

use common::keys::{ByteKeys, KeyList, words};
use common::random::Random;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use fst::{IntoStreamer, Streamer};
use maps::{ENTRIES, Maps, SEED, in_both_orders, short_runs};
use std::hint::black_box;
use std::ops::Bound;

const TAKEN: usize = 100;

fn keys() -> ByteKeys {
    words(ENTRIES, &mut Random::new(SEED)).expect("the repository comes with words")
}

/// Calls `range` with the next start in each iteration.
fn bench_ranges(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    starts: &ByteKeys,
    range: impl Fn(&[u8]) -> u64,
) {
    let mut next = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let sum = range(starts.key(next));
            next = if next + 1 == starts.len() { 0 } else { next + 1 };
            sum
        });
    });
}

/// Reads every key and value that an iterator yields.
fn sum_up<K: AsRef<[u8]>>(entries: impl Iterator<Item = (K, u64)>) -> u64 {
    entries.fold(0, |sum, (key, value)| sum.wrapping_add(value ^ ByteKeys::weight(key.as_ref())))
}

fn sum_up_stream(mut stream: fst::map::Stream<'_>, most: usize) -> u64 {
    let mut sum = 0_u64;
    for _ in 0..most {
        let Some((key, value)) = stream.next() else {
            break;
        };
        sum = sum.wrapping_add(value ^ ByteKeys::weight(key));
    }
    sum
}

fn plain<'a>((key, value): (&'a Vec<u8>, &u64)) -> (&'a Vec<u8>, u64) {
    (key, *value)
}

fn ranges_of_100(criterion: &mut Criterion) {
    let keys = keys();
    let Maps { folded, delta, tree, fst, .. } = &Maps::filled(&keys);
    for (order, starts) in &in_both_orders(&keys) {
        let mut group = criterion.benchmark_group(format!("lower bound and 100 forward, {order}"));
        group.throughput(Throughput::Elements(TAKEN as u64));
        for (name, map) in [("MemKV folded", folded), ("MemKV delta", delta)] {
            bench_ranges(&mut group, name, starts, |start| sum_up(map.range(start..).take(TAKEN)));
        }
        bench_ranges(&mut group, "BTreeMap", starts, |start| {
            let range = tree.range::<[u8], _>((Bound::Included(start), Bound::Unbounded));
            sum_up(range.take(TAKEN).map(plain))
        });
        bench_ranges(&mut group, "fst::Map", starts, |start| {
            sum_up_stream(fst.range().ge(start).into_stream(), TAKEN)
        });
        group.finish();

        let mut group = criterion.benchmark_group(format!("upper bound and 100 backward, {order}"));
        group.throughput(Throughput::Elements(TAKEN as u64));
        for (name, map) in [("MemKV folded", folded), ("MemKV delta", delta)] {
            bench_ranges(&mut group, name, starts, |start| {
                sum_up(map.range(..=start).rev().take(TAKEN))
            });
        }
        bench_ranges(&mut group, "BTreeMap", starts, |start| {
            let range = tree.range::<[u8], _>((Bound::Unbounded, Bound::Included(start)));
            sum_up(range.rev().take(TAKEN).map(plain))
        });
        group.finish();
    }
}

fn walks(criterion: &mut Criterion) {
    let Maps { folded, delta, tree, fst, .. } = &Maps::filled(&keys());

    let mut group = criterion.benchmark_group("walk forward");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    for (name, map) in [("MemKV folded", folded), ("MemKV delta", delta)] {
        group.bench_function(name, |bencher| bencher.iter(|| sum_up(map.iter())));
    }
    group.bench_function("BTreeMap", |bencher| {
        bencher.iter(|| sum_up(tree.iter().map(plain)));
    });
    group.bench_function("fst::Map", |bencher| {
        bencher.iter(|| black_box(sum_up_stream(fst.stream(), usize::MAX)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("walk backward");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    for (name, map) in [("MemKV folded", folded), ("MemKV delta", delta)] {
        group.bench_function(name, |bencher| bencher.iter(|| sum_up(map.iter().rev())));
    }
    group.bench_function("BTreeMap", |bencher| {
        bencher.iter(|| sum_up(tree.iter().rev().map(plain)));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = short_runs();
    targets = ranges_of_100, walks
}
criterion_main!(benches);
