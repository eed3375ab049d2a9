//! A block whose keys can be read one without the others: what they share, once, and each suffix.
//!
//! ```text
//! length of the common part | common part | where each suffix ends | suffixes
//! ```
//! Everything is less the prefix that all keys of the segment share. The length has one byte, or 255
//! and two bytes. An end has one byte if all suffixes together have at most 255, two if at most
//! 65,535, else four: which it is follows from the length of the block.
//!
//! Suffixes may be codes of [symbols](super::symbols), and ends are those of the codes then. The common
//! part is text in any case: it is short, and each search compares it.

use super::block::{BlockStage, MAX_KEYS, Text, len_field, take_len};
use super::buffer::{KeyBuffer, REACH as ROOM, copy_chunks};
use super::cut::Codes;
use super::encode::Encoder;
use super::recode::span_in;
use super::spread::{Runs, room_behind, start_of};
use super::symbols::{Met, Piece, Symbols};
use super::wanted::Wanted;
use crate::arena::OutOfMemory;
use crate::bytes::{common_prefix, equal, strip_prefix, u32_at, u64_at, uint_at};
use crate::key::MAX_KEY_LEN;
use crate::strings::Strings;
use std::cmp::Ordering;

/// Bytes of a word.
const WORD: usize = 8;

/// Bytes of suffixes on average up to which neighbours mostly differ in their first 8. SCRATCHPAD.md section 3.14.
const SHORT: usize = 16;

/// The first bytes of a word, as many as are wanted: at most 8.
#[inline]
fn low(bytes: usize) -> u64 {
    u64::MAX.checked_shr(u64::BITS - 8 * bytes as u32).unwrap_or(0)
}

/// A word without its first bytes: at most 8.
#[inline]
fn above(word: u64, bytes: usize) -> u64 {
    word.checked_shr(8 * bytes as u32).unwrap_or(0)
}

/// Less than 8 bytes as a word, with zeros behind them.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    let half = |at: usize| u32_at(bytes, at).map_or(0, u64::from);
    match bytes.len() {
        0 => 0,
        len @ 4.. => half(0) | half(len - 4) << (8 * (len - 4)),
        len => {
            let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
            byte(0) | byte(len / 2) | byte(len - 1)
        }
    }
}

