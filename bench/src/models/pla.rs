//! Piecewise linear: the fewest straight lines that stay within so many positions of each key.
//!
//! While keys come, the lines that are still possible are known by the two extreme ones, and by two
//! chains of points that can become their ends (O'Rourke 1981). A line is then written as whole
//! numbers, and where the keys really are beside it is counted with these: the window is proved for
//! each key, and for what lies between two, since the line never falls.

use super::model::{Cut, Level, LevelLearner, Window};

/// Keys of a line: they are kept until it is known.
const MOST: usize = 1 << 16;

/// A line as a probe needs it.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// Positions for each number, times 2^64, less one: a slope is above 0, and at most 1.
    pub(super) slope: u64,
    /// The position of the first key.
    pub(super) start: u32,
    /// The least that a position differs from the line by.
    pub(super) lowest: i16,
    /// Keys of a window.
    pub(super) width: u16,
}

/// The lines of all parts, and a last one that starts behind all.
pub(super) struct Pla<const E: usize>(pub(super) Vec<Line>);

#[inline(always)]
pub(super) fn rise(slope: u64, distance: u64) -> i64 {
    let rise = (u128::from(slope) * u128::from(distance) + u128::from(distance)) >> 64;
    // Far behind the last key of a part, all positions are as good.
    (rise as u64).min(u64::from(u32::MAX)).cast_signed()
}

impl<const E: usize> Level for Pla<E> {
    type Learner = PlaLearner<E>;
    const NEEDS_FIRSTS: bool = true;

    #[inline(always)]
    fn window(&self, firsts: &[u64], part: usize, key: u64) -> Window {
        let (Some([line, next]), Some(first)) =
            (self.0.get(part..).and_then(<[Line]>::first_chunk), firsts.get(part))
        else {
            return Window { from: 0, end: 0 };
        };
        let (start, stop) = (i64::from(line.start), i64::from(next.start));
        let from = start + i64::from(line.lowest) + rise(line.slope, key.saturating_sub(*first));
        let end = (from + i64::from(line.width)).min(stop);
        Window { from: from.clamp(start, stop) as usize, end: end as usize }
    }

    fn bytes(&self) -> usize {
        self.0.len() * size_of::<Line>()
    }

    fn widest(&self) -> usize {
        self.0.iter().map(|line| usize::from(line.width)).max().unwrap_or(0)
    }
}

#[derive(Clone, Copy, Default)]
struct Point {
    x: u64,
    y: i64,
}

/// From one point to a later one.
#[derive(Clone, Copy)]
struct Slope {
    dx: u64,
    dy: i64,
}

impl Slope {
    fn between(from: Point, to: Point) -> Self {
        Self { dx: to.x - from.x, dy: to.y - from.y }
    }

    fn is_below(self, other: Self) -> bool {
        i128::from(self.dy) * i128::from(other.dx) < i128::from(other.dy) * i128::from(self.dx)
    }

    /// As a line has it, rounded up.
    fn scaled(self) -> u64 {
        let rise = self.dy.max(0).cast_unsigned();
        let scaled = (u128::from(rise) << 64).div_ceil(u128::from(self.dx));
        u64::try_from(scaled.saturating_sub(1)).unwrap_or(u64::MAX)
    }
}

/// The end of an extreme line that lies above the keys, or the one below them, and the points behind
/// it that can become the end.
#[derive(Default)]
struct Chain {
    points: Vec<Point>,
    end: usize,
}

impl Chain {
    fn restart(&mut self, point: Point) {
        self.points.clear();
        self.points.push(point);
        self.end = 0;
    }

    /// Adds a point, before which those go that can no longer become the end.
    fn push(&mut self, point: Point, bends: impl Fn(Slope, Slope) -> bool) {
        while let [.., a, b] = self.points[self.end..]
            && !bends(Slope::between(a, b), Slope::between(a, point))
        {
            self.points.pop();
        }
        self.points.push(point);
    }

    /// Moves the end on to where the line to `point` is extreme.
    fn turn(&mut self, point: Point, is_better: impl Fn(Slope, Slope) -> bool) -> Point {
        while let [a, b, ..] = self.points[self.end..]
            && !is_better(Slope::between(a, point), Slope::between(b, point))
        {
            self.end += 1;
        }
        self.points[self.end]
    }
}

