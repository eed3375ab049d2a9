//! Keys in front-coded blocks: each key as what it adds to the one before, found through a tree.
//!
//! A get takes a step in each level of the tree over the blocks ([`tree`]), and then walks along the
//! differences of one block ([`block`]) without putting a key together. What all keys of the segment
//! share is stored once, in front of the tree.

mod block;
mod buffer;
mod build;
mod codes;
mod cut;
mod direct;
mod encode;
mod find;
mod forms;
mod parts;
mod pass;
mod recode;
mod source;
mod splice;
mod spread;
mod symbols;
mod tags;
#[cfg(test)]
mod tests;
mod train;
mod tree;
mod unfold;
mod verify;
mod walk;
mod wanted;
mod weave;

pub(super) use buffer::KeyBuffer;
pub(super) use build::{FinishedFront, FrontStage};
pub(super) use find::{DirectKeys, DirectSearch, find};
pub(super) use forms::Form;
pub(super) use pass::FrontBlock;
pub(super) use recode::Coding;
pub(super) use source::{Behind, Slot, SourceBlocks};
pub(super) use splice::SpliceStage;
pub(super) use walk::FrontWalk;
pub(super) use wanted::Wanted;

use super::format::Section;
use crate::arena::{CACHE_LINE, prefetch};
use crate::blocks::Bytes;
use crate::bytes::strip_prefix;
use crate::error::Corruption;
use block::{MAX_BLOCK_LEN, MAX_KEYS};
use forms::KeyBlock;
use std::ops::RangeInclusive;
use symbols::{SymbolList, Symbols, TABLE_LEN};
use tree::{Leaf, Reached, Shape, Tree};

/// Keys of a block, as the power of two, unless a test wants others.
pub(super) const BLOCK_SHIFT: u32 = 4;

/// Cache lines of a block that a search asks for at most, before it knows which ones it needs.
const ASKED_LINES: usize = 8;

/// What an image may say.
const BLOCK_SHIFTS: RangeInclusive<u32> = 3..=5;

// The front of the index section, field after field; then the prefix, and zeros to 64.
const PREFIX_LEN_AT: usize = 0;
const SHIFT_AT: usize = PREFIX_LEN_AT + 2;
const ZEROS_AT: usize = SHIFT_AT + 1;
const PREFIX_AT: usize = ZEROS_AT + 5;

const _: () = assert!(MAX_KEYS == 1 << *BLOCK_SHIFTS.end());

/// The front ends at a multiple of this, so that nodes start at cache lines.
const ALIGN: usize = 64;

const INDEX: Section = Section::HeadIndex;
const TAILS: Section = Section::HeadTails;
const BLOCKS: Section = Section::KeyBlocks;
const SYMBOLS: Section = Section::Symbols;

/// Bytes of an offset into the blocks.
fn offset_width(blocks_len: usize) -> usize {
    if u32::try_from(blocks_len).is_ok() { 4 } else { 8 }
}

/// Bytes before the root of the tree.
fn front_len(prefix_len: usize) -> usize {
    (PREFIX_AT + prefix_len).next_multiple_of(ALIGN)
}

/// What the front of the index says, but for the prefix, and what follows from it for every get.
#[derive(Clone, Copy)]
pub(super) struct FrontHead {
    prefix_len: usize,
    /// Keys of a block, as the power of two.
    shift: u32,
    form: Form,
    tree: Shape,
}

impl FrontHead {
    /// Reads the front of the index over so many entries in blocks of this form and so many bytes, and
    /// checks in constant time that the index is as long as these need.
    pub(super) fn read(
        index: Bytes<'_>,
        blocks_len: usize,
        entries: u64,
        form: Form,
    ) -> Result<Self, Corruption> {
        // A leaf is longer than its number of keys: so their number and all that follows from it
        // is small enough to be computed with.
        if entries > index.len() as u64 * 8 {
            return Err(damaged(INDEX, 0, LEN));
        }
        let fields = index.get(0..PREFIX_AT)?;
        let prefix_len = u16::from_le_bytes([fields[PREFIX_LEN_AT], fields[PREFIX_LEN_AT + 1]]);
        let prefix_len = usize::from(prefix_len);
        let shift = u32::from(fields[SHIFT_AT]);
        if !BLOCK_SHIFTS.contains(&shift) {
            return Err(damaged(INDEX, SHIFT_AT, "blocks have 8, 16 or 32 keys"));
        }
        let tree = Shape {
            blocks: (entries >> shift) + u64::from(entries & ((1 << shift) - 1) != 0),
            offset_width: offset_width(blocks_len),
            front: front_len(prefix_len),
        };
        if tree.end() != Some(index.len()) {
            return Err(damaged(INDEX, 0, LEN));
        }
        Ok(Self { prefix_len, shift, form, tree })
    }
}

