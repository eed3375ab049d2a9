//! What rules of folding cost on a whole map that folds `Inline`: figures, not a pass or a failure.
//!
//! `cargo test --release --lib compact::tests::measure_rules -- --ignored --nocapture`, and
//! `measure_shares`; the environment variable `MEMKV_MEASURE` names one of the key sets,
//! `MEMKV_MEASURE_KEYS` their number of keys, `MEMKV_MEASURE_OVERLAY` one share of overlays. All but
//! the times are the same in each run.

use super::Core;
use super::policy::Dirt;
use crate::entry::ValueWidth;
use crate::options::{Compaction, Options};
use crate::sync::Arc;
use crate::testing::keys;
use crate::testing::rng::Rng;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

/// How much it would gain to fold a delta.
type Score = fn(&Dirt) -> f64;

thread_local! {
    /// In the place of the rule that ships, for folds of this thread.
    static RULE: Cell<Option<Score>> = const { Cell::new(None) };
}

/// What this thread chooses deltas by, if not by the rule that ships.
pub(super) fn rule() -> Option<Score> {
    RULE.get()
}

/// Writes between two looks at a map.
const LOOK_EVERY: usize = 64;

/// Writes for each entry before anything is counted, and while it is.
const WARM_UP: usize = 3;

/// Gets of a pass.
const PROBES: usize = 300_000;

/// When a fold is due, this one folds all deltas.
fn all(_: &Dirt) -> f64 {
    0.0
}

/// The delta that has had entries for longest: in turn, if all get some all the time.
fn oldest(dirt: &Dirt) -> f64 {
    dirt.age as f64
}

/// The one with the most entries for each entry of its partition.
fn densest(dirt: &Dirt) -> f64 {
    dirt.entries() / (dirt.load.live as f64 + dirt.entries())
}

const RULES: [(&str, Option<Score>); 4] =
    [("all", Some(all)), ("oldest", Some(oldest)), ("densest", Some(densest)), ("root", None)];

/// Which keys are written.
#[derive(Clone, Copy, PartialEq)]
enum Writes {
    /// Of those there are, each as often.
    Uniform,
    /// Of those there are, by Zipf's law, the most frequent ones anywhere.
    Zipf,
    /// By Zipf's law, the most frequent ones first.
    Clustered,
    /// Each once, half of them, into the other half.
    Inserts,
}

const WRITES: [(&str, Writes); 4] = [
    ("uniform", Writes::Uniform),
    ("Zipf", Writes::Zipf),
    ("Zipf, clustered", Writes::Clustered),
    ("inserts", Writes::Inserts),
];

/// Ranks below a bound by Zipf's law with exponent 0.99, by Gray's method.
struct Zipf {
    bound: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    const EXPONENT: f64 = 0.99;

    fn new(bound: usize) -> Self {
        let zeta: f64 = (1..=bound).map(|rank| (rank as f64).powf(-Self::EXPONENT)).sum();
        let two = 1.0 + 0.5_f64.powf(Self::EXPONENT);
        let bound = bound as f64;
        let eta = (1.0 - (2.0 / bound).powf(1.0 - Self::EXPONENT)) / (1.0 - two / zeta);
        Self { bound, zeta, eta }
    }

    fn rank(&self, rng: &mut Rng) -> usize {
        let unit = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(Self::EXPONENT) {
            return 1;
        }
        let rank = (self.eta * unit - self.eta + 1.0).powf(1.0 / (1.0 - Self::EXPONENT));
        ((self.bound * rank) as usize).min(self.bound as usize - 1)
    }
}

