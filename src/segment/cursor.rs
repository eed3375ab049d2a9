//! The cursor over a segment.

use super::bits::Bits;
use super::front::{DirectKeys, FrontWalk};
use super::fst::FstWalk;
use super::int::{IntWalk, MAX_WIDTH, spelled};
use super::plain::PlainWalk;
use super::soon::Soon;
use super::values::Place;
use super::wide::WideWalk;
use super::{KeyHead, Keys, Known, Located, Ordinal, Segment};
use crate::batch::{Batch, Lent, kept};
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, EntryKind, ValueWidth};
use crate::error::Corruption;
use crate::range::Direction;
use crate::strings::Strings;
use std::ops::{Deref, Range};

/// A position among the keys of one codec.
enum Walk {
    Plain(PlainWalk),
    /// In boxes, so that those who keep several cursors need not keep much.
    Front(Box<FrontWalk>),
    Fst(Box<FstWalk>),
    Int(IntWalk),
    Wide(Box<WideWalk>),
}

/// A way to move.
#[derive(Clone, Copy)]
enum Move<'k> {
    To(Goal<'k>),
    Next,
    Prev,
}

/// An entry to go to from anywhere.
#[derive(Clone, Copy)]
enum Goal<'k> {
    First,
    Last,
    Seek(&'k [u8]),
    SeekForPrev(&'k [u8]),
}

impl Goal<'_> {
    /// Which way a walk from there goes.
    fn direction(self) -> Direction {
        match self {
            Self::First | Self::Seek(_) => Direction::Forward,
            Self::Last | Self::SeekForPrev(_) => Direction::Backward,
        }
    }

    /// The ordinal of the entry among `len`, if there may be one, where `search` finds a key or
    /// the first one above it.
    fn ordinal(
        self,
        len: u64,
        search: impl FnOnce(&[u8]) -> Result<Result<u64, u64>, Corruption>,
    ) -> Result<Option<u64>, Corruption> {
        Ok(match self {
            Self::First => Some(0),
            Self::Last => len.checked_sub(1),
            Self::Seek(key) => {
                let (Ok(ordinal) | Err(ordinal)) = search(key)?;
                Some(ordinal)
            }
            Self::SeekForPrev(key) => match search(key)? {
                Ok(ordinal) => Some(ordinal),
                Err(above) => above.checked_sub(1),
            },
        })
    }
}

/// A cursor over a segment, which it borrows or shares.
pub(crate) struct SegmentCursor<S> {
    segment: S,
    walk: Walk,
    /// The entry it stands on, of which everything has been checked, so that reading it cannot fail.
    standing: Option<(Ordinal, Located)>,
    status: Result<(), Corruption>,
}

impl<S: Deref<Target = Segment>> SegmentCursor<S> {
    /// A cursor without a position. Allocates at most a few hundred bytes yet.
    #[inline]
    pub(crate) fn new(segment: S) -> Self {
        // Of a damaged segment no entry is found, whatever walks there.
        let walk = match segment.known().map(|known| &known.head) {
            Ok(KeyHead::Fst) => Walk::Fst(Box::default()),
            Ok(KeyHead::Front(_) | KeyHead::Direct(_)) => Walk::Front(Box::default()),
            Ok(KeyHead::Int(_)) => Walk::Int(IntWalk::default()),
            Ok(KeyHead::Wide(_)) => Walk::Wide(Box::default()),
            Ok(KeyHead::Plain) | Err(_) => Walk::Plain(PlainWalk::default()),
        };
        Self { segment, walk, standing: None, status: Ok(()) }
    }

    /// The ordinal of the entry it stands on.
    pub(crate) fn ordinal(&self) -> Option<Ordinal> {
        self.standing.as_ref().map(|(ordinal, _)| *ordinal)
    }

    fn go(&mut self, way: Move<'_>) {
        let Self { segment, walk, .. } = self;
        let moved = segment.known().and_then(|known| walk.go(segment, known, way));
        self.arrive(moved);
    }

    /// Stands where a move led to, if it led anywhere.
    fn arrive(&mut self, moved: Result<Option<u64>, Corruption>) {
        self.standing = None;
        self.status = Ok(());
        match moved {
            Ok(None) => {}
            Ok(Some(ordinal)) => self.land(ordinal),
            Err(corruption) => self.status = Err(corruption),
        }
    }

