//! Ascending numbers as they are stored, to be searched in a window.

use super::model::Window;
use super::search::{count, count_at};

pub(super) trait Column: Sized {
    fn of(keys: &[u64]) -> Self;

    /// How many keys are below `key`, and whether the next one is `key`, if the window is right.
    fn lower_bound(&self, key: u64, window: Window) -> (usize, bool);

    fn bytes(&self) -> usize;
}

/// Eight bytes each.
pub(super) struct Raw(Vec<u64>);

impl From<Vec<u64>> for Raw {
    fn from(keys: Vec<u64>) -> Self {
        Self(keys)
    }
}

impl Column for Raw {
    fn of(keys: &[u64]) -> Self {
        Self(keys.to_vec())
    }

    #[inline(always)]
    fn lower_bound(&self, key: u64, window: Window) -> (usize, bool) {
        let some = self.0.get(window.from..window.end).unwrap_or(&[]);
        let at = window.from + count(some, |number| number < key);
        (at, self.0.get(at) == Some(&key))
    }

    fn bytes(&self) -> usize {
        self.0.len() * 8
    }
}

/// Bits one after the other, in words, of which there is one more than they need.
#[derive(Default)]
struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    fn push(&mut self, number: u64, width: u32) {
        let (at, shift) = (self.len / 64, self.len % 64);
        self.words.resize((self.len + width as usize) / 64 + 2, 0);
        self.words[at] |= number << shift;
        self.words[at + 1] |= number.checked_shr(64 - shift as u32).unwrap_or(0);
        self.len += width as usize;
    }

    /// Begins a new word.
    fn align(&mut self) {
        self.len = self.len.next_multiple_of(64);
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// The number of `width` bits that start at a place.
    #[inline(always)]
    fn get(&self, start: usize, width: u32) -> u64 {
        let (at, shift) = (start / 64, start % 64);
        let [low, high] = match self.words.get(at..).and_then(<[u64]>::first_chunk) {
            Some(words) => *words,
            None => [0, 0],
        };
        ((low >> shift) | (high << 1 << (63 - shift))) & mask(width)
    }

    fn bytes(&self) -> usize {
        self.words.len() * 8
    }
}

#[inline(always)]
fn mask(width: u32) -> u64 {
    (1_u64 << (width % 64)).wrapping_sub(1) | 0_u64.wrapping_sub(u64::from(width >= 64))
}

fn bits_of(number: u64) -> u32 {
    u64::BITS - number.leading_zeros()
}

/// Keys of a block.
pub(super) const BLOCK: usize = 64;

/// Blocks of 64 keys, each as what it is above the first one (frame of reference).
pub(super) struct Packed {
    firsts: Vec<u64>,
    /// Where a block starts, in words, and the width of its numbers.
    places: Vec<(u32, u32)>,
    bits: Bits,
    keys: usize,
}

impl Packed {
    /// The number of a key in its block.
    #[inline(always)]
    fn distance(&self, place: (u32, u32), slot: usize) -> u64 {
        self.bits.get(place.0 as usize * 64 + slot * place.1 as usize, place.1)
    }
}

impl Column for Packed {
    fn of(keys: &[u64]) -> Self {
        let (mut firsts, mut places, mut bits) = (Vec::new(), Vec::new(), Bits::default());
        for block in keys.chunks(BLOCK) {
            let width = bits_of(block[block.len() - 1] - block[0]);
            bits.align();
            firsts.push(block[0]);
            places.push(((bits.len / 64) as u32, width));
            for key in block {
                bits.push(key - block[0], width);
            }
        }
        bits.words.shrink_to_fit();
        Self { firsts, places, bits, keys: keys.len() }
    }

    #[inline(always)]
    fn lower_bound(&self, key: u64, window: Window) -> (usize, bool) {
        let Window { from, end } = window;
        // The last block of the window that does not begin above the key.
        let (low, high) = (from / BLOCK, end.saturating_sub(1).max(from) / BLOCK);
        let firsts = self.firsts.get(low + 1..(high + 1).min(self.firsts.len())).unwrap_or(&[]);
        let block = low + count(firsts, |first| first <= key);
        let (Some(first), Some(place)) = (self.firsts.get(block), self.places.get(block)) else {
            return (from, false);
        };
        let start = block * BLOCK;
        let (low, high) = (from.max(start), end.min(start + BLOCK));
        let Some(sought) = key.checked_sub(*first) else { return (low, false) };
        let below = |i: usize| self.distance(*place, low - start + i) < sought;
        let at = low + count_at(high.saturating_sub(low), below);
        let is_inside = at < self.keys.min(start + BLOCK);
        // Behind a block, the next one begins.
        let is_there = if is_inside {
            self.distance(*place, at - start) == sought
        } else {
            self.firsts.get(block + 1) == Some(&key)
        };
        (at, is_there)
    }

    fn bytes(&self) -> usize {
        self.firsts.len() * 16 + self.bits.bytes()
    }
}

/// Keys of a piece.
pub(super) const PIECE: usize = 1024;

/// Zeros from one entry of the table to the next.
const SAMPLE: usize = 64;

#[derive(Clone, Copy)]
struct Head {
    /// Where the buckets start, then the table, then the low bits, in words.
    start: u32,
    buckets: u32,
    width: u32,
}

impl Head {
    fn table(self, keys: usize) -> usize {
        self.start as usize + (keys + self.buckets as usize).div_ceil(64)
    }

