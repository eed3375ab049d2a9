//! Keys of another segment with a few more and a few less, as far as possible in the bytes that they
//! have there.
//!
//! What is stored of a key depends on the one before it and, where a block begins, on what all keys
//! share. So between two keys that are new or gone, suffixes are copied; what comes behind those, and the
//! heads of blocks, are put together from what is stored of them and of the keys before
//! ([`parts`](super::parts)). New keys of a block are encoded together. Symbols stay what they are.

use super::super::int::MAX_WIDTH;
use super::block::{MAX_KEYS, Text};
use super::buffer::Appended;
use super::build::{FinishedFront, Separators};
use super::cut::{Codes, Span};
use super::encode::Encoder;
use super::parts::Parts;
use super::recode::{CodedBlocks, put_chained};
use super::source::SourceBlocks;
use super::{BLOCK_SHIFT, FrontKeys};
use crate::arena::{OutOfMemory, replace};
use crate::bytes::common_prefix;
use crate::error::Error;
use bumpalo::Bump;
use std::ops::Range;

/// Keys of a block.
const KEYS: usize = 1 << BLOCK_SHIFT;

const _: () = assert!(KEYS <= MAX_KEYS);

/// Codes that there may be more where symbols were cut, as a part of all bytes of blocks.
const MOST_MORE: usize = 16;

/// A block being put together, of what is stored elsewhere and of text.
struct Pieces<'s> {
    keys: usize,
    /// What all keys share.
    common: usize,
    /// Of each key but the head: what it shares with the one before it.
    shared: [u16; KEYS],
    /// Of each key: what is stored of it, if that is copied.
    stored: [Text<'s>; KEYS],
    /// New ones, one after the other: where the text is of what is stored of them, and which they are.
    spans: [Span; KEYS],
    slots: [u8; KEYS],
    texts: usize,
    /// Their text.
    text: Appended,
    /// What is stored of the others, where that of each ends, and which they are.
    parts: Parts,
    ends: [(u32, u8); KEYS],
    put: usize,
}

impl Pieces<'_> {
    /// No keys.
    fn new() -> Self {
        Self {
            keys: 0,
            common: 0,
            shared: [0; KEYS],
            stored: [(&[], 0); KEYS],
            spans: [(0, 0); KEYS],
            slots: [0; KEYS],
            texts: 0,
            text: Appended::default(),
            parts: Parts::default(),
            ends: [(0, 0); KEYS],
            put: 0,
        }
    }

    /// Forgets all keys. Answers how many codes more they had than symbols that were cut.
    fn clear(&mut self) -> usize {
        (self.keys, self.texts, self.text.used, self.put) = (0, 0, 0, 0);
        self.parts.clear()
    }

    /// Appends a key, which shares so many bytes with the one before it. Answers its slot.
    #[inline]
    fn add(&mut self, shared: usize) -> usize {
        let slot = self.keys;
        self.common = self.common.min(shared);
        // Keys have at most 65,535 bytes.
        self.shared[slot] = shared as u16;
        self.keys += 1;
        slot
    }

    /// Has a text be what is stored of a key.
    #[inline]
    fn add_text(&mut self, slot: usize, text: &[u8]) -> Result<(), OutOfMemory> {
        self.text.try_reserve(text.len())?;
        let start = self.text.used as u32;
        self.text.copy(text, text.len()).ok_or(OutOfMemory)?;
        // There are 16 keys of some 65,535 bytes at most.
        self.spans[self.texts] = (start, self.text.used as u32);
        self.slots[self.texts] = slot as u8;
        self.texts += 1;
        Ok(())
    }

    /// Has what was appended last to the parts be what is stored of a key.
    #[inline]
    fn add_parts(&mut self, slot: usize) {
        self.ends[self.put] = (self.parts.len() as u32, slot as u8);
        self.put += 1;
    }

    /// What is stored of each key that is made of parts, and its slot.
    fn parts(&self) -> impl Iterator<Item = (usize, Text<'_>)> {
        let mut start = 0;
        self.ends[..self.put].iter().map(move |&(end, slot)| {
            let (from, end) = (start, end as usize);
            start = end;
            (usize::from(slot), self.parts.get(from..end))
        })
    }
}

/// Blocks being put together.
pub(in super::super) struct SpliceStage<'s, 'b> {
    bump: &'b Bump,
    /// What all keys share.
    prefix: Vec<u8>,
    /// Of codes, if there are symbols.
    encoder: Option<Encoder>,
    /// The block on its way.
    block: Pieces<'s>,
    stored: CodedBlocks<'b>,
    separators: Separators<'b>,
    codes: Codes,
    out: Vec<u8>,
    /// Bytes of text that were encoded, and of their codes.
    encoded: (usize, usize),
    /// Codes more than symbols, where these were cut.
    more_codes: usize,
    /// The lengths of the shortest and the longest key, unless there are symbols.
    lens: (usize, usize),
    /// Each key could be written.
    is_whole: bool,
}

