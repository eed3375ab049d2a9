//! Symbols: byte strings of 1 to 8 bytes, of which keys are put together, one byte for each.
//!
//! ```text
//! bytes of the symbol of each code, zeros behind them (256 times 8) | their lengths (256 times 1)
//! ```
//! The last code has no symbol: it says that the next byte stands for itself. The stored symbols
//! ascend, first by their bytes, then by their length; codes behind the last one have zeros. Text is
//! cut from its start on, and each time the longest symbol is taken that it goes on with; but codes that are
//! copied from other keys may be cut elsewhere.

use super::wanted::Wanted;
use crate::bytes::common_prefix;
use crate::key::MAX_KEY_LEN;

/// Symbols at most.
pub(super) const SYMBOLS: usize = 255;

/// The code before a byte that stands for itself.
pub(super) const ESCAPE: u8 = 255;

/// Bytes of a symbol at most.
pub(super) const SYMBOL_LEN: usize = 8;

/// Where the lengths are in the table.
const LENS_AT: usize = (SYMBOLS + 1) * SYMBOL_LEN;

/// Bytes of the table.
pub(super) const TABLE_LEN: usize = LENS_AT + SYMBOLS + 1;

/// A symbol: its bytes as a number, the first lowest, zeros behind them; and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) word: u64,
    pub(super) len: u8,
}

impl Symbol {
    /// A byte.
    pub(super) fn of_byte(byte: u8) -> Self {
        Self { word: u64::from(byte), len: 1 }
    }

    /// The bytes of both, cut off after 8.
    pub(super) fn then(self, next: Self) -> Self {
        let len = usize::from(self.len);
        // A symbol of 8 bytes has no room for any of the next.
        let shifted = next.word.checked_shl(8 * u32::from(self.len)).unwrap_or(0);
        let len = (len + usize::from(next.len)).min(SYMBOL_LEN);
        Self { word: self.word | shifted, len: len as u8 }
    }

    /// What symbols are sorted by.
    pub(super) fn rank(self) -> (u64, u8) {
        (self.word.swap_bytes(), self.len)
    }

    /// All bits of its bytes.
    pub(super) fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.len).clamp(1, 8))
    }
}

/// The table of symbols in its section. It may say anything: a symbol without bytes, or of more than
/// 8, makes keys of no meaning, within bounds.
#[derive(Clone, Copy)]
pub(super) struct Symbols<'a> {
    /// In one piece, so that one register tells where all of it is.
    table: &'a [u8; TABLE_LEN],
}

/// How stored text compares with a key from a place in that on.
pub(super) enum Met {
    /// It is less; so many bytes of the key have been met.
    Below(usize),
    Equal,
    /// It is greater; so many bytes of the key have been met.
    Above(usize),
}

impl Met {
    /// How text compares with what `key` has from `at` on.
    #[inline]
    pub(super) fn of_text(text: &[u8], key: &[u8], at: usize) -> Self {
        let wanted = key.get(at..).unwrap_or(&[]);
        let equal = common_prefix(text, wanted);
        match (text.get(equal), wanted.get(equal)) {
            (None, None) => Self::Equal,
            (Some(_), None) => Self::Above(at + equal),
            (Some(stored), Some(wanted)) if stored > wanted => Self::Above(at + equal),
            _ => Self::Below(at + equal),
        }
    }
}

impl<'a> Symbols<'a> {
    /// The table in these bytes, if they are as many as it has.
    #[inline]
    pub(super) fn of(section: &'a [u8]) -> Option<Self> {
        Some(Self { table: section.try_into().ok()? })
    }

    /// The word of a code, and how many of its bytes count: at most all.
    #[inline]
    fn symbol(self, code: u8) -> (u64, usize) {
        let (word, len) = self.stored(code);
        (word, usize::from(len).min(SYMBOL_LEN))
    }

