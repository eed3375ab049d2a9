//! Heads and suffixes put together from what is stored of other keys.
//!
//! To decode codes and to encode their text again was a third of what it took to splice long keys. So codes are
//! copied as far as their symbols go, and of one that is needed in part, these few bytes are encoded by
//! themselves: seven take up to 14 codes. SCRATCHPAD.md section 2.8.

use super::block::Text;
use super::buffer::{REACH, copy_chunks};
use super::encode::Encoder;
use super::symbols::{Coded, Piece, SYMBOL_LEN};
use crate::arena::OutOfMemory;
use std::ops::Range;

/// Bytes of codes at most for what is left of the first and of the last symbol.
const ENDS: usize = 2 * 2 * SYMBOL_LEN;

/// What is stored of some keys, one after the other.
#[derive(Default)]
pub(super) struct Parts {
    /// With room behind it.
    bytes: Vec<u8>,
    used: usize,
    /// Codes more than symbols, where these were cut.
    more: usize,
}

impl Parts {
    /// Bytes of all of them.
    pub(super) fn len(&self) -> usize {
        self.used
    }

    /// Forgets all of them. Answers how many codes more they had than symbols that were cut.
    pub(super) fn clear(&mut self) -> usize {
        self.used = 0;
        std::mem::take(&mut self.more)
    }

    /// The bytes there, and whatever follows them.
    pub(super) fn get(&self, bytes: Range<usize>) -> Text<'_> {
        (self.bytes.get(bytes.start..).unwrap_or(&[]), bytes.len())
    }

    /// Appends what is stored of a part of a head or suffix: of its text from one byte up to another one, or to
    /// the end; `None` if there is less of it. `encoder` is that of the symbols, if the piece has any.
    pub(super) fn push(
        &mut self,
        piece: Piece<'_>,
        start: usize,
        end: Option<usize>,
        encoder: Option<&Encoder>,
    ) -> Result<Option<()>, OutOfMemory> {
        match (piece.plain(), encoder) {
            (Ok((bytes, len)), _) => {
                let part = (start..end.unwrap_or(len)).len();
                if start > len || part > len - start {
                    return Ok(None);
                }
                self.reserve(part)?;
                Ok(self.copy(bytes.get(start..).unwrap_or(&[]), part))
            }
            (Err(coded), Some(encoder)) => {
                self.reserve(coded.len() + ENDS)?;
                Ok(self.cut(coded, start, end, encoder))
            }
            (Err(_), None) => Ok(None),
        }
    }

    /// The same, of codes, where there is room for them.
    fn cut(
        &mut self,
        coded: Coded<'_>,
        start: usize,
        end: Option<usize>,
        encoder: &Encoder,
    ) -> Option<()> {
        let (mut at, mut met) = (0, 0);
        while met < start {
            let (word, len, behind) = coded.symbol_at(at)?;
            (at, met) = (behind, met + len);
            if met > start {
                let least = end.map_or(met, |end| end.min(met));
                self.encode(
                    word >> (8 * (start + len - met)),
                    least.saturating_sub(start),
                    encoder,
                );
            }
        }
        let (first, Some(end)) = (at, end) else {
            return self.copy(coded.codes().get(at..)?, coded.len() - at);
        };
        while met < end {
            let (word, len, behind) = coded.symbol_at(at)?;
            if met + len > end {
                self.copy(coded.codes().get(first..)?, at - first)?;
                self.encode(word, end - met, encoder);
                return Some(());
            }
            (at, met) = (behind, met + len);
        }
        self.copy(coded.codes().get(first..)?, at - first)
    }

    /// Appends codes of the first bytes of a word, where there is room for them.
    #[inline]
    fn encode(&mut self, mut word: u64, len: usize, encoder: &Encoder) {
        let (mut left, before) = (len as u32, self.used);
        while left > 0 {
            let cut = encoder.next(word, left);
            if let Some([code, byte]) = self.bytes.get_mut(self.used..self.used + 2) {
                (*code, *byte) = (cut.code(), word as u8);
            }
            self.used += cut.written() as usize;
            // What has all of a word is the last one.
            word = word.checked_shr(8 * cut.len()).unwrap_or(0);
            left = left.saturating_sub(cut.len());
        }
        self.more += (self.used - before).saturating_sub(1);
    }

    /// Appends bytes, whatever follows them, where there is room.
    #[inline]
    fn copy(&mut self, bytes: &[u8], len: usize) -> Option<()> {
        copy_chunks(self.bytes.get_mut(self.used..)?, bytes, len)?;
        self.used += len;
        Some(())
    }

    /// Sees to it that there is room for so many bytes.
    #[inline]
    fn reserve(&mut self, len: usize) -> Result<(), OutOfMemory> {
        let room = self.used + len + REACH;
        if room > self.bytes.len() {
            self.bytes.try_reserve(room.max(2 * self.bytes.len()) - self.bytes.len())?;
            self.bytes.resize(self.bytes.capacity(), 0);
        }
        Ok(())
    }
}
