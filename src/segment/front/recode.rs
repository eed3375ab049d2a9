//! Blocks whose heads and suffixes become codes of symbols, where that pays.
//!
//! Blocks are staged as text: which symbols there should be is known when all keys are. A sample of
//! them says what symbols would spare.

use super::super::slabs::Column;
use super::block::{Block, HALF_MAX, MAX_KEYS, Text, len_field, put_steps, put_suffixes, tag_of};
use super::build::FinishedFront;
use super::cut::{Codes, Span};
use super::direct;
use super::encode::Encoder;
use super::forms::KeyBlock;
use super::symbols::{SymbolList, TABLE_LEN};
use super::train::{Sample, train};
use crate::arena::OutOfMemory;
use crate::key::MAX_KEY_LEN;
use bumpalo::Bump;

/// Bytes of blocks that symbols are made from, about. Twice as many spare less than a hundredth more.
const SAMPLE_LEN: usize = 16 << 10;

/// Bytes of a head or suffix that are looked at.
const PIECE_LEN: usize = 512;

/// Bytes that are spared at least, in 128ths of all bytes of keys, unless the fewest are wanted.
const LEAST_SHARE: usize = 19;

/// And in halves of bytes for each key: below that, a longer build is not worth it.
/// SCRATCHPAD.md section 3.9.
const LEAST_HALVES: usize = 3;

/// And as one part of so many of all bytes of keys, point index included, where suffixes are read one
/// by one. SCRATCHPAD.md section 3.10.
const CONSIDERABLE_PART: usize = 4;

/// When symbols are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Coding {
    /// Where they spare so much that it makes up for gets that take longer.
    Worthwhile,
    /// Where they spare so much that it makes up for builds that take twice as long.
    Considerable,
    /// Where they spare anything.
    Smaller,
    /// Wherever keys can be written with them.
    Always,
}

/// Blocks as they are stored: of codes, if there are symbols.
pub(super) struct CodedBlocks<'b> {
    pub(super) symbols: Option<SymbolList>,
    pub(super) blocks: Column<'b>,
    /// Length of each block, in two numbers.
    pub(super) lens: Column<'b>,
}

impl<'b> CodedBlocks<'b> {
    /// No blocks yet.
    pub(super) fn new(bump: &'b Bump, symbols: Option<SymbolList>) -> Self {
        Self { symbols, blocks: Column::new(bump), lens: Column::new(bump) }
    }

    /// Appends a block.
    pub(super) fn push(&mut self, block: &[u8]) -> Result<(), OutOfMemory> {
        self.blocks.append(block)?;
        let len = block.len() as u32;
        self.lens.append_u16(len as u16)?;
        self.lens.append_u16((len >> 16) as u16)
    }
}

impl<'b> FinishedFront<'b> {
    /// Replaces text by codes if `coding` says so of what a sample promises.
    pub(in super::super) fn code(
        mut self,
        bump: &'b Bump,
        coding: Coding,
    ) -> Result<Self, OutOfMemory> {
        let Some(key_bytes) = self.lens().map(|lens| lens.iter().sum::<usize>()) else {
            return Ok(self);
        };
        let key_bytes = key_bytes + self.points_len();
        let entries = self.entries() as usize;
        let least = match coding {
            Coding::Worthwhile => {
                (key_bytes / 128 * LEAST_SHARE).max(entries * LEAST_HALVES / 2) + TABLE_LEN
            }
            Coding::Considerable => key_bytes / CONSIDERABLE_PART + TABLE_LEN,
            Coding::Smaller => TABLE_LEN + 1,
            Coding::Always => 0,
        };
        // A symbol has 8 bytes at most.
        if entries == 0 || self.blocks_len() / 8 * 7 < least {
            return Ok(self);
        }
        let sample = self.sample()?;
        let (symbols, encoder) = train(&sample)?;
        let spared = sample.len().saturating_sub(sample.coded_len(&encoder)) as u64;
        // Of a key, all but its tag are head or suffix.
        let text = self.blocks_len().saturating_sub(entries) as u64;
        let promised = spared * text / sample.len().max(1) as u64;
        let most = if coding == Coding::Always { usize::MAX } else { self.blocks_len() - least };
        if promised >= least as u64
            && let Some(coded) = self.recoded(bump, symbols, &encoder, most)?
        {
            self.replace(coded);
        }
        Ok(self)
    }

