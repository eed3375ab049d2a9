//! Values by ordinal: an array when all have one width, else a heap of items and where each starts.
//! Of at most 8 bytes they are packed as [`numbers`], if that saves an eighth.
//!
//! An item of the heap is the value's bytes, or, if its offset has the top bit set, the `u32`
//! index of the extent that holds them. A tombstone has an empty item, or zeros in the array.

use super::format::{Layout, Section, SectionLens};
use super::int::Near;
use super::slabs::Column;
use crate::arena::{CACHE_LINE, OutOfMemory, prefetch};
use crate::batch::LentValues;
use crate::blocks::Bytes;
use crate::bytes::{u32_at, u64_at};
use crate::entry::{Extent, INLINE_VALUE_MAX, MAX_VALUE_LEN, ValueBuf, ValueRef, ValueWidth};
use crate::error::{Corruption, Error};
use crate::numbers::{self, GROUP, MAX_NUMBER, Numbers};
use bumpalo::Bump;
use std::ops::Range;

/// Bytes of an item that is an extent index.
const EXTENT_INDEX_LEN: usize = 4;

/// Staged length of an item that is an extent index; inline items are shorter.
const EXTENT_MARK: u16 = u16::MAX;
const _: () = assert!(INLINE_VALUE_MAX < EXTENT_MARK as usize);

/// Heaps below this length have offsets of 4 bytes, others of 8; the top bit is the extent mark.
const NARROW_HEAP: usize = 1 << 31;

fn offset_width(heap_len: usize) -> usize {
    if heap_len < NARROW_HEAP { 4 } else { 8 }
}

/// Where the value of an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// These bytes of the values section, which are inside it and checked.
    Inline(Range<usize>),
    /// The first of these bytes, as many as values have.
    Number([u8; MAX_NUMBER]),
    /// The extent of this index, which exists.
    Extent(u32),
    /// An extent in these bytes of the segment's file, which are checked.
    Stored(Range<usize>),
}

/// The stored values of a segment.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// An array.
    Fixed {
        /// Bytes of each value.
        width: usize,
        /// The array.
        array: Bytes<'a>,
    },
    /// An array that is packed.
    Numbers(Numbers<'a>),
    /// A heap of items.
    Bytes {
        /// The items.
        heap: Bytes<'a>,
        /// Where each item starts, and where the last one ends.
        offsets: Bytes<'a>,
        /// Number of extents.
        extents: u32,
    },
}

impl<'a> Values<'a> {
    /// Values in sections of the layout.
    #[inline]
    pub(super) fn new(layout: &Layout, section: impl Fn(Section) -> Bytes<'a>) -> Self {
        let values = section(Section::Values);
        match layout.width {
            ValueWidth::Fixed(width) if layout.has_numbers => Self::Numbers(Numbers::new(
                values,
                layout.entries,
                usize::from(width),
                Section::Values.part(),
            )),
            ValueWidth::Fixed(width) => Self::Fixed { width: usize::from(width), array: values },
            ValueWidth::Bytes => Self::Bytes {
                heap: values,
                offsets: section(Section::ValueOffsets),
                extents: layout.extents,
            },
        }
    }

    /// Checks in constant time that the sections are as long as `entries` values need.
    pub(super) fn check_frame(self, entries: u64) -> Result<(), Corruption> {
        let (section, len, needed) = match self {
            Self::Fixed { width, array } => {
                let needed = entries.checked_mul(width as u64);
                (Section::Values, array.len(), needed)
            }
            Self::Numbers(numbers) => return numbers.check_frame(),
            Self::Bytes { heap, offsets, .. } => {
                let slots = entries.checked_add(1);
                let needed = slots.and_then(|n| n.checked_mul(offset_width(heap.len()) as u64));
                (Section::ValueOffsets, offsets.len(), needed)
            }
        };
        if needed == Some(len as u64) {
            Ok(())
        } else {
            Err(damaged(section, 0, "its length follows from the entries"))
        }
    }

    /// Where the value of entry `i` is, of so many bytes in an array.
    #[inline]
    pub(super) fn place_in_array(
        array: Bytes<'_>,
        width: usize,
        i: u64,
    ) -> Result<Place, Corruption> {
        let start = (i as usize).checked_mul(width);
        let end = start.and_then(|start| start.checked_add(width));
        match (start, end) {
            (Some(start), Some(end)) if end <= array.len() => {
                array.admit(start..end)?;
                Ok(Place::Inline(start..end))
            }
            _ => Err(damaged(Section::Values, i, "there is a value for the entry")),
        }
    }

