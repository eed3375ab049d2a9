//! Searching the sixteen sorted key bytes of a Node16 at once.
//!
//! One pair of functions, three twins: SSE2, NEON and portable. Each answers a 16-bit mask with one
//! bit for each key byte; the caller masks off the bytes beyond the node's count. The portable twin
//! is what the others are tested against, and what `--cfg memkv_portable` builds use.

#[cfg(any(test, memkv_portable, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod generic;
#[cfg(all(target_arch = "aarch64", not(memkv_portable)))]
mod neon;
#[cfg(all(target_arch = "x86_64", not(memkv_portable)))]
mod sse2;

#[cfg(any(memkv_portable, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
use generic as twin;
#[cfg(all(target_arch = "aarch64", not(memkv_portable)))]
use neon as twin;
#[cfg(all(target_arch = "x86_64", not(memkv_portable)))]
use sse2 as twin;

/// Bit `i` is set when `keys[i] == byte`.
#[inline]
pub(crate) fn equal(keys: &[u8; 16], byte: u8) -> u16 {
    twin::equal(keys, byte)
}

/// Bit `i` is set when `keys[i] < byte`, as unsigned numbers.
#[inline]
pub(crate) fn below(keys: &[u8; 16], byte: u8) -> u16 {
    twin::below(keys, byte)
}

#[cfg(test)]
mod tests {
    use super::{below, equal, generic};

    #[test]
    fn the_twin_in_use_agrees_with_the_portable_one() {
        let mut state = 1u64;
        let mut keys = [0u8; 16];
        for round in 0..20_000u32 {
            for key in &mut keys {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                *key = (state >> 56) as u8;
            }
            // Every third round from the bytes where signed and unsigned order differ.
            if round % 3 == 0 {
                keys = keys.map(|key| [0x00, 0x01, 0x7f, 0x80, 0xff][usize::from(key) % 5]);
            }
            let probe = if round % 2 == 0 { keys[round as usize % 16] } else { round as u8 };
            assert_eq!(equal(&keys, probe), generic::equal(&keys, probe), "{keys:?} {probe}");
            assert_eq!(below(&keys, probe), generic::below(&keys, probe), "{keys:?} {probe}");
        }
    }

    #[test]
    fn the_portable_twin_says_what_a_loop_says() {
        let keys = [0, 1, 2, 3, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff, 9, 9, 0, 0xff, 0x80, 5];
        for byte in 0..=255u8 {
            for (i, &key) in keys.iter().enumerate() {
                assert_eq!(generic::equal(&keys, byte) >> i & 1 == 1, key == byte);
                assert_eq!(generic::below(&keys, byte) >> i & 1 == 1, key < byte);
            }
        }
    }
}
