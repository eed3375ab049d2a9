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
//!
//! Head and suffixes may be codes of [symbols](super::symbols). Their lengths are those of the codes;
//! what keys share is counted in bytes of keys in any case.

use super::buffer::{KeyBuffer, REACH, copy_chunks};
use super::spread::{room_behind, start_of};
use super::symbols::{Met, Piece, Symbols};
use super::tags::{TAGS, Tags, WORD};
use super::wanted::Wanted;
use crate::arena::OutOfMemory;
use crate::bytes::common_prefix;
use crate::key::MAX_KEY_LEN;
use crate::planted::{Bug, planted};
use crate::strings::Strings;

/// Half of a tag from which on the rest of the number stands elsewhere.
pub(super) const HALF_MAX: usize = 15;

/// First byte of a length of two more bytes; shorter ones are their one byte.
pub(super) const LONG: u8 = 255;

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
pub(super) fn take_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes {
        [LONG, low, high, ref rest @ ..] => {
            Some((usize::from(u16::from_le_bytes([low, high])), rest))
        }
        [] | [LONG, ..] => None,
        [len, ref rest @ ..] => Some((usize::from(len), rest)),
    }
}

/// The length at this place, and where it ends.
#[inline]
pub(super) fn take_len_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    match *bytes.get(at)? {
        LONG => take_len(bytes.get(at..)?).map(|(len, rest)| (len, bytes.len() - rest.len())),
        len => Some((len.into(), at + 1)),
    }
}

/// A block, of which only the head has been looked at.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// The first key.
    pub(super) head: &'a [u8],
    /// The other keys.
    pub(super) rest: Suffixes<'a>,
    /// What the bytes of head and suffixes stand for, unless for themselves.
    pub(super) symbols: Option<Symbols<'a>>,
    /// Bytes of the whole block.
    pub(super) len: usize,
    /// They, and what follows: of no meaning, but bytes that can be copied.
    pub(super) tail: &'a [u8],
}

/// Keys of a block that are still to be read.
#[derive(Clone, Copy)]
pub(super) struct Suffixes<'a> {
    pub(super) common: usize,
    pub(super) tags: &'a [u8],
    pub(super) bytes: &'a [u8],
}

/// Bytes from the first suffix on that may be read as words, if each suffix has at most 15.
const REACHED: usize = TAGS * HALF_MAX + 2 * WORD;

