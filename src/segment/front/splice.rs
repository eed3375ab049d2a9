//! Keys of another segment with a few more and a few less, as far as possible in the bytes that they
//! have there.
//!
//! What is stored of a key depends on the one before it and, where a block begins, on what all keys
//! share. So between two keys that are new or gone, suffixes are copied; only what comes behind those,
//! and the heads of blocks, are put together and written anew. Symbols stay what they are.

use super::super::int::MAX_WIDTH;
use super::block::{Block, BlockStage, MAX_KEYS, Text};
use super::buffer::KeyBuffer;
use super::build::{FinishedFront, Separators};
use super::cut::{Codes, REACH};
use super::encode::Encoder;
use super::recode::CodedBlocks;
use super::symbols::Piece;
use super::wanted::Wanted;
use super::{BLOCK_SHIFT, Form, Front, FrontKeys, KeyBlock, no_block};
use crate::arena::{OutOfMemory, replace};
use crate::bytes::strip_prefix;
use crate::error::{Corruption, Error};
use crate::key::MAX_KEY_LEN;
use bumpalo::Bump;

/// Blocks being put together.
pub(in super::super) struct SpliceStage<'b> {
    bump: &'b Bump,
    /// What all keys share.
    prefix: Vec<u8>,
    /// Of codes, if there are symbols.
    encoder: Option<Encoder>,
    /// The block on its way, as it is stored.
    block: BlockStage,
    stored: CodedBlocks<'b>,
    separators: Separators<'b>,
    codes: Codes,
    out: Vec<u8>,
    /// Bytes of text that were encoded, and of their codes.
    encoded: (usize, usize),
    /// The lengths of the shortest and the longest key, unless there are symbols.
    lens: (usize, usize),
}

impl<'b> SpliceStage<'b> {
    /// No keys yet, to be stored as these are, all of which will begin with `shared`.
    pub(in super::super) fn new(
        bump: &'b Bump,
        keys: FrontKeys<'_>,
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
            block: BlockStage::default(),
            stored: CodedBlocks::new(bump, symbols),
            separators: Separators::new(bump),
            codes: Codes::default(),
            out: Vec::new(),
            encoded: (0, 0),
            lens: (usize::MAX, 0),
        })
    }

    /// Bytes of a key at most, so that what is stored of it has no more than can be written.
    pub(in super::super) fn longest(&self) -> usize {
        // A byte has two codes at most.
        if self.encoder.is_some() { MAX_KEY_LEN / 2 } else { MAX_KEY_LEN }
    }

    /// Whether a key begins with what all keys share.
    pub(in super::super) fn takes(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix)
    }

    /// Whether there is no key yet.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.block.len() == 0
    }

    /// Whether the next key is the first of a block.
    #[inline]
    pub(in super::super) fn is_at_start(&self) -> bool {
        self.block.len() == 0 || self.block.len() >= 1 << BLOCK_SHIFT
    }

    /// Appends a key that is greater than the one before it, and shares so many bytes with that.
    pub(in super::super) fn push(&mut self, key: &[u8], shared: usize) -> Result<(), OutOfMemory> {
        let is_first = self.block.len() == 0;
        let is_head = self.is_at_start();
        if is_head && !is_first {
            self.close_block()?;
            self.separators.push(&key[..=shared])?;
        }
        let text = if is_head { &key[self.prefix.len()..] } else { &key[shared..] };
        let mut stored = (text, text.len());
        if let Some(encoder) = &self.encoder {
            self.out.clear();
            self.out.try_reserve(text.len() + REACH)?;
            self.out.extend_from_slice(text);
            self.out.extend_from_slice(&[0; REACH]);
            self.codes.encode(encoder, &self.out, &[(0, text.len() as u32)])?;
            self.encoded.0 += text.len();
            stored = self.codes.texts().next().unwrap_or_default();
            self.encoded.1 += stored.1;
        }
        self.lens = (self.lens.0.min(key.len()), self.lens.1.max(key.len()));
        if is_head {
            self.block.start(&stored.0[..stored.1], key.len())
        } else {
            self.block.append(shared, stored)
        }
    }

    /// Appends a key behind another one of the same block, with which it shares so many bytes, and for
    /// the rest of which this is stored.
    #[inline]
    pub(in super::super) fn pass(
        &mut self,
        shared: usize,
        suffix: Text<'_>,
    ) -> Result<(), OutOfMemory> {
        self.block.append(shared, suffix)?;
        let len = shared + suffix.1;
        self.lens = (self.lens.0.min(len), self.lens.1.max(len));
        Ok(())
    }

    /// Whether the keys are still as they would be stored if all were written at once, as far as that can
    /// be told in passing: symbols do not make the new ones longer, and text is not numbers.
    pub(in super::super) fn is_worth_it(&self) -> bool {
        let (text, codes) = self.encoded;
        let (shortest, longest) = self.lens;
        let is_numbers =
            self.encoder.is_none() && shortest == longest && (1..=MAX_WIDTH).contains(&longest);
        codes <= text && !is_numbers
    }

    fn close_block(&mut self) -> Result<(), OutOfMemory> {
        let Self { block, out, prefix, .. } = self;
        out.clear();
        block.put_whole(block.head(), prefix.len(), out)?;
        block.clear();
        self.stored.push(out)
    }

    /// The finished blocks, of which there is one at least, and the tree over them.
    pub(in super::super) fn finish(mut self) -> Result<FinishedFront<'b>, OutOfMemory> {
        let keys_of_last = self.block.len();
        self.close_block()?;
        let Self { bump, prefix, stored, separators, .. } = self;
        FinishedFront::of_stored(bump, stored, &separators, BLOCK_SHIFT, prefix, keys_of_last)
    }
}

