//! Operations on many keys at once.

use super::{MemKV, refuse};
use crate::arena::OutOfMemory;
use crate::error::{Corruption, Error};
use crate::key::{Key, KeyForm};
use crate::partition::BATCH;
use crate::value::Value;

/// Bytes that there is room for at once for each encoded key of a batch.
const USUAL_KEY_LEN: usize = 32;

/// Many keys at a time.
impl<K: Key, V: Value> MemKV<K, V> {
    /// The values of `keys`, in their order; `None` for each that is absent.
    ///
    /// Each key is answered as by a [`get`](Self::get), but their ways through memory are taken
    /// together, so that they wait for it together: on maps larger than the processor's caches this
    /// takes some two thirds of the time of as many gets. Keys may come in any order, and more than
    /// once. A key longer than
    /// [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) is absent.
    ///
    /// The answers are not all of one moment: where other threads write meanwhile, one answer may
    /// be older than another.
    ///
    /// # Complexity
    /// O(k + log n) for each key. Allocates the answers, a buffer for the encoded keys, and the
    /// values themselves, if they are `String`s or `Vec<u8>`s.
    ///
    /// # Panics
    /// If stored bytes are damaged or there is no memory for the answers;
    /// [`try_multi_get`](Self::try_multi_get) returns that as an error.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("apple", 3), ("pear", 4)]);
    /// let values = kv.multi_get(&["pear", "fig", "apple", "pear"]);
    /// assert_eq!(values, [Some(4), None, Some(3), Some(4)]);
    /// ```
    #[track_caller]
    pub fn multi_get<Q: KeyForm<K>>(&self, keys: &[Q]) -> Vec<Option<V>> {
        match self.try_multi_get(keys) {
            Ok(values) => values,
            Err(error) => refuse(&error),
        }
    }