/// What a key has in common with the one before it, and what comes then, at least one byte.
pub(super) struct Suffix<'a> {
    pub(super) shared: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> Suffixes<'a> {
    /// The next key, which has this tag; `None` if it is not inside the block.
    #[inline]
    pub(super) fn take(&mut self, tag: u8) -> Option<Suffix<'a>> {
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
    pub(super) fn parse(
        tail: &'a [u8],
        len: usize,
        keys: usize,
        symbols: Option<Symbols<'a>>,
    ) -> Option<Self> {
        let bytes = tail.get(..len)?;
        let (head_len, bytes) = take_len(bytes)?;
        let (common, bytes) = take_len(bytes)?;
        let (head, bytes) = bytes.split_at_checked(head_len)?;
        let (tags, bytes) = bytes.split_at_checked(keys.checked_sub(1)?)?;
        Some(Self { head, rest: Suffixes { common, tags, bytes }, symbols, tail, len })
    }

    /// The place of `key` in the block: `Ok` if it is there, else `Err` with that of the next larger
    /// one. `None` if the block is damaged, and the damage was met.
    ///
    /// No key is put together. What is known of the key that has been reached is that it is below
    /// `key`, and how many bytes the two share; that tells all about the next one but where both
    /// go on from the same place.
    #[inline]
    pub(super) fn search(&self, key: &Wanted<'_>) -> Option<Result<usize, usize>> {
        if let Some(symbols) = self.symbols {
            return self.search_codes(symbols, key);
        }
        self.search_words(key).or_else(|| self.search_bytes(key.bytes()))
    }

    /// As [`search`](Self::search), all tags at once: `None` also for a block that is not whole, or
    /// has a tag with a half of 15, or stands too close to the end of the section.
    #[inline]
    fn search_words(&self, key: &Wanted<'_>) -> Option<Result<usize, usize>> {
        let suffixes_at = self.len - self.rest.bytes.len();
        let tags_at = suffixes_at.checked_sub(self.rest.tags.len())?;
        let tags = Tags::of(self.tail, tags_at)?;
        if self.rest.tags.len() != TAGS || tags.len() > self.rest.bytes.len() {
            return None;
        }
        let suffixes = self.tail.get(suffixes_at..)?.first_chunk::<REACHED>()?;
        let matched = match self.match_head(tags_at.checked_sub(self.head.len())?, key) {
            Ok(matched) => matched,
            Err(found) => return Some(found),
        };
        self.search_tags(&tags, matched, |start, len, matched| {
            let left = key.len() - matched;
            let both = len.min(left);
            let word = |at: usize| suffixes.get(start + at..)?.first_chunk::<WORD>().copied();
            let (mut stored, mut wanted) = (u64::from_le_bytes(word(0)?), key.word(matched));
            let mut equal = 0;
            if stored == wanted && both > WORD {
                (stored, wanted) = (u64::from_le_bytes(word(WORD)?), key.word(matched + WORD));
                equal = WORD;
            }
            equal += (stored ^ wanted).trailing_zeros() as usize / 8;
            Some(if equal >= both {
                match (both == left, both == len) {
                    (false, _) => Met::Below(matched + both),
                    (true, true) => Met::Equal,
                    (true, false) => Met::Above(key.len()),
                }
            } else if stored.swap_bytes() > wanted.swap_bytes() {
                Met::Above(matched + equal)
            } else {
                Met::Below(matched + equal)
            })
        })
    }

    /// Goes on behind the head, of which so many bytes have been met, with all tags at once. `meet`
    /// compares a suffix, told by its start and length, with the key from the last number on.
    #[inline]
    pub(super) fn search_tags(
        &self,
        tags: &Tags,
        mut matched: usize,
        meet: impl Fn(usize, usize, usize) -> Option<Met>,
    ) -> Option<Result<usize, usize>> {
        let mut passed = 0;
        // Less than that is shared by no key, and what all share is below.
        while let Some(over) = matched.checked_sub(self.rest.common) {
            let Some(next) = tags.next_not_above(over, passed) else {
                break;
            };
            let (shared, start, len) = tags.get(next);
            // It grew larger than the one before it where that and `key` agree.
            if shared < over && !planted(Bug::BlockSearchPassesBy) {
                return Some(Err(next + 1));
            }
            match meet(start, len, matched)? {
                Met::Below(now) => matched = now,
                Met::Equal => return Some(Ok(next + 1)),
                Met::Above(_) => return Some(Err(next + 1)),
            }
            passed = next + 1;
        }
        Some(Err(TAGS + 1))
    }

    /// How many bytes the head, which starts at `at`, shares with `key`, if it is below; else the
    /// answer.
    #[inline]
    fn match_head(&self, at: usize, key: &Wanted<'_>) -> Result<usize, Result<usize, usize>> {
        let both = self.head.len().min(key.len());
        let mut matched = 0;
        // Words may reach beyond the head.
        while matched < both
            && let Some(word) = self.tail.get(at + matched..).and_then(<[u8]>::first_chunk)
        {
            let differing = u64::from_le_bytes(*word) ^ key.word(matched);
            matched += differing.trailing_zeros() as usize / 8;
            if differing != 0 {
                break;
            }
        }
        let matched = matched.min(both);
        if matched == key.len() {
            return Err(if matched == self.head.len() { Ok(0) } else { Err(0) });
        }
        match self.head.get(matched) {
            Some(byte) if *byte > key.bytes()[matched] => Err(Err(0)),
            _ => Ok(matched),
        }
    }

    /// As [`search`](Self::search), key by key.
    fn search_bytes(&self, key: &[u8]) -> Option<Result<usize, usize>> {
        let matched = common_prefix(self.head, key);
        if matched == key.len() {
            return Some(if matched == self.head.len() { Ok(0) } else { Err(0) });
        }
        if self.head.get(matched).is_some_and(|byte| *byte > key[matched]) {
            return Some(Err(0));
        }
        self.search_each(matched, |bytes, matched| Met::of_text(bytes, key, matched))
    }

    /// Goes on behind the head, of which so many bytes have been met, key by key. `meet` compares a
    /// suffix with the key from that number on.
    pub(super) fn search_each(
        &self,
        mut matched: usize,
        meet: impl Fn(&[u8], usize) -> Met,
    ) -> Option<Result<usize, usize>> {
        let mut rest = self.rest;
        for (before, &tag) in self.rest.tags.iter().enumerate() {
            let Suffix { shared, bytes } = rest.take(tag)?;
            // It goes on like the one before it, where that differs from `key`: it is below too.
            if shared > matched {
                continue;
            }
            // It grew larger than the one before it where that and `key` agree.
            if shared < matched && !planted(Bug::BlockSearchPassesBy) {
                return Some(Err(before + 1));
            }
            match meet(bytes, matched) {
                Met::Below(now) => matched = now,
                Met::Equal => return Some(Ok(before + 1)),
                Met::Above(_) => return Some(Err(before + 1)),
            }
        }
        Some(Err(self.rest.tags.len() + 1))
    }

    /// Replaces what follows the first `start` bytes of `key` by the key at `slot`, at most the last
    /// one; `None` if the block is damaged up to there.
    pub(super) fn key_at(mut self, slot: usize, key: &mut Vec<u8>, start: usize) -> Option<()> {
        key.truncate(start);
        let most = MAX_KEY_LEN.checked_sub(start)?;
        self.head().append_to(key, most)?;
        for &tag in self.rest.tags.get(..slot)? {
            let (shared, suffix) = self.take(tag)?;
            if shared > key.len() - start {
                return None;
            }
            key.truncate(start + shared);
            suffix.append_to(key, most - shared)?;
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
        // Of the suffixes, only those that a later one leaves something of: each shares more than all
        // before it.
        let mut steps = [(0, 0, 0); MAX_KEYS];
        let mut count = 0;
        for &tag in self.rest.tags.get(..slot)? {
            let Suffix { shared, bytes } = self.rest.take(tag)?;
            while count > 0 && steps[count - 1].0 >= shared {
                count -= 1;
            }
            let at = self.len - self.rest.bytes.len() - bytes.len();
            *steps.get_mut(count)? = (shared, at, bytes.len());
            count += 1;
        }
        key.replace(0, Piece::new(prefix, prefix.len(), None))?;
        key.replace(prefix.len(), self.head())?;
        for &(shared, at, len) in &steps[..count] {
            let shared = prefix.len() + shared;
            if shared > key.len() {
                return None;
            }
            key.replace(shared, Piece::new(self.tail.get(at..)?, len, self.symbols))?;
        }
        Some(())
    }

    /// The first key.
    #[inline]
    fn head(&self) -> Piece<'a> {
        Piece::new(self.head, self.head.len(), self.symbols)
    }

    /// The next key, which has this tag: what it shares with the one before it, and the suffix.
    #[inline]
    fn take(&mut self, tag: u8) -> Option<(usize, Piece<'a>)> {
        let Suffix { shared, bytes } = self.rest.take(tag)?;
        let at = self.len - self.rest.bytes.len() - bytes.len();
        Some((shared, Piece::new(self.tail.get(at..)?, bytes.len(), self.symbols)))
    }

    /// Room that decoding needs for all keys together, each with a prefix of so many bytes, and behind
    /// the last for what its codes might be; `None` if the block is damaged.
    pub(super) fn room(mut self, prefix_len: usize) -> Option<usize> {
        let key_len = |len: usize| (prefix_len + len).min(MAX_KEY_LEN);
        let mut len = key_len(self.head().decoded_len());
        let mut behind = self.head().bound();
        for &tag in self.rest.tags {
            let (shared, suffix) = self.take(tag)?;
            len += key_len(shared + suffix.decoded_len());
            behind = behind.max(room_behind(suffix));
        }
        Some(len + behind)
    }

    /// What all keys share, and the first key.
    pub(super) fn start(&self) -> (usize, Text<'a>) {
        let at = self.len - self.rest.bytes.len() - self.rest.tags.len() - self.head.len();
        (self.rest.common, (self.tail.get(at..).unwrap_or(&[]), self.head.len()))
    }

    /// Of each key but the first: what it shares with the one before it, less what all share, and the
    /// suffix. It ends where the block is damaged.
    pub(super) fn steps(mut self) -> impl Iterator<Item = (usize, Text<'a>)> + use<'a> {
        self.rest.tags.iter().map_while(move |&tag| {
            let Suffix { shared, bytes } = self.rest.take(tag)?;
            let at = self.len - self.rest.bytes.len() - bytes.len();
            Some((shared - self.rest.common, (self.tail.get(at..)?, bytes.len())))
        })
    }

    /// Appends all keys; `None` if the block is damaged or they do not ascend. Tells `note` of each
    /// but the first what it shares with the one before it.
    #[inline]
    pub(super) fn decode(
        self,
        prefix: &[u8],
        keys: &mut Strings,
        mut note: impl FnMut(usize),
    ) -> Option<()> {
        keys.push_whole(
            start_of(self.symbols),
            [Piece::new(prefix, prefix.len(), None), self.head()],
        )?;
        self.decode_rest(prefix.len(), keys, &mut note)
    }

    /// Appends the keys from `slot` on, where `key` is, which begins with a prefix of so many bytes;
    /// `None` if the block is damaged, or they do not ascend.
    pub(super) fn decode_from(
        mut self,
        slot: usize,
        key: &[u8],
        prefix_len: usize,
        keys: &mut Strings,
    ) -> Option<()> {
        let (before, behind) = self.rest.tags.split_at_checked(slot)?;
        for &tag in before {
            self.rest.take(tag)?;
        }
        self.rest.tags = behind;
        keys.push_whole(start_of(self.symbols), [Piece::new(key, key.len(), None)])?;
        self.decode_rest(prefix_len, keys, &mut |_| ())
    }
}

