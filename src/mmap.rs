//! Files as memory: a private, read-only view of a whole file.
#![allow(
    unsafe_code,
    reason = "mapping is the one way to open a file in time independent of its length"
)]

use std::fs::File;
use std::io;

/// The bytes of a file as they were when it was mapped, readable until the mapping is dropped.
///
/// The file may be closed, renamed or unlinked meanwhile. Nobody may truncate it or write to it:
/// the store never does, and a foreign program that does is the one thing that cannot be guarded.
pub(crate) struct Mapping {
    map: memmap2::Mmap,
}

impl Mapping {
    /// Maps all of `file`, privately and without write access. An empty file gives no bytes.
    pub(crate) fn open(file: &File) -> io::Result<Self> {
        // SAFETY: published bytes never change (I5); the store neither truncates nor overwrites a
        // file it has mapped, and the documentation forbids others to.
        let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(file)? };
        Ok(Self { map })
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn mapping_shows_the_bytes_of_the_file_after_it_is_closed() {
        for bytes in [&b""[..], b"x", &[7; 10_000]] {
            let mut file = tempfile::tempfile().expect("a file for a test");
            file.write_all(bytes).expect("space for a test");
            let mapping = Mapping::open(&file).expect("a mappable file");
            drop(file);
            assert_eq!(mapping.as_slice(), bytes);
        }
    }
}
