//! Segments: immutable sorted entries in one run of bytes, key to ordinal and back.
//!
//! Order is this layer's invariant (I2): keys are strictly ascending and ordinals dense. A segment
//! never changes (I5). Its bytes may come from a file, so nothing in this folder trusts them:
//! whatever they are, a read gives an answer or a [`Corruption`], within bounds and bounded time.
#![forbid(unsafe_code)]

mod bits;
mod build;
mod cursor;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod format;
mod fst;
mod plain;
mod slabs;
#[cfg(test)]
mod tests;
mod values;
mod verify;

pub(crate) use build::{CodecChoice, SegmentBuilder};
pub(crate) use cursor::SegmentCursor;
#[cfg(any(test, fuzzing))]
pub(crate) use format::{announced_extents, field_offsets, reseal};

use crate::arena::Buffer;
use crate::entry::{Below, Entry, EntryKind, Extent, ValueRef, ValueWidth, extent_heap_bytes};
use crate::error::Corruption;
use crate::mmap::Mapping;
use crate::stats::SegmentStats;
use crate::sync::Arc;
use bits::Bits;
use format::{Codec, Layout, Section};
use fst::FstKeys;
use plain::PlainKeys;
use std::ops::Range;
use values::{Place, Values};

/// The place of an entry in the order of its segment's keys, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ordinal(pub(crate) u64);

/// The bytes of a segment.
pub(crate) enum Image {
    /// In memory of their own.
    Heap(Buffer),
    /// In these bytes of a mapped file. A range outside the file reads as empty.
    Mapped(Arc<Mapping>, Range<usize>),
}

impl Image {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Heap(buffer) => buffer.as_slice(),
            Self::Mapped(mapping, range) => mapping.as_slice().get(range.clone()).unwrap_or(&[]),
        }
    }
}

/// The keys of a segment, as its codec stores them.
#[derive(Clone, Copy)]
enum Keys<'a> {
    Plain(PlainKeys<'a>),
    Fst(FstKeys<'a>),
}

impl Keys<'_> {
    fn check_frame(self) -> Result<(), Corruption> {
        match self {
            Self::Plain(keys) => keys.check_frame(),
            Self::Fst(keys) => keys.check_frame(),
        }
    }

    fn verify(self) -> Result<(), Corruption> {
        match self {
            Self::Plain(keys) => keys.verify(),
            Self::Fst(keys) => keys.verify(),
        }
    }
}

/// A decoded entry whose value is not borrowed yet.
struct Located {
    kind: EntryKind,
    below: Below,
    value: Place,
}

/// An immutable sorted set of entries.
pub(crate) struct Segment {
    image: Image,
    layout: Layout,
    extents: Box<[Extent]>,
    /// Heap bytes of all extents.
    extent_bytes: usize,
}

impl Segment {
    /// Takes an image over, after looking at its header, its section table and the frames of its
    /// sections: in time independent of the number of entries. [`verify`](Self::verify) looks at
    /// everything else.
    pub(crate) fn open(
        image: Image,
        extents: Vec<Extent>,
        width: ValueWidth,
    ) -> Result<Self, Corruption> {
        let layout = Layout::decode(image.as_slice(), width)?;
        if layout.extents as usize != extents.len() {
            return Err(Corruption::new(
                "segment extents",
                0,
                "there are as many as the header says",
            ));
        }
        let extent_bytes = extents.iter().map(extent_heap_bytes).sum();
        let segment = Self { image, layout, extents: extents.into_boxed_slice(), extent_bytes };
        segment.keys().check_frame()?;
        segment.values().check_frame(segment.len())?;
        segment.tombstones().check_frame()?;
        segment.live_below().check_frame()?;
        Ok(segment)
    }

    /// Number of entries, tombstones included.
    pub(crate) fn len(&self) -> u64 {
        self.layout.entries
    }

    /// What the segment adds to the number of live keys of its map: the sum of all weights.
    pub(crate) fn weight(&self) -> i64 {
        self.layout.weight
    }

    /// The sum of the weights of all entries before `ordinal`, in constant time.
    pub(crate) fn weight_before(&self, ordinal: Ordinal) -> Result<i64, Corruption> {
        // A value weighs 1 less if live below, a tombstone 0 less: so the sum is all entries, less
        // the tombstones, less those live below.
        let i = ordinal.0.min(self.len());
        let tombstones = self.tombstones().rank(i)?;
        let below = self.live_below().rank(i)?;
        Ok((i - tombstones).cast_signed().wrapping_sub_unsigned(below))
    }

    /// The ordinal of `key`, if it has an entry.
    pub(crate) fn find(&self, key: &[u8]) -> Result<Option<Ordinal>, Corruption> {
        let found = match self.keys() {
            Keys::Plain(keys) => keys.search(key)?.ok(),
            Keys::Fst(keys) => keys.find(key)?,
        };
        Ok(found.map(Ordinal))
    }

