//! Finds symbols that make text short.
//!
//! A few rounds over a sample, each over more of it: the text is cut with the symbols so far, and
//! symbols, and those that two neighbours make together, are counted. What would have spared most
//! bytes are the symbols of the next round. Peter Boncz, Thomas Neumann, Viktor Leis: FSST: Fast
//! Random Access String Compression, VLDB 2020. Everything follows from the sample.

use super::cut::{REACH, Span, Visit};
use super::encode::{AHEAD, Cut, Encoder, LISTS, list_of};
use super::symbols::{ESCAPE, SYMBOLS, Symbol, SymbolList};
use crate::arena::OutOfMemory;

/// What each round looks at, in 128ths of the sample.
const ROUNDS: [u32; 5] = [16, 38, 68, 98, 128];

/// Units of text while symbols are counted: those of 256 bytes, and up to 255 symbols.
const UNITS: usize = 512;

/// A symbol that occurs less often than this in a whole sample is worth nothing.
const RARE: u32 = 5;

/// Candidates that are looked at when symbols are chosen.
const CONSIDERED: usize = 2 * SYMBOLS;

/// How much more a single byte counts than its length: without it, it takes two bytes.
const BYTE_GAIN: u32 = 8;

/// Pieces of text.
#[derive(Default)]
pub(super) struct Sample {
    text: Vec<u8>,
    pieces: Vec<Span>,
}

impl Sample {
    /// Appends a piece.
    pub(super) fn try_push(&mut self, piece: &[u8]) -> Result<(), OutOfMemory> {
        self.text.try_reserve(piece.len())?;
        self.pieces.try_reserve(1)?;
        let start = self.text.len();
        self.text.extend_from_slice(piece);
        self.pieces.push((start as u32, self.text.len() as u32));
        Ok(())
    }

    /// Ends the last piece.
    pub(super) fn close(&mut self) -> Result<(), OutOfMemory> {
        self.text.try_reserve(REACH)?;
        self.text.extend_from_slice(&[0; REACH]);
        Ok(())
    }

    /// Bytes of all pieces.
    pub(super) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |(_, end)| *end as usize)
    }

    /// Bytes of the codes of all pieces.
    pub(super) fn coded_len(&self, encoder: &Encoder) -> usize {
        let mut len = Len(0);
        encoder.cut(&self.text, &self.pieces, [0, 0], &mut len);
        len.0
    }
}

/// Adds up codes; the number is that of those in a piece.
struct Len(usize);

impl Visit for Len {
    #[inline]
    fn symbol(&mut self, len: u32, _: u64, cut: Cut) -> u32 {
        len + cut.written()
    }

    #[inline]
    fn end(&mut self, len: u32, _: usize) -> u32 {
        self.0 += len as usize;
        0
    }
}

/// What a symbol would spare.
#[derive(Clone, Copy)]
struct Candidate {
    symbol: Symbol,
    gain: u32,
}

/// Counters.
struct Counts {
    /// How often each unit occurs.
    units: [u32; UNITS],
    /// How often one follows another: a number for each two.
    pairs: Vec<u16>,
    /// The pairs that occur, each once.
    seen: Vec<u32>,
}

/// The symbols for texts like those of `sample`, in the order in which they are stored.
pub(super) fn train(sample: &Sample) -> Result<(SymbolList, Encoder), OutOfMemory> {
    let mut counts = Counts { units: [0; UNITS], pairs: Vec::new(), seen: Vec::new() };
    counts.pairs.try_reserve_exact(UNITS * UNITS)?;
    counts.pairs.resize(UNITS * UNITS, 0);
    // Two for each unit at most: itself, and its first byte.
    counts.seen.try_reserve_exact(2 * sample.len())?;
    let mut symbols = SymbolList::default();
    let mut encoder = Encoder::new(&[])?;
    let mut candidates = Candidates::default();
    let mut pieces = Vec::new();
    pieces.try_reserve_exact(sample.pieces.len())?;
    for share in ROUNDS {
        // Spread over the sample, whatever the number of keys in a block.
        let is_in = |number: u32| number.wrapping_mul(0x9e37_79b1) >> 25 < share;
        pieces.clear();
        for (number, piece) in (0..).zip(&sample.pieces) {
            if is_in(number) {
                pieces.push(*piece);
            }
        }
        encoder.cut(&sample.text, &pieces, [0, 0], &mut counts);
        counts.propose(symbols.as_slice(), share, &mut candidates)?;
        symbols = best(&mut candidates.list);
        encoder.set(symbols.as_slice());
    }
    symbols.sort();
    encoder.set(symbols.as_slice());
    Ok((symbols, encoder))
}

/// The number is that of the unit before, plus 1, or 0.
impl Visit for Counts {
    #[expect(clippy::inline_always, reason = "a call would be a third of it")]
    #[inline(always)]
    fn symbol(&mut self, before: u32, word: u64, cut: Cut) -> u32 {
        if cut == Cut::NOTHING {
            return before;
        }
        let byte = usize::from(word as u8);
        let unit = if cut.code() == ESCAPE { byte } else { 256 + usize::from(cut.code()) };
        let last = before.checked_sub(1).map(|before| before as usize);
        self.add(last, unit);
        // A shorter one might do as well.
        if cut.len() > 1 {
            self.add(last, byte);
        }
        unit as u32 + 1
    }

