//! How much memory MemKV takes for real keys, and how fast it is, beside `BTreeMap`, `HashMap`
//! and `fst::Map`.
//!
//! `cargo run --release --example memory_footprint -- --help` lists the sources of keys. Memory
//! is measured in one process for each structure, times in one process for all of them. Every
//! structure must give the same answers; a difference ends the program with code 1.
#![allow(clippy::disallowed_methods, reason = "measuring needs the clock")]

mod arguments;
#[path = "../../benches/common/mod.rs"]
mod common;
mod measure;
mod race;
mod report;
mod source;

use arguments::Arguments;
use common::alloc::CountingAllocator;
use common::peers::Peers;
use common::random::Random;
use indicatif::{ProgressBar, ProgressStyle};
use measure::Structure;
use source::{About, KeySet};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let outcome = Arguments::from_command_line().and_then(|arguments| match arguments {
        Arguments::Measure(structure) => measure::child(structure),
        Arguments::Compare(options) => {
            let mut random = Random::new(options.values.seed);
            match source::load(&options, &mut random)? {
                (KeySet::Bytes(keys), about) => compare(&keys, &about, &options, &mut random),
                (KeySet::Integers(keys), about) => compare(&keys, &about, &options, &mut random),
            }
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("memory_footprint: {message}");
            ExitCode::FAILURE
        }
    }
}

fn compare<L: Peers + source::Packed>(
    keys: &L,
    about: &About,
    options: &arguments::Options,
    random: &mut Random,
) -> Result<(), String> {
    if keys.len() == 0 {
        return Err("there are no keys to load".to_owned());
    }
    report::headline(keys, about, options);
    let progress = progress_bar(Structure::ALL.len() + race::steps(options.passes));
    let mut memory = Vec::new();
    for structure in Structure::ALL {
        progress.set_message(format!("memory of {}", structure.name()));
        memory.push(measure::in_child_process(structure, keys, options.values)?);
        progress.inc(1);
    }
    let times = race::run(keys, options, random, &progress)?;
    progress.finish_and_clear();
    report::table(keys, about, &memory, &times);
    Ok(())
}

/// A bar on stderr; nothing where that is no terminal.
fn progress_bar(steps: usize) -> ProgressBar {
    const TEMPLATE: &str = "{bar:30} {pos}/{len} {msg}";
    let bar = ProgressBar::new(steps as u64);
    match ProgressStyle::with_template(TEMPLATE) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
