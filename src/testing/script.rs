//! Scripts: endless sequences of operations on a map, each determined by a seed.

use super::Brief;
use super::conformance::{Pair, brief_bound};
use super::keys::{self, Alphabet};
use super::model::MapUnderTest;
use super::rng::Rng;
use crate::entry::{INLINE_VALUE_MAX, ValueWidth};
use crate::key::MAX_KEY_LEN;
use crate::options::Residence;
use crate::range::ByteRange;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::ops::Bound;

/// Iterators that one run keeps open.
pub(crate) const OPEN_ITERATORS: usize = 4;

/// Writes that a script remembers.
const REMEMBERED_WRITES: usize = 330;

/// Operations between a freeze and the step that folds what was frozen.
const FROZEN_OPS: (usize, usize) = (80, 240);

/// Operations between that step and the next freeze.
const UNFROZEN_OPS: (usize, usize) = (10, 40);

/// From which end of an iterator to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

/// How to consume an iterator: so many items, from the ends that the pattern's bits say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) count: usize,
    pub(crate) pattern: u64,
}

impl Steps {
    /// The end of each step.
    pub(crate) fn ends(self) -> impl Iterator<Item = End> {
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
    /// Saves the map and opens it again.
    Reopen(Residence),
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
            Self::Reopen(residence) => write!(f, "reopen {residence:?}"),
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
#[expect(clippy::struct_excessive_bools, reason = "what the map can do, and how far it is")]
pub(crate) struct Script {
    rng: Rng,
    alphabet: Alphabet,
    values: ValueWidth,
    prefixes: bool,
    reopens: bool,
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
            reopens: M::REOPENS,
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
        match self.rng.below(50) {
            0 => Op::Clear,
            1..3 => Op::Compact,
            3..12 => Op::ExtendSorted(self.sorted_pairs()),
            12..20 => Op::Freeze,
            20..28 => Op::FoldStep,
            28..33 if self.reopens => {
                let residence = [Residence::Mapped, Residence::Resident];
                Op::Reopen(*self.rng.pick(&residence))
            }
            28..39 => Op::Verify,
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
pub(crate) fn is_inverted(range: &ByteRange) -> bool {
    match (&range.lower, &range.upper) {
        (Bound::Excluded(lower), Bound::Excluded(upper)) => lower >= upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower > upper,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::layered_map::LayeredMap;

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
