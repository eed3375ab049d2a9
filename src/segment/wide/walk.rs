//! A position among keys of heads and tails, and its neighbours put together.

use super::pattern::KeyBytes;
use super::{MAX_LEN, WideKeys, damaged};
use crate::arena::OutOfMemory;
use crate::batch::LentKeys;
use crate::bytes::copy_short;
use crate::error::{Corruption, Error};
use crate::range::Direction;
use crate::segment::int::{Near, is_beyond, neighbours};
use std::ops::Range;

/// Keys that are put together at most, all of one piece; where a walk begins, after which there are twice
/// as many each time; and where there is no memory for more.
const MOST: u64 = 256;
const FIRST: u64 = 16;
const FEW: u64 = 8;

/// A position: a key, and the keys around it if they are put together. A search for the first key that is not
/// below another one puts no other together.
pub(in super::super) struct WideWalk {
    /// Those of the keys that were put together last, here or elsewhere.
    heads: Vec<u64>,
    /// The keys of all of these, or none.
    keys: Vec<u8>,
    /// The ordinal of the first of these.
    start: u64,
    /// Keys to put together next, at most.
    most: u64,
    ordinal: u64,
    /// The key it stands on, and its head.
    head: u64,
    key: KeyBytes,
    key_len: usize,
}

impl Default for WideWalk {
    fn default() -> Self {
        Self {
            heads: Vec::new(),
            keys: Vec::new(),
            start: 0,
            most: FIRST,
            ordinal: 0,
            head: 0,
            key: [0; MAX_LEN],
            key_len: 0,
        }
    }
}

impl WideWalk {
    /// The key it stands on.
    #[inline]
    pub(in super::super) fn key(&self) -> &[u8] {
        &self.key[..self.key_len]
    }

    /// Moves to the first key that is not below `key`, if there is one. `near` is told of ordinals close to
    /// it before it is found.
    pub(in super::super) fn seek(
        &mut self,
        keys: WideKeys<'_>,
        key: &[u8],
        near: &mut impl Near,
    ) -> Result<Option<u64>, Corruption> {
        self.most = FIRST;
        self.keys.clear();
        let Some((ordinal, head)) = keys.seek(key, near)? else { return Ok(None) };
        self.key_len = keys.key_len();
        keys.join_all(ordinal, &[head], &mut self.key[..self.key_len])?;
        (self.ordinal, self.head) = (ordinal, head);
        Ok(Some(ordinal))
    }

    /// Moves to key `ordinal`, if there is one. A walk from there will go in this direction.
    pub(in super::super) fn go_to(
        &mut self,
        keys: WideKeys<'_>,
        ordinal: Option<u64>,
        direction: Direction,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = ordinal.filter(|ordinal| *ordinal < keys.len()) else {
            return Ok(None);
        };
        if self.stand(ordinal).is_none() {
            self.most = FIRST;
            self.enter(keys, ordinal, direction, None)?;
        }
        Ok(Some(ordinal))
    }

    /// Moves to the next larger key, if it is put together.
    #[inline]
    pub(in super::super) fn step_up(&mut self) -> Option<u64> {
        self.stand(self.ordinal.checked_add(1)?)
    }

    /// Moves to the next smaller key, if it is put together.
    #[inline]
    pub(in super::super) fn step_down(&mut self) -> Option<u64> {
        self.stand(self.ordinal.checked_sub(1)?)
    }

    /// Stands on the key of `ordinal`, if it is put together.
    #[inline]
    fn stand(&mut self, ordinal: u64) -> Option<u64> {
        let slot = ordinal.wrapping_sub(self.start) as usize;
        let at = slot.checked_mul(self.key_len)?;
        let key = self.keys.get(at..at.checked_add(self.key_len)?)?;
        copy_short(&mut self.key[..self.key_len], key);
        (self.ordinal, self.head) = (ordinal, *self.heads.get(slot)?);
        Some(ordinal)
    }

    /// The keys that are put together, if there are any, and the place of the one it stands on among them.
    pub(in super::super) fn lend(&self) -> Option<(LentKeys<'_>, usize)> {
        let slot = self.ordinal.wrapping_sub(self.start) as usize;
        let keys = LentKeys::Fixed(&self.keys, self.key_len);
        (!self.keys.is_empty()).then_some((keys, slot))
    }

    /// Makes `out` keys that come next in this direction, `most` at most, in ascending order; answers their
    /// ordinals, or `None` if there are no more, or no memory.
    pub(in super::super) fn ahead(
        &mut self,
        keys: WideKeys<'_>,
        direction: Direction,
        most: u64,
        out: &mut Vec<u8>,
    ) -> Option<Result<Range<u64>, Corruption>> {
        let next = self.beyond(keys, direction)?;
        let most = most.min(self.most).max(1);
        self.keys.clear();
        let before = Some(self.head);
        let found = match neighbours(keys.heads, next, direction, most, before, &mut self.heads) {
            Ok(found) => found,
            Err(corruption) => return Some(Err(corruption)),
        };
        self.start = found.start;
        let len = self.heads.len() * keys.key_len();
        out.clear();
        out.try_reserve(len).ok()?;
        out.resize(len, 0);
        self.most = (self.most * 2).min(MOST);
        let nearest = match direction {
            Direction::Forward => self.heads.first(),
            Direction::Backward => self.heads.last(),
        };
        if !nearest.is_some_and(|head| is_beyond(*head, self.head, direction)) {
            return Some(Err(unordered(next)));
        }
        Some(keys.join_all(found.start, &self.heads, out).map(|()| found))
    }

