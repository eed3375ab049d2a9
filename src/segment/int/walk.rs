//! A position among packed keys: the one it stands on, and its neighbours unpacked.

use super::{IntKeys, MAX_WIDTH, bytes_of, no_piece};
use crate::batch::LentKeys;
use crate::error::Corruption;
use crate::range::Direction;

/// Keys that are unpacked together; as a power of two, and not more than a piece has.
const BLOCK_SHIFT: u32 = 6;
const BLOCK: usize = 1 << BLOCK_SHIFT;

/// A position: a key, and the block of keys it is in.
pub(in super::super) struct IntWalk {
    block: [u64; BLOCK],
    /// Keys in the block; 0 if it stands in none.
    len: usize,
    slot: usize,
    ordinal: u64,
    /// The key it stands on, in the last `width` bytes.
    key: [u8; MAX_WIDTH],
    width: usize,
}

impl Default for IntWalk {
    fn default() -> Self {
        Self { block: [0; BLOCK], len: 0, slot: 0, ordinal: 0, key: [0; MAX_WIDTH], width: 0 }
    }
}

impl IntWalk {
    /// The key it stands on.
    #[inline]
    pub(in super::super) fn key(&self) -> &[u8] {
        &self.key[MAX_WIDTH - self.width..]
    }

    /// Moves to key `ordinal`, if there is one.
    pub(in super::super) fn go_to(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: Option<u64>,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = ordinal.filter(|ordinal| *ordinal < keys.len()) else {
            return Ok(None);
        };
        if self.len == 0 || ordinal >> BLOCK_SHIFT != self.ordinal >> BLOCK_SHIFT {
            self.enter(keys, ordinal)?;
        }
        Ok(Some(self.stand(ordinal)))
    }

    /// Moves to the next larger key, if it is unpacked.
    #[inline]
    pub(in super::super) fn step_up(&mut self) -> Option<u64> {
        if self.slot + 1 < self.len { Some(self.stand(self.ordinal + 1)) } else { None }
    }

    /// Moves to the next smaller key, if it is unpacked.
    #[inline]
    pub(in super::super) fn step_down(&mut self) -> Option<u64> {
        if self.slot > 0 && self.len > 0 { Some(self.stand(self.ordinal - 1)) } else { None }
    }

    /// The keys that are unpacked, and the place of the one it stands on among them.
    pub(in super::super) fn lend(&self) -> (LentKeys<'_>, usize) {
        (LentKeys::Numbers(&self.block[..self.len], self.width), self.slot)
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
        self.leave(keys, self.ordinal.checked_add(1), |last, key| last < key)
    }

    /// Moves to the next smaller key.
    pub(in super::super) fn prev(&mut self, keys: IntKeys<'_>) -> Result<Option<u64>, Corruption> {
        if let Some(ordinal) = self.step_down() {
            return Ok(Some(ordinal));
        }
        self.leave(keys, self.ordinal.checked_sub(1), |last, key| last > key)
    }

    /// Shows the key of an ordinal in the block.
    #[inline]
    fn stand(&mut self, ordinal: u64) -> u64 {
        self.ordinal = ordinal;
        self.slot = (ordinal & (BLOCK as u64 - 1)) as usize;
        self.key = bytes_of(self.block[self.slot]);
        ordinal
    }

    /// Moves to a key in another block, which must be ordered like this beside the one it stands
    /// on.
    fn leave(
        &mut self,
        keys: IntKeys<'_>,
        ordinal: Option<u64>,
        is_ordered: impl Fn(u64, u64) -> bool,
    ) -> Result<Option<u64>, Corruption> {
        let before = self.block[self.slot];
        let landed = self.go_to(keys, ordinal)?;
        if landed.is_some() && !is_ordered(before, self.block[self.slot]) {
            self.len = 0;
            return Err(no_piece((self.ordinal >> BLOCK_SHIFT) as usize));
        }
        Ok(landed)
    }

    /// Unpacks the block of `ordinal`.
    fn enter(&mut self, keys: IntKeys<'_>, ordinal: u64) -> Result<(), Corruption> {
        // Whatever happens, it does not stand in the block before any more.
        self.len = 0;
        let head = keys.head;
        let start = ordinal >> BLOCK_SHIFT << BLOCK_SHIFT;
        let len = (keys.len() - start).min(BLOCK as u64) as usize;
        keys.decode(head, start, &mut self.block[..len])?;
        (self.len, self.width) = (len, head.width);
        Ok(())
    }
}
