//! A position among front-coded keys: one key put together, or many keys of a block.

use super::buffer::KeyBuffer;
use super::{BLOCKS, FrontKeys, damaged, no_block};
use crate::batch::LentKeys;
use crate::error::Corruption;
use crate::range::Direction;
use crate::strings::Strings;
use std::ops::Range;

/// Bytes of keys that are decoded at once, unless a block has more: they stay in the nearest cache.
const MOST_TEXT: usize = 2048;

/// A position.
///
/// A move to a key puts that one together. With the first step up from there all keys behind it in
/// its block are decoded, with a step down or into another block all of a block, and then a step is a
/// number that changes. SCRATCHPAD.md sections 3.2 and 3.6.
#[derive(Default)]
pub(in super::super) struct FrontWalk {
    /// The key it stands on, unless keys are decoded.
    key: KeyBuffer,
    /// Neighbouring keys of the block, that one among them, if they are decoded; else none.
    decoded: Strings,
    /// The key it stood on before it came to the block.
    before: Vec<u8>,
    ordinal: u64,
    /// The place of the key among those that are decoded.
    slot: usize,
}

impl FrontWalk {
    /// The key it stands on.
    #[inline]
    pub(in super::super) fn key(&self) -> &[u8] {
        if self.decoded.len() > 0 { self.decoded.get(self.slot) } else { self.key.as_slice() }
    }

    /// Moves to key `ordinal`, if there is one.
    pub(in super::super) fn go_to(
        &mut self,
        keys: FrontKeys<'_>,
        ordinal: Option<u64>,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = ordinal.filter(|ordinal| *ordinal < keys.len()) else {
            return Ok(None);
        };
        self.decoded.clear();
        let front = keys.front()?;
        let (number, slot) = front.place(ordinal);
        let block = keys.block(&front, number)?;
        block.put_together(slot, front.prefix, &mut self.key).ok_or_else(|| no_block(number))?;
        (self.ordinal, self.slot) = (ordinal, 0);
        Ok(Some(ordinal))
    }

    /// Moves to the next larger key, if that is decoded.
    #[inline]
    pub(in super::super) fn step_up(&mut self) -> Option<u64> {
        if self.slot + 1 >= self.decoded.len() {
            return None;
        }
        self.slot += 1;
        self.ordinal += 1;
        Some(self.ordinal)
    }

    /// Moves to the next smaller key, if that is decoded.
    #[inline]
    pub(in super::super) fn step_down(&mut self) -> Option<u64> {
        if self.slot == 0 || self.decoded.len() == 0 {
            return None;
        }
        self.slot -= 1;
        self.ordinal -= 1;
        Some(self.ordinal)
    }

    /// The keys that are decoded, if there are any, and the place of the one it stands on among them.
    pub(in super::super) fn lend(&self) -> Option<(LentKeys<'_>, usize)> {
        let [start, ends @ ..] = &*self.decoded.bounds else { return None };
        Some((LentKeys::Strings(&self.decoded.bytes, *start, ends), self.slot))
    }

    /// Decodes keys that come next in this direction into `strings`, where there are none: those of a block, or
    /// of as many whole ones as have `most` together. Answers their ordinals, or `None` if there are no more.
    pub(in super::super) fn ahead(
        &self,
        keys: FrontKeys<'_>,
        direction: Direction,
        most: usize,
        strings: &mut Strings,
    ) -> Option<Result<Range<u64>, Corruption>> {
        let next = direction.step(self.ordinal, 1).filter(|next| *next < keys.len())?;
        let mut decode = |most| {
            strings.clear();
            self.decode_from(keys, direction, next, most, strings)
        };
        // Of damage further on, nothing is known before it is reached.
        let decoded = decode(most).or_else(|_| decode(0));
        Some(decoded.inspect_err(|_| strings.clear()))
    }

    fn decode_from(
        &self,
        keys: FrontKeys<'_>,
        direction: Direction,
        next: u64,
        most: usize,
        strings: &mut Strings,
    ) -> Result<Range<u64>, Corruption> {
        let unordered = || damaged(BLOCKS, next as usize, "keys are strictly ascending");
        let front = keys.front()?;
        let (number, slot) = front.place(next);
        let room = MOST_TEXT / self.key().len().max(1);
        let more = (most.min(room) >> front.shift).saturating_sub(1);
        let decode = |number: u64, strings: &mut Strings| {
            let block = keys.block(&front, number)?;
            block.decode(front.prefix, strings, |_| ()).ok_or_else(unordered)
        };
        if direction == Direction::Backward {
            let first = number.saturating_sub(more as u64);
            // Of keys that become longer on the way, those that are farthest are left for the next time.
            let mut kept = first;
            for number in first..=number {
                if strings.text_len() > MOST_TEXT {
                    strings.clear();
                    kept = number;
                }
                decode(number, strings)?;
            }
            let kept = kept << front.shift;
            strings.bounds.truncate((next - kept) as usize + 2);
            let last = strings.get(strings.len().saturating_sub(1));
            return if self.key() > last { Ok(kept..next + 1) } else { Err(unordered()) };
        }
        if let Some(before) = slot.checked_sub(1) {
            let block = keys.block(&front, number)?;
            block
                .decode_from(before, self.key(), front.prefix.len(), strings)
                .filter(|()| strings.len() > 1)
                .ok_or_else(unordered)?;
        } else {
            decode(number, strings)?;
            if self.key() >= strings.get(0) {
                return Err(unordered());
            }
        }
        for number in (number + 1..front.tree.shape.blocks).take(more) {
            if strings.text_len() > MOST_TEXT {
                break;
            }
            decode(number, strings)?;
        }
        if slot > 0 {
            strings.bounds.remove(0);
        }
        Ok(next..next + strings.len() as u64)
    }

