//! Raw memory: blocks, buffers, and the 32-bit-offset arena of a delta.
//!
//! An arena hands out blocks of whole 8-byte units, named by 29 bits: 4 GiB of addresses for half
//! the bytes of a pointer, and three bits of a reference for its user. Blocks that come back go to
//! free lists by size and are used again, whole or split; chunks of memory are never given back
//! before the arena is dropped.
//!
//! What holds here: blocks handed out do not overlap, and their addresses never change. What is in
//! them is the tree's business.

pub(crate) mod hooks;
mod memory;
mod prefetch;
mod refs;
mod shadow;
mod table;

pub(crate) use memory::{Buffer, OutOfMemory, replace};
pub(crate) use prefetch::{CACHE_LINE, prefetch, prefetch_line, prefetch_value};
pub(crate) use refs::Ref;
pub(crate) use table::{OutOfLine, Table};

use crate::error::Error;
use crate::sync::Arc;
use memory::{Block, HUGE_PAGE};
use table::PLACE_UNITS;

/// Bytes of one unit: the alignment and the granularity of blocks.
pub(crate) const UNIT: usize = 8;

/// Bits of a unit's number.
pub(crate) const UNIT_BITS: u32 = 29;

/// Bytes of the first chunks.
const FIRST_CHUNK_BYTES: usize = 384;

/// Free blocks of up to this many units have a list for each size.
const EXACT_CLASSES: u32 = 32;

/// Longer blocks have one of this many sizes for each power of two.
const STEPS: u32 = 8;

/// Free blocks from this many units on, which no node needs, share one list.
const LONG_UNITS: u32 = 1 << 14;

/// Short blocks are cut from free ones that are longer by at least this many units.
const MIN_SPLIT_UNITS: u32 = 2;

/// Why a block could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArenaError {
    /// All 2^29 units are used up.
    Full,
    /// The allocator refused.
    OutOfMemory,
}

impl From<OutOfMemory> for ArenaError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// Number of units that hold `bytes`.
#[inline]
pub(crate) fn units(bytes: usize) -> u32 {
    bytes.div_ceil(UNIT) as u32
}

/// A growing set of blocks in chunks that never move.
pub(crate) struct Arena {
    table: Arc<Table>,
    /// Units of the current chunk that no block has had yet: `next..end`.
    next: u64,
    end: u64,
    /// Units of a free block that short blocks are being cut from: `cut..cut_end`.
    cut: u32,
    cut_end: u32,
    free: FreeLists,
    /// Units in blocks handed out.
    used_units: u64,
    /// Bytes of all chunks.
    chunk_bytes: usize,
}

/// Free blocks by size: a list for each size up to [`EXACT_CLASSES`], then [`STEPS`] for each power
/// of two, and one for all from [`LONG_UNITS`] on. Blocks are cut at whole steps (see
/// [`block_units`]), so that a block that came back serves the next request for its size. A free
/// block holds the next one's unit and its own length in its first eight bytes.
#[derive(Default)]
struct FreeLists {
    /// By class, as far as a class has been used.
    heads: Vec<u32>,
    /// Bit `i` is set when `heads[i]` is not empty.
    occupied: Occupied,
}

/// A bit for each class, aligned as everything around it: a `u128` would add 24 bytes to each delta.
#[derive(Clone, Copy, Default)]
#[repr(Rust, packed(8))]
struct Occupied(u128);

impl Arena {
    /// An arena without a chunk.
    pub(crate) fn new() -> Self {
        let first = u64::from(hooks::first_unit().max(1));
        Self {
            table: Arc::new(Table::empty()),
            next: first,
            end: first,
            cut: 0,
            cut_end: 0,
            free: FreeLists::default(),
            used_units: 0,
            chunk_bytes: 0,
        }
    }

