//! One untyped map, and the folding of its delta into segments.
//!
//! What holds here: progress. A delta that is over its budget is folded by the worker, by the
//! writer that finds it so, or by `compact`, whichever the options say; a fold that fails or is
//! cancelled leaves its input where reads find it, and the next one starts from it again.

mod fold;
mod policy;
mod slot;
#[cfg(test)]
pub(crate) mod testing;
mod worker;

use crate::arena::OutOfMemory;
use crate::entry::{Below, Entry, Extent, INLINE_VALUE_MAX, MAX_VALUE_LEN};
use crate::entry::{ValueRef, ValueWidth};
use crate::error::{Corruption, Error};
use crate::key::MAX_KEY_LEN;
use crate::options::{Compaction, Options};
use crate::partition::{Fill, Layers, Partition, Pinned, WriteError};
use crate::segment::{CodecChoice, Segment, SegmentBuilder, SegmentCursor};
use crate::stats::{MemoryUsage, Stats};
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Ordering};
use bumpalo::Bump;
use policy::{Pressure, Sizes, Target};
use slot::FoldSlot;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An untyped map: a partition, its options, and who folds it.
pub(crate) struct Core {
    partition: Partition,
    options: Options,
    /// Writes are refused.
    is_read_only: bool,
    /// Held by whoever folds; one fold at a time.
    slot: FoldSlot,
    /// A fold has been asked of the worker and has not begun.
    is_queued: AtomicBool,
    /// Number of the last delta whose age is being watched, plus one.
    watched: AtomicU64,
    /// Handles to the map. A fold for a map without handles is given up.
    handles: AtomicUsize,
    folds: AtomicU64,
    failed_folds: AtomicU64,
    /// After a fold that met damage, which does not heal: smaller deltas do not try again.
    retry_bytes: AtomicUsize,
    entries_encoded: AtomicU64,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Writes the next key and value into the buffers, if there is one.
pub(crate) type NextEntry<'a> =
    &'a mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>) -> Result<bool, OutOfMemory>;

/// What a fold that was asked for did.
enum Folded {
    /// There was nothing to fold.
    Nothing,
    /// A segment was published.
    Published,
    /// The map was cleared or dropped meanwhile.
    GivenUp,
}

impl Core {
    /// An empty map. Allocates nothing beside itself, and starts nothing.
    pub(crate) fn new(width: ValueWidth, options: Options) -> Self {
        Self {
            partition: Partition::new(width),
            options,
            is_read_only: false,
            slot: FoldSlot::new(),
            is_queued: AtomicBool::new(false),
            watched: AtomicU64::new(0),
            handles: AtomicUsize::new(0),
            folds: AtomicU64::new(0),
            failed_folds: AtomicU64::new(0),
            retry_bytes: AtomicUsize::new(0),
            entries_encoded: AtomicU64::new(0),
        }
    }

    /// A map with these layers, which may be one that is never written.
    pub(crate) fn opened(
        width: ValueWidth,
        options: Options,
        layers: Option<Layers>,
        is_read_only: bool,
    ) -> Self {
        let core = Self { is_read_only, ..Self::new(width, options) };
        if let Some(layers) = layers {
            assert!(core.partition.adopt(layers).is_ok(), "a new partition is empty");
        }
        core
    }

    /// One more handle refers to the map.
    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// One handle less: after the last, a fold in progress stops soon.
    pub(crate) fn drop_handle(&self) {
        self.handles.fetch_sub(1, Ordering::Relaxed);
    }

    /// Calls `f`, which is code of this crate and may run under the read lock, with the value of
    /// `key`.
    #[inline]
    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        f: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, Corruption> {
        if key.len() > MAX_KEY_LEN {
            return Ok(None);
        }
        self.partition.get(key, f)
    }

    /// Whether `key` has a value.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, Corruption> {
        Ok(self.get(key, |_| ())?.is_some())
    }

    /// A consistent view, at O(1) cost.
    pub(crate) fn pin(&self) -> Pinned {
        self.partition.pin()
    }

    /// Sets the value of `key`.
    pub(crate) fn put(core: &Arc<Self>, key: &[u8], value: &[u8]) -> Result<(), Error> {
        Self::insert(core, key, value, |_| ()).map(|_| ())
    }

