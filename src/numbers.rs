//! Columns of numbers in groups: of each number, how far it is above the least one of its group.
//!
//! Values are seldom as wide as their type: counters, sizes, ids of a map's own making. Neighbours
//! may also be large but close to each other. A frame of reference for every few of them takes what
//! they differ by, and any one is read on its own: SCRATCHPAD.md section 3.8.
//!
//! ```text
//! directory: 4 bytes for each group | zeros to 8 | group | ... | group | 8 zeros
//! group: 8 bytes its base | its numbers less the base, packed, lowest bit first | zeros to 8
//! ```
//! An entry of the directory is the place of the group in the column, in units of 8 bytes, below the
//! width of its packed numbers. The last group may have fewer numbers.

use crate::arena::{CACHE_LINE, OutOfMemory, prefetch};
use crate::blocks::Bytes;
use crate::bytes::{u32_at, u64_at, uint_at};
use crate::error::{Corruption, Error};
use crate::packed::{Packed, Packer, SLACK, packed_len};
use std::ops::Range;

/// Bytes of the widest number.
pub(crate) const MAX_NUMBER: usize = 8;

/// Numbers of a group.
pub(crate) const GROUP: usize = 64;

/// Bytes of an entry of the directory, and of a group's base.
const ENTRY: usize = 4;
const BASE: usize = 8;

/// Places are in units of so many bytes.
const UNIT: usize = 8;

/// Bits of a place; the width stands above.
const PLACE_BITS: u32 = 25;

/// The width that needs no shifting, and that [`Packed`] does not have.
const WHOLE: u32 = 64;

const GROUPS: &str = "groups of numbers are inside their column, and end with it";

/// Bytes of a group.
fn group_len(numbers: usize, width: u32) -> usize {
    BASE + packed_len(numbers, width).next_multiple_of(UNIT)
}

fn directory_len(count: usize) -> usize {
    (count.div_ceil(GROUP) * ENTRY).next_multiple_of(UNIT)
}

/// The place of a group in its column, and the width of its numbers.
#[inline]
fn split(entry: u32) -> (usize, u32) {
    ((entry & ((1 << PLACE_BITS) - 1)) as usize * UNIT, entry >> PLACE_BITS)
}

/// What the numbers of a group are packed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reference {
    base: u64,
    /// Bits of the farthest number's distance from it.
    width: u32,
}

impl Reference {
    /// The one of numbers of `bytes` bytes, of which there is at least one. What is close together
    /// only as signed numbers, on both sides of zero, is taken as such.
    fn of(numbers: &[u64], bytes: usize) -> Self {
        let unused = 8 * (MAX_NUMBER - bytes) as u32;
        let width = |range: u64| u64::BITS - range.leading_zeros();
        let (mut low, mut high) = (u64::MAX, 0);
        for &number in numbers {
            (low, high) = (low.min(number), high.max(number));
        }
        let plain = Self { base: low, width: width(high - low) };
        let signed = |number: u64| (number << unused).cast_signed() >> unused;
        // Without numbers of both signs, it comes to the same.
        if signed(low) < 0 || signed(high) >= 0 {
            return plain;
        }
        let (mut least, mut greatest) = (i64::MAX, i64::MIN);
        for &number in numbers {
            (least, greatest) = (least.min(signed(number)), greatest.max(signed(number)));
        }
        let across = width(greatest.wrapping_sub(least).cast_unsigned());
        if across < plain.width {
            // As wide as the numbers, so that the base is one of them.
            Self { base: least.cast_unsigned() << unused >> unused, width: across }
        } else {
            plain
        }
    }
}

/// A column of numbers. Its bytes may come from a file, and are not trusted.
#[derive(Clone, Copy)]
pub(crate) struct Numbers<'a> {
    column: Bytes<'a>,
    count: u64,
    /// Bytes of each number, at most [`MAX_NUMBER`].
    width: usize,
    /// Name of the column in errors.
    part: &'static str,
}

/// A group that has been found.
#[derive(Clone, Copy)]
struct Group<'a> {
    base: u64,
    width: u32,
    /// What is behind the base, and the slack that packed numbers need.
    packed: &'a [u8],
}

