//! Which bytes of keys of one length differ, and how keys are cut into those and put together.

use crate::bytes::{bytes_of, copy_short, number_of, spelled_on, u64_at};
use crate::error::Corruption;
use std::cmp::Ordering;
use std::ops::RangeInclusive;

/// Bytes of a key.
pub(super) const LENS: RangeInclusive<usize> = 9..=MAX_LEN;

/// Bytes of the longest keys.
pub(super) const MAX_LEN: usize = 48;

/// Bytes of a head at most.
pub(super) const MAX_HEAD: usize = 8;

/// Bytes of a tail at most.
const MAX_TAIL: usize = MAX_LEN - MAX_HEAD;

// The front of the section, field after field.
const LEN_AT: usize = 0;
const ZEROS_AT: usize = LEN_AT + 1;
const MASK_AT: usize = 8;
const SHARED_AT: usize = MASK_AT + 8;
pub(super) const FRONT_LEN: usize = SHARED_AT + MAX_LEN;

/// Bytes of a key, of which those behind it are zeros.
pub(super) type KeyBytes = [u8; MAX_LEN];

/// Which bytes of keys differ, in at least one. The first of these, eight at most, are a key's *head*, the
/// others its *tail*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Bytes of a key.
    len: u8,
    /// The place of the first one that differs.
    start: u8,
    /// Bytes that differ.
    differing: u8,
    /// They stand side by side, up to the end of the key.
    is_run: bool,
    /// Bit i stands for byte i.
    mask: u64,
}

/// A key that is looked for, as its place among the keys of a pattern.
#[derive(Clone, Copy)]
pub(super) struct Sought {
    /// Head and tail.
    bytes: KeyBytes,
    head: u8,
    differing: u8,
    /// A key with these is the one that is looked for.
    is_whole: bool,
    /// It is above a key with these.
    is_above: bool,
}

impl Pattern {
    /// That of keys of `len` bytes, where a bit of `mask` stands for each byte that differs. If none does,
    /// the last one is said to.
    pub(super) fn new(len: usize, mask: u64) -> Self {
        let mask = if mask == 0 { 1 << (len - 1) } else { mask };
        let start = mask.trailing_zeros();
        let is_run = mask == u64::MAX >> (u64::BITS - len as u32) & u64::MAX << start;
        let differing = mask.count_ones() as u8;
        Self { len: len as u8, start: start as u8, differing, is_run, mask }
    }

    /// Reads the front of the section.
    pub(super) fn read(front: &[u8]) -> Result<Self, Corruption> {
        let (len, mask) = (usize::from(front[LEN_AT]), u64_at(front, MASK_AT).unwrap_or(0));
        if !LENS.contains(&len) {
            return Err(super::damaged(LEN_AT, "keys have 9 to 48 bytes"));
        }
        if mask == 0 || mask >> len != 0 {
            return Err(super::damaged(MASK_AT, "some bytes of a key differ"));
        }
        Ok(Self::new(len, mask))
    }

    /// Writes it, and what keys share, of which this is one.
    pub(super) fn write(self, key: &[u8], front: &mut [u8]) {
        front[LEN_AT] = self.len;
        front[MASK_AT..SHARED_AT].copy_from_slice(&self.mask.to_le_bytes());
        for (i, byte) in key.iter().enumerate() {
            front[SHARED_AT + i] = if self.differs(i) { 0 } else { *byte };
        }
    }

    /// Whether the front of a section has nothing but what is written to it.
    pub(super) fn is_written_in(self, front: &[u8]) -> bool {
        let is_zero = |at: usize| front.get(at) == Some(&0);
        (ZEROS_AT..MASK_AT).all(is_zero)
            && (0..MAX_LEN)
                .all(|i| i < self.key_len() && !self.differs(i) || is_zero(SHARED_AT + i))
    }

    /// Bytes of a key.
    #[inline]
    pub(super) fn key_len(self) -> usize {
        usize::from(self.len)
    }

