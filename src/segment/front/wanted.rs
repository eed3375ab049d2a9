//! A key that is looked for, to be read in words.

/// Bytes that are copied, so that words can be read across the end of most keys.
const COPIED: usize = 136;

/// Bytes of a word.
const WORD: usize = 8;

/// A key, and zeros behind it. What would be a loop over the bytes that are left, or a call, is one
/// word then, without a branch on their number. SCRATCHPAD.md section 3.2.
pub(in super::super) struct Wanted<'k> {
    key: &'k [u8],
    /// Its first bytes, and zeros.
    start: [u8; COPIED],
}

impl<'k> Wanted<'k> {
    /// The empty key.
    #[inline]
    pub(in super::super) fn none() -> Self {
        Self { key: &[], start: [0; COPIED] }
    }

    /// A key.
    #[inline]
    pub(super) fn new(key: &'k [u8]) -> Self {
        let mut wanted = Self::none();
        wanted.set(key);
        wanted
    }

    /// Makes this a key: where it stays, since to hand it on takes longer than to make it.
    #[inline]
    pub(super) fn set(&mut self, key: &'k [u8]) {
        let len = key.len().min(COPIED);
        self.start = [0; COPIED];
        self.start[..len].copy_from_slice(&key[..len]);
        self.key = key;
    }

    /// The key.
    #[inline]
    pub(super) fn bytes(&self) -> &'k [u8] {
        self.key
    }

    /// Length of the key.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.key.len()
    }

    /// The bytes from `at` on, as if zeros followed the key; the first is the lowest.
    #[inline]
    pub(super) fn word(&self, at: usize) -> u64 {
        match self.start.get(at..).and_then(<[u8]>::first_chunk) {
            Some(word) => u64::from_le_bytes(*word),
            None => self.far_word(at),
        }
    }

    #[cold]
    fn far_word(&self, at: usize) -> u64 {
        let rest = self.key.get(at..).unwrap_or(&[]);
        let mut word = [0; WORD];
        let len = rest.len().min(WORD);
        word[..len].copy_from_slice(&rest[..len]);
        u64::from_le_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_bytes_of_a_key_and_zeros_wherever_they_start() {
        for len in (0..40).chain(COPIED - 10..COPIED + 20) {
            let key: Vec<u8> = (1..=len as u8).collect();
            let padded = [key.as_slice(), &[0; 3 * WORD]].concat();
            let wanted = Wanted::new(&key);
            for at in 0..=len + WORD {
                let expected = padded[at..].first_chunk().map(|word| u64::from_le_bytes(*word));
                assert_eq!(Some(wanted.word(at)), expected, "{len} {at}");
            }
            assert_eq!(wanted.word(usize::MAX), 0);
        }
    }
}