impl Group<'_> {
    /// The number at `slot`; `None` if that is outside.
    #[inline]
    fn get(self, slot: usize) -> Option<u64> {
        let above = match self.width {
            WHOLE => u64_at(self.packed, slot * UNIT)?,
            width => Packed::new(self.packed, width).get(slot)?,
        };
        Some(self.base.wrapping_add(above))
    }

    /// The numbers from `slot` on, as many as `out` takes; `None` if some are outside.
    fn unpack(self, slot: usize, out: &mut [u64]) -> Option<()> {
        if self.width == WHOLE {
            let words = self.packed.as_chunks::<UNIT>().0.get(slot..slot + out.len())?;
            for (number, word) in out.iter_mut().zip(words) {
                *number = self.base.wrapping_add(u64::from_le_bytes(*word));
            }
            return Some(());
        }
        Packed::new(self.packed, self.width).unpack(slot, out)?;
        for number in out {
            *number = number.wrapping_add(self.base);
        }
        Some(())
    }
}

impl<'a> Numbers<'a> {
    /// The column of `count` numbers of `width` bytes each.
    #[inline]
    pub(crate) fn new(column: Bytes<'a>, count: u64, width: usize, part: &'static str) -> Self {
        Self { column, count, width, part }
    }

    /// Bytes of the column.
    pub(crate) fn len(self) -> usize {
        self.column.len()
    }

    /// Bytes of each number.
    #[inline]
    pub(crate) fn width(self) -> usize {
        self.width
    }

    #[cold]
    fn damaged(self, group: usize) -> Corruption {
        Corruption::new(self.part, group as u64, GROUPS)
    }

    /// Checks in constant time that the column is as long as the last group says.
    pub(crate) fn check_frame(self) -> Result<(), Corruption> {
        // Each group has at least a base, so this bounds all that is computed from the count.
        let groups = self.count.div_ceil(GROUP as u64);
        let is_sane = self.count > 0 && groups <= (self.column.len() / BASE) as u64;
        if !is_sane || self.width == 0 || self.width > MAX_NUMBER {
            return Err(self.damaged(0));
        }
        let last = groups as usize - 1;
        let (range, _) = self.place(last)?;
        let first_at = directory_len(self.count as usize);
        let least = first_at + last * BASE;
        if range.start < least || range.end + SLACK != self.column.len() {
            return Err(self.damaged(last));
        }
        Ok(())
    }

    /// Where the group is, which is one of the column's, and the width of its numbers.
    #[inline]
    fn place(self, group: usize) -> Result<(Range<usize>, u32), Corruption> {
        let (start, width) = self.entry(group)?;
        let numbers = (self.count - (group * GROUP) as u64).min(GROUP as u64) as usize;
        Ok((start..start + group_len(numbers, width), width))
    }

