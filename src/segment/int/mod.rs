//! Keys that all have the same few bytes, as numbers: pieces of packed keys below a small tree.
//!
//! Keys of one length compare as the numbers that their bytes spell, highest first. These are cut
//! into *pieces* of as many keys each, and a piece is stored in the way that takes the fewest bytes
//! ([`piece`]): as buckets ([`elias`]) or along a line ([`mod@line`]). A get takes a step in each
//! level of the tree over the pieces ([`index`]), and then finds its key in one of them without
//! unpacking others.
#![allow(
    clippy::inline_always,
    reason = "a search is compiled as a whole: SCRATCHPAD.md section 3.3"
)]

mod build;
mod elias;
mod index;
mod line;
mod pass;
mod piece;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

pub(super) use build::{FinishedInts, IntStage};
pub(super) use pass::IntPiece;
pub(super) use walk::{IntWalk, is_beyond, neighbours};

use super::format::Section;
use crate::arena::OutOfMemory;
use crate::blocks::Bytes;
use crate::bytes::{bytes_of, number_of};
use crate::error::{Corruption, Error};
use index::{LEAF_LEN, Row, Shape};
use piece::{Piece, Unread};
use std::ops::RangeInclusive;

/// Bytes of the longest keys.
pub(super) const MAX_WIDTH: usize = 8;

/// Keys of a piece, as the power of two: what an image may say.
const PIECE_SHIFTS: RangeInclusive<u32> = 6..=12;

// The front of the index section, field after field; then zeros to 64.
const WIDTH_AT: usize = 0;
const SHIFT_AT: usize = WIDTH_AT + 1;
const ZEROS_AT: usize = SHIFT_AT + 1;
const FRONT_LEN: usize = 64;

const INDEX: Section = Section::PieceIndex;
const PIECES: Section = Section::Pieces;

/// The stored keys of a segment.
#[derive(Clone, Copy)]
pub(super) struct IntKeys<'a> {
    head: IntHead,
    index: Bytes<'a>,
    pieces: Bytes<'a>,
    entries: u64,
}

/// What the front of the index says, and what follows from it for every get.
#[derive(Clone, Copy)]
pub(super) struct IntHead {
    /// Bytes of each key.
    width: usize,
    /// Keys of a piece, as the power of two.
    shift: u32,
    tree: Shape,
}

impl IntHead {
    /// Reads the front of the index over so many entries, and checks in constant time that the index
    /// is as long as these need.
    pub(super) fn read(index: Bytes<'_>, entries: u64) -> Result<Self, Corruption> {
        // Each piece has a row: so the number of pieces and all that follows from it is small
        // enough to be computed with.
        let most = (index.len() as u64).saturating_mul(1 << PIECE_SHIFTS.end());
        if entries == 0 || entries > most {
            return Err(damaged(INDEX, 0, LEN));
        }
        let fields = index.get(0..ZEROS_AT)?;
        let (width, shift) = (usize::from(fields[WIDTH_AT]), u32::from(fields[SHIFT_AT]));
        if !(1..=MAX_WIDTH).contains(&width) {
            return Err(damaged(INDEX, WIDTH_AT, "keys have 1 to 8 bytes"));
        }
        if !PIECE_SHIFTS.contains(&shift) {
            return Err(damaged(INDEX, SHIFT_AT, "pieces have 64 to 4,096 keys"));
        }
        let tree = Shape::new(((entries - 1) >> shift) as usize + 1, FRONT_LEN);
        const { assert!(LEAF_LEN > 8) };
        if tree.end() != index.len() {
            return Err(damaged(INDEX, 0, LEN));
        }
        Ok(Self { width, shift, tree })
    }

    /// Bytes of each key.
    pub(super) fn width(self) -> usize {
        self.width
    }
}

impl<'a> IntKeys<'a> {
    /// The keys of `entries` entries in their sections, of which this is the head.
    #[inline]
    pub(super) fn new(head: IntHead, index: Bytes<'a>, pieces: Bytes<'a>, entries: u64) -> Self {
        Self { head, index, pieces, entries }
    }

    /// Number of keys.
    #[inline]
    pub(super) fn len(self) -> u64 {
        self.entries
    }