/// The stored keys of a segment.
#[derive(Clone, Copy)]
pub(super) struct FrontKeys<'a> {
    head: FrontHead,
    index: Bytes<'a>,
    tails: Bytes<'a>,
    blocks: Bytes<'a>,
    symbols: Bytes<'a>,
    entries: u64,
}

/// What the front of the index says.
#[derive(Clone, Copy)]
struct Front<'a> {
    /// What all keys start with.
    prefix: &'a [u8],
    /// Keys of a block, as the power of two.
    shift: u32,
    form: Form,
    tree: Tree<'a>,
}

impl Front<'_> {
    /// The block of key `ordinal`, and its place there.
    #[inline]
    fn place(&self, ordinal: u64) -> (u64, usize) {
        (ordinal >> self.shift, (ordinal & ((1 << self.shift) - 1)) as usize)
    }
}

impl<'a> FrontKeys<'a> {
    /// The keys of `entries` entries in their sections, of which this is the head.
    #[inline]
    pub(super) fn new(
        head: FrontHead,
        [index, tails, blocks, symbols]: [Bytes<'a>; 4],
        entries: u64,
    ) -> Self {
        Self { head, index, tails, blocks, symbols, entries }
    }

    /// Number of keys.
    #[inline]
    pub(super) fn len(self) -> u64 {
        self.entries
    }

    /// Checks in constant time what is not checked with the head.
    pub(super) fn check_frame(self) -> Result<(), Corruption> {
        if self.entries == 0 && !(self.tails.is_empty() && self.blocks.is_empty()) {
            return Err(damaged(BLOCKS, 0, "there are no blocks without keys"));
        }
        let symbols = self.symbols.len();
        if symbols != 0 && (symbols != TABLE_LEN || self.entries == 0) {
            return Err(damaged(SYMBOLS, 0, "there are 2,304 bytes of symbols, or none"));
        }
        Ok(())
    }

    /// What the bytes of heads and suffixes stand for, unless for themselves.
    #[inline]
    fn symbols(&self) -> Result<Option<Symbols<'a>>, Corruption> {
        if self.symbols.is_empty() {
            return Ok(None);
        }
        Ok(Symbols::of(self.symbols.all()?))
    }

    /// The symbols in a list, unless bytes stand for themselves.
    fn symbol_list(self) -> Result<Option<SymbolList>, Corruption> {
        let rule = "symbols have 1 to 8 bytes and ascend, and zeros follow them";
        let list = |symbols: Symbols<'_>| symbols.check().ok_or_else(|| damaged(SYMBOLS, 0, rule));
        self.symbols()?.map(list).transpose()
    }

