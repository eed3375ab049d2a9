//! Single gets and inserts on 100,000 words in random order: MemKV folded and as a delta,
//! `BTreeMap`, `HashMap` and `fst::Map`.
//!
//! `cargo bench --bench point`. For comparisons within one run, with ratios and checked answers,
//! see the `memory_footprint` example and the `delta` bench; this one is for watching one number
//! while changing the code that makes it.

mod common;

use common::keys::{ByteKeys, KeyList, Keys, words};
use common::peers::{Ours, Peer, PeerMut, Peers};
use common::probe::load;
use common::random::{Random, value_of};
use criterion::{
    BatchSize, Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use memkv::Compaction;
use std::hint::black_box;

const ENTRIES: usize = 100_000;
const SEED: u64 = 1;

type MemKV = <ByteKeys as Peers>::MemKV;
type Tree = <ByteKeys as Peers>::Tree;
type Hash = <ByteKeys as Peers>::Hash;

fn load_all<P: PeerMut<[u8]>>(mut map: P, keys: &ByteKeys) -> P {
    load(&mut map, keys, SEED);
    map
}

/// One get an iteration, of the next probe.
fn bench_gets<P: Peer<[u8]>>(bencher: &mut Bencher<'_>, map: &P, probes: &ByteKeys) {
    let mut next = 0;
    bencher.iter(|| {
        let answer = map.get(probes.key(next));
        next = if next + 1 == probes.len() { 0 } else { next + 1 };
        answer
    });
}

fn gets(criterion: &mut Criterion) {
    let mut random = Random::new(SEED);
    let keys = words(ENTRIES, &mut random).expect("the repository comes with words");
    let hits = keys.hits(ENTRIES, &mut random);
    let misses = keys.near_misses(ENTRIES, &mut random);
    let folded = load_all(MemKV::with_compaction(Compaction::Manual), &keys);
    folded.fold_all().expect("a fold of words succeeds");
    let delta = load_all(MemKV::with_compaction(Compaction::Manual), &keys);
    let tree = load_all(Tree::default(), &keys);
    let hash = load_all(Hash::default(), &keys);
    let sorted = keys.sorted_positions();
    let fst = keys.build_fst(&sorted, |index| value_of(SEED, index)).expect("words are sorted");
    for (kind, probes) in [("hit", &hits), ("miss", &misses)] {
        let mut group = criterion.benchmark_group(format!("get {kind}"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("MemKV folded", |bencher| {
            bench_gets(bencher, &folded, probes);
        });
        group.bench_function("MemKV delta", |bencher| bench_gets(bencher, &delta, probes));
        group.bench_function("BTreeMap", |bencher| bench_gets(bencher, &tree, probes));
        group.bench_function("HashMap", |bencher| bench_gets(bencher, &hash, probes));
        group.bench_function("fst::Map", |bencher| bench_gets(bencher, &fst, probes));
        group.finish();
    }
}

/// One iteration fills an empty map with all keys.
fn bench_loads<P: PeerMut<[u8]>>(
    bencher: &mut Bencher<'_>,
    empty: impl Fn() -> P,
    keys: &ByteKeys,
) {
    bencher.iter_batched(&empty, |map| black_box(load_all(map, keys)), BatchSize::PerIteration);
}

fn inserts(criterion: &mut Criterion) {
    const SAMPLES: usize = 20;
    let keys = words(ENTRIES, &mut Random::new(SEED)).expect("the repository comes with words");
    let mut group = criterion.benchmark_group("insert");
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.sample_size(SAMPLES);
    let modes = [("inline", Compaction::Inline), ("delta", Compaction::Manual)];
    for (name, compaction) in modes {
        group.bench_function(BenchmarkId::new("MemKV", name), |bencher| {
            bench_loads(bencher, || MemKV::with_compaction(compaction), &keys);
        });
    }
    group.bench_function("BTreeMap", |bencher| {
        bench_loads(bencher, Tree::default, &keys);
    });
    group.bench_function("HashMap", |bencher| {
        bench_loads(bencher, Hash::default, &keys);
    });
    group.finish();
}

criterion_group!(benches, gets, inserts);
criterion_main!(benches);
