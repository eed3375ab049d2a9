//! Entries in a row: as a cursor lends them, and copied, so that nobody has to ask it for each.
//!
//! A step of a cursor over a map goes through the cursors of its view, its partition, its layers and
//! a segment, and then asks all of them again for key and value. Where the next entries stand side by
//! segment, a walk copies them all at once, and what newer layers have is put among the copies.
//! SCRATCHPAD.md sections 3.2 and 3.6.

mod newer;

use crate::bytes::{bytes_of, spelled_on};
use crate::numbers::Numbers;
use crate::range::Direction;
use crate::strings::Strings;
use std::ops::Range;

/// Bytes of the longest keys that are stored as numbers.
const NUMBER_LEN: usize = 8;

/// Neighbouring keys, in ascending order.
#[derive(Clone, Copy)]
pub(crate) enum LentKeys<'a> {
    /// The last bytes of each number, highest first, as many as this says.
    Numbers(&'a [u64], usize),
    /// One after the other, of so many bytes each, more than a number has.
    Fixed(&'a [u8], usize),
    /// One after the other from this place in the bytes on, and where each ends.
    Strings(&'a [u8], u32, &'a [u32]),
}

impl LentKeys<'_> {
    /// What part of all strings that a walk has come by are decoded at once, if they do not stand in one block: so
    /// wherever it ends, most of what was decoded has been of use.
    pub(crate) const SHARE: usize = 8;

    /// Strings that are counted for that: 128 are decoded at once.
    pub(crate) const COUNTED: usize = 128 * Self::SHARE;

    /// Number of keys.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Numbers(numbers, _) => numbers.len(),
            Self::Fixed(bytes, len) => bytes.len() / len,
            Self::Strings(_, _, ends) => ends.len(),
        }
    }

    /// Calls `f` with the key of this number, which is below their count.
    fn with_key<R>(self, i: usize, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Numbers(numbers, len) => with_number(numbers[i], len, f),
            Self::Fixed(bytes, len) => f(&bytes[i * len..(i + 1) * len]),
            Self::Strings(bytes, start, ends) => {
                let start = if i == 0 { start } else { ends[i - 1] };
                f(&bytes[start as usize..ends[i] as usize])
            }
        }
    }

    /// These of them.
    pub(crate) fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::Numbers(numbers, len) => Self::Numbers(&numbers[range], len),
            Self::Fixed(bytes, len) => Self::Fixed(&bytes[range.start * len..range.end * len], len),
            Self::Strings(bytes, start, ends) => {
                let start = if range.start == 0 { start } else { ends[range.start - 1] };
                Self::Strings(bytes, start, &ends[range])
            }
        }
    }

    /// Their bytes together, those of numbers as words.
    fn bytes_len(self) -> usize {
        match self {
            Self::Numbers(numbers, _) => size_of_val(numbers),
            Self::Fixed(bytes, _) => bytes.len(),
            Self::Strings(_, start, ends) => ends.last().map_or(0, |end| (end - start) as usize),
        }
    }
}

/// The values of neighbouring entries, which have one width.
#[derive(Clone, Copy)]
pub(crate) enum LentValues<'a> {
    /// One after the other.
    Bytes(&'a [u8]),
    /// To be unpacked, from this one on.
    Numbers(Numbers<'a>, u64),
}

impl LentValues<'_> {
    /// Appends those of `range`, of `width` bytes each, to `out`; `None` if they are damaged or there
    /// is no memory.
    #[inline]
    pub(crate) fn copy(self, range: Range<usize>, width: usize, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Bytes(bytes) => {
                let bytes = &bytes[range.start * width..range.end * width];
                out.try_reserve(bytes.len()).ok()?;
                out.extend_from_slice(bytes);
                Some(())
            }
            Self::Numbers(numbers, first) => {
                numbers.unpack(first + range.start as u64..first + range.end as u64, out).ok()
            }
        }
    }
}

/// Neighbouring entries that a cursor lends: at least one, and all of them values.
#[derive(Clone, Copy)]
pub(crate) struct Lent<'a> {
    keys: LentKeys<'a>,
    values: LentValues<'a>,
    /// The first of these values that is lent.
    first: usize,
    /// Bytes of each value.
    width: usize,
}

