//! The model driver: random operations on a whole map and on a `BTreeMap`, which must agree.
//!
//! A map implements [`MapUnderTest`] and calls [`check_map`]. Operations come from a [`Script`],
//! an endless sequence that a seed determines: it freezes and folds at random points, and looks
//! most often at what was written lately, so that the delta, the frozen delta, the overlay and
//! the base all answer their share. At the first difference the script is shrunk to few
//! operations and the test fails with seed, position and what is left of the script.

use super::conformance::Pair;
use super::keys::{self, Alphabet, Model};
use super::rng;
use super::script::{End, OPEN_ITERATORS, Op, Profile, Script, Steps, is_inverted};
use super::{Brief, panic_text};
use crate::entry::ValueWidth;
use crate::options::Residence;
use crate::range::ByteRange;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Bound;
use std::panic::{self, AssertUnwindSafe};

/// Operations of one run.
const RUN_OPS: usize = if cfg!(miri) { 300 } else { 50_000 };

/// Operations that shrinking a script may cost, over all its attempts.
const SHRINK_OPS: usize = 3_000_000;

/// Operations that a failure lists.
const LISTED_OPS: usize = 40;

/// Gets of one key for each of many.
const GETS_PER_BATCH: u64 = 16;

/// Keys from one on that are asked for in one call.
const BATCH_KEYS: usize = 40;

/// Least share, in percent, of the reads that each layer must answer.
const LEAST_LAYER_PERCENT: u64 = 10;

/// Reads below which the shares are left to chance.
const READS_FOR_SHARES: u64 = 50_000;

/// An iterator over a range of a map under test.
pub(crate) type Entries = Box<dyn DoubleEndedIterator<Item = Pair> + Send>;

/// What the drivers ask of a map: the public operations on bytes, and the doors to its layers.
pub(crate) trait MapUnderTest {
    /// The values it takes.
    const VALUES: ValueWidth = ValueWidth::Bytes;

    /// Whether [`prefix`](Self::prefix) can be asked.
    const PREFIXES: bool = true;

    /// Whether scripts [`reopen`](Self::reopen) it.
    const REOPENS: bool = false;

    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// The values of `keys`, if they can be had in one call.
    fn get_many(&self, _keys: &[&[u8]]) -> Option<Vec<Option<Vec<u8>>>> {
        None
    }
    /// Whether `key` is there.
    fn contains(&self, key: &[u8]) -> bool;
    /// Sets a value and returns the old one.
    fn insert(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>>;
    /// Sets a value.
    fn put(&self, key: &[u8], value: &[u8]);
    /// Removes a key and returns its value.
    fn remove(&self, key: &[u8]) -> Option<Vec<u8>>;
    /// Removes a key.
    fn delete(&self, key: &[u8]);
    /// Number of keys.
    fn len(&self) -> u64;
    /// Smallest key.
    fn first(&self) -> Option<Pair>;
    /// Largest key.
    fn last(&self) -> Option<Pair>;
    /// The entries in `range` as they are now, whatever is written later.
    fn range(&self, range: &ByteRange) -> Entries;
    /// The entries whose keys start with `prefix`, as they are now.
    fn prefix(&self, prefix: &[u8]) -> Entries;
    /// Removes all keys.
    fn clear(&self);
    /// Folds everything into the base.
    fn compact(&self);
    /// Sets ascending, distinct keys.
    fn extend_sorted(&self, pairs: &[Pair]) {
        for (key, value) in pairs {
            self.put(key, value);
        }
    }
    /// Freezes the delta and leaves it frozen; nothing if one is frozen already.
    fn freeze(&self) {}
    /// Folds the frozen delta, if there is one, into the overlay or the base.
    fn fold_step(&self) {}
    /// Saves the map and goes on with what is opened from there.
    fn reopen(&mut self, _residence: Residence) {}
    /// Checks the map's own invariants.
    fn check(&self) {}
    /// Reads answered so far by delta, frozen delta, overlay and base, if the map counts them.
    fn hits_by_layer(&self) -> Option<[u64; 4]> {
        None
    }
}

/// The model's entries in `range`.
fn model_entries<'m>(
    model: &'m Model,
    range: &ByteRange,
) -> impl DoubleEndedIterator<Item = (&'m Vec<u8>, &'m Vec<u8>)> + use<'m> {
    let ByteRange { lower, upper } = range.clone();
    let range = (!is_inverted(range)).then(|| model.range((lower, upper)));
    range.into_iter().flatten()
}