    /// Where the value of entry `i` is.
    #[inline]
    pub(super) fn place(self, i: u64) -> Result<Place, Corruption> {
        match self {
            Self::Fixed { width, array } => Self::place_in_array(array, width, i),
            Self::Numbers(numbers) => numbers.get(i).map(Place::Number),
            Self::Bytes { heap, offsets, extents } => {
                let (start, is_extent, end) = slots(heap, offsets, i)?;
                if start > end || end > heap.len() {
                    return Err(damaged(
                        Section::ValueOffsets,
                        i,
                        "offsets ascend and are inside the heap",
                    ));
                }
                let item = heap.get(start..end)?;
                if !is_extent {
                    return Ok(Place::Inline(start..end));
                }
                match u32_at(item, 0) {
                    Some(index) if item.len() == EXTENT_INDEX_LEN && index < extents => {
                        Ok(Place::Extent(index))
                    }
                    _ => Err(damaged(
                        Section::Values,
                        start as u64,
                        "an extent's item is its index, of 4 bytes",
                    )),
                }
            }
        }
    }

    /// Asks for what a few entries from `first` on need, one of which will be read.
    #[inline]
    pub(super) fn prefetch(self, first: u64) {
        match self {
            Self::Fixed { width, array } => {
                let at = (first as usize).wrapping_mul(width);
                prefetch(array.admitted(), at);
                prefetch(array.admitted(), at.wrapping_add(CACHE_LINE));
            }
            Self::Numbers(numbers) => numbers.prefetch(first),
            Self::Bytes { heap, offsets, .. } => {
                let at = (first as usize).wrapping_mul(offset_width(heap.len()));
                prefetch(offsets.admitted(), at);
            }
        }
    }

    /// Asks for what entry `i` needs, which will be read.
    #[inline]
    pub(super) fn prefetch_one(self, i: u64) {
        let (bytes, width) = match self {
            Self::Fixed { width, array } => (array, width),
            Self::Numbers(numbers) => return numbers.prefetch(i),
            Self::Bytes { heap, offsets, .. } => (offsets, offset_width(heap.len())),
        };
        prefetch(bytes.admitted(), (i as usize).wrapping_mul(width));
    }

    /// Asks for the item of entry `i`, if there are items. Where it is can be read by now.
    #[inline]
    pub(super) fn prefetch_item(self, i: u64) {
        let Self::Bytes { heap, offsets, .. } = self else { return };
        // If that cannot be read, it is for the one to say who reads the item.
        let Ok((start, _, end)) = slots(heap, offsets, i) else { return };
        prefetch(heap.admitted(), start);
        if end > start.saturating_add(CACHE_LINE) {
            prefetch(heap.admitted(), start.saturating_add(CACHE_LINE));
        }
    }

