//! What a map of many partitions could look for a partition in: sorted keys of 1, 2, 4 or 8 bytes
//! with references of 32, 48 or 64 bits, side by side or apart, searched by halving, down a tree of
//! 16 keys a node, in the order of such halvings (Eytzinger), or from a table of leading bits on.
//!
//! `cargo bench --bench directory`; `-- --entries N` for so many partitions. A wrong answer ends the
//! bench with code 1. For instructions: `valgrind --tool=callgrind` and the inclusive counts of
//! `answers`.
#![allow(clippy::disallowed_methods, reason = "measuring needs the clock")]

mod common;

use common::keys::{KeyList, Keys, words};
use common::options::{BenchOptions, bench_main};
use common::probe::time;
use common::random::Random;
use std::hint::black_box;
use std::process::ExitCode;

/// Searches of a pass.
const PROBES: usize = 100_000;

/// Keys of a node of a tree.
const FANOUT: usize = 16;

/// What is behind the prefix of a bound, as a number that sorts as it does.
trait Key: Copy + Ord {
    const MAX: Self;
    type Bytes: Copy;

    fn of(number: u64) -> Self;
    fn number(self) -> u64;
    fn bytes(self) -> Self::Bytes;
    fn read(bytes: Self::Bytes) -> Self;
}

macro_rules! key {
    ($($number:ident),*) => {$(
        impl Key for $number {
            const MAX: Self = $number::MAX;
            type Bytes = [u8; size_of::<$number>()];

            #[inline]
            fn of(number: u64) -> Self {
                (number >> (64 - Self::BITS)) as Self
            }

            #[inline]
            fn number(self) -> u64 {
                u64::from(self) << (64 - Self::BITS)
            }

            fn bytes(self) -> Self::Bytes {
                self.to_le_bytes()
            }

            #[inline]
            fn read(bytes: Self::Bytes) -> Self {
                Self::from_le_bytes(bytes)
            }
        }
    )*};
}

key!(u8, u16, u32, u64);

/// A reference of so many bytes: here the number of the partition.
type Ref<const BYTES: usize> = [u8; BYTES];

fn reference<const R: usize>(index: usize) -> Ref<R> {
    let mut bytes = [0; R];
    let whole = index.to_le_bytes();
    bytes[..R.min(8)].copy_from_slice(&whole[..R.min(8)]);
    bytes
}

#[inline]
fn index<const R: usize>(reference: Ref<R>) -> usize {
    let mut whole = [0; 8];
    whole[..R].copy_from_slice(&reference);
    usize::from_le_bytes(whole)
}

/// Sorted keys with references, of which the last one that is not above a key is looked for.
trait Layout<K> {
    const NAME: &str;

    fn new(keys: &[K]) -> Self;

    /// The reference of the last key that is not above `key`, or of the first one.
    fn find(&self, key: K) -> usize;

    fn bytes(&self) -> usize;
}

/// Key and reference side by side, searched by halving.
struct Pairs<K: Key, const R: usize>(Vec<(K::Bytes, Ref<R>)>);

impl<K: Key, const R: usize> Layout<K> for Pairs<K, R> {
    const NAME: &str = "pairs, halving";

    fn new(keys: &[K]) -> Self {
        Self(keys.iter().enumerate().map(|(i, key)| (key.bytes(), reference(i))).collect())
    }

    #[inline]
    fn find(&self, key: K) -> usize {
        let at = self.0.partition_point(|(own, _)| K::read(*own) <= key);
        index(self.0[at.saturating_sub(1)].1)
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// Keys and references apart, searched by halving.
struct Split<K, const R: usize> {
    keys: Vec<K>,
    refs: Vec<Ref<R>>,
}

impl<K: Key, const R: usize> Layout<K> for Split<K, R> {
    const NAME: &str = "split, halving";

    fn new(keys: &[K]) -> Self {
        Self { keys: keys.to_vec(), refs: (0..keys.len()).map(reference).collect() }
    }

    #[inline]
    fn find(&self, key: K) -> usize {
        let at = self.keys.partition_point(|own| *own <= key);
        index(self.refs[at.saturating_sub(1)])
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.refs)
    }
}

/// Nodes of 16 keys: each level has the first keys of the nodes of the next one.
struct Nodes<K, const R: usize> {
    /// The root first; the last one has all keys.
    levels: Vec<Vec<[K; FANOUT]>>,
    refs: Vec<Ref<R>>,
}

/// How many of these are not above `key`.
#[inline]
fn count<K: Key>(keys: &[K; 3], key: K) -> usize {
    keys.iter().map(|own| usize::from(*own <= key)).sum()
}

impl<K: Key, const R: usize> Layout<K> for Nodes<K, R> {
    const NAME: &str = "split, 16-ary nodes";

