//! The text of many codes at once, one behind the other, and where that of each begins.
//!
//! ```text
//! for each code the place of its text (258 times 2) | text (256 times 8), and room behind it
//! ```

use super::buffer::{REACH, copy_piece};
use super::symbols::{ESCAPE, GROUP, Piece, SYMBOL_LEN, Symbols};
use crate::key::MAX_KEY_LEN;
use crate::strings::Strings;
use std::ops::Range;

/// Codes at most.
pub(super) const RUN: usize = 256;

/// Bytes that their text has at most.
const TEXT_LEN: usize = RUN * SYMBOL_LEN;

/// With room behind it, so that it can be copied in whole chunks.
const ROOM: usize = TEXT_LEN + REACH;

/// Bytes of a place.
const PLACE_LEN: usize = 2;

/// Bytes of all places, behind which the text is.
const PLACES_LEN: usize = (RUN + 2) * PLACE_LEN;

/// Bytes of both.
pub(super) const SPREAD_LEN: usize = PLACES_LEN + ROOM;

/// Where the first key of a block is put when it is decoded with others: behind the text of their codes.
#[inline]
pub(super) fn start_of(symbols: Option<Symbols<'_>>) -> usize {
    if symbols.is_some() { SPREAD_LEN } else { 0 }
}

/// The places of a group.
type Places = [[u8; PLACE_LEN]; GROUP];

/// Where text ends, and whether its last code was an escape.
type End = (usize, bool);

impl Symbols<'_> {
    /// Puts down what the first `len` codes, at most [`RUN`], stand for. An escape has no bytes, and the code
    /// behind it that one.
    ///
    /// No step depends on a code, unless that is an escape.
    #[inline(never)]
    pub(super) fn spread(self, codes: &[u8], len: usize, target: &mut [u8; SPREAD_LEN]) {
        let Some((places, text)) = target.split_last_chunk_mut() else { return };
        let places = places.as_chunks_mut::<PLACE_LEN>().0;
        let (whole, rest) = codes.as_chunks();
        let (groups, behind) = places.split_at_mut(len.next_multiple_of(GROUP).min(RUN));
        let groups = groups.as_chunks_mut().0;
        let mut end = (0, false);
        for (group, places) in whole.iter().zip(&mut *groups) {
            end = self.spread_group(group, text, end, places);
        }
        // Behind the last codes of a section may stand nothing.
        if let Some(places) = groups.get_mut(whole.len()) {
            let mut group = [0; GROUP];
            group[..rest.len()].copy_from_slice(rest);
            end = self.spread_group(&group, text, end, places);
        }
        if let Some(place) = behind.first_mut() {
            *place = (end.0 as u16).to_le_bytes();
        }
    }

    /// Puts down a group of codes behind others.
    #[expect(clippy::inline_always, reason = "where the text ends stays in a register")]
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "codes are read one by one")]
    #[inline(always)]
    fn spread_group(
        self,
        group: &[u8; GROUP],
        text: &mut [u8; ROOM],
        (mut at, is_escaped): End,
        places: &mut Places,
    ) -> End {
        // All are compared at once.
        let escapes = group.iter().fold(0, |any, code| any | u8::from(*code == ESCAPE));
        if is_escaped || escapes != 0 {
            return self.spread_each(*group, text, (at, is_escaped), places);
        }
        for (place, &code) in places.iter_mut().zip(group) {
            let (word, len) = self.stored(code);
            *place = put(text, at, word);
            at += usize::from(len);
        }
        (at, false)
    }

    /// The same, if there is an escape among them or before them.
    #[inline(never)]
    fn spread_each(
        self,
        group: [u8; GROUP],
        text: &mut [u8; ROOM],
        (mut at, mut is_escaped): End,
        places: &mut Places,
    ) -> End {
        for (place, code) in places.iter_mut().zip(group) {
            let (word, len) = match (is_escaped, code) {
                (true, byte) => (u64::from(byte), 1),
                (false, ESCAPE) => (0, 0),
                (false, code) => self.stored(code),
            };
            is_escaped = !is_escaped && code == ESCAPE;
            *place = put(text, at, word);
            at += usize::from(len);
        }
        (at, is_escaped)
    }
}

