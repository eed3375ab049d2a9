//! Decodes the keys of a chained block that are short, each as a row of bytes in registers.
//!
//! A key is the first bytes of the one before it and then its suffix: of two rows so many bytes of one, and all
//! others of the other, whatever those behind its end are. All rows have one width, so that no step depends on a
//! length, and what has just been written is not read again. SCRATCHPAD.md section 3.14.

use super::block::{Block, HALF_MAX, MAX_KEYS};
use super::buffer::{part, part_mut};
use super::spread::{RUN, SPREAD_LEN, text_of};
use super::symbols::Symbols;
use crate::strings::Strings;

/// Bytes of the widest row.
pub(super) const WIDEST: usize = 64;

/// Rows that begin with ones, as many as any key shares, and end with zeros.
static MASKS: [u8; 2 * WIDEST] = {
    let mut masks = [0; 2 * WIDEST];
    let mut i = 0;
    while i < WIDEST {
        masks[i] = u8::MAX;
        i += 1;
    }
    masks
};

/// Bytes of the last key at most: rows of 128 bytes take as long as pieces.
const LONGEST: usize = 48;

/// Where keys go, and the last one that is there.
struct Target<'a> {
    bytes: &'a mut [u8],
    /// Bytes in front of them.
    before: usize,
    start: usize,
    end: usize,
    /// Where each key ends, and what it shares with the one before it.
    ends: &'a mut [u32],
    shared: [u16; MAX_KEYS],
}