#[derive(Default)]
pub(super) struct PlaLearner<const E: usize> {
    lines: Vec<Line>,
    /// Keys before the part.
    start: usize,
    /// The keys of the part.
    keys: Vec<u64>,
    /// Points `E` above each key, and below.
    above: Chain,
    below: Chain,
    /// The flattest line that is possible and the steepest one: their ends.
    flattest: [Point; 2],
    steepest: [Point; 2],
    last: u64,
}

impl<const E: usize> PlaLearner<E> {
    /// Takes the next key of the part; `false` if no line fits.
    fn fits(&mut self, key: u64) -> bool {
        let count = self.keys.len();
        let Some(first) = self.keys.first() else { return true };
        let (x, y) = (key - first, count as i64);
        let high = Point { x, y: y + E as i64 };
        let low = Point { x, y: y - E as i64 };
        if count == 1 {
            self.above.restart(Point { x: 0, y: E as i64 });
            self.below.restart(Point { x: 0, y: -(E as i64) });
            self.flattest = [self.above.points[0], low];
            self.steepest = [self.below.points[0], high];
            self.above.points.push(high);
            self.below.points.push(low);
            return true;
        }
        let flat = Slope::between(self.flattest[0], self.flattest[1]);
        let steep = Slope::between(self.steepest[0], self.steepest[1]);
        let beyond = Slope::between(self.flattest[1], high).is_below(flat)
            || steep.is_below(Slope::between(self.steepest[1], low));
        if beyond || count == MOST {
            return false;
        }
        if Slope::between(self.steepest[0], high).is_below(steep) {
            self.steepest = [self.below.turn(high, Slope::is_below), high];
            self.above.push(high, Slope::is_below);
        }
        if flat.is_below(Slope::between(self.flattest[0], low)) {
            self.flattest = [self.above.turn(low, |a, b| b.is_below(a)), low];
            self.below.push(low, |a, b| b.is_below(a));
        }
        true
    }

    fn end_part(&mut self) {
        let [first, .., last] = self.keys[..] else {
            if !self.keys.is_empty() {
                self.add_line(0, (0, 0));
            }
            return;
        };
        let [flat, steep] =
            [self.flattest, self.steepest].map(|[a, b]| Slope::between(a, b).scaled());
        // From the first key to the last one, keys at an even pace are hit exactly.
        let even = Slope { dx: last - first, dy: self.keys.len() as i64 - 1 }.scaled();
        let [middle, even] = [flat.midpoint(steep), even].map(|slope| (slope, self.bounds(slope)));
        let height = |line: (u64, (i64, i64))| line.1.1 - line.1.0;
        let best = if height(even) < height(middle) { even } else { middle };
        self.add_line(best.0, best.1);
    }

    /// The least and the most that a position differs from a line by.
    fn bounds(&self, slope: u64) -> (i64, i64) {
        let heights = self.keys.iter().enumerate();
        let heights = heights.map(|(i, key)| i as i64 - rise(slope, key - self.keys[0]));
        heights.fold((0, 0), |(low, high), height| (height.min(low), height.max(high)))
    }

    fn add_line(&mut self, slope: u64, (lowest, highest): (i64, i64)) {
        // Two positions to spare for what rounding takes.
        const { assert!(E < 1 << 13) };
        let (lowest, width) = (lowest as i16, (highest - lowest + 1) as u16);
        self.lines.push(Line { slope, start: self.start as u32, lowest, width });
        self.start += self.keys.len();
        self.keys.clear();
    }
}

impl<const E: usize> LevelLearner for PlaLearner<E> {
    type Level = Pla<E>;

    fn push(&mut self, key: u64) -> Option<Cut> {
        if !self.fits(key) {
            self.end_part();
        }
        let cut = Cut { below: self.last, first: key };
        self.keys.push(key);
        self.last = key;
        (self.keys.len() == 1).then_some(cut)
    }

    fn finish(mut self) -> (Pla<E>, Option<Cut>) {
        self.end_part();
        self.lines.push(Line { slope: 0, start: self.start as u32, lowest: 0, width: 0 });
        self.lines.shrink_to_fit();
        (Pla(self.lines), None)
    }
}
