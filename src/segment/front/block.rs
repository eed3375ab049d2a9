//! A block: a few neighbouring keys, each but the first stored as what it adds to the one before.
//!
//! ```text
//! length of the head | common | head | a tag for each further key | extras and suffixes
//! ```
//! Everything is less the prefix that all keys of the segment share. `common` is what the keys of
//! the block share beyond it. The high half of a tag is what a key shares with the one before, less
//! `common`; the low half is one less than the length of its suffix, the bytes after that. A half of
//! 15 means that the rest of the number stands before the suffix, the shared part's first. Lengths
//! have one byte, or 255 and two bytes.

use crate::arena::OutOfMemory;
use crate::bytes::common_prefix;
use crate::key::MAX_KEY_LEN;
use crate::planted::{Bug, planted};
use std::ops::Range;

/// Half of a tag from which on the rest of the number stands elsewhere.
const HALF_MAX: usize = 15;

/// First byte of a length of two more bytes; shorter ones are their one byte.
const LONG: u8 = 255;

/// Most keys of a block.
pub(super) const MAX_KEYS: usize = 32;

/// Bytes of a block at most, by its rules: per key a tag, two lengths and a whole key.
pub(super) const MAX_BLOCK_LEN: usize = MAX_KEYS * (1 + 3 + 3 + MAX_KEY_LEN);

/// Bytes of a length.
pub(super) fn len_len(len: usize) -> usize {
    if len < usize::from(LONG) { 1 } else { 3 }
}

/// The bytes of a length, in `field`.
pub(super) fn len_field(len: usize, field: &mut [u8; 3]) -> &[u8] {
    if len < usize::from(LONG) {
        field[0] = len as u8;
        &field[..1]
    } else {
        let [low, high] = (len as u16).to_le_bytes();
        *field = [LONG, low, high];
        field
    }
}

/// Splits a length off.
#[inline]
fn take_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [LONG, low, high, ref rest @ ..] => {
            Some((usize::from(u16::from_le_bytes([low, high])), rest))
        }
        [] | [LONG, ..] => None,
        [len, ref rest @ ..] => Some((usize::from(len), rest)),
    }
}

/// A block, of which only the head has been looked at.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// The first key.
    pub(super) head: &'a [u8],
    /// The other keys.
    rest: Suffixes<'a>,
    /// Bytes of the whole block.
    len: usize,
    /// They, and what follows: of no meaning, but bytes that can be copied.
    tail: &'a [u8],
}

/// Keys of a block that are still to be read.
#[derive(Clone, Copy)]
struct Suffixes<'a> {
    common: usize,
    tags: &'a [u8],
    bytes: &'a [u8],
}

/// What a key has in common with the one before it, and what comes then, at least one byte.
struct Suffix<'a> {
    shared: usize,
    bytes: &'a [u8],
}

impl<'a> Suffixes<'a> {
    /// The next key, which has this tag; `None` if it is not inside the block.
    #[inline]
    fn take(&mut self, tag: u8) -> Option<Suffix<'a>> {
        let mut shared = usize::from(tag >> 4);
        let mut len = usize::from(tag & 15);
        if shared == HALF_MAX || len == HALF_MAX {
            (shared, len) = self.take_extras(shared, len)?;
        }
        let (bytes, rest) = self.bytes.split_at_checked(len + 1)?;
        self.bytes = rest;
        Some(Suffix { shared: self.common + shared, bytes })
    }

    fn take_extras(&mut self, mut shared: usize, mut len: usize) -> Option<(usize, usize)> {
        for half in [&mut shared, &mut len] {
            if *half == HALF_MAX {
                let (extra, rest) = take_len(self.bytes)?;
                *half += extra;
                self.bytes = rest;
            }
        }
        Some((shared, len))
    }
}

impl<'a> Block<'a> {
    /// The block of `keys` keys, at least one, in the first `len` bytes of `tail`; `None` if its head
    /// is not inside.
    #[inline]
    pub(super) fn parse(tail: &'a [u8], len: usize, keys: usize) -> Option<Self> {
        let bytes = tail.get(..len)?;
        let (head_len, bytes) = take_len(bytes)?;
        let (common, bytes) = take_len(bytes)?;
        let (head, bytes) = bytes.split_at_checked(head_len)?;
        let (tags, bytes) = bytes.split_at_checked(keys.checked_sub(1)?)?;
        Some(Self { head, rest: Suffixes { common, tags, bytes }, tail, len })
    }