    /// Copies entries that come next in this direction, as long as `is_in` says so of their keys, and stands
    /// on the last of them; whether there are any. `None`, and nothing has changed, if there is no short way
    /// to those that come next, or they are not in this segment.
    pub(crate) fn copy_next(
        &mut self,
        direction: Direction,
        batch: &mut Batch,
        is_in: impl Fn(&[u8]) -> bool,
    ) -> Option<Result<bool, Corruption>> {
        self.standing.as_ref()?;
        let walk = match &mut self.walk {
            Walk::Int(walk) => walk,
            Walk::Wide(_) => return self.copy_next_wide(direction, batch, is_in),
            Walk::Front(_) => return self.copy_next_text(direction, batch, is_in),
            Walk::Plain(_) | Walk::Fst(_) => return None,
        };
        let (keys, column) = self.segment.numbers()?;
        let most = Batch::most(MAX_WIDTH, column.width) as u64;
        let copied = batch.take_from(direction, keys.width(), |numbers, values| {
            let ordinals = match walk.ahead(keys, direction, most, numbers)? {
                Ok(ordinals) => keep_numbers(numbers, ordinals, direction, |number| {
                    is_in(spelled(number, keys.width(), &mut [0; MAX_WIDTH]))
                }),
                Err(corruption) => return Some(Err(corruption)),
            };
            if let Some(values) = values {
                column.copy(ordinals.clone(), values)?;
            }
            Some(Ok(walk.stand_behind(direction, &ordinals, numbers)))
        })?;
        let stood = copied.map(|last| last.map(|last| (last, column.get(last))));
        Some(stood.and_then(|last| self.stand(last)))
    }

    /// The same of heads and tails.
    fn copy_next_wide(
        &mut self,
        direction: Direction,
        batch: &mut Batch,
        is_in: impl Fn(&[u8]) -> bool,
    ) -> Option<Result<bool, Corruption>> {
        let Self { segment, walk: Walk::Wide(walk), .. } = self else { return None };
        let known = segment.known().ok()?;
        let (Keys::Wide(keys), ValueWidth::Fixed(width)) = (segment.keys_of(known), segment.width)
        else {
            return None;
        };
        if !known.layout.is_base() {
            return None;
        }
        let (key_len, width) = (keys.key_len(), usize::from(width));
        let most = Batch::most(key_len, width) as u64;
        let values = segment.values(&known.layout);
        let copied = batch.take_keys_from(direction, key_len, |bytes, has_values| {
            let mut ordinals = match walk.ahead(keys, direction, most, bytes)? {
                Ok(ordinals) => ordinals,
                Err(corruption) => return Some((0, Err(corruption))),
            };
            keep_keys(bytes, key_len, &mut ordinals, direction, is_in);
            let len = (ordinals.end - ordinals.start) as usize;
            if len > 0 {
                // Those that cannot be read are not passed over either where keys alone are wanted.
                let (lent, width) = values.lend(ordinals.clone())?;
                if has_values {
                    lent.copy(0..len, width, bytes)?;
                }
            }
            // Last, since until then nothing must have changed.
            let last = walk.stand_behind(direction, &ordinals, &bytes[..len * key_len]);
            Some((len, Ok(last.map(|last| (last, values.place(last))))))
        })?;
        Some(copied.and_then(|last| self.stand_at(last)))
    }

    /// The same of text: the keys of a block, or what is left of it, and of more blocks in a long walk.
    fn copy_next_text(
        &mut self,
        direction: Direction,
        batch: &mut Batch,
        is_in: impl Fn(&[u8]) -> bool,
    ) -> Option<Result<bool, Corruption>> {
        let Self { segment, walk: Walk::Front(walk), .. } = self else { return None };
        let Known { layout, head } = segment.known().ok()?;
        let (KeyHead::Front(head) | KeyHead::Direct(head), ValueWidth::Fixed(width)) =
            (head, segment.width)
        else {
            return None;
        };
        if !layout.is_base() {
            return None;
        }
        let for_values = Batch::most(1, width.into());
        let keys = &segment.front_keys(layout, *head);
        let copied = batch.take_strings(direction, |most, strings, out| {
            let most = most.min(for_values);
            let mut ordinals = match walk.ahead(keys, direction, most, strings)? {
                Ok(ordinals) => ordinals,
                Err(corruption) => return Some(Err(corruption)),
            };
            keep_strings(strings, &mut ordinals, direction, is_in);
            if strings.len() == 0 {
                return Some(Ok(None));
            }
            // Those that cannot be read are not passed over either where keys alone are wanted.
            let values = segment.values(layout);
            let (lent, width) = values.lend(ordinals.clone())?;
            if let Some(out) = out {
                lent.copy(0..strings.len(), width, out)?;
            }
            // Last, since until then nothing must have changed.
            let last = walk.stand_behind(direction, &ordinals, strings)?;
            Some(Ok(Some((last, values.place(last)))))
        })?;
        Some(copied.and_then(|last| self.stand_at(last)))
    }