    /// Moves to the last of these keys in this direction, which were found [`ahead`](Self::ahead) under
    /// these ordinals, if there are any.
    pub(in super::super) fn stand_behind(
        &mut self,
        direction: Direction,
        ordinals: &Range<u64>,
        keys: &[u8],
    ) -> Option<u64> {
        let len = self.key_len;
        let (ordinal, key) = match direction {
            Direction::Forward => (ordinals.end.checked_sub(1)?, keys.rchunks_exact(len).next()?),
            Direction::Backward => (ordinals.start, keys.chunks_exact(len).next()?),
        };
        self.head = *self.heads.get(ordinal.wrapping_sub(self.start) as usize)?;
        self.key[..len].copy_from_slice(key);
        self.ordinal = ordinal;
        Some(ordinal)
    }

    /// Moves so many keys on, which there are.
    pub(in super::super) fn pass(
        &mut self,
        keys: WideKeys<'_>,
        direction: Direction,
        count: usize,
    ) -> Result<Option<u64>, Corruption> {
        // Those that were copied elsewhere are gone back to, and then a walk goes on as it came.
        let onward = direction.opposite();
        self.go_to(keys, direction.step(self.ordinal, count as u64), onward)
    }

    /// Moves to the next key in this direction.
    pub(in super::super) fn go(
        &mut self,
        keys: WideKeys<'_>,
        direction: Direction,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = self.beyond(keys, direction) else { return Ok(None) };
        if self.stand(ordinal).is_some() {
            return Ok(Some(ordinal));
        }
        let before = self.head;
        self.enter(keys, ordinal, direction, Some(before))?;
        if is_beyond(self.head, before, direction) {
            return Ok(Some(ordinal));
        }
        self.keys.clear();
        Err(unordered(ordinal))
    }

    /// The ordinal of the next key in this direction, if there is one.
    fn beyond(&self, keys: WideKeys<'_>, direction: Direction) -> Option<u64> {
        direction.step(self.ordinal, 1).filter(|next| *next < keys.len())
    }

    /// Puts keys from `ordinal` on together, in this direction, and stands on that one. The head before them in
    /// this direction may be known.
    fn enter(
        &mut self,
        keys: WideKeys<'_>,
        ordinal: u64,
        direction: Direction,
        before: Option<u64>,
    ) -> Result<(), Corruption> {
        // If that fails, it does not stand among those before any more.
        self.keys.clear();
        self.key_len = keys.key_len();
        let mut most = self.most;
        loop {
            let heads = &mut self.heads;
            self.start = neighbours(keys.heads, ordinal, direction, most, before, heads)?.start;
            let len = self.heads.len() * self.key_len;
            if most > FEW && self.keys.try_reserve_exact(len).is_err() {
                most = FEW;
                continue;
            }
            self.keys.resize(len, 0);
            break;
        }
        let joined = keys.join_all(self.start, &self.heads, &mut self.keys);
        if joined.is_err() || self.stand(ordinal).is_none() {
            self.keys.clear();
        }
        self.most = (self.most * 2).min(MOST);
        joined
    }
}

#[cold]
fn unordered(ordinal: u64) -> Corruption {
    damaged(ordinal as usize, "heads ascend")
}

/// The keys of a piece, to be appended to another segment.
#[derive(Default)]
pub(in super::super) struct WidePiece {
    heads: Vec<u64>,
    /// The keys of these heads.
    bytes: Vec<u8>,
    /// The ordinal of the first one.
    first: u64,
    /// Bytes of each key.
    key_len: usize,
}

impl WidePiece {
    /// Puts the keys of the piece of key `ordinal` together, which exists.
    pub(in super::super) fn load(&mut self, keys: WideKeys<'_>, ordinal: u64) -> Result<(), Error> {
        let loaded = self.join(keys, ordinal);
        if loaded.is_err() {
            self.heads.clear();
        }
        loaded
    }

    fn join(&mut self, keys: WideKeys<'_>, ordinal: u64) -> Result<(), Error> {
        self.key_len = keys.key_len();
        self.first = keys.heads.unpack_piece(ordinal, &mut self.heads)?;
        let len = self.heads.len() * self.key_len;
        let more = len.saturating_sub(self.bytes.len());
        self.bytes.try_reserve(more).map_err(OutOfMemory::from)?;
        self.bytes.resize(len, 0);
        Ok(keys.join_all(self.first, &self.heads, &mut self.bytes)?)
    }

    /// The ordinals of its keys.
    pub(in super::super) fn ordinals(&self) -> Range<u64> {
        self.first..self.first + self.heads.len() as u64
    }

    /// Bytes of each key.
    pub(in super::super) fn key_len(&self) -> usize {
        self.key_len
    }

    /// The key of an ordinal.
    #[inline]
    pub(in super::super) fn key(&self, ordinal: u64) -> &[u8] {
        self.keys(ordinal..ordinal + 1)
    }

    /// The keys of a range, one after the other.
    pub(in super::super) fn keys(&self, range: Range<u64>) -> &[u8] {
        let at = |ordinal: u64| (ordinal - self.first) as usize * self.key_len;
        self.bytes.get(at(range.start)..at(range.end)).unwrap_or(&[])
    }

    /// The first ordinal from `from` on whose key is not below `bound`, or the one behind all.
    ///
    /// Takes steps of growing length: most often it is one of the next few.
    pub(in super::super) fn not_below(&self, from: u64, bound: &[u8]) -> u64 {
        let end = self.ordinals().end;
        let is_below = |ordinal: u64| ordinal < end && self.key(ordinal) < bound;
        let mut step = 1;
        while is_below(from + step - 1) {
            step *= 2;
        }
        let (mut low, mut high) = (from + step / 2, end.min(from + step));
        while low < high {
            let middle = low.midpoint(high);
            if is_below(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
