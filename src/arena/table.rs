//! From a 32-bit unit to an address: chunks of doubling size, eight of each.
//!
//! The address space of an arena is `0..2^29` units of 8 bytes. It is cut at fixed places: sixteen
//! chunks of 512 bytes, then eight each of 1 KiB, 2 KiB, 4 KiB and so on, so that a chunk is never
//! more than an eighth of what stands before it, and its number is a shift and an add away from
//! the unit. A chunk need not be backed in full (see `Arena::open_chunk`), nor at all.

use super::UNIT;
use super::memory::Block;
use crate::sync::{Arc, AtomicU32, Mutex, Ordering};

/// Units below this are cut into sixteen equal chunks of the smallest size.
const LINEAR_BITS: u32 = 9;

/// Number of the chunk that holds `unit`.
#[inline]
pub(super) fn chunk_of(unit: u32) -> usize {
    let level = (unit | 1 << LINEAR_BITS).ilog2();
    ((level - LINEAR_BITS) * 8 + (unit >> (level - 3))) as usize
}

/// First unit of a chunk; for the number after the last chunk, 2^29.
pub(super) fn chunk_start(chunk: usize) -> u64 {
    let chunk = chunk as u64;
    let level = if chunk < 16 { 0 } else { chunk / 8 - 1 };
    (chunk - level * 8) << (u64::from(LINEAR_BITS) - 3 + level)
}

/// Where the chunks of an arena lie. Immutable: an arena that opens a chunk publishes a new table,
/// and a pin keeps the one that it was taken with, so that neither waits for the other.
pub(crate) struct Table {
    /// For each chunk, the address that unit 0 would have if the chunk reached down to it.
    biased: Box<[*mut u8]>,
    /// Keeps the chunks alive.
    memory: Arc<Memory>,
}

// SAFETY: the pointers are addresses into blocks that `memory` owns; who may access which bytes is
// governed by the tree's rules (I1, I5), not by this table.
#[allow(unsafe_code, reason = "raw chunk addresses are shared between threads here")]
unsafe impl Send for Table {}
// SAFETY: as for `Send`; the table itself is immutable.
#[allow(unsafe_code, reason = "raw chunk addresses are shared between threads here")]
unsafe impl Sync for Table {}

impl Table {
    /// A table without chunks.
    pub(super) fn empty() -> Self {
        Self { biased: Box::new([]), memory: Arc::new(Memory::default()) }
    }

    /// This table with one more chunk, whose backing starts at `start_unit`.
    pub(super) fn with_chunk(&self, chunk: usize, start_unit: u32, block: Block) -> Self {
        let mut biased = vec![std::ptr::null_mut(); chunk + 1].into_boxed_slice();
        biased[..self.biased.len()].copy_from_slice(&self.biased);
        biased[chunk] = block.as_ptr().wrapping_sub(start_unit as usize * UNIT);
        let mut blocks = self.memory.blocks.lock();
        if blocks.len() < 4 {
            // Tiny deltas are many, and have one chunk.
            blocks.reserve_exact(1);
        }
        blocks.push(block);
        drop(blocks);
        Self { biased, memory: Arc::clone(&self.memory) }
    }

    /// Address of a unit. Only an address: whether it may be read is the caller's knowledge (I1).
    #[inline]
    pub(crate) fn address(&self, unit: u32) -> *mut u8 {
        self.biased[chunk_of(unit)].wrapping_add(unit as usize * UNIT)
    }

    /// What all tables of one arena share.
    #[inline]
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Heap bytes of the table and of what it shares, chunks not included.
    pub(super) fn heap_bytes(&self) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        COUNTS
            + size_of::<Self>()
            + size_of_val(&*self.biased)
            + COUNTS
            + size_of::<Memory>()
            + self.memory.blocks.lock().capacity() * size_of::<Block>()
            + self.memory.extents.lock().as_ref().map_or(0, |extents| extents.table_bytes())
            + self.memory.pins.lock().capacity() * size_of::<(u16, u32)>()
    }
}

/// What an arena and its pins own together; freed with the last of them.
#[derive(Default)]
pub(crate) struct Memory {
    blocks: Mutex<Vec<Block>>,
    /// Large values that leaves point to. Boxed, so that a leaf can hold a stable address.
    extents: Mutex<Option<Box<Extents>>>,
    /// Live pins: epochs ascending, each with the number of pins taken at it.
    pins: Mutex<Vec<(u16, u32)>>,
    /// The newest epoch in `pins` plus one, or 0. Stored with release by `unpin`, loaded with
    /// acquire by the writer: what a dropped pin read happened before the writer's next change.
    newest: AtomicU32,
}

/// A large value that leaves point to: what an arena has to know of it.
pub(crate) trait OutOfLine: Send + Sync {
    /// Heap bytes that the value owns or shares, besides the struct itself.
    fn heap_bytes(&self) -> usize;
}

/// Extents by slot, and the slots that are free.
#[derive(Default)]
struct Extents {
    slots: Vec<Option<Slot>>,
    vacant: Vec<u32>,
    heap_bytes: usize,
}

