//! One key range of a map: a delta over layers, behind one lock.
//!
//! What holds here: reads see each key's newest entry (I3), every entry knows whether its key is
//! live below it, and the count of live keys is exact (I7). A map is one partition or, when it has
//! grown, many of them side by side.
//!
//! The lock guards two things: the delta, and which layers are below it. Layers are immutable and
//! replaced as a whole; a reader obtains them once and never mixes generations. A partition that
//! has been divided or joined is retired: it answers nobody but the views that were made before,
//! and never changes again.

mod batch;
#[cfg(any(test, fuzzing))]
pub(crate) mod check;
mod get;
mod layers;
mod room;
mod shared;
mod view;

pub(crate) use batch::{BATCH, Batch, Numbers};
use layers::Begun;
pub(crate) use layers::{Layers, Overlay};
pub(crate) use room::Room;
pub(crate) use shared::{Load, Moment, Shared, Writes};
pub(crate) use view::{Depth, LayerCursor, LiveCursor, Pinned};

use crate::arena::{OutOfMemory, prefetch_value};
use crate::art::{ArtCursor, Pin, Tree, TreeError};
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, Extent, INLINE_VALUE_MAX, ValueBuf, ValueRef, ValueWidth};
use crate::error::{Corruption, Error};
use crate::filter::{Filter, KeyHash};
use crate::planted::{Bug, planted};
use crate::segment::Segment;
use crate::stats::{MemoryUsage, Stats};
use crate::sync::{
    Arc, AtomicU32, AtomicU64, AtomicUsize, Ordering, RwLock, read_soon, write_soon,
};

/// Deltas and overlays with fewer entries are searched without a filter.
pub(crate) const FILTER_FROM: u64 = 32;

/// Why a write could not be made. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// The delta takes no more writes of this kind until it is frozen.
    DeltaFull,
    /// The allocator refused.
    OutOfMemory,
    /// A layer below is damaged, so that it is not known whether the key is there.
    Corrupted(Corruption),
    /// The partition has successors, which take the write.
    Retired,
    /// The map would hold more than it may.
    OverLimit,
}

impl WriteError {
    /// What it is to somebody who fills a partition that nobody else knows, and has no limit.
    pub(crate) fn at_rest(self) -> Error {
        match self {
            Self::OutOfMemory => Error::OutOfMemory,
            Self::Corrupted(corruption) => corruption.into(),
            Self::DeltaFull | Self::Retired | Self::OverLimit => Error::DeltaFull,
        }
    }
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

/// The mutable delta with its filter.
struct Delta {
    tree: Tree,
    /// Made when there are layers below and more than a few keys here (I6).
    filter: Option<Box<Filter>>,
}

struct State {
    delta: Option<Box<Delta>>,
    layers: Option<Arc<Layers>>,
    /// Views of the whole map up to this one need nothing more from here. [`RETIRED`] once
    /// successors hold what was here; nothing changes any more then.
    seen: u64,
}

/// In the place of the number of a view.
const RETIRED: u64 = u64::MAX;

/// A delta over layers.
pub(crate) struct Partition {
    state: RwLock<State>,
    gauge: Gauge,
    width: ValueWidth,
    #[cfg(test)]
    hits: [AtomicU64; 4],
}

impl Partition {
    /// An empty partition; allocates nothing.
    pub(crate) fn new(width: ValueWidth) -> Self {
        Self {
            state: RwLock::new(State { delta: None, layers: None, seen: 0 }),
            gauge: Gauge::default(),
            width,
            #[cfg(test)]
            hits: Default::default(),
        }
    }

    /// How values are stored.
    pub(crate) fn width(&self) -> ValueWidth {
        self.width
    }

    /// A consistent view, at O(1) cost; writes go on beside it. `None` if the partition is retired.
    pub(crate) fn pin(&self) -> Option<Pinned> {
        let state = read_soon(&self.state);
        (!state.is_retired()).then(|| state.pin())
    }

