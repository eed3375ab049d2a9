//! One suite for every sorted layer: whatever holds sorted entries must answer as a `BTreeMap`.
//!
//! A layer implements [`SortedLayer`] in a few lines and calls [`check_layer`]; a layer that
//! needs more than a model to be built (a codec, a pin, a place on disk) calls
//! [`check_layer_built_by`]. A test fails at the first difference, with the set of keys and the
//! last moves of the cursor.

use super::Brief;
use super::keys::{self, Model};
use super::rng::Rng;
use crate::cursor::Cursor;
use crate::key::MAX_KEY_LEN;
use crate::range::{ByteRange, Direction};
use std::fmt;
use std::ops::Bound;

/// Keys of a set that are probed together with their neighbours. A sanitizer takes ten times as long.
const PROBED_KEYS: usize = if cfg!(miri) {
    12
} else if cfg!(memkv_poison) {
    40
} else {
    150
};

/// Keys that are tried as bounds, in all pairs.
const RANGE_BOUNDS: usize = if cfg!(miri) { 5 } else { 14 };

/// Entries that one walk over a range looks at.
const RANGE_STEPS: usize = 40;

/// Random moves of one cursor over each set.
const RANDOM_MOVES: usize = if cfg!(miri) {
    60
} else if cfg!(memkv_poison) {
    600
} else {
    3000
};

/// Moves that a failure shows.
const TRAIL: usize = 8;

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// What the suite asks of a layer. Values are 8 bytes, all different.
pub(crate) trait SortedLayer {
    /// The layer's cursor; it must show live entries only.
    type Cursor<'a>: Cursor
    where
        Self: 'a;

    /// A layer with just these entries.
    fn build(model: &Model) -> Self;

    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// A new cursor.
    fn cursor(&self) -> Self::Cursor<'_>;

    /// Number of live entries.
    fn len(&self) -> u64;

    /// The first `limit` entries of `range` in this direction. Walks the cursor, unless a layer
    /// has ranges of its own.
    fn range(&self, range: &ByteRange, direction: Direction, limit: usize) -> Vec<Pair> {
        walk(&mut self.cursor(), range, direction, limit)
    }
}

/// The first `limit` entries of `range` that `cursor` shows in this direction.
pub(crate) fn walk(
    cursor: &mut impl Cursor,
    range: &ByteRange,
    direction: Direction,
    limit: usize,
) -> Vec<Pair> {
    match direction {
        Direction::Forward => seek_lower(cursor, range),
        Direction::Backward => seek_upper(cursor, range),
    }
    let mut pairs = Vec::new();
    while pairs.len() < limit && cursor.valid() {
        let key = cursor.key();
        if !range.is_above_lower(key) || !range.is_below_upper(key) {
            break;
        }
        let value = cursor.entry().live().expect("the layer shows live entries only");
        pairs.push((key.to_vec(), value.to_vec()));
        match direction {
            Direction::Forward => cursor.next(),
            Direction::Backward => cursor.prev(),
        }
    }
    pairs
}

/// Moves to the first key that is not below the range.
fn seek_lower(cursor: &mut impl Cursor, range: &ByteRange) {
    match &range.lower {
        Bound::Unbounded => cursor.first(),
        Bound::Included(key) => cursor.seek(key),
        Bound::Excluded(key) => {
            cursor.seek(key);
            if cursor.valid() && cursor.key() == key.as_slice() {
                cursor.next();
            }
        }
    }
}

/// Moves to the last key that is not beyond the range.
fn seek_upper(cursor: &mut impl Cursor, range: &ByteRange) {
    match &range.upper {
        Bound::Unbounded => cursor.last(),
        Bound::Included(key) => cursor.seek_for_prev(key),
        Bound::Excluded(key) => {
            cursor.seek_for_prev(key);
            if cursor.valid() && cursor.key() == key.as_slice() {
                cursor.prev();
            }
        }
    }
}

/// Checks that the layers `L::build` makes answer as a `BTreeMap` does, on all hostile sets.
pub(crate) fn check_layer<L: SortedLayer>() {
    check_layer_built_by(L::build);
}

