//! Text as codes of symbols: from its start on, each time the longest symbol that it goes on with.

use super::symbols::{ESCAPE, SYMBOLS, Symbol};
use crate::arena::OutOfMemory;
use std::cmp::Reverse;
use std::hint::select_unpredictable;

/// Lists of symbols that begin alike, or seem to.
pub(super) const LISTS: usize = 1024;

/// Symbols of a list that are looked at in any case.
pub(super) const AHEAD: usize = 3;

/// Symbols, and behind the last one as many that are none as may be looked at with it.
const LISTED: usize = SYMBOLS + 1 + AHEAD;

/// Which list symbols of three or more bytes are in that start like `word`.
#[inline]
pub(super) fn list_of(word: u64) -> usize {
    ((word as u32 & 0x00ff_ffff).wrapping_mul(0x9e37_79b1) >> 22) as usize % LISTS
}

/// A symbol of three or more bytes.
#[derive(Clone, Copy)]
struct Listed {
    word: u64,
    /// All bits of its bytes.
    mask: u64,
    code: u8,
    len: u8,
}

impl Listed {
    /// Whether text starts with it that has none of the bits of `beyond`.
    #[inline]
    fn starts(&self, word: u64, beyond: u64) -> bool {
        (word ^ self.word | beyond) & self.mask == 0
    }
}

/// Symbols that begin alike, or seem to, the longest first.
#[derive(Clone, Copy, Default)]
struct List {
    start: u8,
    /// Those that are not looked at in any case.
    more: u8,
}

/// What finds the longest symbol. Text does not tell in advance which will be found, so that each jump
/// that depends on it is mispredicted as often as not: the usual way through has none.
/// SCRATCHPAD.md section 3.9.
pub(super) struct Encoder {
    /// List by list, and behind the last one what is not looked for.
    listed: [Listed; LISTED],
    lists: [List; LISTS],
    /// For each two bytes the code of the symbol that is just these, or `ESCAPE`.
    pairs: Box<[u8; 1 << 16]>,
    /// For each byte the code of the symbol that is just this one, or `ESCAPE`.
    bytes: [u8; 256],
}

impl Encoder {
    /// An encoder with these symbols, by their code; at most 255.
    pub(super) fn new(symbols: &[Symbol]) -> Result<Self, OutOfMemory> {
        let mut pairs = Vec::new();
        pairs.try_reserve_exact(1 << 16)?;
        pairs.resize(1 << 16, ESCAPE);
        let none = Listed { word: 0, mask: u64::MAX, code: ESCAPE, len: 1 };
        let mut encoder = Self {
            listed: [none; LISTED],
            lists: [List::default(); LISTS],
            pairs: pairs.into_boxed_slice().try_into().map_err(|_| OutOfMemory)?,
            bytes: [ESCAPE; 256],
        };
        let mut order = [0; SYMBOLS];
        let mut count = 0;
        for (code, symbol) in (0..ESCAPE).zip(symbols) {
            match symbol.len {
                1 => encoder.bytes[usize::from(symbol.word as u8)] = code,
                2 => encoder.pairs[usize::from(symbol.word as u16)] = code,
                _ => {
                    order[count] = code;
                    count += 1;
                }
            }
        }
        // Nothing but zeros starts with what is behind the last list, and then these have no longer ones.
        let zeros = match encoder.pairs[0] {
            ESCAPE => Listed { code: encoder.bytes[0], ..none },
            code => Listed { code, len: 2, ..none },
        };
        encoder.listed[count..].fill(zeros);
        let symbol = |code: u8| symbols[usize::from(code)];
        let order = &mut order[..count];
        order.sort_unstable_by_key(|&code| {
            let Symbol { word, len } = symbol(code);
            (list_of(word), Reverse(len), code)
        });
        let mut start = 0;
        for list in order.chunk_by(|a, b| list_of(symbol(*a).word) == list_of(symbol(*b).word)) {
            encoder.lists[list_of(symbol(list[0]).word)] =
                List { start, more: list.len().saturating_sub(AHEAD) as u8 };
            for &code in list {
                let Symbol { word, len } = symbol(code);
                encoder.listed[usize::from(start)] =
                    Listed { word, mask: symbol(code).mask(), code, len };
                start += 1;
            }
        }
        Ok(encoder)
    }

    /// The code of the longest symbol that text with so many bytes left starts with, and its length;
    /// `ESCAPE` if there is none. The lowest byte of `word` is the first; what is behind the end may
    /// be anything. At least one byte is left.
    #[inline]
    pub(super) fn longest(&self, word: u64, left: usize) -> (u8, usize) {
        if left < 8 {
            self.longest_within(word, u64::MAX << (8 * left % 64), left > 1)
        } else {
            self.longest_within(word, 0, true)
        }
    }

    /// The same, of text that has none of the bits of `beyond`, and may have a second byte.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most often, there is nothing behind the text")]
    fn longest_within(&self, word: u64, beyond: u64, has_two: bool) -> (u8, usize) {
        let List { start, more } = self.lists[list_of(word)];
        let start = usize::from(start);
        // Those of another list are never what the text starts with.
        let mut found = 1u32 << AHEAD;
        for (place, listed) in self.listed[start..start + AHEAD].iter().enumerate() {
            found |= u32::from(listed.starts(word, beyond)) << place;
        }
        let place = found.trailing_zeros() as usize;
        if more > 0 && place == AHEAD {
            let rest = &self.listed[start + AHEAD..][..usize::from(more)];
            if let Some(listed) = rest.iter().find(|listed| listed.starts(word, beyond)) {
                return (listed.code, usize::from(listed.len));
            }
        }
        let pair = self.pairs[usize::from(word as u16)];
        let is_pair = (pair != ESCAPE) & has_two;
        let byte = (self.bytes[usize::from(word as u8)], 1);
        let short = select_unpredictable(is_pair, (pair, 2), byte);
        let long = &self.listed[start + place];
        let (code, len) = select_unpredictable(place < AHEAD, (long.code, long.len), short);
        (code, usize::from(len))
    }

