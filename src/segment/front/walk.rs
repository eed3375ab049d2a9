//! A position among front-coded keys: one key put together, or many keys of a block.

use super::buffer::KeyBuffer;
use super::{Front, FrontKeys, no_block};
use crate::arena::{CACHE_LINE, prefetch};
use crate::batch::LentKeys;
use crate::error::Corruption;
use crate::range::Direction;
use crate::strings::Strings;
use std::ops::Range;

/// Bytes of keys from which on no further block is decoded at once: they stay in the nearest cache.
const MOST_TEXT: usize = 4096;

/// A position.
///
/// A move to a key puts that one together. With the first step up from there all keys behind it in
/// its block are decoded, with a step down or into another block all of a block, of several once it has come
/// by many keys, and then a step is a number that changes. SCRATCHPAD.md sections 3.2, 3.6 and 3.14.
#[derive(Default)]
pub(in super::super) struct FrontWalk {
    /// The key it stands on, unless keys are decoded.
    key: KeyBuffer,
    /// Neighbouring keys, that one among them, if they are decoded; else none.
    decoded: Strings,
    /// The key it stood on before it came to the block.
    before: Vec<u8>,
    ordinal: u64,
    /// The place of the key among those that are decoded.
    slot: usize,
    /// Keys decoded since it was sent somewhere, as far as they are counted.
    passed: usize,
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
        keys: &FrontKeys<'_>,
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
        (self.ordinal, self.slot, self.passed) = (ordinal, 0, 0);
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
        keys: &FrontKeys<'_>,
        direction: Direction,
        most: usize,
        strings: &mut Strings,
    ) -> Option<Result<Range<u64>, Corruption>> {
        let next = direction.step(self.ordinal, 1).filter(|next| *next < keys.len())?;
        let decoded = decode_next(keys, self.key(), direction, next, most, strings);
        Some(decoded.map(|ordinals| match direction {
            Direction::Forward => {
                strings.bounds.drain(..(next - ordinals.start) as usize);
                next..ordinals.end
            }
            Direction::Backward => {
                strings.bounds.truncate((next - ordinals.start) as usize + 2);
                ordinals.start..next + 1
            }
        }))
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
        self.key.set_text(strings.text(i)).ok()?;
        self.decoded.clear();
        (self.ordinal, self.slot) = (ordinal, 0);
        Some(ordinal)
    }

    /// Moves so many keys on, which there are.
    pub(in super::super) fn pass(
        &mut self,
        keys: &FrontKeys<'_>,
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
        keys: &FrontKeys<'_>,
    ) -> Result<Option<u64>, Corruption> {
        match self.ordinal.checked_add(1).filter(|next| *next < keys.len()) {
            None => Ok(None),
            Some(ordinal) => self.enter(keys, Direction::Forward, ordinal),
        }
    }

    /// Moves to the next smaller key.
    pub(in super::super) fn prev(
        &mut self,
        keys: &FrontKeys<'_>,
    ) -> Result<Option<u64>, Corruption> {
        match self.ordinal.checked_sub(1) {
            None => Ok(None),
            Some(ordinal) => self.enter(keys, Direction::Backward, ordinal),
        }
    }

    /// Moves to the key of this ordinal, which comes next in this direction, and decodes what follows it.
    fn enter(
        &mut self,
        keys: &FrontKeys<'_>,
        direction: Direction,
        ordinal: u64,
    ) -> Result<Option<u64>, Corruption> {
        let mut before = std::mem::take(&mut self.before);
        before.clear();
        before.extend_from_slice(self.key());
        self.before = before;
        // Whatever happens, it does not stand among those that were decoded any more.
        let most = self.passed / LentKeys::SHARE;
        let decoded = decode_next(keys, &self.before, direction, ordinal, most, &mut self.decoded)?;
        self.passed = (self.passed + self.decoded.len()).min(LentKeys::COUNTED);
        (self.ordinal, self.slot) = (ordinal, (ordinal - decoded.start) as usize);
        Ok(Some(ordinal))
    }
}

