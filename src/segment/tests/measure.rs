//! What a segment costs beside what else could hold the keys: figures, not a pass or a failure.
//!
//! `cargo test --release --lib segment::tests::measure -- --ignored --nocapture`; the environment
//! variable `MEMKV_MEASURE` names one of the key sets, `MEMKV_MEASURE_KEYS` the number of keys of those
//! that are made, and `MEMKV_MEASURE_LINES` a file whose lines are one more set, "lines"; with
//! `MEMKV_MEASURE_BUILDS`, nothing but builds is measured.

use super::*;
use crate::batch::{Batch, Widths};
use crate::directory::Directory;
use crate::partition::Partition;
use crate::range::Direction;
use crate::sync::Arc;
use crate::testing::rng::Rng;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

/// Keys of a made set, if nobody says how many.
const KEYS: usize = 1_000_000;

/// The number of keys that the environment asks for.
pub(super) fn wanted_keys() -> Option<usize> {
    std::env::var("MEMKV_MEASURE_KEYS").ok().and_then(|keys| keys.parse().ok())
}

/// Gets of a pass.
const PROBES: usize = 300_000;

/// Passes, of which the best counts.
const PASSES: usize = 3;

#[expect(clippy::disallowed_methods, reason = "a measurement")]
pub(super) fn time<R>(items: usize, work: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_nanos() as f64 / items as f64, result)
}

pub(super) fn best(items: usize, mut work: impl FnMut() -> u64) -> f64 {
    (0..PASSES).map(|_| time(items, || black_box(work())).0).fold(f64::INFINITY, f64::min)
}

/// What `build` makes, as [`time`] has it, and what it takes in bytes for each item: it runs in a thread of its own,
/// to which the allocator gives none of the memory that has been used and freed before.
pub(super) fn apart<R: Send>(items: usize, build: impl FnOnce() -> R + Send) -> (f64, (f64, R)) {
    let before = resident();
    let built = std::thread::scope(|scope| scope.spawn(|| time(items, build)).join());
    let built = built.expect("no panic");
    ((resident() - before) / items as f64, built)
}

/// Memory of the process that is in use, in bytes.
fn resident() -> f64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

/// Keys one after the other in memory, in the order they are asked for.
struct Probes {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Probes {
    fn new<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut probes = Self { bytes: vec![], ends: vec![0] };
        for key in keys {
            probes.bytes.extend_from_slice(key);
            probes.ends.push(probes.bytes.len() as u32);
        }
        probes
    }

    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    fn key(&self, i: usize) -> &[u8] {
        &self.bytes[self.ends[i] as usize..self.ends[i + 1] as usize]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.key(i))
    }
}

fn syllables(rng: &mut Rng, count: usize) -> String {
    const SYLLABLES: [&str; 40] = [
        "an", "ber", "co", "den", "el", "fi", "gra", "hel", "in", "jo", "ka", "lo", "mar", "net",
        "or", "pa", "qui", "ro", "ser", "tal", "un", "ver", "wi", "xen", "yo", "za", "tion", "ing",
        "log", "data", "lib", "core", "sub", "test", "er", "al", "ous", "ment", "ity", "ish",
    ];
    (0..count).map(|_| SYLLABLES[rng.below(SYLLABLES.len())]).collect()
}

/// Names like those of packages: one to three words of a vocabulary, with hyphens.
fn names(rng: &mut Rng, count: usize) -> Vec<Vec<u8>> {
    let words: Vec<String> = (0..30_000).map(|i| syllables(rng, 1 + i % 3)).collect();
    let mut keys = BTreeSet::new();
    while keys.len() < count {
        let parts = (0..=rng.below(3)).map(|_| words[skewed(rng, words.len())].as_str());
        keys.insert(parts.collect::<Vec<_>>().join("-").into_bytes());
    }
    keys.into_iter().collect()
}

/// A number below `end`, small ones more often.
fn skewed(rng: &mut Rng, end: usize) -> usize {
    let first = rng.below(end);
    rng.below(first + 1)
}

fn paths(rng: &mut Rng, count: usize, root: &str, depth: usize) -> Vec<Vec<u8>> {
    let words: Vec<String> = (0..4000).map(|i| syllables(rng, 2 + i % 3)).collect();
    let folders: Vec<String> = (0..20_000)
        .map(|_| {
            let mut path = root.to_owned();
            for level in 0..depth {
                let choice = skewed(rng, [40, 200, 1000, 4000][level.min(3)]);
                path.push_str(&words[choice]);
                path.push('/');
            }
            path
        })
        .collect();
    let mut keys = BTreeSet::new();
    while keys.len() < count {
        let mut key = folders[skewed(rng, folders.len())].clone();
        let name = &words[rng.below(words.len())];
        write!(key, "{name}-{}.html", rng.below(10_000)).expect("a string");
        keys.insert(key.into_bytes());
    }
    keys.into_iter().collect()
}

