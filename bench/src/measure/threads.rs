//! Several threads on one map: throughput, and how long single calls took.

use super::{Depth, Sink, Task};
use crate::kind::{KeyList, Kind};
use crate::peer::{Entries, Shared};
use crate::random::Random;
use hdrhistogram::Histogram;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// What one thread did.
struct Done {
    operations: u64,
    seconds: f64,
    latency: Histogram<u64>,
}

/// Calls between two looks at whether time is up.
const STRIDE: usize = 64;
const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)];

/// The longest call that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(100);

/// Nanoseconds, to two digits.
fn latencies() -> Histogram<u64> {
    let longest = LONGEST.as_nanos() as u64;
    Histogram::new_with_bounds(1, longest, 2).expect("bounds and digits are possible")
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).max(2)
}

/// Calls one after the other until time is up; the clock is read once for each.
fn drive<K: Kind + ?Sized>(
    handle: &mut dyn Shared<K>,
    entries: &Entries<K>,
    seed: u64,
    writes_percent: usize,
    length: Duration,
) -> Done {
    let mut random = Random::new(seed);
    let mut latency = latencies();
    let start = Instant::now();
    let mut last = start;
    let mut operations = 0;
    while last - start < length {
        for _ in 0..STRIDE {
            let position = random.below(entries.len());
            let key = entries.keys.key(position);
            if random.below(100) < writes_percent {
                handle.put(key, entries.value(position));
            } else {
                std::hint::black_box(handle.get(key));
            }
            let now = Instant::now();
            latency.saturating_record((now - last).as_nanos() as u64);
            last = now;
        }
        operations += STRIDE as u64;
    }
    Done { operations, seconds: (last - start).as_secs_f64(), latency }
}

/// One thread for each share of writes, all at once.
fn race<K: Kind + ?Sized>(
    handles: Vec<Box<dyn Shared<K> + Send + '_>>,
    entries: &Entries<K>,
    writes: &[usize],
    length: Duration,
) -> Vec<Done> {
    let gate = Barrier::new(handles.len());
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for ((index, mut handle), &writes_percent) in handles.into_iter().enumerate().zip(writes) {
            let gate = &gate;
            threads.push(scope.spawn(move || {
                gate.wait();
                drive(handle.as_mut(), entries, index as u64, writes_percent, length)
            }));
        }
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

fn report(measure: &str, threads: &[Done], with_latency: bool, sink: &mut Sink<'_>) {
    let rate: f64 = threads.iter().map(|done| done.operations as f64 / done.seconds).sum();
    sink.number(measure, rate / 1e6);
    if !with_latency {
        return;
    }
    let mut all = latencies();
    for done in threads {
        all.add(&done.latency).expect("all have the same bounds");
    }
    for (name, percentile) in PERCENTILES {
        let value = all.value_at_percentile(percentile);
        sink.number(&format!("{measure}_{name}"), value as f64);
    }
    sink.number(&format!("{measure}_max"), all.max() as f64);
}

/// The longest pause that a loop sees which does nothing but look at the clock.
fn idle_pause(length: Duration) -> f64 {
    let start = Instant::now();
    let (mut last, mut longest) = (start, Duration::ZERO);
    while last - start < length {
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    longest.as_nanos() as f64
}

pub(super) fn measure<K: Kind + ?Sized>(
    task: &Task<'_, K>,
    sink: &mut Sink<'_>,
) -> Result<(), String> {
    let mut peer = task.build()?;
    peer.settle();
    let length = Duration::from_millis(if task.depth == Depth::Full { 2_000 } else { 150 });
    let entries = &task.set.entries;
    let all = cores();
    sink.number("idle_max", idle_pause(length));
    let run = |writes: &[usize]| race(peer.share(writes.len()), entries, writes, length);
    for (measure, threads, writes_percent, with_latency) in [
        ("read_1", 1, 0, false),
        ("read_all", all, 0, true),
        ("mixed_1", 1, 5, false),
        ("mixed_all", all, 5, false),
        ("write_all", all, 100, true),
    ] {
        let done = run(&vec![writes_percent; threads]);
        if done.len() != threads {
            return Err(format!("{measure}: a thread panicked"));
        }
        report(measure, &done, with_latency, sink);
    }
    let mut writes = vec![0; all];
    writes[all - 1] = 100;
    let done = run(&writes);
    if done.len() != all {
        return Err("beside_reads: a thread panicked".to_owned());
    }
    let (readers, writer) = done.split_at(all - 1);
    report("beside_reads", readers, true, sink);
    report("beside_writes", writer, true, sink);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_calls_are_told_from_short_ones() {
        let mut calls = latencies();
        for nanoseconds in [90, 251, 40_000, 12_000_000, 7_000_000_000] {
            calls.saturating_record(nanoseconds);
            let longest = calls.max() as f64;
            assert!((longest / nanoseconds as f64 - 1.0).abs() < 0.02, "{longest}");
        }
        assert!(calls.value_at_percentile(50.0).abs_diff(40_000) < 800);
    }
}
