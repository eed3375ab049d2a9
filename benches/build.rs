//! Making a map of 100,000 words at once: from sorted entries, and from entries in random order,
//! for MemKV, `BTreeMap`, `HashMap` and `fst::Map`. What takes sorted entries only is given a sort
//! first.
//!
//! `cargo bench --bench build`.

mod common;
#[path = "common/maps.rs"]
mod maps;

use common::keys::{ByteKeys, KeyList, Keys, words};
use common::peers::Peers;
use common::random::Random;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use maps::{ENTRIES, SEED, short_runs, value_at};
use std::collections::{BTreeMap, HashMap};

type MemKV = <ByteKeys as Peers>::MemKV;

fn entries<'a>(
    keys: &'a ByteKeys,
    positions: &'a [u32],
) -> impl Iterator<Item = (&'a [u8], u64)> + Clone {
    positions.iter().map(|&at| (keys.key(at as usize), value_at(at as usize)))
}

fn owned<'a>(
    entries: impl Iterator<Item = (&'a [u8], u64)>,
) -> impl Iterator<Item = (Vec<u8>, u64)> {
    entries.map(|(key, value)| (key.to_vec(), value))
}

fn from_sorted_entries(criterion: &mut Criterion) {
    let keys = words(ENTRIES, &mut Random::new(SEED)).expect("the repository comes with words");
    let sorted = keys.sorted_positions();
    let entries = entries(&keys, &sorted);
    let mut group = criterion.benchmark_group("build from sorted");
    group.throughput(Throughput::Elements(ENTRIES as u64)).sample_size(10);
    group.bench_function("MemKV::from_sorted", |bencher| {
        bencher.iter(|| MemKV::from_sorted(entries.clone()).expect("the words ascend"));
    });
    group.bench_function("BTreeMap", |bencher| {
        bencher.iter(|| owned(entries.clone()).collect::<BTreeMap<_, _>>());
    });
    group.bench_function("HashMap", |bencher| {
        bencher.iter(|| owned(entries.clone()).collect::<HashMap<_, _>>());
    });
    group.bench_function("fst::Map", |bencher| {
        bencher.iter(|| keys.build_fst(&sorted, value_at).expect("the words ascend"));
    });
    group.finish();
}

fn from_random_entries(criterion: &mut Criterion) {
    let keys = words(ENTRIES, &mut Random::new(SEED)).expect("the repository comes with words");
    let positions: Vec<u32> = (0..ENTRIES as u32).collect();
    let entries = entries(&keys, &positions);
    let mut group = criterion.benchmark_group("build from random order");
    group.throughput(Throughput::Elements(ENTRIES as u64)).sample_size(10);
    group.bench_function("MemKV, compacted", |bencher| {
        bencher.iter(|| {
            let kv: MemKV = entries.clone().collect();
            kv.compact().expect("a fold succeeds");
            kv
        });
    });
    group.bench_function("MemKV::from_sorted", |bencher| {
        bencher.iter(|| {
            MemKV::from_sorted(self::entries(&keys, &keys.sorted_positions()))
                .expect("the words ascend")
        });
    });
    group.bench_function("BTreeMap", |bencher| {
        bencher.iter(|| owned(entries.clone()).collect::<BTreeMap<_, _>>());
    });
    group.bench_function("HashMap", |bencher| {
        bencher.iter(|| owned(entries.clone()).collect::<HashMap<_, _>>());
    });
    group.bench_function("fst::Map", |bencher| {
        bencher
            .iter(|| keys.build_fst(&keys.sorted_positions(), value_at).expect("the words ascend"));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = short_runs();
    targets = from_sorted_entries, from_random_entries
}
criterion_main!(benches);