    /// Appends the codes of the first `len` bytes of `text`, which has as many. It is read faster if
    /// there are eight more behind them.
    pub(super) fn encode(&self, text: &[u8], len: usize, out: &mut Vec<u8>) {
        let start = out.len();
        // A byte has two codes at most.
        out.resize(start + 2 * len, 0);
        let codes = &mut out[start..];
        let (mut at, mut end) = (0, 0);
        while at < len {
            let word = word_at(text, at);
            let (code, taken) = self.longest(word, len - at);
            // What follows a code that is no escape is written over.
            if let Some(place) = codes.get_mut(end..).and_then(|rest| rest.first_chunk_mut()) {
                *place = [code, word as u8];
            }
            end += 1 + usize::from(code == ESCAPE);
            at += taken;
        }
        out.truncate(start + end);
    }
}

/// Eight bytes from `at` on, as if zeros followed `text`; the first is the lowest.
#[inline]
pub(super) fn word_at(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or(&[]);
    if let Some(word) = rest.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::super::symbols::{Piece, SymbolList, Symbols, TABLE_LEN};
    use super::super::train::{Sample, train};
    use super::*;
    use crate::testing::rng::Rng;

    /// What the codes of `text` should be: the longest symbol each time, looked for in all.
    fn expected(symbols: &[Symbol], text: &[u8]) -> Vec<u8> {
        let mut codes = vec![];
        let mut rest = text;
        while let Some(&byte) = rest.first() {
            let is_next = |symbol: &Symbol| {
                rest.starts_with(&symbol.word.to_le_bytes()[..usize::from(symbol.len)])
            };
            let found = (0..ESCAPE).zip(symbols).filter(|(_, symbol)| is_next(symbol));
            let longest = found.max_by_key(|(_, symbol)| symbol.len);
            let len = longest.map_or(1, |(_, symbol)| usize::from(symbol.len));
            codes.push(longest.map_or(ESCAPE, |(code, _)| code));
            codes.extend(longest.is_none().then_some(byte));
            rest = &rest[len..];
        }
        codes
    }

    #[test]
    fn text_is_cut_into_the_longest_symbols_and_put_together_again() {
        let mut rng = Rng::new(3);
        for round in 0..60 {
            let alphabet = [1, 2, 4, 30, 256][round % 5];
            let mut text =
                |len: usize| (0..len).map(|_| rng.below(alphabet) as u8).collect::<Vec<u8>>();
            let texts: Vec<Vec<u8>> = (0..200).map(|len| text(len % 40)).collect();
            let mut sample = Sample::default();
            let bytes = texts.iter().map(Vec::len).sum::<usize>();
            for text in &texts {
                sample.try_push(text).expect("memory for a test");
            }
            let symbols = train(&sample).expect("memory for a test");
            let mut table = [0; TABLE_LEN];
            symbols.write(&mut table);
            let stored = Symbols::of(&table).expect("a whole table");
            let list = stored.check().expect("our own table");
            assert_eq!(list.as_slice(), symbols.as_slice());
            let encoder = Encoder::new(list.as_slice()).expect("memory for a test");
            let mut all = 0;
            for text in texts {
                // Whatever follows makes no difference.
                let longer = [text.as_slice(), &[0, 1, 0, 1, 2, 3, 0, 0, 0]].concat();
                for given in [&text, &longer] {
                    let mut codes = vec![];
                    encoder.encode(given, text.len(), &mut codes);
                    assert_eq!(codes, expected(list.as_slice(), &text));
                    let piece = Piece::new(&codes, codes.len(), Some(stored));
                    let mut back = vec![];
                    assert_eq!(piece.append_to(&mut back, text.len()), Some(()));
                    assert_eq!((&back, piece.decoded_len()), (&text, text.len()));
                    let is_short = piece.append_to(&mut vec![], text.len().saturating_sub(1));
                    assert_eq!(is_short.is_none(), !text.is_empty());
                }
                all += expected(list.as_slice(), &text).len();
            }
            assert_eq!(sample.coded_len(&encoder), all);
            assert!(alphabet == 256 || all * 10 < bytes * 9, "{all} of {bytes}");
        }
    }

    #[test]
    fn a_table_that_we_would_not_write_is_refused() {
        let symbol = |bytes: &[u8]| Symbol { word: word_at(bytes, 0), len: bytes.len() as u8 };
        let check = |symbols: &[Symbol], at: usize, byte: u8| {
            let mut list = SymbolList::default();
            for symbol in symbols {
                list.push(*symbol).expect("few");
            }
            let mut table = [0; TABLE_LEN];
            list.write(&mut table);
            table[at] = byte;
            Symbols::of(&table).expect("a whole table").check().is_some()
        };
        let [a, a0, ab, b] = [&b"a"[..], b"a\0", b"ab", b"b"].map(symbol);
        assert!(check(&[a, a0, ab, b], 0, b'a'));
        assert!(!check(&[a, ab, a0, b], 0, b'a'), "they ascend");
        assert!(!check(&[a, a], 0, b'a'), "each is there once");
        assert!(!check(&[a, b], 1, 7), "zeros follow a symbol");
        let lens = TABLE_LEN - 256;
        for (at, byte) in [(lens, 0), (lens, 9), (lens + 2, 1), (lens + 255, 1), (40, 1)] {
            assert!(!check(&[a, b], at, byte), "{byte} at {at}");
        }
    }
}