    /// The word of a code, and what is said to be its length.
    #[inline]
    pub(super) fn stored(self, code: u8) -> (u64, u8) {
        let code = usize::from(code);
        let mut word = [0; SYMBOL_LEN];
        word.copy_from_slice(&self.table[code * SYMBOL_LEN..][..SYMBOL_LEN]);
        (u64::from_le_bytes(word), self.table[LENS_AT + code])
    }

    /// What the next code, with the byte after it if it needs one, stands for.
    #[inline]
    fn next(self, codes: &mut std::slice::Iter<'_, u8>) -> Option<(u64, usize)> {
        match *codes.next()? {
            // Behind the end stands nothing that anybody wrote: a zero is as good as an error.
            ESCAPE => Some((codes.next().map_or(0, |byte| u64::from(*byte)), 1)),
            code => Some(self.symbol(code)),
        }
    }

    /// Compares what `codes` stand for with what `key` has from `at` on. Nothing is put together.
    #[inline]
    pub(super) fn meet(self, codes: &[u8], key: &Wanted<'_>, mut at: usize) -> Met {
        let mut codes = codes.iter();
        while let Some(&code) = codes.next() {
            let (stored, len) = match code {
                ESCAPE => (codes.next().map_or(0, |byte| u64::from(*byte)), 1),
                code => self.stored(code),
            };
            let (wanted, len) = (key.word(at), usize::from(len));
            let equal = (stored ^ wanted).trailing_zeros() as usize / 8;
            // Of one that is said to have more bytes than a word, no table of ours says so.
            if equal < len {
                // The first byte that differs decides; where the key has ended, it has a zero.
                return if stored.swap_bytes() > wanted.swap_bytes() {
                    Met::Above((at + equal).min(key.len()))
                } else {
                    Met::Below(at + equal)
                };
            }
            at += len;
        }
        match at.cmp(&key.len()) {
            std::cmp::Ordering::Less => Met::Below(at),
            std::cmp::Ordering::Equal => Met::Equal,
            // Zeros of the text were taken for those behind the key.
            std::cmp::Ordering::Greater => Met::Above(key.len()),
        }
    }

    /// The symbols, if they are stored as they have to be.
    pub(super) fn check(self) -> Option<SymbolList> {
        let mut list = SymbolList::default();
        for code in 0..=u8::MAX {
            let (word, len) = self.symbol(code);
            if len == 0 {
                // No symbol, and none behind it.
                let rest = usize::from(code);
                let words = &self.table[rest * SYMBOL_LEN..LENS_AT];
                return words
                    .iter()
                    .chain(&self.table[LENS_AT + rest..])
                    .all(|byte| *byte == 0)
                    .then_some(list);
            }
            let symbol = Symbol { word, len: len as u8 };
            if self.stored(code).1 != symbol.len || word & !symbol.mask() != 0 {
                return None;
            }
            if list.as_slice().last().is_some_and(|last| last.rank() >= symbol.rank()) {
                return None;
            }
            list.push(symbol)?;
        }
        None
    }
}

/// Symbols by their code.
pub(super) struct SymbolList {
    symbols: [Symbol; SYMBOLS],
    len: usize,
}

impl Default for SymbolList {
    fn default() -> Self {
        Self { symbols: [Symbol { word: 0, len: 0 }; SYMBOLS], len: 0 }
    }
}

impl SymbolList {
    /// The symbols.
    pub(super) fn as_slice(&self) -> &[Symbol] {
        &self.symbols[..self.len]
    }

    /// Adds one, if there is room.
    pub(super) fn push(&mut self, symbol: Symbol) -> Option<()> {
        *self.symbols.get_mut(self.len)? = symbol;
        self.len += 1;
        Some(())
    }

    /// Puts them in the order in which they are stored.
    pub(super) fn sort(&mut self) {
        self.symbols[..self.len].sort_unstable_by_key(|symbol| symbol.rank());
    }

