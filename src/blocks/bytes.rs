//! Bytes that are read piece by piece: on the heap as they are, in a file after their check.
#![allow(clippy::inline_always, reason = "a read is a few instructions, if it is no call")]

use super::Blocks;
use crate::error::Corruption;
use crate::sync::Arc;
use std::ops::Range;

/// A run of bytes, on the heap or in a file.
///
/// Readers of formats are written once, over this: on the heap, and in a file that was checked
/// when it was opened, a read costs one branch more than from a slice.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a> {
    slice: &'a [u8],
    /// Who has to let a read pass; nobody on the heap.
    blocks: Option<&'a Blocks>,
    /// Where the run starts in the data of the blocks.
    offset: usize,
}

impl<'a> Bytes<'a> {
    /// Bytes that need no check.
    #[inline]
    pub(crate) fn heap(slice: &'a [u8]) -> Self {
        Self { slice, blocks: None, offset: 0 }
    }

    /// These bytes of a file, which are inside its data.
    #[inline]
    pub(super) fn stored(blocks: &'a Blocks, range: Range<usize>) -> Self {
        let offset = range.start;
        let slice = blocks.data().get(range).unwrap_or(&[]);
        Self { slice, blocks: blocks.checked.is_some().then_some(blocks), offset }
    }

    /// Length of the run.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.slice.len()
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.slice.is_empty()
    }

    /// A part of the run, which is inside it; nothing is read yet. Empty if it is not inside.
    #[inline(always)]
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        let offset = self.offset + range.start;
        match self.slice.get(range) {
            Some(slice) => Self { slice, offset, ..self },
            None => Self { slice: &[], ..self },
        }
    }

    /// Reads a part of the run.
    ///
    /// # Errors
    /// If it is not inside the run, or a block that it touches does not match its checksum.
    #[inline]
    pub(crate) fn get(self, range: Range<usize>) -> Result<&'a [u8], Corruption> {
        match self.slice.get(range.clone()) {
            Some(part) => {
                self.admit(range)?;
                Ok(part)
            }
            None => Err(outside(range.start)),
        }
    }

    /// Reads so many bytes from `start` on.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline(always)]
    pub(crate) fn array<const N: usize>(self, start: usize) -> Result<&'a [u8; N], Corruption> {
        match self.slice.get(start..).and_then(|rest| rest.first_chunk()) {
            Some(array) => {
                self.admit(start..start + N)?;
                Ok(array)
            }
            None => Err(outside(start)),
        }
    }

    /// Reads from `start` on at least as many bytes as `len` says, if it is called, which it is where that
    /// matters: in a file. On the heap, the bytes are all that follow.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline(always)]
    pub(crate) fn from(
        self,
        start: usize,
        len: impl FnOnce() -> usize,
    ) -> Result<&'a [u8], Corruption> {
        match self.blocks {
            None => self.slice.get(start..).ok_or_else(|| outside(start)),
            Some(_) => self.get(start..start + len()),
        }
    }

    /// The same bytes without anybody who has to let a read pass, if there is nobody.
    #[inline(always)]
    pub(crate) fn open(self) -> Option<&'a [u8]> {
        if self.blocks.is_none() { Some(self.slice) } else { None }
    }

    /// Reads all of it.
    pub(crate) fn all(self) -> Result<&'a [u8], Corruption> {
        self.get(0..self.len())
    }

    /// Lets `range` pass: after that, it may be read from [`admitted`](Self::admitted). Whether it
    /// is inside the run is not told for bytes on the heap.
    #[inline]
    pub(crate) fn admit(self, range: Range<usize>) -> Result<(), Corruption> {
        match self.blocks {
            None => Ok(()),
            Some(blocks) => blocks.admit(&self.in_file(range)),
        }
    }

    /// Whether [`admit`](Self::admit) lets `range` pass: for readers that are in too much of a
    /// hurry to hand an error on, and ask for it later.
    #[inline]
    pub(crate) fn admits(self, range: Range<usize>) -> bool {
        match self.blocks {
            None => true,
            Some(blocks) => blocks.admits(self.in_file(range)),
        }
    }

    fn in_file(self, range: Range<usize>) -> Range<usize> {
        // Saturating: what is past the end of everything is refused as outside.
        range.start.saturating_add(self.offset)..range.end.saturating_add(self.offset)
    }

    /// All bytes of the run, of which only those may be read that [`get`](Self::get) or
    /// [`admit`](Self::admit) let pass.
    #[inline]
    pub(crate) fn admitted(self) -> &'a [u8] {
        self.slice
    }
}

#[cold]
fn outside(offset: usize) -> Corruption {
    Corruption::new("stored bytes", offset as u64, "what is read is inside its part")
}

/// Some checked bytes of a file, which stays open as long as they are held.
#[derive(Clone)]
pub(crate) struct StoredBytes {
    blocks: Arc<Blocks>,
    start: usize,
    len: u32,
}

impl StoredBytes {
    /// Bytes of the data from `start` on, which [`Blocks::get`] let pass.
    pub(crate) fn admitted(blocks: &Arc<Blocks>, start: usize, len: u32) -> Self {
        Self { blocks: Arc::clone(blocks), start, len }
    }

    /// The bytes.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.blocks.admitted(self.start, self.len)
    }

    /// The file.
    pub(crate) fn file(&self) -> &Arc<Blocks> {
        &self.blocks
    }

    /// Where they are in its data.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start.saturating_add(self.len as usize)
    }
}
