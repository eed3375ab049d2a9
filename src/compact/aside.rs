//! A writer's fold beside the worker's.
//!
//! A writer that is far ahead of the worker folds a delta by itself. While it waited for the worker's
//! fold to end, and that one for its, neither would be done sooner than by one thread: so both fold at
//! once, each another partition. Everybody else who folds holds both slots.

use super::slot::{FoldSlot, Held};
use super::{Core, Folded, address};
use crate::partition::Partition;
use crate::sync::{Mutex, Ordering};

/// Who folds beside somebody else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    /// The worker. A writer may be at it too.
    Worker,
    /// A writer, who holds the slot for that.
    Writer,
}

/// What there is of a map with several partitions for folds beside others.
pub(super) struct Aside {
    /// Held by a writer that folds beside the worker, and by whoever wants no fold beside its own.
    slot: FoldSlot,
    at_work: Mutex<Claims>,
}

/// What worker and writer are at: addresses of partitions, or zero.
#[derive(Clone, Copy, Default)]
struct Claims {
    worker: usize,
    writer: usize,
}

/// The right to fold a partition, until dropped.
pub(super) struct Claim<'a> {
    aside: &'a Aside,
    folder: Folder,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        *self.aside.at_work.lock().of(self.folder) = 0;
    }
}

impl Claims {
    fn of(&mut self, folder: Folder) -> &mut usize {
        match folder {
            Folder::Worker => &mut self.worker,
            Folder::Writer => &mut self.writer,
        }
    }
}

impl Aside {
    /// Nobody is at work.
    pub(super) fn new() -> Self {
        Self { slot: FoldSlot::new(), at_work: Mutex::new(Claims::default()) }
    }

    /// What the other one is at; zero if it is not at work.
    fn claimed_beside(&self, folder: Folder) -> usize {
        self.other(*self.at_work.lock(), folder)
    }

    /// The same, of claims that are locked: a writer has the slot before it claims, until it has given back.
    fn other(&self, claims: Claims, folder: Folder) -> usize {
        match folder {
            // In a forked child, the parent's writer has left its claim.
            Folder::Worker if self.slot.is_held() => claims.writer,
            Folder::Worker => 0,
            Folder::Writer => claims.worker,
        }
    }

    /// Takes the right to fold a partition, unless the other one has it.
    fn claim(&self, partition: &Partition, folder: Folder) -> Option<Claim<'_>> {
        let mut claims = self.at_work.lock();
        if self.other(*claims, folder) == address(partition) {
            return None;
        }
        *claims.of(folder) = address(partition);
        Some(Claim { aside: self, folder })
    }
}

impl Core {
    fn aside(&self) -> Option<&Aside> {
        self.many.get().map(|many| &many.aside)
    }

    /// Waits until nobody folds, and takes both slots, if there are two.
    pub(super) fn acquire_slots(&self) -> (Held<'_>, Option<Held<'_>>) {
        let held = self.slot.acquire();
        let Some(aside) = self.aside() else { return (held, None) };
        // Who holds this one never waits for the other.
        let all = (held, Some(aside.slot.acquire()));
        // In a forked child, those of the parent are left.
        *aside.at_work.lock() = Claims::default();
        all
    }

    /// What a writer is at that folds aside, or zero.
    pub(super) fn folded_aside(&self) -> usize {
        self.aside().map_or(0, |aside| aside.claimed_beside(Folder::Worker))
    }

    /// Folds the delta that the policy chooses among those that nobody is at, if no other writer does so.
    /// Whether there was one: else what is far over its budget is what somebody is at, and that is to be
    /// waited for.
    pub(super) fn fold_aside(&self) -> bool {
        let Some(aside) = self.aside().filter(|_| self.options.threads == 0) else { return false };
        let Some(_held) = aside.slot.try_acquire() else { return false };
        let worker = aside.claimed_beside(Folder::Writer);
        let is_free =
            |partition: &Partition| address(partition) != worker && !partition.has_frozen();
        let (chosen, due) = self.choose(1, &is_free);
        let Some(partition) = chosen.first().filter(|_| due > 0) else { return false };
        let Some(_claim) = aside.claim(partition, Folder::Writer) else { return false };
        // A failure is counted.
        let _ = self.fold_one(partition);
        true
    }

