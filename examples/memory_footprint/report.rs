//! What is printed: the table, the bars, the goals.

use crate::arguments::Options;
use crate::common::keys::Keys;
use crate::common::probe::Passes;
use crate::measure::{Footprint, Structure};
use crate::race::{Race, Times};
use crate::source::About;

const MIB: f64 = 1_048_576.0;
const BAR_CELLS: f64 = 40.0;

/// Says what is about to be measured.
pub(crate) fn headline<L: Keys>(keys: &L, about: &About, options: &Options) {
    println!(
        "{} keys from {}, {:.1} bytes each, values of {} random bits; loaded in random order, seed {}",
        keys.len(),
        about.name,
        keys.key_bytes() as f64 / keys.len() as f64,
        options.values.bits,
        options.values.seed
    );
    about.notes.iter().for_each(|note| println!("note: {note}"));
}

/// Prints everything that was measured.
pub(crate) fn table<L: Keys>(keys: &L, about: &About, memory: &[Footprint], race: &Race) {
    let keys = keys.len() as f64;
    let tree = row(Structure::BTreeMap);
    memory_block(keys, memory, &memory[tree]);
    bars(keys, memory);
    time_block(race, &race.times[tree]);
    remarks(memory, race);
    goals(keys, about, memory);
    println!("\nchecked: all structures gave the same answers to hits, misses and scans");
}

fn row(structure: Structure) -> usize {
    let position = Structure::ALL.iter().position(|&other| other == structure);
    position.expect("every structure has a row")
}

fn memory_block(keys: f64, memory: &[Footprint], tree: &Footprint) {
    println!(
        "\n{:<18} {:>8} {:>6} {:>8} {:>6} {:>7} {:>7} {:>7} {:>9} {:>9}",
        "bytes per key",
        "all-in",
        "ratio",
        "peak",
        "ratio",
        "keys",
        "values",
        "index",
        "requested",
        "resident"
    );
    for (structure, footprint) in Structure::ALL.iter().zip(memory) {
        let part = |part: Option<f64>| {
            part.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1}", bytes / keys))
        };
        println!(
            "{:<18} {:>8.1} {:>6.2} {:>8.1} {:>6.2} {:>7} {:>7} {:>7} {:>9.1} {:>9.1}",
            structure.name(),
            footprint.all_in / keys,
            footprint.all_in / tree.all_in,
            footprint.peak / keys,
            footprint.peak / tree.peak,
            part(footprint.keys),
            part(footprint.values),
            part(footprint.index()),
            footprint.requested / keys,
            footprint.resident / keys,
        );
    }
}

fn bars(keys: f64, memory: &[Footprint]) {
    let largest = memory.iter().map(|footprint| footprint.all_in).fold(1.0, f64::max);
    println!();
    for (structure, footprint) in Structure::ALL.iter().zip(memory) {
        println!(
            "{:<18} {:<40} {:>6.1} MiB, {:.1} B/key",
            structure.name(),
            bar(footprint, largest),
            footprint.all_in / MIB,
            footprint.all_in / keys,
        );
    }
    println!("{:<18} █ keys  ▓ values  ░ index  ▒ all in one", "");
}

/// The parts of a footprint side by side, to scale.
fn bar(footprint: &Footprint, largest: f64) -> String {
    let parts = match footprint.index() {
        Some(index) => [
            ('█', footprint.keys.unwrap_or(0.0)),
            ('▓', footprint.values.unwrap_or(0.0)),
            ('░', index),
        ],
        None => [('▒', footprint.all_in), (' ', 0.0), (' ', 0.0)],
    };
    let mut drawn = String::new();
    let mut cells = 0;
    let mut bytes = 0.0;
    for (block, part) in parts {
        bytes += part;
        let end = (bytes / largest * BAR_CELLS).round().max(0.0) as usize;
        (cells..end).for_each(|_| drawn.push(block));
        cells = cells.max(end);
    }
    drawn
}

fn time_block(race: &Race, tree: &Times) {
    println!(
        "\n{:<18} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "ns (and ratio)", "get hit", "dependent", "near miss", "scan/entry", "insert"
    );
    for (structure, times) in Structure::ALL.iter().zip(&race.times) {
        println!(
            "{:<18} {:>12} {:>12} {:>12} {:>12} {:>12}",
            structure.name(),
            with_ratio(&times.hit, &tree.hit),
            with_ratio(&times.chained, &tree.chained),
            with_ratio(&times.miss, &tree.miss),
            with_ratio(&times.scan, &tree.scan),
            with_ratio(&times.insert, &tree.insert),
        );
    }
}

fn with_ratio(passes: &Passes, tree: &Passes) -> String {
    match (passes.best(), tree.best()) {
        (Some(ns), Some(of)) if ns >= 10.0 => format!("{ns:.0} {:>6.2}", ns / of),
        (Some(ns), Some(of)) => format!("{ns:.1} {:>6.2}", ns / of),
        _ => "-".to_owned(),
    }
}

fn remarks(memory: &[Footprint], race: &Race) {
    let at_rest = &memory[row(Structure::AtRest)];
    let compacted = &memory[row(Structure::Compacted)];
    println!("\nratios are to BTreeMap; times are the best pass, each pass in random order over");
    println!(
        "{} hits and {} near misses; a dependent get needs the answer",
        race.probes, race.misses
    );
    println!("of the one before. Memory was measured in one process for each structure, by");
    println!("counting what the allocator hands out (slack included) and what was requested.");
    println!("keys: heap blocks of keys in BTreeMap and HashMap, key index of MemKV's segments");
    println!("(in a delta, keys are part of the index). fst was built from sorted keys, in");
    println!("{:.0} ns a key; the others by inserts.", race.fst_build);
    println!(
        "MemKV came to rest {:.0} ms after the last insert (300 ms of it watching); compact() \
         took {:.0} ms",
        at_rest.settle_ms, compacted.settle_ms
    );
    for structure in [Structure::AtRest, Structure::Compacted, Structure::Delta] {
        let footprint = &memory[row(structure)];
        println!(
            "memory_usage() / requested bytes, {} = {:.3}",
            structure.name(),
            footprint.reported / footprint.requested
        );
    }
}

fn goals(keys: f64, about: &About, memory: &[Footprint]) {
    let tree = memory[row(Structure::BTreeMap)].all_in;
    let at_rest = memory[row(Structure::AtRest)].all_in;
    let compacted = memory[row(Structure::Compacted)].all_in;
    let delta = memory[row(Structure::Delta)].all_in;
    println!();
    goal("MemKV / BTreeMap", at_rest / tree, about.asked.ratio);
    goal("MemKV after compact() / BTreeMap", compacted / tree, None);
    goal("delta alone / BTreeMap", delta / tree, about.asked.delta_ratio);
    goal("delta alone, bytes per entry", delta / keys, about.asked.delta_bytes);
}

fn goal(name: &str, value: f64, asked: Option<f64>) {
    match asked {
        Some(asked) => {
            let verdict = if value <= asked { "met" } else { "NOT met" };
            println!("{name} = {value:.2} (asked at most {asked:.2}: {verdict})");
        }
        None => println!("{name} = {value:.2}"),
    }
}
