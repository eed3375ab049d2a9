//! Operations on one key.

use super::{MemKV, refuse};
use crate::compact::Core;
use crate::entry::{ValueBuf, ValueWidth};
use crate::error::{Corruption, Error};
use crate::key::MAX_KEY_LEN;
use crate::key::{Key, KeyForm};
use crate::value::{Value, ValueForm, width_of};

/// One key at a time.
impl<K: Key, V: Value> MemKV<K, V> {
    /// The value of `key`, or `None` if it is absent.
    ///
    /// A key longer than [`MAX_KEY_LEN`] is absent.
    ///
    /// # Complexity
    /// O(k + log n). Allocates nothing but the value itself, if it is a `String` or `Vec<u8>`.
    ///
    /// # Panics
    /// If stored bytes are damaged; [`try_get`](Self::try_get) returns that as an error.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::new();
    /// kv.insert("apple", 3);
    /// assert_eq!(kv.get("apple"), Some(3));
    /// assert_eq!(kv.get("pear"), None);
    /// ```
    #[inline]
    #[track_caller]
    pub fn get<Q: KeyForm<K>>(&self, key: Q) -> Option<V> {
        match self.try_get(key) {
            Ok(value) => value,
            Err(error) => refuse(&error),
        }
    }

    /// The value of `key`, or `None` if it is absent; damage is an error.
    ///
    /// A key longer than [`MAX_KEY_LEN`] is absent.
    ///
    /// # Complexity
    /// As [`get`](Self::get).
    ///
    /// # Errors
    /// [`Error::Corrupted`] if stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// # fn main() -> Result<(), memkv::Error> {
    /// use memkv::MemKV;
    /// let kv: MemKV<u32, i64> = MemKV::new();
    /// kv.insert(7, -7);
    /// assert_eq!(kv.try_get(7)?, Some(-7));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn try_get<Q: KeyForm<K>>(&self, key: Q) -> Result<Option<V>, Error> {
        let found = key.with_bytes(|key| self.core().get(key, V::decode));
        found.and_then(Option::transpose).map_err(|corruption| self.named(corruption.into()))
    }

    /// Calls `f` with the value of `key` and gives its result, or `None` if the key is absent.
    ///
    /// The closure gets a `&str` from a map of `String`s and a `&[u8]` from one of `Vec<u8>`s,
    /// without a copy; a value of fixed width is on the stack. No lock is held while it runs: it
    /// may take its time, and it may use the map. It sees the value as it was when the key was
    /// looked up, even if the key is overwritten or removed meanwhile.
    ///
    /// # Complexity
    /// As [`get`](Self::get), without an allocation (but for a few bytes, once for each delta).
    /// While the closure runs on a `str` or `[u8]`, writers copy the nodes they change.
    ///
    /// # Panics
    /// If stored bytes are damaged, or if `f` panics.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let raw: MemKV<Vec<u8>, Vec<u8>> = MemKV::new();
    /// raw.insert(b"k", b"value");
    /// assert_eq!(raw.get_with(b"k", |value: &[u8]| value.len()), Some(5));
    /// assert_eq!(raw.get_with(b"absent", |value| value.len()), None);
    /// ```
    #[inline]
    #[track_caller]
    pub fn get_with<Q: KeyForm<K>, R>(
        &self,
        key: Q,
        f: impl FnOnce(&V::Borrowed) -> R,
    ) -> Option<R> {
        let called = match width_of::<V>() {
            ValueWidth::Fixed(_) => self.try_get(key).map(|value| value.map(|v| f(v.borrowed()))),
            ValueWidth::Bytes => self.lend(key, f),
        };
        match called {
            Ok(result) => result,
            Err(error) => refuse(&error),
        }
    }

    /// Calls `f` with bytes that a pinned view keeps alive.
    fn lend<Q: KeyForm<K>, R>(
        &self,
        key: Q,
        f: impl FnOnce(&V::Borrowed) -> R,
    ) -> Result<Option<R>, Error> {
        key.with_bytes(|key| {
            if key.len() > MAX_KEY_LEN {
                return Ok(None);
            }
            let view = self.core().pin(key);
            let buf = ValueBuf::default();
            let lent = match view.get(key, &buf) {
                Ok(Some(value)) => V::with_borrowed(value.as_slice(), f).map(Some),
                Ok(None) => Ok(None),
                Err(corruption) => Err(corruption),
            };
            lent.map_err(|corruption| self.named(corruption.into()))
        })
    }

    /// Whether `key` has a value.
    ///
    /// # Complexity
    /// O(k + log n). Allocates nothing.
    ///
    /// # Panics
    /// If stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let set: MemKV<(u32, String), ()> = MemKV::new();
    /// set.put((1, "one"), ());
    /// assert!(set.contains_key((1, "one")));
    /// assert!(!set.contains_key((1, "two")));
    /// ```
    #[inline]
    #[track_caller]
    pub fn contains_key<Q: KeyForm<K>>(&self, key: Q) -> bool {
        match key.with_bytes(|key| self.core().contains(key)) {
            Ok(found) => found,
            Err(corruption) => refuse(&self.named(corruption.into())),
        }
    }

    /// Sets the value of `key` and returns the one it had, if any.
    ///
    /// [`put`](Self::put) does the same without reading the old value.
    ///
    /// # Complexity
    /// O(k + log n). Allocates the old value, if it is a `String` or `Vec<u8>`, and now and then a
    /// chunk of memory for many entries. A write that makes a fold due may run it.
    ///
    /// # Panics
    /// If the encoded key is longer than [`MAX_KEY_LEN`], or wherever
    /// [`try_insert`](Self::try_insert) returns an error.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::new();
    /// assert_eq!(kv.insert("apple", 3), None);
    /// assert_eq!(kv.insert("apple", 4), Some(3));
    /// ```
    #[inline]
    #[track_caller]
    pub fn insert<Q: KeyForm<K>, W: ValueForm<V>>(&self, key: Q, value: W) -> Option<V> {
        match self.try_insert(key, value) {
            Ok(old) => old,
            Err(error) => refuse(&error),
        }
    }

    /// Sets the value of `key` and returns the one it had, if any; a refusal is an error.
    ///
    /// # Complexity
    /// As [`insert`](Self::insert).
    ///
    /// # Errors
    /// - [`Error::KeyTooLong`] and [`Error::ValueTooLong`] for what is over the limits.
    /// - [`Error::OutOfMemory`], [`Error::DeltaFull`] and [`Error::FoldFailed`] if there is no
    ///   room and none can be made.
    /// - [`Error::Corrupted`] if stored bytes are damaged. If it is the old value that is, the new
    ///   one is in its place.
    ///
    /// # Example
    /// ```
    /// use memkv::{Error, MAX_KEY_LEN, MemKV};
    /// let kv: MemKV<Vec<u8>, u64> = MemKV::new();
    /// assert_eq!(kv.try_insert(vec![0; MAX_KEY_LEN], 1), Ok(None));
    /// let refused = kv.try_insert(vec![0; MAX_KEY_LEN + 1], 1);
    /// assert_eq!(refused, Err(Error::KeyTooLong { len: MAX_KEY_LEN + 1 }));
    /// ```
    #[inline]
    pub fn try_insert<Q: KeyForm<K>, W: ValueForm<V>>(
        &self,
        key: Q,
        value: W,
    ) -> Result<Option<V>, Error> {
        let old = key.with_bytes(|key| {
            value.with_bytes(|value| Core::insert(self.core(), key, value, V::decode))
        });
        self.decoded(old)
    }

    /// Sets the value of `key` without reading the one it had.
    ///
    /// # Complexity
    /// O(k + log n), less than [`insert`](Self::insert) where the old value would have to be
    /// fetched.
    ///
    /// # Panics
    /// If the encoded key is longer than [`MAX_KEY_LEN`], or wherever
    /// [`try_put`](Self::try_put) returns an error.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, [u8; 16]> = MemKV::new();
    /// kv.put(42, *b"0123456789abcdef");
    /// assert_eq!(kv.len(), 1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn put<Q: KeyForm<K>, W: ValueForm<V>>(&self, key: Q, value: W) {
        if let Err(error) = self.try_put(key, value) {
            refuse(&error);
        }
    }

    /// Sets the value of `key` without reading the one it had; a refusal is an error.
    ///
    /// # Complexity
    /// As [`put`](Self::put).
    ///
    /// # Errors
    /// As [`try_insert`](Self::try_insert); the map is then unchanged.
    ///
    /// # Example
    /// ```
    /// # fn main() -> Result<(), memkv::Error> {
    /// use memkv::MemKV;
    /// let kv: MemKV<String, String> = MemKV::new();
    /// kv.try_put("greeting", "hello")?;
    /// assert_eq!(kv.get("greeting").as_deref(), Some("hello"));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn try_put<Q: KeyForm<K>, W: ValueForm<V>>(&self, key: Q, value: W) -> Result<(), Error> {
        key.with_bytes(|key| value.with_bytes(|value| Core::put(self.core(), key, value)))
            .map_err(|error| self.named(error))
    }

    /// Removes `key` and returns the value it had, if any.
    ///
    /// [`delete`](Self::delete) does the same without reading the old value. A key longer than
    /// [`MAX_KEY_LEN`] is absent.
    ///
    /// # Complexity
    /// O(k + log n). A key that is in a segment gets a tombstone, which the next fold into the base
    /// takes away together with the entry.
    ///
    /// # Panics
    /// Wherever [`try_remove`](Self::try_remove) returns an error.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::new();
    /// kv.insert("pear", 4);
    /// let old: Option<u64> = kv.remove("pear");
    /// assert_eq!(old, Some(4));
    /// assert_eq!(kv.remove("pear"), None);
    /// ```
    #[inline]
    #[track_caller]
    pub fn remove<Q: KeyForm<K>>(&self, key: Q) -> Option<V> {
        match self.try_remove(key) {
            Ok(old) => old,
            Err(error) => refuse(&error),
        }
    }

    /// Removes `key` and returns the value it had, if any; a refusal is an error.
    ///
    /// # Complexity
    /// As [`remove`](Self::remove).
    ///
    /// # Errors
    /// - [`Error::OutOfMemory`], [`Error::DeltaFull`] and [`Error::FoldFailed`] if there is no
    ///   room for a tombstone and none can be made.
    /// - [`Error::Corrupted`] if stored bytes are damaged. If it is the old value that is, its key
    ///   is removed.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u16, u64> = MemKV::new();
    /// kv.insert(1, 10);
    /// assert_eq!(kv.try_remove(1), Ok(Some(10)));
    /// ```
    #[inline]
    pub fn try_remove<Q: KeyForm<K>>(&self, key: Q) -> Result<Option<V>, Error> {
        let old = key.with_bytes(|key| {
            if key.len() > MAX_KEY_LEN {
                return Ok(None);
            }
            Core::remove(self.core(), key, V::decode)
        });
        self.decoded(old)
    }

    /// Removes `key` without reading the value it had.
    ///
    /// A key longer than [`MAX_KEY_LEN`] is absent.
    ///
    /// # Complexity
    /// As [`remove`](Self::remove), without the old value.
    ///
    /// # Panics
    /// Wherever [`try_delete`](Self::try_delete) returns an error.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<i32, ()> = MemKV::new();
    /// kv.put(-5, ());
    /// kv.delete(-5);
    /// kv.delete(-6); // absent: nothing happens
    /// assert!(kv.is_empty());
    /// ```
    #[inline]
    #[track_caller]
    pub fn delete<Q: KeyForm<K>>(&self, key: Q) {
        if let Err(error) = self.try_delete(key) {
            refuse(&error);
        }
    }

    /// Removes `key` without reading the value it had; a refusal is an error.
    ///
    /// # Complexity
    /// As [`delete`](Self::delete).
    ///
    /// # Errors
    /// As [`try_remove`](Self::try_remove); the map is then unchanged.
    ///
    /// # Example
    /// ```
    /// # fn main() -> Result<(), memkv::Error> {
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::new();
    /// kv.insert("pear", 4);
    /// kv.try_delete("pear")?;
    /// assert!(!kv.contains_key("pear"));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn try_delete<Q: KeyForm<K>>(&self, key: Q) -> Result<(), Error> {
        key.with_bytes(|key| {
            if key.len() > MAX_KEY_LEN {
                return Ok(());
            }
            Core::delete(self.core(), key)
        })
        .map_err(|error| self.named(error))
    }

    /// The value that a write found.
    #[inline]
    fn decoded(
        &self,
        old: Result<Option<Result<V, Corruption>>, Error>,
    ) -> Result<Option<V>, Error> {
        match old {
            Ok(None) => Ok(None),
            Ok(Some(Ok(value))) => Ok(Some(value)),
            Ok(Some(Err(corruption))) => Err(self.named(corruption.into())),
            Err(error) => Err(self.named(error)),
        }
    }
}