/// Decodes the key `next`, which comes next to `last` in this direction, into `strings`, with others of its block,
/// or of as many whole ones as have `most` together. Answers the ordinals of all.
fn decode_next(
    keys: &FrontKeys<'_>,
    last: &[u8],
    direction: Direction,
    next: u64,
    most: usize,
    strings: &mut Strings,
) -> Result<Range<u64>, Corruption> {
    let mut decode = |most: usize| {
        strings.clear();
        // Keys nearby are likely about as long.
        let most = most.min(MOST_TEXT / last.len().max(1));
        match direction {
            Direction::Forward => decode_up(keys, last, next, most, strings),
            Direction::Backward => decode_down(keys, last, next, most, strings),
        }
    };
    // Of damage further on, nothing is known before it is reached.
    decode(most).or_else(|_| decode(0)).inspect_err(|_| strings.clear())
}

#[inline]
fn decode_up(
    keys: &FrontKeys<'_>,
    last: &[u8],
    next: u64,
    most: usize,
    strings: &mut Strings,
) -> Result<Range<u64>, Corruption> {
    let front = keys.front()?;
    let (number, slot) = front.place(next);
    let is_behind = if let Some(before) = slot.checked_sub(1) {
        // What is in the block before it need not be decoded.
        let block = keys.block(&front, number)?;
        block.decode_from(before, last, front.prefix.len(), strings).is_some() && strings.len() > 1
    } else {
        decode_block(keys, &front, number, strings)?;
        last < strings.get(0)
    };
    if !is_behind {
        return Err(no_block(number));
    }
    let more = (most >> front.shift).saturating_sub(1);
    for number in (number + 1..front.tree.shape.blocks).take(more) {
        if strings.text_len() > MOST_TEXT {
            break;
        }
        decode_block(keys, &front, number, strings)?;
    }
    let first = next - u64::from(slot > 0);
    Ok(first..first + strings.len() as u64)
}

fn decode_down(
    keys: &FrontKeys<'_>,
    last: &[u8],
    next: u64,
    most: usize,
    strings: &mut Strings,
) -> Result<Range<u64>, Corruption> {
    let front = keys.front()?;
    let (number, _) = front.place(next);
    let more = (most >> front.shift).saturating_sub(1) as u64;
    let farthest = number.saturating_sub(more);
    ask(keys, &front, farthest.saturating_sub(more + 1)..farthest);
    for block in farthest..=number {
        // If keys are much longer than the last one, all but the nearest are left for the next time.
        if strings.text_len() > 4 * MOST_TEXT {
            strings.clear();
            return decode_down(keys, last, next, 0, strings);
        }
        decode_block(keys, &front, block, strings)?;
    }
    let first = farthest << front.shift;
    if last <= strings.get((next - first) as usize) {
        return Err(no_block(number));
    }
    Ok(first..first + strings.len() as u64)
}

/// Asks for the memory of some blocks below those that are decoded, which are likely to come next, or of the nearest
/// of these: nothing but this asks for memory downwards, where each run of blocks is read upwards. Of a file,
/// nothing is asked for that may not be needed. SCRATCHPAD.md section 3.14.
#[inline]
fn ask(keys: &FrontKeys<'_>, front: &Front<'_>, below: Range<u64>) {
    let (Some(bytes), Some(last)) = (keys.blocks.open(), below.end.checked_sub(1)) else { return };
    let span = |block| keys.span(front, front.tree.reach(block));
    // Damage will be met again.
    if let (Ok(first), Ok(last)) = (span(below.start), span(last)) {
        let start = first.start.max(last.end.saturating_sub(MOST_TEXT));
        for line in (start..last.end).step_by(CACHE_LINE) {
            prefetch(bytes, line);
        }
    }
}

/// Appends the keys of a block, which ascend, and are greater than those that are there.
#[inline]
fn decode_block(
    keys: &FrontKeys<'_>,
    front: &Front<'_>,
    number: u64,
    strings: &mut Strings,
) -> Result<(), Corruption> {
    let block = keys.block(front, number)?;
    block.decode(front.prefix, strings, |_| ()).ok_or_else(|| no_block(number))
}
