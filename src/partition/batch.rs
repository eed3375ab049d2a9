//! Many keys at once: those of one partition under one look at its delta, and then all together in
//! the segments, without a lock.

use super::{Layers, Partition};
use crate::entry::ValueBuf;
use crate::error::Corruption;
use crate::filter::KeyHash;
use crate::segment::{Lookup, Segment, Soon, SoonSearch, Stepped, TextBegun, TextSearch};
use crate::sync::{Arc, read_soon};

/// Keys that are looked up at once. SCRATCHPAD.md section 3.4.
pub(crate) const BATCH: usize = 16;

/// Some of the keys of a batch, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(u32);

const _: () = assert!(BATCH <= u32::BITS as usize);

impl Numbers {
    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One more.
    #[inline]
    pub(crate) fn insert(&mut self, number: usize) {
        self.0 |= 1 << number;
    }

    /// Those of a whole batch for which this is so: all are looked at, without a jump.
    #[inline]
    pub(crate) fn which(is_so: impl Fn(usize) -> bool) -> Self {
        Self((0..BATCH).fold(0, |numbers, number| numbers | u32::from(is_so(number)) << number))
    }

    /// Those that are among both.
    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not among the others.
    #[inline]
    pub(crate) fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// One less.
    #[inline]
    pub(crate) fn remove(&mut self, number: usize) {
        self.0 &= !(1 << number);
    }
}

impl IntoIterator for Numbers {
    type Item = usize;
    type IntoIter = NumbersIter;

    #[inline]
    fn into_iter(self) -> NumbersIter {
        NumbersIter(self.0)
    }
}

/// The numbers, in ascending order.
pub(crate) struct NumbersIter(u32);

impl Iterator for NumbersIter {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let number = self.0.trailing_zeros() as usize;
        self.0 &= self.0.wrapping_sub(1);
        (number < u32::BITS as usize).then_some(number)
    }
}

/// The layers that the keys of a batch have to be looked up in, after their partitions' deltas.
pub(crate) struct Batch {
    /// The layers of each partition, at the number of the first of its keys.
    layers: [Option<Arc<Layers>>; BATCH],
    /// Where in them the layers of each key are.
    place: [u8; BATCH],
    /// What the filters are asked for each key, if it was made.
    hashes: [Option<KeyHash>; BATCH],
    /// Keys that are still to be looked up.
    open: Numbers,
}

impl Batch {
    /// No keys yet.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            layers: [const { None }; BATCH],
            place: [0; BATCH],
            hashes: [None; BATCH],
            open: Numbers::default(),
        }
    }

    #[inline]
    fn of(&self, number: usize) -> Option<&Layers> {
        self.layers[usize::from(self.place[number])].as_deref()
    }
}

impl Partition {
    /// Looks for some of the keys in the delta, all at one moment, and leaves those that it has no
    /// entry of to [`Batch::find`]. `answer`, which is code of this crate, is called under the lock
    /// with the number and the value of each live one. Whether it did so: a retired partition does
    /// nothing.
    pub(crate) fn begin_batch(
        &self,
        keys: &[&[u8]],
        numbers: Numbers,
        batch: &mut Batch,
        answer: &mut impl FnMut(usize, &[u8]),
    ) -> bool {
        let state = read_soon(&self.state);
        if state.is_retired() {
            return false;
        }
        let mut place = None;
        for number in numbers {
            let hash = &mut batch.hashes[number];
            match (state.find_in_delta(keys[number], hash), &state.layers) {
                (Some(entry), _) => {
                    if let Some(value) = entry.live() {
                        answer(number, value);
                    }
                }
                (None, None) => {}
                (None, Some(layers)) => {
                    if let Some(hash) = *hash {
                        // Looked at when those of the other keys are on their way too.
                        layers.ask_for_filters(hash);
                    }
                    let place = *place.get_or_insert_with(|| {
                        batch.layers[number] = Some(Arc::clone(layers));
                        number as u8
                    });
                    batch.place[number] = place;
                    batch.open.insert(number);
                }
            }
        }
        true
    }
}

impl Batch {
    /// Looks for the keys in the layers. `answer` is called, without any lock, with the number and
    /// the value of each live one.
    ///
    /// # Errors
    /// If a layer that has to be asked is damaged; then some of the others may not be answered.
    pub(crate) fn find(
        &self,
        keys: &[&[u8]],
        answer: &mut impl FnMut(usize, &[u8]),
    ) -> Result<(), Corruption> {
        let mut open = self.open;
        for number in self.open {
            let mut hash = self.hashes[number];
            let found =
                self.of(number).and_then(|layers| layers.find_frozen(keys[number], &mut hash));
            if let Some(entry) = found {
                open.remove(number);
                if let Some(value) = entry.live() {
                    answer(number, value);
                }
            }
        }
        let is_covered = |number| self.of(number).is_some_and(|layers| layers.overlay.is_some());
        if open.into_iter().any(is_covered) {
            self.search(
                |layers, number| {
                    let mut hash = self.hashes[number];
                    layers.overlay_of(keys[number], &mut hash)
                },
                keys,
                &mut open,
                answer,
            )?;
        }
        self.search(|layers, _| layers.base.as_deref(), keys, &mut open, answer)
    }