    fn new(keys: &[K]) -> Self {
        let mut levels: Vec<Vec<[K; FANOUT]>> = Vec::new();
        let mut below = keys.to_vec();
        loop {
            let nodes = below.chunks(FANOUT).map(|chunk| {
                let mut node = [K::MAX; FANOUT];
                node[..chunk.len()].copy_from_slice(chunk);
                node
            });
            let nodes: Vec<_> = nodes.collect();
            below = nodes.iter().map(|node| node[0]).collect();
            levels.insert(0, nodes);
            if below.len() <= 1 {
                break;
            }
        }
        Self { levels, refs: (0..keys.len()).map(reference).collect() }
    }

    #[inline]
    fn find(&self, key: K) -> usize {
        let mut at = 0;
        for level in &self.levels {
            // What fills up the last nodes is not below any key but the greatest.
            let node = &level[at.min(level.len() - 1)];
            // The quarter, and the place in it: all 16 at once become emulated vectors.
            let quarter = 4 * count(&[node[4], node[8], node[12]], key);
            let rest = [node[quarter + 1], node[quarter + 2], node[quarter + 3]];
            at = at * FANOUT + quarter + count(&rest, key);
        }
        index(self.refs[at.min(self.refs.len() - 1)])
    }

    fn bytes(&self) -> usize {
        let levels = self.levels.iter().map(|level| size_of_val(&**level));
        levels.sum::<usize>() + size_of_val(&*self.refs)
    }
}

/// Keys in the order in which halvings meet them, and their references.
struct Eytzinger<K, const R: usize> {
    /// The first one is not used.
    keys: Vec<K>,
    refs: Vec<Ref<R>>,
}

impl<K: Key, const R: usize> Layout<K> for Eytzinger<K, R> {
    const NAME: &str = "split, Eytzinger";

    fn new(keys: &[K]) -> Self {
        fn fill<K: Key, const R: usize>(
            own: &mut Eytzinger<K, R>,
            keys: &[K],
            next: &mut usize,
            at: usize,
        ) {
            if at <= keys.len() {
                fill(own, keys, next, 2 * at);
                (own.keys[at], own.refs[at]) = (keys[*next], reference(*next));
                *next += 1;
                fill(own, keys, next, 2 * at + 1);
            }
        }
        let count = keys.len() + 1;
        let mut own = Self { keys: vec![K::MAX; count], refs: vec![[0; R]; count] };
        fill(&mut own, keys, &mut 0, 1);
        own
    }

    #[inline]
    fn find(&self, key: K) -> usize {
        let mut at = 1;
        while let Some(own) = self.keys.get(at) {
            at = 2 * at + usize::from(*own <= key);
        }
        // Back to where it last went right; nowhere leads to the reference before the first.
        index(self.refs[at >> (at.trailing_zeros() + 1)])
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.refs)
    }
}

/// A table of where keys with the same leading bits begin, of about as many places as keys; halving
/// goes on between two of them.
struct Table<K, const R: usize> {
    split: Split<K, R>,
    starts: Vec<u32>,
    least: u64,
    shift: u32,
}

impl<K: Key, const R: usize> Table<K, R> {
    /// Its place in the table.
    #[inline]
    fn place(&self, key: K) -> usize {
        let place = key.number().saturating_sub(self.least) >> self.shift;
        (place as usize).min(self.starts.len() - 2)
    }
}

impl<K: Key, const R: usize> Layout<K> for Table<K, R> {
    const NAME: &str = "split, table, halving";

    fn new(keys: &[K]) -> Self {
        let (least, most) = (keys[0].number(), keys[keys.len() - 1].number());
        let span = 64 - (most - least).max(1).leading_zeros();
        let shift = span.saturating_sub(keys.len().ilog2());
        let places = ((most - least) >> shift) as usize + 1;
        let mut own = Self { split: Split::new(keys), starts: vec![0; places + 1], least, shift };
        for key in keys {
            let place = own.place(*key);
            own.starts[place + 1] += 1;
        }
        for place in 0..places {
            own.starts[place + 1] += own.starts[place];
        }
        own
    }

    #[inline]
    fn find(&self, key: K) -> usize {
        let place = self.place(key);
        let (start, end) = (self.starts[place] as usize, self.starts[place + 1] as usize);
        let at = start + self.split.keys[start..end].partition_point(|own| *own <= key);
        index(self.split.refs[at.saturating_sub(1)])
    }

    fn bytes(&self) -> usize {
        self.split.bytes() + size_of_val(&*self.starts)
    }
}

/// Looks for all probes, none of which waits for the one before.
#[inline(never)]
fn answers<K: Key, L: Layout<K>>(layout: &L, probes: &[u64]) -> usize {
    probes.iter().map(|probe| layout.find(K::of(*probe))).fold(0, usize::wrapping_add)
}