    #[inline]
    fn group(self, group: usize) -> Result<Group<'a>, Corruption> {
        let (Range { start, end }, width) = self.place(group)?;
        let bytes = self.column.get(start..end + SLACK).map_err(|corruption| {
            // What is not inside is the directory's fault, else it is that of a block.
            if end + SLACK > self.column.len() { self.damaged(group) } else { corruption }
        })?;
        let base = u64_at(bytes, 0).unwrap_or(0);
        Ok(Group { base, width, packed: bytes.get(BASE..).unwrap_or(&[]) })
    }

    /// Number `i`: its first bytes, as many as the column's numbers have, are the value.
    #[inline]
    pub(crate) fn get(self, i: u64) -> Result<[u8; MAX_NUMBER], Corruption> {
        self.number(i).map(u64::to_le_bytes)
    }

    /// The same as a number.
    #[inline]
    pub(crate) fn number(self, i: u64) -> Result<u64, Corruption> {
        let (group, slot) = ((i / GROUP as u64) as usize, i as usize % GROUP);
        if i >= self.count {
            return Err(self.damaged(group));
        }
        let (start, width) = self.entry(group)?;
        // Of a group only what the number needs: whole ones have several lines.
        let packed_at = start + BASE;
        self.column.admit(start..packed_at + packed_len(slot + 1, width) + SLACK)?;
        let bytes = self.column.admitted();
        let number = bytes
            .get(packed_at..)
            .zip(u64_at(bytes, start))
            .and_then(|(packed, base)| Group { base, width, packed }.get(slot));
        number.ok_or_else(|| self.damaged(group))
    }

    /// What the directory says of a group: its place, and the width of its numbers.
    #[inline]
    fn entry(self, group: usize) -> Result<(usize, u32), Corruption> {
        let at = group * ENTRY;
        self.column.admit(at..at + ENTRY)?;
        match u32_at(self.column.admitted(), at) {
            Some(entry) if split(entry).1 <= WHOLE => Ok(split(entry)),
            _ => Err(self.damaged(group)),
        }
    }

    /// Appends the values of these numbers to `out`.
    ///
    /// # Errors
    /// If they cannot be read, or there is no memory.
    pub(crate) fn unpack(self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), Error> {
        if range.end > self.count {
            return Err(self.damaged(0).into());
        }
        let len = (range.end - range.start) as usize * self.width;
        out.try_reserve(len).map_err(|_| OutOfMemory)?;
        let (mut at, mut numbers) = (range.start, [0; GROUP]);
        while at < range.end {
            let (group, slot) = ((at / GROUP as u64) as usize, at as usize % GROUP);
            let few = (GROUP - slot).min((range.end - at) as usize);
            let numbers = &mut numbers[..few];
            let unpacked = self.group(group)?.unpack(slot, numbers);
            unpacked.ok_or_else(|| self.damaged(group))?;
            let start = out.len();
            out.resize(start + few * self.width, 0);
            put_numbers(numbers, self.width, &mut out[start..]);
            at += few as u64;
        }
        Ok(())
    }

    /// Asks for the memory of number `i` and a few more.
    #[inline]
    pub(crate) fn prefetch(self, i: u64) {
        // The directory is small and near. Where it is not in memory, what it says is not waited for.
        let bytes = self.column.admitted();
        let at = ((i / GROUP as u64) as usize).wrapping_mul(ENTRY);
        if !self.column.admits(at..at.saturating_add(ENTRY)) {
            return;
        }
        let Some(entry) = u32_at(bytes, at) else { return };
        let (start, width) = split(entry);
        let at = start + BASE + i as usize % GROUP * width as usize / 8;
        prefetch(bytes, start);
        prefetch(bytes, at);
        prefetch(bytes, at + CACHE_LINE);
    }

    /// Reads everything: the column is the one that would be written of its values, and `check`
    /// passes each group's first number and values.
    pub(crate) fn verify(
        self,
        mut check: impl FnMut(u64, &[u8]) -> Result<(), Corruption>,
    ) -> Result<(), Error> {
        let column = self.column.all()?;
        let mut written = Writer::new(self.count as usize, self.width);
        let (mut values, mut group) = (Vec::new(), Vec::new());
        for number in 0..self.count.div_ceil(GROUP as u64) {
            let first = number * GROUP as u64;
            values.clear();
            self.unpack(first..self.count.min(first + GROUP as u64), &mut values)?;
            check(first, &values)?;
            group.clear();
            let at = number as usize * ENTRY;
            let (place, entry) = written.group(&values, &mut group)?;
            if column.get(place..place + group.len()) != Some(&group[..])
                || u32_at(column, at) != Some(entry)
            {
                return Err(self.damaged(number as usize).into());
            }
        }
        let entries = self.count.div_ceil(GROUP as u64) as usize * ENTRY;
        let mut zeros = [entries..directory_len(self.count as usize), written.at..column.len()];
        let is_zero = |range: &mut Range<usize>| {
            column.get(range.clone()).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
        };
        if zeros.iter_mut().all(is_zero) { Ok(()) } else { Err(self.damaged(0).into()) }
    }
}

/// Writes numbers as values of `width` bytes, for all of which there is room.
fn put_numbers(numbers: &[u64], width: usize, out: &mut [u8]) {
    match width {
        MAX_NUMBER => {
            for (value, number) in out.as_chunks_mut().0.iter_mut().zip(numbers) {
                *value = number.to_le_bytes();
            }
        }
        4 => {
            for (value, number) in out.as_chunks_mut().0.iter_mut().zip(numbers) {
                *value = (*number as u32).to_le_bytes();
            }
        }
        width => {
            for (value, number) in out.chunks_exact_mut(width).zip(numbers) {
                value.copy_from_slice(&number.to_le_bytes()[..width]);
            }
        }
    }
}

