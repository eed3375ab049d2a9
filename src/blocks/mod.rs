//! Files in blocks of 4,096 bytes, each checked against its CRC-32 when it is first read.
//!
//! Opening a file of any length takes no time, so its bytes cannot be checked by then; a checksum
//! over a whole section could not be checked at the first touch either. But no flipped byte may
//! give a wrong answer. So each block has a checksum, the checksums stand in blocks that have
//! checksums themselves, and the root of this tree comes from whoever opens the file.
//!
//! What holds here: [`Blocks::get`] lends no byte of a block that did not match its checksum. A
//! block is checked once and then remembered in a bitmap, so the bytes of a mapping are read again
//! after their check. They are the same ones as long as nobody writes to the file (I5); a foreign
//! program that does, or truncates it, is the one thing that cannot be guarded.

mod bytes;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use bytes::{Bytes, StoredBytes};
pub(crate) use tree::{BLOCK, TreeBuilder, TreeShape};

use crate::arena::{Buffer, OutOfMemory};
use crate::bytes::u32_at;
use crate::checksum::checksum;
use crate::error::{Corruption, Error};
use crate::mmap::Mapping;
use crate::sync::{AtomicU64, Ordering};
use std::ops::Range;
use tree::{MAX_LEVELS, SUM_LEN};

/// Blocks between two reports of [`Blocks::verify`]: 1 MiB.
const REPORT_EVERY: u64 = 256;

/// Blocks that are fetched together when they are read in order: 256 KiB. That is many times what a
/// disk's first answer takes, and little beside what a map has in memory anyway.
const AHEAD: u64 = 64;

/// Neighbours, a byte of the bitmap, that make a reader one that goes in order.
const RUN: u64 = 8;

const PART: &str = "store block";

/// The bytes of a file.
pub(crate) enum FileBytes {
    /// As the file system maps them: each block is checked when it is first read.
    Mapped(Mapping),
    /// In memory of their own: all are checked at once, and none again.
    Resident(Buffer),
}

/// A file whose data is checked block by block.
pub(crate) struct Blocks {
    file: FileBytes,
    data_len: usize,
    shape: TreeShape,
    root: u32,
    /// A bit for each block of data and tree: whether it matched its checksum. `None` if all did
    /// when the file was opened.
    ///
    /// Relaxed, because a bit publishes nothing: the bytes it speaks of were there before any
    /// thread of this process was, and whoever misses a bit checks the block once more.
    checked: Option<Box<[AtomicU64]>>,
}

impl Blocks {
    /// Takes a file over whose first `data_len` bytes are data, followed by zeros up to a whole
    /// block, by the tree that has this root ([`TreeBuilder`]), and by anything else.
    ///
    /// Of a mapping nothing is read. The time is that of making a bitmap of one bit for each block,
    /// a 32,768th of the file.
    pub(crate) fn open(bytes: FileBytes, data_len: u64, root: u32) -> Result<Self, Error> {
        let shape = TreeShape::of(data_len);
        let len = match &bytes {
            FileBytes::Mapped(mapping) => mapping.as_slice().len(),
            FileBytes::Resident(buffer) => buffer.as_slice().len(),
        };
        if shape.tree_end() > len as u64 {
            let rule = "data and checksum tree are inside the file";
            return Err(Corruption::new("store", len as u64, rule).into());
        }
        let is_resident = matches!(bytes, FileBytes::Resident(_));
        let checked = if is_resident { None } else { Some(bitmap(shape.blocks())?) };
        // Both fit: they are at most the length of the file.
        let blocks = Self { file: bytes, data_len: data_len as usize, shape, root, checked };
        if is_resident {
            blocks.verify(&mut |_, _| {})?;
        }
        Ok(blocks)
    }

    /// Length of the data.
    pub(crate) fn len(&self) -> usize {
        self.data_len
    }

    /// These bytes of the data, in time proportional to the number of blocks they touch and of
    /// those that have to be checked first: blocks of data that nobody read yet, and blocks of the
    /// tree above them.
    ///
    /// # Errors
    /// If the range is not inside the data, or a block does not match its checksum. It is checked
    /// again by each later read of it.
    #[inline]
    pub(crate) fn get(&self, range: Range<usize>) -> Result<&[u8], Corruption> {
        self.admit(&range)?;
        Ok(self.data().get(range).unwrap_or(&[]))
    }

