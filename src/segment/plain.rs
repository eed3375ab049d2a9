//! Plain keys: a sorted array of byte strings, found by binary search.
//!
//! For segments so small that an index would cost more than it saves, and the oracle of tests.

use super::format::{Section, SectionLens};
use super::slabs::Column;
use crate::arena::OutOfMemory;
use crate::blocks::Bytes;
use crate::bytes::{u32_at, u64_at};
use crate::error::Corruption;
use crate::key::MAX_KEY_LEN;
use bumpalo::Bump;
use std::cmp::Ordering;
use std::ops::Range;

fn offset_width(key_bytes: usize) -> usize {
    if u32::try_from(key_bytes).is_ok() { 4 } else { 8 }
}

/// The stored keys of a segment.
#[derive(Clone, Copy)]
pub(super) struct PlainKeys<'a> {
    entries: u64,
    offsets: Bytes<'a>,
    bytes: Bytes<'a>,
}

impl<'a> PlainKeys<'a> {
    /// The keys of `entries` entries in their sections.
    #[inline]
    pub(super) fn new(offsets: Bytes<'a>, bytes: Bytes<'a>, entries: u64) -> Self {
        Self { entries, offsets, bytes }
    }

    /// Checks in constant time that the sections are as long as the entries need.
    pub(super) fn check_frame(self) -> Result<(), Corruption> {
        let slots = self.entries.checked_add(1);
        let len = slots.and_then(|n| n.checked_mul(offset_width(self.bytes.len()) as u64));
        if len == Some(self.offsets.len() as u64) {
            Ok(())
        } else {
            Err(damaged(0, "there is one offset for each key, and the end"))
        }
    }

    /// Number of keys.
    pub(super) fn len(self) -> u64 {
        self.entries
    }

    /// Where key `i` lies in the key bytes, which are checked there.
    pub(super) fn span(self, i: u64) -> Result<Range<usize>, Corruption> {
        let width = offset_width(self.bytes.len());
        let at = usize::try_from(i).ok().and_then(|i| i.checked_mul(width));
        // An offset and the next one.
        let pair = at.and_then(|at| Some(at..at.checked_add(2 * width)?));
        let pair = self.offsets.get(pair.ok_or_else(|| damaged(i, BOUNDS))?)?;
        match (offset(pair, 0, width), offset(pair, width, width)) {
            (Some(start), Some(end))
                if start <= end && end <= self.bytes.len() && end - start <= MAX_KEY_LEN =>
            {
                self.bytes.admit(start..end)?;
                Ok(start..end)
            }
            _ => Err(damaged(i, BOUNDS)),
        }
    }

    /// Key `i`.
    pub(super) fn key(self, i: u64) -> Result<&'a [u8], Corruption> {
        self.span(i).map(|span| &self.bytes.admitted()[span])
    }

    /// The ordinal of `key`: `Ok` if it is there, else `Err` with that of the next larger one.
    pub(super) fn search(self, key: &[u8]) -> Result<Result<u64, u64>, Corruption> {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle)?.cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(Ok(middle)),
                Ordering::Greater => high = middle,
            }
        }
        Ok(Err(low))
    }

    /// Reads everything: keys tile the bytes and are strictly ascending.
    pub(super) fn verify(self) -> Result<(), Corruption> {
        if self.entries == 0 {
            let ends = self.offsets.all()?.iter().all(|&byte| byte == 0) && self.bytes.is_empty();
            return if ends { Ok(()) } else { Err(damaged(0, ENDS)) };
        }
        if self.span(0)?.start != 0 || self.span(self.entries - 1)?.end != self.bytes.len() {
            return Err(damaged(0, ENDS));
        }
        let mut last = None;
        for i in 0..self.entries {
            let key = self.key(i)?;
            if last.is_some_and(|last| last >= key) {
                return Err(damaged(i, ASCENDING));
            }
            last = Some(key);
        }
        Ok(())
    }
}

/// The offset of `width` bytes at `at`.
#[inline]
fn offset(slots: &[u8], at: usize, width: usize) -> Option<usize> {
    if width == 4 {
        u32_at(slots, at).map(|offset| offset as usize)
    } else {
        u64_at(slots, at).and_then(|offset| usize::try_from(offset).ok())
    }
}

const BOUNDS: &str = "offsets ascend, by at most 65,535, and are inside the key bytes";
const ENDS: &str = "offsets start at zero and end with the bytes";
const ASCENDING: &str = "keys are strictly ascending";