    /// Where the chunks lie now.
    #[inline]
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Bytes in blocks handed out and not yet freed.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_units as usize * UNIT
    }

    /// Heap bytes of the chunks.
    pub(crate) fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Heap bytes beside the chunks.
    pub(crate) fn overhead_bytes(&self) -> usize {
        self.table.heap_bytes() + self.free.heads.capacity() * size_of::<u32>()
    }

    /// Bytes that the chunks may grow by when blocks of `bytes` in total are reserved.
    pub(crate) fn growth_bytes(&self, bytes: usize) -> usize {
        let units = bytes.div_ceil(UNIT);
        let units = units + units / STEPS as usize;
        if (self.end - self.next) as usize >= units { 0 } else { self.next_chunk_bytes(units) }
    }

    /// Makes sure that blocks of `units` in total can be had without an error.
    #[inline]
    pub(crate) fn reserve(&mut self, units: u32) -> Result<(), ArenaError> {
        // Cut at whole steps, blocks of so many units in total are longer by an eighth at most.
        let units = if units > EXACT_CLASSES { units + units / STEPS } else { units };
        if self.end - self.next >= u64::from(units) { Ok(()) } else { self.open_chunk(units) }
    }

    /// Hands out a block. Its content is arbitrary.
    ///
    /// # Panics
    /// If the units were not reserved.
    #[inline]
    pub(crate) fn allocate(&mut self, units: u32) -> u32 {
        self.used_units += u64::from(units);
        let units = block_units(units);
        if let Some(unit) = self.take_free(units) {
            return unit;
        }
        let unit = self.next;
        self.next += u64::from(units);
        assert!(self.next <= self.end, "blocks are reserved before they are allocated");
        let unit = unit as u32;
        hooks::unpoison(self.table.address(unit), units as usize * UNIT);
        unit
    }

    /// Takes a block back.
    #[inline]
    pub(crate) fn free(&mut self, unit: u32, units: u32) {
        self.used_units -= u64::from(units);
        self.put_free(unit, block_units(units));
    }

    /// Starts the next chunk: a sixteenth of what the arena has, from an eighth of which on it gets
    /// a huge page, and at least `units`.
    #[cold]
    #[inline(never)]
    fn open_chunk(&mut self, units: u32) -> Result<(), ArenaError> {
        let is_first = self.chunk_bytes == 0;
        let start = if is_first { self.next } else { self.end.next_multiple_of(PLACE_UNITS) };
        let limit = 1 << UNIT_BITS;
        if start + u64::from(units) > limit {
            return Err(ArenaError::Full);
        }
        let wanted = self.next_chunk_bytes(units as usize);
        let len = (wanted as u64 / UNIT as u64).min(limit - start);
        let block = Block::new(len as usize * UNIT)?;
        hooks::poison(block.as_ptr(), block.len());
        let bytes = block.len();
        let table = Arc::new(self.table.with_chunk(start as u32, block)?);
        self.retire_window();
        self.chunk_bytes += bytes;
        self.table = table;
        (self.next, self.end) = (start, start + len);
        Ok(())
    }

    /// Length of the next chunk, if it has to hold `units`.
    fn next_chunk_bytes(&self, units: usize) -> usize {
        let huge = if self.chunk_bytes / 8 >= HUGE_PAGE { HUGE_PAGE } else { FIRST_CHUNK_BYTES };
        (self.chunk_bytes / 16).max(huge).max(units * UNIT).next_multiple_of(64)
    }

    /// Turns what is left of the current chunk into a free block.
    fn retire_window(&mut self) {
        let left = (self.end - self.next) as u32;
        if left > 0 {
            self.put_free(self.next as u32, left);
        }
        self.next = self.end;
    }

    #[inline]
    fn take_free(&mut self, units: u32) -> Option<u32> {
        if units > EXACT_CLASSES {
            return self.split_free(units);
        }
        let class = class_of(units);
        let unit = self.free.heads.get(class).copied().unwrap_or(0);
        if unit != 0 {
            hooks::unpoison(self.table.address(unit), units as usize * UNIT);
            self.free.pop(&self.table, class);
            return Some(unit);
        }
        if self.cut_end - self.cut < units && !self.start_cut(units) {
            return None;
        }
        let unit = self.cut;
        self.cut += units;
        hooks::unpoison(self.table.address(unit), units as usize * UNIT);
        Some(unit)
    }

    /// Takes a free block of more than `units` to cut short blocks from, if there is one. What is
    /// left of the last one becomes a free block.
    fn start_cut(&mut self, units: u32) -> bool {
        let from = class_of(units + MIN_SPLIT_UNITS);
        let candidates = self.free.occupied.0 >> from;
        if candidates == 0 {
            return false;
        }
        let class = from + candidates.trailing_zeros() as usize;
        let unit = self.free.heads[class];
        let len = block_header::len(&self.table, unit);
        self.free.pop(&self.table, class);
        if self.cut < self.cut_end {
            self.put_free(self.cut, self.cut_end - self.cut);
        }
        hooks::poison(self.table.address(unit), len as usize * UNIT);
        (self.cut, self.cut_end) = (unit, unit + len);
        true
    }

    /// Takes a free block of at least `units` and gives back what is too much of it.
    ///
    /// The head of a list is long enough: blocks are cut at whole steps, and no node or leaf needs
    /// as many as [`LONG_UNITS`], the only list whose blocks may be shorter than what is asked for.
    #[inline(never)]
    fn split_free(&mut self, units: u32) -> Option<u32> {
        let from = class_of(units);
        let candidates = self.free.occupied.0 >> from;
        if candidates == 0 {
            return None;
        }
        let class = from + candidates.trailing_zeros() as usize;
        let unit = self.free.heads[class];
        let len = block_header::len(&self.table, unit);
        if len < units {
            return None;
        }
        self.free.pop(&self.table, class);
        hooks::unpoison(self.table.address(unit), len as usize * UNIT);
        if len > units {
            self.put_free(unit + units, len - units);
        }
        Some(unit)
    }

    fn put_free(&mut self, unit: u32, units: u32) {
        let lists = &mut self.free;
        let class = class_of(units);
        if class >= lists.heads.len() {
            lists.heads.reserve_exact(class + 1 - lists.heads.len());
            lists.heads.resize(class + 1, 0);
        }
        // The header stays readable: it is how the block is found again.
        let start = self.table.address(unit);
        hooks::unpoison(start, UNIT);
        self.table.note_write(start, units as usize * UNIT);
        block_header::write(&self.table, unit, lists.heads[class], units);
        hooks::poison(start.wrapping_add(UNIT), (units as usize - 1) * UNIT);
        lists.heads[class] = unit;
        lists.occupied.0 |= 1 << class;
    }
}

