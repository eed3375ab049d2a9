//! The model driver: random operations on a whole map and on a `BTreeMap`, which must agree.
//!
//! A map implements [`MapUnderTest`] and calls [`check_map`]. Operations come from a [`Script`],
//! an endless sequence that a seed determines: it freezes and folds at random points, and looks
//! most often at what was written lately, so that the delta, the frozen delta, the overlay and
//! the base all answer their share. At the first difference the script is shrunk to few
//! operations and the test fails with seed, position and what is left of the script.

use super::conformance::{Pair, brief_bound};
use super::keys::{self, Alphabet, Model};
use super::rng::{self, Rng};
use super::{Brief, panic_text};
use crate::entry::{INLINE_VALUE_MAX, MAX_KEY_LEN, ValueWidth};
use crate::range::ByteRange;
use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::panic::{self, AssertUnwindSafe};

/// Operations of one run.
const RUN_OPS: usize = if cfg!(miri) { 300 } else { 50_000 };

/// Iterators that one run keeps open.
const OPEN_ITERATORS: usize = 4;

/// Writes that a script remembers.
const REMEMBERED_WRITES: usize = 330;

/// Operations between a freeze and the step that folds what was frozen.
const FROZEN_OPS: (usize, usize) = (80, 240);

/// Operations between that step and the next freeze.
const UNFROZEN_OPS: (usize, usize) = (10, 40);

/// Operations that shrinking a script may cost, over all its attempts.
const SHRINK_OPS: usize = 3_000_000;

/// Operations that a failure lists.
const LISTED_OPS: usize = 40;

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

    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;
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
    /// Checks the map's own invariants.
    fn check(&self) {}
    /// Reads answered so far by delta, frozen delta, overlay and base, if the map counts them.
    fn hits_by_layer(&self) -> Option<[u64; 4]> {
        None
    }
}

/// From which end of an iterator to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

/// How to consume an iterator: so many items, from the ends that the pattern's bits say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    count: usize,
    pattern: u64,
}

impl Steps {
    fn ends(self) -> impl Iterator<Item = End> {
        (0..self.count).map(move |step| match self.pattern >> (step % 64) & 1 {
            0 => End::Front,
            _ => End::Back,
        })
    }
}

/// One operation on a map.
#[derive(Clone)]
pub(crate) enum Op {
    Get(Vec<u8>),
    Contains(Vec<u8>),
    Insert(Vec<u8>, Vec<u8>),
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    Delete(Vec<u8>),
    Len,
    First,
    Last,
    Range(ByteRange, Steps),
    Prefix(Vec<u8>, Steps),
    /// Opens an iterator in this slot and keeps it.
    Open(usize, ByteRange),
    /// Takes from the iterator in this slot.
    Take(usize, Steps),
    /// Drops the iterator in this slot.
    Close(usize),
    ExtendSorted(Vec<Pair>),
    Clear,
    Compact,
    Freeze,
    FoldStep,
    /// Compares everything and lets the map check itself.
    Verify,
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = |range: &ByteRange| {
            format!("{:?} to {:?}", brief_bound(&range.lower), brief_bound(&range.upper))
        };
        let steps = |steps: &Steps| format!("{} steps by {:#x}", steps.count, steps.pattern);
        match self {
            Self::Get(key) => write!(f, "get {:?}", Brief(key)),
            Self::Contains(key) => write!(f, "contains {:?}", Brief(key)),
            Self::Insert(key, value) => write!(f, "insert {:?} = {:?}", Brief(key), Brief(value)),
            Self::Put(key, value) => write!(f, "put {:?} = {:?}", Brief(key), Brief(value)),
            Self::Remove(key) => write!(f, "remove {:?}", Brief(key)),
            Self::Delete(key) => write!(f, "delete {:?}", Brief(key)),
            Self::Len => write!(f, "len"),
            Self::First => write!(f, "first"),
            Self::Last => write!(f, "last"),
            Self::Range(range, n) => write!(f, "range {}, {}", bounds(range), steps(n)),
            Self::Prefix(prefix, n) => write!(f, "prefix {:?}, {}", Brief(prefix), steps(n)),
            Self::Open(slot, range) => write!(f, "open iterator {slot} on {}", bounds(range)),
            Self::Take(slot, n) => write!(f, "take from iterator {slot}, {}", steps(n)),
            Self::Close(slot) => write!(f, "close iterator {slot}"),
            Self::ExtendSorted(pairs) => {
                let keys: Vec<_> = pairs.iter().map(|(key, _)| Brief(key)).collect();
                write!(f, "extend_sorted {keys:?}")
            }
            Self::Clear => write!(f, "clear"),
            Self::Compact => write!(f, "compact"),
            Self::Freeze => write!(f, "freeze"),
            Self::FoldStep => write!(f, "fold_step"),
            Self::Verify => write!(f, "verify"),
        }
    }
}

