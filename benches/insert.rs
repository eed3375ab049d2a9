//! Filling an empty map with 100,000 words or random integers, one insert after the other, in
//! random and in sorted order: MemKV that folds as it goes, MemKV as a delta, `BTreeMap` and
//! `HashMap`. A transducer takes no inserts; see the `build` bench.
//!
//! `cargo bench --bench insert`.

mod common;
#[path = "common/maps.rs"]
mod maps;

use common::keys::{random_integers, words};
use common::peers::{Ours, PeerMut, Peers};
use common::random::Random;
use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use maps::{ENTRIES, SEED, in_both_orders, loaded, short_runs};
use memkv::Compaction;
use std::hint::black_box;

/// One iteration fills an empty map with all keys.
fn bench_loads<L: Peers, P: PeerMut<L::Key>>(
    bencher: &mut Bencher<'_>,
    empty: impl Fn() -> P,
    keys: &L,
) {
    bencher.iter_batched(&empty, |map| black_box(loaded(map, keys)), BatchSize::PerIteration);
}

fn inserts<L: Peers>(criterion: &mut Criterion, name: &str, keys: &L) {
    for (order, keys) in &in_both_orders(keys) {
        let mut group = criterion.benchmark_group(format!("insert {name}, {order}"));
        group.throughput(Throughput::Elements(keys.len() as u64)).sample_size(10);
        let modes = [("MemKV folding", Compaction::Inline), ("MemKV delta", Compaction::Manual)];
        for (name, compaction) in modes {
            group.bench_function(name, |bencher| {
                bench_loads(bencher, || L::MemKV::with_compaction(compaction), keys);
            });
        }
        group.bench_function("BTreeMap", |bencher| bench_loads(bencher, L::Tree::default, keys));
        group.bench_function("HashMap", |bencher| bench_loads(bencher, L::Hash::default, keys));
        group.finish();
    }
}

fn inserts_of_words(criterion: &mut Criterion) {
    let keys = words(ENTRIES, &mut Random::new(SEED)).expect("the repository comes with words");
    inserts(criterion, "words", &keys);
}

fn inserts_of_integers(criterion: &mut Criterion) {
    inserts(criterion, "integers", &random_integers(ENTRIES, &mut Random::new(SEED)));
}

criterion_group! {
    name = benches;
    config = short_runs();
    targets = inserts_of_words, inserts_of_integers
}
criterion_main!(benches);
