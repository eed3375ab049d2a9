//! Decodes the keys of a chained block, one behind the other, in few steps.
//!
//! What is known for all of them stays in registers: whether they are codes, where the next suffix is, and
//! where the last key is. SCRATCHPAD.md section 3.9.

use super::block::{Block, HALF_MAX, take_len};
use super::buffer::{REACH, copy_chunks, repeat_chunks};
use super::symbols::{SYMBOL_LEN, Symbols};
use crate::key::MAX_KEY_LEN;
use crate::strings::Strings;

impl Block<'_> {
    /// Decodes the keys that are left behind the last one of `keys`, which is the one before them and has
    /// a prefix of so many bytes; `None` if the block is damaged, or they do not ascend. Tells `note` of
    /// each what it shares with the one before it.
    #[inline]
    pub(super) fn decode_rest(
        self,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
    ) -> Option<()> {
        match self.symbols {
            None => self.unfold_text(prefix_len, keys, note),
            Some(symbols) => self.unfold_codes(symbols, prefix_len, keys, note),
        }
    }

    #[inline(never)]
    fn unfold_text(
        self,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
    ) -> Option<()> {
        self.unfold(prefix_len, keys, note, 1, |target, bytes, len| {
            copy_chunks(target, bytes, len).map(|()| len)
        })
    }

    #[inline(never)]
    fn unfold_codes(
        self,
        symbols: Symbols<'_>,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
    ) -> Option<()> {
        self.unfold(prefix_len, keys, note, SYMBOL_LEN, |target, codes, len| {
            symbols.expand(target, codes, len)
        })
    }

    /// Puts keys together. `put` writes a suffix, told by where it is stored with all that follows and by
    /// its length there, of which each byte stands for up to `most` bytes.
    #[expect(clippy::inline_always, reason = "whether they are codes is known outside of a loop")]
    #[inline(always)]
    fn unfold(
        self,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
        most: usize,
        put: impl Fn(&mut [u8], &[u8], usize) -> Option<usize>,
    ) -> Option<()> {
        let least = prefix_len + self.rest.common;
        let (tail, block_end) = (self.tail, self.len);
        let mut at = block_end - self.rest.bytes.len();
        let &[.., start, end] = &*keys.bounds else { return None };
        let (mut start, mut end) = (start as usize, end as usize);
        for &tag in self.rest.tags {
            let (mut shared, mut len) = (usize::from(tag >> 4), usize::from(tag & 15));
            if shared == HALF_MAX || len == HALF_MAX {
                let mut rest = tail.get(at..)?;
                for half in [&mut shared, &mut len] {
                    if *half == HALF_MAX {
                        let (extra, behind) = take_len(rest)?;
                        *half += extra;
                        rest = behind;
                    }
                }
                at = tail.len() - rest.len();
            }
            let (shared, len) = (least + shared, len + 1);
            if at + len > block_end || shared > end - start {
                return None;
            }
            let target = end + shared;
            let room = target + (most * len).min(MAX_KEY_LEN) + REACH;
            if room > keys.bytes.len() {
                keys.grow(room);
            }
            let bytes = &mut *keys.bytes;
            repeat_chunks(bytes, start, end, shared)?;
            let added = put(bytes.get_mut(target..)?, tail.get(at..)?, len)?;
            if added == 0 || shared + added > MAX_KEY_LEN {
                return None;
            }
            // Greater than the one before it: its first new byte says so, if that has one there.
            if shared < end - start && bytes.get(start + shared) >= bytes.get(target) {
                return None;
            }
            at += len;
            (start, end) = (end, target + added);
            // At most 32 keys of 65,535 bytes.
            keys.bounds.push(end as u32);
            note(shared);
        }
        Some(())
    }
}
