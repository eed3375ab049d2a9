//! Public iterators: a thin typed shell over a walk between two bounds of a view.

use crate::cursor::Cursor;
use crate::error::{Corruption, Error};
use crate::key::Key;
use crate::range::ByteRange;
use crate::snapshot::{View, ViewCursor};
use crate::sync::Arc;
use crate::value::Value;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::Bound;
use std::path::Path;

/// A walk from both ends of a range towards the middle; untyped.
///
/// A cursor that exists stands on the entry that its end yielded last. The range is used up when
/// a step finds no entry before the other end's; the pin is then released at once.
pub(crate) struct Walk {
    ends: Option<Ends>,
    /// The file that the map was opened from.
    file: Option<Arc<Path>>,
}

struct Ends {
    view: View,
    range: ByteRange,
    front: Option<ViewCursor>,
    back: Option<ViewCursor>,
}

/// An encoded key and its encoded value.
type Item<'a> = (&'a [u8], &'a [u8]);

impl Walk {
    /// A walk over the entries of `range` in the view that `look` makes; none is needed for a range
    /// that is empty in itself.
    pub(crate) fn new(
        range: ByteRange,
        file: Option<Arc<Path>>,
        look: impl FnOnce(&ByteRange) -> View,
    ) -> Self {
        let ends = (!range.is_empty()).then(|| Ends {
            view: look(&range),
            range,
            front: None,
            back: None,
        });
        Self { ends, file }
    }

    /// What a corruption met by this walk is to the caller.
    fn named(&self, corruption: Corruption) -> Error {
        match &self.file {
            Some(file) => Error::damaged(file, corruption),
            None => Error::Corrupted(corruption),
        }
    }

    /// The next entry from the front.
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>, Corruption> {
        let found = self.step(Ends::step_front)?;
        Ok(found.then(|| item(self.ends.as_ref()?.front.as_ref()?)).flatten())
    }

    /// The next entry from the back.
    pub(crate) fn next_back(&mut self) -> Result<Option<Item<'_>>, Corruption> {
        let found = self.step(Ends::step_back)?;
        Ok(found.then(|| item(self.ends.as_ref()?.back.as_ref()?)).flatten())
    }

    fn step(
        &mut self,
        step: impl FnOnce(&mut Ends) -> Result<bool, Corruption>,
    ) -> Result<bool, Corruption> {
        let Some(ends) = &mut self.ends else {
            return Ok(false);
        };
        let found = step(ends);
        if found != Ok(true) {
            self.ends = None;
        }
        found
    }
}

impl Ends {
    /// Moves the front cursor; whether it found an entry that the back has not yielded.
    fn step_front(&mut self) -> Result<bool, Corruption> {
        let Self { view, range, front, back } = self;
        let cursor = if let Some(cursor) = front {
            cursor.next();
            cursor
        } else {
            let cursor = front.insert(view.cursor());
            seek_lower(cursor, &range.lower);
            cursor
        };
        if !cursor.valid() {
            return cursor.status().map(|()| false);
        }
        Ok(match back {
            Some(back) => cursor.key() < back.key(),
            None => range.is_below_upper(cursor.key()),
        })
    }

    /// Moves the back cursor; whether it found an entry that the front has not yielded.
    fn step_back(&mut self) -> Result<bool, Corruption> {
        let Self { view, range, front, back } = self;
        let cursor = if let Some(cursor) = back {
            cursor.prev();
            cursor
        } else {
            let cursor = back.insert(view.cursor());
            seek_upper(cursor, &range.upper);
            cursor
        };
        if !cursor.valid() {
            return cursor.status().map(|()| false);
        }
        Ok(match front {
            Some(front) => cursor.key() > front.key(),
            None => range.is_above_lower(cursor.key()),
        })
    }
}

fn item(cursor: &ViewCursor) -> Option<Item<'_>> {
    cursor.entry().live().map(|value| (cursor.key(), value))
}

/// Moves to the first entry that a lower bound lets in.
fn seek_lower(cursor: &mut impl Cursor, lower: &Bound<Vec<u8>>) {
    match lower {
        Bound::Included(key) => cursor.seek(key),
        Bound::Excluded(key) => {
            cursor.seek(key);
            if cursor.valid() && cursor.key() == key {
                cursor.next();
            }
        }
        Bound::Unbounded => cursor.first(),
    }
}

/// Moves to the last entry that an upper bound lets in.
fn seek_upper(cursor: &mut impl Cursor, upper: &Bound<Vec<u8>>) {
    match upper {
        Bound::Included(key) => cursor.seek_for_prev(key),
        Bound::Excluded(key) => {
            cursor.seek_for_prev(key);
            if cursor.valid() && cursor.key() == key {
                cursor.prev();
            }
        }
        Bound::Unbounded => cursor.last(),
    }
}