/// The numbers that these values of `width` bytes are, at most [`GROUP`], and how many.
fn numbers_of(values: &[u8], width: usize) -> ([u64; GROUP], usize) {
    let mut numbers = [0; GROUP];
    let count = values.len() / width;
    if width == MAX_NUMBER {
        for (number, value) in numbers.iter_mut().zip(values.as_chunks().0) {
            *number = u64::from_le_bytes(*value);
        }
    } else {
        for (number, value) in numbers.iter_mut().zip(values.chunks_exact(width)) {
            *number = uint_at(value, 0, width).unwrap_or(0);
        }
    }
    (numbers, count)
}

/// Bytes of a column, added up group by group.
pub(crate) struct Plan {
    width: usize,
    len: usize,
}

impl Plan {
    /// No groups yet, of numbers of `width` bytes each.
    pub(crate) fn new(width: usize) -> Self {
        Self { width, len: 0 }
    }

    /// Adds the group of these values.
    pub(crate) fn add(&mut self, values: &[u8]) {
        let (numbers, count) = numbers_of(values, self.width);
        self.len += group_len(count, Reference::of(&numbers[..count], self.width).width);
    }

    /// Bytes of the column, if these are `count` numbers; `None` if not all groups would have a place.
    pub(crate) fn len(&self, count: usize) -> Option<usize> {
        let len = directory_len(count) + self.len;
        (len / UNIT < 1 << PLACE_BITS).then_some(len + SLACK)
    }
}

/// Groups of a column, one after the other.
pub(crate) struct Writer {
    width: usize,
    /// Place of the next one.
    at: usize,
}

impl Writer {
    /// A column of `count` numbers of `width` bytes each.
    pub(crate) fn new(count: usize, width: usize) -> Self {
        Self { width, at: directory_len(count) }
    }

    /// Appends the group of these values to `out`; answers its place in the column, and the entry of
    /// the directory.
    fn group(&mut self, values: &[u8], out: &mut Vec<u8>) -> Result<(usize, u32), OutOfMemory> {
        let (numbers, count) = numbers_of(values, self.width);
        let numbers = &numbers[..count];
        let Reference { base, width } = Reference::of(numbers, self.width);
        let (start, place, len) = (out.len(), self.at, group_len(count, width));
        out.try_reserve(len + UNIT)?;
        out.extend_from_slice(&base.to_le_bytes());
        // A base of signed numbers may be the larger number.
        let most = u64::MAX >> (8 * (MAX_NUMBER - self.width));
        let above = |number: &u64| number.wrapping_sub(base) & most;
        if width == WHOLE {
            out.extend(numbers.iter().flat_map(|number| above(number).to_le_bytes()));
        } else {
            let mut packer = Packer::new(out, count, width)?;
            for number in numbers {
                packer.push(above(number), width);
            }
            packer.finish();
        }
        out.resize(start + len, 0);
        self.at += len;
        Ok((place, (place / UNIT) as u32 | width << PLACE_BITS))
    }