    #[inline]
    fn front(&self) -> Result<Front<'a>, Corruption> {
        let FrontHead { prefix_len, shift, form, tree: shape } = self.head;
        let prefix = match prefix_len {
            0 => &[],
            _ => self.index.get(PREFIX_AT..PREFIX_AT + prefix_len)?,
        };
        let tree = Tree { shape, nodes: self.index, tails: self.tails };
        Ok(Front { prefix, shift, form, tree })
    }

    /// The ordinal of `key`: `Ok` if it is there, else `Err` with that of the next larger one.
    /// `expect` is told early of the first of the ordinals that it may be.
    #[inline]
    pub(super) fn search(
        &self,
        key: &[u8],
        expect: impl FnOnce(u64),
    ) -> Result<Result<u64, u64>, Corruption> {
        self.search_below(key, expect, None)
    }

    /// As [`search`](Self::search). `is_last`, if there is one, is called once what the search reads next is
    /// on its way, if it comes so far. Where it says no, the answer means nothing.
    #[expect(clippy::inline_always, reason = "what a get has made for itself is not copied then")]
    #[inline(always)]
    pub(super) fn search_below(
        &self,
        key: &[u8],
        expect: impl FnOnce(u64),
        is_last: Option<&mut dyn FnMut() -> bool>,
    ) -> Result<Result<u64, u64>, Corruption> {
        let (front, rest) = match self.enter(key)? {
            Ok(entered) => entered,
            Err(beyond) => return Ok(Err(beyond)),
        };
        let wanted = Wanted::new(rest);
        let leaf = front.tree.descend(&wanted)?;
        let reached = front.tree.arrive(leaf, &wanted)?;
        expect(reached.block << front.shift);
        let span = self.span(&front, reached)?;
        if let Some(is_last) = is_last {
            prefetch(self.blocks.admitted(), span.start);
            prefetch(self.blocks.admitted(), span.start + CACHE_LINE);
            if !is_last() {
                return Ok(Err(0));
            }
        }
        self.search_block(&front, span, &wanted)
    }

    /// Begins a search that asks for memory a step before it reads it; `None` if it is known at once
    /// that `key` is not there. `wanted` becomes what the search goes by.
    #[inline]
    pub(super) fn begin<'k>(
        self,
        key: &'k [u8],
        wanted: &mut Wanted<'k>,
    ) -> Result<Option<FrontSearch<'a>>, Corruption> {
        let mut search = FrontSearch::new(self);
        Ok(search.begin(key, wanted)?.then_some(search))
    }

    /// What a search for `key` goes by, and the key without the prefix; `Err` with the next larger
    /// key's ordinal if `key` is before or behind all keys because of how they begin.
    #[inline]
    fn enter<'k>(&self, key: &'k [u8]) -> Result<Result<(Front<'a>, &'k [u8]), u64>, Corruption> {
        if self.entries == 0 {
            return Ok(Err(0));
        }
        let front = self.front()?;
        let Some(rest) = strip_prefix(key, front.prefix) else {
            return Ok(Err(if key < front.prefix { 0 } else { self.entries }));
        };
        Ok(Ok((front, rest)))
    }

    /// The end of a search: `wanted` among the keys of the block that it would be in.
    #[inline]
    fn search_block(
        &self,
        front: &Front<'a>,
        span: Span,
        wanted: &Wanted<'_>,
    ) -> Result<Result<u64, u64>, Corruption> {
        let ordinal = |slot: usize| (span.block << front.shift) + slot as u64;
        match self.block_in(front, span)?.search(wanted) {
            Some(Ok(slot)) => Ok(Ok(ordinal(slot))),
            Some(Err(slot)) => Ok(Err(ordinal(slot))),
            None => Err(no_block(span.block)),
        }
    }

    /// Appends the key of `ordinal`, which is below the number of keys, to `key`.
    pub(super) fn key_at(self, ordinal: u64, key: &mut Vec<u8>) -> Result<(), Corruption> {
        let front = self.front()?;
        let (number, slot) = front.place(ordinal);
        key.extend_from_slice(front.prefix);
        let start = key.len();
        let block = self.block(&front, number)?;
        block.key_at(slot, key, start).ok_or_else(|| no_block(number))
    }

    /// The block of this number, which exists.
    #[expect(clippy::inline_always, reason = "what a walk has made for itself is not copied then")]
    #[inline(always)]
    fn block(&self, front: &Front<'a>, number: u64) -> Result<KeyBlock<'a>, Corruption> {
        let span = self.span(front, front.tree.reach(number))?;
        self.block_in(front, span)
    }

    /// Where the block that was reached is, inside the section.
    #[expect(clippy::inline_always, reason = "what a get has made for itself is not copied then")]
    #[inline(always)]
    fn span(&self, front: &Front<'a>, reached: Reached) -> Result<Span, Corruption> {
        let (start, end) = front.tree.span(reached)?;
        let end = end.unwrap_or(self.blocks.len() as u64);
        if start > end || end - start > MAX_BLOCK_LEN as u64 || end > self.blocks.len() as u64 {
            return Err(no_block(reached.block));
        }
        Ok(Span { block: reached.block, start: start as usize, end: end as usize })
    }

    /// The block that is there.
    #[expect(clippy::inline_always, reason = "what a walk has made for itself is not copied then")]
    #[inline(always)]
    fn block_in(&self, front: &Front<'a>, span: Span) -> Result<KeyBlock<'a>, Corruption> {
        let (tail, keys) = self.tail(front, span)?;
        let len = span.end - span.start;
        KeyBlock::parse(front.form, tail, len, keys, self.symbols()?)
            .ok_or_else(|| no_block(span.block))
    }

    /// The bytes of a block, with all that follows, and the number of its keys.
    #[inline]
    fn tail(&self, front: &Front<'a>, span: Span) -> Result<(&'a [u8], usize), Corruption> {
        let Span { block, start, end } = span;
        let keys = (self.entries - (block << front.shift)).min(1 << front.shift) as usize;
        let tail = self.blocks.admitted().get(start..).unwrap_or(&[]);
        // Its first bytes say which ones are read next.
        prefetch(tail, CACHE_LINE);
        self.blocks.admit(start..end)?;
        Ok((tail, keys))
    }
}

/// Where a block is among the blocks.
#[derive(Clone, Copy)]
struct Span {
    block: u64,
    start: usize,
    end: usize,
}

/// A search under way. Between two steps, what the next one reads has time to arrive.
pub(super) struct FrontSearch<'a> {
    keys: FrontKeys<'a>,
    at: At,
}