impl<'a> Lent<'a> {
    /// Keys with their values, of so many bytes each.
    pub(crate) fn new(keys: LentKeys<'a>, values: LentValues<'a>, width: usize) -> Self {
        Self { keys, values, first: 0, width }
    }

    /// Number of entries.
    pub(crate) fn len(self) -> usize {
        self.keys.len()
    }

    /// Bytes of all keys and values.
    fn bytes_len(self) -> usize {
        self.keys.bytes_len() + self.len() * self.width
    }

    /// The entry of this number, which is below their count; `None` if its value is damaged.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn entry(self, i: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let (at, mut value) = (self.first + i, Vec::new());
        self.values.copy(at..at + 1, self.width, &mut value)?;
        Some((self.keys.with_key(i, <[u8]>::to_vec), value))
    }

    /// The first ones in this direction, as long as `is_in` says so: no longer, once it does not.
    pub(crate) fn keep_while(self, direction: Direction, is_in: impl Fn(&[u8]) -> bool) -> Self {
        self.slice(kept(self.len(), direction, |i| self.keys.with_key(i, &is_in)))
    }

    /// The first ones in this direction, as long as their keys come before `bound`.
    pub(crate) fn keep_before(self, direction: Direction, bound: &[u8]) -> Self {
        match self.keys {
            LentKeys::Numbers(numbers, len) if bound.len() == len => {
                let bound = spelled_on(0, bound);
                self.slice(match direction {
                    Direction::Forward => 0..numbers.partition_point(|number| *number < bound),
                    Direction::Backward => {
                        numbers.partition_point(|number| *number <= bound)..numbers.len()
                    }
                })
            }
            LentKeys::Numbers(..) | LentKeys::Fixed(..) | LentKeys::Strings(..) => {
                self.keep_while(direction, |key| match direction {
                    Direction::Forward => key < bound,
                    Direction::Backward => key > bound,
                })
            }
        }
    }

    /// The first ones in this direction, so many at most.
    fn nearest(self, direction: Direction, most: usize) -> Self {
        let len = self.len();
        if len <= most {
            return self;
        }
        self.slice(match direction {
            Direction::Forward => 0..most,
            Direction::Backward => len - most..len,
        })
    }

    /// These of them.
    fn slice(self, range: Range<usize>) -> Self {
        let first = self.first + range.start;
        Self { keys: self.keys.slice(range), first, ..self }
    }
}

/// Which of `count` come first in this direction, as long as `is_in` says so of them.
#[inline]
pub(crate) fn kept(
    count: usize,
    direction: Direction,
    is_in: impl Fn(usize) -> bool,
) -> Range<usize> {
    let farthest = match direction {
        Direction::Forward => count.checked_sub(1),
        Direction::Backward => (count > 0).then_some(0),
    };
    // Most often they all stay: then one look is enough.
    if farthest.is_none_or(&is_in) {
        return 0..count;
    }
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if is_in(middle) == (direction == Direction::Forward) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    match direction {
        Direction::Forward => 0..low,
        Direction::Backward => low..count,
    }
}

/// What the type of a walk's entries tells about their bytes.
#[derive(Clone, Copy)]
pub(crate) struct Widths {
    /// Bytes that keys most likely have, if all have as many, and if they are numbers: there is code for
    /// just these.
    key: usize,
    number: usize,
    /// Bytes that all values have; `None` if they differ, or none are wanted.
    value: Option<usize>,
}

impl Widths {
    /// Those of keys of a type of so many bytes.
    #[inline]
    pub(crate) const fn new(key: usize, value: Option<usize>) -> Self {
        Self { key, number: if key <= NUMBER_LEN { key } else { NUMBER_LEN }, value }
    }
}

/// Copied entries that a walk has yet to yield.
pub(crate) struct Batch {
    /// Keys that are numbers.
    numbers: Vec<u64>,
    /// Bytes of each key, if all have as many; else 0.
    key_len: usize,
    /// Keys that are strings of any length.
    strings: Strings,
    /// Other keys that are not numbers, one after the other; then values.
    bytes: Vec<u8>,
    /// Where values begin.
    values: usize,
    /// Whether there are any.
    has_values: bool,
    /// The next entry to be yielded in ascending order, of `len`.
    next: usize,
    len: usize,
    /// The one behind the next to be yielded in descending order. There are none of one of both.
    down: usize,
    /// Steps to make before the next try to fill it.
    left: u32,
    /// Steps to make after a try that was not worth it.
    pause: u32,
    /// The next try is the second one of two.
    is_second: bool,
    /// It was filled, and nothing has been thrown away since.
    is_of_use: bool,
    /// Strings that were taken since something was thrown away, as far as they are counted.
    taken: usize,
    source: Source,
}