/// What a run's operations look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    /// Where the keys come from.
    pub(crate) alphabet: Alphabet,
    /// Keys that most operations choose from.
    pub(crate) pool: usize,
}

impl Profile {
    /// The profile of a run: the seed goes round the alphabets and the pool sizes.
    pub(crate) fn of_seed(seed: u64, alphabets: &[Alphabet]) -> Self {
        const POOLS: [usize; 5] = [3000, 1000, 4000, 2000, 60];
        let turn = (seed / alphabets.len() as u64) as usize;
        Self {
            alphabet: alphabets[(seed % alphabets.len() as u64) as usize],
            pool: POOLS[turn % POOLS.len()],
        }
    }
}

/// The endless sequence of operations that a seed determines.
pub(crate) struct Script {
    rng: Rng,
    alphabet: Alphabet,
    values: ValueWidth,
    prefixes: bool,
    pool: Vec<Vec<u8>>,
    /// Keys written lately, the latest at the front.
    written: VecDeque<Vec<u8>>,
    frozen: bool,
    /// Operations until the next freeze or fold.
    countdown: usize,
    started: bool,
}

impl Script {
    /// The script of this seed for maps like `M`.
    pub(crate) fn new<M: MapUnderTest>(seed: u64, profile: Profile) -> Self {
        let mut rng = Rng::new(seed);
        let mut pool = BTreeSet::new();
        for _ in 0..8 * profile.pool {
            if pool.len() == profile.pool {
                break;
            }
            let mut key = profile.alphabet.key(&mut rng);
            if !profile.alphabet.is_integer() {
                lengthen(&mut key, &mut rng);
            }
            pool.insert(key);
        }
        Self {
            alphabet: profile.alphabet,
            values: M::VALUES,
            prefixes: M::PREFIXES,
            pool: pool.into_iter().collect(),
            written: VecDeque::new(),
            frozen: false,
            countdown: rng.within(UNFROZEN_OPS.0..=UNFROZEN_OPS.1),
            started: false,
            rng,
        }
    }

    /// A key to look at: mostly one written lately, else one of the pool, rarely any other.
    fn key(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        match rng.below(16) {
            0..3 if !self.written.is_empty() => {
                let age = rng.log_below(self.written.len());
                self.written[age].clone()
            }
            3..14 if !self.written.is_empty() => {
                let age = rng.below(self.written.len());
                self.written[age].clone()
            }
            0..15 => rng.pick(&self.pool).clone(),
            _ if self.alphabet.is_integer() || rng.one_in(2) => self.alphabet.key(rng),
            _ => {
                let key: &Vec<u8> = rng.pick(&self.pool);
                let misses = keys::near_misses(key);
                rng.pick(&misses).clone()
            }
        }
    }

    /// A key to change: mostly one of the pool.
    fn key_to_write(&mut self) -> Vec<u8> {
        let key = match self.rng.below(20) {
            0 => self.alphabet.key(&mut self.rng),
            1..4 => self.key(),
            _ => self.rng.pick(&self.pool).clone(),
        };
        self.written.truncate(REMEMBERED_WRITES - 1);
        self.written.push_front(key.clone());
        key
    }

    fn value(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        let len = match self.values {
            ValueWidth::Fixed(width) => usize::from(width),
            ValueWidth::Bytes if rng.one_in(60) => rng.within(INLINE_VALUE_MAX - 2..=1100),
            ValueWidth::Bytes if rng.one_in(600) => 5000,
            ValueWidth::Bytes => rng.log_below(40),
        };
        rng.bytes(len)
    }

