//! Many keys at once: those of one partition under one look at its delta, and then all together in
//! the segments, without a lock.

use super::{Layers, Partition};
use crate::entry::ValueBuf;
use crate::error::Corruption;
use crate::filter::KeyHash;
use crate::segment::{Lookup, Segment, Soon, SoonSearch, Stepped};
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
        // Not copies of a constant: these would be copied whole.
        let mut searches: [Option<SoonSearch<'_>>; BATCH] = std::array::from_fn(|_| None);
        let (mut soon, mut later) = (Numbers::default(), Numbers::default());
        for number in *open {
            let Some(segment) = self.of(number).and_then(|layers| segment_of(layers, number))
            else {
                continue;
            };
            segment.begin_soon(keys[number], &mut searches[number]);
            if searches[number].is_some() { soon.insert(number) } else { later.insert(number) }
        }
        for number in soon {
            searches[number].as_mut().map(SoonSearch::narrow);
        }
        for number in soon {
            let Some(search) = &searches[number] else { continue };
            match search.settle() {
                Soon::Value(value) => {
                    open.remove(number);
                    answer(number, &value.to_le_bytes()[..search.width()]);
                }
                Soon::Absent => {}
                Soon::Removed | Soon::Unknown => later.insert(number),
            }
        }
        if later.is_empty() {
            return Ok(());
        }
        self.search_on(segment_of, keys, later, open, answer)
    }

    /// The same for some of them, which take more steps.
    #[inline(never)]
    fn search_on(
        &self,
        segment_of: impl for<'l> Fn(&'l Layers, usize) -> Option<&'l Segment>,
        keys: &[&[u8]],
        numbers: Numbers,
        open: &mut Numbers,
        answer: &mut impl FnMut(usize, &[u8]),
    ) -> Result<(), Corruption> {
        let mut lookups: [Lookup<'_, '_>; BATCH] = std::array::from_fn(|_| Lookup::none());
        let mut pending = Numbers::default();
        for number in numbers {
            if let Some(layers) = self.of(number)
                && let Some(segment) = segment_of(layers, number)
            {
                lookups[number].begin(segment, keys[number])?;
                pending.insert(number);
            }
        }
        while !pending.is_empty() {
            for number in pending {
                let buf = ValueBuf::default();
                let Stepped::Done(found) = lookups[number].step(&buf)? else { continue };
                pending.remove(number);
                if let Some(entry) = found {
                    open.remove(number);
                    if let Some(value) = entry.live() {
                        answer(number, value);
                    }
                }
            }
        }
        Ok(())
    }
}