/// An extent, boxed.
type Slot = Box<dyn OutOfLine>;

/// Heap bytes of an extent and its box.
fn slot_heap_bytes(extent: &dyn OutOfLine) -> usize {
    extent.heap_bytes() + size_of_val(extent)
}

impl Extents {
    fn table_bytes(&self) -> usize {
        size_of::<Self>()
            + self.slots.capacity() * size_of::<Option<Slot>>()
            + self.vacant.capacity() * size_of::<u32>()
    }
}

impl Memory {
    /// Registers a pin at `epoch`, which is at least every epoch pinned before.
    pub(crate) fn pin(&self, epoch: u16) {
        let mut pins = self.pins.lock();
        match pins.last_mut() {
            Some((newest, count)) if *newest == epoch => *count += 1,
            _ => pins.push((epoch, 1)),
        }
        self.newest.store(u32::from(epoch) + 1, Ordering::Release);
    }

    /// Registers one more pin at an epoch that has a live one.
    pub(crate) fn pin_again(&self, epoch: u16) {
        let mut pins = self.pins.lock();
        let at = pins.binary_search_by_key(&epoch, |pin| pin.0).expect("the cloned pin is live");
        pins[at].1 += 1;
    }

    /// Takes a pin back.
    pub(crate) fn unpin(&self, epoch: u16) {
        let mut pins = self.pins.lock();
        if let Ok(at) = pins.binary_search_by_key(&epoch, |pin| pin.0) {
            pins[at].1 -= 1;
            if pins[at].1 == 0 {
                pins.remove(at);
            }
        }
        let newest = pins.last().map_or(0, |pin| u32::from(pin.0) + 1);
        self.newest.store(newest, Ordering::Release);
    }

    /// The newest epoch with a live pin.
    #[inline]
    pub(crate) fn newest_pin(&self) -> Option<u16> {
        self.newest.load(Ordering::Acquire).checked_sub(1).map(|epoch| epoch as u16)
    }

    /// All epochs with a live pin, ascending.
    pub(crate) fn pinned_epochs(&self) -> Vec<u16> {
        self.pins.lock().iter().map(|pin| pin.0).collect()
    }

    /// Takes an extent in; answers its slot and an address that holds until it is removed.
    pub(crate) fn add_extent<E: OutOfLine + 'static>(&self, extent: E) -> (u32, *const E) {
        let mut extents = self.extents.lock();
        let extents = extents.get_or_insert_default();
        extents.heap_bytes += slot_heap_bytes(&extent);
        let slot = extents.vacant.pop().unwrap_or_else(|| {
            extents.slots.push(None);
            extents.slots.len() as u32 - 1
        });
        // The address is taken where the box stays: moving a box ends what was borrowed from it.
        let boxed = extents.slots[slot as usize].insert(Box::new(extent));
        (slot, (&raw const **boxed).cast::<E>())
    }

    /// Heap bytes of all extents.
    pub(crate) fn extent_bytes(&self) -> usize {
        self.extents.lock().as_ref().map_or(0, |extents| extents.heap_bytes)
    }

    /// Heap bytes of the extent in `slot`.
    pub(crate) fn extent_bytes_in(&self, slot: u32) -> usize {
        let extents = self.extents.lock();
        let slots = extents.as_ref().map_or(&[][..], |extents| &extents.slots);
        let extent = slots.get(slot as usize).and_then(Option::as_deref);
        extent.map_or(0, slot_heap_bytes)
    }

    /// Drops the extent in `slot`.
    pub(crate) fn remove_extent(&self, slot: u32) {
        let mut extents = self.extents.lock();
        let Some(extents) = extents.as_mut() else { return };
        let removed = extents.slots.get_mut(slot as usize).and_then(Option::take);
        debug_assert!(removed.is_some(), "an extent is removed once");
        if let Some(extent) = removed {
            extents.heap_bytes -= slot_heap_bytes(&*extent);
            extents.vacant.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::UNIT_BITS;

    #[test]
    fn chunk_numbers_and_starts_agree_over_the_whole_address_space() {
        let chunks = chunk_of((1 << UNIT_BITS) - 1) + 1;
        assert_eq!(chunk_start(chunks), 1 << UNIT_BITS);
        for chunk in 0..chunks {
            let (start, end) = (chunk_start(chunk), chunk_start(chunk + 1));
            assert!(start < end);
            assert_eq!(chunk_of(start as u32), chunk);
            assert_eq!(chunk_of((end - 1) as u32), chunk);
            assert!(chunk < 16 || (end - start) * 8 <= start, "at most an eighth of what was");
        }
    }

    #[test]
    fn newest_pin_follows_pins_and_unpins() {
        let memory = Memory::default();
        assert_eq!(memory.newest_pin(), None);
        memory.pin(3);
        memory.pin(3);
        memory.pin(5);
        assert_eq!(memory.newest_pin(), Some(5));
        memory.unpin(5);
        assert_eq!(memory.newest_pin(), Some(3));
        memory.unpin(3);
        assert_eq!(memory.pinned_epochs(), [3]);
        memory.unpin(3);
        assert_eq!(memory.newest_pin(), None);
    }
}
