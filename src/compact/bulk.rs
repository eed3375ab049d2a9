//! Entries in bulk: sorted input, and everything there is in the form of a file.

use super::pieces::{self, Limits, PIECE_BYTES, Piece, Source, Walked};
use super::{Core, load, policy};
use crate::arena::OutOfMemory;
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, Extent, INLINE_VALUE_MAX, MAX_VALUE_LEN, ValueRef, ValueWidth};
use crate::error::{Corruption, Error, SortFault};
use crate::options::Options;
use crate::partition::Layers;
use crate::segment::{Segment, SegmentBuilder, SegmentCursor, entry_bulk};
use crate::sync::{Arc, Ordering};
use std::cmp;

/// Writes the next key and value into the buffers, if there is one.
pub(crate) type NextEntry<'a> =
    &'a mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>) -> Result<bool, OutOfMemory>;

/// A base of a saved map: entries of one partition, which are all values.
#[derive(Clone)]
pub(crate) struct Base {
    /// The least key that it may have; empty for the first.
    pub(crate) bound: Box<[u8]>,
    pub(crate) segment: Arc<Segment>,
}

impl Core {
    /// A map of these bases, which may be one that is never written.
    pub(crate) fn opened(
        width: ValueWidth,
        options: Options,
        mut bases: Vec<Base>,
        is_read_only: bool,
    ) -> Self {
        let file = bases.first().and_then(|base| base.segment.file()).map(Arc::downgrade);
        let core = Self { file, is_read_only, ..Self::new(width, options) };
        if bases.len() > 1 {
            core.begin_divided(bases);
        } else if let Some(Base { segment, .. }) = bases.pop() {
            let adopted = core.first.adopt(Layers::with_base(segment));
            assert!(adopted.is_ok(), "a new map is blank");
        }
        core
    }

    /// Adds entries that come in ascending order; see `MemKV::extend_sorted`. On an error nothing
    /// has been added. No lock is held while `fill` runs.
    pub(crate) fn extend_sorted(core: &Arc<Self>, fill: NextEntry<'_>) -> Result<u64, Error> {
        if core.is_read_only {
            return Err(Error::ReadOnly);
        }
        let heap = core.limit().map_or(u64::MAX, |limit| limit as u64);
        let mut source = Sorted::new(core.width(), heap, fill)?;
        let limits = Limits { heap, ..core.file_limits() };
        let (width, choice) = (core.width(), policy::codec(&core.options));
        let pieces = match core.options.threads {
            0 => pieces::cut(&mut source, limits, width, choice)?,
            threads => load::cut(&mut source, limits, width, choice, threads)?,
        };
        if source.is_over || !source.is_done() {
            // It was given up for want of room, whatever there is by now.
            return Err(core.over_limit());
        }
        core.make_room_for(pieces.iter().map(|piece| piece.layers.heap_bytes()).sum())?;
        let count = pieces.iter().map(|piece| piece.layers.live).sum();
        if count == 0 {
            return Ok(0);
        }
        core.entries_encoded.fetch_add(count, Ordering::Relaxed);
        if let Err(pieces) = core.adopt(pieces)? {
            for piece in pieces {
                Self::put_all(core, piece)?;
            }
        }
        Ok(count)
    }

    /// Writes the entries of a piece one by one.
    fn put_all(core: &Arc<Self>, piece: Piece) -> Result<(), Error> {
        let Some(segment) = piece.layers.base else { return Ok(()) };
        let mut cursor = SegmentCursor::new(segment);
        cursor.first();
        while cursor.valid() {
            Self::put(core, cursor.key(), cursor.entry().value.as_slice())?;
            cursor.next();
        }
        Ok(cursor.status()?)
    }

    /// All live entries as of now, as they are in a file: cut by size alone, wherever the
    /// partitions end. Bases that end there already are taken as they are, unless what they are hangs on
    /// how they came about.
    pub(crate) fn gather(&self) -> Result<Vec<Base>, Error> {
        let limits = self.file_limits();
        let view = self.view_all();
        let mut segments = Vec::new();
        for at in 0..view.len() {
            let pinned = view.pinned(at);
            let layers = pinned.layers().filter(|_| pinned.is_base_only());
            let base = layers.and_then(|layers| Some((layers, layers.base.as_ref()?)));
            let is_last = at + 1 == view.len();
            if let Some((layers, base)) = base
                && ends_as_in_a_file(base, layers.bulk, limits, is_last)?
            {
                if layers.changed_keys > 0 {
                    let mut entries = SegmentCursor::new(Arc::clone(base));
                    entries.first();
                    entries.status()?;
                    segments.extend(self.encoded(entries, limits)?);
                } else {
                    segments.push(Arc::clone(base));
                }
            } else if !pinned.is_blank() {
                let mut rest = view.cursor();
                // By its place, where damage cannot make a search miss it.
                match at {
                    0 => rest.first(),
                    _ => rest.seek(view.bound(at)),
                }
                rest.status()?;
                segments.extend(self.encoded(rest, limits)?);
                break;
            }
        }
        let mut last = Vec::new();
        let mut bases = Vec::new();
        for segment in segments {
            let mut cursor = SegmentCursor::new(&*segment);
            cursor.first();
            let is_first = bases.is_empty();
            // An empty segment is a damaged one.
            let is_behind = cursor.valid() && (is_first || last.as_slice() < cursor.key());
            if !is_behind {
                cursor.status()?;
                let rule = "the keys of a partition are above those of the one before";
                return Err(Corruption::new("segment", 0, rule).into());
            }
            let bound =
                if is_first { Box::default() } else { pieces::separator(&last, cursor.key()) };
            cursor.last();
            cursor.status()?;
            last.clear();
            last.extend_from_slice(cursor.key());
            drop(cursor);
            bases.push(Base { bound, segment });
        }
        Ok(bases)
    }

