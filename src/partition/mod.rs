//! One key range of a map: a delta over layers, behind one lock.
//!
//! What holds here: reads see each key's newest entry (I3), every entry knows whether its key is
//! live below it, and the count of live keys is exact (I7). There is one partition for now, which
//! covers all keys; many of this type will make a map.
//!
//! The lock guards two things: the delta, and which layers are below it. Layers are immutable and
//! replaced as a whole; a reader obtains them once and never mixes generations.

#[cfg(any(test, fuzzing))]
pub(crate) mod check;
mod layers;
mod view;

pub(crate) use layers::Layers;
pub(crate) use view::{Depth, LiveCursor, Pinned};

use crate::arena::OutOfMemory;
use crate::art::{Tree, TreeError};
use crate::entry::{Below, Entry, Extent, INLINE_VALUE_MAX, ValueRef, ValueWidth};
use crate::error::Corruption;
use crate::filter::{Filter, KeyHash};
use crate::planted::{Bug, planted};
use crate::stats::{MemoryUsage, Stats};
use crate::sync::{Arc, RwLock};

/// Deltas with fewer entries are searched without a filter.
const FILTER_FROM: u64 = 32;

/// Why a write could not be made. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// The delta takes no more writes of this kind until it is frozen.
    DeltaFull,
    /// The allocator refused.
    OutOfMemory,
    /// A layer below is damaged, so that it is not known whether the key is there.
    Corrupted(Corruption),
}

impl From<TreeError> for WriteError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Arena(crate::arena::ArenaError::OutOfMemory) => Self::OutOfMemory,
            TreeError::Arena(crate::arena::ArenaError::Full) | TreeError::EpochsUsedUp => {
                Self::DeltaFull
            }
        }
    }
}

impl From<OutOfMemory> for WriteError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<Corruption> for WriteError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupted(corruption)
    }
}

/// How full the delta is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Which delta it was: freezing it starts a new number.
    pub(crate) serial: u64,
    /// Bytes in its nodes, those that only pins reach included.
    pub(crate) bytes: usize,
    /// Bytes that only pins keep: replaced nodes and large values.
    pub(crate) kept_for_pins: usize,
    /// Its entries, tombstones included.
    pub(crate) entries: u64,
    /// Live keys of the partition.
    pub(crate) live: u64,
}

/// The mutable delta with its filter.
struct Delta {
    tree: Tree,
    /// Made when there are layers below and more than a few keys here (I6).
    filter: Option<Box<Filter>>,
}

struct State {
    delta: Option<Box<Delta>>,
    layers: Option<Arc<Layers>>,
    /// Number of the current delta.
    serial: u64,
}

/// A delta over layers.
pub(crate) struct Partition {
    state: RwLock<State>,
    width: ValueWidth,
    #[cfg(test)]
    hits: [crate::sync::AtomicU64; 4],
}

impl Partition {
    /// An empty partition; allocates nothing.
    pub(crate) fn new(width: ValueWidth) -> Self {
        Self {
            state: RwLock::new(State { delta: None, layers: None, serial: 0 }),
            width,
            #[cfg(test)]
            hits: Default::default(),
        }
    }

    /// How values are stored.
    pub(crate) fn width(&self) -> ValueWidth {
        self.width
    }

    /// Calls `f`, which is code of this crate, with the live value of `key` under the read lock.
    #[inline]
    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        f: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, Corruption> {
        let state = self.state.read();
        if state.layers.is_none() {
            let delta = state.delta.as_deref();
            let found = delta.and_then(|delta| delta.tree.get(key));
            self.note_hit(found.is_some().then_some(0));
            return Ok(found.and_then(Entry::live).map(f));
        }
        let (found, layer) = state.find(key)?;
        self.note_hit(layer);
        Ok(found.and_then(Entry::live).map(f))
    }