    /// The value of entry `i`, which there is, if all have one width. `buf` is where it goes, if it has
    /// to be unpacked.
    #[inline]
    pub(super) fn fixed<'b>(self, i: u64, buf: &'b ValueBuf) -> Result<Option<&'b [u8]>, Corruption>
    where
        'a: 'b,
    {
        match self {
            Self::Fixed { width, array } => {
                // It is inside the section, so this does not overflow.
                let start = i as usize * width;
                array.get(start..start + width).map(Some)
            }
            Self::Numbers(numbers) => {
                numbers.get(i).map(|value| Some(buf.hold(value, numbers.width())))
            }
            Self::Bytes { .. } => Ok(None),
        }
    }

    /// The values of these entries, which there are, and the bytes of each; `None` if they have not
    /// all as many, or cannot be read.
    #[inline]
    pub(super) fn lend(self, entries: Range<u64>) -> Option<(LentValues<'a>, usize)> {
        match self {
            Self::Fixed { width, array } => {
                // As many as the section has, so neither overflows.
                let range = entries.start as usize * width..entries.end as usize * width;
                Some((LentValues::Bytes(array.get(range).ok()?), width))
            }
            Self::Numbers(numbers) => {
                Some((LentValues::Numbers(numbers, entries.start), numbers.width()))
            }
            Self::Bytes { .. } => None,
        }
    }

    /// Reads everything: items tile the heap, extents are used once and in order, tombstones (as
    /// told by `is_tombstone`) have no bytes.
    pub(super) fn verify(
        self,
        entries: u64,
        is_tombstone: impl Fn(u64) -> Result<bool, Corruption>,
    ) -> Result<(), Error> {
        let check_zeros = |first: u64, values: &[u8], width: usize| {
            for (i, value) in (first..).zip(values.chunks_exact(width)) {
                if value.iter().any(|&byte| byte != 0) && is_tombstone(i)? {
                    return Err(damaged(Section::Values, i, "a tombstone's value is zeros"));
                }
            }
            Ok(())
        };
        match self {
            Self::Fixed { width: 0, .. } => Ok(()),
            Self::Fixed { width, array } => Ok(check_zeros(0, array.all()?, width)?),
            Self::Numbers(numbers) => {
                numbers.verify(|first, values| check_zeros(first, values, numbers.width()))?;
                if is_worth_packing(numbers.len(), numbers.width() * entries as usize) {
                    Ok(())
                } else {
                    let rule = "values are packed where that saves an eighth";
                    Err(damaged(Section::Values, 0, rule).into())
                }
            }
            Self::Bytes { heap, offsets, extents } => {
                verify_ends(heap, offsets, entries)?;
                Ok(self.verify_items(extents, entries, is_tombstone)?)
            }
        }
    }

    fn verify_items(
        self,
        extents: u32,
        entries: u64,
        is_tombstone: impl Fn(u64) -> Result<bool, Corruption>,
    ) -> Result<(), Corruption> {
        let mut used = 0;
        for i in 0..entries {
            let has_bytes = match self.place(i)? {
                Place::Extent(index) if index != used => {
                    return Err(damaged(
                        Section::Values,
                        i,
                        "extents are used once each, in order",
                    ));
                }
                Place::Extent(_) | Place::Stored(_) => {
                    used += 1;
                    true
                }
                Place::Inline(item) if item.len() > INLINE_VALUE_MAX => {
                    return Err(damaged(
                        Section::ValueOffsets,
                        i,
                        "an inline value has at most 1,024 bytes",
                    ));
                }
                Place::Inline(item) => !item.is_empty(),
                Place::Number(_) => false,
            };
            if has_bytes && is_tombstone(i)? {
                return Err(damaged(Section::Values, i, "a tombstone has no value"));
            }
        }
        if used != extents {
            return Err(damaged(Section::Values, 0, "each extent belongs to an entry"));
        }
        Ok(())
    }
}

/// The offsets of item `i`: its start, whether it is an extent index, and its end. Not compared
/// with each other or the heap.
#[inline]
fn slots(heap: Bytes<'_>, offsets: Bytes<'_>, i: u64) -> Result<(usize, bool, usize), Corruption> {
    let width = offset_width(heap.len());
    let at = usize::try_from(i).ok().and_then(|i| i.checked_mul(width));
    let pair = at.and_then(|at| Some(at..at.checked_add(2 * width)?));
    let pair = offsets.get(pair.ok_or_else(|| damaged(Section::ValueOffsets, i, ENTRIES))?)?;
    match (offset(pair, 0, width), offset(pair, width, width)) {
        (Some((start, is_extent)), Some((end, _))) => Ok((start, is_extent, end)),
        _ => Err(damaged(Section::ValueOffsets, i, ENTRIES)),
    }
}

/// The offset of `width` bytes at `at`, and its mark.
#[inline]
fn offset(slots: &[u8], at: usize, width: usize) -> Option<(usize, bool)> {
    if width == 4 {
        let raw = u32_at(slots, at)?;
        Some(((raw & !(1 << 31)) as usize, raw >> 31 == 1))
    } else {
        let raw = u64_at(slots, at)?;
        let offset = usize::try_from(raw & !(1 << 63)).ok()?;
        Some((offset, raw >> 63 == 1))
    }
}

/// Checks that the items start and end with the heap.
fn verify_ends(heap: Bytes<'_>, offsets: Bytes<'_>, entries: u64) -> Result<(), Corruption> {
    let width = offset_width(heap.len());
    let (first, last) = (offsets.get(0..width)?, offsets.len().saturating_sub(width));
    let starts = offset(first, 0, width).is_some_and(|(start, mark)| {
        // The only offset of no entry is an end, which has no mark.
        start == 0 && !(mark && entries == 0)
    });
    let ends = offset(offsets.get(last..offsets.len())?, 0, width) == Some((heap.len(), false));
    if starts && ends {
        Ok(())
    } else {
        let at = if starts { entries } else { 0 };
        Err(damaged(Section::ValueOffsets, at, "offsets start at zero and end with the heap"))
    }
}

