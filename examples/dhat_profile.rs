//! The heap blocks of a map, as the heap profiler `dhat` sees them: who allocates, how much at the
//! highest point, and what is there in the end.
//!
//! `cargo run --release --example dhat_profile -- --help` lists the options. The shipped words are
//! loaded in random order, first into the radix tree alone, which `compact` then folds. Keys are
//! read before the profile begins, so that all in it is the map's.

#[path = "../benches/common/mod.rs"]
mod common;

use common::keys::{ByteKeys, Keys, shipped_words};
use common::peers::{Ours, Peers};
use common::probe::load;
use common::random::Random;
use dhat::{HeapStats, Profiler};
use memkv::Compaction;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const HELP: &str = "\
A dhat profile of a map's heap: words loaded in random order, then compacted.

cargo run --release --example dhat_profile -- [FILE] [OPTIONS]

FILE is written with the profile (default: dhat-heap.json in the target folder).

Options
  --limit N                at most N of the words, drawn by the seed
  --seed S                 seed of the load order and values (default 1)
  --help                   this text
";

struct Arguments {
    profile: PathBuf,
    limit: Option<usize>,
    seed: u64,
}

impl Arguments {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let mut arguments = Self { profile: default_profile(), limit: None, seed: 1 };
        while let Some(argument) = parser.next()? {
            match argument {
                Value(path) => arguments.profile = path.into(),
                Long("limit") => arguments.limit = Some(parser.value()?.parse()?),
                Long("seed") => arguments.seed = parser.value()?.parse()?,
                Long("help") | Short('h') => {
                    print!("{HELP}");
                    std::process::exit(0);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(arguments)
    }
}

/// In the target folder, which is where this program is: `target/release/examples`.
fn default_profile() -> PathBuf {
    const NAME: &str = "dhat-heap.json";
    let program = std::env::current_exe().ok();
    let target = program.as_deref().and_then(|program| program.ancestors().nth(3));
    target.map_or_else(|| std::env::temp_dir().join(NAME), |target| target.join(NAME))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse(lexopt::Parser::from_env());
    let arguments = arguments.map_err(|error| format!("{error}; --help lists what is possible"));
    match arguments.and_then(|arguments| profile(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("dhat_profile: {message}");
            ExitCode::FAILURE
        }
    }
}

fn profile(arguments: &Arguments) -> Result<(), String> {
    let mut random = Random::new(arguments.seed);
    let (keys, _) = shipped_words().distinct_shuffled(arguments.limit, &mut random);
    check_writable(&arguments.profile)?;

    let profiler = Profiler::builder().file_name(&arguments.profile).build();
    let mut map = <ByteKeys as Peers>::MemKV::with_compaction(Compaction::Manual);
    load(&mut map, &keys, arguments.seed);
    let delta = HeapStats::get();
    map.fold_all()?;
    let end = HeapStats::get();
    // The map outlives the profiler, so that what it owns is what is there at the end.
    drop(profiler);

    let entries = map.len();
    println!("{entries} words, loaded in random order, then compacted\n");
    println!("{:34} {:>12} {:>8} {:>12}", "", "bytes", "blocks", "bytes a key");
    print_line("radix tree alone", delta.curr_bytes, delta.curr_blocks, entries);
    print_line("highest point (At t-gmax)", end.max_bytes, end.max_blocks, entries);
    print_line("compacted (At t-end)", end.curr_bytes, end.curr_blocks, entries);
    println!("{:34} {:>12} {:>8}", "all allocations (Total)", end.total_bytes, end.total_blocks);
    println!(
        "\nThe profile is {}. To see who allocated what, open dh_view.html in a browser and load \
         it;\nthat page comes with valgrind, often as /usr/libexec/valgrind/dh_view.html.",
        arguments.profile.display()
    );
    Ok(())
}

fn print_line(what: &str, bytes: usize, blocks: usize, entries: usize) {
    let each = bytes as f64 / entries.max(1) as f64;
    println!("{what:34} {bytes:>12} {blocks:>8} {each:>12.1}");
}

/// The profiler itself says on stderr only that it could not write.
fn check_writable(path: &Path) -> Result<(), String> {
    #[allow(clippy::disallowed_methods, reason = "this is no file of a map")]
    let opened = std::fs::File::create(path);
    opened.map(drop).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