impl Block<'_> {
    /// As [`decode_rest`](Self::decode_rest), of text. `None` also where keys are too long for it, there is no room for
    /// them yet, or a suffix stands too close to the start or the end of the bytes; there are no other keys then.
    /// What has been done until then is lost.
    #[inline(never)]
    pub(super) fn weave_text(
        self,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
    ) -> Option<()> {
        let find = |at, len| Some((at, len));
        self.weave_keys(keys, 0, note, |width, _, target| match width {
            32 => self.weave::<32>(prefix_len, self.tail, find, target),
            _ => self.weave::<WIDEST>(prefix_len, self.tail, find, target),
        })
    }

    /// The same, of codes.
    #[inline(never)]
    pub(super) fn weave_codes(
        self,
        symbols: Symbols<'_>,
        prefix_len: usize,
        keys: &mut Strings,
        note: &mut impl FnMut(usize),
    ) -> Option<()> {
        let len = self.rest.bytes.len();
        let first = self.len - len;
        if len > RUN {
            return None;
        }
        let codes = self.tail.get(first..)?;
        self.weave_keys(keys, SPREAD_LEN, note, |width, before, target| {
            let spread = before.first_chunk_mut()?;
            symbols.spread(codes, len, spread);
            let find = |at: usize, len| text_of(spread, at - first, len);
            match width {
                32 => self.weave::<32>(prefix_len, spread, find, target),
                _ => self.weave::<WIDEST>(prefix_len, spread, find, target),
            }
        })
    }

    /// Has `weave` append keys, if the last one is short, in rows of a width, and tells it what is in front of
    /// all keys, so many bytes.
    #[expect(clippy::inline_always, reason = "whether they are codes is known outside of a loop")]
    #[inline(always)]
    fn weave_keys(
        self,
        keys: &mut Strings,
        before: usize,
        note: &mut impl FnMut(usize),
        weave: impl FnOnce(usize, &mut [u8], &mut Target<'_>) -> Option<()>,
    ) -> Option<()> {
        let &[.., start, end] = &*keys.bounds else { return None };
        let (start, end) = (start as usize, end as usize);
        // Most of the others are about as long.
        let width = match end - start {
            0..=20 => 32,
            21..=LONGEST => WIDEST,
            _ => return None,
        };
        let (front, bytes) = keys.bytes.split_at_mut_checked(before)?;
        let (start, end) = (start.checked_sub(before)?, end.checked_sub(before)?);
        let (count, len) = (self.rest.tags.len(), keys.bounds.len());
        keys.bounds.resize(len + count, 0);
        let ends = &mut keys.bounds[len..];
        let mut target = Target { bytes, before, start, end, ends, shared: [0; MAX_KEYS] };
        if weave(width, front, &mut target).is_none() {
            keys.bounds.truncate(len);
            return None;
        }
        target.shared[..count].iter().for_each(|shared| note(usize::from(*shared)));
        Some(())
    }

    /// Appends keys of at most `W` bytes. `find` tells where the text of a suffix is in `source` and how long, of
    /// which it is known where it is stored and how long it is there.
    #[expect(clippy::inline_always, reason = "whether they are codes is known outside of a loop")]
    #[inline(always)]
    fn weave<const W: usize>(
        self,
        prefix_len: usize,
        source: &[u8],
        find: impl Fn(usize, usize) -> Option<(usize, usize)>,
        target: &mut Target<'_>,
    ) -> Option<()> {
        let least = prefix_len + self.rest.common;
        let (tail, block_end) = (self.tail, self.len);
        let mut at = block_end - self.rest.bytes.len();
        let Target { bytes, before, start, end, ends, shared: noted } = target;
        let (before, mut start, mut end) = (*before, *start, *end);
        let mut row = *part::<W>(bytes, start)?;
        let mut falls = false;
        for ((&tag, to), noted) in self.rest.tags.iter().zip(&mut **ends).zip(noted) {
            let (mut shared, mut len) = (usize::from(tag >> 4), usize::from(tag & 15));
            for half in [&mut shared, &mut len] {
                if *half == HALF_MAX {
                    // Longer ones have more bytes, and are too long.
                    *half += usize::from(*tail.get(at).filter(|extra| **extra < u8::MAX)?);
                    at += 1;
                }
            }
            (shared, len) = (least + shared, len + 1);
            let (from, added) = find(at, len)?;
            if shared + added > W || shared > end - start {
                return None;
            }
            // So it is in front of the end of a row, and of the masks.
            let shared = shared % W;
            let rest = part::<W>(source, from.checked_sub(shared)?)?;
            let mask = part::<W>(&MASKS, WIDEST - shared)?;
            // Greater than the one before it: its first new byte says so, if that has one there. No jump depends on it.
            let is_less = *bytes.get(start + shared)? >= rest[shared];
            falls |= (shared < end - start) & is_less;
            // Not by a closure: where that is not inlined, it is a call for each byte.
            let mut i = 0;
            while i < W {
                row[i] = row[i] & mask[i] | rest[i] & !mask[i];
                i += 1;
            }
            *part_mut::<W>(bytes, end)? = row;
            at += len;
            (start, end) = (end, end + shared + added);
            *to = (before + end) as u32;
            *noted = shared as u16;
        }
        // What was read behind the block was of no use.
        falls |= at > block_end;
        (!falls).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::BlockStage;
    use super::super::cut::{self, Codes};
    use super::super::encode::Encoder;
    use super::super::forms::{Form, KeyBlock};
    use super::super::recode::recode;
    use super::super::spread::start_of;
    use super::super::symbols::{ESCAPE, Piece, Symbol, SymbolList, TABLE_LEN};
    use super::*;
    use crate::bytes::common_prefix;
    use crate::testing::rng::Rng;
    use std::collections::BTreeSet;

    /// A block of up to 32 keys, which begin with `prefix`, one of whose bytes may have been changed, and what follows
    /// it; how many bytes are its own, and the number of keys.
    fn block(rng: &mut Rng, prefix: &[u8], encoder: Option<&Encoder>) -> (Vec<u8>, usize, usize) {
        let (letters, most) = ([2, 3, 26][rng.below(3)], [12, 30, 60, 130][rng.below(4)]);
        let mut stem: Vec<u8> = vec![];
        let keys: BTreeSet<Vec<u8>> = (0..=rng.below(31))
            .map(|_| {
                // Some of the one before it stays.
                stem.truncate(rng.below(stem.len() + 1));
                let len = rng.below(most - stem.len().min(most - 1));
                stem.extend((0..len).map(|_| b'a' + rng.below(letters) as u8));
                [prefix, &stem].concat()
            })
            .collect();
        let (mut stage, mut before, mut bytes) = (BlockStage::default(), &[][..], vec![]);
        for key in &keys {
            let shared = common_prefix(before, key);
            stage.push((key, key.len()), shared).expect("memory for a test");
            before = key;
        }
        stage.put_whole(prefix.len(), &mut bytes).expect("memory for a test");
        if let Some(encoder) = encoder {
            let len = bytes.len();
            bytes.extend([0; cut::REACH]);
            let text = KeyBlock::parse(Form::Chained, &bytes, len, keys.len(), None);
            let (text, mut out) = (text.expect("a whole block"), vec![]);
            recode(&text, encoder, &mut Codes::default(), &mut out).expect("memory for a test");
            bytes = out;
        }
        let len = bytes.len();
        if rng.below(3) == 0 {
            let at = rng.below(len);
            bytes[at] = [0, 1, 5, 15, 16, 0xf0, ESCAPE, rng.byte()][rng.below(8)];
        }
        let behind = [0, 20, 400][rng.below(3)];
        bytes.extend((0..behind).map(|_| rng.byte()));
        (bytes, len, keys.len())
    }

    #[test]
    fn rows_are_the_keys_that_are_put_together_piece_by_piece() {
        let mut list = SymbolList::default();
        for symbol in [&b"a"[..], b"abcdefgh", b"b", b"bcd", b"cc"] {
            let word = symbol.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            list.push(Symbol { word, len: symbol.len() as u8 }).expect("few");
        }
        let mut table = [0; TABLE_LEN];
        list.write(&mut table);
        let symbols = Symbols::of(&table).expect("a whole table");
        let encoder = Encoder::new(list.as_slice()).expect("memory for a test");
        let mut rng = Rng::new(8);
        let (mut woven, mut unfolded) = ([0, 0], [0, 0]);
        for round in 0..20_000 {
            let is_coded = round % 2 == 0;
            let prefix = &b"prefix"[..rng.below(7)];
            let (bytes, len, count) = block(&mut rng, prefix, is_coded.then_some(&encoder));
            let coded = is_coded.then_some(symbols);
            let Some(block) = Block::parse(&bytes, len, count, coded) else { continue };
            let fresh = || {
                let mut keys = Strings::default();
                keys.try_reserve_keys([0, 200, 9_000][round % 3]).expect("memory for a test");
                let (_, (head, len)) = block.start();
                let head = Piece::new(head, len, coded);
                let prefix = Piece::new(prefix, prefix.len(), None);
                keys.push_whole(start_of(coded), [prefix, head]).map(|()| keys)
            };
            let (Some(mut rows), Some(mut keys)) = (fresh(), fresh()) else { continue };
            let (mut noted, mut expected) = (vec![], vec![]);
            let mut note = |shared| noted.push(shared);
            let by_rows = match coded {
                Some(symbols) => block.weave_codes(symbols, prefix.len(), &mut rows, &mut note),
                None => block.weave_text(prefix.len(), &mut rows, &mut note),
            };
            let mut note = |shared| expected.push(shared);
            let by_pieces = match coded {
                Some(symbols) => block.unfold_codes(symbols, prefix.len(), &mut keys, &mut note),
                None => block.unfold_text(prefix.len(), &mut keys, &mut note),
            };
            if by_rows.is_some() {
                assert!(by_pieces.is_some(), "{bytes:?}");
                assert!(rows.iter().eq(keys.iter()), "{bytes:?}");
                assert_eq!(noted, expected);
                woven[round % 2] += usize::from(count > 4);
            } else {
                assert_eq!((rows.len(), noted.len()), (1, 0), "nothing has changed");
                unfolded[round % 2] += usize::from(by_pieces.is_some());
            }
        }
        let least = woven.into_iter().chain(unfolded).min();
        assert!(least > Some(100), "{woven:?} {unfolded:?}");
    }
}