/// Bytes of an end, if the suffixes have so many.
fn end_width(suffixes: usize) -> usize {
    match suffixes {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

/// A block, of which only the length of the common part has been looked at.
#[derive(Clone, Copy)]
pub(super) struct DirectBlock<'a> {
    common: &'a [u8],
    /// The common part, and all that follows.
    front: &'a [u8],
    ends: &'a [u8],
    /// Bytes of an end.
    width: usize,
    keys: usize,
    /// The suffixes, and what follows the block: of no meaning, but bytes that can be copied.
    tail: &'a [u8],
    /// Bytes of all suffixes.
    suffixes: usize,
    /// What the bytes of suffixes stand for, unless for themselves.
    symbols: Option<Symbols<'a>>,
}

impl<'a> DirectBlock<'a> {
    /// The block of `keys` keys, at least one, in the first `len` bytes of `tail`; `None` if its
    /// parts are not inside.
    #[inline]
    pub(super) fn parse(
        tail: &'a [u8],
        len: usize,
        keys: usize,
        symbols: Option<Symbols<'a>>,
    ) -> Option<Self> {
        let (common_len, front) = take_len(tail)?;
        let (common, rest) = front.split_at_checked(common_len)?;
        let left = len.checked_sub(tail.len() - rest.len())?;
        // Ends of one width never leave as many suffixes as call for a smaller one.
        let width =
            [1, 2].into_iter().find(|width| end_width(left - (width * keys).min(left)) <= *width);
        let width = width.unwrap_or(4);
        let (ends, tail) = rest.split_at_checked(width * keys)?;
        let suffixes = left.checked_sub(ends.len())?;
        (suffixes <= tail.len()).then_some(Self {
            common,
            front,
            ends,
            width,
            keys,
            tail,
            suffixes,
            symbols,
        })
    }

    /// Where a suffix starts and ends.
    #[inline]
    fn span(&self, slot: usize) -> Option<(usize, usize)> {
        let end = |slot: usize| match self.width {
            1 => self.ends.get(slot).map(|end| usize::from(*end)),
            width => uint_at(self.ends, slot * width, width).map(|end| end as usize),
        };
        let (start, end) = (slot.checked_sub(1).map_or(Some(0), end)?, end(slot)?);
        (start <= end && end <= self.suffixes).then_some((start, end))
    }

    /// A suffix as it is stored.
    #[inline]
    fn suffix(&self, slot: usize) -> Option<&'a [u8]> {
        let (start, end) = self.span(slot)?;
        self.tail.get(start..end)
    }

    /// The text of a suffix.
    #[inline]
    fn piece(&self, slot: usize) -> Option<Piece<'a>> {
        let (start, end) = self.span(slot)?;
        Some(Piece::new(self.tail.get(start..)?, end - start, self.symbols))
    }

    /// What is stored of each suffix, and what follows it. It ends where the block is damaged.
    pub(super) fn texts(&self) -> impl Iterator<Item = Text<'a>> {
        (0..self.keys).map_while(|slot| {
            let (start, end) = self.span(slot)?;
            Some((self.tail.get(start..)?, end - start))
        })
    }

    /// Whether the key at `slot` behind the prefix is `key`; `None` if the block is damaged there.
    #[inline]
    pub(super) fn holds(&self, slot: usize, prefix: &[u8], key: &[u8]) -> Option<bool> {
        let (start, end) = self.span(slot)?;
        let Some(rest) = strip_prefix(key, prefix) else { return Some(false) };
        if let Err(coded) = Piece::new(self.tail.get(start..)?, end - start, self.symbols).plain() {
            return Some(strip_prefix(rest, self.common).is_some_and(|rest| coded.spell(rest)));
        }
        let (common, len) = (self.common.len(), end - start);
        if common + len != rest.len() {
            return Some(false);
        }
        if common <= WORD
            && len <= WORD
            && let Some(first) = u64_at(self.front, 0)
            && let Some(last) = u64_at(self.tail, start)
        {
            return Some(if let Some(end) = rest.last_chunk::<WORD>() {
                let wanted = u64_at(rest, 0).unwrap_or(0);
                let end = above(u64::from_le_bytes(*end), WORD - len);
                ((first ^ wanted) & low(common)) | ((last ^ end) & low(len)) == 0
            } else {
                let stored = first & low(common) | (last & low(len)) << (8 * common);
                stored == short_word(rest)
            });
        }
        let (head, rest) = rest.split_at_checked(common)?;
        Some(equal(self.common, head) && equal(self.tail.get(start..end)?, rest))
    }

    /// The place of `key` in the block: `Ok` if it is there, else `Err` with that of the next larger
    /// one. `None` if the block is damaged, and the damage was met.
    pub(super) fn search(&self, wanted: &Wanted<'_>) -> Option<Result<usize, usize>> {
        let key = wanted.bytes();
        let shared = common_prefix(self.common, key);
        if let Some(byte) = self.common.get(shared) {
            let is_below = key.get(shared).is_none_or(|wanted| wanted < byte);
            return Some(Err(if is_below { 0 } else { self.keys }));
        }
        let (mut low, mut high) = (0, self.keys);
        while low < high {
            let middle = usize::midpoint(low, high);
            let suffix = self.suffix(middle)?;
            let order = match self.symbols {
                None => suffix.cmp(&key[shared..]),
                Some(symbols) => match symbols.meet(suffix, wanted, shared) {
                    Met::Below(_) => Ordering::Less,
                    Met::Equal => Ordering::Equal,
                    Met::Above(_) => Ordering::Greater,
                },
            };
            match order {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(Ok(middle)),
                Ordering::Greater => high = middle,
            }
        }
        Some(Err(low))
    }

    /// Replaces what follows the first `start` bytes of `key` by the key at `slot`, at most the last
    /// one; `None` if the block is damaged there.
    pub(super) fn key_at(&self, slot: usize, key: &mut Vec<u8>, start: usize) -> Option<()> {
        let most = MAX_KEY_LEN.checked_sub(start + self.common.len())?;
        key.truncate(start);
        key.extend_from_slice(self.common);
        self.piece(slot)?.append_to(key, most)
    }

    /// Makes `key` the one at `slot`, at most the last one, behind the prefix; `None` if the block is
    /// damaged there.
    pub(super) fn put_together(
        &self,
        slot: usize,
        prefix: &[u8],
        key: &mut KeyBuffer,
    ) -> Option<()> {
        let suffix = self.piece(slot)?;
        key.replace(0, Piece::new(prefix, prefix.len(), None))?;
        key.replace(prefix.len(), Piece::new(self.common, self.common.len(), None))?;
        key.replace(prefix.len() + self.common.len(), suffix)
    }

    /// Room that decoding needs for all keys together, each with a prefix of so many bytes, and behind
    /// the last for what its codes might be; `None` if the block is damaged.
    pub(super) fn room(&self, prefix_len: usize) -> Option<usize> {
        let common = prefix_len + self.common.len();
        if self.symbols.is_none() {
            return Some(self.keys * common + self.suffixes);
        }
        let (mut len, mut behind) = (0, 0);
        for slot in 0..self.keys {
            let suffix = self.piece(slot)?;
            len += (common + suffix.decoded_len()).min(MAX_KEY_LEN);
            behind = behind.max(room_behind(suffix));
        }
        Some(len + behind)
    }

    /// Appends all keys; `None` if the block is damaged or they do not ascend. Tells `note` of each
    /// but the first what it shares with the one before it.
    #[inline]
    pub(super) fn decode(
        &self,
        prefix: &[u8],
        keys: &mut Strings,
        mut note: impl FnMut(usize),
    ) -> Option<()> {
        let common = prefix.len() + self.common.len();
        if common > MAX_KEY_LEN {
            return None;
        }
        let [prefix, shared] = [prefix, self.common].map(|part| Piece::new(part, part.len(), None));
        keys.push_whole(start_of(self.symbols), [prefix, shared, self.piece(0)?])?;
        self.decode_behind(0, common, keys, &mut note)
    }

    /// Appends the keys from `slot` on, where `key` is, which begins with a prefix of so many bytes;
    /// `None` if the block is damaged, or they do not ascend.
    pub(super) fn decode_from(
        &self,
        slot: usize,
        key: &[u8],
        prefix_len: usize,
        keys: &mut Strings,
    ) -> Option<()> {
        keys.push_whole(start_of(self.symbols), [Piece::new(key, key.len(), None)])?;
        self.decode_behind(slot, prefix_len + self.common.len(), keys, &mut |_| ())
    }

    /// Decodes the keys behind that at `slot`, all of which share so many bytes.
    #[inline]
    fn decode_behind(
        &self,
        slot: usize,
        common: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
    ) -> Option<()> {
        let &[.., first, end] = &*keys.bounds else { return None };
        let (first, mut behind) = ((first as usize, common), end as usize);
        let are_short = self.suffixes <= self.keys * SHORT;
        if let Some(symbols) = self.symbols {
            let mut runs = Runs::new(symbols, self.tail, self.suffixes);
            let mut start = first.0;
            for slot in slot + 1..self.keys {
                let (from, to) = self.span(slot)?;
                let text = runs.find(keys, from, to - from, false)?;
                keys.push_joined(first, None, text)?;
                let end = *keys.bounds.last()? as usize;
                let (before, added) = ((start + common, behind), (behind + common, end));
                note(common + met(&keys.bytes, before, added, are_short)?);
                (start, behind) = (behind, end);
            }
            return Some(());
        }
        let mut before = self.span(slot)?;
        for slot in slot + 1..self.keys {
            let (start, end) = self.span(slot)?;
            note(common + met(self.tail, before, (start, end), are_short)?);
            // Not from the key before it: what has just been written in pieces is waited for.
            keys.push_joined(first, Some(self.tail), (start, end - start))?;
            before = (start, end);
        }
        Some(())
    }
}

