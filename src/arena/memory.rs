//! Raw blocks of memory: the only calls to the allocator for bulk data.
//!
//! Blocks of 2 MiB and more are aligned to 2 MiB and advised for huge pages, because a random read
//! over hundreds of MiB pays as much for the TLB as for the cache.
#![allow(
    unsafe_code,
    reason = "this module owns raw memory; everything above takes slices or refs"
)]

use super::hooks;
use std::alloc::Layout;
use std::collections::TryReserveError;
use std::ptr::NonNull;

/// Size and alignment from which huge pages are asked for.
pub(super) const HUGE_PAGE: usize = 2 << 20;

/// Alignment of smaller blocks: one cache line.
const LINE: usize = 64;

/// The allocator had no memory left, or a test said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

/// Makes `buffer` hold these bytes.
#[inline]
pub(crate) fn replace(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), OutOfMemory> {
    buffer.clear();
    buffer.try_reserve(bytes.len())?;
    buffer.extend_from_slice(bytes);
    Ok(())
}

/// An owned, uninitialised block of memory that never moves.
pub(crate) struct Block {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a block is plain memory without thread affinity; who may touch which bytes is the
// concern of the types built on it.
unsafe impl Send for Block {}
// SAFETY: as above; a shared `Block` gives out only its address.
unsafe impl Sync for Block {}

impl Block {
    /// Allocates `len` bytes (at least one), cache-line aligned.
    pub(crate) fn new(len: usize) -> Result<Self, OutOfMemory> {
        hooks::before_allocation(len)?;
        let len = len.max(1);
        let layout = Self::layout(len)?;
        #[expect(clippy::disallowed_methods, reason = "the home of raw allocation")]
        // SAFETY: the layout has a non-zero size.
        let start = unsafe { std::alloc::alloc(layout) };
        let start = NonNull::new(start).ok_or(OutOfMemory)?;
        if len >= HUGE_PAGE {
            advise_huge_pages(start, len);
        }
        Ok(Self { start, len })
    }

    /// Large blocks start at a huge page, others at a cache line.
    fn layout(len: usize) -> Result<Layout, OutOfMemory> {
        let align = if len >= HUGE_PAGE { HUGE_PAGE } else { LINE };
        Layout::from_size_align(len, align).map_err(|_| OutOfMemory)
    }

    /// Address of the first byte.
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        hooks::unpoison(self.as_ptr(), self.len());
        let layout = Self::layout(self.len).expect("it was a layout when it was allocated");
        #[expect(clippy::disallowed_methods, reason = "the home of raw allocation")]
        // SAFETY: `start` came from `alloc` with this very layout and is freed once, here.
        unsafe {
            std::alloc::dealloc(self.start.as_ptr(), layout);
        }
    }
}

/// Asks the kernel to back `len` bytes at `start` with huge pages; a refusal costs only speed.
#[cfg(target_os = "linux")]
fn advise_huge_pages(start: NonNull<u8>, len: usize) {
    // SAFETY: the range is a live allocation of ours, page-aligned by its layout, and the advice
    // does not change its content.
    let _ = unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
}

/// Other systems decide by themselves.
#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_start: NonNull<u8>, _len: usize) {}

/// An owned, initialised byte buffer of fixed length, 64-byte aligned, huge pages when large.
pub(crate) struct Buffer {
    block: Block,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` zero bytes.
    pub(crate) fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        let block = Block::new(len)?;
        // SAFETY: the block has at least `len` writable bytes and nobody else knows of it.
        unsafe {
            block.as_ptr().write_bytes(0, block.len());
        }
        Ok(Self { block, len })
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes were initialised by `zeroed`, and `&self` keeps writers away.
        unsafe { std::slice::from_raw_parts(self.block.as_ptr(), self.len) }
    }

    /// The bytes, to be written.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and `&mut self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.block.as_ptr(), self.len) }
    }

    /// Heap bytes owned.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.block.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zeroed_aligned_and_writable() {
        for len in [0, 1, 63, 64, 4096, HUGE_PAGE - 1, HUGE_PAGE, 3 * HUGE_PAGE + 5] {
            let mut buffer = Buffer::zeroed(len).expect("memory for a test");
            assert_eq!(buffer.as_slice().len(), len);
            assert!(buffer.as_slice().iter().all(|&byte| byte == 0));
            assert_eq!(buffer.as_slice().as_ptr() as usize % 64, 0);
            if let Some(last) = buffer.as_mut_slice().last_mut() {
                *last = 7;
            }
            assert_eq!(buffer.as_slice().last().copied().unwrap_or(7), 7);
        }
    }
}