    /// Folds what was chosen when a writer may fold aside. Whether that was of use.
    pub(super) fn fold_beside(&self, partition: &Partition) -> bool {
        let claim = self.aside().map(|aside| aside.claim(partition, Folder::Worker));
        // If a writer was faster, or has joined it with its neighbour, another one is to be chosen.
        let goes_on = || self.handles.load(Ordering::Relaxed) > 0;
        match claim {
            Some(None) => goes_on(),
            _ => match self.fold_one(partition) {
                Ok(Folded::Published) => true,
                Ok(Folded::Nothing | Folded::GivenUp) => partition.is_retired() && goes_on(),
                Err(_) => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::ValueWidth;
    use crate::options::{Compaction, Options};
    use crate::sync::{Arc, AtomicU64, thread};
    use crate::testing::keys::big_endian;
    use std::time::Duration;

    const KEYS: u64 = 4_000;

    /// A map of several partitions, all of it in bases.
    fn filled() -> Arc<Core> {
        let options = Options {
            compaction: Compaction::Background,
            partition_entries: 500,
            delta_floor_bytes: 4 << 10,
            ..Options::default()
        };
        let core = Arc::new(Core::new(ValueWidth::Fixed(8), options));
        core.add_handle();
        (0..KEYS).for_each(|n| Core::put(&core, &big_endian(n), &[1; 8]).expect("memory"));
        core.compact().expect("memory");
        assert!(core.stats().partitions > 3);
        core
    }

    #[test]
    fn a_writer_that_is_far_ahead_folds_beside_the_worker_what_that_is_not_at() {
        let core = filled();
        let held = core.slot.acquire();
        let folds = core.stats().folds;
        let partition = core.find(&big_endian(0));
        let aside = core.aside().expect("several partitions");
        let claim = aside.claim(&partition, Folder::Worker).expect("nobody else is there");
        let next = core.bound_behind(&big_endian(0)).expect("several partitions");
        // Nobody gives back the slot meanwhile.
        for key in (0..KEYS).step_by(2).map(big_endian).filter(|key| key[..] >= next[..]) {
            Core::put(&core, &key, &[2; 8]).expect("memory");
        }
        Core::put(&core, &big_endian(0), &[2; 8]).expect("memory");
        assert!(core.stats().folds > folds + 3);
        assert!(!partition.is_retired() && !partition.has_frozen());
        drop((claim, held));
        core.compact().expect("memory");
        for n in 0..KEYS {
            let key = big_endian(n);
            let value = core.get(&key, <[u8]>::to_vec).expect("sound");
            let is_new = n == 0 || n % 2 == 0 && key[..] >= next[..];
            assert_eq!(value, Some(vec![1 + u8::from(is_new); 8]));
        }
        core.check();
    }

    #[test]
    fn nobody_is_at_what_somebody_else_is_at() {
        let core = filled();
        let aside = core.aside().expect("several partitions");
        let all = core.acquire_slots();
        assert!(aside.slot.try_acquire().is_none());
        assert!(!core.fold_aside());
        drop(all);
        let held = aside.slot.try_acquire().expect("it is free");
        let (one, other) = (core.find(&big_endian(0)), core.find(&big_endian(KEYS)));
        let claim = aside.claim(&one, Folder::Writer).expect("nobody is there");
        assert!(aside.claim(&one, Folder::Worker).is_none());
        assert_eq!(core.folded_aside(), address(&one));
        assert!(core.fold_beside(&one), "to be chosen again");
        assert!(aside.claim(&other, Folder::Worker).is_some());
        drop(claim);
        assert!(aside.claim(&one, Folder::Worker).is_some());
        // As a forked child finds it.
        std::mem::forget(aside.claim(&one, Folder::Writer));
        drop(held);
        assert_eq!(core.folded_aside(), 0);
        assert!(aside.claim(&one, Folder::Worker).is_some());
        drop(core.acquire_slots());
        assert_eq!(aside.at_work.lock().writer, 0);
    }

    #[test]
    fn who_writes_to_what_the_worker_is_at_waits_for_it() {
        let core = filled();
        let held = core.slot.acquire();
        let partition = core.find(&big_endian(0));
        let aside = core.aside().expect("several partitions");
        let claim = aside.claim(&partition, Folder::Worker).expect("nobody else is there");
        let done = Arc::new(AtomicU64::new(0));
        let writer = thread::spawn({
            let (core, done) = (Arc::clone(&core), Arc::clone(&done));
            move || {
                hammer(&core, 20_000);
                done.store(1, Ordering::Release);
            }
        });
        std::thread::sleep(Duration::from_millis(500));
        let load = core.load();
        assert_eq!(done.load(Ordering::Acquire), 0, "it waits");
        assert!(load.bytes < 4 * core.options.delta_floor_bytes, "{load:?}");
        drop((claim, held));
        writer.join().expect("it has not failed");
        core.check();
    }

    #[test]
    fn what_is_frozen_already_is_folded_without_a_worker() {
        let core = filled();
        (0..KEYS).step_by(40).for_each(|n| {
            Core::put(&core, &big_endian(n), &[3; 8]).expect("memory");
        });
        // As if no thread could be started.
        core.queued.note();
        core.freeze();
        for _ in 0..10 {
            core.queued.note();
            hammer(&core, 2_000);
            let load = core.load();
            assert!(load.bytes < 4 * core.options.delta_floor_bytes, "{load:?}");
        }
        core.check();
    }

    /// Puts so many keys into the first partition.
    fn hammer(core: &Arc<Core>, keys: u64) {
        for n in 0..keys {
            let key = [big_endian(0), big_endian(n)].concat();
            Core::put(core, &key, &[4; 8]).expect("memory");
        }
    }
}