/// Where copied entries stood.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Side by side in one segment.
    Run,
    /// In several layers.
    Layers,
}

/// Fewer entries are not worth a copy.
const FEWEST: usize = 3;

/// Bytes that are allocated at least: the first copy is seldom the largest.
const LEAST_ROOM: usize = 512;

/// Bytes of all keys and values that are copied at once. Entries of more are not, nor is a newer key of more put among
/// copies: their steps take long anyway.
const MOST_BYTES: usize = 1 << 14;

/// Steps before the first try, since many walks are over after the first entry, and after one that was
/// not worth it; twice as many after each further one.
const PAUSE: u32 = 1;
const LONGEST_PAUSE: u32 = 128;

impl Batch {
    /// No entries. Those that come are keys with their values, or keys alone.
    pub(crate) fn new(has_values: bool) -> Self {
        Self {
            numbers: Vec::new(),
            key_len: 0,
            strings: Strings::default(),
            bytes: Vec::new(),
            values: 0,
            has_values,
            next: 0,
            len: 0,
            down: 0,
            left: PAUSE,
            pause: PAUSE,
            is_second: false,
            is_of_use: false,
            taken: 0,
            source: Source::Run,
        }
    }

    /// Goes on to the next entry in this direction; answers its number, `None` if none is left.
    #[inline]
    pub(crate) fn advance(&mut self, direction: Direction) -> Option<usize> {
        match direction {
            Direction::Forward if self.next < self.len => {
                self.next += 1;
                Some(self.next - 1)
            }
            Direction::Backward if self.down > 0 => {
                self.down -= 1;
                Some(self.down)
            }
            Direction::Forward | Direction::Backward => None,
        }
    }