/// Text, and whatever follows it; and how long it is.
pub(super) type Text<'a> = (&'a [u8], usize);

/// A tag.
#[inline]
pub(super) fn tag_of(shared: usize, less_len: usize) -> u8 {
    (shared.min(HALF_MAX) << 4 | less_len.min(HALF_MAX)) as u8
}

/// Appends what comes after the tags: of each key what of the numbers of its tag did not fit into that,
/// and its suffix. `steps` are what it shares, less `common`, and the suffix; `len` are bytes of these and of
/// more, perhaps.
pub(super) fn put_steps<'t>(
    steps: impl ExactSizeIterator<Item = (usize, Text<'t>)>,
    len: usize,
    out: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    let mut at = out.len();
    let room = len + steps.len() * (3 + 3) + REACH;
    out.try_reserve(room)?;
    out.resize(at + room, 0);
    for (shared, (suffix, len)) in steps {
        for half in [shared, len - 1] {
            if half < HALF_MAX + usize::from(LONG) {
                // Most often none or one, and nobody can tell which.
                out[at] = half.wrapping_sub(HALF_MAX) as u8;
                at += usize::from(half >= HALF_MAX);
            } else {
                let mut field = [0; 3];
                let field = len_field(half - HALF_MAX, &mut field);
                out[at..at + field.len()].copy_from_slice(field);
                at += field.len();
            }
        }
        copy_chunks(&mut out[at..], suffix, len).ok_or(OutOfMemory)?;
        at += len;
    }
    out.truncate(at);
    Ok(())
}

