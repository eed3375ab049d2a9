//! The filter in front of a delta: says "surely not in there" for most keys that are not.
//!
//! A register-blocked Bloom filter: each key sets four bits of one 64-bit word, so a test costs
//! one cache line. It grows by generations of doubling size (Almeida et al., "Scalable Bloom
//! Filters", 2007), because a delta that nobody folds may hold any number of keys; a delta within
//! its budget has one generation. About 12 bits a key; 2 to 3 % false positives.

use crate::arena::{OutOfMemory, prefetch_value};
use crate::planted::{Bug, planted};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Bits for each key that a generation is sized for.
const BITS_PER_KEY: usize = 12;

/// Fewest keys that a generation is sized for.
const MIN_CAPACITY: usize = 512;

/// What is asked of filters for a key, made once for all of them.
#[derive(Clone, Copy)]
pub(crate) struct KeyHash {
    /// Bits of a word.
    bits: u64,
    /// The place of the word, as a share of all.
    place: u64,
}

impl KeyHash {
    /// Hashes `key`.
    #[inline]
    pub(crate) fn of(key: &[u8]) -> Self {
        let mut hasher = FxHasher::default();
        hasher.write(key);
        // One more mix: the low bits choose bits of a word, the high ones the word.
        let hash = hasher.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = hash ^ hash >> 32;
        let bit = |shift: u32| 1u64 << (hash >> shift & 63);
        Self { bits: bit(0) | bit(6) | bit(12) | bit(18), place: hash.rotate_left(20) }
    }

    #[inline]
    fn word(self, words: usize) -> usize {
        ((u128::from(self.place) * words as u128) >> 64) as usize
    }

    #[inline]
    fn is_in(self, words: &[u64]) -> bool {
        words[self.word(words.len())] & self.bits == self.bits
    }
}

/// A set of keys that may answer "perhaps" for a key it does not hold, never "no" for one it does.
pub(crate) struct Filter {
    /// The generation that takes new keys.
    last: Box<[u64]>,
    /// Those before it.
    full: Vec<Box<[u64]>>,
    /// Keys that the last generation still has room for.
    room: usize,
}

impl Filter {
    /// A filter sized for `expected` keys.
    pub(crate) fn new(expected: usize) -> Result<Self, OutOfMemory> {
        let capacity = expected.max(MIN_CAPACITY);
        Ok(Self { last: generation(capacity)?, full: Vec::new(), room: capacity })
    }

    /// Adds a key. Refuses if that takes memory which cannot be had.
    pub(crate) fn insert(&mut self, hash: KeyHash) -> Result<(), OutOfMemory> {
        if planted(Bug::FilterForgetsKeys) && hash.place.is_multiple_of(4) {
            return Ok(());
        }
        if self.room == 0 {
            let capacity = self.last_capacity();
            let larger = generation(2 * capacity)?;
            self.full.try_reserve(1).map_err(|_| OutOfMemory)?;
            self.full.push(std::mem::replace(&mut self.last, larger));
            self.room = 2 * capacity;
        }
        self.room -= 1;
        let word = hash.word(self.last.len());
        self.last[word] |= hash.bits;
        Ok(())
    }

    /// Whether the next key takes more memory although so many keys need none: most of those that
    /// were added have left. A filter forgets no key; it can only be made again.
    pub(crate) fn is_outworn(&self, keys: u64) -> bool {
        self.room == 0 && keys <= self.last_capacity() as u64 / 2
    }

    /// Keys that the last generation is sized for.
    fn last_capacity(&self) -> usize {
        self.last.len() * 64 / BITS_PER_KEY
    }

    /// Whether the key may have been added.
    #[inline]
    pub(crate) fn may_contain(&self, hash: KeyHash) -> bool {
        hash.is_in(&self.last) || !self.full.is_empty() && self.full_may_contain(hash)
    }

    #[inline(never)]
    fn full_may_contain(&self, hash: KeyHash) -> bool {
        self.full.iter().any(|words| hash.is_in(words))
    }

    /// Asks for the memory that will be looked at for a key, if it is not one of a full generation.
    #[inline]
    pub(crate) fn ask(&self, hash: KeyHash) {
        prefetch_value(&self.last[hash.word(self.last.len())]);
    }

    /// Heap bytes owned.
    pub(crate) fn heap_bytes(&self) -> usize {
        let full: usize = self.full.iter().map(|words| size_of_val(&**words)).sum();
        let words = size_of_val(&*self.last) + full;
        size_of::<Self>() + words + self.full.capacity() * size_of::<Box<[u64]>>()
    }
}

fn generation(capacity: usize) -> Result<Box<[u64]>, OutOfMemory> {
    let words = capacity.checked_mul(BITS_PER_KEY).ok_or(OutOfMemory)?.div_ceil(64);
    let mut generation = Vec::new();
    generation.try_reserve_exact(words).map_err(|_| OutOfMemory)?;
    generation.resize(words, 0);
    Ok(generation.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_every_key_and_few_others() {
        let mut filter = Filter::new(0).expect("memory");
        for n in 0..20_000u64 {
            filter.insert(KeyHash::of(&n.to_le_bytes())).expect("memory");
        }
        assert!((0..20_000u64).all(|n| filter.may_contain(KeyHash::of(&n.to_le_bytes()))));
        let others = 20_000..120_000u64;
        let wrong = others.filter(|n| filter.may_contain(KeyHash::of(&n.to_le_bytes()))).count();
        // Six generations at up to 3 % each.
        assert!(wrong < 20_000, "{wrong} of 100,000");
        let mut sized = Filter::new(20_000).expect("memory");
        for n in 0..20_000u64 {
            sized.insert(KeyHash::of(&n.to_le_bytes())).expect("memory");
        }
        let others = 20_000..120_000u64;
        let wrong = others.filter(|n| sized.may_contain(KeyHash::of(&n.to_le_bytes()))).count();
        assert!(wrong < 4_000, "{wrong} of 100,000");
    }

    #[test]
    fn numbers_that_follow_a_pattern_are_told_apart() {
        for step in [1, 3, 256, 1_000, 4_096, 65_537, 1 << 20, 1 << 32, (1 << 40) + 1] {
            for swapped in [false, true] {
                let hash = |n: u64| {
                    let number = n.wrapping_mul(step);
                    KeyHash::of(&if swapped { number.swap_bytes() } else { number }.to_le_bytes())
                };
                let mut filter = Filter::new(20_000).expect("memory");
                (0..20_000).for_each(|n| filter.insert(hash(2 * n)).expect("memory"));
                assert!((0..20_000).all(|n| filter.may_contain(hash(2 * n))));
                let wrong = (0..100_000).filter(|n| filter.may_contain(hash(2 * n + 1))).count();
                assert!(wrong < 3_000, "{wrong} of 100,000, step {step}, {swapped}");
            }
        }
    }
}
