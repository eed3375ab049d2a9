//! Little-endian integers and varints read from and written to plain slices, always with bounds.
//!
//! Readers return `None` past the end or on an over-long varint; the caller knows the part and the
//! offset and turns that into a [`Corruption`](crate::error::Corruption).

/// Longest varint of a `u64`, in bytes.
pub(crate) const MAX_VARINT_LEN: usize = 10;

/// Reads a `u16` at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|c| u16::from_le_bytes(*c))
}

/// Reads a `u32` at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|c| u32::from_le_bytes(*c))
}

/// Reads a `u64` at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|c| u64::from_le_bytes(*c))
}

/// Reads an unsigned integer of `width` bytes (0 to 8) at `at`.
pub(crate) fn uint_at(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    let mut wide = [0; 8];
    wide.get_mut(..width)?.copy_from_slice(field);
    Some(u64::from_le_bytes(wide))
}

/// Writes `value` as a LEB128 varint into `out`, and answers the bytes written.
pub(crate) fn put_varint_array(out: &mut [u8; MAX_VARINT_LEN], mut value: u64) -> &[u8] {
    let mut len = 0;
    while value >= 0x80 {
        out[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    out[len] = value as u8;
    &out[..=len]
}

/// The number that eight bytes of a key spell, highest first: numbers compare as the keys do.
#[inline]
#[expect(clippy::big_endian_bytes, reason = "the order of keys is that of their first bytes")]
pub(crate) fn number_of(key: [u8; 8]) -> u64 {
    u64::from_be_bytes(key)
}

/// The key of eight bytes that spells the number.
#[inline]
#[expect(clippy::big_endian_bytes, reason = "the order of keys is that of their first bytes")]
pub(crate) fn bytes_of(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// The number that a key spells which goes on with `bytes` behind one that spells `number`: eight bytes
/// together at most.
#[inline]
#[expect(clippy::big_endian_bytes, reason = "the order of keys is that of their first bytes")]
pub(crate) fn spelled_on(mut number: u64, mut bytes: &[u8]) -> u64 {
    if let Some((four, rest)) = bytes.split_first_chunk() {
        (number, bytes) = (number << 32 | u64::from(u32::from_be_bytes(*four)), rest);
    }
    bytes.iter().fold(number, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether `stored` is `wanted`. Short ones are compared in words without a call: suffixes in a
/// radix tree have a few bytes.
///
/// Branches first on the length of `wanted`, which is known long before `stored` has come from
/// memory, so that a wrong guess costs next to nothing.
#[inline]
pub(crate) fn equal(stored: &[u8], wanted: &[u8]) -> bool {
    let n = wanted.len();
    // Two words that overlap cover everything between one and two words long.
    match n {
        0 => stored.is_empty(),
        1..4 => {
            let ends = |s: &[u8]| (s[0], s[n / 2], s[n - 1]);
            stored.len() == n && ends(stored) == ends(wanted)
        }
        4..8 => {
            let ends = |s: &[u8]| (u32_at(s, 0), u32_at(s, n - 4));
            stored.len() == n && ends(stored) == ends(wanted)
        }
        8..=16 => {
            let ends = |s: &[u8]| (u64_at(s, 0), u64_at(s, n - 8));
            stored.len() == n && ends(stored) == ends(wanted)
        }
        _ => stored == wanted,
    }
}

/// Makes `out` these bytes, as many as it has. As [`equal`], made for few of them.
#[inline]
pub(crate) fn copy_short(out: &mut [u8], bytes: &[u8]) {
    let n = out.len().min(bytes.len());
    let (out, bytes) = (&mut out[..n], &bytes[..n]);
    if n < 4 {
        for (out, byte) in out.iter_mut().zip(bytes) {
            *out = *byte;
        }
    } else if n < 8 {
        let ends = [0, n - 4].map(|at| bytes[at..].first_chunk::<4>().copied().unwrap_or_default());
        out[..4].copy_from_slice(&ends[0]);
        out[n - 4..].copy_from_slice(&ends[1]);
    } else {
        // The last word covers what the others leave.
        let last = bytes.last_chunk::<8>().copied().unwrap_or_default();
        for (out, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *out = *word;
        }
        out[n - 8..].copy_from_slice(&last);
    }
}

/// `key` without `prefix`, if it starts with it. As [`equal`], made for short prefixes.
#[inline]
pub(crate) fn strip_prefix<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = key.split_at_checked(prefix.len())?;
    equal(prefix, head).then_some(rest)
}

/// Length of the longest common prefix of `a` and `b`, eight bytes at a time. What is left at the end
/// is compared with bytes before it that are equal: no loop over single bytes, but for less than 4.
#[inline]
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let n = a.len().min(b.len());
    let differing = |at: usize| u64_at(a, at).unwrap_or(0) ^ u64_at(b, at).unwrap_or(0);
    let mut at = 0;
    while at + 8 <= n {
        let differing = differing(at);
        if differing != 0 {
            return at + differing.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    if n >= 8 {
        return n - 8 + differing(n - 8).trailing_zeros() as usize / 8;
    }
    let differing = |at: usize| u32_at(a, at).unwrap_or(0) ^ u32_at(b, at).unwrap_or(0);
    if n >= 4 {
        let at = if differing(0) == 0 { n - 4 } else { 0 };
        return at + differing(at).trailing_zeros() as usize / 8;
    }
    while at < n && a[at] == b[at] {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_seven_bits_a_byte_lowest_first() {
        let put = |value| put_varint_array(&mut [0; MAX_VARINT_LEN], value).to_vec();
        assert_eq!(put(0), [0]);
        assert_eq!(put(127), [127]);
        assert_eq!(put(128), [0x80, 1]);
        assert_eq!(put(300), [0xac, 2]);
        assert_eq!(put(u64::MAX).len(), MAX_VARINT_LEN);
    }

    #[test]
    fn common_prefix_agrees_with_a_byte_loop() {
        let a: Vec<u8> = (0..40).collect();
        for cut in 0..40 {
            let mut b = a.clone();
            b[cut] ^= 0x80;
            for len in 0..=40 {
                assert_eq!(common_prefix(&a, &b[..len]), cut.min(len));
                assert_eq!(common_prefix(&b[..len], &a), cut.min(len));
            }
        }
    }

    #[test]
    fn equality_agrees_with_slices_at_every_length_and_place() {
        for len in 0..40usize {
            let a: Vec<u8> = (0..len as u8).collect();
            assert!(equal(&a, &a.clone()));
            assert!(!equal(&a, &vec![0; len + 1]));
            for at in 0..len {
                let mut b = a.clone();
                b[at] ^= 1;
                assert!(!equal(&a, &b), "{len} {at}");
            }
            assert_eq!(strip_prefix(&a, &a[..len / 2]), Some(&a[len / 2..]));
            assert_eq!(strip_prefix(&a[..len / 2], &[a.as_slice(), &[1]].concat()), None);
        }
    }
}
