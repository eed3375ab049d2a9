//! A bit for each entry, with the number of ones before any entry in constant time.
//!
//! Layout for n entries: ceil(n / 64) words of 64 bits, lowest bit first, unused bits zero; then
//! the directory: for each block of 512 entries the ones before it, and last the ones of all. Its
//! integers take 4 bytes, or 8 when n does not fit in 4. A column without ones is left out.

use super::slabs::Column;
use crate::arena::OutOfMemory;
use crate::blocks::Bytes;
use crate::bytes::uint_at;
use crate::error::{Corruption, Error};
use bumpalo::Bump;
use std::ops::Range;

/// Entries for each entry of the directory: one cache line of bits.
const BLOCK: u64 = 512;

/// Bytes of one integer of the directory over `entries` bits.
fn count_width(entries: u64) -> usize {
    if u32::try_from(entries).is_ok() { 4 } else { 8 }
}

/// The bit of entry `i` in words; zero behind these.
#[inline]
pub(super) fn bit_at(words: &[u8], i: u64) -> bool {
    words.get((i / 8) as usize).is_some_and(|byte| byte >> (i % 8) & 1 == 1)
}

/// Bytes of the words of a column over `entries` bits, if that many can exist.
fn words_len(entries: u64) -> Option<usize> {
    usize::try_from(entries.div_ceil(64)).ok()?.checked_mul(8)
}

/// Bytes of a whole column over `entries` bits, if that many can exist.
pub(super) fn encoded_len(entries: u64) -> Option<usize> {
    let blocks = usize::try_from(entries.div_ceil(BLOCK)).ok()?;
    let directory = blocks.checked_add(1)?.checked_mul(count_width(entries))?;
    words_len(entries)?.checked_add(directory)
}

/// A stored column, or one that was left out because all its bits are zero.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    /// Name of the column in errors.
    part: &'static str,
    entries: u64,
    /// Words and directory; empty for a column left out.
    section: Bytes<'a>,
}

impl<'a> Bits<'a> {
    /// The column over `entries` bits in `section`, which is empty if it was left out.
    #[inline]
    pub(super) fn new(section: Bytes<'a>, entries: u64, part: &'static str) -> Self {
        Self { part, entries, section }
    }