    /// Looks for open keys in one segment of each partition that may have them, in all of them at
    /// once. Those that it finds are not open any more.
    fn search(
        &self,
        segment_of: impl for<'l> Fn(&'l Layers, usize) -> Option<&'l Segment>,
        keys: &[&[u8]],
        open: &mut Numbers,
        answer: &mut impl FnMut(usize, &[u8]),
    ) -> Result<(), Corruption> {
        let mut search = Search { keys, segments: [None; BATCH], left: Numbers::default() };
        for number in *open {
            if let Some(segment) = self.of(number).and_then(|layers| segment_of(layers, number)) {
                search.segments[number] = Some(segment);
                search.left.insert(number);
            }
        }
        let mut found = |number: usize, value: Option<&[u8]>| {
            open.remove(number);
            if let Some(value) = value {
                answer(number, value);
            }
        };
        if search.has_any(Segment::has_numbers) {
            search.of_numbers(&mut found);
        }
        if search.has_any(Segment::has_text) {
            search.of_text(&mut found);
        }
        if search.left.is_empty() { Ok(()) } else { search.of_any(&mut found) }
    }
}

/// Gets of some keys, each in a segment of its own, that wait for memory together. What they find is told
/// with the number of the key: the value, if there is not a tombstone.
struct Search<'s, 'k> {
    keys: &'s [&'k [u8]],
    segments: [Option<&'s Segment>; BATCH],
    /// Keys that nothing is known about yet, each of which has a segment.
    left: Numbers,
}

impl Search<'_, '_> {
    /// Whether this is so of the segment of any key that is left.
    #[inline]
    fn has_any(&self, is_so: impl Fn(&Segment) -> bool) -> bool {
        self.left.into_iter().filter_map(|number| self.segments[number]).any(is_so)
    }

    /// Those that are in segments of numbers, in few steps, as far as that is possible.
    #[inline]
    fn of_numbers(&mut self, found: &mut impl FnMut(usize, Option<&[u8]>)) {
        // Not copies of a constant: these would be copied whole.
        let mut searches: [Option<SoonSearch<'_>>; BATCH] = std::array::from_fn(|_| None);
        let (mut soon, mut later) = (Numbers::default(), Numbers::default());
        for number in self.left {
            let Some(segment) = self.segments[number] else { continue };
            segment.begin_soon(self.keys[number], &mut searches[number]);
            if searches[number].is_some() { soon.insert(number) } else { later.insert(number) }
        }
        for number in soon {
            searches[number].as_mut().map(SoonSearch::narrow);
        }
        for number in soon {
            let Some(search) = &searches[number] else { continue };
            match search.settle() {
                Soon::Value(value) => found(number, Some(&value.to_le_bytes()[..search.width()])),
                Soon::Absent => {}
                Soon::Removed | Soon::Unknown => later.insert(number),
            }
        }
        self.left = later;
    }

    /// The same of text.
    #[inline(never)]
    fn of_text(&mut self, found: &mut impl FnMut(usize, Option<&[u8]>)) {
        let mut searches: [TextSearch<'_, '_>; BATCH] = std::array::from_fn(|_| TextSearch::none());
        let (mut soon, mut later) = (Numbers::default(), Numbers::default());
        for number in self.left {
            let Some(segment) = self.segments[number] else { continue };
            match searches[number].begin(segment, self.keys[number]) {
                TextBegun::UnderWay => soon.insert(number),
                TextBegun::Absent => {}
                TextBegun::Unknown => later.insert(number),
            }
        }
        for number in soon {
            searches[number].narrow();
        }
        for number in soon {
            match searches[number].settle() {
                (Soon::Value(value), width) => found(number, Some(&value.to_le_bytes()[..width])),
                (Soon::Absent, _) => {}
                (Soon::Removed | Soon::Unknown, _) => later.insert(number),
            }
        }
        self.left = later;
    }

    /// The same of any segments, in as many steps as these take.
    #[inline(never)]
    fn of_any(&mut self, found: &mut impl FnMut(usize, Option<&[u8]>)) -> Result<(), Corruption> {
        let mut lookups: [Lookup<'_, '_>; BATCH] = std::array::from_fn(|_| Lookup::none());
        for number in self.left {
            if let Some(segment) = self.segments[number] {
                lookups[number].begin(segment, self.keys[number])?;
            }
        }
        while !self.left.is_empty() {
            for number in self.left {
                let buf = ValueBuf::default();
                let Stepped::Done(entry) = lookups[number].step(&buf)? else { continue };
                self.left.remove(number);
                if let Some(entry) = entry {
                    found(number, entry.live());
                }
            }
        }
        Ok(())
    }
}
