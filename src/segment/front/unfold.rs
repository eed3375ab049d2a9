//! Decodes the keys of a chained block, one behind the other, in few steps; those of short ones as
//! [rows](super::weave).
//!
//! What is known for all of them stays in registers: whether they are codes, where the next suffix is, and
//! where the last key is. SCRATCHPAD.md section 3.9.

use super::block::{Block, HALF_MAX, LONG, take_len_at};
use super::buffer::{copy_part, repeat_chunks};
use super::spread::Runs;
use super::symbols::Symbols;
use crate::key::MAX_KEY_LEN;
use crate::strings::Strings;
use std::hint::select_unpredictable;

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
            None => self
                .weave_text(prefix_len, keys, note)
                .or_else(|| self.unfold_text(prefix_len, keys, note)),
            Some(symbols) => self
                .weave_codes(symbols, prefix_len, keys, note)
                .or_else(|| self.unfold_codes(symbols, prefix_len, keys, note)),
        }
    }

    #[inline(never)]
    pub(super) fn unfold_text(
        self,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
    ) -> Option<()> {
        let tail = self.tail;
        let copy = |bytes: &mut [u8], target, at, len| copy_part(bytes, target, tail, at, len);
        self.unfold::<false>(prefix_len, keys, note, |_, at, len, _| Some((at, len)), copy)
    }

    /// The text of many codes is put in front of the keys at once, whatever the lengths of suffixes: no jump
    /// depends on these then. SCRATCHPAD.md section 3.9.
    #[inline(never)]
    pub(super) fn unfold_codes(
        self,
        symbols: Symbols<'_>,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
    ) -> Option<()> {
        let mut runs = Runs::new(symbols, self.tail, self.len);
        let find = |keys: &mut Strings, at, len, is_long| runs.find(keys, at, len, is_long);
        self.unfold::<true>(prefix_len, keys, note, find, repeat_chunks)
    }

    /// Puts keys together. `find` tells where the text of a suffix is and how long, of which it is known where
    /// it is stored and how long it is there; `copy` copies it.
    #[expect(clippy::inline_always, reason = "whether they are codes is known outside of a loop")]
    #[inline(always)]
    fn unfold<const CODED: bool>(
        self,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
        mut find: impl FnMut(&mut Strings, usize, usize, bool) -> Option<(usize, usize)>,
        copy: impl Fn(&mut [u8], usize, usize, usize) -> Option<()>,
    ) -> Option<()> {
        let least = prefix_len + self.rest.common;
        let (tail, block_end) = (self.tail, self.len);
        let mut at = block_end - self.rest.bytes.len();
        let &[.., start, end] = &*keys.bounds else { return None };
        let (mut start, mut end) = (start as usize, end as usize);
        for &tag in self.rest.tags {
            let (mut shared, mut len) = (usize::from(tag >> 4), usize::from(tag & 15));
            let mut is_long = false;
            for half in [&mut shared, &mut len] {
                let is_max = *half == HALF_MAX;
                // Of codes there are about as often 16 and more as less, of text it is mostly the same: no jump
                // depends on the former.
                let extra = match CODED {
                    true => select_unpredictable(is_max, tail.get(at).copied().unwrap_or(0), 0),
                    false if is_max => *tail.get(at)?,
                    false => 0,
                };
                if extra == LONG {
                    let (extra, behind) = take_len_at(tail, at)?;
                    *half += extra;
                    is_long = true;
                    at = behind;
                } else {
                    *half += usize::from(extra);
                    at += usize::from(is_max);
                }
            }
            (shared, len) = (least + shared, len + 1);
            if at + len > block_end || shared > end - start {
                return None;
            }
            let (from, added) = find(keys, at, len, is_long)?;
            if shared + added > MAX_KEY_LEN {
                return None;
            }
            let target = end + shared;
            keys.reserve(target + added);
            let bytes = &mut *keys.bytes;
            repeat_chunks(bytes, end, start, shared)?;
            copy(bytes, target, from, added)?;
            // Greater than the one before it: its first new byte says so, if that has one there.
            if shared < end - start && bytes.get(start + shared) >= bytes.get(target) {
                return None;
            }
            at += len;
            (start, end) = (end, target + added);
            // Of at most a few kilobytes and 32 keys of 65,535 bytes.
            keys.bounds.push(end as u32);
            note(shared);
        }
        Some(())
    }
}