/// A name for a key set, and its keys in ascending order.
fn key_sets() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let asked = std::env::var("MEMKV_MEASURE").unwrap_or_default();
    let count = std::env::var("MEMKV_MEASURE_KEYS").ok().and_then(|count| count.parse().ok());
    let count = count.unwrap_or(1_000_000);
    let mut rng = Rng::new(1);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/data/words.txt");
    let words = std::fs::read_to_string(file).expect("the words of the benches");
    let words: Vec<&str> = words.lines().collect();
    let mut number = || keys::big_endian(rng.next_u64());
    let mut sets = Vec::new();
    if asked.is_empty() || asked == "u64" {
        sets.push(("u64", collect(count, &mut number)));
    }
    let mut rng = Rng::new(2);
    let mut pair = || format!("{} {}", rng.pick(&words), rng.pick(&words)).into_bytes();
    if asked.is_empty() || asked == "words" {
        sets.push(("words", collect(count, &mut pair)));
    }
    sets
}

fn collect(count: usize, next: &mut dyn FnMut() -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut keys = BTreeSet::new();
    while keys.len() < count {
        keys.insert(next());
    }
    keys.into_iter().collect()
}

/// A map of these keys with values that cannot be packed, in bases.
fn loaded<'k>(keys: impl Iterator<Item = &'k [u8]>, options: Options) -> Arc<Core> {
    let core = Arc::new(Core::new(ValueWidth::Fixed(8), options));
    core.add_handle();
    let mut rng = Rng::new(3);
    let mut keys = keys;
    let added = Core::extend_sorted(&core, &mut |key, value| {
        let Some(next) = keys.next() else { return Ok(false) };
        key.clear();
        key.extend_from_slice(next);
        value.clear();
        value.extend(rng.next_u64().to_le_bytes());
        Ok(true)
    });
    added.expect("memory");
    core
}

/// What some writes cost, and what the map takes meanwhile.
#[derive(Default)]
struct Cost {
    /// Entries encoded for each write.
    encoded: f64,
    /// Bytes for each entry: of everything on average, and at most; of segments on average.
    bytes: f64,
    most: f64,
    segments: f64,
    /// Entries in overlays for each live one.
    overlay: f64,
    /// Entries that one write had encoded, at most.
    largest: u64,
    /// Nanoseconds of a write.
    ns: f64,
}

/// Folds all deltas if together they are due.
fn fold_all_if_due(core: &Core, percent: f64) {
    let stats = core.stats();
    if stats.delta_entries as f64 >= percent / 100.0 * stats.entries as f64 {
        core.freeze();
        core.fold_step().expect("memory");
    }
}

