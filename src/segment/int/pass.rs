//! Keys piece by piece, to be appended to another segment.

use super::{IntKeys, MAX_WIDTH, number_not_below, spelled};
use crate::error::Error;
use std::ops::Range;

/// The keys of a piece.
#[derive(Default)]
pub(in super::super) struct IntPiece {
    keys: Vec<u64>,
    /// The ordinal of the first key.
    first: u64,
    /// Bytes of each key.
    width: usize,
}

impl IntPiece {
    /// Unpacks the piece of key `ordinal`, which exists.
    pub(in super::super) fn load(&mut self, keys: IntKeys<'_>, ordinal: u64) -> Result<(), Error> {
        self.width = keys.width();
        self.first = keys.unpack_piece(ordinal, &mut self.keys)?;
        Ok(())
    }

    /// The ordinals of its keys.
    pub(in super::super) fn ordinals(&self) -> Range<u64> {
        self.first..self.first + self.keys.len() as u64
    }

    /// Bytes of each key.
    pub(in super::super) fn width(&self) -> usize {
        self.width
    }

    /// The key of an ordinal, in the last bytes of `bytes`.
    #[inline]
    pub(in super::super) fn key<'b>(
        &self,
        ordinal: u64,
        bytes: &'b mut [u8; MAX_WIDTH],
    ) -> &'b [u8] {
        let number = self.keys.get((ordinal - self.first) as usize);
        spelled(number.copied().unwrap_or(0), self.width, bytes)
    }

    /// The keys of a range.
    pub(in super::super) fn numbers(&self, range: Range<u64>) -> &[u64] {
        let range = (range.start - self.first) as usize..(range.end - self.first) as usize;
        self.keys.get(range).unwrap_or(&[])
    }

    /// The first ordinal from `from` on whose key is not below `bound`, or the one behind all.
    ///
    /// Takes steps of growing length: most often it is one of the next few.
    #[inline]
    pub(in super::super) fn not_below(&self, from: u64, bound: &[u8]) -> u64 {
        let numbers = self.numbers(from..self.ordinals().end);
        let Some((bound, _)) = number_not_below(bound, self.width) else {
            return self.ordinals().end;
        };
        let mut end = 1;
        while numbers.get(end - 1).is_some_and(|number| *number < bound) {
            end *= 2;
        }
        let start = end / 2;
        let rest = &numbers[start..end.min(numbers.len())];
        from + (start + rest.partition_point(|number| *number < bound)) as u64
    }
}
