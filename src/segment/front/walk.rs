//! A position among front-coded keys: one key put together, and what its block says of the others.

use super::block::Step;
use super::{BLOCKS, FrontKeys, damaged, no_block};
use crate::error::Corruption;
use std::mem;

/// A position: a key, and the block it is in, which has been looked through.
#[derive(Default)]
pub(in super::super) struct FrontWalk {
    /// The key it stands on.
    key: Vec<u8>,
    /// The key it stood on before it entered the block.
    before: Vec<u8>,
    /// What each key of the block adds to the one before it.
    steps: Vec<Step>,
    /// Where the block starts in the section.
    start: usize,
    /// The number of the block, if it stands in one.
    block: Option<u64>,
    shift: u32,
    prefix_len: usize,
    ordinal: u64,
    slot: usize,
}

impl FrontWalk {
    /// The key it stands on.
    pub(in super::super) fn key(&self) -> &[u8] {
        &self.key
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
        if self.block.is_none_or(|block| block != ordinal >> self.shift) {
            self.enter(keys, ordinal)?;
        }
        self.slot = (ordinal & ((1 << self.shift) - 1)) as usize;
        self.ordinal = ordinal;
        let key = self.rebuild(keys, 0);
        key.ok_or_else(|| self.refuse())?;
        Ok(Some(ordinal))
    }

    /// Moves to the next larger key.
    #[inline]
    pub(in super::super) fn next(
        &mut self,
        keys: FrontKeys<'_>,
    ) -> Result<Option<u64>, Corruption> {
        let Some(step) = self.steps.get(self.slot + 1).filter(|_| self.block.is_some()) else {
            return self.leave(keys, self.ordinal.checked_add(1), |last, key| last < key);
        };
        let shared = self.prefix_len + usize::from(step.shared);
        let suffix = step.suffix(keys.blocks.admitted(), self.start).unwrap_or(&[]);
        // It is greater than the one before it if its first new byte is.
        if suffix.is_empty() || self.key.get(shared).is_some_and(|old| *old >= suffix[0]) {
            return Err(self.refuse());
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        self.slot += 1;
        self.ordinal += 1;
        Ok(Some(self.ordinal))
    }

    /// Moves to the next smaller key.
    pub(in super::super) fn prev(
        &mut self,
        keys: FrontKeys<'_>,
    ) -> Result<Option<u64>, Corruption> {
        if self.slot == 0 || self.block.is_none() {
            return self.leave(keys, self.ordinal.checked_sub(1), |last, key| last > key);
        }
        let shared = self.steps.get(self.slot).map_or(0, |step| usize::from(step.shared));
        let at = self.prefix_len + shared;
        let replacing = self.key.get(at).copied();
        self.slot -= 1;
        self.ordinal -= 1;
        let is_rebuilt = self.rebuild(keys, shared).is_some();
        let is_below = self.key.get(at).is_none_or(|old| Some(*old) < replacing);
        if is_rebuilt && is_below { Ok(Some(self.ordinal)) } else { Err(self.refuse()) }
    }

    /// Moves to a key in another block, which must be ordered like this beside the one it stands on.
    fn leave(
        &mut self,
        keys: FrontKeys<'_>,
        ordinal: Option<u64>,
        is_ordered: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = ordinal.filter(|ordinal| *ordinal < keys.len()) else {
            return Ok(None);
        };
        mem::swap(&mut self.key, &mut self.before);
        let landed = self.go_to(keys, Some(ordinal))?;
        if is_ordered(&self.before, &self.key) { Ok(landed) } else { Err(self.refuse()) }
    }

    /// Looks through the block of `ordinal`.
    fn enter(&mut self, keys: FrontKeys<'_>, ordinal: u64) -> Result<(), Corruption> {
        let front = keys.front()?;
        let number = ordinal >> front.shift;
        // Whatever happens, it does not stand in the block before any more.
        self.block = None;
        let (block, start) = keys.block(front, number)?;
        block.steps(front.prefix.len(), &mut self.steps).ok_or_else(|| no_block(number))?;
        self.key.clear();
        self.key.extend_from_slice(front.prefix);
        (self.start, self.shift, self.prefix_len) = (start, front.shift, front.prefix.len());
        self.block = Some(number);
        Ok(())
    }

    /// Makes the key that of the slot, of which it has the first `kept` bytes after the prefix.
    ///
    /// The end of a key is its suffix, what stands before is the end of the key before it as far as
    /// they share it, and so on: each byte is copied once, from where it was new.
    fn rebuild(&mut self, keys: FrontKeys<'_>, kept: usize) -> Option<()> {
        let blocks = keys.blocks.admitted();
        let mut slot = self.slot;
        let mut end = self.steps.get(slot)?.end();
        self.key.resize(self.prefix_len + end, 0);
        loop {
            let step = self.steps.get(slot)?;
            let shared = usize::from(step.shared);
            let from = shared.max(kept);
            if from < end {
                let suffix = step.suffix(blocks, self.start)?.get(from - shared..end - shared)?;
                let place = self.prefix_len + from..self.prefix_len + end;
                self.key.get_mut(place)?.copy_from_slice(suffix);
                end = from;
            }
            if end <= kept {
                return Some(());
            }
            slot = slot.checked_sub(1)?;
        }
    }

    #[cold]
    fn refuse(&mut self) -> Corruption {
        self.block = None;
        damaged(BLOCKS, self.ordinal as usize, "keys are strictly ascending")
    }
}
