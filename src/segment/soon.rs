//! Gets of numbers in few steps, where a segment is as most are: on the heap, with short values.
//!
//! What the long way makes ready for each get, whatever the segment is, takes as long as the search
//! itself: SCRATCHPAD.md section 3.3. Whoever is told [`Soon::Unknown`] takes that one.
#![allow(
    clippy::inline_always,
    reason = "a search is compiled as a whole: SCRATCHPAD.md section 3.3"
)]

use super::bits::bit_at;
use super::format::{Layout, Section};
use super::int::{IntKeys, IntSearch, Near};
use super::{Frame, KeyHead, Segment};
use crate::arena::{CACHE_LINE, prefetch};
use crate::blocks::Bytes;
use crate::bytes::{u32_at, u64_at, uint_at};
use crate::entry::ValueWidth;
use crate::numbers::{MAX_NUMBER, Numbers};
use std::ops::Range;

/// What is known in few steps about a key. Handed around in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Soon {
    /// It has this value: the first bytes, lowest first, as many as values have.
    Value(u64),
    /// It has a tombstone.
    Removed,
    /// It has no entry.
    Absent,
    /// Nothing, nor whether the bytes are sound.
    Unknown,
}

/// A get in steps: between two of them, what the next one reads has time to arrive.
pub(crate) struct SoonSearch<'s> {
    search: IntSearch<'s>,
    values: Column<'s>,
}

impl Segment {
    /// What can be said in few steps about `key`, if nothing is above.
    pub(crate) fn soon(&self, key: &[u8]) -> Soon {
        let Some((keys, mut values)) = self.live_numbers() else { return Soon::Unknown };
        match keys.search_here(key, &mut values) {
            Ok(Ok(ordinal)) => values.get(ordinal),
            Ok(Err(_)) => Soon::Absent,
            Err(_) => Soon::Unknown,
        }
    }

    /// Whether [`soon`](Self::soon) may say something.
    #[inline]
    pub(crate) fn has_numbers(&self) -> bool {
        matches!(&self.frame, Frame::Known(known) if matches!(known.head, KeyHead::Int(_)))
    }

    /// The same of a segment that may have tombstones: compiled again, so that others need not be asked.
    pub(crate) fn soon_above(&self, key: &[u8]) -> Soon {
        let Some((keys, mut values, tombstones)) = self.numbers_above() else {
            return Soon::Unknown;
        };
        match keys.search_here(key, &mut values) {
            Ok(Ok(ordinal)) if bit_at(tombstones, ordinal) => Soon::Removed,
            Ok(Ok(ordinal)) => values.get(ordinal),
            Ok(Err(_)) => Soon::Absent,
            Err(_) => Soon::Unknown,
        }
    }

    /// Begins to look for `key`, if that takes few steps. What it makes stays where it is made.
    pub(crate) fn begin_soon<'s>(&'s self, key: &[u8], begun: &mut Option<SoonSearch<'s>>) {
        if let Some((keys, values)) = self.live_numbers()
            && let Ok(Some(search)) = keys.begin(key)
        {
            *begun = Some(SoonSearch { search, values });
        }
    }

    /// Keys and values, if the segment is of that kind and its entries are all values with nothing below.
    #[inline(always)]
    pub(super) fn numbers(&self) -> Option<(IntKeys<'_>, Column<'_>)> {
        let Frame::Known(known) = &self.frame else { return None };
        let is_lowest = known.layout.span(Section::LiveBelow).is_empty();
        self.live_numbers().filter(|_| is_lowest)
    }

    /// Keys and values, if the segment is of that kind and has no tombstones.
    #[inline(always)]
    fn live_numbers(&self) -> Option<(IntKeys<'_>, Column<'_>)> {
        let (keys, values, tombstones) = self.numbers_above()?;
        tombstones.is_empty().then_some((keys, values))
    }

    /// Keys, values and the bits of tombstones, if the segment is of that kind.
    #[inline(always)]
    fn numbers_above(&self) -> Option<(IntKeys<'_>, Column<'_>, &[u8])> {
        let Frame::Known(known) = &self.frame else { return None };
        let (layout, KeyHead::Int(head)) = (&known.layout, &known.head) else { return None };
        let image = self.image.bytes().open()?;
        let section = |section| Bytes::heap(image).part(layout.span(section));
        let (index, pieces) = (section(Section::PieceIndex), section(Section::Pieces));
        let keys = IntKeys::new(*head, index, pieces, self.len());
        let tombstones = section(Section::Tombstones).admitted();
        Some((keys, Column::new(image, layout)?, tombstones))
    }
}

