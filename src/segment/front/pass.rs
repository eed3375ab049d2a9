//! Keys block by block, to be appended to another segment.

use super::block::{MAX_KEYS, Text};
use super::{FrontKeys, no_block};
use crate::error::Error;
use crate::strings::Strings;
use std::ops::Range;

/// The keys of a block, and what each shares with the one before it.
#[derive(Default)]
pub(in super::super) struct FrontBlock {
    keys: Strings,
    shared: [u16; MAX_KEYS],
    /// The ordinal of the first key.
    first: u64,
}

impl FrontBlock {
    /// Decodes the block of key `ordinal`, which exists.
    pub(in super::super) fn load(
        &mut self,
        keys: FrontKeys<'_>,
        ordinal: u64,
    ) -> Result<(), Error> {
        let front = keys.front()?;
        let (number, slot) = front.place(ordinal);
        let block = keys.block(&front, number)?;
        let room = block.room(front.prefix.len()).ok_or_else(|| no_block(number))?;
        self.keys.try_reserve_keys(room)?;
        let mut slots = self.shared.iter_mut().skip(1);
        let decoded = block.decode(front.prefix, &mut self.keys, |shared| {
            if let Some(slot) = slots.next() {
                // Keys have at most 65,535 bytes.
                *slot = shared as u16;
            }
        });
        if decoded.is_none() {
            self.keys.clear();
            return Err(no_block(number).into());
        }
        self.first = ordinal - slot as u64;
        Ok(())
    }

    /// The ordinals of its keys.
    pub(in super::super) fn ordinals(&self) -> Range<u64> {
        self.first..self.first + self.keys.len() as u64
    }

    /// The key of an ordinal.
    #[inline]
    pub(in super::super) fn key(&self, ordinal: u64) -> &[u8] {
        self.keys.get((ordinal - self.first) as usize)
    }

    /// The key of an ordinal, whatever follows it, and its length.
    #[inline]
    pub(in super::super) fn text(&self, ordinal: u64) -> Text<'_> {
        self.keys.text((ordinal - self.first) as usize)
    }

    /// What the key of an ordinal, which is not the first, shares with the one before it.
    #[inline]
    pub(in super::super) fn shared(&self, ordinal: u64) -> usize {
        self.shared.get((ordinal - self.first) as usize).copied().unwrap_or(0).into()
    }
}
