//! From a 29-bit unit to an address: one look into a flat table.
//!
//! The address space of an arena is `0..2^29` units of 8 bytes, cut into *places* of 64 KiB. A
//! chunk takes whole places, and the table has its address for each of them, so that a walk gets
//! from a reference to an address with a shift and a load. Small chunks leave most of their only
//! place unused, which costs addresses and no memory.

use super::memory::{Block, OutOfMemory};
use super::shadow::Shadow;
use super::{CACHE_LINE, UNIT, UNIT_BITS, prefetch_line};
use crate::planted::{Bug, planted};
use crate::sync::{Arc, AtomicU32, Mutex, Ordering};

/// Bits of the number of a unit in its place: 64 KiB.
const PLACE_BITS: u32 = 13;

// A unit, as an offset in bytes, fills 32 bits; `Table::address` relies on it.
const _: () = assert!(UNIT_BITS + UNIT.ilog2() == u32::BITS);

/// Units of one place.
pub(super) const PLACE_UNITS: u64 = 1 << PLACE_BITS;

/// Where the chunks of an arena lie. Immutable: an arena that opens a chunk publishes a new table,
/// and a pin keeps the one that it was taken with, so that neither waits for the other.
pub(crate) struct Table {
    /// For each place, the address that unit 0 would have if the place's chunk reached down to it.
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

    /// This table with one more chunk, which starts at `start_unit`, in a place of its own.
    pub(super) fn with_chunk(&self, start_unit: u32, block: Block) -> Result<Self, OutOfMemory> {
        let end = start_unit as usize + block.len() / UNIT;
        let places = start_unit as usize >> PLACE_BITS..end.div_ceil(PLACE_UNITS as usize);
        let mut biased = Vec::new();
        biased.try_reserve_exact(places.end)?;
        biased.extend_from_slice(&self.biased);
        biased.resize(places.end, std::ptr::null_mut());
        let mut biased = biased.into_boxed_slice();
        biased[places].fill(block.as_ptr().wrapping_sub(start_unit as usize * UNIT));
        let mut blocks = self.memory.blocks.lock();
        if blocks.len() < 4 {
            // Tiny deltas are many, and have one chunk.
            blocks.try_reserve_exact(1)?;
        } else {
            blocks.try_reserve(1)?;
        }
        blocks.push(block);
        drop(blocks);
        Ok(Self { biased, memory: Arc::clone(&self.memory) })
    }

    /// Address of the unit whose number is in the low bits of `reference`. Only an address: whether
    /// it may be read is the caller's knowledge (I1).
    #[inline]
    pub(crate) fn address(&self, reference: u32) -> *mut u8 {
        // As bytes, the unit fills the word: what stands above it is gone.
        let offset = reference << UNIT.ilog2();
        let place = offset >> (PLACE_BITS + UNIT.ilog2());
        self.biased[place as usize].wrapping_add(offset as usize)
    }

    /// Asks for all chunks, as far as they have not more than so many bytes together.
    pub(crate) fn ask_for_all(&self, most: usize) {
        let mut left = most;
        for block in self.memory.blocks.lock().iter() {
            let len = block.len().min(left);
            left -= len;
            for at in (0..len).step_by(CACHE_LINE) {
                prefetch_line(block.as_ptr().wrapping_add(at));
            }
        }
    }

    /// Tells a model that `len` bytes are read.
    #[inline]
    pub(crate) fn note_read(&self, start: *const u8, len: usize) {
        self.memory.shadow.note_read(start, len);
    }

    /// Tells a model that `len` bytes are written, or are nobody's from here on.
    #[inline]
    pub(crate) fn note_write(&self, start: *const u8, len: usize) {
        self.memory.shadow.note_write(start, len);
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
    /// Who touched which bytes, in a model.
    pub(super) shadow: Shadow,
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
    /// One slot more, and room to note one day that it is vacant.
    fn open_slot(&mut self) -> Result<u32, OutOfMemory> {
        self.slots.try_reserve(1)?;
        self.vacant.try_reserve(self.slots.len() + 1)?;
        self.slots.push(None);
        Ok(self.slots.len() as u32 - 1)
    }

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
        let ordering =
            if planted(Bug::PinsReadRelaxed) { Ordering::Relaxed } else { Ordering::Acquire };
        self.newest.load(ordering).checked_sub(1).map(|epoch| epoch as u16)
    }

    /// All epochs with a live pin, ascending.
    pub(crate) fn pinned_epochs(&self) -> Result<Vec<u16>, OutOfMemory> {
        let pins = self.pins.lock();
        let mut epochs = Vec::new();
        epochs.try_reserve_exact(pins.len())?;
        epochs.extend(pins.iter().map(|pin| pin.0));
        Ok(epochs)
    }

    /// Takes an extent in; answers its slot and an address that holds until it is removed.
    pub(crate) fn add_extent<E: OutOfLine + 'static>(
        &self,
        extent: E,
    ) -> Result<(u32, *const E), OutOfMemory> {
        let mut extents = self.extents.lock();
        let extents = extents.get_or_insert_default();
        let slot = match extents.vacant.pop() {
            Some(slot) => slot,
            None => extents.open_slot()?,
        };
        extents.heap_bytes += slot_heap_bytes(&extent);
        // The address is taken where the box stays: moving a box ends what was borrowed from it.
        let boxed = extents.slots[slot as usize].insert(Box::new(extent));
        let address = &raw const **boxed;
        self.shadow.note_write(address.cast(), size_of_val(&**boxed));
        Ok((slot, address.cast::<E>()))
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
            self.shadow.note_write((&raw const *extent).cast(), size_of_val(&*extent));
            extents.heap_bytes -= slot_heap_bytes(&*extent);
            extents.vacant.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_their_chunks_whatever_stands_above_the_unit() {
        let places = [(1, 384), (PLACE_UNITS, 3 << 16), (4 * PLACE_UNITS, 64)];
        let mut table = Table::empty();
        for (start, len) in places {
            let block = Block::new(len).expect("memory for a test");
            let first = block.as_ptr();
            table = table.with_chunk(start as u32, block).expect("memory for a test");
            for offset in (0..len / UNIT).step_by(7) {
                let unit = start as u32 + offset as u32;
                for kind in [0, 1, 7] {
                    let address = table.address(unit | kind << UNIT_BITS);
                    assert_eq!(address, first.wrapping_add(offset * UNIT));
                }
            }
        }
        assert_eq!(table.biased.len(), 5);
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
        assert_eq!(memory.pinned_epochs(), Ok(vec![3]));
        memory.unpin(3);
        assert_eq!(memory.newest_pin(), None);
    }
}