/// Checks the layers that `build` makes; see [`check_layer`].
pub(crate) fn check_layer_built_by<L: SortedLayer>(build: impl Fn(&Model) -> L) {
    check_short_subsets(&build);
    for set in keys::hostile_sets() {
        let model = keys::model_of(&set.keys);
        let layer = build(&model);
        Check::new(set.name, &model, &layer).everything();
    }
}

/// Tries all small subsets of short keys over 00 and ff, and all ranges on the smallest of them.
fn check_short_subsets<L: SortedLayer>(build: &impl Fn(&Model) -> L) {
    let check = |keys: &[Vec<u8>], all: &[Vec<u8>], ranges: bool| {
        let model = keys::model_of(keys);
        let layer = build(&model);
        let check = Check::with_probes("a subset of short keys", &model, &layer, all.to_vec());
        check.len_and_gets();
        check.seeks();
        if ranges {
            check.ranges(all);
        }
    };
    let few = keys::short_keys(2);
    keys::for_each_subset(&few, few.len(), &mut |subset| check(subset, &few, true));
    let many = keys::short_keys(keys::SUBSET_KEY_LEN);
    keys::for_each_subset(&many, keys::SUBSET_SIZE, &mut |subset| {
        check(subset, &many, false);
    });
}

/// One layer beside the model it was built from.
struct Check<'a, L> {
    name: &'a str,
    model: &'a Model,
    layer: &'a L,
    /// Keys to look up, present and absent.
    probes: Vec<Vec<u8>>,
}

impl<'a, L: SortedLayer> Check<'a, L> {
    /// A check whose probes are a sample of the keys, the neighbours of these, and both ends.
    fn new(name: &'a str, model: &'a Model, layer: &'a L) -> Self {
        let mut probes = vec![vec![], vec![0], vec![0xff], vec![0xff; 300]];
        for key in sample(model, PROBED_KEYS) {
            probes.push(key.to_vec());
            probes.extend(keys::near_misses(key));
        }
        if let Some((last, _)) = model.last_key_value() {
            let mut beyond = last.clone();
            beyond.resize((last.len() + 9).min(MAX_KEY_LEN), 0xff);
            probes.push(beyond);
        }
        probes.sort_unstable();
        probes.dedup();
        Self::with_probes(name, model, layer, probes)
    }

    fn with_probes(name: &'a str, model: &'a Model, layer: &'a L, probes: Vec<Vec<u8>>) -> Self {
        Self { name, model, layer, probes }
    }

    fn everything(&self) {
        self.len_and_gets();
        self.walks();
        self.seeks();
        self.two_cursors();
        self.random_moves();
        self.ranges(&self.bounds());
    }

    fn len_and_gets(&self) {
        let Self { name, model, layer, .. } = self;
        assert_eq!(layer.len(), model.len() as u64, "{name}: len");
        for key in &self.probes {
            let found = layer.get(key);
            assert_eq!(found.as_ref(), model.get(key), "{name}: get {:?}", Brief(key));
        }
        for (key, value) in *model {
            let found = layer.get(key);
            assert_eq!(found.as_ref(), Some(value), "{name}: get {:?}", Brief(key));
        }
    }

    /// Walks everything both ways, and beyond both ends.
    fn walks(&self) {
        for (start, onward, back) in
            [(Move::First, Move::Next, Move::Prev), (Move::Last, Move::Prev, Move::Next)]
        {
            let mut walk = self.compared();
            walk.make(start);
            for _ in 0..self.model.len() {
                walk.make(onward);
            }
            walk.make(onward);
            walk.make(back);
            walk.make(start);
            walk.make(back);
            walk.make(onward);
        }
    }

