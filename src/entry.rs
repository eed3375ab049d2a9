//! An entry as every layer shows it: a kind, whether it is new to the layers below, and a value.

use crate::arena::{OutOfLine, OutOfMemory};
use crate::blocks::{Blocks, StoredBytes};
use crate::numbers::MAX_NUMBER;
use crate::planted::{Bug, planted};
use crate::sync::Arc;
use std::cell::OnceCell;
use std::ops::Range;

/// Longest byte value, in bytes.
pub const MAX_VALUE_LEN: usize = u32::MAX as usize;

/// Byte values longer than this live in an extent that folds move by reference.
pub(crate) const INLINE_VALUE_MAX: usize = 1024;

/// A large byte value, shared by the layers that hold it. Its bytes never change.
#[derive(Clone)]
pub(crate) enum Extent {
    /// On the heap.
    Heap(Arc<Box<[u8]>>),
    /// In a file, which stays open as long as the extent lives.
    Stored(StoredBytes),
}

impl Extent {
    /// The value's bytes.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Stored(bytes) => bytes.as_slice(),
        }
    }

    /// The file it is in, if it is in one.
    pub(crate) fn file(&self) -> Option<&Arc<Blocks>> {
        match self {
            Self::Heap(_) => None,
            Self::Stored(bytes) => Some(bytes.file()),
        }
    }

    /// How many share the extent, or its file.
    #[cfg(test)]
    pub(crate) fn owners(&self) -> usize {
        match self {
            Self::Heap(bytes) => Arc::strong_count(bytes),
            Self::Stored(bytes) => Arc::strong_count(bytes.file()),
        }
    }
}

impl Extent {
    /// A copy of these bytes on the heap.
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self, OutOfMemory> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).map_err(|_| OutOfMemory)?;
        copy.extend_from_slice(bytes);
        Ok(Self::Heap(Arc::new(copy.into_boxed_slice())))
    }
}

#[cfg(any(test, fuzzing))]
impl From<&[u8]> for Extent {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_of(bytes).expect("memory for a test")
    }
}

impl OutOfLine for Extent {
    /// Its bytes, and where they are behind two counts; nothing for one in a file.
    fn heap_bytes(&self) -> usize {
        const HEAD: usize = 2 * size_of::<usize>() + size_of::<Box<[u8]>>();
        match self {
            Self::Heap(bytes) => HEAD + bytes.len(),
            Self::Stored(_) => 0,
        }
    }
}

/// An extent as a layer lends it. A fold takes a share and copies nothing.
#[derive(Clone, Copy)]
pub(crate) enum ExtentRef<'a> {
    /// The layer holds it.
    Owned(&'a Extent),
    /// The layer's file holds it, and it has been checked.
    Stored {
        /// The file.
        blocks: &'a Arc<Blocks>,
        /// Where the value starts in the file.
        start: usize,
        /// Its length.
        len: u32,
    },
}

impl<'a> ExtentRef<'a> {
    /// The value's bytes.
    #[inline]
    pub(crate) fn as_slice(self) -> &'a [u8] {
        match self {
            Self::Owned(extent) => extent.as_slice(),
            Self::Stored { blocks, start, len } => blocks.admitted(start, len),
        }
    }

    /// Where the value is in a file, if it is in one.
    pub(crate) fn stored_range(self) -> Option<Range<usize>> {
        match self {
            Self::Owned(Extent::Heap(_)) => None,
            Self::Owned(Extent::Stored(bytes)) => Some(bytes.range()),
            Self::Stored { start, len, .. } => Some(start..start.saturating_add(len as usize)),
        }
    }

    /// A share in the extent.
    pub(crate) fn share(self) -> Extent {
        match self {
            Self::Owned(extent) => extent.clone(),
            Self::Stored { blocks, start, len } => {
                Extent::Stored(StoredBytes::admitted(blocks, start, len))
            }
        }
    }
}