    /// Whether it was left out, because no bit is one.
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.section.is_empty()
    }

    fn words_len(self) -> usize {
        words_len(self.entries).unwrap_or(0).min(self.section.len())
    }

    /// Checks in constant time that the section is as long as its entries need.
    pub(super) fn check_frame(self) -> Result<(), Corruption> {
        let len = self.section.len();
        if len == 0 || encoded_len(self.entries) == Some(len) {
            Ok(())
        } else {
            Err(self.damaged_at(0, "its length follows from the entries"))
        }
    }

    /// The bit of entry `i`; zero past the end.
    #[inline]
    pub(super) fn bit(self, i: u64) -> Result<bool, Corruption> {
        // A left-out column has no words, and so reads as zero.
        if self.section.is_empty() || i >= self.entries {
            return Ok(false);
        }
        let at = (i / 8) as usize;
        let byte = self.section.get(at..at + 1)?;
        Ok(byte[0] >> (i % 8) & 1 == 1)
    }

    /// The bits of the 64 entries from `word * 64` on, lowest first; zero past the end.
    pub(super) fn word(self, word: u64) -> Result<u64, Corruption> {
        if self.section.is_empty() || word >= self.entries.div_ceil(64) {
            return Ok(0);
        }
        let at = word as usize * 8;
        let word = self.section.get(at..at + 8)?;
        Ok(word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)))
    }

    /// How many of the first `i` bits are ones.
    pub(super) fn rank(self, i: u64) -> Result<u64, Corruption> {
        if self.section.is_empty() {
            return Ok(0);
        }
        let i = i.min(self.entries);
        let block = i / BLOCK;
        let mut ones = self.directory_at(block)?;
        let start = (block * BLOCK / 8) as usize;
        let words = self.section.get(start..(i.div_ceil(64) * 8) as usize)?;
        let mut left = i % BLOCK;
        for word in words.as_chunks::<8>().0 {
            let word = u64::from_le_bytes(*word) & ones_below(left);
            ones = ones.saturating_add(u64::from(word.count_ones()));
            left = left.saturating_sub(64);
        }
        if ones > i {
            return Err(self.damaged(block, "there are at most as many ones as bits"));
        }
        Ok(ones)
    }

    /// How many bits are ones.
    pub(super) fn ones(self) -> Result<u64, Corruption> {
        self.rank(self.entries)
    }

    /// Reads every byte and checks that the directory counts what the words hold.
    pub(super) fn verify(self) -> Result<(), Corruption> {
        if self.section.is_empty() {
            return Ok(());
        }
        let mut ones = 0;
        let words_per_block = (BLOCK / 64) as usize;
        for (i, word) in
            self.section.get(0..self.words_len())?.as_chunks::<8>().0.iter().enumerate()
        {
            if i.is_multiple_of(words_per_block) {
                self.expect_count((i / words_per_block) as u64, ones)?;
            }
            let word = u64::from_le_bytes(*word);
            let used = (self.entries - i as u64 * 64).min(64);
            if word & !ones_below(used) != 0 {
                return Err(self.damaged_at(i * 8, "bits past the last entry are zero"));
            }
            ones += u64::from(word.count_ones());
        }
        self.expect_count(self.entries.div_ceil(BLOCK), ones)?;
        if ones == 0 {
            return Err(self.damaged_at(0, "a column without ones is left out"));
        }
        Ok(())
    }

    fn expect_count(self, block: u64, ones: u64) -> Result<(), Corruption> {
        if self.directory_at(block)? == ones {
            Ok(())
        } else {
            Err(self.damaged(block, "the directory counts the ones before each block"))
        }
    }

    fn directory_at(self, block: u64) -> Result<u64, Corruption> {
        let width = count_width(self.entries);
        let at = (block as usize).saturating_mul(width).saturating_add(self.words_len());
        let slot = self.section.get(at..at.saturating_add(width))?;
        uint_at(slot, 0, width)
            .ok_or_else(|| self.damaged(block, "the directory covers every block"))
    }

    fn damaged(self, block: u64, rule: &'static str) -> Corruption {
        let at = (block as usize).saturating_mul(count_width(self.entries));
        self.damaged_at(self.words_len().saturating_add(at), rule)
    }

    fn damaged_at(self, offset: usize, rule: &'static str) -> Corruption {
        Corruption::new(self.part, offset as u64, rule)
    }
}

/// A word with its lowest `count` bits set, `count` at most 64.
fn ones_below(count: u64) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// A column being collected. Zeros are but counted: most columns have nothing else.
pub(super) struct BitStage<'b> {
    /// The words before that with the last one.
    words: Column<'b>,
    /// That word.
    word: u64,
    entries: u64,
    ones: u64,
}

impl<'b> BitStage<'b> {
    /// An empty column.
    pub(super) fn new(bump: &'b Bump) -> Self {
        Self { words: Column::new(bump), word: 0, entries: 0, ones: 0 }
    }

    /// Appends the bit of the next entry.
    #[inline]
    pub(super) fn push(&mut self, bit: bool) -> Result<(), OutOfMemory> {
        self.entries += 1;
        if bit { self.set_last() } else { Ok(()) }
    }

    /// Makes the last bit one.
    #[inline(never)]
    fn set_last(&mut self) -> Result<(), OutOfMemory> {
        let last = self.entries - 1;
        while (self.words.len() as u64) < last / 64 * 8 {
            self.words.append(&self.word.to_le_bytes())?;
            self.word = 0;
        }
        self.word |= 1 << (last % 64);
        self.ones += 1;
        Ok(())
    }

    /// Appends a zero for each of the next entries.
    pub(super) fn push_zeros(&mut self, count: u64) {
        self.entries += count;
    }

    /// Appends the bits that some entries have in a finished column; answers how many are ones.
    pub(super) fn push_range(&mut self, bits: Bits<'_>, entries: Range<u64>) -> Result<u64, Error> {
        if bits.section.is_empty() {
            self.push_zeros(entries.end - entries.start);
            return Ok(0);
        }
        let ones = self.ones;
        for i in entries {
            self.push(bits.bit(i)?)?;
        }
        Ok(self.ones - ones)
    }