const ENTRIES: &str = "there is an offset for the entry";

impl Near for Values<'_> {
    #[inline]
    fn tell(&mut self, ordinal: u64) {
        self.prefetch(ordinal);
    }
}

#[cold]
fn damaged(section: Section, offset: u64, rule: &'static str) -> Corruption {
    Corruption::new(section.part(), offset, rule)
}

/// Values being collected.
pub(super) struct ValueStage<'b> {
    width: ValueWidth,
    /// The array, or the heap.
    bytes: Column<'b>,
    /// For byte strings: the length of each item, or the mark of an extent.
    lens: Column<'b>,
    extents: Vec<Extent>,
    /// Bytes that the array has if it is packed, if it shall be.
    packed_len: Option<usize>,
}

/// One of so many groups is looked at, to tell whether all are worth a look, where there are more than
/// [`FEW_GROUPS`]. Odd, because what comes in turns often does so by powers of two.
const SAMPLE: usize = 7;
const FEW_GROUPS: usize = 64;

/// An array is packed if that leaves at most so much of it: a get reads the directory too.
fn is_worth_packing(packed: usize, array: usize) -> bool {
    packed <= array - array / 8
}

impl<'b> ValueStage<'b> {
    /// No values yet.
    pub(super) fn new(width: ValueWidth, bump: &'b Bump) -> Self {
        Self {
            width,
            bytes: Column::new(bump),
            lens: Column::new(bump),
            extents: Vec::new(),
            packed_len: None,
        }
    }

    /// Appends the value of the next entry; `None` for a tombstone.
    ///
    /// Whether a byte string is stored inline follows from its length alone, however it is handed
    /// over, so that the image depends on nothing but the content.
    ///
    /// # Panics
    /// If the value is not as wide as all values of this segment are: a bug of the caller.
    #[inline]
    pub(super) fn push(&mut self, value: Option<ValueRef<'_>>) -> Result<(), Error> {
        match (self.width, value) {
            (ValueWidth::Fixed(width), None) => self.bytes.append_zeros(usize::from(width))?,
            (ValueWidth::Fixed(width), Some(value)) => {
                let value = value.as_slice();
                assert_eq!(value.len(), usize::from(width), "width of a fixed value");
                match value.as_array::<MAX_NUMBER>() {
                    // A copy of a known length is no call.
                    Some(value) => self.bytes.append(value)?,
                    None => self.bytes.append(value)?,
                }
            }
            (ValueWidth::Bytes, None) => self.lens.append_u16(0)?,
            (ValueWidth::Bytes, Some(value)) => {
                let bytes = value.as_slice();
                if bytes.len() <= INLINE_VALUE_MAX {
                    self.bytes.append(bytes)?;
                    self.lens.append_u16(bytes.len() as u16)?;
                } else {
                    self.push_extent(value)?;
                }
            }
        }
        Ok(())
    }

    /// Appends the values of the next entries, so many, all of which are as wide as all of this segment.
    /// `scratch` is for those that have to be unpacked.
    pub(super) fn push_lent(
        &mut self,
        values: LentValues<'_>,
        count: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match values {
            LentValues::Bytes(values) => self.bytes.append(values)?,
            LentValues::Numbers(numbers, first) => {
                scratch.clear();
                numbers.unpack(first..first + count, scratch)?;
                self.bytes.append(scratch)?;
            }
        }
        Ok(())
    }

    /// Calls `f` with the number and the values of every `step`-th group that the array would have.
    fn each_group(
        &self,
        width: usize,
        step: usize,
        mut f: impl FnMut(usize, &[u8]) -> Result<(), OutOfMemory>,
    ) -> Result<(), OutOfMemory> {
        let mut room = [0; GROUP * MAX_NUMBER];
        let (mut reader, mut left) = (self.bytes.reader(), self.bytes.len());
        for number in (0..).step_by(step) {
            let values = &mut room[..left.min(GROUP * width)];
            if values.is_empty() {
                break;
            }
            reader.read(values);
            f(number, values)?;
            let passed = left.min(GROUP * width * step);
            reader.skip(passed - values.len());
            left -= passed;
        }
        Ok(())
    }