    #[inline]
    fn end(&mut self, _: u32, _: usize) -> u32 {
        0
    }
}

impl Counts {
    #[expect(clippy::inline_always, reason = "a call would be a third of it")]
    #[inline(always)]
    fn add(&mut self, before: Option<usize>, unit: usize) {
        self.units[unit] += 1;
        if let Some(before) = before {
            let pair = before * UNITS + unit;
            let count = &mut self.pairs[pair];
            if *count == 0 {
                self.seen.push(pair as u32);
            }
            *count = count.saturating_add(1);
        }
    }

    /// Collects what may become a symbol, and forgets what was counted.
    fn propose(
        &mut self,
        symbols: &[Symbol],
        share: u32,
        candidates: &mut Candidates,
    ) -> Result<(), OutOfMemory> {
        let symbol_of = |unit: usize| match unit.checked_sub(256) {
            None => Symbol::of_byte(unit as u8),
            Some(code) => symbols[code],
        };
        let least = (RARE * share / 128).max(1);
        let is_frequent = |pair: &&u32| u32::from(self.pairs[**pair as usize]) >= least;
        candidates.clear(UNITS + self.seen.iter().filter(is_frequent).count())?;
        for (unit, count) in self.units.iter_mut().enumerate() {
            let count = std::mem::take(count);
            if count >= least {
                let symbol = symbol_of(unit);
                let worth = if symbol.len == 1 { BYTE_GAIN } else { u32::from(symbol.len) };
                candidates.add(symbol, count * worth);
            }
        }
        for pair in self.seen.drain(..) {
            let count = u32::from(std::mem::take(&mut self.pairs[pair as usize]));
            let first = symbol_of(pair as usize / UNITS);
            if count >= least && first.len < 8 {
                let symbol = first.then(symbol_of(pair as usize % UNITS));
                candidates.add(symbol, count * u32::from(symbol.len));
            }
        }
        Ok(())
    }
}

/// What may become a symbol, each once: the same bytes may come about in several ways.
#[derive(Default)]
struct Candidates {
    list: Vec<Candidate>,
    /// For each place that a hash leads to the number of a candidate plus 1, or 0.
    places: Vec<u32>,
}

impl Candidates {
    /// Forgets all, and makes room for so many.
    fn clear(&mut self, count: usize) -> Result<(), OutOfMemory> {
        self.list.clear();
        self.list.try_reserve(count)?;
        let places = (2 * count).next_power_of_two();
        self.places.clear();
        self.places.try_reserve(places)?;
        self.places.resize(places, 0);
        Ok(())
    }

    /// Adds a symbol that would spare so much, or adds that to what it would spare before.
    fn add(&mut self, symbol: Symbol, gain: u32) {
        let hash = (symbol.word ^ u64::from(symbol.len)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let last = self.places.len() - 1;
        let mut place = (hash >> 32) as usize & last;
        // There are twice as many places as candidates.
        while let Some(number) = self.places[place].checked_sub(1) {
            let found = &mut self.list[number as usize];
            if found.symbol == symbol {
                found.gain = found.gain.saturating_add(gain);
                return;
            }
            place = (place + 1) & last;
        }
        self.list.push(Candidate { symbol, gain });
        self.places[place] = self.list.len() as u32;
    }
}

/// Those that spare most, of which no more begin alike than an encoder looks at in any case, in any
/// order. Where two spare as much, the one that is sorted before the other.
fn best(candidates: &mut Vec<Candidate>) -> SymbolList {
    let key = |candidate: &Candidate| (std::cmp::Reverse(candidate.gain), candidate.symbol.rank());
    let cut = |candidates: &mut Vec<Candidate>, most: usize| {
        if candidates.len() > most {
            candidates.select_nth_unstable_by_key(most, key);
            candidates.truncate(most);
        }
    };
    cut(candidates, CONSIDERED);
    let mut alike = [0u16; LISTS];
    for Candidate { symbol, .. } in &*candidates {
        alike[list_of(symbol.word)] += u16::from(symbol.len > 2);
    }
    // Only those of lists that have too many are sorted, and the last ones of each are left out.
    let is_crowded = |symbol: &Symbol| symbol.len > 2 && alike[list_of(symbol.word)] > AHEAD as u16;
    let mut crowded = 0;
    for i in 0..candidates.len() {
        if is_crowded(&candidates[i].symbol) {
            candidates.swap(i, crowded);
            crowded += 1;
        }
    }
    candidates[..crowded].sort_unstable_by_key(key);
    let (mut seen, mut rank) = ([0; LISTS], 0);
    candidates.retain(|Candidate { symbol, .. }| {
        rank += 1;
        let count = &mut seen[list_of(symbol.word)];
        *count += usize::from(rank <= crowded);
        rank > crowded || *count <= AHEAD
    });
    cut(candidates, SYMBOLS);
    let mut symbols = SymbolList::default();
    for Candidate { symbol, .. } in candidates {
        if symbols.push(*symbol).is_none() {
            break;
        }
    }
    symbols
}
