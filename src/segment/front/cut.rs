//! Texts cut into symbols: from the start on, each time into the longest one that the text goes on with.
//!
//! Where a symbol starts is known once the one before it is found: a chain of loads that takes longer
//! than all that is computed beside it. So two texts are cut in turns. SCRATCHPAD.md section 3.9.

use super::block::Text;
use super::buffer::REACH as ROOM;
use super::encode::{Cut, Encoder};
use crate::arena::OutOfMemory;
use std::hint::select_unpredictable;
use std::ops::Range;

/// Bytes behind a text, which may be anything: words begin in it, and end there.
pub(super) const REACH: usize = 8;

/// Where a text starts and ends.
pub(super) type Span = (u32, u32);

/// What is done with symbols. It keeps a number for each of the two texts that are cut.
pub(super) trait Visit {
    /// Takes the next symbol of a text, with which `word` begins, or [`Cut::NOTHING`]; answers the number
    /// from then on.
    fn symbol(&mut self, state: u32, word: u64, cut: Cut) -> u32;

    /// Ends the text of this number.
    fn end(&mut self, state: u32, text: usize) -> u32;
}

/// Neighbouring texts, cut one after the other.
struct Lane<'a> {
    encoder: &'a Encoder,
    bytes: &'a [u8],
    spans: &'a [Span],
    /// What is left of the text.
    at: u32,
    end: u32,
    state: u32,
    /// Its number, and that behind the last one.
    text: usize,
    texts: usize,
}

impl<'a> Lane<'a> {
    /// Before these texts.
    #[inline]
    fn new(encoder: &'a Encoder, bytes: &'a [u8], spans: &'a [Span], texts: Range<usize>) -> Self {
        let (text, texts) = (texts.start, texts.end);
        let mut new = Self { encoder, bytes, spans, at: 0, end: 0, state: 0, text, texts };
        new.begin();
        new
    }

    /// Goes to the start of its text, if there is one.
    #[inline]
    fn begin(&mut self) {
        (self.at, self.end) = match self.spans.get(self.text) {
            Some(span) if self.text < self.texts => *span,
            _ => (0, 0),
        };
    }

    /// Bytes that are left of its text.
    #[inline]
    fn left(&self) -> u32 {
        // No symbol reaches beyond the end.
        self.end.wrapping_sub(self.at)
    }

    /// Goes to a place with two bytes of a text at least; false if there is none.
    #[expect(clippy::inline_always, reason = "two texts are cut in turns, each in registers")]
    #[inline(always)]
    fn go_on(&mut self, visit: &mut impl Visit) -> bool {
        while self.left() < 2 {
            if self.text >= self.texts {
                return false;
            }
            let byte = self.bytes.get(self.at as usize).copied().unwrap_or(0);
            let cut = select_unpredictable(self.left() == 1, self.encoder.last(byte), Cut::NOTHING);
            self.state = visit.symbol(self.state, byte.into(), cut);
            self.state = visit.end(self.state, self.text);
            self.text += 1;
            self.begin();
        }
        true
    }

    #[expect(clippy::inline_always, reason = "two texts are cut in turns, each in registers")]
    #[inline(always)]
    fn step(&mut self, visit: &mut impl Visit) {
        let cut = |encoder: &Encoder, word, left| encoder.longest(word, left);
        self.step_with(cut, visit);
    }

    #[expect(clippy::inline_always, reason = "two texts are cut in turns, each in registers")]
    #[inline(always)]
    fn step_with(&mut self, cut: impl Fn(&Encoder, u64, u32) -> Cut, visit: &mut impl Visit) {
        let at = self.at as usize;
        let word = self.bytes.get(at..at + REACH).and_then(<[u8]>::first_chunk);
        let Some(word) = word.copied().map(u64::from_le_bytes) else {
            // There are as many bytes behind the last text.
            self.at = self.end;
            return;
        };
        let cut = cut(self.encoder, word, self.left());
        self.state = visit.symbol(self.state, word, cut);
        self.at += cut.len();
    }
}

