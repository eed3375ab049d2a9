//! A position among packed keys: the one it stands on, and its neighbours unpacked.

use super::{IntKeys, MAX_WIDTH, bytes_of, no_piece};
use crate::batch::LentKeys;
use crate::error::Corruption;
use crate::range::Direction;

/// Keys that are unpacked together at most, all of one piece.
const MOST: u64 = 512;

/// Keys that there is room for without an allocation.
const FEW: usize = 64;

/// Keys that are unpacked together where a walk begins: many walks are short. Further on there are
/// twice as many each time. SCRATCHPAD.md section 3.6.
const FIRST: u64 = 16;

/// A position: a key, and the keys around it that are unpacked.
pub(in super::super) struct IntWalk {
    /// The keys that are unpacked, if there are no more than these.
    few: [u64; FEW],
    /// Else they are here.
    many: Vec<u64>,
    /// Number of keys that are unpacked; 0 if it stands nowhere.
    len: usize,
    /// Keys to unpack next, at most.
    most: u64,
    /// The ordinal of the first key that is unpacked.
    start: u64,
    ordinal: u64,
    /// The key it stands on, in the last `width` bytes.
    key: [u8; MAX_WIDTH],
    width: usize,
}

impl Default for IntWalk {
    fn default() -> Self {
        let key = [0; MAX_WIDTH];
        Self {
            few: [0; FEW],
            many: Vec::new(),
            len: 0,
            most: FIRST,
            start: 0,
            ordinal: 0,
            key,
            width: 0,
        }
    }
}

impl IntWalk {
    /// The key it stands on.
    #[inline]
    pub(in super::super) fn key(&self) -> &[u8] {
        &self.key[MAX_WIDTH - self.width..]
    }

    /// Moves to key `ordinal`, if there is one. A walk from there will go in this direction.
    pub(in super::super) fn go_to(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: Option<u64>,
        direction: Direction,
    ) -> Result<Option<u64>, Corruption> {
        self.most = FIRST;
        self.reach(keys, ordinal, direction)
    }

    fn reach(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: Option<u64>,
        direction: Direction,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = ordinal.filter(|ordinal| *ordinal < keys.len()) else {
            return Ok(None);
        };
        if ordinal.wrapping_sub(self.start) >= self.len as u64 {
            self.enter(keys, ordinal, direction)?;
        }
        Ok(Some(self.stand(ordinal)))
    }

    /// The keys that are unpacked.
    #[inline]
    fn block(&self) -> &[u64] {
        if self.len > FEW { &self.many[..self.len] } else { &self.few[..self.len] }
    }

    /// The place in the block of the key it stands on.
    #[inline]
    fn slot(&self) -> usize {
        (self.ordinal - self.start) as usize
    }

    /// Moves to the next larger key, if it is unpacked.
    #[inline]
    pub(in super::super) fn step_up(&mut self) -> Option<u64> {
        if self.slot() + 1 < self.len { Some(self.stand(self.ordinal + 1)) } else { None }
    }

    /// Moves to the next smaller key, if it is unpacked.
    #[inline]
    pub(in super::super) fn step_down(&mut self) -> Option<u64> {
        if self.len > 0 && self.slot() > 0 { Some(self.stand(self.ordinal - 1)) } else { None }
    }

    /// The keys that are unpacked, and the place of the one it stands on among them.
    pub(in super::super) fn lend(&self) -> (LentKeys<'_>, usize) {
        (LentKeys::Numbers(self.block(), self.width), self.slot())
    }

    /// Moves so many keys on, which are unpacked.
    pub(in super::super) fn pass(&mut self, direction: Direction, count: usize) -> u64 {
        let count = count as u64;
        self.stand(match direction {
            Direction::Forward => self.ordinal + count,
            Direction::Backward => self.ordinal - count,
        })
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

    /// Shows the key of an ordinal in the block.
    #[inline]
    fn stand(&mut self, ordinal: u64) -> u64 {
        self.ordinal = ordinal;
        self.key = bytes_of(self.block()[self.slot()]);
        ordinal
    }

    /// Moves to the next key in this direction, which is not unpacked and must be ordered like that
    /// beside the one it stands on.
    fn leave(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: Option<u64>,
        direction: Direction,
    ) -> Result<Option<u64>, Corruption> {
        let before = self.key;
        self.most = (self.most * 2).min(MOST);
        let landed = self.reach(keys, ordinal, direction)?;
        let is_ordered = match direction {
            Direction::Forward => before < self.key,
            Direction::Backward => before > self.key,
        };
        if landed.is_some() && !is_ordered {
            self.len = 0;
            return Err(no_piece((self.ordinal >> keys.head.shift) as usize));
        }
        Ok(landed)
    }

    /// Unpacks keys from `ordinal` on in this direction.
    fn enter(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: u64,
        direction: Direction,
    ) -> Result<(), Corruption> {
        // Whatever happens, it does not stand among those before any more.
        self.len = 0;
        let head = keys.head;
        let first = ordinal >> head.shift << head.shift;
        let end = keys.len().min(first + (1 << head.shift));
        if self.most > FEW as u64 && self.many.capacity() == 0 {
            // All that it will ever need.
            if self.many.try_reserve_exact(MOST as usize).is_err() {
                self.most = FEW as u64;
            }
        }
        let range = match direction {
            Direction::Forward => ordinal..end.min(ordinal + self.most),
            Direction::Backward => first.max((ordinal + 1).saturating_sub(self.most))..ordinal + 1,
        };
        let len = (range.end - range.start) as usize;
        let block = if len > FEW {
            if self.many.len() < len {
                self.many.resize(len, 0);
            }
            &mut self.many[..len]
        } else {
            &mut self.few[..len]
        };
        keys.decode(head, range.start, block)?;
        (self.start, self.len, self.width) = (range.start, len, head.width);
        Ok(())
    }
}
