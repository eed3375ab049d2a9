//! What finds the longest symbol that text goes on with.

use super::symbols::{ESCAPE, SYMBOL_LEN, SYMBOLS, Symbol};
use crate::arena::OutOfMemory;
use std::hint::select_unpredictable;

/// Lists of symbols that begin alike, or seem to.
pub(super) const LISTS: usize = 1024;

/// Symbols of a list that are looked at in any case.
pub(super) const AHEAD: usize = 3;

/// Which list symbols of three or more bytes are in that start like `word`.
#[inline]
pub(super) fn list_of(word: u64) -> usize {
    ((word as u32 & 0x00ff_ffff).wrapping_mul(0x9e37_79b1) >> 22) as usize % LISTS
}

/// What text is cut into next: a code, how many bytes it stands for, and how many are written for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut(u32);

impl Cut {
    /// Behind the end of a text.
    pub(super) const NOTHING: Self = Self(ESCAPE as u32);

    /// A byte that stands for itself.
    const ESCAPED: Self = Self(2 << 16 | 1 << 8 | ESCAPE as u32);

    /// A symbol of so many bytes.
    #[inline]
    fn of(code: u8, len: u8) -> Self {
        Self(1 << 16 | u32::from(len) << 8 | u32::from(code))
    }

    /// The code.
    #[inline]
    pub(super) fn code(self) -> u8 {
        self.0 as u8
    }

    /// Bytes of text.
    #[inline]
    pub(super) fn len(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    /// Bytes of codes.
    #[inline]
    pub(super) fn written(self) -> u32 {
        self.0 >> 16
    }
}

/// A symbol of three or more bytes.
#[derive(Clone, Copy)]
struct Listed {
    word: u64,
    /// All bits of its bytes.
    mask: u64,
    cut: Cut,
}

/// Symbols that begin alike, or seem to, the longest first: those that are looked at in any case, in
/// one cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct List {
    words: [u64; AHEAD],
    masks: [u64; AHEAD],
    cuts: [Cut; AHEAD],
    len: u8,
}

impl List {
    /// None yet. `zeros` is the longest symbol of text that has nothing but zeros, less than three.
    const fn new(zeros: Cut) -> Self {
        // Nothing else starts with what fills a list.
        let (words, masks) = ([0; AHEAD], [u64::MAX; AHEAD]);
        Self { words, masks, cuts: [zeros; AHEAD], len: 0 }
    }

    /// Whether text starts with symbol `i` that has none of the bits of `beyond`.
    #[inline]
    fn starts(&self, i: usize, word: u64, beyond: u64) -> bool {
        (word ^ self.words[i] | beyond) & self.masks[i] == 0
    }
}

/// What finds the longest symbol. Text does not tell in advance which will be found, so that each jump
/// that depends on it is mispredicted as often as not: the usual way through has none.
/// SCRATCHPAD.md section 3.9.
pub(super) struct Encoder {
    tables: Box<[Tables; 1]>,
    /// For each two bytes the code of the symbol that is just these, or `ESCAPE`.
    pairs: Box<[u8; 1 << 16]>,
    /// What did not find a place in its list, the longest first.
    others: Vec<Listed>,
    /// The pairs that have a symbol.
    used_pairs: Vec<u16>,
}

/// In one piece, so that one register tells where all of it is.
#[derive(Clone)]
struct Tables {
    /// By number. There are no more than symbols.
    lists: [List; SYMBOLS + 1],
    /// The number of each list; 0 where nothing is looked for.
    numbers: [u8; LISTS],
    /// For each byte the symbol that is just this one.
    bytes: [Cut; 256],
    /// The bits of a word that are behind so many bytes of text.
    beyond: [u64; SYMBOL_LEN + 1],
}

impl Tables {
    /// Without symbols.
    const NONE: Self = Self {
        lists: [List::new(Cut::ESCAPED); SYMBOLS + 1],
        numbers: [0; LISTS],
        bytes: [Cut::ESCAPED; 256],
        beyond: {
            let mut beyond = [0; SYMBOL_LEN + 1];
            let mut len = 0;
            while len < SYMBOL_LEN {
                beyond[len] = u64::MAX << (8 * len);
                len += 1;
            }
            beyond
        },
    };
}

/// So many of these on the heap.
fn boxed<T: Clone, const N: usize>(item: T) -> Result<Box<[T; N]>, OutOfMemory> {
    let mut items = Vec::new();
    items.try_reserve_exact(N)?;
    items.resize(N, item);
    items.into_boxed_slice().try_into().map_err(|_| OutOfMemory)
}

