//! Strings side by side: what a segment decodes, and a batch yields.

use crate::arena::OutOfMemory;
use std::ops::Range;

/// Bytes behind strings that may be read with the last one, if there is no less room.
const REACH: usize = 64;

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

    /// Makes room for one more string of so many bytes, where there are some.
    pub(crate) fn make_room(&mut self, len: usize) -> Option<()> {
        let end = *self.bounds.last()? as usize;
        self.bounds.try_reserve(1).ok()?;
        self.try_reserve(end + len + REACH).ok()
    }

    /// Puts a string, for which there is room, or none in place of these.
    pub(crate) fn replace(&mut self, range: Range<usize>, with: Option<&[u8]>) {
        let Some(end) = self.bounds.last().map(|end| *end as usize) else { return };
        let text = with.unwrap_or_default();
        let (from, to) = (self.bounds[range.start] as usize, self.bounds[range.end] as usize);
        let behind = from + text.len();
        self.bytes.copy_within(to..end, behind);
        self.bytes[from..behind].copy_from_slice(text);
        for bound in &mut self.bounds[range.end + 1..] {
            *bound = (*bound as usize - to + behind) as u32;
        }
        self.bounds.splice((range.start + 1)..=range.end, with.map(|_| behind as u32));
    }

    /// Makes room for so many bytes, most likely more.
    #[cold]
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes.resize(bytes.max(2 * self.bytes.len()), 0);
    }
}
