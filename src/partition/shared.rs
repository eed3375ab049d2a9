//! What the partitions of one map share: how full their deltas are together, and the views of the
//! whole map.
//!
//! A view of several partitions shows all of them as of one moment without touching any when it is
//! made. Making it advances the map's epoch. A partition whose last known epoch is older saves a
//! pin for every newer view before it is written to, and a view that comes to a partition first
//! makes the pin itself. A write that begins after another has ended knows at least the epoch that
//! the other knew, so that no view has the later without the earlier.

use super::Pinned;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering, Weak};
use std::collections::BTreeMap;

/// How full a delta and a frozen one are, or all deltas of a map together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Bytes in nodes, and what pins keep.
    pub(crate) bytes: usize,
    /// Bytes that only pins keep: replaced nodes and large values.
    pub(crate) kept: usize,
    /// Entries, tombstones included.
    pub(crate) entries: u64,
    /// Live keys, those of the layers below included.
    pub(crate) live: u64,
    /// Heap bytes of all there is, the layers below included.
    pub(crate) held: usize,
}

impl Load {
    /// What is left in deltas without those that told this.
    pub(crate) fn without(self, out: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(out.bytes),
            kept: self.kept.saturating_sub(out.kept),
            entries: self.entries.saturating_sub(out.entries),
            ..self
        }
    }
}

/// A moment that a view of the whole map shows, and the partitions saved for it so far.
pub(crate) struct Moment {
    epoch: u64,
    pins: Mutex<Pins>,
}

/// Partitions that were saved. They are dropped in the order in which they came, not in that of
/// addresses, which differs from run to run: models take the same steps each time.
#[derive(Default)]
struct Pins {
    /// The first one, and its partition: most walks come to no other.
    first: Option<(usize, Pinned)>,
    saved: Vec<Pinned>,
    /// Where that of another partition is.
    places: BTreeMap<usize, usize>,
}

impl Moment {
    /// The pin of a partition, which `pin` makes if there is none.
    pub(super) fn pinned(&self, partition: usize, pin: impl FnOnce() -> Pinned) -> Pinned {
        self.with_pinned(partition, pin, Pinned::clone)
    }

    /// What `read` makes of that.
    pub(super) fn with_pinned<R>(
        &self,
        partition: usize,
        pin: impl FnOnce() -> Pinned,
        read: impl FnOnce(&Pinned) -> R,
    ) -> R {
        let Pins { first, saved, places } = &mut *self.pins.lock();
        match first {
            None => return read(&first.insert((partition, pin())).1),
            Some((at, pinned)) if *at == partition => return read(pinned),
            Some(_) => {}
        }
        let place = *places.entry(partition).or_insert_with(|| {
            saved.push(pin());
            saved.len() - 1
        });
        read(&saved[place])
    }
}

/// What the partitions of one map share.
pub(crate) struct Shared {
    /// Number of the newest moment.
    epoch: AtomicU64,
    /// The moments that somebody may still look at.
    moments: Mutex<Vec<Weak<Moment>>>,
    bytes: AtomicUsize,
    kept: AtomicUsize,
    entries: AtomicU64,
    live: AtomicU64,
    /// What all partitions hold, and what writes have set aside.
    held: AtomicUsize,
    /// Entries that all deltas have ever been told to have got: the clock of the fold policy.
    clock: AtomicU64,
}

/// What a write has to know of its map.
#[derive(Clone, Copy)]
pub(crate) struct Writes<'a> {
    /// What the partition shares with others; `None` if it is the whole map.
    pub(crate) shared: Option<&'a Shared>,
    /// Bytes that a delta grows by before it tells.
    pub(crate) grain: usize,
    /// Bytes that all partitions may hold. If there is a limit, every change is told.
    pub(crate) limit: Option<usize>,
}

#[cfg(test)]
impl Writes<'_> {
    /// Writes to a partition of no map.
    pub(crate) const ALONE: Self = Self { shared: None, grain: usize::MAX, limit: None };
}

impl Shared {
    /// For a map without entries.
    pub(crate) fn new() -> Self {
        Self {
            epoch: AtomicU64::new(0),
            moments: Mutex::new(Vec::new()),
            bytes: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            entries: AtomicU64::new(0),
            live: AtomicU64::new(0),
            held: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
        }
    }

    /// The moment of now, for a view of all partitions. No partition is divided or joined
    /// meanwhile: the caller sees to that.
    pub(crate) fn moment(&self) -> Arc<Moment> {
        let mut moments = self.moments.lock();
        moments.retain(|moment| moment.strong_count() > 0);
        let epoch = self.epoch.fetch_add(1, Ordering::AcqRel) + 1;
        let moment = Arc::new(Moment { epoch, pins: Mutex::default() });
        moments.push(Arc::downgrade(&moment));
        moment
    }

    /// Number of the newest moment.
    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Saves a partition that is about to change for the moments after `seen`; answers the newest.
    ///
    /// Those moments are put into `met`, which is dropped when the partition is not locked any
    /// more: whoever made one may have dropped it meanwhile, and then all that it has pinned is
    /// freed with it.
    #[cold]
    pub(super) fn save(
        &self,
        partition: usize,
        seen: u64,
        pin: impl Fn() -> Pinned,
        met: &mut Vec<Arc<Moment>>,
    ) -> u64 {
        let start = met.len();
        let moments = self.moments.lock();
        let epoch = self.epoch();
        met.extend(moments.iter().filter_map(Weak::upgrade));
        drop(moments);
        for moment in met[start..].iter().filter(|moment| moment.epoch > seen) {
            moment.with_pinned(partition, &pin, |_| ());
        }
        epoch
    }

    /// Takes in what a delta says now, and said before.
    pub(crate) fn add(&self, now: Load, before: Load) {
        let bytes = now.bytes.wrapping_sub(before.bytes);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.kept.fetch_add(now.kept.wrapping_sub(before.kept), Ordering::Relaxed);
        self.entries.fetch_add(now.entries.wrapping_sub(before.entries), Ordering::Relaxed);
        self.live.fetch_add(now.live.wrapping_sub(before.live), Ordering::Relaxed);
        self.held.fetch_add(now.held.wrapping_sub(before.held), Ordering::Relaxed);
        if now.entries > before.entries {
            self.clock.fetch_add(now.entries - before.entries, Ordering::Relaxed);
        }
    }

    /// All deltas together, by what they have told.
    pub(crate) fn load(&self) -> Load {
        Load {
            bytes: self.bytes.load(Ordering::Relaxed),
            kept: self.kept.load(Ordering::Relaxed),
            entries: self.entries.load(Ordering::Relaxed),
            live: self.live.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
        }
    }

    /// Counts bytes that a write may need as if they were held; answers all that is.
    ///
    /// One counter for both, so that a writer that sees bytes given back sees what was told before.
    pub(super) fn set_aside(&self, bytes: usize) -> usize {
        self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes)
    }

    /// The write has told what it has taken.
    pub(super) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Entries that deltas have got since the map was made.
    pub(crate) fn clock(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }
}
