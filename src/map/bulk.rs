//! Many entries at once, in any order or sorted.

use super::MemKV;
use crate::arena::replace;
use crate::compact::Core;
use crate::error::Error;
use crate::key::{Key, KeyForm};
use crate::options::Options;
use crate::value::{Value, ValueForm};

/// Many entries at once.
impl<K: Key, V: Value> MemKV<K, V> {
    /// A map of entries that come in strictly ascending order of their keys.
    ///
    /// They go straight into segments, which is faster and takes less memory at its peak than
    /// inserting them one by one.
    ///
    /// # Complexity
    /// O(bytes). The entries are encoded as they come, never collected; beside the map this takes
    /// memory for one segment of [`partition_entries`](Options::partition_entries), and for more with
    /// [`threads`](Options::threads).
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] with the index of the first entry whose key is not above the one
    /// before; [`Error::KeyTooLong`], [`Error::ValueTooLong`] and [`Error::OutOfMemory`].
    ///
    /// # Example
    /// ```
    /// use memkv::{Error, MemKV, SortFault};
    /// let kv: MemKV<String, u64> = MemKV::from_sorted([("apple", 3), ("pear", 4)])?;
    /// assert_eq!(kv.get("pear"), Some(4));
    ///
    /// let refused = MemKV::<u64, u64>::from_sorted([(1, 1), (3, 3), (2, 2)]).unwrap_err();
    /// assert_eq!(refused, Error::OutOfOrder { index: 2, order: SortFault::Descending });
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_sorted<Q, W, I>(entries: I) -> Result<Self, Error>
    where
        Q: KeyForm<K>,
        W: ValueForm<V>,
        I: IntoIterator<Item = (Q, W)>,
    {
        Self::from_sorted_with_options(entries, Options::default())
    }

    /// [`from_sorted`](Self::from_sorted) with options.
    ///
    /// # Complexity
    /// As [`from_sorted`](Self::from_sorted).
    ///
    /// # Errors
    /// As [`from_sorted`](Self::from_sorted).
    ///
    /// # Example
    /// ```
    /// use memkv::{Compaction, MemKV, Options};
    /// let options = Options { compaction: Compaction::Manual, ..Options::default() };
    /// let squares = (0..100).map(|n| (n, n * n));
    /// let kv: MemKV<u64, u64> = MemKV::from_sorted_with_options(squares, options)?;
    /// assert_eq!(kv.get(12), Some(144));
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn from_sorted_with_options<Q, W, I>(entries: I, options: Options) -> Result<Self, Error>
    where
        Q: KeyForm<K>,
        W: ValueForm<V>,
        I: IntoIterator<Item = (Q, W)>,
    {
        let map = Self::with_options(options);
        map.extend_sorted(entries)?;
        Ok(map)
    }

    /// Sets the values of entries that come in strictly ascending order of their keys, and
    /// returns how many there were.
    ///
    /// Keys that the map already has get the new values. All entries are read and checked before
    /// the map changes. An empty map then gets them all in one moment, and so does one whose keys,
    /// those removed since the last fold too, are all below, if the entries fill at least half a
    /// partition. Into any other map they are [put](Self::put) one by one, and other threads see
    /// them arrive. The iterator runs outside any lock and may use the map.
    ///
    /// # Complexity
    /// O(bytes of the entries), and that of one [`put`](Self::put) for each where they are put one
    /// by one.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] with the index of the first entry whose key is not above the one
    /// before; [`Error::KeyTooLong`], [`Error::ValueTooLong`] and [`Error::OutOfMemory`]: the map
    /// is then unchanged. Where they are put one by one, also what [`try_put`](Self::try_put)
    /// returns: the entries before the one that was refused stay in.
    ///
    /// # Example
    /// ```
    /// use memkv::{Error, MemKV, SortFault};
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("b", 1)]);
    /// assert_eq!(kv.extend_sorted([("a", 2), ("b", 3)]), Ok(2));
    /// assert_eq!(kv.get("b"), Some(3));
    ///
    /// let refused = kv.extend_sorted([("c", 4), ("c", 5)]);
    /// assert_eq!(refused, Err(Error::OutOfOrder { index: 1, order: SortFault::Duplicate }));
    /// assert_eq!(kv.get("c"), None);
    /// ```
    pub fn extend_sorted<Q, W, I>(&self, entries: I) -> Result<u64, Error>
    where
        Q: KeyForm<K>,
        W: ValueForm<V>,
        I: IntoIterator<Item = (Q, W)>,
    {
        let mut entries = entries.into_iter();
        let added = Core::extend_sorted(self.core(), &mut |key, value| {
            let Some((next_key, next_value)) = entries.next() else {
                return Ok(false);
            };
            next_key.with_bytes(|bytes| replace(key, bytes))?;
            next_value.with_bytes(|bytes| replace(value, bytes))?;
            Ok(true)
        });
        added.map_err(|error| self.named(error))
    }

    /// [Puts](Self::put) all entries, in any order; of entries with the same key the last counts.
    ///
    /// # Complexity
    /// That of one [`put`](Self::put) for each entry. Other threads see the entries arrive one by
    /// one.
    ///
    /// # Panics
    /// As [`put`](Self::put); the entries before the one that panicked stay in.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::new();
    /// kv.extend([("pear", 4), ("apple", 3)]);
    /// assert_eq!(kv.len(), 2);
    /// ```
    #[track_caller]
    pub fn extend<Q, W, I>(&self, entries: I)
    where
        Q: KeyForm<K>,
        W: ValueForm<V>,
        I: IntoIterator<Item = (Q, W)>,
    {
        for (key, value) in entries {
            self.put(key, value);
        }
    }
}

/// Entries in any order; of entries with the same key the last counts. See
/// [`from_sorted`](MemKV::from_sorted) for sorted ones.
impl<K: Key, V: Value, Q: KeyForm<K>, W: ValueForm<V>> FromIterator<(Q, W)> for MemKV<K, V> {
    fn from_iter<I: IntoIterator<Item = (Q, W)>>(entries: I) -> Self {
        let map = Self::new();
        MemKV::extend(&map, entries);
        map
    }
}

impl<K: Key, V: Value, Q: KeyForm<K>, W: ValueForm<V>> Extend<(Q, W)> for MemKV<K, V> {
    fn extend<I: IntoIterator<Item = (Q, W)>>(&mut self, entries: I) {
        MemKV::extend(self, entries);
    }
}

impl<K: Key, V: Value, Q: KeyForm<K>, W: ValueForm<V>> Extend<(Q, W)> for &MemKV<K, V> {
    fn extend<I: IntoIterator<Item = (Q, W)>>(&mut self, entries: I) {
        MemKV::extend(self, entries);
    }
}