    /// The ordinal of the first key that is not below `key`: [`len`](Self::len) if there is none.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> Result<Ordinal, Corruption> {
        let ordinal = match self.keys() {
            Keys::Plain(keys) => {
                let (Ok(ordinal) | Err(ordinal)) = keys.search(key)?;
                ordinal
            }
            Keys::Fst(keys) => keys.lower_bound(key)?,
        };
        Ok(Ordinal(ordinal))
    }

    /// The entry of `ordinal`, which is below [`len`](Self::len).
    pub(crate) fn entry(&self, ordinal: Ordinal) -> Result<Entry<'_>, Corruption> {
        self.locate(ordinal).map(|located| self.lend(&located))
    }

    /// Appends the key of `ordinal`, which is below [`len`](Self::len), to `key`.
    pub(crate) fn key_at(&self, ordinal: Ordinal, key: &mut Vec<u8>) -> Result<(), Corruption> {
        self.check_ordinal(ordinal)?;
        match self.keys() {
            Keys::Plain(keys) => key.extend_from_slice(keys.key(ordinal.0)?),
            Keys::Fst(keys) => keys.key_at(ordinal.0, key)?,
        }
        Ok(())
    }

    /// The large values, by extent index.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Heap bytes of all of them.
    pub(crate) fn extent_bytes(&self) -> usize {
        self.extent_bytes
    }

    /// The whole image.
    pub(crate) fn image_bytes(&self) -> &[u8] {
        self.image.as_slice()
    }

    /// Heap bytes owned, besides the struct itself and the shared content of the extents.
    pub(crate) fn heap_bytes(&self) -> usize {
        let image = match &self.image {
            Image::Heap(buffer) => buffer.heap_bytes(),
            Image::Mapped(..) => 0,
        };
        image + size_of_val(&*self.extents)
    }

    /// What the segment is, in numbers.
    pub(crate) fn stats(&self) -> SegmentStats {
        let bytes_of = |sections: &[Section]| {
            let spans = sections.iter().map(|section| self.layout.span(*section));
            spans.map(|span| span.len()).sum()
        };
        SegmentStats {
            entries: self.len(),
            // Statistics of a damaged segment need no more than be harmless.
            tombstones: self.tombstones().ones().unwrap_or(0),
            bytes: self.image_bytes().len(),
            key_bytes: bytes_of(&[Section::KeyOffsets, Section::KeyBytes, Section::Transducer]),
            value_bytes: bytes_of(&[Section::Values, Section::ValueOffsets]),
            codec: self.layout.codec.name(),
        }
    }

    fn check_ordinal(&self, ordinal: Ordinal) -> Result<(), Corruption> {
        if ordinal.0 < self.len() {
            Ok(())
        } else {
            Err(Corruption::new("segment", ordinal.0, "ordinals are below the number of entries"))
        }
    }

    /// Decodes an entry up to the place of its value.
    #[inline]
    fn locate(&self, ordinal: Ordinal) -> Result<Located, Corruption> {
        self.check_ordinal(ordinal)?;
        let below = if self.live_below().bit(ordinal.0) { Below::Live } else { Below::Absent };
        if self.tombstones().bit(ordinal.0) {
            return Ok(Located { kind: EntryKind::Tombstone, below, value: Place::Inline(0..0) });
        }
        Ok(Located { kind: EntryKind::Value, below, value: self.values().place(ordinal.0)? })
    }

    /// Borrows a located entry. Its place was checked when it was located, and nothing changes.
    #[inline]
    fn lend(&self, located: &Located) -> Entry<'_> {
        let value = match &located.value {
            Place::Inline(range) => ValueRef::Inline(&self.section(Section::Values)[range.clone()]),
            Place::Extent(index) => ValueRef::Extent(&self.extents[*index as usize]),
        };
        Entry { kind: located.kind, below: located.below, value }
    }

    fn section(&self, section: Section) -> &[u8] {
        &self.image.as_slice()[self.layout.span(section)]
    }

    fn keys(&self) -> Keys<'_> {
        match self.layout.codec {
            Codec::Plain => Keys::Plain(PlainKeys::new(
                self.section(Section::KeyOffsets),
                self.section(Section::KeyBytes),
                self.len(),
            )),
            Codec::Fst => Keys::Fst(FstKeys::new(self.section(Section::Transducer), self.len())),
        }
    }

    fn values(&self) -> Values<'_> {
        Values::new(
            self.layout.width,
            self.section(Section::Values),
            self.section(Section::ValueOffsets),
            self.layout.extents,
        )
    }

    fn tombstones(&self) -> Bits<'_> {
        self.bits(Section::Tombstones)
    }

    fn live_below(&self) -> Bits<'_> {
        self.bits(Section::LiveBelow)
    }

    fn bits(&self, section: Section) -> Bits<'_> {
        Bits::new(self.section(section), self.len(), section.part())
    }
}
