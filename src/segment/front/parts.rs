//! Heads and suffixes put together from what is stored of other keys.
//!
//! To decode codes and to encode their text again was a third of what it took to splice long keys. So codes are
//! copied as far as their symbols go, and of one that is needed in part, these few bytes are encoded by
//! themselves: seven take up to 14 codes. SCRATCHPAD.md section 2.8.

use super::block::Text;
use super::buffer::Appended;
use super::encode::Encoder;
use super::symbols::{Coded, Piece, SYMBOL_LEN};
use crate::arena::OutOfMemory;
use std::ops::Range;

/// Bytes of codes at most for what is left of the first and of the last symbol.
const ENDS: usize = 2 * 2 * SYMBOL_LEN;

/// What is stored of some keys, one after the other.
#[derive(Default)]
pub(super) struct Parts {
    stored: Appended,
    /// Codes more than symbols, where these were cut.
    more: usize,
}

impl Parts {
    /// Bytes of all of them.
    pub(super) fn len(&self) -> usize {
        self.stored.used
    }

    /// Forgets all of them. Answers how many codes more they had than symbols that were cut.
    pub(super) fn clear(&mut self) -> usize {
        self.stored.used = 0;
        std::mem::take(&mut self.more)
    }

    /// The bytes there, and whatever follows them.
    pub(super) fn get(&self, bytes: Range<usize>) -> Text<'_> {
        (self.stored.bytes.get(bytes.start..).unwrap_or(&[]), bytes.len())
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
                self.stored.try_reserve(part)?;
                Ok(self.stored.copy(bytes.get(start..).unwrap_or(&[]), part))
            }
            (Err(coded), Some(encoder)) => {
                self.stored.try_reserve(coded.len() + ENDS)?;
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
            return self.stored.copy(coded.codes().get(at..)?, coded.len() - at);
        };
        while met < end {
            let (word, len, behind) = coded.symbol_at(at)?;
            if met + len > end {
                self.stored.copy(coded.codes().get(first..)?, at - first)?;
                self.encode(word, end - met, encoder);
                return Some(());
            }
            (at, met) = (behind, met + len);
        }
        self.stored.copy(coded.codes().get(first..)?, at - first)
    }

    /// Appends codes of the first bytes of a word, where there is room for them.
    #[inline]
    fn encode(&mut self, mut word: u64, len: usize, encoder: &Encoder) {
        let (mut left, before) = (len as u32, self.stored.used);
        while left > 0 {
            let cut = encoder.next(word, left);
            if let Some([code, byte]) =
                self.stored.bytes.get_mut(self.stored.used..self.stored.used + 2)
            {
                (*code, *byte) = (cut.code(), word as u8);
            }
            self.stored.used += cut.written() as usize;
            // What has all of a word is the last one.
            word = word.checked_shr(8 * cut.len()).unwrap_or(0);
            left = left.saturating_sub(cut.len());
        }
        self.more += (self.stored.used - before).saturating_sub(1);
    }
}