    /// Sets the value of `key`; `old` is called, under the lock, with the one it had (again, if
    /// the write had to be tried again).
    pub(crate) fn insert<R>(
        core: &Arc<Self>,
        key: &[u8],
        value: &[u8],
        mut old: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        if key.len() > MAX_KEY_LEN {
            return Err(Error::KeyTooLong { len: key.len() });
        }
        if value.len() > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len: value.len() });
        }
        let mut replaced = None;
        Self::retrying(core, |partition, attention| {
            replaced = None;
            partition.put(key, value, attention, |bytes| replaced = Some(old(bytes)))
        })?;
        Ok(replaced)
    }

    /// Removes `key`.
    pub(crate) fn delete(core: &Arc<Self>, key: &[u8]) -> Result<(), Error> {
        Self::remove(core, key, |_| ()).map(|_| ())
    }

    /// Removes `key`; `old` is called, under the lock, with the value it had (again, if the write
    /// had to be tried again).
    pub(crate) fn remove<R>(
        core: &Arc<Self>,
        key: &[u8],
        mut old: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        if key.len() > MAX_KEY_LEN {
            return Ok(None);
        }
        let mut removed = None;
        Self::retrying(core, |partition, attention| {
            removed = None;
            partition.remove(key, attention, |bytes| removed = Some(old(bytes)))
        })?;
        Ok(removed)
    }

    /// Makes a write; if the delta takes no more, folds it and tries once more.
    #[inline]
    fn retrying(
        core: &Arc<Self>,
        mut write: impl FnMut(&Partition, usize) -> Result<Option<Fill>, WriteError>,
    ) -> Result<(), Error> {
        if core.is_read_only {
            return Err(Error::ReadOnly);
        }
        let attention = core.attention_bytes();
        let outcome = match write(&core.partition, attention) {
            Err(WriteError::DeltaFull) => {
                core.make_room()?;
                write(&core.partition, attention)
            }
            outcome => outcome,
        };
        match outcome {
            Ok(fill) => {
                if let Some(fill) = fill {
                    Self::react(core, fill);
                }
                Ok(())
            }
            Err(WriteError::DeltaFull) => Err(Error::DeltaFull),
            Err(WriteError::OutOfMemory) => Err(Error::OutOfMemory),
            Err(WriteError::Corrupted(corruption)) => Err(corruption.into()),
        }
    }

    /// Freezes a delta that takes no more writes; folds the one frozen before it, if there is one.
    #[cold]
    fn make_room(&self) -> Result<(), Error> {
        if self.partition.has_frozen() {
            let _held = self.slot.acquire();
            self.run(None)?;
        }
        self.partition.freeze();
        Ok(())
    }

    /// Deltas of fewer bytes need no thought after a write.
    #[inline]
    fn attention_bytes(&self) -> usize {
        match self.options.compaction {
            Compaction::Manual => usize::MAX,
            Compaction::Inline => self.options.delta_floor_bytes,
            Compaction::Background => self.options.delta_floor_bytes.min(policy::MIN_AGED_BYTES),
        }
    }

    /// Does what a write's outcome calls for: asks the worker, folds, or nothing.
    #[cold]
    fn react(core: &Arc<Self>, fill: Fill) {
        if fill.bytes.max(fill.kept_for_pins) < core.retry_bytes.load(Ordering::Relaxed) {
            return;
        }
        let pressure = policy::pressure(fill, &core.options);
        match (core.options.compaction, pressure) {
            (Compaction::Manual, _) | (Compaction::Inline, Pressure::None) => {}
            (Compaction::Inline, _) | (Compaction::Background, Pressure::Overdue) => {
                // A failure is counted, and the write itself has succeeded.
                let _held = core.slot.acquire();
                let _ = core.fold_if(|fill| policy::pressure(fill, &core.options) >= pressure);
            }
            (Compaction::Background, Pressure::Due) => {
                if !core.is_queued.swap(true, Ordering::AcqRel) && !worker::fold_soon(core) {
                    core.is_queued.store(false, Ordering::Release);
                }
            }
            (Compaction::Background, Pressure::None) if fill.bytes < policy::MIN_AGED_BYTES => {}
            (Compaction::Background, Pressure::None) => {
                let watched = core.watched.swap(fill.serial + 1, Ordering::AcqRel);
                if watched != fill.serial + 1
                    && let Some(age) = core.options.delta_max_age
                    && !worker::fold_when_aged(core, fill.serial, age)
                {
                    core.unwatch(fill.serial);
                }
            }
        }
    }

    /// The worker's part: folds while a fold is due.
    fn fold_due(&self) {
        self.is_queued.store(false, Ordering::Release);
        self.fold_twice_if(|fill| policy::pressure(fill, &self.options) >= Pressure::Due);
    }

    /// The worker's part: folds the delta with this number, if it is still there.
    fn fold_aged(&self, serial: u64) {
        // If the delta stays, being too small now, its next growth is watched again.
        self.unwatch(serial);
        self.fold_twice_if(|fill| fill.serial == serial && fill.bytes >= policy::MIN_AGED_BYTES);
    }

    /// Forgets that the age of the delta with this number is being watched.
    fn unwatch(&self, serial: u64) {
        let watched = &self.watched;
        let _ = watched.compare_exchange(serial + 1, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Folds what was frozen before, and the delta if `is_due`.
    fn fold_twice_if(&self, is_due: impl Fn(Fill) -> bool) {
        let _held = self.slot.acquire();
        for _ in 0..2 {
            if !matches!(self.fold_if(&is_due), Ok(Folded::Published)) {
                break;
            }
        }
    }

    /// Folds one frozen delta if there is one or `is_due`. The slot is held.
    fn fold_if(&self, is_due: impl Fn(Fill) -> bool) -> Result<Folded, Error> {
        if self.partition.has_frozen() || is_due(self.partition.fill()) {
            self.partition.freeze();
            self.run(None)
        } else {
            Ok(Folded::Nothing)
        }
    }

    /// Folds all that there is at the time of the call into one base.
    pub(crate) fn compact(&self) -> Result<(), Error> {
        let _held = self.slot.acquire();
        // What was frozen before comes first; the second round takes the delta.
        for _ in 0..2 {
            let frozen_before = self.partition.has_frozen();
            self.partition.freeze();
            self.run(Some(Target::Base))?;
            if !frozen_before {
                break;
            }
        }
        Ok(())
    }

    /// Runs a fold into `target`, or where the policy says, turning a panic into an error and
    /// counting folds and failures. The slot is held.
    fn run(&self, target: Option<Target>) -> Result<Folded, Error> {
        // A fold changes nothing but by `publish`, its last step, so that a panic leaves no
        // half-made state behind.
        let fold = AssertUnwindSafe(|| self.fold_frozen(target));
        let outcome = catch_unwind(fold).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Error::FoldFailed { reason: text.unwrap_or_else(|| "it panicked".to_owned()) })
        });
        match &outcome {
            Ok(Folded::Published) => {
                self.folds.fetch_add(1, Ordering::Relaxed);
                self.retry_bytes.store(0, Ordering::Relaxed);
            }
            Ok(Folded::Nothing | Folded::GivenUp) => {}
            Err(error) => {
                self.failed_folds.fetch_add(1, Ordering::Relaxed);
                if matches!(error, Error::Corrupted(_)) {
                    let fill = self.partition.fill();
                    let size = fill.bytes.max(fill.kept_for_pins);
                    let size = size.max(self.options.delta_floor_bytes);
                    self.retry_bytes.store(size.saturating_mul(2), Ordering::Relaxed);
                }
            }
        }
        outcome
    }

    /// Folds the layers as they are. The slot is held.
    fn fold_frozen(&self, target: Option<Target>) -> Result<Folded, Error> {
        let Some(layers) = self.partition.layers() else { return Ok(Folded::Nothing) };
        let is_base_only = layers.frozen.is_none() && layers.overlay.is_none();
        if is_base_only || layers.frozen.is_none() && target.is_none() {
            return Ok(Folded::Nothing);
        }
        let len = |segment: &Option<Arc<Segment>>| segment.as_ref().map_or(0, |s| s.len());
        let sizes = Sizes {
            frozen: layers.frozen.as_ref().map_or(0, |frozen| frozen.tree.len()),
            overlay: len(&layers.overlay),
            base: len(&layers.base),
        };
        let target = target.unwrap_or_else(|| policy::target(sizes, &self.options));
        let go_on = || self.handles.load(Ordering::Relaxed) > 0;
        let Some((folded, written)) = fold::fold(&layers, target, self.partition.width(), go_on)?
        else {
            return Ok(Folded::GivenUp);
        };
        self.entries_encoded.fetch_add(written, Ordering::Relaxed);
        let published = self.partition.publish(&layers, folded);
        Ok(if published { Folded::Published } else { Folded::GivenUp })
    }

    /// Adds entries that come in ascending order; see `MemKV::extend_sorted`. On an error nothing
    /// has been added. No lock is held while `fill` runs.
    pub(crate) fn extend_sorted(core: &Arc<Self>, fill: NextEntry<'_>) -> Result<u64, Error> {
        if core.is_read_only {
            return Err(Error::ReadOnly);
        }
        let bump = Bump::new();
        let width = core.partition.width();
        let mut builder = SegmentBuilder::new(width, &bump, CodecChoice::Automatic)?;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        while fill(&mut key, &mut value)? {
            if value.len() > MAX_VALUE_LEN {
                return Err(Error::ValueTooLong { len: value.len() });
            }
            if width == ValueWidth::Bytes && value.len() > INLINE_VALUE_MAX {
                let extent = Extent::copy_of(&value)?;
                builder.push(&key, Entry::value(ValueRef::extent(&extent), Below::Absent))?;
            } else {
                builder.push(&key, Entry::value(ValueRef::Inline(&value), Below::Absent))?;
            }
        }
        let count = builder.len();
        if count == 0 {
            return Ok(0);
        }
        let segment = Arc::new(builder.finish()?);
        drop(bump);
        core.entries_encoded.fetch_add(count, Ordering::Relaxed);
        let layers = Layers { base: Some(Arc::clone(&segment)), live: count, ..Layers::default() };
        if core.partition.adopt(layers).is_err() {
            Self::put_all(core, segment)?;
        }
        Ok(count)
    }

    /// Writes the entries of a segment one by one.
    fn put_all(core: &Arc<Self>, segment: Arc<Segment>) -> Result<(), Error> {
        use crate::cursor::Cursor;
        let mut cursor = SegmentCursor::new(segment);
        cursor.first();
        while cursor.valid() {
            Self::put(core, cursor.key(), cursor.entry().value.as_slice())?;
            cursor.next();
        }
        Ok(cursor.status()?)
    }

    /// Removes everything.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        if self.is_read_only {
            return Err(Error::ReadOnly);
        }
        self.partition.clear();
        self.retry_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// All live entries as of now in one base: the one that is there, if nothing is above it, or a
    /// new one that nobody else knows. `None` if there are none.
    pub(crate) fn gather(&self) -> Result<Option<Arc<Segment>>, Error> {
        fold::gather(&self.partition.pin(), self.partition.width())
    }

    /// Number of live keys.
    pub(crate) fn len(&self) -> u64 {
        self.partition.len()
    }

    /// Heap bytes by part.
    pub(crate) fn memory_usage(&self) -> MemoryUsage {
        const COUNTS: usize = 2 * size_of::<usize>();
        let mut usage = self.partition.memory_usage();
        usage.overhead += COUNTS + size_of::<Self>();
        usage
    }

    /// The map in numbers.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            folds: self.folds.load(Ordering::Relaxed),
            failed_folds: self.failed_folds.load(Ordering::Relaxed),
            entries_encoded: self.entries_encoded.load(Ordering::Relaxed),
            ..self.partition.stats()
        }
    }

    /// How the map is set up.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Freezes the delta, so that tests can look at a map with one.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn freeze(&self) {
        self.partition.freeze();
    }

    /// Runs one fold of what is frozen, where the policy says.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn fold_step(&self) -> Result<(), Error> {
        let _held = self.slot.acquire();
        self.run(None).map(|_| ())
    }

    /// Checks what must hold in the map.
    ///
    /// # Panics
    /// If something does not.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn check(&self) {
        // A fold that publishes meanwhile would be seen half in one state, half in the next.
        let _held = self.slot.acquire();
        crate::partition::check::check(&self.partition);
    }
}
