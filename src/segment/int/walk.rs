//! A position among packed keys: the one it stands on, and its neighbours unpacked.

use super::{IntKeys, MAX_WIDTH, Near, bytes_of, no_piece};
use crate::batch::LentKeys;
use crate::error::Corruption;
use crate::range::Direction;
use std::ops::Range;

/// Keys that are unpacked together at most, all of one piece.
const MOST: u64 = 512;

/// Keys that are unpacked together where there is no memory for more.
const FEW: u64 = 64;

/// Keys that are unpacked together where a walk begins: many walks are short. Further on there are
/// twice as many each time. SCRATCHPAD.md section 3.6.
const FIRST: u64 = 16;

/// A position: a key, and the keys around it if they are unpacked. A search for the first key that is not
/// below another one unpacks no other.
#[derive(Default)]
pub(in super::super) struct IntWalk {
    /// The keys that are unpacked. If there are any, the one it stands on is one of them.
    block: Vec<u64>,
    /// The ordinal of the first of these.
    start: u64,
    /// Keys to unpack next, at most.
    most: u64,
    ordinal: u64,
    /// The key it stands on, and its last `width` bytes.
    number: u64,
    key: [u8; MAX_WIDTH],
    width: usize,
}

impl IntWalk {
    /// The key it stands on.
    #[inline]
    pub(in super::super) fn key(&self) -> &[u8] {
        &self.key[MAX_WIDTH - self.width..]
    }

    /// Moves to the first key that is not below `key`, if there is one. `near` is told of ordinals close to
    /// it before it is found.
    pub(in super::super) fn seek(
        &mut self,
        keys: IntKeys<'_>,
        key: &[u8],
        near: &mut impl Near,
    ) -> Result<Option<u64>, Corruption> {
        self.most = FIRST;
        self.block.clear();
        let Some((ordinal, number)) = keys.seek(key, near)? else { return Ok(None) };
        self.width = keys.width();
        Ok(Some(self.stand(ordinal, number)))
    }

    /// Moves to key `ordinal`, if there is one. A walk from there will go in this direction.
    pub(in super::super) fn go_to(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: Option<u64>,
        direction: Direction,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = ordinal.filter(|ordinal| *ordinal < keys.len()) else {
            return Ok(None);
        };
        if ordinal.wrapping_sub(self.start) >= self.block.len() as u64 {
            self.most = FIRST;
            self.enter(keys, ordinal, direction, None)?;
        }
        Ok(Some(self.stand_in_block(ordinal)))
    }

    /// The place in the block of the key it stands on.
    #[inline]
    fn slot(&self) -> usize {
        self.ordinal.wrapping_sub(self.start) as usize
    }

    /// Moves to the next larger key, if it is unpacked.
    #[inline]
    pub(in super::super) fn step_up(&mut self) -> Option<u64> {
        let next = self.slot().wrapping_add(1);
        let number = *self.block.get(next)?;
        Some(self.stand(self.ordinal + 1, number))
    }

    /// Moves to the next smaller key, if it is unpacked.
    #[inline]
    pub(in super::super) fn step_down(&mut self) -> Option<u64> {
        let number = *self.block.get(self.slot().wrapping_sub(1))?;
        Some(self.stand(self.ordinal - 1, number))
    }

    /// The keys that are unpacked, if there are any, and the place of the one it stands on among them.
    pub(in super::super) fn lend(&self) -> Option<(LentKeys<'_>, usize)> {
        let keys = LentKeys::Numbers(&self.block, self.width);
        (!self.block.is_empty()).then(|| (keys, self.slot()))
    }

    /// Makes `numbers` keys that come next in this direction, `most` at most, in ascending order; answers
    /// their ordinals, or `None` if there are no more.
    pub(in super::super) fn ahead(
        &self,
        keys: IntKeys<'_>,
        direction: Direction,
        most: u64,
        numbers: &mut Vec<u64>,
    ) -> Option<Result<Range<u64>, Corruption>> {
        let next = direction.step(self.ordinal, 1).filter(|next| *next < keys.len())?;
        let most = most.min(self.most).max(1);
        let slot = self.slot();
        let unpacked = match direction {
            Direction::Forward => {
                let first = slot.wrapping_add(1);
                first..self.block.len().min(first.saturating_add(most as usize))
            }
            Direction::Backward => slot.saturating_sub(most as usize)..slot,
        };
        if let Some(keys @ [_, ..]) = self.block.get(unpacked.clone()) {
            numbers.clear();
            if numbers.try_reserve(keys.len()).is_ok() {
                numbers.extend_from_slice(keys);
                let start = self.start + unpacked.start as u64;
                return Some(Ok(start..start + keys.len() as u64));
            }
        }
        Some(neighbours(keys, next, direction, most, Some(self.number), numbers).and_then(
            |ordinals| {
                let nearest = match direction {
                    Direction::Forward => numbers.first(),
                    Direction::Backward => numbers.last(),
                };
                let is_beyond = nearest.is_some_and(|key| is_beyond(*key, self.number, direction));
                if is_beyond { Ok(ordinals) } else { Err(unordered(keys, next)) }
            },
        ))
    }