    fn steps(&mut self) -> Steps {
        let rng = &mut self.rng;
        let count = if rng.one_in(100) { 5000 } else { rng.log_below(50) };
        let pattern = match rng.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => 0xaaaa_aaaa_aaaa_aaaa,
            _ => rng.next_u64(),
        };
        Steps { count, pattern }
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.rng.below(5) {
            0 => Bound::Unbounded,
            1 | 2 => Bound::Included(self.key()),
            _ => Bound::Excluded(self.key()),
        }
    }

    /// Bounds in any order, though mostly in the right one.
    fn range(&mut self) -> ByteRange {
        let range = ByteRange { lower: self.bound(), upper: self.bound() };
        if is_inverted(&range) && !self.rng.one_in(8) {
            return ByteRange { lower: range.upper, upper: range.lower };
        }
        range
    }

    fn prefix(&mut self) -> Op {
        if !self.prefixes {
            return Op::Range(self.range(), self.steps());
        }
        let mut prefix = self.key();
        let len = self.rng.below(prefix.len() + 1);
        prefix.truncate(len);
        Op::Prefix(prefix, self.steps())
    }

    fn sorted_pairs(&mut self) -> Vec<Pair> {
        let count = 1 + self.rng.log_below(self.pool.len());
        let keys: BTreeSet<Vec<u8>> = (0..count).map(|_| self.key_to_write()).collect();
        keys.into_iter().map(|key| (key, self.value())).collect()
    }

    /// Freezing and folding in turn, with time between them to read and write.
    fn fold_in_turn(&mut self) -> Op {
        self.frozen = !self.frozen;
        let (least, most) = if self.frozen { FROZEN_OPS } else { UNFROZEN_OPS };
        self.countdown = self.rng.within(least..=most);
        if self.frozen { Op::Freeze } else { Op::FoldStep }
    }

    /// An operation that few runs can do without and none should do often.
    fn rare(&mut self) -> Op {
        match self.rng.below(60) {
            0 => Op::Clear,
            1..4 => Op::Compact,
            4..12 => Op::ExtendSorted(self.sorted_pairs()),
            12..20 => Op::Freeze,
            20..28 => Op::FoldStep,
            28..40 => Op::Verify,
            _ => Op::Len,
        }
    }
}

impl Iterator for Script {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        if !self.started {
            // Half of the runs start with a base.
            self.started = true;
            if self.rng.one_in(2) {
                return Some(Op::ExtendSorted(self.sorted_pairs()));
            }
        }
        self.countdown -= 1;
        if self.countdown == 0 {
            return Some(self.fold_in_turn());
        }
        let slot = self.rng.below(OPEN_ITERATORS);
        Some(match self.rng.below(500) {
            0..20 => Op::Contains(self.key()),
            20..75 => Op::Insert(self.key_to_write(), self.value()),
            75..145 => Op::Put(self.key_to_write(), self.value()),
            145..163 => Op::Remove(self.key_to_write()),
            163..180 => Op::Delete(self.key_to_write()),
            180..190 => Op::Len,
            190..196 => Op::First,
            196..202 => Op::Last,
            202..234 => Op::Range(self.range(), self.steps()),
            234..248 => self.prefix(),
            248..251 => Op::Open(slot, self.range()),
            251..290 => Op::Take(slot, self.steps()),
            290..292 => Op::Close(slot),
            292 => self.rare(),
            _ => Op::Get(self.key()),
        })
    }
}

/// Makes a few keys long, so that prefixes spill over several nodes, and very few of them huge.
fn lengthen(key: &mut Vec<u8>, rng: &mut Rng) {
    let longer = match rng.below(400) {
        0 => MAX_KEY_LEN - rng.below(2),
        1..12 => key.len() + rng.log_below(600),
        _ => return,
    };
    let shared = *rng.pick(&[b'a', 0xff]);
    let tail = key.split_off(key.len() / 2);
    key.resize(longer.saturating_sub(tail.len()).max(key.len()), shared);
    key.extend(tail);
}

/// Whether a `BTreeMap` would refuse the range.
fn is_inverted(range: &ByteRange) -> bool {
    match (&range.lower, &range.upper) {
        (Bound::Excluded(lower), Bound::Excluded(upper)) => lower >= upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower > upper,
        _ => false,
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
                same_value(map.get(key).as_ref(), model.get(key))
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

    /// Operations within which each fault must show.
    const FAULT_OPS: usize = 200_000;

    #[test]
    fn the_driver_accepts_a_layered_map_and_reads_every_layer() {
        let report = check_map(1, &Alphabet::ALL, REFERENCE_OPS, LayeredMap::new);
        assert!(report.hits.is_some());
    }

    #[test]
    fn the_driver_rejects_each_broken_map_and_names_the_seed() {
        for fault in Fault::ALL {
            let check = || check_map(1, &Alphabet::ALL, FAULT_OPS, || LayeredMap::broken(fault));
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

    #[test]
    fn a_seed_determines_its_script() {
        let listed = |seed| {
            let script = Script::new::<LayeredMap>(seed, Profile::of_seed(seed, &Alphabet::ALL));
            let ops: Vec<String> = script.take(500).map(|op| format!("{op:?}")).collect();
            ops
        };
        assert_eq!(listed(5), listed(5));
        assert_ne!(listed(5), listed(10));
    }
}
