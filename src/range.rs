//! Ranges over encoded keys: normalised bounds, prefixes, emptiness.

use crate::key::MAX_KEY_LEN;
use std::ops::Bound;

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From small keys to large ones.
    Forward,
    /// From large keys to small ones.
    Backward,
}

impl Direction {
    /// The other one.
    #[inline]
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Forward => Self::Backward,
            Self::Backward => Self::Forward,
        }
    }

    /// The ordinal so many entries on from another one, if that is a number.
    #[inline]
    pub(crate) fn step(self, ordinal: u64, count: u64) -> Option<u64> {
        match self {
            Self::Forward => ordinal.checked_add(count),
            Self::Backward => ordinal.checked_sub(count),
        }
    }
}

/// Bytes of a key that is kept without an allocation.
const SHORT: usize = 22;

/// The key of a bound, for walks, of which many are so short that an allocation counts.
#[derive(Clone, Debug)]
pub(crate) enum BoundKey {
    /// The first bytes, as many as the number says.
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

// As much as a vector.
const _: () = assert!(size_of::<BoundKey>() == size_of::<Vec<u8>>());

impl From<&[u8]> for BoundKey {
    #[inline]
    fn from(key: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..key.len()) {
            Some(short) => {
                short.copy_from_slice(key);
                Self::Short(key.len() as u8, bytes)
            }
            None => Self::Long(key.into()),
        }
    }
}

impl AsRef<[u8]> for BoundKey {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

/// Owned bounds over encoded keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange<B = Vec<u8>> {
    /// Where the range starts.
    pub(crate) lower: Bound<B>,
    /// Where the range ends.
    pub(crate) upper: Bound<B>,
}

impl<B: AsRef<[u8]> + for<'a> From<&'a [u8]>> ByteRange<B> {
    /// All keys.
    pub(crate) fn all() -> Self {
        Self { lower: Bound::Unbounded, upper: Bound::Unbounded }
    }

    /// All keys between two bounds, of which none is kept longer than the longest key.
    pub(crate) fn new(lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Self {
        // No key lies between the first MAX_KEY_LEN bytes of a longer bound and the bound itself.
        Self {
            lower: match lower {
                Bound::Included(a) | Bound::Excluded(a) if a.len() > MAX_KEY_LEN => {
                    Bound::Excluded(B::from(&a[..MAX_KEY_LEN]))
                }
                bound => bound.map(B::from),
            },
            upper: match upper {
                Bound::Included(b) | Bound::Excluded(b) if b.len() > MAX_KEY_LEN => {
                    Bound::Included(B::from(&b[..MAX_KEY_LEN]))
                }
                bound => bound.map(B::from),
            },
        }
    }

    /// All keys that start with `prefix`.
    pub(crate) fn prefix(prefix: &[u8]) -> Self {
        let successor = prefix_successor(prefix);
        let upper = match &successor {
            Some(successor) => Bound::Excluded(successor.as_slice()),
            None => Bound::Unbounded,
        };
        Self::new(Bound::Included(prefix), upper)
    }

    /// Whether no key at all can be inside: inverted or empty bounds.
    pub(crate) fn is_empty(&self) -> bool {
        match (self.lower.as_ref().map(B::as_ref), self.upper.as_ref().map(B::as_ref)) {
            (Bound::Included(a), Bound::Included(b)) => a > b,
            (Bound::Included(a) | Bound::Excluded(a), Bound::Excluded(b))
            | (Bound::Excluded(a), Bound::Included(b)) => a >= b,
            (_, Bound::Excluded(b)) => b.is_empty(),
            _ => false,
        }
    }

    /// Whether `key` is not below the lower bound.
    pub(crate) fn is_above_lower(&self, key: &[u8]) -> bool {
        match &self.lower {
            Bound::Included(a) => key >= a.as_ref(),
            Bound::Excluded(a) => key > a.as_ref(),
            Bound::Unbounded => true,
        }
    }

    /// Whether `key` is not beyond the upper bound.
    pub(crate) fn is_below_upper(&self, key: &[u8]) -> bool {
        match &self.upper {
            Bound::Included(b) => key <= b.as_ref(),
            Bound::Excluded(b) => key < b.as_ref(),
            Bound::Unbounded => true,
        }
    }
}

/// The smallest byte string above all strings that start with `prefix`; `None` if all its bytes
/// are 0xFF (or it is empty), when there is none.
pub(crate) fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut successor = prefix[..=last].to_vec();
    successor[last] += 1;
    Some(successor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_range_holds_just_the_keys_with_that_prefix() {
        let keys: [&[u8]; 7] = [b"", b"\xff", b"\xff\xff", b"a", b"a\x00", b"a\xff\xff", b"b"];
        for prefix in keys {
            let range = ByteRange::<BoundKey>::prefix(prefix);
            for key in keys {
                let inside = range.is_above_lower(key) && range.is_below_upper(key);
                assert_eq!(inside, key.starts_with(prefix), "{prefix:?} {key:?}");
            }
        }
    }

    #[test]
    fn bounds_longer_than_any_key_are_cut_without_changing_the_range() {
        let longest = vec![b'a'; MAX_KEY_LEN];
        let longer = vec![b'a'; MAX_KEY_LEN + 5];
        let above = ByteRange::<BoundKey>::new(Bound::Included(&longer), Bound::Unbounded);
        assert!(!above.is_above_lower(&longest));
        assert!(above.is_above_lower(b"b"));
        let below = ByteRange::<BoundKey>::new(Bound::Unbounded, Bound::Excluded(&longer));
        assert!(below.is_below_upper(&longest));
        assert!(!below.is_below_upper(b"b"));
        assert!(ByteRange::<BoundKey>::prefix(&longer).is_empty());
        let mut high = vec![0xff; MAX_KEY_LEN + 5];
        assert!(!ByteRange::<BoundKey>::prefix(&high).is_above_lower(&high[..MAX_KEY_LEN]));
        high[0] = b'a';
        let beyond = ByteRange::<BoundKey>::prefix(&high);
        assert!(!beyond.is_above_lower(&high[..MAX_KEY_LEN]) && !beyond.is_below_upper(b"b"));
    }

    #[test]
    fn bounds_of_every_length_are_kept() {
        let bytes: Vec<u8> = (1..=40).collect();
        for len in 0..=bytes.len() {
            let key = BoundKey::from(&bytes[..len]);
            assert_eq!(key.as_ref(), &bytes[..len]);
            assert_eq!(matches!(key, BoundKey::Short(..)), len <= SHORT);
        }
    }

    #[test]
    fn inverted_and_degenerate_ranges_are_empty() {
        let key = |b: &[u8]| b.to_vec();
        let empty = |lower, upper| ByteRange { lower, upper }.is_empty();
        assert!(empty(Bound::Included(key(b"b")), Bound::Included(key(b"a"))));
        assert!(empty(Bound::Included(key(b"a")), Bound::Excluded(key(b"a"))));
        assert!(empty(Bound::Excluded(key(b"a")), Bound::Excluded(key(b"a"))));
        assert!(empty(Bound::Excluded(key(b"a")), Bound::Included(key(b"a"))));
        assert!(empty(Bound::Unbounded, Bound::Excluded(key(b""))));
        assert!(!empty(Bound::Included(key(b"a")), Bound::Included(key(b"a"))));
        assert!(!empty(Bound::Unbounded, Bound::Included(key(b""))));
    }
}