/// The model's entries that start with `prefix`, found without a successor of the prefix.
fn model_prefix<'m>(model: &'m Model, prefix: &[u8]) -> Vec<(&'m Vec<u8>, &'m Vec<u8>)> {
    let from = model.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
    from.take_while(|(key, _)| key.starts_with(prefix)).collect()
}

/// Takes `steps` from both iterators and compares, beyond their ends too.
fn compare_steps<'m>(
    mut found: impl DoubleEndedIterator<Item = Pair>,
    mut expected: impl DoubleEndedIterator<Item = (&'m Vec<u8>, &'m Vec<u8>)>,
    steps: Steps,
) -> Result<(), String> {
    for (at, end) in steps.ends().enumerate() {
        let (found, expected) = match end {
            End::Front => (found.next(), expected.next()),
            End::Back => (found.next_back(), expected.next_back()),
        };
        let pair = found.as_ref().map(|(key, value)| (key, value));
        if pair != expected {
            let (found, expected) = (brief_pair(pair), brief_pair(expected));
            return Err(format!("step {at}, {end:?}: {found}, but should be {expected}"));
        }
    }
    Ok(())
}

fn brief_pair(pair: Option<(&Vec<u8>, &Vec<u8>)>) -> String {
    match pair {
        Some((key, value)) => format!("{:?} = {:?}", Brief(key), Brief(value)),
        None => "nothing".to_owned(),
    }
}

/// An iterator kept open and what was in its range when it was opened.
struct Held {
    found: Entries,
    expected: VecDeque<Pair>,
}

impl Held {
    fn take(&mut self, steps: Steps) -> Result<(), String> {
        for (at, end) in steps.ends().enumerate() {
            let (found, expected) = match end {
                End::Front => (self.found.next(), self.expected.pop_front()),
                End::Back => (self.found.next_back(), self.expected.pop_back()),
            };
            if found != expected {
                let found = brief_pair(found.as_ref().map(|(key, value)| (key, value)));
                let expected = brief_pair(expected.as_ref().map(|(key, value)| (key, value)));
                return Err(format!("step {at}, {end:?}: {found}, but should be {expected}"));
            }
        }
        Ok(())
    }
}

/// A map and the model beside it.
struct Run<M> {
    map: M,
    model: Model,
    held: [Option<Held>; OPEN_ITERATORS],
    reads: u64,
}

impl<M: MapUnderTest> Run<M> {
    fn new(map: M) -> Self {
        Self { map, model: Model::new(), held: [const { None }; OPEN_ITERATORS], reads: 0 }
    }