    /// Writes the next group, number `group`, of these values to its place in the column.
    pub(crate) fn write(
        &mut self,
        group: usize,
        values: &[u8],
        scratch: &mut Vec<u8>,
        column: &mut [u8],
    ) -> Result<(), OutOfMemory> {
        scratch.clear();
        let (place, entry) = self.group(values, scratch)?;
        let at = group * ENTRY;
        column[at..at + ENTRY].copy_from_slice(&entry.to_le_bytes());
        column[place..place + scratch.len()].copy_from_slice(scratch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng::Rng;

    fn column_of(values: &[u8], width: usize) -> Vec<u8> {
        let count = values.len() / width;
        let mut plan = Plan::new(width);
        values.chunks(GROUP * width).for_each(|group| plan.add(group));
        let mut column = vec![0; plan.len(count).expect("few")];
        let mut writer = Writer::new(count, width);
        for (i, group) in values.chunks(GROUP * width).enumerate() {
            writer.write(i, group, &mut Vec::new(), &mut column).expect("memory for a test");
        }
        column
    }

    fn opened(column: &[u8], count: u64, width: usize) -> Numbers<'_> {
        Numbers::new(Bytes::heap(column), count, width, "numbers")
    }

    #[test]
    fn numbers_of_every_width_and_range_come_back() {
        let mut rng = Rng::new(11);
        for (width, bits) in (1..=8).flat_map(|width| (0..=8 * width).map(move |b| (width, b))) {
            let base = rng.next_u64();
            let count = 1 + rng.below(3 * GROUP);
            let mut values = Vec::new();
            for _ in 0..count {
                let above = if bits == 0 { 0 } else { rng.next_u64() >> (64 - bits) };
                // Sums pass over the end of the type, and what is signed over zero.
                values.extend_from_slice(&base.wrapping_add(above).to_le_bytes()[..width]);
            }
            let column = column_of(&values, width);
            let numbers = opened(&column, count as u64, width);
            assert_eq!(numbers.check_frame(), Ok(()));
            assert_eq!(numbers.verify(|_, _| Ok(())), Ok(()));
            for (i, value) in values.chunks_exact(width).enumerate() {
                assert_eq!(&numbers.get(i as u64).expect("sound")[..width], value);
            }
            assert!(numbers.get(count as u64).is_err());
            let (start, mut out) = (rng.below(count), vec![9]);
            let end = start + rng.below(count - start + 1);
            numbers.unpack(start as u64..end as u64, &mut out).expect("sound");
            assert_eq!(out[1..], values[start * width..end * width]);
            assert!(numbers.unpack(0..count as u64 + 1, &mut out).is_err());
        }
    }

    #[test]
    fn what_a_group_takes_is_what_its_numbers_differ_by() {
        let len = |values: &[i64]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let mut plan = Plan::new(8);
            plan.add(&bytes);
            plan.len(values.len()).expect("few") - directory_len(values.len()) - SLACK - BASE
        };
        assert_eq!(len(&[i64::MAX; GROUP]), 0);
        // Seven bits, whether as signed or as unsigned numbers.
        for from in [0, -64, i64::MIN, i64::MAX - 127, 1_700_000_000_000] {
            let values: Vec<i64> = (0..GROUP as i64).map(|i| from + i * 127 / 63).collect();
            assert_eq!(len(&values), 7 * 8, "{from}");
        }
        assert_eq!(len(&[0, i64::MAX]), 16);
        assert_eq!(len(&[i64::MIN, 0, i64::MAX]), 24);
    }

    #[test]
    fn a_column_of_another_length_is_refused() {
        let values: Vec<u8> = (0..200u64).flat_map(|i| (i * i).to_le_bytes()).collect();
        let column = column_of(&values, 8);
        assert_eq!(opened(&column, 200, 8).check_frame(), Ok(()));
        for count in [0, 1, 64, 128, 191, 192, 193, 256, 257, 1 << 40, u64::MAX] {
            assert!(opened(&column, count, 8).check_frame().is_err(), "{count}");
        }
        let longer = [&column[..], &[0; 8]].concat();
        assert!(opened(&longer, 200, 8).check_frame().is_err());
        assert!((0..column.len()).all(|len| opened(&column[..len], 200, 8).check_frame().is_err()));
        assert!(opened(&column, 200, 0).check_frame().is_err());
        assert!(opened(&column, 200, 9).check_frame().is_err());
    }

    #[test]
    fn forged_columns_are_survived_and_refused() {
        let mut rng = Rng::new(12);
        let values: Vec<u8> = (0..150).flat_map(|_| (rng.next_u64() >> 40).to_le_bytes()).collect();
        let good = column_of(&values, 8);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << rng.below(8);
            let numbers = opened(&bad, 150, 8);
            numbers.prefetch(at as u64);
            let mut out = Vec::new();
            let is_read = numbers.unpack(0..150, &mut out).is_ok();
            for i in 0..150 {
                assert!(numbers.get(i).is_ok() || !is_read);
            }
            if numbers.check_frame().is_ok() && numbers.verify(|_, _| Ok(())).is_ok() {
                assert!(column_of(&out, 8) == bad, "byte {at}");
            }
        }
    }
}
