//! Scratch columns of unknown length: bytes appended to fixed-size slabs of a bump allocator.
//!
//! A doubling vector would copy each column several times and leave the copies in the bump; slabs
//! are written once and read once, when the exact image is assembled.

use crate::arena::{OutOfMemory, hooks};
use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use std::io;

/// The first slab of a column, so that a segment of ten entries takes little scratch.
const FIRST_SLAB: usize = 1 << 10;

/// The largest slab; sizes grow fourfold until then.
const LARGEST_SLAB: usize = 64 << 10;

/// A column of bytes that only grows.
pub(super) struct Column<'b> {
    bump: &'b Bump,
    /// All but the last are full. None ever grows.
    slabs: Vec<BumpVec<'b, u8>>,
    /// Bytes of all of them.
    len: usize,
}

impl<'b> Column<'b> {
    /// An empty column; it takes its first slab with its first byte.
    pub(super) fn new(bump: &'b Bump) -> Self {
        Self { bump, slabs: Vec::new(), len: 0 }
    }

    /// Bytes appended so far.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends `bytes`, across slabs where needed.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        match self.slabs.last_mut() {
            Some(slab) if bytes.len() <= slab.capacity() - slab.len() => {
                slab.extend_from_slice_copy(bytes);
                self.len += bytes.len();
                Ok(())
            }
            _ => self.append_across(bytes),
        }
    }

    #[inline(never)]
    fn append_across(&mut self, mut bytes: &[u8]) -> Result<(), OutOfMemory> {
        while !bytes.is_empty() {
            let free = self.slabs.last().map_or(0, |slab| slab.capacity() - slab.len());
            if free == 0 {
                self.grow()?;
                continue;
            }
            let Some(slab) = self.slabs.last_mut() else {
                return Err(OutOfMemory);
            };
            let (now, later) = bytes.split_at(bytes.len().min(free));
            slab.extend_from_slice_copy(now);
            self.len += now.len();
            bytes = later;
        }
        Ok(())
    }

    /// Appends `len` zero bytes.
    pub(super) fn append_zeros(&mut self, len: usize) -> Result<(), OutOfMemory> {
        const ZEROS: [u8; 256] = [0; 256];
        let mut left = len;
        while left > 0 {
            let now = left.min(ZEROS.len());
            self.append(&ZEROS[..now])?;
            left -= now;
        }
        Ok(())
    }

    /// Appends an integer. A column of these holds nothing else, so none straddles two slabs.
    pub(super) fn append_u16(&mut self, value: u16) -> Result<(), OutOfMemory> {
        self.append(&value.to_le_bytes())
    }

    /// The bytes in order, slab by slab.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.slabs.iter().map(BumpVec::as_slice)
    }

    /// The integers of a column filled by [`append_u16`](Self::append_u16).
    pub(super) fn u16s(&self) -> impl Iterator<Item = u16> {
        self.parts().flat_map(|part| part.as_chunks::<2>().0).map(|pair| u16::from_le_bytes(*pair))
    }

    /// Copies all bytes to `out`, which has exactly their length.
    pub(super) fn copy_to(&self, out: &mut [u8]) {
        let mut at = 0;
        for part in self.parts() {
            out[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }

    /// Reads the bytes in order.
    pub(super) fn reader(&self) -> ColumnReader<'_, impl Iterator<Item = &[u8]>> {
        ColumnReader { parts: self.parts(), part: &[] }
    }

    fn grow(&mut self) -> Result<(), OutOfMemory> {
        let size = match self.slabs.last() {
            None => FIRST_SLAB,
            Some(last) => (last.capacity() * 4).min(LARGEST_SLAB),
        };
        hooks::before_allocation(size)?;
        self.slabs.try_reserve(1).map_err(|_| OutOfMemory)?;
        let mut slab = BumpVec::new_in(self.bump);
        slab.try_reserve_exact(size).map_err(|_| OutOfMemory)?;
        self.slabs.push(slab);
        Ok(())
    }
}

/// A place in a column from which on it is read.
pub(super) struct ColumnReader<'a, I> {
    parts: I,
    part: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> ColumnReader<'a, I> {
    /// Fills `out` with the next bytes, of which there are enough.
    pub(super) fn read(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            let part = self.take(out.len());
            let Some(now) = out.split_off_mut(..part.len()).filter(|now| !now.is_empty()) else {
                return;
            };
            now.copy_from_slice(part);
        }
    }

    /// Passes over the next bytes.
    pub(super) fn skip(&mut self, mut len: usize) {
        while len > 0 {
            let passed = self.take(len).len();
            if passed == 0 {
                return;
            }
            len -= passed;
        }
    }

    /// At most `len` next bytes that stand together; none at the end.
    fn take(&mut self, len: usize) -> &'a [u8] {
        if self.part.is_empty() {
            self.part = self.parts.next().unwrap_or(&[]);
        }
        let (now, later) = self.part.split_at(len.min(self.part.len()));
        self.part = later;
        now
    }
}

/// A builder can stream into a column; the only failure is [`io::ErrorKind::OutOfMemory`].
impl io::Write for Column<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.append(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(OutOfMemory) => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_return_what_was_appended_across_slabs() {
        let bump = Bump::new();
        let mut column = Column::new(&bump);
        let mut expected = Vec::new();
        for step in 0..400usize {
            let bytes: Vec<u8> = (0..step * 3).map(|i| (i * 7 + step) as u8).collect();
            column.append(&bytes).expect("memory for a test");
            expected.extend_from_slice(&bytes);
            column.append_zeros(step).expect("memory for a test");
            expected.resize(expected.len() + step, 0);
        }
        assert_eq!(column.len(), expected.len());
        let mut out = vec![1; expected.len()];
        column.copy_to(&mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn integers_never_straddle_slabs() {
        let bump = Bump::new();
        let mut column = Column::new(&bump);
        for value in 0..=u16::MAX {
            column.append_u16(value).expect("memory for a test");
        }
        assert!(column.u16s().eq(0..=u16::MAX));
    }

    #[test]
    fn a_refused_slab_is_an_error() {
        let bump = Bump::new();
        let mut column = Column::new(&bump);
        hooks::fail_allocation(Some(1));
        let first = column.append(&[1; FIRST_SLAB]);
        let second = column.append(&[2]);
        hooks::fail_allocation(None);
        assert_eq!((first, second), (Ok(()), Err(OutOfMemory)));
    }
}