    /// The values of `keys`, in their order; damage is an error.
    ///
    /// All else is as for [`multi_get`](Self::multi_get).
    ///
    /// # Complexity
    /// As [`multi_get`](Self::multi_get).
    ///
    /// # Errors
    /// - [`Error::Corrupted`] if stored bytes are damaged that one of the keys needs. The others
    ///   can be had one by one, with [`try_get`](Self::try_get).
    /// - [`Error::OutOfMemory`] if there is none for the answers.
    ///
    /// # Example
    /// ```
    /// # fn main() -> Result<(), memkv::Error> {
    /// use memkv::MemKV;
    /// let squares: MemKV<u32, u64> = MemKV::from_iter((0..1000).map(|n| (n, u64::from(n) * 7)));
    /// assert_eq!(squares.try_multi_get(&[3, 1000, 2])?, [Some(21), None, Some(14)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_multi_get<Q: KeyForm<K>>(&self, keys: &[Q]) -> Result<Vec<Option<V>>, Error> {
        let mut values = Vec::new();
        values.try_reserve_exact(keys.len()).map_err(|_| OutOfMemory)?;
        values.resize_with(keys.len(), || None);
        let mut encoded = Vec::new();
        if keys.len() > 1 {
            encoded.try_reserve(keys.len().min(BATCH) * USUAL_KEY_LEN).map_err(|_| OutOfMemory)?;
        }
        for (keys, values) in keys.chunks(BATCH).zip(values.chunks_mut(BATCH)) {
            match (keys, &mut *values) {
                // Nobody is there to wait together with.
                ([key], [value]) => *value = self.try_get(key)?,
                _ => self.get_batch(keys, values, &mut encoded)?,
            }
        }
        Ok(values)
    }

    /// The first entry at or above each of `keys`, in their order; `None` for each that is above all
    /// keys of the map.
    ///
    /// Each key is answered as by `range(key..).next()`, but what their searches wait for first is asked
    /// for together, and where all entries near a key are folded, no iterator is made for it. Keys may come
    /// in any order, and more than once.
    ///
    /// The answers are not all of one moment: where other threads write meanwhile, one answer may
    /// be older than another.
    ///
    /// # Complexity
    /// O(k + log n) for each key, and O(1) for each removed entry behind it that is not folded away yet.
    /// Allocates the answers, a buffer for the encoded keys, what keys and values themselves allocate, and
    /// where an iterator is needed what that does.
    ///
    /// # Panics
    /// If stored bytes are damaged or there is no memory for the answers;
    /// [`try_multi_lower_bound`](Self::try_multi_lower_bound) returns that as an error.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let prices: MemKV<u32, u64> = MemKV::from_iter([(10, 1), (20, 2), (30, 3)]);
    /// let found = prices.multi_lower_bound(&[25, 31, 10, 0]);
    /// assert_eq!(found, [Some((30, 3)), None, Some((10, 1)), Some((10, 1))]);
    /// ```
    #[track_caller]
    pub fn multi_lower_bound<Q: KeyForm<K>>(&self, keys: &[Q]) -> Vec<Option<(K, V)>> {
        match self.try_multi_lower_bound(keys) {
            Ok(entries) => entries,
            Err(error) => refuse(&error),
        }
    }

    /// The first entry at or above each of `keys`, in their order; damage is an error.
    ///
    /// All else is as for [`multi_lower_bound`](Self::multi_lower_bound).
    ///
    /// # Complexity
    /// As [`multi_lower_bound`](Self::multi_lower_bound).
    ///
    /// # Errors
    /// - [`Error::Corrupted`] if stored bytes are damaged that one of the keys needs.
    /// - [`Error::OutOfMemory`] if there is none for the answers.
    ///
    /// # Example
    /// ```
    /// # fn main() -> Result<(), memkv::Error> {
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("fig", 1), ("pear", 2)]);
    /// assert_eq!(kv.try_multi_lower_bound(&["apple"])?, [Some((String::from("fig"), 1))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_multi_lower_bound<Q: KeyForm<K>>(
        &self,
        keys: &[Q],
    ) -> Result<Vec<Option<(K, V)>>, Error> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(keys.len()).map_err(|_| OutOfMemory)?;
        entries.resize_with(keys.len(), || None);
        let decode = |key: &[u8], value: &[u8]| -> Result<(K, V), Corruption> {
            Ok((K::decode(key)?, V::decode(value)?))
        };
        let mut encoded = Vec::new();
        for (keys, entries) in keys.chunks(BATCH).zip(entries.chunks_mut(BATCH)) {
            self.encoded(keys, &mut encoded, |keys, unreadable| {
                self.core().lower_bounds(keys, |number, key, value| match decode(key, value) {
                    Ok(entry) => entries[number] = Some(entry),
                    Err(corruption) => *unreadable = Some(corruption),
                })
            })?;
        }
        Ok(entries)
    }

    /// Fills in the values of as many keys as there are in a batch. `encoded` is used for the keys.
    fn get_batch<Q: KeyForm<K>>(
        &self,
        keys: &[Q],
        values: &mut [Option<V>],
        encoded: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.encoded(keys, encoded, |keys, unreadable| {
            self.core().get_batch(keys, |number, value| match V::decode(value) {
                Ok(value) => values[number] = Some(value),
                Err(corruption) => *unreadable = Some(corruption),
            })
        })
    }

    /// Calls `read` with as many encoded keys as there are in a batch, and a place for an error of what it
    /// finds. `encoded` is used for the keys.
    fn encoded<Q: KeyForm<K>>(
        &self,
        keys: &[Q],
        encoded: &mut Vec<u8>,
        read: impl FnOnce(&[&[u8]], &mut Option<Corruption>) -> Result<(), Corruption>,
    ) -> Result<(), Error> {
        encoded.clear();
        let mut ends = [0; BATCH];
        for (key, end) in keys.iter().zip(&mut ends) {
            key.with_bytes(|key| {
                encoded.try_reserve(key.len())?;
                encoded.extend_from_slice(key);
                Ok(())
            })
            .map_err(|_: std::collections::TryReserveError| OutOfMemory)?;
            *end = encoded.len();
        }
        let mut slices = [&[][..]; BATCH];
        let mut start = 0;
        for (slice, end) in slices.iter_mut().zip(ends).take(keys.len()) {
            *slice = &encoded[start..end];
            start = end;
        }
        let mut unreadable = None;
        let found = read(&slices[..keys.len()], &mut unreadable);
        match found.err().or(unreadable) {
            None => Ok(()),
            Some(corruption) => Err(self.named(corruption.into())),
        }
    }
}
