//! Saved maps: what opening costs whatever the size, saving against plain writing of as many bytes,
//! and how much of a mapped file is in memory after a few gets.
//!
//! `cargo bench --bench store`; `-- --quick` for small sizes, `--entries N` for others. Wrong
//! answers end the bench with code 1; times never do. The files are made in `TMPDIR`.
#![allow(clippy::disallowed_methods, reason = "measuring needs the clock and files")]

mod common;

use common::keys::{KeyList, Keys, shipped_words};
use common::options::{BenchOptions, bench_main, exit_code};
use common::random::{Random, value_of};
use memkv::{MemKV, Options, Residence};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const MIB: f64 = 1_048_576.0;

/// Bytes in one call of the plain write.
const PIECE: usize = 1 << 20;

/// Gets after which the memory is looked at.
const GETS: usize = 1_000;

/// Tells a child process which store to open, and how.
const CHILD: &str = "MEMKV_BENCH_STORE";

type Map = MemKV<Vec<u8>, u64>;

fn main() -> ExitCode {
    match std::env::var(CHILD) {
        Ok(told) => exit_code("store", memory_in_child(&told)),
        Err(_) => bench_main("store", run),
    }
}

fn run(options: &BenchOptions) -> Result<(), String> {
    let large = options.entries.unwrap_or(if options.quick { 20_000 } else { 5_000_000 });
    let small = (large / 100).max(1);
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 5 });
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (small_path, large_path) = (folder.path().join("small"), folder.path().join("large"));
    println!("pairs of words, random u64 values; files in {}", folder.path().display());
    let map = made(small, options.seed)?;
    map.save_to(&small_path).map_err(|error| error.to_string())?;
    let map = made(large, options.seed)?;
    map.save_to(&large_path).map_err(|error| error.to_string())?;
    saves(&map, &large_path, rounds)?;
    drop(map);
    opens(&[(small, &small_path), (large, &large_path)], rounds * 20)?;
    verifies(&large_path)?;
    memory(&large_path, large, options.seed)
}

/// Every word with as many random others behind it as it takes; in order.
fn pairs(count: usize, seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let words = shipped_words();
    let order = words.sorted_positions();
    let mut random = Random::new(seed);
    let mut firsts = 0..order.len();
    let total = order.len();
    let pairs = std::iter::from_fn(move || {
        let first = firsts.next()?;
        let before = |first: usize| first * count / total;
        let share = before(first + 1) - before(first);
        let mut seconds: Vec<usize> = (0..share).map(|_| random.below(total)).collect();
        seconds.sort_unstable();
        seconds.dedup();
        let pair = |second: usize| {
            let (first, second) =
                (words.key(order[first] as usize), words.key(order[second] as usize));
            [first, b" ", second].concat()
        };
        Some(seconds.into_iter().map(pair).collect::<Vec<_>>())
    });
    pairs.flatten()
}

fn made(count: usize, seed: u64) -> Result<Map, String> {
    let entries = pairs(count, seed).enumerate().map(|(i, key)| (key, value_of(seed, i)));
    Map::from_sorted(entries).map_err(|error| error.to_string())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let outcome = work();
    (start.elapsed(), outcome)
}

/// `save_to` and a plain write and sync of as many bytes, in turn.
fn saves(map: &Map, path: &Path, rounds: usize) -> Result<(), String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let (target, plain) = (path.with_extension("saved"), path.with_extension("plain"));
    let (mut saves, mut writes) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (time, outcome) = timed(|| map.save_to(&target));
        outcome.map_err(|error| error.to_string())?;
        saves.push(time);
        let _ = fs::remove_file(&target);
        let (time, outcome) = timed(|| write_plainly(&plain, &bytes));
        outcome.map_err(|error| error.to_string())?;
        writes.push(time);
        let _ = fs::remove_file(&plain);
    }
    let (save, write) = (median(saves), median(writes));
    let rate = |time: Duration| bytes.len() as f64 / MIB / time.as_secs_f64();
    println!(
        "\nsave_to of {} entries, {:.1} MiB: {:.0} MiB/s; plain write and sync: {:.0} MiB/s; ratio {:.2}",
        map.len(),
        bytes.len() as f64 / MIB,
        rate(save),
        rate(write),
        rate(save) / rate(write)
    );
    Ok(())
}

fn write_plainly(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    for piece in bytes.chunks(PIECE) {
        file.write_all(piece)?;
    }
    file.sync_all()
}

/// Opening and the first get, page cache warm.
fn opens(stores: &[(usize, &Path)], rounds: usize) -> Result<(), String> {
    println!("\n{:>12} {:>16} {:>16}", "entries", "open µs", "first get µs");
    let mut totals = Vec::new();
    for &(_, path) in stores {
        let probe = Map::open_read_only(path).map_err(|error| error.to_string())?;
        let (key, value) = probe.range(b"m".to_vec()..).next().ok_or("a store of words")?;
        let (mut open_times, mut get_times, mut both) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (open, map) = timed(|| Map::open(path));
            let map = map.map_err(|error| error.to_string())?;
            let (get, found) = timed(|| map.get(&key));
            if found != Some(value) {
                return Err(format!("{found:?} instead of {value}"));
            }
            open_times.push(open);
            get_times.push(get);
            both.push(open + get);
        }
        let micros = |times| median(times).as_secs_f64() * 1e6;
        println!("{:>12} {:>16.1} {:>16.1}", probe.len(), micros(open_times), micros(get_times));
        totals.push(micros(both));
    }
    if let [small, large] = totals[..] {
        println!("{:>12} {:>33.2}", "ratio", large / small);
    }
    Ok(())
}