/// Puts a word down, and answers its place. Of a forged table text may have any length: it goes round then.
#[inline]
fn put(text: &mut [u8; ROOM], at: usize, word: u64) -> [u8; PLACE_LEN] {
    let start = at % TEXT_LEN;
    text[start..start + SYMBOL_LEN].copy_from_slice(&word.to_le_bytes());
    (at as u16).to_le_bytes()
}

/// Where the text of `len` codes from this one on is, and how long it is; `None` if there are none, or the
/// last of them is an escape, or has no bytes for another reason.
#[inline]
pub(super) fn text_of(
    spread: &[u8; SPREAD_LEN],
    first: usize,
    len: usize,
) -> Option<(usize, usize)> {
    let places = spread[..PLACES_LEN].as_chunks::<PLACE_LEN>().0;
    let place = |i: usize| places.get(i).map(|place| usize::from(u16::from_le_bytes(*place)));
    let (from, to) = (place(first)?, place(first + len)?);
    let last = place((first + len).checked_sub(1)?)?;
    (last < to && from < to).then(|| (PLACES_LEN + from, to - from))
}

/// Codes of a block, the text of which is put down in front of its keys, run by run.
pub(super) struct Runs<'a> {
    symbols: Symbols<'a>,
    /// The block, and what follows it.
    tail: &'a [u8],
    /// Where its last code is followed by others.
    end: usize,
    /// Codes that have been put down.
    run: Range<usize>,
}

impl<'a> Runs<'a> {
    /// Those of a block that ends there, none of which has been put down.
    #[inline]
    pub(super) fn new(symbols: Symbols<'a>, tail: &'a [u8], end: usize) -> Self {
        Self { symbols, tail, end, run: 0..0 }
    }

    /// Where the text of `len` codes from this place of the block on is among the bytes of `keys`, and how long
    /// it is. Of what stands between codes, it is told whether a length of two more bytes is there, which may
    /// end as an escape, and would take the first of these.
    #[expect(clippy::inline_always, reason = "the run stays in registers")]
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        keys: &mut Strings,
        at: usize,
        len: usize,
        is_long: bool,
    ) -> Option<(usize, usize)> {
        let is_taken =
            is_long && at.checked_sub(1).and_then(|at| self.tail.get(at)) == Some(&ESCAPE);
        if at + len > self.run.end || is_taken {
            if len > RUN {
                return put_long(keys, Piece::new(self.tail.get(at..)?, len, Some(self.symbols)));
            }
            self.run = at..self.end.min(at + RUN);
            let codes = self.tail.get(at..)?;
            self.symbols.spread(codes, self.run.len(), keys.bytes.first_chunk_mut()?);
        }
        text_of(keys.bytes.first_chunk()?, at - self.run.start, len)
    }
}

/// Room for what a suffix might stand for, behind all keys.
#[inline]
pub(super) fn room_behind(suffix: Piece<'_>) -> usize {
    let is_long = suffix.plain().is_err_and(|codes| codes.len() > RUN);
    suffix.bound() + if is_long { MAX_KEY_LEN + REACH } else { 0 }
}

/// Puts the text of many codes behind the room that the next key has at most. Answers where it begins, and
/// how long it is; `None` if there is none. An escape at the end is a zero, as it is to a get.
#[cold]
fn put_long(keys: &mut Strings, codes: Piece<'_>) -> Option<(usize, usize)> {
    let at = *keys.bounds.last()? as usize + MAX_KEY_LEN + REACH;
    keys.reserve(at + codes.bound());
    let len = copy_piece(keys.bytes.get_mut(at..)?, codes)?;
    (len > 0).then_some((at, len))
}

#[cfg(test)]
mod tests {
    use super::super::block::{Block, len_field};
    use super::super::symbols::{Symbol, SymbolList, TABLE_LEN};
    use super::*;
    use crate::testing::rng::Rng;

    /// A table of some symbols, whose code is their place.
    fn table(symbols: &[&[u8]]) -> [u8; TABLE_LEN] {
        let mut list = SymbolList::default();
        for symbol in symbols {
            let word = symbol.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            list.push(Symbol { word, len: symbol.len() as u8 }).expect("few");
        }
        let mut table = [0; TABLE_LEN];
        list.write(&mut table);
        table
    }