#[cold]
fn damaged(i: u64, rule: &'static str) -> Corruption {
    Corruption::new(Section::KeyOffsets.part(), i, rule)
}

/// A position among plain keys.
#[derive(Default)]
pub(super) struct PlainWalk {
    ordinal: u64,
    span: Range<usize>,
}

impl PlainWalk {
    /// The key it stands on.
    pub(super) fn key<'a>(&self, keys: PlainKeys<'a>) -> &'a [u8] {
        &keys.bytes.admitted()[self.span.clone()]
    }

    /// Moves to key `ordinal`, if there is one.
    pub(super) fn go_to(
        &mut self,
        keys: PlainKeys<'_>,
        ordinal: Option<u64>,
    ) -> Result<Option<u64>, Corruption> {
        let Some(ordinal) = ordinal.filter(|ordinal| *ordinal < keys.len()) else {
            return Ok(None);
        };
        self.span = keys.span(ordinal)?;
        self.ordinal = ordinal;
        Ok(Some(ordinal))
    }

    /// Moves to the next larger key.
    pub(super) fn next(&mut self, keys: PlainKeys<'_>) -> Result<Option<u64>, Corruption> {
        let before = self.key(keys);
        let landed = self.go_to(keys, self.ordinal.checked_add(1))?;
        if landed.is_some() && before >= self.key(keys) {
            return Err(damaged(self.ordinal, ASCENDING));
        }
        Ok(landed)
    }

    /// Moves to the next smaller key.
    pub(super) fn prev(&mut self, keys: PlainKeys<'_>) -> Result<Option<u64>, Corruption> {
        let before = self.key(keys);
        let landed = self.go_to(keys, self.ordinal.checked_sub(1))?;
        if landed.is_some() && before <= self.key(keys) {
            return Err(damaged(self.ordinal, ASCENDING));
        }
        Ok(landed)
    }
}

/// Keys being collected.
pub(super) struct PlainStage<'b> {
    bytes: Column<'b>,
    /// The length of each key.
    lens: Column<'b>,
}

impl<'b> PlainStage<'b> {
    /// No keys yet.
    pub(super) fn new(bump: &'b Bump) -> Self {
        Self { bytes: Column::new(bump), lens: Column::new(bump) }
    }

    /// Appends the next key, of at most 65,535 bytes.
    pub(super) fn push(&mut self, key: &[u8]) -> Result<(), OutOfMemory> {
        const _: () = assert!(MAX_KEY_LEN <= u16::MAX as usize);
        self.bytes.append(key)?;
        self.lens.append_u16(key.len() as u16)
    }

    /// The length that all keys have, if they have one.
    pub(super) fn common_len(&self) -> Option<usize> {
        let mut lens = self.lens.u16s();
        let first = lens.next()?;
        lens.all(|len| len == first).then_some(usize::from(first))
    }

    /// Hands all keys in order to `take`, from a buffer.
    pub(super) fn replay<E>(
        &self,
        buffer: &mut Vec<u8>,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut bytes = self.bytes.parts().flatten().copied();
        for len in self.lens.u16s() {
            buffer.clear();
            buffer.extend(bytes.by_ref().take(usize::from(len)));
            take(buffer)?;
        }
        Ok(())
    }

    /// Tells the lengths of the sections; `None` if they cannot be addressed.
    pub(super) fn plan(&self, entries: u64, lens: &mut SectionLens) -> Option<()> {
        let slots = usize::try_from(entries).ok()?.checked_add(1)?;
        let len = slots.checked_mul(offset_width(self.bytes.len()))?;
        lens.set(Section::KeyOffsets, len);
        lens.set(Section::KeyBytes, self.bytes.len());
        Some(())
    }

    /// Writes the offsets section.
    pub(super) fn write_offsets(&self, out: &mut [u8]) {
        let width = offset_width(self.bytes.len());
        let mut slots = out.chunks_exact_mut(width);
        let mut start = 0u64;
        for len in self.lens.u16s().chain([0]) {
            if let Some(slot) = slots.next() {
                slot.copy_from_slice(&start.to_le_bytes()[..width]);
            }
            start += u64::from(len);
        }
    }

    /// Writes the key bytes section.
    pub(super) fn write_bytes(&self, out: &mut [u8]) {
        self.bytes.copy_to(out);
    }
}
