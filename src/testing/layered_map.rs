//! A map of four `BTreeMap` layers, right or broken in one way: it tests the drivers.
//!
//! It has the shape of the real map, so that a script that reaches every layer here reaches every
//! layer there.

use super::conformance::Pair;
use super::model::{Entries, MapUnderTest};
use crate::range::ByteRange;
use crate::sync::{Arc, AtomicU64, Ordering, RwLock, thread};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

/// An overlay of more than this share of its base, in percent, is merged into it.
const OVERLAY_PERCENT: usize = 20;

/// Values by key; `None` is a tombstone.
type Layer = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// One way in which a map can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Iterators show the oldest value of a key.
    OlderLayerWins,
    /// A fold into the overlay drops tombstones.
    TombstonesDroppedInOverlay,
    /// A fold forgets the largest key.
    FoldLosesLastKey,
    /// Iterators show what was written after they were opened.
    IteratorSeesLaterWrites,
    /// An iterator takes one layer after the other, the base first, with time between them.
    IteratorTakesLayersApart,
    /// Only `insert` and `put` change the number of keys.
    LenIgnoresRemovals,
    /// `remove` of a key that is not in the delta says that there was none.
    RemoveLooksInDeltaOnly,
    /// An excluded upper bound is included.
    RangeEndIncluded,
    /// `next_back` goes on to the start of the range, whatever `next` has taken.
    EndsCross,
    /// `clear` leaves the overlay.
    ClearLeavesOverlay,
}

impl Fault {
    /// Those that show without threads.
    pub(crate) const ALL: [Self; 9] = [
        Self::OlderLayerWins,
        Self::TombstonesDroppedInOverlay,
        Self::FoldLosesLastKey,
        Self::IteratorSeesLaterWrites,
        Self::LenIgnoresRemovals,
        Self::RemoveLooksInDeltaOnly,
        Self::RangeEndIncluded,
        Self::EndsCross,
        Self::ClearLeavesOverlay,
    ];

    /// Those that concern readers beside writers.
    pub(crate) const CONCURRENT: [Self; 3] =
        [Self::FoldLosesLastKey, Self::IteratorSeesLaterWrites, Self::IteratorTakesLayersApart];
}

/// Delta, frozen delta, overlay and base, newest first.
#[derive(Clone, Default)]
struct Layers([Arc<Layer>; 4]);

const DELTA: usize = 0;
const FROZEN: usize = 1;
const OVERLAY: usize = 2;
const BASE: usize = 3;

impl Layers {
    /// The newest layer that knows `key`, and what it says.
    fn find(&self, key: &[u8]) -> Option<(usize, &Option<Vec<u8>>)> {
        let mut layers = self.0.iter().enumerate();
        layers.find_map(|(at, layer)| Some((at, layer.get(key)?)))
    }

    /// The layers that readers of this fault ask first.
    fn order(fault: Option<Fault>) -> [usize; 4] {
        match fault {
            Some(Fault::OlderLayerWins) => [BASE, OVERLAY, FROZEN, DELTA],
            _ => [DELTA, FROZEN, OVERLAY, BASE],
        }
    }

    fn freeze(&mut self) {
        if self.0[FROZEN].is_empty() {
            self.0.swap(DELTA, FROZEN);
        }
    }

    /// Folds the frozen delta into the overlay, or with the overlay into the base.
    fn fold(&mut self, overlay_percent: usize, fault: Option<Fault>) {
        let mut frozen = (*std::mem::take(&mut self.0[FROZEN])).clone();
        if fault == Some(Fault::FoldLosesLastKey) {
            frozen.pop_last();
        }
        if fault == Some(Fault::TombstonesDroppedInOverlay) {
            frozen.retain(|_, value| value.is_some());
        }
        Arc::make_mut(&mut self.0[OVERLAY]).extend(frozen);
        if self.0[OVERLAY].len() * 100 > self.0[BASE].len() * overlay_percent {
            let overlay = std::mem::take(&mut self.0[OVERLAY]);
            let base = Arc::make_mut(&mut self.0[BASE]);
            base.extend((*overlay).clone());
            base.retain(|_, value| value.is_some());
        }
    }
}

/// What one lock protects.
#[derive(Default)]
struct State {
    layers: Layers,
    len: u64,
}

/// A map of four layers.
pub(crate) struct LayeredMap {
    state: Arc<RwLock<State>>,
    hits: [AtomicU64; 4],
    fault: Option<Fault>,
}

impl LayeredMap {
    /// An empty map that works.
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), hits: Default::default(), fault: None }
    }

    /// An empty map with this fault.
    pub(crate) fn broken(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::new() }
    }

    /// Writes a value or a tombstone and returns what was there.
    fn write(&self, key: &[u8], value: Option<&[u8]>) -> Option<Vec<u8>> {
        let mut state = self.state.write();
        let (at, old) = match state.layers.find(key) {
            Some((at, old)) => (at, old.clone()),
            None => (BASE, None),
        };
        match (&old, value) {
            (None, Some(_)) => state.len += 1,
            (Some(_), None) if self.fault != Some(Fault::LenIgnoresRemovals) => state.len -= 1,
            _ => {}
        }
        let delta = Arc::make_mut(&mut state.layers.0[DELTA]);
        delta.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        let blind = self.fault == Some(Fault::RemoveLooksInDeltaOnly) && value.is_none();
        old.filter(|_| at == DELTA || !blind)
    }

    /// The layers as an iterator takes them.
    fn pin(&self) -> Layers {
        if self.fault != Some(Fault::IteratorTakesLayersApart) {
            return self.state.read().layers.clone();
        }
        let mut layers = Layers::default();
        for at in [BASE, OVERLAY, FROZEN, DELTA] {
            layers.0[at] = Arc::clone(&self.state.read().layers.0[at]);
            thread::sleep(Duration::from_micros(50));
        }
        layers
    }
}

