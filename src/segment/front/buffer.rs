//! Room for whole keys that are put together.
//!
//! Keys are short and of every length, and so a call for each copy, and a guess at each length, would
//! be most of what a walk takes. So there is room behind the keys, and short pieces are copied as whole
//! chunks, the end of which is written over by what comes next, or is never shown.

use super::block::{MAX_KEYS, Text};
use super::spread::SPREAD_LEN;
use super::symbols::Piece;
use super::weave::WIDEST;
use crate::arena::OutOfMemory;
use crate::key::MAX_KEY_LEN;
use crate::strings::Strings;

/// The keys of blocks, whole.
impl Strings {
    /// Makes room for so many bytes of a block's keys.
    pub(super) fn try_reserve_keys(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.clear();
        self.try_reserve(bytes.saturating_add(SPREAD_LEN + WIDEST))
    }

    /// Makes room for this many bytes of keys.
    #[inline]
    pub(super) fn reserve(&mut self, len: usize) {
        if len + REACH > self.bytes.len() {
            self.grow(len + FEW_KEYS + REACH);
        }
    }

    /// Appends a key in parts, the first one of all behind room for so many bytes. `None` if it would be too
    /// long, or not greater than the one before it.
    pub(super) fn push_whole<const PARTS: usize>(
        &mut self,
        room: usize,
        parts: [Piece<'_>; PARTS],
    ) -> Option<()> {
        self.bounds.reserve(1 + MAX_KEYS);
        let start = if let Some(end) = self.bounds.last() {
            *end as usize
        } else {
            self.bounds.push(room as u32);
            room
        };
        self.reserve(start + parts.iter().map(|part| part.bound()).sum::<usize>());
        let mut end = start;
        for part in parts.into_iter().filter(|part| part.bound() > 0) {
            end += copy_piece(self.bytes.get_mut(end..)?, part)?;
        }
        if end - start > MAX_KEY_LEN {
            return None;
        }
        if let [.., before, _] = *self.bounds
            && self.bytes.get(before as usize..start) >= self.bytes.get(start..end)
        {
            return None;
        }
        self.bounds.push(end as u32);
        Some(())
    }

    /// Appends a key: the first `common` bytes of the key that begins at `first`, and then `len` from a place of
    /// `source` on, or of these bytes. `None` if that one has not as many, or the key would be too long.
    #[inline]
    pub(super) fn push_joined(
        &mut self,
        (first, common): (usize, usize),
        source: Option<&[u8]>,
        (from, len): (usize, usize),
    ) -> Option<()> {
        let end = *self.bounds.last()? as usize;
        let at = end + common;
        if first + common > end || common + len > MAX_KEY_LEN {
            return None;
        }
        self.reserve(at + len);
        repeat_chunks(&mut self.bytes, end, first, common)?;
        match source {
            Some(source) => copy_part(&mut self.bytes, at, source, from, len)?,
            None => repeat_chunks(&mut self.bytes, at, from, len)?,
        }
        // Of at most a few kilobytes and 32 keys of 65,535 bytes.
        self.bounds.push((at + len) as u32);
        Some(())
    }
}

/// A key that is put together from what it adds to the one before it.
#[derive(Default)]
pub(in super::super) struct KeyBuffer {
    /// The key, and room behind it.
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuffer {
    /// The key.
    #[inline]
    pub(in super::super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Length of the key.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Makes it this key, of at most 65,535 bytes.
    pub(in super::super) fn set(&mut self, key: &[u8]) -> Result<(), OutOfMemory> {
        self.set_text((key, key.len()))
    }

    /// The same, whatever follows the key.
    #[inline]
    pub(super) fn set_text(&mut self, (key, len): Text<'_>) -> Result<(), OutOfMemory> {
        if len + REACH > self.bytes.len() {
            self.try_reserve(len)?;
        }
        copy_chunks(&mut self.bytes, key, len).ok_or(OutOfMemory)?;
        self.len = len;
        Ok(())
    }

    /// Makes it this key, of at most 65,535 bytes, which shares so many with the one that it is.
    #[inline]
    pub(in super::super) fn change(
        &mut self,
        shared: usize,
        key: &[u8],
    ) -> Result<(), OutOfMemory> {
        let len = key.len();
        if len + REACH > self.bytes.len() {
            self.try_reserve(len)?;
        }
        let target = &mut self.bytes[..len];
        // The end of the key, in one piece. It may have shared bytes too, which are the same.
        if len - shared <= 16
            && let (Some(to), Some(end)) = (target.last_chunk_mut::<16>(), key.last_chunk())
        {
            *to = *end;
        } else if len - shared <= 8
            && let (Some(to), Some(end)) = (target.last_chunk_mut::<8>(), key.last_chunk())
        {
            *to = *end;
        } else {
            target[shared..].copy_from_slice(&key[shared..]);
        }
        self.len = len;
        Ok(())
    }

    /// The key, whatever follows it, and its length.
    #[inline]
    pub(in super::super) fn text(&self) -> Text<'_> {
        (&self.bytes, self.len)
    }

    /// Makes room for a key put together from pieces of so many bytes.
    pub(super) fn try_reserve(&mut self, len: usize) -> Result<(), OutOfMemory> {
        let len = (len + REACH).max(SHORT_KEY);
        if len > self.bytes.len() {
            self.bytes.try_reserve(len - self.bytes.len())?;
            self.bytes.resize(len, 0);
        }
        Ok(())
    }

    /// Replaces what follows the first `shared` bytes, of which the key has as many, by `suffix`;
    /// `None` if it would be too long.
    #[inline]
    pub(super) fn replace(&mut self, shared: usize, suffix: Piece<'_>) -> Option<()> {
        let len = shared + suffix.bound();
        if len + REACH > self.bytes.len() {
            reserve(&mut self.bytes, len.max(SHORT_KEY));
        }
        self.len = shared + copy_piece(self.bytes.get_mut(shared..)?, suffix)?;
        (self.len <= MAX_KEY_LEN).then_some(())
    }
}

/// Bytes, one piece behind the other, and room behind them for whole chunks.
#[derive(Default)]
pub(super) struct Appended {
    pub(super) bytes: Vec<u8>,
    pub(super) used: usize,
}

impl Appended {
    /// Sees to it that there is room for so many bytes.
    #[inline]
    pub(super) fn try_reserve(&mut self, len: usize) -> Result<(), OutOfMemory> {
        let room = self.used + len + REACH;
        if room > self.bytes.len() {
            self.bytes.try_reserve(room.max(2 * self.bytes.len()) - self.bytes.len())?;
            self.bytes.resize(self.bytes.capacity(), 0);
        }
        Ok(())
    }

