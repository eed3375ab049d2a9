//! Elias-Fano pieces: the low bits of each key packed, the high ones as a run of buckets.
//!
//! A key's distance from the first one has `width` low bits, and its high ones are the number of a
//! *bucket*. The buckets stand one after the other as bits: a one for each key in it, and a zero
//! that ends it. So a key is found by the zeros before its bucket, which a table of every 64th
//! zero makes a matter of a word or two, and then among the one or two keys of the bucket.

use super::piece::Order;
use crate::arena::{OutOfMemory, prefetch};
use crate::bytes::{u16_at, u64_at};
use crate::packed::{Packed, byte_sums, mask, packed_len, select};
use std::hint::select_unpredictable;

/// Buckets from one entry of the table to the next.
const SAMPLE: usize = 64;

/// Words that most groups of so many buckets reach into.
const NEAR: usize = 4;

/// How a piece is laid out: bits of buckets in words, the table, low bits.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Number of keys.
    pub(super) keys: usize,
    /// Number of buckets: up to that of the last key.
    pub(super) buckets: usize,
    /// Low bits of a key.
    pub(super) width: u32,
}

impl Shape {
    /// The smallest layout for ascending keys that lie `span` apart.
    pub(super) fn best(keys: usize, span: u64) -> Self {
        // About one bucket for each key is best, but whether rather more or rather fewer hangs on
        // where the powers of two are.
        let width = (span / keys as u64).checked_ilog2().unwrap_or(0);
        let shape = |width| Self { keys, buckets: (span >> width) as usize + 1, width };
        let (narrow, wide) = (shape(width), shape((width + 1).min(63)));
        if wide.len() < narrow.len() { wide } else { narrow }
    }

    fn words(self) -> usize {
        (self.keys + self.buckets).div_ceil(64)
    }

    fn table(self) -> usize {
        self.words() * 8
    }

    fn lows(self) -> usize {
        self.table() + 2 * self.buckets.div_ceil(SAMPLE)
    }

    /// Bytes of the piece.
    pub(super) fn len(self) -> usize {
        self.lows() + packed_len(self.keys, self.width)
    }
}

/// A piece in its bytes.
#[derive(Clone, Copy)]
pub(super) struct EliasFano<'a> {
    bytes: &'a [u8],
    shape: Shape,
    table: usize,
    lows: Packed<'a>,
}