    /// A consistent view, at O(1) cost; writes go on beside it.
    pub(crate) fn pin(&self) -> Pinned {
        let state = self.state.read();
        let delta = state.delta.as_ref().filter(|delta| delta.tree.len() > 0);
        Pinned::new(delta.map(|delta| delta.tree.pin()), state.layers.clone())
    }

    /// Sets the value of `key`. If it had one, `old` is called with that, under the lock.
    ///
    /// Answers how full the delta is, if it and what pins keep of it take at least `attention`
    /// bytes: writers do not look at smaller ones.
    pub(crate) fn put(
        &self,
        key: &[u8],
        value: &[u8],
        attention: usize,
        old: impl FnOnce(&[u8]),
    ) -> Result<Option<Fill>, WriteError> {
        let extent: Extent;
        let value = if self.width == ValueWidth::Bytes && value.len() > INLINE_VALUE_MAX {
            extent = Extent::copy_of(value)?;
            ValueRef::extent(&extent)
        } else {
            ValueRef::Inline(value)
        };
        let mut state = self.state.write();
        let State { delta, layers, .. } = &mut *state;
        let delta = delta.get_or_insert_with(|| Box::new(Delta::new(self.width)));
        let plan = delta.tree.plan(key)?;
        let (below, is_new) = match (delta.tree.existing(&plan), &layers) {
            (Some(entry), _) => {
                entry.live().map(old);
                (entry.below, false)
            }
            (None, None) => (Below::Absent, true),
            (None, Some(layers)) => {
                // Probed now, because `len` and every weight depend on it.
                let found = layers.find(key, None)?.0.and_then(Entry::live);
                let below = if found.is_some() { Below::Live } else { Below::Absent };
                found.map(old);
                (below, true)
            }
        };
        if is_new {
            delta.filter_key(key, layers.as_deref())?;
        }
        delta.tree.apply(plan, key, Entry::value(value, below))?;
        Ok(state.fill_from(attention))
    }

    /// Removes `key`. If it had a value, `old` is called with that, under the lock. Answers as
    /// [`put`](Self::put) does.
    pub(crate) fn remove(
        &self,
        key: &[u8],
        attention: usize,
        old: impl FnOnce(&[u8]),
    ) -> Result<Option<Fill>, WriteError> {
        let mut state = self.state.write();
        let State { delta, layers, .. } = &mut *state;
        if delta.is_none() && layers.is_none() {
            return Ok(None);
        }
        let delta = delta.get_or_insert_with(|| Box::new(Delta::new(self.width)));
        let plan = delta.tree.plan(key)?;
        match (delta.tree.existing(&plan), layers) {
            (Some(entry), _) => {
                let Some(value) = entry.live() else { return Ok(state.fill_from(attention)) };
                let below = entry.below;
                old(value);
                match below {
                    Below::Absent => delta.tree.unlink(plan)?,
                    Below::Live => delta.tree.apply(plan, key, Entry::tombstone(below))?,
                }
            }
            (None, Some(layers)) => {
                let found = layers.find(key, None)?.0.and_then(Entry::live);
                let Some(value) = found else { return Ok(state.fill_from(attention)) };
                old(value);
                delta.filter_key(key, Some(layers))?;
                delta.tree.apply(plan, key, Entry::tombstone(Below::Live))?;
            }
            (None, None) => {}
        }
        Ok(state.fill_from(attention))
    }

    /// Number of live keys.
    pub(crate) fn len(&self) -> u64 {
        self.state.read().live()
    }

    /// How full the delta is.
    pub(crate) fn fill(&self) -> Fill {
        self.state.read().fill()
    }

    /// Drops everything.
    pub(crate) fn clear(&self) {
        let mut state = self.state.write();
        let old = (state.delta.take(), state.layers.take());
        state.serial += 1;
        drop(state);
        // Freed without the lock: it takes time in proportion to the number of chunks.
        drop(old);
    }

