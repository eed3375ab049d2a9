//! Builds a segment from entries in ascending order of their keys.

use super::bits::BitStage;
use super::format::{Codec, Layout, Section, SectionLens};
use super::front::{BLOCK_SHIFT, Coding, FinishedFront, Form, FrontBlock, FrontStage, KeyBuffer};
use super::fst::FstStage;
use super::int::{FinishedInts, IntPiece, IntStage, MAX_WIDTH, spelled};
use super::plain::PlainStage;
use super::slabs::Column;
use super::values::ValueStage;
use super::wide::{FinishedWide, WidePiece, WideStage};
use super::{Extents, Image, Ordinal, Room, Segment};
use crate::arena::{Buffer, OutOfMemory};
use crate::batch::LentValues;
use crate::bytes::common_prefix;
use crate::columns::{Columns, LIVE_BELOW, TOMBSTONE};
use crate::entry::{Below, Entry, EntryKind, ValueBuf, ValueRef, ValueWidth};
use crate::error::{Error, SortFault};
use crate::filter::{Filter, KeyHash};
use crate::key::MAX_KEY_LEN;
use bumpalo::Bump;
use std::cmp::Ordering;
use std::mem;
use std::ops::Range;

/// Keys of a block, as the power of two, where the fewest bytes are wanted: heads are whole.
const SMALLEST_BLOCK_SHIFT: u32 = BLOCK_SHIFT + 1;

/// Segments of fewer entries are plain: an index costs more than it saves.
const PLAIN_BELOW: u64 = 256;

/// Who decides how keys are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CodecChoice {
    /// The builder, from what it is given.
    #[default]
    Automatic,
    /// The builder; text as text. For what is soon written again.
    Quick,
    /// The builder; of text also as what takes the fewest bytes.
    Smallest,
    /// The builder; text as what is found fastest.
    Fastest,
    /// Sorted arrays, however many entries.
    Plain,
    /// Front-coded blocks of text, however few entries.
    Front,
    /// Front-coded blocks of codes, however little they spare.
    Symbols,
    /// Packed numbers, however few entries, if all keys have one length that allows for it; else
    /// front-coded blocks.
    Int,
    /// Heads and tails, however few entries, and however many bytes they take, if all keys have one length
    /// that allows for it, and no two of them one head; else front-coded blocks.
    Wide,
    /// A transducer, however few entries.
    Fst,
    /// Blocks of text of the direct form with a point index, however few entries.
    Direct,
    /// Those of codes, however little they spare.
    DirectSymbols,
}

impl CodecChoice {
    /// When blocks are made of codes, if ever.
    fn coding(self) -> Option<Coding> {
        match self {
            Self::Automatic => Some(Coding::Worthwhile),
            Self::Smallest => Some(Coding::Smaller),
            Self::Fastest => Some(Coding::Considerable),
            Self::Symbols | Self::DirectSymbols => Some(Coding::Always),
            Self::Quick
            | Self::Direct
            | Self::Plain
            | Self::Front
            | Self::Int
            | Self::Wide
            | Self::Fst => None,
        }
    }
}

