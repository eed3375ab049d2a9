//! Text as codes of symbols: from its start on, each time the longest symbol that it goes on with.

use super::symbols::{ESCAPE, SYMBOLS, Symbol};
use std::cmp::Reverse;

/// Lists of symbols that begin alike, or seem to.
const LISTS: usize = 512;

/// Which list symbols of two or more bytes are in that start like `word`.
#[inline]
fn list_of(word: u64) -> usize {
    ((word & 0xffff).wrapping_mul(0x9e37_79b1) >> 20) as usize % LISTS
}

/// A symbol of two or more bytes.
#[derive(Clone, Copy)]
struct Listed {
    word: u64,
    /// All bits of its bytes.
    mask: u64,
    len: u8,
    code: u8,
}

/// What finds the longest symbol.
pub(super) struct Encoder {
    /// List by list, in each the longest first.
    listed: [Listed; SYMBOLS],
    /// Where each list starts, and the last one ends.
    starts: [u8; LISTS + 1],
    /// For each byte the code of the symbol that is just this one, or `ESCAPE`.
    bytes: [u8; 256],
}

impl Encoder {
    /// An encoder with these symbols, by their code; at most 255.
    pub(super) fn new(symbols: &[Symbol]) -> Self {
        let mut encoder = Self {
            listed: [Listed { word: 0, mask: 0, len: 0, code: 0 }; SYMBOLS],
            starts: [0; LISTS + 1],
            bytes: [ESCAPE; 256],
        };
        let mut order = [0; SYMBOLS];
        let mut count = 0;
        for (code, symbol) in (0..ESCAPE).zip(symbols) {
            if symbol.len == 1 {
                encoder.bytes[usize::from(symbol.word as u8)] = code;
            } else {
                order[count] = code;
                count += 1;
                encoder.starts[list_of(symbol.word) + 1] += 1;
            }
        }
        let place = |code: &u8| {
            let symbol = symbols[usize::from(*code)];
            (list_of(symbol.word), Reverse(symbol.len), *code)
        };
        order[..count].sort_unstable_by_key(place);
        for (listed, &code) in encoder.listed.iter_mut().zip(&order[..count]) {
            let symbol = symbols[usize::from(code)];
            *listed = Listed { word: symbol.word, mask: symbol.mask(), len: symbol.len, code };
        }
        for list in 0..LISTS {
            encoder.starts[list + 1] += encoder.starts[list];
        }
        encoder
    }

    /// The code of the longest symbol that text with so many bytes left starts with, and its length;
    /// `ESCAPE` if there is none. The lowest byte of `word` is the first; what is behind the end may
    /// be anything. At least one byte is left.
    #[inline]
    pub(super) fn longest(&self, word: u64, left: usize) -> (u8, usize) {
        let list = list_of(word);
        let range = usize::from(self.starts[list])..usize::from(self.starts[list + 1]);
        for listed in self.listed.get(range).unwrap_or(&[]) {
            if (word ^ listed.word) & listed.mask == 0 && usize::from(listed.len) <= left {
                return (listed.code, usize::from(listed.len));
            }
        }
        (self.bytes[usize::from(word as u8)], 1)
    }

    /// Appends the codes of the first `len` bytes of `text`, which has as many. It is read faster if
    /// there are eight more behind them.
    pub(super) fn encode(&self, text: &[u8], len: usize, out: &mut Vec<u8>) {
        let mut at = 0;
        while at < len {
            let word = word_at(text, at);
            let (code, taken) = self.longest(word, len - at);
            out.push(code);
            if code == ESCAPE {
                out.push(word as u8);
            }
            at += taken;
        }
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
            let encoder = Encoder::new(list.as_slice());
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
