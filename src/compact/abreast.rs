//! Folds of several partitions at once.

use super::{Core, Folded, Found, Job, Target, fold};
use crate::error::Error;
use crate::partition::Partition;
use crate::sync::{join_scoped, spawn_scoped};
use std::thread;

impl Core {
    /// Folds the partitions that there are now into bases, on so many threads besides this one, at
    /// least one. What comes to a partition meanwhile stays in its delta. Answers those of which
    /// nothing is left from before the call.
    ///
    /// The slot is held by this thread alone. The others make what nobody sees, and it is published
    /// here, in the order of keys, as if it had been made one after the other.
    pub(super) fn compact_abreast(&self, threads: usize) -> Result<Vec<Found<'_>>, Error> {
        let mut done = Vec::new();
        let mut partitions = self.partitions();
        while !partitions.is_empty() {
            let rest = partitions.split_off(partitions.len().min(threads.saturating_add(1)));
            let group = std::mem::replace(&mut partitions, rest);
            let _held = self.acquire_slots();
            let mut jobs: Vec<(&Partition, Job)> = Vec::new();
            let mut had_frozen = Vec::new();
            for partition in &group {
                had_frozen.push(partition.has_frozen());
                partition.freeze(self.shared());
                jobs.extend(self.job(partition, Some(Target::Base)).map(|job| (&**partition, job)));
            }
            let made = self.work_abreast(&jobs);
            for ((partition, job), made) in jobs.iter().zip(made) {
                self.end(partition, job, made)?;
            }
            drop(jobs);
            // Its layers are all folded, unless a delta was frozen before and another one is behind it.
            let is_done = |(partition, had_frozen): &(Found<'_>, bool)| {
                !had_frozen && self.job(partition, Some(Target::Base)).is_none()
            };
            done.extend(group.into_iter().zip(had_frozen).filter(is_done).map(|(own, _)| own));
        }
        Ok(done)
    }

    /// Folds the deltas of these partitions, each on a thread of its own; whether anything was folded.
    /// The slot is held.
    pub(super) fn fold_abreast(&self, partitions: &[&Partition]) -> bool {
        let had_frozen: Vec<bool> = partitions.iter().map(|p| p.has_frozen()).collect();
        let mut jobs = Vec::new();
        for &partition in partitions {
            partition.freeze(self.shared());
            jobs.extend(self.job(partition, None).map(|job| (partition, job)));
        }
        let mut is_any_folded = false;
        for ((partition, job), made) in jobs.iter().zip(self.work_abreast(&jobs)) {
            // A failure is counted, and its delta stays.
            is_any_folded |= matches!(self.end(partition, job, made), Ok(Folded::Published));
        }
        if is_any_folded {
            // What was frozen before has been folded: now what has come since.
            for (partition, _) in partitions.iter().zip(had_frozen).filter(|(_, had)| *had) {
                let _ = self.fold_one(partition);
            }
        }
        is_any_folded
    }

    /// Makes what each of these folds makes, the first one on this thread.
    fn work_abreast(&self, jobs: &[(&Partition, Job)]) -> Vec<Result<Option<fold::Folded>, Error>> {
        let Some((own, others)) = jobs.split_first() else { return Vec::new() };
        thread::scope(|scope| {
            let threads: Vec<_> =
                others.iter().map(|(_, job)| spawn_scoped(scope, || self.work(job))).collect();
            let mut made = vec![self.work(&own.1)];
            // If a thread could not be started, this one does its work too.
            made.extend(threads.into_iter().zip(others).map(|(thread, (_, job))| match thread {
                Ok(thread) => join_scoped(thread),
                Err(_) => self.work(job),
            }));
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::ValueWidth;
    use crate::options::{Compaction, Options};
    use crate::stats::Stats;
    use crate::sync::Arc;
    use crate::testing::keys::big_endian;

    /// A map of many partitions with something in each delta, and its numbers.
    fn filled() -> (Arc<Core>, Stats) {
        let compaction = Compaction::Manual;
        let options = Options { compaction, partition_entries: 50, ..Options::default() };
        let core = Arc::new(Core::new(ValueWidth::Fixed(8), options));
        core.add_handle();
        let put = |n| Core::put(&core, &big_endian(n), &[1; 8]).expect("memory");
        (0..1_000).for_each(put);
        core.compact().expect("memory");
        (0..1_000).step_by(10).for_each(put);
        let stats = core.stats();
        assert!(stats.partitions > 10, "{stats:?}");
        (core, stats)
    }

    #[test]
    fn deltas_that_are_due_together_are_folded_together() {
        let (core, before) = filled();
        let partitions = core.partitions();
        let every_third: Vec<&Partition> = partitions.iter().step_by(3).map(|p| &**p).collect();
        {
            let _held = core.acquire_slots();
            assert!(core.fold_abreast(&every_third));
            assert!(!core.fold_abreast(&every_third), "nothing has been written since");
        }
        let after = core.stats();
        assert_eq!(after.folds - before.folds, every_third.len() as u64);
        assert!(after.delta_entries < before.delta_entries && after.frozen_entries == 0);
        assert_eq!(after.entries, 1_000);
        core.check();
    }

    #[test]
    fn all_partitions_are_folded_in_groups_of_any_size() {
        for threads in [1, 2, 5, usize::MAX] {
            let (core, before) = filled();
            let done = core.compact_abreast(threads).expect("memory");
            let after = core.stats();
            assert_eq!(done.len(), before.partitions, "{threads} threads");
            assert_eq!((after.delta_entries, after.frozen_entries), (0, 0));
            assert_eq!(after.folds - before.folds, before.partitions as u64);
            assert_eq!(after.entries, 1_000);
            core.check();
        }
    }
}