    /// Moves to the last of these keys in this direction, which were found [`ahead`](Self::ahead) under
    /// these ordinals, if there are any.
    pub(in super::super) fn stand_behind(
        &mut self,
        direction: Direction,
        ordinals: &Range<u64>,
        numbers: &[u64],
    ) -> Option<u64> {
        let (ordinal, number) = match direction {
            Direction::Forward => (ordinals.end.checked_sub(1)?, numbers.last()?),
            Direction::Backward => (ordinals.start, numbers.first()?),
        };
        if self.block.is_empty() {
            self.most = (self.most * 2).min(MOST);
        }
        self.block.clear();
        Some(self.stand(ordinal, *number))
    }

    /// Moves so many keys on, which there are.
    pub(in super::super) fn pass(
        &mut self,
        keys: IntKeys<'_>,
        direction: Direction,
        count: usize,
    ) -> Result<Option<u64>, Corruption> {
        // Those that were copied without having been unpacked here are gone back to, and then a walk goes on
        // as it came.
        let onward = direction.opposite();
        self.go_to(keys, direction.step(self.ordinal, count as u64), onward)
    }

    /// Moves to the next larger key.
    pub(in super::super) fn next(&mut self, keys: IntKeys<'_>) -> Result<Option<u64>, Corruption> {
        if let Some(ordinal) = self.step_up() {
            return Ok(Some(ordinal));
        }
        self.leave(keys, self.ordinal.checked_add(1), Direction::Forward)
    }

    /// Moves to the next smaller key.
    pub(in super::super) fn prev(&mut self, keys: IntKeys<'_>) -> Result<Option<u64>, Corruption> {
        if let Some(ordinal) = self.step_down() {
            return Ok(Some(ordinal));
        }
        self.leave(keys, self.ordinal.checked_sub(1), Direction::Backward)
    }

    /// Stands on this key.
    #[inline]
    fn stand(&mut self, ordinal: u64, number: u64) -> u64 {
        (self.ordinal, self.number) = (ordinal, number);
        self.key = bytes_of(number);
        ordinal
    }

    /// The same, on a key in the block.
    #[inline]
    fn stand_in_block(&mut self, ordinal: u64) -> u64 {
        let number = self.block[(ordinal - self.start) as usize];
        self.stand(ordinal, number)
    }

    /// Moves to the next key in this direction, which is not unpacked and must be ordered like that
    /// beside the one it stands on.
    fn leave(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: Option<u64>,
        direction: Direction,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = ordinal.filter(|ordinal| *ordinal < keys.len()) else {
            return Ok(None);
        };
        let before = self.number;
        self.enter(keys, ordinal, direction, Some(before))?;
        self.stand_in_block(ordinal);
        if is_beyond(self.number, before, direction) {
            return Ok(Some(ordinal));
        }
        self.block.clear();
        Err(unordered(keys, ordinal))
    }

    /// Unpacks keys from `ordinal` on in this direction. The one before it in this direction may be known.
    fn enter(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: u64,
        direction: Direction,
        before: Option<u64>,
    ) -> Result<(), Corruption> {
        // If that fails, it does not stand among those before any more.
        let range = neighbours(keys, ordinal, direction, self.most, before, &mut self.block)?;
        self.most = (self.most * 2).min(MOST);
        (self.start, self.width) = (range.start, keys.width());
        Ok(())
    }
}

/// Makes `block` keys from `ordinal` on in this direction, all of one piece and no more than `most`;
/// answers their ordinals. The key before them in this direction may be known. There are none if that
/// fails.
pub(in super::super) fn neighbours(
    keys: IntKeys<'_>,
    ordinal: u64,
    direction: Direction,
    most: u64,
    before: Option<u64>,
    block: &mut Vec<u64>,
) -> Result<Range<u64>, Corruption> {
    let head = keys.head;
    let range = match direction {
        Direction::Forward => {
            let end = ((ordinal >> head.shift) + 1) << head.shift;
            ordinal..end.min(keys.len()).min(ordinal + most)
        }
        Direction::Backward => {
            let first = ordinal >> head.shift << head.shift;
            first.max((ordinal + 1).saturating_sub(most))..ordinal + 1
        }
    };
    let len = (range.end - range.start) as usize;
    if let Some(more @ 1..) = len.checked_sub(block.len())
        && block.try_reserve_exact(more).is_err()
        && most > FEW
    {
        return neighbours(keys, ordinal, direction, FEW, before, block);
    }
    // What is left of others is written over.
    block.resize(len, 0);
    let before = before.filter(|_| direction == Direction::Forward);
    let unpacked = keys.decode(head, range.start, before, block);
    if unpacked.is_err() {
        block.clear();
    }
    unpacked.map(|()| range)
}

/// Whether a key comes behind another one in this direction.
pub(in super::super) fn is_beyond(key: u64, before: u64, direction: Direction) -> bool {
    match direction {
        Direction::Forward => before < key,
        Direction::Backward => before > key,
    }
}

#[cold]
fn unordered(keys: IntKeys<'_>, ordinal: u64) -> Corruption {
    no_piece((ordinal >> keys.head.shift) as usize)
}
