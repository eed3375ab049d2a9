//! The checksum of stored sections: CRC-32 (IEEE), computed by the `crc32fast` crate.

/// Checksum of `bytes`.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksum_is_the_published_crc32() {
        assert_eq!(super::checksum(b"123456789"), 0xcbf4_3926);
    }
}