impl MapUnderTest for LayeredMap {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let state = self.state.read();
        let (at, value) = state.layers.find(key)?;
        if value.is_some() {
            self.hits[at].fetch_add(1, Ordering::Relaxed);
        }
        value.clone()
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        self.write(key, Some(value))
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        self.write(key, Some(value));
    }

    fn remove(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.write(key, None)
    }

    fn delete(&self, key: &[u8]) {
        self.write(key, None);
    }

    fn len(&self) -> u64 {
        self.state.read().len
    }

    fn first(&self) -> Option<Pair> {
        self.range(&ByteRange::all()).next()
    }

    fn last(&self) -> Option<Pair> {
        self.range(&ByteRange::all()).next_back()
    }

    fn range(&self, range: &ByteRange) -> Entries {
        let ByteRange { lower, mut upper } = range.clone();
        upper = match upper {
            Bound::Excluded(key) if self.fault == Some(Fault::RangeEndIncluded) => {
                Bound::Included(key)
            }
            upper => upper,
        };
        let sees_later_writes = self.fault == Some(Fault::IteratorSeesLaterWrites);
        Box::new(LayeredIter {
            layers: self.pin(),
            live: sees_later_writes.then(|| Arc::clone(&self.state)),
            start: lower.clone(),
            lower,
            upper,
            fault: self.fault,
        })
    }

    fn prefix(&self, prefix: &[u8]) -> Entries {
        self.range(&ByteRange::prefix(prefix))
    }

    fn clear(&self) {
        let mut state = self.state.write();
        let mut cleared = Layers::default();
        if self.fault == Some(Fault::ClearLeavesOverlay) {
            cleared.0[OVERLAY] = Arc::clone(&state.layers.0[OVERLAY]);
        }
        *state = State { layers: cleared, len: 0 };
    }

    fn compact(&self) {
        let layers = &mut self.state.write().layers;
        layers.fold(0, self.fault);
        layers.freeze();
        layers.fold(0, self.fault);
    }

    fn freeze(&self) {
        self.state.write().layers.freeze();
    }

    fn fold_step(&self) {
        self.state.write().layers.fold(OVERLAY_PERCENT, self.fault);
    }

    fn hits_by_layer(&self) -> Option<[u64; 4]> {
        Some([0, 1, 2, 3].map(|at| self.hits[at].load(Ordering::Relaxed)))
    }
}

/// A walk over all layers, from both ends.
struct LayeredIter {
    layers: Layers,
    /// The state to look at instead, if the iterator is to see later writes.
    live: Option<Arc<RwLock<State>>>,
    /// Where the range started, before anything was taken from it.
    start: Bound<Vec<u8>>,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    fault: Option<Fault>,
}

/// Whether no key is between the bounds.
fn is_over(lower: &Bound<Vec<u8>>, upper: &Bound<Vec<u8>>) -> bool {
    match (lower, upper) {
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower >= upper,
        _ => false,
    }
}

impl LayeredIter {
    /// The entry at one end, tombstones included.
    fn entry_at(&self, front: bool) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let crossing = !front && self.fault == Some(Fault::EndsCross);
        let lower = if crossing { &self.start } else { &self.lower };
        if is_over(lower, &self.upper) {
            return None;
        }
        let live = self.live.as_ref().map(|state| state.read().layers.clone());
        let layers = live.as_ref().unwrap_or(&self.layers);
        let bounds = (lower.as_ref(), self.upper.as_ref());
        let keys = layers.0.iter().filter_map(|layer| {
            let mut range = layer.range::<Vec<u8>, _>(bounds);
            let entry = if front { range.next() } else { range.next_back() };
            entry.map(|(key, _)| key)
        });
        let key = if front { keys.min() } else { keys.max() }?;
        let order = Layers::order(self.fault);
        let value = order.into_iter().find_map(|at| layers.0[at].get(key))?;
        Some((key.clone(), value.clone()))
    }
}

impl Iterator for LayeredIter {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        loop {
            let (key, value) = self.entry_at(true)?;
            self.lower = Bound::Excluded(key.clone());
            if let Some(value) = value {
                return Some((key, value));
            }
        }
    }
}

impl DoubleEndedIterator for LayeredIter {
    fn next_back(&mut self) -> Option<Pair> {
        loop {
            let (key, value) = self.entry_at(false)?;
            self.upper = Bound::Excluded(key.clone());
            if let Some(value) = value {
                return Some((key, value));
            }
        }
    }
}
