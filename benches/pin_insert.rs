//! Iterators that are open while entries are inserted: what a pair of (open an iterator and take
//! one entry, insert one entry) costs, how the delta grows, and that nobody waits for a walk.
//!
//! `cargo bench --bench pin_insert`; `-- --quick` for small sizes. Wrong walks end the bench with
//! code 1; times never do.
#![allow(clippy::disallowed_methods, reason = "measuring needs the clock")]

mod common;

use common::keys::{IntegerKeys, random_integers};
use common::options::{BenchOptions, bench_main};
use common::probe::load;
use common::random::{Random, value_of};
use memkv::{Compaction, MemKV, Options};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const MIB: f64 = 1_048_576.0;
const MODES: [(Compaction, &str); 2] = [
    (Compaction::Manual, "all in the delta (Compaction::Manual)"),
    (Compaction::Background, "folded in the background (Compaction::Background)"),
];

fn main() -> ExitCode {
    bench_main("pin_insert", run)
}

/// The map's entries before and the new ones, with the seed of the values.
struct Input {
    loaded: IntegerKeys,
    fresh: IntegerKeys,
    seed: u64,
}

fn run(options: &BenchOptions) -> Result<(), String> {
    let entries = options.entries.unwrap_or(if options.quick { 20_000 } else { 1_000_000 });
    let pairs = if options.quick { 2_000 } else { 100_000 };
    let mut random = Random::new(options.seed);
    let IntegerKeys(mut all) = random_integers(entries + pairs, &mut random);
    let fresh = IntegerKeys(all.split_off(entries));
    let input = Input { loaded: IntegerKeys(all), fresh, seed: options.seed };

    println!("{entries} random u64 entries, then {pairs} pairs of (open iterator, insert)");
    for (compaction, name) in MODES {
        println!("\n{name}");
        println!(
            "{:<30} {:>8} {:>9} {:>11} {:>12} {:>10} {:>10}",
            "iterator dropped", "pairs", "ns/pair", "used MiB", "limbo MiB", "delta MiB", "all MiB"
        );
        for habit in Habit::ALL {
            pairs_with(habit, compaction, &input)?;
        }
    }
    for (compaction, name) in MODES {
        println!("\none thread walks, one inserts; {name}");
        walk_while_inserting(compaction, &input)?;
    }
    Ok(())
}

fn loaded_map(compaction: Compaction, input: &Input) -> MemKV<u64, u64> {
    let mut map = MemKV::with_options(Options { compaction, ..Options::default() });
    load(&mut map, &input.loaded, input.seed);
    map
}

/// What a caller does with its iterators.
#[derive(Clone, Copy)]
enum Habit {
    /// Opens none: the price of the inserts alone.
    NoIterator,
    DropBeforeInsert,
    DropAfterInsert,
    /// As `DropBeforeInsert`, but one iterator opened at the start stays to the end.
    KeepFirst,
}

impl Habit {
    const ALL: [Self; 4] =
        [Self::NoIterator, Self::DropBeforeInsert, Self::DropAfterInsert, Self::KeepFirst];

    fn name(self) -> &'static str {
        match self {
            Self::NoIterator => "(none opened)",
            Self::DropBeforeInsert => "before the insert",
            Self::DropAfterInsert => "after the insert",
            Self::KeepFirst => "before; an old one stays open",
        }
    }
}

/// Runs all pairs with one habit, with a line of numbers at the start and at 10, 50 and 100 %.
fn pairs_with(habit: Habit, compaction: Compaction, input: &Input) -> Result<(), String> {
    const STOPS_PERCENT: [usize; 3] = [10, 50, 100];
    let map = loaded_map(compaction, input);
    let first = match habit {
        Habit::KeepFirst => {
            let mut iterator = map.iter();
            let entry = iterator.next();
            Some((iterator, entry))
        }
        _ => None,
    };
    print_line(habit.name(), 0, None, &map);
    let mut done = 0;
    for percent in STOPS_PERCENT {
        let stop = input.fresh.0.len() * percent / 100;
        let start = Instant::now();
        for (index, key) in input.fresh.0.iter().enumerate().take(stop).skip(done) {
            one_pair(habit, &map, *key, value_of(!input.seed, index));
        }
        let ns = start.elapsed().as_nanos() as f64 / (stop - done).max(1) as f64;
        done = stop;
        print_line("", stop, Some(ns), &map);
    }
    if let Some((iterator, entry)) = first {
        // Opened before the first pair: it must see what the map held then, and nothing newer.
        let seen = iterator.count() + usize::from(entry.is_some());
        if seen != input.loaded.0.len() {
            return Err(format!(
                "wrong walk: an iterator opened over {} entries yields {seen} after inserts",
                input.loaded.0.len()
            ));
        }
    }
    Ok(())
}

