//! What folding key ranges one by one costs while a map grows and changes: the rate and the pauses
//! of writes, entries encoded per write, peak memory, and gets with some entries in the deltas.
//!
//! `cargo bench --bench partitions`; `-- --entries N` for other sizes, `-- --quick` for small ones. The
//! environment variable `MEMKV_MEASURE` names one of the key sets: words, URLs or uniform.
//! Wrong answers end the bench with code 1; figures never do.
#![allow(clippy::disallowed_methods, reason = "measuring needs the clock")]

mod common;

use common::alloc::{CountingAllocator, heap_count, reset_peak, start_counting};
use common::keys::{random_integers, urls, words};
use common::options::{BenchOptions, bench_main};
use common::peers::{Ours, Peer, PeerMut, Peers};
use common::probe::{Subject, load, time};
use common::random::{Random, Zipf, value_of};
use memkv::Compaction;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const ZIPF_EXPONENT: f64 = 0.99;

/// Gets in a pass.
const GETS: usize = 1_000_000;

/// Passes over each of two maps that are compared, in turns.
const GET_PASSES: usize = 7;

fn main() -> ExitCode {
    bench_main("partitions", run)
}

fn run(options: &BenchOptions) -> Result<(), String> {
    let entries = options.entries.unwrap_or(if options.quick { 30_000 } else { 1_000_000 });
    let mut random = Random::new(options.seed);
    println!("{entries} entries, random u64 values, random order");
    let is_wanted = |name| std::env::var("MEMKV_MEASURE").map_or(true, |only| only == name);
    let mut text = Vec::new();
    if is_wanted("words") {
        text.push(("words and pairs of words", words(entries, &mut random)?));
    }
    if is_wanted("URLs") {
        text.push(("URLs", urls(entries, &mut random)?));
    }
    let integers = is_wanted("uniform").then(|| random_integers(entries, &mut random));
    for (name, keys) in &text {
        println!("\n{name}");
        time_writes(keys, options.seed)?;
    }
    if let Some(integers) = &integers {
        println!("\nrandom u64");
        time_writes(integers, options.seed)?;
    }
    // Counting costs time, and cannot be stopped.
    start_counting();
    for (name, keys) in &text {
        println!("\n{name}");
        count_memory(keys, options.seed)?;
    }
    if let Some(integers) = &integers {
        println!("\nrandom u64");
        count_memory(integers, options.seed)?;
    }
    Ok(())
}

