//! Folds of several partitions at once.

use super::{Core, Job, Target, fold};
use crate::error::Error;
use crate::partition::Partition;
use crate::sync::{join_scoped, spawn_scoped};
use std::thread;

impl Core {
    /// Folds the partitions that there are now into bases, on so many threads besides this one, at
    /// least one. What comes to a partition meanwhile stays in its delta.
    ///
    /// The slot is held by this thread alone. The others make what nobody sees, and it is published
    /// here, in the order of keys, as if it had been made one after the other.
    pub(super) fn compact_abreast(&self, threads: usize) -> Result<(), Error> {
        for group in self.partitions().chunks(threads + 1) {
            let _held = self.slot.acquire();
            let mut jobs: Vec<(&Partition, Job)> = Vec::new();
            for partition in group {
                partition.freeze(self.shared());
                jobs.extend(self.job(partition, Some(Target::Base)).map(|job| (&**partition, job)));
            }
            let made = self.work_abreast(&jobs);
            for ((partition, job), made) in jobs.iter().zip(made) {
                self.end(partition, job, made)?;
            }
        }
        Ok(())
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