    /// The partition as a view of the whole map sees it, retired or not.
    pub(crate) fn pin_for(&self, moment: &Moment) -> Pinned {
        let state = read_soon(&self.state);
        // Under the lock, so that no write comes between the look and the pin.
        moment.pinned(self.address(), || state.pin())
    }

    /// A cursor over the partition as a view of the whole map sees it.
    pub(crate) fn cursor_for(&self, moment: &Moment) -> LiveCursor {
        let state = read_soon(&self.state);
        let read = |pinned: &Pinned| pinned.base().cloned().ok_or_else(|| pinned.clone());
        let here = moment.with_pinned(self.address(), || state.pin(), read);
        drop(state);
        // A cursor may read a segment for the first time, which is for no lock to wait for.
        match here {
            Ok(base) => LiveCursor::over(base),
            Err(pinned) => pinned.cursor(),
        }
    }

    /// What a view of the whole map knows the partition by.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Sets the value of `key`. If it had one, `old` is called with that, under the lock, or with why it
    /// cannot be read, which is no reason not to replace it.
    ///
    /// Answers what the map was told, if the delta has grown enough to tell it.
    pub(crate) fn put(
        &self,
        writes: Writes<'_>,
        key: &[u8],
        value: &[u8],
        old: impl FnOnce(Result<&[u8], Corruption>),
    ) -> Result<Option<Load>, WriteError> {
        let extent: Extent;
        let value = if self.width == ValueWidth::Bytes && value.len() > INLINE_VALUE_MAX {
            extent = Extent::copy_of(value)?;
            ValueRef::extent(&extent)
        } else {
            ValueRef::Inline(value)
        };
        // Dropped after the lock.
        let mut met = Vec::new();
        let mut state = write_soon(&self.state);
        self.begin_write(writes, &mut state, &mut met)?;
        let _aside = self.set_aside(writes, &state, key, value)?;
        state.ask_for_layers();
        let State { delta, layers, .. } = &mut *state;
        let layers = layers.as_deref();
        let delta = delta.get_or_insert_with(|| Box::new(Delta::new(self.width)));
        let mut begun = Begun::none();
        let mut hash = layers.map(|layers| delta.begin_below(layers, key, &mut begun));
        let plan = delta.tree.plan(key)?;
        let buf = ValueBuf::default();
        match (delta.tree.existing(&plan), layers) {
            (Some(entry), _) => {
                if let Some(value) = entry.live() {
                    old(Ok(value));
                }
                let below = entry.below;
                delta.tree.apply(plan, key, Entry::value(value, below))?;
            }
            (None, None) => {
                delta.filter_key(key, hash, None)?;
                delta.tree.apply(plan, key, Entry::value(value, Below::Absent))?;
            }
            (None, Some(layers)) => {
                // Probed now, because `len` and every weight depend on it.
                let found = layers.find_begun(key, &mut hash, &mut begun, &buf)?;
                delta.filter_key(key, hash, Some(layers))?;
                delta.tree.apply(plan, key, Entry::value(value, found.below()))?;
                // By now it has arrived.
                layers.with_found(found, &begun, old);
            }
        }
        Ok(self.tell_if_grown(writes, &mut state))
    }