    /// The place of `key` in the block: `Ok` if it is there, else `Err` with that of the next larger
    /// one. `None` if the block is damaged, and the damage was met.
    ///
    /// No key is put together. What is known of the key that has been reached is that it is below
    /// `key`, and how many bytes the two share; that tells all about the next one but where both
    /// go on from the same place.
    #[inline]
    pub(super) fn search(mut self, key: &[u8]) -> Option<Result<usize, usize>> {
        let mut matched = common_prefix(self.head, key);
        if matched == key.len() {
            return Some(if matched == self.head.len() { Ok(0) } else { Err(0) });
        }
        if self.head.get(matched).is_some_and(|byte| *byte > key[matched]) {
            return Some(Err(0));
        }
        for (before, &tag) in self.rest.tags.iter().enumerate() {
            let Suffix { shared, bytes } = self.rest.take(tag)?;
            // It goes on like the one before it, where that differs from `key`: it is below too.
            if shared > matched {
                continue;
            }
            // It grew larger than the one before it where that and `key` agree.
            if shared < matched && !planted(Bug::BlockSearchPassesBy) {
                return Some(Err(before + 1));
            }
            let wanted = &key[matched..];
            let equal = common_prefix(bytes, wanted);
            if equal == wanted.len() {
                let is_whole = equal == bytes.len();
                return Some(if is_whole { Ok(before + 1) } else { Err(before + 1) });
            }
            if bytes.get(equal).is_some_and(|byte| *byte > wanted[equal]) {
                return Some(Err(before + 1));
            }
            matched += equal;
        }
        Some(Err(self.rest.tags.len() + 1))
    }

    /// Replaces what follows the first `start` bytes of `key` by the key at `slot`, at most the last
    /// one; `None` if the block is damaged up to there.
    pub(super) fn key_at(mut self, slot: usize, key: &mut Vec<u8>, start: usize) -> Option<()> {
        key.truncate(start);
        key.extend_from_slice(self.head);
        for &tag in self.rest.tags.get(..slot)? {
            let Suffix { shared, bytes } = self.rest.take(tag)?;
            if shared > key.len() - start || shared + bytes.len() > MAX_KEY_LEN {
                return None;
            }
            key.truncate(start + shared);
            key.extend_from_slice(bytes);
        }
        Some(())
    }

    /// Makes `key` the one at `slot`, at most the last one, behind the prefix; `None` if the block is
    /// damaged up to there.
    pub(super) fn put_together(
        mut self,
        slot: usize,
        prefix: &[u8],
        key: &mut KeyBuffer,
    ) -> Option<()> {
        if prefix.len() + self.head.len() > MAX_KEY_LEN {
            return None;
        }
        key.replace(0, prefix, prefix.len())?;
        key.replace(prefix.len(), self.head, self.head.len())?;
        for &tag in self.rest.tags.get(..slot)? {
            let (shared, suffix, len) = self.take(tag)?;
            let shared = prefix.len() + shared;
            if shared > key.len || shared + len > MAX_KEY_LEN {
                return None;
            }
            key.replace(shared, suffix, len)?;
        }
        Some(())
    }

    /// The next key, which has this tag: what it shares with the one before it; the suffix, and
    /// whatever follows; and the suffix's length.
    #[inline]
    fn take(&mut self, tag: u8) -> Option<(usize, &'a [u8], usize)> {
        let Suffix { shared, bytes } = self.rest.take(tag)?;
        let at = self.len - self.rest.bytes.len() - bytes.len();
        Some((shared, self.tail.get(at..)?, bytes.len()))
    }

    /// Bytes of all keys together, each with a prefix of so many; `None` if the block is damaged.
    pub(super) fn decoded_len(mut self, prefix_len: usize) -> Option<usize> {
        let mut len = prefix_len + self.head.len();
        for &tag in self.rest.tags {
            let Suffix { shared, bytes } = self.rest.take(tag)?;
            len += prefix_len + shared + bytes.len();
        }
        Some(len)
    }

