//! Public iterators: a thin typed shell over a walk between two bounds of a view.

use crate::batch::{Batch, Widths};
use crate::cursor::Cursor;
use crate::error::{Corruption, Error};
use crate::key::Key;
use crate::merge::FINDS;
use crate::query::Search;
use crate::range::{BoundKey, ByteRange, Direction};
use crate::snapshot::{View, ViewCursor};
use crate::sync::Arc;
use crate::value::Value;
use fst::Automaton;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::ops::Bound;
use std::path::Path;

/// A walk from both ends of a range towards the middle; untyped.
///
/// A cursor that exists stands on the entry that its end yielded last, or, if there are copies for that
/// end, on the last of these; or on one behind that, which newer layers hide, as they do all between. There are copies for one end at most, and none when the other one moves.
/// The range is used up when a step finds no entry before the other end's; the pin is then released at
/// once.
pub(crate) struct Walk {
    ends: Option<Ends>,
    /// Copies of the entries that come next.
    batch: Batch,
    /// The file that the map was opened from.
    file: Option<Arc<Path>>,
}

struct Ends {
    /// Until a cursor has it.
    view: Option<View>,
    range: ByteRange<BoundKey>,
    front: Option<ViewCursor>,
    /// In a box, since few walks have it, and iterators are moved.
    back: Option<Box<ViewCursor>>,
    /// The front goes to the lower bound next, which has been raised.
    is_raised: bool,
}

/// An encoded key and its encoded value.
type Item<'a> = (&'a [u8], &'a [u8]);

impl Walk {
    /// A walk over the entries of `range` in the view that `look` makes; none is needed for a range
    /// that is empty in itself.
    pub(crate) fn new(
        range: ByteRange<BoundKey>,
        file: Option<Arc<Path>>,
        look: impl FnOnce(&ByteRange<BoundKey>) -> View,
    ) -> Self {
        let ends = (!range.is_empty()).then(|| Ends {
            view: Some(look(&range)),
            range,
            front: None,
            back: None,
            is_raised: false,
        });
        Self { ends, batch: Batch::new(true), file }
    }

    /// What a corruption met by this walk is to the caller.
    fn named(&self, corruption: Corruption) -> Error {
        match &self.file {
            Some(file) => Error::damaged(file, corruption),
            None => Error::Corrupted(corruption),
        }
    }

    /// The same, of keys alone: their values may be empty. Nothing has been yielded yet.
    fn without_values(self) -> Self {
        Self { batch: Batch::new(false), ..self }
    }