/// Where a key is among those of a block, or would be.
#[derive(Clone, Copy)]
pub(in super::super) struct Slot {
    pub(in super::super) slot: usize,
    pub(in super::super) is_there: bool,
}

/// The blocks of a segment, one after the other.
pub(in super::super) struct SourceBlocks<'a> {
    keys: FrontKeys<'a>,
    front: Front<'a>,
    number: u64,
    block: Block<'a>,
    /// Of each key: what it shares with the one before it, and what is stored of the rest. The head
    /// shares the prefix.
    steps: [(usize, Text<'a>); MAX_KEYS],
    len: usize,
}

impl<'a> SourceBlocks<'a> {
    /// The first block, if there are any, and they are such as are spliced.
    pub(in super::super) fn new(keys: FrontKeys<'a>) -> Result<Option<Self>, Corruption> {
        let front = keys.front()?;
        if keys.entries == 0 || front.form != Form::Chained || front.shift != BLOCK_SHIFT {
            return Ok(None);
        }
        let KeyBlock::Chained(block) = keys.block(&front, 0)? else { return Ok(None) };
        let steps = [(0, (&[][..], 0)); MAX_KEYS];
        let mut new = Self { keys, front, number: 0, block, steps, len: 0 };
        new.read()?;
        Ok(Some(new))
    }

    /// Goes to the next block; false if there is none.
    pub(in super::super) fn next(&mut self) -> Result<bool, Corruption> {
        if self.number + 1 >= self.front.tree.shape.blocks {
            return Ok(false);
        }
        self.number += 1;
        if let KeyBlock::Chained(block) = self.keys.block(&self.front, self.number)? {
            self.block = block;
        }
        self.read()?;
        Ok(true)
    }

    fn read(&mut self) -> Result<(), Corruption> {
        let prefix_len = self.front.prefix.len();
        let (common, head) = self.block.start();
        self.steps[0] = (prefix_len, head);
        self.len = 1;
        let mut longest = 0;
        for ((shared, suffix), step) in self.block.steps().zip(&mut self.steps[1..]) {
            *step = (prefix_len + common + shared, suffix);
            longest = longest.max(step.0).max(suffix.1);
            self.len += 1;
        }
        let is_whole = self.len as u64 == (self.keys.entries - self.first()).min(1 << BLOCK_SHIFT);
        if is_whole && longest <= MAX_KEY_LEN { Ok(()) } else { Err(self.damaged()) }
    }

    /// What all keys start with.
    pub(in super::super) fn prefix(&self) -> &'a [u8] {
        self.front.prefix
    }

    /// The ordinal of its first key.
    pub(in super::super) fn first(&self) -> u64 {
        self.number << BLOCK_SHIFT
    }

    /// Number of its keys.
    pub(in super::super) fn len(&self) -> usize {
        self.len
    }

    /// What a key but the first shares with the one before it, and what is stored of the rest, whatever
    /// follows that.
    #[inline]
    pub(in super::super) fn step(&self, slot: usize) -> (usize, Text<'a>) {
        self.steps[slot]
    }

    /// Bytes of the key at a slot.
    pub(in super::super) fn key_len(&self, slot: usize) -> u64 {
        let (shared, (suffix, len)) = self.steps[slot];
        (shared + Piece::new(suffix, len, self.block.symbols()).decoded_len()) as u64
    }

    /// Where `key` would be.
    pub(in super::super) fn search(&self, key: &[u8]) -> Result<Slot, Corruption> {
        let Some(rest) = strip_prefix(key, self.front.prefix) else {
            let slot = if key < self.front.prefix { 0 } else { self.len };
            return Ok(Slot { slot, is_there: false });
        };
        match self.block.search(&Wanted::new(rest)).ok_or_else(|| self.damaged())? {
            Ok(slot) => Ok(Slot { slot, is_there: true }),
            Err(slot) => Ok(Slot { slot, is_there: false }),
        }
    }

    /// Makes `key` the one at `slot`.
    pub(in super::super) fn key(&self, slot: usize, key: &mut KeyBuffer) -> Result<(), Error> {
        let symbols = self.block.symbols();
        let piece = |slot: usize| {
            let (shared, (suffix, len)) = self.steps[slot];
            (shared, Piece::new(suffix, len, symbols))
        };
        // Of the pieces before it, only those that give it some bytes.
        let (mut wanted, mut room) = (1u32 << slot, piece(slot).1.bound());
        let mut shared = self.steps[slot].0;
        for before in (1..slot).rev() {
            if self.steps[before].0 < shared {
                shared = self.steps[before].0;
                wanted |= 1 << before;
                room += piece(before).1.bound();
            }
        }
        wanted |= 1;
        let prefix = self.front.prefix;
        key.try_reserve(prefix.len() + piece(0).1.bound() + room)?;
        let damaged = || self.damaged();
        let whole = Piece::new(prefix, prefix.len(), None);
        key.replace(0, whole).ok_or_else(damaged)?;
        while wanted != 0 {
            let (shared, suffix) = piece(wanted.trailing_zeros() as usize);
            if shared > key.len() {
                return Err(damaged().into());
            }
            key.replace(shared, suffix).ok_or_else(damaged)?;
            wanted &= wanted - 1;
        }
        Ok(())
    }

    /// That of a damaged block.
    #[cold]
    pub(in super::super) fn damaged(&self) -> Corruption {
        no_block(self.number)
    }
}