    /// Decodes all keys; `None` if the block is damaged or they do not ascend.
    pub(super) fn decode(mut self, prefix: &[u8], keys: &mut DecodedKeys) -> Option<()> {
        let limit = MAX_KEY_LEN.checked_sub(prefix.len())?;
        keys.clear();
        if self.head.len() > limit {
            return None;
        }
        let (mut start, mut end) = (0, prefix.len() + self.head.len());
        keys.reserve(end);
        copy_chunks(&mut keys.bytes, prefix, prefix.len())?;
        copy_chunks(keys.bytes.get_mut(prefix.len()..)?, self.head, self.head.len())?;
        keys.close(end)?;
        for &tag in self.rest.tags {
            let (shared, suffix, len) = self.take(tag)?;
            let shared = prefix.len() + shared;
            if shared > end - start || shared + len > MAX_KEY_LEN {
                return None;
            }
            // Greater than the one before it: its first new byte says so, if that has one there.
            if shared < end - start && keys.bytes.get(start + shared) >= suffix.first() {
                return None;
            }
            keys.reserve(end + shared + len);
            repeat_chunks(&mut keys.bytes, start, end, shared)?;
            copy_chunks(keys.bytes.get_mut(end + shared..)?, suffix, len)?;
            (start, end) = (end, end + shared + len);
            keys.close(end)?;
        }
        Some(())
    }
}

/// The keys of a block, whole, one after the other.
#[derive(Default)]
pub(super) struct DecodedKeys {
    /// Keys, and room behind them.
    bytes: Vec<u8>,
    /// Where each key ends.
    ends: [u32; MAX_KEYS],
    len: usize,
}

impl DecodedKeys {
    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for so many bytes of a block's keys.
    pub(super) fn try_reserve(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        self.clear();
        let len = bytes.saturating_add(REACH);
        if len > self.bytes.len() {
            self.bytes.try_reserve(len - self.bytes.len())?;
            self.bytes.resize(len, 0);
        }
        Ok(())
    }

    /// Makes room for this many bytes of keys.
    #[inline]
    fn reserve(&mut self, len: usize) {
        if len + REACH > self.bytes.len() {
            reserve(&mut self.bytes, len);
        }
    }

    #[inline]
    fn close(&mut self, end: usize) -> Option<()> {
        // At most 32 keys of 65,535 bytes.
        *self.ends.get_mut(self.len)? = end as u32;
        self.len += 1;
        Some(())
    }

    #[inline]
    fn span(&self, slot: usize) -> Option<Range<usize>> {
        let ends = self.ends.get(..self.len)?;
        let start = slot.checked_sub(1).and_then(|before| ends.get(before)).copied();
        Some(start.unwrap_or(0) as usize..*ends.get(slot)? as usize)
    }

    /// The key at `slot`; empty if there is none.
    #[inline]
    pub(super) fn key(&self, slot: usize) -> &[u8] {
        self.span(slot).and_then(|span| self.bytes.get(span)).unwrap_or(&[])
    }

    /// All keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len).map(|slot| self.key(slot))
    }
}