    /// Bytes of the finished column: none if it is left out. `None` if they cannot be addressed.
    pub(super) fn encoded_len(&self) -> Option<usize> {
        if self.ones == 0 { Some(0) } else { encoded_len(self.entries) }
    }

    /// Writes the finished column to `out`, which is zeroed and has exactly its length.
    pub(super) fn write_to(&self, out: &mut [u8]) {
        if out.is_empty() {
            return;
        }
        let directory_at = out.len() - self.directory_len();
        let (words, directory) = out.split_at_mut(directory_at);
        self.words.copy_to(&mut words[..self.words.len()]);
        if let Some(tail) = words.get_mut(self.words.len()..self.words.len() + 8) {
            tail.copy_from_slice(&self.word.to_le_bytes());
        }
        let width = count_width(self.entries);
        let mut slots = directory.chunks_exact_mut(width);
        let mut ones = 0u64;
        for block in words.chunks((BLOCK / 8) as usize) {
            put_count(slots.next(), ones);
            ones += block
                .as_chunks::<8>()
                .0
                .iter()
                .map(|word| u64::from(u64::from_le_bytes(*word).count_ones()))
                .sum::<u64>();
        }
        put_count(slots.next(), ones);
    }

    fn directory_len(&self) -> usize {
        (self.entries.div_ceil(BLOCK) as usize + 1) * count_width(self.entries)
    }
}

fn put_count(slot: Option<&mut [u8]>, count: u64) {
    if let Some(slot) = slot {
        let width = slot.len();
        slot.copy_from_slice(&count.to_le_bytes()[..width]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(bits: &[bool]) -> Vec<u8> {
        let bump = Bump::new();
        let mut stage = BitStage::new(&bump);
        let mut zeros = 0;
        for &bit in bits {
            if bit {
                stage.push_zeros(zeros);
                stage.push(true).expect("memory for a test");
                zeros = 0;
            } else if zeros < 100 {
                zeros += 1;
            } else {
                stage.push(false).expect("memory for a test");
            }
        }
        stage.push_zeros(zeros);
        let mut out = vec![0; stage.encoded_len().expect("a small column")];
        stage.write_to(&mut out);
        out
    }

    #[test]
    fn bits_and_ranks_agree_with_a_loop_at_every_length() {
        for n in (0..200usize).chain([511, 512, 513, 1024, 1025, 3000]) {
            for pattern in 0..4usize {
                let bits: Vec<bool> = (0..n)
                    .map(|i| match pattern {
                        0 => false,
                        1 => true,
                        2 => i % 3 == 0,
                        _ => i + 1 == n,
                    })
                    .collect();
                let bytes = encode(&bits);
                let column = Bits::new(Bytes::heap(&bytes), n as u64, "test bits");
                column.check_frame().expect("own bytes");
                column.verify().expect("own bytes");
                let mut ones = 0;
                for (i, &bit) in bits.iter().enumerate() {
                    assert_eq!(column.bit(i as u64), Ok(bit));
                    assert_eq!(column.rank(i as u64), Ok(ones));
                    ones += u64::from(bit);
                }
                assert_eq!(column.ones(), Ok(ones));
                for (i, bits) in bits.chunks(64).enumerate() {
                    let bit = |at: usize| u64::from(bits[at]) << at;
                    let word = (0..bits.len()).map(bit).sum();
                    assert_eq!(column.word(i as u64), Ok(word));
                }
                assert_eq!(column.word(n.div_ceil(64) as u64), Ok(0));
                assert_eq!(column.bit(n as u64), Ok(false));
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_found_by_verify() {
        let bits: Vec<bool> = (0..1100).map(|i| i % 5 == 0).collect();
        let good = encode(&bits);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let column = Bits::new(Bytes::heap(&bad), 1100, "test bits");
                assert!(column.verify().is_err(), "byte {at} bit {bit}");
                for i in 0..=1100 {
                    let _ = column.rank(i);
                }
            }
        }
        assert!(Bits::new(Bytes::heap(&good[1..]), 1100, "test bits").check_frame().is_err());
    }
}
