//! One untyped map: its partitions, and the folding of their deltas into segments.
//!
//! A map is one partition until it has grown; then it is a directory of them, which is replaced
//! when partitions are divided or joined.
//!
//! What holds here: progress. When the deltas are over their budget, one after the other is folded
//! by the worker, by the writer that finds it so, or by `compact`, whichever the options say; a
//! fold that fails or is cancelled leaves its input where reads find it, and the next one starts
//! from it again.

mod abreast;
mod aside;
mod batch;
mod bounds;
mod bulk;
mod choice;
mod divide;
mod fold;
mod fork;
mod load;
mod numbers;
mod pieces;
mod policy;
mod room;
mod slot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use bulk::Base;

use crate::blocks::Blocks;
use crate::directory::Directory;
use crate::entry::{MAX_VALUE_LEN, ValueWidth};
use crate::error::{Corruption, Error};
use crate::key::MAX_KEY_LEN;
use crate::options::{Compaction, Options};
use crate::partition::{Layers, Load, Partition, Pinned, Shared, WriteError, Writes};
use crate::range::{BoundKey, ByteRange};
use crate::segment::Segment;
use crate::snapshot::View;
use crate::stats::{MemoryUsage, Stats};
use crate::sync::forks::Busy;
use crate::sync::{
    Arc, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, RwLock, SetOnce, Striped, Weak,
};
use aside::Aside;
use policy::{Pressure, Sizes, Target};
use slot::FoldSlot;
use std::collections::VecDeque;
use std::fmt;
use std::ops::{Bound, Deref};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An untyped map: its partitions, its options, and who folds it.
pub(crate) struct Core {
    /// The whole map, until there are several partitions; retired from then on.
    first: Partition,
    /// The partitions, since there were several.
    many: SetOnce<Box<Many>>,
    /// Held by whoever makes a directory, and shared by whoever must not meet one in the making:
    /// who found a retired partition, and who makes a view of all.
    publishing: RwLock<()>,
    options: Options,
    /// The file that the map was opened from, as long as anything of it is in use.
    file: Option<Weak<Blocks>>,
    /// Writes are refused.
    is_read_only: bool,
    /// A fold has been asked of the worker and has not begun.
    queued: worker::Asked,
    /// The worker will look at the age of the deltas.
    watched: worker::Asked,
    /// Held by whoever folds; one fold at a time, but for that of a writer.
    slot: FoldSlot,
    /// Handles to the map. A fold for a map without handles is given up.
    handles: AtomicUsize,
    folds: AtomicU64,
    failed_folds: AtomicU32,
    entries_encoded: AtomicU64,
}

/// What there is of a map with several partitions.
struct Many {
    routes: Striped<Directory>,
    shared: Shared,
    /// Times that partitions were put in the place of others.
    exchanges: AtomicU64,
    /// What the last look at all of them chose to be folded next.
    waiting: Mutex<VecDeque<Arc<Partition>>>,
    /// For folds beside others.
    aside: Aside,
}

/// A partition that outlives the directory it was found in.
enum Found<'a> {
    First(&'a Partition),
    Shared(Arc<Partition>),
}

impl Deref for Found<'_> {
    type Target = Partition;

    fn deref(&self) -> &Partition {
        match self {
            Self::First(first) => first,
            Self::Shared(partition) => partition,
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// An end of the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    First,
    Last,
}

/// What a fold that was asked for did.
enum Folded {
    /// There was nothing to fold.
    Nothing,
    /// A segment was published.
    Published,
    /// The map was cleared or dropped meanwhile.
    GivenUp,
}

/// What a partition is known by.
fn address(partition: &Partition) -> usize {
    std::ptr::from_ref(partition).addr()
}

/// A fold to be made.
struct Job {
    layers: Arc<Layers>,
    target: Target,
}

/// What `step` answers, or that it panicked. A fold changes nothing but by its last step, so that a
/// panic leaves no half-made state behind.
fn or_panic<T>(step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::FoldFailed { reason: text.unwrap_or_else(|| "it panicked".to_owned()) })
    })
}

