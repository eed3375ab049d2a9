//! Single gets from 100,000 words and as many random integers: MemKV folded and as a delta,
//! `BTreeMap`, `HashMap` and `fst::Map`, each asked for keys that it has and for others close to
//! them, in random and in sorted order.
//!
//! `cargo bench --bench point`. For comparisons within one run, with ratios and checked answers,
//! see the `memory_footprint` example and the `delta` bench; this one is for watching one number
//! while changing the code that makes it.

mod common;
#[path = "common/maps.rs"]
mod maps;

use common::keys::{random_integers, words};
use common::peers::{Peer, Peers};
use common::random::Random;
use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use maps::{ENTRIES, Maps, SEED, in_both_orders, short_runs};

/// One get an iteration, of the next probe.
fn bench_gets<L: Peers>(bencher: &mut Bencher<'_>, map: &impl Peer<L::Key>, probes: &L) {
    let mut next = 0;
    bencher.iter(|| {
        let answer = map.get(probes.key(next));
        next = if next + 1 == probes.len() { 0 } else { next + 1 };
        answer
    });
}

fn gets<L: Peers>(criterion: &mut Criterion, name: &str, keys: &L, random: &mut Random) {
    let maps = Maps::filled(keys);
    let misses = keys.near_misses(ENTRIES, random);
    for (outcome, probes) in [("hit", keys), ("miss", &misses)] {
        for (order, probes) in &in_both_orders(probes) {
            let mut group = criterion.benchmark_group(format!("get {name}, {outcome}, {order}"));
            group.throughput(Throughput::Elements(1));
            group.bench_function("MemKV folded", |bencher| {
                bench_gets(bencher, &maps.folded, probes);
            });
            group.bench_function("MemKV delta", |bencher| {
                bench_gets(bencher, &maps.delta, probes);
            });
            group.bench_function("BTreeMap", |bencher| bench_gets(bencher, &maps.tree, probes));
            group.bench_function("HashMap", |bencher| bench_gets(bencher, &maps.hash, probes));
            group.bench_function("fst::Map", |bencher| bench_gets(bencher, &maps.fst, probes));
            group.finish();
        }
    }
}

fn gets_of_words(criterion: &mut Criterion) {
    let mut random = Random::new(SEED);
    let keys = words(ENTRIES, &mut random).expect("the repository comes with words");
    gets(criterion, "words", &keys, &mut random);
}

fn gets_of_integers(criterion: &mut Criterion) {
    let mut random = Random::new(SEED);
    let keys = random_integers(ENTRIES, &mut random);
    gets(criterion, "integers", &keys, &mut random);
}

criterion_group! {
    name = benches;
    config = short_runs();
    targets = gets_of_words, gets_of_integers
}
criterion_main!(benches);