/// The same, if all numbers fit into the tags: the suffixes, of so many bytes together.
pub(super) fn put_suffixes(
    suffixes: &[Text<'_>],
    len: usize,
    out: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    let mut at = out.len();
    let room = len + REACH;
    out.try_reserve(room)?;
    out.resize(at + room, 0);
    for &(suffix, len) in suffixes {
        copy_chunks(&mut out[at..], suffix, len).ok_or(OutOfMemory)?;
        at += len;
    }
    out.truncate(at);
    Ok(())
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
    /// The suffixes, and room behind them.
    suffixes: Vec<u8>,
    /// Bytes of all suffixes.
    used: usize,
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

    /// Length of the key at `slot`.
    pub(super) fn key_len(&self, slot: usize) -> usize {
        if slot == 0 { self.head.len() } else { (self.shared[slot] + self.lens[slot]).into() }
    }

    /// Of each key but the first: what it shares with the one before it, and what comes then.
    pub(super) fn steps(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut suffixes = self.suffixes.as_slice();
        (1..self.keys).map(move |slot| {
            let (suffix, rest) = suffixes.split_at(self.lens[slot].into());
            suffixes = rest;
            (self.shared[slot].into(), suffix)
        })
    }

    /// Appends a key of so many bytes, whatever follows it, that shares so many with the one before it.
    /// There are less than [`MAX_KEYS`] so far.
    #[inline]
    pub(super) fn push(&mut self, (key, len): Text<'_>, shared: usize) -> Result<(), OutOfMemory> {
        if self.keys == 0 {
            self.start(&key[..len])
        } else {
            self.append(shared, (&key[shared..], len - shared))
        }
    }

    /// Begins with a key.
    fn start(&mut self, head: &[u8]) -> Result<(), OutOfMemory> {
        self.head.try_reserve(head.len())?;
        self.head.extend_from_slice(head);
        self.common = head.len();
        self.keys = 1;
        Ok(())
    }

    /// As [`push`](Self::push), behind another key, of one that shares so many bytes with that, and has
    /// `suffix` behind them: at most 65,535 bytes.
    #[inline]
    fn append(&mut self, shared: usize, (suffix, len): Text<'_>) -> Result<(), OutOfMemory> {
        if self.used + len + REACH > self.suffixes.len() {
            self.grow(len)?;
        }
        copy_chunks(&mut self.suffixes[self.used..], suffix, len).ok_or(OutOfMemory)?;
        self.used += len;
        self.common = self.common.min(shared);
        // Keys have at most 65,535 bytes.
        self.shared[self.keys] = shared as u16;
        self.lens[self.keys] = len as u16;
        self.keys += 1;
        Ok(())
    }

    /// Makes room for a suffix.
    #[cold]
    fn grow(&mut self, len: usize) -> Result<(), OutOfMemory> {
        let room = (self.used + len + REACH).max(2 * self.suffixes.len()).max(FEW_SUFFIXES);
        self.suffixes.try_reserve(room - self.suffixes.len())?;
        self.suffixes.resize(room, 0);
        Ok(())
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.keys = 0;
        self.used = 0;
        self.head.clear();
    }

    /// Appends the block, all of whose keys share a prefix of so many bytes.
    pub(super) fn put_whole(
        &self,
        prefix_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), OutOfMemory> {
        let head = &self.head[prefix_len..];
        out.try_reserve(2 * 3 + head.len() + self.keys + self.used)?;
        for len in [head.len(), self.common - prefix_len] {
            out.extend_from_slice(len_field(len, &mut [0; 3]));
        }
        out.extend_from_slice(head);
        let mut tags = [0; MAX_KEYS];
        let (tags, suffixes) = self.tags(&mut tags);
        out.extend_from_slice(tags);
        match suffixes {
            Some(suffixes) => out.extend_from_slice(suffixes),
            None => self.put_rest(out)?,
        }
        Ok(())
    }

    /// The tags, and what comes after them if that is but the suffixes.
    pub(super) fn tags<'a>(&'a self, tags: &'a mut [u8; MAX_KEYS]) -> (&'a [u8], Option<&'a [u8]>) {
        let (count, common) = (self.keys.saturating_sub(1).min(MAX_KEYS - 1), self.common as u16);
        let mut largest = 0;
        for ((tag, shared), len) in
            tags.iter_mut().zip(&self.shared[1..=count]).zip(&self.lens[1..=count])
        {
            let (shared, len) = (shared - common, len - 1);
            largest = largest.max(shared).max(len);
            *tag = tag_of(shared.into(), len.into());
        }
        let has_extras = usize::from(largest) >= HALF_MAX;
        (&tags[..count], (!has_extras).then(|| &self.suffixes[..self.used]))
    }

    /// Appends what comes after the tags.
    pub(super) fn put_rest(&self, out: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let count = self.keys.min(MAX_KEYS);
        let mut rest = self.suffixes.as_slice();
        let steps = self.shared[..count].iter().zip(&self.lens[..count]).skip(1);
        let steps = steps.map(|(shared, len)| {
            let (suffix, len) = (rest, usize::from(*len));
            rest = &rest[len..];
            (usize::from(*shared) - self.common, (suffix, len))
        });
        put_steps(steps, self.used, out)
    }
}

/// Bytes of suffixes for which there is room from the first one on.
const FEW_SUFFIXES: usize = 512;