/// How many bytes two texts among these bytes share, each told by its start and end, if the second one is
/// greater. No jump depends on their lengths, if they are likely to differ in their first 8 bytes, and do.
#[inline]
fn met(
    bytes: &[u8],
    before: (usize, usize),
    text: (usize, usize),
    are_short: bool,
) -> Option<usize> {
    let word = |(start, end): (usize, usize)| {
        u64_at(bytes, start).map(|word| word & low((end - start).min(WORD)))
    };
    if are_short
        && let (Some(first), Some(second)) = (word(before), word(text))
        && first != second
    {
        // Zeros of one may be behind the end of the other.
        let met = (first ^ second).trailing_zeros() as usize / 8;
        let is_greater = first.swap_bytes() < second.swap_bytes();
        return is_greater.then_some(met.min(before.1 - before.0).min(text.1 - text.0));
    }
    let (before, text) = (bytes.get(before.0..before.1)?, bytes.get(text.0..text.1)?);
    let met = common_prefix(before, text);
    (text.get(met) > before.get(met)).then_some(met)
}

impl BlockStage {
    /// Appends what comes after the common part, for a block of this form.
    pub(super) fn put_suffixes(&self, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let common = self.common();
        let lens = || (0..self.len()).map(|slot| self.key_len(slot) - common);
        let suffixes: usize = lens().sum();
        let width = end_width(suffixes);
        out.try_reserve(width * self.len() + suffixes)?;
        // At most 32 keys of 65,535 bytes.
        let mut end = 0u32;
        for len in lens() {
            end += len as u32;
            out.extend_from_slice(&end.to_le_bytes()[..width]);
        }
        let mut start = out.len();
        out.extend_from_slice(&self.head()[common..]);
        for (shared, suffix) in self.steps() {
            let begun = start;
            start = out.len();
            out.extend_from_within(begun..begun + shared - common);
            out.extend_from_slice(suffix);
        }
        Ok(())
    }
}