    /// Bytes of a head.
    #[inline]
    pub(super) fn head_len(self) -> usize {
        usize::from(self.differing).min(MAX_HEAD)
    }

    /// Bytes of a tail.
    #[inline]
    pub(super) fn tail_len(self) -> usize {
        usize::from(self.differing).saturating_sub(MAX_HEAD)
    }

    #[inline]
    fn differs(self, i: usize) -> bool {
        self.mask >> i & 1 == 1
    }

    /// Whether it is that of keys of so many bytes of which just these differ.
    pub(super) fn is_of(self, mask: u64) -> bool {
        self == Self::new(self.key_len(), mask)
    }

    /// The bytes of a key that differ, side by side.
    #[inline]
    fn differing(self, key: &[u8]) -> KeyBytes {
        let (mut bytes, mut at) = ([0; MAX_LEN], 0);
        if self.is_run {
            copy_short(&mut bytes, &key[usize::from(self.start)..]);
            return bytes;
        }
        for (i, byte) in key.iter().enumerate() {
            bytes[at] = *byte;
            at += usize::from(self.differs(i));
        }
        // What came last may not differ.
        bytes[at..].fill(0);
        bytes
    }

    /// The number that the head of a key of so many bytes spells.
    #[inline]
    pub(super) fn head(self, key: &[u8]) -> u64 {
        let start = usize::from(self.start);
        let run = key.get(start..).and_then(|key| key.first_chunk()).filter(|_| self.is_run);
        let head = run.map_or_else(
            || self.differing(key).first_chunk().map_or(0, |head| number_of(*head)),
            |head| number_of(*head),
        );
        head >> (8 * (MAX_HEAD - self.head_len()))
    }

    /// Makes `tail` that of a key of so many bytes.
    #[inline]
    pub(super) fn write_tail(self, key: &[u8], tail: &mut [u8]) {
        if self.is_run {
            copy_short(tail, &key[key.len() - self.tail_len()..]);
        } else if !tail.is_empty() {
            copy_short(tail, &self.differing(key)[MAX_HEAD..]);
        }
    }

    /// Writes to `keys`, one after the other, the bytes of the keys that have these heads and these tails.
    pub(super) fn join(self, front: &[u8], heads: &[u64], tails: &[u8], keys: &mut [u8]) {
        self.share(front, keys);
        let (start, tail_len) = (usize::from(self.start), self.tail_len());
        let shift = 8 * (MAX_HEAD - self.head_len()) as u32;
        let keys = keys.chunks_exact_mut(self.key_len()).zip(heads);
        let mut tails = tails;
        let mut next_tail = || tails.split_off(..tail_len).unwrap_or(&[]);
        if !self.is_run {
            for (key, head) in keys {
                self.scatter(head << shift, next_tail(), key);
            }
        } else if shift > 0 {
            for (key, head) in keys {
                copy_short(&mut key[start..], &bytes_of(head << shift));
            }
        } else if tail_len <= MAX_HEAD {
            // Two words, of which the second one covers what the tail leaves of it of the first.
            let (tail_bits, rest) = (8 * tail_len as u32, 8 * (MAX_HEAD - tail_len) as u32);
            for (key, head) in keys {
                let tail = match tails.first_chunk() {
                    Some(word) => number_of(*word).unbounded_shr(rest),
                    None => spelled_on(0, &tails[..tail_len.min(tails.len())]),
                };
                tails = tails.get(tail_len..).unwrap_or(&[]);
                if let Some(to) = key[start..].first_chunk_mut() {
                    *to = bytes_of(*head);
                }
                if let Some(to) = key.last_chunk_mut() {
                    *to = bytes_of(head.unbounded_shl(tail_bits) | tail);
                }
            }
        } else {
            for (key, head) in keys {
                if let Some((to, rest)) = key[start..].split_first_chunk_mut() {
                    *to = bytes_of(*head);
                    copy_short(rest, next_tail());
                }
            }
        }
    }

