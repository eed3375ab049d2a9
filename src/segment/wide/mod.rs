//! Keys that all have the same number of bytes, too many for a number: a column of packed numbers, and
//! one of what follows.
//!
//! Of hashes, UUIDs and pairs of numbers nearly all bytes differ from key to key, and text in blocks
//! spares little of them, but has to be searched as text. Here the first eight bytes that differ, the
//! *head*, are a number in packed pieces ([`int`](super::int)), and what differs behind them, the *tail*, is
//! in an array. What does not differ stands once ([`pattern`]). No two keys have one head: so a get is
//! that of a number, and one comparison more.

mod build;
mod pattern;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

pub(super) use build::{FinishedWide, WideStage};
pub(super) use walk::{WidePiece, WideWalk};

use super::format::Section;
use super::int::{IntHead, IntKeys, IntSearch, Near};
use crate::arena::prefetch;
use crate::blocks::Bytes;
use crate::error::Corruption;
use pattern::{FRONT_LEN, MAX_LEN, Pattern, Sought};

/// The stored keys of a segment.
#[derive(Clone, Copy)]
pub(super) struct WideKeys<'a> {
    pattern: Pattern,
    heads: IntKeys<'a>,
    tails: Bytes<'a>,
}

/// What the fronts of the sections say, and what follows from it for every get.
#[derive(Clone, Copy)]
pub(super) struct WideHead {
    heads: IntHead,
    pattern: Pattern,
}

impl WideHead {
    /// Reads the fronts over so many entries, and checks in constant time that index and tails are as
    /// long as these need.
    pub(super) fn read(
        index: Bytes<'_>,
        tails: Bytes<'_>,
        entries: u64,
    ) -> Result<Self, Corruption> {
        let heads = IntHead::read(index, entries)?;
        if tails.len() < FRONT_LEN {
            return Err(damaged(0, LEN));
        }
        let pattern = Pattern::read(tails.get(0..FRONT_LEN)?)?;
        let len = entries.checked_mul(pattern.tail_len() as u64);
        if len != Some((tails.len() - FRONT_LEN) as u64) {
            return Err(damaged(0, LEN));
        }
        if heads.width() != pattern.head_len() {
            return Err(damaged(0, "heads have as many bytes as differ, up to eight"));
        }
        Ok(Self { heads, pattern })
    }
}

impl<'a> WideKeys<'a> {
    /// The keys of `entries` entries in their sections, of which this is the head.
    #[inline]
    pub(super) fn new(
        head: WideHead,
        section: impl Fn(Section) -> Bytes<'a>,
        entries: u64,
    ) -> Self {
        let (index, pieces) = (section(Section::PieceIndex), section(Section::Pieces));
        let heads = IntKeys::new(head.heads, index, pieces, entries);
        Self { pattern: head.pattern, heads, tails: section(Section::Tails) }
    }

    /// Number of keys.
    #[inline]
    pub(super) fn len(self) -> u64 {
        self.heads.len()
    }

    /// Bytes of each key.
    #[inline]
    pub(super) fn key_len(self) -> usize {
        self.pattern.key_len()
    }

    /// The ordinal of `key`: `Ok` if it is there, else `Err` with that of the next larger one. `near` is as
    /// for [`IntKeys::search`].
    #[inline]
    pub(super) fn search(
        self,
        key: &[u8],
        mut near: impl FnMut(u64),
    ) -> Result<Result<u64, u64>, Corruption> {
        let sought = self.sought(key)?;
        let found = self.heads.search(sought.head(), |ordinal| {
            self.ask_for_tail(ordinal);
            near(ordinal);
        })?;
        self.settle(&sought, found)
    }

    /// The first key that is not below `key`, as its ordinal and its head, if there is one. `near` is as for
    /// [`IntKeys::search`].
    pub(super) fn seek(
        self,
        key: &[u8],
        near: &mut impl Near,
    ) -> Result<Option<(u64, u64)>, Corruption> {
        let sought = self.sought(key)?;
        let Some(found) = self.heads.seek(sought.head(), near)? else { return Ok(None) };
        if found.1 != sought.number() {
            return Ok(Some(found));
        }
        let (Ok(ordinal) | Err(ordinal)) = sought.beside(found.0, self.tail(found.0)?);
        if ordinal == found.0 || ordinal == self.len() {
            return Ok((ordinal < self.len()).then_some(found));
        }
        let mut head = [0];
        self.heads.unpack(ordinal, &mut head)?;
        Ok(Some((ordinal, head[0])))
    }