/// Where a search is.
enum At {
    /// Before its first step.
    Start,
    Leaf(Leaf),
    Block(Span),
}

impl<'a> FrontSearch<'a> {
    /// A search that is not begun.
    #[inline]
    pub(super) fn new(keys: FrontKeys<'a>) -> Self {
        Self { keys, at: At::Start }
    }

    /// As [`FrontKeys::begin`], where this stays. Whether the key may be there.
    #[inline]
    pub(super) fn begin<'k>(
        &mut self,
        key: &'k [u8],
        wanted: &mut Wanted<'k>,
    ) -> Result<bool, Corruption> {
        let Ok((front, rest)) = self.keys.enter(key)? else { return Ok(false) };
        wanted.set(rest);
        let leaf = front.tree.descend(wanted)?;
        front.tree.ask_for(leaf);
        self.at = At::Leaf(leaf);
        Ok(true)
    }

    /// Goes on, by what it was begun with; the answer, as that of [`FrontKeys::search`], after the last step.
    /// `expect` is told once, before that, of the first of the ordinals that it may be.
    #[inline]
    pub(super) fn step(
        &mut self,
        wanted: &Wanted<'_>,
        expect: impl FnOnce(u64),
    ) -> Result<Option<Result<u64, u64>>, Corruption> {
        let Self { keys, at } = self;
        let front = &keys.front()?;
        match *at {
            At::Start => {
                debug_assert!(false, "nobody goes on with what was not begun");
                Ok(Some(Err(0)))
            }
            At::Leaf(leaf) => {
                let reached = front.tree.arrive(leaf, wanted)?;
                expect(reached.block << front.shift);
                let span = keys.span(front, reached)?;
                let end = span.end.min(span.start + ASKED_LINES * CACHE_LINE);
                for line in (span.start..end).step_by(CACHE_LINE) {
                    prefetch(keys.blocks.admitted(), line);
                }
                *at = At::Block(span);
                Ok(None)
            }
            At::Block(span) => keys.search_block(front, span, wanted).map(Some),
        }
    }
}

#[cold]
fn no_block(number: u64) -> Corruption {
    damaged(BLOCKS, number as usize, "a block's keys ascend and are inside it")
}

const LEN: &str = "the index has the nodes that the number of keys needs";

#[cold]
fn damaged(section: Section, at: usize, rule: &'static str) -> Corruption {
    Corruption::new(section.part(), at as u64, rule)
}
