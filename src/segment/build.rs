//! Builds a segment from entries in ascending order of their keys.

use super::bits::BitStage;
use super::format::{Codec, Layout, Section, SectionLens};
use super::front::{BLOCK_SHIFT, FinishedFront, FrontStage};
use super::fst::FstStage;
use super::int::{FinishedInts, IntStage};
use super::plain::PlainStage;
use super::slabs::Column;
use super::values::ValueStage;
use super::{Extents, Image, Segment};
use crate::arena::{Buffer, OutOfMemory};
use crate::bytes::common_prefix;
use crate::entry::{Below, Entry, EntryKind, ValueWidth};
use crate::error::{Error, SortFault};
use crate::key::MAX_KEY_LEN;
use bumpalo::Bump;
use std::cmp::Ordering;

/// Segments of fewer entries are plain: an index costs more than it saves.
const PLAIN_BELOW: u64 = 256;

/// Who decides how keys are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CodecChoice {
    /// The builder, from what it is given.
    #[default]
    Automatic,
    /// Sorted arrays, however many entries.
    Plain,
    /// Front-coded blocks, however few entries.
    Front,
    /// Packed numbers, however few entries, if all keys have one length that allows for it; else
    /// front-coded blocks.
    Int,
    /// A transducer, however few entries.
    Fst,
}