    /// What `f` makes of the next entry from the end that goes in this direction.
    #[inline]
    fn go<T>(
        &mut self,
        direction: Direction,
        widths: Widths,
        mut f: impl FnMut(Item<'_>) -> Result<T, Corruption>,
    ) -> Result<Option<T>, Corruption> {
        match self.number(direction, widths, &mut f) {
            Some(found) => found.map(Some),
            None => self.step(direction, widths, f),
        }
    }

    /// As [`go`](Self::go), if there is a copy and its key is a number; else `None`.
    #[inline]
    fn number<T>(
        &mut self,
        direction: Direction,
        widths: Widths,
        f: impl FnOnce(Item<'_>) -> T,
    ) -> Option<T> {
        self.batch.take_likely(direction, widths, |key, value| f((key, value)))
    }

    /// As [`go`](Self::go), whatever there is.
    #[inline]
    fn step<T>(
        &mut self,
        direction: Direction,
        widths: Widths,
        mut f: impl FnMut(Item<'_>) -> Result<T, Corruption>,
    ) -> Result<Option<T>, Corruption> {
        match self.copied(direction, widths, &mut f) {
            Some(found) => found.map(Some),
            None => self.look(direction, widths, f),
        }
    }

    /// As [`go`](Self::go), if there is a copy; else `None`.
    #[inline]
    fn copied<T>(
        &mut self,
        direction: Direction,
        widths: Widths,
        f: impl FnOnce(Item<'_>) -> T,
    ) -> Option<T> {
        let i = self.batch.advance(direction)?;
        Some(self.batch.with_entry(i, widths, |key, value| f((key, value))))
    }

    /// As [`go`](Self::go), if there is no copy.
    #[inline(never)]
    fn look<T>(
        &mut self,
        direction: Direction,
        widths: Widths,
        f: impl FnOnce(Item<'_>) -> Result<T, Corruption>,
    ) -> Result<Option<T>, Corruption> {
        if !self.find(direction)? {
            return Ok(None);
        }
        match self.batch.advance(direction) {
            Some(i) => self.batch.with_entry(i, widths, |key, value| f((key, value))).map(Some),
            None => self.standing(direction).map(f).transpose(),
        }
    }

    /// What `f` makes of all entries from the end that goes in this direction, and of what it made of
    /// those before.
    #[inline]
    fn fold<B>(
        &mut self,
        direction: Direction,
        widths: Widths,
        start: B,
        mut f: impl FnMut(B, Item<'_>) -> Result<B, Corruption>,
    ) -> Result<B, Corruption> {
        let mut made = start;
        loop {
            made = self
                .batch
                .try_fold(direction, widths, made, |made, key, value| f(made, (key, value)))?;
            if !self.find(direction)? {
                return Ok(made);
            }
            if self.batch.is_empty(direction)
                && let Some(item) = self.standing(direction)
            {
                made = f(made, item)?;
            }
        }
    }

    /// Passes over so many entries from the end that goes in this direction, or as many as there are;
    /// answers how many. They are not decoded.
    fn skip(&mut self, direction: Direction, count: usize) -> Result<usize, Corruption> {
        let mut skipped = 0;
        loop {
            skipped += self.batch.skip(direction, count - skipped);
            if skipped == count || !self.find(direction)? {
                return Ok(skipped);
            }
            skipped += usize::from(self.batch.is_empty(direction));
        }
    }

    /// Goes on, forwards, with the first entry that has this key, which is greater than all that were
    /// yielded there, or a greater one.
    fn jump(&mut self, key: &[u8]) {
        self.batch.discard();
        if let Some(ends) = &mut self.ends {
            ends.range.lower = Bound::Included(key.into());
            ends.is_raised = true;
        }
    }

    /// Yields nothing any more.
    fn end(&mut self) {
        self.ends = None;
        self.batch.discard();
    }

    /// Finds the next entry from the end that goes in this direction, for which there are no copies.
    /// Whether there is one: then it is the first one that was copied or, if none were, the one that
    /// the end's cursor stands on.
    #[inline(never)]
    fn find(&mut self, direction: Direction) -> Result<bool, Corruption> {
        let Some(ends) = &mut self.ends else {
            return Ok(false);
        };
        let found = ends.settle(&mut self.batch).and_then(|()| match direction {
            Direction::Forward => ends.step_front(&mut self.batch),
            Direction::Backward => ends.step_back(&mut self.batch),
        });
        if found != Ok(true) {
            self.end();
        }
        found
    }

    /// The entry that the cursor of this end stands on.
    fn standing(&self, direction: Direction) -> Option<Item<'_>> {
        let cursor = self.ends.as_ref().and_then(|ends| match direction {
            Direction::Forward => ends.front.as_ref(),
            Direction::Backward => ends.back.as_deref(),
        });
        cursor.and_then(item)
    }
}

impl Ends {
    /// Forgets copies that have not been yielded, and goes back to where the last one that was stands:
    /// when the other end moves, it has to know where this one is.
    fn settle(&mut self, batch: &mut Batch) -> Result<(), Corruption> {
        let mark = batch.mark();
        let (cursor, left, back) = match batch.discard() {
            Some((Direction::Forward, left)) => (self.front.as_mut(), left, Direction::Backward),
            Some((Direction::Backward, left)) => {
                (self.back.as_deref_mut(), left, Direction::Forward)
            }
            None => return Ok(()),
        };
        let Some(cursor) = cursor else { return Ok(()) };
        match (&mark, back) {
            (None, _) => cursor.pass(back, left),
            (Some(key), Direction::Backward) => cursor.seek(key),
            (Some(key), Direction::Forward) => cursor.seek_for_prev(key),
        }
        cursor.status()?;
        // In a file that was made to deceive it may be anywhere.
        if mark.is_some_and(|key| !cursor.valid() || cursor.key() != key) {
            return Err(Corruption::new("keys", 0, FINDS));
        }
        Ok(())
    }

    /// Moves the front cursor; whether it found an entry that the back has not yielded. More that come
    /// next may be copied.
    fn step_front(&mut self, batch: &mut Batch) -> Result<bool, Corruption> {
        let Self { view, range, front, back, is_raised } = self;
        let is_raised = std::mem::take(is_raised);
        let is_first = is_raised || front.is_none();
        let Some(cursor) = enter(front, view, back.as_deref()) else { return Ok(false) };
        let is_in = |key: &[u8]| match &*back {
            Some(back) => key < back.key(),
            None => range.is_below_upper(key),
        };
        let is_due = !is_first && batch.is_due();
        if is_due && let Some(copied) = cursor.copy_next(Direction::Forward, batch, is_in) {
            return copied;
        }
        if is_first {
            seek_lower(cursor, &range.lower);
        } else {
            cursor.next();
        }
        if !cursor.valid() {
            return cursor.status().map(|()| false);
        }
        // Whoever raises it again and again counts on getting ahead, also in a file that was made to deceive.
        if is_raised && !range.is_above_lower(cursor.key()) {
            let rule = "a search finds nothing below what it is for";
            return Err(Corruption::new("keys", 0, rule));
        }
        let found = is_in(cursor.key());
        if found && is_due {
            look_ahead(cursor, Direction::Forward, batch, is_in);
        }
        Ok(found)
    }

    /// Moves the back cursor; whether it found an entry that the front has not yielded. More that come
    /// next may be copied.
    fn step_back(&mut self, batch: &mut Batch) -> Result<bool, Corruption> {
        let Self { view, range, front, back, .. } = self;
        let is_first = back.is_none();
        let Some(cursor) = enter(back, view, front.as_ref()) else { return Ok(false) };
        let is_in = |key: &[u8]| match &*front {
            Some(front) => key > front.key(),
            None => range.is_above_lower(key),
        };
        let is_due = !is_first && batch.is_due();
        if is_due && let Some(copied) = cursor.copy_next(Direction::Backward, batch, is_in) {
            return copied;
        }
        if is_first {
            seek_upper(&mut **cursor, &range.upper);
        } else {
            cursor.prev();
        }
        if !cursor.valid() {
            return cursor.status().map(|()| false);
        }
        let found = is_in(cursor.key());
        if found && is_due {
            look_ahead(cursor, Direction::Backward, batch, is_in);
        }
        Ok(found)
    }
}

/// The cursor of an end, which is made of the view if there is none, or of what the other end has.
#[inline]
fn enter<'a, C: From<ViewCursor>>(
    cursor: &'a mut Option<C>,
    view: &mut Option<View>,
    other: Option<&ViewCursor>,
) -> Option<&'a mut C> {
    if cursor.is_none() {
        let view = view.take().or_else(|| other.map(|other| other.view().clone()))?;
        *cursor = Some(C::from(ViewCursor::new(view)));
    }
    cursor.as_mut()
}

/// Copies the entry that the cursor stands on and those that come next and are in the range, if the
/// cursor lends some; it then stands on the last of them.
#[inline]
fn look_ahead(
    cursor: &mut ViewCursor,
    direction: Direction,
    batch: &mut Batch,
    is_in: impl Fn(&[u8]) -> bool,
) {
    let lent = cursor.lend(direction).map(|lent| lent.keep_while(direction, is_in));
    if let Some(copied) = batch.fill(lent, direction) {
        cursor.pass(direction, copied - 1);
    }
}

fn item(cursor: &ViewCursor) -> Option<Item<'_>> {
    cursor.entry().live().map(|value| (cursor.key(), value))
}

/// Moves to the first entry that a lower bound lets in.
fn seek_lower(cursor: &mut impl Cursor, lower: &Bound<BoundKey>) {
    match lower.as_ref().map(BoundKey::as_ref) {
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
fn seek_upper(cursor: &mut impl Cursor, upper: &Bound<BoundKey>) {
    match upper.as_ref().map(BoundKey::as_ref) {
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

/// There are no more entries.
struct Ended;

/// What was there when somebody looked for an entry.
pub(crate) enum Looked<T> {
    Wanted(T),
    /// One that is not wanted.
    Other,
    End,
}

/// What is known of the bytes of entries. A key that is a number most often has as many bytes as its type.
#[inline]
fn widths<K: Key, V: Value>() -> Widths {
    Widths::new(size_of::<K>(), V::FIXED_LEN.map(usize::from))
}

/// The same of keys whose values nobody wants.
#[inline]
fn key_width<K: Key>() -> Widths {
    Widths::new(size_of::<K>(), None)
}

/// What a walk has found, which cannot go on over damaged bytes.
#[track_caller]
#[inline]
fn sound<T>(walk: &Walk, found: Result<T, Corruption>) -> T {
    match found {
        Ok(found) => found,
        Err(corruption) => fail(walk, corruption),
    }
}

#[track_caller]
#[cold]
#[inline(never)]
fn fail(walk: &Walk, corruption: Corruption) -> ! {
    panic!("{}", walk.named(corruption))
}

macro_rules! iterator {
    ($(#[$doc:meta])* $name:ident yields $item:ty, from $walk:expr, $widths:expr, $decode:expr) => {
        $(#[$doc])*
        #[must_use = "iterators are lazy and do nothing unless consumed"]
        pub struct $name<K, V> {
            walk: Walk,
            types: PhantomData<fn() -> (K, V)>,
        }

        impl<K: Key, V: Value> $name<K, V> {
            pub(crate) fn new(walk: Walk) -> Self {
                Self { walk: $walk(walk), types: PhantomData }
            }

            /// The next entry, whatever it takes: out of the way of what it mostly takes, which is then
            /// handed on in registers, since this is another type.
            #[track_caller]
            #[inline(never)]
            fn step(&mut self, direction: Direction) -> Result<$item, Ended> {
                let found = self.walk.step(direction, $widths, $decode);
                sound(&self.walk, found).ok_or(Ended)
            }

            #[inline]
            fn go(&mut self, direction: Direction) -> Option<$item> {
                match self.walk.number(direction, $widths, $decode) {
                    Some(found) => Some(sound(&self.walk, found)),
                    None => self.step(direction).ok(),
                }
            }

            #[inline]
            fn fold_from<B>(
                mut self,
                direction: Direction,
                start: B,
                mut f: impl FnMut(B, $item) -> B,
            ) -> B {
                let decode = $decode;
                let folded = self.walk.fold(direction, $widths, start, |made, item| {
                    decode(item).map(|item| f(made, item))
                });
                sound(&self.walk, folded)
            }

            fn pass(&mut self, direction: Direction, count: usize) -> usize {
                let skipped = self.walk.skip(direction, count);
                sound(&self.walk, skipped)
            }
        }

        impl<K: Key, V: Value> Iterator for $name<K, V> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<$item> {
                self.go(Direction::Forward)
            }

            #[inline]
            fn nth(&mut self, n: usize) -> Option<$item> {
                self.pass(Direction::Forward, n);
                self.next()
            }

            #[inline]
            fn count(mut self) -> usize {
                self.pass(Direction::Forward, usize::MAX)
            }

            #[inline]
            fn last(mut self) -> Option<$item> {
                self.next_back()
            }

            #[inline]
            fn fold<B, F: FnMut(B, $item) -> B>(self, start: B, f: F) -> B {
                self.fold_from(Direction::Forward, start, f)
            }
        }

        impl<K: Key, V: Value> DoubleEndedIterator for $name<K, V> {
            #[inline]
            fn next_back(&mut self) -> Option<$item> {
                self.go(Direction::Backward)
            }

            #[inline]
            fn nth_back(&mut self, n: usize) -> Option<$item> {
                self.pass(Direction::Backward, n);
                self.next_back()
            }

            #[inline]
            fn rfold<B, F: FnMut(B, $item) -> B>(self, start: B, f: F) -> B {
                self.fold_from(Direction::Backward, start, f)
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
    Iter yields (K, V), from std::convert::identity, widths::<K, V>(), Self::decode
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

    /// The same entries, lent one after the other from one key and one value that are written over.
    ///
    /// Keys and values that are a `String` or `Vec<u8>` are not allocated for each entry then, which is
    /// most of what a walk over them takes.
    ///
    /// # Complexity
    /// O(1).
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("apple", 3), ("apricot", 1), ("pear", 4)]);
    /// let mut entries = kv.prefix("ap").lending();
    /// let mut letters = 0;
    /// while let Some((key, count)) = entries.next_ref() {
    ///     letters += key.len() as u64 * count;
    /// }
    /// assert_eq!(letters, 22);
    /// ```
    pub fn lending(self) -> LendingIter<K, V> {
        LendingIter { walk: self.walk, entry: None }
    }

    /// The entries whose keys `automaton` accepts, in key order: those that match a pattern, contain some
    /// letters in order, or are within an edit distance of a word.
    ///
    /// It reads the bytes of encoded keys: of text and byte strings their own, of unsigned numbers the
    /// highest byte first, of others what is in the order of their type. It runs over all that the map
    /// holds, folded or not. What begins in a way that cannot lead to a match is passed over without being
    /// read, as far as [`can_match`](crate::automaton::Automaton::can_match) says so.
    ///
    /// # Complexity
    /// O(1); then for all entries together O(k + log n) for each prefix that cannot lead to a match and has
    /// many keys, and O(k) for each entry, or key removed of late, that is not passed over so, of a key of k
    /// bytes. A state is kept for each byte of a key.
    ///
    /// # Panics
    /// The iterator panics if stored bytes are damaged; see
    /// [`Search::fallible`](crate::Search::fallible).
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// use memkv::automaton::{Automaton, Str, Subsequence};
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("apple", 1), ("grape", 2), ("pear", 3)]);
    /// let keys = |search| -> Vec<u64> { kv.iter().search(search).map(|(_, v)| v).collect() };
    /// assert_eq!(keys(Subsequence::new("ae")), [1, 2]);
    /// let mut few = kv.range("b"..).search(Str::new("ap").starts_with().complement());
    /// assert_eq!(few.next(), Some((String::from("grape"), 2)));
    /// ```
    pub fn search<A: Automaton>(self, automaton: A) -> Search<K, V, A> {
        Search::new(self, automaton)
    }

    /// Looks at the next entry, which is decoded only if `is_wanted` says so of its key.
    pub(crate) fn look_at(
        &mut self,
        mut is_wanted: impl FnMut(&[u8]) -> bool,
    ) -> Result<Looked<(K, V)>, Error> {
        let looked = self.walk.go(Direction::Forward, widths::<K, V>(), |item| {
            Ok(if is_wanted(item.0) { Looked::Wanted(Self::decode(item)?) } else { Looked::Other })
        });
        if looked.is_err() {
            self.walk.end();
        }
        looked.map(|looked| looked.unwrap_or(Looked::End)).map_err(|fault| self.walk.named(fault))
    }

    /// Goes on with the first entry that has this encoded key, which is greater than all that were
    /// looked at, or a greater one.
    pub(crate) fn jump(&mut self, key: &[u8]) {
        self.walk.jump(key);
    }

    /// Yields nothing any more.
    pub(crate) fn end(&mut self) {
        self.walk.end();
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
    fn go(&mut self, direction: Direction) -> Option<Result<(K, V), Error>> {
        let walk = &mut self.entries.walk;
        let found = walk.go(direction, widths::<K, V>(), Iter::decode);
        if found.is_err() {
            walk.end();
        }
        found.map_err(|corruption| walk.named(corruption)).transpose()
    }
}

impl<K: Key, V: Value> Iterator for TryIter<K, V> {
    type Item = Result<(K, V), Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.go(Direction::Forward)
    }
}

impl<K: Key, V: Value> DoubleEndedIterator for TryIter<K, V> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.go(Direction::Backward)
    }
}

impl<K: Key, V: Value> FusedIterator for TryIter<K, V> {}

impl<K, V> fmt::Debug for TryIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryIter").finish_non_exhaustive()
    }
}

/// The entries of a map or of a range of it, in key order, from either end, each lent until the next
/// one is asked for; made by [`Iter::lending`].
///
/// It sees the map as it was when it was made and holds no lock. After the last entry, or an error, there
/// are no more.
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct LendingIter<K, V> {
    walk: Walk,
    /// The entry that was lent last.
    entry: Option<(K, V)>,
}

impl<K: Key, V: Value> LendingIter<K, V> {
    /// The next entry from the front.
    ///
    /// # Complexity
    /// O(1). Nothing is allocated for a key or value that is a `String` or `Vec<u8>` and not longer than
    /// all before it, or than 32 bytes.
    ///
    /// # Panics
    /// If stored bytes turn out to be damaged; see [`try_next_ref`](Self::try_next_ref).
    #[inline]
    #[track_caller]
    pub fn next_ref(&mut self) -> Option<(&K, &V)> {
        passed(self.go(Direction::Forward));
        self.lent()
    }

    /// The next entry from the back; otherwise as [`next_ref`](Self::next_ref).
    ///
    /// # Panics
    /// If stored bytes turn out to be damaged.
    #[inline]
    #[track_caller]
    pub fn next_back_ref(&mut self) -> Option<(&K, &V)> {
        passed(self.go(Direction::Backward));
        self.lent()
    }

    /// As [`next_ref`](Self::next_ref), for maps whose file may be damaged.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Corrupted`] if the next entry cannot be read.
    #[inline]
    pub fn try_next_ref(&mut self) -> Result<Option<(&K, &V)>, Error> {
        self.go(Direction::Forward)?;
        Ok(self.lent())
    }

    /// As [`next_back_ref`](Self::next_back_ref), for maps whose file may be damaged.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Corrupted`] if the next entry cannot be read.
    #[inline]
    pub fn try_next_back_ref(&mut self) -> Result<Option<(&K, &V)>, Error> {
        self.go(Direction::Backward)?;
        Ok(self.lent())
    }

    #[inline]
    fn lent(&self) -> Option<(&K, &V)> {
        self.entry.as_ref().map(|(key, value)| (key, value))
    }

    /// Goes on to the next entry, if there is one.
    #[inline]
    fn go(&mut self, direction: Direction) -> Result<(), Error> {
        let Self { walk, entry } = self;
        let widths = widths::<K, V>();
        // Keys on the heap are seldom stored as numbers.
        let written = if const { std::mem::needs_drop::<K>() } {
            None
        } else {
            walk.number(direction, widths, |item| Self::write(entry, item))
        };
        let written = written.or_else(|| {
            let i = walk.batch.advance(direction)?;
            Some(match walk.batch.text(i, widths) {
                Some((text, len, value)) => Self::write_start(entry, text, len, value),
                None => {
                    walk.batch.with_entry(i, widths, |key, value| Self::write(entry, (key, value)))
                }
            })
        });
        match written {
            Some(Ok(())) => Ok(()),
            Some(Err(corruption)) => Err(self.end(corruption)),
            None => self.step(direction),
        }
    }

    /// The same, whatever it takes.
    #[inline(never)]
    fn step(&mut self, direction: Direction) -> Result<(), Error> {
        let Self { walk, entry } = self;
        match walk.look(direction, widths::<K, V>(), |item| Self::write(entry, item)) {
            Ok(Some(())) => Ok(()),
            Ok(None) => {
                self.entry = None;
                Ok(())
            }
            Err(corruption) => Err(self.end(corruption)),
        }
    }

    /// Lends nothing any more.
    #[cold]
    fn end(&mut self, corruption: Corruption) -> Error {
        self.walk.end();
        self.entry = None;
        self.walk.named(corruption)
    }

    /// Writes an entry over the one before it.
    #[inline]
    fn write(entry: &mut Option<(K, V)>, (key, value): Item<'_>) -> Result<(), Corruption> {
        Self::write_start(entry, key, key.len(), value)
    }

    /// The same; the key is the first `len` bytes of `text`.
    #[expect(clippy::inline_always, reason = "a step is in the caller's loop")]
    #[inline(always)]
    fn write_start(
        entry: &mut Option<(K, V)>,
        text: &[u8],
        len: usize,
        value: &[u8],
    ) -> Result<(), Corruption> {
        if let Some((old_key, old_value)) = entry {
            old_key.decode_start_into(text, len)?;
            return old_value.decode_into(value);
        }
        *entry = Some((K::decode(text.get(..len).unwrap_or(text))?, V::decode(value)?));
        Ok(())
    }
}

/// What was found, in a map whose bytes are sound.
#[track_caller]
#[inline]
pub(crate) fn passed<T>(found: Result<T, Error>) -> T {
    match found {
        Ok(found) => found,
        Err(error) => panic!("{error}"),
    }
}

impl<K, V> fmt::Debug for LendingIter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LendingIter").finish_non_exhaustive()
    }
}

iterator! {
    /// The keys of a map in order, from either end; made by [`keys`](crate::MemKV::keys).
    ///
    /// It sees the map as it was when it was made and holds no lock. Values are not decoded.
    ///
    /// # Panics
    /// If stored bytes turn out to be damaged.
    Keys yields K, from Walk::without_values, key_width::<K>(), |(key, _): Item<'_>| Ok(K::decode(key)?)
}

iterator! {
    /// The values of a map in the order of their keys, from either end; made by
    /// [`values`](crate::MemKV::values).
    ///
    /// It sees the map as it was when it was made and holds no lock. Keys are not decoded.
    ///
    /// # Panics
    /// If stored bytes turn out to be damaged.
    Values yields V, from std::convert::identity, widths::<K, V>(), |(_, value): Item<'_>| V::decode(value)
}
