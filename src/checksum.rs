//! The checksum of stored sections and blocks: CRC-32 (IEEE), computed by the `crc32fast` crate.

/// A checksum of bytes that come in pieces.
pub(crate) use crc32fast::Hasher;

/// Checksum of `bytes`.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Checksum of `parts` as if they were one run of bytes.
pub(crate) fn checksum_of_parts(parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    #[test]
    fn parts_have_the_checksum_of_the_whole() {
        let parts: [&[u8]; 3] = [b"1234", b"", b"56789"];
        assert_eq!(super::checksum_of_parts(&parts), super::checksum(b"123456789"));
    }

    #[test]
    fn checksum_is_the_published_crc32() {
        assert_eq!(super::checksum(b"123456789"), 0xcbf4_3926);
    }
}