impl Encoder {
    /// An encoder with these symbols, by their code; at most 255.
    pub(super) fn new(symbols: &[Symbol]) -> Result<Self, OutOfMemory> {
        let (mut others, mut used_pairs) = (Vec::new(), Vec::new());
        others.try_reserve_exact(SYMBOLS)?;
        used_pairs.try_reserve_exact(SYMBOLS)?;
        let mut encoder =
            Self { tables: boxed(Tables::NONE)?, pairs: boxed(ESCAPE)?, others, used_pairs };
        encoder.set(symbols);
        Ok(encoder)
    }

    /// Has these symbols instead, by their code; at most 255.
    pub(super) fn set(&mut self, symbols: &[Symbol]) {
        let Self { tables, pairs, others, used_pairs } = self;
        let [tables] = &mut **tables;
        tables.numbers = [0; LISTS];
        tables.bytes = [Cut::ESCAPED; 256];
        others.clear();
        for pair in used_pairs.drain(..) {
            pairs[usize::from(pair)] = ESCAPE;
        }
        let coded = || (0..ESCAPE).zip(symbols);
        for (code, symbol) in coded() {
            match symbol.len {
                1 => tables.bytes[usize::from(symbol.word as u8)] = Cut::of(code, 1),
                2 => {
                    used_pairs.push(symbol.word as u16);
                    pairs[usize::from(symbol.word as u16)] = code;
                }
                _ => {}
            }
        }
        let zeros = match pairs[0] {
            ESCAPE => tables.bytes[0],
            code => Cut::of(code, 2),
        };
        tables.lists[0] = List::new(zeros);
        let mut count = 0;
        for len in (3..=SYMBOL_LEN as u8).rev() {
            for (code, symbol) in coded().filter(|(_, symbol)| symbol.len == len) {
                let number = &mut tables.numbers[list_of(symbol.word)];
                if *number == 0 {
                    count += 1;
                    *number = count;
                    tables.lists[usize::from(count)] = List::new(zeros);
                }
                let list = &mut tables.lists[usize::from(*number)];
                let (word, mask, cut) = (symbol.word, symbol.mask(), Cut::of(code, len));
                let place = usize::from(list.len);
                if place == AHEAD {
                    others.push(Listed { word, mask, cut });
                } else {
                    (list.words[place], list.masks[place], list.cuts[place]) = (word, mask, cut);
                    list.len += 1;
                }
            }
        }
    }

    /// The longest symbol that text starts with, of which there are `left` bytes, at least two. The
    /// lowest byte of `word` is the first; what is behind the end may be anything.
    #[expect(clippy::inline_always, reason = "two texts are cut in turns, each in registers")]
    #[inline(always)]
    pub(super) fn longest(&self, word: u64, left: u32) -> Cut {
        let [tables] = &*self.tables;
        let beyond = tables.beyond[left.min(SYMBOL_LEN as u32) as usize];
        let list = &tables.lists[usize::from(tables.numbers[list_of(word)])];
        let pair = self.pairs[usize::from(word as u16)];
        let byte = tables.bytes[usize::from(word as u8)];
        let mut cut = select_unpredictable(pair == ESCAPE, byte, Cut::of(pair, 2));
        // The longest comes last. Those of another list are never what the text starts with.
        for i in (0..AHEAD).rev() {
            cut = select_unpredictable(list.starts(i, word, beyond), list.cuts[i], cut);
        }
        cut
    }

    /// Whether there are symbols that [`longest`](Self::longest) does not look at: in no table of ours.
    #[inline]
    pub(super) fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// The longest symbol of all.
    #[cold]
    pub(super) fn longest_of_all(&self, word: u64, left: u32) -> Cut {
        let beyond = self.tables[0].beyond[left.min(SYMBOL_LEN as u32) as usize];
        let is_next = |listed: &&Listed| (word ^ listed.word | beyond) & listed.mask == 0;
        let other = self.others.iter().find(is_next).map(|listed| listed.cut);
        let cut = self.longest(word, left);
        other.filter(|other| other.len() > cut.len()).unwrap_or(cut)
    }

    /// The longest symbol of all that text starts with, of which there are `left` bytes, at least one, and all of
    /// them in `word` if they are less than eight.
    #[inline]
    pub(super) fn next(&self, word: u64, left: u32) -> Cut {
        match left {
            0 | 1 => self.last(word as u8),
            _ if self.has_others() => self.longest_of_all(word, left),
            _ => self.longest(word, left),
        }
    }

    /// The symbol of the last byte of a text.
    #[inline]
    pub(super) fn last(&self, byte: u8) -> Cut {
        self.tables[0].bytes[usize::from(byte)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::symbols::{SymbolList, Symbols, TABLE_LEN};
    use super::*;
    use crate::bytes::uint_at;

    #[test]
    fn a_table_that_we_would_not_write_is_refused() {
        let symbol = |bytes: &[u8]| Symbol {
            word: uint_at(bytes, 0, bytes.len()).expect("few bytes"),
            len: bytes.len() as u8,
        };
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