/// Keys being collected.
#[expect(clippy::large_enum_variant, reason = "a box could not be refused its memory")]
enum KeyStage<'b> {
    Plain(PlainStage<'b>),
    Front(FrontStage<'b>),
    Int(IntStage<'b>),
    Fst(FstStage<'b>),
}

/// Keys collected.
#[expect(clippy::large_enum_variant, reason = "a box could not be refused its memory")]
enum FinishedKeys<'b> {
    Plain(PlainStage<'b>),
    Front(FinishedFront<'b>),
    Int(FinishedInts<'b>),
    Fst(Column<'b>),
}

/// A segment being built. Everything but the finished image is scratch in a bump allocator.
///
/// After [`Error::OutOfMemory`] it is good for nothing but to be dropped; other refusals leave it
/// as it was.
pub(crate) struct SegmentBuilder<'b> {
    bump: &'b Bump,
    choice: CodecChoice,
    width: ValueWidth,
    keys: KeyStage<'b>,
    values: ValueStage<'b>,
    tombstones: BitStage<'b>,
    below: BitStage<'b>,
    entries: u64,
    weight: i64,
    last_key: Vec<u8>,
}

impl<'b> SegmentBuilder<'b> {
    /// A builder without entries, for values of one width.
    pub(crate) fn new(
        width: ValueWidth,
        bump: &'b Bump,
        choice: CodecChoice,
    ) -> Result<Self, Error> {
        let keys = match choice {
            CodecChoice::Automatic | CodecChoice::Int | CodecChoice::Plain => {
                KeyStage::Plain(PlainStage::new(bump))
            }
            CodecChoice::Front => KeyStage::Front(FrontStage::new(bump, BLOCK_SHIFT)),
            CodecChoice::Fst => KeyStage::Fst(FstStage::new(bump)?),
        };
        Ok(Self {
            bump,
            choice,
            width,
            keys,
            values: ValueStage::new(width, bump),
            tombstones: BitStage::new(bump),
            below: BitStage::new(bump),
            entries: 0,
            weight: 0,
            last_key: Vec::new(),
        })
    }

    /// Entries so far.
    pub(crate) fn len(&self) -> u64 {
        self.entries
    }

    /// The key of the last one; empty if there is none.
    pub(crate) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Appends an entry, whose key is greater than the one before it.
    ///
    /// # Panics
    /// If the value is not as wide as the builder was told: a bug of the caller.
    pub(crate) fn push(&mut self, key: &[u8], entry: Entry<'_>) -> Result<(), Error> {
        let shared = self.check_key(key)?;
        self.choose_stage(key.len())?;
        let is_tombstone = entry.kind == EntryKind::Tombstone;
        // First, because this is the one part that may refuse an entry for what it is.
        self.values.push((!is_tombstone).then_some(entry.value))?;
        match &mut self.keys {
            KeyStage::Plain(stage) => stage.push(key)?,
            KeyStage::Front(stage) => stage.push(key, shared)?,
            KeyStage::Int(stage) => stage.push(key)?,
            KeyStage::Fst(stage) => stage.push(key, self.entries)?,
        }
        self.tombstones.push(is_tombstone)?;
        self.below.push(entry.below == Below::Live)?;
        self.last_key.truncate(shared);
        self.last_key.try_reserve(key.len() - shared).map_err(|_| OutOfMemory)?;
        self.last_key.extend_from_slice(&key[shared..]);
        self.entries += 1;
        self.weight += i64::from(entry.weight());
        Ok(())
    }

    /// How many bytes the key shares with the one before it.
    fn check_key(&self, key: &[u8]) -> Result<usize, Error> {
        if key.len() > MAX_KEY_LEN {
            return Err(Error::KeyTooLong { len: key.len() });
        }
        let shared = common_prefix(&self.last_key, key);
        if self.entries == 0 {
            return Ok(shared);
        }
        let order = match key.get(shared).cmp(&self.last_key.get(shared)) {
            Ordering::Greater => return Ok(shared),
            Ordering::Equal => SortFault::Duplicate,
            Ordering::Less => SortFault::Descending,
        };
        Err(Error::OutOfOrder { index: self.entries, order })
    }

    /// Puts the keys so far where those up to the next one, of this length, belong.
    fn choose_stage(&mut self, len: usize) -> Result<(), Error> {
        let plain_below = match self.choice {
            CodecChoice::Automatic => PLAIN_BELOW,
            CodecChoice::Int => 1,
            CodecChoice::Plain | CodecChoice::Front | CodecChoice::Fst => return Ok(()),
        };
        match &self.keys {
            KeyStage::Plain(plain) if self.entries + 1 >= plain_below => {
                let is_common = self.entries == 0 || plain.common_len() == Some(len);
                if is_common && IntStage::takes(len) {
                    self.switch_to_ints(len)
                } else {
                    self.switch_to_front()
                }
            }
            KeyStage::Int(ints) if ints.width() != len => self.switch_to_front(),
            _ => Ok(()),
        }
    }

    /// Makes the keys so far numbers, which all have so many bytes.
    fn switch_to_ints(&mut self, len: usize) -> Result<(), Error> {
        let mut ints = IntStage::new(self.bump, len);
        if let KeyStage::Plain(plain) = &self.keys {
            plain.replay(&mut Vec::new(), |key| ints.push(key))?;
        }
        self.keys = KeyStage::Int(ints);
        Ok(())
    }

    /// Puts the keys so far into blocks.
    fn switch_to_front(&mut self) -> Result<(), Error> {
        let mut front = FrontStage::new(self.bump, BLOCK_SHIFT);
        let mut last = Vec::new();
        let mut push = |key: &[u8]| {
            front.push(key, common_prefix(&last, key))?;
            last.clear();
            last.try_reserve(key.len())?;
            last.extend_from_slice(key);
            Ok::<(), OutOfMemory>(())
        };
        match &self.keys {
            KeyStage::Plain(plain) => plain.replay(&mut Vec::new(), push)?,
            KeyStage::Int(ints) => ints.replay(&mut push)?,
            KeyStage::Front(_) | KeyStage::Fst(_) => return Ok(()),
        }
        self.keys = KeyStage::Front(front);
        Ok(())
    }

    /// The finished segment, in one buffer of exactly its size.
    pub(crate) fn finish(self) -> Result<Segment, Error> {
        let keys = match self.keys {
            KeyStage::Plain(stage) => FinishedKeys::Plain(stage),
            KeyStage::Front(stage) => FinishedKeys::Front(stage.finish()?),
            KeyStage::Int(stage) => FinishedKeys::Int(stage.finish()?),
            KeyStage::Fst(stage) => FinishedKeys::Fst(stage.finish()?),
        };
        let mut layout =
            plan(self.width, self.entries, &keys, &self.values, &self.tombstones, &self.below)
                .ok_or(OutOfMemory)?;
        layout.entries = self.entries;
        layout.weight = self.weight;
        layout.extents = u32::try_from(self.values.extent_count()).map_err(|_| OutOfMemory)?;

        let mut buffer = Buffer::zeroed(layout.total())?;
        let image = buffer.as_mut_slice();
        match &keys {
            FinishedKeys::Plain(stage) => {
                stage.write_offsets(&mut image[layout.span(Section::KeyOffsets)]);
                stage.write_bytes(&mut image[layout.span(Section::KeyBytes)]);
            }
            FinishedKeys::Front(front) => {
                front.write_index(&mut image[layout.span(Section::HeadIndex)]);
                front.write_tails(&mut image[layout.span(Section::HeadTails)]);
                front.write_blocks(&mut image[layout.span(Section::KeyBlocks)]);
            }
            FinishedKeys::Int(ints) => {
                ints.write_index(&mut image[layout.span(Section::PieceIndex)]);
                ints.write_pieces(&mut image[layout.span(Section::Pieces)]);
            }
            FinishedKeys::Fst(column) => {
                column.copy_to(&mut image[layout.span(Section::Transducer)]);
            }
        }
        self.values.write_values(&mut image[layout.span(Section::Values)]);
        self.values.write_offsets(&mut image[layout.span(Section::ValueOffsets)]);
        self.tombstones.write_to(&mut image[layout.span(Section::Tombstones)]);
        self.below.write_to(&mut image[layout.span(Section::LiveBelow)]);
        layout.encode(image);
        let extents = Extents::Owned(self.values.into_extents());
        Ok(Segment::open(Image::Heap(buffer), extents, self.width)?)
    }
}

/// Where everything goes; `None` if the image could not be addressed.
fn plan(
    width: ValueWidth,
    entries: u64,
    keys: &FinishedKeys<'_>,
    values: &ValueStage<'_>,
    tombstones: &BitStage<'_>,
    below: &BitStage<'_>,
) -> Option<Layout> {
    let mut lens = SectionLens::default();
    let codec = match keys {
        FinishedKeys::Plain(stage) => {
            stage.plan(entries, &mut lens)?;
            Codec::Plain
        }
        FinishedKeys::Front(front) => {
            front.plan(&mut lens)?;
            Codec::Front
        }
        FinishedKeys::Int(ints) => {
            ints.plan(&mut lens);
            Codec::Int
        }
        FinishedKeys::Fst(column) => {
            lens.set(Section::Transducer, column.len());
            Codec::Fst
        }
    };
    values.plan(entries, &mut lens)?;
    lens.set(Section::Tombstones, tombstones.encoded_len()?);
    lens.set(Section::LiveBelow, below.encoded_len()?);
    Layout::plan(codec, width, &lens)
}