/// Writes a block of text as one of codes; false if a key has more of them than can be written.
pub(super) fn recode(
    block: &DirectBlock<'_>,
    encoder: &Encoder,
    codes: &mut Codes,
    out: &mut Vec<u8>,
) -> Result<bool, OutOfMemory> {
    let mut texts = [(0, 0); MAX_KEYS];
    for (span, text) in texts.iter_mut().zip(block.texts()) {
        *span = span_in(block.tail, text);
    }
    codes.encode(encoder, block.tail, &texts[..block.keys])?;
    out.clear();
    let all: usize = codes.texts().map(|(_, len)| len).sum();
    let width = end_width(all);
    out.try_reserve(3 + block.common.len() + width * block.keys + all)?;
    put_common(block.common, 0, out);
    let mut end = 0u32;
    for (_, len) in codes.texts() {
        if len > MAX_KEY_LEN {
            return Ok(false);
        }
        // At most 32 times that.
        end += len as u32;
        out.extend_from_slice(&end.to_le_bytes()[..width]);
    }
    let mut at = out.len();
    out.try_reserve(all + ROOM)?;
    out.resize(at + all + ROOM, 0);
    for (suffix, len) in codes.texts() {
        copy_chunks(&mut out[at..], suffix, len).ok_or(OutOfMemory)?;
        at += len;
    }
    out.truncate(at);
    Ok(true)
}

/// Appends the front of a block: the common part, less the prefix of so many bytes.
pub(super) fn put_common(common: &[u8], prefix_len: usize, out: &mut Vec<u8>) {
    let common = &common[prefix_len..];
    out.extend_from_slice(len_field(common.len(), &mut [0; 3]));
    out.extend_from_slice(common);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_words_are_their_bytes() {
        let bytes: Vec<u8> = (1..=8).collect();
        let word = u64_at(&bytes, 0).expect("a word");
        for len in 0..=WORD {
            let mut padded = bytes.clone();
            padded[len..].fill(0);
            assert_eq!(Some(low(len) & word), u64_at(&padded, 0));
            if len < WORD {
                assert_eq!(short_word(&bytes[..len]), low(len) & word);
            }
            let rest = [&bytes[len..], &vec![0; len]].concat();
            assert_eq!(Some(above(word, len)), u64_at(&rest, 0));
        }
    }

    #[test]
    fn what_neighbours_share_is_that_of_the_texts_whatever_follows_them() {
        let texts: Vec<&[u8]> = vec![
            b"",
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"a\0b",
            b"ab",
            b"abcdefg",
            b"abcdefgh",
            b"abcdefgh\0",
            b"abcdefghi",
            b"abcdefghij",
            b"abd",
            b"b",
            b"\xff",
        ];
        for (behind, room) in [(0u8, 0), (0, 9), (b'b', 9), (u8::MAX, 9)] {
            for (before, text) in texts.iter().flat_map(|a| texts.iter().map(move |b| (*a, *b))) {
                let bytes = [before, text, &vec![behind; room]].concat();
                let (middle, end) = (before.len(), before.len() + text.len());
                let expected = (before < text).then(|| common_prefix(before, text));
                for are_short in [false, true] {
                    let met = met(&bytes, (0, middle), (middle, end), are_short);
                    assert_eq!(met, expected, "{before:?} {text:?}");
                }
            }
        }
    }

    #[test]
    fn a_key_is_told_from_others_at_every_length() {
        let text: Vec<u8> = (1..=60).collect();
        for (prefix, common, len) in (0..20 * 20 * 3).map(|i| (i / 400 * 7, i / 20 % 20, i % 20)) {
            let key = &text[..prefix + common + len];
            // One key, and another one that is its neighbour.
            let mut block = vec![];
            put_common(&key[..prefix + common], prefix, &mut block);
            block.extend([len as u8, 2 * len as u8 + 1]);
            block.extend(&key[prefix + common..]);
            block.extend(&key[prefix + common..]);
            block.push(0);
            for room in [0, 9] {
                let tail = [&block[..], &vec![0xaa; room]].concat();
                let parsed = DirectBlock::parse(&tail, block.len(), 2, None).expect("whole");
                assert_eq!(parsed.holds(0, &key[..prefix], key), Some(true));
                assert_eq!(parsed.holds(1, &key[..prefix], key), Some(false));
                assert_eq!(parsed.holds(0, &key[..prefix], &[key, &[0]].concat()), Some(false));
                for at in 0..key.len() {
                    let mut other = key.to_vec();
                    other[at] ^= 0x80;
                    assert_eq!(parsed.holds(0, &key[..prefix], &other), Some(false));
                }
            }
        }
    }
}
