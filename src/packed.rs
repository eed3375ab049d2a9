//! Numbers of one width, bit after bit, and the search for the k-th set bit of a word.
#![allow(
    clippy::inline_always,
    reason = "a search is compiled as a whole: SCRATCHPAD.md section 3.3"
)]

use crate::arena::{CACHE_LINE, OutOfMemory, prefetch};
use crate::bytes::u64_at;
use std::hint::select_unpredictable;

/// Bytes behind the last number that a reader may look at.
pub(crate) const SLACK: usize = 8;

/// The widest number that one unaligned word is sure to hold.
const ONE_WORD: u32 = 57;

/// Numbers that are unpacked together, from a window of bytes that they are sure to be in.
const TOGETHER: usize = 8;
const PLACES: usize = 64;
const WINDOW: usize = PLACES + 7;
const _: () = assert!(((TOGETHER - 1) * ONE_WORD as usize).div_ceil(8) < PLACES);

/// Bytes of `count` numbers of `width` bits.
pub(crate) fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// The lowest `width` bits, of which there are at most 63.
#[inline(always)]
pub(crate) fn mask(width: u32) -> u64 {
    (1 << width) - 1
}

/// Numbers of at most 63 bits each, lowest bit first.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a> {
    bytes: &'a [u8],
    width: u32,
}

impl<'a> Packed<'a> {
    /// Numbers of `width` bits, followed by [`SLACK`].
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], width: u32) -> Self {
        Self { bytes, width }
    }

    /// Number `i`; `None` past the end of the bytes.
    #[inline(always)]
    pub(crate) fn get(self, i: usize) -> Option<u64> {
        let bit = i * self.width as usize;
        let low = u64_at(self.bytes, bit / 8)? >> (bit % 8);
        if self.width <= ONE_WORD {
            return Some(low & mask(self.width));
        }
        let high = u64::from(*self.bytes.get(bit / 8 + 8)?);
        // In two steps, because the one of a whole word would be none.
        Some((low | high << 1 << (63 - bit % 8)) & mask(self.width))
    }

    /// The numbers from `start` on, as many as `out` takes; `None` past the end of the bytes.
    #[inline]
    pub(crate) fn unpack(self, start: usize, out: &mut [u64]) -> Option<()> {
        if self.width > ONE_WORD {
            for (i, number) in out.iter_mut().enumerate() {
                *number = self.get(start + i)?;
            }
            return Some(());
        }
        // Eight numbers end as far from the beginning of a byte as they begin.
        let (width, bit) = (self.width as usize, start * self.width as usize);
        let (mut bytes, at) = (self.bytes.get(bit / 8..)?, bit % 8);
        let (groups, rest) = out.as_chunks_mut::<TOGETHER>();
        for numbers in groups {
            *numbers = match bytes.first_chunk() {
                Some(window) => self.unpack_window(window, at),
                None => self.unpack_window(&self.last_window(bytes, at, TOGETHER)?, at),
            };
            bytes = bytes.get(width..)?;
        }
        if !rest.is_empty() {
            let window = self.last_window(bytes, at, rest.len())?;
            let numbers: [u64; TOGETHER] = self.unpack_window(&window, at);
            rest.copy_from_slice(&numbers[..rest.len()]);
        }
        Some(())
    }

    /// The bytes from number `i` on, and the bit of the first of them where it begins, if there are so many
    /// and one word holds each number.
    #[inline(always)]
    fn window(self, i: usize) -> Option<(usize, &'a [u8; WINDOW])> {
        let bit = i * self.width as usize;
        let window = self.bytes.get(bit / 8..)?.first_chunk()?;
        (self.width <= ONE_WORD).then_some((bit % 8, window))
    }

    /// The numbers from bit `at` on, of at most [`ONE_WORD`] bits each.
    #[inline(always)]
    fn unpack_window<const N: usize>(self, window: &[u8; WINDOW], at: usize) -> [u64; N] {
        const { assert!(N <= TOGETHER) };
        let (width, mask) = (self.width as usize, mask(self.width));
        // Not `from_fn`, which is a call where this is compiled into many functions.
        let mut numbers = [0; N];
        for (i, number) in numbers.iter_mut().enumerate() {
            let bit = at + i * width;
            // Bounds that are known without a look at the width.
            let byte = bit / 8 % PLACES;
            let word = window[byte..byte + 8].first_chunk().copied().unwrap_or_default();
            *number = u64::from_le_bytes(word) >> (bit % 8) & mask;
        }
        numbers
    }

    /// These bytes, as far as so many numbers from bit `at` on reach, and zeros; `None` if they are too
    /// few.
    fn last_window(self, bytes: &[u8], at: usize, numbers: usize) -> Option<[u8; WINDOW]> {
        let reach = (at + (numbers - 1) * self.width as usize) / 8 + 8;
        let mut window = [0; WINDOW];
        window[..reach].copy_from_slice(bytes.get(..reach)?);
        Some(window)
    }

    /// Asks for the memory around number `i`.
    #[inline(always)]
    pub(crate) fn expect(self, i: usize) {
        let at = i * self.width as usize / 8;
        prefetch(self.bytes, at.saturating_sub(CACHE_LINE / 2));
        prefetch(self.bytes, at + CACHE_LINE / 2);
    }

    /// As [`search`](Self::search), at most [`FEW`] numbers.
    #[inline(always)]
    fn search_few(self, start: usize, end: usize, bound: u64) -> Option<(usize, bool)> {
        if let Some((at, window)) = self.window(start) {
            // What is behind the last of them is read, and not counted.
            let numbers: [u64; FEW] = self.unpack_window(window, at);
            let (mut passed, mut next) = (FEW, 0);
            for (i, number) in numbers.into_iter().enumerate().rev() {
                let is_below = number < bound;
                passed = select_unpredictable(is_below, passed, i);
                next = select_unpredictable(is_below, next, number);
            }
            let is_there = passed < end - start && next == bound;
            return Some((start + passed.min(end - start), is_there));
        }
        // Where there are none the one before them is read, never the one behind all.
        let Some(last) = end.checked_sub(1) else { return Some((start, false)) };
        let first = start.min(last);
        let (mut below, mut equal) = (0, 0);
        for i in 0..FEW {
            let number = self.get(first + i.min(last - first))?;
            let is_in = usize::from(start + i < end);
            below += is_in * usize::from(number < bound);
            equal += is_in * usize::from(number == bound);
        }
        Some((start + below, equal > 0))
    }

    /// How many of the numbers from `start` to `end`, which ascend, are below `bound`, plus
    /// `start`; and whether the next one is `bound`.
    #[inline(always)]
    pub(crate) fn search(self, start: usize, end: usize, bound: u64) -> Option<(usize, bool)> {
        let (mut from, mut len) = (start, end.checked_sub(start)?);
        // Chosen without a branch, which nobody could guess. What is left at the end has a number that is
        // not below the bound, or ends where all do.
        // Quarters, so that a step waits for memory once, and there are fewer to guess.
        while len > FEW {
            let quarter = len / 4;
            let mut passed = 0;
            for n in 1..=3 {
                passed += usize::from(self.get(from + n * quarter - 1)? < bound);
            }
            from += passed * quarter;
            len -= 3 * quarter;
        }
        self.search_few(from, from + len, bound)
    }
}

