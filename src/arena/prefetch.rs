//! Asking for memory before it is read.
#![allow(unsafe_code, reason = "the processor is asked by an intrinsic, which takes a raw pointer")]

/// Bytes that memory hands over at once, on most processors.
pub(crate) const CACHE_LINE: usize = 64;

/// Asks for the cache line of byte `at`. No page is brought in. Where the slice ends before, nothing is read
/// either, and a look at its length would take as long as the hint.
#[inline]
pub(crate) fn prefetch(bytes: &[u8], at: usize) {
    prefetch_line(bytes.as_ptr().wrapping_add(at));
}

/// Asks for what a reference leads to, up to four lines of it.
#[inline]
pub(crate) fn prefetch_value<T>(value: &T) {
    let address = std::ptr::from_ref(value).cast::<u8>();
    for at in (0..size_of::<T>().min(4 * CACHE_LINE)).step_by(CACHE_LINE) {
        prefetch_line(address.wrapping_add(at));
    }
}

/// Asks for the cache line at an address, which need not be readable: a hint, which reads nothing.
#[cfg(all(target_arch = "x86_64", not(memkv_portable)))]
#[inline]
pub(crate) fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch is a hint that reads nothing and cannot fault.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
}

/// Does nothing: there is no portable way to ask, nor a stable intrinsic on other architectures.
#[cfg(not(all(target_arch = "x86_64", not(memkv_portable))))]
#[inline]
pub(crate) fn prefetch_line(_address: *const u8) {}