    /// Appends the first `len` of some bytes, where there is room; `None` if there is none.
    #[inline]
    pub(super) fn copy(&mut self, bytes: &[u8], len: usize) -> Option<()> {
        copy_chunks(self.bytes.get_mut(self.used..)?, bytes, len)?;
        self.used += len;
        Some(())
    }
}

/// Bytes of a block of short keys, for which there is room from the first one on: to grow key by key
/// would take half of the time of a short walk. SCRATCHPAD.md section 3.6.
const FEW_KEYS: usize = 2048 - REACH;

/// Bytes of a key, and of what its codes might stand for, likewise.
const SHORT_KEY: usize = 512 - REACH;

/// Makes room for so many bytes and [`REACH`] more.
#[cold]
fn reserve(bytes: &mut Vec<u8>, len: usize) {
    bytes.resize((len + REACH).max(2 * bytes.len()), 0);
}

/// Bytes that are copied at a time.
const CHUNK: usize = 16;

/// Room behind keys, so that they can be copied in whole chunks.
pub(super) const REACH: usize = 4 * CHUNK;

/// Copies the first `len` bytes of `source` to the start of `target`. `None` if there is no room.
///
/// Short ones go in one chunk, without a call and without a branch on their length, where both have
/// as many bytes: those of `target` that follow are anything then. SCRATCHPAD.md section 3.2.
#[inline]
pub(super) fn copy_chunks(target: &mut [u8], source: &[u8], len: usize) -> Option<()> {
    copy_part(target, 0, source, 0, len)
}

/// Copies a piece to the start of `target`, and anything behind it. Answers its length; `None` if there
/// is no room.
#[expect(clippy::inline_always, reason = "whether they are codes is known outside of a loop")]
#[inline(always)]
pub(super) fn copy_piece(target: &mut [u8], piece: Piece<'_>) -> Option<usize> {
    match piece.plain() {
        Ok((bytes, len)) => copy_chunks(target, bytes, len).map(|()| len),
        Err(coded) => coded.copy_to(target),
    }
}

/// Copies `len` bytes in `bytes` from `from` to `target`, where none of them is, as [`copy_chunks`] does.
#[inline]
pub(super) fn repeat_chunks(
    bytes: &mut [u8],
    target: usize,
    from: usize,
    len: usize,
) -> Option<()> {
    if len <= CHUNK
        && let Some(chunk) = part::<CHUNK>(bytes, from).copied()
        && let Some(to) = part_mut(bytes, target)
    {
        *to = chunk;
    } else if len <= REACH
        && let Some(chunk) = part::<REACH>(bytes, from).copied()
        && let Some(to) = part_mut(bytes, target)
    {
        *to = chunk;
    } else if len <= 2 * REACH
        && let Some(chunk) = part::<{ 2 * REACH }>(bytes, from).copied()
        && let Some(to) = part_mut(bytes, target)
    {
        *to = chunk;
    } else {
        let end = from.checked_add(len).filter(|end| *end <= bytes.len())?;
        bytes.get(target..)?.get(..len)?;
        bytes.copy_within(from..end, target);
    }
    Some(())
}

/// The same, from other bytes.
#[inline]
pub(super) fn copy_part(
    bytes: &mut [u8],
    target: usize,
    source: &[u8],
    from: usize,
    len: usize,
) -> Option<()> {
    if len <= CHUNK
        && let (Some(to), Some(chunk)) = (part_mut::<CHUNK>(bytes, target), part(source, from))
    {
        *to = *chunk;
    } else if len <= REACH
        && let (Some(to), Some(chunk)) = (part_mut::<REACH>(bytes, target), part(source, from))
    {
        *to = *chunk;
    } else {
        let source = source.get(from..)?.get(..len)?;
        bytes.get_mut(target..)?.get_mut(..len)?.copy_from_slice(source);
    }
    Some(())
}

/// So many bytes from a place on, which is inside a block or told by a bound, and so below 4 GiB: one comparison
/// tells whether they are there.
#[inline]
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    debug_assert!(u32::try_from(at).is_ok());
    let at = at as u32 as usize;
    bytes.get(at..at + N)?.first_chunk()
}

/// The same, to be written.
#[inline]
pub(super) fn part_mut<const N: usize>(bytes: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    debug_assert!(u32::try_from(at).is_ok());
    let at = at as u32 as usize;
    bytes.get_mut(at..at + N)?.first_chunk_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first `len` bytes, as they are.
    fn plain(bytes: &[u8], len: usize) -> Piece<'_> {
        Piece::new(bytes, len, None)
    }