    /// Bases of what comes from this cursor on.
    fn encoded(
        &self,
        entries: impl Cursor,
        limits: Limits,
    ) -> Result<impl Iterator<Item = Arc<Segment>>, Error> {
        let codec = policy::codec(&self.options);
        let pieces = pieces::cut(&mut Walked(entries), limits, self.width(), codec)?;
        Ok(pieces.into_iter().filter_map(|piece| piece.layers.base))
    }

    /// Where bases of files end.
    fn file_limits(&self) -> Limits {
        let entries = policy::partition_entries(&self.options);
        Limits { entries, bytes: PIECE_BYTES, heap: u64::MAX }
    }
}

/// Whether a base that begins where one of a file would ends there too.
fn ends_as_in_a_file(
    base: &Segment,
    bulk: Option<u64>,
    limits: Limits,
    is_last: bool,
) -> Result<bool, Corruption> {
    let entries = base.len();
    let mut end = SegmentCursor::new(base);
    let bulk = match bulk {
        Some(bytes) => bytes,
        // It is from a file, which was cut by the same rule.
        None if is_last || entries == limits.entries => return Ok(entries <= limits.entries),
        None => {
            let mut bytes = 0;
            end.first();
            while end.valid() {
                bytes += entry_bulk(end.key(), end.entry());
                end.next();
            }
            end.status()?;
            bytes
        }
    };
    end.last();
    end.status()?;
    let last = if end.valid() { entry_bulk(end.key(), end.entry()) } else { 0 };
    // With its last entry it reaches a limit, and not before.
    let is_early = limits.are_reached(entries.saturating_sub(1), bulk.saturating_sub(last));
    Ok(!is_early && (is_last || limits.are_reached(entries, bulk)))
}

/// Sorted input, an entry at a time.
pub(super) struct Sorted<'a> {
    fill: NextEntry<'a>,
    width: ValueWidth,
    key: Vec<u8>,
    value: Vec<u8>,
    /// The value, if it is large.
    extent: Option<Extent>,
    is_there: bool,
    /// Bytes of large values that there may yet be.
    large: u64,
    /// There were more, and nothing comes behind them.
    is_over: bool,
    /// Number of the entry.
    index: u64,
    /// The key before.
    before: Vec<u8>,
}

impl<'a> Sorted<'a> {
    /// Entries with at most so many bytes of large values.
    fn new(width: ValueWidth, large: u64, fill: NextEntry<'a>) -> Result<Self, Error> {
        let mut new = Self {
            fill,
            width,
            key: Vec::new(),
            value: Vec::new(),
            extent: None,
            is_there: false,
            large,
            is_over: false,
            index: 0,
            before: Vec::new(),
        };
        new.read()?;
        Ok(new)
    }

    fn read(&mut self) -> Result<(), Error> {
        self.is_there = (self.fill)(&mut self.key, &mut self.value)?;
        let len = self.value.len();
        if self.is_there && len > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len });
        }
        let is_large = self.is_there && self.width == ValueWidth::Bytes && len > INLINE_VALUE_MAX;
        self.extent = None;
        if is_large {
            // They are held before any segment is built, whose bytes could be counted.
            if let Some(left) = self.large.checked_sub(len as u64) {
                self.large = left;
                self.extent = Some(Extent::copy_of(&self.value)?);
            } else {
                (self.is_there, self.is_over) = (false, true);
            }
        }
        Ok(())
    }
}

impl Sorted<'_> {
    /// The entry that comes next, of which there is one.
    pub(super) fn current(&self) -> (&[u8], Entry<'_>) {
        let value = match &self.extent {
            Some(extent) => ValueRef::extent(extent),
            None => ValueRef::Inline(&self.value),
        };
        (&self.key, Entry::value(value, Below::Absent))
    }

    /// Goes on to the entry behind it.
    pub(super) fn advance(&mut self) -> Result<(), Error> {
        std::mem::swap(&mut self.key, &mut self.before);
        self.index += 1;
        self.read()?;
        if !self.is_there {
            return Ok(());
        }
        let order = match self.key.cmp(&self.before) {
            cmp::Ordering::Greater => return Ok(()),
            cmp::Ordering::Equal => SortFault::Duplicate,
            cmp::Ordering::Less => SortFault::Descending,
        };
        Err(Error::OutOfOrder { index: self.index, order })
    }

    /// A bound between the entry before and the one that comes next; there are both.
    pub(super) fn separator(&self) -> Box<[u8]> {
        pieces::separator(&self.before, &self.key)
    }
}

impl Source for Sorted<'_> {
    fn is_done(&self) -> bool {
        !self.is_there
    }

    fn key(&self, key: &mut Vec<u8>) -> Result<(), Error> {
        key.extend_from_slice(&self.key);
        Ok(())
    }

    fn take(&mut self, builder: &mut SegmentBuilder<'_>, _: Limits) -> Result<(), Error> {
        let (key, entry) = self.current();
        builder.push(key, entry)?;
        self.advance()
    }
}
