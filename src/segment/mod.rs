//! Segments: immutable sorted entries in one run of bytes, key to ordinal and back.
//!
//! Order is this layer's invariant (I2): keys are strictly ascending and ordinals dense. A segment
//! never changes (I5). Its bytes may come from a file, so nothing in this folder trusts them:
//! whatever they are, a read gives an answer or a [`Corruption`], within bounds and bounded time.
#![forbid(unsafe_code)]

mod bits;
mod bound;
mod build;
mod columns;
mod cursor;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod extents;
mod format;
mod front;
mod fst;
mod int;
mod lookup;
mod pass;
mod plain;
mod points;
mod slabs;
mod soon;
mod splice;
#[cfg(test)]
mod tests;
mod text;
mod values;
mod verify;
mod wide;

pub(crate) use bound::BoundSearch;
pub(crate) use build::{CodecChoice, SegmentBuilder, entry_bulk};
pub(crate) use columns::NumberPieces;
pub(crate) use cursor::SegmentCursor;
pub(crate) use extents::{EXTENT_ROW_LEN, Extents, extent_row};
#[cfg(any(test, fuzzing))]
pub(crate) use format::{announced_extents, field_offsets, reseal};
pub(crate) use lookup::{Lookup, Stepped};
pub(crate) use pass::{Pass, Room};
pub(crate) use soon::{Soon, SoonPlace, SoonSearch};
pub(crate) use splice::{Outcome, Spliced, SplicedPiece, splice};
pub(crate) use text::{TextBegun, TextSearch};

use crate::arena::Buffer;
use crate::blocks::{Blocks, Bytes};
use crate::entry::{Below, Entry, EntryKind, ExtentRef, ValueBuf, ValueRef, ValueWidth};
use crate::error::{Corruption, Error};
use crate::options::Profile;
use crate::stats::SegmentStats;
use crate::sync::{Arc, OnceLock};
use bits::Bits;
use format::{Codec, Layout, Section};
use front::{DirectKeys, Form, FrontHead, FrontKeys, Wanted};
use fst::FstKeys;
use int::{IntHead, IntKeys};
use plain::PlainKeys;
use points::Points;
use std::ops::Range;
use values::{Place, Values};
use wide::{WideHead, WideKeys};

/// The place of an entry in the order of its segment's keys, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ordinal(pub(crate) u64);

/// The bytes of a segment.
pub(crate) enum Image {
    /// In memory of their own.
    Heap(Buffer),
    /// In these bytes of a file's data. A range outside of that reads as empty.
    Stored(Arc<Blocks>, Range<usize>),
    /// Between pages that nobody may touch.
    #[cfg(all(test, unix))]
    Guarded(crate::mmap::guarded::Guarded),
}

impl Image {
    #[inline]
    fn bytes(&self) -> Bytes<'_> {
        match self {
            Self::Heap(buffer) => Bytes::heap(buffer.as_slice()),
            Self::Stored(blocks, range) => blocks.bytes(range.clone()),
            #[cfg(all(test, unix))]
            Self::Guarded(bytes) => Bytes::heap(bytes.as_slice()),
        }
    }

    fn file(&self) -> Option<&Arc<Blocks>> {
        if let Self::Stored(blocks, _) = self { Some(blocks) } else { None }
    }
}

