//! A piece: some neighbouring keys, in the way that takes the fewest bytes for them.

use super::{elias, line};
use crate::arena::{OutOfMemory, prefetch};
use crate::packed::SLACK;
use elias::EliasFano;
use line::Line;
use std::ops::Range;

/// Where a piece is and how it is laid out, in 64 bits. From low to high:
///
/// | bits | content |
/// |---|---|
/// | 32 | place in the section of the pieces, in units of 8 bytes |
/// | 16 | Elias-Fano: number of buckets. Line: bits of the slope behind the point |
/// | 8 | width of the packed numbers: at most 63 |
/// | 8 | kind: 0 Elias-Fano, 1 line |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor(pub(super) u64);

const ELIAS_FANO: u64 = 0;
const LINE: u64 = 1;

/// Bytes of a piece are a multiple of this.
const UNIT: usize = 8;

/// The widest packed number.
const MAX_WIDTH: u32 = 63;

/// The layout of a piece.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    EliasFano(elias::Shape),
    Line(line::Shape),
}

impl Shape {
    /// That of the smallest Elias-Fano piece of some ascending keys.
    fn buckets(keys: &[u64]) -> Self {
        let span = keys.last().copied().unwrap_or(0) - keys.first().copied().unwrap_or(0);
        Self::EliasFano(elias::Shape::best(keys.len(), span))
    }

    fn len(self) -> usize {
        let len = match self {
            Self::EliasFano(shape) => shape.len(),
            Self::Line(shape) => shape.len(),
        };
        len.next_multiple_of(UNIT)
    }

    /// Bytes of the piece, and of what a reader may look at behind it.
    #[inline(always)]
    pub(super) fn reach(self) -> usize {
        self.len() + SLACK
    }

    fn bits(self) -> u64 {
        let (kind, width, number) = match self {
            Self::EliasFano(shape) => (ELIAS_FANO, shape.width, shape.buckets as u64),
            Self::Line(shape) => (LINE, shape.width, u64::from(shape.fraction)),
        };
        kind << 56 | u64::from(width) << 48 | number << 32
    }
}

impl Descriptor {
    /// Where the piece starts in its section.
    #[inline(always)]
    pub(super) fn start(self) -> usize {
        self.0 as u32 as usize * UNIT
    }

    /// The shape of a piece of so many keys; `None` if it is none.
    #[inline(always)]
    pub(super) fn shape(self, keys: usize) -> Option<Shape> {
        let number = (self.0 >> 32) as u16;
        let width = u32::from((self.0 >> 48) as u8);
        if width > MAX_WIDTH || keys == 0 {
            return None;
        }
        match self.0 >> 56 {
            ELIAS_FANO if number > 0 => {
                Some(Shape::EliasFano(elias::Shape { keys, buckets: usize::from(number), width }))
            }
            LINE if u32::from(number) < u64::BITS => {
                Some(Shape::Line(line::Shape { keys, width, fraction: u32::from(number) }))
            }
            _ => None,
        }
    }
}