    /// Stands on a value of a base, if there is one, whose place was looked up; whether there is one.
    #[inline]
    fn stand_at(
        &mut self,
        entry: Option<(u64, Result<Place, Corruption>)>,
    ) -> Result<bool, Corruption> {
        self.status = Ok(());
        let Some((ordinal, place)) = entry else { return Ok(false) };
        self.standing = None;
        self.status = place.map(|value| {
            let located = Located { kind: EntryKind::Value, below: Below::Absent, value };
            self.standing = Some((Ordinal(ordinal), located));
        });
        self.status.map(|()| true)
    }

    /// Stands on an entry, if there is one, whose value may be known; whether there is one.
    #[inline]
    fn stand(&mut self, entry: Option<(u64, Soon)>) -> Result<bool, Corruption> {
        self.status = Ok(());
        let Some((ordinal, value)) = entry else { return Ok(false) };
        let Soon::Value(value) = value else {
            self.land(ordinal);
            return self.status.map(|()| true);
        };
        self.stand_at(Some((ordinal, Ok(Place::Number(value.to_le_bytes())))))
    }

    /// Stands on the entry that a move led to.
    fn land(&mut self, ordinal: u64) {
        match self.segment.locate(Ordinal(ordinal)) {
            Ok(entry) => self.standing = Some((Ordinal(ordinal), entry)),
            Err(corruption) => {
                self.standing = None;
                self.status = Err(corruption);
            }
        }
    }
}

/// Which of `len` neighbouring entries from `first` on are values, on both sides of the one at `slot`
/// without a gap; `None` if that is none, or nobody can say. Where there are tombstones, no more than
/// the word has that says of which entries near it they are.
fn values_around(
    tombstones: Bits<'_>,
    first: u64,
    len: usize,
    slot: usize,
) -> Option<Range<usize>> {
    if tombstones.is_empty() {
        return Some(0..len);
    }
    let ordinal = first + slot as u64;
    let word = tombstones.word(ordinal / 64).ok()?;
    let place = (ordinal % 64) as u32;
    let (before, behind) = (word & !(u64::MAX << place), word >> place);
    if behind & 1 == 1 {
        return None;
    }
    let below = (place - (u64::BITS - before.leading_zeros())) as usize;
    let above = (u64::BITS - place).min(behind.trailing_zeros()) as usize;
    Some(slot.saturating_sub(below)..len.min(slot + above))
}

/// Leaves of ascending numbers those that come first in this direction, as long as `is_in` says so; answers
/// which of these ordinals are theirs.
fn keep_numbers(
    numbers: &mut Vec<u64>,
    ordinals: Range<u64>,
    direction: Direction,
    is_in: impl Fn(u64) -> bool,
) -> Range<u64> {
    let farthest = match direction {
        Direction::Forward => numbers.last(),
        Direction::Backward => numbers.first(),
    };
    // Most often they all stay: then one look is enough.
    if farthest.is_none_or(|farthest| is_in(*farthest)) {
        return ordinals;
    }
    match direction {
        Direction::Forward => {
            numbers.truncate(numbers.partition_point(|number| is_in(*number)));
            ordinals.start..ordinals.start + numbers.len() as u64
        }
        Direction::Backward => {
            numbers.drain(..numbers.partition_point(|number| !is_in(*number)));
            ordinals.end - numbers.len() as u64..ordinals.end
        }
    }
}