    /// Writes the table, which is all zeros.
    pub(super) fn write(&self, table: &mut [u8]) {
        let (words, lens) = table.split_at_mut(LENS_AT);
        let words = words.as_chunks_mut::<SYMBOL_LEN>().0;
        for ((word, len), symbol) in words.iter_mut().zip(lens).zip(self.as_slice()) {
            *word = symbol.word.to_le_bytes();
            *len = symbol.len;
        }
    }
}

/// A head or a suffix as a block has it.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    /// What is stored, and whatever follows it.
    bytes: &'a [u8],
    /// How much is stored.
    len: usize,
    /// What its bytes stand for, unless for themselves.
    symbols: Option<Symbols<'a>>,
}

impl<'a> Piece<'a> {
    /// The first `len` bytes, of which there are as many.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], len: usize, symbols: Option<Symbols<'a>>) -> Self {
        Self { bytes, len, symbols }
    }

    /// Bytes that it has at most, if it is part of a key.
    #[inline]
    pub(super) fn bound(self) -> usize {
        match self.symbols {
            None => self.len,
            Some(_) => (self.len * SYMBOL_LEN).min(MAX_KEY_LEN),
        }
    }

    /// The bytes, if they stand for themselves: as many as it has, and whatever follows.
    #[inline]
    pub(super) fn plain(self) -> Result<(&'a [u8], usize), Coded<'a>> {
        match self.symbols {
            None => Ok((self.bytes, self.len)),
            Some(symbols) => Err(Coded { bytes: self.bytes, len: self.len, symbols }),
        }
    }

    /// Appends the bytes to `key`; `None` if it would become too long, and then it has some of them.
    pub(super) fn append_to(self, key: &mut Vec<u8>, most: usize) -> Option<()> {
        match self.plain() {
            Ok((bytes, len)) if len <= most => key.extend_from_slice(bytes.get(..len)?),
            Ok(_) => return None,
            Err(coded) => {
                let (mut codes, mut left) = (coded.codes().iter(), most);
                while let Some((word, len)) = coded.symbols.next(&mut codes) {
                    left = left.checked_sub(len)?;
                    key.extend_from_slice(word.to_le_bytes().get(..len)?);
                }
            }
        }
        Some(())
    }

    /// Number of its bytes.
    pub(super) fn decoded_len(self) -> usize {
        match self.plain() {
            Ok((_, len)) => len,
            Err(coded) => {
                let mut codes = coded.codes().iter();
                std::iter::from_fn(|| coded.symbols.next(&mut codes)).map(|(_, len)| len).sum()
            }
        }
    }
}

/// Codes, and what they stand for.
#[derive(Clone, Copy)]
pub(super) struct Coded<'a> {
    /// The codes, and whatever follows them.
    bytes: &'a [u8],
    /// Number of codes.
    len: usize,
    symbols: Symbols<'a>,
}

/// Codes that are compared at once.
pub(super) const GROUP: usize = 8;

/// Text that is shorter than this is compared word by word.
const SPELLED: usize = 128;