fn verifies(path: &Path) -> Result<(), String> {
    let map = Map::open_read_only(path).map_err(|error| error.to_string())?;
    let (time, outcome) = timed(|| map.verify());
    outcome.map_err(|error| error.to_string())?;
    let options = Options { residence: Residence::Resident, ..Options::default() };
    let (resident, opened) = timed(|| Map::open_read_only_with_options(path, options));
    opened.map_err(|error| error.to_string())?;
    println!(
        "\nverify: {:.0} ms; open resident: {:.0} ms",
        time.as_secs_f64() * 1e3,
        resident.as_secs_f64() * 1e3
    );
    Ok(())
}

/// Memory of a fresh process that opens the store and makes a few gets.
fn memory(path: &Path, entries: usize, seed: u64) -> Result<(), String> {
    let len = fs::metadata(path).map_err(|error| error.to_string())?.len() as f64 / MIB;
    println!("\nmemory after open and {GETS} random gets, of a file of {len:.1} MiB");
    println!(
        "{:<22} {:>12} {:>9} {:>12} {:>9} {:>11}",
        "", "RssFile MiB", "of file", "RssAnon MiB", "get µs", "scan MiB/s"
    );
    for cache in ["warm", "cold"] {
        for residence in ["mapped", "resident"] {
            for work in ["gets", "scan"] {
                if cache == "cold" {
                    forget(path)?;
                } else {
                    fs::read(path).map(black_box).map_err(|error| error.to_string())?;
                }
                let this = std::env::current_exe().map_err(|error| error.to_string())?;
                let told =
                    format!("{cache} {residence} {work} {entries} {seed} {}", path.display());
                let child = Command::new(this).env(CHILD, told).status();
                if !child.map_err(|error| error.to_string())?.success() {
                    return Err("the child failed".to_owned());
                }
            }
        }
    }
    Ok(())
}

/// Takes a file out of the page cache.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "there is no safe way to ask for it")]
fn forget(path: &Path) -> Result<(), String> {
    use std::os::fd::AsRawFd;
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.sync_all().map_err(|error| error.to_string())?;
    // SAFETY: the descriptor is open, and the advice changes no memory.
    let refused = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if refused == 0 { Ok(()) } else { Err(format!("fadvise: {refused}")) }
}

#[cfg(not(target_os = "linux"))]
fn forget(_: &Path) -> Result<(), String> {
    Ok(())
}

/// The child: `told` is cache, residence, work, entries, seed and path.
fn memory_in_child(told: &str) -> Result<(), String> {
    let mut told = told.splitn(6, ' ');
    let mut next = || told.next().ok_or("the child is told six things");
    let (cache, residence, work) = (next()?, next()?, next()?);
    let (entries, seed, path) = (next()?, next()?, next()?);
    let seed: u64 = seed.parse().map_err(|_| "a seed is a number")?;
    // Keys that are there, spread over all of them, in random order.
    let entries: usize = entries.parse().map_err(|_| "entries are a number")?;
    let mut keys: Vec<Vec<u8>> =
        pairs(entries, seed).step_by((entries / GETS).max(1)).take(GETS).collect();
    let mut random = Random::new(!seed);
    random.shuffle(&mut keys);
    let (file_before, anon_before) = (status("RssFile"), status("RssAnon"));
    let resident = Options { residence: Residence::Resident, ..Options::default() };
    let options = if residence == "resident" { resident } else { Options::default() };
    let map = Map::open_read_only_with_options(path, options).map_err(|error| error.to_string())?;
    let len = fs::metadata(path).map_err(|error| error.to_string())?.len() as f64;
    if work == "scan" {
        let (time, sum) = timed(|| map.values().fold(0, u64::wrapping_add));
        black_box(sum);
        println!("{:>11.0}", len / MIB / time.as_secs_f64());
        return Ok(());
    }
    let (time, found) =
        timed(|| keys.iter().filter(|key| map.get(key.as_slice()).is_some()).count());
    if found < keys.len() {
        return Err(format!("{found} of {} keys are found", keys.len()));
    }
    let (file, anon) = (status("RssFile") - file_before, status("RssAnon") - anon_before);
    print!(
        "{:<22} {:>12.1} {:>8.1}% {:>12.1} {:>9.1} ",
        format!("{residence}, cache {cache}"),
        file / MIB,
        100.0 * file / len,
        anon / MIB,
        time.as_secs_f64() * 1e6 / GETS as f64
    );
    std::io::stdout().flush().map_err(|error| error.to_string())
}

/// A size that the system tells of this process, in bytes.
fn status(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0
}