/// Keys being collected.
#[expect(clippy::large_enum_variant, reason = "a box could not be refused its memory")]
enum KeyStage<'b> {
    Plain(PlainStage<'b>),
    Front(FrontStage<'b>),
    Int(IntStage<'b>),
    Wide(WideStage<'b>),
    Fst(FstStage<'b>),
}

/// Keys collected.
#[expect(clippy::large_enum_variant, reason = "a box could not be refused its memory")]
enum FinishedKeys<'b> {
    Plain(PlainStage<'b>),
    Front(FinishedFront<'b>),
    Int(FinishedInts<'b>),
    Wide(FinishedWide<'b>),
    Fst(Column<'b>),
}

/// A segment being built. Everything but the finished image is scratch in a bump allocator.
///
/// After [`Error::OutOfMemory`], or an error of a [run](Self::push_run) or of
/// [columns](Self::push_columns), it is good for nothing but to be dropped; other refusals leave it as it was.
pub(crate) struct SegmentBuilder<'b> {
    bump: &'b Bump,
    choice: CodecChoice,
    width: ValueWidth,
    keys: KeyStage<'b>,
    /// A transducer of the keys that are in blocks, if the smaller of both is wanted.
    rival: Option<FstStage<'b>>,
    values: ValueStage<'b>,
    tombstones: BitStage<'b>,
    below: BitStage<'b>,
    entries: u64,
    weight: i64,
    bulk: u64,
    last_key: KeyBuffer,
    /// Learns every key.
    filter: Option<&'b mut Filter>,
    /// Values of a run that have to be unpacked.
    unpacked: Vec<u8>,
}

/// Neighbouring entries of another segment, whose keys are unpacked.
pub(super) struct Run<'r> {
    pub(super) segment: &'r Segment,
    pub(super) layout: &'r Layout,
    pub(super) keys: RunKeys<'r>,
    /// Their ordinals.
    pub(super) range: Range<u64>,
}

/// Unpacked keys.
#[derive(Clone, Copy)]
pub(super) enum RunKeys<'r> {
    Front(&'r FrontBlock),
    Int(&'r IntPiece),
    Wide(&'r WidePiece),
}

impl<'r> RunKeys<'r> {
    /// The key of an ordinal, in `bytes` if it is a number.
    #[inline]
    pub(super) fn key<'k>(self, ordinal: u64, bytes: &'k mut [u8; MAX_WIDTH]) -> &'k [u8]
    where
        'r: 'k,
    {
        match self {
            Self::Front(block) => block.key(ordinal),
            Self::Int(piece) => piece.key(ordinal, bytes),
            Self::Wide(piece) => piece.key(ordinal),
        }
    }

    /// Its length.
    #[inline]
    fn key_len(self, ordinal: u64) -> u64 {
        match self {
            Self::Front(block) => block.key(ordinal).len() as u64,
            Self::Int(piece) => piece.width() as u64,
            Self::Wide(piece) => piece.key_len() as u64,
        }
    }
}

impl<'b> SegmentBuilder<'b> {
    /// A builder without entries, for values of one width.
    pub(crate) fn new(
        width: ValueWidth,
        bump: &'b Bump,
        choice: CodecChoice,
    ) -> Result<Self, Error> {
        let keys = match choice {
            CodecChoice::Automatic
            | CodecChoice::Quick
            | CodecChoice::Smallest
            | CodecChoice::Fastest
            | CodecChoice::Int
            | CodecChoice::Wide
            | CodecChoice::Plain => KeyStage::Plain(PlainStage::new(bump)),
            CodecChoice::Front | CodecChoice::Symbols => {
                KeyStage::Front(FrontStage::new(bump, BLOCK_SHIFT, Form::Chained))
            }
            CodecChoice::Direct | CodecChoice::DirectSymbols => {
                KeyStage::Front(FrontStage::new(bump, BLOCK_SHIFT, Form::Direct))
            }
            CodecChoice::Fst => KeyStage::Fst(FstStage::new(bump)?),
        };
        Ok(Self {
            bump,
            choice,
            width,
            keys,
            rival: None,
            values: ValueStage::new(width, bump),
            tombstones: BitStage::new(bump),
            below: BitStage::new(bump),
            entries: 0,
            weight: 0,
            bulk: 0,
            last_key: KeyBuffer::default(),
            filter: None,
            unpacked: Vec::new(),
        })
    }

    /// Has this filter told of every key from now on.
    pub(crate) fn tell(&mut self, filter: Option<&'b mut Filter>) {
        self.filter = filter;
    }

    /// Entries so far.
    pub(crate) fn len(&self) -> u64 {
        self.entries
    }

    /// What they count for where partitions end: the bytes of their values, large ones not counted, and
    /// what those of their keys count for. Where a run had tombstones, these may count as values of the width
    /// that all have.
    pub(crate) fn bulk(&self) -> u64 {
        self.bulk
    }

    /// The key of the last one; empty if there is none.
    pub(crate) fn last_key(&self) -> &[u8] {
        self.last_key.as_slice()
    }

    /// Appends an entry, whose key is greater than the one before it.
    ///
    /// # Panics
    /// If the value is not as wide as the builder was told: a bug of the caller.
    pub(crate) fn push(&mut self, key: &[u8], entry: Entry<'_>) -> Result<(), Error> {
        let shared = shared_with(self.last_key(), key, self.entries)?;
        if !matches!(self.keys, KeyStage::Front(_)) {
            self.choose_stage(key.len(), 1)?;
        }
        // First, because this is the one part that may refuse an entry for what it is.
        self.values.push(present(entry))?;
        self.last_key.change(shared, key)?;
        match &mut self.keys {
            KeyStage::Plain(stage) => stage.push(key)?,
            KeyStage::Front(stage) => stage.push(self.last_key.text(), shared)?,
            KeyStage::Int(stage) => stage.push(key)?,
            KeyStage::Wide(stage) => stage.extend(key)?,
            KeyStage::Fst(stage) => stage.push(key, self.entries)?,
        }
        if let Some(rival) = &mut self.rival {
            rival.push(key, self.entries)?;
        }
        if let Some(filter) = &mut self.filter {
            filter.insert(KeyHash::of(key))?;
        }
        self.tombstones.push(entry.kind == EntryKind::Tombstone)?;
        self.below.push(entry.below == Below::Live)?;
        self.entries += 1;
        self.weight += i64::from(entry.weight());
        self.bulk += entry_bulk(key, entry);
        Ok(())
    }

    /// Appends the first entries of a run, which has some: so many at most, and until there are
    /// `max_bulk`, of which there are less. Answers how many. The result is as if each was
    /// [pushed](Self::push).
    ///
    /// Keys of the codec that they had are not compared with each other again, and values of one
    /// width are copied together.
    pub(super) fn push_run(
        &mut self,
        run: &Run<'_>,
        most: u64,
        max_bulk: u64,
    ) -> Result<u64, Error> {
        self.look_at_wide()?;
        let Run { segment, layout, keys, ref range } = *run;
        let first = range.start;
        let mut bytes = [0; MAX_WIDTH];
        let first_key = keys.key(first, &mut bytes);
        let is_same_codec = match (&self.keys, keys) {
            (KeyStage::Front(_), RunKeys::Front(_)) => true,
            (KeyStage::Int(stage), RunKeys::Int(piece)) => stage.width() == piece.width(),
            (KeyStage::Wide(stage), RunKeys::Wide(piece)) => stage.key_len() == piece.key_len(),
            _ => false,
        };
        if !is_same_codec {
            self.push(first_key, segment.entry(Ordinal(first), &ValueBuf::default())?)?;
            return Ok(1);
        }
        let shared = shared_with(self.last_key(), first_key, self.entries)?;
        let most = range.end.min(first.saturating_add(most));
        let range = first..self.push_values(run, most, max_bulk)?;
        match (&mut self.keys, keys) {
            (KeyStage::Front(stage), RunKeys::Front(block)) => {
                stage.push(block.text(first), shared)?;
                for ordinal in first + 1..range.end {
                    stage.push(block.text(ordinal), block.shared(ordinal))?;
                }
            }
            (KeyStage::Int(stage), RunKeys::Int(piece)) => {
                stage.extend(piece.numbers(range.clone()))?;
            }
            (KeyStage::Wide(stage), RunKeys::Wide(piece)) => {
                stage.extend(piece.keys(range.clone()))?;
            }
            _ => {}
        }
        if let Some(rival) = &mut self.rival {
            for (number, ordinal) in (self.entries..).zip(range.clone()) {
                rival.push(keys.key(ordinal, &mut bytes), number)?;
            }
        }
        if let Some(filter) = &mut self.filter {
            for ordinal in range.clone() {
                filter.insert(KeyHash::of(keys.key(ordinal, &mut bytes)))?;
            }
        }
        let last_key = keys.key(range.end - 1, &mut bytes);
        self.last_key.change(0, last_key)?;
        let count = range.end - first;
        let tombstones = self.tombstones.push_range(segment.tombstones(layout), range.clone())?;
        let below = self.below.push_range(segment.live_below(layout), range)?;
        self.entries += count;
        self.weight += count.cast_signed() - tombstones.cast_signed() - below.cast_signed();
        Ok(count)
    }

    /// Takes the first entries of `columns`, whose keys have so many bytes, as many as there is room for,
    /// of which there is some. The result is as if each was [pushed](Self::push), but that tombstones may count
    /// as values for the bulk.
    pub(crate) fn push_columns(
        &mut self,
        key_width: usize,
        columns: &mut Columns,
        room: Room,
    ) -> Result<(), Error> {
        let each = bulk_of(key_width as u64, columns.width() as u64);
        let count = room.left(self, each).min(columns.len() as u64) as usize;
        self.choose_stage(key_width, count as u64)?;
        let mut bytes = [0; MAX_WIDTH];
        let keys = &columns.left_keys()[..count];
        let values = &columns.left_values()[..count * columns.width()];
        let flags = &columns.left_flags()[..count];
        let (Some(&first), Some(&last)) = (keys.first(), keys.last()) else { return Ok(()) };
        match &mut self.keys {
            KeyStage::Int(stage) if stage.width() == key_width => {
                let first = spelled(first, key_width, &mut bytes);
                shared_with(self.last_key.as_slice(), first, self.entries)?;
                stage.extend(keys)?;
                if let Some(filter) = &mut self.filter {
                    for key in keys {
                        filter.insert(KeyHash::of(spelled(*key, key_width, &mut bytes)))?;
                    }
                }
                let values = LentValues::Bytes(values);
                self.values.push_lent(values, count as u64, &mut self.unpacked)?;
                self.last_key.change(0, spelled(last, key_width, &mut bytes))?;
                self.bulk += count as u64 * each;
                if flags.iter().all(|flags| *flags == 0) {
                    self.count_values(count as u64);
                } else {
                    self.push_flags(flags)?;
                }
            }
            _ => {
                for (i, (key, flags)) in keys.iter().zip(flags).enumerate() {
                    let below = if flags & LIVE_BELOW == 0 { Below::Absent } else { Below::Live };
                    let value = &values[i * columns.width()..(i + 1) * columns.width()];
                    let entry = match flags & TOMBSTONE {
                        0 => Entry::value(ValueRef::Inline(value), below),
                        _ => Entry::tombstone(below),
                    };
                    self.push(spelled(*key, key_width, &mut bytes), entry)?;
                }
            }
        }
        columns.take(count);
        Ok(())
    }

    /// Counts entries that have these flags.
    fn push_flags(&mut self, flags: &[u8]) -> Result<(), Error> {
        for flags in flags {
            let (is_tombstone, is_live_below) = (flags & TOMBSTONE != 0, flags & LIVE_BELOW != 0);
            self.tombstones.push(is_tombstone)?;
            self.below.push(is_live_below)?;
            self.entries += 1;
            self.weight += 1 - i64::from(is_tombstone) - i64::from(is_live_below);
        }
        Ok(())
    }

    /// Appends the values of a run's first entries, up to `most` and the one that brings all to
    /// `max_bulk`. Answers the ordinal behind them.
    fn push_values(&mut self, run: &Run<'_>, most: u64, max_bulk: u64) -> Result<u64, Error> {
        let Run { segment, layout, keys, ref range } = *run;
        let first = range.start;
        let mut end = first;
        if let ValueWidth::Fixed(width) = self.width {
            let width = u64::from(width);
            match keys {
                RunKeys::Front(_) => {
                    while end < most && self.bulk < max_bulk {
                        self.bulk += bulk_of(keys.key_len(end), width);
                        end += 1;
                    }
                }
                // All keys have one length.
                RunKeys::Int(_) | RunKeys::Wide(_) => {
                    let each = bulk_of(keys.key_len(first), width);
                    let room = max_bulk.saturating_sub(self.bulk);
                    end += room.div_ceil(each).min(most - first);
                    self.bulk += (end - first) * each;
                }
            }
            self.copy_values(segment, layout, first..end)?;
            return Ok(end);
        }
        let values = segment.values(layout);
        while end < most && self.bulk < max_bulk {
            let buf = ValueBuf::default();
            let entry = segment.entry_of(layout, values, Ordinal(end), &buf)?;
            self.values.push(present(entry))?;
            self.bulk += bulk_of(keys.key_len(end), value_len(entry.value));
            end += 1;
        }
        Ok(end)
    }

    /// Appends the values of some entries of another segment.
    fn copy_values(
        &mut self,
        segment: &Segment,
        layout: &Layout,
        range: Range<u64>,
    ) -> Result<(), Error> {
        let values = segment.values(layout);
        if let Some((values, _)) = values.lend(range.clone()) {
            return self.values.push_lent(values, range.end - range.start, &mut self.unpacked);
        }
        // They cannot be read together: one by one, for the error of the first that cannot.
        for ordinal in range {
            let buf = ValueBuf::default();
            let entry = segment.entry_of(layout, values, Ordinal(ordinal), &buf)?;
            self.values.push(present(entry))?;
        }
        Ok(())
    }

    /// Puts the keys so far where those up to the next ones, so many of this length, belong.
    #[inline]
    fn choose_stage(&mut self, len: usize, count: u64) -> Result<(), Error> {
        let plain_below = match self.choice {
            CodecChoice::Automatic
            | CodecChoice::Quick
            | CodecChoice::Smallest
            | CodecChoice::Fastest => PLAIN_BELOW,
            CodecChoice::Int | CodecChoice::Wide => 1,
            CodecChoice::Plain
            | CodecChoice::Front
            | CodecChoice::Symbols
            | CodecChoice::Fst
            | CodecChoice::Direct
            | CodecChoice::DirectSymbols => {
                return Ok(());
            }
        };
        match &self.keys {
            KeyStage::Plain(plain) if self.entries + count >= plain_below => {
                let is_common = self.entries == 0 || plain.common_len() == Some(len);
                if is_common && IntStage::takes(len) && self.choice != CodecChoice::Wide {
                    self.switch_to_ints(len)
                } else if is_common && WideStage::takes(len) && self.choice != CodecChoice::Int {
                    self.switch_to_wide(len)
                } else {
                    self.switch_to_front()
                }
            }
            KeyStage::Int(ints) if ints.width() != len => self.switch_to_front(),
            KeyStage::Wide(wide) if wide.key_len() != len => self.switch_to_front(),
            KeyStage::Wide(_) => self.look_at_wide(),
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

    /// Makes the keys so far those that may have heads and tails, which all have so many bytes.
    fn switch_to_wide(&mut self, len: usize) -> Result<(), Error> {
        let mut wide = WideStage::new(self.bump, len);
        if let KeyStage::Plain(plain) = &self.keys {
            plain.replay(&mut Vec::new(), |key| wide.extend(key))?;
        }
        self.keys = KeyStage::Wide(wide);
        Ok(())
    }

    /// Puts keys into blocks that are text after all.
    fn look_at_wide(&mut self) -> Result<(), Error> {
        let always = matches!(self.choice, CodecChoice::Wide | CodecChoice::Smallest);
        if let KeyStage::Wide(wide) = &mut self.keys
            && wide.is_text(always)?
        {
            self.switch_to_front()?;
        }
        Ok(())
    }

    /// Puts the keys so far into blocks.
    fn switch_to_front(&mut self) -> Result<(), Error> {
        let (front, rival) = self.blocks_of(&self.keys)?;
        self.keys = KeyStage::Front(front);
        self.rival = rival;
        Ok(())
    }

    /// Blocks of these keys, and a transducer of them if the smaller of both is wanted.
    fn blocks_of(
        &self,
        keys: &KeyStage<'b>,
    ) -> Result<(FrontStage<'b>, Option<FstStage<'b>>), Error> {
        let is_smallest = self.choice == CodecChoice::Smallest;
        let shift = if is_smallest { SMALLEST_BLOCK_SHIFT } else { BLOCK_SHIFT };
        let is_fastest = self.choice == CodecChoice::Fastest;
        let form = if is_fastest { Form::Direct } else { Form::Chained };
        let mut front = FrontStage::new(self.bump, shift, form);
        let mut rival = if is_smallest { Some(FstStage::new(self.bump)?) } else { None };
        let (mut last, mut number) = (KeyBuffer::default(), 0);
        let mut push = |key: &[u8]| {
            let shared = common_prefix(last.as_slice(), key);
            last.change(shared, key)?;
            front.push(last.text(), shared)?;
            if let Some(rival) = &mut rival {
                rival.push(key, number)?;
            }
            number += 1;
            Ok::<(), Error>(())
        };
        match keys {
            KeyStage::Plain(plain) => plain.replay(&mut Vec::new(), push)?,
            KeyStage::Int(ints) => ints.replay(&mut push)?,
            KeyStage::Wide(wide) => wide.replay(push)?,
            KeyStage::Front(_) | KeyStage::Fst(_) => {}
        }
        Ok((front, rival))
    }

    /// Appends the value of an entry that a base is to have, whose key stands elsewhere.
    pub(super) fn push_value(&mut self, key: &[u8], entry: Entry<'_>) -> Result<(), Error> {
        self.values.push(present(entry))?;
        self.bulk += entry_bulk(key, entry);
        self.count_values(1);
        Ok(())
    }

    /// Appends the values of some entries of another base, whose keys stand elsewhere. What they
    /// count for is not added.
    pub(super) fn pass_values(
        &mut self,
        segment: &Segment,
        layout: &Layout,
        range: Range<u64>,
    ) -> Result<(), Error> {
        let count = range.end - range.start;
        if count == 0 {
            return Ok(());
        }
        self.copy_values(segment, layout, range)?;
        self.count_values(count);
        Ok(())
    }

    /// Counts entries that have values, and nothing live below.
    fn count_values(&mut self, count: u64) {
        self.tombstones.push_zeros(count);
        self.below.push_zeros(count);
        self.entries += count;
        self.weight += count.cast_signed();
    }

    /// The finished segment, in one buffer of exactly its size.
    pub(crate) fn finish(mut self) -> Result<Segment, Error> {
        let keys = self.finish_keys()?;
        self.assemble(&keys)
    }

    fn finish_keys(&mut self) -> Result<FinishedKeys<'b>, Error> {
        self.look_at_wide()?;
        let none = KeyStage::Plain(PlainStage::new(self.bump));
        Ok(match mem::replace(&mut self.keys, none) {
            KeyStage::Plain(stage) => FinishedKeys::Plain(stage),
            KeyStage::Front(stage) => {
                let rival = self.rival.take();
                self.finish_text(stage, rival)?.0
            }
            KeyStage::Int(stage) => FinishedKeys::Int(stage.finish()?),
            KeyStage::Wide(stage) => self.finish_wide(stage)?,
            KeyStage::Fst(stage) => FinishedKeys::Fst(stage.finish()?),
        })
    }

    /// Blocks or a transducer, and how many bytes they take, if that is a number.
    fn finish_text(
        &self,
        stage: FrontStage<'b>,
        rival: Option<FstStage<'b>>,
    ) -> Result<(FinishedKeys<'b>, usize), Error> {
        let mut front = stage.finish()?;
        if let Some(coding) = self.choice.coding() {
            front = front.code(self.bump, coding)?;
        }
        let len = front.lens().map_or(usize::MAX, |lens| lens.iter().sum());
        Ok(match rival.map(FstStage::finish).transpose()? {
            Some(column) if column.len() < len => {
                let len = column.len();
                (FinishedKeys::Fst(column), len)
            }
            _ => (FinishedKeys::Front(front), len),
        })
    }

    /// Heads and tails, or text if that is better: it is built beside them if the fewest bytes are wanted.
    fn finish_wide(&self, stage: WideStage<'b>) -> Result<FinishedKeys<'b>, Error> {
        let is_smallest = self.choice == CodecChoice::Smallest;
        let heads =
            stage.heads_and_tails(self.bump, is_smallest || self.choice == CodecChoice::Wide)?;
        let stage = match heads {
            Some(heads) if !is_smallest => {
                return Ok(FinishedKeys::Wide(FinishedWide::new(stage, heads)));
            }
            _ => KeyStage::Wide(stage),
        };
        let (front, rival) = self.blocks_of(&stage)?;
        let (text, text_len) = self.finish_text(front, rival)?;
        Ok(match (stage, heads) {
            (KeyStage::Wide(stage), Some(heads)) if heads.len(stage.len()) <= text_len => {
                FinishedKeys::Wide(FinishedWide::new(stage, heads))
            }
            _ => text,
        })
    }

    /// As [`finish`](Self::finish), with these keys instead of those that were appended: none.
    pub(super) fn finish_with(self, keys: FinishedFront<'b>) -> Result<Segment, Error> {
        self.assemble(&FinishedKeys::Front(keys))
    }

    fn assemble(mut self, keys: &FinishedKeys<'_>) -> Result<Segment, Error> {
        let has_numbers = self.values.settle()?;
        let mut layout =
            plan(self.width, self.entries, keys, &self.values, &self.tombstones, &self.below)
                .ok_or(OutOfMemory)?;
        layout.is_smallest = self.choice == CodecChoice::Smallest
            && matches!(
                keys,
                FinishedKeys::Front(_) | FinishedKeys::Fst(_) | FinishedKeys::Wide(_)
            );
        layout.has_numbers = has_numbers;
        layout.entries = self.entries;
        layout.weight = self.weight;
        layout.extents = u32::try_from(self.values.extent_count()).map_err(|_| OutOfMemory)?;

        let mut buffer = Buffer::zeroed(layout.total())?;
        let image = buffer.as_mut_slice();
        match keys {
            FinishedKeys::Plain(stage) => {
                stage.write_offsets(&mut image[layout.span(Section::KeyOffsets)]);
                stage.write_bytes(&mut image[layout.span(Section::KeyBytes)]);
            }
            FinishedKeys::Front(front) => {
                front.write_index(&mut image[layout.span(Section::HeadIndex)]);
                front.write_tails(&mut image[layout.span(Section::HeadTails)]);
                front.write_blocks(&mut image[layout.span(Section::KeyBlocks)]);
                front.write_points(&mut image[layout.span(Section::PointIndex)]);
                front.write_symbols(&mut image[layout.span(Section::Symbols)]);
            }
            FinishedKeys::Int(ints) => {
                ints.write_index(&mut image[layout.span(Section::PieceIndex)]);
                ints.write_pieces(&mut image[layout.span(Section::Pieces)]);
            }
            FinishedKeys::Wide(wide) => {
                wide.heads().write_index(&mut image[layout.span(Section::PieceIndex)]);
                wide.heads().write_pieces(&mut image[layout.span(Section::Pieces)]);
                wide.write_tails(&mut image[layout.span(Section::Tails)]);
            }
            FinishedKeys::Fst(column) => {
                column.copy_to(&mut image[layout.span(Section::Transducer)]);
            }
        }
        self.values.write_values(&mut image[layout.span(Section::Values)])?;
        self.values.write_offsets(&mut image[layout.span(Section::ValueOffsets)]);
        self.tombstones.write_to(&mut image[layout.span(Section::Tombstones)]);
        self.below.write_to(&mut image[layout.span(Section::LiveBelow)]);
        layout.encode(image);
        let extents = Extents::Owned(self.values.into_extents());
        Ok(Segment::open(Image::Heap(buffer), extents, self.width)?)
    }
}

/// Bytes of an entry as [`SegmentBuilder::bulk`] counts them.
pub(crate) fn entry_bulk(key: &[u8], entry: Entry<'_>) -> u64 {
    bulk_of(key.len() as u64, value_len(entry.value))
}

/// What a key and a value of so many bytes count for where partitions end.
pub(crate) fn bulk_of(key_len: u64, value_len: u64) -> u64 {
    key_bulk(key_len) + value_len
}

/// What a key of so many bytes counts for. Values are copied, keys are put together, compared and encoded: a byte
/// of those takes as long as some eight of values. But to a key of up to about a hundred bytes more is done by the
/// key than by the byte: of the bytes between, each counts for half of one. SCRATCHPAD.md section 2.8.
pub(super) fn key_bulk(len: u64) -> u64 {
    let between = len.clamp(FEW_BYTES, MANY_BYTES) - FEW_BYTES;
    8 * (len - between) + between / 2
}

/// Bytes of a key that count for half as much as one of a value: those behind as many, and before as many.
const FEW_BYTES: u64 = 16;
const MANY_BYTES: u64 = 112;

/// The value, unless the entry is a tombstone.
fn present(entry: Entry<'_>) -> Option<ValueRef<'_>> {
    (entry.kind == EntryKind::Value).then_some(entry.value)
}

fn value_len(value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Inline(bytes) => bytes.len() as u64,
        ValueRef::Extent(_) => 0,
    }
}

/// How many bytes a key shares with the one before it, if it may be number `index`.
#[inline]
pub(super) fn shared_with(before: &[u8], key: &[u8], index: u64) -> Result<usize, Error> {
    if key.len() > MAX_KEY_LEN {
        return Err(Error::KeyTooLong { len: key.len() });
    }
    let shared = common_prefix(before, key);
    if index == 0 {
        return Ok(shared);
    }
    let order = match key.get(shared).cmp(&before.get(shared)) {
        Ordering::Greater => return Ok(shared),
        Ordering::Equal => SortFault::Duplicate,
        Ordering::Less => SortFault::Descending,
    };
    Err(Error::OutOfOrder { index, order })
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
            match front.form() {
                Form::Chained => Codec::Front,
                Form::Direct => Codec::Direct,
            }
        }
        FinishedKeys::Int(ints) => {
            ints.plan(&mut lens);
            Codec::Int
        }
        FinishedKeys::Wide(wide) => {
            wide.plan(&mut lens);
            Codec::Wide
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
