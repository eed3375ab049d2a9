//! The map as a whole: its size, its memory, emptying and folding it.

use super::{Handle, MemKV, refuse};
use crate::compact::Core;
use crate::error::Error;
use crate::key::Key;
use crate::stats::{MemoryUsage, Stats};
use crate::value::Value;
use std::marker::PhantomData;

/// The map as a whole.
impl<K: Key, V: Value> MemKV<K, V> {
    /// How many entries the map has. Exact; while other threads write to a map of several
    /// partitions, each partition is counted at a moment of its own.
    ///
    /// # Complexity
    /// O(number of partitions): entries are not counted one by one.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, u64> = MemKV::from_iter([(1, 1), (2, 2), (1, 3)]);
    /// assert_eq!(kv.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        usize::try_from(self.core().len()).unwrap_or(usize::MAX)
    }

    /// Whether the map has no entries.
    ///
    /// # Complexity
    /// O(number of partitions).
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, u64> = MemKV::new();
    /// assert!(kv.is_empty());
    /// kv.insert(1, 1);
    /// assert!(!kv.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.core().is_empty()
    }

    /// Removes all entries.
    ///
    /// Iterators that exist keep what they see, and its memory, until they are dropped.
    ///
    /// # Complexity
    /// O(number of partitions), and the freeing of memory that no iterator uses.
    ///
    /// # Panics
    /// If the map was opened read-only.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, u64> = MemKV::from_iter([(1, 1), (2, 2)]);
    /// let entries = kv.iter();
    /// kv.clear();
    /// assert!(kv.is_empty());
    /// assert_eq!(entries.count(), 2);
    /// ```
    #[track_caller]
    pub fn clear(&self) {
        if let Err(error) = self.core().clear() {
            refuse(&error);
        }
    }

    /// A second map with the same entries and options, which goes its own way from then on: what is
    /// written to one is never seen by the other.
    ///
    /// Both share the segments, and what is in the radix trees now, until each folds what was
    /// written to it into segments of its own; the memory of what they share is freed with the
    /// last of them. All entries are those of one moment, as an iterator shows them. The second map
    /// is not attached to a file and can be written to, even if this one was opened read-only.
    /// [`Clone`] gives another handle to the same map instead.
    ///
    /// # Complexity
    /// O(number of partitions). Where a fold is due that has not come yet (it is running, it has
    /// failed, or the map was forked since the last one), what was written since is copied.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("apple", 3), ("pear", 4)]);
    /// let what_if = kv.fork()?;
    /// what_if.insert("apple", 30);
    /// kv.remove("pear");
    /// assert!(kv.iter().eq([(String::from("apple"), 3)]));
    /// assert_eq!(what_if.values().collect::<Vec<_>>(), [30, 4]);
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn fork(&self) -> Result<Self, Error> {
        let core = self.core().fork().map_err(|error| self.named(error))?;
        let handle = Handle::new(core, None);
        Core::look_after(&handle.core);
        Ok(Self { handle, types: PhantomData })
    }

    /// The heap bytes the map owns, by part.
    ///
    /// What it shares with a [fork](Self::fork) is counted by both.
    ///
    /// Memory that only iterators keep alive is not counted. Of an opened file, a
    /// [`Resident`](crate::Residence::Resident) one counts, a mapped one does not, but for one bit
    /// for each 4,096 bytes.
    ///
    /// # Complexity
    /// O(number of partitions).
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, u64> = MemKV::new();
    /// assert!(kv.memory_usage().total() <= 256);
    /// ```
    pub fn memory_usage(&self) -> MemoryUsage {
        let mut usage = self.core().memory_usage();
        if let Some(attached) = &self.handle.attached {
            usage.overhead += attached.heap_bytes();
        }
        usage
    }

    /// The map's state in numbers: entries and nodes by layer, folds so far.
    ///
    /// # Complexity
    /// O(number of partitions).
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, u64> = MemKV::from_iter([(1, 1), (2, 2)]);
    /// assert_eq!(kv.stats().entries, 2);
    /// ```
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Folds all that is in the delta and the overlay into the base, and returns when that is
    /// done: the smallest state of the map, but for some hundredths where text was copied from older
    /// bases. Bases made for another [`profile`](crate::Options::profile), by whoever saved the file, are
    /// written anew.
    ///
    /// Never needed for correctness: with [`Compaction::Background`](crate::Compaction::Background)
    /// folding happens by itself. Other threads read and write meanwhile.
    ///
    /// # Complexity
    /// O(bytes of the map). While it runs it takes the memory of the new base, and up to one
    /// and a half times what its keys (compressed) and its values (as they are) take: its columns as
    /// they are collected.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::FoldFailed`] and [`Error::Corrupted`], of an opened map
    /// [`Error::Damaged`]; nothing is lost then.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, u64> = (0..1000).map(|n| (n, n)).collect();
    /// kv.compact()?;
    /// assert_eq!(kv.len(), 1000);
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn compact(&self) -> Result<(), Error> {
        self.core().compact().map_err(|error| self.named(error))
    }
}