/// What a search finds that has not read the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SoonPlace {
    /// An entry with a value, by its number.
    At(u64),
    /// There is none.
    Absent,
    /// Nothing, nor whether the bytes are sound.
    Unknown,
}

impl SoonSearch<'_> {
    /// Before the first step: asks for what the last one is likely to read.
    #[inline]
    pub(crate) fn hasten(&self) {
        self.search.hasten();
    }

    /// The first step without a thought of the value, which most searches will not come to.
    #[inline]
    pub(crate) fn narrow_keys(&mut self) {
        // Damage is met again in the next one.
        let _ = self.search.narrow();
    }

    /// The second step behind that: asks for the value, if there is one.
    #[inline]
    pub(crate) fn place(&mut self) -> SoonPlace {
        match self.search.settle() {
            Ok(Ok(ordinal)) => {
                self.values.tell(ordinal);
                SoonPlace::At(ordinal)
            }
            Ok(Err(_)) => SoonPlace::Absent,
            Err(_) => SoonPlace::Unknown,
        }
    }

    /// The value at a place.
    #[inline]
    pub(crate) fn value(&self, ordinal: u64) -> Soon {
        self.values.get(ordinal)
    }

    /// The first step.
    #[inline]
    pub(crate) fn narrow(&mut self) {
        // Damage is met again in the next one.
        if let Ok(near) = self.search.narrow() {
            self.values.tell(near);
        }
    }

    /// The second and last one.
    #[inline]
    pub(crate) fn settle(&self) -> Soon {
        match self.search.settle() {
            Ok(Ok(ordinal)) => self.values.get(ordinal),
            Ok(Err(_)) => Soon::Absent,
            Err(_) => Soon::Unknown,
        }
    }

    /// Bytes of each value.
    #[inline]
    pub(crate) fn width(&self) -> usize {
        self.values.width
    }
}

/// The values of a segment.
pub(super) struct Column<'a> {
    array: &'a [u8],
    /// Bytes of each.
    pub(super) width: usize,
    /// How many there are, if they are packed.
    packed: Option<u64>,
}

impl<'a> Column<'a> {
    /// The values of a segment whose image is in memory, if they are such.
    #[inline(always)]
    pub(super) fn new(image: &'a [u8], layout: &Layout) -> Option<Self> {
        let ValueWidth::Fixed(width) = layout.width else { return None };
        let width = usize::from(width);
        if width > MAX_NUMBER {
            return None;
        }
        let array = Bytes::heap(image).part(layout.span(Section::Values)).admitted();
        Some(Self { array, width, packed: layout.has_numbers.then_some(layout.entries) })
    }

    #[inline]
    fn packed(&self, count: u64) -> Numbers<'a> {
        Numbers::new(Bytes::heap(self.array), count, self.width, Section::Values.part())
    }

    /// The value of an entry, which there is.
    #[inline(always)]
    pub(super) fn get(&self, ordinal: u64) -> Soon {
        let at = (ordinal as usize).wrapping_mul(self.width);
        let value = match (self.packed, self.width) {
            (Some(count), _) => self.packed(count).number(ordinal).ok(),
            (None, 8) => u64_at(self.array, at),
            (None, 4) => u32_at(self.array, at).map(u64::from),
            (None, width) => uint_at(self.array, at, width),
        };
        value.map_or(Soon::Unknown, Soon::Value)
    }

    /// Appends the values of these entries, which there are; `None` if they are damaged, or there is no
    /// memory.
    pub(super) fn copy(&self, ordinals: Range<u64>, out: &mut Vec<u8>) -> Option<()> {
        if let Some(count) = self.packed {
            return self.packed(count).unpack(ordinals, out).ok();
        }
        let place = |ordinal: u64| (ordinal as usize).wrapping_mul(self.width);
        let bytes = self.array.get(place(ordinals.start)..place(ordinals.end))?;
        out.try_reserve(bytes.len()).ok()?;
        out.extend_from_slice(bytes);
        Some(())
    }
}

impl Near for Column<'_> {
    /// Asks for the value there and some behind it.
    #[inline(always)]
    fn tell(&mut self, ordinal: u64) {
        if let Some(count) = self.packed {
            return self.packed(count).prefetch(ordinal);
        }
        let at = (ordinal as usize).wrapping_mul(self.width);
        prefetch(self.array, at);
        prefetch(self.array, at.wrapping_add(CACHE_LINE));
    }
}