    /// Heads and suffixes of blocks at even distances.
    fn sample(&self) -> Result<Sample, OutOfMemory> {
        let step = (self.blocks_len() / SAMPLE_LEN) as u64;
        let step = step.clamp(1, self.count());
        let is_taken = |number: u64| number % step == step / 2;
        let mut sample = Sample::default();
        self.each_block(is_taken, |block| {
            block.each_text(|(text, len)| {
                sample.try_push(text.get(..len.min(PIECE_LEN)).unwrap_or(&[]))
            })?;
            Ok(true)
        })?;
        sample.close()?;
        Ok(sample)
    }

    /// The blocks in codes; `None` if a key has more of them than can be written, or all together have
    /// more than `most` bytes: a sample may be mistaken.
    fn recoded(
        &self,
        bump: &'b Bump,
        symbols: SymbolList,
        encoder: &Encoder,
        most: usize,
    ) -> Result<Option<CodedBlocks<'b>>, OutOfMemory> {
        let mut coded = CodedBlocks::new(bump, Some(symbols));
        let (mut codes, mut out) = (Codes::default(), Vec::new());
        let is_whole = self.each_block(
            |_| true,
            |block| {
                if !recode(&block, encoder, &mut codes, &mut out)? {
                    return Ok(false);
                }
                if coded.blocks.len() + out.len() > most {
                    return Ok(false);
                }
                coded.push(&out)?;
                Ok(true)
            },
        )?;
        Ok(is_whole.then_some(coded))
    }
}

/// Writes a block of text, [`REACH`](super::cut::REACH) bytes before the end of what it is in, as one of
/// codes; false if a key has more of them than can be written.
pub(super) fn recode(
    block: &KeyBlock<'_>,
    encoder: &Encoder,
    codes: &mut Codes,
    out: &mut Vec<u8>,
) -> Result<bool, OutOfMemory> {
    match block {
        KeyBlock::Chained(block) => recode_chained(block, encoder, codes, out),
        KeyBlock::Direct(block) => direct::recode(block, encoder, codes, out),
    }
}

fn recode_chained(
    block: &Block<'_>,
    encoder: &Encoder,
    codes: &mut Codes,
    out: &mut Vec<u8>,
) -> Result<bool, OutOfMemory> {
    let (common, head) = block.start();
    let (mut spans, mut shared) = ([(0, 0); MAX_KEYS], [0; MAX_KEYS]);
    spans[0] = span_in(block.tail, head);
    let mut count = 1;
    for (met, suffix) in block.steps() {
        (spans[count], shared[count]) = (span_in(block.tail, suffix), met as u16);
        count += 1;
    }
    codes.encode(encoder, block.tail, &spans[..count])?;
    let mut stored = [(&[][..], 0); MAX_KEYS];
    for (stored, codes) in stored.iter_mut().zip(codes.texts()) {
        *stored = codes;
    }
    put_chained(common, (&shared[..count], 0), &stored[..count], out)
}

/// Writes a block, all of whose keys share `common` bytes. `shared` is what each shares with the one before
/// it, and how much that is too much; `stored` what is stored of the rest. False if there is more of a key
/// than can be written.
pub(super) fn put_chained(
    common: usize,
    (shared, less): (&[u16], usize),
    stored: &[Text<'_>],
    out: &mut Vec<u8>,
) -> Result<bool, OutOfMemory> {
    let (Some((&(head, head_len), stored)), Some((_, shared))) =
        (stored.split_first(), shared.split_first())
    else {
        return Ok(false);
    };
    let (mut tags, mut len, mut largest) = ([0; MAX_KEYS], 0, 0);
    let mut is_whole = head_len <= MAX_KEY_LEN;
    for ((tag, shared), (_, suffix_len)) in tags.iter_mut().zip(shared).zip(stored) {
        let (shared, less_len) = (usize::from(*shared) - less, suffix_len.wrapping_sub(1));
        *tag = tag_of(shared, less_len);
        len += suffix_len;
        is_whole &= less_len < MAX_KEY_LEN;
        largest = largest.max(shared).max(less_len);
    }
    if !is_whole {
        return Ok(false);
    }
    out.clear();
    out.try_reserve(3 + 3 + head_len + MAX_KEYS)?;
    for len in [head_len, common] {
        out.extend_from_slice(len_field(len, &mut [0; 3]));
    }
    out.extend_from_slice(&head[..head_len]);
    out.extend_from_slice(&tags[..stored.len()]);
    if largest < HALF_MAX {
        put_suffixes(stored, len, out)?;
    } else {
        let shared = shared.iter().map(|shared| usize::from(*shared) - less);
        put_steps(shared.zip(stored.iter().copied()), len, out)?;
    }
    Ok(true)
}

/// Where a text is in bytes that end where what follows it does.
pub(super) fn span_in(bytes: &[u8], (text, len): Text<'_>) -> Span {
    let at = bytes.len() - text.len();
    (at as u32, (at + len) as u32)
}
