//! The entries of a segment of packed numbers in columns, piece by piece.

use super::int::IntKeys;
use super::{Keys, Known, Ordinal, Segment};
use crate::arena::OutOfMemory;
use crate::batch::LentValues;
use crate::columns::{Columns, LIVE_BELOW, TOMBSTONE};
use crate::entry::{ValueBuf, ValueWidth};
use crate::error::{Corruption, Error};
use std::ops::Range;

/// A place among the entries of a segment, before which all have been read.
pub(crate) struct NumberPieces<'s> {
    segment: &'s Segment,
    known: &'s Known,
    keys: IntKeys<'s>,
    /// The next entry.
    at: u64,
    /// The last key that was read.
    last: Option<u64>,
}

impl<'s> NumberPieces<'s> {
    /// Before all entries; `None` if the keys are no packed numbers, or values have no common width.
    pub(crate) fn new(segment: &'s Segment) -> Result<Option<Self>, Corruption> {
        let known = segment.known()?;
        Ok(match (segment.keys_of(known), segment.width) {
            (Keys::Int(keys), ValueWidth::Fixed(_)) => {
                Some(Self { segment, known, keys, at: 0, last: None })
            }
            _ => None,
        })
    }

    /// Bytes of each key.
    pub(crate) fn key_width(&self) -> usize {
        self.keys.width()
    }

    /// Whether all entries are values with nothing live below.
    pub(crate) fn is_base(&self) -> bool {
        self.known.layout.is_base()
    }

    /// Whether all have been read.
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.segment.len()
    }

    /// Makes `columns` the entries of the next piece, which there is.
    pub(crate) fn read(&mut self, columns: &mut Columns) -> Result<(), Error> {
        let (width, first) = (columns.width(), self.at);
        columns.replace(|keys, values, flags| {
            self.keys.unpack_piece(first, keys)?;
            let entries = first..first + keys.len() as u64;
            self.at = entries.end;
            self.read_values(entries.clone(), width, values)?;
            self.read_flags(entries, flags)
        })?;
        if !columns.ascend(self.last) {
            return Err(Corruption::new("segment", first, "keys are strictly ascending").into());
        }
        self.last = columns.left_keys().last().copied();
        Ok(())
    }

    /// Makes `out` the values of some entries, or longer.
    fn read_values(
        &self,
        entries: Range<u64>,
        width: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Self { segment, known: Known { layout, .. }, .. } = *self;
        let len = (entries.end - entries.start) as usize * width;
        out.clear();
        out.try_reserve(len).map_err(OutOfMemory::from)?;
        let values = segment.values(layout);
        match values.lend(entries.clone()) {
            Some((LentValues::Bytes(values), _)) if values.len() == len => {
                out.extend_from_slice(values);
            }
            Some((LentValues::Numbers(numbers, first), stored)) if stored == width => {
                numbers.unpack(first..first + entries.end - entries.start, out)?;
            }
            _ => {
                // They cannot be read together: one by one, for the error of the first that cannot.
                for (place, ordinal) in (1..).zip(entries) {
                    let buf = ValueBuf::default();
                    let entry = segment.entry_of(layout, values, Ordinal(ordinal), &buf)?;
                    out.extend_from_slice(entry.live().unwrap_or(&[]));
                    out.resize(place * width, 0);
                }
            }
        }
        Ok(())
    }

    /// Makes `flags` those of some entries, or longer. The first one is a multiple of 64, as those of pieces
    /// are.
    fn read_flags(&self, entries: Range<u64>, flags: &mut Vec<u8>) -> Result<(), Error> {
        let count = (entries.end - entries.start) as usize;
        flags.try_reserve(count.saturating_sub(flags.len())).map_err(OutOfMemory::from)?;
        flags.resize(count, 0);
        if self.known.layout.is_base() {
            flags.fill(0);
            return Ok(());
        }
        let tombstones = self.segment.tombstones(&self.known.layout);
        let live_below = self.segment.live_below(&self.known.layout);
        for (word, flags) in (entries.start / 64..).zip(flags.chunks_mut(64)) {
            let (tombstones, live_below) = (tombstones.word(word)?, live_below.word(word)?);
            for (bit, flags) in flags.iter_mut().enumerate() {
                let is_set = |word: u64, flag| if word >> bit & 1 == 0 { 0 } else { flag };
                *flags = is_set(tombstones, TOMBSTONE) | is_set(live_below, LIVE_BELOW);
            }
        }
        Ok(())
    }
}
