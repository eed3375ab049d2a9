//! Hooks for tests: fail an allocation, cap the bytes, poison freed memory.
//!
//! Per thread, so that tests do not disturb each other, and compiled away outside test builds.
//! Poisoning is a build of its own (`--cfg memkv_poison` with `-Zsanitizer=address`): a sanitizer
//! sees a whole arena chunk as one allocation and would miss every overrun inside it.

use super::memory::OutOfMemory;

#[cfg(any(test, fuzzing))]
thread_local! {
    static COUNTDOWN: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
    static FIRST_UNIT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Lets the `n`-th allocation of this thread from now fail (0: the next one); `None`: none.
#[cfg(any(test, fuzzing))]
pub(crate) fn fail_allocation(n: Option<u64>) {
    COUNTDOWN.set(n);
}

/// Lets arenas made by this thread start handing out addresses at `unit` (8 bytes each).
#[cfg(any(test, fuzzing))]
pub(crate) fn start_arenas_at(unit: u32) {
    FIRST_UNIT.set(unit);
}

/// The unit at which a new arena starts.
pub(crate) fn first_unit() -> u32 {
    #[cfg(any(test, fuzzing))]
    return FIRST_UNIT.get();
    #[cfg(not(any(test, fuzzing)))]
    0
}

/// Called before each bulk allocation.
#[cfg_attr(
    not(any(test, fuzzing)),
    expect(clippy::unnecessary_wraps, reason = "only tests make it fail")
)]
pub(crate) fn before_allocation(_len: usize) -> Result<(), OutOfMemory> {
    #[cfg(any(test, fuzzing))]
    match COUNTDOWN.get() {
        Some(0) => return Err(OutOfMemory),
        Some(n) => COUNTDOWN.set(Some(n - 1)),
        None => {}
    }
    Ok(())
}

#[cfg(memkv_poison)]
#[expect(unsafe_code, reason = "the sanitizer's runtime is a C interface")]
mod poison {
    unsafe extern "C" {
        fn __asan_poison_memory_region(start: *const std::ffi::c_void, len: usize);
        fn __asan_unpoison_memory_region(start: *const std::ffi::c_void, len: usize);
    }

    /// Makes any access to the bytes an error until [`unpoison`].
    pub(crate) fn poison(start: *mut u8, len: usize) {
        // SAFETY: the call only marks shadow memory of a range that the arena owns.
        unsafe { __asan_poison_memory_region(start.cast(), len) }
    }

    /// Makes the bytes accessible again.
    pub(crate) fn unpoison(start: *mut u8, len: usize) {
        // SAFETY: as in `poison`.
        unsafe { __asan_unpoison_memory_region(start.cast(), len) }
    }
}

#[cfg(not(memkv_poison))]
mod poison {
    /// Does nothing in builds without the address sanitizer.
    #[inline]
    pub(crate) fn poison(_start: *mut u8, _len: usize) {}

    /// Does nothing in builds without the address sanitizer.
    #[inline]
    pub(crate) fn unpoison(_start: *mut u8, _len: usize) {}
}

pub(crate) use poison::{poison, unpoison};
