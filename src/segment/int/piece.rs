//! A piece: some neighbouring keys, in the way that takes the fewest bytes for them.

use super::packed::SLACK;
use super::{elias, line};
use crate::arena::OutOfMemory;
use elias::EliasFano;
use line::Line;

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
enum Shape {
    EliasFano(elias::Shape),
    Line(line::Shape),
}

impl Shape {
    fn len(self) -> usize {
        let len = match self {
            Self::EliasFano(shape) => shape.len(),
            Self::Line(shape) => shape.len(),
        };
        len.next_multiple_of(UNIT)
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
    #[inline]
    pub(super) fn start(self) -> usize {
        self.0 as u32 as usize * UNIT
    }

    /// The shape of a piece of so many keys; `None` if it is none.
    #[inline]
    fn shape(self, keys: usize) -> Option<Shape> {
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

    /// Bytes of a piece of so many keys, and of what a reader may look at behind it; `None` if it
    /// is none.
    #[inline]
    pub(super) fn len(self, keys: usize) -> Option<usize> {
        self.shape(keys).map(|shape| shape.len() + SLACK)
    }
}

/// The keys of a piece.
#[derive(Clone, Copy)]
pub(super) enum Piece<'a> {
    /// Beside the first key.
    EliasFano(u64, EliasFano<'a>),
    Line(Line<'a>),
}

impl<'a> Piece<'a> {
    /// The piece of so many keys from `first` on, in its bytes and [`SLACK`] behind them; `None`
    /// if these are not as they must be.
    #[inline]
    pub(super) fn new(
        bytes: &'a [u8],
        first: u64,
        descriptor: Descriptor,
        keys: usize,
    ) -> Option<Self> {
        match descriptor.shape(keys)? {
            Shape::EliasFano(shape) => {
                EliasFano::new(bytes, shape).map(|piece| Self::EliasFano(first, piece))
            }
            Shape::Line(shape) => Line::new(bytes, shape).map(Self::Line),
        }
    }

    /// How many keys are below `key`, and whether the next one is `key`; `None` if its bytes are
    /// not as they must be.
    #[inline]
    pub(super) fn search(self, key: u64) -> Option<(usize, bool)> {
        match self {
            Self::EliasFano(first, piece) => match key.checked_sub(first) {
                Some(distance) => piece.search(distance),
                None => Some((0, false)),
            },
            Self::Line(piece) => piece.search(key),
        }
    }

    /// The keys from `start` on, as many as `out` takes, of which there are enough; `None` if the
    /// bytes are not as they must be.
    #[inline]
    pub(super) fn decode(self, start: usize, out: &mut [u64]) -> Option<()> {
        match self {
            Self::EliasFano(first, piece) => {
                piece.decode(start, out)?;
                for key in out {
                    *key = key.wrapping_add(first);
                }
                Some(())
            }
            Self::Line(piece) => piece.decode(start, out),
        }
    }
}

/// What the smallest piece of these ascending keys takes, and how.
struct Choice {
    shape: Shape,
    fit: Option<line::Fit>,
}

impl Choice {
    fn of(keys: &[u64]) -> Self {
        let span = keys.last().copied().unwrap_or(0) - keys.first().copied().unwrap_or(0);
        let buckets = Shape::EliasFano(elias::Shape::best(keys.len(), span));
        let fit = line::Fit::of(keys);
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