    /// Makes `layers` the content, if the partition is empty; else gives them back.
    pub(crate) fn adopt(&self, layers: Layers) -> Result<(), Layers> {
        let mut state = self.state.write();
        let holds_nothing = state.delta.as_ref().is_none_or(|delta| delta.tree.len() == 0);
        if !holds_nothing || state.layers.is_some() {
            return Err(layers);
        }
        state.delta = None;
        state.serial += 1;
        state.layers = Some(Arc::new(layers));
        Ok(())
    }

    /// Turns the delta into the frozen layer, if it has entries and no other is frozen, and
    /// answers the layers, in which a fold will find its input. A delta without entries goes, and
    /// the memory of those that it had.
    pub(crate) fn freeze(&self) -> Option<Arc<Layers>> {
        let mut state = self.state.write();
        let State { delta, layers, serial } = &mut *state;
        let can_freeze = layers.as_ref().is_none_or(|layers| layers.frozen.is_none());
        let is_empty = delta.as_ref().is_some_and(|delta| delta.tree.len() == 0);
        let taken = if can_freeze || is_empty { delta.take() } else { None };
        let mut unused = None;
        if let Some(taken) = taken {
            *serial += 1;
            if is_empty {
                unused = Some(taken);
            } else {
                *layers = Some(Arc::new(Layers::with_frozen(layers.as_deref(), *taken)));
            }
        }
        let layers = layers.clone();
        drop(state);
        // Freed without the lock.
        drop(unused);
        layers
    }

    /// Whether a frozen delta waits to be folded.
    pub(crate) fn has_frozen(&self) -> bool {
        self.state.read().layers.as_ref().is_some_and(|layers| layers.frozen.is_some())
    }

    /// The layers as they are.
    pub(crate) fn layers(&self) -> Option<Arc<Layers>> {
        self.state.read().layers.clone()
    }

    /// Replaces `old` by `new`, which holds the same live keys; does nothing if the layers are not
    /// `old` any more (the map was cleared).
    pub(crate) fn publish(&self, old: &Arc<Layers>, new: Layers) -> bool {
        debug_assert_eq!(old.live, new.live, "a fold changes no content (I7)");
        let new = (new.live > 0 || new.has_entries()).then(|| Arc::new(new));
        let mut state = self.state.write();
        let is_current = state.layers.as_ref().is_some_and(|layers| Arc::ptr_eq(layers, old));
        if is_current && planted(Bug::PublishBeforeFill) {
            state.layers = Some(Arc::default());
            drop(state);
            state = self.state.write();
        }
        let replaced = if is_current { std::mem::replace(&mut state.layers, new) } else { new };
        drop(state);
        drop(replaced);
        is_current
    }

    /// Heap bytes by part.
    pub(crate) fn memory_usage(&self) -> MemoryUsage {
        let state = self.state.read();
        let mut usage = MemoryUsage::default();
        if let Some(delta) = &state.delta {
            usage.delta = delta.tree.chunk_bytes();
            usage.extents += delta.tree.extent_bytes();
            usage.overhead += size_of::<Delta>() + delta.tree.overhead_bytes();
            usage.filter += delta.filter.as_deref().map_or(0, Filter::heap_bytes);
        }
        if let Some(layers) = &state.layers {
            layers.add_usage(&mut usage);
        }
        usage
    }

    /// What the partition holds.
    pub(crate) fn stats(&self) -> Stats {
        let state = self.state.read();
        let mut stats = Stats { entries: state.live(), ..Stats::default() };
        if let Some(delta) = &state.delta {
            stats.delta_entries = delta.tree.len();
            stats.delta_used_bytes = delta.tree.used_bytes();
            stats.delta_limbo_bytes = delta.tree.limbo_bytes();
            stats.nodes = delta.tree.counts();
        }
        if let Some(layers) = &state.layers {
            stats.frozen_entries = layers.frozen.as_ref().map_or(0, |frozen| frozen.tree.len());
            stats.overlay = layers.overlay.as_ref().map(|segment| segment.stats());
            stats.base = layers.base.as_ref().map(|segment| segment.stats());
            let segments = layers.overlay.iter().chain(&layers.base);
            stats.stored_bytes = segments.map(|segment| segment.stored_bytes()).sum();
        }
        #[cfg(test)]
        for (total, hits) in stats.hits_by_layer.iter_mut().zip(&self.hits) {
            *total = hits.load(crate::sync::Ordering::Relaxed);
        }
        stats
    }