    /// The ordinal of `key`: `Ok` if it is there, else `Err` with that of the next larger one.
    ///
    /// Before it has read all that it needs, it tells `near` of an ordinal that may be close, and of one
    /// that is hardly below.
    #[inline]
    pub(super) fn search(
        self,
        key: &[u8],
        mut near: impl FnMut(u64),
    ) -> Result<Result<u64, u64>, Corruption> {
        self.search_apart(key, &mut near)
    }

    /// The same in one function for all.
    #[inline(never)]
    fn search_apart(
        self,
        key: &[u8],
        mut near: &mut dyn FnMut(u64),
    ) -> Result<Result<u64, u64>, Corruption> {
        if let (Some(index), Some(pieces)) = (self.index.open(), self.pieces.open()) {
            // Compiled again, without a thought of who may have to let a read pass.
            let (index, pieces) = (Bytes::heap(index), Bytes::heap(pieces));
            return Self { index, pieces, ..self }.search_here(key, &mut near);
        }
        self.search_here(key, &mut near)
    }

    /// The same in the caller.
    #[inline(always)]
    pub(super) fn search_here(
        self,
        key: &[u8],
        near: &mut impl Near,
    ) -> Result<Result<u64, u64>, Corruption> {
        let Some(sought) = self.sought(key) else { return Ok(Err(self.entries)) };
        let row = sought.head.tree.descend(self.index, sought.number)?;
        let first = (row.piece as u64) << sought.head.shift;
        let piece = self.piece(sought.head, row)?;
        if let Some(slot) = piece.expect(sought.number) {
            near.tell(first + slot as u64);
        }
        let Some(keys) = piece.narrow(sought.number) else { return Err(no_piece(row.piece)) };
        near.tell(first + keys.0 as u64);
        match piece.settle(sought.number, keys) {
            Some(found) => Ok(answer(first, sought.is_whole, found)),
            None => Err(no_piece(row.piece)),
        }
    }

    /// The first key that is not below `key`, and its ordinal, if there is one. `near` is as for a
    /// [`search`](Self::search).
    #[inline(never)]
    pub(super) fn seek(
        self,
        key: &[u8],
        near: &mut impl Near,
    ) -> Result<Option<(u64, u64)>, Corruption> {
        if let (Some(index), Some(pieces)) = (self.index.open(), self.pieces.open()) {
            let (index, pieces) = (Bytes::heap(index), Bytes::heap(pieces));
            return Self { index, pieces, ..self }.seek_here(key, near);
        }
        self.seek_here(key, near)
    }

    /// The same in the caller.
    #[inline(always)]
    fn seek_here(self, key: &[u8], near: &mut impl Near) -> Result<Option<(u64, u64)>, Corruption> {
        let Some(Sought { head, number, .. }) = self.sought(key) else { return Ok(None) };
        let row = head.tree.descend(self.index, number)?;
        let first = (row.piece as u64) << head.shift;
        let piece = self.piece(head, row)?;
        if let Some(slot) = piece.expect(number) {
            near.tell(first + slot as u64);
        }
        let settled = piece.narrow(number).and_then(|keys| {
            near.tell(first + keys.0 as u64);
            piece.settle(number, keys)
        });
        let Some((slot, _)) = settled else { return Err(no_piece(row.piece)) };
        self.found(head, &piece, row.piece, number, slot)
    }

    /// The last step of a search that was begun here: the first key that is not below what was looked for,
    /// and its ordinal, if there is one.
    #[inline]
    pub(super) fn settle(self, search: &IntSearch<'_>) -> Result<Option<(u64, u64)>, Corruption> {
        let IntSearch { piece, number, row, .. } = *search;
        let settled = search.within.and_then(|within| piece.settle(number, within));
        match settled.zip(piece.read()) {
            Some(((slot, _), piece)) => self.found(self.head, &piece, row, number, slot),
            None => Err(no_piece(row)),
        }
    }

    /// The key of a piece at `slot`, which is the first that is not below `number`, or that of the next
    /// piece if it is behind all; and its ordinal. `None` if it is behind all keys.
    #[inline(always)]
    fn found(
        self,
        head: IntHead,
        piece: &Piece<'_>,
        row: usize,
        number: u64,
        slot: usize,
    ) -> Result<Option<(u64, u64)>, Corruption> {
        let ordinal = ((row as u64) << head.shift) + slot as u64;
        let key = if slot < self.keys_of(head, row) {
            piece.found(slot, number)
        } else if ordinal < self.entries {
            Some(head.tree.row(self.index, row + 1)?.first)
        } else {
            return Ok(None);
        };
        match key.filter(|key| has_width(*key, head.width)) {
            Some(key) => Ok(Some((ordinal, key))),
            None => Err(no_piece(row)),
        }
    }