/// Writes to a map and looks at it.
fn run(core: &Arc<Core>, keys: &mut dyn Iterator<Item = &[u8]>, rule: Option<Score>) -> Cost {
    RULE.set(rule);
    let is_all = core.options.compaction == Compaction::Manual;
    let (mut cost, mut rng) = (Cost::default(), Rng::new(4));
    let (mut writes, mut looks) = (0, 0.0);
    let start = core.stats().entries_encoded;
    let mut encoded = start;
    let mut spent = std::time::Duration::ZERO;
    loop {
        let begun = now();
        let mut left = LOOK_EVERY;
        while left > 0
            && let Some(key) = keys.next()
        {
            Core::put(core, key, &rng.next_u64().to_le_bytes()).expect("room");
            left -= 1;
            writes += 1;
        }
        if is_all {
            fold_all_if_due(core, core.options.delta_percent);
        }
        spent += begun.elapsed();
        let stats = core.stats();
        cost.largest = cost.largest.max(stats.entries_encoded - encoded);
        encoded = stats.entries_encoded;
        let (usage, entries) = (core.memory_usage(), stats.entries as f64);
        cost.most = cost.most.max(usage.total() as f64 / entries);
        cost.bytes += usage.total() as f64 / entries;
        cost.segments += (usage.base + usage.overlay) as f64 / entries;
        cost.overlay += stats.overlay.map_or(0.0, |overlay| overlay.entries as f64) / entries;
        looks += 1.0;
        if left > 0 {
            break;
        }
    }
    RULE.set(None);
    Cost {
        encoded: (encoded - start) as f64 / writes as f64,
        bytes: cost.bytes / looks,
        segments: cost.segments / looks,
        overlay: cost.overlay / looks,
        ns: spent.as_nanos() as f64 / writes as f64,
        ..cost
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn now() -> Instant {
    Instant::now()
}

/// Runs writes of a kind on a map of these keys, until it is as it stays, and then as many again.
fn steady(
    keys: &[Vec<u8>],
    writes: Writes,
    options: Options,
    rule: Option<Score>,
) -> (Arc<Core>, Cost) {
    let mut rng = Rng::new(5);
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    if writes != Writes::Clustered {
        rng.shuffle(&mut order);
    }
    let key = |i: usize| keys[order[i] as usize].as_slice();
    if writes == Writes::Inserts {
        let mut old = order[..keys.len() / 2].to_vec();
        old.sort_unstable();
        let core = loaded(old.iter().map(|&i| keys[i as usize].as_slice()), options);
        let cost = run(&core, &mut (keys.len() / 2..keys.len()).map(key), rule);
        return (core, cost);
    }
    let core = loaded(keys.iter().map(Vec::as_slice), options);
    let zipf = Zipf::new(keys.len());
    let mut next = || {
        let rank = match writes {
            Writes::Uniform | Writes::Inserts => rng.below(keys.len()),
            Writes::Zipf | Writes::Clustered => zipf.rank(&mut rng),
        };
        key(rank)
    };
    let count = keys.len() * WARM_UP;
    run(&core, &mut std::iter::repeat_with(&mut next).take(count), rule);
    let cost = run(&core, &mut std::iter::repeat_with(&mut next).take(count), rule);
    (core, cost)
}

impl Cost {
    fn print(&self, row: &str) {
        let Self { encoded, bytes, most, segments, overlay, largest, ns } = self;
        let overlay = 100.0 * overlay;
        println!(
            "| {row} | {encoded:5.2} | {bytes:5.2} | {segments:5.2} | {most:5.2} | {overlay:4.1} \
             | {largest:6} | {ns:5.0} |"
        );
    }
}

#[test]
#[ignore = "takes minutes, and measures"]
fn measure_rules() {
    let asked = std::env::var("MEMKV_MEASURE_OVERLAY").ok().and_then(|asked| asked.parse().ok());
    let shares = asked.map_or(vec![0.0, 10.0, 20.0, 30.0], |one| vec![one]);
    for (set, keys) in key_sets() {
        for (load, writes) in WRITES {
            for &overlay_percent in &shares {
                for (name, rule) in RULES {
                    let is_all = name == "all";
                    let compaction = if is_all { Compaction::Manual } else { Compaction::Inline };
                    let options = Options { compaction, overlay_percent, ..Options::default() };
                    let (_, cost) = steady(&keys, writes, options, rule);
                    cost.print(&format!("{set} | {load} | {overlay_percent:2} % | {name:7}"));
                }
            }
        }
    }
}

/// The best time of a get, in nanoseconds.
fn get_ns(core: &Core, probes: &[&[u8]]) -> f64 {
    let pass = || {
        let begun = now();
        for probe in probes {
            black_box(core.get(probe, |value| value[0]).expect("sound"));
        }
        begun.elapsed().as_nanos() as f64 / probes.len() as f64
    };
    (0..5).map(|_| pass()).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "takes minutes, and measures"]
fn measure_shares() {
    for (set, keys) in key_sets() {
        let mut rng = Rng::new(6);
        let probes: Vec<&[u8]> = (0..PROBES).map(|_| rng.pick(&keys).as_slice()).collect();
        for (load, writes) in [WRITES[0], WRITES[1], WRITES[3]] {
            for delta_percent in [0.5, 1.0, 2.0, 5.0, 10.0] {
                let compaction = Compaction::Inline;
                let options = Options { compaction, delta_percent, ..Options::default() };
                let (core, cost) = steady(&keys, writes, options, None);
                let before = get_ns(&core, &probes);
                core.compact().expect("memory");
                let ratio = before / get_ns(&core, &probes);
                let after = core.memory_usage().total() as f64 / core.len() as f64;
                let share = format!("{set} | {load} | {delta_percent:4} %");
                cost.print(&format!("{share} | {ratio:4.2} | {after:5.2}"));
            }
        }
    }
}
