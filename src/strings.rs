//! Strings side by side: what a segment decodes, and a batch yields.

use crate::arena::OutOfMemory;

/// Strings, one after the other.
#[derive(Default)]
pub(crate) struct Strings {
    /// Strings, and room behind them.
    pub(crate) bytes: Vec<u8>,
    /// Where the first one starts and each ends; nothing, if there are none.
    pub(crate) bounds: Vec<u32>,
}

impl Strings {
    /// Forgets all strings.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.bounds.clear();
    }

    /// Number of strings.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bounds.len().saturating_sub(1)
    }

    /// Bytes of all strings.
    #[inline]
    pub(crate) fn text_len(&self) -> usize {
        match &*self.bounds {
            [start, .., end] => (end - start) as usize,
            _ => 0,
        }
    }

    /// The one of this number; empty if there is none.
    #[inline]
    pub(crate) fn get(&self, i: usize) -> &[u8] {
        let (text, len) = self.text(i);
        text.get(..len).unwrap_or(&[])
    }

    /// The one of this number, whatever follows it, and its length.
    #[inline]
    pub(crate) fn text(&self, i: usize) -> (&[u8], usize) {
        if let Some([start, end, ..]) = self.bounds.get(i..)
            && let Some(text) = self.bytes.get(*start as usize..)
            && let Some(len) = end.checked_sub(*start)
            && len as usize <= text.len()
        {
            return (text, len as usize);
        }
        (&[], 0)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Makes room for so many bytes.
    pub(crate) fn try_reserve(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        if bytes > self.bytes.len() {
            self.bytes.try_reserve(bytes - self.bytes.len())?;
            self.bytes.resize(bytes, 0);
        }
        Ok(())
    }

    /// Makes room for so many bytes, most likely more.
    #[cold]
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes.resize(bytes.max(2 * self.bytes.len()), 0);
    }
}