    /// Begins a search that asks for memory a step before it reads it; `None` if all keys are below.
    #[inline(always)]
    pub(super) fn begin(self, key: &[u8]) -> Result<Option<IntSearch<'a>>, Corruption> {
        let Some(Sought { head, number, is_whole }) = self.sought(key) else { return Ok(None) };
        let row = head.tree.descend(self.index, number)?;
        let piece = self.unread(head, row)?;
        piece.ask(number);
        let first = (row.piece as u64) << head.shift;
        Ok(Some(IntSearch { piece, number, is_whole, first, within: None, row: row.piece }))
    }

    /// What a search for `key` goes by; `None` if all keys are below.
    #[inline(always)]
    fn sought(self, key: &[u8]) -> Option<Sought> {
        let (number, is_whole) = number_not_below(key, self.head.width)?;
        Some(Sought { head: self.head, number, is_whole })
    }

    /// Appends the key of `ordinal`, which is below the number of keys, to `key`.
    pub(super) fn key_at(self, ordinal: u64, key: &mut Vec<u8>) -> Result<(), Corruption> {
        let head = self.head;
        let mut number = [0];
        self.decode(head, ordinal, None, &mut number)?;
        let bytes = bytes_of(number[0]);
        key.extend_from_slice(&bytes[MAX_WIDTH - head.width..]);
        Ok(())
    }

    /// The keys from `ordinal` on, as many as `out` takes, of which there are enough, all in one
    /// piece. They ascend. The key before them may be known.
    fn decode(
        self,
        head: IntHead,
        ordinal: u64,
        before: Option<u64>,
        out: &mut [u64],
    ) -> Result<(), Corruption> {
        let number = (ordinal >> head.shift) as usize;
        let row = head.tree.row(self.index, number)?;
        let start = (ordinal & ((1 << head.shift) - 1)) as usize;
        let decoded = self.piece(head, row)?.decode(start, before, out);
        let is_sound = out.last().is_none_or(|last| has_width(*last, head.width));
        decoded.filter(|()| is_sound).ok_or_else(|| no_piece(number))
    }

    /// Bytes of each key.
    #[inline]
    pub(super) fn width(self) -> usize {
        self.head.width
    }

    /// Makes `keys` those of the piece of key `ordinal`, which exists, and answers the ordinal of the
    /// first one. They ascend.
    pub(super) fn unpack_piece(self, ordinal: u64, keys: &mut Vec<u64>) -> Result<u64, Error> {
        let head = self.head;
        let number = (ordinal >> head.shift) as usize;
        let first = (number as u64) << head.shift;
        let count = self.keys_of(head, number);
        keys.try_reserve(count.saturating_sub(keys.len())).map_err(OutOfMemory::from)?;
        keys.resize(count, 0);
        let unpacked = self.decode(head, first, None, keys);
        if unpacked.is_err() {
            keys.clear();
        }
        Ok(unpacked.map(|()| first)?)
    }

    /// The keys from `ordinal` on, as many as `out` takes, of which there are enough, all in one piece.
    pub(super) fn unpack(self, ordinal: u64, out: &mut [u64]) -> Result<(), Corruption> {
        self.decode(self.head, ordinal, None, out)
    }

    #[inline(always)]
    fn piece(self, head: IntHead, row: Row) -> Result<Piece<'a>, Corruption> {
        self.unread(head, row)?.read().ok_or_else(|| no_piece(row.piece))
    }

    #[inline(always)]
    fn unread(self, head: IntHead, row: Row) -> Result<Unread<'a>, Corruption> {
        let damaged = || no_piece(row.piece);
        let shape = row.descriptor.shape(self.keys_of(head, row.piece)).ok_or_else(damaged)?;
        let start = row.descriptor.start();
        let bytes = self.pieces.from(start, || shape.reach())?;
        Unread::new(bytes, row.first, shape).ok_or_else(damaged)
    }

    /// Number of keys of a piece, which exists.
    #[inline(always)]
    fn keys_of(self, head: IntHead, piece: usize) -> usize {
        let before = (piece as u64) << head.shift;
        (self.entries - before).min(1 << head.shift) as usize
    }
}