    /// Seeks every probe both ways and steps from there, turning back on the way.
    fn seeks(&self) {
        use Move::{Next, Prev};
        let mut used = self.compared();
        for key in &self.probes {
            for seek in [Move::Seek(key), Move::SeekForPrev(key)] {
                for steps in [&[Next, Next, Prev, Prev, Prev, Next][..], &[Prev, Prev, Next, Next]]
                {
                    used.make(seek);
                    for &step in steps {
                        used.make(step);
                    }
                }
                let mut fresh = self.compared();
                fresh.make(seek);
                fresh.make(Prev);
            }
        }
    }

    /// Moves one cursor while another one rests.
    fn two_cursors(&self) {
        let (mut resting, mut moving) = (self.compared(), self.compared());
        for pair in self.probes.windows(2).step_by(7) {
            resting.make(Move::Seek(&pair[0]));
            moving.make(Move::SeekForPrev(&pair[1]));
            moving.make(Move::Prev);
            resting.make(Move::Next);
        }
    }

    fn random_moves(&self) {
        let mut rng = Rng::new(self.model.len() as u64);
        let mut walk = self.compared();
        for _ in 0..RANDOM_MOVES {
            let probe = rng.pick(&self.probes);
            walk.check_lent();
            walk.make(match rng.below(20) {
                0 => Move::First,
                1 => Move::Last,
                2 | 3 => Move::Seek(probe),
                4 | 5 => Move::SeekForPrev(probe),
                6..=11 => Move::Next,
                12 => Move::Pass(Direction::Forward),
                13 => Move::Pass(Direction::Backward),
                _ => Move::Prev,
            });
        }
    }

    /// A few probes, among them both ends.
    fn bounds(&self) -> Vec<Vec<u8>> {
        let step = self.probes.len().div_ceil(RANGE_BOUNDS - 1);
        let mut bounds: Vec<Vec<u8>> = self.probes.iter().step_by(step).cloned().collect();
        bounds.extend(self.probes.last().cloned());
        bounds.extend(self.model.keys().next().cloned());
        bounds.extend(self.model.keys().next_back().cloned());
        bounds.sort_unstable();
        bounds.dedup();
        bounds
    }

    /// All nine kinds of range over all pairs of `bounds`, inverted and empty ones too.
    fn ranges(&self, bounds: &[Vec<u8>]) {
        self.range(&ByteRange::all());
        for a in bounds {
            let [included, excluded] = either(a);
            self.range(&ByteRange { lower: included.clone(), upper: Bound::Unbounded });
            self.range(&ByteRange { lower: excluded.clone(), upper: Bound::Unbounded });
            self.range(&ByteRange { lower: Bound::Unbounded, upper: included });
            self.range(&ByteRange { lower: Bound::Unbounded, upper: excluded });
            self.range(&ByteRange::prefix(a));
            for b in bounds {
                for lower in either(a) {
                    for upper in either(b) {
                        self.range(&ByteRange { lower: lower.clone(), upper });
                    }
                }
            }
        }
    }

    fn range(&self, range: &ByteRange) {
        for direction in [Direction::Forward, Direction::Backward] {
            let found = self.layer.range(range, direction, RANGE_STEPS);
            let expected = model_range(self.model, range, direction).take(RANGE_STEPS);
            let same = expected.eq(found.iter().map(|(key, value)| (&key[..], &value[..])));
            assert!(same, "{}: {direction:?} {}", self.name, self.range_failure(range, direction));
        }
    }

    fn range_failure(&self, range: &ByteRange, direction: Direction) -> String {
        let found = self.layer.range(range, direction, RANGE_STEPS);
        let found: Vec<_> = found.iter().map(|(key, _)| Brief(key)).collect();
        let expected = model_range(self.model, range, direction).take(RANGE_STEPS);
        let expected: Vec<_> = expected.map(|(key, _)| Brief(key)).collect();
        let bounds = (brief_bound(&range.lower), brief_bound(&range.upper));
        format!("range {bounds:?} has keys\n{found:?}, but should have\n{expected:?}")
    }

    /// A new cursor beside a new oracle. Checks that both have no position.
    fn compared(&self) -> Compared<'_, L::Cursor<'_>> {
        let mut compared = Compared {
            name: self.name,
            cursor: self.layer.cursor(),
            oracle: Oracle { model: self.model, at: None },
            trail: Vec::with_capacity(2 * TRAIL),
        };
        compared.compare();
        compared.make(Move::Next);
        compared.make(Move::Prev);
        compared
    }
}