/// Loads maps in random order, folding included, and a `BTreeMap` beside them.
fn time_writes<L: Peers>(keys: &L, seed: u64) -> Result<(), String> {
    let mut tree = L::Tree::default();
    let tree_ns = load(&mut tree, keys, seed);
    drop(tree);
    println!("{:<28} {tree_ns:>7.0} ns an insert", "BTreeMap");
    for compaction in [Compaction::Background, Compaction::Inline] {
        let name = format!("MemKV, {compaction:?}");
        let mut map = L::MemKV::with_compaction(compaction);
        let (ns, ()) = time(keys.len(), || {
            load(&mut map, keys, seed);
            while map.numbers().frozen_entries > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        check(&map, keys, seed)?;
        drop(map);
        println!("{name:<28} {ns:>7.0} ns an insert, rate {:.2} of BTreeMap's", tree_ns / ns);
        print_pauses(keys, compaction, seed);
    }
    Ok(())
}

/// Times each insert, and beside that the clock of a loop that does nothing.
fn print_pauses<L: Peers>(keys: &L, compaction: Compaction, seed: u64) {
    let mut map = L::MemKV::with_compaction(compaction);
    let mut times = Vec::with_capacity(keys.len());
    let start = Instant::now();
    let mut last = start;
    for index in 0..keys.len() {
        map.insert(keys.key(index), value_of(seed, index));
        let now = Instant::now();
        times.push((now - last).as_nanos() as u64);
        last = now;
    }
    let length = last - start;
    drop(map);
    let mut longest_idle = Duration::ZERO;
    let start = Instant::now();
    let mut last = start;
    while last - start < length {
        let now = Instant::now();
        longest_idle = longest_idle.max(now - last);
        last = now;
    }
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times.get(index.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let (median, high) = (at(0.5), at(0.999));
    println!(
        "{:<28} median {median} ns, 99.9 % {:.1} us ({:.0} x), longest {:.1} ms (idle loop {:.1} ms)",
        "",
        high as f64 / 1e3,
        high as f64 / median.max(1) as f64,
        at(1.0) as f64 / 1e6,
        longest_idle.as_secs_f64() * 1e3
    );
}

/// Loads and overwrites a map, and tells what it takes, what it encodes and what gets cost.
fn count_memory<L: Peers>(keys: &L, seed: u64) -> Result<(), String> {
    let entries = keys.len().max(1) as f64;
    let before = heap_count().handed_out;
    let per_entry = |bytes: isize| (bytes - before) as f64 / entries;
    let mut tree = L::Tree::default();
    load(&mut tree, keys, seed);
    let tree_bytes = per_entry(heap_count().handed_out);
    println!("{:<28} {tree_bytes:>7.1} B/key", "BTreeMap");
    drop(tree);

    reset_peak();
    let mut map = L::MemKV::with_compaction(Compaction::Background);
    load(&mut map, keys, seed);
    map.wait_for_rest();
    let (loaded, peak) = (heap_count().handed_out, heap_count().peak);
    print_state("loaded at random", &map, per_entry(loaded), per_entry(peak), keys.len());
    let peak = (peak - before) as f64 / (loaded - before).max(1) as f64;
    println!("{:<28} peak {peak:.2} of the loaded map", "");
    print_against_folded(&map, before)?;

    let mut random = Random::new(!seed);
    let uniform = |random: &mut Random| random.below(keys.len());
    overwrite("overwritten, uniform", &mut map, keys, seed, &mut random, before, uniform);
    let zipf = Zipf::new(keys.len(), ZIPF_EXPONENT);
    let skewed = |random: &mut Random| spread(zipf.rank(random), keys.len());
    overwrite("overwritten, Zipf 0.99", &mut map, keys, seed, &mut random, before, skewed);
    // Once more, so that the deltas are as full as uniform writes leave them.
    overwrite("overwritten, uniform", &mut map, keys, seed, &mut random, before, uniform);

    print_against_folded(&map, before)?;

    map.wait_for_rest();
    let probes = keys.hits(GETS, &mut random);
    let mut ratios = Vec::new();
    let mut fastest = (f64::INFINITY, f64::INFINITY);
    for pass in 0..GET_PASSES {
        // A copy of its own each time: where one happens to be in memory makes a tenth of its gets.
        let folded = map.copy_folded()?;
        // Each of them first in turns.
        let first = (pass % 2 == 0).then(|| map.get_each(&probes).ns);
        let without = folded.get_each(&probes).ns;
        let with = first.unwrap_or_else(|| map.get_each(&probes).ns);
        ratios.push(with / without);
        fastest = (fastest.0.min(with), fastest.1.min(without));
    }
    ratios.sort_unstable_by(f64::total_cmp);
    println!(
        "{:<28} {:.0} ns with {:.2} % in deltas, {:.0} ns of a fresh copy: {:.2}, median of pairs {:.2}",
        "get",
        fastest.0,
        delta_percent(&map),
        fastest.1,
        fastest.0 / fastest.1,
        ratios[GET_PASSES / 2]
    );
    // Only the map is left then.
    drop((probes, ratios));
    map.fold_all()?;
    let compacted = heap_count().handed_out;
    print_state("after compact()", &map, per_entry(compacted), per_entry(compacted), keys.len());
    print_against_folded(&map, before)?;
    check(&map, keys, seed)
}

/// All that was handed out for a map, against what its entries take in bases that are built at once.
fn print_against_folded(map: &impl Ours, before: isize) -> Result<(), String> {
    let all = (heap_count().handed_out - before) as f64;
    let folded = map.copy_folded()?.usage();
    println!(
        "{:<28} {:.3} of the same entries in bases alone",
        "",
        all / folded.base.max(1) as f64
    );
    Ok(())
}

/// Neighbouring ranks far from each other: what is popular is spread over all keys.
fn spread(rank: usize, count: usize) -> usize {
    Random::new(rank as u64).below(count)
}

/// As many writes of drawn keys, with the values they have, as there are entries.
fn overwrite<L: Peers>(
    name: &str,
    map: &mut L::MemKV,
    keys: &L,
    seed: u64,
    random: &mut Random,
    before: isize,
    draw: impl Fn(&mut Random) -> usize,
) {
    let encoded = map.numbers().entries_encoded;
    let steady = heap_count().handed_out;
    reset_peak();
    for _ in 0..keys.len() {
        let index = draw(random);
        map.insert(keys.key(index), value_of(seed, index));
    }
    let (live, peak) = (heap_count().handed_out, heap_count().peak);
    let writes = keys.len().max(1) as f64;
    let per_entry = |bytes: isize| (bytes - before) as f64 / writes;
    print_state(name, map, per_entry(live), per_entry(peak), keys.len());
    println!(
        "{:<28} {:.2} entries encoded per write, peak {:.2} of what it took before, {:.2} of what it takes now",
        "",
        (map.numbers().entries_encoded - encoded) as f64 / writes,
        (peak - before) as f64 / (steady - before).max(1) as f64,
        (peak - before) as f64 / (live - before).max(1) as f64
    );
}

fn delta_percent(map: &impl Ours) -> f64 {
    let numbers = map.numbers();
    numbers.delta_entries as f64 * 100.0 / numbers.entries.max(1) as f64
}

fn print_state(name: &str, map: &impl Ours, bytes: f64, peak: f64, entries: usize) {
    let (numbers, usage) = (map.numbers(), map.usage());
    let part = |bytes: usize| bytes as f64 / entries.max(1) as f64;
    println!(
        "{name:<28} {bytes:>7.1} B/key (delta {:.1}, overlay {:.1}, base {:.1}), peak {peak:.1}; \
         {} partitions, {:.2} % in deltas",
        part(usage.delta + usage.frozen),
        part(usage.overlay),
        part(usage.base),
        numbers.partitions,
        delta_percent(map)
    );
}

/// Every key has its value, and there are no others.
fn check<L: Peers>(map: &L::MemKV, keys: &L, seed: u64) -> Result<(), String> {
    for index in 0..keys.len() {
        let found = black_box(map.get(keys.key(index)));
        if found != Some(value_of(seed, index)) {
            return Err(format!("key number {index} has the value {found:?}"));
        }
    }
    let entries = map.numbers().entries;
    if entries == keys.len() as u64 {
        Ok(())
    } else {
        Err(format!("{entries} entries of {}", keys.len()))
    }
}