    /// What is in these bytes of the data, to be read piece by piece. Empty if they are not inside
    /// the data.
    #[inline]
    pub(crate) fn bytes(&self, range: Range<usize>) -> Bytes<'_> {
        let is_inside = range.start <= range.end && range.end <= self.data_len;
        let range = if is_inside { range } else { 0..0 };
        Bytes::stored(self, range)
    }

    /// Bytes that [`get`](Self::get) let pass before.
    #[inline]
    pub(crate) fn admitted(&self, start: usize, len: u32) -> &[u8] {
        self.data().get(start..start.saturating_add(len as usize)).unwrap_or(&[])
    }

    /// Reads and checks the whole file again, whatever was read before. Tells `progress` now and
    /// then how many bytes are done, and of how many.
    pub(crate) fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Corruption> {
        let total = self.shape.tree_end();
        let mut done = 0;
        // From the root on, so that each checksum is trusted when others are compared with it.
        for level in (0..=self.shape.levels()).rev() {
            for block in self.shape.level(level) {
                if block.is_multiple_of(AHEAD) {
                    self.fetch(block..block + 2 * AHEAD);
                }
                if let Err(corruption) = self.compare(level, block) {
                    self.forget(block);
                    return Err(corruption);
                }
                done += 1;
                if done % REPORT_EVERY == 0 {
                    progress(done * BLOCK as u64, total);
                }
            }
        }
        // Without data there is no block that the root could be compared with.
        if total == 0 && self.root != checksum(&[]) {
            return Err(mismatch(0));
        }
        for level in 0..=self.shape.levels() {
            self.verify_padding(level)?;
        }
        progress(total, total);
        Ok(())
    }

    /// Looks that only zeros follow what a level has to say, up to the end of its last block.
    fn verify_padding(&self, level: usize) -> Result<(), Corruption> {
        let blocks = self.shape.level(level);
        let used = match level.checked_sub(1) {
            None => self.data_len as u64,
            Some(below) => {
                let sums = self.shape.level(below);
                blocks.start * BLOCK as u64 + (sums.end - sums.start) * SUM_LEN as u64
            }
        };
        // Inside the file, which is in memory.
        let padding = used as usize..blocks.end as usize * BLOCK;
        match self.file_bytes().get(padding) {
            Some(padding) if padding.iter().all(|&byte| byte == 0) => Ok(()),
            _ => Err(Corruption::new(PART, used, "zeros fill the last block of a level")),
        }
    }

    /// Heap bytes owned, besides the struct itself: the bitmap, and the bytes of a resident file.
    pub(crate) fn heap_bytes(&self) -> usize {
        let file = match &self.file {
            FileBytes::Mapped(_) => 0,
            FileBytes::Resident(buffer) => buffer.heap_bytes(),
        };
        file + self.checked.as_deref().map_or(0, size_of_val)
    }

    /// How many blocks of data and tree have been checked since the file was opened.
    #[cfg(test)]
    pub(crate) fn checked_blocks(&self) -> u32 {
        let words = self.checked.as_deref().unwrap_or(&[]);
        words.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum()
    }

    /// The data, of which only bytes may be lent that [`admit`](Self::admit) let pass.
    #[inline]
    fn data(&self) -> &[u8] {
        let file = self.file_bytes();
        file.get(..self.data_len).unwrap_or(file)
    }

    #[inline]
    fn file_bytes(&self) -> &[u8] {
        match &self.file {
            FileBytes::Mapped(mapping) => mapping.as_slice(),
            FileBytes::Resident(buffer) => buffer.as_slice(),
        }
    }

    /// Checks bounds, and all blocks of the range that were not checked before.
    #[inline]
    fn admit(&self, range: &Range<usize>) -> Result<(), Corruption> {
        if range.start > range.end || range.end > self.data_len {
            return Err(outside(range.start));
        }
        let Some(last) = range.end.checked_sub(1).filter(|last| range.start <= *last) else {
            return Ok(());
        };
        let (first, last) = ((range.start / BLOCK) as u64, (last / BLOCK) as u64);
        if first == last && self.is_checked(first) {
            return Ok(());
        }
        self.check_all(first, last)
    }

    /// Whether [`admit`](Self::admit) lets the range pass. Not inlined: in the loops that ask it
    /// for each node, code for bytes on the heap would suffer from it.
    #[inline(never)]
    fn admits(&self, range: Range<usize>) -> bool {
        self.admit(&range).is_ok()
    }

    #[inline(never)]
    fn check_all(&self, first: u64, last: u64) -> Result<(), Corruption> {
        for block in first..=last {
            if !self.is_checked(block) {
                self.fetch_ahead(block);
                self.check(block)?;
            }
        }
        Ok(())
    }

    /// Has the next blocks fetched if those before were read, in either direction, as one does who
    /// goes in order. The bitmap tells, so readers need not say where they are going.
    fn fetch_ahead(&self, block: u64) {
        let is_read = |first: u64| {
            let word = self.checked.as_deref().and_then(|words| words.get((first / 64) as usize));
            let word = word.map_or(0, |word| word.load(Ordering::Relaxed));
            word >> (first % 64) & ((1 << RUN) - 1) == (1 << RUN) - 1
        };
        if block.is_multiple_of(RUN) && block >= RUN && is_read(block - RUN) {
            self.fetch(block..block + AHEAD);
        } else if block % RUN == RUN - 1 && is_read(block + 1) {
            self.fetch((block + 1).saturating_sub(AHEAD)..block + 1);
        }
    }

    /// Has blocks fetched in the background, as far as they exist.
    fn fetch(&self, blocks: Range<u64>) {
        if let FileBytes::Mapped(mapping) = &self.file {
            let byte = |block: u64| (block as usize).saturating_mul(BLOCK);
            mapping.will_need(byte(blocks.start)..byte(blocks.end));
        }
    }

    /// Checks a block of data, after the blocks above it.
    fn check(&self, block: u64) -> Result<(), Corruption> {
        // Up to the first block that needs no check, or to the root; then down again.
        let mut way = [block; MAX_LEVELS + 1];
        let mut top = 0;
        while top < self.shape.levels() && !self.is_checked(way[top]) {
            way[top + 1] = self.shape.parent(top, way[top]).0;
            top += 1;
        }
        for level in (0..=top).rev() {
            if !self.is_checked(way[level]) {
                self.compare(level, way[level])?;
                self.remember(way[level]);
            }
        }
        Ok(())
    }

    /// Compares a block of `level` with its checksum, which is the root's or in a block that has
    /// been compared before.
    fn compare(&self, level: usize, block: u64) -> Result<(), Corruption> {
        let expected = if level == self.shape.levels() {
            Some(self.root)
        } else {
            let (parent, at) = self.shape.parent(level, block);
            self.block(parent).and_then(|sums| u32_at(sums, at))
        };
        if self.block(block).map(checksum) == expected { Ok(()) } else { Err(mismatch(block)) }
    }

    /// The bytes of a block, unchecked.
    fn block(&self, block: u64) -> Option<&[u8]> {
        let start = usize::try_from(block).ok()?.checked_mul(BLOCK)?;
        self.file_bytes().get(start..start.checked_add(BLOCK)?)
    }

    #[inline]
    fn is_checked(&self, block: u64) -> bool {
        let Some(checked) = &self.checked else {
            return true;
        };
        let word = checked.get((block / 64) as usize);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (block % 64) & 1 == 1)
    }

    fn remember(&self, block: u64) {
        let words = self.checked.as_deref().unwrap_or(&[]);
        if let Some(word) = words.get((block / 64) as usize) {
            word.fetch_or(1 << (block % 64), Ordering::Relaxed);
        }
    }

    /// A block that has gone bad since it was checked is bad for later reads too.
    fn forget(&self, block: u64) {
        let words = self.checked.as_deref().unwrap_or(&[]);
        if let Some(word) = words.get((block / 64) as usize) {
            word.fetch_and(!(1 << (block % 64)), Ordering::Relaxed);
        }
    }
}

/// A clear bit for each of `blocks` blocks.
fn bitmap(blocks: u64) -> Result<Box<[AtomicU64]>, OutOfMemory> {
    let words = usize::try_from(blocks.div_ceil(64)).map_err(|_| OutOfMemory)?;
    let mut bits = Vec::new();
    bits.try_reserve_exact(words).map_err(|_| OutOfMemory)?;
    bits.resize_with(words, AtomicU64::default);
    Ok(bits.into_boxed_slice())
}

#[cold]
fn outside(offset: usize) -> Corruption {
    Corruption::new("store", offset as u64, "what is read is inside the data")
}

#[cold]
fn mismatch(block: u64) -> Corruption {
    Corruption::new(PART, block.saturating_mul(BLOCK as u64), "the checksum matches the block")
}