/// The same of keys of `len` bytes, one after the other.
fn keep_keys(
    keys: &mut Vec<u8>,
    len: usize,
    ordinals: &mut Range<u64>,
    direction: Direction,
    is_in: impl Fn(&[u8]) -> bool,
) {
    let count = keys.len() / len;
    let kept = kept(count, direction, |i| is_in(&keys[i * len..(i + 1) * len]));
    if kept.len() < count {
        keys.truncate(kept.end * len);
        keys.drain(..kept.start * len);
        *ordinals = ordinals.start + kept.start as u64..ordinals.start + kept.end as u64;
    }
}

/// The same of strings.
#[inline]
fn keep_strings(
    strings: &mut Strings,
    ordinals: &mut Range<u64>,
    direction: Direction,
    is_in: impl Fn(&[u8]) -> bool,
) {
    let kept = kept(strings.len(), direction, |i| is_in(strings.get(i)));
    if kept.len() < strings.len() {
        strings.bounds.truncate(kept.end + 1);
        strings.bounds.drain(..kept.start);
        *ordinals = ordinals.start + kept.start as u64..ordinals.start + kept.end as u64;
    }
}

impl Walk {
    fn go(
        &mut self,
        segment: &Segment,
        known: &Known,
        way: Move<'_>,
    ) -> Result<Option<u64>, Corruption> {
        match (self, segment.keys_of(known)) {
            (Self::Plain(walk), Keys::Plain(keys)) => match way {
                Move::To(goal) => {
                    let ordinal = goal.ordinal(keys.len(), |key| keys.search(key))?;
                    walk.go_to(keys, ordinal)
                }
                Move::Next => walk.next(keys),
                Move::Prev => walk.prev(keys),
            },
            (
                Self::Front(walk),
                Keys::Front(keys) | Keys::Direct(DirectKeys { front: keys, .. }),
            ) => match way {
                Move::To(goal) => {
                    let ordinal = goal.ordinal(keys.len(), |key| keys.search(key, |_| ()))?;
                    walk.go_to(&keys, ordinal)
                }
                Move::Next => walk.next(&keys),
                Move::Prev => walk.prev(&keys),
            },
            (Self::Int(walk), Keys::Int(keys)) => match way {
                Move::To(Goal::Seek(key)) => {
                    walk.seek(keys, key, &mut segment.values(&known.layout))
                }
                Move::To(goal) => {
                    let ordinal = goal.ordinal(keys.len(), |key| keys.search(key, |_| ()))?;
                    walk.go_to(keys, ordinal, goal.direction())
                }
                Move::Next => walk.next(keys),
                Move::Prev => walk.prev(keys),
            },
            (Self::Fst(walk), Keys::Fst(keys)) => match way {
                Move::To(Goal::First) => walk.first(keys),
                Move::To(Goal::Last) => walk.last(keys),
                Move::To(Goal::Seek(key)) => walk.seek(keys, key),
                Move::To(Goal::SeekForPrev(key)) => walk.seek_for_prev(keys, key),
                Move::Next => walk.next(keys),
                Move::Prev => walk.prev(keys),
            },
            (Self::Wide(walk), Keys::Wide(keys)) => match way {
                Move::To(Goal::Seek(key)) => {
                    walk.seek(keys, key, &mut segment.values(&known.layout))
                }
                Move::To(goal) => {
                    let ordinal = goal.ordinal(keys.len(), |key| keys.search(key, |_| ()))?;
                    walk.go_to(keys, ordinal, goal.direction())
                }
                Move::Next => walk.go(keys, Direction::Forward),
                Move::Prev => walk.go(keys, Direction::Backward),
            },
            // Only if the segment could not be read when the cursor was made.
            (Self::Plain(_) | Self::Front(_) | Self::Int(_) | Self::Fst(_) | Self::Wide(_), _) => {
                Err(Corruption::new("segment header", 0, "it reads the same each time"))
            }
        }
    }
}

impl<S: Deref<Target = Segment>> Cursor for SegmentCursor<S> {
    fn first(&mut self) {
        self.go(Move::To(Goal::First));
    }

    fn last(&mut self) {
        self.go(Move::To(Goal::Last));
    }

