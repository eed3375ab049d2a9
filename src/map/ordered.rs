//! Walking the map in key order.

use super::MemKV;
use crate::compact::End;
use crate::iter::{Iter, Keys, Values, Walk};
use crate::key::{Key, KeyBuf, KeyPrefix, KeyRange};
use crate::range::{BoundKey, ByteRange};
use crate::sync::Arc;
use crate::value::Value;
use std::path::Path;

/// In key order.
///
/// All of these see the map as it was at the moment of the call, hold no lock, and run in either
/// direction. Making one takes O(1); its first step from an end costs O(k + log n), each further
/// one amortised O(1) and the decoding of the entry. Removed entries that the next fold into the
/// base has not taken away yet are passed over one by one. While an iterator exists, writers copy
/// the nodes they change.
impl<K: Key, V: Value> MemKV<K, V> {
    /// All entries, in key order.
    ///
    /// # Complexity
    /// O(1), then amortised O(1) for each entry. Allocates what the decoded keys and values need.
    ///
    /// # Panics
    /// The iterator panics if stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<i64, u64> = MemKV::from_iter([(1, 10), (-1, 20)]);
    /// assert_eq!(kv.iter().collect::<Vec<_>>(), [(-1, 20), (1, 10)]);
    /// for (key, value) in &kv {
    ///     kv.insert(key, value + 1); // the iterator does not see this
    /// }
    /// ```
    pub fn iter(&self) -> Iter<K, V> {
        Iter::new(self.walk(ByteRange::all()))
    }

    /// All keys, in order.
    ///
    /// # Complexity
    /// As [`iter`](Self::iter); values are not decoded.
    ///
    /// # Panics
    /// The iterator panics if stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("b", 1), ("a", 2)]);
    /// assert_eq!(kv.keys().collect::<Vec<_>>(), ["a", "b"]);
    /// ```
    pub fn keys(&self) -> Keys<K, V> {
        Keys::new(self.walk(ByteRange::all()))
    }

    /// All values, in the order of their keys.
    ///
    /// # Complexity
    /// As [`iter`](Self::iter); keys are not decoded.
    ///
    /// # Panics
    /// The iterator panics if stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("b", 1), ("a", 2)]);
    /// assert_eq!(kv.values().collect::<Vec<_>>(), [2, 1]);
    /// ```
    pub fn values(&self) -> Values<K, V> {
        Values::new(self.walk(ByteRange::all()))
    }

    /// The entries whose keys lie in `range`, in key order.
    ///
    /// The ends may be any forms of the key. A range that is empty or inverted yields nothing.
    ///
    /// # Complexity
    /// O(k), then O(k + log n) for the first entry and amortised O(1) for each further one.
    ///
    /// # Panics
    /// The iterator panics if stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// use std::ops::Bound;
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("a", 1), ("ab", 2), ("b", 3)]);
    /// let keys = |entries: memkv::Iter<String, u64>| entries.map(|(k, _)| k).collect::<Vec<_>>();
    /// assert_eq!(keys(kv.range("a".."b")), ["a", "ab"]);
    /// assert_eq!(keys(kv.range(..="ab")), ["a", "ab"]);
    /// assert_eq!(keys(kv.range((Bound::Excluded("a"), Bound::Unbounded))), ["ab", "b"]);
    /// assert_eq!(kv.range("a".."b").rev().next(), Some((String::from("ab"), 2)));
    /// assert_eq!(kv.range("b".."a").next(), None);
    /// ```
    #[allow(clippy::needless_pass_by_value, reason = "so that a call reads `range(a..b)`")]
    pub fn range<R: KeyRange<K>>(&self, range: R) -> Iter<K, V> {
        Iter::new(self.walk(range.with_bounds(ByteRange::new)))
    }

    /// The entries whose keys start with `prefix`, in key order.
    ///
    /// Text for `String` keys, byte strings for `Vec<u8>` and `[u8; N]` keys; for pairs `(a,)`, all
    /// pairs with the first component `a`, and `(a, p)`, those of them whose second component
    /// starts with `p`.
    ///
    /// # Complexity
    /// As [`range`](Self::range).
    ///
    /// # Panics
    /// The iterator panics if stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("app", 1), ("apple", 2), ("apt", 3)]);
    /// assert_eq!(kv.prefix("app").map(|(_, v)| v).collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn prefix<P: KeyPrefix<K>>(&self, prefix: P) -> Iter<K, V> {
        let mut bytes = KeyBuf::new();
        prefix.encode_prefix(&mut bytes);
        Iter::new(self.walk(ByteRange::prefix(bytes.as_slice())))
    }

    /// The entry with the smallest key, or `None` if the map is empty.
    ///
    /// # Complexity
    /// O(k + log n), and O(1) for each removed entry before it that is not folded away yet.
    ///
    /// # Panics
    /// If stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<i8, u64> = MemKV::from_iter([(3, 30), (-2, 20)]);
    /// assert_eq!(kv.first_key_value(), Some((-2, 20)));
    /// ```
    pub fn first_key_value(&self) -> Option<(K, V)> {
        // Most often it is in the first partition, so that no view of all has to be made.
        let first = Iter::new(self.walk_at(End::First)).next();
        first.or_else(|| self.iter().next())
    }

    /// The entry with the largest key, or `None` if the map is empty.
    ///
    /// # Complexity
    /// O(k + log n), and O(1) for each removed entry after it that is not folded away yet.
    ///
    /// # Panics
    /// If stored bytes are damaged.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<i8, u64> = MemKV::from_iter([(3, 30), (-2, 20)]);
    /// assert_eq!(kv.last_key_value(), Some((3, 30)));
    /// ```
    pub fn last_key_value(&self) -> Option<(K, V)> {
        let last = Iter::new(self.walk_at(End::Last)).next_back();
        last.or_else(|| self.iter().next_back())
    }

    fn walk(&self, range: ByteRange<BoundKey>) -> Walk {
        Walk::new(range, self.file(), |range| self.core().view(range))
    }

    /// A walk over the partition at an end of the map.
    fn walk_at(&self, end: End) -> Walk {
        Walk::new(ByteRange::all(), self.file(), |_| self.core().view_end(end))
    }

    fn file(&self) -> Option<Arc<Path>> {
        self.handle.attached.as_ref().map(|attached| Arc::clone(attached.path()))
    }
}

impl<K: Key, V: Value> IntoIterator for &MemKV<K, V> {
    type Item = (K, V);
    type IntoIter = Iter<K, V>;

    fn into_iter(self) -> Iter<K, V> {
        self.iter()
    }
}