impl Encoder {
    /// Cuts the texts that are in `bytes`, where they ascend, those of the second half in turns with those
    /// of the first.
    ///
    /// # Panics
    /// If less than [`REACH`] bytes follow the last one: a bug of the caller.
    #[inline]
    pub(super) fn cut(
        &self,
        bytes: &[u8],
        spans: &[Span],
        states: [u32; 2],
        visit: &mut impl Visit,
    ) {
        let end = spans.last().map_or(0, |(_, end)| *end as usize + REACH);
        assert!(end <= bytes.len(), "room behind texts");
        let middle = middle(spans);
        let mut first = Lane::new(self, bytes, spans, 0..middle);
        let mut second = Lane::new(self, bytes, spans, middle..spans.len());
        [first.state, second.state] = states;
        while !self.has_others() && first.go_on(visit) && second.go_on(visit) {
            first.step(visit);
            second.step(visit);
        }
        for mut lane in [first, second] {
            while self.has_others() && lane.go_on(visit) {
                lane.step_with(Self::longest_of_all, visit);
            }
            while lane.go_on(visit) {
                lane.step(visit);
            }
        }
    }
}

/// The first text of the second half.
#[inline]
fn middle(spans: &[Span]) -> usize {
    spans.len() / 2
}

/// Bytes of the codes of texts at most, the first of which comes first. Two are written in any case.
fn bound(spans: &[Span]) -> u32 {
    match spans {
        [(start, _), .., (_, end)] | [(start, end)] => 2 * (end - start) + 2,
        [] => 2,
    }
}

/// Codes of texts.
#[derive(Default)]
pub(super) struct Codes {
    /// They, and room for others.
    bytes: Vec<u8>,
    /// Where those of each text are.
    spans: Vec<Span>,
}

impl Codes {
    /// The codes of each text, in order.
    pub(super) fn texts(&self) -> impl ExactSizeIterator<Item = Text<'_>> + Clone {
        self.spans.iter().map(|&(start, end)| {
            (self.bytes.get(start as usize..).unwrap_or(&[]), (end - start) as usize)
        })
    }

    /// Makes them those of the texts in `bytes`, which ascend there, 2^27 bytes at most. [`REACH`] bytes
    /// follow the last one at least.
    pub(super) fn encode(
        &mut self,
        encoder: &Encoder,
        bytes: &[u8],
        spans: &[Span],
    ) -> Result<(), OutOfMemory> {
        let (first, second) = spans.split_at(middle(spans));
        let second_at = bound(first);
        let room = (second_at + bound(second)) as usize + ROOM;
        if self.bytes.len() < room {
            self.bytes.try_reserve(room - self.bytes.len())?;
            self.bytes.resize(room, 0);
        }
        self.spans.clear();
        self.spans.try_reserve(spans.len())?;
        self.spans.resize(spans.len(), (0, 0));
        let mut writer = Writer { out: &mut self.bytes, spans: &mut self.spans };
        encoder.cut(bytes, spans, [0, second_at], &mut writer);
        for (half, mut start) in [(0..first.len(), 0), (first.len()..spans.len(), second_at)] {
            for span in &mut self.spans[half] {
                span.0 = start;
                start = span.1;
            }
        }
        Ok(())
    }
}

/// Writes codes; the number is where the next one goes.
struct Writer<'a> {
    out: &'a mut [u8],
    spans: &'a mut [Span],
}

