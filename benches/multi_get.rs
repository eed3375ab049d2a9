//! Gets of many keys in one call beside single gets, none of which waits for another's answer, and
//! beside a `BTreeMap` that was filled in random order.
//!
//! `cargo bench --bench multi_get`; `-- --entries N` for other sizes, `--quick` for small ones.
//! Each round asks all of them in turn, in random order; the best of the rounds counts. The
//! environment variable `MEMKV_MEASURE` names one of the key sets. Wrong answers end the bench with
//! code 1; figures never do.
#![allow(clippy::disallowed_methods, reason = "measuring needs the clock")]

mod common;

use common::keys::{ByteKeys, IntegerKeys, KeyList, Keys, made, random_integers, urls, words};
use common::options::{BenchOptions, bench_main};
use common::probe::time;
use common::random::{Random, value_of};
use memkv::{Compaction, Key, KeyForm, MemKV, Options};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Keys of one call.
const BATCHES: [usize; 5] = [1, 4, 16, 64, 1024];

/// Probes of a pass.
const PROBES: usize = 500_000;

/// Entries that are written after the rest is folded, in percent.
const DELTA_PERCENT: usize = 2;

fn main() -> ExitCode {
    bench_main("multi_get", run)
}

fn run(options: &BenchOptions) -> Result<(), String> {
    let entries =
        |usual: usize| options.entries.unwrap_or(if options.quick { 20_000 } else { usual });
    println!("ns per key, and throughput relative to single gets");
    println!("| keys | where | BTreeMap | get | 1 | 4 | 16 | 64 | 1024 | 16 | 64 |");
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut random = Random::new(options.seed);
    let (strings, integers) = (entries(1_000_000), entries(10_000_000));
    let only = std::env::var("MEMKV_MEASURE").ok();
    for name in ["words", "names", "URLs", "uniform", "clustered", "times"] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        match name {
            "words" => measure(name, &words(strings, &mut random)?, options)?,
            "names" => measure(name, &names(strings, &mut random)?, options)?,
            "URLs" => measure(name, &urls(strings, &mut random)?, options)?,
            "uniform" => measure(name, &random_integers(integers, &mut random), options)?,
            "clustered" => measure(name, &clustered(integers, &mut random), options)?,
            _ => measure(name, &times(integers, &mut random), options)?,
        }
    }
    Ok(())
}

/// Names like those of packages: two to four words with hyphens.
fn names(count: usize, random: &mut Random) -> Result<ByteKeys, String> {
    let parts = words(20_000, random)?;
    Ok(made(count, random, |random, key| {
        for number in 0..2 + random.below(3) {
            let limit = random.below(parts.len()) + 1;
            key.extend_from_slice(if number > 0 { b"-" } else { b"" });
            key.extend_from_slice(parts.key(random.below(limit)));
        }
    }))
}

/// Places in towns of very different sizes.
fn clustered(count: usize, random: &mut Random) -> IntegerKeys {
    let towns: Vec<(u64, usize)> =
        (0..2000).map(|_| (random.word(), 20 + random.below(20))).collect();
    let mut keys = IntegerKeys::default();
    while keys.len() < count {
        for _ in 0..count - keys.len() {
            let (place, size) = towns[random.below(towns.len())];
            let offset = (0..4).map(|_| random.below(1 << size) as u64).sum::<u64>();
            keys.push(&place.wrapping_add(offset));
        }
        keys = keys.distinct_shuffled(Some(count), random).0;
    }
    keys
}

/// Microseconds of events at an uneven pace.
fn times(count: usize, random: &mut Random) -> IntegerKeys {
    let mut now = 1_700_000_000_000_000;
    let mut keys: Vec<u64> = (0..count)
        .map(|_| {
            let pace = 1 + random.below(14);
            now += 1 + random.below(1 << pace) as u64;
            now
        })
        .collect();
    random.shuffle(&mut keys);
    IntegerKeys(keys)
}

/// A list whose keys can be those of a map.
trait Asked: Keys {
    type Map: Key + Ord + Clone;
    type Form<'a>: KeyForm<Self::Map> + Copy;