fn hosts(rng: &mut Rng, count: usize) -> Vec<Vec<u8>> {
    let hosts: Vec<String> = (0..20_000).map(|i| syllables(rng, 2 + i % 4)).collect();
    let words: Vec<String> = (0..4000).map(|i| syllables(rng, 2 + i % 3)).collect();
    let mut keys = BTreeSet::new();
    while keys.len() < count {
        let mut key = format!("https://www.{}.com/", hosts[skewed(rng, hosts.len())]);
        for _ in 0..=1 + rng.below(3) {
            write!(key, "{}/", words[skewed(rng, words.len())]).expect("a string");
        }
        let word = &words[rng.below(words.len())];
        write!(key, "{word}?id={}", rng.below(1_000_000)).expect("a string");
        keys.insert(key.into_bytes());
    }
    keys.into_iter().collect()
}

/// The file of lines that the environment names.
#[expect(clippy::disallowed_methods, reason = "what is measured may be anywhere")]
fn named_lines() -> Option<Vec<u8>> {
    let file = std::env::var_os("MEMKV_MEASURE_LINES")?;
    Some(fs::read(file).expect("a file of lines"))
}

/// The lines of a text that are not empty.
fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut lines: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn hashes(rng: &mut Rng, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| rng.bytes(32)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Gets, of which each has to wait for the one before, and which do not.
fn gets(probes: &Probes, get: impl Fn(&[u8]) -> Option<u64>) -> (f64, f64) {
    let dependent = best(probes.len(), || {
        let (mut sum, mut i) = (0u64, 0);
        while i + 1 < probes.len() {
            // Never true, but nobody knows that before the answer is there.
            let late = usize::from(sum == u64::MAX);
            sum = sum.wrapping_add(get(probes.key(i + late)).unwrap_or(1)) & (u64::MAX >> 1);
            i += 1 + late;
        }
        sum
    });
    let independent = best(probes.len(), || {
        probes.iter().map(|key| get(key).unwrap_or(1)).fold(0, u64::wrapping_add)
    });
    (dependent, independent)
}

fn row(name: &str, bytes: f64, hit: (f64, f64), miss: (f64, f64), scans: [f64; 3], build: f64) {
    let [hundred, up, down] = scans;
    println!(
        "| {name:12} | {bytes:6.2} | {:5.0} | {:5.0} | {:5.0} | {:5.0} | {hundred:6.0} | {up:5.1} | \
         {down:5.1} | {build:5.0} |",
        hit.0, hit.1, miss.0, miss.1
    );
}

/// A segment of these keys, with values that are not packed.
fn build(keys: &[&[u8]], choice: CodecChoice) -> Segment {
    let bump = Bump::new();
    let mut builder = SegmentBuilder::new(ValueWidth::Fixed(8), &bump, choice).expect("memory");
    for (i, key) in keys.iter().enumerate() {
        let value = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let entry = Entry::value(ValueRef::Inline(&value), Below::Absent);
        builder.push(key, entry).expect("sorted");
    }
    builder.finish().expect("memory")
}

fn measure_segment(
    keys: &[Vec<u8>],
    hits: &Probes,
    misses: &Probes,
    choice: CodecChoice,
    part: usize,
) {
    // One after the other in memory: scattered keys would cost more than what is built of them.
    let sorted = Probes::new(keys.iter().map(Vec::as_slice));
    let sorted: Vec<&[u8]> = sorted.iter().collect();
    let (build_ns, segments) = time(keys.len(), || {
        sorted.chunks(part).map(|keys| build(keys, choice)).collect::<Vec<_>>()
    });
    // A map finds a segment by this too; what else its partitions have is not needed for it.
    let blank = || Arc::new(Partition::new(ValueWidth::Fixed(8)));
    let starts = keys.chunks(part).skip(1).map(|keys| (Box::from(&*keys[0]), blank()));
    let first = std::iter::once((Box::default(), blank()));
    let directory = Directory::new(first.chain(starts).collect());
    let place = |key: &[u8]| if segments.len() == 1 { 0 } else { directory.position(key) };
    let get = |key: &[u8]| {
        let segment = &segments[place(key)];
        let buf = ValueBuf::default();
        let value = segment.get(key, &buf).expect("sound")?.live()?;
        value.first_chunk().map(|value| u64::from_le_bytes(*value))
    };
    for (i, key) in keys.iter().enumerate().step_by(97) {
        assert_eq!(get(key), Some(((i % part) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    }
    assert!(misses.iter().all(|key| get(key).is_none()));
    let mut cursors: Vec<_> = segments.iter().map(SegmentCursor::new).collect();
    let seeks = hits.len() / 30;
    let hundred = best(seeks, || {
        let mut sum = 0;
        for key in hits.iter().take(seeks) {
            let cursor = &mut cursors[place(key)];
            cursor.seek(key);
            sum += walked(cursor, Direction::Forward, 100);
        }
        sum
    });
    let mut scan = |direction| {
        best(keys.len(), || {
            let mut sum = 0;
            for cursor in &mut cursors {
                match direction {
                    Direction::Forward => cursor.first(),
                    Direction::Backward => cursor.last(),
                }
                sum += walked(cursor, direction, usize::MAX);
            }
            sum
        })
    };
    let scans = [hundred, scan(Direction::Forward), scan(Direction::Backward)];
    let bytes = segments.iter().map(Segment::heap_bytes).sum::<usize>() as f64 / keys.len() as f64;
    let name =
        format!("{}{}", segments[0].stats().codec, if part < keys.len() { " 64Ki" } else { "" });
    row(&name, bytes, gets(hits, get), gets(misses, get), scans, build_ns);
    let stats = segments[0].stats();
    println!("    key bytes {:.2}", stats.key_bytes as f64 / stats.entries as f64);
}

/// Bytes of so many entries from the one on that a cursor stands on, as a map over one segment walks over them.
fn walked(cursor: &mut SegmentCursor<&Segment>, direction: Direction, most: usize) -> u64 {
    let (mut batch, widths) = (Batch::new(true), Widths::new(16, Some(8)));
    let (mut sum, mut left) = (0, most);
    let bytes = |key: &[u8], value: &[u8]| key.len() as u64 + value.len() as u64;
    while cursor.valid() && left > 0 {
        sum += bytes(cursor.key(), cursor.entry().value.as_slice());
        left -= 1;
        while left > 0
            && matches!(cursor.copy_next(direction, &mut batch, |_| true), Some(Ok(true)))
        {
            while left > 0
                && let Some(i) = batch.advance(direction)
            {
                sum += batch.with_entry(i, widths, bytes);
                left -= 1;
            }
        }
        match direction {
            Direction::Forward => cursor.next(),
            Direction::Backward => cursor.prev(),
        }
    }
    sum
}

fn measure_tree(
    name: &str,
    hits: &Probes,
    misses: &Probes,
    count: usize,
    build: impl FnOnce() -> BTreeMap<Vec<u8>, u64> + Send,
) -> BTreeMap<Vec<u8>, u64> {
    let (bytes, (build, map)) = apart(count, build);
    let get = |key: &[u8]| map.get(key).copied();
    let seeks = hits.len() / 30;
    let hundred = best(seeks, || {
        let mut sum = 0;
        for key in hits.iter().take(seeks) {
            for (key, value) in map
                .range::<[u8], _>((std::ops::Bound::Included(key), std::ops::Bound::Unbounded))
                .take(100)
            {
                sum += key[0] as u64 + value;
            }
        }
        sum
    });
    let up = best(count, || map.iter().map(|(key, value)| key[0] as u64 + value).sum());
    let down = best(count, || map.iter().rev().map(|(key, value)| key[0] as u64 + value).sum());
    row(name, bytes, gets(hits, get), gets(misses, get), [hundred, up, down], build);
    map
}

fn measure_trees(keys: &[Vec<u8>], hits: &Probes, misses: &Probes, rng: &mut Rng) {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, rng.below(i + 1));
    }
    // Kept, or the next one would be put where it was, and not be counted.
    let random = measure_tree("BTreeMap", hits, misses, keys.len(), || {
        order.iter().fold(BTreeMap::new(), |mut map, &i| {
            map.insert(keys[i].clone(), i as u64);
            map
        })
    });
    drop(order);
    // One key after the other in memory too, which is the best that may happen to it.
    measure_tree("BTreeMap bulk", hits, misses, keys.len(), || {
        keys.iter().cloned().zip(0..).collect()
    });
    drop(random);
    let sorted: Vec<(&[u8], u64)> =
        keys.iter().zip(0..).map(|(key, value)| (key.as_slice(), value)).collect();
    let get =
        |key: &[u8]| sorted.binary_search_by(|probe| probe.0.cmp(key)).ok().map(|i| sorted[i].1);
    let len = keys.iter().map(Vec::len).sum::<usize>() as f64 / keys.len() as f64;
    row("sorted Vec", len + 24.0, gets(hits, get), gets(misses, get), [0.0; 3], 0.0);
    println!("    mean length {len:.1}");
}

fn measure(name: &str, keys: &[Vec<u8>], rng: &mut Rng) {
    if std::env::var("MEMKV_MEASURE").is_ok_and(|only| only != name) {
        return;
    }
    measure_builds(name, keys);
    if std::env::var_os("MEMKV_MEASURE_BUILDS").is_none() {
        measure_rest(name, keys, rng);
    }
}

/// Nanoseconds a key to build segments of all keys, of 65,536 and of as many as a partition of such text
/// has: the best of a few passes, since the first one waits for memory that the machine has not given out before.
fn measure_builds(name: &str, keys: &[Vec<u8>]) {
    let sorted = Probes::new(keys.iter().map(Vec::as_slice));
    let sorted: Vec<&[u8]> = sorted.iter().collect();
    println!("\n{name}, {} keys; ns a key to build: all, 65,536, 8,192", keys.len());
    for choice in [
        CodecChoice::Front,
        CodecChoice::Symbols,
        CodecChoice::Automatic,
        CodecChoice::Direct,
        CodecChoice::DirectSymbols,
    ] {
        let parts = [keys.len(), 1 << 16, 1 << 13].map(|part| {
            let once = || sorted.chunks(part).map(|keys| build(keys, choice).heap_bytes() as u64);
            let passes = (BUILT_KEYS / keys.len()).clamp(2, 50);
            let pass = |_| time(keys.len(), || black_box(once().sum::<u64>())).0;
            (0..passes).map(pass).fold(f64::INFINITY, f64::min)
        });
        println!("| {choice:?} | {:.1} | {:.1} | {:.1} |", parts[0], parts[1], parts[2]);
    }
}

/// Keys of the builds of a measurement, about.
const BUILT_KEYS: usize = 5_000_000;

fn measure_rest(name: &str, keys: &[Vec<u8>], rng: &mut Rng) {
    let sample: Vec<usize> = (0..PROBES).map(|_| rng.below(keys.len())).collect();
    let hits = Probes::new(sample.iter().map(|&i| keys[i].as_slice()));
    let near: Vec<Vec<u8>> = sample
        .iter()
        .map(|&i| {
            let mut key = keys[i].clone();
            let at = key.len() - 1 - rng.below(key.len().min(3));
            key[at] ^= 1 + rng.below(7) as u8;
            key
        })
        .filter(|key| keys.binary_search(key).is_err())
        .collect();
    let misses = Probes::new(near.iter().map(Vec::as_slice));
    println!("\n{name}, {} keys; ns (dependent, independent), B a key with value", keys.len());
    println!("| | B | hit | ind | miss | ind | lb+100 | up | down | build |");
    measure_trees(keys, &hits, &misses, rng);
    let all = keys.len();
    for (choice, part) in [
        (CodecChoice::Front, all),
        (CodecChoice::Front, 1 << 16),
        (CodecChoice::Symbols, all),
        (CodecChoice::Symbols, 1 << 16),
        (CodecChoice::Automatic, 1 << 16),
        (CodecChoice::Smallest, 1 << 16),
        (CodecChoice::Direct, all),
        (CodecChoice::Direct, 1 << 16),
        (CodecChoice::DirectSymbols, all),
        (CodecChoice::DirectSymbols, 1 << 16),
        (CodecChoice::Fastest, 1 << 16),
        (CodecChoice::Fst, all),
    ] {
        measure_segment(keys, &hits, &misses, choice, part);
    }
}

#[test]
#[ignore = "a measurement of a minute"]
fn figures_of_segments_beside_those_of_other_maps() {
    let mut rng = Rng::new(20_261_121);
    let count = wanted_keys().unwrap_or(KEYS);
    if let Some(text) = named_lines() {
        measure("lines", &lines(&text), &mut rng);
    }
    measure("words", &lines(include_bytes!("../../../benches/data/words.txt")), &mut rng);
    let keys = names(&mut rng, count);
    measure("names", &keys, &mut rng);
    let keys = hosts(&mut rng, count);
    measure("urls", &keys, &mut rng);
    let keys = paths(&mut rng, count, "/data/someone/home/projects/", 4);
    measure("paths", &keys, &mut rng);
    let keys = hashes(&mut rng, count);
    measure("hashes", &keys, &mut rng);
}