    /// Bytes of every `step`-th group's values, packed if there is a place for them, and as an array.
    fn lens_of(&self, width: usize, step: usize) -> Result<(Option<usize>, usize), OutOfMemory> {
        let (mut plan, mut array) = (numbers::Plan::new(width), 0);
        self.each_group(width, step, |_, values| {
            plan.add(values);
            array += values.len();
            Ok(())
        })?;
        Ok((plan.len(array / width), array))
    }

    /// Bytes of each value, if these can be packed.
    fn number_width(&self) -> Option<usize> {
        match self.width {
            ValueWidth::Fixed(width) => {
                Some(usize::from(width)).filter(|width| (1..=MAX_NUMBER).contains(width))
            }
            ValueWidth::Bytes => None,
        }
    }

    /// Decides how the values are stored, once all are there. Answers whether as packed numbers.
    pub(super) fn settle(&mut self) -> Result<bool, OutOfMemory> {
        let Some(width) = self.number_width() else { return Ok(false) };
        let is_few = self.bytes.len() <= FEW_GROUPS * GROUP * width;
        // Where a sample shows no gain, the others are not looked at.
        for step in [if is_few { 1 } else { SAMPLE }, 1] {
            let (packed, array) = self.lens_of(width, step)?;
            self.packed_len = packed.filter(|packed| is_worth_packing(*packed, array));
            if self.packed_len.is_none() || is_few {
                break;
            }
        }
        Ok(self.packed_len.is_some())
    }

    fn push_extent(&mut self, value: ValueRef<'_>) -> Result<(), Error> {
        let len = value.as_slice().len();
        if len > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len });
        }
        let index = u32::try_from(self.extents.len()).map_err(|_| OutOfMemory)?;
        let extent = match value {
            ValueRef::Extent(extent) => extent.share(),
            ValueRef::Inline(bytes) => Extent::copy_of(bytes)?,
        };
        self.extents.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.bytes.append(&index.to_le_bytes())?;
        self.lens.append_u16(EXTENT_MARK)?;
        self.extents.push(extent);
        Ok(())
    }

    /// Tells the lengths of the sections; `None` if they cannot be addressed.
    pub(super) fn plan(&self, entries: u64, lens: &mut SectionLens) -> Option<()> {
        lens.set(Section::Values, self.packed_len.unwrap_or(self.bytes.len()));
        if self.width == ValueWidth::Bytes {
            let slots = usize::try_from(entries).ok()?.checked_add(1)?;
            let len = slots.checked_mul(offset_width(self.bytes.len()))?;
            lens.set(Section::ValueOffsets, len);
        }
        Some(())
    }

    /// Writes the values section.
    pub(super) fn write_values(&self, out: &mut [u8]) -> Result<(), OutOfMemory> {
        if let Some(width) = self.number_width().filter(|_| self.packed_len.is_some()) {
            let mut writer = numbers::Writer::new(self.bytes.len() / width, width);
            let mut scratch = Vec::new();
            return self.each_group(width, 1, |group, values| {
                writer.write(group, values, &mut scratch, out)
            });
        }
        self.bytes.copy_to(out);
        Ok(())
    }

    /// Writes the offsets section, if there is one.
    pub(super) fn write_offsets(&self, out: &mut [u8]) {
        let width = offset_width(self.bytes.len());
        let mut slots = out.chunks_exact_mut(width);
        let mut start = 0u64;
        for len in self.lens.u16s() {
            let is_extent = len == EXTENT_MARK;
            put_offset(slots.next(), start, is_extent);
            start += if is_extent { EXTENT_INDEX_LEN as u64 } else { u64::from(len) };
        }
        put_offset(slots.next(), start, false);
    }

    /// Number of extents so far.
    pub(super) fn extent_count(&self) -> usize {
        self.extents.len()
    }

    /// The extents, by index.
    pub(super) fn into_extents(self) -> Vec<Extent> {
        self.extents
    }
}

fn put_offset(slot: Option<&mut [u8]>, offset: u64, is_extent: bool) {
    if let Some(slot) = slot {
        let top = 8 * slot.len() - 1;
        let raw = offset | u64::from(is_extent) << top;
        let width = slot.len();
        slot.copy_from_slice(&raw.to_le_bytes()[..width]);
    }
}
