//! Leaves: what an entry looks like in the tree.
#![allow(unsafe_code, reason = "a leaf holds the address of its extent")]

use super::layout::{Kind, LEAF_BELOW_LIVE, LEAF_EPOCH, LEAF_EXTENT, LEAF_KIND_SHIFT};
use super::view::NodeView;
use crate::arena::units;
use crate::entry::{Below, Entry, EntryKind, Extent, ValueRef, ValueWidth};

/// A borrowed leaf: flags, length of the suffix as a varint, suffix, value, perhaps an epoch.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<'a> {
    node: NodeView<'a>,
    suffix: &'a [u8],
    /// Offset of the value.
    pub(super) tail: usize,
}

impl<'a> Leaf<'a> {
    /// The leaf `node`, whose suffix and tail have been found.
    #[inline]
    pub(super) fn new(node: NodeView<'a>, suffix: &'a [u8], tail: usize) -> Self {
        Self { node, suffix, tail }
    }

    /// The rest of the key below the leaf's place.
    #[inline]
    pub(crate) fn suffix(self) -> &'a [u8] {
        self.suffix
    }

    /// The first byte, which says what entry it is.
    pub(crate) fn flags(self) -> u8 {
        self.node.tag()
    }

    /// The entry.
    #[inline]
    pub(crate) fn entry(self) -> Entry<'a> {
        let flags = self.node.tag();
        let below = if flags & LEAF_BELOW_LIVE == 0 { Below::Absent } else { Below::Live };
        if flags >> LEAF_KIND_SHIFT & 3 == EntryKind::Tombstone as u8 {
            return Entry::tombstone(below);
        }
        let value = match self.node.view.width {
            ValueWidth::Fixed(width) => {
                ValueRef::Inline(self.node.bytes(self.tail, usize::from(width)))
            }
            ValueWidth::Bytes if flags & LEAF_EXTENT != 0 => ValueRef::extent(self.extent()),
            ValueWidth::Bytes => {
                let (len, offset) = self.inline_len();
                ValueRef::Inline(self.node.bytes(self.tail + offset, len))
            }
        };
        Entry::value(value, below)
    }

    fn extent(self) -> &'a Extent {
        let stored = self.node.bytes(self.tail, size_of::<u64>()).first_chunk();
        let address = stored.map_or(0, |bytes| u64::from_le_bytes(*bytes)) as usize;
        let address = std::ptr::with_exposed_provenance::<Extent>(address);
        self.node.view.table.note_read(address.cast(), size_of::<Extent>());
        // SAFETY: a leaf with the extent flag holds the address that `Memory::add_extent` gave,
        // exposed by `extent_tail`; the extent is removed only after the leaf is out of reach of
        // the tree and of every pin, so it outlives the borrow.
        unsafe { &*address }
    }

    /// The slot of the extent that this leaf owns.
    pub(crate) fn extent_slot(self) -> Option<u32> {
        if self.flags() & LEAF_EXTENT == 0 {
            return None;
        }
        let slot = self.node.bytes(self.tail + size_of::<u64>(), 4);
        slot.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Length of an inline byte value (two bytes at most, which is
    /// enough for `entry::INLINE_VALUE_MAX`), and of the length itself.
    fn inline_len(self) -> (usize, usize) {
        let byte = |at| usize::from(self.node.read::<u8>(self.tail + at));
        let low = byte(0);
        if low < 0x80 { (low, 1) } else { (low & 0x7f | byte(1) << 7, 2) }
    }

    /// When the entry was written, if a pin lived then; else 0.
    pub(crate) fn epoch(self) -> u16 {
        if self.flags() & LEAF_EPOCH == 0 {
            return 0;
        }
        self.tail().last_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes))
    }

    /// The stored bytes after the suffix, in whatever form the flags say.
    pub(crate) fn tail(self) -> &'a [u8] {
        let flags = self.flags();
        let epoch = if flags & LEAF_EPOCH == 0 { 0 } else { size_of::<u16>() };
        let value = if flags >> LEAF_KIND_SHIFT & 3 == EntryKind::Tombstone as u8 {
            0
        } else {
            match self.node.view.width {
                ValueWidth::Fixed(width) => usize::from(width),
                ValueWidth::Bytes if flags & LEAF_EXTENT != 0 => EXTENT_TAIL,
                ValueWidth::Bytes => {
                    let (len, offset) = self.inline_len();
                    len + offset
                }
            }
        };
        self.node.bytes(self.tail, value + epoch)
    }

    /// Units of the leaf's block.
    pub(crate) fn units(self) -> u32 {
        units(self.tail + self.tail().len())
    }
}

/// Bytes of an extent's address and slot in a leaf.
pub(crate) const EXTENT_TAIL: usize = size_of::<u64>() + size_of::<u32>();

/// What a leaf stores for an extent: its address, then its slot in the arena's table of extents.
pub(crate) fn extent_tail(slot: u32, address: *const Extent) -> [u8; EXTENT_TAIL] {
    let mut tail = [0; EXTENT_TAIL];
    tail[..8].copy_from_slice(&(address.expose_provenance() as u64).to_le_bytes());
    tail[8..].copy_from_slice(&slot.to_le_bytes());
    tail
}

/// The flags of a leaf.
pub(crate) fn leaf_flags(kind: EntryKind, below: Below, is_extent: bool, has_epoch: bool) -> u8 {
    let epoch = if has_epoch { LEAF_EPOCH } else { 0 };
    let below = if below == Below::Live { LEAF_BELOW_LIVE } else { 0 };
    let extent = if is_extent { LEAF_EXTENT } else { 0 };
    Kind::Leaf as u8 | (kind as u8) << LEAF_KIND_SHIFT | below | extent | epoch
}

/// What a leaf stores after its suffix: a length or an address, a value, and an epoch, each of
/// which may be empty.
pub(crate) type Tail<'a> = [&'a [u8]; 3];

/// Bytes of all parts of a tail.
#[inline]
pub(crate) fn tail_len(tail: &Tail<'_>) -> usize {
    tail[0].len() + tail[1].len() + tail[2].len()
}

/// A leaf to be written: flags, suffix, and the parts of its tail.
#[derive(Clone, Copy)]
pub(crate) struct LeafImage<'a> {
    pub(super) flags: u8,
    pub(super) suffix: &'a [u8],
    pub(super) tail: Tail<'a>,
    units: u32,
}

impl<'a> LeafImage<'a> {
    #[inline]
    pub(crate) fn new(flags: u8, suffix: &'a [u8], tail: Tail<'a>) -> Self {
        let len = suffix.len();
        let varint = 1 + usize::from(len >= 0x80) + usize::from(len >= 0x4000);
        let units = units(1 + varint + len + tail_len(&tail));
        Self { flags, suffix, tail, units }
    }

    /// Units of the block it needs.
    #[inline]
    pub(crate) fn units(&self) -> u32 {
        self.units
    }
}