impl<'a> Coded<'a> {
    /// Number of codes.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.len
    }

    /// Each code.
    #[inline]
    pub(super) fn codes(self) -> &'a [u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Whether each code stands for some bytes.
    pub(super) fn is_whole(self) -> bool {
        let mut at = 0;
        while at < self.codes().len() {
            match self.symbol_at(at) {
                Some((_, len, behind)) if len > 0 => at = behind,
                _ => return false,
            }
        }
        true
    }

    /// What the code at a place stands for, and how many bytes of that count; and where the next one is. `None` if
    /// there is no code.
    #[inline]
    pub(super) fn symbol_at(self, at: usize) -> Option<(u64, usize, usize)> {
        match *self.codes().get(at)? {
            ESCAPE => Some((u64::from(*self.codes().get(at + 1)?), 1, at + 2)),
            code => {
                let (word, len) = self.symbols.symbol(code);
                Some((word, len, at + 1))
            }
        }
    }

    /// Whether they stand for `text`.
    ///
    /// Each symbol is compared with a word of the text, and nothing is put together: words that were just
    /// written in other pieces would have to be waited for. SCRATCHPAD.md section 3.10.
    #[inline]
    pub(super) fn spell(self, text: &[u8]) -> bool {
        if text.len() >= SPELLED {
            return self.spell_long(text);
        }
        // Two codes stand for a byte at least. Nobody has more to read for a key that has only the hash.
        if self.codes().len() > 2 * text.len() {
            return false;
        }
        let mut wanted = [0; SPELLED + SYMBOL_LEN];
        wanted[..text.len()].copy_from_slice(text);
        let symbols = self.symbols;
        let (mut at, mut differing) = (0, 0);
        let mut rest = self.codes();
        while let Some((group, behind)) = rest.split_first_chunk::<GROUP>()
            && first_escape(*group) == GROUP
        {
            for &code in group {
                let (word, len) = symbols.stored(code);
                differing |= difference(word, text_word(&wanted, at), len);
                at += usize::from(len);
            }
            rest = behind;
        }
        let mut codes = rest.iter();
        while let Some(&code) = codes.next() {
            let (word, len) = match code {
                ESCAPE => (codes.next().map_or(0, |byte| u64::from(*byte)), 1),
                code => symbols.stored(code),
            };
            differing |= difference(word, text_word(&wanted, at), len);
            at += usize::from(len);
        }
        differing == 0 && at == text.len()
    }

    #[inline(never)]
    fn spell_long(self, text: &[u8]) -> bool {
        let (mut codes, mut rest) = (self.codes().iter(), text);
        while let Some((word, len)) = self.symbols.next(&mut codes) {
            match rest.split_at_checked(len) {
                Some((start, behind)) if word.to_le_bytes().starts_with(start) => rest = behind,
                _ => return false,
            }
        }
        rest.is_empty()
    }

    /// Puts the bytes at the start of `target`, and anything behind them. Answers their number;
    /// `None` if there is no room for 8 bytes from the last symbol on.
    ///
    /// One code after the other, in ten instructions each, with one look at the room: for heads, keys by
    /// themselves, and suffixes that are too long for a run. SCRATCHPAD.md section 3.9.
    #[expect(clippy::inline_always, reason = "whether they are codes is known outside of a loop")]
    #[inline(always)]
    pub(super) fn copy_to(self, target: &mut [u8]) -> Option<usize> {
        let Some(last) = target.len().checked_sub(SYMBOL_LEN) else {
            return self.codes().is_empty().then_some(0);
        };
        let mut at = 0;
        let mut codes = self.codes().iter();
        while let Some(&code) = codes.next() {
            let (word, len) = match code {
                ESCAPE => (codes.next().map_or(0, |byte| u64::from(*byte)), 1),
                code => self.symbols.stored(code),
            };
            if at > last {
                return None;
            }
            // A whole word each time: what follows its bytes is written over by the next.
            target[at..at + SYMBOL_LEN].copy_from_slice(&word.to_le_bytes());
            at += usize::from(len);
        }
        // A symbol that is said to have more bytes than a word may end beyond all.
        (at <= target.len()).then_some(at)
    }
}

/// The bytes of `text` from `at` on; any others from where on it has less than 8.
#[inline]
fn text_word(text: &[u8; SPELLED + SYMBOL_LEN], at: usize) -> u64 {
    let at = at % SPELLED;
    let mut word = [0; SYMBOL_LEN];
    word.copy_from_slice(&text[at..at + SYMBOL_LEN]);
    u64::from_le_bytes(word)
}

/// Zero if both words have the same first bytes, as many as a symbol has. Of one without bytes, or of
/// more than there are in a word, which no table of ours has, some bytes are compared.
#[inline]
fn difference(a: u64, b: u64, len: u8) -> u64 {
    (a ^ b).wrapping_shl(u32::from(len).wrapping_neg().wrapping_mul(8))
}

/// The place of the first escape among these codes; their number, if there is none.
#[inline]
fn first_escape(codes: [u8; GROUP]) -> usize {
    escapes(u64::from_le_bytes(codes)).trailing_zeros() as usize / 8
}