/// Looks for all probes, each of which waits for the one before.
#[inline(never)]
fn answers_in_turn<K: Key, L: Layout<K>>(layout: &L, probes: &[u64]) -> usize {
    let (mut last, nothing) = (0, black_box(0));
    for probe in probes {
        // Never changes the bits that count, but nobody knows that.
        last = layout.find(K::of(probe ^ (last as u64).rotate_left(40) & nothing));
    }
    last
}

/// A row of the table.
fn measure<K: Key, L: Layout<K>>(
    numbers: &[u64],
    probes: &[u64],
    rounds: usize,
    kind: &str,
) -> Result<(), String> {
    let mut keys: Vec<K> = numbers.iter().map(|number| K::of(*number)).collect();
    keys.dedup();
    if keys.len() < numbers.len() * 99 / 100 {
        // As many do not differ in so few bytes.
        return Ok(());
    }
    let layout = L::new(&keys);
    for &probe in &probes[..probes.len().min(10_000)] {
        let expected = keys.partition_point(|own| *own <= K::of(probe)).saturating_sub(1);
        if layout.find(K::of(probe)) != expected {
            return Err(format!("{}: {probe} was not found where it is", L::NAME));
        }
    }
    let mut best = [f64::INFINITY; 2];
    for _ in 0..rounds {
        let (ns, found) = time(probes.len(), || answers::<K, L>(&layout, probes));
        black_box(found);
        best[0] = best[0].min(ns);
        let (ns, found) = time(probes.len(), || answers_in_turn::<K, L>(&layout, probes));
        black_box(found);
        best[1] = best[1].min(ns);
    }
    let bytes = layout.bytes() as f64 / keys.len() as f64;
    println!(
        "| {kind:7} | {:7} | {:21} | {} | {bytes:5.2} | {:5.1} | {:5.1} |",
        numbers.len(),
        L::NAME,
        size_of::<K>(),
        best[0],
        best[1]
    );
    Ok(())
}

/// All layouts with keys of a width and references of a width.
fn layouts<K: Key, const R: usize>(
    numbers: &[u64],
    probes: &[u64],
    rounds: usize,
    kind: &str,
) -> Result<(), String> {
    let kind = format!("{kind}, {}", 8 * R);
    measure::<K, Pairs<K, R>>(numbers, probes, rounds, &kind)?;
    measure::<K, Split<K, R>>(numbers, probes, rounds, &kind)?;
    measure::<K, Nodes<K, R>>(numbers, probes, rounds, &kind)?;
    measure::<K, Eytzinger<K, R>>(numbers, probes, rounds, &kind)?;
    measure::<K, Table<K, R>>(numbers, probes, rounds, &kind)
}

fn main() -> ExitCode {
    bench_main("directory", run)
}

fn run(options: &BenchOptions) -> Result<(), String> {
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 15 });
    let sizes = match (options.entries, options.quick) {
        (Some(size), _) => vec![size.max(2)],
        (None, true) => vec![150],
        (None, false) => vec![100, 150, 1_000, 10_000, 15_000, 100_000],
    };
    println!("| keys, bits of reference | count | layout | bytes of key | bytes | ns | in turn |");
    for size in sizes {
        let mut random = Random::new(options.seed);
        let mut numbers: Vec<u64> = (0..size).map(|_| random.word()).collect();
        numbers.sort_unstable();
        let probes: Vec<u64> = (0..PROBES).map(|_| random.word()).collect();
        // What differs in so few bytes is dense.
        let even: Vec<u64> = (0..size as u64).map(|i| u64::MAX / size as u64 * i).collect();
        layouts::<u8, 4>(&even, &probes, rounds, "even")?;
        layouts::<u16, 4>(&even, &probes, rounds, "even")?;
        layouts::<u32, 4>(&even, &probes, rounds, "even")?;
        layouts::<u64, 4>(&numbers, &probes, rounds, "random")?;
        layouts::<u64, 6>(&numbers, &probes, rounds, "random")?;
        layouts::<u64, 8>(&numbers, &probes, rounds, "random")?;
        let (numbers, probes) = heads_of_words(size, &mut random)?;
        layouts::<u64, 8>(&numbers, &probes, rounds, "words")?;
    }
    Ok(())
}

/// First bytes of evenly spread pairs of words, as numbers, and of other pairs.
fn heads_of_words(size: usize, random: &mut Random) -> Result<(Vec<u64>, Vec<u64>), String> {
    let words = words(8 * size.max(PROBES / 8), random)?;
    let head = |position: &u32| {
        let mut head = [0; 8];
        let key = words.key(*position as usize);
        let len = key.len().min(8);
        head[..len].copy_from_slice(&key[..len]);
        u64::from_le_bytes(head).swap_bytes()
    };
    let mut sorted = words.sorted_positions();
    let step = sorted.len() / size;
    let mut numbers: Vec<u64> = sorted.iter().step_by(step).take(size).map(head).collect();
    numbers.dedup();
    random.shuffle(&mut sorted);
    Ok((numbers, sorted.iter().take(PROBES).map(head).collect()))
}