    /// Removes `key`. If it had a value, `old` is called as [`put`](Self::put) does, under the lock.
    /// Answers as that.
    pub(crate) fn remove(
        &self,
        writes: Writes<'_>,
        key: &[u8],
        old: impl FnOnce(Result<&[u8], Corruption>),
    ) -> Result<Option<Load>, WriteError> {
        // Dropped after the lock.
        let mut met = Vec::new();
        let mut state = write_soon(&self.state);
        self.begin_write(writes, &mut state, &mut met)?;
        let State { delta, layers, .. } = &mut *state;
        if delta.is_none() && layers.is_none() {
            return Ok(None);
        }
        let layers = layers.as_deref();
        let delta = delta.get_or_insert_with(|| Box::new(Delta::new(self.width)));
        let mut begun = Begun::none();
        let mut hash = layers.map(|layers| delta.begin_below(layers, key, &mut begun));
        let plan = delta.tree.plan(key)?;
        match (delta.tree.existing(&plan), layers) {
            (Some(entry), _) => {
                let Some(value) = entry.live() else { return Ok(None) };
                let below = entry.below;
                old(Ok(value));
                match below {
                    Below::Absent => delta.tree.unlink(plan)?,
                    Below::Live => delta.tree.apply(plan, key, Entry::tombstone(below))?,
                }
            }
            (None, Some(layers)) => {
                let buf = ValueBuf::default();
                let found = layers.find_begun(key, &mut hash, &mut begun, &buf)?;
                if found.below() == Below::Absent {
                    return Ok(None);
                }
                delta.filter_key(key, hash, Some(layers))?;
                delta.tree.apply(plan, key, Entry::tombstone(Below::Live))?;
                layers.with_found(found, &begun, old);
            }
            (None, None) => {}
        }
        Ok(self.tell_if_grown(writes, &mut state))
    }

    /// What comes before a change: views of the whole map that were made since the last one get
    /// the partition as it is.
    #[inline]
    fn begin_write(
        &self,
        writes: Writes<'_>,
        state: &mut State,
        met: &mut Vec<Arc<Moment>>,
    ) -> Result<(), WriteError> {
        if state.is_retired() {
            return Err(WriteError::Retired);
        }
        if let Some(shared) = writes.shared
            && state.seen != shared.epoch()
        {
            state.seen = shared.save(self.address(), state.seen, || state.pin(), met);
        }
        Ok(())
    }

    /// Tells the map how full the delta is, if that is worth telling.
    #[inline]
    fn tell_if_grown(&self, writes: Writes<'_>, state: &mut State) -> Option<Load> {
        let delta = state.delta.as_ref()?;
        let bytes = delta.tree.used_bytes() + delta.tree.limbo_bytes();
        let bytes = bytes + delta.tree.limbo_extent_bytes() + state.frozen_bytes();
        let told = self.gauge.bytes.load(Ordering::Relaxed);
        let is_worth_it = bytes.abs_diff(told) >= writes.grain
            || writes.limit.is_some()
                && state.held_bytes() != self.gauge.held.load(Ordering::Relaxed);
        is_worth_it.then(|| self.tell(writes.shared, state))
    }

    /// Tells the map how full the delta is.
    #[cold]
    fn tell(&self, shared: Option<&Shared>, state: &mut State) -> Load {
        if state.is_retired() {
            // Its successors tell of what it had.
            return Load::default();
        }
        let (load, told) = (state.load(), self.gauge.load());
        if let Some(shared) = shared {
            shared.add(load, told);
            if told.entries == 0 && load.entries > 0 {
                self.gauge.born.store(shared.clock(), Ordering::Relaxed);
            }
        }
        if load.entries == 0 {
            self.gauge.sweeps.store(0, Ordering::Relaxed);
        }
        self.gauge.set(load);
        load
    }

    /// Tells the map of a partition that it did not have before.
    pub(crate) fn announce(&self, shared: Option<&Shared>) {
        self.tell(shared, &mut self.state.write());
    }

    /// What is known of the delta without a lock.
    pub(crate) fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// Number of live keys. `None` if the partition is retired.
    pub(crate) fn len(&self) -> Option<u64> {
        let state = self.state.read();
        (!state.is_retired()).then(|| state.live())
    }

    /// Whether nothing has been put here, or all of it was taken away again.
    pub(crate) fn is_blank(&self) -> bool {
        self.state.read().is_blank()
    }

    /// Drops everything, where no view of several partitions knows this one.
    pub(crate) fn clear(&self) {
        let mut state = self.state.write();
        let old = (state.delta.take(), state.layers.take());
        self.gauge.retry_kib.store(0, Ordering::Relaxed);
        self.gauge.sweeps.store(0, Ordering::Relaxed);
        self.tell(None, &mut state);
        drop(state);
        // Freed without the lock: it takes time in proportion to the number of chunks.
        drop(old);
    }