/// The top bit of each escape among these codes.
#[inline]
fn escapes(codes: u64) -> u64 {
    let sevens = u64::MAX / 255 * 0x7f;
    ((codes & sevens) + u64::MAX / 255) & codes & !sevens
}

#[cfg(test)]
mod tests {
    use super::super::buffer::KeyBuffer;
    use super::*;
    use crate::testing::rng::Rng;

    #[test]
    fn a_symbol_of_more_bytes_than_there_is_room_for_is_refused() {
        let mut table = [0; TABLE_LEN];
        table[LENS_AT..].fill(u8::MAX);
        let symbols = Symbols::of(&table).expect("a whole table");
        for codes in [&[1][..], &[ESCAPE, 2, 1]] {
            let coded = Coded { bytes: codes, len: codes.len(), symbols };
            let end = codes.len() / 2 + 255;
            for room in [8, 9, 16, end - 1, end, end + 9] {
                let fits = (room >= end).then_some(end);
                assert_eq!(coded.copy_to(&mut vec![0; room]), fits, "{codes:?} {room}");
            }
        }
    }

    #[test]
    fn codes_in_groups_are_compared_as_one_by_one() {
        let mut list = SymbolList::default();
        for symbol in [&b"a"[..], b"abcdefgh", b"b", b"bcd", b"cc\0"] {
            let word = symbol.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            list.push(Symbol { word, len: symbol.len() as u8 }).expect("few");
        }
        let mut table = [0; TABLE_LEN];
        list.write(&mut table);
        let symbols = Symbols::of(&table).expect("a whole table");
        let mut rng = Rng::new(4);
        for round in 0..4000 {
            let len = rng.below(40);
            let escapes = [1, 2, 20, 100][round % 4];
            let codes: Vec<u8> = (0..len)
                .flat_map(|_| match rng.below(escapes) {
                    0 if escapes < 100 => vec![ESCAPE, [0, b'a', ESCAPE, rng.byte()][rng.below(4)]],
                    _ => vec![rng.below(5) as u8],
                })
                .collect();
            let mut text = vec![];
            let mut iter = codes.iter();
            while let Some((word, len)) = symbols.next(&mut iter) {
                text.extend_from_slice(&word.to_le_bytes()[..len]);
            }
            // With all that may follow, and with nothing; behind other text, and without room.
            for behind in [&[][..], &[ESCAPE; 9], &[1; 9]] {
                let stored = [codes.as_slice(), behind].concat();
                let piece = Piece::new(&stored, codes.len(), Some(symbols));
                let mut key = KeyBuffer::default();
                key.replace(0, Piece::new(b"before", 6, None)).expect("room");
                key.replace(6, piece).expect("room");
                assert_eq!(key.as_slice(), [b"before", text.as_slice()].concat());
                let Err(coded) = piece.plain() else { panic!("they are codes") };
                for room in [text.len() + SYMBOL_LEN, text.len() + 30] {
                    let mut target = vec![7; room];
                    assert_eq!(coded.copy_to(&mut target), Some(text.len()));
                    assert_eq!(target[..text.len()], text);
                }
                let mut few = vec![7; text.len().saturating_sub(1)];
                assert_eq!(coded.copy_to(&mut few).is_none(), !text.is_empty());
            }
            // Short, and longer than what is put together.
            for times in [1, 30] {
                let (codes, text) = (codes.repeat(times), text.repeat(times));
                let coded = Coded { bytes: &codes, len: codes.len(), symbols };
                assert!(coded.spell(&text));
                assert!(!coded.spell(&[text.as_slice(), &[0]].concat()));
                for at in (0..text.len()).step_by(1 + text.len() / 20) {
                    assert!(!coded.spell(&text[..at]), "{at}");
                    let mut other = text.clone();
                    other[at] ^= 1;
                    assert!(!coded.spell(&other), "{at}");
                }
            }
        }
    }
}