    #[test]
    fn every_suffix_of_a_run_has_its_text_whatever_follows_it() {
        let symbols: [&[u8]; 5] = [b"a", b"abcdefgh", b"b", b"bcd", b"cc\0"];
        let table = table(&symbols);
        let table = Symbols::of(&table).expect("a whole table");
        let mut rng = Rng::new(4);
        let mut spread = [7; SPREAD_LEN];
        for round in 0..2000 {
            let (mut codes, mut suffixes) = (vec![], vec![]);
            while codes.len() < 1 + round % (RUN - 80) {
                let (first, mut text) = (codes.len(), vec![]);
                for _ in 0..=rng.below(40) {
                    if rng.below([2, 40, usize::MAX][round % 3]) == 0 {
                        let byte = [0, b'a', ESCAPE, rng.byte()][rng.below(4)];
                        codes.extend([ESCAPE, byte]);
                        text.push(byte);
                    } else {
                        let code = rng.below(symbols.len());
                        codes.push(code as u8);
                        text.extend_from_slice(symbols[code]);
                    }
                }
                suffixes.push((first, codes.len() - first, text));
                // A number before the next one.
                codes.extend((rng.below(3) == 0).then(|| rng.below(255) as u8));
            }
            let len = codes.len().min(RUN);
            for behind in [&[][..], &[ESCAPE; 9], &[1; 3]] {
                let stored = [codes.as_slice(), behind].concat();
                table.spread(&stored, len, &mut spread);
                for (first, count, text) in suffixes.iter().filter(|(at, n, _)| at + n <= len) {
                    let (from, len) = text_of(&spread, *first, *count).expect("it has text");
                    assert_eq!(&spread[from..from + len], text, "{first} of {codes:?}");
                }
            }
        }
    }

    #[test]
    fn codes_without_an_end_and_without_text_have_none() {
        let table = table(&[b"a"]);
        let table = Symbols::of(&table).expect("a whole table");
        let mut spread = [0; SPREAD_LEN];
        table.spread(&[0, ESCAPE, b'a', 9, 0], 5, &mut spread);
        assert_eq!(text_of(&spread, 0, 1), Some((PLACES_LEN, 1)));
        assert_eq!(text_of(&spread, 0, 2), None, "an escape ends it");
        assert_eq!(text_of(&spread, 0, 3), Some((PLACES_LEN, 2)));
        assert_eq!(text_of(&spread, 3, 1), None, "no symbol");
        assert_eq!(text_of(&spread, 4, 0), None, "no codes");
        assert_eq!(text_of(&spread, RUN, 2), None, "more than there may be");
    }

    #[test]
    fn room_for_keys_is_room_for_long_suffixes_too() {
        let table = table(&[b"abcdefgh"]);
        for len in [RUN, RUN + 1, 4000] {
            // A head of one code, and a suffix that is all that the second key adds to it.
            let mut block = vec![1, 0, 0, 8 << 4 | 15];
            block.extend_from_slice(len_field(len - 16, &mut [0; 3]));
            block.extend(vec![0; len]);
            let parsed = Block::parse(&block, block.len(), 2, Symbols::of(&table));
            let block = parsed.expect("a whole block");
            let mut keys = Strings::default();
            let room = block.room(0).expect("a sound block");
            keys.try_reserve_keys(room).expect("memory for a test");
            let room = keys.bytes.len();
            block.decode(&[], &mut keys, |_| ()).expect("a sound block");
            assert_eq!((keys.get(1).len(), keys.bytes.len()), (8 * (len + 1), room));
        }
    }

    #[test]
    fn a_forged_table_may_say_anything_of_lengths() {
        let forged = [u8::MAX; TABLE_LEN];
        let table = Symbols::of(&forged).expect("a whole table");
        let mut spread = [0; SPREAD_LEN];
        for len in [1, 7, 8, 9, RUN] {
            table.spread(&vec![1; len], len, &mut spread);
            let found = (0..len).filter_map(|first| text_of(&spread, first, len - first));
            assert!(found.count() <= len);
        }
    }
}