impl FreeLists {
    fn pop(&mut self, table: &Table, class: usize) {
        self.heads[class] = block_header::next(table, self.heads[class]);
        if self.heads[class] == 0 {
            self.occupied.0 &= !(1 << class);
        }
    }
}

/// Units of the block that is cut for `units`: rounded up to a whole step.
#[inline]
fn block_units(units: u32) -> u32 {
    if units <= EXACT_CLASSES || units >= LONG_UNITS {
        units
    } else {
        units.next_multiple_of((1 << units.ilog2()) / STEPS)
    }
}

/// The free list for blocks of `units`: exact sizes first, then steps rounded down.
#[inline]
fn class_of(units: u32) -> usize {
    if units <= EXACT_CLASSES {
        return units as usize - 1;
    }
    let units = units.min(LONG_UNITS);
    let level = units.ilog2();
    let step = units / ((1 << level) / STEPS) - STEPS;
    (EXACT_CLASSES + (level - EXACT_CLASSES.ilog2()) * STEPS + step) as usize
}

/// The first eight bytes of a free block.
mod block_header {
    #![allow(
        unsafe_code,
        clippy::cast_ptr_alignment,
        reason = "a free block belongs to the arena, which writes its link there; blocks are \
                  aligned to units of eight bytes"
    )]
    use super::Table;

    /// Writes the link and the length.
    pub(super) fn write(table: &Table, unit: u32, next: u32, len: u32) {
        let start = table.address(unit).cast::<[u32; 2]>();
        // SAFETY: the block is at least one unit of backed memory, aligned to eight bytes, and
        // free: nothing else reads or writes it (the tree returned it, I1).
        unsafe { start.write([next, len]) }
    }

    /// The next free block of the list.
    pub(super) fn next(table: &Table, unit: u32) -> u32 {
        read(table, unit)[0]
    }

    /// The block's length in units.
    pub(super) fn len(table: &Table, unit: u32) -> u32 {
        read(table, unit)[1]
    }

    fn read(table: &Table, unit: u32) -> [u32; 2] {
        let start = table.address(unit);
        // SAFETY: a block in a free list was given its header by `write`, and stays untouched
        // until it is popped.
        unsafe { start.cast::<[u32; 2]>().read() }
    }
}

#[cfg(test)]
mod tests;