/// A key that is put together from what it adds to the one before it.
#[derive(Default)]
pub(super) struct KeyBuffer {
    /// The key, and room behind it.
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuffer {
    /// The key.
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Replaces what follows the first `shared` bytes, of which the key has as many, by the first
    /// `len` bytes of `suffix`.
    #[inline]
    fn replace(&mut self, shared: usize, suffix: &[u8], len: usize) -> Option<()> {
        if shared + len + REACH > self.bytes.len() {
            reserve(&mut self.bytes, shared + len);
        }
        copy_chunks(self.bytes.get_mut(shared..)?, suffix, len)?;
        self.len = shared + len;
        Some(())
    }
}

/// Makes room for so many bytes and [`REACH`] more.
#[cold]
fn reserve(bytes: &mut Vec<u8>, len: usize) {
    bytes.resize((len + REACH).max(2 * bytes.len()), 0);
}

/// Bytes that are copied at a time.
const CHUNK: usize = 16;

/// Room behind keys, so that they can be copied in whole chunks.
const REACH: usize = 4 * CHUNK;

/// Copies the first `len` bytes of `source` to the start of `target`. `None` if there is no room.
///
/// Short ones go in one chunk, without a call and without a branch on their length, where both have
/// as many bytes: those of `target` that follow are anything then. SCRATCHPAD.md section 3.2.
#[inline]
fn copy_chunks(target: &mut [u8], source: &[u8], len: usize) -> Option<()> {
    if len <= CHUNK
        && let (Some(to), Some(chunk)) = (target.first_chunk_mut::<CHUNK>(), source.first_chunk())
    {
        *to = *chunk;
    } else if len <= REACH
        && let (Some(to), Some(chunk)) = (target.first_chunk_mut::<REACH>(), source.first_chunk())
    {
        *to = *chunk;
    } else {
        target.get_mut(..len)?.copy_from_slice(source.get(..len)?);
    }
    Some(())
}

/// Copies `len` bytes from `from` in `bytes` to `at`, behind them, as [`copy_chunks`] does.
#[inline]
fn repeat_chunks(bytes: &mut [u8], from: usize, at: usize, len: usize) -> Option<()> {
    if len <= CHUNK
        && let Some(chunk) = bytes.get(from..)?.first_chunk::<CHUNK>().copied()
        && let Some(to) = bytes.get_mut(at..)?.first_chunk_mut()
    {
        *to = chunk;
    } else if len <= REACH
        && let Some(chunk) = bytes.get(from..)?.first_chunk::<REACH>().copied()
        && let Some(to) = bytes.get_mut(at..)?.first_chunk_mut()
    {
        *to = chunk;
    } else {
        let (source, target) = bytes.split_at_mut_checked(at)?;
        target.get_mut(..len)?.copy_from_slice(source.get(from..from.checked_add(len)?)?);
    }
    Some(())
}

/// A block being put together, from whole keys.
#[derive(Default)]
pub(super) struct BlockStage {
    keys: usize,
    head: Vec<u8>,
    /// What all keys share.
    common: usize,
    /// Of each key but the head: what it shares with the one before it.
    shared: [u16; MAX_KEYS],
    /// Of each key but the head: the length of its suffix.
    lens: [u16; MAX_KEYS],
    suffixes: Vec<u8>,
}

impl BlockStage {
    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.keys
    }

    /// The first key.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// What all keys share.
    pub(super) fn common(&self) -> usize {
        self.common
    }

    /// Makes room for a key.
    pub(super) fn try_reserve(&mut self, key: &[u8]) -> Result<(), OutOfMemory> {
        let bytes = if self.keys == 0 { &mut self.head } else { &mut self.suffixes };
        Ok(bytes.try_reserve(key.len())?)
    }

    /// Appends a key that shares so many bytes with the one before it. There are less than
    /// [`MAX_KEYS`] so far.
    pub(super) fn push(&mut self, key: &[u8], shared: usize) {
        if self.keys == 0 {
            self.head.extend_from_slice(key);
            self.common = key.len();
        } else {
            self.suffixes.extend_from_slice(&key[shared..]);
            self.common = self.common.min(shared);
            // Keys have at most 65,535 bytes.
            self.shared[self.keys] = shared as u16;
            self.lens[self.keys] = (key.len() - shared) as u16;
        }
        self.keys += 1;
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.keys = 0;
        self.head.clear();
        self.suffixes.clear();
    }

    /// Bytes that [`put_rest`](Self::put_rest) appends at most.
    pub(super) fn rest_bound(&self) -> usize {
        self.suffixes.len() + self.keys * (1 + 3 + 3)
    }

    /// Appends what comes after the head.
    pub(super) fn put_rest(&self, out: &mut Vec<u8>) {
        let steps = || (1..self.keys).map(|i| (self.step(i), usize::from(self.lens[i])));
        for ((shared, len), _) in steps() {
            out.push((shared.min(HALF_MAX) << 4 | len.min(HALF_MAX)) as u8);
        }
        let mut suffixes = self.suffixes.as_slice();
        for ((shared, less_len), len) in steps() {
            for half in [shared, less_len] {
                if let Some(extra) = half.checked_sub(HALF_MAX) {
                    out.extend_from_slice(len_field(extra, &mut [0; 3]));
                }
            }
            let (suffix, rest) = suffixes.split_at(len);
            out.extend_from_slice(suffix);
            suffixes = rest;
        }
    }

    /// The two numbers that a tag stands for.
    fn step(&self, i: usize) -> (usize, usize) {
        (usize::from(self.shared[i]) - self.common, usize::from(self.lens[i]) - 1)
    }
}