fn one_pair(habit: Habit, map: &MemKV<u64, u64>, key: u64, value: u64) {
    match habit {
        Habit::NoIterator => drop(black_box(map.insert(key, value))),
        Habit::DropBeforeInsert | Habit::KeepFirst => {
            black_box(map.iter().next());
            black_box(map.insert(key, value));
        }
        Habit::DropAfterInsert => {
            let mut iterator = map.iter();
            black_box(iterator.next());
            black_box(map.insert(key, value));
            drop(iterator);
        }
    }
}

fn print_line(name: &str, pairs: usize, ns: Option<f64>, map: &MemKV<u64, u64>) {
    let (stats, usage) = (map.stats(), map.memory_usage());
    println!(
        "{name:<30} {pairs:>8} {:>9} {:>11.2} {:>12.2} {:>10.2} {:>10.2}",
        ns.map_or_else(|| "-".to_owned(), |ns| format!("{ns:.0}")),
        stats.delta_used_bytes as f64 / MIB,
        stats.delta_limbo_bytes as f64 / MIB,
        usage.delta as f64 / MIB,
        usage.total() as f64 / MIB,
    );
}

/// Walks alone, inserts alone, then both at once, and what an idle loop sees of this machine.
fn walk_while_inserting(compaction: Compaction, input: &Input) -> Result<(), String> {
    let map = loaded_map(compaction, input);
    let entries = input.loaded.0.len();
    let keys = &input.fresh;
    let mut walks = walk_often(&map, entries, entries)?;
    print_times("a walk, alone", &mut walks);
    let mut inserts = insert_rounds(&map, keys, input.seed, || true);
    print_times("an insert, alone", &mut inserts);

    let map = loaded_map(compaction, input);
    let (walks, mut inserts) = std::thread::scope(|scope| {
        let walker = scope.spawn(|| walk_often(&map, entries, entries + keys.0.len()));
        let inserts = insert_rounds(&map, keys, input.seed, || walker.is_finished());
        (walker.join(), inserts)
    });
    let mut walks = walks.map_err(|_| "the walking thread panicked".to_owned())??;
    print_times("a walk, beside inserts", &mut walks);
    print_times("an insert, beside walks", &mut inserts);
    let inserting = inserts.iter().sum();
    print_times("a turn of an idle loop", &mut idle_turns(inserting));
    Ok(())
}

fn walk_often(
    map: &MemKV<u64, u64>,
    at_least: usize,
    at_most: usize,
) -> Result<Vec<Duration>, String> {
    const WALKS: usize = 5;
    (0..WALKS).map(|_| walk(map, at_least, at_most)).collect()
}

/// Walks over everything in ascending order; how long it took.
fn walk(map: &MemKV<u64, u64>, at_least: usize, at_most: usize) -> Result<Duration, String> {
    let start = Instant::now();
    let mut entries = 0;
    let mut last = None;
    for (key, value) in map {
        if last.is_some_and(|last| last >= key) {
            return Err(format!("wrong walk: key {key} does not come after its predecessor"));
        }
        last = Some(key);
        black_box(value);
        entries += 1;
    }
    if !(at_least..=at_most).contains(&entries) {
        return Err(format!("wrong walk: {entries} entries, not {at_least} to {at_most}"));
    }
    Ok(start.elapsed())
}

/// Inserts all keys, and again with new values until `enough`; how long each insert took.
fn insert_rounds(
    map: &MemKV<u64, u64>,
    keys: &IntegerKeys,
    seed: u64,
    enough: impl Fn() -> bool,
) -> Vec<Duration> {
    let mut times = Vec::new();
    loop {
        times.reserve(keys.0.len());
        let mut start = Instant::now();
        for key in &keys.0 {
            black_box(map.insert(*key, value_of(seed, times.len())));
            let end = Instant::now();
            times.push(end - start);
            start = end;
        }
        if enough() {
            return times;
        }
    }
}

/// How long the clock stood away from a loop that does nothing else: the machine's own pauses.
fn idle_turns(length: Duration) -> Vec<Duration> {
    const MOST_TURNS: usize = 1 << 22;
    let mut times = Vec::with_capacity(MOST_TURNS);
    let start = Instant::now();
    let mut last = start;
    while last - start < length && times.len() < MOST_TURNS {
        let now = Instant::now();
        times.push(now - last);
        last = now;
    }
    times
}

fn print_times(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        let time = times.get(index.min(times.len().saturating_sub(1)));
        time.copied().unwrap_or_default()
    };
    println!(
        "{name:<26} {:>8} times, median {:>10.1?}, 99.9 % {:>10.1?}, longest {:>10.1?}",
        times.len(),
        at(0.5),
        at(0.999),
        at(1.0)
    );
}