/// The keys of a piece.
#[derive(Clone, Copy)]
pub(super) enum Piece<'a> {
    /// Beside the first key.
    EliasFano(u64, EliasFano<'a>),
    Line(Line<'a>),
}

/// A piece of which nothing was read.
#[derive(Clone, Copy)]
pub(super) enum Unread<'a> {
    EliasFano(u64, EliasFano<'a>),
    Line(&'a [u8], line::Shape),
}

impl<'a> Unread<'a> {
    /// The piece of this shape, from key `first` on, in its bytes and [`SLACK`] behind them; `None` if
    /// these are too few.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], first: u64, shape: Shape) -> Option<Self> {
        match shape {
            Shape::EliasFano(shape) => {
                EliasFano::new(bytes, shape).map(|piece| Self::EliasFano(first, piece))
            }
            Shape::Line(shape) => Some(Self::Line(bytes, shape)),
        }
    }

    /// Asks for what is read first when `key` is looked for.
    #[inline]
    pub(super) fn ask(self, key: u64) {
        match self {
            Self::EliasFano(first, piece) => piece.ask_for_bucket(key.saturating_sub(first)),
            Self::Line(bytes, _) => prefetch(bytes, 0),
        }
    }

    /// Asks for what is likely to be read last too.
    #[inline]
    pub(super) fn ask_for_even(self, key: u64) {
        if let Self::EliasFano(first, piece) = self {
            piece.ask_for_even(key.saturating_sub(first));
        }
    }

    /// As [`Piece::narrow`]; and asks for what [`settle`](Self::settle) reads.
    #[inline(always)]
    pub(super) fn narrow(&self, key: u64) -> Option<(usize, usize)> {
        let Self::EliasFano(first, piece) = self else {
            let piece = self.read()?;
            let keys = piece.narrow(key)?;
            piece.ask_for_keys(keys);
            return Some(keys);
        };
        let Some(distance) = key.checked_sub(*first) else { return Some((0, 0)) };
        let keys = piece.narrow(distance)?;
        piece.ask_for_keys(keys);
        Some(keys)
    }

    /// As [`Piece::settle`].
    #[inline(always)]
    pub(super) fn settle(&self, key: u64, keys: (usize, usize)) -> Option<(usize, bool)> {
        let Self::EliasFano(first, piece) = self else { return self.read()?.settle(key, keys) };
        match key.checked_sub(*first) {
            Some(distance) => piece.settle(distance, keys),
            None => Some((0, false)),
        }
    }

    /// Reads what all searches need; `None` if the bytes are not as they must be.
    #[inline(always)]
    pub(super) fn read(self) -> Option<Piece<'a>> {
        match self {
            Self::EliasFano(first, piece) => Some(Piece::EliasFano(first, piece)),
            Self::Line(bytes, shape) => Line::new(bytes, shape).map(Piece::Line),
        }
    }
}

impl Piece<'_> {
    /// Asks at once for what will be read if keys come at an even pace, and says where `key` may be then.
    #[inline(always)]
    pub(super) fn expect(self, key: u64) -> Option<usize> {
        match self {
            Self::EliasFano(first, piece) => piece.expect(key.checked_sub(first)?),
            Self::Line(_) => None,
        }
    }

    /// A few keys of which the first that is not below `key` is one, or the one behind them; `None`
    /// if the bytes are not as they must be.
    #[inline(always)]
    pub(super) fn narrow(self, key: u64) -> Option<(usize, usize)> {
        match self {
            Self::EliasFano(first, piece) => match key.checked_sub(first) {
                Some(distance) => piece.narrow(distance),
                None => Some((0, 0)),
            },
            Self::Line(piece) => Some(piece.narrow(key)),
        }
    }

    /// How many keys are below `key`, and whether the next one is `key`, from what
    /// [`narrow`](Self::narrow) said; `None` if the bytes are not as they must be.
    #[inline(always)]
    pub(super) fn settle(self, key: u64, keys: (usize, usize)) -> Option<(usize, bool)> {
        match self {
            Self::EliasFano(first, piece) => match key.checked_sub(first) {
                Some(distance) => piece.settle(distance, keys),
                None => Some((0, false)),
            },
            Self::Line(piece) => piece.settle(key, keys),
        }
    }

    /// Asks for what [`settle`](Self::settle) reads.
    #[inline]
    pub(super) fn ask_for_keys(self, keys: (usize, usize)) {
        match self {
            Self::EliasFano(_, piece) => piece.ask_for_keys(keys),
            Self::Line(piece) => piece.ask_for_keys(keys),
        }
    }

    /// Key `i`, which there is, if it is the first that is not below `key`; `None` if the bytes are not as
    /// they must be.
    #[inline(always)]
    pub(super) fn found(self, i: usize, key: u64) -> Option<u64> {
        match self {
            Self::EliasFano(first, piece) => {
                piece.found(i, key.saturating_sub(first)).map(|found| found.wrapping_add(first))
            }
            Self::Line(piece) => piece.key(i),
        }
    }

    /// The keys from `start` on, as many as `out` takes, of which there are enough; `None` if they do
    /// not ascend, or the bytes are not as they must be. The key before them spares the search for where
    /// they are, if it is known.
    #[inline]
    pub(super) fn decode(self, start: usize, before: Option<u64>, out: &mut [u64]) -> Option<()> {
        match self {
            Self::EliasFano(first, piece) => piece.decode(first, start, before, out),
            Self::Line(piece) => piece.decode(start, out),
        }
    }
}

