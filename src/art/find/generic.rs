//! The portable twin: plain loops that compilers turn into what the machine has.

/// See [`super::equal`].
#[inline]
pub(super) fn equal(keys: &[u8; 16], byte: u8) -> u16 {
    mask(keys, |key| key == byte)
}

/// See [`super::below`].
#[inline]
pub(super) fn below(keys: &[u8; 16], byte: u8) -> u16 {
    mask(keys, |key| key < byte)
}

#[inline]
fn mask(keys: &[u8; 16], holds: impl Fn(u8) -> bool) -> u16 {
    keys.iter().enumerate().fold(0, |mask, (i, &key)| mask | u16::from(holds(key)) << i)
}