impl<'a> EliasFano<'a> {
    /// A piece of this shape; `None` if its bytes are too few.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], shape: Shape) -> Option<Self> {
        let (table, lows) = (shape.table(), shape.lows());
        let lows = Packed::new(bytes.get(lows..)?, shape.width);
        Some(Self { bytes, shape, table, lows })
    }

    /// The keys of the bucket that one at `distance` from the first would be in: from the first to
    /// the one behind the last.
    #[inline(always)]
    pub(super) fn narrow(self, distance: u64) -> Option<(usize, usize)> {
        match self.bucket_of(distance) {
            Some(bucket) => self.bucket(bucket),
            None => Some((self.shape.keys, self.shape.keys)),
        }
    }

    /// How many keys lie less than `distance` from the first, and whether the next one is there,
    /// if the keys of its bucket are these.
    #[inline(always)]
    pub(super) fn settle(self, distance: u64, keys: (usize, usize)) -> Option<(usize, bool)> {
        self.lows.search(keys.0, keys.1, distance & mask(self.shape.width))
    }

    /// Asks for the low bits of these keys.
    #[inline(always)]
    pub(super) fn ask_for_keys(self, keys: (usize, usize)) {
        self.lows.expect(keys.0);
    }

    /// Asks for where the table says where the bucket of a distance is, and for where the bucket would be
    /// if keys came at an even pace.
    #[inline]
    pub(super) fn ask_for_bucket(self, distance: u64) {
        let Some(bucket) = self.bucket_of(distance) else { return };
        prefetch(self.bytes, self.table + bucket / SAMPLE * 2);
        // What is read begins with the bucket's sample, and has [`NEAR`] words.
        let place = (bucket + self.even(bucket)) / 8;
        prefetch(self.bytes, place.saturating_sub(16));
        prefetch(self.bytes, place + 24);
    }

    /// Asks for the low bits where those of a distance would be if keys came at an even pace.
    #[inline]
    pub(super) fn ask_for_even(self, distance: u64) {
        if let Some(bucket) = self.bucket_of(distance) {
            // Random keys are so far from even, most often.
            let key = self.even(bucket);
            self.lows.expect(key.saturating_sub(12));
            self.lows.expect(key + 12);
        }
    }

    /// The bucket of a distance; `None` if it is behind all.
    #[inline(always)]
    fn bucket_of(self, distance: u64) -> Option<usize> {
        let bucket = distance >> self.shape.width;
        (bucket < self.shape.buckets as u64).then_some(bucket as usize)
    }

    /// Asks at once for all that would be where it is if keys came at an even pace, instead of for one
    /// after the other when it is known where they are, and tells where the key may be.
    /// SCRATCHPAD.md section 3.3.
    #[inline(always)]
    pub(super) fn expect(self, distance: u64) -> Option<usize> {
        let bucket = self.bucket_of(distance)?;
        let key = self.even(bucket);
        prefetch(self.bytes, (bucket + key) / 8);
        self.lows.expect(key);
        Some(key.saturating_sub(8))
    }

    /// The first key of a bucket if keys came at an even pace.
    #[inline(always)]
    fn even(self, bucket: usize) -> usize {
        (bucket as u32 * self.shape.keys as u32 / self.shape.buckets as u32) as usize
    }

    /// The first key of a bucket, and the first one after it.
    #[inline(always)]
    fn bucket(self, bucket: usize) -> Option<(usize, usize)> {
        let sample = self.sample(bucket / SAMPLE)?;
        let behind = (bucket % SAMPLE) as u32;
        let (start, end) = match self.near_bits(sample, behind) {
            Some(bits) => bits,
            None => self.far_bits(sample, behind)?,
        };
        // It does not start behind its end.
        let (start, end) = (start.checked_sub(bucket)?, end.checked_sub(bucket)?);
        (end <= self.shape.keys).then_some((start, end))
    }

    /// Where the bits of bucket `64 * sample` begin.
    #[inline(always)]
    fn sample(self, sample: usize) -> Option<usize> {
        let before = u16_at(self.bytes, self.table + 2 * sample)?;
        Some(usize::from(before) + sample * SAMPLE)
    }

    /// Where the bits of bucket `n` of those from a sample on begin, and the zero that ends them: if the
    /// next [`NEAR`] words have that, and the zero before is in the same word or the one before. In which
    /// words they are nobody could guess, and so it is added up. What stands behind the buckets is
    /// counted as if it were some, which no search gets to that has a bucket to look for.
    #[inline(always)]
    fn near_bits(self, sample: usize, n: u32) -> Option<(usize, usize)> {
        const _: () = assert!(NEAR == 4);
        let at = sample / 64;
        let words: &[u8; NEAR * 8] = self.bytes.get(at * 8..)?.first_chunk()?;
        let word =
            |i: usize| words.as_chunks::<8>().0.get(i).map_or(0, |w| !u64::from_le_bytes(*w));
        // As if a zero stood before the sample, which may be in the word before.
        let before = 1 << (sample % 64) >> 1;
        let n = n + u32::from(before != 0);
        let first = word(0) & (u64::MAX << (sample % 64)) | before;
        let zeros = |word: u64| (byte_sums(word) >> 56) as u32;
        // Zeros up to the end of each word but the last one.
        let one = zeros(first);
        let two = one + zeros(word(1));
        let three = two + zeros(word(2));
        let i = usize::from(one <= n) + usize::from(two <= n) + usize::from(three <= n);
        let passed = select_unpredictable(one <= n, one, 0);
        let passed = select_unpredictable(two <= n, two, passed);
        let n = n - select_unpredictable(three <= n, three, passed);
        let words = [1 << 63, first, word(1), word(2), word(3)];
        let sums = byte_sums(words[i + 1]);
        if n >= (sums >> 56) as u32 {
            return None;
        }
        let place = select(words[i + 1], sums, n);
        let same = words[i + 1] & mask(place);
        let last = select_unpredictable(same == 0, words[i], same);
        let behind = select_unpredictable(same == 0, i, i + 1) * 64;
        let last = match last.checked_ilog2() {
            Some(bit) => behind + bit as usize,
            None => last_bit(&words[..i]),
        };
        let start = at * 64 + last;
        Some((start - 63, (at + i) * 64 + place as usize))
    }

    /// The same, wherever they are.
    #[cold]
    #[inline(never)]
    fn far_bits(self, sample: usize, n: u32) -> Option<(usize, usize)> {
        let start = match n.checked_sub(1) {
            Some(before) => self.nth(sample, before, |word| !word)? + 1,
            None => sample,
        };
        Some((start, self.nth(start, 0, |word| !word)?))
    }

    /// The place of bit `n` of those that `wanted` sets, from `place` on.
    #[inline]
    fn nth(self, place: usize, mut n: u32, wanted: impl Fn(u64) -> u64) -> Option<usize> {
        let mut at = place / 64;
        let mut word = wanted(self.word(at)?) & (u64::MAX << (place % 64));
        loop {
            let sums = byte_sums(word);
            let ones = (sums >> 56) as u32;
            if n < ones {
                return Some(at * 64 + select(word, sums, n) as usize);
            }
            n -= ones;
            at += 1;
            word = wanted(self.word(at)?);
        }
    }

    #[inline]
    fn word(self, at: usize) -> Option<u64> {
        if at * 8 < self.table { u64_at(self.bytes, at * 8) } else { None }
    }

    /// Where the bit of key `i` stands.
    #[inline]
    fn place(self, i: usize) -> Option<usize> {
        // The last entry of the table that is not beyond the key, chosen without a branch.
        let (mut low, mut len) = (0, self.shape.buckets.div_ceil(SAMPLE));
        while len > 1 {
            let middle = low + len / 2;
            let before = u16_at(self.bytes, self.table + 2 * middle)?;
            low = select_unpredictable(usize::from(before) <= i, middle, low);
            len -= len / 2;
        }
        let place = self.sample(low)?;
        let passed = place - low * SAMPLE;
        self.nth(place, i.checked_sub(passed)? as u32, |word| word)
    }

    /// The place of the next bit that is set, from `place` on.
    #[inline(always)]
    fn next(self, place: usize) -> Option<usize> {
        let mut at = place / 64;
        let mut word = self.word(at)? & (u64::MAX << (place % 64));
        while word == 0 {
            at += 1;
            word = self.word(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize)
    }

    /// How far key `i`, which there is, lies from the first one, if it is the first that lies at
    /// `distance` or farther.
    #[inline(always)]
    pub(super) fn found(self, i: usize, distance: u64) -> Option<u64> {
        // The bit of a key stands as far on as it has keys and buckets before it. Where that of its
        // number and the bucket of the distance is not set, the key is in a later bucket.
        let place = self.next(i + self.bucket_of(distance)?)?;
        Some(((place - i) as u64) << self.shape.width | self.lows.get(i)?)
    }

    /// Where the bit of key `i` stands, or before that, but behind those of all keys before it. The key
    /// before it may be known.
    #[inline]
    fn place_behind(self, first: u64, i: usize, before: Option<u64>) -> Option<usize> {
        match before {
            _ if i == 0 => Some(0),
            Some(key) => {
                let bucket = key.checked_sub(first)? >> self.shape.width;
                i.checked_add(usize::try_from(bucket).ok()?)
            }
            None => self.place(i),
        }
    }

    /// The keys from `start` on, as many as `out` takes, of which there are enough, if the first of
    /// the piece is `first`; `None` if they do not ascend, or the bytes are not as they must be. The key
    /// before them spares the search for where they are, if it is known.
    #[inline]
    pub(super) fn decode(
        self,
        first: u64,
        start: usize,
        before: Option<u64>,
        out: &mut [u64],
    ) -> Option<()> {
        let place = self.place_behind(first, start, before)?;
        let mut at = place / 64;
        let mut word = self.word(at)? & (u64::MAX << (place % 64));
        self.lows.unpack(start, out)?;
        // Of places that ascend, if one is not below the number of its key, then none behind it is.
        // So the bucket of a set bit is its place in the word and this.
        place.checked_sub(start)?;
        let mut bucket = ((at * 64) as u64).wrapping_sub(start as u64);
        let (mut order, width) = (Order::default(), self.shape.width);
        for key in &mut *out {
            while word == 0 {
                at += 1;
                bucket = bucket.wrapping_add(64);
                word = self.word(at)?;
            }
            let place = bucket.wrapping_add(u64::from(word.trailing_zeros()));
            *key = (*key | place << width).wrapping_add(first);
            order.see(*key);
            word &= word - 1;
            bucket = bucket.wrapping_sub(1);
        }
        order.ascend_from(out.first())
    }
}

