//! Bringing few new entries and many old ones into one compact whole: `compact` of a MemKV with
//! 100,000 words of which 1, 2 % or a half are in its delta, beside what does as much for the
//! others: `append` of a `BTreeMap`, `extend` of a `HashMap`, and for `fst::Map`, which cannot
//! change, a union written to a new one.
//!
//! `cargo bench --bench fold`.

mod common;
#[path = "common/maps.rs"]
mod maps;

use common::keys::{ByteKeys, KeyList, Keys, words};
use common::peers::Peers;
use common::random::Random;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fst::Streamer;
use fst::map::OpBuilder;
use maps::{ENTRIES, SEED, short_runs, value_at};
use memkv::{Compaction, Options};
use std::collections::{BTreeMap, HashMap};

type MemKV = <ByteKeys as Peers>::MemKV;
type Fst = <ByteKeys as Peers>::Fst;

/// How many of the entries are new.
const NEW: [usize; 3] = [1, ENTRIES / 50, ENTRIES / 2];

/// The old and the new entries, positions of each ascending.
struct Halves {
    keys: ByteKeys,
    old: Vec<u32>,
    new: Vec<u32>,
}

impl Halves {
    /// The keys are in random order, so the first of them are anywhere among the rest.
    fn new(new: usize) -> Self {
        let keys = words(ENTRIES, &mut Random::new(SEED)).expect("the repository comes with words");
        let (new, old) = keys.sorted_positions().into_iter().partition(|&at| (at as usize) < new);
        Self { keys, old, new }
    }

    fn entries<'a>(&'a self, part: &'a [u32]) -> impl Iterator<Item = (&'a [u8], u64)> {
        part.iter().map(|&at| (self.keys.key(at as usize), value_at(at as usize)))
    }

    fn owned<'a>(&'a self, part: &'a [u32]) -> impl Iterator<Item = (Vec<u8>, u64)> + 'a {
        self.entries(part).map(|(key, value)| (key.to_vec(), value))
    }

    fn fst(&self, part: &[u32]) -> Fst {
        self.keys.build_fst(part, value_at).expect("the words ascend")
    }

    /// A map with the old entries in its base and the new ones in its delta.
    fn memkv(&self) -> MemKV {
        let options = Options { compaction: Compaction::Manual, ..Options::default() };
        let kv = MemKV::from_sorted_with_options(self.entries(&self.old), options)
            .expect("the words ascend");
        kv.extend(self.entries(&self.new));
        kv
    }
}

fn union(old: &Fst, new: &Fst) -> Fst {
    let mut builder = fst::MapBuilder::memory();
    let mut union = OpBuilder::new().add(old).add(new).union();
    while let Some((key, values)) = union.next() {
        let value = values.iter().max_by_key(|value| value.index).expect("one of them has the key");
        builder.insert(key, value.value).expect("a union ascends");
    }
    fst::Map::new(builder.into_inner().expect("memory takes all")).expect("it was just built")
}

fn folds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(ENTRIES as u64)).sample_size(10);
    for new in NEW {
        let halves = Halves::new(new);
        group.bench_function(BenchmarkId::new("MemKV::compact", new), |bencher| {
            let fold = |kv: MemKV| {
                kv.compact().expect("a fold succeeds");
                kv
            };
            bencher.iter_batched(|| halves.memkv(), fold, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("BTreeMap::append", new), |bencher| {
            let parts = || {
                [&halves.old, &halves.new]
                    .map(|part| halves.owned(part).collect::<BTreeMap<_, _>>())
            };
            let append = |[mut old, mut new]: [BTreeMap<_, _>; 2]| {
                old.append(&mut new);
                old
            };
            bencher.iter_batched(parts, append, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("HashMap::extend", new), |bencher| {
            let parts = || {
                [&halves.old, &halves.new].map(|part| halves.owned(part).collect::<HashMap<_, _>>())
            };
            let extend = |[mut old, new]: [HashMap<_, _>; 2]| {
                old.extend(new);
                old
            };
            bencher.iter_batched(parts, extend, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("fst union", new), |bencher| {
            let (old, new) = (halves.fst(&halves.old), halves.fst(&halves.new));
            bencher.iter(|| union(&old, &new));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = short_runs();
    targets = folds
}
criterion_main!(benches);
