//! What the process holds: a counting allocator, and the kernel's own figures beside it.
#![allow(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; this one forwards each call to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

/// The system's allocator with counters of usable sizes, slack included. They are off while
/// something is timed, so that maps with many small blocks pay one predictable branch a call.
pub(crate) struct CountingAllocator;

static COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

pub(crate) fn count(on: bool) {
    COUNTING.store(on, Relaxed);
}

/// Bytes in live blocks since counting began.
pub(crate) fn live_bytes() -> isize {
    LIVE.load(Relaxed)
}

/// The most that was live since [`reset_peak`].
pub(crate) fn peak_bytes() -> isize {
    PEAK.load(Relaxed)
}

pub(crate) fn reset_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}

/// Bytes of this process that are in memory, as the kernel counts them; 0 where it does not say.
pub(crate) fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    // SAFETY: sysconf has no preconditions.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0) * page_bytes.max(0) as usize
}

/// # Safety
/// - `start` is a live block of the system's allocator.
unsafe fn block_bytes(start: *mut u8) -> isize {
    // SAFETY: the system's allocator is malloc, and the caller vouches for the block.
    (unsafe { libc::malloc_usable_size(start.cast()) }) as isize
}

fn add(bytes: isize) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    if bytes > 0 {
        PEAK.fetch_max(live, Relaxed);
    }
}

// SAFETY: every method forwards to `System` with its own arguments and returns what it returns;
// the counters touch no memory of a block.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is ours, word for word.
        let start = unsafe { System.alloc(layout) };
        if COUNTING.load(Relaxed) && !start.is_null() {
            // SAFETY: `start` was made a line above.
            add(unsafe { block_bytes(start) });
        }
        start
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is ours, word for word.
        let start = unsafe { System.alloc_zeroed(layout) };
        if COUNTING.load(Relaxed) && !start.is_null() {
            // SAFETY: `start` was made a line above.
            add(unsafe { block_bytes(start) });
        }
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if COUNTING.load(Relaxed) {
            // SAFETY: the caller hands over a live block.
            add(-unsafe { block_bytes(start) });
        }
        // SAFETY: the caller's contract is ours, word for word.
        unsafe { System.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let counting = COUNTING.load(Relaxed);
        // SAFETY: the caller hands over a live block.
        let old = if counting { unsafe { block_bytes(start) } } else { 0 };
        // SAFETY: the caller's contract is ours, word for word.
        let moved = unsafe { System.realloc(start, layout, new_size) };
        if counting && !moved.is_null() {
            // SAFETY: `moved` is the block that `realloc` made. The old one counts until now, so
            // that a growing vector's peak is not missed where the block had to move.
            let new = unsafe { block_bytes(moved) };
            if moved == start {
                add(new - old);
            } else {
                add(new);
                add(-old);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::{live_bytes, resident_bytes};

    #[test]
    fn the_kernel_tells_the_resident_bytes() {
        let before = resident_bytes();
        let block = vec![1_u8; 64 << 20];
        assert!(resident_bytes() > before + (32 << 20), "{} {before}", block.len());
    }

    #[test]
    fn nothing_is_counted_before_counting_begins() {
        assert_eq!(live_bytes(), 0);
    }
}
