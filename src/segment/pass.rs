//! Entries of a segment appended to another one, block by block.
//!
//! A fold leaves most of what is in a segment as it is. Through a cursor, a merge and a builder each
//! entry takes a thousand instructions; here keys are unpacked together and go where they have the
//! same form, and between two entries that are newer, all is copied that stands there.

use super::bits::Bits;
use super::build::{Mark, Run, RunKeys, bulk_of};
use super::format::{Layout, Section};
use super::front::{DirectKeys, FrontBlock};
use super::int::{IntPiece, MAX_WIDTH, number_of_width};
use super::{Keys, Known, Ordinal, Segment, SegmentBuilder};
use crate::arena::{OutOfMemory, replace};
use crate::batch::LentValues;
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, EntryKind};
use crate::error::{Corruption, Error};
use std::ops::Range;

/// Entries that a segment is to have: numbers, and values of one width.
#[derive(Default)]
struct Woven {
    keys: Vec<u64>,
    values: Vec<u8>,
    marks: Vec<Mark>,
    /// Values of the segment that is passed on, where they have to be unpacked.
    unpacked: Vec<u8>,
}

/// Which entries of a segment are not values with nothing live below.
struct Marks<'s> {
    tombstones: Bits<'s>,
    live_below: Bits<'s>,
}

impl<'s> Marks<'s> {
    fn new(segment: &'s Segment, layout: &Layout) -> Self {
        let tombstones = segment.tombstones(layout);
        Self { tombstones, live_below: segment.live_below(layout) }
    }

    /// What the entry says of those below.
    fn below(&self, ordinal: u64) -> Result<Below, Corruption> {
        Ok(if self.live_below.bit(ordinal)? { Below::Live } else { Below::Absent })
    }

    /// Appends those of these entries, of which the first one has its place at `at`.
    fn append(&self, entries: Range<u64>, at: u64, marks: &mut Vec<Mark>) -> Result<(), Error> {
        if self.tombstones.is_empty() && self.live_below.is_empty() {
            return Ok(());
        }
        for (at, ordinal) in (at..).zip(entries) {
            let is_tombstone = self.tombstones.bit(ordinal)?;
            let is_live_below = self.live_below.bit(ordinal)?;
            mark(marks, Mark { at, is_tombstone, is_live_below })?;
        }
        Ok(())
    }
}

/// Appends a mark, if it says something.
fn mark(marks: &mut Vec<Mark>, mark: Mark) -> Result<(), OutOfMemory> {
    if mark.is_tombstone || mark.is_live_below {
        marks.try_reserve(1).map_err(OutOfMemory::from)?;
        marks.push(mark);
    }
    Ok(())
}

/// Keys that are unpacked.
enum Unpacked {
    Front(Box<FrontBlock>),
    Int(IntPiece),
}

/// A place among the entries of a segment, before which all have been passed on.
pub(crate) struct Pass<'s> {
    segment: &'s Segment,
    known: &'s Known,
    unpacked: Unpacked,
    /// The next entry.
    at: u64,
    /// The last key of what was unpacked before, if it was skipped: nobody else knows it.
    skipped: Option<Vec<u8>>,
    /// What [`weave`](Self::weave) puts together.
    woven: Woven,
}

/// How much a builder may take.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Entries that it has then at most.
    pub(crate) entries: u64,
    /// It takes no more entries when they count for so much.
    pub(crate) bulk: u64,
}

impl Room {
    /// How many entries there is room for, each of which counts for so much.
    fn left(self, builder: &SegmentBuilder<'_>, each: u64) -> u64 {
        let bulk = self.bulk.saturating_sub(builder.bulk());
        self.entries.saturating_sub(builder.len()).min(bulk.div_ceil(each.max(1)))
    }

    fn is_left(self, builder: &SegmentBuilder<'_>) -> bool {
        builder.len() < self.entries && builder.bulk() < self.bulk
    }
}

impl<'s> Pass<'s> {
    /// Before all entries; `None` if the codec has no keys that are unpacked together.
    pub(crate) fn new(segment: &'s Segment) -> Result<Option<Self>, Corruption> {
        let known = segment.known()?;
        let unpacked = match segment.keys_of(known) {
            Keys::Front(_) | Keys::Direct(_) => Unpacked::Front(Box::default()),
            Keys::Int(_) => Unpacked::Int(IntPiece::default()),
            Keys::Plain(_) | Keys::Fst(_) => return Ok(None),
        };
        Ok(Some(Self { segment, known, unpacked, at: 0, skipped: None, woven: Woven::default() }))
    }