/// At most about `count` keys, evenly spread, the first and the last among them.
fn sample(model: &Model, count: usize) -> impl Iterator<Item = &[u8]> {
    let step = model.len().div_ceil(count).max(1);
    let last = model.keys().next_back();
    model.keys().step_by(step).chain(last).map(Vec::as_slice)
}

fn either(key: &[u8]) -> [Bound<Vec<u8>>; 2] {
    [Bound::Included(key.to_vec()), Bound::Excluded(key.to_vec())]
}

/// A bound for messages.
pub(crate) fn brief_bound(bound: &Bound<Vec<u8>>) -> Bound<Brief<'_>> {
    bound.as_ref().map(|key| Brief(key))
}

/// The entries of `range`, found without asking the range whether it is empty or inverted.
pub(crate) fn model_range<'m>(
    model: &'m Model,
    range: &ByteRange,
    direction: Direction,
) -> Box<dyn Iterator<Item = (&'m [u8], &'m [u8])> + 'm> {
    let ByteRange { lower, upper } = range.clone();
    let pair = |(key, value): (&'m Vec<u8>, &'m Vec<u8>)| (&key[..], &value[..]);
    match direction {
        Direction::Forward => {
            let inside = move |key: &[u8]| match &upper {
                Bound::Included(upper) => key <= &upper[..],
                Bound::Excluded(upper) => key < &upper[..],
                Bound::Unbounded => true,
            };
            let from = model.range::<Vec<u8>, _>((lower, Bound::Unbounded));
            Box::new(from.map(pair).take_while(move |(key, _)| inside(key)))
        }
        Direction::Backward => {
            let inside = move |key: &[u8]| match &lower {
                Bound::Included(lower) => key >= &lower[..],
                Bound::Excluded(lower) => key > &lower[..],
                Bound::Unbounded => true,
            };
            let to = model.range::<Vec<u8>, _>((Bound::Unbounded, upper));
            Box::new(to.rev().map(pair).take_while(move |(key, _)| inside(key)))
        }
    }
}

/// One move of a cursor.
#[derive(Clone, Copy)]
enum Move<'k> {
    First,
    Last,
    Seek(&'k [u8]),
    SeekForPrev(&'k [u8]),
    Next,
    Prev,
    /// To the last of those that are lent.
    Pass(Direction),
}

impl fmt::Debug for Move<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => write!(f, "first"),
            Self::Last => write!(f, "last"),
            Self::Seek(key) => write!(f, "seek {:?}", Brief(key)),
            Self::SeekForPrev(key) => write!(f, "seek_for_prev {:?}", Brief(key)),
            Self::Next => write!(f, "next"),
            Self::Prev => write!(f, "prev"),
            Self::Pass(direction) => write!(f, "pass {direction:?}"),
        }
    }
}

/// What a cursor over the model would show.
struct Oracle<'m> {
    model: &'m Model,
    at: Option<(&'m Vec<u8>, &'m Vec<u8>)>,
}

impl Oracle<'_> {
    /// A move; a `Pass` by so many entries.
    fn make(&mut self, step: Move<'_>, passed: usize) {
        use Bound::{Excluded, Included, Unbounded};
        if let Move::Pass(direction) = step {
            let step = match direction {
                Direction::Forward => Move::Next,
                Direction::Backward => Move::Prev,
            };
            return (0..passed).for_each(|_| self.make(step, 0));
        }
        let range = |bounds: (Bound<&[u8]>, Bound<&[u8]>)| self.model.range::<[u8], _>(bounds);
        self.at = match (step, self.at) {
            (Move::First, _) => self.model.first_key_value(),
            (Move::Last, _) => self.model.last_key_value(),
            (Move::Seek(key), _) => range((Included(key), Unbounded)).next(),
            (Move::SeekForPrev(key), _) => range((Unbounded, Included(key))).next_back(),
            (Move::Next, Some((key, _))) => range((Excluded(key), Unbounded)).next(),
            (Move::Prev, Some((key, _))) => range((Unbounded, Excluded(key))).next_back(),
            (Move::Next | Move::Prev | Move::Pass(_), _) => None,
        };
    }
}