    /// Applies one operation to both sides and says how they differ.
    fn apply(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Get(_) | Op::Contains(_) | Op::First | Op::Last | Op::Len => self.look(op),
            Op::Range(range, steps) => {
                let expected = model_entries(&self.model, range);
                compare_steps(self.map.range(range), expected, *steps)
            }
            Op::Prefix(prefix, steps) => {
                let expected = model_prefix(&self.model, prefix).into_iter();
                compare_steps(self.map.prefix(prefix), expected, *steps)
            }
            Op::Open(..) | Op::Take(..) | Op::Close(_) => self.hold(op),
            Op::Verify => self.verify(),
            _ => self.change(op),
        }
    }

    fn look(&mut self, op: &Op) -> Result<(), String> {
        let Self { map, model, .. } = self;
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        match op {
            Op::Get(key) => {
                self.reads += 1;
                same_value(map.get(key).as_ref(), model.get(key))?;
                if self.reads.is_multiple_of(GETS_PER_BATCH) {
                    return same_values(map, model, key);
                }
                Ok(())
            }
            Op::Contains(key) => {
                self.reads += 1;
                same(&map.contains(key), &model.contains_key(key))
            }
            Op::First => same(&map.first(), &model.first_key_value().map(owned)),
            Op::Last => same(&map.last(), &model.last_key_value().map(owned)),
            _ => same(&map.len(), &(model.len() as u64)),
        }
    }

    fn hold(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Open(slot, range) => {
                let expected = model_entries(&self.model, range);
                let expected = expected.map(|(key, value)| (key.clone(), value.clone()));
                self.held[*slot] =
                    Some(Held { expected: expected.collect(), found: self.map.range(range) });
            }
            Op::Take(slot, steps) => {
                if let Some(held) = &mut self.held[*slot] {
                    return held.take(*steps);
                }
            }
            Op::Close(slot) => self.held[*slot] = None,
            _ => unreachable!("{op:?} holds no iterator"),
        }
        Ok(())
    }

    fn change(&mut self, op: &Op) -> Result<(), String> {
        let Self { map, model, .. } = self;
        match op {
            Op::Insert(key, value) => {
                let old = model.insert(key.clone(), value.clone());
                return same_value(map.insert(key, value).as_ref(), old.as_ref());
            }
            Op::Remove(key) => {
                return same_value(map.remove(key).as_ref(), model.remove(key).as_ref());
            }
            Op::Put(key, value) => {
                map.put(key, value);
                model.insert(key.clone(), value.clone());
            }
            Op::Delete(key) => {
                map.delete(key);
                model.remove(key);
            }
            Op::ExtendSorted(pairs) => {
                map.extend_sorted(pairs);
                model.extend(pairs.iter().cloned());
            }
            Op::Clear => {
                map.clear();
                model.clear();
            }
            Op::Compact => map.compact(),
            Op::Freeze => map.freeze(),
            Op::FoldStep => map.fold_step(),
            Op::Reopen(residence) => map.reopen(*residence),
            _ => unreachable!("{op:?} changes nothing"),
        }
        Ok(())
    }

    /// Compares everything both ways and drains the open iterators.
    fn verify(&mut self) -> Result<(), String> {
        self.map.check();
        same(&self.map.len(), &(self.model.len() as u64))?;
        for pattern in [0, u64::MAX] {
            let count = self.model.len() + 2;
            let expected = self.model.iter();
            compare_steps(self.map.range(&ByteRange::all()), expected, Steps { count, pattern })?;
        }
        for held in self.held.iter_mut().filter_map(Option::take) {
            let Held { found, expected } = held;
            if !found.eq(expected) {
                return Err("an open iterator does not show what was there".to_owned());
            }
        }
        Ok(())
    }
}

fn same<T: PartialEq + fmt::Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{found:?}, but should be {expected:?}"))
}

fn same_value(found: Option<&Vec<u8>>, expected: Option<&Vec<u8>>) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let [found, expected] = [found, expected].map(|value| value.map(|value| Brief(value)));
    Err(format!("{found:?}, but should be {expected:?}"))
}

/// Compares what the map answers for many keys in one call: this one and those behind it, of which
/// some are absent and some come twice.
fn same_values<M: MapUnderTest>(map: &M, model: &Model, key: &[u8]) -> Result<(), String> {
    let behind = model.range::<[u8], _>((Bound::Included(key), Bound::Unbounded));
    let mut keys: Vec<Vec<u8>> = behind.take(BATCH_KEYS).map(|(key, _)| key.clone()).collect();
    for at in (0..keys.len()).step_by(3) {
        let near = keys::near_misses(&keys[at]);
        keys.extend(near.into_iter().next());
    }
    let third = keys.len() / 3;
    keys.rotate_left(third);
    let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).chain([key, key]).collect();
    let Some(found) = map.get_many(&asked) else { return Ok(()) };
    same(&found.len(), &asked.len())?;
    for (found, key) in found.iter().zip(asked) {
        same_value(found.as_ref(), model.get(key))
            .map_err(|difference| format!("{:?} among others: {difference}", Brief(key)))?;
    }
    Ok(())
}

/// What runs did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// Operations applied.
    pub(crate) ops: u64,
    /// Keys looked up.
    pub(crate) reads: u64,
    /// Reads answered by delta, frozen delta, overlay and base, if the map counts them.
    pub(crate) hits: Option<[u64; 4]>,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.ops += other.ops;
        self.reads += other.reads;
        self.hits = match (self.hits, other.hits) {
            (Some(a), Some(b)) => Some([0, 1, 2, 3].map(|layer| a[layer] + b[layer])),
            (a, b) => a.or(b),
        };
    }

    /// Checks that enough reads were answered by each layer, if there were enough reads at all.
    fn assert_each_layer_answers(&self) {
        let Some(hits) = self.hits.filter(|_| self.reads >= READS_FOR_SHARES) else {
            return;
        };
        let reads = self.reads.max(hits.iter().sum());
        let least = hits.iter().min().expect("four layers");
        assert!(least * 100 >= reads * LEAST_LAYER_PERCENT, "a layer answers too few: {self:?}");
    }
}