    /// Moves to the last of these keys in this direction, of which there are some, and which were found
    /// [`ahead`](Self::ahead) under these ordinals. Nothing has changed, and `None` is answered, if there is no
    /// memory for it.
    pub(in super::super) fn stand_behind(
        &mut self,
        direction: Direction,
        ordinals: &Range<u64>,
        strings: &Strings,
    ) -> Option<u64> {
        let (ordinal, i) = match direction {
            Direction::Forward => (ordinals.end.checked_sub(1)?, strings.len().checked_sub(1)?),
            Direction::Backward => (ordinals.start, 0),
        };
        self.key.set(strings.get(i)).ok()?;
        self.decoded.clear();
        (self.ordinal, self.slot) = (ordinal, 0);
        Some(ordinal)
    }

    /// Moves so many keys on, which there are.
    pub(in super::super) fn pass(
        &mut self,
        keys: FrontKeys<'_>,
        direction: Direction,
        count: usize,
    ) -> Result<Option<u64>, Corruption> {
        let ordinal = direction.step(self.ordinal, count as u64);
        if self.decoded.len() == 0 {
            return self.go_to(keys, ordinal);
        }
        self.slot = match direction {
            Direction::Forward => self.slot + count,
            Direction::Backward => self.slot - count,
        };
        self.ordinal = ordinal.unwrap_or(self.ordinal);
        Ok(ordinal)
    }

    /// Moves to the next larger key.
    pub(in super::super) fn next(
        &mut self,
        keys: FrontKeys<'_>,
    ) -> Result<Option<u64>, Corruption> {
        match self.ordinal.checked_add(1).filter(|next| *next < keys.len()) {
            None => Ok(None),
            Some(ordinal) if self.decoded.len() == 0 => self.go_on(keys, ordinal),
            Some(ordinal) => self.enter(keys, ordinal, |last, key| last < key),
        }
    }

    /// As [`next`](Self::next), from a key that has been put together.
    fn go_on(&mut self, keys: FrontKeys<'_>, ordinal: u64) -> Result<Option<u64>, Corruption> {
        let front = keys.front()?;
        let (number, slot) = front.place(ordinal);
        let Some(before) = slot.checked_sub(1) else {
            return self.enter(keys, ordinal, |last, key| last < key);
        };
        let block = keys.block(&front, number)?;
        let (key, prefix_len) = (self.key.as_slice(), front.prefix.len());
        let decoded = block.decode_from(before, key, prefix_len, &mut self.decoded);
        if decoded.is_none() || self.decoded.len() < 2 {
            self.decoded.clear();
            return Err(damaged(BLOCKS, ordinal as usize, "keys are strictly ascending"));
        }
        (self.ordinal, self.slot) = (ordinal, 1);
        Ok(Some(ordinal))
    }

    /// Moves to the next smaller key.
    pub(in super::super) fn prev(
        &mut self,
        keys: FrontKeys<'_>,
    ) -> Result<Option<u64>, Corruption> {
        match self.ordinal.checked_sub(1) {
            None => Ok(None),
            Some(ordinal) => self.enter(keys, ordinal, |last, key| last > key),
        }
    }

    /// Decodes the block of `ordinal` and moves there, where the key must be ordered like this
    /// beside the one it stands on.
    fn enter(
        &mut self,
        keys: FrontKeys<'_>,
        ordinal: u64,
        is_ordered: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<Option<u64>, Corruption> {
        let mut before = std::mem::take(&mut self.before);
        before.clear();
        before.extend_from_slice(self.key());
        self.before = before;
        // Whatever happens, it does not stand in that block any more.
        self.decoded.clear();
        let front = keys.front()?;
        let (number, slot) = front.place(ordinal);
        let block = keys.block(&front, number)?;
        let is_sound = block.decode(front.prefix, &mut self.decoded, |_| ()).is_some();
        if !is_sound || !is_ordered(&self.before, self.decoded.get(slot)) {
            self.decoded.clear();
            return Err(damaged(BLOCKS, ordinal as usize, "keys are strictly ascending"));
        }
        (self.ordinal, self.slot) = (ordinal, slot);
        Ok(Some(ordinal))
    }
}
