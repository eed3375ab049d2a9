//! The buffer that compound keys are encoded into: on the stack until it is full.

use std::collections::TryReserveError;

/// Keys up to this length are built without allocating.
const INLINE_LEN: usize = 64;

/// Where a key is written while it is encoded: 64 bytes on the stack, then a heap buffer.
///
/// ```
/// use memkv::KeyBuf;
/// let mut buf = KeyBuf::new();
/// buf.push(b'k');
/// buf.extend_from_slice(b"ey");
/// assert_eq!(buf.as_slice(), b"key");
/// ```
#[derive(Clone, Debug)]
pub struct KeyBuf(Storage);

#[derive(Clone, Debug)]
enum Storage {
    Inline { bytes: [u8; INLINE_LEN], len: u8 },
    Heap(Vec<u8>),
}

impl KeyBuf {
    /// An empty buffer. Allocates nothing.
    #[inline]
    pub const fn new() -> Self {
        Self(Storage::Inline { bytes: [0; INLINE_LEN], len: 0 })
    }

    /// Appends one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }

    /// Appends bytes. Allocates once the buffer holds more than 64.
    #[inline]
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        match &mut self.0 {
            Storage::Inline { bytes, len } => {
                let start = usize::from(*len);
                match bytes.get_mut(start..start + more.len()) {
                    Some(free) => {
                        free.copy_from_slice(more);
                        *len += more.len() as u8;
                    }
                    None => self.spill(more),
                }
            }
            Storage::Heap(heap) => heap.extend_from_slice(more),
        }
    }

    /// Appends bytes unless that takes memory which cannot be had: then nothing is appended.
    pub(crate) fn try_extend(&mut self, more: &[u8]) -> Result<(), TryReserveError> {
        match &mut self.0 {
            Storage::Inline { len, .. } if usize::from(*len) + more.len() > INLINE_LEN => {
                let written = self.as_slice();
                let mut heap = Vec::new();
                heap.try_reserve(written.len() + more.len())?;
                heap.extend_from_slice(written);
                self.0 = Storage::Heap(heap);
            }
            Storage::Inline { .. } => {}
            Storage::Heap(heap) => heap.try_reserve(more.len())?,
        }
        self.extend_from_slice(more);
        Ok(())
    }

    /// What was written so far.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Storage::Inline { bytes, len } => &bytes[..usize::from(*len)],
            Storage::Heap(heap) => heap,
        }
    }

    /// Replaces the bytes from `start` on by their complements.
    #[inline]
    pub(super) fn complement_from(&mut self, start: usize) {
        let written = match &mut self.0 {
            Storage::Inline { bytes, len } => &mut bytes[..usize::from(*len)],
            Storage::Heap(heap) => heap.as_mut_slice(),
        };
        for byte in &mut written[start..] {
            *byte = !*byte;
        }
    }

    /// Moves to the heap, with as much room again as is needed now.
    #[cold]
    fn spill(&mut self, more: &[u8]) {
        let written = self.as_slice();
        let mut heap = Vec::with_capacity(2 * (written.len() + more.len()));
        heap.extend_from_slice(written);
        heap.extend_from_slice(more);
        self.0 = Storage::Heap(heap);
    }
}

impl Default for KeyBuf {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_move_to_the_heap_at_every_split() {
        let bytes: Vec<u8> = (0..=200).collect();
        for split in 0..bytes.len() {
            let mut buf = KeyBuf::new();
            buf.extend_from_slice(&bytes[..split]);
            for &byte in &bytes[split..] {
                buf.push(byte);
            }
            assert_eq!(buf.as_slice(), bytes);
            let mut buf = KeyBuf::new();
            for part in [&bytes[..split], &bytes[split..]] {
                buf.try_extend(part).expect("memory");
            }
            assert_eq!(buf.as_slice(), bytes);
        }
    }

    #[test]
    fn complements_start_where_they_are_told_to() {
        for len in [3, INLINE_LEN + 1] {
            let mut buf = KeyBuf::new();
            buf.extend_from_slice(&vec![0x0f; len]);
            buf.complement_from(2);
            assert_eq!(buf.as_slice()[..2], [0x0f; 2]);
            assert_eq!(buf.as_slice()[2..], vec![0xf0; len - 2]);
        }
    }

    #[test]
    fn sixty_four_bytes_stay_on_the_stack() {
        let mut buf = KeyBuf::new();
        buf.extend_from_slice(&[7; INLINE_LEN]);
        assert!(matches!(buf.0, Storage::Inline { .. }));
        buf.push(7);
        assert!(matches!(buf.0, Storage::Heap(_)));
    }
}
