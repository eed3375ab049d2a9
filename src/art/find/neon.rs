//! The AArch64 twin: NEON, which every AArch64 processor has.
#![allow(unsafe_code, reason = "a vector load takes a raw pointer")]

use std::arch::aarch64::{
    uint8x16_t, vaddv_u8, vandq_u8, vceqq_u8, vcltq_u8, vdupq_n_u8, vget_high_u8, vget_low_u8,
    vld1q_u8,
};

/// One bit for each lane, the same for both halves.
const LANE_BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

/// See [`super::equal`].
#[inline]
pub(super) fn equal(keys: &[u8; 16], byte: u8) -> u16 {
    // SAFETY: NEON is part of the AArch64 baseline.
    unsafe { mask(vceqq_u8(load(keys), vdupq_n_u8(byte))) }
}

/// See [`super::below`].
#[inline]
pub(super) fn below(keys: &[u8; 16], byte: u8) -> u16 {
    // SAFETY: NEON is part of the AArch64 baseline.
    unsafe { mask(vcltq_u8(load(keys), vdupq_n_u8(byte))) }
}

#[inline]
fn load(keys: &[u8; 16]) -> uint8x16_t {
    // SAFETY: the reference covers sixteen readable bytes, and the load needs no alignment.
    unsafe { vld1q_u8(keys.as_ptr()) }
}

/// Gathers one bit from each lane of all ones or all zeros.
#[inline]
fn mask(lanes: uint8x16_t) -> u16 {
    // SAFETY: NEON is part of the AArch64 baseline.
    unsafe {
        let bits = vandq_u8(lanes, load(&LANE_BITS));
        u16::from(vaddv_u8(vget_low_u8(bits))) | u16::from(vaddv_u8(vget_high_u8(bits))) << 8
    }
}