    /// Goes on to the next entry in this direction, if there is one and its key has the likely width, and
    /// answers what `f` makes of it: a few instructions, to be compiled into loops. Else `None`, and
    /// nothing has changed. Values are as [`with_entry`](Self::with_entry) has them.
    #[inline]
    pub(crate) fn take_likely<R>(
        &mut self,
        direction: Direction,
        widths: Widths,
        f: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> Option<R> {
        let i = match direction {
            Direction::Forward => self.next,
            Direction::Backward => self.down.wrapping_sub(1),
        };
        // There is none beyond an end, and where none are left, it is beyond one.
        let number = if self.key_len == widths.number {
            Some(*self.numbers.get(i)?)
        } else if widths.key > NUMBER_LEN && self.key_len == widths.key && i < self.len {
            None
        } else {
            return None;
        };
        match direction {
            Direction::Forward => self.next = i + 1,
            Direction::Backward => self.down = i,
        }
        let value = match widths.value {
            // Before values of numbers nothing stands.
            Some(NUMBER_LEN) if number.is_some() => &self.bytes.as_chunks::<NUMBER_LEN>().0[i],
            width => self.value(i, width),
        };
        Some(match number {
            Some(number) => f(&bytes_of(number)[NUMBER_LEN - widths.number..], value),
            None => f(&self.bytes[i * widths.key..][..widths.key], value),
        })
    }

    /// The value of an entry.
    #[inline]
    fn value(&self, i: usize, width: Option<usize>) -> &[u8] {
        let Some(width) = width else { return &[] };
        let start = self.values + i * width;
        &self.bytes[start..start + width]
    }

    /// The key of an entry, if it is not a number.
    #[inline]
    fn key(&self, i: usize) -> &[u8] {
        match self.key_len {
            0 => self.strings.get(i),
            len => &self.bytes[i * len..][..len],
        }
    }

    /// What `f` makes of key and value of an entry that was gone on to. Values are empty if none are
    /// wanted.
    #[inline]
    pub(crate) fn with_entry<R>(
        &self,
        i: usize,
        widths: Widths,
        f: impl FnOnce(&[u8], &[u8]) -> R,
    ) -> R {
        let value = self.value(i, widths.value);
        match self.numbers.get(i) {
            Some(number) => with_number(*number, self.key_len, |key| f(key, value)),
            None => f(self.key(i), value),
        }
    }

    /// Key and value of an entry that was gone on to, if its key is a string: the first so many of the bytes
    /// that are told first.
    #[inline]
    pub(crate) fn text(&self, i: usize, widths: Widths) -> Option<(&[u8], usize, &[u8])> {
        let (text, len) = (self.key_len == 0).then(|| self.strings.text(i))?;
        Some((text, len, self.value(i, widths.value)))
    }

    /// What `f` makes of all entries that are left in this direction, and of what it made of those before,
    /// as long as it succeeds; otherwise as [`with_entry`](Self::with_entry).
    #[inline]
    pub(crate) fn try_fold<B, E>(
        &mut self,
        direction: Direction,
        widths: Widths,
        start: B,
        mut f: impl FnMut(B, &[u8], &[u8]) -> Result<B, E>,
    ) -> Result<B, E> {
        let mut made = start;
        // Of shorter numbers this loop takes less time than the one below.
        if self.key_len != NUMBER_LEN {
            while let Some(i) = self.advance(direction) {
                made = self.with_entry(i, widths, |key, value| f(made, key, value))?;
            }
            return Ok(made);
        }
        let range = match direction {
            Direction::Forward => self.next..self.len,
            Direction::Backward => 0..self.down,
        };
        self.skip(direction, range.len());
        let mut keys = self.numbers[range.clone()].iter().map(|number| bytes_of(*number));
        let Some(width) = widths.value.filter(|width| *width > 0) else {
            let entry = |made, key: [u8; NUMBER_LEN]| f(made, &key, &[]);
            return match direction {
                Direction::Forward => keys.try_fold(made, entry),
                Direction::Backward => keys.rev().try_fold(made, entry),
            };
        };
        let values = &self.bytes[range.start * width..range.end * width];
        let mut entries = keys.zip(values.chunks_exact(width));
        let entry = |made, (key, value): ([u8; NUMBER_LEN], &[u8])| f(made, &key, value);
        match direction {
            Direction::Forward => entries.try_fold(made, entry),
            Direction::Backward => entries.rev().try_fold(made, entry),
        }
    }

    /// Number of entries that are left in this direction.
    fn left(&self, direction: Direction) -> usize {
        match direction {
            Direction::Forward => self.len - self.next,
            Direction::Backward => self.down,
        }
    }

    /// Whether none is left in this direction.
    pub(crate) fn is_empty(&self, direction: Direction) -> bool {
        self.left(direction) == 0
    }

    /// Passes over so many entries in this direction, or as many as there are; answers how many.
    pub(crate) fn skip(&mut self, direction: Direction, count: usize) -> usize {
        let skipped = count.min(self.left(direction));
        match direction {
            Direction::Forward => self.next += skipped,
            Direction::Backward => self.down -= skipped,
        }
        skipped
    }

    /// Forgets all entries.
    fn clear(&mut self) {
        (self.next, self.len, self.down) = (0, 0, 0);
        self.numbers.clear();
        self.bytes.clear();
        self.strings.clear();
    }

    /// Forgets the entries that are left; answers how many, and in which direction they were. To copy
    /// them was a waste, which is not repeated soon.
    pub(crate) fn discard(&mut self) -> Option<(Direction, usize)> {
        let left = match [Direction::Forward, Direction::Backward].map(|way| self.left(way)) {
            [0, 0] => return None,
            [ups, 0] => (Direction::Forward, ups),
            [_, downs] => (Direction::Backward, downs),
        };
        self.clear();
        self.rest();
        Some(left)
    }

    /// The key of the last entry that was yielded, if others are left that came from several layers: then it is not
    /// come back to by as many steps. Nobody asks before the first was: a walk yields one with the step that copies.
    pub(crate) fn mark(&self) -> Option<Vec<u8>> {
        let i = match [Direction::Forward, Direction::Backward].map(|way| self.left(way)) {
            [0, 0] => return None,
            [_, 0] => self.next.checked_sub(1)?,
            [_, _] => self.down,
        };
        let is_asked = self.source == Source::Layers && i < self.len;
        is_asked.then(|| self.keys().with_key(i, <[u8]>::to_vec))
    }

    /// Makes a pause, longer each time until copies have all been yielded.
    pub(crate) fn rest(&mut self) {
        (self.left, self.is_second, self.is_of_use) = (self.pause, false, false);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.taken = 0;
    }

    /// Whether what was copied last is of use.
    #[cfg(test)]
    pub(crate) fn is_of_use(&self) -> bool {
        self.is_of_use
    }

    /// Whether a try to fill it is due.
    #[inline]
    pub(crate) fn is_due(&mut self) -> bool {
        if std::mem::take(&mut self.is_of_use) {
            // All of the last copies have been yielded.
            self.pause = PAUSE;
        }
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }

    /// Takes what a cursor lends, if it is worth it and there is memory; else `None`, and it does not
    /// want to be asked again soon. Answers the number of entries.
    pub(crate) fn fill(&mut self, lent: Option<Lent<'_>>, direction: Direction) -> Option<usize> {
        let lent = lent.map(|lent| match lent.keys {
            LentKeys::Numbers(..) => lent.nearest(direction, Self::most(NUMBER_LEN, lent.width)),
            LentKeys::Fixed(_, len) => lent.nearest(direction, Self::most(len, lent.width)),
            LentKeys::Strings(..) => {
                // Twice what they have on average is what the nearest may have.
                let each = 2 * lent.bytes_len().div_ceil(lent.len().max(1)).max(1);
                lent.nearest(direction, (MOST_BYTES / each).max(FEWEST))
            }
        });
        let taken = lent.filter(|lent| lent.len() >= FEWEST && lent.bytes_len() <= MOST_BYTES);
        let taken = taken.and_then(|lent| self.copy(lent).map(|()| lent.len()));
        let Some(len) = taken else {
            // Of what could not be copied whole, nothing is yielded.
            self.clear();
            match lent {
                // It may have been the end of a block, or of what one layer has: then more stand behind.
                Some(lent) if !self.is_second && lent.len() < FEWEST => {
                    self.left = lent.len() as u32;
                    self.is_second = true;
                }
                _ => self.rest(),
            }
            return None;
        };
        self.lay_out(direction, len);
        taken
    }

    /// Takes entries whose keys are numbers of `key_len` bytes as `fill` puts them into these: keys over
    /// those before them, and behind nothing the values, if any are wanted. Nothing is taken, and `None`
    /// answered, if `fill` does that. None are left by then.
    pub(crate) fn take_from<R>(
        &mut self,
        direction: Direction,
        key_len: usize,
        fill: impl FnOnce(&mut Vec<u64>, Option<&mut Vec<u8>>) -> Option<R>,
    ) -> Option<R> {
        (self.next, self.len, self.down) = (0, 0, 0);
        self.bytes.clear();
        if self.numbers.capacity() == 0 {
            self.numbers.try_reserve_exact(LEAST_ROOM / NUMBER_LEN).ok()?;
            if self.has_values {
                self.bytes.try_reserve(LEAST_ROOM).ok()?;
            }
        }
        let filled = fill(&mut self.numbers, self.has_values.then_some(&mut self.bytes));
        if filled.is_none() {
            self.clear();
            return None;
        }
        (self.key_len, self.values) = (key_len, 0);
        self.lay_out(direction, self.numbers.len());
        filled
    }

    /// Takes entries whose keys have `key_len` bytes, and are not numbers, as `fill` puts them into these
    /// bytes: over those that there are, all keys, and behind them the values, if any are wanted; it
    /// answers how many. Nothing is taken, and `None` answered, if `fill` does that. None are left by then.
    pub(crate) fn take_keys_from<R>(
        &mut self,
        direction: Direction,
        key_len: usize,
        fill: impl FnOnce(&mut Vec<u8>, bool) -> Option<(usize, R)>,
    ) -> Option<R> {
        self.clear();
        if self.bytes.capacity() == 0 {
            self.bytes.try_reserve(LEAST_ROOM).ok()?;
        }
        let Some((len, filled)) = fill(&mut self.bytes, self.has_values) else {
            self.clear();
            return None;
        };
        (self.key_len, self.values) = (key_len, len * key_len);
        self.lay_out(direction, len);
        Some(filled)
    }

    /// As [`take_from`](Self::take_from), of entries whose keys are strings: about as many as it is told, or
    /// those that are side by side.
    #[inline]
    pub(crate) fn take_strings<R>(
        &mut self,
        direction: Direction,
        fill: impl FnOnce(usize, &mut Strings, Option<&mut Vec<u8>>) -> Option<R>,
    ) -> Option<R> {
        self.clear();
        let most = self.taken / LentKeys::SHARE;
        let filled = fill(most, &mut self.strings, self.has_values.then_some(&mut self.bytes));
        if filled.is_none() {
            self.clear();
            return None;
        }
        (self.key_len, self.values) = (0, 0);
        self.taken = (self.taken + self.strings.len()).min(LentKeys::COUNTED);
        self.lay_out(direction, self.strings.len());
        filled
    }

    /// Has so many entries, which have been copied, all yet to be yielded in this direction.
    fn lay_out(&mut self, direction: Direction, len: usize) {
        (self.is_second, self.is_of_use, self.source) = (false, true, Source::Run);
        self.len = len;
        (self.next, self.down) = match direction {
            Direction::Forward => (0, 0),
            Direction::Backward => (len, len),
        };
    }

    /// The largest number of entries to take at once, whose keys and values have so many bytes.
    #[inline]
    pub(crate) fn most(key_len: usize, width: usize) -> usize {
        MOST_BYTES / (key_len + width)
    }

    /// Copies all that is lent; `None` if it is damaged, or there is no memory. None are left by then.
    fn copy(&mut self, lent: Lent<'_>) -> Option<()> {
        self.clear();
        match lent.keys {
            LentKeys::Numbers(numbers, len) => {
                self.key_len = len;
                self.numbers.try_reserve(numbers.len().max(LEAST_ROOM / NUMBER_LEN)).ok()?;
                self.numbers.extend_from_slice(numbers);
                if self.has_values {
                    let values = numbers.len() * lent.width;
                    self.bytes.try_reserve(values.max(LEAST_ROOM)).ok()?;
                }
            }
            LentKeys::Fixed(bytes, len) => {
                self.key_len = len;
                self.bytes.try_reserve(lent.bytes_len().max(LEAST_ROOM)).ok()?;
                self.bytes.extend_from_slice(bytes);
            }
            LentKeys::Strings(bytes, start, ends) => {
                self.key_len = 0;
                let len = lent.keys.bytes_len();
                self.strings.try_reserve(len.max(LEAST_ROOM)).ok()?;
                self.strings.bounds.try_reserve(ends.len() + 1).ok()?;
                self.strings.bytes[..len].copy_from_slice(&bytes[start as usize..][..len]);
                self.strings.bounds.push(0);
                self.strings.bounds.extend(ends.iter().map(|end| end - start));
            }
        }
        self.values = self.bytes.len();
        if !self.has_values || lent.width == 0 {
            return Some(());
        }
        lent.values.copy(lent.first..lent.first + lent.len(), lent.width, &mut self.bytes)
    }
}

/// Calls `f` with the last bytes of a number, highest first, as many as this says.
#[inline]
fn with_number<R>(number: u64, len: usize, f: impl FnOnce(&[u8]) -> R) -> R {
    let bytes = bytes_of(number);
    // Of a length that is known, so that nothing is left of the bytes.
    if len == NUMBER_LEN { f(&bytes) } else { f(&bytes[NUMBER_LEN - len..]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::Bytes;

    /// All that is left in a batch, in this direction.
    fn rest(batch: &mut Batch, width: usize, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(i) = batch.advance(direction) {
            all.push(batch.with_entry(i, Widths::new(8, Some(width)), |key, value| {
                (key.to_vec(), value.to_vec())
            }));
        }
        all
    }

    #[test]
    fn what_is_kept_and_copied_is_what_was_lent() {
        let numbers: Vec<u64> = (10..40).map(|i| i << 8).collect();
        let strings: Vec<Vec<u8>> = (0..30).map(|i| vec![i + 1; usize::from(i % 5)]).collect();
        let mut strings: Vec<Vec<u8>> = strings.into_iter().filter(|s| !s.is_empty()).collect();
        strings.insert(0, Vec::new());
        let bytes = [b"..".to_vec(), strings.concat()].concat();
        let ends: Vec<u32> = strings
            .iter()
            .scan(2, |end, s| {
                *end += s.len() as u32;
                Some(*end)
            })
            .collect();
        let fixed: Vec<u8> = (0..300u16).map(|i| (i / 10 * 5 + i % 2) as u8).collect();
        let all = [
            LentKeys::Numbers(&numbers, 8),
            LentKeys::Numbers(&numbers, 7),
            LentKeys::Fixed(&fixed, 10),
            LentKeys::Strings(&bytes, 2, &ends),
        ];
        for (keys, width) in all.into_iter().flat_map(|keys| [0, 3].map(|width| (keys, width))) {
            let values: Vec<u8> = (0..keys.len() * width).map(|i| i as u8).collect();
            let lent = Lent::new(keys, LentValues::Bytes(&values), width);
            let model: Vec<_> = (0..lent.len()).map(|i| lent.entry(i).expect("sound")).collect();
            assert!(model.is_sorted());
            for bound in
                [&[][..], &[0], &[9], &[255]].into_iter().chain(model.iter().map(|e| &e.0[..]))
            {
                let up = lent.keep_while(Direction::Forward, |key| key < bound);
                let down = lent.keep_while(Direction::Backward, |key| key > bound);
                let below = model.iter().filter(|entry| &entry.0[..] < bound).count();
                let above = model.iter().filter(|entry| &entry.0[..] > bound).count();
                assert_eq!((up.len(), down.len()), (below, above));
                let entries = |lent: Lent<'_>| (0..lent.len()).map(|i| lent.entry(i)).collect();
                let all: Vec<_> = entries(up);
                assert_eq!(all, entries(lent.keep_before(Direction::Forward, bound)));
                let all: Vec<_> = entries(down);
                assert_eq!(all, entries(lent.keep_before(Direction::Backward, bound)));
                let mut batch = Batch::new(true);
                for likely in [7, 8, 10, 16] {
                    let widths = Widths::new(likely, Some(width));
                    for taken in [0, 1, usize::MAX] {
                        if batch.fill(Some(up), Direction::Forward).is_none() {
                            continue;
                        }
                        let entry = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
                        let mut found: Vec<_> = (0..taken.min(below))
                            .map_while(|_| batch.take_likely(Direction::Forward, widths, entry))
                            .collect();
                        let is_likely = match keys {
                            LentKeys::Numbers(_, len) => len == likely.min(8),
                            LentKeys::Fixed(_, len) => len == likely,
                            LentKeys::Strings(..) => false,
                        };
                        assert_eq!(found.len(), if is_likely { taken.min(below) } else { 0 });
                        let folded =
                            batch.try_fold(Direction::Forward, widths, (), |(), key, value| {
                                found.push(entry(key, value));
                                Ok::<_, ()>(())
                            });
                        assert_eq!((folded, &found[..]), (Ok(()), &model[..below]));
                    }
                }
                if batch.fill(Some(up), Direction::Forward).is_some() {
                    let expected = model[..below].iter().cloned();
                    assert!(rest(&mut batch, width, Direction::Forward).into_iter().eq(expected));
                } else {
                    assert!(below < FEWEST);
                }
                if batch.fill(Some(down), Direction::Backward).is_some() {
                    assert_eq!(batch.advance(Direction::Forward), None, "not its direction");
                    let expected = model[model.len() - above..].iter().rev();
                    assert!(
                        rest(&mut batch, width, Direction::Backward)
                            .into_iter()
                            .eq(expected.cloned())
                    );
                } else {
                    assert!(above < FEWEST);
                }
            }
        }
    }

    #[test]
    fn of_many_bytes_of_strings_the_nearest_are_taken() {
        for (count, key_len, width) in [(200, 8, 255), (128, 400, 8), (256, 1, 64)] {
            let bytes: Vec<u8> = (0..count).flat_map(|i| vec![i as u8; key_len]).collect();
            let ends: Vec<u32> = (1..=count).map(|i| (i * key_len) as u32).collect();
            let values = vec![7; count * width];
            let keys = LentKeys::Strings(&bytes, 0, &ends);
            let lent = Lent::new(keys, LentValues::Bytes(&values), width);
            assert!(lent.bytes_len() > MOST_BYTES);
            for direction in [Direction::Forward, Direction::Backward] {
                let mut batch = Batch::new(true);
                let taken = batch.fill(Some(lent), direction).expect("some");
                assert!(taken >= MOST_BYTES / 4 / (key_len + width) && taken < count);
                let keys: Vec<u8> =
                    rest(&mut batch, width, direction).into_iter().map(|(key, _)| key[0]).collect();
                let nearest: Vec<u8> = match direction {
                    Direction::Forward => (0..taken).map(|i| i as u8).collect(),
                    Direction::Backward => (0..taken).map(|i| (count - 1 - i) as u8).collect(),
                };
                assert_eq!(keys, nearest);
            }
        }
    }

    #[test]
    fn nothing_is_yielded_of_a_copy_that_failed() {
        let keys: Vec<u64> = (0..70).collect();
        let mut column = Vec::new();
        // The first group of values can be read, the second one is not there.
        let group = [7; 8];
        column.extend_from_slice(&2u32.to_le_bytes());
        column.extend_from_slice(&u32::MAX.to_le_bytes());
        column.extend_from_slice(&[0; 8]);
        column.extend_from_slice(&group);
        column.extend_from_slice(&[0; 8]);
        let numbers = Numbers::new(Bytes::heap(&column), 70, 8, "values");
        for first in [0, 64] {
            let keys = LentKeys::Numbers(&keys[first..], 8);
            let lent = Lent::new(keys, LentValues::Numbers(numbers, first as u64), 8);
            for direction in [Direction::Forward, Direction::Backward] {
                let mut batch = Batch::new(true);
                assert!(first > 0 || lent.entry(0) == Some((vec![0; 8], group.to_vec())));
                assert_eq!(batch.fill(Some(lent), direction), None);
                let widths = Widths::new(8, Some(8));
                assert_eq!(batch.take_likely(direction, widths, |_, _| ()), None);
                assert!(batch.advance(direction).is_none() && batch.is_empty(direction));
                assert_eq!(batch.discard(), None);
            }
        }
    }

    #[test]
    fn entries_that_are_few_or_long_are_not_taken() {
        let mut batch = Batch::new(true);
        let long = vec![7; MOST_BYTES];
        let mut ends = [0; FEWEST];
        ends[FEWEST - 1] = long.len() as u32;
        let pause = |batch: &mut Batch| (1..=2 * LONGEST_PAUSE).find(|_| batch.is_due());
        assert_eq!(pause(&mut batch), Some(PAUSE));
        let few =
            Lent::new(LentKeys::Strings(&long, 0, &ends[..FEWEST - 1]), LentValues::Bytes(&[]), 0);
        // Behind these few, and then not soon again.
        assert_eq!(batch.fill(Some(few), Direction::Forward), None);
        assert_eq!(pause(&mut batch), Some(few.len() as u32));
        assert_eq!(batch.fill(Some(few), Direction::Forward), None);
        assert_eq!(pause(&mut batch), Some(PAUSE));
        assert_eq!(batch.fill(None, Direction::Forward), None);
        assert_eq!(pause(&mut batch), Some(2 * PAUSE));
        let fits = Lent::new(LentKeys::Strings(&long, 0, &ends), LentValues::Bytes(&[]), 0);
        assert_eq!(batch.fill(Some(fits), Direction::Backward), Some(FEWEST));
        assert_eq!(batch.advance(Direction::Backward), Some(FEWEST - 1));
        batch.with_entry(FEWEST - 1, Widths::new(8, Some(0)), |key, _| assert_eq!(key, long));
        // They were of no use, and so the next pause is longer yet.
        assert_eq!(batch.discard(), Some((Direction::Backward, FEWEST - 1)));
        assert_eq!(batch.discard(), None);
        assert_eq!(pause(&mut batch), Some(4 * PAUSE));
        assert_eq!(batch.fill(Some(fits), Direction::Forward), Some(FEWEST));
        assert!((0..FEWEST).all(|i| batch.advance(Direction::Forward) == Some(i)));
        // These were all yielded.
        assert_eq!(pause(&mut batch), Some(1));
        assert_eq!(batch.fill(None, Direction::Forward), None);
        assert_eq!(pause(&mut batch), Some(PAUSE));
        let ones = LentValues::Bytes(&[1; FEWEST]);
        let too_long = Lent::new(LentKeys::Strings(&long, 0, &ends), ones, 1);
        for _ in 0..10 {
            assert_eq!(batch.fill(Some(too_long), Direction::Forward), None);
            assert_eq!(batch.advance(Direction::Forward), None);
        }
        assert_eq!(pause(&mut batch), Some(LONGEST_PAUSE));
    }
}
