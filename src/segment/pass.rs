//! Entries of a segment appended to another one, block by block.
//!
//! A fold leaves most of what is in a segment as it is. Through a cursor, a merge and a builder each
//! entry takes a thousand instructions; here keys are unpacked together and go where they have the
//! same form, and between two entries that are newer, all is copied that stands there.

use super::build::{Run, RunKeys};
use super::front::{DirectKeys, FrontBlock};
use super::int::{IntPiece, MAX_WIDTH};
use super::wide::WidePiece;
use super::{Keys, Known, Ordinal, Segment, SegmentBuilder};
use crate::arena::replace;
use crate::entry::Below;
use crate::error::{Corruption, Error};

/// Keys that are unpacked.
enum Unpacked {
    Front(Box<FrontBlock>),
    Int(IntPiece),
    Wide(Box<WidePiece>),
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
    pub(super) fn left(self, builder: &SegmentBuilder<'_>, each: u64) -> u64 {
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
            Keys::Wide(_) => Unpacked::Wide(Box::default()),
            Keys::Plain(_) | Keys::Fst(_) => return Ok(None),
        };
        Ok(Some(Self { segment, known, unpacked, at: 0, skipped: None }))
    }

    /// Whether all entries are values with nothing live below.
    pub(crate) fn is_base(&self) -> bool {
        self.known.layout.is_base()
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
        let is_live = self.segment.live_below(&self.known.layout).bit(self.at)?;
        let below = if is_live { Below::Live } else { Below::Absent };
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
            (Unpacked::Wide(piece), Keys::Wide(keys)) => piece.load(keys, self.at)?,
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
            Unpacked::Wide(piece) => piece.ordinals().end,
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
            Unpacked::Wide(piece) => piece.not_below(self.at, bound),
        }
    }

    fn keys(&self) -> RunKeys<'_> {
        match &self.unpacked {
            Unpacked::Front(block) => RunKeys::Front(block),
            Unpacked::Int(piece) => RunKeys::Int(piece),
            Unpacked::Wide(piece) => RunKeys::Wide(piece),
        }
    }
}