/// Who is told by a search, before it has read all that it needs, of ordinals near the one it will find.
pub(super) trait Near {
    /// May be near.
    fn tell(&mut self, ordinal: u64);
}

impl Near for &mut dyn FnMut(u64) {
    #[inline]
    fn tell(&mut self, ordinal: u64) {
        self(ordinal);
    }
}

/// What a search goes by.
#[derive(Clone, Copy)]
struct Sought {
    head: IntHead,
    /// The least number of the keys' width that is not below the key.
    number: u64,
    /// It is the key's own.
    is_whole: bool,
}

/// A search under way. Between two steps, what the next one reads has time to arrive.
pub(super) struct IntSearch<'a> {
    piece: Unread<'a>,
    /// What is looked for: see [`Sought`].
    number: u64,
    is_whole: bool,
    /// The ordinal of the first key of the piece.
    first: u64,
    /// The keys that are left.
    within: Option<(usize, usize)>,
    /// The number of the piece.
    row: usize,
}

impl IntSearch<'_> {
    /// Goes on; the answer, as that of [`IntKeys::search`], after the last step. `near` is told
    /// once, before that, of an ordinal that is hardly below.
    #[inline]
    pub(super) fn step(
        &mut self,
        near: impl FnOnce(u64),
    ) -> Result<Option<Result<u64, u64>>, Corruption> {
        if self.within.is_some() {
            return self.settle().map(Some);
        }
        self.narrow().map(near)?;
        Ok(None)
    }

    /// Before the first step: asks for what the last one is likely to read. For a search that is alone, whose
    /// steps follow each other sooner than memory comes.
    #[inline]
    pub(super) fn hasten(&self) {
        self.piece.ask_for_even(self.number);
    }

    /// The first step: an ordinal that is hardly below.
    #[inline]
    pub(super) fn narrow(&mut self) -> Result<u64, Corruption> {
        let Some(within) = self.piece.narrow(self.number) else { return Err(no_piece(self.row)) };
        self.within = Some(within);
        Ok(self.first + within.0 as u64)
    }

    /// The last step, after the first one.
    #[inline]
    pub(super) fn settle(&self) -> Result<Result<u64, u64>, Corruption> {
        let settled = self.within.and_then(|within| self.piece.settle(self.number, within));
        match settled {
            Some(settled) => Ok(answer(self.first, self.is_whole, settled)),
            None => Err(no_piece(self.row)),
        }
    }
}

/// The answer of a search from that of a piece, of which this is the first key.
#[inline(always)]
fn answer(first: u64, is_whole: bool, (slot, is_there): (usize, bool)) -> Result<u64, u64> {
    let ordinal = first + slot as u64;
    if is_there && is_whole { Ok(ordinal) } else { Err(ordinal) }
}

/// The least number that is not below `key` among those that keys of `width` bytes spell, and
/// whether it is spelled by `key`; `None` if all are below.
#[inline(always)]
fn number_not_below(key: &[u8], width: usize) -> Option<(u64, bool)> {
    if let (Ok(key), MAX_WIDTH) = (key.try_into(), width) {
        return Some((number_of(key), true));
    }
    let mut bytes = [0; MAX_WIDTH];
    let (start, len) = (MAX_WIDTH - width, key.len().min(width));
    bytes[start..start + len].copy_from_slice(&key[..len]);
    let number = number_of(bytes);
    // A longer key is above its beginning, and a shorter one stands for itself and zeros.
    if key.len() > width {
        number.checked_add(1).map(|number| (number, false))
    } else {
        Some((number, key.len() == width))
    }
}

/// The key of so many bytes that spells the number, in `bytes`.
#[inline]
pub(super) fn spelled(number: u64, width: usize, bytes: &mut [u8; MAX_WIDTH]) -> &[u8] {
    *bytes = bytes_of(number);
    &bytes[MAX_WIDTH - width..]
}

/// Whether a key of so many bytes spells the number.
fn has_width(number: u64, width: usize) -> bool {
    width == MAX_WIDTH || number >> (8 * width) == 0
}

#[cold]
#[inline(never)]
fn no_piece(number: usize) -> Corruption {
    damaged(PIECES, number, "a piece's keys ascend and are inside it")
}

const LEN: &str = "the index has the nodes that the number of keys needs";

#[cold]
fn damaged(section: Section, at: usize, rule: &'static str) -> Corruption {
    Corruption::new(section.part(), at as u64, rule)
}