/// How a run ended early.
struct Failure {
    /// Position of the operation that failed.
    at: usize,
    /// What was wrong, or the text of the panic.
    reason: String,
}

/// Applies the operations to a new map and verifies it at the end.
fn play<M: MapUnderTest>(
    make: &impl Fn() -> M,
    ops: impl IntoIterator<Item = Op>,
) -> Result<Report, Failure> {
    let played = Cell::new(0);
    let attempt = || {
        let mut run = Run::new(make());
        for op in ops {
            run.apply(&op).map_err(|reason| format!("{op:?}: {reason}"))?;
            played.set(played.get() + 1);
        }
        run.verify().map_err(|reason| format!("at the end: {reason}"))?;
        Ok(Report { ops: played.get() as u64, reads: run.reads, hits: run.map.hits_by_layer() })
    };
    let outcome = panic::catch_unwind(AssertUnwindSafe(attempt));
    let outcome = outcome.unwrap_or_else(|panic| Err(format!("panic: {}", panic_text(&*panic))));
    outcome.map_err(|reason| Failure { at: played.get(), reason })
}

/// Applies operations that somebody else chose, and compares everything at the end.
///
/// # Panics
/// If the map and the model differ.
pub(crate) fn check_ops<M: MapUnderTest>(map: M, ops: impl IntoIterator<Item = Op>) {
    let mut run = Run::new(map);
    for op in ops {
        if let Err(reason) = run.apply(&op) {
            panic!("{op:?}: {reason}");
        }
    }
    if let Err(reason) = run.verify() {
        panic!("at the end: {reason}");
    }
}

/// Leaves out operations as long as the rest still fails.
fn shrink<M: MapUnderTest>(make: &impl Fn() -> M, mut ops: Vec<Op>) -> Vec<Op> {
    let mut budget = SHRINK_OPS;
    let mut chunk = ops.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < ops.len() && budget > ops.len() {
            budget -= ops.len();
            let mut fewer = ops.clone();
            fewer.drain(at..(at + chunk).min(ops.len()));
            match play(make, fewer.iter().cloned()) {
                Ok(_) => at += chunk,
                Err(failure) => {
                    fewer.truncate(failure.at + 1);
                    ops = fewer;
                }
            }
        }
        chunk /= 2;
    }
    ops
}

/// Plays `count` operations of one seed.
fn run<M: MapUnderTest>(
    seed: u64,
    profile: Profile,
    count: usize,
    make: &impl Fn() -> M,
) -> Report {
    let script = || Script::new::<M>(seed, profile);
    let failure = match play(make, script().take(count)) {
        Ok(report) => return report,
        Err(failure) => failure,
    };
    let ops = script().take((failure.at + 1).min(count)).collect();
    let shrunk = shrink(make, ops);
    let again = match play(make, shrunk.iter().cloned()) {
        Ok(_) => "nothing, so that it depends on more than the seed".to_owned(),
        Err(failure) => failure.reason,
    };
    let listed = &shrunk[shrunk.len().saturating_sub(LISTED_OPS)..];
    panic!(
        "seed {seed}, operation {} of {profile:?}: {}\nthe last {} of {} operations that still \
         fail: {listed:#?}\nwith {again}",
        failure.at,
        failure.reason,
        listed.len(),
        shrunk.len(),
    );
}

/// Drives maps with at least `total_ops` operations on keys of these alphabets, from this seed on.
///
/// # Panics
/// If the map and the model differ, or if a layer of a map that counts answers too few reads.
pub(crate) fn check_map<M: MapUnderTest>(
    first_seed: u64,
    alphabets: &[Alphabet],
    total_ops: usize,
    make: impl Fn() -> M,
) -> Report {
    let run_ops = RUN_OPS.min(total_ops);
    let mut total = Report::default();
    rng::for_seeds(first_seed, total_ops.div_ceil(run_ops) as u64, |seed| {
        total.add(run(seed, Profile::of_seed(seed, alphabets), run_ops, &make));
    });
    total.assert_each_layer_answers();
    total
}