impl<'s, 'b> SpliceStage<'s, 'b> {
    /// No keys yet, to be stored as these are, all of which will begin with `shared`.
    pub(in super::super) fn new(
        bump: &'b Bump,
        keys: FrontKeys<'s>,
        shared: &[u8],
    ) -> Result<Self, Error> {
        let mut prefix = Vec::new();
        replace(&mut prefix, shared)?;
        let symbols = keys.symbol_list()?;
        let encoder = symbols.as_ref().map(|symbols| Encoder::new(symbols.as_slice()));
        let encoder = encoder.transpose()?;
        Ok(Self {
            bump,
            prefix,
            encoder,
            block: Pieces::new(),
            stored: CodedBlocks::new(bump, symbols),
            separators: Separators::new(bump),
            codes: Codes::default(),
            out: Vec::new(),
            encoded: (0, 0),
            more_codes: 0,
            lens: (usize::MAX, 0),
            is_whole: true,
        })
    }

    /// Whether a key begins with what all keys share.
    pub(in super::super) fn takes(&self, key: &[u8]) -> bool {
        // Not by `memcmp`, which reads under a mask: what has just been put together waits for that until
        // all is written. It took a tenth of a fold.
        common_prefix(&self.prefix, key) == self.prefix.len()
    }

    /// Whether there is no key yet.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.block.keys == 0 && self.stored.lens.len() == 0
    }

    /// Whether the next key is the first of a block.
    #[inline]
    pub(in super::super) fn is_at_start(&self) -> bool {
        self.block.keys == 0 || self.block.keys >= KEYS
    }

    /// Appends a key that is greater than the one before it, and shares so many bytes with that.
    pub(in super::super) fn push(&mut self, key: &[u8], shared: usize) -> Result<(), OutOfMemory> {
        let (slot, from) = self.begin(key, shared)?;
        self.block.add_text(slot, &key[from..])
    }

    /// Appends the key of another block's slot, `key`, which is greater than the one before it, and shares so
    /// many bytes with that; `None` if it is damaged.
    pub(in super::super) fn pass_key(
        &mut self,
        source: &SourceBlocks<'s>,
        slot: usize,
        key: &[u8],
        shared: usize,
    ) -> Result<Option<()>, OutOfMemory> {
        if self.prefix.len() < source.prefix().len()
            && (self.is_at_start() || shared < source.prefix().len())
        {
            // What is not stored anywhere is part of it.
            return self.push(key, shared).map(Some);
        }
        let (to, from) = self.begin(key, shared)?;
        self.put_rest(source, slot, to, from)
    }

    /// Begins a key, and a block if it has to be the first of one. Answers its slot, and from which byte on it is
    /// stored.
    fn begin(&mut self, key: &[u8], shared: usize) -> Result<(usize, usize), OutOfMemory> {
        let is_head = self.is_at_start();
        if is_head && !self.is_empty() {
            self.start_block(&key[..=shared])?;
        }
        self.note_len(key.len());
        if !is_head {
            return Ok((self.block.add(shared), shared));
        }
        self.block.common = key.len();
        Ok((self.block.add(key.len()), self.prefix.len()))
    }

    /// Has the rest of a key of another block, from a byte on, be what is stored of one.
    fn put_rest(
        &mut self,
        source: &SourceBlocks<'s>,
        slot: usize,
        to: usize,
        from: usize,
    ) -> Result<Option<()>, OutOfMemory> {
        let Self { block, encoder, .. } = self;
        let put = source.put_rest(slot, from, encoder.as_ref(), &mut block.parts)?;
        block.add_parts(to);
        Ok(put)
    }

    /// Ends the block before the next one, of whose keys `separator` is the start of the first.
    fn start_block(&mut self, separator: &[u8]) -> Result<(), OutOfMemory> {
        if self.block.keys > 0 {
            self.close_block()?;
        }
        self.separators.push(separator)
    }

    /// Appends the keys of a full block as they are, where a block starts. `separator` is as much of the
    /// first one as tells it from the last.
    pub(in super::super) fn pass_block(
        &mut self,
        source: &SourceBlocks<'s>,
        separator: &[u8],
    ) -> Result<(), OutOfMemory> {
        if !self.is_empty() {
            self.start_block(separator)?;
        }
        if self.encoder.is_none() {
            for (shared, (_, len)) in source.steps(0..source.len()) {
                self.note_len(shared + len);
            }
        }
        self.stored.push(source.stored())
    }

    /// Appends keys of another block behind a key of this one, each of which shares with the one before it
    /// what it shares with the one before it there; as many as there is room for. Answers how many.
    #[inline]
    pub(in super::super) fn pass_run(
        &mut self,
        source: &SourceBlocks<'s>,
        slots: Range<usize>,
    ) -> usize {
        let block = &mut self.block;
        let first = block.keys;
        let to = block.shared[first..].iter_mut().zip(&mut block.stored[first..]);
        let (mut least, mut count) = (block.common, 0);
        for ((to, stored), (shared, suffix)) in to.zip(source.steps(slots)) {
            (*to, *stored) = (shared as u16, suffix);
            least = least.min(shared);
            count += 1;
        }
        (block.common, block.keys) = (least, first + count);
        if self.encoder.is_none() {
            for slot in first..first + count {
                let len = usize::from(self.block.shared[slot]) + self.block.stored[slot].1;
                self.note_len(len);
            }
        }
        count
    }

    /// Appends a key of another block behind another one of this block, with which it shares so many bytes, which
    /// is more than it shares with the one before it there; `None` if it is damaged.
    pub(in super::super) fn pass_rest(
        &mut self,
        source: &SourceBlocks<'s>,
        slot: usize,
        shared: usize,
    ) -> Result<Option<()>, OutOfMemory> {
        if self.encoder.is_none() {
            self.note_len(source.key_len(slot) as usize);
        }
        let (to, before) = (self.block.add(shared), self.block.parts.len());
        let put = self.put_rest(source, slot, to, shared)?;
        Ok(put.filter(|()| self.block.parts.len() > before))
    }

    #[inline]
    fn note_len(&mut self, len: usize) {
        self.lens = (self.lens.0.min(len), self.lens.1.max(len));
    }

    /// Whether the keys of the blocks so far are still as they would be stored if all were written at once, as
    /// far as that can be told in passing: each can be written, symbols do not make the new ones longer, those that
    /// were cut leave few codes more, and text is not numbers.
    fn is_worth_it(&self) -> bool {
        let (text, codes) = self.encoded;
        let (shortest, longest) = self.lens;
        let is_numbers =
            self.encoder.is_none() && shortest == longest && (1..=MAX_WIDTH).contains(&longest);
        let has_few_more = self.more_codes <= self.stored.blocks.len() / MOST_MORE;
        self.is_whole && codes <= text && has_few_more && !is_numbers
    }

    /// For how many keys that come or go it counts that there are more codes now than symbols were cut: if a fourth of
    /// all were, for all keys.
    pub(in super::super) fn worn_keys(&self, keys: u64) -> u64 {
        let worn = 4 * self.more_codes as u64 * keys;
        worn.checked_div(self.stored.blocks.len() as u64).unwrap_or(0)
    }

    fn close_block(&mut self) -> Result<(), OutOfMemory> {
        let Self { block, encoder, codes, encoded, out, prefix, .. } = self;
        let (keys, spans) = (block.keys, &block.spans[..block.texts]);
        let mut stored: [Text<'_>; KEYS] = block.stored;
        for (slot, parts) in block.parts() {
            stored[slot] = parts;
        }
        let slots = block.slots.iter().map(|slot| usize::from(*slot));
        if let Some(encoder) = encoder {
            codes.encode(encoder, &block.text.bytes, spans)?;
            for (slot, codes) in slots.zip(codes.texts()) {
                stored[slot] = codes;
                encoded.1 += codes.1;
            }
            encoded.0 += spans.iter().map(|(start, end)| (end - start) as usize).sum::<usize>();
        } else {
            for (slot, &(start, end)) in slots.zip(spans) {
                stored[slot] = (&block.text.bytes[start as usize..], (end - start) as usize);
            }
        }
        let shared = (&block.shared[..keys], block.common);
        let common = block.common - prefix.len();
        self.is_whole &= put_chained(common, shared, &stored[..keys], out)?;
        self.more_codes += block.clear();
        self.stored.push(&self.out)
    }

    /// The finished blocks, of which there is one at least, and the tree over them; `None` if they would be
    /// stored in another way by now.
    pub(in super::super) fn finish(mut self) -> Result<Option<FinishedFront<'b>>, OutOfMemory> {
        let keys_of_last = match self.block.keys {
            0 => KEYS,
            keys => {
                self.close_block()?;
                keys
            }
        };
        if !self.is_worth_it() {
            return Ok(None);
        }
        let Self { bump, prefix, stored, separators, .. } = self;
        let finished =
            FinishedFront::of_stored(bump, stored, &separators, BLOCK_SHIFT, prefix, keys_of_last)?;
        Ok(Some(finished))
    }
}