/// Whether keys ascend. All of them are looked at: a way out after each would take longer.
#[derive(Default)]
pub(super) struct Order {
    last: u64,
    /// Keys that are not above the one before them, or the first one not above zero.
    falls: usize,
}

impl Order {
    /// Looks at the next key.
    #[inline]
    pub(super) fn see(&mut self, key: u64) {
        self.falls += usize::from(key <= self.last);
        self.last = key;
    }

    /// Something if they ascend, the first of them being this one.
    #[inline]
    pub(super) fn ascend_from(self, first: Option<&u64>) -> Option<()> {
        (self.falls == usize::from(first == Some(&0))).then_some(())
    }
}

/// Keys that decide on the size of the pieces of a segment: the first ones.
pub(super) const WINDOW: usize = 1 << 16;

/// Keys of a piece that are tried, as the power of two.
const TRIED_SHIFTS: Range<u32> = 7..11;

/// Bytes of a piece in the index, inner nodes included.
const ROW_LEN: usize = 18;

/// How many keys a piece should have in a segment that begins with these, as the power of two.
///
/// Where keys come in clusters, small pieces that fit them save more than their rows cost. Where
/// they do not, large pieces have a smaller index, and so are kept for up to a fiftieth of the
/// bytes.
pub(super) fn best_shift(keys: &[u64]) -> u32 {
    let keys = &keys[..keys.len().min(WINDOW)];
    let bytes = |shift: u32| {
        // As if all were buckets: where a line is better, it is so in pieces of any size.
        let pieces = keys.chunks(1 << shift);
        pieces.map(|piece| Shape::buckets(piece).len() + ROW_LEN).sum::<usize>()
    };
    let mut best = TRIED_SHIFTS.end - 1;
    let mut least = bytes(best);
    for shift in TRIED_SHIFTS.rev().skip(1) {
        let bytes = bytes(shift);
        if bytes < least - least / 50 {
            (best, least) = (shift, bytes);
        }
    }
    best
}

/// What the smallest piece of these ascending keys takes, and how.
struct Choice {
    shape: Shape,
    fit: Option<line::Fit>,
}

impl Choice {
    fn of(keys: &[u64]) -> Self {
        let buckets = Shape::buckets(keys);
        let fit = line::Fit::of(keys, buckets.len());
        let line = fit.as_ref().map(|fit| Shape::Line(fit.shape));
        match line.filter(|line| line.len() < buckets.len()) {
            Some(shape) => Self { shape, fit },
            None => Self { shape: buckets, fit: None },
        }
    }
}

/// Makes `out` the piece of these ascending keys, of which there are some. Its descriptor says that
/// it starts at `start`; `None` if that cannot be said.
pub(super) fn encode(
    keys: &[u64],
    start: usize,
    out: &mut Vec<u8>,
) -> Result<Option<Descriptor>, OutOfMemory> {
    let choice = Choice::of(keys);
    let len = choice.shape.len();
    out.clear();
    out.try_reserve(len)?;
    match (choice.shape, choice.fit) {
        (Shape::Line(_), Some(fit)) => fit.encode(keys, out)?,
        (Shape::EliasFano(shape), _) => elias::encode(keys, shape, out)?,
        (Shape::Line(_), None) => {}
    }
    out.resize(len, 0);
    let unit = u32::try_from(start / UNIT).ok();
    Ok(unit.map(|unit| Descriptor(choice.shape.bits() | u64::from(unit))))
}