    #[cfg(test)]
    fn note_hit(&self, layer: Option<usize>) {
        if let Some(layer) = layer {
            self.hits[layer].fetch_add(1, crate::sync::Ordering::Relaxed);
        }
    }

    #[cfg(not(test))]
    #[inline]
    #[expect(clippy::unused_self, reason = "the counters exist in test builds only")]
    fn note_hit(&self, _layer: Option<usize>) {}
}

impl State {
    fn live(&self) -> u64 {
        let below = self.layers.as_ref().map_or(0, |layers| layers.live);
        let delta = self.delta.as_ref().map_or(0, |delta| delta.tree.weight());
        // A forged file can count fewer keys than it shows, so that more are removed than counted.
        below.saturating_add_signed(delta)
    }

    /// How full the delta is, if that is worth a thought: see [`Partition::put`].
    #[inline]
    fn fill_from(&self, attention: usize) -> Option<Fill> {
        let delta = self.delta.as_ref()?;
        let bytes = delta.tree.used_bytes() + delta.tree.limbo_bytes();
        (bytes + delta.tree.limbo_extent_bytes() >= attention).then(|| self.fill())
    }

    fn fill(&self) -> Fill {
        let Some(delta) = &self.delta else { return Fill::default() };
        let limbo = delta.tree.limbo_bytes();
        Fill {
            serial: self.serial,
            bytes: delta.tree.used_bytes() + limbo,
            kept_for_pins: limbo + delta.tree.limbo_extent_bytes(),
            entries: delta.tree.len(),
            live: self.live(),
        }
    }

    /// The newest entry of `key`, and the number of the layer that has it (delta, frozen delta,
    /// overlay, base).
    fn find(&self, key: &[u8]) -> Result<(Option<Entry<'_>>, Option<usize>), Corruption> {
        let mut hash = None;
        if let Some(delta) = &self.delta {
            let may_hold = delta.filter.as_ref().is_none_or(|filter| {
                filter.may_contain(*hash.get_or_insert_with(|| KeyHash::of(key)))
            });
            if may_hold && let Some(entry) = delta.tree.get(key) {
                return Ok((Some(entry), Some(0)));
            }
        }
        match &self.layers {
            None => Ok((None, None)),
            Some(layers) => layers.find(key, hash),
        }
    }
}

impl Delta {
    fn new(width: ValueWidth) -> Self {
        Self { tree: Tree::new(width), filter: None }
    }

    /// Lets the filter know of a key that is about to be added (I6). One is made only above
    /// `layers`, but one that exists is told of every key: the layers may go, and others come.
    fn filter_key(&mut self, key: &[u8], layers: Option<&Layers>) -> Result<(), OutOfMemory> {
        use crate::cursor::Cursor;
        let entries = self.tree.len();
        if self.filter.as_ref().is_some_and(|filter| filter.is_outworn(entries)) {
            self.filter = None;
        }
        if let Some(layers) = layers
            && self.filter.is_none()
            && entries >= FILTER_FROM
        {
            // Twice what the default budget lets a delta hold, or twice what this one holds.
            let expected = (layers.live / 25).max(2 * entries);
            let mut filter = Filter::new(usize::try_from(expected).unwrap_or(usize::MAX))?;
            let mut cursor = crate::art::ArtCursor::new(&self.tree);
            cursor.first();
            while cursor.valid() {
                filter.insert(KeyHash::of(cursor.key()))?;
                cursor.next();
            }
            self.filter = Some(Box::new(filter));
        }
        match &mut self.filter {
            Some(filter) => filter.insert(KeyHash::of(key)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
