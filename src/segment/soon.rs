//! Gets of numbers in few steps, where a segment is as most are: on the heap, nothing but values.
//!
//! What the long way makes ready for each get, whatever the segment is, takes as long as the search
//! itself: SCRATCHPAD.md section 3.3. Whoever is told [`Soon::Unknown`] takes that one.
#![allow(
    clippy::inline_always,
    reason = "a search is compiled as a whole: SCRATCHPAD.md section 3.3"
)]

use super::format::Section;
use super::int::{IntKeys, Near};
use super::{Frame, KeyHead, Segment};
use crate::arena::{CACHE_LINE, prefetch};
use crate::blocks::Bytes;
use crate::bytes::{u32_at, u64_at, uint_at};
use crate::entry::ValueWidth;
use crate::numbers::{MAX_NUMBER, Numbers};

/// What is known in few steps about a key. Handed around in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Soon {
    /// It has this value: the first bytes, lowest first, as many as values have.
    Value(u64),
    /// It has no entry.
    Absent,
    /// Nothing, nor whether the bytes are sound.
    Unknown,
}

impl Segment {
    /// What can be said in few steps about `key`.
    pub(crate) fn soon(&self, key: &[u8]) -> Soon {
        let Frame::Known(known) = &self.frame else { return Soon::Unknown };
        let (layout, KeyHead::Int(head)) = (&known.layout, &known.head) else {
            return Soon::Unknown;
        };
        let (Some(image), ValueWidth::Fixed(width)) = (self.image.bytes().open(), layout.width)
        else {
            return Soon::Unknown;
        };
        let is_left_out = |column| layout.span(column).is_empty();
        let width = usize::from(width);
        if width > MAX_NUMBER
            || !is_left_out(Section::Tombstones)
            || !is_left_out(Section::LiveBelow)
        {
            return Soon::Unknown;
        }
        let section = |section| Bytes::heap(image).part(layout.span(section));
        let (index, pieces) = (section(Section::PieceIndex), section(Section::Pieces));
        let keys = IntKeys::new(*head, index, pieces, self.len());
        let values = section(Section::Values);
        let array = values.admitted();
        let numbers = Numbers::new(values, layout.entries, width, Section::Values.part());
        let mut asked = Asked { array, width, numbers: layout.has_numbers.then_some(numbers) };
        let found = match keys.search_here(key, &mut asked) {
            Ok(Ok(ordinal)) => ordinal,
            Ok(Err(_)) => return Soon::Absent,
            Err(_) => return Soon::Unknown,
        };
        let at = found as usize * width;
        let value = match width {
            _ if layout.has_numbers => numbers.number(found).ok(),
            8 => u64_at(array, at),
            4 => u32_at(array, at).map(u64::from),
            _ => uint_at(array, at, width),
        };
        value.map_or(Soon::Unknown, Soon::Value)
    }
}

/// Values that are asked for while their keys are looked for.
struct Asked<'a> {
    array: &'a [u8],
    width: usize,
    /// If they are packed.
    numbers: Option<Numbers<'a>>,
}

impl Near for Asked<'_> {
    #[inline(always)]
    fn tell(&mut self, ordinal: u64) {
        if let Some(numbers) = &self.numbers {
            return numbers.prefetch(ordinal);
        }
        let at = (ordinal as usize).wrapping_mul(self.width);
        prefetch(self.array, at);
        prefetch(self.array, at.wrapping_add(CACHE_LINE));
    }
}