impl Visit for Writer<'_> {
    #[inline]
    fn symbol(&mut self, at: u32, word: u64, cut: Cut) -> u32 {
        // What follows a code that is no escape is written over.
        if let Some([code, byte]) = self.out.get_mut(at as usize..at as usize + 2) {
            (*code, *byte) = (cut.code(), word as u8);
        }
        at + cut.written()
    }

    #[inline]
    fn end(&mut self, at: u32, text: usize) -> u32 {
        if let Some(span) = self.spans.get_mut(text) {
            span.1 = at;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::super::symbols::{ESCAPE, Piece, Symbol, SymbolList, Symbols, TABLE_LEN};
    use super::super::train::{Sample, train};
    use super::*;
    use crate::bytes::uint_at;
    use crate::testing::rng::Rng;
    use std::collections::BTreeSet;

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

    /// Encodes texts one by one, and many of them together; answers the bytes of all codes.
    fn check(symbols: &SymbolList, encoder: &Encoder, texts: &[Vec<u8>]) -> usize {
        let mut table = [0; TABLE_LEN];
        symbols.write(&mut table);
        let stored = Symbols::of(&table).expect("a whole table");
        let list = stored.check().expect("our own table");
        assert_eq!(list.as_slice(), symbols.as_slice());
        let (mut codes, mut all) = (Codes::default(), 0);
        for text in texts {
            let wanted = expected(list.as_slice(), text);
            // Whatever follows makes no difference.
            let longer = |rest| [text.as_slice(), rest].concat();
            for given in [longer(&[0; REACH]), longer(&[0, 1, 0, 1, 2, 3, 0, 0, 0])] {
                codes.encode(encoder, &given, &[(0, text.len() as u32)]).expect("memory");
                let (found, len) = codes.texts().next().expect("one text");
                assert_eq!(&found[..len], &wanted);
                let piece = Piece::new(&wanted, wanted.len(), Some(stored));
                let mut back = vec![];
                assert_eq!(piece.append_to(&mut back, text.len()), Some(()));
                assert_eq!((&back, piece.decoded_len()), (text, text.len()));
                let is_short = piece.append_to(&mut vec![], text.len().saturating_sub(1));
                assert_eq!(is_short.is_none(), !text.is_empty());
            }
            all += wanted.len();
        }
        for many in 0..=texts.len().min(40) {
            for texts in texts.chunks(many.max(1)) {
                let texts = &texts[..many.min(texts.len())];
                let (mut bytes, mut spans) = (vec![], vec![]);
                for text in texts {
                    let start = bytes.len() as u32;
                    bytes.extend(text);
                    spans.push((start, bytes.len() as u32));
                    bytes.extend(&[0, 1, 2][..many % 4]);
                }
                bytes.extend([0, 1, 2, 3, 0, 0, 0, 0]);
                codes.encode(encoder, &bytes, &spans).expect("memory");
                let wanted = texts.iter().map(|text| expected(list.as_slice(), text));
                assert!(codes.texts().map(|(codes, len)| &codes[..len]).eq(wanted), "{many} texts");
            }
        }
        all
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
            sample.close().expect("memory for a test");
            let (symbols, encoder) = train(&sample).expect("memory for a test");
            let all = check(&symbols, &encoder, &texts);
            assert_eq!(sample.coded_len(&encoder), all);
            assert!(alphabet == 256 || all * 10 < bytes * 9, "{all} of {bytes}");
        }
    }

    #[test]
    fn any_symbols_are_found_however_many_begin_alike() {
        let mut rng = Rng::new(4);
        // One encoder for all, which has nothing left of the symbols before.
        let mut encoder = Encoder::new(&[]).expect("memory for a test");
        for round in 0..60 {
            let alphabet = [1, 2, 3, 5, 256][round % 5];
            let mut text =
                |len: usize| (0..len).map(|_| rng.below(alphabet) as u8).collect::<Vec<u8>>();
            let pieces: BTreeSet<Vec<u8>> = (0..300).map(|i| text(1 + i % 8)).collect();
            let texts: Vec<Vec<u8>> = (0..60).map(|len| text(len % 40)).collect();
            let mut symbols = SymbolList::default();
            for piece in pieces.iter().take([3, 40, 255][round % 3]) {
                let symbol = Symbol {
                    word: uint_at(piece, 0, piece.len()).expect("few bytes"),
                    len: piece.len() as u8,
                };
                symbols.push(symbol).expect("room for 255");
            }
            encoder.set(symbols.as_slice());
            check(&symbols, &encoder, &texts);
        }
    }
}
