//! Files as memory: a private, read-only view of a whole file.
#![allow(
    unsafe_code,
    reason = "mapping is the one way to open a file in time independent of its length"
)]

use std::fs::File;
use std::io;
use std::ops::Range;

/// The bytes of a file as they were when it was mapped, readable until the mapping is dropped.
///
/// The file may be closed, renamed or unlinked meanwhile. Nobody may truncate it or write to it:
/// the store never does, and a foreign program that does is the one thing that cannot be guarded.
pub(crate) struct Mapping {
    source: Source,
}

/// Where the bytes are.
enum Source {
    File(memmap2::Mmap),
    /// So many bytes of memory that tests and fuzzers made, and may share.
    #[cfg(any(test, fuzzing))]
    Shared(std::sync::Arc<[u8]>, usize),
    /// Beside a page that nobody may touch.
    #[cfg(all(test, unix))]
    Guarded(guarded::Guarded),
}

impl Mapping {
    /// Maps all of `file`, privately and without write access. An empty file gives no bytes.
    ///
    /// Whoever reads in order says so by [`will_need`](Self::will_need): the system is told to
    /// expect reads anywhere, since most are, and then fetches no page that nobody asked for.
    pub(crate) fn open(file: &File) -> io::Result<Self> {
        // SAFETY: published bytes never change (I5); the store neither truncates nor overwrites a
        // file it has mapped, and the documentation forbids others to.
        let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(file)? };
        // Advice: a system that does not take it works as well.
        #[cfg(unix)]
        let _ = map.advise(memmap2::Advice::Random);
        Ok(Self { source: Source::File(map) })
    }

    /// The bytes.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match &self.source {
            Source::File(map) => map,
            #[cfg(any(test, fuzzing))]
            Source::Shared(bytes, len) => &bytes[..*len],
            #[cfg(all(test, unix))]
            Source::Guarded(bytes) => bytes.as_slice(),
        }
    }

    /// Lets the system fetch these bytes, as far as they exist, in the background.
    pub(crate) fn will_need(&self, range: Range<usize>) {
        let end = range.end.min(self.as_slice().len());
        match &self.source {
            // Advice, as above.
            #[cfg(unix)]
            Source::File(map) if range.start < end => {
                let (from, len) = (range.start, end - range.start);
                let _ = map.advise_range(memmap2::Advice::WillNeed, from, len);
            }
            _ => {}
        }
    }

    /// A mapping of a file that is the first `len` of these bytes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn shared(bytes: std::sync::Arc<[u8]>, len: usize) -> Self {
        Self { source: Source::Shared(bytes, len) }
    }

    /// A mapping of a copy of these bytes, beside a page that nobody may touch.
    #[cfg(all(test, unix))]
    pub(crate) fn guarded(bytes: &[u8], flush: guarded::Flush) -> Self {
        Self { source: Source::Guarded(guarded::Guarded::new(bytes, flush)) }
    }
}

/// Bytes with a page behind and before them that nobody may touch: what reads past either end dies.
#[cfg(all(test, unix))]
pub(crate) mod guarded {
    use std::ptr::NonNull;

    /// A page that is touched nowhere, at both ends.
    const GUARD: usize = 64 << 10;

    /// Where the bytes stand between the guards.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Flush {
        /// Right behind the first one.
        Front,
        /// Right before the second one.
        Back,
    }

    /// A copy of some bytes beside a guard.
    pub(crate) struct Guarded {
        map: NonNull<u8>,
        map_len: usize,
        start: usize,
        len: usize,
    }

    // SAFETY: plain memory of its own, never written after `new`.
    unsafe impl Send for Guarded {}
    // SAFETY: as above.
    unsafe impl Sync for Guarded {}

    impl Guarded {
        pub(crate) fn new(bytes: &[u8], flush: Flush) -> Self {
            let room = bytes.len().next_multiple_of(GUARD);
            let map_len = room + 2 * GUARD;
            let start = match flush {
                Flush::Front => GUARD,
                Flush::Back => GUARD + room - bytes.len(),
            };
            // SAFETY: a new private mapping at a place of the kernel's choice. Its middle, which
            // is made writable, has room for all bytes.
            unsafe {
                let (none, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                let map = libc::mmap(std::ptr::null_mut(), map_len, none, flags, -1, 0);
                assert_ne!(map, libc::MAP_FAILED, "address space for a test");
                let map = map.cast::<u8>();
                if room > 0 {
                    let open = libc::PROT_READ | libc::PROT_WRITE;
                    assert_eq!(libc::mprotect(map.add(GUARD).cast(), room, open), 0);
                    map.add(start).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                }
                let map = NonNull::new(map).expect("it is not mapped at zero");
                Self { map, map_len, start, len: bytes.len() }
            }
        }

        pub(crate) fn as_slice(&self) -> &[u8] {
            // SAFETY: `new` wrote that many bytes there, and they are never written again.
            unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(self.start), self.len) }
        }
    }

    impl Drop for Guarded {
        fn drop(&mut self) {
            // SAFETY: the mapping is ours and ends here.
            unsafe {
                libc::munmap(self.map.as_ptr().cast(), self.map_len);
            }
        }
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
