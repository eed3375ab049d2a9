//! The blocks of a segment, one after the other, of which most keys are copied as they are stored.

use super::block::{Block, MAX_KEYS, Suffix, Text};
use super::buffer::KeyBuffer;
use super::encode::Encoder;
use super::parts::Parts;
use super::symbols::{Met, Piece};
use super::wanted::Wanted;
use super::{BLOCK_SHIFT, Form, Front, FrontKeys, KeyBlock, no_block};
use crate::arena::OutOfMemory;
use crate::bytes::common_prefix;
use crate::error::{Corruption, Error};
use crate::key::MAX_KEY_LEN;
use crate::planted::{Bug, planted};
use std::ops::Range;

/// Where a search goes on: behind a key that is less and shares so many bytes with the one wanted.
#[derive(Clone, Copy)]
pub(in super::super) struct Behind {
    /// The slot of the next key.
    pub(in super::super) at: usize,
    pub(in super::super) shared: usize,
}

/// Where a key is among those of a block, or would be.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct Slot {
    pub(in super::super) at: usize,
    pub(in super::super) is_there: bool,
    /// What it shares with the keys before and behind it, if it is not there, and they are.
    pub(in super::super) shared: (usize, usize),
}

/// Of a key: what it shares with the one before it, and where that is what is stored of the rest.
#[derive(Clone, Copy, Default)]
struct Step {
    shared: u32,
    at: u32,
    len: u32,
}

/// The blocks of a segment, one after the other.
pub(in super::super) struct SourceBlocks<'a> {
    keys: FrontKeys<'a>,
    front: Front<'a>,
    number: u64,
    block: Block<'a>,
    /// Of each key. The head shares the prefix.
    steps: [Step; MAX_KEYS],
    len: usize,
    /// A key that was put together, and its slot.
    key: KeyBuffer,
    key_slot: Option<usize>,
}

impl<'a> SourceBlocks<'a> {
    /// The first block, if there are any, and they are such as are spliced.
    pub(in super::super) fn new(keys: FrontKeys<'a>) -> Result<Option<Self>, Corruption> {
        let front = keys.front()?;
        if keys.entries == 0 || front.form != Form::Chained || front.shift != BLOCK_SHIFT {
            return Ok(None);
        }
        let KeyBlock::Chained(block) = keys.block(&front, 0)? else { return Ok(None) };
        let (steps, key) = ([Step::default(); MAX_KEYS], KeyBuffer::default());
        let mut new = Self { keys, front, number: 0, block, steps, len: 0, key, key_slot: None };
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
        let Block { head, mut rest, len, .. } = self.block;
        let prefix_len = self.front.prefix.len();
        let head_at = len - rest.bytes.len() - rest.tags.len() - head.len();
        // A block has no more bytes than 32 keys.
        let step = |shared: usize, at: usize, len: usize| Step {
            shared: shared as u32,
            at: at as u32,
            len: len as u32,
        };
        self.steps[0] = step(prefix_len, head_at, head.len());
        self.len = 1;
        self.key_slot = None;
        let mut longest = 0;
        for (&tag, to) in rest.tags.iter().zip(&mut self.steps[1..]) {
            let Some(Suffix { shared, bytes }) = rest.take(tag) else { break };
            *to = step(prefix_len + shared, len - rest.bytes.len() - bytes.len(), bytes.len());
            longest = longest.max(prefix_len + shared).max(bytes.len());
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
    #[inline]
    pub(in super::super) fn len(&self) -> usize {
        self.len
    }

    /// Whether it has as many keys as a block may have.
    pub(in super::super) fn is_full(&self) -> bool {
        self.len == 1 << BLOCK_SHIFT
    }

    /// All of it, as it is stored.
    pub(super) fn stored(&self) -> &'a [u8] {
        self.block.tail.get(..self.block.len).unwrap_or(&[])
    }

    /// What a key shares with the one before it.
    #[inline]
    pub(in super::super) fn shared(&self, slot: usize) -> usize {
        self.steps[slot].shared as usize
    }

    /// What is stored of the rest, and whatever follows that.
    #[inline]
    fn suffix(&self, slot: usize) -> Text<'a> {
        let Step { at, len, .. } = self.steps[slot];
        (self.block.tail.get(at as usize..).unwrap_or(&[]), len as usize)
    }

    /// Both of each of some keys.
    #[inline]
    pub(super) fn steps(&self, slots: Range<usize>) -> impl Iterator<Item = (usize, Text<'a>)> {
        slots.map(|slot| (self.shared(slot), self.suffix(slot)))
    }

