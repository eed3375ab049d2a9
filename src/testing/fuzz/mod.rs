//! What fuzzers run: bytes become operations on a tree or a map, or the bytes of a file.
//!
//! Each target is one function of a byte string, which panics if something is wrong. A fuzzer
//! looks for such a string; `cargo test` runs the same functions on random ones and on those that
//! found a bug once (`fuzz/regressions`). Any bytes are valid input, and a change of a few of them
//! changes few operations, which is what makes a fuzzer's mutations useful.

pub(crate) mod art;
pub(crate) mod map;
pub(crate) mod segment;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use super::keys;
use crate::entry::{INLINE_VALUE_MAX, ValueWidth};
use crate::key::MAX_KEY_LEN;
use std::collections::VecDeque;

/// Reads a file of so many bytes by calling what it is given, once, and watches what that costs.
pub(crate) type Watch<'w> = &'w mut dyn FnMut(usize, &mut dyn FnMut());

/// Keys that an input can refer back to.
const SEEN_KEYS: usize = 32;

/// Decisions read from a fuzzer's bytes; zeros after their end.
struct Input<'a> {
    bytes: &'a [u8],
    /// Keys read lately, the latest at the front.
    seen: VecDeque<Vec<u8>>,
}

impl<'a> Input<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, seen: VecDeque::new() }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All bytes that are left.
    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.bytes.split_first().unwrap_or((&0, &[]));
        self.bytes = rest;
        *first
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::from(self.byte()) % items.len()]
    }

    fn width(&mut self) -> ValueWidth {
        use ValueWidth::{Bytes, Fixed};
        self.pick(&[Bytes, Fixed(8), Fixed(0), Fixed(1), Fixed(255)])
    }

    /// A key over a small alphabet, or one that was read before, or beside one of those.
    fn key(&mut self) -> Vec<u8> {
        const EDGES: [u8; 5] = [0x00, 0x01, 0x7f, 0x80, 0xff];
        const STEMS: [usize; 8] = [0, 3, 4, 5, 9, 40, 256, 700];
        let tag = self.byte();
        let low = usize::from(tag & 0x1f);
        let key = match tag >> 5 {
            0 | 1 => (0..low % 16).map(|_| self.pick(&EDGES)).collect(),
            2 => (0..low % 4).map(|_| self.byte()).collect(),
            3 => {
                let stem = vec![b'p'; STEMS[low % 8]];
                let tail: Vec<u8> = (0..low / 8).map(|_| self.pick(b"pqrs")).collect();
                [stem, tail].concat()
            }
            4 if low == 31 => {
                let mut key = vec![b'p'; MAX_KEY_LEN - usize::from(self.byte() % 2)];
                key[usize::from(tag)] = self.byte();
                key
            }
            4 => keys::big_endian(self.number() as u64),
            5 => {
                let seen = self.seen(low);
                let misses = keys::near_misses(&seen);
                let at = usize::from(self.byte());
                misses.get(at % misses.len().max(1)).cloned().unwrap_or_default()
            }
            _ => self.seen(low),
        };
        self.seen.truncate(SEEN_KEYS - 1);
        self.seen.push_front(key.clone());
        key
    }

    fn seen(&self, at: usize) -> Vec<u8> {
        self.seen.get(at % self.seen.len().max(1)).cloned().unwrap_or_default()
    }

    fn value(&mut self, width: ValueWidth) -> Vec<u8> {
        const MAX: usize = INLINE_VALUE_MAX;
        const LENS: [usize; 11] = [0, 1, 2, 7, 8, 30, 200, MAX - 1, MAX, MAX + 1, 5000];
        let fill = self.byte();
        let len = match width {
            ValueWidth::Fixed(width) => usize::from(width),
            ValueWidth::Bytes => LENS[usize::from(fill) % LENS.len()],
        };
        vec![fill; len]
    }

    /// Keys that part in one byte behind a common stem: with them nodes get full.
    fn fan(&mut self) -> Vec<Vec<u8>> {
        let stem = self.key();
        let (from, count, step) = (self.byte(), self.byte(), self.byte() % 8 + 1);
        if stem.len() >= MAX_KEY_LEN {
            return vec![stem];
        }
        let bytes = (0..count).map(|i| from.wrapping_add(i.wrapping_mul(step)));
        bytes.map(|byte| [&stem[..], &[byte]].concat()).collect()
    }
}
