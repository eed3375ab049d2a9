//! Keeping a map below its memory limit: what counts, and folds that make room.

use super::{Core, Target, policy};
use crate::error::Error;
use crate::options::Compaction;
use crate::partition::{Partition, Room};
use crate::sync::Weak;
use std::num::NonZeroUsize;

impl Core {
    /// Bytes that all partitions may hold: the limit, less what an opened file has in memory.
    #[inline]
    pub(super) fn limit(&self) -> Option<usize> {
        let limit = self.options.memory_limit_bytes?.get();
        Some(limit.saturating_sub(self.file_bytes()))
    }

    fn file_bytes(&self) -> usize {
        self.file.as_ref().and_then(Weak::upgrade).map_or(0, |file| file.heap_bytes())
    }

    /// Why a write is refused that needs more than is left.
    #[cold]
    pub(super) fn over_limit(&self) -> Error {
        let limit_bytes = self.options.memory_limit_bytes.map_or(usize::MAX, NonZeroUsize::get);
        Error::MemoryLimit { limit_bytes, held_bytes: self.load().held + self.file_bytes() }
    }

    /// Folds the partition in which that wins most, so that a write that was refused can be tried
    /// again. Answers whether that makes sense.
    #[cold]
    pub(super) fn fold_for_room(&self) -> bool {
        // A look beforehand, so that a write that has to be refused does not wait for a fold.
        if self.options.compaction == Compaction::Manual || self.roomiest().is_none() {
            return false;
        }
        let _held = self.acquire_slots();
        // Meanwhile somebody else may have folded it.
        let Some(chosen) = self.roomiest() else { return true };
        let partitions = self.partitions();
        let Some(partition) = partitions.get(chosen) else { return true };
        partition.freeze(self.shared());
        self.run(partition, Some(Target::Base)).is_ok()
    }

    /// The number of the partition in which a fold wins most, if it wins enough in any.
    fn roomiest(&self) -> Option<usize> {
        let room = |partition: &Partition| {
            if super::choice::is_worth_a_try(partition) {
                partition.room()
            } else {
                Room::default()
            }
        };
        policy::roomiest(self.partitions().iter().map(|partition| room(partition)))
    }

    /// Makes room for so many bytes more, if there is a limit.
    pub(super) fn make_room_for(&self, bytes: u64) -> Result<(), Error> {
        let Some(limit) = self.limit() else { return Ok(()) };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        while self.load().held.saturating_add(bytes) > limit {
            if !self.fold_for_room() {
                return Err(self.over_limit());
            }
        }
        Ok(())
    }
}