    fn lows(self, keys: usize) -> usize {
        self.table(keys) + (self.buckets as usize).div_ceil(SAMPLE).div_ceil(4)
    }
}

/// Pieces of 1,024 keys: low bits packed, high ones as buckets in unary (Elias-Fano).
pub(super) struct Elias {
    firsts: Vec<u64>,
    heads: Vec<Head>,
    bits: Bits,
    keys: usize,
}

/// Ones up to each byte of a word, that byte included.
#[inline(always)]
fn byte_sums(word: u64) -> u64 {
    let pairs = word - ((word >> 1) & 0x5555_5555_5555_5555);
    let fours = (pairs & 0x3333_3333_3333_3333) + ((pairs >> 2) & 0x3333_3333_3333_3333);
    ((fours + (fours >> 4)) & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(ONES)
}

/// One in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
const TOPS: u64 = ONES << 7;

/// The place of bit `n` of those that are set, of which there are more.
#[inline(always)]
fn select(word: u64, sums: u64, n: u64) -> usize {
    let passed = (((n * ONES) | TOPS) - sums) & TOPS;
    let byte = ((passed >> 7).wrapping_mul(ONES) >> 56) * 8;
    let left = n - ((sums << 8 >> byte) & 0xff);
    let mut bits = word >> byte;
    for i in 0..7 {
        bits &= if i < left { bits.wrapping_sub(1) } else { u64::MAX };
    }
    byte as usize + bits.trailing_zeros() as usize
}

impl Elias {
    /// The first key of a bucket, and the first one after it.
    #[inline(always)]
    fn bucket(&self, head: Head, keys: usize, bucket: usize) -> (usize, usize) {
        let sample = bucket / SAMPLE;
        let before = self.bits.get(head.table(keys) * 64 + sample * 16, 16) as usize;
        let mut place = before + sample * SAMPLE;
        let mut at = place / 64;
        let word = |at: usize| !self.bits.word(head.start as usize + at);
        let mut zeros = word(at) & (u64::MAX << (place % 64));
        let mut left = (bucket % SAMPLE) as u64;
        // A piece whose bytes are as they were made has all zeros that are asked for.
        while left > 0 {
            let sums = byte_sums(zeros);
            if left <= sums >> 56 {
                place = at * 64 + select(zeros, sums, left - 1) + 1;
                at = place / 64;
                zeros = word(at) & (u64::MAX << (place % 64));
                break;
            }
            left -= sums >> 56;
            at += 1;
            zeros = word(at);
        }
        while zeros == 0 {
            at += 1;
            zeros = word(at);
        }
        let end = at * 64 + zeros.trailing_zeros() as usize;
        (place - bucket, end - bucket)
    }
}

impl Column for Elias {
    fn of(keys: &[u64]) -> Self {
        let (mut firsts, mut heads, mut bits) = (Vec::new(), Vec::new(), Bits::default());
        for piece in keys.chunks(PIECE) {
            let (first, span) = (piece[0], piece[piece.len() - 1] - piece[0]);
            let width = (span / piece.len() as u64).checked_ilog2().unwrap_or(0);
            let buckets = (span >> width) as usize + 1;
            let start = bits.len / 64;
            let head = Head { start: start as u32, buckets: buckets as u32, width };
            firsts.push(first);
            heads.push(head);
            bits.words.resize(head.lows(piece.len()) + 1, 0);
            let mut sampled = 0;
            for (i, key) in piece.iter().enumerate() {
                let bucket = ((key - first) >> width) as usize;
                bits.words[start + (i + bucket) / 64] |= 1 << ((i + bucket) % 64);
                while sampled * SAMPLE <= bucket {
                    let at = head.table(piece.len()) + sampled / 4;
                    bits.words[at] |= (i as u64) << (sampled % 4 * 16);
                    sampled += 1;
                }
            }
            bits.len = head.lows(piece.len()) * 64;
            for key in piece {
                bits.push((key - first) & mask(width), width);
            }
            bits.align();
        }
        bits.words.shrink_to_fit();
        Self { firsts, heads, bits, keys: keys.len() }
    }

    #[inline(always)]
    fn lower_bound(&self, key: u64, window: Window) -> (usize, bool) {
        let Window { from, end } = window;
        let (low, high) = (from / PIECE, end.saturating_sub(1).max(from) / PIECE);
        let firsts = self.firsts.get(low + 1..(high + 1).min(self.firsts.len())).unwrap_or(&[]);
        let piece = low + count(firsts, |first| first <= key);
        let (Some(first), Some(head)) = (self.firsts.get(piece), self.heads.get(piece)) else {
            return (from, false);
        };
        let start = piece * PIECE;
        let keys = (self.keys - start).min(PIECE);
        let Some(distance) = key.checked_sub(*first) else { return (start, false) };
        let bucket = distance >> head.width;
        if bucket >= u64::from(head.buckets) {
            return (start + keys, self.firsts.get(piece + 1) == Some(&key));
        }
        let (low, high) = self.bucket(*head, keys, bucket as usize);
        let (lows, sought) = (head.lows(keys) * 64, distance & mask(head.width));
        let number = |i: usize| self.bits.get(lows + i * head.width as usize, head.width);
        let at = low + count_at(high - low, |i| number(low + i) < sought);
        (start + at, at < high && number(at) == sought)
    }

    fn bytes(&self) -> usize {
        self.firsts.len() * (8 + size_of::<Head>()) + self.bits.bytes()
    }
}
