//! What the targets share: a limit on the memory and the time that one file may take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

/// Counts live bytes and their peak.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size() as isize, Relaxed) + layout.size() as isize;
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Heap bytes that any file may take, for the longest key and what the target keeps to compare.
const BASE_BYTES: usize = 8 << 20;

/// Heap bytes that it may take for each byte of its length: `verify` keeps a few words for each
/// node of a transducer.
const BYTES_PER_BYTE: usize = 64;

/// Seconds of processor time that it may take, with every check and sanitizer.
const SECONDS: f64 = 2.0;

/// Lets `read` read a file of so many bytes, and checks that memory and time are bounded by that
/// length, not by what the file says.
///
/// # Panics
/// If they are not.
pub fn bounded(file_len: usize, read: &mut dyn FnMut()) {
    let (live, started) = (LIVE.load(Relaxed), processor_seconds());
    PEAK.store(live, Relaxed);
    read();
    let peak = (PEAK.load(Relaxed) - live) as usize;
    let allowed = BASE_BYTES + BYTES_PER_BYTE * file_len;
    assert!(peak <= allowed, "{peak} bytes of heap for a file of {file_len} bytes");
    let seconds = processor_seconds() - started;
    assert!(seconds <= SECONDS, "{seconds} s for a file of {file_len} bytes");
}

/// Processor time of this process, which other load on the machine does not change much.
fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the struct that it is given and to nothing else.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(done, 0, "every Linux has this clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