/// So many numbers are all compared, because nobody could guess how many there are.
const FEW: usize = 4;

/// Appends numbers of one width to bytes.
pub(crate) struct Packer<'o> {
    out: &'o mut Vec<u8>,
    held: u64,
    bits: u32,
}

impl<'o> Packer<'o> {
    /// Appends `count` numbers of `width` bits at most.
    pub(crate) fn new(out: &'o mut Vec<u8>, count: usize, width: u32) -> Result<Self, OutOfMemory> {
        out.try_reserve(packed_len(count, width) + 8)?;
        Ok(Self { out, held: 0, bits: 0 })
    }

    /// Appends a number that has no more than `width` bits.
    #[inline]
    pub(crate) fn push(&mut self, number: u64, width: u32) {
        self.held |= number << self.bits;
        self.bits += width;
        if self.bits >= 64 {
            self.out.extend_from_slice(&self.held.to_le_bytes());
            self.bits -= 64;
            // What did not fit: its lowest bits went before. In two steps, for all of it may have fit.
            self.held = number >> 1 >> (width - 1 - self.bits);
        }
    }

    /// Appends what is left, filled up to a whole byte.
    pub(crate) fn finish(self) {
        let left = (self.bits as usize).div_ceil(8);
        self.out.extend_from_slice(&self.held.to_le_bytes()[..left]);
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// The number of set bits in each byte and all lower ones; the highest byte has them all.
#[inline(always)]
pub(crate) fn byte_sums(word: u64) -> u64 {
    let pairs = word - (word >> 1 & 0x5555_5555_5555_5555);
    let fours = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    ((fours + (fours >> 4)) & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(ONES)
}

/// The place of set bit `k` of `word`, which has more than `k`, with its [`byte_sums`].
#[inline(always)]
pub(crate) fn select(word: u64, sums: u64, k: u32) -> u32 {
    const HIGH: u64 = 0x80 * ONES;
    // Bytes up to which there are at most k: their number is that of the byte with the bit.
    let passed = (((u64::from(k) * ONES) | HIGH) - sums) & HIGH;
    let byte = (passed >> 7).wrapping_mul(ONES) >> 56;
    let place = 8 * (byte as u32 & 7);
    let before = (sums << 8 >> place) as u8;
    let rest = usize::from((word >> place) as u8);
    place + u32::from(IN_BYTE[rest][(k as u8).wrapping_sub(before) as usize & 7])
}

/// The place of each set bit of each byte; 0 where there is none.
static IN_BYTE: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut place, mut found) = (0, 0);
        while place < 8 {
            if byte >> place & 1 == 1 {
                table[byte][found] = place;
                found += 1;
            }
            place += 1;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng::Rng;

    #[test]
    fn numbers_of_every_width_come_back() {
        let mut rng = Rng::new(1);
        for width in 0..=63 {
            let numbers: Vec<u64> = (0..131).map(|_| rng.next_u64() & mask(width)).collect();
            let mut bytes = vec![7; 3];
            let mut packer = Packer::new(&mut bytes, numbers.len(), width).expect("memory");
            for number in &numbers {
                packer.push(*number, width);
            }
            packer.finish();
            assert_eq!(bytes.len(), 3 + packed_len(numbers.len(), width));
            bytes.resize(bytes.len() + SLACK, 0xff);
            let packed = Packed::new(&bytes[3..], width);
            for (i, number) in numbers.iter().enumerate() {
                assert_eq!(packed.get(i), Some(*number), "{width} {i}");
            }
            assert!(width == 0 || packed.get(100_000).is_none());
            for start in [0, 1, 7, 100, 131] {
                let mut unpacked = vec![0; numbers.len() - start];
                assert_eq!(packed.unpack(start, &mut unpacked), Some(()));
                assert_eq!(unpacked, numbers[start..], "{width} {start}");
            }
            assert!(width == 0 || packed.unpack(100, &mut [0; 1_000]).is_none());
        }
    }

    #[test]
    fn searches_agree_with_a_partition_point() {
        let mut rng = Rng::new(2);
        // Also numbers that reach into a ninth byte, and where nothing but the slack follows them.
        for (width, len) in
            [7, 57, 58, 60, 63].into_iter().flat_map(|w| (0..40).map(move |n| (w, n)))
        {
            let step = mask(width) / 100;
            let mut numbers: Vec<u64> = (0..len).map(|_| rng.next_u64() % 100 * step).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let mut bytes = Vec::new();
            let mut packer = Packer::new(&mut bytes, numbers.len(), width).expect("memory");
            for number in &numbers {
                packer.push(*number, width);
            }
            packer.finish();
            bytes.resize(bytes.len() + SLACK, 0);
            let packed = Packed::new(&bytes, width);
            for start in 0..=numbers.len() {
                // What is behind the end does not count, not even if it is the bound.
                for end in [start.midpoint(numbers.len()), numbers.len()] {
                    for bound in (0..=100).map(|bound| bound * step) {
                        let part = &numbers[start..end];
                        let at = start + part.partition_point(|number| *number < bound);
                        let expected = (at, numbers[..end].get(at) == Some(&bound));
                        let found = packed.search(start, end, bound);
                        assert_eq!(
                            found,
                            Some(expected),
                            "{width} {numbers:?} {start} {end} {bound}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn each_set_bit_is_found() {
        let mut rng = Rng::new(3);
        let words = [0, 1, u64::MAX, 1 << 63, 0xff << 56, 0x8001_0000_0000_0180];
        let random = (0..2000).map(|i| match i % 3 {
            0 => rng.next_u64(),
            1 => rng.next_u64() & rng.next_u64() & rng.next_u64(),
            _ => rng.next_u64() | rng.next_u64() | rng.next_u64(),
        });
        for word in words.into_iter().chain(random) {
            let sums = byte_sums(word);
            assert_eq!(sums >> 56, u64::from(word.count_ones()));
            let places = (0..64).filter(|place| word >> place & 1 == 1);
            for (k, place) in places.enumerate() {
                assert_eq!(select(word, sums, k as u32), place, "{word:x} {k}");
            }
        }
    }
}