    #[test]
    fn keys_of_all_lengths_are_put_together_whatever_follows_their_pieces() {
        let source: Vec<u8> = (0..=255).cycle().take(400).collect();
        let lens = (0..40).chain([63, 64, 65, 150]);
        for (shared, len) in lens.clone().flat_map(|shared| lens.clone().map(move |n| (shared, n)))
        {
            // With all that follows, and with nothing.
            for suffix in [&source[200..], &source[200..200 + len]] {
                let expected = [&source[..shared], &source[200..200 + len]].concat();
                let mut key = KeyBuffer::default();
                key.replace(0, plain(&source, 170)).expect("enough bytes");
                key.replace(shared, plain(suffix, len)).expect("enough bytes");
                assert_eq!(key.as_slice(), expected);
                let mut keys = Strings::default();
                let head = &source[3..shared.max(3)];
                keys.push_whole(0, [plain(&source[..3], 3), plain(head, head.len())])
                    .expect("enough bytes");
                let shared = shared.max(3);
                let expected = [&source[..shared], &source[200..200 + len]].concat();
                keys.push_joined((0, shared), Some(suffix), (0, len)).expect("enough bytes");
                keys.push_joined((0, shared), Some(suffix), (0, len)).expect("enough bytes");
                assert_eq!((keys.get(1), keys.get(2)), (&expected[..], &expected[..]));
                let last = (shared + shared + len, shared + len);
                keys.push_joined(last, None, (1, 2)).expect("enough bytes");
                assert_eq!(keys.get(3), [&expected[..], &source[1..3]].concat());
                assert_eq!(keys.get(0), &source[..shared]);
            }
        }
    }

    #[test]
    fn keys_of_too_many_bytes_are_refused() {
        let mut keys = Strings::default();
        let long = vec![1; MAX_KEY_LEN];
        assert_eq!(keys.push_joined((0, 0), Some(b"a"), (0, 1)), None, "no key before it");
        keys.push_whole(9, [plain(b"a", 1), plain(b"bc", 2)]).expect("enough bytes");
        let mut push =
            |common, text: &[u8], len| keys.push_joined((9, common), Some(text), (0, len));
        assert_eq!(push(4, b"d", 1), None, "more shared than there is");
        assert_eq!(push(3, b"d", 2), None, "more bytes than there are");
        assert_eq!(push(3, &long, MAX_KEY_LEN), None, "too long");
        assert_eq!(push(3, b"d", 1), Some(()));
        assert_eq!(push(0, &long, MAX_KEY_LEN), Some(()));
        let lens: Vec<usize> = keys.iter().map(<[u8]>::len).collect();
        assert_eq!((keys.get(1), &lens[..]), (&b"abcd"[..], &[3, 4, MAX_KEY_LEN][..]));
    }
}
