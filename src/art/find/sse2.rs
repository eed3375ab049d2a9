//! The x86-64 twin: SSE2, which every x86-64 processor has.
#![allow(unsafe_code, reason = "a vector load takes a raw pointer")]

use std::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_max_epu8, _mm_movemask_epi8, _mm_set1_epi8,
};

/// See [`super::equal`].
#[inline]
pub(super) fn equal(keys: &[u8; 16], byte: u8) -> u16 {
    let keys = load(keys);
    // SAFETY: SSE2 is part of the x86-64 baseline.
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(keys, _mm_set1_epi8(byte as i8))) as u16 }
}

/// See [`super::below`].
///
/// SSE2 compares signed bytes only; `max(key, byte) == key` is the unsigned `key >= byte`.
#[inline]
pub(super) fn below(keys: &[u8; 16], byte: u8) -> u16 {
    let keys = load(keys);
    // SAFETY: SSE2 is part of the x86-64 baseline.
    unsafe {
        let at_least = _mm_cmpeq_epi8(_mm_max_epu8(keys, _mm_set1_epi8(byte as i8)), keys);
        !(_mm_movemask_epi8(at_least) as u16)
    }
}

#[inline]
fn load(keys: &[u8; 16]) -> __m128i {
    // SAFETY: the reference covers sixteen readable bytes, and the load needs no alignment.
    unsafe { _mm_loadu_si128(keys.as_ptr().cast()) }
}