/// A cursor and the oracle beside it, both making the same moves.
struct Compared<'a, C> {
    name: &'a str,
    cursor: C,
    oracle: Oracle<'a>,
    trail: Vec<Move<'a>>,
}

impl<'a, C: Cursor> Compared<'a, C> {
    fn make(&mut self, step: Move<'a>) {
        if self.trail.len() == 2 * TRAIL {
            self.trail.drain(..TRAIL);
        }
        self.trail.push(step);
        let mut passed = 0;
        match step {
            Move::First => self.cursor.first(),
            Move::Last => self.cursor.last(),
            Move::Seek(key) => self.cursor.seek(key),
            Move::SeekForPrev(key) => self.cursor.seek_for_prev(key),
            Move::Next => self.cursor.next(),
            Move::Prev => self.cursor.prev(),
            Move::Pass(direction) => {
                passed = self.cursor.lend(direction).map_or(0, |lent| lent.len() - 1);
                self.cursor.pass(direction, passed);
            }
        }
        self.oracle.make(step, passed);
        self.compare();
    }

    /// Compares what is lent, in both directions.
    fn check_lent(&self) {
        use Bound::{Included, Unbounded};
        for direction in [Direction::Forward, Direction::Backward] {
            let Some(lent) = self.cursor.lend(direction) else { continue };
            let (name, trail) = (self.name, &self.trail[self.trail.len().saturating_sub(TRAIL)..]);
            let (key, _) = self.oracle.at.expect("an entry is lent, so there is one");
            let range = match direction {
                Direction::Forward => ByteRange { lower: Included(key.clone()), upper: Unbounded },
                Direction::Backward => ByteRange { lower: Unbounded, upper: Included(key.clone()) },
            };
            let expected: Vec<_> =
                model_range(self.oracle.model, &range, direction).take(lent.len()).collect();
            let found: Vec<_> = (0..lent.len()).map(|i| lent.entry(i).expect("sound")).collect();
            let mut found: Vec<_> =
                found.iter().map(|(key, value)| (&key[..], &value[..])).collect();
            if direction == Direction::Backward {
                found.reverse();
            }
            assert!(!found.is_empty(), "{name}: lends nothing after {trail:?}");
            assert!(
                found == expected,
                "{name}: lent {direction:?} at {:?} after {trail:?}",
                Brief(key)
            );
        }
    }

    fn compare(&mut self) {
        let Self { name, cursor, oracle, trail } = self;
        let trail = &trail[trail.len().saturating_sub(TRAIL)..];
        assert_eq!(cursor.status(), Ok(()), "{name}: status after {trail:?}");
        let Some((key, value)) = oracle.at else {
            assert!(!cursor.valid(), "{name}: a position where there is none, after {trail:?}");
            return;
        };
        assert!(cursor.valid(), "{name}: not at {:?} after {trail:?}", Brief(key));
        let (at, entry) = (cursor.key(), cursor.entry());
        assert!(
            at == key.as_slice(),
            "{name}: at {:?}, not at {:?}, after {trail:?}",
            Brief(at),
            Brief(key)
        );
        assert_eq!(entry.live(), Some(&value[..]), "{name}: value at {:?}", Brief(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_small_stack;
    use crate::testing::vec_layer::{Fault, VecLayer};
    use std::panic;

    #[test]
    fn the_suite_accepts_a_sorted_vector_on_a_small_stack() {
        on_small_stack(check_layer::<VecLayer>);
    }

    #[test]
    fn the_suite_rejects_each_broken_layer() {
        for fault in Fault::ALL {
            let check = || check_layer_built_by(|model| VecLayer::broken(model, fault));
            assert!(panic::catch_unwind(check).is_err(), "{fault:?} was accepted");
        }
    }
}