impl Core {
    /// An empty map. Allocates nothing beside itself, and starts nothing.
    pub(crate) fn new(width: ValueWidth, options: Options) -> Self {
        Self {
            first: Partition::new(width),
            many: SetOnce::new(),
            publishing: RwLock::new(()),
            options,
            file: None,
            is_read_only: false,
            queued: worker::Asked::new(),
            watched: worker::Asked::new(),
            slot: FoldSlot::new(),
            handles: AtomicUsize::new(0),
            folds: AtomicU64::new(0),
            failed_folds: AtomicU32::new(0),
            entries_encoded: AtomicU64::new(0),
        }
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
        f: impl FnOnce(&[u8]) -> R + Copy,
    ) -> Result<Option<R>, Corruption> {
        if key.len() > MAX_KEY_LEN {
            return Ok(None);
        }
        self.ask(key, |partition, _| partition.get(key, f))
    }

    /// Whether `key` has a value.
    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, Corruption> {
        Ok(self.get(key, |_| ())?.is_some())
    }

    /// Calls `f` with the partition of `key`, and again with its successor if it is retired, to
    /// which `f` answers `None`.
    #[inline]
    fn ask<R>(&self, key: &[u8], f: impl FnMut(&Partition, Option<&Shared>) -> Option<R>) -> R {
        self.ask_at(|directory| directory.position(key), f)
    }

    /// As [`ask`](Self::ask), the partition that stands where `at` says.
    #[inline]
    fn ask_at<R>(
        &self,
        at: impl Fn(&Directory) -> usize,
        mut f: impl FnMut(&Partition, Option<&Shared>) -> Option<R>,
    ) -> R {
        loop {
            // One call of `f`, so that it is compiled into this.
            let found = self.many.get().map(|many| (many.routes.read(), &many.shared));
            let (partition, shared) = match &found {
                None => (&self.first, None),
                Some((directory, shared)) => {
                    (&*directory.partitions()[at(directory)], Some(*shared))
                }
            };
            if let Some(answer) = f(partition, shared) {
                return answer;
            }
            drop(found);
            self.wait_for_successors();
        }
    }

    /// Waits until the successors of a partition that was found retired can be found.
    #[cold]
    fn wait_for_successors(&self) {
        drop(self.publishing.read());
    }

    /// A consistent view of the partition that has `key`, if any has it, at O(1) cost.
    pub(crate) fn pin(&self, key: &[u8]) -> Pinned {
        self.ask(key, |partition, _| partition.pin())
    }

    /// A consistent view of all that a walk over `range` may come to, at O(1) cost.
    pub(crate) fn view(&self, range: &ByteRange<BoundKey>) -> View {
        loop {
            let Some(many) = self.many.get() else {
                match self.first.pin() {
                    Some(pinned) => return View::One(pinned),
                    None => self.wait_for_successors(),
                }
                continue;
            };
            let directory = many.routes.read();
            let at = match &range.lower {
                Bound::Included(key) | Bound::Excluded(key) => directory.position(key.as_ref()),
                Bound::Unbounded => 0,
            };
            let end = match &range.upper {
                Bound::Included(key) | Bound::Excluded(key) => directory.position(key.as_ref()),
                Bound::Unbounded => directory.len() - 1,
            };
            let partition = (at >= end).then(|| Arc::clone(&directory.partitions()[at]));
            drop(directory);
            let Some(partition) = partition else {
                // No partition is divided between the two steps.
                let _unchanged = self.publishing.read();
                let directory = Arc::clone(&many.routes.read());
                return View::All(directory, many.shared.moment());
            };
            match partition.pin() {
                Some(pinned) => return View::One(pinned),
                None => self.wait_for_successors(),
            }
        }
    }

    /// A consistent view of the partition with the least keys, or the greatest.
    pub(crate) fn view_end(&self, end: End) -> View {
        let at = |directory: &Directory| match end {
            End::First => 0,
            End::Last => directory.len() - 1,
        };
        View::One(self.ask_at(at, |partition, _| partition.pin()))
    }

    /// A consistent view of the whole map.
    pub(crate) fn view_all(&self) -> View {
        self.view(&ByteRange::all())
    }

    /// What the partitions share, if there are several.
    fn shared(&self) -> Option<&Shared> {
        self.many.get().map(|many| &many.shared)
    }