/// Steps, and hands what is found to the typed side, which cannot go on over damaged bytes.
#[track_caller]
#[inline]
fn decoded<T>(
    walk: &mut Walk,
    step: impl FnOnce(&mut Walk) -> Result<Option<Item<'_>>, Corruption>,
    decode: impl FnOnce(Item<'_>) -> Result<T, Corruption>,
) -> Option<T> {
    match step(walk).and_then(|item| item.map(decode).transpose()) {
        Ok(item) => item,
        Err(corruption) => panic!("{}", walk.named(corruption)),
    }
}

macro_rules! iterator {
    ($(#[$doc:meta])* $name:ident yields $item:ty, $decode:expr) => {
        $(#[$doc])*
        #[must_use = "iterators are lazy and do nothing unless consumed"]
        pub struct $name<K, V> {
            walk: Walk,
            types: PhantomData<fn() -> (K, V)>,
        }

        impl<K: Key, V: Value> $name<K, V> {
            pub(crate) fn new(walk: Walk) -> Self {
                Self { walk, types: PhantomData }
            }
        }

        impl<K: Key, V: Value> Iterator for $name<K, V> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                decoded(&mut self.walk, Walk::next, $decode)
            }

            #[inline]
            fn last(mut self) -> Option<$item> {
                self.next_back()
            }
        }

        impl<K: Key, V: Value> DoubleEndedIterator for $name<K, V> {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                decoded(&mut self.walk, Walk::next_back, $decode)
            }
        }

        impl<K: Key, V: Value> FusedIterator for $name<K, V> {}

        impl<K, V> fmt::Debug for $name<K, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

iterator! {
    /// The entries of a map or of a range of it, in key order, from either end.
    ///
    /// Made by [`iter`](crate::MemKV::iter), [`range`](crate::MemKV::range) and
    /// [`prefix`](crate::MemKV::prefix). It sees the map as it was when it was made and holds no
    /// lock; it keeps that view alive until it is used up or dropped.
    ///
    /// # Panics
    /// If stored bytes turn out to be damaged; see [`fallible`](Iter::fallible).
    Iter yields (K, V), Self::decode
}

impl<K: Key, V: Value> Iter<K, V> {
    /// The same entries, each as a `Result`: for maps whose file may be damaged.
    ///
    /// The bytes of an opened file are checked as they are read, so that damage shows up on the
    /// way. This returns it where the iterator itself would panic.
    ///
    /// # Complexity
    /// O(1).
    ///
    /// # Example
    /// ```
    /// use memkv::{Error, MemKV};
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("apple", 3), ("pear", 4)]);
    /// let mut sum = 0;
    /// for entry in kv.range("b"..).fallible() {
    ///     sum += entry?.1;
    /// }
    /// assert_eq!(sum, 4);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fallible(self) -> TryIter<K, V> {
        TryIter { entries: self }
    }

    fn decode((key, value): Item<'_>) -> Result<(K, V), Corruption> {
        Ok((K::decode(key)?, V::decode(value)?))
    }
}

/// The entries of a map or of a range of it, in key order, from either end, or why they cannot be
/// read; made by [`Iter::fallible`]. After an error there are no more items.
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct TryIter<K, V> {
    entries: Iter<K, V>,
}

impl<K: Key, V: Value> TryIter<K, V> {
    #[inline]
    fn step(
        &mut self,
        step: impl FnOnce(&mut Walk) -> Result<Option<Item<'_>>, Corruption>,
    ) -> Option<Result<(K, V), Error>> {
        let walk = &mut self.entries.walk;
        let found = step(walk).and_then(|item| item.map(Iter::decode).transpose());
        if found.is_err() {
            walk.ends = None;
        }
        found.map_err(|corruption| walk.named(corruption)).transpose()
    }
}

impl<K: Key, V: Value> Iterator for TryIter<K, V> {
    type Item = Result<(K, V), Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.step(Walk::next)
    }
}

impl<K: Key, V: Value> DoubleEndedIterator for TryIter<K, V> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(Walk::next_back)
    }
}

impl<K: Key, V: Value> FusedIterator for TryIter<K, V> {}

impl<K, V> fmt::Debug for TryIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryIter").finish_non_exhaustive()
    }
}

iterator! {
    /// The keys of a map in order, from either end; made by [`keys`](crate::MemKV::keys).
    ///
    /// It sees the map as it was when it was made and holds no lock. Values are not read.
    ///
    /// # Panics
    /// If stored bytes turn out to be damaged.
    Keys yields K, |(key, _)| Ok(K::decode(key)?)
}

iterator! {
    /// The values of a map in the order of their keys, from either end; made by
    /// [`values`](crate::MemKV::values).
    ///
    /// It sees the map as it was when it was made and holds no lock. Keys are not decoded.
    ///
    /// # Panics
    /// If stored bytes turn out to be damaged.
    Values yields V, |(_, value)| V::decode(value)
}