    /// Makes `layers` the content, if the partition is blank; else gives them back. No view of
    /// several partitions knows this one.
    pub(crate) fn adopt(&self, layers: Layers) -> Result<(), Layers> {
        let mut state = self.state.write();
        if !state.is_blank() {
            return Err(layers);
        }
        state.delta = None;
        state.layers = layers.has_entries().then(|| Arc::new(layers));
        self.tell(None, &mut state);
        Ok(())
    }

    /// A partition of these layers, for a map whose views up to now do not know it.
    pub(crate) fn with_layers(width: ValueWidth, shared: Option<&Shared>, layers: Layers) -> Self {
        let layers = (layers.live > 0 || layers.has_entries()).then(|| Arc::new(layers));
        let state = State { delta: None, layers, seen: shared.map_or(0, Shared::epoch) };
        Self { state: RwLock::new(state), ..Self::new(width) }
    }

    /// A partition of a file. Of its live keys the caller tells `shared`.
    pub(crate) fn with_base(width: ValueWidth, shared: &Shared, base: Arc<Segment>) -> Self {
        let live = base.len();
        let partition = Self::with_layers(width, Some(shared), Layers::with_base(base));
        partition.gauge.live.store(live, Ordering::Relaxed);
        partition
    }

    /// Turns the delta into the frozen layer, if it has entries and no other is frozen, and
    /// answers the layers, in which a fold will find its input. A delta without entries goes, and
    /// the memory of those that it had.
    pub(crate) fn freeze(&self, shared: Option<&Shared>) -> Option<Arc<Layers>> {
        let mut state = self.state.write();
        if state.is_retired() {
            return None;
        }
        let unused = state.freeze();
        let layers = state.layers.clone();
        self.tell(shared, &mut state);
        drop(state);
        // Freed without the lock.
        drop(unused);
        layers
    }

    /// Whether a frozen delta waits to be folded.
    pub(crate) fn has_frozen(&self) -> bool {
        self.layers().is_some_and(|layers| layers.frozen.is_some())
    }

    /// The layers as they are; `None` if there are none or the partition is retired.
    pub(crate) fn layers(&self) -> Option<Arc<Layers>> {
        let state = self.state.read();
        if state.is_retired() { None } else { state.layers.clone() }
    }

    /// Whether successors have its content.
    pub(crate) fn is_retired(&self) -> bool {
        self.state.read().is_retired()
    }

    /// Replaces `old` by `new`, which holds the same live keys; does nothing if the layers are not
    /// `old` any more, or the partition is retired.
    pub(crate) fn publish(&self, shared: Option<&Shared>, old: &Arc<Layers>, new: Layers) -> bool {
        debug_assert_eq!(old.live, new.live, "a fold changes no content (I7)");
        let new = (new.live > 0 || new.has_entries()).then(|| Arc::new(new));
        let mut state = self.state.write();
        let is_current = !state.is_retired() && state.stands_on(old);
        if is_current && planted(Bug::PublishBeforeFill) {
            state.layers = Some(Arc::default());
            drop(state);
            state = self.state.write();
        }
        let replaced = if is_current { std::mem::replace(&mut state.layers, new) } else { new };
        if is_current && old.frozen.is_some() {
            // What is in the delta has come since it was frozen.
            self.gauge.born.store(shared.map_or(0, Shared::clock), Ordering::Relaxed);
            self.gauge.sweeps.store(0, Ordering::Relaxed);
        }
        self.tell(shared, &mut state);
        drop(state);
        drop(replaced);
        is_current
    }

