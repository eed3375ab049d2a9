//! The two forms of a block.

use super::block::{Block, Text};
use super::buffer::KeyBuffer;
use super::direct::DirectBlock;
use super::symbols::Symbols;
use super::wanted::Wanted;
use crate::strings::Strings;

/// How all blocks of a segment store their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Form {
    /// Each key as what it adds to the one before it: fewer bytes.
    Chained,
    /// Each key for itself: one can be read without the others.
    Direct,
}

/// A block of either form.
#[derive(Clone, Copy)]
pub(super) enum KeyBlock<'a> {
    Chained(Block<'a>),
    Direct(DirectBlock<'a>),
}

impl<'a> KeyBlock<'a> {
    /// The block of `keys` keys, at least one, in the first `len` bytes of `tail`; `None` if its front
    /// is not inside.
    #[inline]
    pub(super) fn parse(
        form: Form,
        tail: &'a [u8],
        len: usize,
        keys: usize,
        symbols: Option<Symbols<'a>>,
    ) -> Option<Self> {
        match form {
            Form::Chained => Block::parse(tail, len, keys, symbols).map(Self::Chained),
            Form::Direct => DirectBlock::parse(tail, len, keys, symbols).map(Self::Direct),
        }
    }

    /// Calls `visit` with all that is text or codes: of a head or a suffix what is stored, and what
    /// follows it. It ends where the block is damaged.
    pub(super) fn each_text<E>(
        &self,
        mut visit: impl FnMut(Text<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Chained(block) => {
                visit(block.start().1)?;
                block.steps().try_for_each(|(_, suffix)| visit(suffix))
            }
            Self::Direct(block) => block.texts().try_for_each(visit),
        }
    }

    /// The place of `key` in the block: `Ok` if it is there, else `Err` with that of the next larger
    /// one. `None` if the block is damaged, and the damage was met.
    #[inline]
    pub(super) fn search(&self, key: &Wanted<'_>) -> Option<Result<usize, usize>> {
        match self {
            Self::Chained(block) => block.search(key),
            Self::Direct(block) => block.search(key),
        }
    }

    /// Replaces what follows the first `start` bytes of `key` by the key at `slot`, at most the last
    /// one; `None` if the block is damaged up to there.
    pub(super) fn key_at(self, slot: usize, key: &mut Vec<u8>, start: usize) -> Option<()> {
        match self {
            Self::Chained(block) => block.key_at(slot, key, start),
            Self::Direct(block) => block.key_at(slot, key, start),
        }
    }

    /// Makes `key` the one at `slot`, at most the last one, behind the prefix; `None` if the block is
    /// damaged up to there.
    pub(super) fn put_together(
        self,
        slot: usize,
        prefix: &[u8],
        key: &mut KeyBuffer,
    ) -> Option<()> {
        match self {
            Self::Chained(block) => block.put_together(slot, prefix, key),
            Self::Direct(block) => block.put_together(slot, prefix, key),
        }
    }

    /// Bytes for which there must be room to decode all keys, each with a prefix of so many; `None` if the
    /// block is damaged.
    pub(super) fn room(self, prefix_len: usize) -> Option<usize> {
        match self {
            Self::Chained(block) => block.room(prefix_len),
            Self::Direct(block) => block.room(prefix_len),
        }
    }

    /// Appends the keys from `slot` on, where `key` is, which begins with a prefix of so many bytes;
    /// `None` if the block is damaged, or they do not ascend.
    pub(super) fn decode_from(
        self,
        slot: usize,
        key: &[u8],
        prefix_len: usize,
        keys: &mut Strings,
    ) -> Option<()> {
        match self {
            Self::Chained(block) => block.decode_from(slot, key, prefix_len, keys),
            Self::Direct(block) => block.decode_from(slot, key, prefix_len, keys),
        }
    }

    /// Appends all keys; `None` if the block is damaged or they do not ascend. Tells `note` of each
    /// but the first what it shares with the one before it.
    #[inline]
    pub(super) fn decode(
        self,
        prefix: &[u8],
        keys: &mut Strings,
        note: impl FnMut(usize),
    ) -> Option<()> {
        match self {
            Self::Chained(block) => block.decode(prefix, keys, note),
            Self::Direct(block) => block.decode(prefix, keys, note),
        }
    }
}
