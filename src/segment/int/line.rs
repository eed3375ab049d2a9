//! Pieces along a line: each key as how far it lies above a straight line through the piece.
//!
//! For keys that come at an even pace, such as readings of a clock. An arithmetic progression
//! needs no bits beside the line.

use super::piece::Order;
use crate::arena::OutOfMemory;
use crate::bytes::u64_at;
use crate::packed::{Packed, Packer, packed_len};

/// Bytes of intercept and slope, which stand before the packed heights.
const HEAD_LEN: usize = 16;

/// A line, and how much room the heights above it need.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Number of keys.
    pub(super) keys: usize,
    /// Bits of a height.
    pub(super) width: u32,
    /// Bits of the slope behind the point.
    pub(super) fraction: u32,
}

impl Shape {
    /// Bytes of the piece.
    pub(super) fn len(self) -> usize {
        HEAD_LEN + packed_len(self.keys, self.width)
    }
}

/// The line from the first key to the last one, lowered to where no key is below it.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    pub(super) shape: Shape,
    intercept: u64,
    slope: u64,
}

/// Keys between two looks at whether the line can still be short enough.
const LOOK_EVERY: usize = 64;

impl Fit {
    /// The line of ascending keys if its piece is shorter than `below` bytes; `None` too if these are too
    /// few, or numbers could overflow. Most keys leave a line soon, and the others are not looked at then.
    pub(super) fn of(keys: &[u64], below: usize) -> Option<Self> {
        let (&first, &last) = (keys.first()?, keys.last()?);
        let span = last - first;
        // With two bits to spare, no distance from the line overflows with the fraction.
        let fraction = span.leading_zeros().checked_sub(2)?;
        if fraction > 61 {
            return None;
        }
        let slope = (span << fraction) / (keys.len() as u64 - 1);
        let (mut lowest, mut highest) = (0, 0);
        let mut line = 0u64;
        let mut shape = Shape { keys: keys.len(), width: 0, fraction };
        for keys in keys.chunks(LOOK_EVERY) {
            for key in keys {
                let height = ((key - first).wrapping_sub(line >> fraction)).cast_signed();
                lowest = height.min(lowest);
                highest = height.max(highest);
                line += slope;
            }
            let most = (highest - lowest).cast_unsigned();
            shape.width = u64::BITS - most.leading_zeros();
            if shape.len() >= below {
                return None;
            }
        }
        let intercept = first.checked_sub(lowest.unsigned_abs())?;
        Some(Self { shape, intercept, slope })
    }

    /// Appends the piece of the keys it was made for.
    pub(super) fn encode(&self, keys: &[u64], out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let Shape { width, fraction, .. } = self.shape;
        out.try_reserve(self.shape.len())?;
        out.extend_from_slice(&self.intercept.to_le_bytes());
        out.extend_from_slice(&self.slope.to_le_bytes());
        let mut heights = Packer::new(out, keys.len(), width)?;
        let mut line = 0u64;
        for key in keys {
            heights.push((key - self.intercept).wrapping_sub(line >> fraction), width);
            line += self.slope;
        }
        heights.finish();
        Ok(())
    }
}

/// A piece in its bytes.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    shape: Shape,
    intercept: u64,
    slope: u64,
    heights: Packed<'a>,
}

impl<'a> Line<'a> {
    /// A piece of this shape; `None` if its bytes are too few.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], shape: Shape) -> Option<Self> {
        let (intercept, slope) = (u64_at(bytes, 0)?, u64_at(bytes, 8)?);
        let heights = Packed::new(bytes.get(HEAD_LEN..)?, shape.width);
        Some(Self { shape, intercept, slope, heights })
    }

    #[inline]
    fn line(self, i: usize) -> u64 {
        self.slope.wrapping_mul(i as u64) >> self.shape.fraction
    }

    #[inline]
    fn height(self, i: usize) -> Option<u64> {
        if self.shape.width == 0 { Some(0) } else { self.heights.get(i) }
    }

    /// Key `i`, less the intercept.
    #[inline]
    fn distance(self, i: usize) -> Option<u64> {
        Some(self.line(i).wrapping_add(self.height(i)?))
    }

    /// Key `i`.
    #[inline]
    pub(super) fn key(self, i: usize) -> Option<u64> {
        Some(self.intercept.wrapping_add(self.distance(i)?))
    }

    /// The keys that may be the first that is not below `key`: from the first to the one behind the
    /// last, which may also be the one.
    #[inline(always)]
    pub(super) fn narrow(self, key: u64) -> (usize, usize) {
        key.checked_sub(self.intercept).map_or((0, 0), |distance| self.window(distance))
    }

    /// How many keys are below `key`, and whether the next one is `key`, if it is among these or
    /// behind them.
    #[inline(always)]
    pub(super) fn settle(self, key: u64, keys: (usize, usize)) -> Option<(usize, bool)> {
        let Some(distance) = key.checked_sub(self.intercept) else {
            return Some((0, false));
        };
        let (mut from, end) = keys;
        let mut len = end - from;
        while len > 0 {
            let half = len / 2;
            if self.distance(from + half)? < distance {
                from += half + 1;
                len -= half + 1;
            } else {
                len = half;
            }
        }
        let is_there = from < self.shape.keys && self.distance(from)? == distance;
        Some((from, is_there))
    }

    /// Asks for the heights in the middle of these keys.
    #[inline]
    pub(super) fn ask_for_keys(self, keys: (usize, usize)) {
        self.heights.expect(usize::midpoint(keys.0, keys.1));
    }

    /// From the first key that may be at `distance` or above to the first that must be.
    #[inline]
    fn window(self, distance: u64) -> (usize, usize) {
        let Shape { keys, width, fraction } = self.shape;
        let highest = 1u64 << width;
        if distance >= self.line(keys - 1).saturating_add(highest) {
            return (keys, keys);
        }
        if self.slope == 0 {
            return (0, keys);
        }
        // Keys stand on the line or above. Where it has come as far, they must have; and where
        // it, raised by more than any height, has not, they cannot have.
        let reached = |height: u64| (height << fraction) / self.slope;
        let end = reached(distance).saturating_add(1).min(keys as u64);
        let start =
            distance.checked_sub(highest).map_or(0, |below| reached(below).saturating_add(1));
        (start.min(end) as usize, end as usize)
    }

    /// The keys from `start` on, as many as `out` takes, of which there are enough; `None` if they do
    /// not ascend, or the bytes are not as they must be.
    #[inline]
    pub(super) fn decode(self, start: usize, out: &mut [u64]) -> Option<()> {
        let Shape { width, fraction, .. } = self.shape;
        if width == 0 {
            out.fill(0);
        } else {
            self.heights.unpack(start, out)?;
        }
        let (mut order, mut line) = (Order::default(), self.slope.wrapping_mul(start as u64));
        for key in &mut *out {
            *key = self.intercept.wrapping_add((line >> fraction).wrapping_add(*key));
            order.see(*key);
            line = line.wrapping_add(self.slope);
        }
        order.ascend_from(out.first())
    }
}
