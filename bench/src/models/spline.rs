//! RadixSpline: some of the keys as knots, straight lines from one to the next, and a table of the
//! first bits of a key that tells between which knots it lies.

use super::model::{Cut, Hybridization, Learner, Level, LevelLearner, Model, Window};

/// Keys from one knot to the next: they are kept until that is known.
const MOST: usize = 1 << 16;

/// Positions of the knots, whose keys are the first keys of parts.
pub(super) struct Spline<const E: usize> {
    positions: Vec<u32>,
    /// The least and the most that a position differs from its line by.
    lowest: i64,
    highest: i64,
    keys: usize,
}

/// How far the line has risen. Rounded, but never falling: so are all these steps.
#[inline(always)]
fn rise(distance: u64, run: u64, positions: u32) -> i64 {
    let rise = distance as f64 * (f64::from(positions) / run as f64);
    (rise as i64).min(i64::from(u32::MAX))
}

impl<const E: usize> Level for Spline<E> {
    type Learner = SplineLearner<E>;
    const NEEDS_FIRSTS: bool = true;

    #[inline(always)]
    fn window(&self, firsts: &[u64], part: usize, key: u64) -> Window {
        let part = part.min(firsts.len().saturating_sub(2));
        let (Some([from, to]), Some([start, stop])) = (
            firsts.get(part..).and_then(<[u64]>::first_chunk),
            self.positions.get(part..).and_then(<[u32]>::first_chunk),
        ) else {
            return Window { from: 0, end: self.keys };
        };
        let line = i64::from(*start) + rise(key.saturating_sub(*from), to - from, stop - start);
        let (start, stop) = (i64::from(*start), i64::from(*stop));
        let first = (line + self.lowest).clamp(start, stop);
        // Behind the last knot is nothing but the end.
        let end = (line + self.highest + 1).min(stop + 1);
        Window { from: first as usize, end: end as usize }
    }

    fn bytes(&self) -> usize {
        self.positions.len() * 4
    }

    fn widest(&self) -> usize {
        (self.highest - self.lowest + 1) as usize
    }
}

#[derive(Default)]
pub(super) struct SplineLearner<const E: usize> {
    positions: Vec<u32>,
    lowest: i64,
    highest: i64,
    /// The last knot and all keys behind it.
    keys: Vec<u64>,
    /// The corridor: slopes from the knot, as a distance and positions.
    least: (u64, i64),
    most: (u64, i64),
    count: usize,
}

impl<const E: usize> SplineLearner<E> {
    fn is_less(a: (u64, i64), b: (u64, i64)) -> bool {
        i128::from(a.1) * i128::from(b.0) < i128::from(b.1) * i128::from(a.0)
    }

    /// Makes the last key a knot.
    fn end_part(&mut self) -> Cut {
        let [first, .., last] = self.keys[..] else {
            return Cut { below: 0, first: 0 };
        };
        let positions = self.keys.len() as u32 - 1;
        for (i, key) in self.keys.iter().enumerate() {
            let height = i as i64 - rise(key - first, last - first, positions);
            self.lowest = self.lowest.min(height);
            self.highest = self.highest.max(height);
        }
        let below = self.keys[self.keys.len() - 2];
        self.keys.clear();
        self.keys.push(last);
        self.positions.push(self.count as u32 - 1);
        Cut { below, first: last }
    }

    /// Narrows the corridor by the next key.
    fn narrow(&mut self, distance: u64) {
        let y = self.keys.len() as i64;
        let (low, high) = ((distance, y - E as i64), (distance, y + E as i64));
        if y == 1 {
            (self.least, self.most) = (low, high);
            return;
        }
        if Self::is_less(self.least, low) {
            self.least = low;
        }
        if Self::is_less(high, self.most) {
            self.most = high;
        }
    }
}

impl<const E: usize> LevelLearner for SplineLearner<E> {
    type Level = Spline<E>;

    fn push(&mut self, key: u64) -> Option<Cut> {
        let mut cut = None;
        if let Some(first) = self.keys.first() {
            let y = self.keys.len() as i64;
            let slope = (key - first, y);
            let is_outside =
                y > 1 && (Self::is_less(slope, self.least) || Self::is_less(self.most, slope));
            if is_outside || self.keys.len() == MOST {
                cut = Some(self.end_part());
            }
            self.narrow(key - self.keys[0]);
        } else {
            self.positions.push(0);
            cut = Some(Cut { below: 0, first: key });
        }
        self.keys.push(key);
        self.count += 1;
        cut
    }

    fn finish(mut self) -> (Spline<E>, Option<Cut>) {
        let cut = (self.keys.len() > 1).then(|| self.end_part());
        let Self { mut positions, lowest, highest, count, .. } = self;
        positions.shrink_to_fit();
        (Spline { positions, lowest, highest, keys: count }, cut)
    }
}

/// A table of what the first bits of a number say about where it is.
pub(super) struct Radix {
    pub(super) least: u64,
    pub(super) shift: u32,
    /// How many keys have lower bits in front; one more entry behind the last.
    pub(super) table: Vec<u32>,
    keys: usize,
}

/// The largest table, as the power of two.
const MOST_BITS: u32 = 20;

impl Model for Radix {
    #[inline(always)]
    fn window(&self, key: u64) -> Window {
        let last = self.table.len().saturating_sub(2);
        let front = ((key.saturating_sub(self.least) >> self.shift) as usize).min(last);
        match self.table.get(front..).and_then(<[u32]>::first_chunk) {
            Some([from, end]) => Window { from: *from as usize, end: *end as usize },
            None => Window { from: 0, end: self.keys },
        }
    }

    fn bytes(&self) -> usize {
        self.table.len() * 4
    }

    fn widest(&self) -> usize {
        self.table.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
    }
}

/// The keys, since bits are counted from the last one down.
#[derive(Default)]
pub(super) struct RadixLearner(Vec<u64>);

impl Learner for RadixLearner {
    type Model = Radix;

    fn push(&mut self, key: u64) {
        self.0.push(key);
    }

    fn finish(self) -> Radix {
        let (least, most) =
            (self.0.first().copied().unwrap_or(0), self.0.last().copied().unwrap_or(0));
        // An entry or two for each key.
        let bits = (self.0.len().max(1).ilog2() + 1).min(MOST_BITS);
        let shift = (u64::BITS - (most - least).leading_zeros()).saturating_sub(bits);
        let entries = ((most - least) >> shift) as usize + 1;
        let mut table = vec![0; entries + 1];
        for key in &self.0 {
            table[((key - least) >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for entry in &mut table {
            sum += *entry;
            *entry = sum;
        }
        Radix { least, shift, table, keys: self.0.len() }
    }
}

impl Hybridization for Radix {
    type Learner = RadixLearner;
}