/// The keys of a segment, as its codec stores them.
#[derive(Clone, Copy)]
enum Keys<'a> {
    Plain(PlainKeys<'a>),
    Front(FrontKeys<'a>),
    Int(IntKeys<'a>),
    Fst(FstKeys<'a>),
    Direct(DirectKeys<'a>),
    Wide(WideKeys<'a>),
}

impl Keys<'_> {
    /// Checks in constant time what is not checked with the head.
    fn check_frame(self) -> Result<(), Corruption> {
        match self {
            Self::Plain(keys) => keys.check_frame(),
            Self::Front(keys) => keys.check_frame(),
            Self::Int(_) | Self::Wide(_) => Ok(()),
            Self::Fst(keys) => keys.check_frame(),
            Self::Direct(keys) => keys.check_frame(),
        }
    }

    fn verify(self) -> Result<(), Error> {
        match self {
            Self::Plain(keys) => Ok(keys.verify()?),
            Self::Front(keys) => keys.verify(),
            Self::Int(keys) => keys.verify(),
            Self::Fst(keys) => keys.verify(),
            Self::Direct(keys) => keys.verify(),
            Self::Wide(keys) => keys.verify(),
        }
    }
}

/// A decoded entry whose value is not borrowed yet, but has been checked.
struct Located {
    kind: EntryKind,
    below: Below,
    value: Place,
}

/// A codec, and what it has to know for every get.
#[derive(Clone, Copy)]
enum KeyHead {
    Plain,
    Front(FrontHead),
    Int(IntHead),
    Fst,
    Direct(FrontHead),
    Wide(WideHead),
}

/// What is read of a segment once.
struct Known {
    /// What header and section table say.
    layout: Layout,
    head: KeyHead,
}

enum Frame {
    Known(Known),
    /// It is read with the first entry that anybody asks for.
    Unread(OnceLock<Known>),
}

/// An immutable sorted set of entries.
pub(crate) struct Segment {
    image: Image,
    frame: Frame,
    entries: u64,
    weight: i64,
    width: ValueWidth,
    extents: Extents,
    /// Heap bytes of all extents.
    extent_bytes: usize,
    /// The file that has to stay open, if one has.
    file: Option<Arc<Blocks>>,
}

impl Segment {
    /// Takes an image over, after looking at its header, its section table and the frames of its
    /// sections: in time independent of the number of entries, and of a file only the blocks
    /// of these parts. [`verify`](Self::verify) looks at everything else.
    pub(crate) fn open(
        image: Image,
        extents: Extents,
        width: ValueWidth,
    ) -> Result<Self, Corruption> {
        let layout = Layout::decode(image.bytes(), width)?;
        let mut segment = Self::unread(image, extents, width, layout.entries);
        segment.weight = layout.weight;
        segment.frame = Frame::Known(segment.look_at(layout)?);
        Ok(segment)
    }

    /// Takes over an image that is said to have `live` entries, all of them values with nothing
    /// live below. Whether it has is looked at, with all that [`open`](Self::open) looks at, when
    /// an entry is first asked for; until then an error comes from each read that finds one.
    pub(crate) fn unread(image: Image, extents: Extents, width: ValueWidth, live: u64) -> Self {
        let extent_bytes = extents.content_bytes();
        let file = image.file().or_else(|| extents.file()).cloned();
        let (frame, weight) = (Frame::Unread(OnceLock::new()), live.cast_signed());
        Self { image, frame, entries: live, weight, width, extents, extent_bytes, file }
    }

    /// Reads the keys' head, and checks in constant time that every section is as long as its entries
    /// need.
    fn look_at(&self, layout: Layout) -> Result<Known, Corruption> {
        self.extents.check_frame(layout.extents)?;
        let section = |section| self.section(&layout, section);
        let front = |form| {
            let blocks = section(Section::KeyBlocks).len();
            FrontHead::read(section(Section::HeadIndex), blocks, self.len(), form)
        };
        let head = match layout.codec {
            Codec::Plain => KeyHead::Plain,
            Codec::Front => KeyHead::Front(front(Form::Chained)?),
            Codec::Direct => KeyHead::Direct(front(Form::Direct)?),
            Codec::Int => KeyHead::Int(IntHead::read(section(Section::PieceIndex), self.len())?),
            Codec::Fst => KeyHead::Fst,
            Codec::Wide => KeyHead::Wide(WideHead::read(
                section(Section::PieceIndex),
                section(Section::Tails),
                self.len(),
            )?),
        };
        let known = Known { layout, head };
        self.keys_of(&known).check_frame()?;
        let layout = &known.layout;
        self.values(layout).check_frame(layout.entries)?;
        self.tombstones(layout).check_frame()?;
        self.live_below(layout).check_frame()?;
        Ok(known)
    }

    /// What is read once.
    #[inline]
    fn known(&self) -> Result<&Known, Corruption> {
        match &self.frame {
            Frame::Known(known) => Ok(known),
            Frame::Unread(later) => match later.get() {
                Some(known) => Ok(known),
                None => self.first_look(later),
            },
        }
    }

    /// Whether all of it is in memory: blocks of a file are read one by one.
    #[inline]
    pub(crate) fn is_at_hand(&self) -> bool {
        matches!(self.frame, Frame::Known(_))
    }

    /// What header and section table say.
    #[inline]
    fn layout(&self) -> Result<&Layout, Corruption> {
        self.known().map(|known| &known.layout)
    }

    #[cold]
    fn first_look<'a>(&self, later: &'a OnceLock<Known>) -> Result<&'a Known, Corruption> {
        let layout = Layout::decode(self.image.bytes(), self.width)?;
        if (layout.entries, layout.weight) != (self.entries, self.weight) {
            let rule = "a segment has as many values as its row of the directory says";
            return Err(Corruption::new("segment header", 0, rule));
        }
        let known = self.look_at(layout)?;
        Ok(later.get_or_init(|| known))
    }

    /// Number of entries, tombstones included.
    pub(crate) fn len(&self) -> u64 {
        self.entries
    }

    /// What the segment adds to the number of live keys of its map: the sum of all weights.
    pub(crate) fn weight(&self) -> i64 {
        self.weight
    }

    /// The sum of the weights of all entries before `ordinal`, in constant time.
    pub(crate) fn weight_before(&self, ordinal: Ordinal) -> Result<i64, Corruption> {
        // A value weighs 1 less if live below, a tombstone 0 less: so the sum is all entries, less
        // the tombstones, less those live below.
        let i = ordinal.0.min(self.len());
        let layout = self.layout()?;
        let tombstones = self.tombstones(layout).rank(i)?;
        let below = self.live_below(layout).rank(i)?;
        Ok((i - tombstones).cast_signed().wrapping_sub_unsigned(below))
    }

    /// The ordinal of `key`, if it has an entry.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn find(&self, key: &[u8]) -> Result<Option<Ordinal>, Corruption> {
        let found = match self.keys()? {
            Keys::Plain(keys) => keys.search(key)?.ok(),
            Keys::Front(keys) => keys.search(key, |_| ())?.ok(),
            Keys::Int(keys) => keys.search(key, |_| ())?.ok(),
            Keys::Fst(keys) => keys.find(key)?,
            Keys::Direct(keys) => keys.find(key, |_| ())?,
            Keys::Wide(keys) => keys.search(key, |_| ())?.ok(),
        };
        Ok(found.map(Ordinal))
    }

    /// The entry of `key`, if it has one. `buf` is where its value goes, if it has to be unpacked.
    #[inline]
    pub(crate) fn get<'a>(
        &'a self,
        key: &[u8],
        buf: &'a ValueBuf,
    ) -> Result<Option<Entry<'a>>, Corruption> {
        let known = self.known()?;
        let layout = &known.layout;
        if let KeyHead::Int(_) = &known.head
            && layout.is_base()
        {
            match self.soon(key) {
                Soon::Value(value) => {
                    let value = buf.hold(value.to_le_bytes(), self.number_width());
                    return Ok(Some(Entry::value(ValueRef::Inline(value), Below::Absent)));
                }
                Soon::Absent => return Ok(None),
                Soon::Removed | Soon::Unknown => {}
            }
        }
        let values = self.values(layout);
        // The value is somewhere else than the key: both are on their way at once.
        let found = match &known.head {
            KeyHead::Direct(head) => self.find_direct(layout, *head, &values, key)?,
            KeyHead::Front(head) => self.find_front(layout, *head, &values, key, None)?,
            KeyHead::Wide(head) => self.find_wide(layout, *head, &values, key)?,
            KeyHead::Int(head) => {
                let keys = self.int_keys(layout, *head);
                keys.search(key, |near| values.prefetch(near))?.ok()
            }
            KeyHead::Plain => self.plain_keys(layout).search(key)?.ok(),
            KeyHead::Fst => self.fst_keys(layout).find(key)?,
        };
        found.map(|ordinal| self.entry_of(layout, values, Ordinal(ordinal), buf)).transpose()
    }

    /// As [`get`](Self::get), of a segment below others. `is_last` tells whether these say nothing about the
    /// key: it may be called, when what is read first of this one is on its way. Where it says no, the
    /// answer means nothing.
    #[inline]
    pub(crate) fn get_below<'a>(
        &'a self,
        key: &[u8],
        buf: &'a ValueBuf,
        is_last: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Entry<'a>>, Corruption> {
        let known = self.known()?;
        let KeyHead::Front(head) = &known.head else {
            return if is_last() { self.get(key, buf) } else { Ok(None) };
        };
        let layout = &known.layout;
        let values = self.values(layout);
        let found = self.find_front(layout, *head, &values, key, Some(is_last))?;
        found.map(|ordinal| self.entry_of(layout, values, Ordinal(ordinal), buf)).transpose()
    }

    /// Asks for the memory that a [`get`](Self::get) of `key` waits for first, behind what is read so often
    /// that it is near.
    #[inline]
    pub(crate) fn ask(&self, key: &[u8]) {
        let Ok(known) = self.known() else { return };
        // What these begin is dropped. Damage will be met again.
        match self.keys_of(known) {
            Keys::Front(keys) => drop(keys.begin(key, &mut Wanted::none())),
            Keys::Int(keys) => drop(keys.begin(key)),
            Keys::Direct(keys) => drop(keys.begin(key)),
            Keys::Wide(keys) => drop(keys.begin(key)),
            Keys::Plain(_) | Keys::Fst(_) => {}
        }
    }

    /// The same ahead of a search for the first key that is not below `key`, which goes through no point
    /// index.
    #[inline]
    pub(crate) fn ask_for_bound(&self, key: &[u8]) {
        match self.keys() {
            Ok(Keys::Direct(keys)) => drop(keys.front.begin(key, &mut Wanted::none())),
            _ => self.ask(key),
        }
    }

    /// The ordinal of `key` in front-coded blocks: keys of several kinds would be made ready in memory
    /// first, and then looked at. `is_last` is as for [`FrontKeys::search_below`].
    #[inline(never)]
    fn find_front(
        &self,
        layout: &Layout,
        head: FrontHead,
        values: &Values<'_>,
        key: &[u8],
        is_last: Option<&mut dyn FnMut() -> bool>,
    ) -> Result<Option<u64>, Corruption> {
        let keys = self.front_keys(layout, head);
        Ok(keys.search_below(key, |first| values.prefetch(first), is_last)?.ok())
    }

    /// The same, through the point index, which most often tells without anything else that a key is
    /// absent.
    #[inline(never)]
    fn find_direct(
        &self,
        layout: &Layout,
        head: FrontHead,
        values: &Values<'_>,
        key: &[u8],
    ) -> Result<Option<u64>, Corruption> {
        let front = || self.front_keys(layout, head);
        front::find(self.points(layout), front, key, |near| values.prefetch_one(near))
    }

    /// The same, of heads and tails.
    #[inline(never)]
    fn find_wide(
        &self,
        layout: &Layout,
        head: WideHead,
        values: &Values<'_>,
        key: &[u8],
    ) -> Result<Option<u64>, Corruption> {
        Ok(self.wide_keys(layout, head).search(key, |near| values.prefetch(near))?.ok())
    }

    /// The ordinal of the first key that is not below `key`: [`len`](Self::len) if there is none.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> Result<Ordinal, Corruption> {
        let ordinal = match self.keys()? {
            Keys::Plain(keys) => {
                let (Ok(ordinal) | Err(ordinal)) = keys.search(key)?;
                ordinal
            }
            Keys::Front(keys) | Keys::Direct(DirectKeys { front: keys, .. }) => {
                let (Ok(ordinal) | Err(ordinal)) = keys.search(key, |_| ())?;
                ordinal
            }
            Keys::Int(keys) => {
                let (Ok(ordinal) | Err(ordinal)) = keys.search(key, |_| ())?;
                ordinal
            }
            Keys::Wide(keys) => {
                let (Ok(ordinal) | Err(ordinal)) = keys.search(key, |_| ())?;
                ordinal
            }
            Keys::Fst(keys) => keys.lower_bound(key)?,
        };
        Ok(Ordinal(ordinal))
    }

    /// The entry of `ordinal`, which is below [`len`](Self::len), with `buf` as for a
    /// [`get`](Self::get).
    #[inline]
    pub(crate) fn entry<'a>(
        &'a self,
        ordinal: Ordinal,
        buf: &'a ValueBuf,
    ) -> Result<Entry<'a>, Corruption> {
        let layout = self.layout()?;
        self.entry_of(layout, self.values(layout), ordinal, buf)
    }

    #[inline]
    fn entry_of<'a>(
        &'a self,
        layout: &Layout,
        values: Values<'a>,
        ordinal: Ordinal,
        buf: &'a ValueBuf,
    ) -> Result<Entry<'a>, Corruption> {
        let is_plain = |column| layout.span(column).is_empty();
        // The common case in few steps: a base has nothing but values, and nothing below.
        if ordinal.0 < self.len()
            && is_plain(Section::Tombstones)
            && is_plain(Section::LiveBelow)
            && let Some(value) = values.fixed(ordinal.0, buf)?
        {
            return Ok(Entry::value(ValueRef::Inline(value), Below::Absent));
        }
        let Located { kind, below, value } = self.locate(ordinal)?;
        let value = match value {
            Place::Number(value) => ValueRef::Inline(buf.hold(value, self.number_width())),
            value => self.lend_value(&value),
        };
        Ok(Entry { kind, below, value })
    }

    /// Appends the key of `ordinal`, which is below [`len`](Self::len), to `key`.
    pub(crate) fn key_at(&self, ordinal: Ordinal, key: &mut Vec<u8>) -> Result<(), Corruption> {
        self.check_ordinal(ordinal)?;
        match self.keys()? {
            Keys::Plain(keys) => key.extend_from_slice(keys.key(ordinal.0)?),
            Keys::Front(keys) | Keys::Direct(DirectKeys { front: keys, .. }) => {
                keys.key_at(ordinal.0, key)?;
            }
            Keys::Int(keys) => keys.key_at(ordinal.0, key)?,
            Keys::Fst(keys) => keys.key_at(ordinal.0, key)?,
            Keys::Wide(keys) => keys.key_at(ordinal.0, key)?,
        }
        Ok(())
    }

    /// Whether its keys are stored as for this profile, or nobody can read how they are.
    pub(crate) fn suits(&self, profile: Profile) -> bool {
        let Ok(layout) = self.layout() else { return true };
        match layout.codec {
            Codec::Plain | Codec::Int => true,
            _ if layout.is_smallest => profile == Profile::Smallest,
            Codec::Front | Codec::Fst => profile == Profile::Balanced,
            Codec::Direct => profile == Profile::Fastest,
            Codec::Wide => profile != Profile::Smallest,
        }
    }

    /// Whether keys are in blocks of text or codes that can be spliced.
    pub(crate) fn is_chained(&self) -> bool {
        self.layout().is_ok_and(|layout| layout.codec == Codec::Front && !layout.is_smallest)
    }

    /// Number of large values.
    pub(crate) fn extent_count(&self) -> u32 {
        self.extents.len() as u32
    }

    /// The large value of this extent index, which is below
    /// [`extent_count`](Self::extent_count), after a check of its bytes.
    pub(crate) fn extent(&self, index: u32) -> Result<ExtentRef<'_>, Corruption> {
        let found =
            if index < self.extent_count() { Some(self.extents.place(index)?) } else { None };
        found.and_then(|place| self.lend_extent(&place)).ok_or_else(|| {
            Corruption::new("segment extents", u64::from(index), "it is one of them")
        })
    }

    /// Heap bytes of all of them.
    pub(crate) fn extent_bytes(&self) -> usize {
        self.extent_bytes
    }

    /// The whole image, to be read piece by piece.
    pub(crate) fn image(&self) -> Bytes<'_> {
        self.image.bytes()
    }

    /// The file that holds the image or extents, if one does; the segment keeps it open.
    pub(crate) fn file(&self) -> Option<&Arc<Blocks>> {
        self.file.as_ref()
    }

    /// Bytes of the image that are in a file.
    pub(crate) fn stored_bytes(&self) -> usize {
        if let Image::Stored(_, range) = &self.image { range.len() } else { 0 }
    }

    /// Heap bytes owned, besides the struct itself, the shared content of the extents and what its
    /// file holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        let image = if let Image::Heap(buffer) = &self.image { buffer.heap_bytes() } else { 0 };
        image + self.extents.list_bytes()
    }

    /// Bytes on the heap that its values would take more if they were not packed: a few others among
    /// them may make that so.
    pub(crate) fn spared_bytes(&self) -> usize {
        match (&self.image, &self.frame, self.width) {
            (Image::Heap(_), Frame::Known(known), ValueWidth::Fixed(width))
                if known.layout.has_numbers =>
            {
                let array = self.entries as usize * usize::from(width);
                array.saturating_sub(known.layout.span(Section::Values).len())
            }
            _ => 0,
        }
    }

    /// What the segment is, in numbers.
    pub(crate) fn stats(&self) -> SegmentStats {
        // Statistics of a damaged segment need no more than be harmless.
        let layout = self.layout().ok();
        let bytes_of = |sections: &[Section]| {
            let spans = sections.iter().filter_map(|section| Some(layout?.span(*section)));
            spans.map(|span| span.len()).sum()
        };
        let tombstones = layout.and_then(|layout| self.tombstones(layout).ones().ok());
        SegmentStats {
            entries: self.len(),
            tombstones: tombstones.unwrap_or(0),
            bytes: self.image.bytes().len(),
            key_bytes: bytes_of(&[
                Section::KeyOffsets,
                Section::KeyBytes,
                Section::Transducer,
                Section::HeadIndex,
                Section::HeadTails,
                Section::KeyBlocks,
                Section::PieceIndex,
                Section::Pieces,
                Section::PointIndex,
                Section::Symbols,
                Section::Tails,
            ]),
            value_bytes: bytes_of(&[Section::Values, Section::ValueOffsets]),
            codec: match layout {
                None => "damaged",
                Some(layout) => {
                    let has_symbols = !layout.span(Section::Symbols).is_empty();
                    match layout.codec {
                        Codec::Front if has_symbols => "fsst",
                        Codec::Direct if has_symbols => "direct-fsst",
                        codec => codec.name(),
                    }
                }
            },
        }
    }

    fn check_ordinal(&self, ordinal: Ordinal) -> Result<(), Corruption> {
        if ordinal.0 < self.len() {
            Ok(())
        } else {
            Err(Corruption::new("segment", ordinal.0, "ordinals are below the number of entries"))
        }
    }

    /// Decodes an entry up to the place of its value, whose bytes are checked.
    #[inline]
    fn locate(&self, ordinal: Ordinal) -> Result<Located, Corruption> {
        self.check_ordinal(ordinal)?;
        let layout = self.layout()?;
        // A base has neither column, and walks come here with each entry that they stand on.
        if let (true, ValueWidth::Fixed(width), false) =
            (layout.is_base(), layout.width, layout.has_numbers)
        {
            let array = self.section(layout, Section::Values);
            let value = Values::place_in_array(array, usize::from(width), ordinal.0)?;
            return Ok(Located { kind: EntryKind::Value, below: Below::Absent, value });
        }
        self.locate_in(layout, ordinal)
    }

    /// The same of an entry that there is, whatever the segment is.
    #[inline(never)]
    fn locate_in(&self, layout: &Layout, ordinal: Ordinal) -> Result<Located, Corruption> {
        let is_set = |column| {
            let is_left_out = layout.span(column).is_empty();
            if is_left_out { Ok(false) } else { self.bits(layout, column).bit(ordinal.0) }
        };
        let below = if is_set(Section::LiveBelow)? { Below::Live } else { Below::Absent };
        if is_set(Section::Tombstones)? {
            return Ok(Located { kind: EntryKind::Tombstone, below, value: Place::Inline(0..0) });
        }
        let value = match self.values(layout).place(ordinal.0)? {
            Place::Extent(index) => self.extents.place(index)?,
            place => place,
        };
        Ok(Located { kind: EntryKind::Value, below, value })
    }

    /// Borrows a located entry. Its place was checked when it was located, and nothing changes.
    #[inline]
    fn lend<'a>(&'a self, located: &'a Located) -> Entry<'a> {
        let value = match &located.value {
            Place::Number(value) => ValueRef::Inline(&value[..self.number_width()]),
            place => self.lend_value(place),
        };
        Entry { kind: located.kind, below: located.below, value }
    }

    /// Bytes of a value that is a number.
    #[inline]
    pub(crate) fn number_width(&self) -> usize {
        match self.width {
            ValueWidth::Fixed(width) => usize::from(width),
            ValueWidth::Bytes => 0,
        }
    }

    /// Borrows the value at a place that is in the segment.
    #[inline]
    fn lend_value(&self, place: &Place) -> ValueRef<'_> {
        match place {
            Place::Inline(range) => {
                let layout = self.layout().expect("it was read when the entry was located");
                ValueRef::Inline(&self.section(layout, Section::Values).admitted()[range.clone()])
            }
            place => ValueRef::Extent(
                self.lend_extent(place).expect("a located extent is one of the segment's"),
            ),
        }
    }

    fn lend_extent(&self, place: &Place) -> Option<ExtentRef<'_>> {
        match place {
            Place::Inline(_) | Place::Number(_) => None,
            Place::Extent(index) => self.extents.owned(*index),
            Place::Stored(range) => self.extents.stored(range),
        }
    }

    #[inline]
    fn section(&self, layout: &Layout, section: Section) -> Bytes<'_> {
        self.image.bytes().part(layout.span(section))
    }

    #[inline]
    fn keys(&self) -> Result<Keys<'_>, Corruption> {
        self.known().map(|known| self.keys_of(known))
    }

    #[inline]
    fn keys_of(&self, known: &Known) -> Keys<'_> {
        let layout = &known.layout;
        match known.head {
            KeyHead::Plain => Keys::Plain(self.plain_keys(layout)),
            KeyHead::Front(head) => Keys::Front(self.front_keys(layout, head)),
            KeyHead::Direct(head) => {
                Keys::Direct(DirectKeys::new(self.front_keys(layout, head), self.points(layout)))
            }
            KeyHead::Int(head) => Keys::Int(self.int_keys(layout, head)),
            KeyHead::Fst => Keys::Fst(self.fst_keys(layout)),
            KeyHead::Wide(head) => Keys::Wide(self.wide_keys(layout, head)),
        }
    }

    #[inline]
    fn plain_keys(&self, layout: &Layout) -> PlainKeys<'_> {
        let section = |section| self.section(layout, section);
        PlainKeys::new(section(Section::KeyOffsets), section(Section::KeyBytes), self.len())
    }

    #[inline]
    fn fst_keys(&self, layout: &Layout) -> FstKeys<'_> {
        FstKeys::new(self.section(layout, Section::Transducer), self.len())
    }

    #[inline]
    fn int_keys(&self, layout: &Layout, head: IntHead) -> IntKeys<'_> {
        let section = |section| self.section(layout, section);
        IntKeys::new(head, section(Section::PieceIndex), section(Section::Pieces), self.len())
    }

    #[inline]
    fn wide_keys(&self, layout: &Layout, head: WideHead) -> WideKeys<'_> {
        WideKeys::new(head, |section| self.section(layout, section), self.len())
    }

    #[inline]
    fn front_keys(&self, layout: &Layout, head: FrontHead) -> FrontKeys<'_> {
        let section = |section| self.section(layout, section);
        // One by one: a loop over them would take a tenth of a get.
        let sections = [
            section(Section::HeadIndex),
            section(Section::HeadTails),
            section(Section::KeyBlocks),
            section(Section::Symbols),
        ];
        FrontKeys::new(head, sections, self.len())
    }

    #[inline]
    fn points(&self, layout: &Layout) -> Points<'_> {
        Points::new(self.section(layout, Section::PointIndex), self.len())
    }

    #[inline]
    fn values(&self, layout: &Layout) -> Values<'_> {
        Values::new(layout, |section| self.section(layout, section))
    }

    fn tombstones(&self, layout: &Layout) -> Bits<'_> {
        self.bits(layout, Section::Tombstones)
    }

    fn live_below(&self, layout: &Layout) -> Bits<'_> {
        self.bits(layout, Section::LiveBelow)
    }

    fn bits(&self, layout: &Layout, section: Section) -> Bits<'_> {
        Bits::new(self.section(layout, section), self.len(), section.part())
    }
}