/// What an entry says about its key. Persisted in segments: never renumber. 2 (operand) and 3
/// (expiring) are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EntryKind {
    /// The key has this value.
    Value = 0,
    /// The key is absent, whatever lower layers say.
    Tombstone = 1,
}

/// Whether a key was live in the layers below an entry when the entry was written.
///
/// This is what makes `len` and rank exact without a probe at read time: an entry that is
/// [`Absent`](Below::Absent) below adds one key to its map, a tombstone that is
/// [`Live`](Below::Live) below takes one away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Below {
    /// The key is not live below: this entry is the first of its key.
    Absent,
    /// The key is live below: this entry hides a value.
    Live,
}

/// How all values of one map are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueWidth {
    /// Every value has this many bytes; 0 makes the map a set.
    Fixed(u8),
    /// Byte strings of any length up to [`MAX_VALUE_LEN`].
    Bytes,
}

/// A value as a layer lends it.
#[derive(Clone, Copy)]
pub(crate) enum ValueRef<'a> {
    /// The bytes themselves, at most [`INLINE_VALUE_MAX`] of them unless of fixed width.
    Inline(&'a [u8]),
    /// A shared extent, which a fold moves by reference.
    Extent(ExtentRef<'a>),
}

// Entries are handed through every layer of a get.
const _: () = assert!(size_of::<ValueRef<'_>>() <= 24);

impl<'a> ValueRef<'a> {
    /// An extent that the layer holds.
    pub(crate) fn extent(extent: &'a Extent) -> Self {
        Self::Extent(ExtentRef::Owned(extent))
    }

    /// The value's bytes.
    pub(crate) fn as_slice(self) -> &'a [u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Extent(extent) => extent.as_slice(),
        }
    }
}

/// Where a get puts the value that it finds, if no layer has that as bytes that could be lent. Holds one
/// value: each get has a buffer of its own.
#[derive(Default)]
pub(crate) struct ValueBuf(OnceCell<[u8; MAX_NUMBER]>);

impl ValueBuf {
    /// Puts a value in, which has so many of these bytes, and lends it.
    #[inline]
    pub(crate) fn hold(&self, value: [u8; MAX_NUMBER], len: usize) -> &[u8] {
        debug_assert!(self.0.get().is_none(), "a buffer holds one value");
        &self.0.get_or_init(|| value)[..len]
    }
}

/// One entry of one layer, without its key.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// Value or tombstone.
    pub(crate) kind: EntryKind,
    /// Whether layers below hold the key.
    pub(crate) below: Below,
    /// The value; empty for a tombstone.
    pub(crate) value: ValueRef<'a>,
}

impl<'a> Entry<'a> {
    /// An entry that sets a value.
    pub(crate) fn value(value: ValueRef<'a>, below: Below) -> Self {
        Self { kind: EntryKind::Value, below, value }
    }

    /// An entry that hides its key.
    pub(crate) fn tombstone(below: Below) -> Self {
        Self { kind: EntryKind::Tombstone, below, value: ValueRef::Inline(&[]) }
    }

    /// The value's bytes, or `None` for a tombstone.
    pub(crate) fn live(self) -> Option<&'a [u8]> {
        match self.kind {
            EntryKind::Value => Some(self.value.as_slice()),
            EntryKind::Tombstone => None,
        }
    }

    /// What the entry adds to the number of live keys: +1, 0 or -1.
    pub(crate) fn weight(self) -> i32 {
        weight(self.kind, self.below)
    }
}

/// What an entry of this kind adds to the number of live keys: +1, 0 or -1.
pub(crate) fn weight(kind: EntryKind, below: Below) -> i32 {
    match (kind, below) {
        (EntryKind::Value, Below::Absent) => 1,
        (EntryKind::Tombstone, Below::Live) if planted(Bug::TombstoneWeightForgotten) => 0,
        (EntryKind::Tombstone, Below::Live) => -1,
        (EntryKind::Value, Below::Live) | (EntryKind::Tombstone, Below::Absent) => 0,
    }
}