/// Drives a map with every small set of short keys over 00 and ff, written and removed in every
/// order, and compares all of it after each step.
pub(crate) fn check_insertion_orders<M: MapUnderTest>(make: impl Fn() -> M) {
    let all = keys::short_keys(keys::SUBSET_KEY_LEN);
    let value = |key: &[u8]| {
        let tag = key.iter().fold(key.len() as u8, |tag, &byte| tag.rotate_left(1) ^ byte);
        match M::VALUES {
            ValueWidth::Fixed(width) => vec![tag; usize::from(width)],
            ValueWidth::Bytes => vec![tag; key.len()],
        }
    };
    let play_order = |order: &[Vec<u8>]| {
        let mut run = Run::new(make());
        let writes = order.iter().map(|key| Op::Insert(key.clone(), value(key)));
        let removals = order.iter().map(|key| Op::Remove(key.clone()));
        for op in writes.chain(removals) {
            let gets = all.iter().map(|key| Op::Get(key.clone()));
            for op in [op].into_iter().chain(gets).chain([Op::Verify]) {
                if let Err(reason) = run.apply(&op) {
                    panic!("writing and removing {order:?} in this order: {op:?}: {reason}");
                }
            }
        }
    };
    keys::for_each_subset(&all, keys::SUBSET_SIZE, &mut |subset| {
        for_each_order(&mut subset.to_vec(), 0, &play_order);
    });
}

/// Calls `visit` with every order of the items from `fixed` on.
fn for_each_order<T>(items: &mut [T], fixed: usize, visit: &impl Fn(&[T])) {
    if fixed == items.len() {
        return visit(items);
    }
    for next in fixed..items.len() {
        items.swap(fixed, next);
        for_each_order(items, fixed + 1, visit);
        items.swap(fixed, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::layered_map::{Fault, LayeredMap};

    /// Operations on the reference map.
    const REFERENCE_OPS: usize = if cfg!(miri) { 600 } else { 500_000 };

    /// Runs within which each fault must show.
    const FAULT_SEEDS: u64 = 8;

    #[test]
    fn the_driver_accepts_a_layered_map_and_reads_every_layer() {
        let report = check_map(1, &Alphabet::ALL, REFERENCE_OPS, LayeredMap::new);
        assert!(report.hits.is_some());
    }

    #[test]
    fn the_driver_rejects_each_broken_map_and_names_the_seed() {
        for fault in Fault::ALL {
            let check = || {
                for seed in 1..=FAULT_SEEDS {
                    let profile = Profile::of_seed(seed, &Alphabet::ALL);
                    run(seed, profile, RUN_OPS, &|| LayeredMap::broken(fault));
                }
            };
            let panic = panic::catch_unwind(check).expect_err(&format!("{fault:?} was accepted"));
            let text = panic_text(&*panic);
            assert!(text.starts_with("seed "), "{text}");
        }
    }

    #[test]
    fn every_insertion_order_of_short_keys_is_tried() {
        check_insertion_orders(LayeredMap::new);
        let blind = || LayeredMap::broken(Fault::LenIgnoresRemovals);
        assert!(panic::catch_unwind(|| check_insertion_orders(blind)).is_err());
        let orders = Cell::new(0);
        for_each_order(&mut [1, 2, 3, 4], 0, &|_| orders.set(orders.get() + 1));
        assert_eq!(orders.get(), 24);
    }

    #[test]
    fn shrinking_leaves_little() {
        let make = || LayeredMap::broken(Fault::TombstonesDroppedInOverlay);
        let script = Script::new::<LayeredMap>(1, Profile::of_seed(1, &Alphabet::ALL));
        let ops: Vec<Op> = script.take(20_000).collect();
        assert!(play(&make, ops.iter().cloned()).is_err());
        let shrunk = shrink(&make, ops);
        assert!(play(&make, shrunk.iter().cloned()).is_err());
        assert!(shrunk.len() <= 12, "{shrunk:#?}");
    }
}