    /// What is stored of the rest, of codes or not.
    #[inline]
    pub(super) fn piece(&self, slot: usize) -> Piece<'a> {
        let (suffix, len) = self.suffix(slot);
        Piece::new(suffix, len, self.block.symbols)
    }

    /// Bytes of the key at a slot.
    pub(in super::super) fn key_len(&self, slot: usize) -> u64 {
        (self.shared(slot) + self.piece(slot).decoded_len()) as u64
    }

    /// The least of what keys share with the one before them: those from one slot up to another one.
    #[inline]
    pub(in super::super) fn least_shared(&self, from: usize, to: usize) -> usize {
        let steps = self.steps.get(from..to).unwrap_or(&[]);
        steps.iter().fold(usize::MAX, |least, step| least.min(step.shared as usize))
    }

    /// Where `key` would be; from a place on, if it is known to be behind that.
    ///
    /// As a search for a get, but for what it tells of a key that is not there.
    pub(in super::super) fn search(&self, key: &[u8], behind: Option<Behind>) -> Slot {
        let not_there = |at, shared| Slot { at, is_there: false, shared };
        let prefix = self.front.prefix;
        let start = || Behind { at: 0, shared: common_prefix(prefix, key) };
        let Behind { at: first, shared: mut matched } = behind.unwrap_or_else(start);
        if first == 0 && matched < prefix.len() {
            let slot = if key < prefix { 0 } else { self.len };
            return not_there(slot, (matched, matched));
        }
        let wanted = Wanted::new(key);
        for slot in first..self.len {
            let shared = self.shared(slot);
            // It goes on like the one before it, where that differs from `key`: it is below too.
            if shared > matched {
                continue;
            }
            // It grew larger than the one before it where that and `key` agree.
            if shared < matched && !planted(Bug::BlockSearchPassesBy) {
                return not_there(slot, (matched, shared));
            }
            let (suffix, len) = self.suffix(slot);
            let suffix = suffix.get(..len).unwrap_or(&[]);
            let met = match self.block.symbols {
                Some(symbols) => symbols.meet(suffix, &wanted, matched),
                None => Met::of_text(suffix, key, matched),
            };
            match met {
                Met::Below(now) => matched = now,
                Met::Equal => return Slot { at: slot, is_there: true, shared: (0, 0) },
                Met::Above(now) => return not_there(slot, (matched, now)),
            }
        }
        not_there(self.len, (matched, 0))
    }

    /// Appends what is stored of the key at `slot` from a byte on, which is behind the prefix; `None` if it is
    /// damaged. `encoder` is that of the symbols, if there are any.
    pub(super) fn put_rest(
        &self,
        slot: usize,
        start: usize,
        encoder: Option<&Encoder>,
        parts: &mut Parts,
    ) -> Result<Option<()>, OutOfMemory> {
        // Of the pieces, only those that give it some bytes from there on.
        let mut wanted = 1u32 << slot;
        let mut least = self.shared(slot);
        for before in (0..slot).rev() {
            if least <= start {
                break;
            }
            if self.shared(before) < least {
                least = self.shared(before);
                wanted |= 1 << before;
            }
        }
        while wanted != 0 {
            let slot = wanted.trailing_zeros() as usize;
            wanted &= wanted - 1;
            let from = self.shared(slot);
            let next = wanted.trailing_zeros() as usize;
            let end = (wanted != 0).then(|| self.shared(next) - from);
            let part = parts.push(self.piece(slot), start.saturating_sub(from), end, encoder)?;
            if part.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// The key at `slot`.
    pub(in super::super) fn key(&mut self, slot: usize) -> Result<&[u8], Error> {
        // From another one on, if that is before it.
        let from = self.key_slot.take().filter(|from| *from <= slot);
        let first = from.map_or(1, |from| from + 1);
        // Of the pieces between, only those that give it some bytes.
        let mut wanted = if from == Some(slot) { 0 } else { 1u32 << slot };
        let mut room = self.piece(slot).bound();
        let mut shared = self.shared(slot);
        for before in (first..slot).rev() {
            if self.shared(before) < shared {
                shared = self.shared(before);
                wanted |= 1 << before;
                room += self.piece(before).bound();
            }
        }
        if from.is_none() {
            wanted |= 1;
            let prefix = self.front.prefix;
            self.key.try_reserve(prefix.len() + self.piece(0).bound() + room)?;
            let whole = Piece::new(prefix, prefix.len(), None);
            self.key.replace(0, whole).ok_or_else(|| self.damaged())?;
        } else {
            self.key.try_reserve(self.key.len() + room)?;
        }
        while wanted != 0 {
            let slot = wanted.trailing_zeros() as usize;
            let (shared, suffix) = (self.shared(slot), self.piece(slot));
            if shared > self.key.len() {
                return Err(self.damaged().into());
            }
            self.key.replace(shared, suffix).ok_or_else(|| self.damaged())?;
            wanted &= wanted - 1;
        }
        self.key_slot = Some(slot);
        Ok(self.key.as_slice())
    }

    /// The key that was put together last.
    pub(in super::super) fn told(&self) -> &[u8] {
        self.key.as_slice()
    }

    /// That of a damaged block.
    #[cold]
    pub(in super::super) fn damaged(&self) -> Corruption {
        no_block(self.number)
    }
}