    fn seek(&mut self, key: &[u8]) {
        if let Walk::Int(walk) = &mut self.walk
            && let Some((keys, mut column)) = self.segment.numbers()
        {
            let found = walk.seek(keys, key, &mut column);
            let found = found.map(|found| found.map(|ordinal| (ordinal, column.get(ordinal))));
            self.standing = None;
            if let Err(corruption) = found.and_then(|found| self.stand(found)) {
                self.status = Err(corruption);
            }
            return;
        }
        self.go(Move::To(Goal::Seek(key)));
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        self.go(Move::To(Goal::SeekForPrev(key)));
    }

    #[inline]
    fn next(&mut self) {
        if !self.valid() {
            return;
        }
        // Nearly all steps stay in their block. SCRATCHPAD.md section 3.2.
        let stepped = match &mut self.walk {
            Walk::Front(walk) => walk.step_up(),
            Walk::Int(walk) => walk.step_up(),
            Walk::Wide(walk) => walk.step_up(),
            Walk::Plain(_) | Walk::Fst(_) => None,
        };
        if let Some(ordinal) = stepped {
            return self.land(ordinal);
        }
        self.go(Move::Next);
    }

    #[inline]
    fn prev(&mut self) {
        if !self.valid() {
            return;
        }
        let stepped = match &mut self.walk {
            Walk::Front(walk) => walk.step_down(),
            Walk::Int(walk) => walk.step_down(),
            Walk::Wide(walk) => walk.step_down(),
            Walk::Plain(_) | Walk::Fst(_) => None,
        };
        if let Some(ordinal) = stepped {
            return self.land(ordinal);
        }
        self.go(Move::Prev);
    }

    #[inline]
    fn valid(&self) -> bool {
        self.standing.is_some()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        match &self.walk {
            Walk::Fst(walk) => walk.key(),
            Walk::Front(walk) => walk.key(),
            Walk::Int(walk) => walk.key(),
            Walk::Wide(walk) => walk.key(),
            Walk::Plain(walk) => match self.segment.keys() {
                Ok(Keys::Plain(keys)) => walk.key(keys),
                _ => &[],
            },
        }
    }

    #[inline]
    fn entry(&self) -> Entry<'_> {
        let standing = self.standing.as_ref();
        let (_, located) = standing.expect("a cursor's entry is read only where it stands on one");
        self.segment.lend(located)
    }

    #[inline]
    fn is_tombstone(&self) -> bool {
        self.standing.as_ref().is_some_and(|(_, located)| located.kind == EntryKind::Tombstone)
    }

    fn status(&self) -> Result<(), Corruption> {
        self.status
    }

    fn lend(&self, direction: Direction) -> Option<Lent<'_>> {
        let Ordinal(ordinal) = self.ordinal()?;
        let (keys, slot) = match &self.walk {
            Walk::Front(walk) => walk.lend()?,
            Walk::Int(walk) => walk.lend()?,
            Walk::Wide(walk) => walk.lend()?,
            Walk::Plain(_) | Walk::Fst(_) => return None,
        };
        let segment: &Segment = &self.segment;
        let layout = segment.layout().ok()?;
        let first = ordinal - slot as u64;
        let values = values_around(segment.tombstones(layout), first, keys.len(), slot)?;
        let range = match direction {
            Direction::Forward => slot..values.end,
            Direction::Backward => values.start..slot + 1,
        };
        let ordinals = first + range.start as u64..first + range.end as u64;
        let (values, width) = segment.values(layout).lend(ordinals)?;
        Some(Lent::new(keys.slice(range), values, width))
    }

    fn pass(&mut self, direction: Direction, count: usize) {
        // Nothing is lent by others, or elsewhere.
        let passed = match &mut self.walk {
            _ if count == 0 => return,
            Walk::Front(walk) => match self.segment.keys() {
                Ok(Keys::Front(keys) | Keys::Direct(DirectKeys { front: keys, .. })) => {
                    walk.pass(&keys, direction, count)
                }
                _ => return,
            },
            Walk::Int(walk) => match self.segment.keys() {
                Ok(Keys::Int(keys)) => walk.pass(keys, direction, count),
                _ => return,
            },
            Walk::Wide(walk) => match self.segment.keys() {
                Ok(Keys::Wide(keys)) => walk.pass(keys, direction, count),
                _ => return,
            },
            Walk::Plain(_) | Walk::Fst(_) => return,
        };
        self.arrive(passed);
    }
}
