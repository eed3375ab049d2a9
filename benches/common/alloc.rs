//! A global allocator that counts: bytes requested, bytes really handed out, and the peak.
#![allow(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; this one forwards each call to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

/// The system's allocator with counters. Off until [`start_counting`], so that timings in the
/// same program pay one predictable branch a call and no more.
pub(crate) struct CountingAllocator;

static COUNTING: AtomicBool = AtomicBool::new(false);
static HANDED_OUT: AtomicIsize = AtomicIsize::new(0);
static REQUESTED: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// The counters at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeapCount {
    /// Live bytes with the slack inside each block.
    pub(crate) handed_out: isize,
    /// Live bytes that callers asked for.
    pub(crate) requested: isize,
    /// Largest `handed_out` since the peak was last reset.
    pub(crate) peak: isize,
}

/// Counts from here on.
pub(crate) fn start_counting() {
    COUNTING.store(true, Relaxed);
}

/// The counters now.
pub(crate) fn heap_count() -> HeapCount {
    HeapCount {
        handed_out: HANDED_OUT.load(Relaxed),
        requested: REQUESTED.load(Relaxed),
        peak: PEAK.load(Relaxed),
    }
}

/// Forgets the peak: the next one is at least what is live now.
pub(crate) fn reset_peak() {
    PEAK.store(HANDED_OUT.load(Relaxed), Relaxed);
}

/// Bytes of the block at `start`, slack included.
///
/// # Safety
/// - `start` is a live block of the system's allocator, made for `layout`.
unsafe fn block_bytes(start: *mut u8, layout: Layout) -> isize {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let _ = layout;
        // SAFETY: the system's allocator is malloc here, and the caller vouches for the block.
        (unsafe { libc::malloc_usable_size(start.cast()) }) as isize
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        // No way to ask; most allocators hand out multiples of 16.
        let _ = start;
        layout.size().next_multiple_of(16) as isize
    }
}

fn add(handed_out: isize, requested: usize) {
    let live = HANDED_OUT.fetch_add(handed_out, Relaxed) + handed_out;
    PEAK.fetch_max(live, Relaxed);
    REQUESTED.fetch_add(requested as isize, Relaxed);
}

fn subtract(handed_out: isize, requested: usize) {
    HANDED_OUT.fetch_sub(handed_out, Relaxed);
    REQUESTED.fetch_sub(requested as isize, Relaxed);
}

// SAFETY: every method forwards to `System` with its own arguments and returns what it returns;
// the counters touch no memory of a block.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is ours, word for word.
        let start = unsafe { System.alloc(layout) };
        if COUNTING.load(Relaxed) && !start.is_null() {
            // SAFETY: `start` was made for `layout` a line above.
            add(unsafe { block_bytes(start, layout) }, layout.size());
        }
        start
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is ours, word for word.
        let start = unsafe { System.alloc_zeroed(layout) };
        if COUNTING.load(Relaxed) && !start.is_null() {
            // SAFETY: `start` was made for `layout` a line above.
            add(unsafe { block_bytes(start, layout) }, layout.size());
        }
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if COUNTING.load(Relaxed) {
            // SAFETY: the caller hands over a live block made for `layout`.
            subtract(unsafe { block_bytes(start, layout) }, layout.size());
        }
        // SAFETY: the caller's contract is ours, word for word.
        unsafe { System.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller hands over a live block made for `layout`.
        let old_bytes = unsafe { block_bytes(start, layout) };
        // SAFETY: the caller's contract is ours, word for word.
        let moved = unsafe { System.realloc(start, layout, new_size) };
        if COUNTING.load(Relaxed)
            && !moved.is_null()
            && let Ok(new_layout) = Layout::from_size_align(new_size, layout.align())
        {
            // SAFETY: `moved` is the block that `realloc` made for the new size.
            add(unsafe { block_bytes(moved, new_layout) }, new_size);
            subtract(old_bytes, layout.size());
        }
        moved
    }
}
