//! What a segment of numbers costs beside a `BTreeMap<u64, u64>`: figures, not a pass or a failure.
//!
//! `cargo test --release --lib segment::tests::measure_ints -- --ignored --nocapture`; the environment
//! variable `MEMKV_MEASURE` names one of the key sets, and `MEMKV_MEASURE_KEYS` their number of keys.

use super::measure::{apart, best, time, wanted_keys};
use super::*;
use crate::testing::rng::Rng;
use std::hint::black_box;

/// Gets of a pass.
const PROBES: usize = 300_000;

/// Entries of a segment, as a map has them.
const PART: usize = 1 << 16;

/// A number around 0 that is normally distributed, with deviation 1.
fn normal(rng: &mut Rng) -> f64 {
    let uniform = (0..12).map(|_| rng.next_u64() as f64 / u64::MAX as f64);
    uniform.sum::<f64>() - 6.0
}

fn sorted(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn uniform(rng: &mut Rng, keys: usize) -> Vec<u64> {
    sorted((0..keys).map(|_| rng.next_u64()))
}

/// Identifiers, of which one in ten has been deleted.
fn dense(rng: &mut Rng, keys: usize) -> Vec<u64> {
    (0..keys as u64 * 10 / 9).filter(|_| !rng.one_in(10)).collect()
}

fn lognormal(rng: &mut Rng, keys: usize) -> Vec<u64> {
    sorted((0..keys).map(|_| ((2.0 * normal(rng)).exp() * 1e9) as u64))
}

/// Cells of a map: towns of very different sizes, with streets that are full of neighbours.
fn cells(rng: &mut Rng, keys: usize) -> Vec<u64> {
    let towns: Vec<(u64, u32)> =
        (0..2000).map(|_| (rng.next_u64(), 24 + rng.below(16) as u32)).collect();
    sorted((0..keys / 4).flat_map(|_| {
        let town = rng.below(towns.len());
        let (place, size) = towns[rng.below(town + 1)];
        let street = place.wrapping_add((normal(rng) * (1u64 << size) as f64) as i64 as u64);
        (0..4u64).map(move |house| street.wrapping_add(house << 10)).collect::<Vec<_>>()
    }))
}

/// Microseconds of events that come in bursts.
fn bursts(rng: &mut Rng, keys: usize) -> Vec<u64> {
    let (mut now, mut left) = (1_700_000_000_000_000u64, 0);
    (0..keys)
        .map(|_| {
            if left == 0 {
                left = rng.log_below(10_000);
                now += rng.log_below(1 << 32) as u64;
            } else {
                left -= 1;
            }
            now += 1 + rng.log_below(1000) as u64;
            now
        })
        .collect()
}

/// Milliseconds of a reading each second, not quite on time.
fn clock(rng: &mut Rng, keys: usize) -> Vec<u64> {
    (0..keys as u64).map(|i| 1_700_000_000_000 + i * 1000 + rng.below(20) as u64).collect()
}

fn shuffled<T: Copy>(rng: &mut Rng, items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    for i in (1..items.len()).rev() {
        items.swap(i, rng.below(i + 1));
    }
    items
}

/// Gets, of which each has to wait for the one before, and which do not.
fn gets(probes: &[u64], get: impl Fn(u64) -> Option<u64>) -> (f64, f64) {
    let dependent = best(probes.len(), || {
        let mut last = 0;
        for &probe in probes {
            // Never changes the probe, but nobody knows that before the answer is there.
            let late = u64::from(last == u64::MAX - 1);
            last = get(probe ^ late).unwrap_or(1);
        }
        last
    });
    let independent = best(probes.len(), || {
        probes.iter().map(|probe| get(*probe).unwrap_or(1)).fold(0, u64::wrapping_add)
    });
    (dependent, independent)
}

struct Row {
    name: String,
    bytes: f64,
    hit: (f64, f64),
    miss: (f64, f64),
    hundred: f64,
    up: f64,
    down: f64,
    build: f64,
}

impl Row {
    fn print(&self) {
        let Self { name, bytes, hit, miss, hundred, up, down, build } = self;
        println!(
            "| {name:10} | {bytes:6.2} | {:5.0} | {:5.0} | {:5.0} | {:5.0} | {hundred:6.0} | {up:5.1} \
             | {down:5.1} | {build:5.0} |",
            hit.0, hit.1, miss.0, miss.1
        );
    }
}

#[expect(clippy::big_endian_bytes, reason = "the order of keys is that of their first bytes")]
fn key_of(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

fn value_of(i: usize) -> u64 {
    (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn measure_segments(
    numbers: &[u64],
    hits: &[u64],
    misses: &[u64],
    choice: CodecChoice,
    part: usize,
) {
    let mut at = 0;
    let mut build = |numbers: &[u64]| {
        let bump = Bump::new();
        let mut builder = SegmentBuilder::new(ValueWidth::Fixed(8), &bump, choice).expect("memory");
        for number in numbers {
            let value = value_of(at).to_le_bytes();
            at += 1;
            let entry = Entry::value(ValueRef::Inline(&value), Below::Absent);
            builder.push(&key_of(*number), entry).expect("sorted");
        }
        builder.finish().expect("memory")
    };
    let (build_ns, segments) =
        time(numbers.len(), || numbers.chunks(part).map(&mut build).collect::<Vec<_>>());
    let starts: Vec<u64> = numbers.chunks(part).map(|part| part[0]).collect();
    let place = |number: u64| starts.partition_point(|start| *start <= number).saturating_sub(1);
    let get = |number: u64| {
        let segment = &segments[place(number)];
        let buf = ValueBuf::default();
        let entry = segment.get(&key_of(number), &buf).expect("sound")?;
        let value = entry.live()?;
        value.first_chunk().map(|value| u64::from_le_bytes(*value))
    };
    for (i, number) in numbers.iter().enumerate() {
        assert_eq!(get(*number), Some(value_of(i)));
    }
    assert!(misses.iter().all(|number| get(*number).is_none()));
    let mut cursors: Vec<_> = segments.iter().map(SegmentCursor::new).collect();
    let seeks = hits.len() / 30;
    let hundred = best(seeks, || {
        let mut sum = 0;
        for number in hits.iter().take(seeks) {
            let cursor = &mut cursors[place(*number)];
            cursor.seek(&key_of(*number));
            for _ in 0..100 {
                if !cursor.valid() {
                    break;
                }
                sum += u64::from(cursor.key()[7]) + cursor.entry().value.as_slice().len() as u64;
                cursor.next();
            }
        }
        sum
    });
    let mut scan = |is_up: bool| {
        best(numbers.len(), || {
            let mut sum = 0;
            for cursor in &mut cursors {
                if is_up {
                    cursor.first();
                } else {
                    cursor.last();
                }
                while cursor.valid() {
                    let value = cursor.entry().value.as_slice();
                    sum += u64::from(cursor.key()[7]) + u64::from(value[0]);
                    if is_up { cursor.next() } else { cursor.prev() }
                }
            }
            sum
        })
    };
    let (up, down) = (scan(true), scan(false));
    let bytes = segments.iter().map(Segment::heap_bytes).sum::<usize>() as f64;
    let mut unpacked = [0; 64];
    let decode = best(numbers.len(), || {
        let mut sum = 0;
        for segment in &segments {
            if let Ok(Keys::Int(keys)) = segment.keys() {
                for start in (0..segment.len() / 64).map(|block| block * 64) {
                    keys.unpack(start, &mut unpacked).expect("sound");
                    sum += unpacked[63];
                }
            }
        }
        sum
    });
    Row {
        name: format!("{}{}", segments[0].stats().codec, if part == PART { " 64Ki" } else { "" }),
        bytes: bytes / numbers.len() as f64,
        hit: gets(hits, get),
        miss: gets(misses, get),
        hundred,
        up,
        down,
        build: build_ns,
    }
    .print();
    let key_bytes: usize = segments.iter().map(|segment| segment.stats().key_bytes).sum();
    println!("    key bytes {:.2}, unpacking {decode:.1}", key_bytes as f64 / numbers.len() as f64);
}

fn measure_tree(numbers: &[u64], hits: &[u64], misses: &[u64], rng: &mut Rng) {
    let order: Vec<(u64, u64)> =
        numbers.iter().enumerate().map(|(i, number)| (*number, value_of(i))).collect();
    let order = shuffled(rng, &order);
    let (bytes, (build, map)) = apart(numbers.len(), || {
        order.iter().copied().fold(BTreeMap::new(), |mut map, (key, value)| {
            map.insert(key, value);
            map
        })
    });
    let seeks = hits.len() / 30;
    Row {
        name: "BTreeMap".to_owned(),
        bytes,
        hit: gets(hits, |number| map.get(&number).copied()),
        miss: gets(misses, |number| map.get(&number).copied()),
        hundred: best(seeks, || {
            let mut sum = 0;
            for number in hits.iter().take(seeks) {
                sum += map.range(number..).take(100).fold(0, |sum, (key, value)| sum ^ key ^ value);
            }
            sum
        }),
        up: best(numbers.len(), || map.iter().fold(0, |sum, (key, value)| sum ^ key ^ value)),
        down: best(numbers.len(), || {
            map.iter().rev().fold(0, |sum, (key, value)| sum ^ key ^ value)
        }),
        build,
    }
    .print();
}

fn measure(name: &str, rng: &mut Rng, make: fn(&mut Rng, usize) -> Vec<u64>) {
    if std::env::var("MEMKV_MEASURE").is_ok_and(|only| only != name) {
        return;
    }
    let numbers = make(rng, wanted_keys().unwrap_or(1_000_000));
    let sample: Vec<usize> = (0..PROBES).map(|_| rng.below(numbers.len())).collect();
    let hits: Vec<u64> = sample.iter().map(|i| numbers[*i]).collect();
    let misses = hits.iter().map(|hit| hit + 1 + rng.below(1000) as u64);
    let misses: Vec<u64> = misses.filter(|miss| numbers.binary_search(miss).is_err()).collect();
    println!("\n{name}, {} keys; ns (dependent, independent), B a key with value", numbers.len());
    println!("| | B | hit | ind | miss | ind | lb+100 | up | down | build |");
    if std::env::var("MEMKV_MEASURE_TREE").is_ok() {
        measure_tree(&numbers, &hits, &misses, rng);
    }
    measure_segments(&numbers, &hits, &misses, CodecChoice::Int, PART);
    measure_segments(&numbers, &hits, &misses, CodecChoice::Int, usize::MAX);
    if std::env::var("MEMKV_MEASURE_FRONT").is_ok() {
        measure_segments(&numbers, &hits, &misses, CodecChoice::Front, PART);
    }
    black_box(&numbers);
}

#[test]
#[ignore = "a measurement of minutes"]
fn figures_of_numbers_beside_those_of_a_tree() {
    let mut rng = Rng::new(20_261_121);
    measure("uniform", &mut rng, uniform);
    measure("dense", &mut rng, dense);
    measure("lognormal", &mut rng, lognormal);
    measure("cells", &mut rng, cells);
    measure("bursts", &mut rng, bursts);
    measure("clock", &mut rng, clock);
}