    /// The partitions as they are now, in key order.
    fn partitions(&self) -> Vec<Found<'_>> {
        let Some(many) = self.many.get() else { return vec![Found::First(&self.first)] };
        let directory = Arc::clone(&many.routes.read());
        directory.partitions().iter().cloned().map(Found::Shared).collect()
    }

    /// How full all deltas are together.
    fn load(&self) -> Load {
        self.many.get().map_or_else(|| self.first.gauge().load(), |many| many.shared.load())
    }

    /// Sets the value of `key`.
    pub(crate) fn put(core: &Arc<Self>, key: &[u8], value: &[u8]) -> Result<(), Error> {
        Self::set(core, key, value, |_| ()).map(|_| ())
    }

    /// Sets the value of `key`; `old` is called, under the lock, with the one it had (again, if
    /// the write had to be tried again).
    pub(crate) fn insert<R>(
        core: &Arc<Self>,
        key: &[u8],
        value: &[u8],
        mut old: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        let old = Self::set(core, key, value, |bytes| bytes.map(&mut old))?;
        Ok(old.transpose()?)
    }

    /// The same; `old` is also told why a value cannot be read, which is replaced all the same.
    #[inline]
    fn set<R>(
        core: &Arc<Self>,
        key: &[u8],
        value: &[u8],
        mut old: impl FnMut(Result<&[u8], Corruption>) -> R,
    ) -> Result<Option<R>, Error> {
        if key.len() > MAX_KEY_LEN {
            return Err(Error::KeyTooLong { len: key.len() });
        }
        if value.len() > MAX_VALUE_LEN {
            return Err(Error::ValueTooLong { len: value.len() });
        }
        let mut replaced = None;
        Self::retrying(core, key, |partition, writes| {
            replaced = None;
            partition.put(writes, key, value, |bytes| replaced = Some(old(bytes)))
        })?;
        Ok(replaced)
    }

    /// Removes `key`.
    pub(crate) fn delete(core: &Arc<Self>, key: &[u8]) -> Result<(), Error> {
        Self::unset(core, key, |_| ()).map(|_| ())
    }

    /// Removes `key`; `old` is called, under the lock, with the value it had (again, if the write
    /// had to be tried again).
    pub(crate) fn remove<R>(
        core: &Arc<Self>,
        key: &[u8],
        mut old: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        let old = Self::unset(core, key, |bytes| bytes.map(&mut old))?;
        Ok(old.transpose()?)
    }

    /// The same; `old` is also told why a value cannot be read, which goes all the same.
    #[inline]
    fn unset<R>(
        core: &Arc<Self>,
        key: &[u8],
        mut old: impl FnMut(Result<&[u8], Corruption>) -> R,
    ) -> Result<Option<R>, Error> {
        if key.len() > MAX_KEY_LEN {
            return Ok(None);
        }
        let mut removed = None;
        Self::retrying(core, key, |partition, writes| {
            removed = None;
            partition.remove(writes, key, |bytes| removed = Some(old(bytes)))
        })?;
        Ok(removed)
    }

    /// Makes a write; if the delta takes no more, folds it and tries once more.
    #[inline]
    fn retrying(
        core: &Arc<Self>,
        key: &[u8],
        mut write: impl FnMut(&Partition, Writes<'_>) -> Result<Option<Load>, WriteError>,
    ) -> Result<(), Error> {
        if core.is_read_only {
            return Err(Error::ReadOnly);
        }
        let (grain, limit) = (policy::grain(&core.options), core.limit());
        let mut write = || {
            core.ask(key, |partition, shared| {
                match write(partition, Writes { shared, grain, limit }) {
                    Err(WriteError::Retired) => None,
                    outcome => Some(outcome),
                }
            })
        };
        let mut outcome = write();
        while outcome == Err(WriteError::OverLimit) && core.fold_for_room() {
            outcome = write();
        }
        if outcome == Err(WriteError::DeltaFull) {
            core.make_room(key)?;
            outcome = write();
        }
        match outcome {
            Ok(load) => {
                if let Some(load) = load {
                    Self::react(core, load);
                }
                Ok(())
            }
            Err(WriteError::DeltaFull | WriteError::Retired) => Err(Error::DeltaFull),
            Err(WriteError::OutOfMemory) => Err(Error::OutOfMemory),
            Err(WriteError::OverLimit) => Err(core.over_limit()),
            Err(WriteError::Corrupted(corruption)) => Err(corruption.into()),
        }
    }

    /// Freezes the delta that has `key` and takes no more writes; folds the one frozen before it,
    /// if there is one.
    #[cold]
    fn make_room(&self, key: &[u8]) -> Result<(), Error> {
        if self.find(key).has_frozen() {
            let _held = self.acquire_slots();
            self.run(&self.find(key), None)?;
        }
        self.find(key).freeze(self.shared());
        Ok(())
    }

    /// Does what a write's outcome calls for: asks the worker, folds, or nothing.
    #[cold]
    fn react(core: &Arc<Self>, load: Load) {
        let load = core.shared().map_or(load, Shared::load);
        let pressure = policy::pressure(load, &core.options);
        match (core.options.compaction, pressure) {
            (Compaction::Manual, _) | (Compaction::Inline, Pressure::None) => {}
            (Compaction::Background, Pressure::Overdue) if Self::fold_beside_worker(core) => {}
            (Compaction::Inline, _) | (Compaction::Background, Pressure::Overdue) => {
                let _held = core.acquire_slots();
                // Others may have folded while this one waited. A failure is counted, and the write
                // itself has succeeded.
                if policy::pressure(core.load(), &core.options) >= pressure {
                    core.fold_chosen();
                }
            }
            (Compaction::Background, Pressure::Due) => Self::ask_worker(core),
            (Compaction::Background, Pressure::None) => {
                if load.bytes >= policy::MIN_AGED_BYTES {
                    Self::watch(core);
                }
            }
        }
    }

    /// Has the worker fold, if it will not anyway.
    fn ask_worker(core: &Arc<Self>) {
        if core.queued.note() && !worker::fold_soon(core) {
            core.queued.forget();
        }
    }

    /// Folds a delta while the worker folds others; whether this is the one writer to do so.
    fn fold_beside_worker(core: &Arc<Self>) -> bool {
        Self::ask_worker(core);
        core.fold_aside()
    }

    /// Has the worker look at the age of the deltas, if it will not anyway.
    fn watch(core: &Arc<Self>) {
        let Some(age) = core.options.delta_max_age else { return };
        if core.watched.note() && !worker::sweep_after(core, age / policy::SWEEPS) {
            core.watched.forget();
        }
    }

    /// The worker's part: folds while a fold is due.
    fn fold_due(&self, mut busy: Busy) -> Busy {
        self.queued.forget();
        loop {
            // Taken for each fold, so that a writer that is far ahead gets its turn.
            let held = self.slot.acquire();
            if policy::pressure(self.load(), &self.options) < Pressure::Due || !self.fold_chosen() {
                return busy;
            }
            drop(held);
            busy = busy.pause();
        }
    }

    /// The worker's part: folds the deltas that it has come by often enough.
    fn sweep(core: &Arc<Self>, mut busy: Busy) -> Busy {
        core.watched.forget();
        let mut is_any_left = false;
        for partition in core.partitions() {
            let gauge = partition.gauge();
            if !choice::is_worth_a_try(&partition) || gauge.load().bytes < policy::MIN_AGED_BYTES {
                // If it stays, being too small now, its next growth is watched again.
                continue;
            }
            if gauge.sweeps.fetch_add(1, Ordering::Relaxed) + 1 < policy::SWEEPS {
                is_any_left = true;
                continue;
            }
            let held = core.acquire_slots();
            let _ = core.fold_one(&partition);
            drop(held);
            busy = busy.pause();
        }
        if is_any_left {
            Self::watch(core);
        }
        busy
    }

    /// Folds a delta, after the one frozen before it, if there is one. The slot is held.
    fn fold_one(&self, partition: &Partition) -> Result<Folded, Error> {
        let frozen_before = partition.has_frozen();
        partition.freeze(self.shared());
        let mut folded = self.run(partition, None)?;
        if frozen_before && matches!(folded, Folded::Published) {
            // If this has replaced the partition, there is nothing to freeze.
            partition.freeze(self.shared());
            if partition.has_frozen() {
                folded = self.run(partition, None)?;
            }
        }
        Ok(folded)
    }

    /// Folds all that there is at the time of the call into bases, and writes those anew that were
    /// made for another profile.
    pub(crate) fn compact(&self) -> Result<(), Error> {
        let mut done = match self.options.threads {
            0 => Vec::new(),
            threads => self.compact_abreast(threads as usize)?,
        };
        done.sort_by_key(|partition| address(partition));
        let mut from: Box<[u8]> = Box::default();
        loop {
            // The partition is looked up when nobody else can put another in its place by a fold.
            let _held = self.acquire_slots();
            let partition = self.find(&from);
            let is_done = done.binary_search_by_key(&address(&partition), |done| address(done));
            // What is in the delta of one that is done has come since the call.
            if is_done.is_err() {
                let had_frozen = partition.has_frozen();
                partition.freeze(self.shared());
                self.run(&partition, Some(Target::Base))?;
                // That was what was frozen before, or it has been joined with a neighbour who has
                // something to be folded: now the rest, which may have gone to successors.
                let is_left = had_frozen || partition.is_retired();
                if is_left && self.has_work(&self.find(&from)) {
                    continue;
                }
            }
            match self.bound_behind(&from) {
                Some(bound) => from = bound,
                None => return Ok(()),
            }
        }
    }

    /// The partition that has `key`, if any has it.
    fn find(&self, key: &[u8]) -> Found<'_> {
        match self.many.get() {
            None => Found::First(&self.first),
            Some(many) => Found::Shared(Arc::clone(many.routes.read().partition(key))),
        }
    }

    /// The bound of the partition behind the one that has `key`.
    fn bound_behind(&self, key: &[u8]) -> Option<Box<[u8]>> {
        let directory = Arc::clone(&self.many.get()?.routes.read());
        let next = directory.position(key) + 1;
        (next < directory.len()).then(|| directory.bound(next).into())
    }

    /// Runs a fold into `target`, or where the policy says, turning a panic into an error and
    /// counting folds and failures. The slot is held.
    fn run(&self, partition: &Partition, target: Option<Target>) -> Result<Folded, Error> {
        let Some(job) = self.job(partition, target) else { return Ok(Folded::Nothing) };
        self.end(partition, &job, self.work(&job))
    }

    /// The fold of a partition's layers as they are, if there is something to fold. The slot is held,
    /// from now on until it has ended.
    fn job(&self, partition: &Partition, target: Option<Target>) -> Option<Job> {
        let layers = partition.layers()?;
        let is_to_be_rewritten = target == Some(Target::Base) && self.is_to_be_rewritten(&layers);
        if layers.is_base_only() && !is_to_be_rewritten
            || layers.frozen.is_none() && target.is_none()
        {
            return None;
        }
        let len = |segment: Option<&Arc<Segment>>| segment.map_or(0, |segment| segment.len());
        let sizes = Sizes {
            frozen: layers.frozen.as_ref().map_or(0, |frozen| frozen.tree.len()),
            overlay: len(layers.overlay()),
            base: len(layers.base.as_ref()),
        };
        let is_copied = || fold::is_copied(&layers, &self.options);
        let target = target.unwrap_or_else(|| policy::target(sizes, is_copied(), &self.options));
        Some(Job { layers, target })
    }

    /// Whether the base was made for another profile, and would not take from a limited memory what it
    /// takes from a file.
    fn is_to_be_rewritten(&self, layers: &Layers) -> bool {
        let Some(base) = &layers.base else { return false };
        let is_free = self.options.memory_limit_bytes.is_none() || base.stored_bytes() == 0;
        !self.is_read_only && is_free && !policy::suits(base, &self.options)
    }

    /// Whether a compaction finds something to do here.
    fn has_work(&self, partition: &Partition) -> bool {
        partition.pin().is_some_and(|pinned| !pinned.is_base_only())
            || self.job(partition, Some(Target::Base)).is_some()
    }

    /// Makes what a fold makes, without anybody noticing; `None` if it was given up.
    fn work(&self, job: &Job) -> Result<Option<fold::Folded>, Error> {
        let go_on = || self.handles.load(Ordering::Relaxed) > 0;
        let Job { layers, target } = job;
        or_panic(|| fold::fold(layers, *target, self.width(), &self.options, &go_on))
    }

    /// Publishes what a fold has made, and counts it, or its failure.
    fn end(
        &self,
        partition: &Partition,
        job: &Job,
        made: Result<Option<fold::Folded>, Error>,
    ) -> Result<Folded, Error> {
        let outcome = made.and_then(|made| match made {
            Some(folded) => or_panic(|| self.publish(partition, job, folded)),
            None => Ok(Folded::GivenUp),
        });
        match &outcome {
            Ok(Folded::Published) => {
                self.folds.fetch_add(1, Ordering::Relaxed);
                partition.gauge().retry_kib.store(0, Ordering::Relaxed);
            }
            Ok(Folded::Nothing | Folded::GivenUp) => {}
            Err(error) => {
                self.failed_folds.fetch_add(1, Ordering::Relaxed);
                let size = partition.gauge().load().bytes.max(self.options.delta_floor_bytes);
                // Damage does not heal.
                let is_damage = matches!(error, Error::Corrupted(_));
                let more = if is_damage { size } else { size / 4 };
                let kib = u32::try_from(size.saturating_add(more) >> 10).unwrap_or(u32::MAX);
                partition.gauge().retry_kib.store(kib, Ordering::Relaxed);
            }
        }
        outcome
    }

    /// Puts what a fold has made in the place of what it read.
    fn publish(
        &self,
        partition: &Partition,
        job: &Job,
        folded: fold::Folded,
    ) -> Result<Folded, Error> {
        let Job { layers, target } = job;
        let fold::Folded { mut pieces, encoded } = folded;
        self.entries_encoded.fetch_add(encoded, Ordering::Relaxed);
        let is_published = if pieces.len() > 1 {
            self.replace(&[(partition, Some(layers))], &pieces)?
        } else {
            let folded = pieces.pop().map(|piece| piece.layers).unwrap_or_default();
            let is_small = *target == Target::Base && policy::is_small(folded.live, &self.options);
            let is_published = partition.publish(self.shared(), layers, folded);
            if is_published && is_small {
                // If this fails, it is tried again after the next fold; this one has succeeded.
                let _ = catch_unwind(AssertUnwindSafe(|| self.join(partition)));
            }
            is_published
        };
        Ok(if is_published { Folded::Published } else { Folded::GivenUp })
    }

    /// Number of live keys.
    ///
    /// Between two partitions that it counts one after the other, keys may come and go.
    pub(crate) fn len(&self) -> u64 {
        loop {
            if let Some(many) = self.many.get() {
                let _unchanged = self.publishing.read();
                let directory = Arc::clone(&many.routes.read());
                return directory.partitions().iter().filter_map(|partition| partition.len()).sum();
            }
            match self.first.len() {
                Some(len) => return len,
                None => self.wait_for_successors(),
            }
        }
    }

    /// Whether there is no live key.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap bytes by part.
    pub(crate) fn memory_usage(&self) -> MemoryUsage {
        const COUNTS: usize = 2 * size_of::<usize>();
        let mut usage = MemoryUsage::default();
        let mut counted = None;
        // A partition that is retired after it was found has nothing left to count.
        let unchanged = self.publishing.read();
        for partition in self.partitions() {
            partition.add_usage(&mut usage, &mut counted);
        }
        drop(unchanged);
        usage.overhead += COUNTS + size_of::<Self>();
        if let Some(many) = self.many.get() {
            let directory = many.routes.read().heap_bytes();
            usage.overhead += size_of::<Many>() + many.routes.heap_bytes() + directory;
        }
        usage
    }

    /// The map in numbers.
    pub(crate) fn stats(&self) -> Stats {
        let _unchanged = self.publishing.read();
        let partitions = self.partitions();
        let mut stats = Stats {
            partitions: partitions.len(),
            folds: self.folds.load(Ordering::Relaxed),
            failed_folds: self.failed_folds.load(Ordering::Relaxed).into(),
            exchanges: self.many.get().map_or(0, |many| many.exchanges.load(Ordering::Relaxed)),
            entries_encoded: self.entries_encoded.load(Ordering::Relaxed),
            ..Stats::default()
        };
        for partition in partitions {
            partition.add_stats(&mut stats);
        }
        stats
    }

    /// How the map is set up.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Freezes the deltas, so that tests can look at a map with some.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn freeze(&self) {
        for partition in self.partitions() {
            partition.freeze(self.shared());
        }
    }

    /// Runs one fold of all that is frozen, where the policy says.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn fold_step(&self) -> Result<(), Error> {
        for partition in self.partitions() {
            let _held = self.acquire_slots();
            self.run(&partition, None)?;
        }
        Ok(())
    }

    /// Checks what must hold in the map.
    ///
    /// # Panics
    /// If something does not.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn check(&self) {
        // A fold that publishes meanwhile would be seen half in one state, half in the next.
        let _held = self.acquire_slots();
        let Some(many) = self.many.get() else {
            crate::partition::check::check(&self.first, &[], None);
            return;
        };
        let directory = Arc::clone(&many.routes.read());
        let gauges = directory.partitions().iter().map(|partition| partition.gauge().load());
        let sum = gauges.fold(Load::default(), |sum, load| Load {
            bytes: sum.bytes + load.bytes,
            kept: sum.kept + load.kept,
            entries: sum.entries + load.entries,
            live: sum.live + load.live,
            held: sum.held + load.held,
        });
        assert_eq!(sum, many.shared.load(), "the sums are those of all partitions");
        for (at, partition) in directory.partitions().iter().enumerate() {
            let end = (at + 1 < directory.len()).then(|| directory.bound(at + 1));
            crate::partition::check::check(partition, directory.bound(at), end);
        }
    }
}
