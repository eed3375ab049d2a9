//! What may stand for a range of keys, or for all keys with one beginning.

use super::{KeyBuf, KeyForm};
use std::ops::{
    Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

/// What may stand for a range of `K` in [`range`](crate::MemKV::range).
///
/// Every range expression whose ends are [forms](KeyForm) of the key, and pairs of
/// [`Bound`]s where both ends are of one type:
///
/// ```
/// use memkv::MemKV;
/// use std::ops::Bound;
/// let kv: MemKV<u64, ()> = (0..10).map(|n| (n, ())).collect();
/// assert_eq!(kv.range(..).count(), 10);
/// assert_eq!(kv.range(3..5).count(), 2);
/// assert_eq!(kv.range(3..=5).count(), 3);
/// assert_eq!(kv.range((Bound::Excluded(3), Bound::Unbounded)).count(), 6);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand for a range of keys of type `{K}`",
    label = "not a range of the map's keys"
)]
pub trait KeyRange<K> {
    /// Calls `f` with the lower and the upper bound, encoded.
    fn with_bounds<R>(&self, f: impl FnOnce(Bound<&[u8]>, Bound<&[u8]>) -> R) -> R;
}

impl<K> KeyRange<K> for RangeFull {
    fn with_bounds<R>(&self, f: impl FnOnce(Bound<&[u8]>, Bound<&[u8]>) -> R) -> R {
        f(Bound::Unbounded, Bound::Unbounded)
    }
}

macro_rules! key_range {
    ($($range:ty;)+) => {$(
        impl<K, Q: KeyForm<K>> KeyRange<K> for $range {
            fn with_bounds<R>(&self, f: impl FnOnce(Bound<&[u8]>, Bound<&[u8]>) -> R) -> R {
                with_bound(self.start_bound(), |lower| {
                    with_bound(self.end_bound(), |upper| f(lower, upper))
                })
            }
        }
    )+};
}

key_range! {
    Range<Q>;
    RangeInclusive<Q>;
    RangeFrom<Q>;
    RangeTo<Q>;
    RangeToInclusive<Q>;
    (Bound<Q>, Bound<Q>);
}

fn with_bound<K, Q: KeyForm<K>, R>(bound: Bound<&Q>, f: impl FnOnce(Bound<&[u8]>) -> R) -> R {
    match bound {
        Bound::Included(key) => key.with_bytes(|bytes| f(Bound::Included(bytes))),
        Bound::Excluded(key) => key.with_bytes(|bytes| f(Bound::Excluded(bytes))),
        Bound::Unbounded => f(Bound::Unbounded),
    }
}

/// What may stand for the common beginning of keys in [`prefix`](crate::MemKV::prefix).
///
/// - For `String` keys: text. For `Vec<u8>` and `[u8; N]` keys: byte strings.
/// - For tuples: a shorter tuple for all keys that begin with these components, such as `(a,)` or
///   `(a, b)` for `(A, B, C)`; and a tuple of the same length whose last component is a prefix
///   itself, such as `(a, b, p)`.
///
/// ```
/// use memkv::MemKV;
/// let kv: MemKV<(String, String), u64> = MemKV::new();
/// kv.extend([(("fruit", "apple"), 1), (("fruit", "apricot"), 2), (("fruits", ""), 3)]);
/// assert_eq!(kv.prefix(("fruit",)).count(), 2);
/// assert_eq!(kv.prefix(("fruit", "appl")).count(), 1);
///
/// let sales: MemKV<(String, u16, String), u64> = MemKV::new();
/// sales.extend([(("north", 2024, "apples"), 7), (("north", 2025, "pears"), 8)]);
/// assert_eq!(sales.prefix(("north",)).count(), 2);
/// assert_eq!(sales.prefix(("north", 2025)).count(), 1);
/// assert_eq!(sales.prefix(("north", 2025, "app")).count(), 0);
/// ```
///
/// Integers have no prefixes:
///
/// ```compile_fail
/// let kv: memkv::MemKV<u64, u64> = memkv::MemKV::new();
/// kv.prefix(1);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand for a prefix of keys of type `{K}`",
    label = "not a prefix of the map's keys"
)]
pub trait KeyPrefix<K> {
    /// Appends the bytes that the encoded keys, and no others, start with.
    fn encode_prefix(&self, out: &mut KeyBuf);
}

impl<K, Q: KeyPrefix<K> + ?Sized> KeyPrefix<K> for &Q {
    fn encode_prefix(&self, out: &mut KeyBuf) {
        (**self).encode_prefix(out);
    }
}

macro_rules! byte_prefix {
    ($($(const $n:ident,)? $key:ty: $form:ty;)+) => {$(
        impl $(<const $n: usize>)? KeyPrefix<$key> for $form {
            fn encode_prefix(&self, out: &mut KeyBuf) {
                let bytes: &[u8] = self.as_ref();
                out.extend_from_slice(bytes);
            }
        }
    )+};
}

byte_prefix! {
    String: String;
    String: str;
    Vec<u8>: Vec<u8>;
    Vec<u8>: [u8];
    const N, Vec<u8>: [u8; N];
    const N, [u8; N]: Vec<u8>;
    const N, [u8; N]: [u8];
}

impl<const N: usize, const M: usize> KeyPrefix<[u8; N]> for [u8; M] {
    fn encode_prefix(&self, out: &mut KeyBuf) {
        out.extend_from_slice(self);
    }
}