    /// Takes the write locks of these partitions, given in key order, and calls `replace` with what
    /// is needed to make successors; if that agrees, all of them are retired. Nobody else may be
    /// doing this meanwhile.
    pub(crate) fn retire_all<T, E>(
        partitions: &[&Self],
        shared: Option<&Shared>,
        replace: impl FnOnce(&mut [Retiring<'_>]) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        // Dropped after the locks.
        let (mut met, mut old) = (Vec::new(), Vec::new());
        let mut states: Vec<_> = partitions.iter().map(|own| own.state.write()).collect();
        let mut retiring: Vec<_> = states.iter_mut().map(|state| Retiring(&mut *state)).collect();
        let replaced = replace(&mut retiring)?;
        if replaced.is_some() {
            for (partition, state) in partitions.iter().zip(&mut states) {
                if let Some(shared) = shared {
                    // The views that know the partition keep what they show, and nothing else.
                    shared.save(partition.address(), state.seen, || state.pin(), &mut met);
                    shared.add(Load::default(), partition.gauge.load());
                }
                partition.gauge.set(Load::default());
                state.seen = RETIRED;
                old.push((state.delta.take(), state.layers.take()));
            }
        }
        Ok(replaced)
    }

    /// What a copy of the map needs of these partitions, which are given in key order, as of one
    /// moment. Deltas are frozen where none is yet, so that the copy can share them.
    pub(crate) fn part_all(partitions: &[&Self], shared: Option<&Shared>) -> Vec<Part> {
        // Freed after the locks.
        let mut unused = Vec::new();
        let mut states: Vec<_> = partitions.iter().map(|own| own.state.write()).collect();
        let parts = partitions.iter().zip(&mut states).map(|(own, state)| {
            unused.extend(state.freeze());
            own.tell(shared, state);
            let delta = state.delta.as_ref().filter(|delta| delta.tree.len() > 0);
            Part { layers: state.layers.clone(), delta: delta.map(|delta| delta.tree.pin()) }
        });
        parts.collect()
    }

    /// Fills a delta that nobody else knows with entries of another one over the same layers, up
    /// to `end`, where `entries` then stands.
    pub(crate) fn inherit(
        &self,
        entries: &mut impl Cursor,
        end: Option<&[u8]>,
    ) -> Result<(), WriteError> {
        let mut state = self.state.write();
        let State { delta, layers, .. } = &mut *state;
        while entries.valid() && end.is_none_or(|end| entries.key() < end) {
            let delta = delta.get_or_insert_with(|| Box::new(Delta::new(self.width)));
            let plan = delta.tree.plan(entries.key())?;
            delta.filter_key(entries.key(), None, layers.as_deref())?;
            delta.tree.apply(plan, entries.key(), entries.entry())?;
            entries.next();
        }
        Ok(())
    }

    /// Adds what the partition holds to what others hold.
    pub(crate) fn add_stats(&self, stats: &mut Stats) {
        let state = self.state.read();
        stats.entries += state.live();
        if let Some(delta) = &state.delta {
            stats.delta_entries += delta.tree.len();
            stats.delta_used_bytes += delta.tree.used_bytes();
            stats.delta_limbo_bytes += delta.tree.limbo_bytes();
            stats.nodes.add(&delta.tree.counts());
        }
        if let Some(layers) = &state.layers {
            stats.entries_copied += layers.copied;
            stats.frozen_entries += layers.frozen.as_ref().map_or(0, |frozen| frozen.tree.len());
            for (segment, sum) in
                [(layers.overlay(), &mut stats.overlay), (layers.base.as_ref(), &mut stats.base)]
            {
                if let Some(segment) = segment {
                    sum.get_or_insert_default().add(&segment.stats());
                    stats.stored_bytes += segment.stored_bytes();
                }
            }
        }
        #[cfg(test)]
        for (total, hits) in stats.hits_by_layer.iter_mut().zip(&self.hits) {
            *total += hits.load(Ordering::Relaxed);
        }
    }

    /// Gets that each layer has answered, which successors go on counting.
    #[cfg(test)]
    pub(crate) fn take_hits_of(&self, retired: &Self) {
        for (own, old) in self.hits.iter().zip(&retired.hits) {
            own.fetch_add(old.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    fn note_hit(&self, layer: Option<usize>) {
        if let Some(layer) = layer {
            self.hits[layer].fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(not(test))]
    #[inline]
    #[expect(clippy::unused_self, reason = "the counters exist in test builds only")]
    fn note_hit(&self, _layer: Option<usize>) {}
}

/// What is known of a delta without its lock: what it last told, which it may have outgrown by a
/// grain.
#[derive(Default)]
pub(crate) struct Gauge {
    bytes: AtomicUsize,
    kept: AtomicUsize,
    entries: AtomicU64,
    live: AtomicU64,
    held: AtomicUsize,
    /// The map's clock when the delta got its first entries.
    pub(crate) born: AtomicU64,
    /// Times that the worker has come by since then.
    pub(crate) sweeps: AtomicU32,
    /// A fold has met damage here, which does not heal: deltas of fewer KiB do not try again.
    pub(crate) retry_kib: AtomicU32,
}

impl Gauge {
    /// How full the delta is.
    pub(crate) fn load(&self) -> Load {
        Load {
            bytes: self.bytes.load(Ordering::Relaxed),
            kept: self.kept.load(Ordering::Relaxed),
            entries: self.entries.load(Ordering::Relaxed),
            live: self.live.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
        }
    }

    fn set(&self, load: Load) {
        self.bytes.store(load.bytes, Ordering::Relaxed);
        self.kept.store(load.kept, Ordering::Relaxed);
        self.entries.store(load.entries, Ordering::Relaxed);
        self.live.store(load.live, Ordering::Relaxed);
        self.held.store(load.held, Ordering::Relaxed);
    }
}

/// What a copy of a partition is made of.
pub(crate) struct Part {
    pub(crate) layers: Option<Arc<Layers>>,
    /// What is not in the layers.
    pub(crate) delta: Option<Pin>,
}

/// A partition that is about to be retired, locked.
pub(crate) struct Retiring<'a>(&'a mut State);

impl Retiring<'_> {
    /// Whether the layers are still these, and nobody else has retired it.
    pub(crate) fn stands_on(&self, layers: Option<&Arc<Layers>>) -> bool {
        let is_same = match layers {
            Some(layers) => self.0.stands_on(layers),
            None => self.0.layers.is_none(),
        };
        is_same && !self.0.is_retired()
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.is_blank()
    }

    /// The delta's entries.
    pub(crate) fn delta(&self) -> Option<ArtCursor<&Tree>> {
        self.0.delta.as_ref().map(|delta| ArtCursor::new(&delta.tree))
    }
}

impl State {
    #[inline]
    fn is_retired(&self) -> bool {
        self.seen == RETIRED
    }

    /// Turns the delta into the frozen layer, if it has entries and no other is frozen. Answers one
    /// without entries, which is not there any more.
    fn freeze(&mut self) -> Option<Box<Delta>> {
        let Self { delta, layers, .. } = self;
        let is_empty = delta.as_ref().is_some_and(|delta| delta.tree.len() == 0);
        if is_empty {
            return delta.take();
        }
        if layers.as_ref().is_none_or(|layers| layers.frozen.is_none())
            && let Some(taken) = delta.take()
        {
            *layers = Some(Arc::new(Layers::with_frozen(layers.as_deref(), *taken)));
        }
        None
    }

    fn live(&self) -> u64 {
        let below = self.layers.as_ref().map_or(0, |layers| layers.live);
        let delta = self.delta.as_ref().map_or(0, |delta| delta.tree.weight());
        // A forged file can count fewer keys than it shows, so that more are removed than counted.
        below.saturating_add_signed(delta)
    }

    fn pin(&self) -> Pinned {
        let delta = self.delta.as_ref().filter(|delta| delta.tree.len() > 0);
        Pinned::new(delta.map(|delta| delta.tree.pin()), self.layers.clone())
    }

    fn is_blank(&self) -> bool {
        !self.is_retired()
            && self.layers.is_none()
            && self.delta.as_ref().is_none_or(|delta| delta.tree.len() == 0)
    }

    fn stands_on(&self, layers: &Arc<Layers>) -> bool {
        self.layers.as_ref().is_some_and(|own| Arc::ptr_eq(own, layers))
    }

    fn load(&self) -> Load {
        let (live, held) = (self.live(), self.held_bytes());
        let mut load = Load { live, held, ..Load::default() };
        if let Some(delta) = &self.delta {
            load.kept = delta.tree.limbo_bytes() + delta.tree.limbo_extent_bytes();
            load.bytes = delta.tree.used_bytes() + load.kept;
            load.entries = delta.tree.len();
        }
        // Until its segment is there, it has not been folded.
        load.bytes += self.frozen_bytes();
        if let Some(frozen) = self.layers.as_ref().and_then(|layers| layers.frozen.as_ref()) {
            load.entries += frozen.tree.len();
        }
        load
    }

    #[inline]
    fn frozen_bytes(&self) -> usize {
        let frozen = self.layers.as_ref().and_then(|layers| layers.frozen.as_ref());
        frozen.map_or(0, |frozen| frozen.tree.used_bytes())
    }

    /// The delta's entry of `key`. `hash` is the key's, if it was made.
    #[inline]
    fn find_in_delta(&self, key: &[u8], hash: &mut Option<KeyHash>) -> Option<Entry<'_>> {
        let delta = self.delta.as_ref()?;
        let may_hold = delta
            .filter
            .as_ref()
            .is_none_or(|filter| filter.may_contain(*hash.get_or_insert_with(|| KeyHash::of(key))));
        if may_hold { delta.tree.get(key) } else { None }
    }

    /// Asks for the layers while the delta is searched: of many partitions, what leads from one to the
    /// next of these has left the cache.
    #[inline]
    fn ask_for_layers(&self) {
        if let Some(delta) = &self.delta {
            prefetch_value(&**delta);
        }
        if let Some(layers) = &self.layers {
            prefetch_value(&**layers);
        }
    }
}

impl Delta {
    fn new(width: ValueWidth) -> Self {
        Self { tree: Tree::new(width), filter: None }
    }

    /// Heap bytes of a delta whose first key and value have so many bytes, at most.
    fn new_bytes(bytes: usize) -> usize {
        2 * size_of::<Self>() + Tree::write_bytes(bytes)
    }

    /// Heap bytes by part.
    fn add_usage(&self, usage: &mut MemoryUsage) {
        usage.delta += self.tree.chunk_bytes();
        usage.extents += self.tree.extent_bytes();
        usage.overhead += size_of::<Self>() + self.tree.overhead_bytes();
        usage.filter += self.filter.as_deref().map_or(0, Filter::heap_bytes);
    }

    /// Begins what a write of `key` does if the delta does not have it: so that what that reads arrives while
    /// the place in the delta is looked for, which takes as long. Answers the key's hash.
    ///
    /// The filter could tell that most often, but it is waited for as long as what it would spare.
    #[inline]
    fn begin_below<'l, 'k>(
        &self,
        layers: &'l Layers,
        key: &'k [u8],
        begun: &mut Begun<'l, 'k>,
    ) -> KeyHash {
        self.tree.ask();
        layers.begin(key, begun);
        let hash = KeyHash::of(key);
        if let Some(filter) = &self.filter {
            filter.ask(hash);
        }
        layers.ask_for_overlay(hash);
        begun.hasten();
        hash
    }

    /// Lets the filter know of a key that is about to be added (I6). One is made only above
    /// `layers`, but one that exists is told of every key: the layers may go, and others come.
    /// `hash` is the key's, if it was made.
    fn filter_key(
        &mut self,
        key: &[u8],
        hash: Option<KeyHash>,
        layers: Option<&Layers>,
    ) -> Result<(), OutOfMemory> {
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
            let mut cursor = ArtCursor::new(&self.tree);
            cursor.first();
            while cursor.valid() {
                filter.insert(KeyHash::of(cursor.key()))?;
                cursor.next();
            }
            self.filter = Some(Box::new(filter));
        }
        match &mut self.filter {
            Some(filter) => filter.insert(hash.unwrap_or_else(|| KeyHash::of(key))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