    /// Writes to each of `keys` what all share.
    fn share(self, front: &[u8], keys: &mut [u8]) {
        let (shared, len) = (&front[SHARED_AT..], self.key_len());
        let Some(first) = keys.get_mut(..len) else { return };
        first.copy_from_slice(&shared[..len]);
        // Twice as many each time.
        let mut done = len;
        while done < keys.len() {
            let more = done.min(keys.len() - done);
            keys.copy_within(..more, done);
            done += more;
        }
    }

    /// Writes the bytes that differ, which have gaps between them, to their places in `key`.
    fn scatter(self, head: u64, tail: &[u8], key: &mut [u8]) {
        let mut bytes = [0; MAX_LEN];
        bytes[..MAX_HEAD].copy_from_slice(&bytes_of(head));
        copy_short(&mut bytes[self.head_len()..], tail);
        let (mut left, mut at) = (self.mask, 0);
        while left != 0 {
            // A run of bytes at a time.
            let start = left.trailing_zeros() as usize;
            let len = (left >> start).trailing_ones() as usize;
            copy_short(&mut key[start..start + len], &bytes[at..at + len]);
            left &= left.wrapping_add(1 << start);
            at += len;
        }
    }

    /// Where `key`, which may be any, is among keys of this pattern, which share what the front says.
    #[inline]
    pub(super) fn sought(self, front: &[u8], key: &[u8]) -> Sought {
        let shared = &front[SHARED_AT..SHARED_AT + self.key_len()];
        let (start, head) = (usize::from(self.start), self.head_len() as u8);
        if self.is_run && key.len() == shared.len() && key[..start] == shared[..start] {
            let bytes = self.differing(key);
            let differing = self.differing;
            return Sought { bytes, head, differing, is_whole: true, is_above: false };
        }
        self.sought_apart(shared, key, head)
    }

    /// The same byte by byte.
    ///
    /// A byte that all keys share decides where `key` has another one: those with the same bytes before are
    /// all above it, or all below, whatever they go on with.
    #[inline(never)]
    fn sought_apart(self, shared: &[u8], key: &[u8], head: u8) -> Sought {
        let (mut bytes, mut at) = ([0; MAX_LEN], 0);
        let mut decided = Ordering::Equal;
        for (i, shared) in shared.iter().enumerate() {
            // A shorter key is below all that it begins, as zeros behind it are or the least of them.
            let byte = key.get(i).copied().unwrap_or(0);
            if self.differs(i) {
                bytes[at] = match decided {
                    Ordering::Less => 0,
                    Ordering::Equal => byte,
                    Ordering::Greater => u8::MAX,
                };
                at += 1;
            } else if decided.is_eq() {
                decided = byte.cmp(shared);
            }
        }
        let is_longer = decided.is_eq() && key.len() > shared.len();
        Sought {
            bytes,
            head,
            differing: self.differing,
            is_whole: decided.is_eq() && key.len() == shared.len(),
            is_above: decided.is_gt() || is_longer,
        }
    }
}

impl Sought {
    /// The number that the head spells.
    #[inline]
    pub(super) fn number(&self) -> u64 {
        spelled_on(0, self.head())
    }

    /// The head.
    #[inline]
    pub(super) fn head(&self) -> &[u8] {
        &self.bytes[..usize::from(self.head)]
    }

    /// Where it is beside the key of `ordinal`, which has the same head and this tail: `Ok` if it is that
    /// one, else `Err` with the ordinal of the next larger one.
    #[inline]
    pub(super) fn beside(&self, ordinal: u64, tail: &[u8]) -> Result<u64, u64> {
        let sought = &self.bytes[usize::from(self.head)..usize::from(self.differing)];
        match tail.cmp(sought) {
            Ordering::Less => Err(ordinal + 1),
            Ordering::Equal if self.is_above => Err(ordinal + 1),
            Ordering::Equal if self.is_whole => Ok(ordinal),
            Ordering::Equal | Ordering::Greater => Err(ordinal),
        }
    }
}

const _: () = assert!(MAX_LEN < u64::BITS as usize && MAX_TAIL == 40 && FRONT_LEN == 64);