    fn form(key: &Self::Key) -> Self::Form<'_>;
    fn owned(key: &Self::Key) -> Self::Map;
    fn tree_get(tree: &BTreeMap<Self::Map, u64>, key: &Self::Key) -> Option<u64>;
}

impl Asked for ByteKeys {
    type Map = Vec<u8>;
    type Form<'a> = &'a [u8];

    fn form(key: &[u8]) -> &[u8] {
        key
    }

    fn owned(key: &[u8]) -> Vec<u8> {
        key.to_vec()
    }

    fn tree_get(tree: &BTreeMap<Vec<u8>, u64>, key: &[u8]) -> Option<u64> {
        tree.get(key).copied()
    }
}

impl Asked for IntegerKeys {
    type Map = u64;
    type Form<'a> = u64;

    fn form(key: &u64) -> u64 {
        *key
    }

    fn owned(key: &u64) -> u64 {
        *key
    }

    fn tree_get(tree: &BTreeMap<u64, u64>, key: &u64) -> Option<u64> {
        tree.get(key).copied()
    }
}

/// A map with so many of its keys written last, and not folded.
fn filled<L: Asked>(keys: &L, in_delta: usize, seed: u64) -> Result<MemKV<L::Map, u64>, String> {
    let mut sorted = keys.sorted_positions();
    sorted.retain(|position| *position as usize >= in_delta);
    let pairs = sorted.iter().map(|position| {
        let index = *position as usize;
        (L::form(keys.key(index)), value_of(seed, index))
    });
    let options = Options { compaction: Compaction::Manual, ..Options::default() };
    let map = MemKV::from_sorted_with_options(pairs, options).map_err(|error| error.to_string())?;
    for index in 0..in_delta {
        map.put(L::form(keys.key(index)), value_of(seed, index));
    }
    Ok(map)
}

fn measure<L: Asked>(name: &str, keys: &L, options: &BenchOptions) -> Result<(), String> {
    let mut random = Random::new(options.seed ^ 1);
    let hits = keys.hits(PROBES, &mut random);
    let misses = keys.near_misses(hits.len(), &mut random);
    let mut tree = BTreeMap::new();
    for index in 0..keys.len() {
        tree.insert(L::owned(keys.key(index)), value_of(options.seed, index));
    }
    let layouts = [("base", 0, &hits), ("base, absent", 0, &misses)];
    let mixed = ("2 % in deltas", keys.len() * DELTA_PERCENT / 100, &hits);
    for (place, in_delta, probes) in layouts.into_iter().chain([mixed]) {
        let map = filled(keys, in_delta, options.seed)?;
        row(&format!("{name} | {place}"), &tree, &map, probes, options)?;
    }
    Ok(())
}

fn row<L: Asked>(
    name: &str,
    tree: &BTreeMap<L::Map, u64>,
    map: &MemKV<L::Map, u64>,
    probes: &L,
    options: &BenchOptions,
) -> Result<(), String> {
    let forms: Vec<L::Form<'_>> = (0..probes.len()).map(|at| L::form(probes.key(at))).collect();
    let sum = |sum: u64, value: Option<u64>| sum.rotate_left(1) ^ value.unwrap_or(1);
    let mut best = [f64::INFINITY; 2 + BATCHES.len()];
    let mut right = None;
    for _ in 0..options.rounds.unwrap_or(if options.quick { 2 } else { 5 }) {
        for (at, best) in best.iter_mut().enumerate() {
            let (ns, answers) = time(probes.len(), || match at {
                0 => (0..probes.len()).map(|i| L::tree_get(tree, probes.key(i))).fold(0, sum),
                1 => forms.iter().map(|form| map.get(*form)).fold(0, sum),
                _ => forms
                    .chunks(BATCHES[at - 2])
                    .fold(0, |all, keys| map.multi_get(keys).into_iter().fold(all, sum)),
            });
            *best = best.min(ns);
            if *right.get_or_insert(answers) != answers {
                return Err(format!("{name}: pass {at} answers differently"));
            }
        }
    }
    let figures: Vec<String> = best.iter().map(|ns| format!("{ns:.0}")).collect();
    let gain = |at: usize| best[1] / best[at];
    println!("| {name} | {} | {:.2} | {:.2} |", figures.join(" | "), gain(4), gain(5));
    Ok(())
}