    /// Whether all entries are values with nothing live below.
    pub(crate) fn is_base(&self) -> bool {
        let is_left_out = |section| self.known.layout.span(section).is_empty();
        is_left_out(Section::Tombstones) && is_left_out(Section::LiveBelow)
    }

    /// Whether all have been passed on.
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.segment.len()
    }

    /// Appends the key of the next entry, which there is, to `key`.
    pub(crate) fn key(&self, key: &mut Vec<u8>) -> Result<(), Corruption> {
        self.segment.key_at(Ordinal(self.at), key)
    }

    /// Appends entries below `bound`, or all if that is `None`, to `builder`, as long as there is
    /// room. Answers whether no such entry is left.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] if the first one is not above the builder's last, and errors of damaged
    /// segments and of memory.
    pub(crate) fn pass_below(
        &mut self,
        bound: Option<&[u8]>,
        builder: &mut SegmentBuilder<'_>,
        room: Room,
    ) -> Result<bool, Error> {
        while !self.is_done() {
            self.unpack()?;
            let end = self.end_below(bound);
            while self.at < end {
                if !room.is_left(builder) {
                    return Ok(false);
                }
                let Self { segment, known: Known { layout, .. }, .. } = *self;
                let run = Run { segment, layout, keys: self.keys(), range: self.at..end };
                self.at += builder.push_run(&run, room.entries - builder.len(), room.bulk)?;
            }
            if self.at < self.unpacked_end() {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Appends entries and, between them, those of `newer` that are `kept`, which take the place of those
    /// with the same key: as far as the keys that are unpacked go, and as long as there is room, of which
    /// there is some. Answers whether it did: else these are not numbers and values of one width, or the
    /// next one of both is not the matter of a few steps from here.
    ///
    /// Runs between two newer entries are short: three entries where a fifth of a base is newer. Taking
    /// them one by one from arrays costs a tenth of what beginning and ending each does.
    /// SCRATCHPAD.md section 2.2.
    ///
    /// # Errors
    /// Damage if those of `newer` do not ascend, and errors of damaged segments and of memory, behind which
    /// the builder is of no use.
    pub(crate) fn weave(
        &mut self,
        newer: &mut impl Cursor,
        kept: impl Fn(Entry<'_>) -> bool,
        builder: &mut SegmentBuilder<'_>,
        room: Room,
    ) -> Result<bool, Error> {
        let (Unpacked::Int(_), Some((width, value_width))) = (&self.unpacked, builder.numbers())
        else {
            return Ok(false);
        };
        if self.is_done() || !newer.valid() || newer.key().len() != width {
            return Ok(false);
        }
        self.unpack()?;
        let Self { segment, known: Known { layout, .. }, unpacked, at, woven, .. } = self;
        let Unpacked::Int(piece) = unpacked else { return Ok(false) };
        let most = room.left(builder, bulk_of(width as u64, value_width as u64));
        let end = piece.ordinals().end;
        let range = *at..end.min(at.saturating_add(most));
        let Some((values, stored_width)) = segment.values(layout).lend(range.clone()) else {
            return Ok(false);
        };
        if piece.width() != width || stored_width != value_width {
            return Ok(false);
        }
        let marks = Marks::new(segment, layout);
        let Woven { keys, values: woven_values, marks: woven_marks, unpacked } = woven;
        keys.clear();
        woven_values.clear();
        woven_marks.clear();
        let mut values = match values {
            LentValues::Bytes(values) => values,
            LentValues::Numbers(numbers, first) => {
                unpacked.clear();
                numbers.unpack(first..first + (range.end - range.start), unpacked)?;
                unpacked.as_slice()
            }
        };
        let mut older = piece.numbers(range.clone());
        let mut before = None;
        while (keys.len() as u64) < most && newer.valid() {
            let Some(number) = number_of_width(newer.key(), width) else { break };
            if before.replace(number).is_some_and(|before| before >= number) {
                return Err(Corruption::new("segment", *at, "keys are strictly ascending").into());
            }
            let below = older.iter().take_while(|older| **older < number).count();
            let run = below.min((most - keys.len() as u64) as usize);
            keys.try_reserve(run + 1).map_err(OutOfMemory::from)?;
            woven_values.try_reserve((run + 1) * value_width).map_err(OutOfMemory::from)?;
            let first = range.end - older.len() as u64;
            marks.append(first..first + run as u64, keys.len() as u64, woven_marks)?;
            let (passed, left) = older.split_at(run);
            let (passed_values, values_left) = values.split_at(run * value_width);
            keys.extend_from_slice(passed);
            woven_values.extend_from_slice(passed_values);
            (older, values) = (left, values_left);
            // Whatever is above all keys that are unpacked may be above others too.
            if older.is_empty() || run < below || keys.len() as u64 == most {
                break;
            }
            let mut entry = newer.entry();
            if older[0] == number {
                entry.below = marks.below(first + run as u64)?;
                (older, values) = (&older[1..], &values[value_width..]);
            }
            if kept(entry) {
                let at = keys.len() as u64;
                let is_tombstone = entry.kind == EntryKind::Tombstone;
                mark(
                    woven_marks,
                    Mark { at, is_tombstone, is_live_below: entry.below == Below::Live },
                )?;
                keys.push(number);
                match entry.live() {
                    Some(value) => woven_values.extend_from_slice(value),
                    None => woven_values.resize(woven_values.len() + value_width, 0),
                }
            }
            newer.next();
        }
        newer.status()?;
        builder.push_numbers(keys, woven_values, woven_marks)?;
        *at = range.end - older.len() as u64;
        if *at == end {
            let mut bytes = [0; MAX_WIDTH];
            let last = piece.key(end - 1, &mut bytes);
            replace(self.skipped.get_or_insert_default(), last)?;
        }
        Ok(true)
    }

    /// Goes on behind the next entry, if that is the one of `key`, and answers what it says of those
    /// below. All before it have been passed on.
    pub(crate) fn skip(&mut self, key: &[u8]) -> Result<Option<Below>, Error> {
        if self.is_done() {
            return Ok(None);
        }
        self.unpack()?;
        if self.keys().key(self.at, &mut [0; MAX_WIDTH]) != key {
            return Ok(None);
        }
        let below = Marks::new(self.segment, &self.known.layout).below(self.at)?;
        self.at += 1;
        if self.at == self.unpacked_end() {
            replace(self.skipped.get_or_insert_default(), key)?;
        }
        Ok(Some(below))
    }

    /// Sees to it that the next key is unpacked.
    #[inline]
    fn unpack(&mut self) -> Result<(), Error> {
        if self.at < self.unpacked_end() {
            return Ok(());
        }
        match (&mut self.unpacked, self.segment.keys_of(self.known)) {
            (
                Unpacked::Front(block),
                Keys::Front(keys) | Keys::Direct(DirectKeys { front: keys, .. }),
            ) => block.load(keys, self.at)?,
            (Unpacked::Int(piece), Keys::Int(keys)) => piece.load(keys, self.at)?,
            _ => unreachable!("a segment never changes its codec"),
        }
        // The builder compares it with the last key that was passed on.
        if let Some(skipped) = self.skipped.take()
            && self.keys().key(self.at, &mut [0; MAX_WIDTH]) <= skipped.as_slice()
        {
            return Err(Corruption::new("segment", self.at, "keys are strictly ascending").into());
        }
        Ok(())
    }

    /// The ordinal behind the keys that are unpacked.
    #[inline]
    fn unpacked_end(&self) -> u64 {
        match &self.unpacked {
            Unpacked::Front(block) => block.ordinals().end,
            Unpacked::Int(piece) => piece.ordinals().end,
        }
    }

    /// The first ordinal, of those whose keys are unpacked, that has a key not below `bound`.
    #[inline]
    fn end_below(&self, bound: Option<&[u8]>) -> u64 {
        let end = self.unpacked_end();
        let Some(bound) = bound else { return end };
        match &self.unpacked {
            Unpacked::Front(block) if block.key(end - 1) < bound => end,
            Unpacked::Front(block) => {
                (self.at..end).find(|ordinal| block.key(*ordinal) >= bound).unwrap_or(end)
            }
            Unpacked::Int(piece) => piece.not_below(self.at, bound),
        }
    }

    fn keys(&self) -> RunKeys<'_> {
        match &self.unpacked {
            Unpacked::Front(block) => RunKeys::Front(block),
            Unpacked::Int(piece) => RunKeys::Int(piece),
        }
    }
}