    /// Begins a search that asks for memory a step before it reads it.
    #[inline]
    pub(super) fn begin(self, key: &[u8]) -> Result<WideSearch<'a>, Corruption> {
        let sought = self.sought(key)?;
        let search = self.heads.begin(sought.head())?;
        Ok(WideSearch { keys: self, sought, search })
    }

    #[inline]
    fn sought(self, key: &[u8]) -> Result<Sought, Corruption> {
        Ok(self.pattern.sought(self.front()?, key))
    }

    /// The answer of a search from that of the search for its head.
    #[inline]
    fn settle(
        self,
        sought: &Sought,
        found: Result<u64, u64>,
    ) -> Result<Result<u64, u64>, Corruption> {
        match found {
            Ok(ordinal) => Ok(sought.beside(ordinal, self.tail(ordinal)?)),
            Err(above) => Ok(Err(above)),
        }
    }

    /// Appends the key of `ordinal`, which is below the number of keys, to `key`.
    pub(super) fn key_at(self, ordinal: u64, key: &mut Vec<u8>) -> Result<(), Corruption> {
        let mut head = [0];
        self.heads.unpack(ordinal, &mut head)?;
        let mut bytes = [0; MAX_LEN];
        let bytes = &mut bytes[..self.key_len()];
        self.join_all(ordinal, &head, bytes)?;
        key.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes to `out` the keys from `ordinal` on that have these heads, and for which there is just room.
    fn join_all(self, ordinal: u64, heads: &[u64], out: &mut [u8]) -> Result<(), Corruption> {
        let start = self.tail_at(ordinal);
        let tails = self.tails.get(start..start + heads.len() * self.pattern.tail_len())?;
        self.pattern.join(self.front()?, heads, tails, out);
        Ok(())
    }

    #[inline]
    fn front(self) -> Result<&'a [u8], Corruption> {
        self.tails.get(0..FRONT_LEN)
    }

    /// Where the tail of a key is. There are as many as keys, or none is read.
    #[inline]
    fn tail_at(self, ordinal: u64) -> usize {
        FRONT_LEN.wrapping_add((ordinal as usize).wrapping_mul(self.pattern.tail_len()))
    }

    #[inline]
    fn tail(self, ordinal: u64) -> Result<&'a [u8], Corruption> {
        let start = self.tail_at(ordinal);
        self.tails.get(start..start + self.pattern.tail_len())
    }

    /// Asks for the tails of a few keys from `ordinal` on.
    #[inline]
    fn ask_for_tail(self, ordinal: u64) {
        prefetch(self.tails.admitted(), self.tail_at(ordinal));
    }
}

/// A search under way. Between two steps, what the next one reads has time to arrive.
pub(super) struct WideSearch<'a> {
    keys: WideKeys<'a>,
    sought: Sought,
    /// None if all heads are below.
    search: Option<IntSearch<'a>>,
}

impl WideSearch<'_> {
    /// Goes on; the answer, as that of [`WideKeys::search`], after the last step. `near` is told once,
    /// before that, of an ordinal that is hardly below.
    #[inline]
    pub(super) fn step(
        &mut self,
        near: impl FnOnce(u64),
    ) -> Result<Option<Result<u64, u64>>, Corruption> {
        let Self { keys, sought, search } = self;
        let Some(search) = search else { return Ok(Some(Err(keys.len()))) };
        let found = search.step(|ordinal| {
            keys.ask_for_tail(ordinal);
            near(ordinal);
        })?;
        found.map(|found| keys.settle(sought, found)).transpose()
    }
}

const LEN: &str = "there is a tail for each key";

#[cold]
fn damaged(at: usize, rule: &'static str) -> Corruption {
    Corruption::new(Section::Tails.part(), at as u64, rule)
}