/// The place of the last bit that is set in these words; 0 if there is none.
#[inline(never)]
fn last_bit(words: &[u64]) -> usize {
    let bits = words.iter().rposition(|word| *word != 0);
    bits.map_or(0, |i| i * 64 + words[i].ilog2() as usize)
}

/// Appends the piece of these keys, in the shape that is best for them.
pub(super) fn encode(keys: &[u64], shape: Shape, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    let first = keys.first().copied().unwrap_or(0);
    let (start, len) = (out.len(), shape.len());
    // The last low bits are written as a whole word.
    out.try_reserve(len + 8)?;
    out.resize(start + len + 8, 0);
    let (front, lows) = out[start..].split_at_mut(shape.lows());
    let (words, table) = front.split_at_mut(shape.table());
    let words = words.as_chunks_mut::<8>().0;
    let mut lows = lows.as_chunks_mut::<8>().0.iter_mut();
    let (mut at, mut word) = (0, 0);
    let mut samples = table.as_chunks_mut::<2>().0.iter_mut();
    // The first bucket of the next sample.
    let mut next = 0;
    let (width, mask) = (shape.width, mask(shape.width));
    let (mut held, mut bits) = (0, 0);
    for (i, key) in keys.iter().enumerate() {
        let distance = key - first;
        let bucket = (distance >> width) as usize;
        let place = i + bucket;
        if place / 64 != at {
            words[at] = u64::to_le_bytes(word);
            (at, word) = (place / 64, 0);
        }
        word |= 1 << (place % 64);
        while next <= bucket {
            if let Some(sample) = samples.next() {
                *sample = (i as u16).to_le_bytes();
            }
            next += SAMPLE;
        }
        let low = distance & mask;
        held |= low << bits;
        bits += width;
        if bits >= 64 {
            if let Some(lows) = lows.next() {
                *lows = u64::to_le_bytes(held);
            }
            bits -= 64;
            // What did not fit: its lowest bits went before. In two steps, for all of it may have fit.
            held = low >> 1 >> (width - 1 - bits);
        }
    }
    words[at] = word.to_le_bytes();
    if let Some(lows) = lows.next() {
        *lows = held.to_le_bytes();
    }
    out.truncate(start + len);
    Ok(())
}
